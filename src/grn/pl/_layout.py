"""Positions of the nodes of a network, in points on the page.

Each connected component gets a cell of the page with an area that grows with its
size (a squarified treemap), is laid out in it by stress majorisation, and is then
relaxed until nodes with their labels, and nodes with foreign edges, keep apart.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, shortest_path
from scipy.spatial import cKDTree

from grn._core.rng import child

Rectangle = tuple[float, float, float, float]
_STARTS, _STEPS, _RELAX = 10, 120, 240
# from here on distances to some genes stand for all distances, and edges may pass under nodes
_MANY, _CROSSINGS = 150, 40_000


def place_nodes(
    names: list[str], ends: np.ndarray, *, page: Rectangle, boxes: np.ndarray, radii: np.ndarray, seed: int
) -> np.ndarray:
    """Return positions (n, 2) of nodes within a page.

    Parameters
    ----------
    names
        Node names, sorted; the layout depends on them and the seed only.
    ends
        Positions of source and target of every edge, shape (m, 2).
    page
        Left, bottom, width, height in points.
    boxes
        Width and height a node and its label need, shape (n, 2).
    radii
        Radii of the nodes in points.
    seed
        Seed of the starting positions.
    """
    positions = np.zeros((len(names), 2))
    parts = _components(len(names), ends)
    cells = squarify([len(part) + 2.0 for part in parts], page)
    for part, cell in zip(parts, cells, strict=True):
        local = np.full(len(names), -1)
        local[part] = np.arange(len(part))
        inside = local[ends[np.isin(ends[:, 0], part)]].reshape(-1, 2)
        positions[part] = _best([names[i] for i in part], inside, cell, boxes[part], radii[part], seed)
    return positions


def _components(n: int, ends: np.ndarray) -> list[np.ndarray]:
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n, n))
    count, label = connected_components(graph, directed=False)
    parts = [np.flatnonzero(label == i) for i in range(count)]
    return sorted(parts, key=lambda part: (-len(part), part[0]))


def squarify(weights: list[float], page: Rectangle) -> list[Rectangle]:
    """Split a rectangle into cells of given relative areas, as square as possible; weights descend."""
    left, bottom, width, height = page
    scale = width * height / sum(weights)
    todo = [weight * scale for weight in weights]
    cells: list[Rectangle] = []
    while todo:
        side = min(width, height)
        row = 1
        while row < len(todo) and _worst(todo[: row + 1], side) <= _worst(todo[:row], side):
            row += 1
        depth = sum(todo[:row]) / side
        offset = 0.0
        for area in todo[:row]:
            length = area / depth
            if width >= height:
                cells.append((left, bottom + height - offset - length, depth, length))
            else:
                cells.append((left + offset, bottom + height - depth, length, depth))
            offset += length
        if width >= height:
            left, width = left + depth, width - depth
        else:
            height -= depth
        todo = todo[row:]
    return cells


def _worst(areas: list[float], side: float) -> float:
    depth = sum(areas) / side
    return max(max(depth * depth / area, area / (depth * depth)) for area in areas)


def _best(
    names: list[str], ends: np.ndarray, cell: Rectangle, boxes: np.ndarray, radii: np.ndarray, seed: int
) -> np.ndarray:
    """Of a few starts, the layout with the fewest crossings, edges under foreign nodes and narrow angles."""
    starts = _STARTS if len(names) <= 80 else 1
    if starts == 1:
        return _relax(_fit(_shape(names, ends, seed), cell, boxes), ends, cell, boxes, radii)
    best, lowest = np.zeros((len(names), 2)), np.inf
    between = ends[ends[:, 0] != ends[:, 1]]
    reach = _reach(between, radii)
    for shape in stress_layouts(names, ends, seed=seed, starts=starts if len(names) > 3 else 1):
        here = _relax(_fit(shape, cell, boxes), ends, cell, boxes, radii)
        hidden = int((np.abs(_edge_push(here, between, reach)).sum(axis=1) > 0.3).sum())
        cost = crossings(here, ends) + 2 * hidden + _narrow(here, ends)
        if cost < lowest:
            best, lowest = here, cost
    return best


def _shape(names: list[str], ends: np.ndarray, seed: int) -> np.ndarray:
    if len(names) > _MANY:
        return landmark_layout(names, ends, seed=seed)
    return next(iter(stress_layouts(names, ends, seed=seed, starts=1)))


def crossings(here: np.ndarray, ends: np.ndarray) -> int:
    """Count pairs of edges that cross."""
    first, second = here[ends[:, 0]], here[ends[:, 1]]

    def side(point: np.ndarray) -> np.ndarray:
        along, away = second - first, point[None] - first[:, None]
        return np.sign(along[:, None, 0] * away[:, :, 1] - along[:, None, 1] * away[:, :, 0])

    splits = side(first) * side(second) < 0
    shared = (ends[:, None, :, None] == ends[None, :, None, :]).any(axis=(2, 3))
    return int((splits & splits.T & ~shared).sum() // 2)


def _narrow(here: np.ndarray, ends: np.ndarray) -> int:
    """Count neighbouring edges of a node that leave it at less than 12 degrees."""
    ends = ends[ends[:, 0] != ends[:, 1]]
    pairs = np.unique(np.concatenate([ends, ends[:, ::-1]]), axis=0)
    away = here[pairs[:, 1]] - here[pairs[:, 0]]
    angle = np.arctan2(away[:, 1], away[:, 0])
    count = 0
    for node in np.unique(pairs[:, 0]):
        turns = np.sort(angle[pairs[:, 0] == node])
        if len(turns) > 1:
            count += int((np.diff(np.append(turns, turns[0] + 2 * np.pi)) < np.deg2rad(12)).sum())
    return count


def stress_layouts(names: list[str], ends: np.ndarray, *, seed: int, starts: int) -> Iterator[np.ndarray]:
    """Yield positions whose distances follow the graph distances (stress majorisation from several starts)."""
    n = len(names)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n, n))
    distance = shortest_path(graph.tocsr(), directed=False, unweighted=True)
    weight = 1.0 / np.maximum(distance, 1) ** 2
    np.fill_diagonal(weight, 0)
    inverse = np.linalg.pinv(np.diag(weight.sum(axis=1)) - weight)
    for start in range(starts):
        shape = np.array([child(seed, str(start), name).normal(size=2) for name in names])
        for _ in range(_STEPS):
            ratio = weight * distance / np.maximum(_gaps(shape), 1e-9)
            shape = inverse @ ((np.diag(ratio.sum(axis=1)) - ratio) @ shape)
        yield shape


def landmark_layout(names: list[str], ends: np.ndarray, *, seed: int) -> np.ndarray:
    """Positions whose distances to neighbours and to some landmarks follow the graph distances.

    Landmarks are drawn by name. The start is their classical scaling; then every gene moves to where its springs to
    landmarks and neighbours want it.
    """
    n = len(names)
    draws = np.array([child(seed, "landmark", name).normal(size=3) for name in names])
    marks = np.argsort(draws[:, 0], kind="stable")[:_MANY]
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n, n)).tocsr()
    distance = shortest_path(graph, directed=False, unweighted=True, indices=marks).T
    square = distance**2
    centred = square - square.mean(axis=0) - square.mean(axis=1, keepdims=True) + square.mean()
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    shape = centred @ axes.T
    shape *= distance.std() / max(float(shape.std()), 1e-9)
    shape = shape + 0.3 * draws[:, 1:]
    weight = 1.0 / np.maximum(distance, 1) ** 2
    weight[marks, np.arange(len(marks))] = 0
    near = np.concatenate([ends, ends[:, ::-1]])
    near = near[near[:, 0] != near[:, 1]]
    total = weight.sum(axis=1) + np.bincount(near[:, 0], minlength=n)
    for _ in range(_STEPS // 2):
        away = shape[:, None] - shape[marks][None]
        length = np.maximum(np.linalg.norm(away, axis=2), 1e-9)
        ratio = weight * distance / length
        pull = weight @ shape[marks] + (ratio[:, :, None] * away).sum(axis=1)
        along = shape[near[:, 0]] - shape[near[:, 1]]
        spring = shape[near[:, 1]] + along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
        pull += np.stack([np.bincount(near[:, 0], spring[:, k], minlength=n) for k in (0, 1)], axis=1)
        shape = pull / total[:, None]
    return shape


def _gaps(shape: np.ndarray) -> np.ndarray:
    return np.linalg.norm(shape[:, None] - shape[None], axis=2)


def _fit(shape: np.ndarray, cell: Rectangle, boxes: np.ndarray) -> np.ndarray:
    """Turn a shape so that it is long where the cell has room, and scale it to fill the cell."""
    left, bottom, width, height = cell
    centred = shape - shape.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=True)[2]
    turned = centred @ axes.T
    room = np.maximum(np.array([width, height]) - boxes.mean(axis=0) * [1.0, 1.2], 1.0)
    if room[1] > room[0]:
        turned = turned[:, ::-1]
    low, high = turned.min(axis=0), turned.max(axis=0)
    scale = room / np.maximum(high - low, 1e-9)
    # unequal stretching fills the cell, too much of it flattens the shape
    scale = np.minimum(scale, 1.7 * scale.min())
    longest = 60.0 if len(shape) == 2 else np.inf
    scale = np.minimum(scale, longest / max(float((high - low).max()), 1e-9))
    middle = np.array([left + width / 2, bottom + height / 2])
    return middle + (turned - (low + high) / 2) * scale


def _relax(start: np.ndarray, ends: np.ndarray, cell: Rectangle, boxes: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Push apart nodes with their labels, and nodes from edges they do not belong to, within the cell."""
    left, bottom, width, height = cell
    if boxes.prod(axis=1).sum() > 0.8 * width * height:
        # labels will not find room whatever is done; nodes should
        boxes = np.minimum(boxes, 2 * radii[:, None] + 3)
    steps = _RELAX if len(start) <= _MANY else _RELAX // 4
    apart = len(start) * len(ends) <= _CROSSINGS
    between = ends[ends[:, 0] != ends[:, 1]]
    reach = _reach(between, radii) if apart else np.zeros((0, 0))
    # a label stands on one side of its node, so a node at the edge needs more than half its box
    margin = np.minimum(boxes * [0.5, 0.7] + 1, np.array([width, height]) / 2)
    low = np.array([left, bottom]) + margin
    high = np.array([left + width, bottom + height]) - margin
    here = np.clip(start, low, high)
    for step in range(steps):
        pull = 0.02 * max(0.0, 1 - 1.5 * step / steps)
        move = _box_push(here, boxes) + pull * (start - here)
        if apart:
            move += _edge_push(here, between, reach)
        here = np.clip(here + move, low, high)
        if pull == 0 and np.abs(move).max() < 0.01:
            break
    return here


def _box_push(here: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    first, second = _touching(here, boxes)
    delta = here[first] - here[second]
    side = np.where(np.abs(delta) > 1e-6, np.sign(delta), np.sign(first - second)[:, None])
    depth = (boxes[first] + boxes[second]) / 2 - np.abs(delta)
    axis = np.where(depth[:, 0] < depth[:, 1], 0, 1)
    rows = np.arange(len(first))
    push = 0.3 * depth[rows, axis] * side[rows, axis]
    total = np.zeros_like(here)
    for k in (0, 1):
        mine = axis == k
        total[:, k] = np.bincount(first[mine], push[mine], minlength=len(here))
    return total.clip(-12, 12)


def _touching(here: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of nodes whose boxes overlap, in both orders."""
    if len(here) > _MANY:
        # in units of the widest box, boxes that overlap are less than 1 apart
        pairs = cKDTree(here / boxes.max(axis=0)).query_pairs(1.0, p=np.inf, output_type="ndarray")
        pairs = np.concatenate([pairs, pairs[:, ::-1]])
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        first, second = pairs[:, 0], pairs[:, 1]
    else:
        first, second = np.nonzero(~np.eye(len(here), dtype=bool))
    depth = (boxes[first] + boxes[second]) / 2 - np.abs(here[first] - here[second])
    hit = (depth > 0).all(axis=1)
    return first[hit], second[hit]


def _reach(ends: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """How near every edge may come to every node (nodes, edges): as near as it likes to its own ends."""
    nodes = np.arange(len(radii))[:, None]
    at_end = (nodes == ends[None, :, 0]) | (nodes == ends[None, :, 1])
    return np.where(at_end, 0.0, radii[:, None] + 4)


def _edge_push(here: np.ndarray, ends: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Push nodes from edges that come nearer than their reach; no edge is a loop."""
    if not len(ends):
        return np.zeros_like(here)
    (x, y), (start_x, start_y) = here.T, here[ends[:, 0]].T
    span_x, span_y = (here[ends[:, 1]] - here[ends[:, 0]]).T
    length = np.maximum(span_x**2 + span_y**2, 1e-9)
    # (nodes, edges) from here on
    along = ((x[:, None] - start_x) * span_x + (y[:, None] - start_y) * span_y) / length
    along = np.minimum(np.maximum(along, 0), 1)
    away_x, away_y = x[:, None] - (start_x + along * span_x), y[:, None] - (start_y + along * span_y)
    gap = np.sqrt(away_x**2 + away_y**2)
    node, edge = np.nonzero(gap < reach)
    if not len(node):
        return np.zeros_like(here)
    # few edges are that near, and only they push
    gap, push = gap[node, edge], 0.25 * (reach[node, edge] - gap[node, edge])
    apart, width, root = gap > 1e-6, np.maximum(gap, 1e-6), np.sqrt(length[edge])
    push_x = push * np.where(apart, away_x[node, edge] / width, -span_y[edge] / root)
    push_y = push * np.where(apart, away_y[node, edge] / width, span_x[edge] / root)
    total = [np.bincount(node, one, minlength=len(here)) for one in (push_x, push_y)]
    return np.stack(total, axis=1).clip(-6, 6)
