"""Edges, attention over time and predictions of a trained model, as tables."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from grn._kernels.graph_ode_readings import Trained, importance
from grn._kernels.graph_ode_readings import effects as effects_of
from grn.methods.ritini.prior import Prior
from grn.methods.ritini.series import Series
from grn.methods.ritini.windows import Cut


@dataclass(frozen=True)
class Dynamics:
    """Attention of edges over time.

    Parameters
    ----------
    genes
        Names (G,).
    target, source
        Ends of the edges (E,).
    lineage
        Names of the lineages.
    times
        Times of every lineage.
    attention
        Attention (W, E), lineages after each other.
    """

    genes: np.ndarray
    target: np.ndarray
    source: np.ndarray
    lineage: list[str]
    times: list[np.ndarray]
    attention: np.ndarray

    def table(self, n: int | None) -> pd.DataFrame:
        """A row per time and edge, of the n edges with the largest mean; those of one mean by name."""
        mean = np.round(self.attention.mean(axis=0, dtype=np.float64), 6)
        order = np.lexsort((self.source, self.target, -mean))
        shown = np.sort(order[: len(order) if n is None else n])
        counts = [len(times) for times in self.times]
        codes = np.repeat(np.arange(len(counts)), counts)
        n_edges = len(shown)
        sides = {
            side: pd.Categorical.from_codes(np.tile(places[shown], len(codes)), categories=self.genes)
            for side, places in (("source", self.source), ("target", self.target))
        }
        return pd.DataFrame(
            {
                "lineage": pd.Categorical.from_codes(np.repeat(codes, n_edges), categories=self.lineage),
                "t": np.repeat(np.concatenate(self.times), n_edges),
                **sides,
                "weight": self.attention[:, shown].astype(np.float64).ravel(),
            }
        )


def read_dynamics(series: Series, pairs: Prior, cuts: Cut, trained: Trained) -> Dynamics:
    """Attention over time of the edges that are to be listed."""
    target, source = np.nonzero(pairs.allowed & series.target[:, None])
    everywhere = replace(trained, windows=cuts.histories(trained.parameters.vector))
    attention = everywhere.attention((target, source), cuts.evaluation)
    names = [lineage.name for lineage in series.lineages]
    return Dynamics(series.genes, target, source, names, cuts.ends(), attention)


def edges_of(series: Series, pairs: Prior, dynamics: Dynamics, trained: Trained, *, effects: bool) -> pd.DataFrame:
    """A row per edge, with its mean attention."""
    target, source = dynamics.target, dynamics.source
    weight = dynamics.attention.mean(axis=0, dtype=np.float64)
    edges = pd.DataFrame(
        {
            "source": pd.Categorical.from_codes(source, categories=series.genes),
            "target": pd.Categorical.from_codes(target, categories=series.genes),
            "weight": weight,
            "attention_sd": dynamics.attention.std(axis=0, dtype=np.float64),
            "relative": weight * pairs.allowed.sum(axis=1)[target],
            "in_prior": pairs.listed[target, source],
        }
    )
    if effects:
        sources = np.unique(source)
        edges["importance"] = importance(trained, sources)[target, source]
        edges["effect"] = effects_of(trained, sources)[target, source]
    return edges


def predictions_of(series: Series, cuts: Cut, trained: Trained) -> tuple[pd.DataFrame, dict[str, float]]:
    """The last point that each history predicts, beside what is there; and errors of all points.

    ``stay_error`` is that of predicting the last value of the history, in the same units.
    """
    values = trained.predictions()  # (W, P, G)
    observed = trained.windows.futures.cpu().numpy()
    last = trained.windows.histories[:, -1:].cpu().numpy()
    errors = {
        "prediction_error": float(np.square(values - observed).mean(dtype=np.float64)),
        "stay_error": float(np.square(last - observed).mean(dtype=np.float64)),
    }
    reach = cuts.history + cuts.horizon - 1
    times = [lineage.times[reach:] for lineage in series.lineages]
    codes = np.repeat(np.arange(len(times)), [len(part) for part in times])
    n_genes = len(series.genes)
    table = pd.DataFrame(
        {
            "lineage": pd.Categorical.from_codes(
                np.repeat(codes, n_genes), categories=[lineage.name for lineage in series.lineages]
            ),
            "t": np.repeat(np.concatenate(times), n_genes),
            "gene": pd.Categorical.from_codes(np.tile(np.arange(n_genes), len(codes)), categories=series.genes),
            "observed": np.concatenate([lineage.values[reach:] for lineage in series.lineages]).ravel(),
            "predicted": (values[:, -1] * series.spread + series.mean).astype(np.float64).ravel(),
        }
    )
    return table, errors
