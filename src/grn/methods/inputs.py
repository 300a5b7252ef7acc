"""What a task asks of an object, resolved once: genes, groups, values, a prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from grn import models
from grn._core import checks
from grn._core.device import resolve_device
from grn._core.errors import GeneNameError, GroupError, ParameterError
from grn._core.logging import hint
from grn._core.settings import settings
from grn._kernels.matrix_parts import Source
from grn._object.chromatin import Chromatin, chromatin_of, has_chromatin
from grn._object.container import check_target, target, validate
from grn._object.expression import Expression, select
from grn._object.genes import column, gene_rows, genes_of, regulator_mask, spelled
from grn._object.groups import MIN_CELLS, cell_names, draw_cells, group_codes, label_codes
from grn._object.smoothing import KEY as SMOOTHED
from grn._object.smoothing import coordinates, neighbour_weights, stored_weights
from grn._object.trajectory import Trajectory, trajectory_of
from grn._object.values import counts, expression
from grn._object.vocabulary import model_genes
from grn.methods.cells import Cells, allowed_pairs, cells_of
from grn.methods.devices import device_of
from grn.methods.genes import PairGenes, pair_genes
from grn.methods.group import Group
from grn.methods.record import MIN_CELLS_SEEN, Method, Task
from grn.models import FoundationModel
from grn.network import Network
from grn.pp import base_grn as read_prior


class Inputs:
    """An object as a method sees it.

    Parameters
    ----------
    adata
        The object.
    task
        What is asked. ``sources`` and ``targets`` may be symbols beside ``var_names``.
    """

    def __init__(self, adata: AnnData, task: Task) -> None:
        validate(adata)
        self._adata, self.task = adata, named(adata, task)
        self.names = np.asarray(adata.var_names, dtype=str)
        self.min_cells = 0
        self._cells: Cells | None = None
        self._priors: dict[int, tuple[Any, pd.DataFrame]] = {}
        self._pairs: dict[int, np.ndarray] = {}

    @classmethod
    def of_arrays(
        cls, values: np.ndarray, genes: Sequence[str], task: Task | None = None, *, obs: pd.DataFrame | None = None
    ) -> Inputs:
        """Arrays instead of an object: values (n_cells, n_genes), names of the genes, annotation of the cells."""
        obs = pd.DataFrame(index=[f"cell_{i}" for i in range(len(values))]) if obs is None else obs
        adata = AnnData(np.asarray(values, dtype=np.float32), obs=obs, var=pd.DataFrame(index=list(map(str, genes))))
        return cls(adata, task or Task())

    @property
    def genes(self) -> list[str]:
        """Names of the features that are genes."""
        return self.names[genes_of(self._adata)].tolist()

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return int(self._adata.n_obs)

    def positions(self, names: Sequence[str] | None, what: str) -> np.ndarray:
        """Positions of genes by name, or by a symbol beside it; of all genes by default. ``what`` is the argument."""
        return genes_of(self._adata) if names is None else gene_rows(self._adata, names, what)

    def spelled(self, names: Sequence[str]) -> list[str]:
        """Names as in ``names`` where a symbol beside them was given; unknown ones as they are."""
        return spelled(self._adata, names)

    @cached_property
    def regulators(self) -> np.ndarray:
        """Mask of the features (n_vars,) that are known regulators; none where names are of no known organism."""
        try:
            return regulator_mask(self._adata)
        except GeneNameError:
            return np.zeros(len(self.names), dtype=bool)

    @cached_property
    def model_ids(self) -> np.ndarray:
        """Name in the model of every feature (n_vars,), ``""`` when the model does not know it."""
        model = self.task.model
        vocabulary = dict.fromkeys((*model.source_genes, *model.target_genes))
        organism = getattr(model, "organism", "human")
        return model_genes(self._adata, model.gene_id_kind, vocabulary=vocabulary, organism=organism)

    @cached_property
    def pairs(self) -> PairGenes:
        """Sources and targets that the model knows, in its names."""
        task = self.task
        return pair_genes(self._adata, task.model, task.sources, task.targets)

    def pairs_in(self, order: Sequence[str] | None) -> PairGenes:
        """Sources and targets, shown to the model in an order of names; ``None`` for that of its vocabulary."""
        task = self.task
        if order is None:
            return self.pairs
        return pair_genes(self._adata, task.model, task.sources, task.targets, order)

    @cached_property
    def expression(self) -> Expression:
        """Log-normalised values (n_cells, n_vars) of the matrix asked for; cells are read when rows are asked for."""
        if self._cells is not None:
            return self._cells.expression
        task = self.task
        return expression(self._adata, layer=task.layer, use_raw=task.use_raw, values=task.values)

    @cached_property
    def counts(self) -> Expression:
        """The matrix asked for where it holds raw counts, which ``counts(rows)`` of it gives; an error where not."""
        task = self.task
        return counts(self._adata, layer=task.layer, use_raw=task.use_raw, values=task.values)

    def need_counts(self) -> None:
        """Refuse a matrix that holds no raw counts; says which one does."""
        self.counts  # noqa: B018

    def need_matrix(self) -> None:
        """Refuse a layer that does not exist, and ``.raw`` where there is none, also where no cells are read."""
        if self.task.layer is not None or self.task.use_raw:
            select(self._adata, self.task.layer, use_raw=self.task.use_raw)

    def stored_values(self) -> Source:
        """The matrix asked for (n_cells, n_vars) as it is stored, not normalised."""
        if self.task.use_raw and not self._adata.raw.var_names.equals(self._adata.var_names):
            raise ParameterError("adata.raw holds other genes; values as they are stored are read by layer=.")
        return select(self._adata, self.task.layer, use_raw=self.task.use_raw)

    @cached_property
    def groups(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Names of the groups, one empty name without grouping, and the group of every cell (n_cells,)."""
        if self.task.groupby is None:
            return ("",), np.zeros(self.n_cells, dtype=np.int64)
        return group_codes(self._adata, self.task.groupby)

    @cached_property
    def chromatin(self) -> Chromatin:
        """Open chromatin of the same cells; an error if there is none."""
        return chromatin_of(self._adata)

    @property
    def has_chromatin(self) -> bool:
        """Whether there is open chromatin, though it may be that of other cells."""
        return has_chromatin(self._adata)

    def need_chromatin(self) -> None:
        """Refuse an object without open chromatin of the same cells."""
        chromatin_of(self._adata)

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of the groups asked for, also of those with few cells; none without grouping."""
        return () if self.task.groupby is None else group_codes(self._adata, self.task.groupby, min_cells=0)[0]

    def labels(self, name: str, *, gaps: bool = False) -> tuple[tuple[str, ...], np.ndarray]:
        """Labels of a column of ``obs``, and that of every cell (n_cells,), -1 for none where ``gaps`` are allowed."""
        return label_codes(self._adata.obs, name, gaps=gaps)

    def column(self, name: str, what: str) -> pd.Series:
        """A column of ``obs`` with a value for every cell; ``what`` is the argument that names it."""
        obs = self._adata.obs
        if not isinstance(name, str) or not name:
            raise ParameterError(f"{what}={name!r}; pass the name of a column of adata.obs.")
        if name not in obs:
            there = ", ".join(map(str, obs.columns)) or "none"
            raise GroupError(f"adata.obs has no column {name!r} ({what}=); columns: {there}.")
        values = column(obs, name)
        if values.isna().any():
            raise GroupError(
                f"{int(values.isna().sum())} of {self.n_cells} cells have no value in obs[{name!r}]; "
                f"drop them: adata = adata[adata.obs[{name!r}].notna()].copy()."
            )
        return values

    @property
    def is_read(self) -> bool:
        """Whether the cells were read."""
        return self._cells is not None

    @property
    def cells(self) -> Cells:
        """Values, groups, and the positions of sources and targets."""
        return self.read_cells() if self._cells is None else self._cells

    def read_cells(
        self,
        *,
        min_cells: int = MIN_CELLS_SEEN,
        min_group_cells: int = MIN_CELLS,
        sources: Sequence[str] | None = None,
    ) -> Cells:
        """Read the cells; a method calls it in ``prepare`` to ask for other limits, or for other default sources."""
        task = self.task if sources is None or self.task.sources is not None else replace(self.task, sources=sources)
        self._cells = cells_of(self._adata, task, min_cells=min_cells, min_group_cells=min_group_cells)
        self.min_cells = min_cells
        self._pairs.clear()
        return self._cells

    @cached_property
    def barcodes(self) -> np.ndarray:
        """Names of the cells (n_cells,), which need not be unique where no cell is drawn."""
        return np.asarray(self._adata.obs_names, dtype=str)

    @cached_property
    def cell_names(self) -> np.ndarray:
        """Names of the cells (n_cells,), by which they are drawn; an error if they are not unique."""
        return cell_names(self._adata)

    def group(self, name: str = "", *, base_grn: pd.DataFrame | None = None) -> Group:
        """One group as a method is given it."""
        cells = self.cells
        members = np.flatnonzero(cells.codes == cells.groups.index(name))
        pairs, chromatin = lambda: self.allowed(base_grn), lambda: self.chromatin
        restricted = base_grn is not None
        return Group(name, members, cells, self.task, pairs, restricted=restricted, read_chromatin=chromatin)

    def need_cell_names(self) -> None:
        """Refuse an object in which two cells have one name."""
        cell_names(self._adata)

    def prior(self, base_grn: pd.DataFrame | None) -> pd.DataFrame | None:
        """A base GRN in the names of the object, read once."""
        if base_grn is None:
            return None
        if id(base_grn) not in self._priors:
            if isinstance(base_grn, pd.DataFrame) and "group" in base_grn and base_grn["group"].nunique() > 1:
                hint(
                    "base_grn= has %d groups, which are merged: who may regulate whom is the same for all cells",
                    base_grn["group"].nunique(),
                )
            # the table itself is kept, so that no other gets its id
            self._priors[id(base_grn)] = base_grn, self.matched(base_grn)
        return self._priors[id(base_grn)][1]

    def matched(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table of edges in the names of the object, as :func:`grn.pp.base_grn` matches them."""
        return read_prior(table, adata=self._adata)

    def allowed(self, base_grn: pd.DataFrame | None) -> np.ndarray:
        """Mask (T, S) of the pairs of a target and another gene that may regulate it."""
        table, cells = self.prior(base_grn), self.cells
        if id(base_grn) not in self._pairs:
            self._pairs[id(base_grn)] = allowed_pairs(cells, table)
        return self._pairs[id(base_grn)]

    def drawn(self, max_cells: int | None, *, among: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Rows of at most ``max_cells`` cells per group, drawn by their names; see ``draw``."""
        return draw_cells(self._adata, self.task.groupby, max_cells, self.task.seed, among=among)

    def of_cells(self, positions: np.ndarray, task: Task) -> Inputs:
        """Some of the cells, by position, for another task."""
        return Inputs(self._adata[np.sort(positions)], task)

    def check_target(self, *, copy: bool, key: str | None = None) -> None:
        """Refuse an object or a key that results cannot be written to, before a long computation."""
        check_target(self._adata, copy=copy, key=key)

    def target(self, *, copy: bool) -> AnnData:
        """The object, or a copy, that results are written to."""
        return target(self._adata, copy=copy)

    def neighbours(
        self,
        smooth: bool | str | sparse.spmatrix,  # noqa: FBT001
    ) -> tuple[sparse.csr_matrix | None, Mapping[str, Any] | None]:
        """Weights that average cells with their neighbours, and how they were made if they were made now.

        ``smooth`` is a key of ``obsp``, weights, ``False`` for none, or ``True``: those that :func:`grn.pp.smooth` left
        in its default slot, else those that its defaults give.
        """
        if smooth is False:
            return None, None
        if sparse.issparse(smooth):
            return sparse.csr_matrix(smooth), None
        key = SMOOTHED if smooth is True else smooth
        if not isinstance(key, str):
            raise ParameterError(f"smooth={smooth!r}; pass True, False or a key of obsp that grn.pp.smooth wrote.")
        if smooth is not True or key in self._adata.obsp:
            return stored_weights(self._adata, key), None
        read = {"layer": self.task.layer, "use_raw": self.task.use_raw, "values": self.task.values}
        return neighbour_weights(self._adata, **read)

    def trajectory(self, key: str = "trajectory") -> Trajectory:
        """The trajectory that :func:`grn.pp.trajectory` left on the object."""
        return trajectory_of(self._adata, key)

    def points(self, use_rep: str | None, n_pcs: int) -> np.ndarray:
        """Coordinates of the cells (n_cells, n_pcs or fewer), as :func:`grn.pp.smooth` takes them by ``use_rep``."""
        task = self.task
        where = {"layer": task.layer, "use_raw": task.use_raw, "values": task.values}
        return coordinates(self._adata, checks.integer("n_pcs", n_pcs, least=1), use_rep, **where)[0]

    def stored_network(self, key: str) -> Network:
        """A network that the object holds."""
        return Network.from_anndata(self._adata, key)


def named(adata: AnnData, task: Task) -> Task:
    """The task with sources and targets as ``var_names``, where they were given by a symbol beside them."""
    sides = {side: getattr(task, side) for side in ("sources", "targets")}
    listed = {side: wanted for side, wanted in sides.items() if wanted is not None and not isinstance(wanted, str)}
    return replace(task, **{side: spelled(adata, wanted) for side, wanted in listed.items()})


def environment(
    model: FoundationModel | str | None,
    device: str,
    progress: bool | None,  # noqa: FBT001
    record: Method | None = None,
) -> dict[str, Any]:
    """The model, if any, on its device, that of the method, the budgets and whether to show progress.

    Arguments come first, then settings.
    """
    loaded = None
    if model is not None:
        loaded = models.load(model).to(resolve_device(settings.device if device == "auto" else device))
    show = settings.progress if progress is None else progress
    return {
        "model": loaded,
        "device": None if record is None else device_of(record, device),
        "memory_budget": settings.memory_budget,
        "feature_budget": settings.feature_budget,
        "show": show,
    }


def inputs_of(
    adata: AnnData,
    *,
    model: FoundationModel | str | None,
    record: Method | None = None,
    device: str = "auto",
    n_jobs: int | None = None,
    progress: bool | None = None,
    **asked: Any,
) -> Inputs:
    """An object as methods see it, with the model on its device; ``None`` for no model, and for no method.

    ``asked`` are ``sources``, ``targets``, ``groupby``, ``layer``, ``use_raw``, ``values``, ``seed``, ``batch_size``,
    ``cache`` and ``client`` of the task.
    """
    return Inputs(adata, Task(**environment(model, device, progress, record), n_jobs=jobs(n_jobs), **asked))


def jobs(n_jobs: int | None) -> int | None:
    """The number of threads asked for, else the setting."""
    return checks.jobs(settings.n_jobs if n_jobs is None else n_jobs)
