"""The tidy frame as people read it."""

from __future__ import annotations

import pandas as pd

from grn._core.errors import ParameterError
from grn._core.markdown import markdown_table
from grn.bench._headline import check_alike, headline
from grn.bench._questions import ALL

_KINDS = ("method", "ablation", "floor", "oracle")


def leaderboard(
    results: pd.DataFrame,
    *,
    network: str,
    protocol: str = "paper",
    metric: str = "auprc",
    train: str | None = None,
    pairs: str = "all",
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
    pairs
        ``"all"``, or ``"different families"``: only pairs whose genes are no paralogues of each other.

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
    results = of_pairs(results, pairs)
    wanted = {"network": network, "protocol": protocol, "metric": metric}
    if train is not None:
        wanted["train_dataset"] = train
    rows = results
    for column, value in wanted.items():
        if column not in results:
            raise ParameterError(f"results has no column {column!r}; pass the table of grn.bench.run().")
        matching = rows[rows[column] == value]
        if matching.empty:
            valid = ", ".join(map(str, rows[column].unique()))
            raise ParameterError(f"no row has {column}={value!r}; there are: {valid}.")
        rows = matching
    check_alike(rows)
    first = rows.groupby("test", sort=False)["train"].transform("first")
    rows = rows[rows["train"] == first]
    values = rows.pivot_table(index=["kind", "method"], columns="test", values="value", sort=False)
    units = rows.drop_duplicates("test").set_index("test")["unit"]
    mean = values.T.groupby(units).mean().T.mean(axis=1).where(values.notna().all(axis=1))
    table = values.assign(mean=mean)
    table = table.sort_index(level=0, key=lambda k: k.map(_KINDS.index), sort_remaining=False, kind="stable")
    if "published" not in rows:
        return table
    published = rows[(rows["method"] == "Ens") & rows["published"].notna()].set_index("test")["published"]
    if len(published):
        table.loc[("published", "Ens (paper, scGPT)"), published.index] = published
    return table


def of_pairs(results: pd.DataFrame, pairs: str) -> pd.DataFrame:
    """Rows about these pairs; tables without the column are about all pairs."""
    if "pairs" not in results and pairs == ALL:
        return results
    known = [ALL] if "pairs" not in results else list(results["pairs"].unique())
    if pairs not in known:
        raise ParameterError(f"no row has pairs={pairs!r}; there are: {', '.join(map(str, known))}.")
    return results[results["pairs"] == pairs]


def overview(results: pd.DataFrame, *, metric: str = "auprc", pairs: str = "all") -> pd.DataFrame:
    """Means over independent test sets, protocols side by side for every network.

    Parameters
    ----------
    results
        Table from :func:`grn.bench.run`.
    metric
        One of its metrics.
    pairs
        ``"all"`` or ``"different families"``, as in :func:`leaderboard`.

    Returns
    -------
    DataFrame
        Index ``kind`` and ``method``; columns: network and protocol. The mean of :func:`leaderboard`, NaN for what was
        not scored on all test sets; what never was is left out.

    Raises
    ------
    ParameterError
        If ``results`` has no such metric or pairs.

    Examples
    --------
    >>> import pandas as pd
    >>> import grn
    >>> row = {"method": "Ens", "kind": "method", "train": "a/S", "train_dataset": "a", "test": "b", "unit": "b"}
    >>> row |= {"network": "S", "metric": "auprc"}
    >>> rows = [{**row, "protocol": "paper", "value": 0.7}, {**row, "protocol": "strict", "value": 0.5}]
    >>> grn.bench.overview(pd.DataFrame(rows)).loc[("method", "Ens")].tolist()
    [0.7, 0.5]
    """
    results = of_pairs(results, pairs)
    _check_metric(results, metric)
    means = {}
    for network, protocol in results[["network", "protocol"]].drop_duplicates().itertuples(index=False):
        table = leaderboard(results, network=network, protocol=protocol, metric=metric, pairs=pairs)
        means[network, protocol] = table["mean"]
    listed = results[["kind", "method"]].drop_duplicates()
    listed = listed.sort_values("kind", key=lambda kinds: kinds.map(_KINDS.index), kind="stable")
    averages = pd.DataFrame(means).reindex(pd.MultiIndex.from_frame(listed)).dropna(how="all")
    return averages.rename_axis(columns=["network", "protocol"])


def _check_metric(results: pd.DataFrame, metric: str) -> None:
    if "metric" not in results or metric not in set(results["metric"]):
        raise ParameterError(f"results has no metric {metric!r}; pass the table of grn.bench.run().")


def markdown(results: pd.DataFrame, *, metric: str = "auprc") -> str:
    """A result as Markdown: means with protocols side by side, then all leaderboards; for all pairs, then for others.

    Parameters
    ----------
    results
        Table from :func:`grn.bench.run`.
    metric
        One of its metrics.

    Returns
    -------
    str
        Markdown tables, the best value of each column in bold: the :func:`overview`, then one per network and
        protocol, headed by the gain of the best method over the best floors; the same for pairs of different families
        where ``results`` has them.

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
    ## Means over independent data sets: auprc
    """
    _check_metric(results, metric)
    kinds = [ALL] if "pairs" not in results else list(results["pairs"].unique())
    parts = []
    for pairs in kinds:
        means = overview(results, metric=metric, pairs=pairs)
        means.columns = [f"{network}, {protocol}" for network, protocol in means.columns]
        parts.append(f"## Means over independent data sets{_of(pairs)}: {metric}\n\n{_grid(means)}")
    for pairs in kinds:
        asked = of_pairs(results, pairs)
        for network, protocol in asked[["network", "protocol"]].drop_duplicates().itertuples(index=False):
            table = leaderboard(asked, network=network, protocol=protocol, metric=metric, pairs=pairs)
            said = headline(asked, network=network, protocol=protocol, metric=metric)
            title = f"## {network}, protocol {protocol}{_of(pairs)}: {metric}"
            parts.append("\n\n".join(part for part in (title, said, _grid(table)) if part))
    return "\n\n".join(parts) + "\n"


def _of(pairs: str) -> str:
    return "" if pairs == ALL else f", pairs of {pairs}"


def _grid(table: pd.DataFrame) -> str:
    """A table in Markdown."""
    best = table[[kind not in ("oracle", "published") for kind, _ in table.index]].max()
    rows = []
    for (kind, method), row in table.iterrows():
        cells = []
        for column, value in row.items():
            text = "" if pd.isna(value) else f"{value:.3f}"
            leads = kind not in ("oracle", "published") and value == best[column]
            cells.append(f"**{text}**" if text and leads else text)
        rows.append([kind, method, *cells])
    return markdown_table(["kind", "method", *table.columns], rows, figures=len(table.columns))
