"""From readings of cells into the object: ``obsm``, ``obs``, ``layers``, ``uns`` and their provenance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core.device import torch_threads
from grn._core.errors import ParameterError
from grn._core.names import check_key
from grn._object.expression import Reads, reads_of
from grn.methods.foundation.cell_readings import ShownCells, denoise, embed_cells, predict_labels
from grn.methods.inputs import Inputs
from grn.methods.provenance import provenance
from grn.network.schema import storable

if TYPE_CHECKING:
    from anndata import AnnData


def write_embedding(
    inputs: Inputs, *, readout: str | None, max_genes: int | None, key: str | None, copy: bool
) -> AnnData | None:
    """Embed cells into ``obsm[key]``."""
    model = inputs.task.model
    key = f"X_{model.name}_cells" if key is None else key  # uns["X_" + name] belongs to gene embeddings
    inputs.check_target(copy=copy, key=key)
    with torch_threads(inputs.task.n_jobs), reads_of() as reads:
        embeddings, cells = embed_cells(inputs, readout=readout, max_genes=max_genes)
    params = {"readout": model.cell_readouts[0] if readout is None else readout}
    entry = _entry("embed_cells", cells, reads, params)
    out = inputs.target(copy=copy)
    out.obsm[key] = embeddings
    out.uns[key] = entry
    return out if copy else None


def write_labels(
    inputs: Inputs,
    *,
    classes: Sequence[str] | None,
    max_genes: int | None,
    key: str,
    copy: bool,
) -> AnnData | None:
    """Predict labels into ``obs`` and their probabilities into ``obsm``, a slot for every class."""
    inputs.check_target(copy=copy, key=key)
    with torch_threads(inputs.task.n_jobs), reads_of() as reads:
        by_class, cells = predict_labels(inputs, classes=classes, max_genes=max_genes)
    slots = {name: _slot(key, name) for name in by_class}
    entry = _entry("predict_labels", cells, reads, {"classes": list(by_class)})
    entry["labels"] = {name: np.array(labels.names, dtype=str) for name, labels in by_class.items()}
    out = inputs.target(copy=copy)
    for name, labels in by_class.items():
        code, top = labels.best()
        out.obs[slots[name]] = pd.Categorical.from_codes(code, categories=list(labels.names))
        out.obs[f"{slots[name]}_probability"] = top
        out.obsm[slots[name]] = labels.probabilities
    out.uns[key] = entry
    return out if copy else None


def write_denoised(
    inputs: Inputs,
    *,
    genes: Sequence[str] | None,
    depth_factor: float,
    key: str,
    copy: bool,
) -> AnnData | None:
    """Denoise counts into ``layers[key]``."""
    inputs.check_target(copy=copy, key=key)
    with torch_threads(inputs.task.n_jobs), reads_of() as reads:
        counts, cells = denoise(inputs, genes=genes, depth_factor=depth_factor)
    asked = None if genes is None else [str(gene) for gene in genes]
    entry = _entry("denoise", cells, reads, {"genes": asked, "depth_factor": float(depth_factor)})
    entry["genes"] = inputs.names[cells.columns]
    out = inputs.target(copy=copy)
    out.layers[key] = counts
    out.uns[key] = entry
    return out if copy else None


def _entry(function: str, cells: ShownCells, reads: Reads, params: dict[str, Any]) -> dict[str, Any]:
    """What ``uns`` says of a reading: genes the model does not know, and provenance."""
    task = cells.inputs.task
    given = {
        "function": function,
        **params,
        "layer": task.layer,
        "use_raw": task.use_raw,
        "values": task.values,
        **reads.told,
        "max_genes": cells.max_genes,
        **provenance(task.model),
        "n_shown": len(cells.genes),
        "n_unknown": len(cells.unknown),
    }
    return {"unknown": cells.unknown, "params": storable(given)}


def _slot(key: str, name: str) -> str:
    """Name of the column of a class."""
    slot = f"{key}_{name}"
    try:
        check_key(slot)
    except ParameterError as error:
        raise ParameterError(
            f"the class {name!r} of the checkpoint makes {slot!r}, which no file keeps; leave it out by classes=."
        ) from error
    return slot
