"""Sequences of a genome: from memory, or piece by piece from a FASTA or .2bit file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd

from grn._core.errors import DataNotFoundError, ParameterError, RegionError
from grn._core.files import as_path, check_access, is_file
from grn._core.logging import logger
from grn._core.optional import require
from grn._kernels.motif_scores import encode
from grn.genome.regions import parse_regions

Source = Mapping[str, str] | str | os.PathLike[str]
_FASTA = (".fa", ".fasta", ".fna")
_MITOCHONDRIAL = ("chrM", "M", "MT", "chrMT")
# length of chromosome 1 and X tells the build of a genome
_LENGTHS = {
    "hg18": (247_249_719, 154_913_754),
    "hg19": (249_250_621, 155_270_560),
    "hg38": (248_956_422, 156_040_895),
    "hs1": (248_387_328, 154_259_566),
    "mm9": (197_195_432, 166_650_296),
    "mm10": (195_471_971, 171_031_299),
    "mm39": (195_154_279, 169_476_592),
}


class Sequences:
    """The chromosomes of a genome, of which pieces can be taken.

    Parameters
    ----------
    source
        Name of every chromosome -> its bases; or the path of a FASTA file (``.fa``, ``.fasta``, ``.fna``, not packed)
        or of a ``.2bit`` file. Files are read piece by piece. The index of a FASTA file (``.fai``) is made beside it
        where that is possible, and else in a temporary folder.

    Notes
    -----
    Needs pyfaidx or twobitreader for files: ``pip install 'grn[motif]'``. Close it, or use it in a ``with`` block.

    Examples
    --------
    >>> import grn.genome
    >>> with grn.genome.Sequences({"chr1": "ACGTACGT"}) as sequences:
    ...     sequences.lengths, sequences.bases("chr1:2-5")
    ({'chr1': 8}, 'GTA')
    """

    def __init__(self, source: Source) -> None:
        self._close: Callable[[], None] = lambda: None
        self._path = Path()
        if isinstance(source, Mapping):
            self.lengths, self._read = _in_memory(source)
            return
        if not isinstance(source, str | os.PathLike):
            raise ParameterError(
                f"source has type {type(source).__name__}; pass a dict of sequences, or the path of a .fa or "
                ".2bit file."
            )
        self._path = path = as_path(source, name="source")
        if not is_file(path):
            raise DataNotFoundError(f"there is no file {str(source)!r}; pass the path of a .fa or .2bit file.")
        if path.suffix == ".2bit":
            self.lengths, self._read, self._close = _two_bit(path)
        elif path.suffix in _FASTA:
            self.lengths, self._read, self._close = _fasta(path)
        else:
            raise ParameterError(
                f"source={path.name!r} ends in {path.suffix!r}; known are {', '.join(_FASTA)} and .2bit. Unpack a .gz "
                "file first: gunzip."
            )

    def __enter__(self) -> Sequences:
        """Use in a ``with`` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; what is in memory stays."""
        self._close()

    def length(self, chrom: str) -> int | None:
        """How long a chromosome is.

        Parameters
        ----------
        chrom
            Its name, with or without ``chr``.

        Returns
        -------
        int or None
            Number of bases; ``None`` if it is not there.
        """
        name = self._spelled(chrom)
        return None if name is None else self.lengths[name]

    def bases(self, region: str) -> str:
        """The bases of one region, as they are written.

        Parameters
        ----------
        region
            Name such as ``chr1:100-600``, counted as in BED.

        Returns
        -------
        str
            As many letters as the region has bases.

        Raises
        ------
        RegionError
            If there is no such chromosome, or it ends before.
        """
        table = parse_regions([region])
        self.check(table)
        return self._piece(*table.iloc[0])

    def check(self, table: pd.DataFrame) -> None:
        """Refuse regions that are not in these sequences.

        Parameters
        ----------
        table
            From :func:`grn.genome.parse_regions`.

        Raises
        ------
        RegionError
            If a chromosome is not there, or ends before a region does.
        """
        chroms = table["chrom"].to_numpy(dtype=object)
        spelled = {chrom: self._spelled(chrom) for chrom in sorted(set(chroms))}
        lost = [chrom for chrom, name in spelled.items() if name is None]
        if lost:
            there = np.isin(chroms, lost)
            raise RegionError(
                f"{there.sum()} of {len(table)} regions are on chromosomes that the genome lacks, {lost[:4]}; it has "
                f"{list(self.lengths)[:4]}. Pass another genome, or leave them out: adata = adata[:, "
                f"~grn.genome.parse_regions(adata.var_names)['chrom'].isin({lost}).to_numpy()].copy()."
            )
        ends = np.array([self.lengths[spelled[chrom] or ""] for chrom in chroms])
        beyond = table["end"].to_numpy() > ends
        if beyond.any():
            first = int(np.flatnonzero(beyond)[0])
            raise RegionError(
                f"{beyond.sum()} of {len(table)} regions end behind their chromosome, for example {table.index[first]} "
                f"({chroms[first]} has {ends[first]} bases): the genome is of another build. "
                "grn.genome.check_build tells that of the regions."
            )

    def coded(self, table: pd.DataFrame) -> list[np.ndarray]:
        """Bases of regions as numbers, A, C, G, T being 0 to 3 and all else 4; lower case counts as upper case.

        Parameters
        ----------
        table
            From :func:`grn.genome.parse_regions`, and checked.

        Returns
        -------
        list of ndarray
            uint8, one per region.
        """
        rows = zip(table["chrom"], table["start"].tolist(), table["end"].tolist(), strict=True)
        return [encode(self._piece(chrom, start, end)) for chrom, start, end in rows]

    def _piece(self, chrom: str, start: int, end: int) -> str:
        reason = "it ends before"
        try:
            bases = self._read(self._spelled(chrom) or chrom, start, end)
        except (OSError, ValueError, EOFError) as error:
            check_access(self._path, error)
            bases, reason = "", str(error)
        if len(bases) < end - start:
            raise RegionError(
                f"{self._path.name} gives {len(bases)} of the {end - start} bases of {chrom}:{start}-{end} that its "
                f"index promises ({reason}): it was closed or is cut off. Get it anew; of FASTA, remove the .fai, too."
            )
        return bases

    def _spelled(self, chrom: str) -> str | None:
        """The chromosome as it is written here: ``chr1`` may be ``1``, ``chrM`` ``MT``."""
        options = _MITOCHONDRIAL if chrom in _MITOCHONDRIAL else (chrom, chrom.removeprefix("chr"))
        return next((name for name in options if name in self.lengths), None)


def build_of(sequences: Sequences) -> str | None:
    """The build of a genome, as the length of chromosome 1 or X tells it; ``None`` for other genomes and parts."""
    here = tuple(sequences.length(chrom) for chrom in ("chr1", "chrX"))
    return next((name for name, lengths in _LENGTHS.items() if here[0] == lengths[0] or here[1] == lengths[1]), None)


def check_genome(sequences: Sequences, build: str) -> None:
    """Refuse a genome that is another build, where the length of a chromosome says so."""
    told = build_of(sequences)
    if told not in (None, build):
        raise RegionError(
            f"the genome is {told}, by the length of its chromosomes, and build={build!r} was asked for; pass "
            f"build={told!r} if there are starts of it, or the genome {build}."
        )


@contextmanager
def opened(source: Source | Sequences) -> Iterator[Sequences]:
    """Sequences that a user passed, or those of a source, closed in the end."""
    if isinstance(source, Sequences):
        yield source
        return
    with Sequences(source) as made:
        yield made


def _in_memory(source: Mapping[str, str]) -> tuple[dict[str, int], Callable[[str, int, int], str]]:
    wrong = [name for name, bases in source.items() if not isinstance(name, str) or not isinstance(bases, str)]
    if wrong or not source:
        raise ParameterError(f"source holds {wrong[:3]} beside text; pass a dict from names of chromosomes to bases.")
    return {name: len(bases) for name, bases in source.items()}, lambda name, start, end: source[name][start:end]


def _two_bit(path: Path) -> tuple[dict[str, int], Callable[[str, int, int], str], Callable[[], None]]:
    twobitreader = require("twobitreader", extra="motif", purpose="reading a .2bit file")
    try:
        file: Any = twobitreader.TwoBitFile(str(path))
        lengths = {str(name): int(size) for name, size in file.sequence_sizes().items()}
    except (OSError, ValueError, EOFError, twobitreader.TwoBitFileError) as error:
        check_access(path, error)
        raise RegionError(f"{path.name} cannot be read as .2bit ({error}).") from error
    return lengths, lambda name, start, end: str(file[name][start:end]), file.close


def _fasta(path: Path) -> tuple[dict[str, int], Callable[[str, int, int], str], Callable[[], None]]:
    pyfaidx = require("pyfaidx", extra="motif", purpose="reading a FASTA file")
    folder = None
    index = Path(f"{path}.fai")
    current = index.exists() and index.stat().st_mtime >= path.stat().st_mtime
    if not current and not os.access(path.parent, os.W_OK):
        folder = tempfile.TemporaryDirectory()
        index = Path(folder.name) / f"{path.name}.fai"
        logger.info("%s lies where nothing can be written; its index is made anew in each call", path.name)
    try:
        file = pyfaidx.Fasta(str(path), as_raw=True, indexname=str(index), one_based_attributes=False)
        lengths = {str(name): len(file[name]) for name in file.keys()}
    except (OSError, ValueError, pyfaidx.FastaIndexingError) as error:
        check_access(path, error)
        raise RegionError(f"{path.name} cannot be read as FASTA ({error}).") from error
    if not lengths:
        raise RegionError(f"{path.name} holds no sequence; expected FASTA, with lines that begin with >.")

    def close() -> None:
        file.close()
        if folder is not None:
            folder.cleanup()

    return lengths, lambda name, start, end: str(file[name][start:end]), close
