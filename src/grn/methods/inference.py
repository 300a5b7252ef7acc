"""From a name and a question to an object that holds the answer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from anndata import AnnData

from grn._core import checks
from grn._core.cluster import check_client
from grn._core.device import torch_threads
from grn._core.errors import CapabilityError, GeneNameError, GeneOverlapError
from grn._core.files import PathLike
from grn._core.logging import hint, logger
from grn.methods.inputs import Inputs, inputs_of
from grn.methods.provenance import provenance
from grn.methods.record import METHODS, Method, Result
from grn.methods.resume import cache_folder
from grn.methods.runner import run
from grn.models import FoundationModel
from grn.network.schema import storable


def infer(
    adata: AnnData,
    method: str,
    *,
    params: Mapping[str, Any] | None,
    key: str,
    n_jobs: int | None,
    progress: bool | None,
    copy: bool,
    model: str | FoundationModel = "mini",
    client: Any = None,
    device: str = "auto",
    cache: PathLike | None = None,
    **asked: Any,
) -> AnnData | None:
    """Run a method on an object and write what it gives; see :func:`grn.tl.infer_network`.

    ``asked`` are ``sources``, ``targets``, ``groupby``, ``layer``, ``use_raw``, ``values``, ``seed`` and
    ``batch_size`` of the task. ``cache`` is a folder for the parts of a long fit, see :mod:`grn.methods.resume`.
    """
    record = METHODS[method]
    if client is not None:
        check_client(client)
    arguments = checks.mapping("params", params, example="{'translator': 'chip'}")
    record.verified(arguments)  # refused before a model is loaded
    if client is not None and record.uses_client and record.devices and device == "auto":
        device = "cpu"  # its workers divide what one device would compute whole
    where = {"model": model if record.reads_model else None, "device": device, "n_jobs": n_jobs, "client": client}
    inputs = inputs_of(adata, record=record, **where, progress=progress, cache=cache_folder(cache), **asked)
    inputs.check_target(copy=copy, key=key)
    if inputs.task.groupby is not None:
        inputs.labels(inputs.task.groupby)
    check_model(record, inputs.task.model, model)
    if client is not None and (not record.uses_client or inputs.task.device is not None):
        there = "" if inputs.task.device is None else f" on {inputs.task.device!r}"
        logger.warning("method %r computes here%s: it has no use for client=", method, there)
    if cache is not None and not record.keeps_parts:
        logger.warning("method %r keeps no parts: cache= is not used", record.name)
    with torch_threads(inputs.task.n_jobs, needed=inputs.task.uses_torch):
        result = run(inputs, record, arguments, handed=_features_before(adata, record, inputs))
    out = inputs.target(copy=copy)
    _write(out, key, result, _described(result, inputs, record))
    logger.info("%s: %d edges in uns[%r]", method, len(result.network), key)
    if record.advice and len(result.network):
        hint("%s: %s", method, record.advice)
    return out if copy else None


def check_model(record: Method, loaded: FoundationModel | None, asked: str | FoundationModel) -> None:
    """Refuse a model of another family than the recipe reads; say where a model is not read at all."""
    if not record.reads_model and asked != "mini":
        logger.warning("method %r reads the cells alone: it has no use for model=", record.name)
    family = getattr(loaded, "family", None)
    if record.family and family != record.family:
        raise CapabilityError(
            f"method {record.name!r} reads models of the family {record.family}; {loaded.name!r} is "
            f"{family or 'another'}. Pass model=grn.models.load(PATH) with a checkpoint of {record.family}; see "
            "grn.models.available()."
        )


def _features_before(adata: AnnData, record: Method, inputs: Inputs) -> dict[str, Any]:
    """The way to features that the object holds already, for methods that can use them."""
    if not record.reuses:
        return {}
    from grn.methods.probes.stored_features import stored_features  # which loads torch

    return {"stored": partial(stored_features, adata, inputs)}


def _write(adata: AnnData, key: str, result: Result, params: Mapping[str, Any]) -> None:
    """Edges, provenance and tables into ``uns[key]``, weights between cells into ``obsp``, values into ``layers``."""
    for name, (weights, made) in result.graphs.items():
        adata.obsp[name] = weights
        adata.uns[name] = {"params": storable(dict(made))}
    for name, table in result.layers.items():
        adata.layers[f"{key}_{name}"] = table
    result.network.replace(params=params).write(adata, key)
    adata.uns[key].update({name: _stored(table) for name, table in result.tables.items()})


def _stored(table: Any) -> Any:
    return storable(table) if isinstance(table, Mapping) else table


def _matched(inputs: Inputs) -> dict[str, Any]:
    """The genes asked for, and what the model knows of them where the method reads one."""
    asked = {"sources": inputs.task.sources, "targets": inputs.task.targets}
    if inputs.task.model is None:
        return asked
    try:
        genes = inputs.pairs
    except (GeneNameError, GeneOverlapError):
        return asked
    return {
        **asked,
        "sources": inputs.names[genes.sources],
        "n_unknown": len(genes.unknown),
        "unknown": genes.unknown,
        "lost_sources": genes.lost_sources,
    }


def _described(result: Result, inputs: Inputs, record: Method) -> dict[str, Any]:
    """Everything that is told of a network."""
    task = inputs.task
    params = {
        **result.network.params,
        "method": record.name,
        **provenance(task.model),
        "groupby": task.groupby,
        "seed": task.seed,
        "n_genes": len(inputs.names),
        **_matched(inputs),
    }
    if task.groupby is not None:
        groups, codes = inputs.labels(task.groupby)
        params["n_cells"] = dict(zip(groups, np.bincount(codes).tolist(), strict=True))
    return params
