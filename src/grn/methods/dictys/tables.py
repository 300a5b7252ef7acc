"""From fits of groups or windows to edges and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from grn._kernels.ou_fit import Fit
from grn._kernels.steady_state import SteadyState, relative, steady_state
from grn.methods.dictys.contexts import Context
from grn.methods.edges import in_groups, indexed


@dataclass(frozen=True)
class Fitted:
    """The fit of one context, and what follows from it.

    Parameters
    ----------
    context
        Cells, genes and pairs.
    fit
        Parameters.
    column
        Whether effects are corrected by columns, as in the original.
    """

    context: Context
    fit: Fit
    column: bool

    @property
    def raw(self) -> np.ndarray:
        """Direct effects on log shares (G, S): change of the target per unit of the regulator."""
        return self.fit.network / self.fit.rate

    @cached_property
    def level(self) -> np.ndarray:
        """Mean log shares (G,), of shares that add up to 1."""
        top = self.fit.level.max()
        level: np.ndarray = self.fit.level - top - np.log(np.exp(self.fit.level - top).sum())
        return level

    @cached_property
    def variance(self) -> np.ndarray:
        """Variances of log shares (G,)."""
        variance: np.ndarray = self.fit.diagonal + (self.fit.factors**2).sum(axis=1)
        return variance

    @cached_property
    def weight(self) -> np.ndarray:
        """Direct effects per standard deviation (G, S)."""
        return relative(self.raw, self.context.source, np.sqrt(self.variance))

    @cached_property
    def steady(self) -> SteadyState:
        """Direct and indirect effects on log shares."""
        return steady_state(self.raw, self.context.source, self.level, column=self.column)

    @cached_property
    def indirect(self) -> np.ndarray:
        """Direct and indirect effects per standard deviation (G, S)."""
        return relative(self.steady.effects, self.context.source, np.sqrt(self.variance))

    @property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Targets and sources of the pairs that may be edges, by place in the genes and in the sources."""
        target, source = np.nonzero(self.context.mask)
        return target, source


def edges_of(fitted: Fitted, names: np.ndarray) -> pd.DataFrame:
    """Edges with the four kinds of weights."""
    context, (target, source) = fitted.context, fitted.pairs
    weight = fitted.weight[target, source]
    columns = {
        "weight": weight,
        "sign": np.where(weight == 0, np.nan, np.sign(weight)),
        "raw": fitted.raw[target, source],
        "indirect": fitted.indirect[target, source],
        "raw_indirect": fitted.steady.effects[target, source],
    }
    return indexed(names, context.genes[context.source[source]], context.genes[target], **columns)


def level_table(fitted: Sequence[Fitted], names: np.ndarray) -> pd.DataFrame:
    """Mean log share and its variance of every gene."""
    return in_groups(
        [
            (
                one.context.name,
                pd.DataFrame({"gene": names[one.context.genes], "mean": one.level, "variance": one.variance}),
            )
            for one in fitted
        ]
    )


def loss_table(fitted: Sequence[Fitted]) -> pd.DataFrame:
    """Parts of the objective on the way."""
    parts = []
    for one in fitted:
        table = pd.DataFrame(one.fit.losses, columns=["step", "prior", "steady", "counts"])
        table["step"] = table["step"].astype(np.int64)
        table["total"] = table[["prior", "steady", "counts"]].sum(axis=1)
        parts.append((one.context.name, table))
    return in_groups(parts)


def simulation_table(fitted: Sequence[Fitted], names: np.ndarray) -> pd.DataFrame:
    """Coefficients of simulations: direct effects on log shares, damped where loops would not come to rest."""
    parts = []
    for one in fitted:
        context, (target, source) = one.context, one.pairs
        ends = context.genes[context.source[source]], context.genes[target]
        weight = (one.raw / one.steady.damping)[target, source]
        parts.append((context.name, indexed(names, *ends, weight=weight)))
    return in_groups(parts)


def fit_table(fitted: Sequence[Fitted], names: np.ndarray) -> dict[str, object]:
    """Everything a prediction needs: per group levels, variances and damping, and the edges of all groups."""
    genes = np.unique(np.concatenate([one.context.genes for one in fitted]))
    genes = genes[np.argsort(names[genes], kind="stable")]
    place_of = np.full(len(names), -1)
    place_of[genes] = np.arange(len(genes))
    shape = (len(fitted), len(genes))
    level, variance = np.full(shape, np.nan), np.full(shape, np.nan)
    parts: dict[str, list[np.ndarray]] = {"group": [], "source": [], "target": [], "weight": []}
    for number, one in enumerate(fitted):
        place = place_of[one.context.genes]
        level[number, place], variance[number, place] = one.level, one.variance
        target, source = one.pairs
        parts["group"].append(np.full(len(target), number))
        parts["source"].append(place[one.context.source[source]])
        parts["target"].append(place[target])
        parts["weight"].append(one.raw[target, source])
    return {
        "genes": names[genes],
        "groups": np.array([one.context.name for one in fitted], dtype=str),
        "level": level,
        "variance": variance,
        "damping": np.array([one.steady.damping for one in fitted]),
        "rate": np.array([one.fit.rate for one in fitted]),
        **{name: np.concatenate(values) for name, values in parts.items()},
    }
