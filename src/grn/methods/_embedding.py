"""Gene embeddings of a model, and the pair features made of them."""

from __future__ import annotations

import numpy as np

from grn._core.errors import GeneNameError
from grn.models import FoundationModel
from grn.models._protocol import need
from grn.pp._anndata import model_genes


def gene_embeddings(adata, model: FoundationModel) -> np.ndarray:
    """Embeddings (n_vars, d) float32; NaN rows for genes the model does not know."""
    need(model, "embedding", "the embedding probe")
    known = list(dict.fromkeys((*model.source_genes, *model.target_genes)))
    ids = model_genes(adata, model.gene_id_kind, vocabulary=known)
    rows = np.flatnonzero(ids != "")
    if len(set(ids[rows])) < len(rows):
        raise GeneNameError(
            "two genes of the object stand for one gene of the model; call grn.pp.align_genes(adata), which marks "
            "such rows as ambiguous."
        )
    parts = []
    for start in range(0, len(rows), model.max_genes):
        names = [ids[r] for r in rows[start : start + model.max_genes]]
        panel = model.panel(names, names)
        table = model.embed(panel).cpu().numpy()
        parts.append(table[panel.src_pos.cpu().numpy()])
    width = parts[0].shape[1] if parts else 1
    out = np.full((adata.n_vars, width), np.nan, dtype=np.float32)
    if parts:
        out[rows] = np.concatenate(parts)
    return out


def pair_sums(embeddings: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """E_i + E_j as a cube (n_vars targets, S, d) float32."""
    return embeddings[:, None, :] + embeddings[sources][None, :, :]
