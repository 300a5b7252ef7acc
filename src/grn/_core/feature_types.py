"""Which features of an object are genes, where peaks, antibodies or guides were measured beside them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from grn._core.errors import GeneNameError
from grn._core.labels import is_missing
from grn._core.logging import logger

# columns that say what a feature is, and what they call a gene
TYPE_COLUMNS = ("feature_types", "feature_type", "modality")
_GENES = {"gene expression", "gene", "genes", "rna", "gex", "expression", "mrna", "transcript"}
_OTHERS = {
    *("peaks", "peak", "atac", "chromatin accessibility", "antibody capture", "antibody", "adt", "prot", "protein"),
    *("crispr guide capture", "guide", "grna", "multiplexing capture", "hto", "hashtag", "vdj", "antigen capture"),
}


def gene_mask(table: Any) -> np.ndarray | None:
    """Which features of ``var`` are genes, mask (n_vars,), said in a warning; ``None`` if all are, or nothing tells.

    Cell Ranger writes ``var["feature_types"]``, objects that were joined from several have such a column or
    ``var["modality"]``; a feature without a type counts as a gene.

    Raises
    ------
    GeneNameError
        If no feature is a gene.
    """
    for name in TYPE_COLUMNS:
        if name not in table:
            continue
        types = np.asarray(table[name], dtype=object)
        words = np.array(["gene" if is_missing(word) else _plain(word) for word in types])
        others = np.isin(words, list(_OTHERS))
        if not others.any():
            continue
        gene: np.ndarray = np.isin(words, list(_GENES)) if name == "feature_types" else ~others
        _tell(types, gene, name)
        return gene
    return None


def _plain(word: object) -> str:
    return str(word).strip().lower().replace("_", " ").replace("-", " ")


def _tell(types: np.ndarray, gene: np.ndarray, name: str) -> None:
    counts = Counter(str(word) for word in types[~gene])
    others = ", ".join(f"{n} {word}" for word, n in sorted(counts.items()))
    if not gene.any():
        likely = next((word for word in counts if _plain(word) not in _OTHERS), next(iter(counts)))
        raise GeneNameError(
            f"var[{name!r}] lists no gene expression among {len(gene)} features: {others}. If some are genes, say so: "
            f"adata.var[{name!r}] = adata.var[{name!r}].astype(str).replace({{{likely!r}: 'Gene Expression'}})."
        )
    logger.warning(
        "%d of %d features are genes and take part, by var[%r]; left out are %s", gene.sum(), len(gene), name, others
    )
