"""What is known of motifs in regions: scores of a scan, in the regions of an object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from grn._core.errors import RegionError
from grn._kernels.recovery import Rankings, rankings_of_scores
from grn._object.motif_hits import stored_scores


@dataclass(frozen=True, eq=False)
class Evidence:
    """Motifs in a universe of regions, each of which overlaps regions of the object.

    Parameters
    ----------
    motifs
        Names of the motifs (M,).
    names
        Names of the regions of the universe (U,).
    factors
        ``motif, factor, extended``, a row per motif and factor.
    place
        Regions of the object x universe (R, U) of 0 and 1; ``None`` if they are the same.
    scores
        Universe x motifs (U, M), nothing where there is no hit; ``None`` where only rankings are known.
    ranks
        Rankings of the universe; ``None`` where they are made of the scores.
    """

    motifs: np.ndarray
    names: np.ndarray
    factors: pd.DataFrame
    place: sparse.csr_matrix | None = None
    scores: sparse.csc_matrix | None = None
    ranks: Rankings | None = None

    @property
    def rankings(self) -> Rankings:
        """Rankings of the universe."""
        return rankings_of_scores(self.scores) if self.ranks is None else self.ranks

    def within(self, member: sparse.csr_matrix) -> sparse.csr_matrix:
        """Sets of regions of the object (S, R) as sets of the universe (S, U)."""
        return member if self.place is None else _binary(member @ self.place)

    def back(self, hits: sparse.csr_matrix) -> sparse.csr_matrix:
        """Hits in the universe (U, K) as hits in regions of the object (R, K)."""
        return hits if self.place is None else _binary(self.place @ hits)


def scanned(adata: AnnData, key: str) -> Evidence:
    """Scores of :func:`grn.pp.scan_motifs` that are above 0: a lower one says that a word is likelier by chance.

    Raises
    ------
    ResultNotFoundError
        If there are none under that key.
    RegionError
        If no region has a hit.
    MotifError
        If scores are NaN or infinite.
    """
    scores, names, factors = stored_scores(adata, key)
    scores = sparse.csc_matrix(scores, dtype=np.float64)
    scores.data = np.maximum(scores.data, 0)
    scores.eliminate_zeros()
    if not scores.nnz:
        raise RegionError(f"varm[{key!r}] has no hit of any motif in any region; scan with a larger pvalue.")
    regions = adata.var_names.to_numpy(dtype=object).astype(str)
    return Evidence(names, regions, factors.assign(extended=False), scores=scores)


def _binary(matrix: sparse.spmatrix) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix(matrix)
    matrix.data = np.ones_like(matrix.data)
    return matrix
