"""Topics of open regions as sets of regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core import checks
from grn._core.errors import ParameterError, RegionError
from grn._core.logging import hint, logger
from grn._core.rng import RNGLike, child, sample_names, seed_of
from grn._kernels.matrix import pieces
from grn._kernels.matrix_parts import positions
from grn._kernels.topics import Topics, factorise, otsu, tf_idf
from grn._object.container import check_target, target, validate
from grn._object.expression import select
from grn._object.groups import cell_names
from grn.cistromes.sets import store_sets
from grn.genome import parse_regions

if TYPE_CHECKING:
    from anndata import AnnData

    from grn._kernels.matrix_parts import Source


def write_topics(
    adata: AnnData,
    *,
    n_topics: int,
    max_regions: int | None,
    max_iter: int,
    layer: str | None,
    key_added: str,
    rng: RNGLike,
    copy: bool,
) -> AnnData | None:
    """Find topics and write them and their regions; see :func:`grn.tl.topics`."""
    validate(adata, modality="atac")
    check_target(adata, copy=copy, key=key_added)
    checks.integer("n_topics", n_topics, least=1)
    checks.integer("max_iter", max_iter, least=1)
    if max_regions is not None:
        checks.integer("max_regions", max_regions, least=1, note=", or None for a threshold of Otsu")
    parse_regions(adata.var_names)
    seed = seed_of(rng)
    if n_topics > min(adata.shape):
        raise ParameterError(f"n_topics={n_topics}; of {adata.n_obs} cells and {adata.n_vars} regions there are fewer.")
    regions = adata.var_names.to_numpy(dtype=object).astype(str)
    topics = named_topics(select(adata, layer, use_raw=False), cell_names(adata), regions, n_topics, seed, max_iter)
    if not topics.converged:
        hint("the topics had not settled after %d rounds; pass a larger max_iter", max_iter)
    table = _table(topics.regions, regions, max_regions)
    empty = n_topics - table["set"].nunique()
    if empty:
        hint("%d of %d topics have no regions: fewer are enough", empty, n_topics)
    out = target(adata, copy=copy)
    out.obsm[f"X_{key_added}"] = topics.cells.astype(np.float32)
    out.varm[key_added] = topics.regions.astype(np.float32)
    params = {"n_topics": n_topics, "max_regions": max_regions, "max_iter": max_iter, "layer": layer, "rng": seed}
    store_sets(out, table, {"method": "topics", **params}, key=key_added)
    logger.info("wrote %d regions of %d topics to uns[%r]", len(table), table["set"].nunique(), key_added)
    return out if copy else None


def named_topics(
    source: Source, cells: np.ndarray, regions: np.ndarray, n_topics: int, seed: int, max_iter: int
) -> Topics:
    """Topics of cells and regions that depend on their names, and not on their order."""
    rows = np.array(sample_names(cells.tolist(), len(cells), seed))
    columns = np.argsort(regions)
    matrix = _binary(source, columns)[rows]
    if not matrix.nnz:
        raise RegionError("no value is above zero; expected fragments per cell and region.")
    topics = factorise(tf_idf(matrix), n_topics, seed=int(child(seed, "topics").integers(2**31)), max_iter=max_iter)
    back, there = np.argsort(rows), np.argsort(columns)
    return Topics(topics.cells[back], topics.regions[there], topics.converged)


def _binary(source: Source, columns: np.ndarray) -> sparse.csr_matrix:
    """Open regions of all cells, in another order of regions, as float32."""
    place = np.argsort(columns)  # where a region goes to
    rows, others = [], []
    for piece in pieces(source):
        block = sparse.coo_matrix(piece.values)
        above = block.data > 0
        rows.append(positions(piece.rows, source.shape[0])[block.row[above]].astype(np.int32))
        others.append(place[positions(piece.columns, source.shape[1])[block.col[above]]].astype(np.int32))
    at = (np.concatenate(rows), np.concatenate(others)) if rows else (np.zeros(0, int), np.zeros(0, int))
    return sparse.csr_matrix((np.ones(len(at[0]), dtype=np.float32), at), shape=source.shape)


def _table(shares: np.ndarray, regions: np.ndarray, max_regions: int | None) -> pd.DataFrame:
    """Regions of every topic (R, K), those with the largest shares first."""
    parts = []
    for number, share in enumerate(shares.T):
        order = np.lexsort([regions, -share])
        chosen = order[:max_regions] if max_regions is not None else order[share[order] >= otsu(share)]
        chosen = chosen[share[chosen] > 0]
        part = {"set": f"topic_{number + 1}", "region": regions[chosen].astype(object), "score": share[chosen]}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)
