"""Look for motifs in regions of a genome, some regions at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core import checks
from grn._core.errors import RegionError
from grn._core.logging import hint, progress
from grn._kernels import motif_scores
from grn._kernels.motif_scan import Hits, Scanner
from grn.genome.motifs import Motifs, check_motifs, checked_background
from grn.genome.regions import Regions, parse_regions
from grn.genome.sequences import Sequences, Source, opened

# shares of A, C, G, T of the human and the mouse genome, to two digits
GENOMIC = (0.29, 0.21, 0.21, 0.29)
# bases in work at a time
_BLOCK = 1 << 20
# words of so many bases are worth their table from so many bases on
WIDTHS = ((0, 7), (200_000, 8), (1_000_000, 9), (4_000_000, 10), (50_000_000, 11))


@dataclass(frozen=True, eq=False)
class Prepared:
    """Motifs on the grid of scores, with what a hit has to reach.

    Parameters
    ----------
    motifs
        What is looked for.
    matrices
        Whole numbers (L, 4) per motif.
    thresholds
        In the same unit, per motif.
    background
        Shares of the bases.
    """

    motifs: Motifs
    matrices: list[np.ndarray]
    thresholds: np.ndarray
    background: np.ndarray

    def bits(self, scores: np.ndarray) -> np.ndarray:
        """Scores in bits."""
        values: np.ndarray = scores * motif_scores.STEP
        return values

    def scanner(self, n_bases: int) -> Scanner:
        """What looks for them in so many bases in all."""
        width = [bases for least, bases in WIDTHS if n_bases >= least][-1]
        return Scanner(self.matrices, self.thresholds.tolist(), width=width)


def prepare(
    motifs: Motifs, *, pvalue: float = 1e-4, background: Sequence[float] = GENOMIC, pseudocount: float = 1.0
) -> Prepared:
    """Thresholds of motifs for a p-value; where no word of a motif is as rare, its best one."""
    check_motifs(motifs)
    checks.number("pvalue", pvalue, above=0, below=1)
    shares = checked_background(background)
    matrices = [motif_scores.on_grid(scores) for scores in motifs.log_odds(shares, pseudocount=pseudocount)]
    thresholds = np.array([motif_scores.threshold(matrix, shares, pvalue) for matrix in matrices])
    highest = np.array([matrix.max(axis=1).sum() for matrix in matrices])
    short = np.flatnonzero(thresholds > highest)
    thresholds = np.minimum(thresholds, highest)
    if len(short):
        hint(
            "%d of %d motifs are too short for pvalue=%g: only their best word is a hit (%s ...)", len(short),
            len(motifs), pvalue, ", ".join(motifs.names[row] for row in short[:3]),
        )  # fmt: skip
    return Prepared(motifs, matrices, thresholds, shares)


def blocks(
    table: pd.DataFrame, sequences: Sequences, prepared: Prepared, *, show: bool | None = None
) -> Iterator[tuple[np.ndarray, Hits]]:
    """Rows of regions, and the hits in them, a block at a time along the genome.

    Memory follows the block and the longest region, not the number of regions.
    """
    sequences.check(table)
    size = (table["end"] - table["start"]).to_numpy()
    scanner = prepared.scanner(int(size.sum()))
    order = np.lexsort([table["start"].to_numpy(), table["chrom"].to_numpy(dtype=object).astype(str)])
    number = np.cumsum(size[order]) // _BLOCK
    parts = np.split(order, np.flatnonzero(np.diff(number)) + 1)
    for rows in progress(parts, desc="scan", show=show):
        yield rows, scanner.scan(sequences.coded(table.iloc[rows]))


def hit_matrices(
    table: pd.DataFrame, sequences: Sequences, prepared: Prepared, *, show: bool | None = None
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Best score in bits, and number of places with a hit, of every region (rows) and motif (columns)."""
    rows, columns, best, count = [], [], [], []
    for block, hits in blocks(table, sequences, prepared, show=show):
        pair = hits.sequence * len(prepared.motifs) + hits.motif
        first = np.flatnonzero(np.r_[True, np.diff(pair) != 0]) if len(pair) else np.zeros(0, dtype=np.int64)
        rows.append(block[hits.sequence[first]])
        columns.append(hits.motif[first])
        best.append(np.maximum.reduceat(hits.score, first) if len(first) else hits.score)
        count.append(np.diff(np.r_[first, len(pair)]))
    at = np.concatenate(rows), np.concatenate(columns)
    shape = len(table), len(prepared.motifs)
    scores = prepared.bits(np.concatenate(best)).astype(np.float32)
    return (
        sparse.csr_matrix((scores, at), shape=shape),
        sparse.csr_matrix((np.concatenate(count).astype(np.int32), at), shape=shape),
    )


def motif_positions(
    regions: Regions,
    *,
    sequences: Source | Sequences,
    motifs: Motifs,
    pvalue: float = 1e-4,
    background: Sequence[float] = GENOMIC,
    pseudocount: float = 1.0,
) -> pd.DataFrame:
    """List every place in some regions at which a motif is found.

    Scores and thresholds are those of :func:`grn.pp.scan_motifs`; this is for few regions or motifs, as there are many
    places.

    Parameters
    ----------
    regions
        Names or a table, as :func:`parse_regions` takes them.
    sequences
        :class:`Sequences`, or what they are made of: a dict, or the path of a FASTA or .2bit file.
    motifs
        From :func:`grn.pp.motifs`.
    pvalue
        Chance at which a random word reaches the threshold on one strand. Of a motif too short to have a word as rare,
        only the best word is a hit.
    background
        Share of A, C, G and T in random words; both strands are made alike.
    pseudocount
        Further observations per column of a motif, which follow the background.

    Returns
    -------
    DataFrame
        ``region``, ``motif``, ``chrom``, ``start``, ``end`` (of the place, as in BED), ``strand``, ``score`` (bits) and
        ``pvalue`` (exact, of that score), in the order of regions, then motifs, then places. Where both strands are hit
        at one place, the better one is listed.

    Raises
    ------
    RegionError
        If regions are malformed or not in the sequences.
    MotifError
        If ``motifs`` are none, or the background is malformed.
    ParameterError
        If another argument has a wrong type or value.

    Examples
    --------
    >>> import grn.genome
    >>> motifs = grn.genome.jaspar().select(["MA0035.5"])
    >>> places = grn.genome.motif_positions(["chr1:5-25"], sequences={"chr1": "CAGAT" * 3 + "CTTATCT" + "GGCAT" * 2},
    ...                                     motifs=motifs, pvalue=1e-3)
    >>> places[["start", "end", "strand"]].values.tolist()
    [[15, 22, '+']]
    """
    prepared = prepare(motifs, pvalue=pvalue, background=background, pseudocount=pseudocount)
    table = parse_regions(regions)
    with opened(sequences) as source:
        scanned = list(blocks(table, source, prepared, show=False))
    row = np.concatenate([rows[hits.sequence] for rows, hits in scanned])
    motif, start, forward, score = (np.concatenate([hits[k] for _, hits in scanned]) for k in range(1, 5))
    order = np.lexsort([start, motif, row])
    row, motif, score = row[order], motif[order], score[order]
    begin = table["start"].to_numpy()[row] + start[order]
    length = np.array([len(matrix) for matrix in prepared.matrices])
    return pd.DataFrame(
        {
            "region": table.index[row],
            "motif": np.array(motifs.names, dtype=object)[motif],
            "chrom": table["chrom"].to_numpy()[row],
            "start": begin,
            "end": begin + length[motif],
            "strand": np.where(forward[order], "+", "-"),
            "score": prepared.bits(score),
            "pvalue": _pvalues(prepared, motif, score),
        }
    )


def threshold_pvalues(prepared: Prepared) -> np.ndarray:
    """Chance of a random word to be a hit, per motif: at most the p-value asked for, unless the motif is too short."""
    return _pvalues(prepared, np.arange(len(prepared.motifs)), prepared.thresholds)


def _pvalues(prepared: Prepared, motif: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Chance of a score of at least so much, per hit."""
    values = np.ones(len(motif))
    for number in np.unique(motif):
        mine = motif == number
        lowest, tail = motif_scores.chances(prepared.matrices[number], prepared.background)
        values[mine] = tail[score[mine] - lowest]
    return values


def no_hits(table: pd.DataFrame, motifs: Motifs, pvalue: float) -> RegionError:
    """The error where nothing was found."""
    return RegionError(
        f"none of the {len(motifs)} motifs is found in any of the {len(table)} regions at pvalue={pvalue:g}; are the "
        "sequences masked (N)? Else pass a larger pvalue."
    )
