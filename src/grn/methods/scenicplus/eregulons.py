"""Tables of eRegulons: triplets with their ranks, edges with their strongest region, modules with their enrichment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse, stats

from grn._kernels.rank_aggregation import order_statistics, rank_ratios
from grn.methods.scenicplus.modules import Links, Module, Regulation, Triplets

TRIPLETS = (
    "source",
    "region",
    "target",
    "importance_tf2g",
    "rho_tf2g",
    "importance_r2g",
    "rho_r2g",
    "triplet_rank",
    "sign",
    "extended",
)
MODULES = ("source", "extended", "sign", "rule", "n_links", "n_targets", "nes", "pval", "qval")


@dataclass(frozen=True)
class Names:
    """Names of regulators (S,), regions (R,) and genes (G,), by the positions that links and modules use."""

    sources: np.ndarray
    regions: np.ndarray
    genes: np.ndarray


def words(regulation: np.ndarray | Sequence[int], link: np.ndarray | Sequence[int]) -> list[str]:
    """Signs of eRegulons, such as ``+/-``: regulator on target, then region on target."""
    sign = {1: "+", -1: "-"}
    return [f"{sign[int(one)]}/{sign[int(two)]}" for one, two in zip(regulation, link, strict=True)]


def triplet_table(
    triplets: Triplets, links: Links, regulation: Regulation, names: Names, score: sparse.csc_array | None
) -> pd.DataFrame:
    """Triplets (:data:`TRIPLETS`, ``rules`` and ``q``, the order statistic behind the rank), the best first."""
    region, gene = links.region[triplets.link], links.gene[triplets.link]
    strength = regulation.importance[gene, triplets.source]
    columns = [strength, links.importance[triplets.link]]
    if score is not None and len(region):
        columns.append(np.asarray(score[region, triplets.source]).ravel())
    # sums that differ by rounding are one value in ranks
    ratios = np.stack([rank_ratios(column) for column in columns], axis=1) if len(region) else np.zeros((0, 2))
    q = order_statistics(ratios) if len(region) else np.zeros(0)
    table = pd.DataFrame(
        {
            "source": names.sources[triplets.source].astype(str),
            "region": names.regions[region].astype(str),
            "target": names.genes[gene].astype(str),
            "importance_tf2g": strength,
            "rho_tf2g": regulation.rho[gene, triplets.source],
            "importance_r2g": links.importance[triplets.link],
            "rho_r2g": links.rho[triplets.link],
            "triplet_rank": stats.rankdata(q, method="min").astype(np.int64),
            "sign": pd.Series(words(triplets.regulation, triplets.link_sign), dtype=object),
            "extended": triplets.evidence == "extended",
            "rules": triplets.rules,
            "q": q,
        }
    )
    order = ["triplet_rank", "source", "target", "region", "sign", "extended"]
    return table.sort_values(order, ignore_index=True)


def edge_table(triplets: pd.DataFrame) -> pd.DataFrame:
    """Pairs of a regulator and another gene, each with the region of its best triplet."""
    pairs = triplets[triplets["source"] != triplets["target"]]
    grouped = pairs.groupby(["source", "target"], sort=True)
    best = grouped.head(1).set_index(["source", "target"]).sort_index()
    sign = np.where(best["sign"].str.startswith("-"), -1.0, 1.0)
    return pd.DataFrame(
        {
            "source": best.index.get_level_values("source"),
            "target": best.index.get_level_values("target"),
            "weight": sign * best["importance_tf2g"].to_numpy(dtype=float),
            "sign": sign,
            "region": best["region"].to_numpy(dtype=object),
            "score": -np.log10(np.maximum(best["q"].to_numpy(dtype=float), 1e-300)),
            # a motif of the regulator in a region near the target; motifs both ways tell nothing
            "direction": np.where(best.index.isin(best.index.swaplevel()), "none", "motif").astype(object),
            "n_regions": grouped["region"].nunique().sort_index().to_numpy(dtype=np.int64),
        }
    )


def regulation_table(regulation: Regulation, names: Names, min_rho: float) -> pd.DataFrame:
    """Pairs of a regulator and another gene, where nothing is known of regions that regulators bind."""
    gene, source = np.nonzero((np.abs(regulation.rho) > min_rho) & (regulation.importance > 0))
    other = names.genes[gene] != names.sources[source]
    gene, source = gene[other], source[other]
    sign = np.sign(regulation.rho[gene, source])
    return pd.DataFrame(
        {
            "source": names.sources[source].astype(object),
            "target": names.genes[gene].astype(object),
            "weight": sign * regulation.importance[gene, source],
            "sign": sign,
        }
    )


def module_table(found: Sequence[Module], links: Links, names: Names) -> pd.DataFrame:
    """One row per module: what chose it and how enriched it is; ``qval`` by Benjamini and Hochberg over all."""
    pval = np.array([module.enrichment.pval for module in found])
    return pd.DataFrame(
        {
            "source": pd.Series([str(names.sources[module.source]) for module in found], dtype=object),
            "extended": np.array([module.evidence == "extended" for module in found], dtype=bool),
            "sign": pd.Series(words([m.regulation for m in found], [m.link for m in found]), dtype=object),
            "rule": pd.Series([module.rule for module in found], dtype=object),
            "n_links": np.array([len(module.links) for module in found], dtype=np.int64),
            "n_targets": np.array([len(np.unique(links.gene[module.links])) for module in found], dtype=np.int64),
            "nes": np.array([module.enrichment.normalised for module in found], dtype=float),
            "pval": pval.astype(float),
            "qval": stats.false_discovery_control(pval) if len(pval) else pval.astype(float),
        }
    )


def link_table(links: Links, distance: np.ndarray, names: Names) -> pd.DataFrame:
    """All links with their importance and correlation."""
    return pd.DataFrame(
        {
            "region": names.regions[links.region].astype(str),
            "target": names.genes[links.gene].astype(str),
            "importance": links.importance,
            "rho": links.rho,
            "distance": distance,
        }
    )
