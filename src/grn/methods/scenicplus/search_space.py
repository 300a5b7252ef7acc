"""Which regions may act on which genes: those near their start, or links that were made before."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grn._core.errors import RegionError
from grn._core.logging import hint, some
from grn._object.chromatin import Chromatin
from grn._object.region_links import numbers
from grn.genome import link_genes

# a gene keeps the regions so near, however close the next gene is
LEAST = 1000


def search_space(
    chromatin: Chromatin,
    genes: np.ndarray,
    *,
    links: str | pd.DataFrame | None,
    starts: pd.DataFrame | None,
    window: int,
    up_to_genes: bool,
) -> pd.DataFrame:
    """Pairs of a region and a gene.

    Parameters
    ----------
    chromatin
        Regions.
    genes
        Names of the genes that take part.
    links
        Table ``region, gene[, distance]``, the key of stored links, or ``None`` for the stored ones under ``"links"``,
        or, with ``starts``, for pairs by distance.
    starts
        Transcription starts.
    window
        Most bases between a region and a start.
    up_to_genes
        Whether the window ends where the next gene starts, but not within 1000 bases.

    Returns
    -------
    DataFrame
        ``region`` (position), ``gene`` (name), ``distance`` (NaN where it is not known), each pair once, in the order
        of the given table.
    """
    if links is None and starts is not None:
        table = _near(chromatin, starts, window=window, up_to_genes=up_to_genes)
    else:
        table = chromatin.links("links" if links is None else links)
    table = chromatin.of_genes(table)
    place = chromatin.places_of(table["region"])
    known = np.isin(table["gene"].astype(str), genes)
    distance = numbers(table, "distance")
    made = pd.DataFrame({"region": place, "gene": table["gene"].astype(str).to_numpy(), "distance": distance})
    made = made[(place >= 0) & known].drop_duplicates(["region", "gene"]).reset_index(drop=True)
    if made.empty:
        raise RegionError(
            f"no link joins a region and a gene of the object: regions such as {some(chromatin.names, 2)} and genes "
            f"such as {some(genes, 2)}, links of {some(table['region'].astype(str).unique(), 2)} and "
            f"{some(table['gene'].astype(str).unique(), 2)}."
        )
    strange = int((place < 0).sum())
    if strange:
        hint("%d of %d links are of regions that the object does not have and are left out", strange, len(table))
    return made


def _near(chromatin: Chromatin, starts: pd.DataFrame, *, window: int, up_to_genes: bool) -> pd.DataFrame:
    """Pairs by distance."""
    table = link_genes(chromatin.names, starts=starts, upstream=window, downstream=window)
    if not up_to_genes:
        return table
    limits = free_space(starts, window)
    limit = limits.reindex(table["gene"])
    distance = table["distance"].to_numpy()
    most = np.where(distance < 0, limit["before"].to_numpy(), limit["behind"].to_numpy())
    return table[np.abs(distance) <= most]


def free_space(starts: pd.DataFrame, window: int) -> pd.DataFrame:
    """How far a gene's surroundings reach: to the next start of another gene, at least 1000 bases, at most ``window``.

    Returns
    -------
    DataFrame
        Indexed by gene: ``before`` and ``behind``, in the direction of transcription; of several starts the farthest.
    """
    table = starts.sort_values(["chrom", "position", "gene"], ignore_index=True)
    parts = []
    for _, chrom in table.groupby("chrom", sort=False):
        gene, position = chrom["gene"].to_numpy(), chrom["position"].to_numpy()
        left = _gaps(gene, position)
        right = _gaps(gene[::-1], -position[::-1])[::-1]
        forward = (chrom["strand"] == "+").to_numpy()
        parts.append(
            pd.DataFrame(
                {"gene": gene, "before": np.where(forward, left, right), "behind": np.where(forward, right, left)}
            )
        )
    limits: pd.DataFrame = pd.concat(parts).groupby("gene").max().clip(LEAST, max(window, LEAST))
    return limits


def _gaps(gene: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Bases to the nearest start of another gene before each, along rising positions."""
    gaps = np.full(len(gene), np.inf)
    for i in range(len(gene)):
        j = i - 1
        while j >= 0 and gene[j] == gene[i]:
            j -= 1
        if j >= 0:
            gaps[i] = position[i] - position[j]
    return gaps
