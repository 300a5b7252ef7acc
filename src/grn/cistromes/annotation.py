"""Whose motifs they are: direct annotation, and what orthologs or similar motifs tell."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import DataNotFoundError, MotifError, ParameterError

Annotation = str | os.PathLike[str] | pd.DataFrame
# ways to a factor other than its own annotation
INFERRED = ("orthology", "similarity")
# columns of cisTarget's tables of motifs and factors
_MOTIF, _FACTOR, _SIMILARITY, _IDENTITY = "#motif_id", "gene_name", "motif_similarity_qvalue", "orthologous_identity"
_DESCRIPTION, _SIMILAR, _ORTHOLOG = "description", "similar_motif_id", "orthologous_gene_name"
# largest q-value by which two motifs count as similar
_MAX_SIMILARITY = 1e-3


def annotated(annotation: Annotation, inferred: Sequence[str]) -> pd.DataFrame:
    """Pairs ``motif, factor, extended`` of a table or of the file of one, each once.

    Parameters
    ----------
    annotation
        DataFrame ``motif, factor`` with ``extended`` (bool) if some are inferred; or one of cisTarget, or the path of
        its ``.tbl`` file.
    inferred
        Which of :data:`INFERRED` count, beside direct annotation, in tables of cisTarget.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    MotifError
        If columns are missing, or nothing is left.
    """
    ways = ways_of(inferred)
    table = annotation if isinstance(annotation, pd.DataFrame) else _read(annotation)
    if {"motif", "factor"} <= set(table.columns):
        extended = table["extended"].isin([True]) if "extended" in table else False
        pairs = table[["motif", "factor"]].assign(extended=extended)
    elif {_MOTIF, _FACTOR} <= set(table.columns):
        pairs = _of_cistarget(table, ways)
    else:
        raise MotifError(
            f"the annotation has the columns {list(map(str, table.columns[:8]))}; expected motif, factor, or those of "
            f"cisTarget: {_MOTIF}, {_FACTOR}, {_SIMILARITY}, {_IDENTITY}, {_DESCRIPTION}."
        )
    pairs = pairs.dropna(subset=["motif", "factor"])
    if pairs.empty:
        raise MotifError("the annotation has no pair of a motif and a factor.")
    pairs = pairs.astype({"motif": str, "factor": str, "extended": bool})
    # a pair that is known both ways is direct
    return pairs.groupby(["motif", "factor"], as_index=False)["extended"].min()


def ways_of(inferred: Sequence[str]) -> list[str]:
    """Some of :data:`INFERRED`, or none."""
    empty = isinstance(inferred, Sequence) and not len(inferred)
    return [] if empty else checks.words("inferred", inferred, INFERRED, note=", or () for none")


def _read(path: object) -> pd.DataFrame:
    if not isinstance(path, str | os.PathLike):
        raise ParameterError(
            f"annotation has type {type(path).__name__}; pass a DataFrame motif, factor, or the path of a cisTarget "
            "table (.tbl)."
        )
    if not Path(path).is_file():
        raise DataNotFoundError(f"there is no file {os.fspath(path)!r}; pass the path of a cisTarget table (.tbl).")
    try:
        return pd.read_csv(path, sep="\t", low_memory=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise MotifError(f"{os.fspath(path)!r} is no table of motifs and factors ({error}).") from error


def _of_cistarget(table: pd.DataFrame, ways: list[str]) -> pd.DataFrame:
    """Direct pairs, and those inferred by the ways asked for, of a table of cisTarget."""
    similar, ortholog = _named(table, _SIMILAR), _named(table, _ORTHOLOG)
    qvalue = pd.to_numeric(table.get(_SIMILARITY, pd.Series(0.0, index=table.index)), errors="coerce").fillna(0)
    text = table.get(_DESCRIPTION, pd.Series("", index=table.index)).fillna("").astype(str)
    similar |= (qvalue > 0).to_numpy() | text.str.contains("similar").to_numpy()
    ortholog |= text.str.contains("ortholog").to_numpy()
    close = (qvalue <= _MAX_SIMILARITY).to_numpy()
    allowed = (~similar | ("similarity" in ways)) & (~ortholog | ("orthology" in ways)) & close
    pairs = pd.DataFrame({"motif": table[_MOTIF], "factor": table[_FACTOR], "extended": similar | ortholog})
    return pairs[allowed]


def _named(table: pd.DataFrame, column: str) -> np.ndarray:
    """Rows in which a column names something."""
    if column not in table:
        return np.zeros(len(table), dtype=bool)
    words = table[column].fillna("None").astype(str)
    named: np.ndarray = ~words.isin(["None", "nan", ""]).to_numpy()
    return named
