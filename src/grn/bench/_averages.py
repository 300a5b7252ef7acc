"""Averages over regulators, with intervals and gains over the best floor."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grn._core.rng import child
from grn.bench._figures import Figures, gain_rows
from grn.bench._targets import METRICS

FEWEST = 5
_N_BOOT = 2000
COLUMNS = [
    *("data", "regulators", "method", "kind", "metric", "value", "low", "high", "n_regulators", "n_targets", "n_pos"),
    *("prevalence", "coverage", "best_floor", "floor", "gain", "gain_low", "gain_high", "note"),
]


def summarise(table: pd.DataFrame, *, data: str, seed: int) -> pd.DataFrame:
    """Average figures of single regulators, with intervals and gains over the best floor.

    Parameters
    ----------
    table
        Of :func:`by_regulator`; the names of regulators are unique within a method.
    data
        Name of the data.
    seed
        Seed of the bootstrap.
    """
    kinds = table.drop_duplicates("method").set_index("method")["kind"]
    rows: list[dict[str, object]] = []
    for metric in METRICS:
        part = table[table["metric"] == metric]
        wide = part.pivot(index="source", columns="method", values="value").sort_index()
        wide = wide[[name for name in kinds.index if name in wide]].dropna(axis=0, how="all").dropna(axis=1, how="all")
        counts = part.drop_duplicates("source").set_index("source")
        for which, chosen in _subsets(wide).items():
            facts = {"data": data, "regulators": which, "metric": metric}
            listed = part[part["source"].isin(chosen.index)].groupby("method")["coverage"].mean()
            facts |= _counts(counts.loc[chosen.index])
            rows += [
                {**facts, **row, "coverage": listed[row["method"]]} for row in _averages(chosen, kinds, metric, seed)
            ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _subsets(wide: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """All regulators with the columns that have them all, and the regulators that all columns have."""
    if wide.empty:
        return {}
    partial = wide.isna().any(axis=0)
    subsets = {"all": wide.loc[:, ~partial]}
    whole = wide.dropna(axis=0)
    if partial.any() and len(whole):
        subsets["measured"] = whole
    return subsets


def _counts(counts: pd.DataFrame) -> dict[str, object]:
    return {
        "n_regulators": len(counts),
        "n_targets": int(counts["n_targets"].median()),
        "n_pos": int(counts["n_pos"].sum()),
        "prevalence": float((counts["n_pos"] / counts["n_targets"]).mean()),
    }


def _averages(wide: pd.DataFrame, kinds: pd.Series, metric: str, seed: int) -> list[dict[str, object]]:
    """Means over regulators with intervals; the same resampled regulators for all columns."""
    n = len(wide)
    times = child(seed, "bootstrap").multinomial(n, np.full(n, 1 / n), size=_N_BOOT) / n
    figures = {}
    for name in wide:
        draws = {metric: times @ wide[name].to_numpy()} if n >= FEWEST else {}
        figures[name] = Figures({metric: float(wide[name].mean())}, draws)
    note = "" if n >= FEWEST else f"{n} regulator{'s' if n > 1 else ''}: too few for an interval"
    return [{**row, "note": note} for row in gain_rows(figures, kinds.to_dict(), [metric])]
