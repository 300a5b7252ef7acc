"""Where transcription starts: the tables of the package, or an annotation of the user's."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import DataNotFoundError, ParameterError, RegionError
from grn._core.files import UNREADABLE, as_path, check_access, is_file
from grn.genome.regions import prefixed
from grn.genome.tables import BUILDS, shipped

COLUMNS = ["chrom", "position", "strand", "gene"]
_GTF = ["chrom", "source", "feature", "start", "end", "score", "strand", "frame", "attributes"]
_BED = ["chrom", "start", "end", "gene", "score", "strand"]


def starts(build: str = "hg38", *, path: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """Give the transcription starts of genes, one row per start.

    Parameters
    ----------
    build
        ``"hg38"``, ``"hg19"`` or ``"mm10"``: RefSeq genes on assembled chromosomes, from the tables of the package,
        which were derived from promoter windows: see the notes. Not read with ``path``.
    path
        For other genomes, an annotation: a GTF file (starts of its transcripts, or of its genes if it lists none), or a
        BED file with six or more columns, whose name is the gene (its start on the strand is taken). Either may be
        gzipped.

    Returns
    -------
    DataFrame
        ``chrom``, ``position`` (of the first base, counted from 0), ``strand`` (``+`` or ``-``), ``gene`` (symbol),
        sorted by chromosome, position, gene.

    Raises
    ------
    ParameterError
        If there is no table for ``build``.
    DataNotFoundError
        If there is no such file.
    RegionError
        If the file is malformed.

    Notes
    -----
    A gene has several starts where its transcripts begin at different places, in the tables of the package 1.3 on
    average.

    Those tables are no annotation: positions are worked out from promoter windows of RefSeq genes, which reach from
    1000 bases before a start to 100 behind it. Where the source cut a window because the next gene is close, the start
    is only as exact as the distance that the source gives for the window's centre, and may be hundreds of bases off.
    That is enough to tell builds and to link regions over thousands of bases. Where single bases count, pass the
    annotation that your cells were counted with as ``path``.

    Examples
    --------
    >>> import grn.genome
    >>> table = grn.genome.starts("hg38")
    >>> table[table["gene"] == "GATA1"].values.tolist()
    [['chrX', 48786573, '+', 'GATA1']]
    """
    if path is not None:
        return _annotation(as_path(path))
    return shipped(f"starts_{checks.word('build', build, BUILDS)}").copy()


def checked_starts(table: pd.DataFrame) -> pd.DataFrame:
    """A table of starts as :func:`starts` gives it, chromosomes with their prefix; an error for what is none."""
    columns = list(map(str, table.columns)) if isinstance(table, pd.DataFrame) else []
    missing = [name for name in COLUMNS if name not in columns]
    wrong = ""
    if missing:
        wrong = f"starts lacks {', '.join(missing)} (it is {columns[:8] or type(table).__name__})"
    elif not table["strand"].isin(["+", "-"]).all():
        wrong = f"starts has the strands {table['strand'].unique().tolist()[:4]}; expected + or -"
    elif not pd.api.types.is_integer_dtype(table["position"]):
        wrong = f"position of starts has the type {table['position'].dtype}; expected whole numbers"
    if wrong:
        raise ParameterError(f"{wrong}. Pass the result of grn.genome.starts(build), or write the table like it.")
    return table.assign(chrom=prefixed(table["chrom"].astype(str).to_numpy(dtype=object)))


def _annotation(path: Path) -> pd.DataFrame:
    if not is_file(path):
        raise DataNotFoundError(f"there is no file {str(path)!r}; pass the path of a GTF or BED file.")
    kind = Path(path.name.removesuffix(".gz")).suffix
    if kind not in (".gtf", ".bed"):
        raise RegionError(f"{path.name} ends in {kind!r}; expected .gtf or .bed, also with .gz.")
    names = _GTF if kind == ".gtf" else _BED
    try:
        table = pd.read_csv(
            path, sep="\t", comment="#", header=None, names=names, usecols=names, index_col=False, dtype=str,
            keep_default_na=False,
        )  # fmt: skip
        table[["start", "end"]] = table[["start", "end"]].astype(np.int64)
    except UNREADABLE as error:
        check_access(path, error)
        raise RegionError(f"{path.name} cannot be read as {kind[1:].upper()} ({error}).") from error
    if kind == ".gtf":
        table = _of_gtf(table, path)
    foreign = ~table["strand"].isin(["+", "-"])
    if foreign.any() or table.empty:
        raise RegionError(
            f"{path.name} lists {len(table)} starts, {int(foreign.sum())} of them without the strand + or -; expected "
            "the columns chrom, start, end, name, score, strand (BED), or transcripts with gene_name (GTF)."
        )
    position = np.where(table["strand"] == "+", table["start"], table["end"] - 1)
    chrom = prefixed(table["chrom"].to_numpy(dtype=object))
    made = pd.DataFrame({"chrom": chrom, "position": position, "strand": table["strand"], "gene": table["gene"]})
    return made.drop_duplicates().sort_values(["chrom", "position", "gene", "strand"], ignore_index=True)


def _of_gtf(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Transcripts, else genes, with their names and BED's way to count."""
    kind = "transcript" if (table["feature"] == "transcript").any() else "gene"
    table = table[table["feature"] == kind]
    name = table["attributes"].str.extract(r'gene_name "([^"]+)"')[0]
    name = name.fillna(table["attributes"].str.extract(r'gene_id "([^"]+)"')[0])
    if name.isna().any():
        raise RegionError(f"{path.name} lists {int(name.isna().sum())} {kind}s without gene_name and gene_id.")
    return table.assign(gene=name, start=table["start"] - 1)
