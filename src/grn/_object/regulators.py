"""Which genes of an object are regulators."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from anndata import AnnData

from grn import genes
from grn._object.container import validate
from grn._object.genes import column, gene_mask
from grn._object.vocabulary import organism_of


def regulator_mask(adata: AnnData) -> np.ndarray:
    """Mark the regulators: ``var["is_regulator"]`` when present, else computed from the gene names."""
    validate(adata)
    mask = gene_mask(adata)
    if "is_regulator" in adata.var:
        marked = column(adata.var, "is_regulator").fillna(value=False).astype(bool).to_numpy()
    else:
        names = adata.var_names if mask is None else adata.var_names[mask]
        organism = organism_of(adata, "auto")
        organism = genes.detect_organism(names) if organism == "auto" else organism
        marked = known_regulators(adata.var_names, organism)
    return marked if mask is None else marked & mask


def known_regulators(names: Iterable[str], organism: str) -> np.ndarray:
    """Mark the names that stand for a gene of the regulator list of their organism."""
    native = genes.resolve(names, organism=organism)["native"]
    return native.isin(genes.regulators(organism)).to_numpy()
