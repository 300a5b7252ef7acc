"""Which methods can run on an object, which cannot, and with which to start."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from grn._core import checks
from grn._core.errors import ExpressionError, GeneOverlapError, GrnError
from grn._core.logging import progress
from grn._core.once import silently
from grn._object.annotation import Columns, columns_of
from grn._object.expression import reads_of
from grn._object.groups import MIN_CELLS
from grn.methods.contrasts import Contrast, contrast_of
from grn.methods.holdings import Holding, holdings
from grn.methods.inference import check_model
from grn.methods.inputs import Inputs
from grn.methods.measured import measures
from grn.methods.probes.execution import duration
from grn.methods.questions import QUESTIONS, Question, start
from grn.methods.record import METHODS, Method
from grn.methods.runner import check_ready
from grn.methods.trial import seconds_of

_WIDTH = 80


@dataclass(frozen=True)
class Suggestion:
    """What an object holds, what can be made of it, and where to start; prints as text, in a notebook as tables.

    Parameters
    ----------
    holds
        DataFrame by name (``"cells"``, ``"regions"``, ...): ``there``, ``found`` (what there is, or what is missing),
        ``call`` (what makes it).
    start
        DataFrame by question: ``asks`` (in words), ``method`` (``""`` if none can run), ``call``, ``why`` (figures
        and the page that has them), ``caution`` (what else is known).
    methods
        DataFrame by method, those that can run first: ``runs``, ``missing`` (what it lacks, and the call that enables
        it), ``call``, ``cost`` (in words), ``seconds`` (expected on this machine, NaN where not measured) and
        ``measured`` (figures of the documentation).

    Examples
    --------
    >>> import grn
    >>> told = grn.tl.suggest(grn.datasets.toy())
    >>> told.start.loc["cells", "method"], bool(told.methods.loc["renge", "runs"])
    ('ridge', False)
    """

    holds: pd.DataFrame
    start: pd.DataFrame
    methods: pd.DataFrame

    def __repr__(self) -> str:
        lines = ["What the object holds"]
        for name, row in self.holds.iterrows():
            made = f" Make it: {row['call']}" if row["call"] else ""
            lines.append(_item(f"{'+' if row['there'] else '-'} {name}: {_sentence(row['found'])}{made}"))
        lines.append("Where to start")
        for name, row in self.start.iterrows():
            lines.append(_item(f"{name}: {row['asks']}"))
            lines.append(_item(f"{row['call'] or 'no method can run'}", 4))
            lines += [_item(_sentence(row[key]), 4) for key in ("why", "caution") if row[key]]
        lines.append("Methods that can run")
        for name, row in self.methods[self.methods["runs"]].iterrows():
            taken = "" if pd.isna(row["seconds"]) else f"; about {duration(row['seconds'])} here"
            lines.append(_item(f"{name}: {row['cost']}{taken}"))
        lines.append("Methods that cannot")
        alike: dict[str, list[str]] = {}
        for name, row in self.methods[~self.methods["runs"]].iterrows():
            alike.setdefault(_of_any(str(name), row["missing"]), []).append(str(name))
        lines += [_item(f"{', '.join(names)}: {missing}") for missing, names in alike.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        parts = {"What the object holds": self.holds, "Where to start": self.start, "Methods": self.methods}
        return "".join(f"<h4>{html.escape(title)}</h4>{table.to_html()}" for title, table in parts.items())


def _of_any(name: str, missing: str) -> str:
    """What a method lacks, in the words of all that lack the same: a checkpoint of the family in their name."""
    return re.sub(r"(family|checkpoint of) \w+;", r"\1 FAMILY;", missing.replace(f"method {name!r}", "the method"))


def _sentence(text: str) -> str:
    return f"{text.rstrip('.')}."


def _item(text: str, indent: int = 2) -> str:
    pad = " " * indent
    return textwrap.fill(text, _WIDTH, initial_indent=pad, subsequent_indent=pad + "  ", break_long_words=False)


def suggestion(
    adata: Any,
    inputs: Inputs,
    *,
    condition: str | None,
    donor: str | None,
    perturbation: str | None,
    time: str | None,
    calibrate: bool,
) -> Suggestion:
    """What :func:`grn.tl.suggest` says of an object."""
    checks.flag("calibrate", calibrate)
    for column in filter(None, (inputs.task.groupby, condition, donor, perturbation, time)):
        inputs.labels(column)
    for names, what in ((inputs.task.sources, "sources"), (inputs.task.targets, "targets")):
        inputs.positions(names, what)
    with reads_of():  # which looks at the values once
        inputs.need_matrix()
        columns = columns_of(adata, perturbation=perturbation, time=time, condition=condition, donor=donor)
        held = holdings(inputs, adata.uns, columns)
        return _told(inputs, columns, held, contrast_of(adata, inputs, columns), calibrate=calibrate)


def _told(
    inputs: Inputs, columns: Columns, held: Mapping[str, Holding], contrast: Contrast | None, *, calibrate: bool
) -> Suggestion:
    """The tables."""
    name = "mdata" if held["regions"].there else "adata"
    listed = progress(list(METHODS), desc="methods", show=inputs.task.show)
    rows = {method: _row(inputs, METHODS[method], columns, held, name, calibrate=calibrate) for method in listed}
    methods = pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")
    methods = methods.sort_values("runs", ascending=False, kind="stable")
    able = set(methods.index[methods["runs"]])
    starts = {question.name: _start(inputs, question, able, columns, held, contrast, methods) for question in QUESTIONS}
    return Suggestion(
        pd.DataFrame.from_dict({key: asdict(holding) for key, holding in held.items()}, orient="index"),
        pd.DataFrame.from_dict(starts, orient="index").rename_axis("question"),
        methods,
    )


def _row(
    inputs: Inputs, record: Method, columns: Columns, held: Mapping[str, Holding], name: str, *, calibrate: bool
) -> dict[str, Any]:
    """What is said of one method."""
    params = _params(record, columns, held)
    missing = obstacle(inputs, record, params)
    told = [measure.told(record.name) for measure in measures().values() if record.name in measure.values]
    return {
        "runs": not missing,
        "missing": missing,
        "call": _call(inputs, record, params, name),
        "cost": record.cost,
        "seconds": seconds_of(inputs, record, params) if calibrate and not missing else float("nan"),
        "measured": "; ".join(told),
    }


def obstacle(inputs: Inputs, record: Method, params: Mapping[str, Any]) -> str:
    """Why a method cannot run on an object, with the call that enables it; ``""`` if it can."""
    try:
        with silently():
            if record.reads_model:
                check_model(record, inputs.task.model, "mini")
                _pairs(inputs)
            if "cells" in record.needs:
                _check_cells(inputs)
            check_ready(inputs, record, record.verified(params))
    except GrnError as error:
        return str(error)
    return ""


def _pairs(inputs: Inputs) -> None:
    inputs.pairs  # noqa: B018


def _check_cells(inputs: Inputs) -> None:
    """Refuse too few cells, values that cannot be used, groups that are too small, and genes without a regulator."""
    if inputs.n_cells < MIN_CELLS:
        raise ExpressionError(f"{inputs.n_cells} cells; methods that read cells need {MIN_CELLS} or more.")
    inputs.expression  # noqa: B018
    if inputs.task.groupby is not None:
        inputs.groups  # noqa: B018
    if inputs.task.sources is None and not inputs.regulators.any():
        raise GeneOverlapError(
            "no gene is a known regulator; run grn.pp.align_genes(adata) and grn.pp.annotate_regulators(adata), or "
            "pass sources=[...]."
        )


def _params(record: Method, columns: Columns, held: Mapping[str, Holding]) -> dict[str, Any]:
    """Parameters of a method that the columns of the object decide."""
    own = record.parameters()
    found: dict[str, Any] = {}
    if "perturbation" in record.needs:
        named = {"perturbation": columns.perturbation, "control": columns.control, "time": columns.time}
        found = {key: value for key, value in named.items() if value and key in own and own[key] != value}
    if "trajectory" in own and own["trajectory"] is None and held["trajectory"].there:
        found["trajectory"] = "trajectory"
    return found


def _call(inputs: Inputs, record: Method, params: Mapping[str, Any], name: str) -> str:
    """The call that runs a method."""
    parts = [name, f"method={record.name!r}"]
    if record.family:
        parts.append("model=grn.models.load(PATH)")
    if inputs.task.groupby is not None:
        parts.append(f"groupby={inputs.task.groupby!r}")
    if params:
        parts.append(f"params={dict(params)!r}")
    return f"grn.tl.infer_network({', '.join(parts)})"


def _start(
    inputs: Inputs,
    question: Question,
    able: set[str],
    columns: Columns,
    held: Mapping[str, Holding],
    contrast: Contrast | None,
    methods: pd.DataFrame,
) -> dict[str, str]:
    """Where to start with one question."""
    contrast = contrast if question.published else None
    if (question.holding and not held[question.holding].there) or (question.published and contrast is None):
        there = held[question.holding].call if question.holding else ""
        made = f": {there}" if there else ""
        return {
            "asks": question.asks,
            "method": "",
            "call": "",
            "why": f"needs {question.lacking}{made}",
            "caution": "",
        }
    chosen = start(question, able)
    call = methods.loc[chosen.method, "call"] if chosen.method in methods.index else ""
    divided = question.by_group and columns.groups and inputs.task.groupby is None
    if divided and call and METHODS[chosen.method].by_group:
        call = f"{call[:-1]}, groupby={next(iter(columns.groups))!r})"
    if contrast is not None:
        net = "" if call else f"net=grn.datasets.{chosen.method.lower()}()"
        call = f"{call + '; ' if call else ''}{contrast.call('adata', net)}"
    if question.after and call:
        call = f"{call}; {question.after(METHODS[chosen.method])}"
    told = (question.caution, "" if contrast is None else contrast.caution())
    caution = "; ".join(filter(None, told)) if chosen.method else ""
    return {"asks": question.asks, "method": chosen.method, "call": call, "why": chosen.why, "caution": caution}
