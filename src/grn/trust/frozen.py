"""An object whose values were read once, to be changed and fitted again: cells left out, regulators permuted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from grn._core.errors import GroupError, ParameterError
from grn._core.rng import child, sample_names
from grn._kernels.copies import permuted_columns
from grn._object.genes import column
from grn._object.groups import label_codes
from grn._object.smoothing import KEY, weights_for
from grn._object.values import expression

# entries of a block of cells that is dense for a moment
_BLOCK = 2**24
# fewest cells in a bin of a stratum, most bins, and most numbers that are taken for labels
_BIN, _BINS, _LABELS = 10, 50, 10


@dataclass(frozen=True)
class Frozen:
    """Log-normalised values of some genes in memory, with what else methods read of an object.

    Parameters
    ----------
    values
        Cells x genes (n_cells, n_genes), CSR float32.
    names
        Names of the genes (n_genes,).
    obs
        Annotation of the cells.
    slots
        ``obsm``, ``obsp`` and ``uns`` of the object, not copied.
    """

    values: sparse.csr_matrix
    names: np.ndarray
    obs: pd.DataFrame
    slots: Mapping[str, Mapping[str, Any]]

    def part(self, rows: np.ndarray | None = None) -> AnnData:
        """The object with some cells (positions), or all of them."""
        return _built(self.values, self.names, self.obs, self.slots, rows)

    def arranged(self, order: np.ndarray) -> Frozen:
        """The same with the genes in another order (positions)."""
        return replace(self, values=self.values[:, order], names=self.names[order])

    def permuted(self, copies: Sequence[Mapping[str, str]], orders: Sequence[np.ndarray]) -> AnnData:
        """The object with permuted copies of some genes beside the genes as they are.

        Parameters
        ----------
        copies
            Names of copies by gene (S), one mapping for every set of copies.
        orders
            For every set, the cell whose values a cell gets: one order for all copies (n_cells,) or one for each
            (n_cells, S).
        """
        tables, index = [self.values], pd.Index(self.names)
        for aliases, order in zip(copies, orders, strict=True):
            chosen = self.values[:, index.get_indexer(list(aliases))]
            tables.append(chosen[order] if order.ndim == 1 else permuted_columns(chosen.tocsc(), order))
        both = sparse.hstack(tables, format="csr", dtype=np.float32)
        names = [alias for aliases in copies for alias in aliases.values()]
        return _built(both, np.append(self.names, names), self.obs, self.slots, None)


def freeze(
    adata, genes: Sequence[str], *, layer: str | None, use_raw: bool, values: str = "auto", smooth: bool = False
) -> Frozen:
    """Read genes of an object once, normalised over all its genes; nothing is dense but blocks of cells.

    With ``smooth`` the weights that methods smooth with by default are those of the object as it is.
    """
    read = expression(adata, layer=layer, use_raw=use_raw, values=values)
    names = np.asarray(adata.var_names, dtype=str)
    columns = np.flatnonzero(np.isin(names, np.asarray(list(genes), dtype=str)))
    step = max(1, _BLOCK // max(1, read.n_vars))
    blocks = [
        sparse.csr_matrix(read.rows(np.arange(start, min(start + step, read.n_cells)))[:, columns])
        for start in range(0, read.n_cells, step)
    ]
    obs = pd.DataFrame({name: column(adata.obs, name) for name in adata.obs.columns}, index=adata.obs_names)
    slots = {"obsm": dict(adata.obsm), "obsp": dict(adata.obsp), "uns": dict(adata.uns)}
    if smooth:
        slots["obsp"][KEY] = weights_for(adata, layer=layer, use_raw=use_raw, values=values)
    return Frozen(sparse.vstack(blocks, format="csr"), names[columns], obs, slots)


@dataclass(frozen=True)
class ExchangeableSets:
    """Sets of cells that are alike, within which cells may be exchanged.

    Parameters
    ----------
    members
        Per set its name and the positions of its cells, ordered by name of the cell.
    """

    members: tuple[tuple[str, np.ndarray], ...]

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return sum(len(rows) for _, rows in self.members)

    def order(self, seed: int, *names: str) -> np.ndarray:
        """A random order (n_cells,) that keeps every cell in its set; ``names`` tell orders apart."""
        positions = np.empty(self.n_cells, dtype=np.int64)
        for label, rows in self.members:
            positions[rows] = child(seed, *names, label).permutation(rows)
        return positions

    def draw(self, fraction: float, seed: int, names: Sequence[str], *labels: str) -> np.ndarray:
        """Positions of a share of the cells of every set, drawn by their names and sorted."""
        drawn = []
        for label, rows in self.members:
            seed_of_set = int(child(seed, *labels, label).integers(2**32))
            size = max(1, round(fraction * len(rows)))
            drawn.append(rows[sample_names([names[r] for r in rows], size, seed_of_set)])
        return np.sort(np.concatenate(drawn))


def blocks_of(obs: pd.DataFrame, groupby: str | None, strata: str | None = None) -> ExchangeableSets:
    """Sets of cells of one group and one stratum.

    Parameters
    ----------
    obs
        Annotation of the cells.
    groupby
        Column of groups, or ``None``.
    strata
        Further column: values, or numbers, which are cut into bins of equal size, of at least 10 cells,
        up to 50 per group.

    Raises
    ------
    ParameterError, GroupError
        If the column is missing or has empty values.
    """
    labels = np.full(len(obs), "", dtype=object) if groupby is None else _labels(obs, groupby)
    if strata is not None:
        labels = labels + "\x1f" + _strata(obs, strata, labels)
    codes, labels_of_sets = pd.factorize(labels, sort=True)
    by_name = np.argsort(np.asarray(obs.index, dtype=str), kind="stable")
    ordered = codes[by_name]
    return ExchangeableSets(tuple((str(label), by_name[ordered == code]) for code, label in enumerate(labels_of_sets)))


def _strata(obs: pd.DataFrame, strata: str, groups: np.ndarray) -> np.ndarray:
    if strata not in obs:
        raise ParameterError(
            f"adata.obs has no column {strata!r} for strata=; columns: {', '.join(map(str, obs.columns)) or 'none'}."
        )
    values = obs[strata]
    if values.isna().any():
        raise GroupError(
            f"{int(values.isna().sum())} of {len(obs)} cells have no value in obs[{strata!r}]; "
            f"drop them: adata = adata[adata.obs[{strata!r}].notna()].copy()."
        )
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if not numeric or values.nunique() <= _LABELS:
        return _labels(obs, strata)
    numbers = pd.Series(values.to_numpy(dtype=np.float64))
    ranks = numbers.groupby(groups).rank(method="average").to_numpy()
    sizes = numbers.groupby(groups).transform("size").to_numpy()
    bins = np.clip(sizes // _BIN, 1, _BINS)
    return np.floor((ranks - 0.5) / sizes * bins).astype(int).astype(str).astype(object)


def _labels(obs: pd.DataFrame, name: str) -> np.ndarray:
    names, codes = label_codes(obs, name)
    return np.array(names, dtype=object)[codes]


def _built(
    values: sparse.csr_matrix, names: np.ndarray, obs: pd.DataFrame, slots: Mapping, rows: np.ndarray | None
) -> AnnData:
    everything = rows is None
    annotation = obs if everything else obs.iloc[rows]
    made = AnnData(values if everything else values[rows], obs=annotation.copy(), var=pd.DataFrame(index=list(names)))
    for key, value in slots["obsm"].items():
        made.obsm[key] = (
            value if everything else value[rows] if not isinstance(value, pd.DataFrame) else value.iloc[rows]
        )
    for key, value in slots["obsp"].items():
        made.obsp[key] = value if everything else _averages(value, rows)
    made.uns.update(slots["uns"])
    return made


def _averages(weights: Any, rows: np.ndarray) -> Any:
    """Weights between some cells; where those of every cell summed to 1 they do so again."""
    part = weights[rows][:, rows]
    if not np.allclose(np.asarray(weights.sum(axis=1)), 1.0, atol=1e-4):
        return part
    total = np.asarray(part.sum(axis=1)).ravel()
    scale = np.divide(1.0, total, out=np.zeros(len(total)), where=total > 0)
    return sparse.diags(scale).astype(part.dtype) @ part if sparse.issparse(part) else part * scale[:, None]
