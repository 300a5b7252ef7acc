"""Cells that follow the dynamics a method fitted, instead of a linear network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from anndata import AnnData

from grn._core.errors import GeneOverlapError, GroupError
from grn._core.logging import some
from grn.methods.fits import Follow, StoredFit, stored_fit
from grn.simulate.propagation import LinearCells


@dataclass(frozen=True)
class FittedCells(LinearCells):
    """Cells whose change the fit of a method says.

    Parameters
    ----------
    follow
        What answers for the cells of every group, genes in the order of ``names``.
    """

    follow: tuple[Follow, ...] = ()

    def _travelled(self, values: np.ndarray, start: np.ndarray, code: int) -> np.ndarray:
        return np.maximum(self.follow[code](values, self.genes, start), -values)


@dataclass(frozen=True)
class FittedDynamics:
    """The dynamics of a method, for the groups of a simulation.

    Parameters
    ----------
    names
        Genes of the fit, sorted by name (G,).
    follow
        What answers for the cells of every group, genes in the order of ``names``.
    """

    names: np.ndarray
    follow: tuple[Follow, ...]


def fitted_dynamics(adata: AnnData, net: str, groups: Sequence[str], steps: int) -> FittedDynamics:
    """The dynamics that the method of a network fitted.

    Parameters
    ----------
    adata
        The object.
    net
        Entry of ``uns`` with the network.
    groups
        Names of the groups of cells.
    steps
        Units of time to run for.

    Raises
    ------
    ResultNotFoundError
        If the method left no fit, or has no dynamics of its own.
    GeneOverlapError, GroupError
        If genes of the fit are not in the object, or a group has no fit.
    """
    stored = stored_fit(adata, net, "response", "has dynamics of its own")
    genes = stored.genes
    lacking = genes[~np.isin(genes, adata.var_names)]
    if len(lacking):
        raise GeneOverlapError(
            f"{len(lacking)} of {len(genes)} genes of the fit in uns[{net!r}] are not in var_names: {some(lacking)}. "
            "Simulate on the object that it was fitted on, or pass coefficients='refit'."
        )
    order = np.argsort(genes)
    follow = tuple(_in_order(one, order) for one in _by_group(stored, net, groups, steps))
    return FittedDynamics(genes[order], follow)


def _by_group(stored: StoredFit, net: str, groups: Sequence[str], steps: int) -> list[Follow]:
    answers = stored.record.response(stored.fit, stored.params, steps=steps)  # type: ignore[misc]
    if list(answers) == [""]:
        return [answers[""]] * len(groups)
    lacking = [group for group in groups if group not in answers]
    if lacking:
        raise GroupError(
            f"the fit in uns[{net!r}] has no group {some(lacking)}; its groups are {some(answers)}. Pass the groupby "
            "of the network."
        )
    return [answers[group] for group in groups]


def _in_order(follow: Follow, order: np.ndarray) -> Follow:
    """The same for genes that are listed in another order."""
    back = np.argsort(order)

    def sorted_follow(values: np.ndarray, genes: np.ndarray, start: np.ndarray) -> np.ndarray:
        return follow(values[:, back], order[genes], start)[:, order]

    return sorted_follow
