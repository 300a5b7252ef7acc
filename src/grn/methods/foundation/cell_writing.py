"""From readings of cells into the object: ``obsm``, ``obs``, ``layers``, ``uns`` and their provenance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core.device import torch_threads
from grn._core.errors import ParameterError
from grn._core.names import check_key
from grn._object.container import check_target, target
from grn._object.expression import Reads, reads_of
from grn.methods.environment import jobs, provenance
from grn.methods.foundation.cell_readings import CellRequest, ShownCells, denoise, embed_cells, predict_labels
from grn.network.schema import storable

if TYPE_CHECKING:
    from anndata import AnnData


def write_embedding(
    adata: AnnData, request: CellRequest, *, readout: str | None, key: str | None, n_jobs: int | None, copy: bool
) -> AnnData | None:
    """Embed cells into ``obsm[key]``."""
    key = f"X_{request.model.name}_cells" if key is None else key  # uns["X_" + name] belongs to gene embeddings
    check_target(adata, copy=copy, key=key)
    with torch_threads(jobs(n_jobs)), reads_of() as reads:
        embeddings, cells = embed_cells(adata, request, readout=readout)
    params = {"readout": request.model.cell_readouts[0] if readout is None else readout}
    entry = _entry("embed_cells", request, cells, reads, params)
    out = target(adata, copy=copy)
    out.obsm[key] = embeddings
    out.uns[key] = entry
    return out if copy else None


def write_labels(
    adata: AnnData,
    request: CellRequest,
    *,
    classes: Sequence[str] | None,
    key: str,
    n_jobs: int | None,
    copy: bool,
) -> AnnData | None:
    """Predict labels into ``obs`` and their probabilities into ``obsm``, a slot for every class."""
    check_target(adata, copy=copy, key=key)
    with torch_threads(jobs(n_jobs)), reads_of() as reads:
        by_class, cells = predict_labels(adata, request, classes=classes)
    slots = {name: _slot(adata, key, name) for name in by_class}
    entry = _entry("predict_labels", request, cells, reads, {"classes": list(by_class)})
    entry["labels"] = {name: np.array(labels.names, dtype=str) for name, labels in by_class.items()}
    out = target(adata, copy=copy)
    for name, labels in by_class.items():
        code, top = labels.best()
        out.obs[slots[name]] = pd.Categorical.from_codes(code, categories=list(labels.names))
        out.obs[f"{slots[name]}_probability"] = top
        out.obsm[slots[name]] = labels.probabilities
    out.uns[key] = entry
    return out if copy else None


def write_denoised(
    adata: AnnData,
    request: CellRequest,
    *,
    genes: Sequence[str] | None,
    depth_factor: float,
    key: str,
    n_jobs: int | None,
    copy: bool,
) -> AnnData | None:
    """Denoise counts into ``layers[key]``."""
    check_target(adata, copy=copy, key=key)
    with torch_threads(jobs(n_jobs)), reads_of() as reads:
        counts, cells = denoise(adata, request, genes=genes, depth_factor=depth_factor)
    asked = None if genes is None else [str(gene) for gene in genes]
    entry = _entry("denoise", request, cells, reads, {"genes": asked, "depth_factor": float(depth_factor)})
    entry["genes"] = np.asarray(adata.var_names[cells.columns], dtype=str)
    out = target(adata, copy=copy)
    out.layers[key] = counts
    out.uns[key] = entry
    return out if copy else None


def _entry(
    function: str, request: CellRequest, cells: ShownCells, reads: Reads, params: dict[str, Any]
) -> dict[str, Any]:
    """What ``uns`` says of a reading: genes the model does not know, and provenance."""
    given = {
        "function": function,
        **params,
        "layer": request.layer,
        "use_raw": request.use_raw,
        "values": request.values,
        **reads.told,
        "max_genes": request.max_genes,
        **provenance(request.model),
        "n_shown": len(cells.genes),
        "n_unknown": len(cells.unknown),
    }
    return {"unknown": cells.unknown, "params": storable(given)}


def _slot(adata: AnnData, key: str, name: str) -> str:
    """Name of the column of a class."""
    slot = f"{key}_{name}"
    try:
        check_key(slot)
    except ParameterError as error:
        raise ParameterError(
            f"the class {name!r} of the checkpoint makes {slot!r}, which no file keeps; leave it out by classes=."
        ) from error
    return slot
