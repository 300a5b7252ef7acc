"""Advice for a matrix that cannot be used: another one of the object that fits, or how to make one."""

from __future__ import annotations

from typing import Any

from anndata import AnnData

from grn._kernels.scan import Scan, scan
from grn._object.expression import argument_of, label, sources


def holding(adata: AnnData, kinds: tuple[str, ...], *, but: Any = None) -> list[str]:
    """Arguments that select a matrix of one of the kinds, leaving out the matrix ``but``."""
    arguments = []
    for argument, matrix in sources(adata).items():
        if argument == but:
            continue
        seen = scan(matrix, peek=True)
        if seen.kind in kinds and not seen.n_nan and not seen.n_infinite:
            arguments.append(argument)
    return arguments


def remedy(adata: AnnData, kinds: tuple[str, ...], layer: str | None, *, use_raw: bool, seen: Scan) -> str:
    """Say which other matrix of the object fits, or what to do with the one that was ``seen``."""
    other = holding(adata, kinds, but=argument_of(layer, use_raw=use_raw))
    if other:
        return f"Pass {' or '.join(_instead(name, layer, use_raw=use_raw) for name in other)}, which holds such values."
    where = "adata.raw.X" if use_raw else label(layer, use_raw=False)
    if seen.n_nan or seen.n_infinite:
        return _missing(seen, where)
    if seen.kind == "empty":
        return "Load the object with its values."
    if "log" in kinds and seen.kind in ("counts", "linear"):
        return (
            f"Keep these values, adata.layers['counts'] = {where}.copy(), and with them in adata.X run "
            "sc.pp.normalize_total(adata, target_sum=1e4); sc.pp.log1p(adata)."
        )
    if seen.kind == "scaled":
        return (
            "No other matrix of the object fits, and neither counts nor logarithms can be made from values that were "
            "scaled, centred or corrected for batches: load the object as it was before that step and keep that "
            "matrix, for example in adata.layers['lognorm'] or adata.raw."
        )
    return (
        f"The object holds no counts, and they cannot be made from {_NAMES[seen.kind]}: load it with its counts, for "
        "example in adata.layers['counts']."
    )


def _instead(argument: str, layer: str | None, *, use_raw: bool) -> str:
    """The arguments that select another matrix, with the one to take back that selected this one."""
    if use_raw:
        return "use_raw=False" if argument == "layer=None" else f"use_raw=False, {argument}"
    return f"layer=None, {argument}" if layer is not None and argument == "use_raw=True" else argument


_NAMES = {"log": "logarithms", "linear": "normalised or corrected values", "counts": "counts"}


def _missing(seen: Scan, where: str) -> str:
    if not seen.n_nan:
        return "Find the division or the logarithm that made them, and load the object with the values before it."
    return (
        "Where objects were joined, ad.concat(..., join='inner') keeps the genes that all of them have; if a gene that "
        f"was not listed was not seen, ad.concat(..., join='outer', fill_value=0) or {where} = np.nan_to_num({where}) "
        f"(for a sparse matrix: of {where}.data) says so. Else leave out genes or cells with NaN."
    )
