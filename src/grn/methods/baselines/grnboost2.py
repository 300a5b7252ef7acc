"""GRNBoost2: the regulators that a boosted ensemble of small trees uses to predict a target.

Source: Moerman et al. 2019, Bioinformatics 35:2159.
"""

from __future__ import annotations

import numpy as np

from grn._core import checks
from grn._core.errors import ParameterError
from grn._kernels.trees import Boosting
from grn.methods.group import Group
from grn.methods.record import METHODS, Method
from grn.methods.trees import COPIES, Drawn, boosting, check_mode, draw, importances


def verify(*, mode: str, max_rounds: int, parity: bool) -> None:
    """Refuse values out of range, and a mode that the original does not have."""
    check_mode(mode)
    checks.integer("max_rounds", max_rounds, least=1)
    if parity and mode == "fast":
        raise ParameterError("parity=True repeats the original, which has no fast mode; pass mode='exact'.")


def fit(
    group: Group, *, prepared: Drawn, mode: str = "exact", max_rounds: int = 5000, parity: bool = False
) -> np.ndarray | None:
    """Boost in one group.

    Parameters
    ----------
    group
        Its cells.
    prepared
        Those that are read.
    mode
        ``"exact"`` looks at every possible split (scikit-learn), ``"fast"`` at histograms of 32 bins.
    max_rounds
        Most trees per target; boosting stops earlier when it no longer lowers the error of cells out of bag.
    parity
        As arboreto 0.1.6 does with scikit-learn 1.3 or newer: one seed, the order of the object, and a
        stopping rule that compares different cells. Exact mode only.
    """
    plan = Boosting(rounds=max_rounds, paired=not parity, friedman=parity)
    trees = boosting("grnboost2", plan, mode=mode, parity=parity)
    return importances(group, prepared.of(group, "grnboost2"), trees)


METHODS.add(
    "grnboost2",
    Method(
        "grnboost2",
        fit,
        "importance of regulators in gradient boosting of every target; unsigned",
        signed=False,
        probability=False,
        verify=verify,
        prepare=draw,
        copies=COPIES,
        takes_prior=True,
        needs=("cells",),
        uses_client=True,
        keeps_parts=True,
        reference="Moerman et al. 2019, doi 10.1093/bioinformatics/bty916",
        system="GRNBoost2",
        year=2019,
        inputs="RNA",
        cost="boosted trees per target",
        licence="BSD-3-Clause",
        page="methods/baselines",
    ),
)
