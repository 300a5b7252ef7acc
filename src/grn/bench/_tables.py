"""The tidy frame as people read it."""

from __future__ import annotations

import pandas as pd

from grn._core.errors import ParameterError

_KINDS = ("method", "ablation", "floor", "oracle")


def leaderboard(
    results: pd.DataFrame, *, network: str, protocol: str = "paper", metric: str = "auprc", train: str | None = None
) -> pd.DataFrame:
    """One row per method, one column per test set, as in the paper, with the floors below.

    Parameters
    ----------
    results
        Table from :func:`grn.bench.run`.
    network
        Reference network, such as ``"STRING"``.
    protocol
        ``"paper"`` or ``"strict"``.
    metric
        One of its metrics.
    train
        Data set trained on; by default each test set shows the first one of ``results`` that was tested on it.

    Returns
    -------
    DataFrame
        Index ``kind`` and ``method``; columns: test sets, then ``mean`` over independent units (the mHSC lineages
        count as one), for methods scored on all of them. Last row, kind ``published``: what the paper reports for its
        ensemble, where it does.

    Raises
    ------
    ParameterError
        If a choice leaves no row.

    Examples
    --------
    >>> import pandas as pd
    >>> import grn
    >>> row = {"method": "Ens", "kind": "method", "train": "a/S", "train_dataset": "a", "test": "b", "unit": "b"}
    >>> row |= {"network": "S", "protocol": "paper", "metric": "auprc", "value": 0.6, "published": float("nan")}
    >>> float(grn.bench.leaderboard(pd.DataFrame([row]), network="S").loc[("method", "Ens"), "mean"])
    0.6
    """
    wanted = {"network": network, "protocol": protocol, "metric": metric}
    if train is not None:
        wanted["train_dataset"] = train
    rows = results
    for column, value in wanted.items():
        if column not in results:
            raise ParameterError(f"results has no column {column!r}; pass the table of grn.bench.run().")
        kept = rows[rows[column] == value]
        if kept.empty:
            valid = ", ".join(map(str, rows[column].unique()))
            raise ParameterError(f"no row has {column}={value!r}; there are: {valid}.")
        rows = kept
    for column in ("backbone", "size"):
        if column in rows and rows[column].nunique() > 1:
            valid = ", ".join(map(str, rows[column].unique()))
            raise ParameterError(f"results holds several of {column}: {valid}; keep the rows of one of them.")
    first = rows.groupby("test", sort=False)["train"].transform("first")
    rows = rows[rows["train"] == first]
    values = rows.pivot_table(index=["kind", "method"], columns="test", values="value", sort=False)
    units = rows.drop_duplicates("test").set_index("test")["unit"]
    mean = values.T.groupby(units).mean().T.mean(axis=1).where(values.notna().all(axis=1))
    table = values.assign(mean=mean)
    table = table.sort_index(level=0, key=lambda k: k.map(_KINDS.index), sort_remaining=False, kind="stable")
    if "published" not in rows:
        return table
    told = rows[(rows["method"] == "Ens") & rows["published"].notna()].set_index("test")["published"]
    if len(told):
        table.loc[("published", "Ens (paper, scGPT)"), told.index] = told
    return table


def markdown(results: pd.DataFrame, *, metric: str = "auprc") -> str:
    """All leaderboards of a result as Markdown, both protocols side by side for every network.

    Parameters
    ----------
    results
        Table from :func:`grn.bench.run`.
    metric
        One of its metrics.

    Returns
    -------
    str
        Markdown: per network and protocol a table, the best value of each column in bold.

    Raises
    ------
    ParameterError
        If ``results`` has no such metric.

    Examples
    --------
    >>> import pandas as pd
    >>> import grn
    >>> row = {"method": "Ens", "kind": "method", "train": "a/S", "train_dataset": "a", "test": "b", "unit": "b"}
    >>> row |= {"network": "S", "protocol": "paper", "metric": "auprc", "value": 0.6, "published": float("nan")}
    >>> row |= {"prevalence": 0.5}
    >>> print(grn.bench.markdown(pd.DataFrame([row])).splitlines()[0])
    ## S, protocol paper: auprc
    """
    if "metric" not in results or metric not in set(results["metric"]):
        raise ParameterError(f"results has no metric {metric!r}; pass the table of grn.bench.run().")
    parts = []
    for network in results["network"].unique():
        for protocol in results.loc[results["network"] == network, "protocol"].unique():
            table = leaderboard(results, network=network, protocol=protocol, metric=metric)
            parts.append(f"## {network}, protocol {protocol}: {metric}\n\n{_grid(table)}")
    return "\n\n".join(parts) + "\n"


def _grid(table: pd.DataFrame) -> str:
    """A table in Markdown."""
    best = table[[kind not in ("oracle", "published") for kind, _ in table.index]].max()
    lines = ["| kind | method | " + " | ".join(map(str, table.columns)) + " |"]
    lines.append("|---|---|" + "---:|" * len(table.columns))
    for (kind, method), row in table.iterrows():
        cells = []
        for column, value in row.items():
            text = "" if pd.isna(value) else f"{value:.3f}"
            leads = kind not in ("oracle", "published") and value == best[column]
            cells.append(f"**{text}**" if text and leads else text)
        lines.append(f"| {kind} | {str(method).replace('|', chr(92) + '|')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
