"""Ridge regression whose penalties come from the prior probability of every edge, as far as the cells support it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.logging import hint, logger
from grn._core.rng import sample_names
from grn._kernels.prior_ridge import LEAST_GAIN, Penalty, choose, shares, solve
from grn.methods.edge_prior import edge_prior, probabilities
from grn.methods.group import Fitted, Group
from grn.methods.inputs import Inputs
from grn.methods.record import METHODS, Method
from grn.methods.regressions import Standardised, ridge_coefficients, standardised
from grn.network import Network

FLOOR = 0.05
# targets whose evidence is asked for
_TARGETS = 200
_STRONGEST = 4.0


def verify(*, alpha: float | None, strength: float | None, floor: float) -> None:
    """Refuse what is no penalty, no exponent and no probability."""
    if alpha is not None:
        checks.penalty("alpha", alpha, checks.OF_CORRELATIONS, "; None chooses one by evidence")
    if strength is not None:
        checks.number("strength", strength, least=0, most=_STRONGEST, note=", or None, which asks the cells")
    checks.number("floor", floor, least=1e-6, most=1)


def prepare(inputs: Inputs, *, prior: pd.DataFrame | Network | str | None = None) -> pd.DataFrame | None:
    """Read the prior in names of the object.

    Parameters
    ----------
    inputs
        The object.
    prior
        Edges and how likely they are, see :func:`grn.methods.edge_prior.edge_prior`; ``None`` for ridge alone.
    """
    if prior is None:
        hint("prior_ridge without prior= is ridge, with a penalty chosen by evidence; pass params={'prior': edges}")
    return edge_prior(inputs, prior)


def fit(
    group: Group,
    *,
    prepared: Any = None,
    alpha: float | None = None,
    strength: float | None = None,
    floor: float = FLOOR,
) -> Fitted | None:
    """Regress in one group.

    Parameters
    ----------
    group
        Its cells.
    prepared
        The prior.
    alpha
        Penalty of an edge of average prior, at least 1e-10: minimised is the mean squared residual of standardised
        genes plus alpha times the sum of squared coefficients, each divided by its share of the prior. ``None``
        chooses one per group by evidence.
    strength
        Exponent of the prior probability, 0 (no prior) to 4. ``None`` chooses one per group by evidence, and 0 unless
        the prior makes the cells 20 times as likely.
    floor
        Probability of edges that the prior does not list, and the smallest one.
    """
    data = standardised(group)
    if data is None:
        return None
    probability = probabilities(group, prepared, floor)[np.ix_(data.targets, data.sources)]
    strength = 0.0 if prepared is None else strength
    penalty = _penalty(group, data, probability, alpha, strength)
    if penalty.strength:
        share = shares(probability, data.allowed, penalty.strength)
        where = {"device": group.task.device, "workers": group.task.workers}
        coefficient, excess = solve(data, share, penalty.alpha, **where)
    else:
        coefficient, excess = ridge_coefficients(data, penalty.alpha, group), 0.0
    strongest = np.where(coefficient < 0, -1.0, 1.0) * np.sqrt(coefficient**2 + excess)
    chosen: dict[str, object] = {"alpha": penalty.alpha, "strength": penalty.strength, "evidence_gain": penalty.gain}
    score = data.whole(coefficient) * data.change
    return Fitted({"weight": data.whole(strongest), "score": score}, chosen)


def _penalty(
    group: Group,
    data: Standardised,
    probability: np.ndarray,
    alpha: float | None,
    strength: float | None,
) -> Penalty:
    """Penalty and strength, those given or those of most evidence."""
    if alpha is not None and strength is not None:
        return Penalty(float(alpha), float(strength), np.nan)
    names = group.names[group.targets[data.targets]]
    low = np.where(data.allowed, probability, np.inf).min(axis=1)
    listed = np.where(data.allowed, probability, -np.inf).max(axis=1) > low  # (t,)
    # the others say nothing of a prior that is the same for all their regulators
    drawn = np.flatnonzero(listed) if listed.any() and strength != 0 else np.flatnonzero(data.allowed.any(axis=1))
    drawn = np.sort(drawn[sample_names(names[drawn].tolist(), _TARGETS, group.task.seed)])
    where = {"device": group.task.device, "workers": group.task.workers}
    penalty = choose(data.of(drawn), probability[drawn], alpha=alpha, strength=strength, **where)
    _tell(group, penalty, len(drawn))
    return penalty


def _tell(group: Group, penalty: Penalty, n_targets: int) -> None:
    """Say what was chosen, and when the cells do not support the prior."""
    where = f" ({group.name})" if group.name else ""
    if not (np.isnan(penalty.gain) or penalty.strength):
        hint(
            "prior_ridge%s: the cells do not support the prior (log evidence %+.1f at best, %.1f needed), so this is "
            "ridge; params={'strength': ...} uses it anyway",
            *(where, penalty.gain, LEAST_GAIN),
            of=group.name,
        )
    gain = "" if np.isnan(penalty.gain) else f", {penalty.gain:+.1f} over no prior"
    by = f"the evidence of {n_targets} targets{gain}"
    logger.info(
        "prior_ridge%s: strength %g, alpha %.3g by %s",
        *(where, penalty.strength, penalty.alpha, by),
        extra={"of": group.name},
    )


METHODS.add(
    "prior_ridge",
    Method(
        "prior_ridge",
        fit,
        "ridge whose penalties come from the prior probability of every edge, as far as the cells support it",
        verify=verify,
        prepare=prepare,
        signed=True,
        probability=False,
        takes_prior=True,
        edge_tables=("prior",),
        devices=("cuda",),
        needs=("cells",),
        uses_client=True,
        reads_sums=True,
        reference="MacKay 1992; van de Wiel et al. 2016",
        inputs="RNA, a prior network",
        cost="one pass over the cells and one system of all regulators per target",
        page="methods/prior_ridge",
    ),
)
