"""Which genes a region is near, how far, and on which build of a genome regions were called."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import RegionError
from grn._core.logging import hint, logger, some
from grn._kernels import intervals
from grn.genome.regions import Regions, coded_together, parse_regions
from grn.genome.starts import checked_starts
from grn.genome.starts import starts as starts_of
from grn.genome.tables import BUILDS, shipped

# the promoter of a gene, in bases before and behind its start
BEFORE, BEHIND = 1000, 100
# another build is meant if so many times more regions are on its promoters, and at least so many
_TIMES, _LEAST = 1.5, 10


def nearest_gene(regions: Regions, *, starts: pd.DataFrame) -> pd.DataFrame:
    """Give the gene whose transcription starts nearest to each region.

    Parameters
    ----------
    regions
        Names or a table, as :func:`parse_regions` takes them.
    starts
        Transcription starts, from :func:`starts`.

    Returns
    -------
    DataFrame
        Indexed by region: ``gene`` (``""`` where the chromosome has none) and ``distance`` in bases (NaN there), 0
        where the region covers the start, negative before the gene, positive behind its start, in the direction of
        transcription.

    Raises
    ------
    RegionError
        If regions are malformed, or no chromosome is in both.
    ParameterError
        If ``starts`` is no such table.

    Examples
    --------
    >>> import grn.genome
    >>> grn.genome.nearest_gene(["chrX:48786000-48786500"], starts=grn.genome.starts("hg38")).values.tolist()
    [['GATA1', -74.0]]
    """
    table, coded, group = _both(regions, starts)
    position, gap = intervals.nearest(coded, group, starts["position"].to_numpy())
    sign = np.where(starts["strand"].to_numpy() == "+", 1.0, -1.0)[position]
    near = position >= 0
    gene = np.where(near, starts["gene"].to_numpy(dtype=object)[position], "")
    return pd.DataFrame({"gene": gene, "distance": np.where(near, sign * gap, np.nan) + 0.0}, index=table.index)


def link_genes(
    regions: Regions, *, starts: pd.DataFrame, upstream: int = 150_000, downstream: int = 150_000
) -> pd.DataFrame:
    """List all pairs of a region and a gene whose transcription starts near it.

    Parameters
    ----------
    regions
        Names or a table, as :func:`parse_regions` takes them.
    starts
        Transcription starts, from :func:`starts`. Of several starts of a gene the nearest counts.
    upstream, downstream
        How far from the start a region may lie before and behind it, in bases, in the direction of transcription.

    Returns
    -------
    DataFrame
        ``region``, ``gene`` and ``distance`` (as :func:`nearest_gene` gives it), sorted by the order of ``regions``,
        then by gene.

    Raises
    ------
    RegionError
        If regions are malformed, or no region is near any gene.
    ParameterError
        If another argument has a wrong type or value.

    Examples
    --------
    >>> import grn.genome
    >>> starts = grn.genome.starts("hg38")
    >>> links = grn.genome.link_genes(["chrX:48786000-48786500"], starts=starts, upstream=5000, downstream=5000)
    >>> links.values.tolist()
    [['chrX:48786000-48786500', 'GATA1', -74]]
    """
    for name, value in (("upstream", upstream), ("downstream", downstream)):
        checks.integer(name, value, least=0)
    table, coded, group = _both(regions, starts)
    point, forward = starts["position"].to_numpy(), (starts["strand"] == "+").to_numpy()
    i, j = intervals.overlapping(coded, (group, *windows(starts, upstream, downstream)))
    if not len(i):
        raise RegionError(
            f"no region is within {upstream} bases before and {downstream} behind the start of a gene; widen the "
            "window, or check the genome: grn.genome.check_build(regions)."
        )
    distance = _signed(coded[1][i], coded[2][i], point[j], forward=forward[j])
    links = _nearest_starts(pd.DataFrame({"row": i, "gene": starts["gene"].to_numpy()[j], "distance": distance}))
    lonely = len(table) - links["row"].nunique()
    if lonely:
        logger.info("%d of %d regions are near no gene", lonely, len(table))
    named = table.index[links["row"]]
    return pd.DataFrame({"region": named, "gene": links["gene"].to_numpy(), "distance": links["distance"].to_numpy()})


def windows(starts: pd.DataFrame, upstream: int, downstream: int) -> tuple[np.ndarray, np.ndarray]:
    """First base, which may lie before the chromosome, and end (n,) of what surrounds every start."""
    point, forward = starts["position"].to_numpy(), (starts["strand"] == "+").to_numpy()
    return point - np.where(forward, upstream, downstream), point + np.where(forward, downstream, upstream) + 1


def distances(pairs: pd.DataFrame, *, regions: pd.DataFrame, starts: pd.DataFrame) -> np.ndarray:
    """Distance (n,) of regions from the nearest start of a gene each, as :func:`link_genes` gives it.

    Parameters
    ----------
    pairs
        ``region, gene``.
    regions
        The regions by name, from :func:`parse_regions`.
    starts
        Transcription starts, from :func:`starts`.

    Returns
    -------
    ndarray
        NaN where the gene has no start on the chromosome of the region.
    """
    table = regions.loc[pairs["region"]].assign(gene=pairs["gene"].to_numpy(), row=np.arange(len(pairs)))
    both = table.merge(checked_starts(starts), on=["chrom", "gene"])
    both["distance"] = _signed(
        both["start"].to_numpy(),
        both["end"].to_numpy(),
        both["position"].to_numpy(),
        forward=(both["strand"] == "+").to_numpy(),
    )
    near = _nearest_starts(both[["row", "gene", "distance"]])
    result = np.full(len(pairs), np.nan)
    result[near["row"]] = near["distance"]
    return result


def _signed(start: np.ndarray, end: np.ndarray, point: np.ndarray, *, forward: np.ndarray) -> np.ndarray:
    """Bases from the start of a gene to the nearest base of a region, in the direction of transcription."""
    gap = np.maximum(start - point, 0) - np.maximum(point - end + 1, 0)
    return np.where(forward, gap, -gap)


def _nearest_starts(links: pd.DataFrame) -> pd.DataFrame:
    """Of several starts of a gene the nearest, by row and gene."""
    order = np.lexsort([links["distance"], links["distance"].abs(), links["gene"], links["row"]])
    return links.iloc[order].drop_duplicates(["row", "gene"])


def promoter_shares(regions: Regions) -> pd.Series:
    """Give the share of regions that overlap a promoter, for every build of a genome that the package knows.

    A promoter reaches from 1000 bases before a transcription start to 100 behind it. Regions of open chromatin are on
    promoters far more often than others, on the genome that they were called on.

    Parameters
    ----------
    regions
        Names or a table, as :func:`parse_regions` takes them.

    Returns
    -------
    Series
        Share (0 to 1) by build, the largest first.

    Raises
    ------
    RegionError
        If regions are malformed.

    Examples
    --------
    >>> import grn.genome
    >>> grn.genome.promoter_shares(["chrX:48786000-48786500", "chr1:5-10"]).index[0]
    'hg38'
    """
    table = parse_regions(regions)
    shares = {build: _on_promoters(table, shipped(f"starts_{build}")).mean() for build in BUILDS}
    return pd.Series(shares, name="share").sort_values(ascending=False, kind="stable")


def check_build(regions: Regions, *, build: str = "auto") -> str:
    """Check on which build of a genome regions were called, by the promoters they are on.

    Parameters
    ----------
    regions
        Names or a table, as :func:`parse_regions` takes them: all that were measured, not a choice by a motif or a
        gene.
    build
        What is expected: ``"hg38"``, ``"hg19"``, ``"mm10"``, or ``"auto"``, which tells it.

    Returns
    -------
    str
        The build.

    Raises
    ------
    RegionError
        If 1.5 times more regions are on promoters of another build than on those of ``build``, and at least 10 more; or
        if, with ``"auto"``, no build is ahead of the others by as much; or if no region is on its chromosomes.
    ParameterError
        If there is no table for ``build``.

    Notes
    -----
    A few hundred regions are enough. With fewer, an expected build passes, and a hint says that nothing was told.

    Examples
    --------
    >>> import grn.genome
    >>> starts = grn.genome.starts("mm10").iloc[:200]
    >>> regions = starts.assign(start=starts["position"] - 200, end=starts["position"] + 200)
    >>> grn.genome.check_build(regions[["chrom", "start", "end"]].drop_duplicates())
    'mm10'
    """
    checks.word("build", build, ("auto", *BUILDS))
    table = parse_regions(regions)
    _check_chromosomes(table, build)
    shares = promoter_shares(table)
    shown = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    likely = str(shares.index[0])
    against = float(shares.iloc[1] if build in ("auto", likely) else shares[build])
    ahead = shares.iloc[0] >= _TIMES * against and (shares.iloc[0] - against) * len(table) >= _LEAST
    if build == "auto" and not ahead:
        raise RegionError(f"{len(table)} regions do not tell the build: on promoters are {shown}. Pass build=.")
    if build not in ("auto", likely) and ahead:
        raise RegionError(
            f"the regions are not of {build} but likely of {likely}: on promoters are {shown}. Pass build={likely!r} "
            "and a genome of that build, or lift the regions over."
        )
    if not ahead:
        hint("%d regions do not tell the build, %s is taken; on promoters are %s", len(table), build, shown)
    logger.info("build %s; on promoters are %s", likely if build == "auto" else build, shown)
    return likely if build == "auto" else build


def starts_for(regions: pd.DataFrame, starts: pd.DataFrame | str) -> tuple[pd.DataFrame, str]:
    """Transcription starts for regions, and the build they are of: ``"given"`` for a table of the user's.

    Parameters
    ----------
    regions
        From :func:`parse_regions`.
    starts
        A table, a build, which is compared with the regions, or ``"auto"``, which tells it from them.
    """
    if not isinstance(starts, str):
        return checked_starts(starts), "given"
    checks.word("starts", starts, ("auto", *BUILDS), note=", or a table as grn.genome.starts gives it")
    try:
        build = check_build(regions, build=starts)
    except RegionError as error:
        raise RegionError(
            f"{error} Here that is starts={starts!r}; of other genomes pass starts=grn.genome.starts(path='genes.gtf')."
        ) from error
    return starts_of(build), build


def _check_chromosomes(table: pd.DataFrame, build: str) -> None:
    """Refuse regions of which none is on a chromosome of a build."""
    there = {name: set(shipped(f"starts_{name}")["chrom"]) for name in (BUILDS if build == "auto" else (build,))}
    if not set(table["chrom"]) & set().union(*there.values()):
        here = some(sorted(set(table["chrom"])), 3)
        raise RegionError(
            f"regions are on {here}, which is no chromosome of {' or '.join(there)}. Pass starts of their genome where "
            "starts are asked for: grn.genome.starts(path='genes.gtf')."
        )


def _on_promoters(table: pd.DataFrame, starts: pd.DataFrame) -> np.ndarray:
    """Mask (n,) of regions on a promoter."""
    first, end = windows(starts, BEFORE, BEHIND)
    promoters = pd.DataFrame({"chrom": starts["chrom"], "start": first, "end": end})
    hit = np.zeros(len(table), dtype=bool)
    hit[intervals.overlapping(*coded_together(table, promoters))[0]] = True
    return hit


def _both(regions: Regions, starts: pd.DataFrame) -> tuple[pd.DataFrame, intervals.Intervals, np.ndarray]:
    """Regions, their code, and the chromosome of every start."""
    starts, table = checked_starts(starts), parse_regions(regions)
    points = starts.assign(start=starts["position"], end=starts["position"] + 1)
    coded, others = coded_together(table, points)
    if not set(coded[0]) & set(others[0]):
        raise RegionError(
            f"regions are on {sorted(set(table['chrom']))[:4]}, starts on {sorted(set(starts['chrom']))[:4]}: no "
            "chromosome is in both; pass starts of the same genome: grn.genome.starts(build)."
        )
    return table, coded, others[0]
