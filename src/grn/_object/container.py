"""An object before anything is computed: its type, its names, and whether it can be written to."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core.errors import GeneNameError, ParameterError
from grn._core.names import WHY, check_key, unstorable


def check_type(adata: object, *, modality: str = "rna") -> None:
    """Accept an AnnData only; ``modality`` is what to pass of a MuData."""
    if not isinstance(adata, AnnData):
        hint = f"pass mdata[{modality!r}]" if type(adata).__name__ == "MuData" else "build one with anndata.AnnData(X)"
        raise ParameterError(f"adata has type {type(adata).__name__}; expected an AnnData: {hint}.")


def validate(adata: AnnData, *, modality: str = "rna") -> None:
    """Check the type of the object and that its gene names are unique, not empty and such that files keep them."""
    check_type(adata, modality=modality)
    names = adata.var_names
    check_named(names)
    broken = unstorable(names)
    if broken:
        raise GeneNameError(
            f"{len(broken)} of {len(names)} gene names cannot be stored ({', '.join(map(repr, broken[:3]))}): {WHY}; "
            "rename these genes in adata.var_names."
        )
    empty = [position for position, name in enumerate(names) if not str(name).strip()]
    if empty:
        raise GeneNameError(
            f"{len(empty)} of {len(names)} gene names are empty, at positions {empty[:5]}; "
            "remove them: adata = adata[:, adata.var_names != ''].copy()."
        )
    if not names.is_unique:
        twice = list(dict.fromkeys(names[names.duplicated()]))
        raise GeneNameError(
            f"{len(twice)} gene names occur more than once, for example {twice[:5]}; keep the first of each: "
            "adata = adata[:, ~adata.var_names.duplicated()].copy(), or run adata.var_names_make_unique()."
        )


def check_named(names: pd.Index) -> None:
    """Refuse names of genes that are missing."""
    missing = np.flatnonzero(pd.isna(names))
    if len(missing):
        raise GeneNameError(
            f"{len(missing)} of {len(names)} gene names are missing (NaN), at positions {missing[:5].tolist()}; remove "
            "them: adata = adata[:, adata.var_names.notna()].copy()."
        )


def target(adata: AnnData, *, copy: bool) -> AnnData:
    """Return the object that results are written to."""
    check_target(adata, copy=copy)
    if copy:
        return adata.to_memory() if adata.isbacked else adata.copy()
    return adata


def check_target(adata: AnnData, *, copy: bool, key: str | None = None) -> None:
    """Refuse an object, or a name, that results cannot be written to; worth asking before a long computation."""
    if key is not None:
        check_key(key)
    if not copy and adata.is_view and adata.isbacked:
        raise ParameterError("adata is a view of a file and cannot be written to; call adata = adata.to_memory().")
