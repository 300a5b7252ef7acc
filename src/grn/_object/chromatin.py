"""Open chromatin beside the expression of the same cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from grn._core.errors import CellNameError, GrnError, LayerError, RegionError
from grn._core.logging import some
from grn._core.near import did_you_mean
from grn._kernels.expression import log_normalize
from grn._object.container import validate
from grn._object.motif_hits import stored_scores
from grn._object.region_links import links_of
from grn.genome import parse_regions
from grn.genome.hits import FactorHits, factor_hits
from grn.genome.regions import rows_of

# where the rows of cells in the other modality travel with the cells, so that whoever takes some of them takes it along
SLOT = "grn_chromatin"
_NEEDED = (
    "the method reads open chromatin, and {} Pass a MuData with expression in mdata['rna'] and regions of the same "
    "cells in mdata['atac'], or name other modalities by rna= and atac=."
)


class Regions:
    """A modality of open chromatin; copies of the cells share it.

    Parameters
    ----------
    atac
        The modality.
    name
        What it is called in its object.
    """

    def __init__(self, atac: AnnData, name: str) -> None:
        self.atac, self.name = atac, name
        self.aliases: Mapping[str, str] = {}
        self.exchanged: Mapping[str, str] = {}
        self.links_read = False

    def with_copies(self, aliases: Mapping[str, str]) -> Regions:
        """The same, where motifs of a factor are those of its alias too."""
        made = copy(self)
        made.aliases = aliases
        return made

    def __deepcopy__(self, memo: object) -> Regions:
        """Itself: copies of the cells share it."""
        return self

    def with_exchanged_genes(self, exchanged: Mapping[str, str]) -> Regions:
        """The same, where links of a gene are those of another one."""
        made = copy(self)
        made.exchanged = exchanged
        return made

    @cached_property
    def table(self) -> pd.DataFrame:
        """Regions as ``chrom, start, end``, in the order of the modality."""
        return parse_regions(self.atac.var_names)

    @cached_property
    def matrix(self) -> sparse.csr_matrix:
        """What is stored of all cells (n, R), in memory."""
        values = self.atac.X[:] if self.atac.isbacked else self.atac.X
        if values is None:
            raise LayerError(f"mdata[{self.name!r}].X is empty (None); put accessibility there.")
        if values.dtype == np.float16:  # which sparse matrices do not have
            values = values.astype(np.float32)
        matrix = sparse.csr_matrix(values)
        wrong = ~np.isfinite(matrix.data) | (matrix.data < 0)
        if wrong.any():
            raise RegionError(
                f"mdata[{self.name!r}].X holds {int(wrong.sum())} values that are negative, NaN or infinite; expected "
                "counts of fragments, or accessibility that is not scaled."
            )
        return matrix

    @cached_property
    def totals(self) -> np.ndarray | None:
        """Sum of every cell (n,) where all values are whole numbers, which are taken for counts; else ``None``."""
        if not bool((self.matrix.data == np.rint(self.matrix.data)).all()):
            return None
        totals: np.ndarray = np.asarray(self.matrix.sum(axis=1), dtype=np.float64).ravel()
        return totals


@dataclass(frozen=True)
class Chromatin:
    """Accessibility of regions in the cells of an object, in their order, and what was stored with the regions.

    Parameters
    ----------
    regions
        The modality.
    places
        Row of every cell in it (n_cells,).
    """

    regions: Regions
    places: np.ndarray

    @property
    def names(self) -> np.ndarray:
        """Names of the regions (R,)."""
        return np.asarray(self.regions.atac.var_names, dtype=str)

    @property
    def table(self) -> pd.DataFrame:
        """Regions as ``chrom, start, end``."""
        return self.regions.table

    def rows(self, positions: np.ndarray) -> sparse.csr_matrix:
        """What is stored of some cells (n, R), by position."""
        return self.regions.matrix[self.places[positions]]

    def openness(self, positions: np.ndarray, regions: np.ndarray | None = None) -> sparse.csr_matrix:
        """Log-normalised counts of some cells (n, R), or what is stored where that is no counts.

        ``regions`` are the positions of those asked for, all by default.
        """
        block = self.rows(positions) if regions is None else self.rows(positions)[:, regions]
        totals = self.regions.totals
        return block if totals is None else log_normalize(block, totals[self.places[positions]])

    def hits(self, key: str = "motifs") -> tuple[sparse.csr_matrix, pd.DataFrame]:
        """Scores of motif hits (R, M), and the factors of the motifs as ``motif, factor``."""
        scores, _, factors = stored_scores(self.regions.atac, key, where=f"mdata[{self.regions.name!r}]")
        return scores, self.with_copies(factors, "factor")

    def factor_hits(self, key: str = "motifs") -> FactorHits:
        """The best motif of every factor in every region."""
        scores, names, factors = stored_scores(self.regions.atac, key, where=f"mdata[{self.regions.name!r}]")
        return factor_hits(scores, names, self.with_copies(factors, "factor"))

    def links(self, links: str | pd.DataFrame = "links") -> pd.DataFrame:
        """Links of regions and genes as ``region, gene[, distance, score]``: those of a key, or a table, checked."""
        return links_of(self.regions.atac, links, where=f"mdata[{self.regions.name!r}]")

    def places_of(self, regions: Iterable[str]) -> np.ndarray:
        """Position of regions by name, whatever their spelling; -1 for those that are not here."""
        return rows_of(regions, self.names)

    def of_genes(self, links: pd.DataFrame) -> pd.DataFrame:
        """Links with a column ``gene`` as a method shall use them: a repetition may have exchanged whose they are."""
        self.regions.links_read = True
        exchanged = self.regions.exchanged
        if not exchanged:
            return links
        genes = links["gene"].astype(str)
        return links.assign(gene=genes.map(exchanged).fillna(genes))

    def with_copies(self, table: pd.DataFrame, column: str) -> pd.DataFrame:
        """Rows of factors that have an alias once more, under it."""
        aliases = self.regions.aliases
        if not aliases:
            return table
        again = table[table[column].astype(str).isin(list(aliases))]
        copies = again.assign(**{column: again[column].astype(str).map(aliases)})
        return pd.concat([table, copies], ignore_index=True)


def chromatin_of(adata: AnnData) -> Chromatin:
    """Chromatin beside the cells; an error that says what is missing, or does not fit, if there is none."""
    regions = adata.uns.get(SLOT)
    if isinstance(regions, GrnError):
        raise regions
    if not isinstance(regions, Regions):
        raise RegionError(_NEEDED.format("the object has none."))
    chromatin = Chromatin(regions, np.asarray(adata.obsm[SLOT])[:, 0])
    if not len(chromatin.table):
        raise RegionError(f"mdata[{regions.name!r}] has no regions.")
    return chromatin


def has_chromatin(adata: AnnData) -> bool:
    """Whether there is open chromatin beside the cells, though it may be that of other cells."""
    return isinstance(adata.uns.get(SLOT), Regions | CellNameError)


@contextmanager
def lent_chromatin(mdata: Any, cells: AnnData, atac: str | None) -> Iterator[None]:
    """Put the chromatin of a MuData beside its cells for a while.

    What keeps it from being read is said when somebody reads it: most methods do not.
    """
    if atac is None:
        yield
        return
    try:
        if not isinstance(atac, str) or atac not in mdata.mod:
            there = ", ".join(map(repr, mdata.mod))
            near = did_you_mean(str(atac), list(map(str, mdata.mod)))
            raise RegionError(_NEEDED.format(f"mdata has no modality {atac!r}; there are: {there}.{near}"))
        places = paired_places(cells.obs_names, mdata.mod[atac], atac)
    except GrnError as error:
        cells.uns[SLOT] = error
    else:
        cells.obsm[SLOT] = places[:, None]
        cells.uns[SLOT] = Regions(mdata.mod[atac], atac)
    try:
        yield
    finally:
        cells.obsm.pop(SLOT, None)
        cells.uns.pop(SLOT, None)


def paired_places(cells: pd.Index, chromatin: AnnData, atac: str) -> np.ndarray:
    """Row (n_cells,) of every cell in the other modality.

    Raises
    ------
    CellNameError
        If the modalities do not have the same cells, or two of one name.
    """
    validate(chromatin, modality=atac)
    for names, where in ((cells, "RNA"), (chromatin.obs_names, f"mdata[{atac!r}]")):
        if not names.is_unique:
            twice = names[names.duplicated()].unique().tolist()
            raise CellNameError(
                f"{len(twice)} names of cells occur more than once in {where}, for example {some(twice, 3)}, so that "
                "the modalities cannot be paired; make them unique in both before mdata is made."
            )
    place: np.ndarray = chromatin.obs_names.get_indexer(cells)
    both = int((place >= 0).sum())
    if not both:
        raise CellNameError(
            f"no cell of RNA is in mdata[{atac!r}] ({some(cells, 2)}; {some(chromatin.obs_names, 2)}). Give paired "
            "cells one name; where they are other cells, make pairs of one label: "
            "grn.pp.metacells(mdata, how='labels', groupby=...)."
        )
    if both < max(len(place), chromatin.n_obs):
        raise CellNameError(
            f"RNA has {len(place)} cells and mdata[{atac!r}] {chromatin.n_obs}, of which {both} are in both; keep "
            f"those: both = mdata['rna'].obs_names.intersection(mdata[{atac!r}].obs_names); mdata = mdata[both].copy()."
        )
    return place
