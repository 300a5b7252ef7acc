"""Turn gene names of any kind into approved human symbols and Ensembl ids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import pandas as pd

from grn._core import checks
from grn.genes import tables
from grn.genes.organism import ENSEMBL, as_names, detect_organism
from grn.genes.spelling import small_letters

STATUS = ("kept", "ambiguous", "lost")
ORTHOLOGS = ("one2one", "syntenic")
HOW = ("exact", "ensembl", "alias", "ortholog", "none")


def resolve(names: Iterable[str], *, organism: str = "auto", orthologs: str = "one2one") -> pd.DataFrame:
    """Look gene names up and say for each one what became of it.

    Approved symbols, Ensembl gene ids (with or without version), previous symbols, aliases and retired ids are
    looked up as they are written. Letter case is changed only where mouse symbols are written in capitals throughout,
    with a warning. Mouse genes are carried to human by the ortholog table. If several names stand for one gene, a
    symbol outranks an id, an id outranks an alias; the others, and all of them when they are of the same rank, are
    ``ambiguous``. Of several mouse genes with one human ortholog that of the same name outranks the others.

    Parameters
    ----------
    names
        Gene names, in any order.
    organism
        ``"human"``, ``"mouse"`` or ``"auto"``, which tells it from the names (:func:`detect_organism`).
    orthologs
        Which mouse genes are carried to human: ``"one2one"``, or ``"syntenic"`` to add those genes with several
        orthologs of which exactly one lies in the same gene order in both genomes (Myc, Pou5f1, Nanog).

    Returns
    -------
    DataFrame
        One row per name, in the order given: ``name``; ``symbol`` and ``ensembl``, the human gene, ``""`` unless
        kept; ``status`` (category ``kept | ambiguous | lost``); ``how`` (category
        ``exact | ensembl | alias | ortholog | none``); ``native``, the approved symbol in the organism of the
        names, ``""`` when unknown or ambiguous; ``candidates``, the genes an ambiguous name may stand for,
        joined by ``"|"``. A mouse gene without human ortholog is lost but has a ``native`` symbol.

    Raises
    ------
    GeneNameError
        With ``organism="auto"``, if the names are of neither organism or mixed.
    ParameterError
        If ``organism`` or ``orthologs`` is unknown or ``names`` is a single string.

    Notes
    -----
    Linear in the number of names: 20 000 take about 0.1 s once the tables are read (0.3 s).

    Examples
    --------
    >>> import grn.genes
    >>> table = grn.genes.resolve(["TP53", "ENSG00000102145.14", "OCT4", "nonsense"], organism="human")
    >>> table["symbol"].tolist()
    ['TP53', 'GATA1', 'POU5F1', '']
    >>> grn.genes.resolve(["Trp53"], organism="mouse").loc[0, ["symbol", "how"]].tolist()
    ['TP53', 'ortholog']
    """
    checks.word("orthologs", orthologs, ORTHOLOGS)
    names = as_names(names)
    organism = detect_organism(names) if organism == "auto" else tables.check_organism(organism)
    written = small_letters(names) if organism == "mouse" else {}
    hits = {name: _look_up(written.get(name, name), organism) for name in set(names)}
    native = np.array([hits[name][0] for name in names], dtype=object)
    how = np.array([hits[name][1] for name in names], dtype=object)
    candidates = np.array([hits[name][2] for name in names], dtype=object)

    losers = _outranked(native, [HOW.index(way) for way in how])
    candidates[losers] = native[losers]
    native[losers] = ""
    if organism == "mouse":
        symbol, how, candidates = _to_human(native, how, candidates, orthologs)
    else:
        symbol = native.copy()
    status = np.where(symbol != "", "kept", np.where(candidates != "", "ambiguous", "lost"))
    ids = tables.symbols("human")
    return pd.DataFrame(
        {
            "name": np.array(names, dtype=object),
            "symbol": symbol,
            "ensembl": np.array([ids.get(gene, "") for gene in symbol], dtype=object),
            "status": pd.Categorical(status, categories=STATUS),
            "how": pd.Categorical(how, categories=HOW),
            "native": native,
            "candidates": candidates,
        }
    )


def _look_up(name: str, organism: str) -> tuple[str, str, str]:
    """Give symbol, way and candidates of one name within its own organism."""
    if name in tables.symbols(organism):
        return name, "exact", ""
    match = ENSEMBL[organism].match(name)
    if match:
        current = tables.ensembl_ids(organism).get(match.group(1))
        if current is not None:
            # the copy on Y is a second id of the gene on X and must not outrank it
            return current, "alias" if match.group(2) else "ensembl", ""
        name = match.group(1)
    symbols = tables.aliases(organism).get(name, ())
    if len(symbols) == 1:
        return symbols[0], "alias", ""
    return ("", "alias", "|".join(symbols)) if symbols else ("", "none", "")


def _outranked(symbol: np.ndarray, rank: list[int]) -> np.ndarray:
    """Mark the names that share their gene with a name of higher or equal rank."""
    members: dict[str, list[int]] = defaultdict(list)
    for position, gene in enumerate(symbol):
        if gene:
            members[gene].append(position)
    losers = np.zeros(len(symbol), dtype=bool)
    for positions in members.values():
        if len(positions) == 1:
            continue
        ranks = [rank[position] for position in positions]
        best = min(ranks)
        alone = ranks.count(best) == 1
        losers[[p for p, rank in zip(positions, ranks, strict=True) if rank > best or not alone]] = True
    return losers


def _to_human(
    native: np.ndarray, how: np.ndarray, candidates: np.ndarray, policy: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Carry mouse symbols to human."""
    pairs = tables.orthologs()
    symbol = np.full(len(native), "", dtype=object)
    reached, candidates = how.copy(), candidates.copy()
    for position, gene in enumerate(native):
        if not gene:
            continue
        humans = pairs.get(gene, ())
        best = [pair.symbol for pair in humans if policy == "syntenic" and pair.syntenic]
        if len(humans) == 1 and humans[0].kind in ("one2one", "name"):
            best = [humans[0].symbol]
        if best:
            symbol[position], reached[position] = best[0], "ortholog"
        elif humans:
            candidates[position] = "|".join(sorted(pair.symbol for pair in humans))
            reached[position] = "ortholog"
        else:
            reached[position] = "none"
    # of two mouse genes with one human ortholog that of the same name is meant
    same = [gene.upper() == human.upper() for gene, human in zip(native, symbol, strict=True)]
    losers = _outranked(symbol, [2 * HOW.index(way) + (not alike) for way, alike in zip(how, same, strict=True)])
    candidates[losers] = symbol[losers]
    symbol[losers] = ""
    return symbol, reached, candidates
