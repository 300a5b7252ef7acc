"""Read motifs from files: MEME, JASPAR, Homer and cluster-buster (cisTarget)."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from grn._core import checks
from grn._core.errors import DataNotFoundError, MotifError
from grn._core.files import UNREADABLE, as_path, file_errors, is_file
from grn.genome.motifs import Motifs

FORMATS = ("meme", "jaspar", "homer", "cb")
_SITES = re.compile(r"nsites\s*=\s*([\d.eE+]+)")
# a symbol, as far as a name of Homer, JASPAR or MEME tells it: not what was measured, nor a variant
_BEHIND = re.compile(r"[(/\s].*$")
Entry = tuple[str, str, np.ndarray]


def read_motifs(path: str | os.PathLike[str], *, format: str = "auto") -> Motifs:
    r"""Read motifs from a file.

    Parameters
    ----------
    path
        A text file, which may be gzipped.
    format
        ``"meme"`` (minimal MEME, with ``nsites`` as the number of observations), ``"jaspar"`` (``.jaspar``, or ``.pfm``
        without letters: four rows of counts), ``"homer"`` (``>consensus  name  threshold`` and a row per column),
        ``"cb"`` (cluster-buster, as the motif collection of cisTarget is distributed), or ``"auto"``, which tells it.

    Returns
    -------
    Motifs
        In the order of the file. A motif is named by its id. Factors are what the name beside the id says, without
        brackets and what follows a slash, split at ``::`` or ``+``; motifs of cluster-buster have none: see
        :meth:`Motifs.with_factors`.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    MotifError
        If it is malformed or holds no motif.
    ParameterError
        If ``format`` is unknown.
    StorageError
        If the file may not be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import grn.genome
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "one.jaspar")
    ...     _ = file.write_text(">MA1 JUN::FOS\nA [9 0 0]\nC [0 0 0]\nG [0 9 0]\nT [0 0 9]\n")
    ...     motifs = grn.genome.read_motifs(file)
    >>> motifs.consensus(), motifs.factors
    (['AGT'], (('JUN', 'FOS'),))
    """
    checks.word("format", format, ("auto", *FORMATS))
    place = as_path(path)
    if not is_file(place):
        raise DataNotFoundError(f"there is no file {str(path)!r}; pass the path of a file of motifs.")
    with file_errors(place, "read"):
        packed = place.read_bytes()
    try:
        text = (gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed).decode()
    except UNREADABLE as error:
        raise MotifError(
            f"{place.name} is no text ({error}); expected motifs as MEME, JASPAR or Homer write them."
        ) from error
    lines = [line.strip() for line in text.splitlines()]
    kind = _format_of(lines, place) if format == "auto" else format
    try:
        entries = list(_READERS[kind](lines))
    except (ValueError, IndexError) as error:
        raise MotifError(f"{place.name} cannot be read as {kind} ({error}); pass format= if it is another.") from error
    if not entries:
        raise MotifError(f"{place.name} holds no motif in the format {kind}; pass format=.")
    names, said, counts = zip(*entries, strict=True)
    return Motifs(names, counts, tuple(factors_of(name) for name in said))


def _format_of(lines: list[str], place: Path) -> str:
    """The format of a file by its first lines."""
    if any(line.startswith(("MEME version", "MOTIF")) for line in lines[:50]):
        return "meme"
    head = next((number for number, line in enumerate(lines) if line.startswith(">")), None)
    if head is None:
        raise MotifError(
            f"{place.name} has neither a line MEME version nor one with >; expected MEME, JASPAR or Homer."
        )
    if place.name.removesuffix(".gz").endswith((".jaspar", ".pfm")) or re.match(r"[ACGT]\s*[\[\d]", _next(lines, head)):
        return "jaspar"
    return "homer" if "\t" in lines[head] else "cb"


def _next(lines: list[str], head: int) -> str:
    return next((line for line in lines[head + 1 :] if line), "")


def _blocks(lines: list[str], mark: str) -> Iterator[tuple[str, list[str]]]:
    """Heads and the lines below them."""
    head, body = None, []
    for line in lines:
        if line.startswith(mark):
            if head is not None:
                yield head, body
            head, body = line.removeprefix(mark).strip(), []
        elif line and not line.startswith("#"):
            body.append(line)
    if head is not None:
        yield head, body


def _meme(lines: list[str]) -> Iterator[Entry]:
    for head, body in _blocks(lines, "MOTIF"):
        name, *alternative = head.split()
        start = next((number for number, line in enumerate(body) if "letter-probability" in line), None)
        if start is None:
            raise ValueError(f"{name} has no line letter-probability matrix")
        rows = [line.split() for line in body[start + 1 :] if re.match(r"[-\d.]", line)]
        shares = np.array(rows, dtype=np.float64)
        sites = _SITES.search(body[start])
        number = float(sites.group(1)) if sites else 0.0
        yield name, alternative[0] if alternative else name, shares * (number if number > 1 else 1.0)


def _jaspar(lines: list[str]) -> Iterator[Entry]:
    for head, body in _blocks(lines, ">"):
        name, _, said = head.partition("\t") if "\t" in head else head.partition(" ")
        rows = [re.sub(r"[\[\]]", " ", line).split() for line in body]
        if len(rows) != 4:
            raise ValueError(f"{name} has {len(rows)} rows, not those of A, C, G and T")
        lettered = {row[0].upper(): row[1:] for row in rows if row[0].upper() in "ACGT"}
        ordered = [lettered[base] for base in "ACGT"] if len(lettered) == 4 else rows
        yield name, said.strip() or name, np.array(ordered, dtype=np.float64).T


def _homer(lines: list[str]) -> Iterator[Entry]:
    for head, body in _blocks(lines, ">"):
        parts = head.split("\t")
        name = (parts[1] if len(parts) > 1 else parts[0]).strip()
        yield name, name, np.array([line.split() for line in body], dtype=np.float64)


def _cb(lines: list[str]) -> Iterator[Entry]:
    for head, body in _blocks(lines, ">"):
        yield head.split()[0], "", np.array([line.split() for line in body], dtype=np.float64)


def factors_of(name: str) -> tuple[str, ...]:
    """Symbols of the factors that the name of a motif tells."""
    parts = (_BEHIND.sub("", part).strip() for part in re.split(r"::|\+", name))
    return tuple(dict.fromkeys(part for part in parts if part))


_READERS = {"meme": _meme, "jaspar": _jaspar, "homer": _homer, "cb": _cb}
