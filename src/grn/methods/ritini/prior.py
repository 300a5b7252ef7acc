"""Which pairs of genes may be edges: by Granger tests along the paths, a base GRN, or all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from grn._core.errors import GeneOverlapError, NetworkError
from grn._core.logging import hint, logger, some
from grn._kernels.granger import floored, granger
from grn.methods.inputs import Inputs
from grn.methods.ritini.series import Series

PRIORS = ("granger", "full", "base_grn")


@dataclass(frozen=True)
class Prior:
    """Pairs of genes.

    Parameters
    ----------
    listed
        Pairs of the prior (G, G), row = target.
    allowed
        Pairs that attention is given to; those of the prior, unless others may be edges too.
    evidence
        -ln p of the Granger test (G, G), row = target; ``None`` where nothing was tested.
    """

    listed: np.ndarray
    allowed: np.ndarray
    evidence: np.ndarray | None

    def table(self, genes: np.ndarray) -> pd.DataFrame:
        """Pairs of the prior, and how sure they are."""
        target, source = np.nonzero(self.listed)
        sides = {"source": source, "target": target}
        columns = {side: pd.Categorical.from_codes(rows, categories=genes) for side, rows in sides.items()}
        table = pd.DataFrame(columns)
        if self.evidence is not None:
            table["evidence"] = self.evidence[target, source]
        return table


def prior_of(
    inputs: Inputs,
    series: Series,
    *,
    prior: str,
    base_grn: pd.DataFrame | None,
    threshold: float,
    permissive: bool,
    parity: bool,
) -> Prior:
    """Pairs that a prior lists; an error where there are none.

    Parameters
    ----------
    inputs
        Names of the object.
    series
        Genes, and their paths.
    prior
        ``"granger"``, ``"full"`` or ``"base_grn"``.
    base_grn
        Table of the pairs that may be listed; ``None`` for all.
    threshold
        Evidence -ln p from which a pair is listed by ``"granger"``.
    permissive
        Whether other pairs may be edges too.
    parity
        Cut -ln p where the original does.
    """
    pairs = np.broadcast_to(series.regulator, (len(series.genes),) * 2) & ~np.eye(len(series.genes), dtype=bool)
    listed = pairs if base_grn is None else pairs & _of_table(inputs.prior(base_grn), series)
    evidence = None
    if prior == "granger":
        evidence = granger([lineage.values for lineage in series.lineages]).T
        evidence = floored(evidence) if parity else evidence
        listed = _by_evidence(listed, evidence, threshold)
    allowed = pairs if permissive else listed
    without = series.genes[~allowed.any(axis=1) & series.target]
    if len(without):
        hint("ritini: %d genes have no source in the prior and get no edges: %s", len(without), some(without))
    share = listed.sum() / pairs.sum()
    if prior == "granger" and share > 0.5:
        logger.warning(
            "ritini: %d %% of all pairs pass prior_threshold=%g. Steps of a smooth path are no independent "
            "observations, so that p is far too small: the prior says little. Pass base_grn=, a larger "
            "prior_threshold or a smaller bandwidth",
            *(round(100 * share), threshold),
        )
    return Prior(listed, allowed, evidence)


def _by_evidence(pairs: np.ndarray, evidence: np.ndarray, threshold: float) -> np.ndarray:
    listed: np.ndarray = pairs & (evidence >= threshold)
    if not listed.any():
        there = np.sort(evidence[pairs])[::-1]
        tenth = there[min(len(there) - 1, max(0, len(there) // 10))]
        raise NetworkError(
            f"no pair of genes passes the Granger test: the largest -ln p is {there[0]:.3g}, prior_threshold is "
            f"{threshold:g}. prior_threshold={_below(tenth)} would leave a tenth of {len(there)} pairs; or pass "
            "base_grn= or prior='full'."
        )
    return listed


def _below(value: float) -> str:
    """A short number that is not above a value."""
    return f"{np.floor(value * 100) / 100:g}"


def _of_table(table: pd.DataFrame, series: Series) -> np.ndarray:
    """Mask (G, G) of the pairs that a table lists, row = target."""
    names = pd.Index(series.genes)
    rows, columns = (names.get_indexer(table[side].astype(str)) for side in ("target", "source"))
    inside = (rows >= 0) & (columns >= 0)
    mask = np.zeros((len(names), len(names)), dtype=bool)
    mask[rows[inside], columns[inside]] = True
    mask &= series.regulator & ~np.eye(len(names), dtype=bool)
    if not mask.any():
        raise GeneOverlapError(
            f"none of the {len(table)} edges of the base GRN joins one of {series.regulator.sum()} sources and another "
            f"of {len(names)} genes; pass sources=sorted(set(base_grn['source'])) or another table."
        )
    return mask
