"""Tell the organism from gene names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from grn._core.errors import GeneNameError, ParameterError
from grn._core.logging import logger
from grn.genes import tables
from grn.genes.spelling import mouse_in_capitals

ENSEMBL = {
    "human": re.compile(r"^(ENSG\d{11})(?:\.\d+)?(_PAR_Y)?$"),
    "mouse": re.compile(r"^(ENSMUSG\d{11})(?:\.\d+)?(_PAR_Y)?$"),
}
_FOREIGN = re.compile(r"^(ENS(?!G\d|MUSG\d)[A-Z]{3,6}G)\d{11}")
_MIN_SHARE = 0.05
_MIXED_SHARE = 0.25


@dataclass(frozen=True)
class Evidence:
    """How many of ``n`` names speak for an organism: as symbol or id, or only as alias of one gene."""

    n: int
    exact: dict[str, int]
    alias: dict[str, int]
    exclusive: dict[str, list[str]]

    def share(self, organism: str) -> float:
        """Weighted share of names; an alias counts half."""
        return (self.exact[organism] + 0.5 * self.alias[organism]) / max(1, self.n)

    def __str__(self) -> str:
        parts = [
            f"{organism}: {self.exact[organism]} symbols or ids and {self.alias[organism]} aliases"
            for organism in tables.ORGANISMS
        ]
        return f"of {self.n} names, {'; '.join(parts)}"


def as_names(names: Iterable[str]) -> list[str]:
    """Turn names into a list of str; a single string is a mistake."""
    if isinstance(names, str):
        raise ParameterError(f"names is the string {names!r}; pass a list of gene names, for example [{names!r}].")
    try:
        return ["" if name is None or name != name else str(name) for name in names]
    except TypeError:
        message = f"names has type {type(names).__name__}; pass a list of gene names or adata.var_names."
        raise ParameterError(message) from None


def gather(names: Iterable[str]) -> Evidence:
    """Count the evidence for each organism."""
    unique = {name for name in as_names(names) if name}
    telling = {name for name in unique if len(name) > 1}  # one letter (a mouse coat colour) proves nothing
    hits: dict[str, set[str]] = {}
    alias: dict[str, int] = {}
    for organism in tables.ORGANISMS:
        known, other, pattern = tables.symbols(organism), tables.aliases(organism), ENSEMBL[organism]
        hits[organism] = {name for name in telling if name in known or pattern.match(name)}
        alias[organism] = sum(len(other.get(name, ())) == 1 for name in telling - hits[organism])
    only = {"human": hits["human"] - hits["mouse"], "mouse": hits["mouse"] - hits["human"]}
    return Evidence(
        n=len(unique),
        exact={organism: len(genes) for organism, genes in hits.items()},
        alias=alias,
        exclusive={organism: sorted(genes) for organism, genes in only.items()},
    )


def detect_organism(names: Iterable[str]) -> str:
    """Tell from gene names whether they are human or mouse.

    Symbols and Ensembl ids count one, aliases one half; the organism with the larger share wins. The counts are
    logged at info level. Mouse symbols in capitals are told from human ones by those that no human gene bears (TRP63,
    H2-AA, Riken and Gm numbers), if there are more of them than names that no mouse gene bears. Rat symbols mostly
    equal mouse symbols and are taken for mouse.

    Parameters
    ----------
    names
        Gene symbols, Ensembl gene ids (with or without version) or aliases, in any order.

    Returns
    -------
    str
        ``"human"`` or ``"mouse"``.

    Raises
    ------
    GeneNameError
        If fewer than 5 % of the names are known in either organism, or if human and mouse names are mixed.

    Examples
    --------
    >>> import grn.genes
    >>> grn.genes.detect_organism(["Trp53", "Gata1", "Sox2"])
    'mouse'
    >>> grn.genes.detect_organism(["ENSG00000141510.18", "GATA1"])
    'human'
    """
    names = as_names(names)
    evidence = gather(names)
    if mouse_in_capitals(names):
        logger.info("organism: mouse, written in capitals (%s)", evidence)
        return "mouse"
    few, many = sorted((len(evidence.exclusive["human"]), len(evidence.exclusive["mouse"])))
    if few >= 2 and few >= _MIXED_SHARE * many:
        raise GeneNameError(
            f"human and mouse names are mixed: {evidence.exclusive['human'][:3]} are human, "
            f"{evidence.exclusive['mouse'][:3]} are mouse ({evidence}). Split the genes by organism, "
            "or pass organism='human' or organism='mouse' to use one part."
        )
    best = max(tables.ORGANISMS, key=evidence.share)
    if evidence.share(best) < _MIN_SHARE or evidence.n == 0:
        raise GeneNameError(_unknown(names, evidence))
    logger.info("organism: %s (%s)", best, evidence)
    return best


def _unknown(names: list[str], found: Evidence) -> str:
    if not any(names):
        return "there are no gene names; set adata.var_names to gene symbols or Ensembl gene ids."
    foreign = sorted({match.group(1) for match in map(_FOREIGN.match, names) if match})
    hint = f" Ids with the prefix {foreign[0]} belong to an organism without tables." if foreign else ""
    return (
        f"the gene names fit neither human nor mouse ({found}), for example {names[:5]}.{hint} "
        "Expected gene symbols (TP53, Trp53) or Ensembl gene ids (ENSG00000141510). If another column of adata.var "
        "holds them: adata.var_names = adata.var['gene_name'].astype(str)."
    )
