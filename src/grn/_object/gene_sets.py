"""Genes that a user names together: one alone, or several at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from grn._core.errors import ParameterError


def gene_sets(genes: object) -> list[list[str]]:
    """Genes that are perturbed together, set by set: ``["A", ("B", "C")]`` is A alone, then B with C.

    Raises
    ------
    ParameterError
        If it is neither a name nor a list of names and lists of names, or a set is empty or names a gene twice.
    """
    entries = [genes] if isinstance(genes, str) else genes
    if not isinstance(entries, Sequence | np.ndarray | pd.Index):
        raise ParameterError(f"genes has type {type(genes).__name__}; pass a name or a list of names.")
    sets = []
    for entry in entries:
        together = isinstance(entry, list | tuple | np.ndarray | pd.Index)
        sets.append([str(gene) for gene in entry] if together else [str(entry)])
    if not sets or not all(sets):
        raise ParameterError("genes is empty, or holds an empty set; pass names of genes.")
    for named in sets:
        if len(set(named)) < len(named):
            raise ParameterError(
                f"genes holds a set that names a gene twice ({', '.join(named)}); name each gene of a set once."
            )
    return sets
