"""Arguments that every probe takes: their documentation, their checks, their way into the object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from grn._core.device import resolve_device, torch_threads
from grn._core.settings import settings
from grn.methods._features import PairFeatures, Request
from grn.models import FoundationModel, load
from grn.network._schema import storable
from grn.pp._anndata import check_target, target
from grn.pp._expression import reads_of

if TYPE_CHECKING:
    from anndata import AnnData

SNIPPETS = {
    "adata": """
        adata
            Annotated matrix (cells, genes). Names of genes may be symbols, Ensembl ids or mouse symbols, see
            ``grn.pp.align_genes``.
        """,
    "pairs": """
        model
            Foundation model: a name from ``grn.models.available()``, a path, or a model.
        sources
            Regulators (list of ``var_names``, or of symbols in a column of ``var`` beside them); by default the genes
            marked in ``var["is_regulator"]``, or, without that column, those in the embedded list of transcription
            factors.
        targets
            Targets (as ``sources``); all genes by default. Rows of others, and of features that are no genes, are NaN.
        """,
    "order": """
        order
            Genes (list of ``var_names``) in the order in which the model is shown them, each source and target among
            them once; by default that of the model's vocabulary, whatever the order of the object. It matters to
            models with positions, GeneCompass and Geneformer, for which the place of a gene is its rank of expression.
        """,
    "cells": """
        layer
            Layer with counts or log-normalised values; ``None`` reads ``X``.
        use_raw
            Read ``.raw`` instead of ``X``.
        values
            What the values are: ``"counts"``, ``"linear"`` (normalised, or counts with fractions) or ``"log"``;
            ``"auto"`` finds out, see ``grn.pp.check_expression``, and warns where it is in doubt.
        """,
    "far": """
        store
            Folder for features that are too large for memory: a zarr group, written regulator by regulator. A call
            that was interrupted goes on where it stopped, when it is made again, and makes anew what is damaged; other
            arguments, another model or other genes need another folder. Nothing goes into ``varm`` then;
            ``uns[key_added]`` names the folder (``store``) and the hash of its manifest (``store_sha256``), and
            ``grn.get.features`` reads from it.
            ``None`` keeps features in memory.
        client
            ``dask.distributed.Client``: its workers compute, with the same numbers. ``None`` computes here.
        """,
    "client": """
        client
            ``dask.distributed.Client``: its workers do the work of the method, with the same numbers. ``None`` computes
            here, as do methods that read embeddings only; they say so in the log.
        """,
    "run": """
        batch_size
            Virtual cells per pass; decided from ``grn.settings.memory_budget`` by default. Changes speed only.
        device
            ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        n_jobs
            Torch threads; -1 for all cores, ``None`` leaves torch's choice.
        progress
            Show a progress bar; by default only on a terminal or in a notebook.
        copy
            Return a new object instead of writing into ``adata``.
        """,
    "raises": """
        GeneNameError
            If gene names are duplicated or empty, or ``sources``/``targets`` are not in ``var_names``.
        GeneOverlapError
            If the model knows none of the sources or targets.
        CapabilityError
            If the model does not offer the probe.
        ParameterError
            If an argument is out of its range.
        """,
    "raises_far": """
        StorageError
            If the folder of ``store`` cannot be written; told before anything is computed.
        """,
    "uns": """
        ``uns[key_added]``
            Dict: ``sources`` (names along axis 1), ``grid`` (values along axis 2), ``value_scale``, ``unknown``
            (genes the model does not know), ``params`` (every argument, the model's name and sha256, the package
            version), and ``groups`` when read per group.
        """,
}


def environment(model: FoundationModel | str | Any, device: str, progress: bool | None) -> dict[str, Any]:  # noqa: FBT001
    """The model, if any, on its device, the budgets and whether to show progress: arguments first, then settings."""
    found = resolve_device(settings.device if device == "auto" else device)
    loaded = None if model is None else load(model).to(found)
    show = settings.progress if progress is None else progress
    return {
        "model": loaded,
        "memory_budget": settings.memory_budget,
        "feature_budget": settings.feature_budget,
        "show": show,
    }


def jobs(n_jobs: int | None) -> int | None:
    """The number of threads asked for, else the setting."""
    return settings.n_jobs if n_jobs is None else n_jobs


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


def provenance(model: FoundationModel | None) -> dict[str, str]:
    """What made a result: model and weights, if any, and the package."""
    from grn import __version__

    if model is None:
        return {"grn_version": __version__}
    return {"model": model.name, "model_sha256": model.sha256, "grn_version": __version__}


def gene_counts(names: Sequence[str] | np.ndarray, found: PairFeatures) -> dict[str, int]:
    """How many genes took part."""
    return {
        "n_genes": len(names),
        "n_sources": len(found.sources),
        "n_targets": len(found.genes.targets),
        "n_unknown": len(found.genes.unknown),
        "n_lost_sources": len(found.genes.lost_sources),
    }
