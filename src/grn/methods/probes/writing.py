"""From features of a probe into the object: ``varm``, ``uns`` and their provenance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from grn._core.device import torch_threads
from grn._object.container import check_target, target
from grn._object.expression import reads_of
from grn.methods.environment import jobs, provenance
from grn.methods.probes.features import PairFeatures, Request
from grn.models import FoundationModel
from grn.network.schema import storable

if TYPE_CHECKING:
    from anndata import AnnData


def run_probe(
    adata: AnnData,
    read: Callable[[], Mapping[str, PairFeatures]],
    request: Request,
    *,
    n_jobs: int | None,
    copy: bool,
    params: Mapping[str, Any],
) -> AnnData | None:
    """Compute features, then put each cube into ``varm[key]`` and its axes and provenance into ``uns[key]``.

    Features that went to a store stay there; ``uns[key]`` names its folder.
    Nothing is written before everything is computed. ``params`` are the arguments of the public function; the
    baseline of virtual cells is added to them.
    """
    check_target(adata, copy=copy)
    with torch_threads(jobs(n_jobs)), reads_of() as reads:
        found = read()
    out = target(adata, copy=copy)
    given = {
        **params,
        "sources": request.sources,
        "targets": request.targets,
        "order": request.order,
        "context": request.context,
        "groupby": request.groupby,
        "layer": request.layer,
        "use_raw": request.use_raw,
        "values": request.values,
        **reads.told,
        "baseline": request.model.value_scale.baseline,
    }
    entries = {key: feature_entry(out, cube, request.model, given) for key, cube in found.items()}
    for key, cube in found.items():
        if cube.store is None:
            out.varm[key] = cube.values
        elif key in out.varm:  # what an earlier call left
            del out.varm[key]
        out.uns[key] = entries[key]
    return out if copy else None


def feature_entry(
    adata: AnnData, found: PairFeatures, model: FoundationModel, params: Mapping[str, Any]
) -> dict[str, Any]:
    """What ``uns[key]`` says about a feature cube."""
    names = np.asarray(adata.var_names, dtype=str)
    entry: dict[str, Any] = {
        "sources": names[found.sources],
        "grid": np.asarray(found.grid, dtype=np.float64),
        "value_scale": model.value_scale.name,
        "unknown": np.asarray(found.genes.unknown, dtype=str),
        "params": storable(
            {
                "function": found.feature,
                **params,
                **provenance(model),
                **gene_counts(names, found),
                "max_genes": model.max_genes,
            }
        ),
    }
    if found.groups != ("",):
        entry["groups"] = np.array(found.groups, dtype=str)
    if found.store is not None:
        entry |= {"store": str(found.store), "store_sha256": found.store_sha256}
    return entry


def gene_counts(names: Sequence[str] | np.ndarray, found: PairFeatures) -> dict[str, int]:
    """How many genes took part."""
    return {
        "n_genes": len(names),
        "n_sources": len(found.sources),
        "n_targets": len(found.genes.targets),
        "n_unknown": len(found.genes.unknown),
        "n_lost_sources": len(found.genes.lost_sources),
    }
