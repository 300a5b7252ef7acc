"""Where labels go so that they touch neither each other nor a node.

Every label has candidate places around its node. The best free place is chosen
label by label, the most connected gene first; a few more rounds let labels move
when their neighbours did; labels still in conflict are pushed off what they touch.
"""

from __future__ import annotations

import numpy as np

from grn.pl._layout import Rectangle

# the first are liked best: below, above, right, left, then the corners and what lies between
_ANGLES = np.deg2rad(
    np.array([270, 90, 0, 180, 300, 240, 60, 120, *(a for a in range(15, 360, 15) if a % 60 and a % 90)])
)
_GAPS = (1.2, 3.5, 6.5, 10.0)
_ROUNDS, _PUSHES, _PAD = 4, 60, 0.8
# farthest gap of a label from its node, and some more
_REACH = 12.0
# of edges that are looked at
_POINTS = 8000


def place_labels(
    nodes: np.ndarray,
    radii: np.ndarray,
    sizes: np.ndarray,
    *,
    lines: np.ndarray,
    page: Rectangle,
    owners: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return centres (n, 2) of labels and a mask of those that found a free place.

    Parameters
    ----------
    nodes
        Positions of all nodes in points, shape (m, 2).
    radii
        Radii of the nodes in points.
    sizes
        Width and height of every label in points, shape (n, 2).
    lines
        Points sampled along the edges, which labels avoid if they can, shape (k, 2).
    page
        Left, bottom, width, height of the area that labels must not leave.
    owners
        Which node every label belongs to, the most important first: labels choose in this order.
    """
    padded = sizes + 2 * _PAD
    spots, costs = _candidates(nodes, radii, padded, lines, page, owners)
    centres = np.full((len(owners), 2), 1e6)
    for _ in range(_ROUNDS):
        before = centres.copy()
        for i in range(len(owners)):
            # only labels within reach of any of the places matter
            near = (np.abs(centres - nodes[owners[i]]) < padded + padded[i] + _REACH + radii[owners[i]]).all(axis=1)
            near[i] = False
            overlap = _overlap(spots[i], padded[i], centres[near], padded[near]).sum(axis=1)
            centres[i] = spots[i][np.argmin(costs[i] + 50 * overlap)]
        if np.array_equal(before, centres):
            break
    centres = _push_apart(centres, nodes, radii, padded, page)
    return centres, _free(centres, nodes, radii, sizes + 2 * 0.2, page)


def _candidates(
    nodes: np.ndarray, radii: np.ndarray, sizes: np.ndarray, lines: np.ndarray, page: Rectangle, owners: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    thinned = lines[:: max(1, len(lines) // _POINTS)]
    crossing = 1.2 * len(lines) / max(len(thinned), 1)
    unit = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
    spots, costs = [], []
    for size, i in zip(sizes, owners, strict=True):
        # the label's near corner or side, not its centre, keeps the gap from the node
        lean = np.clip(unit * 1.6, -1, 1) * size / 2
        spot = np.concatenate([nodes[i] + unit * (radii[i] + gap) + lean for gap in _GAPS])
        liked = np.minimum(np.arange(len(_ANGLES)) * 0.12, 1.2)
        taste = np.tile(liked, len(_GAPS)) + np.repeat(np.square(_GAPS) * 0.07, len(_ANGLES))
        around = (np.abs(nodes - nodes[i]) < 2 * size + radii[i] + radii.max() + 2 * _REACH).all(axis=1)
        around[i] = False
        border = _border_gaps(spot, size, nodes[around], radii[around])
        mine = _border_gaps(spot, size, nodes[[i]], radii[[i]])[:, 0]
        covered = np.maximum(-border, 0).sum(axis=1) + np.maximum(-mine, 0)
        # a label closer to another node than to its own is read as the other's
        stray = np.maximum(mine + 2 - border.min(axis=1, initial=np.inf), 0)
        crossed = _inside(spot, size, thinned)
        spots.append(spot)
        costs.append(taste + 50 * covered + 500 * _outside(spot, size, page) + crossing * crossed + 0.8 * stray)
    return np.array(spots).reshape(len(owners), -1, 2), np.array(costs)


def _overlap(spots: np.ndarray, size: np.ndarray, others: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    depth = (size + sizes)[None] / 2 - np.abs(spots[:, None] - others[None])
    return np.where((depth > 0).all(axis=2), depth.min(axis=2), 0.0)


def _border_gaps(spots: np.ndarray, size: np.ndarray, anchors: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Distance from boxes to the borders of nodes, negative where they overlap."""
    outside = np.maximum(np.abs(spots[:, None] - anchors[None]) - size / 2, 0)
    gaps: np.ndarray = np.linalg.norm(outside, axis=2) - radii[None]
    return gaps


def _inside(spots: np.ndarray, size: np.ndarray, lines: np.ndarray) -> np.ndarray:
    if not len(lines):
        return np.zeros(len(spots))
    near = lines[(np.abs(lines - spots.mean(axis=0)) < size + 60).all(axis=1)]
    return (np.abs(near[None] - spots[:, None]) < size / 2).all(axis=2).sum(axis=1)


def _outside(spots: np.ndarray, size: np.ndarray, page: Rectangle) -> np.ndarray:
    low = np.array(page[:2]) + size / 2
    high = np.array(page[:2]) + np.array(page[2:]) - size / 2
    return (np.maximum(low - spots, 0) + np.maximum(spots - high, 0)).sum(axis=1)


def _push_apart(
    centres: np.ndarray, anchors: np.ndarray, radii: np.ndarray, sizes: np.ndarray, page: Rectangle
) -> np.ndarray:
    low = np.array(page[:2]) + sizes / 2
    high = np.maximum(np.array(page[:2]) + np.array(page[2:]) - sizes / 2, low)
    here = np.clip(centres, low, high)
    for _ in range(_PUSHES):
        move = np.zeros_like(here)
        for i in range(len(here)):
            move[i] = _label_push(here, sizes, i) + _node_push(here[i], sizes[i], anchors, radii)
        if np.abs(move).max(initial=0) < 1e-3:
            break
        here = np.clip(here + move, low, high)
    return here


def _label_push(here: np.ndarray, sizes: np.ndarray, i: int) -> np.ndarray:
    delta = here[i] - here
    depth = (sizes[i] + sizes) / 2 - np.abs(delta)
    touching = (depth > 0).all(axis=1)
    touching[i] = False
    if not touching.any():
        return np.zeros(2)
    side = np.where(np.abs(delta) > 1e-6, np.sign(delta), np.sign(i - np.arange(len(here)))[:, None])
    axis = depth.argmin(axis=1)
    push = np.zeros_like(here)
    rows = np.flatnonzero(touching)
    push[rows, axis[rows]] = 0.55 * depth[rows, axis[rows]] * side[rows, axis[rows]]
    return push.sum(axis=0)


def _node_push(spot: np.ndarray, size: np.ndarray, anchors: np.ndarray, radii: np.ndarray) -> np.ndarray:
    near = np.clip(anchors, spot - size / 2, spot + size / 2)
    away = near - anchors
    gap = np.linalg.norm(away, axis=1)
    short = np.maximum(radii + 0.3 - gap, 0)
    hit = short > 0
    centre = spot - anchors
    direction = np.where(gap[:, None] > 1e-6, away, centre + 1e-3)
    direction = direction / np.maximum(np.linalg.norm(direction, axis=1), 1e-9)[:, None]
    return (short[:, None] * direction)[hit].sum(axis=0)


def _free(centres: np.ndarray, nodes: np.ndarray, radii: np.ndarray, sizes: np.ndarray, page: Rectangle) -> np.ndarray:
    """Keep labels, the most important first, as long as they touch nothing that is kept."""
    shown = np.zeros(len(centres), dtype=bool)
    for i in range(len(centres)):
        spot = centres[i][None]
        blocked = _overlap(spot, sizes[i], centres[shown], sizes[shown]).any()
        blocked |= (_border_gaps(spot, sizes[i], nodes, radii) < 0).any()
        shown[i] = not (blocked or _outside(spot, sizes[i], page).any())
    return shown
