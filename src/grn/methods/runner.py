"""The one way from an object to the result of a method: read, fit, check, describe."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core.errors import NetworkError
from grn._object.expression import reads_of
from grn.methods.answer import check_answer, tell_without_edges, values_read
from grn.methods.chromatin_prior import named_prior, need_chromatin_prior, with_chromatin_prior
from grn.methods.direction import with_direction
from grn.methods.edge_regions import with_region
from grn.methods.edges import edges_of, in_groups, stacked
from grn.methods.group import Fitted, Group
from grn.methods.inputs import Inputs
from grn.methods.provenance import recordable
from grn.methods.record import Method, Result, Task
from grn.network import Network


def run(
    inputs: Inputs,
    record: Method,
    params: Mapping[str, Any],
    *,
    report: bool = True,
    handed: Mapping[str, Any] | None = None,
) -> Result:
    """Make the network of a record and check that it answers the task.

    Parameters
    ----------
    inputs
        The object and what is asked of every method.
    record
        The method.
    params
        The method's own parameters that the user gave.
    report
        List the edges and make the tables that the method has for users; without it all edges are compared.
    handed
        What the caller hands over beside them, such as features computed before; not recorded.

    Returns
    -------
    Result
        The network has every parameter of the method in ``params``, also those the method does not record itself, and
        ``layer``, ``use_raw`` and ``values`` as they were read.

    Raises
    ------
    NetworkError
        If the method returns no network, or edges between other genes or groups than those asked for, or reads other
        values than it was asked to, or gives tables that it did not declare.
    """
    asked = record.verified(params)
    inputs.need_matrix()
    with reads_of() as reads:
        check_ready(inputs, record, asked)
        arguments = with_chromatin_prior(inputs, asked)
        result = _result(inputs, record, arguments, handed or {}, report=report)
    check_answer(result, record, inputs)
    used = values_read(record, inputs.task, reads)
    tell_without_edges(result.network, inputs)
    given = {name: recordable(value) for name, value in arguments.items()}
    read = {"layer": used.layer, "use_raw": used.use_raw, "values": inputs.task.values, **reads.told}
    told = {**given, **result.network.params, **named_prior(asked, arguments), **read}
    return replace(result, network=result.network.replace(params=told))


def check_ready(inputs: Inputs, record: Method, arguments: Mapping[str, Any]) -> None:
    """Refuse an object without regions, counts or what else the record reads, before anything takes long."""
    if "regions" in record.needs:
        inputs.need_chromatin()
    if "counts" in record.needs:
        inputs.need_counts()
    need_chromatin_prior(inputs, arguments)
    if record.ready is not None:
        _called(record.ready, arguments, inputs)


def fit(adata: AnnData, record: Method, task: Task, params: Mapping[str, Any]) -> Network:
    """All edges of a record, neither listed nor checked: for repetitions on changed objects."""
    inputs = Inputs(adata, task)
    arguments = with_chromatin_prior(inputs, record.verified(params))
    return _result(inputs, record, arguments, {}, report=False).network


def fit_of_groups(inputs: Inputs, record: Method, params: Mapping[str, Any]) -> Callable[[Group], Any]:
    """The fit of a record that is called once per group, with what all groups share prepared: gives edges of a group.

    It may be called with any group of ``inputs``, also one whose sums were made elsewhere, as often as needed.
    """
    arguments = with_chromatin_prior(inputs, record.verified(params))
    extra = {"prepared": None if record.prepare is None else _called(record.prepare, arguments, inputs)}
    if not inputs.is_read:
        inputs.read_cells(min_cells=arguments["min_cells"])

    def fit_group(group: Group) -> Any:
        answer = _called(record.fit, arguments, group, extra=extra)
        return answer.edges if isinstance(answer, Fitted) else answer

    return fit_group


def _result(
    inputs: Inputs, record: Method, arguments: Mapping[str, Any], handed: Mapping[str, Any], *, report: bool
) -> Result:
    prepared = None if record.prepare is None else _called(record.prepare, arguments, inputs)
    extra = {**handed, "prepared": prepared}
    if record.by_group:
        answer: Any = _group_by_group(inputs, record, arguments, extra)
    else:
        answer = _called(record.fit, arguments, inputs, extra=extra)
    result = answer if isinstance(answer, Result) else Result(answer)
    if not isinstance(result.network, Network):
        raise NetworkError(
            f"method {record.name!r} returned {type(result.network).__name__}; fit must return a grn.Network or a "
            "grn.methods.Result."
        )
    if not report:
        return result
    network = with_direction(result.network, record, inputs, arguments)
    network = with_region(network, inputs, arguments.get("base_grn"))
    if record.report is not None:
        return _called(record.report, arguments, inputs, network, extra={**extra, "tables": result.tables})
    return replace(result, network=network)


def _called(
    function: Callable[..., Any], arguments: Mapping[str, Any], *inputs: Any, extra: Mapping[str, Any] | None = None
) -> Any:
    """Call a function of a record with those of the parameters that it names."""
    takes = inspect.signature(function).parameters
    return function(*inputs, **{name: value for name, value in {**arguments, **(extra or {})}.items() if name in takes})


def _group_by_group(inputs: Inputs, record: Method, arguments: Mapping[str, Any], extra: Mapping[str, Any]) -> Result:
    """Fit every group by itself and put the edges and the tables together."""
    cells = inputs.cells if inputs.is_read else inputs.read_cells(min_cells=arguments["min_cells"])
    base_grn = arguments.get("base_grn")
    chosen: dict[str, dict[str, Any]] = {}
    tables: dict[str, list[tuple[str, pd.DataFrame]]] = {}

    def fit_group(name: str, _: np.ndarray) -> Any:
        group = inputs.group(name, base_grn=base_grn)
        answer = _called(record.fit, arguments, group, extra=extra)
        if isinstance(answer, Fitted):
            for parameter, value in answer.params.items():
                chosen.setdefault(parameter, {})[name or "all"] = value
            for table, rows in answer.tables.items():
                tables.setdefault(table, []).append((name, rows))
            answer = answer.edges
        return None if answer is None else edges_of(answer, group, record.name)

    parts, provenance = cells.each(fit_group)
    _check_columns(parts, record)
    params = {**provenance, **chosen, "min_cells": inputs.min_cells}
    if record.takes_prior:
        params["base_grn"] = base_grn is not None
    tested = "pval" in parts[0][1]
    network = stacked(inputs.names, parts, params=params, signed=record.signed, tested=tested)
    return Result(network, {name: in_groups(listed) for name, listed in tables.items()})


def _check_columns(parts: Sequence[tuple[str, pd.DataFrame]], record: Method) -> None:
    """Refuse tables of groups that say different things of an edge."""
    first, columns = parts[0][0], set(parts[0][1])
    for group, table in parts:
        odd = sorted(map(str, columns ^ set(table)))
        if odd:
            raise NetworkError(
                f"method {record.name!r} returned {', '.join(odd)} for one of the groups {first!r} and {group!r} "
                "alone; fit returns the same columns for all groups."
            )
