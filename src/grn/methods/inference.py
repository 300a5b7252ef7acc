"""From a name and a question to an object that holds the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from anndata import AnnData

from grn._core.cluster import check_client
from grn._core.device import torch_threads
from grn._core.errors import GeneNameError, GeneOverlapError, ParameterError
from grn._core.logging import logger
from grn._object.container import check_target, target, validate
from grn._object.groups import label_codes
from grn.methods.environment import environment, jobs, provenance
from grn.methods.family import need_family
from grn.methods.genes import pair_genes
from grn.methods.inputs import named
from grn.methods.probes.stored_features import stored_features
from grn.methods.record import METHODS, Method, Result, Task
from grn.methods.runner import run
from grn.models import FoundationModel
from grn.network.provenance import with_params
from grn.network.schema import storable


def infer(
    adata: AnnData,
    method: str,
    *,
    model: str | FoundationModel,
    params: Mapping[str, Any] | None,
    key: str,
    device: str,
    n_jobs: int | None,
    progress: bool | None,
    copy: bool,
    **asked: Any,
) -> AnnData | None:
    """Run a method on an object and write what it gives; see :func:`grn.tl.infer_network`.

    ``asked`` are ``sources``, ``targets``, ``groupby``, ``layer``, ``use_raw``, ``values``, ``seed``, ``batch_size``
    and ``client`` of the task.
    """
    validate(adata)
    check_target(adata, copy=copy, key=key)
    record = METHODS[method]
    check_client(asked["client"])
    if params is not None and not isinstance(params, Mapping):
        raise ParameterError(f"params={params!r}; pass a dict by name, such as {{'translator': 'chip'}}.")
    arguments = dict(params or {})
    record.check(arguments)
    if asked["groupby"] is not None:
        label_codes(adata.obs, asked["groupby"])
    threads = jobs(n_jobs)
    task = Task(**environment(model if record.reads_model else None, device, progress), n_jobs=threads, **asked)
    task = named(adata, task)
    if record.family:
        need_family(task.model, record.family, method)
    if not record.reads_model and model != "mini":
        logger.warning("method %r reads the cells alone: it has no use for model=", method)
    if task.client is not None and not record.uses_client:
        logger.warning("method %r computes here: it has no use for client=", method)
    with torch_threads(threads):
        result = run(adata, record, task, arguments, handed=_features_before(adata, record, task, arguments))
    out = target(adata, copy=copy)
    _write(out, key, result, _described(result, out, record, task))
    logger.info("%s: %d edges in uns[%r]", method, len(result.network), key)
    return out if copy else None


def _features_before(adata: AnnData, record: Method, task: Task, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Features that the object holds already, for methods that can use them."""
    if not record.reuses:
        return {}
    features = stored_features(adata, task, arguments.get("context"))
    if features is None:
        return {}
    logger.info("%s: using the features stored before", record.name)
    return {"stored": features}


def _write(adata: AnnData, key: str, result: Result, params: Mapping[str, Any]) -> None:
    """Edges, provenance and tables into ``uns[key]``, weights between cells into ``obsp``."""
    for name, (weights, made) in result.graphs.items():
        adata.obsp[name] = weights
        adata.uns[name] = {"params": storable(dict(made))}
    with_params(result.network, params).write(adata, key)
    adata.uns[key].update({name: _stored(table) for name, table in result.tables.items()})


def _stored(table: Any) -> Any:
    return storable(table) if isinstance(table, Mapping) else table


def _matched(adata: AnnData, task: Task) -> dict[str, Any]:
    """The genes asked for, and what the model knows of them where the method reads one."""
    if task.model is None:
        return {"sources": task.sources, "targets": task.targets}
    try:
        genes = pair_genes(adata, task.model, task.sources, task.targets)
    except (GeneNameError, GeneOverlapError):
        return {"sources": task.sources, "targets": task.targets}
    return {
        "targets": task.targets,
        "sources": np.asarray(adata.var_names, dtype=str)[genes.sources],
        "n_unknown": len(genes.unknown),
        "unknown": genes.unknown,
        "lost_sources": genes.lost_sources,
    }


def _described(result: Result, adata: AnnData, record: Method, task: Task) -> dict[str, Any]:
    """Everything that is told of a network."""
    params = {
        **result.network.params,
        "method": record.name,
        **provenance(task.model),
        "groupby": task.groupby,
        "seed": task.seed,
        "n_genes": adata.n_vars,
        **_matched(adata, task),
    }
    if task.groupby is not None:
        groups, codes = label_codes(adata.obs, task.groupby)
        params["n_cells"] = dict(zip(groups, np.bincount(codes).tolist(), strict=True))
    return params
