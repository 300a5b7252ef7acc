"""The motifs that come with the package, and factors carried to the genes of another organism."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import numpy as np

from grn import genes
from grn._core import checks
from grn._core.errors import MotifError
from grn._core.logging import logger
from grn.genes import tables
from grn.genome.motif_files import factors_of
from grn.genome.motifs import Motifs, check_motifs
from grn.genome.tables import shipped


def jaspar(organism: str = "human") -> Motifs:
    """Give the motifs of JASPAR 2024 CORE of human and mouse, with their factors as genes of one organism.

    Parameters
    ----------
    organism
        ``"human"`` or ``"mouse"``: whose symbols the factors have. Motifs of both organisms are there; the factor of a
        motif of the other one is carried over by the ortholog table, as :func:`carry_factors` does it. ``"any"`` leaves
        the symbols of every motif as JASPAR has them.

    Returns
    -------
    Motifs
        872 motifs, named by their id (``MA0035.5``), sorted. Cite Rauluseviciute et al. 2024; JASPAR is under CC BY
        4.0.

    Raises
    ------
    ParameterError
        If ``organism`` is neither.

    Examples
    --------
    >>> import grn.genome
    >>> motifs = grn.genome.jaspar().select(factors=["GATA1"])
    >>> motifs.names
    ('MA0035.5', 'MA0140.3')
    >>> motifs.factors[1]
    ('GATA1', 'TAL1')
    """
    checks.word("organism", organism, (*tables.ORGANISMS, "any"))
    return _as_stored() if organism == "any" else _of(organism)


def carry_factors(motifs: Motifs, *, organism: str) -> Motifs:
    """Write the factors of motifs as the genes of one organism.

    Symbols of that organism are taken as they are; old names are replaced by approved ones. Symbols of the other
    organism are carried over by the ortholog table. Of several orthologs, to human that in the same gene order counts,
    to mouse that of the same name; without such a one there is none.

    Parameters
    ----------
    motifs
        Motifs with human or mouse factors, or both.
    organism
        ``"human"`` or ``"mouse"``.

    Returns
    -------
    Motifs
        All motifs. What is no gene of the organism is left out of the factors, and a message at info level tells how
        many that were.

    Raises
    ------
    ParameterError
        If ``organism`` is neither.
    MotifError
        If ``motifs`` are none, or no factor is left.

    Examples
    --------
    >>> import grn.genome, numpy as np
    >>> motifs = grn.genome.Motifs(("a",), (np.eye(4),), (("Gata1", "TP53"),))
    >>> grn.genome.carry_factors(motifs, organism="human").factors
    (('GATA1', 'TP53'),)
    """
    checks.word("organism", organism, tables.ORGANISMS)
    check_motifs(motifs)
    names = sorted({factor for listed in motifs.factors for factor in listed})
    place = _carried(names, organism)
    lost = [name for name in names if not place[name]]
    if len(lost) == len(names):
        raise MotifError(f"none of the factors {names[:4]} is a gene of {organism}; pass the other organism.")
    if lost:
        logger.info("%d of %d factors are no genes of %s, for example %s", len(lost), len(names), organism, lost[:3])
    carried = [tuple(dict.fromkeys(g for factor in listed for g in place[factor])) for listed in motifs.factors]
    return Motifs(motifs.names, motifs.counts, tuple(carried))


@cache
def _of(organism: str) -> Motifs:
    return carry_factors(_as_stored(), organism=organism)


@cache
def _as_stored() -> Motifs:
    table = shipped("jaspar2024")
    columns = [[np.array(text.split(), dtype=np.float64) for text in table[base]] for base in "ACGT"]
    counts = tuple(np.column_stack(rows) for rows in zip(*columns, strict=True))
    return Motifs(tuple(table["motif"]), counts, tuple(factors_of(name) for name in table["name"]))


def _carried(names: list[str], organism: str) -> dict[str, tuple[str, ...]]:
    """Genes of the organism that every symbol stands for: none or one."""
    native = dict(zip(names, _native(names, organism), strict=True))
    other = next(species for species in tables.ORGANISMS if species != organism)
    foreign = [name for name in names if not native[name]]
    if organism == "human":
        carried = _human_of(foreign)
    else:
        mice = _mouse_of()
        carried = {name: mice.get(gene, "") for name, gene in zip(foreign, _native(foreign, other), strict=True)}
    return {name: tuple(gene for gene in (native[name] or carried.get(name, ""),) if gene) for name in names}


def _native(names: list[str], organism: str) -> list[str]:
    """Approved symbols in the organism, each name looked up for itself."""
    known, aliases = tables.symbols(organism), tables.aliases(organism)
    symbols = []
    for name in names:
        listed = aliases.get(name, ())
        # an alias in the spelling of the other organism says nothing: Max is no human gene
        alias = listed[0] if len(listed) == 1 and (organism == "human") == name.isupper() else ""
        symbols.append(name if name in known else alias)
    return symbols


def _human_of(mice: list[str]) -> dict[str, str]:
    """Mouse symbol -> the human gene that is its ortholog alone, or shares its place among its neighbours."""
    if not mice:
        return {}
    return dict(zip(mice, genes.resolve(mice, organism="mouse", orthologs="syntenic")["symbol"], strict=True))


@cache
def _mouse_of() -> dict[str, str]:
    """Human symbol -> the mouse gene that is its ortholog alone, or has its name."""
    mice = defaultdict(set)
    for mouse, pairs in tables.orthologs().items():
        for pair in pairs:
            mice[pair.symbol].add(mouse)
    alone = {}
    for human, listed in mice.items():
        same = [mouse for mouse in sorted(listed) if mouse.upper() == human.upper()]
        if len(listed) == 1 or len(same) == 1:
            alone[human] = (same or sorted(listed))[0]
    return alone
