"""Collect what the pages of the documentation have measured, for the chooser and for ``grn.tl.suggest``.

``python scripts/collect_measures.py`` writes ``src/grn/methods/measured.json`` and the tables of ``docs/choose/`` anew
from the tables of other pages; ``tests/test_choose_page.py`` fails where they have changed since.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grn
from grn._core.markdown import markdown_table
from grn.methods import METHODS
from grn.methods.questions import QUESTIONS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TABLES = DOCS / "choose"
MEASURED = ROOT / "src" / "grn" / "methods" / "measured.json"


@dataclass(frozen=True)
class Measure:
    """Numbers of one table: where it stands, which column is read, and which row the others are held against."""

    question: str
    what: str
    page: str
    file: str
    header: str
    column: str
    baseline: str
    chance: str
    rows: dict[str, str]
    first: int = 0
    last: int | None = None


def tables(text: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Header and cells of every table of a page."""
    lines = text.splitlines()
    for at in range(1, len(lines)):
        if re.fullmatch(r"\|[-:|\s]+\|", lines[at]) and lines[at - 1].startswith("|"):
            end = at + 1
            while end < len(lines) and lines[end].startswith("|"):
                end += 1
            yield lines[at - 1], [_cells(line) for line in lines[at + 1 : end]]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def number(cell: str) -> float:
    """The first number of a cell."""
    found = re.search(r"-?\d+(\.\d+)?", cell)
    if found is None:
        raise ValueError(f"no number in {cell!r}")
    return float(found[0])


def read(measure: Measure) -> dict[str, Any]:
    """The numbers of a table, of methods by their name."""
    text = (DOCS / measure.file).read_text(encoding="utf-8")
    line, rows = next((line, rows) for line, rows in tables(text) if line.startswith(measure.header))
    header, rows = _cells(line), rows[measure.first : measure.last]
    column = header.index(measure.column)

    def value(label: str) -> float:
        found = [row[column] for row in rows if label in (row[0], " / ".join(row[:2]))]
        if len(found) != 1:
            raise ValueError(f"{measure.file}: {len(found)} rows are headed {label!r}")
        return number(found[0])

    return {
        "question": measure.question,
        "what": measure.what,
        "page": measure.page,
        "chance": _chance(measure.chance, value, dict(zip(header, rows[0], strict=True))),
        "baseline": [re.sub(r"[`*]|^ / ", "", measure.baseline), value(measure.baseline)] if measure.baseline else None,
        "values": {name: value(label) for name, label in measure.rows.items()},
    }


def _chance(said: str, value: Callable[[str], float], first: Mapping[str, str]) -> float:
    """A number, the column of the first row that is named, or the figure of the row that is named."""
    if re.fullmatch(r"[\d.]+", said):
        return float(said)
    return number(first[said]) if said in first else value(said)


def plain(*names: str, pattern: str = "{}") -> dict[str, str]:
    """Rows that are headed by the name of the method."""
    return {name: pattern.format(name) for name in names}


_PLANTED = "| method | data | found | hidden |"
_CIRCUITS = {
    **plain("correlation", "celloracle", "dictys", "flecs", "ritini", "grnboost2"),
    "correlation": "correlation, pairs of the prior",
    "grnboost2": "grnboost2, pairs of the prior",
}
_DRIVERS = (
    "CollecTRI DoRothEA TRRUST pert ugrn gradient_trajectory vvp correlation ridge prior_ridge universal celloracle "
    "embedding grnboost2 genie3 scrank"
)
MEASURES = {
    "references": Measure(
        "known",
        "AUPRC of non-specific ChIP-seq targets in cells of BEELINE's mDC, degrees matched",
        "methods/prior_ridge",
        "methods/prior_ridge.md",
        "| | STRING | STRING, different families |",
        "non-specific",
        "correlation",
        "0.5",
        {
            "correlation": "correlation",
            "ridge": "ridge",
            "universal": "zero-shot alone",
            "prior_ridge": "`prior_ridge` with zero-shot",
        },
    ),
    "planted": Measure(
        "cells",
        "AUPRC of planted edges in two groups of 200 simulated cells",
        "methods/index",
        "methods/index.md",
        _PLANTED,
        "found",
        "`correlation`",
        "prevalence",
        {
            **plain("ridge", "celloracle", "correlation", pattern="`{}`"),
            "scrank": "`scrank`, 3 components (the default)",
        },
        last=5,
    ),
    "planted, trees": Measure(
        "cells",
        "AUPRC of planted edges in two groups of 120 simulated cells, few trees",
        "methods/index",
        "methods/index.md",
        _PLANTED,
        "found",
        "",
        "prevalence",
        {"genie3": "`genie3`, fast, 50 trees", "grnboost2": "`grnboost2`, 60 trees"},
        first=5,
        last=7,
    ),
    "drivers": Measure(
        "drivers",
        "mean percentile of the known driver of a contrast among all regulators",
        "bench/drivers",
        "bench/drivers_table.md",
        "| method | kind | mean percentile |",
        "mean percentile",
        "own change",
        "random",
        plain(*_DRIVERS.split()),
    ),
    "screen": Measure(
        "screen",
        "AUPRC of planted edges in 8 simulated knock-outs at 3 times",
        "methods/index",
        "methods/index.md",
        _PLANTED,
        "found",
        "`correlation`",
        "prevalence",
        {**plain("ridge", "correlation", pattern="`{}`"), "renge": "`renge`, fixed penalty"},
        first=7,
    ),
    "multiome, eRegulons": Measure(
        "regions",
        "AUPRC of planted regulator-gene pairs in 600 simulated cells with open chromatin, three seeds",
        "methods/scenicplus",
        "methods/scenicplus.md",
        "| pairs | by | AUPRC | seeds |",
        "AUPRC",
        " / correlation",
        " / chance",
        {"scenicplus": "regulator-gene / best triplet"},
        last=5,
    ),
    "multiome, networks": Measure(
        "regions",
        "AUPRC of planted regulator-gene pairs in 600 simulated cells with open chromatin, one seed",
        "methods/linger",
        "methods/linger.md",
        "| | TF-gene | TF-region | region-gene |",
        "TF-gene",
        "correlation alone",
        "chance",
        {"linger": "by group"},
    ),
    "circuits": Measure(
        "dynamics",
        "AUPRC of planted edges in simulated circuits, a prior of half false edges given to all",
        "dynamics",
        "dynamics.md",
        "|  | all pairs | pairs of the prior |",
        "all pairs",
        "correlation, pairs of the prior",
        "chance",
        _CIRCUITS,
    ),
    "knock-outs": Measure(
        "knockout",
        "correlation of predicted and simulated changes after knock-outs in circuits",
        "dynamics",
        "dynamics.md",
        "|  | all pairs | pairs of the prior |",
        "knock-out r",
        "correlation, pairs of the prior",
        "mean of the other knock-outs",
        _CIRCUITS,
    ),
}


def measured() -> str:
    """The file of numbers that the package has."""
    return json.dumps({name: read(measure) for name, measure in MEASURES.items()}, indent=1, ensure_ascii=False) + "\n"


def objects() -> dict[str, object]:
    """Simulated objects of every kind of data, by what they hold."""
    groups, dynamics = grn.datasets.toy_groups(n_cells=60), grn.datasets.toy_dynamics(n_cells=60)
    dynamics.X = dynamics.layers["counts"]
    dynamics.obs = dynamics.obs.drop(columns="perturbation")
    grn.pp.trajectory(dynamics, time="time")
    mdata = grn.datasets.toy_multiome(n_cells=60)
    grn.pp.link_regions(mdata, starts=mdata.uns["starts"], null=None)
    motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    return {
        "names of genes alone": groups[:4].copy(),
        "RNA, types of cell": groups,
        "RNA and open chromatin": mdata,
        "knock-outs at some times": grn.datasets.toy_perturbation(n_cells=6),
        "counts, a trajectory": dynamics,
    }


def decisions() -> str:
    """What :func:`grn.tl.suggest` says of every kind of data, by question."""
    starts = {name: grn.tl.suggest(adata).start for name, adata in objects().items()}
    rows = [
        [
            f"**{question.name}**: {question.asks}",
            *(_link(table.loc[question.name, "method"]) for table in starts.values()),
        ]
        for question in QUESTIONS
    ]
    why = [f"- **{question.name}**: {_why(starts.values(), question.name)}" for question in QUESTIONS]
    return markdown_table(["question", *starts], rows) + "\n\n" + "\n".join(why) + "\n"


def _link(method: str) -> str:
    """A method, with the page that tells of it."""
    return _page(METHODS[method].page if method in METHODS else "bench/drivers", method) if method else ""


def _page(page: str, text: str = "") -> str:
    return f"{{doc}}`{text or page} </{page}>`"


def _why(starts: Iterable[Any], question: str) -> str:
    """The reasons given, each once, and what else is known."""
    said = {table.loc[question, "method"]: table.loc[question, ["why", "caution"]] for table in starts}
    said.pop("", None)
    told = [f"{_link(method)}, {_linked(why)}." for method, (why, _) in said.items()]
    cautions = dict.fromkeys(f"{caution[:1].upper()}{_linked(caution[1:])}." for _, caution in said.values())
    return " ".join([*told, *cautions])


def _linked(text: str) -> str:
    return re.sub(r"(?<=[ (])((?:methods|bench|how_to)/\w+|dynamics)(?=$|[.,)])", lambda found: _page(found[1]), text)


def systems() -> str:
    """All methods with what was measured of them."""
    columns = {name: read(measure) for name, measure in MEASURES.items()}
    seconds = read(replace(MEASURES["circuits"], column="seconds", baseline="", chance="0"))["values"]
    listed = grn.tl.methods()
    head = ["method", "system", "reads", "sign", "confidence", "cost", "s", *columns, "beside the original", "licence"]
    rows = []
    for name, row in listed.iterrows():
        figures = [column["values"].get(name, "") for column in columns.values()]
        facts = [row["system"], row["input"], "yes" if row["sign"] else "no", row["confidence"], row["cost"]]
        rows.append([_link(name), *facts, seconds.get(name, ""), *figures, _beside(row["page"]), row["licence"]])
    rows.append(["baseline", *[""] * 6, *map(_floor, columns.values()), "", ""])
    rows.append(["chance", *[""] * 6, *(f"{column['chance']:g}" for column in columns.values()), "", ""])
    told = [f"- *{name}*: {c['what']} ({_page(c['page'])})." for name, c in columns.items()]
    return markdown_table(head, rows) + "\n\n" + "\n".join(told) + "\n"


def _floor(column: Mapping[str, Any]) -> str:
    return "" if column["baseline"] is None else f"{column['baseline'][1]:g} ({column['baseline'][0]})"


def _beside(page: str) -> str:
    """The part of a page that compares with the original program, if it has one."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## ((?:Agreement with|Differences from|Deviations from) the original)$", text, flags=re.M)
    return _page(page, titles[0].partition(" ")[0].lower()) if titles else ""


def files() -> dict[Path, Callable[[], str]]:
    """What makes every file that this script writes, in the order in which they are made."""
    return {MEASURED: measured, TABLES / "decisions.md": decisions, TABLES / "systems.md": systems}


if __name__ == "__main__":
    for path, make in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(make(), encoding="utf-8")
        print(path.relative_to(ROOT))
