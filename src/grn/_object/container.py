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
    """Check the type of the object and that the names of its genes, or regions, are unique, not empty and storable."""
    check_type(adata, modality=modality)
    names, what = adata.var_names, {"rna": "gene", "atac": "region"}.get(modality, "feature")
    check_named(names, what)
    broken = unstorable(names)
    if broken:
        raise GeneNameError(
            f"{len(broken)} of {len(names)} {what} names cannot be stored ({', '.join(map(repr, broken[:3]))}): {WHY}; "
            f"rename these {what}s in adata.var_names."
        )
    empty = [position for position, name in enumerate(names) if not str(name).strip()]
    if empty:
        raise GeneNameError(
            f"{len(empty)} of {len(names)} {what} names are empty, at positions {empty[:5]}; "
            "remove them: adata = adata[:, adata.var_names != ''].copy()."
        )
    if not names.is_unique:
        twice = list(dict.fromkeys(names[names.duplicated()]))
        unique = ", or run adata.var_names_make_unique()" if what == "gene" else ""
        raise GeneNameError(
            f"{len(twice)} {what} names occur more than once, for example {twice[:5]}; keep the first of each: "
            f"adata = adata[:, ~adata.var_names.duplicated()].copy(){unique}."
        )


def check_named(names: pd.Index, what: str = "gene") -> None:
    """Refuse names of genes, or of ``what`` else, that are missing."""
    missing = np.flatnonzero(pd.isna(names))
    if len(missing):
        raise GeneNameError(
            f"{len(missing)} of {len(names)} {what} names are missing (NaN), at positions {missing[:5].tolist()}; "
            "remove them: adata = adata[:, adata.var_names.notna()].copy()."
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
        raise ParameterError(
            "adata is a view of a file and cannot be written to; read it into memory: adata = adata.to_memory()."
        )
