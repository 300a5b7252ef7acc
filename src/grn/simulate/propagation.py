"""Interventions on the cells of a linear network: what genes are set to, and what follows in every cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core import checks
from grn._core.errors import ExpressionError, NetworkError, ParameterError
from grn._core.logging import progress
from grn._kernels import propagate as kernel

# expression values held at a time
_VALUES = 2**22
MODES = ("propagate", "paths", "steady")
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


@dataclass(frozen=True)
class LinearCells:
    """Cells, their genes, and the linear networks they run on.

    Parameters
    ----------
    read
        Gives the values (k, n_vars) of some cells.
    names
        Genes of the network, sorted by name (G,), so that nothing depends on their order in the object.
    columns
        Their columns (G,).
    n_vars
        Number of columns.
    groups, codes
        Names of the groups of cells, and the group of every cell (n,).
    coefficients
        Sparse (G, G) per group, regulators in rows.
    genes
        Positions of the perturbed genes in ``names`` (P,).
    observed
        Their values in all cells (n, P).
    low, high
        Smallest and largest observed value of every gene (G,).
    mode, steps, clip, parity
        How a change travels, see :func:`grn.tl.simulate`.
    """

    read: Callable[[np.ndarray], np.ndarray]
    names: np.ndarray
    columns: np.ndarray
    n_vars: int
    groups: tuple[str, ...]
    codes: np.ndarray
    coefficients: list[Any]
    genes: np.ndarray
    observed: np.ndarray
    low: np.ndarray
    high: np.ndarray
    mode: str = "propagate"
    steps: int = 3
    clip: bool = False
    parity: bool = False

    def rows(self, cells: np.ndarray) -> np.ndarray:
        """Values of the genes of the network in some cells (k, G), float32."""
        return self.read(cells)[:, self.columns]

    @cached_property
    def responses(self) -> list[np.ndarray]:
        """Per group, what one unit of each perturbed gene does to all genes (P, G); modes without clipping only."""
        per_group = []
        for group, matrix in zip(self.groups, self.coefficients, strict=True):
            cut = kernel.held(matrix, self.genes)
            if self.mode == "paths":
                per_group.append(kernel.path_series(cut, self.genes, length=self.steps))
                continue
            radius = kernel.spectral_radius(cut)
            if radius >= 1:
                where = f" of group {group!r}" if group else ""
                raise NetworkError(
                    f"the network{where} has feedback of spectral radius {radius:.3g}; a steady state needs one below "
                    "1. Pass mode='propagate', a larger alpha, or a network with fewer edges."
                )
            per_group.append(kernel.steady_state(cut, self.genes))
        return per_group

    def change(self, cells: np.ndarray, values: np.ndarray, settings: tuple[GeneIntervention, ...]) -> np.ndarray:
        """Change (k, G) of the genes of the network in some cells with ``values`` (k, G), float64."""
        values = values.astype(np.float64)
        expression = values[:, self.genes]
        goals = [s.goal(expression[:, p], self.observed[:, p]) for p, s in enumerate(settings)]
        start = np.stack(goals, axis=1) - expression
        out = np.empty(values.shape)
        codes = self.codes[cells]
        for code in np.unique(codes):
            here = codes == code
            out[here] = self._travelled(values[here], start[here], code)
        return self._clipped(values, out) if self.clip else out

    def _travelled(self, values: np.ndarray, start: np.ndarray, code: int) -> np.ndarray:
        if self.mode == "propagate":
            return kernel.propagate(
                values, self.genes, start, self.coefficients[code], steps=self.steps, pin_moved_only=self.parity
            )
        return np.maximum(start @ self.responses[code], -values)

    def _clipped(self, values: np.ndarray, change: np.ndarray) -> np.ndarray:
        """Keep genes within the range in which they were observed; the perturbed ones are where they were set to."""
        inside = np.clip(values + change, self.low, self.high) - values
        if not self.parity:
            inside[:, self.genes] = change[:, self.genes]
        return inside

    def direct(self, code: int) -> np.ndarray:
        """Genes that a perturbed gene regulates itself (G,)."""
        linked: np.ndarray = np.abs(self.coefficients[code][self.genes]).sum(axis=0) > 0
        return np.asarray(linked).ravel()


def blocks(n_cells: int, n_vars: int) -> Iterator[np.ndarray]:
    """Positions of all cells, some at a time."""
    step = max(1, _VALUES // n_vars)
    for start in range(0, n_cells, step):
        yield np.arange(start, min(start + step, n_cells))


def observed(
    read: Callable[[np.ndarray], np.ndarray], n_cells: int, columns: np.ndarray, perturbed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Smallest and largest value of genes (G,), and the values of the perturbed ones in all cells (n, P)."""
    low, high = np.full(len(columns), np.inf), np.full(len(columns), -np.inf)
    parts = []
    width = int(max(columns.max(), perturbed.max())) + 1
    for cells in blocks(n_cells, width):
        values = read(cells)
        low = np.minimum(low, values[:, columns].min(axis=0))
        high = np.maximum(high, values[:, columns].max(axis=0))
        parts.append(values[:, perturbed].astype(np.float64))
    return low, high, np.concatenate(parts)


def effects(
    model: LinearCells, doses: list[tuple[GeneIntervention, ...]], *, keep: bool
) -> tuple[pd.DataFrame, sparse.csr_matrix | None]:
    """Mean change of every gene in every group, per dose; with ``keep`` that of every cell at the only dose."""
    shape = (len(doses), len(model.groups), len(model.names))
    total, square, before = np.zeros(shape), np.zeros(shape), np.zeros(shape[1:])
    matrices = []
    for cells in progress(list(blocks(len(model.codes), model.n_vars)), desc="simulate"):
        values = model.rows(cells)
        member = sparse.csr_array(
            (np.ones(len(cells)), (model.codes[cells], np.arange(len(cells)))), shape=(shape[1], len(cells))
        )
        before += member @ values
        for dose, settings in enumerate(doses):
            change = model.change(cells, values, settings)
            total[dose] += member @ change
            square[dose] += member @ np.square(change)
            if keep:
                matrices.append(_as_rows(change, model))
    counts = np.bincount(model.codes, minlength=shape[1])[:, None]
    mean = total / counts
    deviation = np.sqrt(np.maximum(square / counts - mean**2, 0.0))
    table = _table(model, mean, deviation, before / counts)
    return table, sparse.vstack(matrices, format="csr") if keep else None


def _as_rows(change: np.ndarray, model: LinearCells) -> sparse.csr_matrix:
    part = sparse.csr_matrix(change.astype(np.float32))
    rows = sparse.csr_matrix((part.data, model.columns[part.indices], part.indptr), (len(change), model.n_vars))
    rows.sort_indices()
    return rows


def _table(model: LinearCells, mean: np.ndarray, deviation: np.ndarray, before: np.ndarray) -> pd.DataFrame:
    """One row per dose, group and gene that changes; strongest first."""
    frames = []
    perturbed = np.zeros(len(model.names), dtype=bool)
    perturbed[model.genes] = True
    for dose in range(len(mean)):
        for code, group in enumerate(model.groups):
            moved = (mean[dose, code] != 0) | (deviation[dose, code] > 0)
            frame = pd.DataFrame(
                {
                    "dose": dose,
                    "group": group or "all",
                    "gene": model.names,
                    "effect": mean[dose, code],
                    "sd": deviation[dose, code],
                    "before": before[code],
                    "direct": model.direct(code) & ~perturbed,
                    "perturbed": perturbed,
                }
            )[moved]
            order = np.lexsort((frame["gene"], -frame["effect"].abs()))
            frames.append(frame.iloc[order])
    return pd.concat(frames, ignore_index=True)
