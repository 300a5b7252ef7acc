"""Databases of cisTarget: rankings or scores of regions by motifs, in Feather files that a user has."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core import checks
from grn._core.errors import DataNotFoundError, MotifError, RegionError
from grn._core.logging import hint, progress, some
from grn._kernels import intervals
from grn._kernels.recovery import rankings_of_places
from grn.cistromes.evidence import Evidence
from grn.genome import parse_regions
from grn.genome.regions import coded_together

# columns with the names of the rows: motifs where columns are regions, regions where columns are motifs
_MOTIFS, _REGIONS = ("motifs", "tracks", "features"), ("regions",)
# values in work at a time
_AT_ONCE = 1 << 24
_EXPECTED = (
    "expected a database of regions, such as *.regions_vs_motifs.rankings.feather (a column per region, and motifs) or "
    "*.motifs_vs_regions.scores.feather (a column per motif, and regions)"
)


@dataclass(frozen=True)
class _File:
    """A database: its path, the column of names, and whether the other columns are regions."""

    path: str
    names: str
    columns: list[str]
    by_region: bool

    def read(self, columns: list[str]) -> np.ndarray:
        """Values (rows, k) of some columns."""
        from pyarrow import feather

        table = feather.read_table(self.path, columns=columns, memory_map=True)
        return np.column_stack([table.column(name).to_numpy() for name in columns])

    def rows(self) -> np.ndarray:
        """Names of the rows."""
        from pyarrow import feather

        column = feather.read_table(self.path, columns=[self.names], memory_map=True).column(self.names)
        return np.array(column.to_pylist(), dtype=object).astype(str)


def from_database(
    path: str | os.PathLike[str], regions: pd.DataFrame, *, overlap: float, depth: Any, show: bool | None = None
) -> Evidence:
    """What a database says of the regions that overlap those of an object.

    Parameters
    ----------
    path
        Feather file (version 2).
    regions
        Regions of the object, as :func:`grn.genome.parse_regions` gives them.
    overlap
        Share of the shorter of two regions that both have to have.
    depth
        A function from the number of places of a ranking to how many matter; the others are not kept.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    MotifError
        If it is no such database, or holds values that are none of one.
    RegionError
        If no region overlaps, or names are no regions.
    """
    checks.number("overlap", overlap, above=0, most=1)
    file = _opened(path)
    listed = pd.Index(file.columns if file.by_region else file.rows(), dtype=object)
    place, chosen = _place(regions, listed, overlap)
    motifs = file.rows() if file.by_region else np.array(file.columns, dtype=str)
    names = listed[chosen].to_numpy(dtype=object).astype(str)
    ranked = _is_ranking(file)
    least = depth(len(listed)) if ranked else 0
    values = _values(file, chosen, ranked=ranked, depth=least, show=show)  # (U, M)
    factors = pd.DataFrame({"motif": [], "factor": [], "extended": []}).astype({"extended": bool})
    common = {"motifs": motifs, "names": names, "factors": factors, "place": place}
    if ranked:
        return Evidence(**common, ranks=rankings_of_places(values, len(listed)))
    return Evidence(**common, scores=values)


def _opened(path: str | os.PathLike[str]) -> _File:
    import pyarrow as pa

    name = os.fspath(path)
    if not Path(name).is_file():
        raise DataNotFoundError(f"there is no file {name!r}; pass the path of a database: {_EXPECTED}.")
    with Path(name).open("rb") as file:
        start = file.read(6)
    if start[:4] == b"FEA1":
        raise MotifError(
            f"{name!r} is a Feather file of version 1; convert it once: pyarrow.feather.write_feather("
            f"pyarrow.feather.read_table({name!r}), 'new.feather')."
        )
    try:
        with pa.memory_map(name) as source:
            columns = [str(column) for column in pa.ipc.open_file(source).schema.names]
    except (pa.ArrowException, OSError) as error:
        raise MotifError(f"{name!r} is no Feather file ({error}); {_EXPECTED}.") from error
    of_rows = [column for column in columns if column in (*_MOTIFS, *_REGIONS)]
    if len(of_rows) != 1 or len(columns) < 2:
        raise MotifError(f"{name!r} has the columns {some(columns[-3:], 3)}; {_EXPECTED}.")
    others = [column for column in columns if column != of_rows[0]]
    return _File(name, of_rows[0], others, of_rows[0] in _MOTIFS)


def _place(regions: pd.DataFrame, listed: pd.Index, overlap: float) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Regions of the object x those of the database that overlap any (R, U), and positions of the latter (U,)."""
    table = parse_regions(listed)
    ours, theirs = coded_together(regions, table)
    i, j = intervals.overlapping(ours, theirs)
    shared = np.minimum(ours[2][i], theirs[2][j]) - np.maximum(ours[1][i], theirs[1][j])
    keep = shared >= overlap * np.minimum((ours[2] - ours[1])[i], (theirs[2] - theirs[1])[j])
    i, j = i[keep], j[keep]
    if not len(i):
        raise RegionError(
            f"no region overlaps one of the database ({some(regions.index, 2)}; {some(listed, 2)}); is it of the same "
            "build of the genome?"
        )
    lost = len(regions) - len(np.unique(i))
    if lost:
        hint("%d of %d regions overlap none of the database and can be no hit", lost, len(regions))
    chosen, column = np.unique(j, return_inverse=True)
    return sparse.csr_matrix((np.ones(len(i)), (i, column)), shape=(len(regions), len(chosen))), chosen


def _is_ranking(file: _File) -> bool:
    """Whether values are whole numbers: places, not scores."""
    kind = file.read(file.columns[:1]).dtype.kind
    if kind not in "iuf":
        raise MotifError(f"column {file.columns[0]!r} of {file.path!r} holds no numbers; {_EXPECTED}.")
    return kind in "iu"


def _values(file: _File, chosen: np.ndarray, *, ranked: bool, depth: int, show: bool | None) -> sparse.csc_matrix:
    """Scores above 0, or places + 1 up to a depth, of some regions (U, M); nothing else is kept."""
    wanted = [file.columns[k] for k in chosen] if file.by_region else file.columns
    n_rows = len(file.rows())
    step = max(1, _AT_ONCE // max(n_rows, 1))
    parts = []
    for first in progress(range(0, len(wanted), step), desc="reading database", show=show):
        block = file.read(wanted[first : first + step])
        block = block.T if file.by_region else block[chosen]
        wrong = int((~np.isfinite(block)).sum()) if block.dtype.kind == "f" else int((block < 0).sum())
        if wrong:
            raise MotifError(f"{file.path!r} holds {wrong} values that are NaN, infinite or places below 0.")
        stored = np.where(block < depth, block.astype(np.int64) + 1, 0) if ranked else np.maximum(block, 0)
        parts.append(sparse.csr_matrix(stored) if file.by_region else sparse.csc_matrix(stored))
    stacked = sparse.vstack(parts) if file.by_region else sparse.hstack(parts)
    return sparse.csc_matrix(stacked, dtype=np.int64 if ranked else np.float64)
