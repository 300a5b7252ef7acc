"""Real cells through a foundation model: embeddings, labels by name, and counts without noise, in blocks of cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from numbers import Integral

import numpy as np

from grn._core import checks
from grn._core.device import rows_per_batch
from grn._core.errors import ExpressionError, GeneOverlapError, ParameterError
from grn._core.logging import hint, logger, progress, some
from grn._core.store import size
from grn._object.expression import label
from grn.methods.genes import check_unique
from grn.methods.inputs import Inputs
from grn.methods.probes.plan import batch_of, check_batch
from grn.methods.record import Task
from grn.models import FoundationModel, Moments
from grn.models.protocol import need

# cells read at a time: so many that among them are some of about one length
_CELLS = 256
# cells per pass, on the CPU and elsewhere
_PASS = {"cpu": 8}
_WIDE_PASS = 64
_DEEPEST = 1e6


@dataclass(frozen=True, eq=False)
class ShownCells:
    """Cells of an object with the genes that a model knows.

    Parameters
    ----------
    inputs
        Model and values.
    max_genes
        Most genes shown of a cell; ``None`` for as many as the authors show.
    columns, genes
        Positions of the genes that are shown, and their names in the model.
    unknown
        Genes of the object that the model does not know.
    moments
        Mean and deviation of the genes that are shown, over all cells.
    """

    inputs: Inputs
    max_genes: int | None
    columns: np.ndarray
    genes: list[str]
    unknown: np.ndarray
    moments: tuple[np.ndarray, np.ndarray]

    @property
    def batch_size(self) -> int:
        """Cells per pass."""
        task = self.inputs.task
        model, asked = task.model, self.max_genes
        usual = getattr(model, "cell_genes", None) if asked is None else asked
        most = min(len(self.genes), usual) if isinstance(usual, Integral) and usual > 0 else len(self.genes)
        kind = getattr(getattr(model, "device", None), "type", "cpu")
        limit = _PASS.get(kind, _WIDE_PASS)
        return batch_of(model, range(most), task.batch_size, task.memory_budget, limit=limit)

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, Moments]:
        """Log-normalised values (cells, genes) of some cells, and what is known of them."""
        values = self.inputs.expression
        return values.rows(rows)[:, self.columns], Moments(*self.moments, values.totals(rows))

    def blocks(self, desc: str) -> Iterator[tuple[slice, np.ndarray, Moments]]:
        """Where cells stand, their log-normalised values (cells, genes), and what is known of them."""
        task, values = self.inputs.task, self.inputs.expression
        n = values.n_cells
        step = rows_per_batch(64 * values.n_vars, task.memory_budget, limit=_CELLS)
        for start in progress(range(0, n, step), desc=desc, show=task.show):
            rows = np.arange(start, min(start + step, n))
            yield slice(start, start + len(rows)), *self.read(rows)


def shown_cells(inputs: Inputs, *, max_genes: int | None = None, genes: np.ndarray | None = None) -> ShownCells:
    """Match genes with the vocabulary of a model and open the values.

    Parameters
    ----------
    inputs
        Model and values.
    max_genes
        Most genes shown of a cell; ``None`` for as many as the authors show.
    genes
        Positions of the genes to show; all by default.

    Raises
    ------
    GeneNameError
        If two genes of the object stand for one of the model.
    GeneOverlapError
        If the model knows none of the genes.
    """
    task, model, names = inputs.task, inputs.task.model, inputs.names
    check_batch(task.batch_size)
    ids = inputs.model_ids
    known = np.flatnonzero(ids != "") if genes is None else genes[ids[genes] != ""]
    check_unique(names[known], ids[known])
    if not len(known):
        n = len(names) if genes is None else len(genes)
        raise GeneOverlapError(
            f"{model.name!r} knows none of the {n} genes; call grn.pp.align_genes(adata) to map the names."
        )
    values = inputs.expression
    if values.kind != "counts" and getattr(model, "reads_counts", False):
        hint(
            "%s reads counts, and %s holds none: every cell counts as one of 10 000; pass layer= with the counts",
            model.name,
            label(task.layer, use_raw=task.use_raw),
        )
    mean, std = values.moments()
    return ShownCells(inputs, max_genes, known, ids[known].tolist(), names[ids == ""], (mean[known], std[known]))


def embed_cells(
    inputs: Inputs, *, readout: str | None = None, max_genes: int | None = None
) -> tuple[np.ndarray, ShownCells]:
    """Embeddings (n_obs, d) float32 of all cells, NaN for those that express no gene the model knows."""
    model = inputs.task.model
    need(model, "cells", "grn.tl.embed_cells")
    cells = shown_cells(inputs, max_genes=max_genes)

    def read(X: np.ndarray, reference: Moments) -> np.ndarray:
        embeddings = model.embed_cells(
            X,
            cells.genes,
            reference=reference,
            readout=readout,
            max_genes=max_genes,
            batch_size=cells.batch_size,
        )
        array: np.ndarray = embeddings.cpu().numpy()
        return array

    (embeddings,) = _gathered(cells, lambda X, reference: [read(X, reference)], desc="embed_cells")
    _tell_empty(inputs, embeddings)
    return embeddings, cells


@dataclass(frozen=True)
class CellLabels:
    """Predicted labels of one class.

    Parameters
    ----------
    names
        The labels (L,).
    probabilities
        float32 (n_obs, L), NaN for cells that express no gene the model knows.
    """

    names: tuple[str, ...]
    probabilities: np.ndarray = field(repr=False)

    def best(self) -> tuple[np.ndarray, np.ndarray]:
        """The label of highest probability of every cell (n_obs,), -1 for none, and that probability."""
        there = ~np.isnan(self.probabilities).any(axis=1)
        code = np.where(there, np.nan_to_num(self.probabilities).argmax(axis=1), -1)
        top = np.where(there, self.probabilities.max(axis=1), np.nan).astype(np.float32)
        return code, top


def predict_labels(
    inputs: Inputs, *, classes: Sequence[str] | None = None, max_genes: int | None = None
) -> tuple[dict[str, CellLabels], ShownCells]:
    """Probabilities of the labels of every class asked for, all that the checkpoint has names for by default."""
    model = inputs.task.model
    need(model, "labels", "grn.tl.predict_labels")
    wanted = _classes(model, classes)
    n_bytes = 4 * inputs.n_cells * sum(len(model.labels[name]) for name in wanted)
    check_features(n_bytes, inputs.task, "classes=")
    cells = shown_cells(inputs, max_genes=max_genes)

    def read(X: np.ndarray, reference: Moments) -> list[np.ndarray]:
        probabilities = model.classify_cells(
            X, cells.genes, reference=reference, max_genes=max_genes, batch_size=cells.batch_size
        )
        return [probabilities[name].cpu().numpy() for name in wanted]

    arrays = _gathered(cells, read, desc="predict_labels")
    _tell_empty(inputs, arrays[0])
    return {name: CellLabels(model.labels[name], array) for name, array in zip(wanted, arrays, strict=True)}, cells


def denoise(
    inputs: Inputs, *, genes: Sequence[str] | None = None, depth_factor: float = 4.0
) -> tuple[np.ndarray, ShownCells]:
    """Expected counts (n_obs, n_vars) float32 of deeper cells; NaN for genes that were not shown."""
    model = inputs.task.model
    need(model, "denoise", "grn.tl.denoise")
    note = ", 1 for the depth of the cell"
    depth_factor = checks.number("depth_factor", depth_factor, above=0, below=_DEEPEST, note=note)
    shape = (inputs.n_cells, len(inputs.names))
    n_bytes = 4 * inputs.n_cells * len(inputs.names)
    check_features(n_bytes, inputs.task, "an object with fewer genes, adata[:, genes].copy()")
    rows = None if genes is None else inputs.positions(genes, "genes")
    cells = _that_fit(shown_cells(inputs, genes=rows), named=genes is not None)
    out = np.full(shape, np.nan, dtype=np.float32)
    for where, X, reference in cells.blocks("denoise"):
        means = model.denoise_cells(
            X, cells.genes, reference=reference, depth_factor=float(depth_factor), batch_size=cells.batch_size
        )
        out[where, cells.columns] = means.cpu().numpy()
    _tell_empty(inputs, out[:, cells.columns])
    return out, cells


def _that_fit(cells: ShownCells, *, named: bool) -> ShownCells:
    """The same cells with no more genes than the model takes: those of highest mean, ties by name."""
    model, n = cells.inputs.task.model, len(cells.genes)
    limit = model.max_genes
    if n <= limit:
        return cells
    if named:
        raise ParameterError(
            f"genes= are {n} that the model knows; {model.name!r} takes {limit} together. Pass fewer, or "
            "load it with params={'max_genes': ...}."
        )
    ranked = sorted(range(n), key=lambda i: (-cells.moments[0][i], cells.genes[i]))[:limit]
    chosen = np.sort(np.array(ranked))
    hint(
        "denoise: %d of %d genes are shown, those of highest mean expression, and the others stay NaN; pass genes= to "
        "choose",
        limit,
        n,
    )
    mean, std = cells.moments
    names = [cells.genes[i] for i in chosen]
    moments = (mean[chosen], std[chosen])
    return ShownCells(cells.inputs, cells.max_genes, cells.columns[chosen], names, cells.unknown, moments)


def _gathered(
    cells: ShownCells, read: Callable[[np.ndarray, Moments], list[np.ndarray]], *, desc: str
) -> list[np.ndarray]:
    """Answers of all cells (n_cells, ...), one array for each that ``read`` gives of a block."""
    out: list[np.ndarray] = []
    for where, X, reference in cells.blocks(desc):
        for i, answers in enumerate(read(X, reference)):
            if i == len(out):
                out.append(np.full((cells.inputs.n_cells, *answers.shape[1:]), np.nan, dtype=np.float32))
            out[i][where] = answers
    return out


def _classes(model: FoundationModel, classes: Sequence[str] | None) -> list[str]:
    there = list(model.labels)  # type: ignore[attr-defined]  # what the capability "labels" promises
    if classes is None:
        return there
    if isinstance(classes, str):
        raise ParameterError(f"classes={classes!r}; pass a list, such as {there[:1]}, or None for all.")
    return checks.words("classes", classes, there, note=f", of which {model.name!r} names the labels, or None for all")


def check_features(n_bytes: int, task: Task, remedy: str) -> None:
    """Refuse a result that is too large for memory."""
    if task.feature_budget is not None and n_bytes > task.feature_budget:
        raise ParameterError(
            f"the result takes {size(n_bytes)}, more than grn.settings.feature_budget "
            f"({size(task.feature_budget)}); pass {remedy}, fewer cells, or raise the setting."
        )


def _tell_empty(inputs: Inputs, readings: np.ndarray) -> None:
    """Say which cells express nothing that the model knows; all of them are an error."""
    model, empty = inputs.task.model, np.isnan(readings).all(axis=1)  # (n_cells,)
    if empty.all():
        raise ExpressionError(
            f"no cell expresses a gene that {model.name!r} can read; look at grn.pp.align_genes(adata) for the names, "
            "and at layer= for the values."
        )
    if empty.any():
        logger.warning(
            "%d of %d cells express no gene that %s can read and get NaN: %s",
            *(empty.sum(), len(empty), model.name, some(inputs.barcodes[empty], 5)),
        )
