"""P-values of edge weights from repetitions under a null hypothesis, and their false discovery rates.

An edge is one integer: ``(group * n_sources + source) * n_targets + target``. Arrays only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

# weights that differ by less are equal: sums over cells in another order
_TIE = 1e-6


@dataclass(frozen=True)
class Shape:
    """How edges are numbered.

    Parameters
    ----------
    sources, targets
        Numbers of sources and of targets.
    """

    sources: int
    targets: int

    def group(self, keys: np.ndarray) -> np.ndarray:
        """Group of every edge."""
        groups: np.ndarray = keys // (self.sources * self.targets)
        return groups

    def block(self, keys: np.ndarray) -> np.ndarray:
        """Group and source of every edge, as one number."""
        blocks: np.ndarray = keys // self.targets
        return blocks

    def column(self, keys: np.ndarray) -> np.ndarray:
        """Group and target of every edge, as one number."""
        columns: np.ndarray = self.group(keys) * self.targets + keys % self.targets
        return columns


@dataclass
class Draws:
    """Absolute weights of the edges that repetitions listed; an edge a repetition does not list weighs 0 there.

    Parameters
    ----------
    keys
        Edges of every repetition, ascending.
    values
        Their absolute weights.
    """

    keys: list[np.ndarray] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.keys)

    def add(self, keys: np.ndarray, weights: np.ndarray) -> None:
        """Take in one repetition."""
        if not (keys[1:] > keys[:-1]).all():
            order = np.argsort(keys)
            keys, weights = keys[order], weights[order]
        # most methods list the same edges every time: keep their numbers once
        if self.keys and np.array_equal(self.keys[0], keys):
            keys = self.keys[0]
        self.keys.append(keys)
        self.values.append(np.abs(weights).astype(np.float32))

    def candidates(self, *listed: np.ndarray) -> np.ndarray:
        """Edges that were listed at least once, in one of these lists or in a repetition, ascending."""
        distinct: list[np.ndarray] = []
        for keys in (*listed, *{id(keys): keys for keys in self.keys}.values()):
            if not any(np.array_equal(keys, other) for other in distinct):
                distinct.append(keys)
        alone = len(distinct) == 1 and bool((distinct[0][1:] > distinct[0][:-1]).all())
        return distinct[0] if alone else np.unique(np.concatenate(distinct))


@dataclass
class Means:
    """Mean absolute weights of edges over repetitions, 0 where one does not list an edge.

    Parameters
    ----------
    keys
        Edges listed so far, ascending.
    total
        Sums of their absolute weights.
    count
        Number of repetitions.
    """

    keys: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    total: np.ndarray = field(default_factory=lambda: np.zeros(0))
    count: int = 0

    def add(self, keys: np.ndarray, weights: np.ndarray) -> None:
        """Take in one repetition; its edges are distinct."""
        self.count += 1
        if np.array_equal(self.keys, keys):
            self.total += np.abs(weights)
            return
        both = np.union1d(self.keys, keys)
        total = np.zeros(len(both))
        total[np.searchsorted(both, self.keys)] = self.total
        total[np.searchsorted(both, keys)] += np.abs(weights)
        self.keys, self.total = both, total

    def of(self, keys: np.ndarray) -> np.ndarray:
        """Means of some edges."""
        means: np.ndarray = np.zeros(len(keys))
        there = np.isin(keys, self.keys)
        means[there] = self.total[np.searchsorted(self.keys, keys[there])] / max(1, self.count)
        return means


def pooled_pvalues(
    keys: np.ndarray,
    weights: np.ndarray,
    draws: Draws,
    shape: Shape,
    *,
    candidates: np.ndarray | None = None,
    standardise: bool = True,
) -> np.ndarray:
    r"""P-values of edges against all null weights of their source in their group.

    .. math:: p = \frac{1 + \#\{|z_0| \ge |z|\}}{1 + N}, \qquad z_{st} = w_{st} / \sigma_t

    Parameters
    ----------
    keys, weights
        Edges and their weights (E,).
    draws
        Repetitions under the null hypothesis.
    shape
        How edges are numbered.
    candidates
        Edges that were tested, ascending; by default those that are listed here or in a repetition.
    standardise
        Divide by :math:`\sigma_t`, the root mean square of the null weights into the target; else by 1.

    Returns
    -------
    ndarray
        (E,). N is the number of repetitions times that of the source's candidate targets in the group. Cost: one sort
        of the null weights.
    """
    candidates = draws.candidates(keys) if candidates is None else candidates
    scale = _scale(candidates, draws, shape) if standardise else None
    observed = _standardised(keys, np.abs(weights).astype(np.float32), scale, shape)
    block = shape.block(keys)
    blocks, sizes = np.unique(shape.block(candidates), return_counts=True)
    null = [_standardised(k, v, scale, shape) for k, v in zip(draws.keys, draws.values, strict=True)]
    bounds = {id(k): np.searchsorted(k, [blocks * shape.targets, (blocks + 1) * shape.targets]) for k in draws.keys}
    order = np.argsort(block, kind="stable")
    first, last = np.searchsorted(block[order], blocks), np.searchsorted(block[order], blocks, side="right")
    pvalues: np.ndarray = np.ones(len(keys))
    for b, size in enumerate(sizes):
        members = order[first[b] : last[b]]
        parts = [z[slice(*bounds[id(k)][:, b])] for k, z in zip(draws.keys, null, strict=True)]
        drawn = np.sort(np.concatenate(parts))
        above = len(drawn) - np.searchsorted(drawn, observed[members] * (1 - _TIE))
        pvalues[members] = (1 + above) / (1 + len(draws) * size)
    pvalues[observed == 0] = 1.0
    return pvalues


def edge_pvalues(keys: np.ndarray, weights: np.ndarray, draws: Draws) -> np.ndarray:
    """P-values (E,) of edges, each against its own null weights only: at least ``1 / (1 + len(draws))``."""
    observed = np.abs(weights).astype(np.float32)
    above = np.zeros(len(keys), dtype=np.int64)
    for listed, values in zip(draws.keys, draws.values, strict=True):
        at = np.searchsorted(listed, keys).clip(max=max(0, len(listed) - 1))
        there = listed[at] == keys if len(listed) else np.zeros(len(keys), dtype=bool)
        above += there & (values[at] >= observed * (1 - _TIE)) if len(listed) else 0
    pvalues: np.ndarray = (1.0 + above) / (1.0 + len(draws))
    pvalues[observed == 0] = 1.0
    return pvalues


def qvalues(pvalues: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg q-values of the p-values that are there; NaN where a p-value is."""
    from scipy.stats import false_discovery_control

    result = np.full(pvalues.shape, np.nan)
    known = ~np.isnan(pvalues)
    if known.any():
        result[known] = false_discovery_control(pvalues[known])
    return result


def discovery_rates(pvalues: np.ndarray, groups: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg q-values within groups.

    Parameters
    ----------
    pvalues, groups
        P-value and number of the group of every edge (E,).
    sizes
        Edges tested per group, which may be more than are listed: the others have p = 1.
    """
    from scipy.stats import false_discovery_control

    qvalues = np.ones(len(pvalues))
    for group in np.unique(groups):
        members = groups == group
        padded = np.concatenate([pvalues[members], np.ones(max(0, int(sizes[group]) - members.sum()))])
        qvalues[members] = false_discovery_control(padded)[: members.sum()]
    return qvalues


def _scale(candidates: np.ndarray, draws: Draws, shape: Shape) -> np.ndarray:
    """Root mean square null weight of every (group, target); that of the group where a target has none."""
    column = shape.column(candidates)
    size = int(column.max()) + 1 if len(column) else 0
    count = np.bincount(column, minlength=size) * max(1, len(draws))
    squares = np.zeros(size)
    for keys, values in zip(draws.keys, draws.values, strict=True):
        squares += np.bincount(shape.column(keys), weights=values.astype(np.float64) ** 2, minlength=size)
    scale: np.ndarray = np.sqrt(squares / np.maximum(count, 1))
    for start in range(0, size, shape.targets):
        part = slice(start, start + shape.targets)
        total = count[part].sum()
        typical = np.sqrt(squares[part].sum() / total) if total else 0.0
        scale[part] = np.where(scale[part] > 0, scale[part], typical if typical > 0 else 1.0)
    return scale


def _standardised(keys: np.ndarray, values: np.ndarray, scale: np.ndarray | None, shape: Shape) -> np.ndarray:
    plain: np.ndarray = values.astype(np.float64)
    return plain if scale is None else plain / scale[shape.column(keys)]
