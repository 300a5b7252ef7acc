"""The objects whose cells are put together, with their labels, and what does not fit between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core.errors import ExpressionError, GroupError, ParameterError
from grn._core.logging import logger
from grn._object.chromatin import paired_places
from grn._object.container import check_type, validate
from grn._object.groups import cell_names, label_codes
from grn._object.modalities import is_mudata, modality

# columns that metacells have beside their label
ADDED = ("n_cells", "anchor", "share")


@dataclass(frozen=True)
class Labels:
    """Labels of the cells of one object.

    Parameters
    ----------
    cells
        Names of the cells (n,).
    names
        The labels, in category order.
    codes
        The number of the label of every cell (n,).
    """

    cells: np.ndarray
    names: tuple[str, ...]
    codes: np.ndarray

    def sizes(self) -> dict[str, int]:
        """Cells of every label."""
        counts = np.bincount(self.codes, minlength=len(self.names))
        return dict(zip(self.names, counts.tolist(), strict=True))

    def rows(self, label: str) -> np.ndarray:
        """Positions of the cells of a label, in the order of their names."""
        at = np.flatnonzero(self.codes == self.names.index(label))
        ordered: np.ndarray = at[np.argsort(self.cells[at], kind="stable")]
        return ordered


@dataclass(frozen=True)
class Sides:
    """One object, or the modalities of a MuData.

    Parameters
    ----------
    parts
        The object under the name ``""``, or expression and chromatin under those of their modalities.
    labels
        Labels by name; of paired modalities those of the first alone.
    places
        Row (n,) of every cell of the first modality in the second, if they are paired.
    whole
        The MuData.
    """

    parts: Mapping[str, AnnData]
    labels: Mapping[str, Labels]
    places: np.ndarray | None = None
    whole: Any = None

    @property
    def first(self) -> Labels:
        """Labels of the object, or of expression."""
        return next(iter(self.labels.values()))

    def check_sizes(self, least: int, groupby: str) -> None:
        """Refuse labels of too few cells."""
        for name, labels in self.labels.items():
            small = [f"{label} ({size})" for label, size in labels.sizes().items() if size < least]
            if small:
                where = f"in mdata[{name!r}]" if name else "in the object"
                raise GroupError(
                    f"{len(small)} of {len(labels.names)} labels of {groupby!r} have fewer than {least} cells {where}: "
                    f"{', '.join(small[:5])}. Leave these cells out, merge labels, or average fewer cells (k=)."
                )


def sides_of(data: Any, groupby: str, rna: str, atac: str, *, pair: bool) -> Sides:
    """Objects and labels, checked; with ``pair`` the cells of modalities have to be the same."""
    if groupby in ADDED:
        raise ParameterError(f"groupby={groupby!r} is the name of a column that metacells get; rename yours.")
    if not is_mudata(data):
        check_type(data)
        if (rna, atac) != ("rna", "atac"):
            raise ParameterError("rna= and atac= name modalities of a MuData, and data is an AnnData; leave them out.")
        validate(data)
        _check_shape("the object", data)
        return Sides({"": data}, {"": _labels(data, groupby)})
    if rna == atac:
        raise ParameterError(f"rna={rna!r} and atac={atac!r} are one modality; name two.")
    parts = {rna: modality(data, rna, argument="rna"), atac: modality(data, atac, argument="atac")}
    for name, part in parts.items():
        validate(part, modality=name)
        _check_shape(f"mdata[{name!r}]", part)
    others = [name for name in data.mod if name not in parts]
    if others:
        logger.warning("metacells: modalities %s are not carried over", ", ".join(map(repr, others)))
    labels = {name: _labels_within(data, name, part, groupby) for name, part in parts.items()}
    cells = [side.cells for side in labels.values()]
    if pair or set(cells[0]) == set(cells[1]):
        places = paired_places(parts[rna].obs_names, parts[atac], atac)
        _check_paired(labels, groupby, places)
        return Sides(parts, {rna: labels[rna]}, places, data)
    _check_shared(labels, groupby)
    both = len(set(cells[0]) & set(cells[1]))
    logger.info(
        "metacells: %d of %d and %d cells are in both modalities; metacells are paired by %s, not by cell",
        *(both, len(cells[0]), len(cells[1]), groupby),
    )
    return Sides(parts, labels, None, data)


def _check_shape(where: str, part: AnnData) -> None:
    if 0 in part.shape:
        raise ExpressionError(f"{where} has {part.n_obs} cells and {part.n_vars} features; both must be at least 1.")


def _labels(adata: AnnData, groupby: str) -> Labels:
    return Labels(cell_names(adata), *label_codes(adata.obs, groupby))


def _labels_within(mdata: Any, name: str, part: AnnData, groupby: str) -> Labels:
    """Labels of a modality, from its own column or that of the MuData; where there are both, they have to agree."""
    if groupby not in mdata.obs:
        if groupby not in part.obs:
            raise GroupError(
                f"neither mdata.obs nor mdata[{name!r}].obs has a column {groupby!r}; columns of mdata[{name!r}]: "
                f"{', '.join(map(str, part.obs.columns)) or 'none'}."
            )
        return _labels(part, groupby)
    cells, shared = cell_names(part), mdata.obs[[groupby]].reindex(part.obs_names)
    if groupby not in part.obs:
        return Labels(cells, *label_codes(shared, groupby))
    _check_same(part.obs[groupby], shared[groupby], f"mdata[{name!r}].obs", "mdata.obs", groupby)
    return Labels(cells, *label_codes(part.obs, groupby))


def _check_paired(labels: Mapping[str, Labels], groupby: str, places: np.ndarray) -> None:
    """Refuse modalities that give a cell different labels."""
    (first, own), (second, other) = labels.items()
    of_first = pd.Series(np.array(own.names)[own.codes], index=own.cells)
    of_second = pd.Series(np.array(other.names)[other.codes][places], index=own.cells)
    _check_same(of_first, of_second, f"mdata[{first!r}].obs", f"mdata[{second!r}].obs", groupby)


def _check_shared(labels: Mapping[str, Labels], groupby: str) -> None:
    """Refuse labels that one of two modalities lacks."""
    (first, own), (second, other) = labels.items()
    sides = ((own, other, first), (other, own, second))
    alone = {where: sorted(set(here.names) - set(there.names)) for here, there, where in sides}
    parts = [f"{', '.join(names[:5])} only in mdata[{where!r}]" for where, names in alone.items() if names]
    if parts:
        raise GroupError(
            f"labels of {groupby!r} are missing on one side: {'; '.join(parts)}. Cells that were measured apart are "
            "put together by their labels: give both sides the same ones, or leave these cells out."
        )


def _check_same(own: pd.Series, other: pd.Series, where: str, there: str, groupby: str) -> None:
    known = own.notna().to_numpy() & other.notna().to_numpy()
    first, second = own[known].astype(str).to_numpy(), other[known].astype(str).to_numpy()
    differ = np.flatnonzero(first != second)
    if len(differ):
        cell = own.index[known][differ[0]]
        raise GroupError(
            f"{len(differ)} of {len(first)} cells have one label in {where}[{groupby!r}] and another in "
            f"{there}[{groupby!r}], such as {cell}: {first[differ[0]]!r} and {second[differ[0]]!r}. Correct one of the "
            "columns, or remove it."
        )
