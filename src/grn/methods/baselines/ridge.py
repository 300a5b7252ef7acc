"""Ridge regression of every target on all regulators but itself: the linear baseline."""

from __future__ import annotations

from grn._core import checks
from grn._core.logging import logger
from grn._kernels.multi_ridge import choose_alpha
from grn.methods.group import Fitted, Group
from grn.methods.record import METHODS, Method
from grn.methods.regressions import ridge_coefficients, standardised


def verify(*, alpha: float | None) -> None:
    """Refuse what is no penalty."""
    if alpha is not None:
        checks.penalty("alpha", alpha, checks.OF_CORRELATIONS, "; None chooses one by cross-validation")


def fit(group: Group, *, alpha: float | None = None) -> Fitted | None:
    """Regress in one group.

    Parameters
    ----------
    group
        Its cells.
    alpha
        Penalty, at least 1e-10: minimised is the mean squared residual of standardised genes plus alpha times the sum
        of squared coefficients. ``None`` chooses one per group by generalised cross-validation over all targets.
    """
    data = standardised(group)
    if data is None:
        return None
    if alpha is None:
        lists = data.lists() if group.restricted else None
        who = {"device": group.task.device, "workers": group.task.workers}
        alpha = choose_alpha(data.gram, data.cross, data.itself, data.count, lists, **who)
        where = f" ({group.name})" if group.name else ""
        logger.info("ridge%s: alpha %.3g by generalised cross-validation", where, alpha, extra={"of": group.name})
    weight = data.whole(ridge_coefficients(data, alpha, group))
    return Fitted({"weight": weight, "score": weight * data.change}, {"alpha": float(alpha)})


METHODS.add(
    "ridge",
    Method(
        "ridge",
        fit,
        "ridge regression of every target on all regulators but itself; standardised coefficients",
        verify=verify,
        signed=True,
        probability=False,
        takes_prior=True,
        devices=("cuda",),
        needs=("cells",),
        uses_client=True,
        reads_sums=True,
        reference="baseline",
        inputs="RNA",
        cost="one pass over the cells and one system of all regulators",
        page="methods/baselines",
    ),
)
