"""Pair features written by the probes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core import stored
from grn._core.entries import PROBES, entry_of, feature_entry
from grn._core.errors import GeneNameError, GroupError, ParameterError, ResultNotFoundError
from grn._core.logging import logger, one_voice
from grn._core.near import did_you_mean
from grn._core.settings import settings
from grn._object.genes import spelled
from grn._object.modalities import from_mudata
from grn.network.filters import Names

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@dataclass(frozen=True, eq=False)
class Features:
    """K numbers per pair of a regulator and a target.

    Parameters
    ----------
    values
        float32 (n_targets, n_sources, K), read-only; NaN for genes the model does not know and on self pairs.
    targets
        Names along the first axis.
    sources
        Names along the second axis.
    grid
        float64 (K,): where along the third axis each number was measured, in units of ``value_scale``.
    value_scale
        Name of the scale of ``grid``.
    groups
        Names of the groups along the third axis (K,), or ``None`` without groups.

    Examples
    --------
    >>> import numpy as np, grn
    >>> values = np.array([[[1.0, 2.0]]], dtype=np.float32)
    >>> found = grn.get.Features(values, np.array(["CD14"]), np.array(["SPI1"]), np.array([0.0, 1.0]), "z-score")
    >>> found.pair("SPI1", "CD14").tolist()
    [1.0, 2.0]
    """

    values: np.ndarray
    targets: np.ndarray
    sources: np.ndarray
    grid: np.ndarray
    value_scale: str
    groups: np.ndarray | None = None

    def __repr__(self) -> str:
        shape = f"{len(self.targets)} targets x {len(self.sources)} sources x {len(self.grid)} points"
        groups = "" if self.groups is None else f", groups {', '.join(pd.unique(self.groups))}"
        return f"Features: {shape}, grid on {self.value_scale!r}{groups}"

    def pair(self, source: str, target: str) -> np.ndarray:
        """Return the K numbers of one pair.

        Parameters
        ----------
        source
            Name of the regulator.
        target
            Name of the target.

        Returns
        -------
        float32 (K,).

        Raises
        ------
        GeneNameError
            A name is not among the sources or targets.
        """
        return self.values[_position(self.targets, target, "target"), _position(self.sources, source, "source")]

    def to_frame(self) -> pd.DataFrame:
        """Return a long table with one row per source, target and point; T * S * K rows.

        Returns
        -------
        DataFrame ``source``, ``target``, ``point`` (grid value), ``value`` and, with groups, ``group``.
        """
        n_targets, n_sources, n_points = self.values.shape
        repeat = np.repeat(np.arange(n_sources), n_targets * n_points)
        table = {
            "source": pd.Categorical.from_codes(repeat, categories=list(self.sources)),
            "target": pd.Categorical.from_codes(
                np.tile(np.repeat(np.arange(n_targets), n_points), n_sources), categories=list(self.targets)
            ),
            "point": np.tile(self.grid, n_sources * n_targets),
            "value": self.values.transpose(1, 0, 2).ravel(),
        }
        if self.groups is not None:
            table["group"] = pd.Categorical(np.tile(self.groups, n_sources * n_targets), pd.unique(self.groups))
        return pd.DataFrame(table)

    def drop_missing(self) -> Features:
        """Leave out the targets and sources for which every number is NaN, and log how many.

        Returns
        -------
        New Features.
        """
        given = np.isfinite(self.values).any(axis=2)
        rows, columns = given.any(axis=1), given.any(axis=0)
        if not (rows.all() and columns.all()):
            logger.info("left out %d targets and %d sources without values", (~rows).sum(), (~columns).sum())
        values = _read_only(self.values[rows][:, columns])
        return replace(self, values=values, targets=self.targets[rows], sources=self.sources[columns])


@one_voice
@from_mudata
def features(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    key: str,
    sources: Names = None,
    targets: Names = None,
    group: str | None = None,
) -> Features:
    """Return the pair features a probe has stored, with their labels.

    Features of a probe that ran with ``store=`` are read from its folder, found by the names of genes, and only those
    asked for: name ``sources`` when there are many.

    Parameters
    ----------
    adata
        AnnData with features in ``varm[key]``, or in the store that ``uns[key]`` names, and their labels in
        ``uns[key]``.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    key
        Name of the features: ``"vvp"``, ``"gradient_trajectory"``, ``"pert"``, ``"attention"`` or the ``key_added``.
    sources
        One regulator or several, in the order wanted; default all. Sources sliced away from the object are still here.
    targets
        One target or several, in the order wanted; default all genes of the object.
    group
        One group, when the probe ran with ``groupby``; default all, side by side along the third axis.

    Returns
    -------
    :class:`Features`. Without a selection ``values`` is a view of ``varm[key]``, read-only. From a store it is a copy.

    Raises
    ------
    ResultNotFoundError
        The object holds no such features, or their store is gone or holds others.
    GeneNameError
        A source or target is not there.
    GroupError
        The group is not there.
    ParameterError
        The stored labels do not fit the stored values, or more is asked of a store than
        ``grn.settings.feature_budget``.

    Examples
    --------
    >>> import grn, numpy as np, pandas as pd
    >>> from anndata import AnnData
    >>> adata = AnnData(np.ones((2, 2)), var=pd.DataFrame(index=["SPI1", "CD14"]))
    >>> adata.varm["vvp"] = np.array([[[np.nan, np.nan]], [[1, 2]]], dtype=np.float32)
    >>> adata.uns["vvp"] = {"sources": np.array(["SPI1"]), "grid": np.array([-1.0, 1.0]), "value_scale": "z-score"}
    >>> grn.get.features(adata, key="vvp").drop_missing()
    Features: 1 targets x 1 sources x 2 points, grid on 'z-score'
    """
    _check_type(adata)
    sources, targets = _in_names(adata, sources), _in_names(adata, targets)
    if _is_stored(adata, key):
        return _from_store(adata, key, sources, targets, group)
    if not _holds_features(adata, key):
        raise ResultNotFoundError(_missing_features(adata, key))
    entry = feature_entry(adata, key)
    record = entry.record
    values = np.asarray(adata.varm[key], dtype=np.float32)
    names = entry.names("sources")
    grid, labels = _axis(record, values.shape[2], key)
    if values.shape[1] != len(names):
        raise ParameterError(_misfit(key, f"{len(names)} sources", f"second axis has {values.shape[1]}"))
    kept = _points(labels, group)
    found = Features(
        values=_read_only(values if kept is None else values[:, :, kept]),
        targets=adata.var_names.to_numpy(dtype=object),
        sources=names,
        grid=grid if kept is None else grid[kept],
        value_scale=str(record.get("value_scale", "unknown")),
        groups=labels if kept is None or labels is None else labels[kept],
    )
    return _select(found, sources, targets)


def _from_store(adata: AnnData, key: str, sources: Names, targets: Names, group: str | None) -> Features:
    entry = feature_entry(adata, key)
    record, there = entry.record, entry.names("sources")
    genes = adata.var_names.to_numpy(dtype=object)
    rows = genes if targets is None else genes[_positions(genes, targets, "target")]
    columns = there if sources is None else there[_positions(there, sources, "source")]
    grid, labels = _axis(record, len(record["grid"]) * len(record.get("groups", ("",))), key)
    kept = _points(labels, group)
    # the points of a group stand side by side
    points = slice(None) if kept is None else slice(int(kept.argmax()), int(kept.argmax() + kept.sum()))
    values = stored.read(record, key, targets=rows, sources=columns, points=points, budget=settings.feature_budget)
    return Features(
        values=_read_only(values),
        targets=rows,
        sources=columns,
        grid=grid[points],
        value_scale=str(record.get("value_scale", "unknown")),
        groups=None if labels is None else labels[points],
    )


@one_voice
@from_mudata
def embedding(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    key: str = "X_mini",
    pairs: pd.DataFrame | Iterable[Sequence[str]] | None = None,
) -> np.ndarray:
    """Return gene embeddings, or the features E_i + E_j of pairs, formed on demand.

    Parameters
    ----------
    adata
        AnnData with gene embeddings in ``varm[key]``.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    key
        Entry of ``varm``.
    pairs
        Pairs (source, target) of names, or a DataFrame with these columns; ``None`` returns one row per gene.

    Returns
    -------
    float32 (n_vars, d) in the order of ``var_names``, or (n_pairs, d) in the order of ``pairs``; NaN where the model
    does not know a gene. The sum is the same for (i, j) and (j, i). Of a model with one table for sources and one for
    targets (``lpm``) the pair has the first half of E_i beside the second half of E_j.

    Raises
    ------
    ResultNotFoundError
        There is no such entry.
    GeneNameError
        A name is not in ``var_names``.
    ParameterError
        ``pairs`` are not pairs.

    Examples
    --------
    >>> import grn, numpy as np, pandas as pd
    >>> from anndata import AnnData
    >>> adata = AnnData(np.ones((2, 2)), var=pd.DataFrame(index=["SPI1", "CD14"]))
    >>> adata.varm["X_mini"] = np.array([[1, 0], [0, 2]], dtype=np.float32)
    >>> grn.get.embedding(adata, pairs=[("SPI1", "CD14")]).tolist()
    [[1.0, 2.0]]
    """
    _check_type(adata)
    if key not in adata.varm:
        there = [repr(name) for name in adata.varm if name.startswith("X_")]
        listed = f" There are {', '.join(there)}." if there else ""
        raise ResultNotFoundError(f"varm has no embedding {key!r}.{listed} Make one with grn.tl.embedding(adata).")
    table = np.asarray(adata.varm[key], dtype=np.float32)
    if table.ndim != 2:
        raise ParameterError(f"varm[{key!r}] has {table.ndim} axes; an embedding has two, see grn.get.features.")
    if pairs is None:
        return table.copy()
    source, target = (spelled(adata, side) for side in _pair_names(pairs))
    names = adata.var_names.to_numpy(dtype=object)
    first, second = table[_positions(names, source, "source")], table[_positions(names, target, "target")]
    call = "grn.tl.embedding(adata)"
    if key in adata.uns and entry_of(adata, key, what="embedding", call=call).text("pair") == "halves":
        half = table.shape[1] // 2
        return np.concatenate([first[:, :half], second[:, half:]], axis=1)
    return first + second


def _in_names(adata: AnnData, wanted: Names) -> Names:
    """Names asked for as in ``var_names``."""
    if wanted is None:
        return None
    return spelled(adata, [wanted] if isinstance(wanted, str) else list(wanted))


def _pair_names(pairs: pd.DataFrame | Iterable[Sequence[str]]) -> tuple[list[str], list[str]]:
    if isinstance(pairs, pd.DataFrame):
        if not {"source", "target"} <= set(pairs.columns):
            raise ParameterError("the table of pairs lacks the columns 'source' and 'target'; rename them.")
        return list(pairs["source"]), list(pairs["target"])
    listed = list(pairs)
    if any(isinstance(pair, str) or len(pair) != 2 for pair in listed):
        raise ParameterError("pairs holds something else than (source, target); pass [('SPI1', 'CD14'), ...].")
    return [pair[0] for pair in listed], [pair[1] for pair in listed]


def _axis(record: Mapping[str, Any], size: int, key: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Grid values and group names along the third axis, whether stored once per group or once per point."""
    grid = np.asarray(record["grid"], dtype=np.float64).ravel()
    if not len(grid) or size % len(grid):
        raise ParameterError(_misfit(key, f"{len(grid)} grid values", f"third axis has {size}"))
    grid = np.tile(grid, size // len(grid))
    if "groups" not in record:
        return grid, None
    groups = np.asarray(record["groups"], dtype=object).ravel()
    if not len(groups) or size % len(groups):
        raise ParameterError(_misfit(key, f"{len(groups)} groups", f"third axis has {size}"))
    return grid, np.repeat(groups, size // len(groups))


def _points(labels: np.ndarray | None, group: str | None) -> np.ndarray | None:
    if group is None:
        return None
    if labels is None:
        raise GroupError(f"group={group!r} was asked for but the features have no groups; leave group=None.")
    of_group = labels.astype(str) == str(group)
    if not of_group.any():
        raise GroupError(f"the features have no group {group!r}; they have {', '.join(map(repr, pd.unique(labels)))}.")
    return of_group


def _select(selected: Features, sources: Names, targets: Names) -> Features:
    values = selected.values
    if targets is not None:
        rows = _positions(selected.targets, targets, "target")
        selected = replace(selected, values=_read_only(values[rows]), targets=selected.targets[rows])
    if sources is not None:
        columns = _positions(selected.sources, sources, "source")
        selected = replace(selected, values=_read_only(selected.values[:, columns]), sources=selected.sources[columns])
    return selected


def _positions(names: np.ndarray, wanted: Names, what: str) -> np.ndarray:
    listed = [wanted] if isinstance(wanted, str) else [] if wanted is None else list(wanted)
    at = pd.Index(names, dtype=object).get_indexer(pd.Index(listed, dtype=object))
    lost = np.flatnonzero(at < 0)
    if len(lost):
        hint = did_you_mean(listed[lost[0]], names, genes=True)
        raise GeneNameError(f"{len(lost)} of {len(listed)} {what}s are not there ({listed[lost[0]]!r} first).{hint}")
    return at


def _position(names: np.ndarray, name: str, what: str) -> int:
    return int(_positions(names, name, what)[0])


def _holds_features(adata: AnnData, key: str) -> bool:
    if key not in adata.varm or np.ndim(adata.varm[key]) != 3:
        return False
    record = adata.uns.get(key)
    return isinstance(record, Mapping) and {"sources", "grid"} <= set(record)


def _is_stored(adata: AnnData, key: str) -> bool:
    record = adata.uns.get(key)
    return isinstance(record, Mapping) and {"sources", "grid", "store"} <= set(record)


def _missing_features(adata: AnnData, key: str) -> str:
    there = [repr(name) for name in adata.varm if _holds_features(adata, name)]
    there += [repr(name) for name in adata.uns if _is_stored(adata, name)]
    listed = f" Features are stored under {', '.join(there)}." if there else " The object holds no pair features."
    if key in adata.varm and np.ndim(adata.varm[key]) == 2:
        listed = f" varm[{key!r}] is an embedding: read it with grn.get.embedding(adata, key={key!r})." + listed
    call = key if key in PROBES else "vvp"
    return f"varm and uns have no features {key!r}.{listed} Make them with grn.tl.{call}(adata)."


def _misfit(key: str, labels: str, values: str) -> str:
    return f"uns[{key!r}] names {labels} but varm[{key!r}]'s {values}; compute the features again."


def _check_type(adata: Any) -> None:
    if not (hasattr(adata, "varm") and hasattr(adata, "uns")):
        raise ParameterError(f"adata has type {type(adata).__name__}; pass an AnnData.")


def _read_only(values: np.ndarray) -> np.ndarray:
    view = values.view()
    view.flags.writeable = False
    return view
