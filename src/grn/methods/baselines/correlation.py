"""Correlation of every regulator with every target: the baseline that needs no explanation."""

from __future__ import annotations

import numpy as np

from grn._core import checks
from grn.methods.group import Group
from grn.methods.record import METHODS, Method

_KINDS = ("pearson", "spearman")


def verify(*, kind: str) -> None:
    """Refuse what is no kind of correlation."""
    checks.word("kind", kind, _KINDS)


def fit(group: Group, *, kind: str = "pearson") -> np.ndarray | None:
    """Correlations (T, S) in one group, ``"pearson"`` or ``"spearman"``, of log-normalised values."""
    correlation = group.correlation(group.targets, ranks=kind == "spearman").T  # (T, S)
    varies = ~np.isnan(correlation)
    seen = ~group.rare
    if not (varies & seen[group.targets][:, None] & seen[group.sources]).any():
        return None
    constant = np.zeros(len(group.names), dtype=bool)
    constant[group.targets] = ~varies.any(axis=1)
    constant[group.sources] = ~varies.any(axis=0)
    group.report_constant(constant)
    return correlation


METHODS.add(
    "correlation",
    Method(
        "correlation",
        fit,
        "Pearson or Spearman correlation with every regulator; no direction but who is a regulator",
        verify=verify,
        signed=True,
        probability=False,
        # an edge leads from the gene that is a regulator
        takes_prior=True,
        devices=("cuda",),
        needs=("cells",),
        reads_sums=True,
        reference="baseline",
        inputs="RNA",
        cost="one pass over the cells",
        page="methods/baselines",
    ),
)
