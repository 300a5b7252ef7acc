"""The cells of one group as a method sees them: values, who may regulate whom, and what it is asked to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from grn._core.errors import CapabilityError, RegionError
from grn._kernels.correlate import Cross, cross, pearson, spearman
from grn._kernels.scatter import Rows, gathered
from grn._object.chromatin import Chromatin
from grn.methods.cells import Cells, report_constant
from grn.methods.record import Task


@dataclass(frozen=True)
class Group:
    """One group of cells.

    Parameters
    ----------
    name
        Name of the group, ``""`` without grouping.
    members
        Positions of its cells (n,).
    cells
        All cells.
    task
        Seed, threads and memory.
    pairs
        Gives the mask (T, S) of the pairs that may be edges.
    restricted
        Whether a base GRN says which they are.
    read_chromatin
        Gives the open chromatin of all cells.
    sums
        ``sums(genes, ranks=...)`` gives the sums over the cells of the sources with some genes, or of their ranks,
        where they were made before: such a group has no cells that could be read.
    """

    name: str
    members: np.ndarray
    cells: Cells
    task: Task
    pairs: Callable[[], np.ndarray]
    restricted: bool = False
    read_chromatin: Callable[[], Chromatin] | None = None
    sums: Callable[..., Cross] | None = None

    @property
    def names(self) -> np.ndarray:
        """Names of all genes (n_vars,)."""
        return self.cells.names

    @property
    def sources(self) -> np.ndarray:
        """Positions of the sources in ``names`` (S,)."""
        return self.cells.sources

    @property
    def targets(self) -> np.ndarray:
        """Positions of the targets in ``names`` (T,)."""
        return self.cells.targets

    @property
    def rows(self) -> Rows:
        """Gives log-normalised values (k, n_vars) of some cells by their positions."""
        if self.sums is not None:
            raise CapabilityError(
                "this group beside permuted regulators has sums over its cells, and no cells: a method with "
                "reads_sums=True reads them by group.cross() and group.correlation() alone."
            )
        return self.cells.expression.rows

    @property
    def chromatin(self) -> Chromatin:
        """Open chromatin of all cells; ``rows`` takes positions as those of this class do."""
        if self.read_chromatin is None:
            raise RegionError("this group was made without open chromatin; take it from grn.methods.Inputs.group().")
        return self.read_chromatin()

    @cached_property
    def allowed(self) -> np.ndarray:
        """Pairs (T, S) that may be edges: no gene with itself, and those of the base GRN if there is one."""
        return self.pairs()

    @cached_property
    def rare(self) -> np.ndarray:
        """Genes (n_vars,) that are seen in too few cells of the group to have edges there."""
        return self.cells.rare_in(self.name)

    @property
    def listed(self) -> np.ndarray:
        """Pairs (T, S) that are allowed and of genes that are seen in enough cells."""
        return self.allowed & ~self.rare[self.targets][:, None] & ~self.rare[self.sources]

    def values(self, genes: np.ndarray | None = None) -> np.ndarray:
        """Log-normalised values (n, len(genes)) float32 of some genes, by position; all by default."""
        return gathered(self.rows, self.members, genes)

    def cross(self, genes: np.ndarray) -> Cross:
        """Means and products of the sources with some genes, by position, over the cells."""
        if self.sums is not None:
            return self.sums(genes, ranks=False)
        return cross(self.rows, self.members, self.sources, genes, device=self.task.device)

    def correlation(self, genes: np.ndarray, *, ranks: bool = False) -> np.ndarray:
        """Pearson correlation (S, len(genes)) of the sources with some genes, or of their ranks; NaN if constant."""
        if self.sums is not None:
            return self.sums(genes, ranks=ranks).correlation
        function = spearman if ranks else pearson
        return function(self.rows, self.members, self.sources, genes, device=self.task.device)

    def report_constant(self, constant: np.ndarray) -> None:
        """Say which genes (mask, n_vars) do not vary here, but for the rare ones, which were told before."""
        report_constant(self.names, constant & ~self.rare, self.name)


@dataclass(frozen=True)
class Fitted:
    """Edges of one group, what the method chose for it, and tables beside them.

    Parameters
    ----------
    edges
        As ``fit`` may return them, see :class:`grn.methods.Method`.
    params
        Values that the method chose from the data, by name; ``params`` hold them by group.
    tables
        Tables by the names that the record declares; the runner puts those of all groups together, with a column
        ``group``.
    """

    edges: object
    params: Mapping[str, object] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
