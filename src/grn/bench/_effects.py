"""What knock-outs do: tables of measured effects with the figures that simple competitors need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse, stats

from grn._core import checks
from grn._core.errors import ExpressionError, GroupError, NetworkError, ParameterError
from grn._core.logging import hint, one_voice
from grn._core.logging import progress as progress_bar
from grn._kernels.contrast import welch
from grn._object.container import check_type, validate
from grn._object.expression import Expression, select, take
from grn._object.groups import groups
from grn._object.values import expression

_BLOCK_CELLS = 4096
_FLAT = 1e-9
_TESTS = ("welch", "wilcoxon")


@one_voice
def effects(
    adata: AnnData,
    *,
    perturbation: str = "perturbation",
    control: str = "control",
    layer: str | None = None,
    values: str = "auto",
    test: str = "welch",
    min_cells: int = 20,
    max_q: float = 0.05,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Effects of losing a regulator, tested cell against cell.

    Per regulator, the cells that lost it are compared with the control cells on log-normalised values, gene by gene;
    p-values are adjusted (Benjamini-Hochberg) over the targets of that regulator.

    Parameters
    ----------
    adata
        Cells with counts or log-normalised values.
    perturbation
        Column of ``obs`` that names the regulator a cell has lost.
    control
        Its value for unperturbed cells.
    layer
        Layer to read; ``X`` by default.
    values
        What the values are: ``"counts"``, ``"linear"`` or ``"log"``; ``"auto"`` finds out, and warns if in doubt.
    test
        ``"welch"`` (t-test with unequal variances) or ``"wilcoxon"`` (rank sum, ties counted in the variance).
    min_cells
        Regulators with fewer cells are left out.
    max_q
        Largest adjusted p-value of a target that responds.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.

    Returns
    -------
    DataFrame
        One row per regulator and measured gene other than itself, sorted by names: ``source``, ``target``,
        ``effect`` (mean difference of log values, perturbed minus control), ``statistic`` (t, or rank-biserial
        correlation), ``pval``, ``qval``, ``label`` (whether the target responds), ``n_cells``, ``control_mean`` (of
        the target) and ``control_correlation`` (Pearson correlation of source and target among control cells; NaN
        where the source is not measured or does not vary). A gene that varies in neither group has ``pval`` 1.

    Raises
    ------
    ParameterError
        An argument is out of range.
    GroupError
        The column is missing or has empty values, there are too few control cells, or too few cells of all regulators.
    ExpressionError, LayerError
        The values or the layer cannot be used.

    Notes
    -----
    Effects are those of a loss. Negate ``effect`` for over-expression. Cells are not independent samples: guides and
    replicates differ too, so ``qval`` is optimistic.

    Examples
    --------
    >>> import grn
    >>> from grn.bench import perturbation
    >>> adata = grn.datasets.toy(n_cells=90)
    >>> adata.obs["perturbation"] = ["control", "GATA1", "SPI1"] * 30
    >>> table = perturbation.effects(adata)
    >>> table.groupby("source", observed=True).size().to_dict()
    {'GATA1': 47, 'SPI1': 47}
    """
    checks.word("test", test, _TESTS)
    max_q = checks.number("max_q", max_q, above=0, below=1, note=", such as 0.05")
    min_cells = checks.integer("min_cells", min_cells, least=2)
    validate(adata)
    cells = expression(adata, layer=layer, values=values)
    base, masks = _split(adata, perturbation, control, min_cells)
    compare = _welch if test == "welch" else _wilcoxon
    grid = _Grid(np.array(list(masks)), np.asarray(adata.var_names, dtype=str))
    effect, statistic, pval = compare(cells, base, list(masks.values()))
    columns = {"effect": effect, "statistic": statistic, "pval": pval, "qval": _adjusted(pval, grid)}
    columns["label"] = columns["qval"] <= max_q
    columns["n_cells"] = np.broadcast_to([[mask.sum()] for mask in masks.values()], effect.shape)
    return grid.table({**columns, **_background(cells, base, grid)})


def deviations(
    adata: AnnData,
    *,
    perturbation: str = "perturbation",
    control: str = "control",
    layer: str | None = None,
    baseline: str = "control",
    background: Sequence[bool] | np.ndarray | None = None,
    truth: pd.DataFrame | None = None,
    top: int | None = None,
) -> pd.DataFrame:
    """Effects of losing a regulator where each loss was measured once or a few times, without a test.

    The effect is the mean of the samples that lost the regulator minus the baseline of the gene.

    Parameters
    ----------
    adata
        Samples (bulk or simulated).
    perturbation
        Column of ``obs`` that names the regulator a sample has lost.
    control
        Its value for unperturbed samples.
    layer
        Layer to read; ``X`` by default. Values are used as they are.
    baseline
        ``"control"``: the mean of the controls; with a single one its noise is part of every effect. ``"median"``:
        the median over controls and losses, steadier where most losses leave most genes alone.
    background
        Samples (boolean, one per row of ``adata``) that give ``control_mean`` and ``control_correlation``; the
        controls by default. They are no perturbations, whatever the column says.
    truth
        True edges ``source, target``: a target responds if the edge exists.
    top
        Number of pairs with the largest absolute effects, over all regulators, that respond (ties at the limit all
        do). Pass ``truth`` or ``top``.

    Returns
    -------
    DataFrame
        As :func:`effects`, without ``statistic``, ``pval`` and ``qval``.

    Raises
    ------
    ParameterError
        Both or none of ``truth`` and ``top`` are given, or one cannot be used.
    GroupError
        The column is missing or has empty values, or there is no control or no perturbation.
    ExpressionError, LayerError
        Values are NaN or infinite, or the layer does not exist.
    NetworkError
        ``truth`` lacks a column.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> from grn.bench import perturbation
    >>> obs = pd.DataFrame({"perturbation": ["control", "A"]}, index=["wt", "A.ko"])
    >>> var = pd.DataFrame(index=["A", "B", "C"])
    >>> adata = anndata.AnnData(np.array([[1.0, 1.0, 1.0], [0.0, 3.0, 1.5]]), obs=obs, var=var)
    >>> perturbation.deviations(adata, top=1)[["target", "effect", "label"]].values.tolist()
    [['B', 2.0, True], ['C', 0.5, False]]
    """
    checks.word("baseline", baseline, ("control", "median"))
    if (truth is None) == (top is None):
        raise ParameterError(
            "pass either truth= (true edges) or top= (number of strongest effects) to say who responds."
        )
    validate(adata)
    values = _PlainValues(adata, layer)
    aside = _background_mask(adata, background)
    base, masks = _split(adata, perturbation, control, 1, aside=aside)
    grid = _Grid(np.array(list(masks)), np.asarray(adata.var_names, dtype=str))
    effect = np.stack([values.matrix[mask].mean(axis=0) for mask in masks.values()])
    normal = values.matrix[base].mean(axis=0, keepdims=True)
    effect = effect - (normal if baseline == "control" else np.median(np.vstack([normal, effect]), axis=0))
    label = _strongest(effect, grid, top) if truth is None else _listed(truth, grid)
    columns = {"effect": effect, "label": label}
    columns["n_cells"] = np.broadcast_to([[mask.sum()] for mask in masks.values()], effect.shape)
    return grid.table({**columns, **_background(values, base if aside is None else aside, grid)})


def signatures(table: pd.DataFrame, *, source: str = "perturbation", target: str = "gene") -> pd.DataFrame:
    """Effects from ranked lists of responding genes, as of :func:`grn.datasets.replogle2022`.

    Every gene that occurs in a list counts as measured. A gene that the list of a regulator lacks is unlabelled as a
    target of it and is treated as not responding, which makes every score a lower bound.

    Parameters
    ----------
    table
        ``rank`` (1 is the strongest), ``top_up`` (whether the gene responds), and the two columns named below.
    source
        Column of the perturbed gene.
    target
        Column of the responding gene.

    Returns
    -------
    DataFrame
        ``source``, ``target``, ``effect`` (1 for the first of a list, falling evenly to above 0 for the last; NaN for
        genes that it lacks), ``label``; the self pair is left out.

    Raises
    ------
    NetworkError
        A column is missing or a gene occurs twice in a list.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn.bench import perturbation
    >>> lists = pd.DataFrame({"perturbation": ["A", "A", "B"], "gene": ["C", "D", "E"], "rank": [1, 2, 1]})
    >>> perturbation.signatures(lists.assign(top_up=[True, False, True])).shape
    (6, 4)
    """
    missing = [name for name in (source, target, "rank", "top_up") if name not in getattr(table, "columns", ())]
    if missing:
        raise NetworkError(f"the lists lack the columns {', '.join(missing)}; pass grn.datasets.replogle2022().")
    if table.duplicated([source, target]).any():
        raise NetworkError("a gene occurs twice in the list of one regulator; drop the repeats first.")
    sources, rows = np.unique(table[source].to_numpy(dtype=str), return_inverse=True)
    targets, columns = np.unique(table[target].to_numpy(dtype=str), return_inverse=True)
    rank = table["rank"].to_numpy(dtype=np.float64)
    effect = np.full((len(sources), len(targets)), np.nan)
    label = np.zeros(effect.shape, dtype=bool)
    effect[rows, columns] = 1 - (rank - 1) / rank.max()
    label[rows, columns] = table["top_up"].to_numpy(dtype=bool)
    return _Grid(sources, targets).table({"effect": effect, "label": label})


class _Grid(NamedTuple):
    """Regulators x genes, without self pairs; becomes a table sorted by names."""

    sources: np.ndarray
    targets: np.ndarray

    @property
    def pairs(self) -> np.ndarray:
        return self.sources[:, None] != self.targets[None, :]

    def table(self, columns: dict[str, np.ndarray]) -> pd.DataFrame:
        rows, cols = np.argsort(self.sources), np.argsort(self.targets)
        pairs = self.pairs[np.ix_(rows, cols)]
        codes = np.nonzero(pairs)
        names = {
            "source": pd.Categorical.from_codes(codes[0], categories=self.sources[rows]),
            "target": pd.Categorical.from_codes(codes[1], categories=self.targets[cols]),
        }
        return pd.DataFrame({**names, **{name: matrix[np.ix_(rows, cols)][pairs] for name, matrix in columns.items()}})


class _PlainValues:
    """Values as they are, with the two calls of Expression that :func:`_background` makes."""

    def __init__(self, adata: AnnData, layer: str | None) -> None:
        values = take(select(adata, layer, use_raw=False), slice(None))
        self.matrix = values.toarray() if sparse.issparse(values) else values
        if not np.isfinite(self.matrix).all():
            raise ExpressionError("the values hold NaN or infinity; remove those genes or samples.")

    def rows(self, index: np.ndarray) -> np.ndarray:
        return self.matrix[index]

    def moments(self, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.matrix[mask].mean(axis=0), self.matrix[mask].std(axis=0)


def _split(
    adata: AnnData, column: str, control: str, min_cells: int, *, aside: np.ndarray | None = None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Control cells, and the cells of every regulator with enough of them, in order of names."""
    check_type(adata)
    cells = dict(groups(adata, column, min_cells=1))
    if control not in cells:
        raise GroupError(
            f"obs[{column!r}] has no value {control!r} among its {len(cells)} ({', '.join(sorted(cells)[:5])}); name "
            "the unperturbed cells with control=."
        )
    free = np.ones(adata.n_obs, dtype=bool) if aside is None else ~aside
    base = cells.pop(control)
    if base.sum() < min_cells:
        raise GroupError(f"there are {base.sum()} control cells; min_cells={min_cells} are needed.")
    masks = {name: cells[name] & free for name in sorted(cells)}
    small = [f"{name} ({mask.sum()})" for name, mask in masks.items() if 0 < mask.sum() < min_cells]
    if small:
        hint("%d regulators have fewer than %d cells and are left out: %s", len(small), min_cells, ", ".join(small))
    masks = {name: mask for name, mask in masks.items() if mask.sum() >= min_cells}
    if not masks:
        raise GroupError(
            f"none of the {len(cells)} regulators in obs[{column!r}] has {min_cells} cells; lower min_cells or merge "
            "guides of one gene."
        )
    return base, masks


def _background_mask(adata: AnnData, background: Sequence[bool] | np.ndarray | None) -> np.ndarray | None:
    if background is None:
        return None
    mask = np.asarray(background)
    if mask.dtype != bool or mask.shape != (adata.n_obs,) or not mask.any():
        raise ParameterError(
            f"background has dtype {mask.dtype} and shape {mask.shape}; pass a boolean per row ({adata.n_obs}), at "
            "least one of them true."
        )
    return mask


_Compared = tuple[np.ndarray, np.ndarray, np.ndarray]


def _welch(values: Expression, base: np.ndarray, masks: Sequence[np.ndarray]) -> _Compared:
    """Mean difference, t and p (masks, genes), from one pass over the cells."""
    codes = np.full(values.n_cells, -1, dtype=np.int64)
    for code, mask in enumerate([base, *masks]):
        codes[mask] = code
    mean, std = (np.stack(part) for part in zip(*values.group_moments(codes)[1], strict=True))
    n = np.bincount(codes[codes >= 0])[:, None]
    return welch((mean[1:], std[1:]), (mean[0], std[0]), n[1:], n[0])


def _wilcoxon(values: Expression, base: np.ndarray, masks: Sequence[np.ndarray]) -> _Compared:
    """Mean difference, rank-biserial correlation and p (masks, genes)."""
    b, rows = values.rows(base).astype(np.float64), []
    for mask in progress_bar(masks, desc="effects"):
        a = values.rows(mask).astype(np.float64)
        flat = (np.ptp(a, axis=0) == 0) & (np.ptp(b, axis=0) == 0) & (a[0] == b[0])
        with np.errstate(divide="ignore", invalid="ignore"):
            test = stats.mannwhitneyu(a, b, axis=0, method="asymptotic")
        biserial = np.where(flat, 0.0, 2 * test.statistic / (len(a) * len(b)) - 1)
        rows.append((a.mean(axis=0) - b.mean(axis=0), biserial, np.where(flat, 1.0, test.pvalue)))
    effect, biserial, pval = (np.stack(part) for part in zip(*rows, strict=True))
    return effect, biserial, pval


def _adjusted(pval: np.ndarray, grid: _Grid) -> np.ndarray:
    """Benjamini-Hochberg within each regulator, the self pair not among the tests."""
    adjusted = np.full(pval.shape, np.nan)
    for row, keep in enumerate(grid.pairs):
        adjusted[row, keep] = stats.false_discovery_control(pval[row, keep])
    return adjusted


def _background(values: Expression | _PlainValues, mask: np.ndarray, grid: _Grid) -> dict[str, np.ndarray]:
    """Mean of every target and its correlation with every measured source among unperturbed cells."""
    mean, std = values.moments(mask)
    cells = np.flatnonzero(mask)
    position = {name: i for i, name in enumerate(grid.targets)}
    at = np.array([position.get(name, -1) for name in grid.sources])
    measured = (at >= 0) & (std[at] > _FLAT)
    product = np.zeros((int(measured.sum()), len(grid.targets)))
    for start in range(0, len(cells), _BLOCK_CELLS):
        block = values.rows(cells[start : start + _BLOCK_CELLS]) - mean
        product += block[:, at[measured]].T @ block
    scale = std[at[measured], None] * std * len(cells)
    correlation = np.full((len(grid.sources), len(grid.targets)), np.nan)
    correlation[measured] = np.divide(product, scale, out=np.zeros_like(product), where=std > _FLAT)
    return {"control_mean": np.broadcast_to(mean, correlation.shape), "control_correlation": correlation}


def _strongest(effect: np.ndarray, grid: _Grid, top: int | None) -> np.ndarray:
    size = int(grid.pairs.sum())
    top = checks.integer("top", top, least=1, most=size, note=", the number of pairs")
    limit = np.partition(np.abs(effect[grid.pairs]), size - top)[size - top]
    strong: np.ndarray = np.abs(effect) >= limit
    return strong


def _listed(truth: pd.DataFrame, grid: _Grid) -> np.ndarray:
    missing = [name for name in ("source", "target") if name not in getattr(truth, "columns", ())]
    if missing:
        raise NetworkError(f"truth lacks {', '.join(missing)}; pass a DataFrame with source and target.")
    known = pd.MultiIndex.from_frame(truth[["source", "target"]].astype(str))
    pairs = pd.MultiIndex.from_product([grid.sources, grid.targets])
    label: np.ndarray = pairs.isin(known).reshape(len(grid.sources), len(grid.targets))
    if not label[grid.pairs].any():
        raise ParameterError("no edge of truth is among the measured pairs; check that gene names agree.")
    return label
