"""The fact tables that ship with the package, read once.

``scripts/build_gene_tables.py`` compiles them from public annotation; ``data/tables.json`` names the sources.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from grn._core.errors import ParameterError

ORGANISMS = ("human", "mouse")


class Ortholog(NamedTuple):
    """A human ortholog: symbol, one2one | one2many | many2many | name, and whether it alone shares the gene order.

    ``name``: the ortholog table lacks the pair, but both genes bear one name, today or until lately.
    """

    symbol: str
    kind: str
    syntenic: bool


def check_organism(organism: str) -> str:
    """Return the organism if there are tables for it."""
    if organism not in ORGANISMS:
        raise ParameterError(f"organism={organism!r} has no gene tables; use 'human' or 'mouse'.")
    return organism


def _rows(name: str) -> list[list[str]]:
    packed = files("grn.genes").joinpath("data", f"{name}.tsv.gz").read_bytes()
    lines = gzip.decompress(packed).decode().split("\n")
    return [line.split("\t") for line in lines[1:] if line]


@cache
def symbols(organism: str) -> dict[str, str]:
    """Approved symbol -> Ensembl gene id, "" where the tables have none."""
    return {row[0]: row[1] for row in _rows(f"{check_organism(organism)}_genes")}


@cache
def ensembl_ids(organism: str) -> dict[str, str]:
    """Ensembl gene id without version -> approved symbol."""
    return {ensembl: symbol for symbol, ensembl in symbols(organism).items() if ensembl}


@cache
def aliases(organism: str) -> dict[str, tuple[str, ...]]:
    """Alias, previous symbol or retired Ensembl id -> the approved symbols it stands for."""
    return {alias: tuple(symbols.split("|")) for alias, symbols in _rows(f"{check_organism(organism)}_aliases")}


@cache
def orthologs() -> dict[str, tuple[Ortholog, ...]]:
    """Mouse symbol -> its human orthologs."""
    humans: dict[str, list[Ortholog]] = {}
    for mouse, human, kind, syntenic in _rows("orthologs"):
        humans.setdefault(mouse, []).append(Ortholog(human, kind, syntenic == "1"))
    return {mouse: tuple(pairs) for mouse, pairs in humans.items()}


@cache
def regulator_sources(organism: str) -> dict[str, str]:
    """Regulator symbol -> lists that name it, joined by "|"."""
    check_organism(organism)
    return {symbol: sources for species, symbol, sources in _rows("regulators") if species == organism}


@cache
def domains() -> dict[str, str]:
    """Human regulator -> family of its DNA-binding domain, where a collection of motifs names one."""
    return {row[0]: row[1] for row in _rows("domains")}


@cache
def _facts() -> dict[str, object]:
    loaded: dict[str, object] = json.loads(files("grn.genes").joinpath("data", "tables.json").read_text())
    return loaded


def versions() -> dict[str, str]:
    """Give the version of the gene tables and the first 12 hex digits of each table's sha256.

    Returns
    -------
    dict of str
        ``"version"`` and one entry per table, safe to store in ``uns``.

    Examples
    --------
    >>> import grn.genes
    >>> sorted(grn.genes.versions())[:3]
    ['domains', 'human_aliases', 'human_genes']
    """
    facts = _facts()
    tables: dict[str, dict[str, object]] = facts["tables"]  # type: ignore[assignment]
    return {"version": str(facts["version"]), **{name: str(fact["sha256"])[:12] for name, fact in tables.items()}}
