"""The cells that probes start from: virtual, or the mean real cell of every group."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np
from torch import Tensor

from grn._core import checks
from grn._core.errors import ExpressionError, ParameterError
from grn._object.groups import FEWEST_OF_A_MEAN
from grn.methods.genes import PairGenes
from grn.methods.inputs import Inputs
from grn.models import FoundationModel, Moments, Panel
from grn.models.protocol import virtual_cell

CONTEXTS = ("virtual", "mean")


@dataclass(frozen=True, eq=False)
class BaseCells:
    """Base cells of all groups; small, and independent of the object they were taken from.

    Parameters
    ----------
    names
        Names of the groups; one empty name without grouping.
    column
        Row of the object of every gene the model knows, by the model's name.
    reference
        Moments of the data set over the genes of the object; ``None`` for virtual cells.
    means, totals
        Per group the mean log-normalised expression (n_vars,) and the mean number of counts (1,) or ``None``.
    """

    names: tuple[str, ...]
    column: dict[str, int]
    reference: Moments | None = None
    means: tuple[np.ndarray, ...] = ()
    totals: tuple[np.ndarray | None, ...] = ()

    def base(self, model: FoundationModel, group: int, panel: Panel) -> Tensor:
        """Base cell (n,) of a group on the model's scale."""
        if self.reference is None:
            return virtual_cell(model, panel)
        moments = replace(self.reference, total=self.totals[group])
        return encode(model, self.means[group][None], moments, self.column, panel)[0]

    def silent(self, model: FoundationModel, panel: Panel) -> Tensor:
        """A cell (n,) that expresses nothing."""
        if self.reference is None:
            raise ParameterError("silencing needs real cells; pass context='mean'.")
        nothing = np.zeros((1, len(self.reference.mean)))
        return encode(model, nothing, self.reference, self.column, panel)[0]


def verify_context(*, context: str | None) -> None:
    """Refuse what is no context; ``None`` is decided later, by the groups."""
    if context is not None:
        checks.word("context", context, CONTEXTS)


def base_cells(inputs: Inputs, genes: PairGenes, *, context: str) -> BaseCells:
    """The base cells of a context; reads the cells twice: to know their scale, and for all means."""
    groupby = inputs.task.groupby
    verify_context(context=context)
    column = {str(gene): i for i, gene in enumerate(genes.ids) if gene}
    if context == "virtual":
        if groupby is not None:
            refuse_groups(groupby)
        return BaseCells(("",), column)
    values, (names, codes) = inputs.expression, inputs.groups
    if groupby is None and values.n_cells < FEWEST_OF_A_MEAN:
        raise ExpressionError(
            f"the object has {values.n_cells} cells, too few for a mean cell; pass at least {FEWEST_OF_A_MEAN}, or "
            "read virtual cells with context='virtual'."
        )
    everyone, by_group = values.group_moments(codes)
    means, totals = tuple(mean for mean, _ in by_group), values.totals()
    if totals is None:
        return BaseCells(names, column, Moments(*everyone), means, (None,) * len(names))
    depths = np.bincount(codes, weights=totals) / np.bincount(codes)  # (groups,)
    return BaseCells(names, column, Moments(*everyone), means, tuple(depths[:, None]))


def refuse_groups(groupby: str) -> NoReturn:
    """Say why what uses no measurement cannot differ between groups."""
    raise ParameterError(
        f"groupby={groupby!r} was given, but virtual cells and embeddings use no measurement, so every group would get "
        "the same network; pass context='mean' to read the probes at each group's mean cell."
    )


def encode(model: FoundationModel, X: np.ndarray, moments: Moments, column: dict[str, int], panel: Panel) -> Tensor:
    """Rows of log-normalised expression (cells, n_vars) as values of a panel (cells, n).

    Parameters
    ----------
    model
        A model; with ``encodes_whole_cells`` the value of a gene depends on the other genes of its cell, and all genes
        it knows are encoded, so that panels do not matter.
    X, moments
        Cells, and the moments of their data set per column.
    column
        Column of every gene the model knows.
    panel
        The genes wanted.
    """
    whole = getattr(model, "encodes_whole_cells", False)
    genes = tuple(column) if whole else panel.genes
    columns = np.array([column[g] for g in genes])
    reference = Moments(moments.mean[columns], moments.std[columns], moments.total)
    values = model.encode_cells(X[:, columns], genes, reference=reference)
    if not whole:
        return values
    place = {gene: i for i, gene in enumerate(genes)}
    return values[:, [place[g] for g in panel.genes]]
