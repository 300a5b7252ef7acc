"""Motif hits that were stored with the regions of an object, and what they say of transcription factors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from grn._core.errors import MotifError, ResultNotFoundError
from grn.genome.hits import FactorHits, factor_hits


def stored_scores(
    atac: AnnData, key: str, *, where: str = "adata"
) -> tuple[sparse.csr_matrix, np.ndarray, pd.DataFrame]:
    """Scores of regions and motifs (R, M), names of the motifs (M,), and their factors as ``motif, factor``.

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
        If no motifs have been looked for under that key, or something else is there.
    MotifError
        If scores are NaN or infinite.
    """
    stored = atac.uns.get(key)
    option = "" if key == "motifs" else f", key_added={key!r}"
    call = f"grn.pp.scan_motifs({where}, sequences=..., motifs=grn.pp.motifs(){option})"
    if key not in atac.varm or not isinstance(stored, Mapping) or not {"names", "factors"} <= set(stored):
        raise ResultNotFoundError(f"varm[{key!r}] of {where} holds no motif hits; call {call} first.")
    factors = stored["factors"]
    if not isinstance(factors, pd.DataFrame) or not {"motif", "factor"} <= set(factors):
        raise ResultNotFoundError(
            f"uns[{key!r}]['factors'] of {where} is no table with the columns motif, factor; call {call} again."
        )
    names = np.asarray(stored["names"], dtype=object).astype(str).astype(object)
    scores = sparse.csr_matrix(atac.varm[key])
    if names.ndim != 1 or scores.shape[1] != len(names):
        raise ResultNotFoundError(
            f"varm[{key!r}] of {where} has {scores.shape[1]} columns and uns[{key!r}]['names'] {names.size} motifs: "
            f"one of them was replaced; call {call} again."
        )
    wrong = int((~np.isfinite(scores.data)).sum())
    if wrong:
        raise MotifError(f"varm[{key!r}] of {where} holds {wrong} scores that are NaN or infinite; call {call} again.")
    return scores, names, factors[["motif", "factor"]].astype(str)


def stored_hits(atac: AnnData, key: str, *, where: str = "adata") -> tuple[FactorHits, np.ndarray]:
    """Hits of factors, and the names of the motifs (M,); errors as in :func:`stored_scores`."""
    scores, names, factors = stored_scores(atac, key, where=where)
    return factor_hits(scores, names, factors), names
