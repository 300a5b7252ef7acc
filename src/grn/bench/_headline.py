"""How far the best method of a table is above its floors, with an interval."""

from __future__ import annotations

import numpy as np
import pandas as pd

_GAINS = ["gain", "gain_low", "gain_high"]


def gain_interval(rows: pd.DataFrame, method: str) -> tuple[float, float, float]:
    """Mean over units of the gain of a method over the best floor of each data set, and its 95 % interval.

    Every data set has its own best floor, chosen after the fact, which is hard on the method. Data sets of one unit are
    fully dependent, units are independent. NaN where a table tells no gains.

    Parameters
    ----------
    rows
        Rows of :func:`grn.bench.run` of one network, protocol, metric and kind of pairs.
    method
        Name of the method.
    """
    if not {*_GAINS} <= set(rows):
        return float("nan"), float("nan"), float("nan")
    of_method = rows[(rows["kind"] == "method") & (rows["method"] == method)]
    units = of_method.groupby("unit")[_GAINS].agg(lambda values: values.mean(skipna=False))
    mean = float(units["gain"].mean())
    down, up = (np.clip(s * (units["gain"] - units[c]), 0, None) for s, c in ((1, "gain_low"), (-1, "gain_high")))
    low, high = (mean + s * float(np.sqrt((d**2).sum(skipna=False))) / len(units) for s, d in ((-1, down), (1, up)))
    return mean, low, high


def complete_means(rows: pd.DataFrame) -> pd.Series:
    """Means over units by kind and method, of what was scored in all units: others have another mean."""
    units = rows.groupby(["kind", "method", "unit"], sort=False)["value"].mean().groupby(["kind", "method"], sort=False)
    means: pd.Series = units.mean()[units.size() == rows["unit"].nunique()]
    return means


def headline(results: pd.DataFrame, *, network: str, protocol: str, metric: str) -> str:
    """One line: the best method, and its gain over the best floor of each data set; empty where nothing is told."""
    facts = {"network": network, "protocol": protocol, "metric": metric}
    rows = results[np.logical_and.reduce([results[name] == value for name, value in facts.items()])]
    rows = rows[rows["train"] == rows.groupby("test", sort=False)["train"].transform("first")]
    methods = rows[rows["kind"] == "method"]
    means = complete_means(rows).get("method", pd.Series(dtype=float))
    if means.isna().all():
        return ""
    best = str(means.idxmax())
    gain, low, high = gain_interval(rows, best)
    if not np.isfinite(gain):
        return ""
    chosen = methods.loc[methods["method"] == best, "best_floor"].unique() if "best_floor" in methods else []
    over = f"Gain over the best floor of each data set ({', '.join(map(str, chosen))}): {gain:+.3f}"
    return f"Best method: {best} ({means[best]:.3f}). {over}{said_interval(low, high)}."


def said_interval(low: float, high: float) -> str:
    """An interval in words; nothing where there is none."""
    return f" (95 % interval {low:+.3f} to {high:+.3f})" if np.isfinite(low) and np.isfinite(high) else ""
