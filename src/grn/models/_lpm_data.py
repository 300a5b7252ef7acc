"""From cells with known perturbations to what LPM learns: mean z-scores per perturbation and context."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from grn._core import checks
from grn._core.errors import ExpressionError, GeneNameError, GroupError, LayerError, ParameterError
from grn._core.feature_types import gene_mask
from grn._core.logging import hint
from grn._kernels.expression import RunningMoments, as_log, row_blocks
from grn._kernels.matrix import open_matrix
from grn._kernels.matrix_parts import only
from grn._kernels.scan import detect_kind

NO_CONTEXT = "all"
Members = tuple[str, ...]


@dataclass(frozen=True)
class ScreenDesign:
    """How cells are read.

    Parameters
    ----------
    perturbation, control, context
        Column of perturbed genes, label of unperturbed cells, column of contexts.
    layer, use_raw, values
        Values to read.
    perturbation_type
        First part of the symbols of perturbations.
    aligned
        Read names of genes from ``var["grn_symbol"]`` where it is there.
    min_cells
        Least number of cells of a perturbation in a context.
    """

    perturbation: str
    control: str = "control"
    context: str | None = None
    layer: str | None = None
    use_raw: bool = False
    values: str = "auto"
    perturbation_type: str = "CRISPRi"
    aligned: bool = True
    min_cells: int = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "min_cells", checks.integer("min_cells", self.min_cells, least=1))
        kind = self.perturbation_type
        if not isinstance(kind, str) or not kind or "_" in kind or "+" in kind:
            raise ParameterError(f"perturbation_type={kind!r}; pass a word without '_' and '+', such as 'CRISPRi'.")


@dataclass(frozen=True)
class Effects:
    """Mean z-scores of all readouts for every pair of a perturbation and a context.

    Parameters
    ----------
    members
        Perturbed genes of every pair, sorted; empty for the control.
    contexts
        Context of every pair.
    genes
        Genes that are read, sorted.
    values
        float32 (pairs, genes), NaN for a gene that does not vary among the control cells of the context.
    """

    members: tuple[Members, ...]
    contexts: tuple[str, ...]
    genes: tuple[str, ...]
    values: np.ndarray


def read_effects(adata: Any, design: ScreenDesign) -> Effects:
    """Standardise every gene by the control cells of a context, and average per perturbation and context.

    Raises
    ------
    ParameterError, LayerError, GroupError, GeneNameError, ExpressionError
        See :meth:`grn.models.LPM.fit`.
    """
    if not all(hasattr(adata, part) for part in ("X", "obs", "var", "obs_names", "var_names", "layers")):
        raise ParameterError(f"adata has type {type(adata).__name__}; pass an AnnData.")
    matrix, names = _matrix(adata, design)
    mask = gene_mask(adata.raw.var if design.use_raw else adata.var)
    if mask is not None:
        matrix = only(open_matrix(matrix), mask)
    symbols, columns = _genes(adata, names, aligned=design.aligned)
    kind = detect_kind(matrix, design.values, where="the matrix")
    if kind in ("scaled", "nan", "empty"):
        raise ExpressionError(
            f"the values are {kind}; expected counts or log-normalised values, not negative and without NaN. "
            "Look at grn.pp.check_expression(adata) for a layer that fits."
        )
    renamed = dict(zip(map(str, adata.var_names), _symbols(adata, aligned=design.aligned), strict=True))
    pairs = _pairs(adata, design, renamed)
    ordered = sorted(set(pairs))
    code = {pair: i for i, pair in enumerate(ordered)}
    codes = np.array([code[pair] for pair in pairs], dtype=np.int64)
    means, spread, sizes = _averages(matrix, kind, columns, codes, ordered)
    return _standardised(ordered, symbols, means, spread, sizes, design)


def _matrix(adata: Any, design: ScreenDesign) -> tuple[Any, list[str]]:
    """The values asked for and the names of their columns."""
    if design.layer is not None and design.use_raw:
        raise ParameterError(f"layer={design.layer!r} and use_raw=True were both given; pass one of them.")
    if design.use_raw:
        if adata.raw is None:
            raise LayerError("use_raw=True was asked for but adata.raw is None; pass layer= or keep counts in adata.X.")
        return adata.raw.X, [str(name) for name in adata.raw.var_names]
    if design.layer is not None and design.layer not in adata.layers:
        listed = ", ".join(map(str, adata.layers)) or "none"
        raise LayerError(f"the object has no layer {design.layer!r}; layers: {listed}.")
    matrix = adata.X if design.layer is None else adata.layers[design.layer]
    if matrix is None:
        raise LayerError("adata.X is empty (None); pass layer= with counts or log-normalised values.")
    return matrix, [str(name) for name in adata.var_names]


def _symbols(adata: Any, *, aligned: bool) -> list[str]:
    """Symbol of every gene of the object, ``""`` where none is known."""
    if not (aligned and "grn_symbol" in adata.var):
        return [str(name) for name in adata.var_names]
    return [name if isinstance(name, str) else "" for name in adata.var["grn_symbol"]]


def _genes(adata: Any, names: Sequence[str], *, aligned: bool) -> tuple[tuple[str, ...], np.ndarray]:
    """Symbols in alphabetical order and the columns that hold them."""
    for listed, what in ((names, "column names"), (list(map(str, adata.var_names)), "var_names")):
        twice = [name for name, times in Counter(listed).items() if times > 1]
        if twice:
            raise GeneNameError(
                f"{len(twice)} {what} occur more than once, for example {twice[:3]}; keep the first of each: "
                "adata = adata[:, ~adata.var_names.duplicated()].copy()."
            )
    place = {name: i for i, name in enumerate(names)}
    mask = gene_mask(adata.var)
    everyone = zip(_symbols(adata, aligned=aligned), adata.var_names, strict=True)
    measured = [(symbol, str(name)) for i, (symbol, name) in enumerate(everyone) if mask is None or mask[i]]
    columns = sorted((symbol, place[name]) for symbol, name in measured if symbol and name in place)
    twice = [symbol for symbol, times in Counter(symbol for symbol, _ in columns).items() if times > 1]
    if twice:
        raise GeneNameError(
            f"{len(twice)} genes stand in several columns, for example {twice[:3]}; keep one of each, or call "
            "grn.pp.align_genes(adata), which marks such columns as ambiguous."
        )
    if not columns:
        raise GeneNameError("no gene of the object has a name; call grn.pp.align_genes(adata) first.")
    return tuple(symbol for symbol, _ in columns), np.array([column for _, column in columns], dtype=np.int64)


def _labels(adata: Any, column: str) -> list[str]:
    if column not in adata.obs:
        listed = ", ".join(map(str, adata.obs.columns)) or "none"
        raise GroupError(f"adata.obs has no column {column!r}; columns: {listed}.")
    missing = int(adata.obs[column].isna().sum())
    if missing:
        raise GroupError(
            f"{missing} of {len(adata.obs)} cells have no value in obs[{column!r}]; drop them: "
            f"adata = adata[adata.obs[{column!r}].notna()].copy()."
        )
    return [str(value) for value in adata.obs[column]]


def _pairs(adata: Any, design: ScreenDesign, renamed: dict[str, str]) -> list[tuple[str, Members]]:
    """Context and perturbed genes of every cell."""
    labels = _labels(adata, design.perturbation)
    if design.control not in labels:
        listed = ", ".join(map(repr, sorted(set(labels))[:5]))
        raise GroupError(
            f"no cell has the label {design.control!r} in obs[{design.perturbation!r}] ({listed}, ...); "
            "pass control=, the label of unperturbed cells."
        )
    contexts = [NO_CONTEXT] * len(labels) if design.context is None else _labels(adata, design.context)
    genes = {label: _members(label, design.control, renamed) for label in set(labels)}
    return [(context, genes[label]) for context, label in zip(contexts, labels, strict=True)]


def _members(label: str, control: str, renamed: dict[str, str]) -> Members:
    """Perturbed genes of a label, sorted."""
    if label == control:
        return ()
    parts = [part.strip() for part in label.split("+")]
    if not all(parts):
        raise GroupError(f"the label {label!r} names no gene on one side of '+'; expected 'GENE' or 'GENE+GENE'.")
    return tuple(sorted({renamed.get(part) or part for part in parts if part != control}))


def _averages(
    matrix: Any, kind: Any, columns: np.ndarray, codes: np.ndarray, kept: Sequence[tuple[str, Members]]
) -> tuple[np.ndarray, dict[str, tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Mean log-normalised expression per pair, moments of the control cells per context, cells per pair."""
    sums = np.zeros((len(kept), len(columns)))
    control = {context: RunningMoments(len(columns)) for context, _ in kept}
    place = {context: i for i, (context, members) in enumerate(kept) if not members}
    for where, block in row_blocks(matrix):
        # in float64 throughout, so that the order of genes and cells does not show
        rows = as_log(block.astype(np.float64), kind)[:, columns]
        places = codes[where]
        for context, i in place.items():
            control[context].add(rows[places == i])
        member = sp.csr_array((np.ones(len(places)), (places, np.arange(len(places)))), shape=(len(kept), len(places)))
        part = member @ rows
        sums += part.toarray() if sp.issparse(part) else part
    sizes = np.bincount(codes, minlength=len(kept))
    return sums / sizes[:, None], {context: moments.result() for context, moments in control.items()}, sizes


def _standardised(
    kept: Sequence[tuple[str, Members]],
    symbols: tuple[str, ...],
    means: np.ndarray,
    control: dict[str, tuple[np.ndarray, np.ndarray]],
    sizes: np.ndarray,
    design: ScreenDesign,
) -> Effects:
    cells = {context: 0 for context, _ in kept} | {
        c: int(n) for (c, who), n in zip(kept, sizes, strict=True) if not who
    }
    few = [f"{context} ({n})" for context, n in cells.items() if n < max(2, design.min_cells)]
    if few:
        raise GroupError(
            f"{len(few)} of {len(cells)} contexts have fewer than {max(2, design.min_cells)} cells labelled "
            f"{design.control!r}: {', '.join(few[:5])}. Leave these contexts out, merge them, or lower min_cells."
        )
    enough = [i for i, (_, who) in enumerate(kept) if not who or sizes[i] >= design.min_cells]
    if len(enough) < len(kept):
        hint(
            "%d of %d perturbations in a context have fewer than %d cells and are left out",
            len(kept) - len(enough),
            len(kept) - len(cells),
            design.min_cells,
        )
    if not any(kept[i][1] for i in enough):
        raise GroupError(f"no perturbation has {design.min_cells} cells in any context; lower min_cells.")
    values = np.full((len(enough), len(symbols)), np.nan, dtype=np.float32)
    for row, i in enumerate(enough):
        mean, std = control[kept[i][0]]
        varies = std > 1e-6
        values[row, varies] = (means[i, varies] - mean[varies]) / std[varies] if kept[i][1] else 0.0
    read = np.asarray(np.isfinite(values).any(axis=0))
    _tell_constant(values[:, read], read)
    return Effects(
        members=tuple(kept[i][1] for i in enough),
        contexts=tuple(kept[i][0] for i in enough),
        genes=tuple(np.asarray(symbols, dtype=object)[read]),
        values=values[:, read],
    )


def _tell_constant(values: np.ndarray, read: np.ndarray) -> None:
    """Say which genes cannot be standardised."""
    if not read.any():
        raise ExpressionError(
            "no gene varies among the control cells, so nothing can be standardised; pass a layer with counts or "
            "log-normalised values."
        )
    if not read.all():
        hint(
            "%d of %d genes do not vary among the control cells of any context and are left out",
            int((~read).sum()),
            len(read),
        )
    partly = int(np.isnan(values).any(axis=0).sum())
    if partly:
        hint("%d genes do not vary among the control cells of some context and are left out there", partly)
