"""In-silico perturbation: how far a model's embedding of a cell moves when genes are taken out of it, or raised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from grn._core.errors import ExpressionError, GeneOverlapError
from grn._core.logging import logger, progress, some
from grn._object.gene_sets import gene_sets
from grn._object.genes import gene_rows, spelled
from grn.methods.foundation.cell_readings import ShownCells
from grn.methods.genes import PairGenes, pair_genes
from grn.models.protocol import PerturbModel
from grn.simulate.start_cells import StartCells

if TYPE_CHECKING:
    from anndata import AnnData

_CELLS_AT_A_TIME = 16
# numbers of the embeddings that are held at a time
_NUMBERS = 2**24


@dataclass(frozen=True)
class GeneSets:
    """Genes that are perturbed together: their rows in the object, by name of the set, and all genes of the model."""

    rows: dict[str, tuple[int, ...]]
    genes: PairGenes

    @property
    def names(self) -> list[str]:
        """Names of the sets, ``"GATA1+SPI1"``."""
        return list(self.rows)

    @cached_property
    def ids(self) -> list[list[str]]:
        """Names of their genes in the model."""
        return [[str(self.genes.ids[row]) for row in rows] for rows in self.rows.values()]


def sets_of(adata: AnnData, model: Any, genes: object) -> GeneSets:
    """The sets asked for that the model knows; every regulator alone by default.

    Raises
    ------
    GeneNameError, GeneOverlapError
        If a gene is not in the object, or the model knows none, or no set as a whole.
    """
    names = np.asarray(adata.var_names, dtype=str)
    if genes is None:
        known = pair_genes(adata, model, None, None)
        return GeneSets({str(names[row]): (int(row),) for row in known.sources}, known)
    asked = gene_sets([spelled(adata, together) for together in gene_sets(genes)])
    flat = list(dict.fromkeys(gene for together in asked for gene in together))
    gene_rows(adata, flat, "genes")
    known = pair_genes(adata, model, flat, None)
    place = {str(names[row]): int(row) for row in known.sources}
    # sorted, so that a set is one set however it is written
    wanted = list(dict.fromkeys(tuple(sorted(together)) for together in asked))
    sets = {"+".join(t): tuple(place[gene] for gene in t) for t in wanted if all(gene in place for gene in t)}
    lost = ["+".join(together) for together in wanted if not all(gene in place for gene in together)]
    if not sets:
        raise GeneOverlapError(
            f"{model.name!r} knows no set of genes= as a whole: {some(lost)}; pass sets of genes that it knows, or "
            "call grn.pp.align_genes(adata) to map the names."
        )
    if lost:
        logger.warning(
            "%d of %d sets hold genes that the model lacks and are left out: %s", len(lost), len(wanted), some(lost)
        )
    return GeneSets(sets, known)


@dataclass(frozen=True)
class CellEmbedder:
    """Embeddings of cells, as they are and perturbed.

    Parameters
    ----------
    cells
        The cells with the genes that the model knows.
    readout
        See :class:`grn.models.protocol.CellModel`.
    """

    cells: ShownCells
    readout: str | None

    @cached_property
    def _model(self) -> Any:
        return self.cells.inputs.task.model

    @cached_property
    def _column(self) -> dict[str, int]:
        return {gene: i for i, gene in enumerate(self.cells.genes)}

    def _read(self, rows: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Values (cells, G), and how they are to be read."""
        X, reference = self.cells.read(rows)
        shown = {"max_genes": self.cells.max_genes, "batch_size": self.cells.batch_size}
        return X, {"reference": reference, "readout": self.readout, **shown}

    def embed(self, rows: np.ndarray) -> np.ndarray:
        """Embeddings (cells, d), float64; NaN for cells that the model cannot read."""
        X, how = self._read(rows)
        return _numbers(self._model.embed_cells(X, self.cells.genes, **how))

    def perturb(self, rows: np.ndarray, sets: Sequence[Sequence[str]], mode: str) -> np.ndarray:
        """Embeddings (sets, cells, d) after a perturbation, float64; NaN for cells that have none."""
        X, how = self._read(rows)
        if isinstance(self._model, PerturbModel):
            return _numbers(self._model.perturb_cells(X, self.cells.genes, sets, mode=mode, **how))
        return np.stack([self._by_values(X, how, together, mode) for together in sets])

    def _by_values(self, X: np.ndarray, how: dict[str, Any], together: Sequence[str], mode: str) -> np.ndarray:
        """Embeddings (cells, d) of a model without ``perturb_cells``: genes at 0, or at the cell's largest value."""
        columns = [self._column[gene] for gene in together]
        changed = X.copy()
        changed[:, columns] = 0.0 if mode == "delete" else X.max(axis=1, keepdims=True)
        after = _numbers(self._model.embed_cells(changed, self.cells.genes, **how))
        if mode == "delete":
            after[(X[:, columns] <= 0).any(axis=1)] = np.nan
        return after


def _numbers(x: Any) -> np.ndarray:
    found: np.ndarray = x.detach().cpu().double().numpy()
    return found


@dataclass(frozen=True)
class Shifts:
    """Shifts of cells under every perturbation.

    Parameters
    ----------
    rows
        The cells of every group, rows of the object.
    moved
        1 - cosine of the embeddings before and after (sets, cells), by group; NaN where nothing was perturbed.
    toward
        Cosine with the mean of every state after, minus before (states, sets, cells), by group.
    """

    rows: dict[str, np.ndarray]
    moved: dict[str, np.ndarray]
    toward: dict[str, np.ndarray]


def shifts_of(reader: CellEmbedder, sets: GeneSets, cells: StartCells, mode: str, *, show: bool | None) -> Shifts:
    """Read all cells before and after every perturbation.

    Raises
    ------
    ExpressionError
        If no cell read can lose, or be given, any of the sets, or a state has no cell that the model can read.
    """
    landmarks = np.array([_mean(reader, state, rows) for state, rows in cells.states.items()])  # (states, d)
    counts = (len(sets.rows), len(cells.states))
    moved = {group: np.empty((counts[0], len(rows))) for group, rows in cells.groups.items()}
    toward = {group: np.empty((*counts[::-1], len(rows))) for group, rows in cells.groups.items()}
    parts = list(_parts(cells.groups))
    for group, part in progress(parts, desc="in_silico_perturbation", show=show):
        rows = cells.groups[group][part]
        before = reader.embed(rows)  # (cells, d)
        step = max(1, _NUMBERS // before.size)
        for start in range(0, counts[0], step):
            some_sets = slice(start, start + step)
            after = reader.perturb(rows, sets.ids[some_sets], mode)  # (sets, cells, d)
            moved[group][some_sets, part] = _turned(after, before)
            for i, landmark in enumerate(landmarks):
                change = _turned(before, landmark) - _turned(after, landmark)
                toward[group][i, some_sets, part] = change
    if not any(np.isfinite(values).any() for values in moved.values()):
        raise ExpressionError(_none_moved(sets, mode))
    return Shifts(cells.groups, moved, toward)


def _none_moved(sets: GeneSets, mode: str) -> str:
    if mode == "delete":
        return (
            f"no cell read (up to max_cells of a group) expresses all genes of {some(sets.names)}; pass genes that are "
            "expressed together, a larger max_cells, or mode='overexpress'."
        )
    return (
        f"no cell read (up to max_cells of a group) has an embedding once {some(sets.names)} are raised; look at "
        "layer= for the values, and at grn.pp.align_genes(adata) for the names."
    )


def _parts(groups: dict[str, np.ndarray]) -> Iterator[tuple[str, slice]]:
    for group, rows in groups.items():
        for start in range(0, len(rows), _CELLS_AT_A_TIME):
            yield group, slice(start, start + _CELLS_AT_A_TIME)


def _mean(reader: CellEmbedder, state: str, rows: np.ndarray) -> np.ndarray:
    """Mean embedding (d,) of the cells of a state that the model can read."""
    parts = [reader.embed(rows[i : i + _CELLS_AT_A_TIME]) for i in range(0, len(rows), _CELLS_AT_A_TIME)]
    embedded = np.concatenate(parts)
    readable = np.isfinite(embedded).all(axis=1)
    if not readable.any():
        raise ExpressionError(
            f"no cell of state {state!r} expresses a gene that the model knows; look at "
            "layer= for the values, and at grn.pp.align_genes(adata) for the names."
        )
    mean: np.ndarray = embedded[readable].mean(axis=0)
    return mean


def _turned(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """1 - cosine along the last axis, as half the squared distance of unit vectors, which keeps digits near 0."""
    unit = [v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-300) for v in (x, y)]
    half: np.ndarray = 0.5 * np.square(unit[0] - unit[1]).sum(axis=-1)
    return half
