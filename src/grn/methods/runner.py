"""Run a record: give it the question, and take no answer to another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from anndata import AnnData

from grn._core.errors import NetworkError
from grn._core.logging import logger
from grn._object.expression import argument_of, reads_of, select
from grn._object.genes import spelled
from grn._object.groups import group_codes
from grn.methods.edgeless import tell_without_edges
from grn.methods.record import Method, Task
from grn.network import Network
from grn.network.provenance import with_params

# what stands for a parameter that ``uns`` cannot keep
GIVEN = "given"


def run(
    adata: AnnData, record: Method, task: Task, params: Mapping[str, Any], *, extra: Mapping[str, Any] | None = None
) -> Network:
    """Make the network of a record and check that it answers the task.

    Parameters
    ----------
    adata
        The object.
    record
        The method.
    task
        What is asked of every method.
    params
        The method's own parameters that the user gave.
    extra
        What the caller hands over beside them, such as features computed before; not recorded.

    Returns
    -------
    Network
        With every parameter of the method in ``params``, also those the method does not record itself, and
        ``layer``, ``use_raw`` and ``values`` as they were read.

    Raises
    ------
    NetworkError
        If the method returns no network, or edges between other genes or groups than those asked for, or reads other
        values than it was asked to.
    """
    task = named(adata, task)
    if task.layer is not None or task.use_raw:
        select(adata, task.layer, use_raw=task.use_raw)
    with reads_of() as reads:
        network = record.fit(adata, task, **{**params, **(extra or {})})
    if not isinstance(network, Network):
        raise NetworkError(f"method {record.name!r} returned {type(network).__name__}; fit must return a grn.Network.")
    _check_genes(network, record, task, np.asarray(adata.var_names, dtype=str))
    _check_groups(network, record, task, adata)
    used = _values_read(record, task, reads)
    tell_without_edges(adata, network, task)
    own = {name: recordable(value) for name, value in {**record.parameters(), **params}.items()}
    read = {"layer": used.layer, "use_raw": used.use_raw, "values": task.values, **reads.told}
    return with_params(network, {**own, **network.params, **read})


def named(adata: AnnData, task: Task) -> Task:
    """The task with sources and targets as ``var_names``, where they were given by a symbol beside them."""
    sides = {side: getattr(task, side) for side in ("sources", "targets")}
    listed = {side: wanted for side, wanted in sides.items() if wanted is not None and not isinstance(wanted, str)}
    return replace(task, **{side: spelled(adata, wanted) for side, wanted in listed.items()})


def recordable(value: Any) -> Any:
    """A parameter as ``uns`` can keep it; ``"given"`` for tables, models and other objects."""
    if value is None or isinstance(value, bool | str | Real | np.bool_):
        return value
    if isinstance(value, Mapping):
        found = {name: recordable(item) for name, item in value.items()}
        keys = all(isinstance(name, str) and name for name in found)
        lost = [item for item in found.values() if isinstance(item, str) and item == GIVEN]
        return found if keys and not lost else GIVEN
    if isinstance(value, list | tuple | np.ndarray | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else list(value)
        if any(all(isinstance(item, kind) for item in items) for kind in (str, bool, Real)):
            return items
    return GIVEN


def _check_genes(network: Network, record: Method, task: Task, names: np.ndarray) -> None:
    edges = network._edges
    for side, what, asked in (("source", "sources", task.sources), ("target", "targets", task.targets)):
        there = edges[side].cat.categories[np.unique(edges[side].cat.codes)].astype(str)
        allowed = names if asked is None else np.asarray(list(asked), dtype=str)
        strange = there[~np.isin(there, allowed)]
        if len(strange):
            told = f"{what} of this object" if asked is None else f"the {what} asked for (task.{what})"
            raise NetworkError(
                f"method {record.name!r} returned {len(strange)} genes that are not among {told}: "
                f"{', '.join(strange[:5])}. A method keeps to the genes in grn.methods.cells_of(adata, task)."
            )


def _check_groups(network: Network, record: Method, task: Task, adata: AnnData) -> None:
    there = list(network.groups)
    if task.groupby is None:
        if there:
            raise NetworkError(
                f"method {record.name!r} returned groups ({', '.join(there[:5])}), but groupby= was not given."
            )
        return
    known = group_codes(adata, task.groupby, min_cells=0)[0]
    strange = [group for group in there if group not in known]
    if strange or (len(network) and not there):
        told = f"groups {', '.join(map(repr, strange[:5]))}" if strange else "one network without groups"
        raise NetworkError(
            f"method {record.name!r} returned {told}, but groupby={task.groupby!r} asks for one network for each of "
            f"{', '.join(known[:5])}. A method that cannot tell groups apart is called without groupby=."
        )


def _values_read(record: Method, task: Task, reads: Sequence[tuple[str | None, bool]]) -> Task:
    """The task with the layer that was read; an error if it is not the one asked for."""
    if (task.layer is None and not task.use_raw) or (task.layer, task.use_raw) in reads:
        return task
    asked = argument_of(task.layer, use_raw=task.use_raw)
    if reads or "cells" in record.needs:
        raise NetworkError(
            f"method {record.name!r} was asked for {asked} and read other values; a method reads cells with "
            "grn.methods.cells_of(adata, task), which gives those asked for."
        )
    logger.warning("method %r reads no cells here: it has no use for %s", record.name, asked)
    return replace(task, layer=None, use_raw=False)
