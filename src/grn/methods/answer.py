"""No answer to another question: what a method gives back against what it was asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from grn._core.errors import NetworkError
from grn._core.logging import logger, some
from grn._object.expression import argument_of
from grn.methods.inputs import Inputs
from grn.methods.record import Method, Result, Task
from grn.network import Network


def check_answer(result: Result, record: Method, inputs: Inputs) -> None:
    """Refuse genes and groups that were not asked for, tables not declared, layers that fit no cells and genes."""
    _check_genes(result.network, record, inputs)
    _check_groups(result.network, record, inputs)
    for name, table in result.tables.items():
        _check_table(name, table, record)
    for name, table in result.layers.items():
        _check_layer(name, np.shape(table), record, inputs)


def _check_genes(network: Network, record: Method, inputs: Inputs) -> None:
    edges, task = network._edges, inputs.task
    for side, what, asked in (("source", "sources", task.sources), ("target", "targets", task.targets)):
        there = edges[side].cat.categories[np.unique(edges[side].cat.codes)].astype(str)
        allowed = inputs.names if asked is None else np.asarray(list(asked), dtype=str)
        strange = there[~np.isin(there, allowed)]
        if len(strange):
            told = f"{what} of this object" if asked is None else f"the {what} asked for (task.{what})"
            raise NetworkError(
                f"method {record.name!r} returned {len(strange)} genes that are not among {told}: "
                f"{', '.join(strange[:5])}. A method keeps to the sources and targets that it is given."
            )


def _check_groups(network: Network, record: Method, inputs: Inputs) -> None:
    there, task = list(network.groups), inputs.task
    if task.groupby is None:
        if there:
            raise NetworkError(
                f"method {record.name!r} returned groups ({', '.join(there[:5])}), but groupby= was not given."
            )
        return
    known = inputs.group_names
    strange = [group for group in there if group not in known]
    if strange or (len(network) and not there):
        told = f"groups {', '.join(map(repr, strange[:5]))}" if strange else "one network without groups"
        raise NetworkError(
            f"method {record.name!r} returned {told}, but groupby={task.groupby!r} asks for one network for each of "
            f"{', '.join(known[:5])}. A method that cannot tell groups apart is called without groupby=."
        )


def _check_table(name: str, table: object, record: Method) -> None:
    schema = record.tables.get(name)
    if schema is None:
        raise NetworkError(
            f"method {record.name!r} returned a table {name!r} that it does not declare; declared are: "
            f"{', '.join(record.tables) or 'none'}. Pass Method(tables={{{name!r}: Table(...)}})."
        )
    if isinstance(table, pd.DataFrame):
        lacking = [column for column in schema.columns if column not in table]
        if lacking:
            raise NetworkError(f"table {name!r} of method {record.name!r} lacks the column(s) {', '.join(lacking)}.")
    elif schema.columns or not isinstance(table, Mapping):
        raise NetworkError(
            f"table {name!r} of method {record.name!r} is a {type(table).__name__}; expected "
            f"{'a DataFrame' if schema.columns else 'a DataFrame or a mapping of arrays'}."
        )


def _check_layer(name: str, shape: tuple[int, ...], record: Method, inputs: Inputs) -> None:
    wanted = (inputs.n_cells, len(inputs.names))
    if shape != wanted:
        raise NetworkError(f"layer {name!r} of method {record.name!r} is {shape}; expected (cells, genes), {wanted}.")


def values_read(record: Method, task: Task, reads: Sequence[tuple[str | None, bool]]) -> Task:
    """The task with the layer that was read; an error if it is not the one asked for."""
    if (task.layer is None and not task.use_raw) or (task.layer, task.use_raw) in reads:
        return task
    asked = argument_of(task.layer, use_raw=task.use_raw)
    if reads or "cells" in record.needs:
        raise NetworkError(
            f"method {record.name!r} was asked for {asked} and read other values; a method reads cells "
            "through what it is given, grn.methods.Group or grn.methods.Inputs."
        )
    logger.warning("method %r reads no cells here: it has no use for %s", record.name, asked)
    return replace(task, layer=None, use_raw=False)


def tell_without_edges(network: Network, inputs: Inputs) -> None:
    """Warn of sources and targets asked for that have no edge, unless it was said that the model lacks them.

    Of a network without any edge in any case.

    Parameters
    ----------
    network
        What was made.
    inputs
        What was asked: names in ``sources`` and ``targets``; ``None`` and all genes of the object name none.
    """
    edges, task = network._edges, inputs.task
    sides = {"sources": (edges["source"], task.sources), "targets": (edges["target"], task.targets)}
    lost = {
        what: [] if len(set(asked or ())) == len(inputs.names) else _absent(set(column.unique()), asked)
        for what, (column, asked) in sides.items()
    }
    if task.model is not None and any(lost.values()):
        genes = inputs.pairs
        lost["sources"] = [name for name in lost["sources"] if name not in set(genes.lost_sources)]
        lost["targets"] = [name for name in lost["targets"] if name not in set(genes.lost_targets)]
    # a gene has no edge to itself
    lost["targets"] = [name for name in lost["targets"] if set(map(str, task.sources or ())) != {name}]
    lost["sources"] = [name for name in lost["sources"] if set(map(str, task.targets or ())) != {name}]
    for what, names in lost.items():
        if names:
            asked = len(set(sides[what][1] or ()))
            logger.warning("%d of %d %s asked for have no edge: %s", len(names), asked, what, some(names))
    if edges.empty:
        logger.warning("the network has no edges; pass more sources= or targets=, or looser limits of the method")


def _absent(there: Collection[str], asked: Sequence[str] | None) -> list[str]:
    return [name for name in dict.fromkeys(map(str, asked or ())) if name not in there]
