"""What ranks of known drivers say: averages over studies, tables, and advice in words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grn._core.errors import ParameterError
from grn._core.markdown import markdown_table
from grn._core.rng import child

ALONE, OWN, CHANCE = "CollecTRI + ULM", "own change", 50.0
PRIORS = ("CollecTRI", "DoRothEA", "TRRUST")
FIRST = 5
_N_BOOT = 2000
_NEEDED = ("question", "study", "chosen", "group", "driver", "method", "kind", "rank", "n_regulators", "percentile")


def figure_table(table: pd.DataFrame) -> pd.DataFrame:
    """Percentiles per study in the form that :func:`grn.pl.benchmark` draws.

    Parameters
    ----------
    table
        Of :func:`grn.bench.drivers.run`.

    Returns
    -------
    DataFrame
        ``method``, ``kind``, ``test`` (the study), ``network``, ``protocol`` (whether choices were made on the study),
        ``metric`` (``"driver_percentile"``), ``value``; a driver without a rank counts as chance, 50, and a method that
        ranks none is left out.

    Raises
    ------
    ParameterError
        The table lacks a column.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn.bench import drivers
    >>> row = {"question": "q", "study": "s", "chosen": False, "group": "", "driver": "A", "method": "ridge",
    ...        "kind": "method", "rank": 1.0, "n_regulators": 5, "percentile": 100.0}
    >>> drivers.figure_table(pd.DataFrame([row]))["value"].tolist()
    [100.0]
    """
    table = _checked(table)
    figures = _studies(table[~table["method"].isin(_silent(table))]).reset_index()
    figures = figures.rename(columns={"study": "test", "percentile": "value"})
    figures["protocol"] = np.where(figures.pop("chosen"), "choices made here", "asked once")
    return figures.assign(network="known drivers", metric="driver_percentile", unit=figures["test"])


def markdown(table: pd.DataFrame) -> str:
    """Averages of all methods, and the rank of every driver, as two tables.

    Parameters
    ----------
    table
        Of :func:`grn.bench.drivers.run`.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    ParameterError
        The table lacks a column.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn.bench import drivers
    >>> row = {"question": "q", "study": "s", "chosen": False, "group": "", "driver": "A", "method": "ridge",
    ...        "kind": "method", "rank": 1.0, "n_regulators": 5, "percentile": 100.0}
    >>> print(drivers.markdown(pd.DataFrame([row])).splitlines()[2])
    | ridge | method | 100.0 | 1 of 1 | 1 of 1 | 1 of 1 |  |
    """
    table = _checked(table)
    summary = _summary(table)
    head = (
        "method",
        "kind",
        "mean percentile",
        "first",
        f"first {FIRST}",
        "ranked",
        "percentile where choices were made",
    )
    silent = _silent(table)
    rows = [summary.loc[name].tolist() for name in summary.index if name not in silent]
    return "\n".join([markdown_table(head, rows), "", *_failures(table, silent), _ranks(table, summary, silent)])


def verdict(table: pd.DataFrame) -> str:
    """Say which way to look for a driver is best, and whether an inferred network is worth it.

    Parameters
    ----------
    table
        Of :func:`grn.bench.drivers.run`.

    Returns
    -------
    str
        One paragraph of Markdown; it ends with the call to use.

    Raises
    ------
    ParameterError
        The table lacks a column or has no question that choices were not made on.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn.bench import drivers
    >>> row = {"question": "q", "study": "s", "chosen": False, "group": "", "driver": "A"}
    >>> row |= {"rank": 1.0, "n_regulators": 5}
    >>> rows = [{**row, "method": "CollecTRI + ULM", "kind": "floor", "percentile": 90.0},
    ...         {**row, "method": "ridge", "kind": "method", "percentile": 60.0}]
    >>> drivers.verdict(pd.DataFrame(rows)).endswith("net=grn.datasets.collectri())`.")
    True
    """
    free = _checked(table).loc[lambda rows: ~rows["chosen"]]
    asked = _studies(free).droplevel("chosen")["percentile"].unstack("study")
    if asked.empty:
        raise ParameterError("every question of the table had a part in choices; run others for a verdict.")
    means = asked.mean(axis=1).sort_values(ascending=False)
    kinds = means.index.get_level_values("kind")
    names = means.index.get_level_values("method")
    means.index = asked.loc[means.index].index = names
    asked.index = asked.index.get_level_values("method")
    known = free[free["rank"].notna()]["method"].unique()
    inferred = [n for n, k in zip(names, kinds, strict=True) if k == "method" and n not in PRIORS and n in known]
    published = [n for n in (ALONE, "DoRothEA + ULM", *PRIORS) if n in means]
    sentences = [
        f"Over {_studies_of(asked)} that no choice was made on, with the mean percentile of the driver (chance 50):"
    ]
    parts = [f"{n} {means[n]:.0f}" for n in (OWN, *published) if n in means]
    if inferred:
        parts.append(f"best network inferred from cells or a model, {inferred[0]}, {means[inferred[0]]:.0f}")
    sentences.append("; ".join(parts) + ".")
    if inferred and ALONE in means:
        sentences.append(_against(asked, inferred[0], ALONE))
    if OWN in means and ALONE in means:
        sentences.append(_against(asked, ALONE, OWN))
    return " ".join([*sentences, _advice(means, published, inferred)])


def _studies_of(asked: pd.DataFrame) -> str:
    return f"{asked.shape[1]} {'study' if asked.shape[1] == 1 else 'studies'}"


def _against(asked: pd.DataFrame, first: str, second: str) -> str:
    """The difference of two methods, with an interval over studies."""
    gain = (asked.loc[first] - asked.loc[second]).to_numpy(dtype=float)
    n = len(gain)
    if n < FIRST:
        return f"{first} against {second}: {gain.mean():+.1f} ({n} studies, too few for an interval)."
    draws = child(0, "drivers", first, second).multinomial(n, np.full(n, 1 / n), size=_N_BOOT) @ gain / n
    low, high = np.quantile(draws, [0.025, 0.975])
    told = "which may be chance" if low <= 0 <= high else "which is no chance"
    return (
        f"{first} against {second}: {gain.mean():+.1f} (95 % interval {low:+.1f} to {high:+.1f} over studies), {told}."
    )


def _advice(means: pd.Series, published: list[str], inferred: list[str]) -> str:
    """The call to use, by the best mean."""
    best = str(means.drop(index="random", errors="ignore").idxmax())
    if best in inferred:
        return (
            f"Use it: `grn.tl.infer_network(adata, method={best!r})`, then `grn.tl.rank_drivers(adata, condition=..., "
            f"group=..., top_per_source=100)`."
        )
    if best == OWN:
        return (
            "No network is better than the change of the regulator itself: start with `scanpy.tl.rank_genes_groups` on "
            "the regulators, then look at their targets with `grn.tl.rank_drivers`."
        )
    base = best.removesuffix(" + ULM")
    plain = ', evidence="targets"' if best.endswith("+ ULM") else ""
    word = "no inferred network is better" if inferred else "no inferred network was asked"
    return (
        f"{best} wins and {word}: use it, `grn.tl.rank_drivers(adata, condition=..., group=...{plain}, "
        f"net=grn.datasets.{base.lower()}())`."
    )


def _checked(table: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in _NEEDED if name not in getattr(table, "columns", ())]
    if missing:
        raise ParameterError(f"the table lacks {', '.join(missing)}; pass what grn.bench.drivers.run returns.")
    return table.assign(group=table["group"].fillna("").astype(str), chosen=table["chosen"].astype(bool))


def _studies(table: pd.DataFrame) -> pd.DataFrame:
    """Mean percentile by method and study: drivers and groups within a question, then questions within a study."""
    filled = table.assign(percentile=table["percentile"].fillna(CHANCE))
    keys = ["method", "kind", "chosen", "study"]
    questions = filled.groupby([*keys, "question"], sort=False)["percentile"].mean()
    return questions.groupby(keys, sort=False).mean().to_frame()


def _summary(table: pd.DataFrame) -> pd.DataFrame:
    """A row per method, best first within methods and floors."""
    studies = _studies(table)["percentile"]
    means = studies.groupby(["kind", "method", "chosen"], sort=False).mean().unstack("chosen")
    means = means.reindex(columns=[False, True])
    rows = {}
    for (kind, name), row in means.sort_values(["kind", False], ascending=[False, False]).iterrows():
        part = table[(table["method"] == name) & ~table["chosen"]]
        counts = [
            f"{int(hit.sum())} of {len(part)}" for hit in (part["rank"] <= 1, part["rank"] <= FIRST, part["rank"] > 0)
        ]
        if name == "random":
            counts = [
                f"{chance.sum():.1f} of {len(part)}"
                for chance in (1 / part["n_regulators"], np.minimum(1, FIRST / part["n_regulators"]))
            ] + counts[2:]
        asked_once, chosen = (f"{row[part]:.1f}" if np.isfinite(row[part]) else "" for part in (False, True))
        rows[name] = [name, kind, asked_once, *counts, chosen]
    return pd.DataFrame.from_dict(rows, orient="index")


def _silent(table: pd.DataFrame) -> list[str]:
    """Methods that rank no driver."""
    ranked = table.groupby("method", sort=False)["rank"].count()
    return [str(name) for name in ranked.index[ranked == 0]]


def _failures(table: pd.DataFrame, silent: list[str]) -> list[str]:
    """Methods without any answer, by their reason."""
    notes = {name: str(table.loc[table["method"] == name, "note"].iloc[0]) for name in silent if "note" in table}
    reasons: dict[str, list[str]] = {}
    for name, note in notes.items():
        reasons.setdefault(" ".join(note.split()), []).append(f"`{name}`")
    lines = [f"- {', '.join(names)}: {reason}" for reason, names in reasons.items()]
    return ["Methods that cannot answer:", "", *lines, ""] if lines else []


def _ranks(table: pd.DataFrame, summary: pd.DataFrame, silent: list[str]) -> str:
    """Rank of every driver by every method that answers: ``rank/number of regulators``."""
    methods = [name for name in summary.index if name not in silent and name != "random"]
    cells = table.assign(
        shown=[
            f"{r:g}/{n}" if np.isfinite(r) else "-" for r, n in zip(table["rank"], table["n_regulators"], strict=True)
        ],
        where=[f"{q}, {g}" if g else q for q, g in zip(table["question"], table["group"], strict=True)],
    )
    wide = cells.pivot_table(index=["where", "driver"], columns="method", values="shown", aggfunc="first", sort=False)
    head = ["question", "driver", *methods]
    rows = [
        [*map(str, index), *(str(v) for v in row)]
        for index, row in zip(wide.index, wide[methods].to_numpy(), strict=True)
    ]
    return markdown_table(head, rows)
