"""Regions of a genome: their names, and which of them overlap, touch or lie near."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import RegionError
from grn._core.logging import logger
from grn._kernels import intervals

COLUMNS = ["chrom", "start", "end"]
# columns of tables of other tools -> ours
_SPELLINGS = {
    "chrom": ("chrom", "chr", "seqnames", "Chromosome", "chromosome"),
    "start": ("start", "Start", "chromStart"),
    "end": ("end", "End", "chromEnd"),
}
# no chromosome has more bases than the digits allow
_NAME = r"^(?P<chrom>\S+)[:_-](?P<start>\d[\d,]{0,14})[_-](?P<end>\d[\d,]{0,14})\Z"
_FARTHEST = 10**15
# chromosomes that Ensembl writes without the prefix
_BARE = re.compile(r"^(\d{1,2}|\d[LR]|[IVX]{1,4}|X|Y|W|Z|M|MT)$")
_EXPECTED = "expected chr1:100-600, chr1-100-600 or chr1_100_600, or a table with the columns chrom, start, end"
Regions = Iterable[str] | pd.DataFrame


def parse_regions(regions: Regions, *, one_based: bool = False) -> pd.DataFrame:
    """Read regions from their names, or from a table, and check them.

    Coordinates are those of BED: ``start`` counts from 0 and is included, ``end`` is not, so that a region has ``end -
    start`` bases. Cell Ranger, SnapATAC2, CellOracle and SCENIC+ name peaks by these numbers, in whatever spelling.
    Chromosomes are given the prefix ``chr`` where they are written as Ensembl does (``1`` becomes ``chr1``, ``MT``
    becomes ``chrM``), which is said; both ways in one set are an error, as are duplicates.

    Parameters
    ----------
    regions
        Names (list, Index, ``adata.var_names``) such as ``chr1:100-600``, ``chr1-100-600`` or ``chr1_100_600``, also
        with commas in the numbers; or a DataFrame with ``chrom``, ``start`` and ``end`` (or ``Chromosome, Start, End``,
        ``seqnames, start, end``).
    one_based
        Numbers count from 1, and the end is included, as in GTF, in genome browsers and in names made by
        GenomicRanges (ArchR): 1 is taken off every start.

    Returns
    -------
    DataFrame
        ``chrom`` (str), ``start``, ``end`` (int64), in the order given. The index has the names as they were written;
        for a table without names, ``chrom:start-end``.

    Raises
    ------
    RegionError
        If there are none, or some are malformed, empty, duplicated, or mix ``1`` and ``chr1``.
    ParameterError
        If ``regions`` is neither names nor a table.

    Examples
    --------
    >>> import grn.genome
    >>> grn.genome.parse_regions(["chr1:100-600", "chrUn_KI270742v1-5-25"]).values.tolist()
    [['chr1', 100, 600], ['chrUn_KI270742v1', 5, 25]]
    >>> grn.genome.parse_regions(["chr1:101-600"], one_based=True)["start"].tolist()
    [100]
    """
    checks.flag("one_based", one_based)
    table = _from_table(regions) if isinstance(regions, pd.DataFrame) else _from_names(regions)
    if table.empty:
        raise RegionError(f"there are no regions; {_EXPECTED}.")
    if one_based:
        table["start"] -= 1
    _check_size(table, one_based=one_based)
    table["chrom"] = prefixed(table["chrom"].to_numpy(dtype=object))
    _check_unique(table)
    return table


def overlaps(regions: Regions, *, other: Regions) -> pd.DataFrame:
    """List all pairs of regions of two sets that share at least one base.

    Parameters
    ----------
    regions, other
        Names or tables, as :func:`parse_regions` takes them.

    Returns
    -------
    DataFrame
        ``region``, ``other`` (names) and ``shared`` (bases), in the order of ``regions``, then of ``other``.

    Raises
    ------
    RegionError
        If regions are malformed.

    Examples
    --------
    >>> import grn.genome
    >>> grn.genome.overlaps(["chr1:0-10", "chr1:20-30"], other=["chr1:5-22", "chr2:5-22"]).values.tolist()
    [['chr1:0-10', 'chr1:5-22', 5], ['chr1:20-30', 'chr1:5-22', 2]]
    """
    first, second = parse_regions(regions), parse_regions(other)
    coded = coded_together(first, second)
    i, j = intervals.overlapping(*coded)
    shared = np.minimum(coded[0][2][i], coded[1][2][j]) - np.maximum(coded[0][1][i], coded[1][1][j])
    return pd.DataFrame({"region": first.index[i], "other": second.index[j], "shared": shared})


def merge(regions: Regions, *, gap: int = 0) -> pd.DataFrame:
    """Join regions that overlap or touch into one.

    Parameters
    ----------
    regions
        Names or a table, as :func:`parse_regions` takes them; from several samples, for instance.
    gap
        Regions that are at most so many bases apart are joined, too.

    Returns
    -------
    DataFrame
        ``chrom``, ``start``, ``end`` and ``n_regions``, sorted by chromosome and start, named ``chrom:start-end``.

    Raises
    ------
    RegionError
        If regions are malformed.
    ParameterError
        If ``gap`` is no integer of at least 0.

    Examples
    --------
    >>> import grn.genome
    >>> grn.genome.merge(["chr1:0-10", "chr1:10-20", "chr1:25-30"]).values.tolist()
    [['chr1', 0, 20, 2], ['chr1', 25, 30, 1]]
    """
    checks.integer("gap", gap, least=0)
    table = parse_regions(regions)
    (coded,) = coded_together(table)
    number = intervals.clusters(coded, gap)
    groups = table.groupby(number)
    joined = groups.agg(
        chrom=("chrom", "first"), start=("start", "min"), end=("end", "max"), n_regions=("start", "size")
    )
    return joined.set_axis(region_names(joined))


def rows_of(listed: Iterable[str], names: Iterable[str]) -> np.ndarray:
    """Where regions are among others, whatever their spelling; -1 for those that are not there.

    Raises
    ------
    RegionError
        If names are no regions.
    """
    asked, there = pd.Index(map(str, listed), dtype=object), pd.Index(map(str, names), dtype=object)
    rows: np.ndarray = there.get_indexer(asked)
    if (rows >= 0).all():
        return rows
    other = asked[rows < 0].unique()
    places = pd.MultiIndex.from_frame(parse_regions(there)).get_indexer(pd.MultiIndex.from_frame(parse_regions(other)))
    rows[rows < 0] = places[other.get_indexer(asked[rows < 0])]
    return rows


def region_names(table: pd.DataFrame) -> pd.Index:
    """Names ``chrom:start-end`` of a table of regions."""
    text = table["chrom"].astype(str) + ":" + table["start"].astype(str) + "-" + table["end"].astype(str)
    return pd.Index(text.to_numpy(dtype=object))


def coded_together(*tables: pd.DataFrame) -> list[intervals.Intervals]:
    """Group, start and end of every table, with one number per chromosome, in the order of names."""
    names = np.unique(np.concatenate([table["chrom"].to_numpy(dtype=object) for table in tables]))
    return [
        (np.searchsorted(names, t["chrom"].to_numpy(dtype=object)), t["start"].to_numpy(), t["end"].to_numpy())
        for t in tables
    ]


def prefixed(names: np.ndarray) -> np.ndarray:
    """Chromosomes as UCSC writes them; both ways in one set are an error."""
    unique = sorted(set(names))
    bare = [name for name in unique if _BARE.match(name)]
    full = [name for name in unique if name.startswith("chr") and _BARE.match(name[3:])]
    if bare and full:
        raise RegionError(
            f"chromosomes are written in two ways, {', '.join(bare[:3])} and {', '.join(full[:3])}; write all of them "
            "alike, such as chr1."
        )
    if bare:
        logger.info("chromosomes %s ... are read as chr%s ...", bare[0], bare[0])
    mitochondrial = {"chrMT": "chrM", "MT": "chrM"}
    spelling = {name: mitochondrial.get(name, f"chr{name}" if name in bare else name) for name in unique}
    return np.array([spelling[name] for name in names], dtype=object)


def _from_names(regions: object) -> pd.DataFrame:
    names = pd.Index(checks.names("regions", regions, what="names of regions"), dtype=object)
    parts = names.str.extract(_NAME)
    wrong = parts["chrom"].isna().to_numpy()
    if wrong.any():
        shown = ", ".join(map(repr, names[wrong][:3]))
        raise RegionError(f"{wrong.sum()} of {len(names)} names are no regions, for example {shown}; {_EXPECTED}.")
    numbers = {name: parts[name].str.replace(",", "").astype(np.int64) for name in ("start", "end")}
    return pd.DataFrame({"chrom": parts["chrom"].astype(object), **numbers}).set_axis(names)


def _from_table(table: pd.DataFrame) -> pd.DataFrame:
    chosen = {name: next((s for s in known if s in table), None) for name, known in _SPELLINGS.items()}
    if None in chosen.values():
        raise RegionError(
            f"the table of regions has the columns {list(map(str, table.columns[:8]))}; expected chrom, start, end. "
            "Read a BED file with pd.read_csv(path, sep='\\t', usecols=[0, 1, 2], names=['chrom', 'start', 'end'])."
        )
    numbers = {name: _whole(table[chosen[name]], name) for name in ("start", "end")}
    chrom = table[chosen["chrom"]]
    if chrom.isna().any():
        raise RegionError(f"{int(chrom.isna().sum())} of {len(table)} regions have no chromosome; drop those rows.")
    parsed = pd.DataFrame({"chrom": chrom.astype(str).astype(object), **numbers}).reset_index(drop=True)
    named = table.index.map(lambda name: isinstance(name, str)).all() if len(table) else False
    return parsed.set_axis(pd.Index(table.index.astype(str), dtype=object) if named else region_names(parsed))


def _whole(column: pd.Series, name: str) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = ~((np.abs(values) < _FARTHEST) & (values == np.round(values)))
    if wrong.any():
        raise RegionError(
            f"column {name!r} of the regions holds {column[wrong].iloc[0]!r}, which is no whole number of "
            f"bases ({wrong.sum()} of {len(column)} rows); correct or drop those rows."
        )
    return values.astype(np.int64)


def _check_size(table: pd.DataFrame, *, one_based: bool) -> None:
    wrong = (table["start"] < 0).to_numpy() | (table["end"] <= table["start"]).to_numpy()
    if wrong.any():
        counted = "from 1, with the end included" if one_based else "from 0, with the end left out"
        raise RegionError(
            f"{wrong.sum()} of {len(table)} regions have no base or start before the chromosome, for example "
            f"{', '.join(table.index[wrong][:3])}; numbers are counted {counted} (one_based={one_based})."
        )


def _check_unique(table: pd.DataFrame) -> None:
    twice = table.duplicated(COLUMNS).to_numpy() | table.index.duplicated()
    if twice.any():
        names = table.index[twice].tolist()
        others = "duplicated()" if table.index.has_duplicates else f"isin({names})"
        raise RegionError(
            f"{twice.sum()} of {len(table)} regions occur more than once, for example {', '.join(names[:3])}; keep the "
            f"first of each: adata = adata[:, ~adata.var_names.{others}].copy(), or table.drop_duplicates()."
        )
