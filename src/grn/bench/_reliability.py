"""Whether probabilities are what they say: the share of edges among pairs of about one probability."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import ParameterError
from grn._core.rng import RNGLike, child, seed_of
from grn._kernels.ties import merged
from grn.bench.metrics import checked

_NEEDED = ("source", "label", "probability")


def reliability(pairs: pd.DataFrame, *, n_bins: int = 10, n_boot: int = 200, rng: RNGLike = 0) -> pd.DataFrame:
    r"""Compare probabilities of pairs with the share of edges among pairs of about that probability.

    Parameters
    ----------
    pairs
        Pairs, one row each: ``source``, ``label`` (1 for an edge, 0 for none) and ``probability``, as
        :func:`scored_pairs` returns them for a method that gives one.
    n_bins
        Bins of equally many pairs; equal probabilities stay together, so there may be fewer.
    n_boot
        Replicates of the bootstrap over regulators.
    rng
        Seed of the bootstrap.

    Returns
    -------
    DataFrame
        One row per bin, from the lowest: ``probability`` (mean), ``share`` (of edges), ``low`` and ``high`` (its 95 %
        interval; NaN without replicates), ``n`` (pairs). :func:`grn.pl.reliability` draws it.

    Raises
    ------
    ParameterError
        A column is missing, a label is not 0 or 1, all are of one class, or a number is no probability.

    Notes
    -----
    Where ``share`` is below ``probability`` the probability is too sure. The shares hold for pairs with as many edges
    as these: from a share :math:`\pi_0` of edges here to one of :math:`\pi` elsewhere a probability :math:`p` goes by

    .. math:: \frac{p'}{1 - p'} = \frac{p}{1 - p} \cdot \frac{\pi}{1 - \pi} \cdot \frac{1 - \pi_0}{\pi_0},

    if edges and non-edges look there as they do here. Regulators are resampled with all their pairs, in the same bins.
    Well under a second for 100 000 pairs.

    Examples
    --------
    >>> import pandas as pd
    >>> import grn
    >>> pairs = pd.DataFrame({"source": list("ABAB"), "label": [0, 0, 1, 1], "probability": [0.1, 0.1, 0.8, 0.8]})
    >>> grn.bench.reliability(pairs, n_bins=2, n_boot=0)[["probability", "share", "n"]].to_numpy().tolist()
    [[0.1, 0.0, 2.0], [0.8, 1.0, 2.0]]
    """
    n_bins = checks.integer("n_bins", n_bins, least=1)
    n_boot = checks.integer("n_boot", n_boot, least=0)
    labels, probability, sources = _columns(pairs)
    bins = _bins(probability, n_bins)
    regulators, owner = np.unique(sources, return_inverse=True)
    n = int(bins.max()) + 1
    edges, sizes = np.zeros((2, len(regulators), n))
    np.add.at(edges, (owner, bins), labels)
    np.add.at(sizes, (owner, bins), 1.0)
    order = np.argsort(probability, kind="stable")  # sums must not depend on the order of pairs
    mean = np.bincount(bins[order], weights=probability[order]) / np.bincount(bins)
    low, high = _intervals(edges, sizes, n_boot, seed_of(rng))
    share, counts = edges.sum(axis=0) / sizes.sum(axis=0), sizes.sum(axis=0).astype(int)
    return pd.DataFrame({"probability": mean, "share": share, "low": low, "high": high, "n": counts})


def _columns(pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities and regulators."""
    if not isinstance(pairs, pd.DataFrame):
        raise ParameterError(f"pairs is a {type(pairs).__name__}; pass a DataFrame with {', '.join(_NEEDED)}.")
    missing = [name for name in _NEEDED if name not in pairs.columns]
    if missing:
        raise ParameterError(f"The pairs have no column {missing[0]!r}; {', '.join(_NEEDED)} are needed.")
    labels, probability = checked(pairs["label"].to_numpy(), pairs["probability"].to_numpy())
    strange = probability[(probability < 0) | (probability > 1)]
    if len(strange):
        raise ParameterError(
            f"{len(strange)} of {len(labels)} numbers are no probabilities, for example {strange[0]:g}; pass those of "
            "a method whose record has probability=True, see grn.tl.methods()."
        )
    return labels, probability, pairs["source"].astype(str).to_numpy(dtype=str)


def _bins(probability: np.ndarray, n_bins: int) -> np.ndarray:
    """Bin (N,) of every probability: about equally many in each, equal ones in one."""
    probability = merged(probability)
    inner = np.quantile(probability, np.arange(1, n_bins) / n_bins, method="lower")
    return np.unique(np.searchsorted(np.unique(inner), probability, side="left"), return_inverse=True)[1]


def _intervals(edges: np.ndarray, sizes: np.ndarray, n_boot: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of the share of edges in every bin, from counts (regulators, bins)."""
    if not n_boot:
        return np.full(edges.shape[1], np.nan), np.full(edges.shape[1], np.nan)
    regulators = len(edges)
    times = child(seed, "bootstrap").multinomial(regulators, np.full(regulators, 1 / regulators), size=n_boot)
    total = times @ sizes  # (B, bins)
    share = np.divide(times @ edges, total, out=np.full(total.shape, np.nan), where=total > 0)
    low, high = np.nanquantile(share, [0.025, 0.975], axis=0)
    return low, high
