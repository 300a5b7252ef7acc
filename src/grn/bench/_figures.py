"""From scores of sampled pairs to figures with intervals, for many scores on the same samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from grn._core.rng import child
from grn._kernels import ranking
from grn.bench.metrics import two_classes
from grn.bench.negatives import Sample

INTERVALS = ("auprc", "auprc_regulator")


@dataclass(frozen=True)
class Figures:
    """Figures of one score, and the replicates behind its intervals.

    Parameters
    ----------
    values
        Metric -> mean over the samples.
    replicates
        Metric -> bootstrap replicates (B,), with the same resampled regulators for every score.
    """

    values: dict[str, float]
    replicates: dict[str, np.ndarray]

    def interval(self, metric: str) -> tuple[float, float]:
        """95 % interval; NaN where there is none."""
        return interval(self.replicates.get(metric))


def interval(replicates: np.ndarray | None) -> tuple[float, float]:
    """2.5 and 97.5 % quantiles of the finite replicates; NaN without any."""
    if replicates is None or not np.isfinite(replicates).any():
        return float("nan"), float("nan")
    low, high = np.nanquantile(replicates, [0.025, 0.975])
    return float(low), float(high)


def evaluate(
    samples: Sequence[Sample], scores: Sequence[Mapping[str, np.ndarray]], *, n_boot: int, seed: int
) -> dict[str, Figures]:
    """Figures of every score, averaged over samples, with a bootstrap over regulators.

    Regulators are drawn with replacement, all their pairs with them, the same ones for every score and sample, so
    that differences between scores can be told from the replicates.

    Parameters
    ----------
    samples
        Samples of one reference, one per seed.
    scores
        For every sample: name -> scores of its pairs (N,).
    n_boot
        Number of replicates.
    seed
        Seed of the bootstrap.
    """
    regulators = np.unique(np.concatenate([sample.sources for sample in samples]))
    times = child(seed, "bootstrap").multinomial(
        len(regulators), np.full(len(regulators), 1 / len(regulators)), size=n_boot
    )
    times = times.astype(np.int32)
    effects = [NodeEffects(sample) for sample in samples]
    figures = {}
    for name in scores[0]:
        parts = [_one(known, given[name], regulators, times) for known, given in zip(effects, scores, strict=True)]
        values = {metric: float(np.mean([part.values[metric] for part in parts])) for metric in parts[0].values}
        replicates = {metric: np.mean([part.replicates[metric] for part in parts], axis=0) for metric in INTERVALS}
        figures[name] = Figures(values, replicates)
    return figures


def gain_rows(figures: dict[str, Figures], kinds: dict[str, str], metrics: Sequence[str]) -> list[dict[str, object]]:
    """Tidy rows, each method with its gain over the best floor."""
    rows: list[dict[str, object]] = []
    for metric in metrics:
        values = {name: figure.values[metric] for name, figure in figures.items()}
        known = {n: v for n, v in values.items() if kinds[n] == "floor" and np.isfinite(v)}
        best = max(known, key=known.__getitem__) if known else ""
        for name, figure in figures.items():
            low, high = figure.interval(metric)
            gain = gain_low = gain_high = float("nan")
            # of rewired labels more is not better
            if best and kinds[name] != "floor" and metric != "auprc_rewired":
                gain = values[name] - values[best]
                if metric in figure.replicates:
                    gain_low, gain_high = interval(figure.replicates[metric] - figures[best].replicates[metric])
            row = {"method": name, "kind": kinds[name], "metric": metric, "value": values[name], "low": low}
            row |= {"high": high, "best_floor": best, "floor": values[best] if best else float("nan")}
            rows.append({**row, "gain": gain, "gain_low": gain_low, "gain_high": gain_high})
    return rows


def _one(effects: NodeEffects, scores: np.ndarray, regulators: np.ndarray, times: np.ndarray) -> Figures:
    """Figures of one score on one sample."""
    sample = effects.sample
    scores = np.asarray(scores, dtype=np.float64)
    order = np.argsort(-scores, kind="stable")
    ranked = ranking.rank(sample.labels, scores)
    area = float(ranking.average_precision(ranked)[0])
    within = two_classes(ranking.rank(sample.labels, scores, sample.sources))
    per_target = two_classes(ranking.rank(sample.labels, scores, sample.targets))
    values = {
        "auprc": area,
        "auprc_ratio": area / sample.prevalence,
        "early_precision_ratio": float(ranking.early_precision(ranked)[0]) / sample.prevalence,
        "auroc": float(ranking.auroc(ranked)[0]),
        "auprc_regulator": _mean(within),
        "auprc_target": _mean(per_target),
        "auprc_residual": effects.auprc(scores),
    }
    place = np.searchsorted(regulators, sample.sources[order])
    areas = ranking.resampled_precision(ranked, times[:, place])
    mine = np.full(len(regulators), np.nan)
    mine[np.searchsorted(regulators, np.unique(sample.sources))] = within
    known = np.isfinite(mine)
    weights = times[:, known].astype(np.float64)
    totals = weights.sum(axis=1)
    means = np.divide(weights @ mine[known], totals, out=np.full(len(times), np.nan), where=totals > 0)
    return Figures(values, {"auprc": areas, "auprc_regulator": means})


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


class NodeEffects:
    """Least-squares effects of regulators and targets on the pairs of a sample.

    The targets are eliminated, so one small pseudo-inverse serves all scores.
    """

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        sources, self._s = np.unique(sample.sources, return_inverse=True)
        targets, self._t = np.unique(sample.targets, return_inverse=True)
        together = np.zeros((len(sources), len(targets)))
        np.add.at(together, (self._s, self._t), 1.0)
        self._per_target = np.bincount(self._t).astype(np.float64)
        self._share = together / self._per_target
        self._inverse = np.linalg.pinv(np.diag(together.sum(axis=1)) - self._share @ together.T, hermitian=True)

    def residual(self, values: np.ndarray) -> np.ndarray:
        """What the effects leave of values (N,)."""
        by_target = np.bincount(self._t, weights=values)
        a = self._inverse @ (np.bincount(self._s, weights=values) - self._share @ by_target)
        b = by_target / self._per_target - a @ self._share
        left: np.ndarray = values - a[self._s] - b[self._t]
        return left

    def auprc(self, scores: np.ndarray) -> float:
        """AUPRC of what is left of the ranks of the scores; ranks, so that no outlier decides."""
        ranks = _midranks(scores) / len(scores)
        # equal up to rounding is equal: a score of one node alone must end in ties, not in noise
        left = np.round(self.residual(ranks), 9)
        return float(ranking.average_precision(ranking.rank(self.sample.labels, left))[0])


def _midranks(scores: np.ndarray) -> np.ndarray:
    """Ranks with the mean of a block for all of its ties."""
    _, codes, counts = np.unique(scores, return_inverse=True, return_counts=True)
    first = np.cumsum(counts) - counts
    means: np.ndarray = (first + (counts - 1) / 2)[codes]
    return means
