"""What a picture of one locus shows, read from an object with expression and open chromatin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from grn._core.errors import GeneNameError, ParameterError, RegionError
from grn._core.logging import hint, some
from grn._object.region_links import links_of as stored_links
from grn._object.region_links import numbers
from grn.genome import check_build
from grn.genome import starts as starts_of
from grn.genome.regions import rows_of
from grn.genome.starts import checked_starts
from grn.pl._edge_data import near
from grn.pl._paired_cells import Cells

# bases shown beside the start at least, beside the farthest region that is linked, and at most
_LEAST, _MARGIN, _MOST = 10_000, 0.08, 250_000
_ALONE = 50_000  # where nothing is linked
_PER = 10_000


@dataclass(frozen=True)
class Locus:
    """One locus.

    Parameters
    ----------
    gene
        Name of the gene.
    chrom
        Its chromosome.
    span
        First and last base that is drawn.
    starts
        Starts of all genes within it: ``position, strand, gene``.
    regions
        Regions within it, ``start, end``, indexed by name (r,).
    heights
        Accessibility of the groups (n_groups, r).
    unit
        What the heights are.
    expression
        Mean expression of the gene in the groups, or ``None`` where it was not measured.
    """

    gene: str
    chrom: str
    span: tuple[int, int]
    starts: pd.DataFrame
    regions: pd.DataFrame
    heights: np.ndarray
    unit: str
    expression: np.ndarray | None


def starts_for(gene: str, cells: Cells, starts: pd.DataFrame | None, build: str) -> pd.DataFrame:
    """All starts of genes on the chromosome of a gene."""
    if starts is None:
        check_build(cells.chromatin.table, build=build)
        starts = starts_of(build)
    table = checked_starts(starts).astype({"gene": str})
    if not isinstance(gene, str):
        raise ParameterError(f"gene={gene!r}; pass the name of one gene.")
    mine = table[table["gene"] == gene]
    if mine.empty:
        raise GeneNameError(f"gene={gene!r} has no start.{near(gene, table['gene'], genes=True)}")
    chroms = mine["chrom"].value_counts()
    regions = set(cells.chromatin.table["chrom"])
    chrom = next((str(name) for name in chroms.index if name in regions), None)
    if chrom is None:
        raise RegionError(
            f"{gene} is on {', '.join(chroms.index)}, of which there are no regions; regions are on "
            f"{some(sorted(regions), 4)}."
        )
    return table[table["chrom"] == chrom].sort_values("position", kind="stable", ignore_index=True)


def span_of(points: np.ndarray, middles: np.ndarray, window: int | None) -> tuple[int, int]:
    """First and last base to draw around the starts of a gene: as far as regions linked to it, or a window."""
    low, high = int(points.min()), int(points.max())
    if window is not None:
        return max(0, low - window), high + window
    if not len(middles):
        return max(0, low - _ALONE), high + _ALONE
    left, right = (max([0, *side]) for side in ((low - middles).tolist(), (middles - high).tolist()))
    extra = _MARGIN * (left + right + high - low)
    sides = [int(np.clip(side + extra, _LEAST, _MOST)) for side in (left, right)]
    return max(0, low - sides[0]), high + sides[1]


def locus_of(gene: str, cells: Cells, starts: pd.DataFrame, span: tuple[int, int], values: str) -> Locus:
    """Regions and genes within a span, with means of the groups."""
    chrom, table = str(starts["chrom"].iloc[0]), cells.chromatin.table
    inside = (table["chrom"] == chrom) & (table["end"] > span[0]) & (table["start"] < span[1])
    columns = np.flatnonzero(inside.to_numpy())
    columns = columns[np.argsort(table["start"].to_numpy()[columns], kind="stable")]
    if not len(columns):
        raise RegionError(f"no region is within {chrom}:{span[0]}-{span[1]} around {gene}; pass a larger window=.")
    heights, unit = _accessibility(cells, columns)
    shown = starts[starts["position"].between(*span)]
    return Locus(
        gene, chrom, span, shown, table.iloc[columns][["start", "end"]], heights, unit, _expression(gene, cells, values)
    )


def _accessibility(cells: Cells, columns: np.ndarray) -> tuple[np.ndarray, str]:
    """Mean of the regions in every group (n_groups, r): of counts, those in all cells of a group together."""
    sums = (cells.members @ cells.chromatin.regions.matrix[:, columns]).toarray()  # (n_groups, r)
    per, unit = (_PER, f"counts per {_PER:,}") if cells.are_counts else (1, "on average")
    return per * sums / np.maximum(cells.group_totals(), 1e-12)[:, None], unit


def _expression(gene: str, cells: Cells, values: str) -> np.ndarray | None:
    mean = cells.group_expression([gene], values)[:, 0]
    if np.isnan(mean).any():
        hint("%s was not measured in RNA: the figure has no expression of it", gene)
        return None
    return mean


def links_of(gene: str, cells: Cells, links: pd.DataFrame | str) -> pd.DataFrame:
    """Regions linked to a gene: ``row`` in the object, ``sign`` in {1, -1, 0}, ``strength``; the strongest first."""
    regions = cells.chromatin.regions
    table = stored_links(regions.atac, links, where=f"mdata[{regions.name!r}]")
    return arcs_of(table[table["gene"].astype(str) == gene], cells, by=("rho", "score"))


def arcs_of(table: pd.DataFrame, cells: Cells, *, by: tuple[str, ...]) -> pd.DataFrame:
    """One row per region of a table; sign and strength are those of the first column of ``by`` that it has."""
    value = next((name for name in by if name in table), None)
    size = np.ones(len(table)) if value is None else np.nan_to_num(numbers(table, value))
    is_signed = value is not None and (value.startswith("rho") or bool((size < 0).any()))
    rows = rows_of(table["region"], cells.chromatin.names)
    made = pd.DataFrame({
        "row": rows, "sign": np.sign(size).astype(int) if is_signed else 0, "strength": np.abs(size),
    })  # fmt: skip
    made = made[rows >= 0].sort_values(["strength", "row"], ascending=[False, True], kind="stable")
    made.attrs["by"] = value
    lost = int((rows < 0).sum())
    if lost:
        hint("%d of %d regions linked to the gene are not in the object", lost, len(rows))
    return made.drop_duplicates("row").reset_index(drop=True)
