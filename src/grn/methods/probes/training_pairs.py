"""From labelled edges to training pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import GeneOverlapError, NetworkError
from grn._core.logging import hint, logger
from grn._core.rng import child
from grn._kernels.rewire import degree_matched

NEGATIVES = ("uniform", "degree_matched", "all")


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs of a feature cube with labels.

    Parameters
    ----------
    targets, sources
        Positions along the first two axes of the cube (N,).
    labels
        0 or 1 (N,).
    """

    targets: np.ndarray
    sources: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> LabelledPairs:
        """Some of the pairs."""
        return LabelledPairs(self.targets[rows], self.sources[rows], self.labels[rows])


def labelled_pairs(
    labels: pd.DataFrame, targets: np.ndarray, sources: np.ndarray, usable: np.ndarray, *, negatives: str, seed: int
) -> LabelledPairs:
    """Match an edge table with the axes of a cube and, without a ``label`` column, draw negatives.

    Parameters
    ----------
    labels
        Columns ``source`` and ``target``, optionally ``label`` (0 or 1).
    targets, sources
        Names along the axes.
    usable
        Pairs (targets, sources) that have features.
    negatives
        ``"uniform"``: as many non-edges as edges, drawn per regulator and gene at random among the regulators with
        at least one edge. ``"degree_matched"``: edges exchange their targets, so that every regulator and every
        target occurs as often among non-edges as among edges and its degree tells nothing (edges of hubs that find
        no partner go unlabelled). ``"all"``: every non-edge of those regulators.
    seed
        Seed; draws are keyed by names, so the order of genes does not matter.

    Raises
    ------
    NetworkError
        If columns are missing, labels are not 0 or 1, or only one class is left.
    GeneOverlapError
        If no labelled pair has features.
    ParameterError
        If ``negatives`` is unknown.
    """
    checks.word("negatives", negatives, NEGATIVES)
    missing = [c for c in ("source", "target") if c not in getattr(labels, "columns", ())]
    if missing:
        raise NetworkError(f"labels lacks the column(s) {', '.join(missing)}; pass a DataFrame with source and target.")
    row = {name: i for i, name in enumerate(targets)}
    column = {name: i for i, name in enumerate(sources)}
    t = labels["target"].astype(str).map(row)
    s = labels["source"].astype(str).map(column)
    inside = (t.notna() & s.notna()).to_numpy()
    t, s = t[inside].astype(int).to_numpy(), s[inside].astype(int).to_numpy()
    given = labels["label"].to_numpy()[inside] if "label" in labels else np.ones(len(t), dtype=int)
    if len(t) == 0 or not usable[t, s].any():
        raise GeneOverlapError(
            f"none of the {len(labels)} labelled pairs has features; sources here are such as "
            f"{', '.join(map(str, sources[:3]))}. Map the names of the labels to adata.var_names."
        )
    if not (inside.all() and usable[t, s].all()):
        n = len(labels) - int(usable[t, s].sum())
        hint("%d of %d labelled pairs have no features and are left out", n, len(labels))
    if not np.isin(given, (0, 1)).all():
        raise NetworkError("the column label holds other values than 0 and 1; pass 1 for edges and 0 for non-edges.")
    matrix = np.full(usable.shape, -1, dtype=np.int8)
    matrix[t[given == 0], s[given == 0]] = 0
    twice = (given == 1) & (matrix[t, s] == 0)
    if twice.any():
        pairs = ", ".join(f"{sources[j]} -> {targets[i]}" for i, j in zip(t[twice][:3], s[twice][:3], strict=True))
        raise NetworkError(f"{int(twice.sum())} pairs have both label 0 and label 1 ({pairs}); keep one row of each.")
    matrix[t[given == 1], s[given == 1]] = 1
    matrix[~usable] = -1
    if "label" not in labels:
        _draw(matrix, usable, targets, sources, negatives, seed)
    rows, columns = np.nonzero(matrix >= 0)
    order = np.lexsort((targets[rows].astype(str), sources[columns].astype(str)))
    rows, columns = rows[order], columns[order]
    pairs = LabelledPairs(rows, columns, matrix[rows, columns].astype(np.int64))
    if len(np.unique(pairs.labels)) < 2:
        raise NetworkError(
            f"the {len(pairs)} labelled pairs with features are all {'edges' if pairs.labels.all() else 'non-edges'}; "
            "a translator needs both. Add non-edges with label 0, or drop the label column to draw them."
        )
    return pairs


def _draw(
    matrix: np.ndarray, usable: np.ndarray, targets: np.ndarray, sources: np.ndarray, negatives: str, seed: int
) -> None:
    """Set drawn non-edges to 0, in place; regulators without any edge stay unlabelled."""
    free = usable & (matrix < 0) & (matrix == 1).any(axis=0)
    if negatives == "all":
        matrix[free] = 0
    elif negatives == "degree_matched":
        matched, drawn = _matched(matrix == 1, free, targets, sources, seed)
        if not drawn.any():
            raise NetworkError(
                f"no non-edge keeps the degrees of the {int((matrix == 1).sum())} edges, as one regulator or one set "
                "of targets takes part in all; negatives='degree_matched' needs more regulators, or use 'uniform'."
            )
        alone = (matrix == 1) & ~matched
        matrix[alone], matrix[drawn] = -1, 0
        if alone.any():
            logger.info("degree-matched negatives: %d edges of hubs have no match and go unlabelled", alone.sum())
    else:
        keys = np.full(matrix.shape, np.inf)
        order = np.argsort(targets.astype(str))
        for column in np.flatnonzero(free.any(axis=0)):
            draws = np.empty(len(targets))
            draws[order] = child(seed, "negatives", str(sources[column])).random(len(targets))
            keys[:, column] = np.where(free[:, column], draws, np.inf)
        n = min(int((matrix == 1).sum()), int(free.sum()))
        chosen = np.argpartition(keys, n - 1, axis=None)[:n] if n else np.empty(0, dtype=int)
        matrix.reshape(-1)[chosen] = 0


def _matched(
    edges: np.ndarray, free: np.ndarray, targets: np.ndarray, sources: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Edges with a partner and their non-edges (targets, sources), drawn in the order of names."""
    order = np.ix_(np.argsort(targets.astype(str)), np.argsort(sources.astype(str)))
    exchanged = degree_matched(edges[order].T, free[order].T, child(seed, "degree_matched"))
    matched, drawn = np.zeros_like(edges), np.zeros_like(edges)
    matched[order], drawn[order] = exchanged[0].T, exchanged[1].T
    return matched, drawn


def split_by_source(
    pairs: LabelledPairs, sources: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train and to validate on: whole regulators, drawn by name; with under 5 regulators, single pairs.

    Raises
    ------
    NetworkError
        If a part has only one class.
    """
    used = np.unique(pairs.sources)
    if len(used) >= 5:
        draw = {c: child(seed, "validation", str(sources[c])).random() for c in used}
        held = sorted(used, key=draw.__getitem__)[: max(1, round(fraction * len(used)))]
        mask = np.isin(pairs.sources, held)
    else:
        mask = child(seed, "validation").random(len(pairs)) < fraction
    train, validation = np.flatnonzero(~mask), np.flatnonzero(mask)
    if any(len(np.unique(pairs.labels[part])) < 2 for part in (train, validation)):
        raise NetworkError(
            f"after holding out {fraction:.0%} of the regulators a part has only one class; label more regulators, or "
            "change validation or rng."
        )
    return train, validation
