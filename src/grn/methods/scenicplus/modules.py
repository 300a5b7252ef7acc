"""From importances to eRegulons: which links are strong, whose targets they are, and what enrichment leaves of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from grn._kernels.enrichment import Enrichment, Ranking
from grn._kernels.top_links import above_quantile, strongest

SIGNS = (1, -1)


@dataclass(frozen=True)
class Rules:
    """Which links enter modules, and which modules are eRegulons.

    Parameters
    ----------
    min_rho
        Smallest absolute correlation of a link and of a regulator with its target.
    quantiles, per_gene, per_region
        A link is strong by each of these: above a quantile of its gene's importances, among the largest of its gene,
        among the largest of its region.
    min_targets
        Fewest targets of a module.
    """

    min_rho: float = 0.05
    quantiles: Sequence[float] = (0.85, 0.9, 0.95)
    per_gene: Sequence[int] = (5, 10, 15)
    per_region: Sequence[int] = ()
    min_targets: int = 10


@dataclass(frozen=True)
class Links:
    """Regions and genes near them, in the order of the names of both.

    Parameters
    ----------
    region, gene
        Positions (L,).
    importance, rho
        Importance of the region for the gene, and their correlation (L,).
    """

    region: np.ndarray
    gene: np.ndarray
    importance: np.ndarray
    rho: np.ndarray

    def strong(self, rules: Rules, sign: int) -> dict[str, np.ndarray]:
        """Links (L,) of a sign that are strong, by the name of the rule."""
        among = np.flatnonzero(sign * self.rho > rules.min_rho)
        gene, region, importance = self.gene[among], self.region[among], self.importance[among]
        masks = {f"{q} quantile": above_quantile(gene, importance, q) for q in rules.quantiles}
        masks |= {f"top {n} per gene": strongest(gene, importance, n) for n in rules.per_gene}
        masks |= {f"top {n} per region": strongest(region, importance, n) for n in rules.per_region}
        whole = {name: np.zeros(len(self.rho), dtype=bool) for name in masks}
        for name, mask in masks.items():
            whole[name][among[mask]] = True
        return whole


@dataclass(frozen=True)
class Regulation:
    """Regulators and their possible targets.

    Parameters
    ----------
    importance
        Importance (G, S) of regulator s for gene g; 0 or NaN for none.
    rho
        Correlation (G, S).
    """

    importance: np.ndarray
    rho: np.ndarray

    def ranked(self, source: int, sign: int, min_rho: float) -> np.ndarray:
        """Genes that correlate with a regulator in this direction, the most important first."""
        importance = np.nan_to_num(self.importance[:, source])
        genes = np.flatnonzero((sign * self.rho[:, source] > min_rho) & (importance > 0))
        order: np.ndarray = genes[np.argsort(-importance[genes], kind="stable")]
        return order


@dataclass(frozen=True)
class Module:
    """Links of one regulator that one rule chose and enrichment left.

    Parameters
    ----------
    source
        Position of the regulator.
    evidence
        Whose cistrome it comes from: ``"direct"`` or ``"extended"``.
    rule
        Name of the rule.
    regulation, link
        Sign of the regulator on its targets, and of the regions on them.
    links
        Positions of the links (m,).
    enrichment
        Of all targets that the rule chose.
    """

    source: int
    evidence: str
    rule: str
    regulation: int
    link: int
    links: np.ndarray
    enrichment: Enrichment


@dataclass(frozen=True)
class _Search:
    """What all modules share."""

    links: Links
    regulation: Regulation
    rules: Rules
    draw: Callable[[int, int], np.ndarray]
    strong: Mapping[int, Mapping[str, np.ndarray]] = field(default_factory=dict)


def modules(
    links: Links,
    regulation: Regulation,
    cistromes: Mapping[str, sparse.csc_array],
    rules: Rules,
    draw: Callable[[int, int], np.ndarray],
) -> list[Module]:
    """All modules that lie at the top of their regulator's ranking.

    Parameters
    ----------
    links, regulation
        Importances and correlations.
    cistromes
        By kind of evidence, regions a regulator binds (R, S).
    rules
        What counts.
    draw
        Gives random sets for :class:`grn._kernels.enrichment.Ranking`.

    Returns
    -------
    list
        Modules with a positive enrichment and at least ``min_targets`` targets in the leading edge.
    """
    search = _Search(links, regulation, rules, draw, {sign: links.strong(rules, sign) for sign in SIGNS})
    bound = {name: sparse.csc_array(table)[links.region] for name, table in cistromes.items()}  # (L, S)
    n_sources = regulation.importance.shape[1]
    return [module for source in range(n_sources) for module in _of_source(search, source, bound)]


def _of_source(search: _Search, source: int, bound: Mapping[str, sparse.csc_array]) -> Iterator[Module]:
    near = {name: table.indices[table.indptr[source] : table.indptr[source + 1]] for name, table in bound.items()}
    near = {name: np.sort(links) for name, links in near.items() if len(links)}
    for sign in SIGNS:
        genes = search.regulation.ranked(source, sign, search.rules.min_rho)
        if not near or len(genes) < search.rules.min_targets:
            continue
        ranking = Ranking(search.regulation.importance[genes, source], search.draw)
        place = np.full(search.regulation.importance.shape[0], -1)
        place[genes] = np.arange(len(genes))
        for evidence, own in near.items():
            for link_sign, masks in search.strong.items():
                for rule, mask in masks.items():
                    chosen = own[mask[own]]
                    kept = _enriched(search, ranking, place, chosen)
                    if kept is not None:
                        yield Module(source, evidence, rule, sign, link_sign, *kept)


def _enriched(
    search: _Search, ranking: Ranking, place: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, Enrichment] | None:
    """Links whose gene is in the leading edge, if there are enough genes."""
    places = place[search.links.gene[chosen]]
    members = np.unique(places[places >= 0])
    if len(members) < search.rules.min_targets:
        return None
    enrichment = ranking.enrichment(members)
    if not enrichment.normalised > 0 or (members < enrichment.leading).sum() < search.rules.min_targets:
        return None
    return chosen[(places >= 0) & (places < enrichment.leading)], enrichment


@dataclass(frozen=True)
class Triplets:
    """Regulator, region and target that an eRegulon joins, by the evidence and the two signs.

    Parameters
    ----------
    source, link
        Position of the regulator and of the link (K,).
    evidence
        ``"direct"`` or ``"extended"`` (K,).
    regulation, link_sign
        Signs of its eRegulon (K,).
    rules
        Number of rules that chose the triplet (K,).
    """

    source: np.ndarray
    link: np.ndarray
    evidence: np.ndarray
    regulation: np.ndarray
    link_sign: np.ndarray
    rules: np.ndarray


def merged(found: Sequence[Module]) -> Triplets:
    """Put modules of the same regulator, evidence and signs together."""
    count: dict[tuple[int, str, int, int, int], int] = {}
    for module in found:
        kind = (module.source, module.evidence, module.regulation, module.link)
        for link in module.links.tolist():
            count[*kind, link] = count.get((*kind, link), 0) + 1
    rows = sorted(count)
    columns = list(zip(*rows, strict=True)) if rows else [()] * 5
    source, evidence, regulation, sign, link = columns
    return Triplets(
        np.array(source, dtype=np.int64),
        np.array(link, dtype=np.int64),
        np.array(evidence, dtype=object),
        np.array(regulation, dtype=np.int64),
        np.array(sign, dtype=np.int64),
        np.array([count[row] for row in rows], dtype=np.int64),
    )
