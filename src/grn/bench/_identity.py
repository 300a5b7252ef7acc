"""When two gene names, perhaps of two organisms, stand for the same gene as far as leakage goes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from grn._core import checks
from grn.genes import resolve, tables

MATCHES = ("ortholog", "symbol")


def keys(names: Iterable[str], *, organism: str, match: str = "ortholog") -> np.ndarray:
    """Give every name the key of its gene; names with equal keys count as one gene.

    Parameters
    ----------
    names
        Gene names.
    organism
        Whose they are.
    match
        ``"ortholog"``: approved symbols (aliases and letter case looked through), joined when they are orthologs of
        each other (of any kind, through any chain) or differ in letter case only, so that nothing shared is
        overlooked. ``"symbol"``: the name in upper case.

    Raises
    ------
    ParameterError
        If ``match`` is unknown.
    """
    checks.word("match", match, MATCHES)
    listed = [str(name) for name in names]
    if match == "symbol":
        return np.array([name.upper() for name in listed], dtype=str)
    joined = _families()
    return np.array([joined.get(symbol, symbol) for symbol in _symbols(listed, organism)], dtype=str)


def _symbols(names: list[str], organism: str) -> list[str]:
    """Approved symbols in upper case; an approved symbol in any letter case outranks an alias."""
    approved, spellings = _approved(organism), _spellings(organism)
    table = resolve(names, organism=organism)
    symbols = []
    for name, native, candidates in zip(names, table["native"], table["candidates"], strict=True):
        letters = name.upper()
        # several names of one gene are ambiguous to resolve, which keeps one of them, but here they are that gene
        known = native or ("" if "|" in candidates else candidates)
        # a name that stands for several genes has no approved symbol; its own spelling still tells it from others
        symbols.append(letters if letters in approved else (known or spellings.get(letters, letters)).upper())
    return symbols


@cache
def _approved(organism: str) -> frozenset[str]:
    """Approved symbols in upper case; no two of one organism differ in letter case only."""
    return frozenset(symbol.upper() for symbol in tables.symbols(organism))


@cache
def _spellings(organism: str) -> dict[str, str]:
    """Alias in upper case -> the approved symbol, where there is one only and no organism has a gene of that name."""
    meanings: dict[str, set[str]] = {}
    for alias, symbols in tables.aliases(organism).items():
        meanings.setdefault(alias.upper(), set()).update(symbols)
    taken = frozenset().union(*(_approved(other) for other in tables.ORGANISMS))
    return {alias: min(symbols) for alias, symbols in meanings.items() if len(symbols) == 1 and alias not in taken}


@cache
def _families() -> dict[str, str]:
    """Upper-case symbol -> the first symbol of all that are linked to it by orthology."""
    links = [(mouse.upper(), pair.symbol.upper()) for mouse, pairs in tables.orthologs().items() for pair in pairs]
    symbols = np.unique(np.array(links, dtype=str))
    ends = np.searchsorted(symbols, np.array(links, dtype=str))
    graph = coo_matrix((np.ones(len(ends)), ends.T), shape=(len(symbols), len(symbols)))
    _, family = connected_components(graph, directed=False)
    first = np.full(family.max() + 1, len(symbols))
    np.minimum.at(first, family, np.arange(len(symbols)))
    return dict(zip(symbols.tolist(), symbols[first[family]].tolist(), strict=True))
