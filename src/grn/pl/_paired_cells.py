"""Expression and open chromatin of the same cells, and the groups they are in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from grn._core.errors import ParameterError
from grn._object.chromatin import Chromatin, Regions, paired_places
from grn._object.container import validate
from grn._object.genes import spelled
from grn._object.groups import label_codes
from grn._object.modalities import is_mudata, modality
from grn._object.values import expression
from grn.pl._colors import line_colors

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class Groups:
    """Groups of cells, in the order in which they are drawn.

    Parameters
    ----------
    labels
        Their names.
    codes
        Group of every cell (n_cells,).
    column
        The column of ``obs``; ``None`` for all cells as one group.
    colors
        Colours that scanpy stored for the column, by name, or ``None``.
    """

    labels: tuple[str, ...]
    codes: np.ndarray
    column: str | None
    colors: dict[str, str] | None


@dataclass(frozen=True)
class Cells:
    """The two sides of an object, and the groups of its cells."""

    rna: AnnData
    chromatin: Chromatin
    groups: Groups

    @cached_property
    def are_counts(self) -> bool:
        """Whether accessibility is whole numbers."""
        stored = self.chromatin.regions.matrix.data
        return bool((stored == np.floor(stored)).all())

    @cached_property
    def members(self) -> sparse.csr_matrix:
        """Which rows of the chromatin are of which group (n_groups, n)."""
        codes = self.groups.codes
        shape = (len(self.groups.labels), self.chromatin.regions.matrix.shape[0])
        return sparse.csr_matrix((np.ones(len(codes)), (codes, self.chromatin.places)), shape=shape)

    def group_totals(self) -> np.ndarray:
        """By what sums over the cells of a group are divided (n_groups,): their counts, or their number."""
        if self.are_counts:
            return np.asarray(self.members @ self.chromatin.regions.matrix.sum(axis=1)).ravel()
        return np.asarray(self.members.sum(axis=1)).ravel()

    def group_expression(self, genes: list[str], values: str) -> np.ndarray:
        """Mean log-normalised values of genes in the groups (n_groups, k); NaN for genes that RNA lacks."""
        at = self.rna.var_names.get_indexer(spelled(self.rna, genes))
        _, by_group = expression(self.rna, values=values).group_moments(self.groups.codes)
        return np.where(at >= 0, np.array([mean[at] for mean, _ in by_group]), np.nan)


def cells_of(mdata: Any, *, rna: str, atac: str, groupby: str | None) -> Cells:
    """Expression and chromatin of the same cells, with their groups."""
    if not is_mudata(mdata):
        raise ParameterError(
            f"mdata has type {type(mdata).__name__}; pass a MuData with expression in mdata['rna'] and regions in "
            "mdata['atac']: mudata.MuData({'rna': rna, 'atac': atac})."
        )
    genes, regions = modality(mdata, rna, argument="rna"), modality(mdata, atac, argument="atac")
    validate(genes, modality=rna)
    places = paired_places(genes.obs_names, regions, atac)
    return Cells(genes, Chromatin(Regions(regions, atac), places), _groups(mdata, genes, regions, places, groupby))


def _groups(mdata: Any, rna: AnnData, atac: AnnData, places: np.ndarray, groupby: str | None) -> Groups:
    if groupby is None:
        return Groups(("all cells",), np.zeros(rna.n_obs, dtype=np.int64), None, None)
    tables = [rna.obs, mdata.obs.reindex(rna.obs_names), atac.obs.iloc[places]]
    table = next((table for table in tables if groupby in table), rna.obs)
    labels, codes = label_codes(table, groupby)
    stored = next((part.uns[key] for part in (rna, mdata, atac) if (key := f"{groupby}_colors") in part.uns), None)
    fits = stored is not None and len(stored) == len(labels)
    return Groups(labels, codes, groupby, dict(zip(labels, map(str, stored), strict=True)) if fits else None)


def group_colors(groups: Groups, palette: object) -> list[Any]:
    """A colour per group: of the palette, else those that scanpy stored."""
    return line_colors(groups.colors if palette is None else palette, len(groups.labels), names=groups.labels)
