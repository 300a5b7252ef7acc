"""Accessibility of regions, read a block of cells at a time."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from scipy import sparse

from grn._core.errors import RegionError
from grn._core.logging import logger
from grn._kernels import matrix
from grn._kernels.expression import log_normalize, seen
from grn._kernels.scan import scan
from grn._object.expression import label, select


class Accessibility:
    """Accessibility of all regions of an object, checked; nothing is densified as a whole.

    Counts become log1p of counts per 10 000 of the cell, as those of genes do; all else is taken as it is.

    Parameters
    ----------
    atac
        The object.
    layer
        Layer to read; ``None`` reads ``X``.

    Raises
    ------
    RegionError
        If values are missing, infinite or negative, or there are none.
    LayerError
        If there is no such layer.
    """

    def __init__(self, atac: AnnData, layer: str | None = None) -> None:
        source = select(atac, layer, use_raw=False)
        where = label(layer, use_raw=False).replace("adata", "mdata['atac']")
        if 0 in source.shape:
            raise RegionError(f"{where} has {source.shape[0]} cells and {source.shape[1]} regions; expected both.")
        read = scan(source)
        if read.n_nan or read.n_infinite or read.n_negative:
            raise RegionError(
                f"{where} holds {read.n_nan} NaN, {read.n_infinite} infinite and {read.n_negative} negative values; "
                "expected counts of fragments, or accessibility that is not scaled. Pass the layer that has them."
            )
        if not read.high > 0:
            raise RegionError(f"{where} holds only zeros: no region is open in any cell; pass the layer with counts.")
        self._source = matrix.by_rows(source)
        if self._source.axis == 1:
            logger.warning(
                "%s is stored by regions (CSC) and not in memory: all of it is read for every block of cells; store it "
                "by cells: atac = atac.to_memory(); atac.X = atac.X.tocsr()",
                where,
            )
        self._totals = read.totals
        self.is_counts = read.integer
        self.n_cells, self.n_regions = source.shape

    def rows(self, positions: np.ndarray) -> sparse.csr_array:
        """Values of some cells, CSR float64 (k, R), by position."""
        block = sparse.csr_array(matrix.take(self._source, positions))
        return log_normalize(block, self._totals[positions]) if self.is_counts else block

    def open_cells(self, codes: np.ndarray) -> np.ndarray:
        """Number of cells of every group in which a region is open (n_groups, R); -1 is no group."""
        return seen(self._source, codes, int(codes.max()) + 1)
