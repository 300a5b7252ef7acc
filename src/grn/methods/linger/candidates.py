"""Which regions a gene may be regulated through, and how far they are from its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grn._core.errors import GeneOverlapError, RegionError
from grn._core.logging import hint, logger, some
from grn._object.chromatin import Chromatin
from grn._object.region_links import numbers
from grn.genome import link_genes
from grn.genome.neighbourhood import distances, starts_for
from grn.methods.linger.bulk import FirstLayer, matched_regions


@dataclass(frozen=True)
class Candidates:
    """Pairs of a region and a gene, each once, sorted by gene, then by name of the region.

    Parameters
    ----------
    regions, genes
        Names of the regions (R,) and of the genes (T,) that have a pair, sorted.
    region, gene
        Positions of the pairs among them (n,).
    distance
        Bases from the start of the gene (n,).
    """

    regions: np.ndarray
    genes: np.ndarray
    region: np.ndarray
    gene: np.ndarray
    distance: np.ndarray

    @property
    def bounds(self) -> np.ndarray:
        """Where the pairs of every gene start and end (T + 1,)."""
        return np.searchsorted(self.gene, np.arange(len(self.genes) + 1))


def candidates_of(table: pd.DataFrame, *, ordered: bool = False) -> Candidates:
    """Candidates from a table ``region, gene, distance``; ``ordered`` keeps its order of the regions of a gene."""
    table = table.drop_duplicates(["region", "gene"])
    genes, regions = np.unique(table["gene"].to_numpy(str)), np.unique(table["region"].to_numpy(str))
    gene, region = (np.searchsorted(n, table[s].to_numpy(str)) for n, s in ((genes, "gene"), (regions, "region")))
    order = np.argsort(gene, kind="stable") if ordered else np.lexsort((region, gene))
    distance = table["distance"].to_numpy(np.float64)
    return Candidates(regions, genes, region[order], gene[order], distance[order])


def near_regions(
    chromatin: Chromatin,
    genes: np.ndarray,
    links: str | pd.DataFrame | None,
    starts: str | pd.DataFrame | None,
    window: int,
) -> pd.DataFrame:
    """Pairs ``region, gene, distance`` of genes and regions of the object: those of ``links`` or within a window."""
    if links is None:
        table = _by_distance(chromatin, genes, starts, window)
    else:
        table = chromatin.links(links)
        place = chromatin.places_of(table["region"])
        known = (place >= 0) & table["gene"].astype(str).isin(genes).to_numpy()
        if not known.any():
            raise GeneOverlapError(
                f"none of the {len(table)} links joins a region and a gene of this object, for example "
                f"{some(table['region'].astype(str) + ' ' + table['gene'].astype(str), 2)}; links name var_names of "
                "both modalities."
            )
        if not known.all():
            logger.warning(
                "linger: %d of %d links are of regions or genes that are not here", (~known).sum(), len(known)
            )
        table = table[known].assign(region=chromatin.names[place[known]]).astype({"gene": str})
        # links by group name a pair once per group
        table = _with_distance(table.drop_duplicates(["region", "gene"]), chromatin, starts)
    table = chromatin.of_genes(table)
    # whoever gets the links of another gene may be none of these
    table = table[table["gene"].isin(genes)]
    lone = np.setdiff1d(genes, table["gene"])
    if len(lone):
        hint("%d of %d targets have no region near and get no network: %s", len(lone), len(genes), some(lone))
    return table[["region", "gene", "distance"]]


def _starts(chromatin: Chromatin, starts: str | pd.DataFrame | None) -> pd.DataFrame:
    return starts_for(chromatin.table, "auto" if starts is None else starts)[0]


def _by_distance(
    chromatin: Chromatin, genes: np.ndarray, starts: str | pd.DataFrame | None, window: int
) -> pd.DataFrame:
    table = _starts(chromatin, starts)
    here = table[table["gene"].isin(genes)]
    if here.empty:
        raise GeneOverlapError(
            f"none of the targets ({some(genes, 3)}) has a start in the table ({some(table['gene'], 3)}); both take "
            "symbols: grn.pp.align_genes(adata) puts them into var_names, or pass starts= with your names."
        )
    return link_genes(chromatin.table, starts=here, upstream=window, downstream=window)


def _with_distance(table: pd.DataFrame, chromatin: Chromatin, starts: str | pd.DataFrame | None) -> pd.DataFrame:
    """Pairs with the distance of the region from the gene, given or from its nearest start; others are told."""
    if "distance" in table:
        gap = numbers(table, "distance")
    else:
        gap = distances(table, regions=chromatin.table, starts=_starts(chromatin, starts))
    known = ~np.isnan(gap)
    if not known.any():
        raise GeneOverlapError(
            f"none of the {len(table)} pairs of a region and a gene, for example {table['region'].iloc[0]} and "
            f"{table['gene'].iloc[0]}, is on one chromosome with a known start; pass starts= with your genes, or "
            "links= with a column distance."
        )
    if not known.all():
        logger.warning(
            "linger: %d of %d pairs have no start on the chromosome of the region, and are left out",
            *((~known).sum(), len(table)),
        )
    return table[["region", "gene"]].assign(distance=gap)[known]


def bulk_regions(
    layers: Mapping[str, FirstLayer], chromatin: Chromatin, genes: np.ndarray, names: set[str], starts: object
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Pairs ``region, gene, distance`` of the genes that have a first layer, and regions here by their names there."""
    if not set(genes.tolist()) & set(layers):
        raise GeneOverlapError(
            f"bulk= has first layers of {some(list(layers), 3)}, and of none of {len(genes)} targets "
            f"({some(genes, 3)}); name genes as in var_names."
        )
    place = matched_regions(layers, chromatin.table, names)
    rows = [
        (place[feature], gene)
        for gene in genes
        if gene in layers
        for feature in layers[gene].features
        if feature in place
    ]
    if not rows:
        listed = next(iter(layers.values())).features
        raise RegionError(
            f"no region of bulk= ({some(listed[::-1], 2)}) overlaps one of this object ({some(chromatin.names, 2)}) "
            f"for any of {len(genes)} targets; bulk= and peaks must be of one build: grn.genome.check_build(regions)."
        )
    table = pd.DataFrame(rows, columns=["region", "gene"]).drop_duplicates()
    lone = np.setdiff1d(genes, table["gene"])
    if len(lone):
        hint("%d of %d targets have no region in bulk= and get no network: %s", len(lone), len(genes), some(lone))
    return _with_distance(table, chromatin, starts), place
