"""From features of a probe into the object: ``varm``, ``uns`` and their provenance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grn._core.device import torch_threads
from grn._core.errors import GeneOverlapError
from grn._core.files import output_folder
from grn._object.expression import reads_of
from grn.methods.inputs import Inputs
from grn.methods.probes.embedding import gene_embeddings, pairing
from grn.methods.probes.features import PairFeatures
from grn.methods.provenance import provenance
from grn.models import FoundationModel
from grn.network.schema import storable

if TYPE_CHECKING:
    from anndata import AnnData


def run_probe(
    inputs: Inputs,
    probe: Callable[..., PairFeatures | Mapping[str, PairFeatures]],
    slots: Mapping[str, str],
    *,
    arguments: Mapping[str, Any],
    store: str | Path | None = None,
    copy: bool,
    params: Mapping[str, Any] | None = None,
) -> AnnData | None:
    """Compute features, then put each cube into ``varm[key]`` and its axes and provenance into ``uns[key]``.

    Features that went to a store stay there; ``uns[key]`` names its folder.
    Nothing is written before everything is computed.

    Parameters
    ----------
    inputs
        Model, genes and cells.
    probe
        A function of :mod:`grn.methods.probes`, called with the inputs, its ``arguments`` and the ``store`` if any.
    slots
        The key of every feature that the probe gives.
    arguments
        What only this probe is asked; recorded, but for the grid, which has a place of its own.
    store
        Folder that features go to instead of memory.
    copy
        Write into a copy and return it.
    params
        What is recorded besides.
    """
    for key in slots.values():
        inputs.check_target(copy=copy, key=key)
    task = inputs.task
    place = {} if store is None else {"store": output_folder(store, name="store")}
    with torch_threads(task.n_jobs), reads_of() as reads:
        features = probe(inputs, **arguments, **place)
    cubes = {features.feature: features} if isinstance(features, PairFeatures) else features
    out = inputs.target(copy=copy)
    given = {
        "order": None,
        **{name: value for name, value in arguments.items() if name != "grid"},
        **(params or {}),
        "sources": task.sources,
        "targets": task.targets,
        "groupby": task.groupby,
        "layer": task.layer,
        "use_raw": task.use_raw,
        "values": task.values,
        **reads.told,
        "baseline": task.model.value_scale.baseline,
    }
    entries = {slots[name]: feature_entry(out, cube, task.model, given) for name, cube in cubes.items()}
    for name, cube in cubes.items():
        key = slots[name]
        if cube.store is None:
            out.varm[key] = cube.values
        elif key in out.varm:  # what an earlier call left
            del out.varm[key]
        out.uns[key] = entries[key]
    return out if copy else None


def write_gene_embeddings(inputs: Inputs, *, key: str | None, copy: bool) -> AnnData | None:
    """Embeddings of genes into ``varm[key]``; by default the key is named after the model."""
    inputs.check_target(copy=copy, key=key)
    model, table = inputs.task.model, gene_embeddings(inputs)  # (n_vars, d)
    known = ~np.isnan(table).all(axis=1)
    if not known.any():
        raise GeneOverlapError(
            f"{model.name!r} knows none of the {len(known)} genes; call grn.pp.align_genes(adata) to map the names."
        )
    out = inputs.target(copy=copy)
    key = f"X_{model.name}" if key is None else key
    out.varm[key] = table
    out.uns[key] = {
        "unknown": inputs.names[~known],
        "pair": pairing(model),
        "params": storable({"function": "embedding", **provenance(model), "n_unknown": int((~known).sum())}),
    }
    return out if copy else None


def feature_entry(
    adata: AnnData, cube: PairFeatures, model: FoundationModel, params: Mapping[str, Any]
) -> dict[str, Any]:
    """What ``uns[key]`` says about a feature cube."""
    names = np.asarray(adata.var_names, dtype=str)
    entry: dict[str, Any] = {
        "sources": names[cube.sources],
        "grid": np.asarray(cube.grid, dtype=np.float64),
        "value_scale": model.value_scale.name,
        "unknown": np.asarray(cube.genes.unknown, dtype=str),
        "params": storable(
            {
                "function": cube.feature,
                **params,
                **provenance(model),
                **gene_counts(names, cube),
                "max_genes": model.max_genes,
            }
        ),
    }
    if cube.groups != ("",):
        entry["groups"] = np.array(cube.groups, dtype=str)
    if cube.store is not None:
        entry |= {"store": str(cube.store), "store_sha256": cube.store_sha256}
    return entry


def gene_counts(names: Sequence[str] | np.ndarray, cube: PairFeatures) -> dict[str, int]:
    """How many genes took part."""
    return {
        "n_genes": len(names),
        "n_sources": len(cube.sources),
        "n_targets": len(cube.genes.targets),
        "n_unknown": len(cube.genes.unknown),
        "n_lost_sources": len(cube.genes.lost_sources),
    }
