"""What methods that regress on cells need of an object: values in blocks, groups, and who may regulate whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from grn._core.errors import GeneOverlapError
from grn._core.logging import logger, some
from grn.methods._genes import rows_of
from grn.methods._record import Task
from grn.pp._anndata import expression, regulator_mask
from grn.pp._expression import Expression
from grn.pp._groups import group_codes


@dataclass(frozen=True)
class Cells:
    """Cells, genes and groups of an inference without a foundation model.

    Parameters
    ----------
    expression
        Log-normalised values; ``rows(positions)`` reads some cells.
    names
        Names of all genes (n_vars,).
    sources, targets
        Positions of the regulators and of the targets in ``names``, in the order of the object.
    groups
        Names of the groups, ``("",)`` without grouping.
    codes
        Group of every cell (n_cells,).
    """

    expression: Expression
    names: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    groups: tuple[str, ...]
    codes: np.ndarray

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """Name and positions of the cells of every group."""
        for code, group in enumerate(self.groups):
            yield group, np.flatnonzero(self.codes == code)

    @property
    def genes(self) -> np.ndarray:
        """Positions of all genes that take part, sorted."""
        return np.union1d(self.sources, self.targets)


def cells_of(adata, task: Task, *, min_cells: int = 10) -> Cells:
    """Values, genes and groups as a task asks for them.

    Parameters
    ----------
    adata
        Annotated matrix.
    task
        ``sources`` (default: the annotated or listed regulators), ``targets`` (default: all genes), ``groupby``,
        ``layer``, ``use_raw``.
    min_cells
        Fewest cells a group may have.

    Raises
    ------
    ExpressionError, LayerError, GroupError, GeneNameError
        If values, groups or names cannot be used.
    GeneOverlapError
        If no gene is a regulator.
    """
    values = expression(adata, layer=task.layer, use_raw=task.use_raw, values=task.values)
    names = np.asarray(adata.var_names, dtype=str)
    if task.sources is None:
        sources = np.flatnonzero(regulator_mask(adata))
    else:
        sources = np.sort(rows_of(names, task.sources, "sources"))
    if not len(sources):
        raise GeneOverlapError(
            "no regulator is among the genes of this object; call grn.pp.annotate_regulators(adata, organism=...) or "
            "pass sources=[...]."
        )
    targets = np.arange(len(names)) if task.targets is None else np.sort(rows_of(names, task.targets, "targets"))
    if task.groupby is None:
        groups, codes = ("",), np.zeros(values.n_cells, dtype=np.int64)
    else:
        groups, codes = group_codes(adata, task.groupby, min_cells=min_cells)
    return Cells(values, names, sources, targets, groups, codes)


def report_constant(names: np.ndarray, constant: np.ndarray, group: str) -> None:
    """Say which genes (boolean mask) do not vary in a group and so have no edges there."""
    if constant.any():
        where = f" in group {group!r}" if group else ""
        logger.warning(
            "%d genes do not vary%s and get no edges: %s", constant.sum(), where, some(names[constant], 5),
            extra={"of": group},
        )
