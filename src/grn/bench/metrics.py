"""How well scores tell edges from non-edges: exact under ties, with intervals over regulators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from grn._core.errors import ParameterError
from grn._kernels import ranking
from grn._kernels.ranking import Ranking

__all__ = ["auprc", "auprc_within", "auroc", "early_precision"]


def auprc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the precision-recall curve (average precision), in expectation over the order of ties.

    Without ties it is ``sklearn.metrics.average_precision_score``, which counts a block of ties as one threshold; the
    expectation is what breaking ties by lot gives on average.

    Parameters
    ----------
    labels
        1 for edges, 0 for non-edges (N,).
    scores
        Finite scores (N,), higher for edges.

    Returns
    -------
    float
        Average precision. A random score, and one that ties all pairs, has (P - 1)/(N - 1) + (N - P) H(N)/(N (N - 1))
        on average, with P edges among N pairs and H(N) = 1 + 1/2 + ... + 1/N: the prevalence and a little more; much
        more where pairs are few.

    Raises
    ------
    ParameterError
        Lengths differ, a label is not 0 or 1, a class is missing, or a score is not finite.

    Examples
    --------
    >>> from grn.bench import metrics
    >>> metrics.auprc([1, 0, 1, 0], [4, 3, 2, 1])
    0.8333333333333333
    >>> metrics.auprc([1, 0], [0, 0])
    0.75
    """
    return _single(ranking.average_precision, labels, scores)


def auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the receiver operating curve: the chance that an edge outranks a non-edge, ties one half.

    Parameters
    ----------
    labels
        1 for edges, 0 for non-edges (N,).
    scores
        Finite scores (N,), higher for edges.

    Returns
    -------
    float
        0.5 for a random score.

    Raises
    ------
    ParameterError
        As :func:`auprc`.

    Examples
    --------
    >>> from grn.bench import metrics
    >>> metrics.auroc([1, 0, 1, 0], [4, 3, 2, 1])
    0.75
    """
    return _single(ranking.auroc, labels, scores)


def early_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """Precision among as many top pairs as there are edges, in expectation over the order of ties.

    Divided by the prevalence it is BEELINE's early precision ratio (EPR).

    Parameters
    ----------
    labels
        1 for edges, 0 for non-edges (N,).
    scores
        Finite scores (N,), higher for edges.

    Returns
    -------
    float
        Precision; a random score has the prevalence on average.

    Raises
    ------
    ParameterError
        As :func:`auprc`.

    Examples
    --------
    >>> from grn.bench import metrics
    >>> metrics.early_precision([1, 0, 1, 0], [4, 3, 2, 1])
    0.5
    """
    return _single(ranking.early_precision, labels, scores)


def auprc_within(labels: np.ndarray, scores: np.ndarray, *, groups: np.ndarray) -> np.ndarray:
    """AUPRC within every group of pairs, such as the pairs of one regulator.

    Parameters
    ----------
    labels
        1 for edges, 0 for non-edges (N,).
    scores
        Finite scores (N,), higher for edges.
    groups
        Names or numbers of groups (N,), such as ``pairs["source"]``.

    Returns
    -------
    ndarray
        One value per distinct group, in sorted order; NaN for groups with one class only.

    Raises
    ------
    ParameterError
        As :func:`auprc`.

    Examples
    --------
    >>> from grn.bench import metrics
    >>> metrics.auprc_within([1, 0, 0, 1], [2, 1, 2, 1], groups=["A", "A", "B", "B"]).tolist()
    [1.0, 0.5]
    """
    y, s = checked(labels, scores)
    names = np.asarray(groups)
    if names.shape != y.shape:
        raise ParameterError(f"groups has shape {names.shape} for {len(y)} labels; pass one per pair.")
    try:
        codes = np.unique(names, return_inverse=True)[1]
    except TypeError as error:
        raise ParameterError(f"groups cannot be sorted ({error}); pass only names, or only numbers.") from error
    return two_classes(ranking.rank(y, s, codes))


def two_classes(ranked: Ranking) -> np.ndarray:
    """Average precision per group, NaN for groups with one class."""
    positives, items = ranking.sizes(ranked)
    return np.where((positives > 0) & (positives < items), ranking.average_precision(ranked), np.nan)


def checked(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores as arrays of one length, both classes present, all scores finite."""
    try:
        y, s = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"scores are no numbers ({error}); pass one number per pair.") from error
    if y.ndim != 1 or y.shape != s.shape:
        raise ParameterError(f"labels have shape {y.shape}, scores {s.shape}; pass two lists of the same length.")
    if not np.isin(y, (0, 1)).all():
        raise ParameterError("labels hold other values than 0 and 1; pass 1 for edges and 0 for non-edges.")
    if y.sum() in (0, len(y)):
        raise ParameterError(f"all {len(y)} labels are of one class; edges and non-edges are needed.")
    if not np.isfinite(s).all():
        raise ParameterError(
            f"{int((~np.isfinite(s)).sum())} of {len(s)} scores are NaN or infinite; score every pair, or give pairs "
            "without a score the lowest value yourself."
        )
    return y.astype(np.int8), s


def _single(measure: Callable[[Ranking], np.ndarray], labels: np.ndarray, scores: np.ndarray) -> float:
    return float(measure(ranking.rank(*checked(labels, scores)))[0])
