"""Edges asked for by the symbols that stand beside Ensembl ids."""

from __future__ import annotations

import grn


def test_edges_are_found_by_the_symbols_beside_the_names():
    adata = grn.datasets.toy(n_cells=40, n_regulators=4, n_targets=8)
    symbols = list(adata.var_names)
    adata.var["feature_name"] = symbols
    adata.var_names = [f"ENSG{i:011d}" for i in range(len(symbols))]
    grn.tl.infer_network(adata, method="correlation")
    found = grn.get.edges(adata, sources=symbols[0], targets=symbols[5:7])
    assert len(found)
    assert found.equals(grn.get.edges(adata, sources=adata.var_names[0], targets=list(adata.var_names[5:7])))
