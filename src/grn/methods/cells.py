"""What methods that regress on cells need of an object: values in blocks, groups, and who may regulate whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import ExpressionError, GeneOverlapError
from grn._core.logging import hint, logger, progress, some
from grn._object.expression import Expression
from grn._object.genes import gene_rows, genes_of, regulator_mask
from grn._object.groups import MIN_CELLS, group_codes
from grn._object.values import expression
from grn.methods.record import MIN_CELLS_SEEN, Task

T = TypeVar("T")


class NothingVariesError(ExpressionError):
    """No regulator or no target varies in any group."""


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
    rare
        Which genes are seen in too few cells of a group to have edges there (n_groups, n_vars).
    """

    expression: Expression
    names: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    groups: tuple[str, ...]
    codes: np.ndarray
    rare: np.ndarray

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """Name and positions of the cells of every group."""
        for code, group in enumerate(self.groups):
            yield group, np.flatnonzero(self.codes == code)

    @property
    def genes(self) -> np.ndarray:
        """Positions of all genes that take part, sorted."""
        return np.union1d(self.sources, self.targets)

    def rare_in(self, group: str) -> np.ndarray:
        """Genes that are seen in too few cells of a group (n_vars,)."""
        rare: np.ndarray = self.rare[self.groups.index(group)]
        return rare

    def each(self, fit: Callable[[str, np.ndarray], T | None]) -> tuple[list[tuple[str, T]], dict[str, Any]]:
        """Fit every group; what ``fit`` gives ``None`` for is a group in which nothing varies, and is left out.

        Parameters
        ----------
        fit
            From the name and the positions of the cells of a group to its result.

        Returns
        -------
        results
            Groups and results.
        provenance
            ``rare_genes`` (number per group) and ``skipped_groups``.

        Raises
        ------
        NothingVariesError
            If no group is left.
        """
        results, skipped = [], []
        for group, members in progress(self, total=len(self.groups), desc="groups"):
            result = fit(group, members)
            if result is None:
                skipped.append(group)
                tell_skipped(group)
            else:
                results.append((group, result))
        if not results:
            raise none_varies(self.groups)
        if skipped:
            logger.warning(
                "nothing varies in %d of %d groups, which get no network: %s",
                *(len(skipped), len(self.groups), ", ".join(skipped[:10])),
            )
        return results, {"rare_genes": self.counts(), "skipped_groups": np.array(skipped, dtype=str)}

    def counts(self) -> dict[str, int]:
        """Number of genes among those that take part that are rare, per group."""
        number = self.rare[:, self.genes].sum(axis=1).tolist()
        return {group or "all": count for group, count in zip(self.groups, number, strict=True)}


def cells_of(adata, task: Task, *, min_cells: int = MIN_CELLS_SEEN, min_group_cells: int = MIN_CELLS) -> Cells:
    """Values, genes and groups as a task asks for them.

    Parameters
    ----------
    adata
        Annotated matrix.
    task
        ``sources`` (default: the annotated or listed regulators), ``targets`` (default: all genes), ``groupby``,
        ``layer``, ``use_raw``.
    min_cells
        Fewest cells of a group in which a gene is above zero, for it to have edges there; 0 for no limit.
    min_group_cells
        Fewest cells a group may have, or the object without groups.

    Raises
    ------
    ExpressionError, LayerError, GroupError, GeneNameError
        If values, groups or names cannot be used.
    GeneOverlapError
        If no gene is a regulator.
    """
    min_cells = checks.integer("min_cells", min_cells, least=0)
    # a repetition on some of the cells has the groups and genes that were chosen on all of them
    least = min_group_cells if task.taking is None else 1
    if task.groupby is None:
        groups, codes = ("",), np.zeros(adata.n_obs, dtype=np.int64)
    else:
        groups, codes = group_codes(adata, task.groupby, min_cells=least)
    values = expression(adata, layer=task.layer, use_raw=task.use_raw, values=task.values)
    if values.n_cells < least:
        raise ExpressionError(
            f"the object has {values.n_cells} cells, too few to tell an edge from chance; pass at least {least}."
        )
    names = np.asarray(adata.var_names, dtype=str)
    if task.sources is None:
        sources = np.flatnonzero(regulator_mask(adata))
    else:
        sources = np.sort(gene_rows(adata, task.sources, "sources"))
    if not len(sources):
        raise GeneOverlapError(
            "no regulator is among the genes of this object; call grn.pp.annotate_regulators(adata, organism=...) or "
            "pass sources=[...]."
        )
    targets = genes_of(adata) if task.targets is None else np.sort(gene_rows(adata, task.targets, "targets"))
    rare = np.zeros((len(groups), len(names)), dtype=bool)
    if task.taking is not None:
        rare = np.array([~np.isin(names, task.taking.get(group, names)) for group in groups])
    elif min_cells:
        rare = values.seen(codes) < min_cells
    for group, few in zip(groups, rare, strict=True):
        tell_genes(group, names[~few])
    cells = Cells(values, names, sources, targets, groups, codes, rare)
    if task.taking is None:
        _report_rare(cells, min_cells)
    return cells


def report_constant(names: np.ndarray, constant: np.ndarray, group: str) -> None:
    """Say which genes (boolean mask) do not vary in a group and so have no edges there."""
    if constant.any():
        where = f" in group {group!r}" if group else ""
        logger.warning(
            "%d genes do not vary%s and get no edges: %s",
            constant.sum(),
            where,
            some(names[constant], 5),
            extra={"of": group},
        )


def none_varies(groups: tuple[str, ...]) -> NothingVariesError:
    """The error for groups in which nothing can be regressed on anything."""
    where = "" if groups == ("",) else f" in any of the {len(groups)} groups, such as {groups[0]!r}"
    return NothingVariesError(
        f"no regulator or no target varies{where}; pass other cells, other sources and targets, or a smaller min_cells."
    )


def _report_rare(cells: Cells, min_cells: int) -> None:
    """One line on the genes that are seen in too few cells."""
    counts = {group: count for group, count in cells.counts().items() if count}
    if not counts:
        return
    size = len(cells.genes)
    if cells.groups == ("",):
        names = cells.names[cells.genes[cells.rare[0, cells.genes]]]
        where = f"{counts['all']} of {size} genes ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"
    else:
        shown = ", ".join(f"{count} in {group}" for group, count in list(counts.items())[:8])
        where = f"of {size} genes {shown}{', ...' if len(counts) > 8 else ''}"
    hint("%s are seen in fewer than min_cells=%d cells and get no edges there", where, min_cells)


def allowed_pairs(cells: Cells, prior: pd.DataFrame | None) -> np.ndarray:
    """Mask (T, S) of the pairs of a target and another gene that may regulate it.

    Parameters
    ----------
    cells
        Sources and targets.
    prior
        Table ``source, target`` of the pairs to look at, in names of the object; ``None`` for all.

    Raises
    ------
    GeneOverlapError
        If the table lists no pair of a source and a target.
    """
    other: np.ndarray = cells.targets[:, None] != cells.sources  # (T, S)
    if prior is None:
        return other
    rows, columns = pair_places(prior, cells)
    inside = (rows >= 0) & (columns >= 0)
    if not inside.any():
        raise GeneOverlapError(
            f"none of the {len(prior)} edges of the base GRN joins one of {len(cells.sources)} sources and one of "
            f"{len(cells.targets)} targets; pass sources=sorted(set(base_grn['source'])) or another table."
        )
    if not inside.all():
        logger.info("%d edges of the base GRN lie outside the sources and targets asked for", (~inside).sum())
    listed = np.zeros(other.shape, dtype=bool)
    listed[rows[inside], columns[inside]] = True
    listed &= other
    without = cells.names[cells.targets[~listed.any(axis=1)]]
    if len(without):
        hint("%d targets have no regulator in the base GRN: %s", len(without), some(without))
    return listed


def pair_places(table: pd.DataFrame, genes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Places of the pairs of a table among targets and sources of ``genes``, cells or a group of them; -1 for none."""
    names = pd.Index(genes.names)
    rows = pd.Index(genes.targets).get_indexer(names.get_indexer(table["target"].astype(str)))
    columns = pd.Index(genes.sources).get_indexer(names.get_indexer(table["source"].astype(str)))
    return rows, columns


@dataclass
class Taken:
    """What methods found while somebody listened.

    Parameters
    ----------
    genes
        Names of the genes that may have edges, by group.
    skipped
        Groups in which nothing varies.
    """

    genes: dict[str, Sequence[str]] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)


_LISTENER: ContextVar[Taken | None] = ContextVar("grn_taken", default=None)


@contextmanager
def listening() -> Iterator[Taken]:
    """Hear what the methods called within tell."""
    taken = Taken()
    token = _LISTENER.set(taken)
    try:
        yield taken
    finally:
        _LISTENER.reset(token)


def tell_genes(group: str, names: Sequence[str]) -> None:
    """Say which genes may have edges in a group."""
    listener = _LISTENER.get()
    if listener is not None:
        listener.genes[group] = names


def tell_skipped(group: str) -> None:
    """Say that nothing varies in a group."""
    listener = _LISTENER.get()
    if listener is not None:
        listener.skipped.add(group)


def with_copies(taking: Mapping[str, Sequence[str]], copies: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """The genes of every group and the copies of those that have some."""
    return {
        group: [*names, *(aliases[name] for aliases in copies for name in names if name in aliases)]
        for group, names in taking.items()
    }
