"""Gene embeddings of a model, and the pair features made of them."""

from __future__ import annotations

import numpy as np

from grn._core.errors import GeneNameError
from grn.methods.inputs import Inputs
from grn.models import FoundationModel
from grn.models.protocol import need


def gene_embeddings(inputs: Inputs) -> np.ndarray:
    """Embeddings (n_vars, d) float32; NaN rows for genes the model does not know."""
    model = inputs.task.model
    need(model, "embedding", "the embedding probe")
    ids = inputs.model_ids
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
        # a gene may be known as a source only, or as a target only
        row = {gene: i for i, gene in enumerate(panel.genes)}
        parts.append(model.embed(panel).cpu().numpy()[[row[name] for name in names]])
    width = parts[0].shape[1] if parts else 1
    out = np.full((len(ids), width), np.nan, dtype=np.float32)
    if parts:
        out[rows] = np.concatenate(parts)
    return out


def pair_sums(embeddings: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """E_i + E_j as a cube (n_vars targets, S, d) float32."""
    return embeddings[:, None, :] + embeddings[sources][None, :, :]


def _halves(embeddings: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """The source half of i beside the target half of j (n_vars targets, S, d): for models with a table for each."""
    half = embeddings.shape[1] // 2
    shape = (len(embeddings), len(sources), half)
    first = np.broadcast_to(embeddings[sources, :half][None], shape)
    second = np.broadcast_to(embeddings[:, None, half:], shape)
    return np.concatenate([first, second], axis=-1)


def pairing(model: FoundationModel) -> str:
    """How a model's embeddings are joined: ``"sum"``, or ``"halves"`` where sources and targets have own tables."""
    return str(getattr(model, "pair_embedding", "sum"))


def pair_embeddings(embeddings: np.ndarray, sources: np.ndarray, how: str) -> np.ndarray:
    """What a translator of embeddings reads of every pair (n_vars targets, S, d), joined as :func:`pairing` says."""
    return (_halves if how == "halves" else pair_sums)(embeddings, sources)
