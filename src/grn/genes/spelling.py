"""Give gene symbols written in capitals the letter case of their organism back."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cache

from grn._core.logging import logger
from grn.genes import tables

# symbols that only mouse genes have, in capitals; the tables hold those of them that have a name of their own
_MOUSE_ONLY = re.compile(r"^(GM\d{3,}|[A-Z0-9]{6,}RIK\d*|H2-[A-Z0-9]+)$")
_FEWEST = 3
_RANKS = ("symbol", "case", "alias")


def restore(names: Iterable[str], organism: str) -> dict[str, str]:
    """Map each name to the approved symbol that it spells.

    A name is an approved symbol, or matches exactly one when letter case is ignored, or else exactly one alias of
    exactly one gene; all others stay as they are. Of several names for one symbol the first of these ways wins; when
    it is shared, none does, so no two names become one. The order of names does not matter.
    """
    hits = {name: spelled(name, organism) for name in set(names)}
    rivals: dict[str, list[str]] = defaultdict(list)
    for name, (symbol, how) in hits.items():
        if how:
            rivals[symbol].append(name)
    restored = {name: name for name in hits}
    for symbol, spellings in rivals.items():
        ranks = {name: _RANKS.index(hits[name][1]) for name in spellings}
        first = [name for name in spellings if ranks[name] == min(ranks.values())]
        if len(first) == 1:
            restored[first[0]] = symbol
    return restored


def spelled(name: str, organism: str) -> tuple[str, str]:
    """Symbol that a name stands for and how it was found; the name itself and "" if it was not."""
    if name in tables.symbols(organism):
        return name, "symbol"
    symbols, aliases = _capitals(organism)
    for way, known in (("case", symbols), ("alias", aliases)):
        found = known.get(name.upper(), frozenset())
        if len(found) == 1:
            return next(iter(found)), way
    return name, ""


def mouse_in_capitals(names: Iterable[str]) -> bool:
    """Tell whether names are mouse symbols written in capitals: more of them are known in mouse only than in human."""
    capitals, human, aliases = _capitals("mouse")[0], tables.symbols("human"), tables.aliases("human")
    unique = {name for name in names if len(name) > 1}
    written = {name for name in unique if name == name.upper() and name not in tables.symbols("mouse")}
    if len(written) < 0.9 * len(unique):
        return False
    foreign = {name for name in written if name not in human and name not in aliases}
    mouse = sum(name in capitals or _MOUSE_ONLY.match(name) is not None for name in foreign)
    return mouse >= _FEWEST and mouse > sum(name in human and name not in capitals for name in written)


def small_letters(names: list[str]) -> dict[str, str]:
    """Give mouse symbols written in capitals their letter case back, and say so; nothing for other names."""
    if not mouse_in_capitals(names):
        return {}
    changed = {name: symbol for name, symbol in restore(names, "mouse").items() if name != symbol}
    example = min(changed, default="")
    logger.warning(
        "%d of %d names are mouse symbols written in capitals; they are read in the letter case of MGI (%s as %s)",
        len(changed), len(set(names)), example, changed.get(example, ""),
    )  # fmt: skip
    return changed


@cache
def _capitals(organism: str) -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """Symbols, and genes of aliases, by their spelling in capitals."""
    symbols, aliases = defaultdict(set), defaultdict(set)
    for symbol in tables.symbols(organism):
        symbols[symbol.upper()].add(symbol)
    for alias, genes in tables.aliases(organism).items():
        aliases[alias.upper()].update(genes)
    return {k: frozenset(v) for k, v in symbols.items()}, {k: frozenset(v) for k, v in aliases.items()}
