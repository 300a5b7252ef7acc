"""Attention of targets to sources, averaged over real cells."""

from __future__ import annotations

import numpy as np
import torch

from grn._core.errors import ParameterError
from grn._core.logging import progress
from grn._core.rng import sample_names
from grn.methods._features import PairFeatures, Request
from grn.methods._genes import PairGenes, pair_genes, panels
from grn.models import Moments, Panel
from grn.models._protocol import need
from grn.pp._anndata import expression, groups


def attention(adata, request: Request, *, max_cells: int, seed: int) -> PairFeatures:
    """Attention from target (query) to source (key) per layer and head, mean over cells.

    Cells are drawn by the hash of their names, at most ``max_cells`` per group. Without cells the virtual
    baseline cell is read.
    """
    need(request.model, "attention", "the attention probe")
    if isinstance(max_cells, bool) or not isinstance(max_cells, int) or max_cells < 1:
        raise ParameterError(f"max_cells={max_cells!r}; pass a positive integer.")
    genes = pair_genes(adata, request.model, request.sources, request.targets)
    names, cells = _cells(adata, request, max_cells, seed)
    slot = {row: i for i, row in enumerate(genes.sources)}
    out: np.ndarray | None = None
    m = 0
    parts = panels(request.model, genes)
    work = [(g, part) for part in parts for g in range(len(names))]
    for group, (panel, src, tgt) in progress(work, desc="attention", show=request.show):
        block = _mean_attention(request, panel, cells[group], genes)
        if out is None:
            m = block.shape[-1]
            out = np.full((adata.n_vars, len(genes.sources), m * len(names)), np.nan, dtype=np.float32)
        out[np.ix_(tgt, [slot[r] for r in src], range(group * m, (group + 1) * m))] = block
    if out is None:
        raise ParameterError("there is no pair of genes to read; pass sources and targets known to the model.")
    out[genes.sources, np.arange(len(genes.sources))] = np.nan
    return PairFeatures(out, genes.sources, np.arange(m, dtype=np.float32), names, genes, "attention")


def _cells(adata, request: Request, max_cells: int, seed: int) -> tuple[tuple[str, ...], list]:
    """Group names and, per group, rows of log-normalised expression with the moments of the data set."""
    if adata.n_obs == 0 and request.groupby is None:
        return ("",), [None]
    values = expression(adata, layer=request.layer, use_raw=request.use_raw)
    reference = Moments(*values.moments())
    found = [("", np.ones(adata.n_obs, dtype=bool))] if request.groupby is None else groups(adata, request.groupby)
    cells = []
    for _, mask in found:
        rows = np.flatnonzero(mask)
        drawn = sample_names([str(adata.obs_names[r]) for r in rows], max_cells, seed)
        cells.append((values.rows(rows[drawn]), reference))
    return tuple(name for name, _ in found), cells


def _mean_attention(request: Request, panel: Panel, cells, genes: PairGenes) -> np.ndarray:
    model = request.model
    if cells is None:
        device = getattr(model, "device", torch.device("cpu"))
        values = torch.full((1, len(panel)), model.value_scale.baseline, device=device)
    else:
        column = {gene: i for i, gene in enumerate(genes.ids) if gene}
        columns = np.array([column[g] for g in panel.genes])
        rows, reference = cells
        moments = Moments(reference.mean[columns], reference.std[columns])
        values = model.encode_cells(rows[:, columns], panel.genes, reference=moments)
    total: torch.Tensor | None = None
    with torch.no_grad():
        for part in values.split(max(1, request.batch(panel) // 4)):
            maps = model.attention(panel, part)[..., panel.tgt_pos, :][..., panel.src_pos].sum(0)
            total = maps if total is None else total + maps
    if total is None:
        raise ParameterError("a group without cells cannot be read.")
    return (total / len(values)).flatten(0, 1).permute(1, 2, 0).cpu().numpy()
