"""Gene programs: clusters of the graph of a model's gene embeddings, as the authors of scGPT find them.

Source: Cui et al., Nature Methods 2024, and the tutorial on gene networks of their repository.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from grn._core import checks
from grn._core.errors import GeneOverlapError, ParameterError
from grn._core.logging import hint
from grn._core.optional import require
from grn._kernels.neighbours import nearest
from grn.methods.inputs import Inputs
from grn.methods.probes.embedding import gene_embeddings
from grn.methods.provenance import provenance
from grn.models.protocol import need
from grn.network.schema import storable


def write_programs(
    inputs: Inputs,
    *,
    genes: Sequence[str] | None,
    n_neighbors: int,
    resolution: float,
    min_genes: int,
    seed: int,
    key: str,
    copy: bool,
) -> AnnData | None:
    """Find gene programs and write their table into ``uns[key]``, the program of every gene into ``var[key]``."""
    inputs.check_target(copy=copy, key=key)
    asked: dict[str, Any] = {
        "genes": None if genes is None or isinstance(genes, str) else [str(gene) for gene in genes],
        "n_neighbors": n_neighbors,
        "resolution": resolution,
        "min_genes": min_genes,
        "seed": seed,
    }
    programs = gene_programs(inputs, **{**asked, "genes": genes})
    params = {"function": "gene_programs", **asked, **provenance(inputs.task.model), "n_unknown": len(programs.unknown)}
    stored = storable(params)
    out = inputs.target(copy=copy)
    out.var[key] = programs.member
    out.uns[key] = {"programs": programs.table, "unknown": programs.unknown, "params": stored}
    return out if copy else None


@dataclass(frozen=True, eq=False)
class GenePrograms:
    """Programs of the genes of an object.

    Parameters
    ----------
    table
        ``program``, ``gene`` and ``similarity``, the cosine of a gene's embedding with the mean of its program; the
        largest programs first, in each the genes of highest similarity.
    member
        Program of every gene of the object (n_vars,), categorical; missing without one.
    unknown
        Genes the model does not know, of those asked for.
    """

    table: pd.DataFrame
    member: pd.Categorical
    unknown: np.ndarray


def gene_programs(
    inputs: Inputs,
    *,
    genes: Sequence[str] | None,
    n_neighbors: int,
    resolution: float,
    min_genes: int,
    seed: int,
) -> GenePrograms:
    """Cluster the genes of an object.

    Parameters
    ----------
    inputs
        A model with gene embeddings, and genes; no cell is read.
    genes
        Names of the genes to cluster; all by default.
    n_neighbors
        Neighbours of every gene in the graph, itself counted as scanpy does.
    resolution
        Of the modularity.
    min_genes
        Fewest genes of a program.
    seed
        Of the search for the best clusters.
    """
    _check(n_neighbors, resolution, min_genes)
    model, names = inputs.task.model, inputs.names
    need(model, "embedding", "grn.tl.gene_programs")
    require("igraph", extra="export", purpose="gene programs")
    rows = inputs.positions(genes, "genes")
    embeddings = gene_embeddings(inputs)  # (n_vars, d)
    known = ~np.isnan(embeddings[rows]).any(axis=1)
    unknown, rows = names[rows[~known]], rows[known]
    if len(rows) <= n_neighbors:
        raise GeneOverlapError(
            f"{model.name!r} knows {len(rows)} of the genes; a graph of n_neighbors={n_neighbors} needs more of them. "
            "Call grn.pp.align_genes(adata) to map the names, or pass fewer neighbours."
        )
    rows = rows[np.argsort(names[rows])]  # so that neither graph nor clusters know the order of the object
    codes = clusters(embeddings[rows], n_neighbors, resolution, seed)
    table = _programs(names[rows], embeddings[rows].astype(np.float64), codes, min_genes)
    lost = len(rows) - len(table)
    if lost:
        hint(
            "gene_programs: %d of %d genes are in clusters of fewer than min_genes=%d genes and in no program; a lower "
            "resolution= makes larger ones",
            *(lost, len(rows), min_genes),
        )
    program = dict(zip(table["gene"], table["program"], strict=True))
    member = pd.Categorical([program.get(name) for name in names], categories=table["program"].cat.categories)
    return GenePrograms(table, member, unknown)


class _Nearest:
    """Exact neighbours for scanpy, every point the first of its own; ties go by the order of the points."""

    def __init__(self, n_neighbors: int) -> None:
        self.n_neighbors = n_neighbors

    def get_params(self, *, deep: bool = True) -> dict[str, Any]:
        """As of estimators of scikit-learn."""
        return {"n_neighbors": self.n_neighbors}

    def fit_transform(self, X: np.ndarray) -> sparse.csr_matrix:
        """Distances (n, n) to the nearest points, in the order of the distances."""
        points = np.asarray(X, dtype=np.float64)
        near = np.column_stack([np.arange(len(points)), nearest(points, self.n_neighbors - 1)])  # (n, k)
        distances = np.stack([np.linalg.norm(points - points[column], axis=1) for column in near.T], axis=1)
        starts = np.arange(len(points) + 1) * self.n_neighbors
        return sparse.csr_matrix((distances.ravel(), near.ravel(), starts), shape=(len(points), len(points)))


def clusters(embeddings: np.ndarray, n_neighbors: int, resolution: float, seed: int) -> np.ndarray:
    """Cluster of every point (n,): Leiden on the neighbour graph that scanpy makes of embeddings (n, d)."""
    import scanpy

    points = AnnData(np.asarray(embeddings, dtype=np.float32))
    seed %= 2**31
    scanpy.pp.neighbors(points, use_rep="X", transformer=_Nearest(n_neighbors), random_state=seed)
    scanpy.tl.leiden(
        points, resolution, flavor="igraph", directed=False, n_iterations=-1, random_state=seed, key_added="program"
    )
    codes: np.ndarray = points.obs["program"].astype(int).to_numpy()
    return codes


def _programs(names: np.ndarray, embeddings: np.ndarray, codes: np.ndarray, min_genes: int) -> pd.DataFrame:
    """Table of the clusters that are large enough, named by their place among them."""
    members = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    members = [rows for rows in members if len(rows) >= min_genes]
    members.sort(key=lambda rows: (-len(rows), names[rows[0]]))
    parts = []
    for number, rows in enumerate(members):
        points, mean = embeddings[rows], embeddings[rows].mean(axis=0)
        cosine = points @ mean / np.maximum(np.linalg.norm(points, axis=1) * np.linalg.norm(mean), 1e-12)
        order = np.lexsort((names[rows], -cosine.round(6)))
        parts.append(pd.DataFrame({"program": str(number), "gene": names[rows][order], "similarity": cosine[order]}))
    if not parts:
        raise ParameterError(
            f"none of the {len(np.unique(codes))} clusters has min_genes={min_genes} genes; pass a lower resolution= "
            "or fewer min_genes."
        )
    table = pd.concat(parts, ignore_index=True)
    table["program"] = pd.Categorical(table["program"], categories=[str(i) for i in range(len(members))])
    table["similarity"] = table["similarity"].astype(np.float32)
    return table


def _check(n_neighbors: object, resolution: object, min_genes: object) -> None:
    checks.integer("n_neighbors", n_neighbors, least=2)
    checks.integer("min_genes", min_genes, least=1)
    checks.number("resolution", resolution, above=0, note="; larger ones make smaller programs")
