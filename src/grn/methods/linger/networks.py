"""From the networks of genes to tables: edges, cis and binding, of all cells or of a group of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from grn._kernels import regulation_scores as scores
from grn._kernels.regulation_scores import Pairs
from grn.methods.linger.candidates import Candidates
from grn.methods.linger.nets import Population


@dataclass(frozen=True)
class Means:
    """Means over the cells of a group: regulators (S,), genes (T,) and regions (R,)."""

    regulators: np.ndarray
    genes: np.ndarray
    regions: np.ndarray


@dataclass(frozen=True)
class Regulation:
    """Scores of a group, or of all cells: trans (T, S) with the strongest region (T, S), cis (n,), binding (R, S)."""

    trans: np.ndarray
    region: np.ndarray
    cis: np.ndarray
    binding: np.ndarray


def population_scores(population: Population, candidates: Candidates, potential: np.ndarray) -> Regulation:
    """Scores of all cells: contributions in the networks, and likeness of first layers as binding."""
    cis = Pairs(candidates.region, candidates.gene, population.cis)
    region = scores.trans(potential, cis, len(candidates.genes)).region
    return Regulation(population.score, region, population.cis, population.binding)


def group_scores(
    population: Population, candidates: Candidates, potential: np.ndarray, means: Means, *, floor: float
) -> Regulation:
    """Scores of a group of cells; ``floor`` as :func:`grn._kernels.regulation_scores.cis_in` has it."""
    regions, regulators, genes = (
        scores.relative(part).astype(np.float32) for part in (means.regions, means.regulators, means.genes)
    )
    binding = scores.binding_in(potential, regions, regulators)
    pairs = Pairs(candidates.region, candidates.gene, population.cis)
    cis = scores.cis_in(pairs, candidates.distance, regions, genes, floor=floor)
    trans = scores.trans(binding, cis, len(candidates.genes))
    return Regulation(trans.total, trans.region, cis.values, binding)


def edge_table(
    regulation: Regulation, slope: np.ndarray, allowed: np.ndarray, candidates: Candidates, top: int | None
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Positions of regulators and genes of the edges, and their columns: those above zero, the ``top`` strongest."""
    weight = np.where(allowed, regulation.trans, 0.0)
    target, source = np.nonzero(weight > 0)
    if top is not None and len(target) > top:
        order = np.argsort(-weight[target, source], kind="stable")[:top]
        target, source = target[order], source[order]
    columns = pd.DataFrame(
        {
            **_signed(weight[target, source], slope[target, source]),
            "region": pd.Categorical.from_codes(regulation.region[target, source], categories=candidates.regions),
        }
    )
    return source, target, columns


def _signed(score: np.ndarray, slope: np.ndarray) -> dict[str, np.ndarray]:
    """Scores with the sign of the mean derivative; positive and of unknown sign where that is zero."""
    sign = np.sign(slope).astype(np.float64)
    return {"weight": score * np.where(sign < 0, -1.0, 1.0), "sign": np.where(sign == 0, np.nan, sign)}


def cis_table(regulation: Regulation, slope: np.ndarray, candidates: Candidates, shown: np.ndarray) -> pd.DataFrame:
    """Regions and the genes they act on, for genes of a mask (T,), the strongest first."""
    rows = np.flatnonzero(shown[candidates.gene] & (regulation.cis > 0))
    table = pd.DataFrame(
        {
            "region": pd.Categorical.from_codes(candidates.region[rows], categories=candidates.regions),
            "target": pd.Categorical.from_codes(candidates.gene[rows], categories=candidates.genes),
            **_signed(regulation.cis[rows], slope[rows]),
            "distance": candidates.distance[rows],
        }
    )
    return table.iloc[np.lexsort([table["target"].cat.codes, table["region"].cat.codes, -table["weight"].abs()])]


def binding_table(
    regulation: Regulation, regulators: np.ndarray, candidates: Candidates, shown: np.ndarray, n_regions: int | None
) -> pd.DataFrame:
    """Regulators of a mask (S,) and the regions they bind, the ``n_regions`` strongest of each, above zero."""
    parts = []
    for source in np.flatnonzero(shown):
        values = regulation.binding[:, source]
        region = np.argsort(-values, kind="stable")[: len(values) if n_regions is None else n_regions]
        region = region[values[region] > 0]
        parts.append((np.full(len(region), source), region))
    source, region = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
    return pd.DataFrame(
        {
            "source": pd.Categorical.from_codes(source, categories=regulators),
            "region": pd.Categorical.from_codes(region, categories=candidates.regions),
            "weight": regulation.binding[region, source].astype(np.float64),
        }
    )
