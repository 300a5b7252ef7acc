"""How far the best method of a table is above its floors, with an interval."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grn._core.errors import ParameterError

_GAINS = ["gain", "gain_low", "gain_high"]
_ROW = ("network", "pairs", "test", "value", "best_floor", "floor", *_GAINS)
_TOLD = (*_ROW[:-3], "method", "kind", "train", "unit", "protocol", "metric")


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


def check_alike(rows: pd.DataFrame) -> None:
    """Refuse rows of several models or numbers of genes, whose means would mix what is not to be compared."""
    for column in ("backbone", "size"):
        if column in rows and rows[column].nunique() > 1:
            valid = ", ".join(map(str, rows[column].unique()))
            raise ParameterError(f"results holds several of {column}: {valid}; keep the rows of one of them.")


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


def gains(
    results: pd.DataFrame, *, method: str = "universal", protocol: str = "strict", metric: str = "auprc"
) -> pd.DataFrame:
    """How far a method is above the best floor of every data set, with 95 % intervals.

    Parameters
    ----------
    results
        Table from :func:`grn.bench.run`.
    method
        Name of the method in the table.
    protocol
        ``"paper"`` or ``"strict"``.
    metric
        One of its metrics.

    Returns
    -------
    DataFrame
        ``network``, ``pairs``, ``test``, ``value``, ``best_floor``, ``floor`` (its value), ``gain``, ``gain_low``,
        ``gain_high``; one row per network, kind of pairs and data set, then ``mean`` over independent units. The best
        floor of a data set is chosen after the fact, which is hard on the method. Where several training sets were
        tested on a data set, the first one of ``results`` counts.

    Raises
    ------
    ParameterError
        If ``results`` tells no gains of such a method, or holds several sizes or models.

    Examples
    --------
    >>> import pandas as pd
    >>> import grn
    >>> row = {"method": "universal", "kind": "method", "train": "a/S", "test": "b", "unit": "b", "network": "S"}
    >>> row |= {"protocol": "strict", "pairs": "all", "metric": "auprc", "value": 0.7, "best_floor": "degree"}
    >>> row |= {"floor": 0.6, "gain": 0.1, "gain_low": 0.05, "gain_high": 0.15}
    >>> grn.bench.gains(pd.DataFrame([row]))[["test", "gain"]].values.tolist()
    [['b', 0.1], ['mean', 0.1]]
    """
    missing = [name for name in (*_TOLD, *_GAINS) if name not in results]
    if missing:
        raise ParameterError(f"results lacks {', '.join(missing)}; pass the table of grn.bench.run().")
    rows = results[(results["protocol"] == protocol) & (results["metric"] == metric)]
    check_alike(rows)
    rows = rows[rows["train"] == rows.groupby(["network", "test"])["train"].transform("first")]
    rows = rows[(rows["method"] == method) & (rows["kind"] == "method")]
    if rows.empty:
        raise ParameterError(f"results has no {metric} of the method {method!r} under {protocol!r}.")
    tables = []
    for (network, pairs), part in rows.groupby(["network", "pairs"], sort=False):
        units = part.groupby("unit")[["value", "floor"]].mean().mean()
        mean = {"network": network, "pairs": pairs, "test": "mean", "best_floor": "", **units.to_dict()}
        mean |= dict(zip(_GAINS, gain_interval(part, method), strict=True))
        tables.append(pd.concat([part[list(_ROW)], pd.DataFrame([mean])[list(_ROW)]]))
    return pd.concat(tables, ignore_index=True)
