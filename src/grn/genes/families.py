"""Families of genes, as far as approved symbols and motifs tell: paralogues share the letters before their number."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from grn._core import checks
from grn.genes import tables

KINDS = ("stem", "prefix", "domain")
# roots that number an antigen, a clone, an open reading frame or a transcript, and say nothing about relation
CATALOGUES = frozenset(
    {"C", "CCDC", "CD", "DKFZP", "FAM", "FLJ", "HSPC", "KIAA", "LINC", "LOC", "MIR", "ORF", "RNU", "TMEM"}
)
_PREFIX = 3
_DIGIT = re.compile(r"\d.*$")


def families(symbols: Iterable[str], *, kind: str = "stem") -> np.ndarray:
    """Family of every gene, from its symbol or its DNA-binding domain.

    Parameters
    ----------
    symbols
        Approved symbols, of human or mouse.
    kind
        ``"stem"``: the letters before the first digit, at least two, without the roots that number clones, antigens or
        open reading frames (``CD``, ``KIAA``, ``TMEM``, ...). ``"prefix"``: the first three letters of such a stem.
        ``"domain"``: the family of the DNA-binding domain of a regulator, as JASPAR and CIS-BP name it for its motif.

    Returns
    -------
    ndarray
        Upper-case labels (n,); a gene whose symbol tells no family is alone in one of its own name.

    Raises
    ------
    ParameterError
        If ``kind`` is unknown.

    Notes
    -----
    A symbol is a hint, no proof: most genes with one stem are paralogues (``HOXA1`` and ``HOXA9``), some are not, and
    paralogues of other names are missed. Linear in the number of symbols.

    Examples
    --------
    >>> from grn.genes import families
    >>> families(["STAT1", "Stat3", "HOXA9", "CD4", "TP53"]).tolist()
    ['STAT', 'STAT', 'HOXA', 'CD4', 'TP']
    >>> families(["HOXA9", "HOXB4"], kind="prefix").tolist()
    ['HOX', 'HOX']
    """
    checks.word("kind", kind, KINDS)
    if kind == "domain":
        domains = tables.domains()
        return np.array([domains.get(str(symbol).upper(), str(symbol).upper()) for symbol in symbols], dtype=str)
    return np.array([_family(str(symbol).upper(), kind) for symbol in symbols], dtype=str)


def _family(symbol: str, kind: str) -> str:
    stem = _DIGIT.sub("", symbol)
    if len(stem) < 2 or stem.rstrip("-") in CATALOGUES or (stem == symbol and len(symbol) <= _PREFIX):
        return symbol
    return stem if kind == "stem" else stem[:_PREFIX]
