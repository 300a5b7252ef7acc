"""The language of perturbations: which genes are set to what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from grn._core import checks
from grn._core.errors import ExpressionError, ParameterError

Amount = float | tuple[str, float]
Perturbation = Mapping[str, Amount | Sequence[Amount]]
_FORMS = 'a number of at least 0 (0 is a knock-out), ("fold", 2.0), ("quantile", 0.99), or a list of those as doses'


@dataclass(frozen=True)
class GeneIntervention:
    """What one gene is set to.

    Parameters
    ----------
    gene
        Name.
    kind
        ``"value"``, ``"fold"`` or ``"quantile"``.
    amount
        The value on the scale of the expression, the factor, or the quantile.
    """

    gene: str
    kind: str
    amount: float

    def __str__(self) -> str:
        return f"{self.gene}={'' if self.kind == 'value' else self.kind + ' '}{self.amount:g}"

    def goal(self, values: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Expression after the intervention (k,), given the own ``values`` (k,) and those of all cells."""
        if self.kind == "fold":
            folded: np.ndarray = np.log1p(self.amount * np.expm1(values))
            return folded
        value = self.amount if self.kind == "value" else float(np.quantile(observed, self.amount))
        return np.full(len(values), value)


def doses_of(perturbation: Perturbation) -> list[tuple[GeneIntervention, ...]]:
    """Settings of all genes, sorted by name, per dose; one dose unless lists were given."""
    if not isinstance(perturbation, Mapping) or not perturbation:
        raise ParameterError(
            f"perturbation={perturbation!r}; pass a dict by gene, such as {{'GATA1': 0}}, whose values are {_FORMS}."
        )
    given = {str(gene): perturbation[gene] for gene in sorted(perturbation, key=str)}
    series = {gene: amount for gene, amount in given.items() if _is_series(amount)}
    sizes = {gene: len(amounts) for gene, amounts in series.items()}  # type: ignore[arg-type]
    if len(set(sizes.values())) > 1 or 0 in sizes.values():
        raise ParameterError(f"the lists of doses have lengths {sizes}; pass lists of one length of at least 1.")
    count = next(iter(sizes.values()), 1)
    return [
        tuple(_setting(gene, amount[i] if gene in series else amount) for gene, amount in given.items())  # type: ignore[index]
        for i in range(count)
    ]


def _is_series(amount: object) -> bool:
    """Whether an amount is a list of doses rather than a number or a pair such as ``("fold", 2)``."""
    if isinstance(amount, np.ndarray):
        return amount.ndim == 1
    return isinstance(amount, list | tuple) and not (len(amount) == 2 and isinstance(amount[0], str))


def _setting(gene: str, amount: object) -> GeneIntervention:
    kind, number = amount if isinstance(amount, list | tuple) and len(amount) == 2 else ("value", amount)
    try:
        word = checks.word("", kind, ("value", "fold", "quantile"))
        level = checks.number("", number, least=0, most=1 if word == "quantile" else None)
    except ParameterError as error:
        raise ParameterError(f"perturbation[{gene!r}]={checks.shown(amount)}; pass {_FORMS}.") from error
    return GeneIntervention(gene, word, level)


def check_range(doses: list[tuple[GeneIntervention, ...]], observed: np.ndarray) -> None:
    """Refuse genes that no cell expresses, and values beyond twice the largest observed one.

    ``observed`` are the values (n_cells, P) of the perturbed genes.
    """
    for settings in doses:
        for setting, values in zip(settings, observed.T, strict=True):
            top = float(values.max())
            if top <= 0:
                raise ExpressionError(
                    f"no cell expresses {setting.gene}, so there is nothing to change; perturb an expressed gene."
                )
            reached = float(setting.goal(values, values).max())
            if reached > 2 * top * (1 + 1e-9):
                raise ParameterError(
                    f"{setting} would reach {reached:.3g}, beyond twice the largest observed value {top:.3g}: a linear "
                    f"network says nothing there. Pass at most {2 * top:.3g}, or ('quantile', 0.99)."
                )
