"""Motif hits that were stored with the regions of an object, as hits of transcription factors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from anndata import AnnData

from grn._core.errors import ResultNotFoundError
from grn.genome.hits import FactorHits, factor_hits

_SCAN = "grn.pp.scan_motifs({where}, sequences=..., motifs=grn.pp.motifs(){key})"


def stored_hits(atac: AnnData, key: str, *, where: str = "adata") -> tuple[FactorHits, np.ndarray]:
    """Hits of factors, and the names of the motifs (M,).

    Parameters
    ----------
    atac
        Object with regions, after :func:`grn.pp.scan_motifs`.
    key
        Its ``key_added``.
    where
        What the user calls the object.

    Raises
    ------
    ResultNotFoundError
        If no motifs have been looked for under that key.
    """
    stored = atac.uns.get(key)
    if key not in atac.varm or not isinstance(stored, Mapping) or not {"names", "factors"} <= set(stored):
        call = _SCAN.format(where=where, key="" if key == "motifs" else f", key_added={key!r}")
        raise ResultNotFoundError(f"varm[{key!r}] holds no motif hits; call {call} first.")
    names = np.asarray(stored["names"], dtype=object).astype(str).astype(object)
    n_columns = atac.varm[key].shape[1]
    if n_columns != len(names):
        raise ResultNotFoundError(
            f"varm[{key!r}] has {n_columns} columns and uns[{key!r}]['names'] {len(names)} motifs: one of them was "
            f"replaced; call {_SCAN.format(where=where, key='')} again."
        )
    return factor_hits(atac.varm[key], names, stored["factors"]), names
