"""Embeddings and the sums of pairs."""

import numpy as np
import pytest
import torch

import grn
from grn.errors import ParameterError


@pytest.mark.parametrize("max_genes", [1000, 7])
def test_rows_follow_the_genes(planted, toy, max_genes):
    model = planted(max_genes=max_genes)
    adata = toy[:, np.random.default_rng(0).permutation(48)].copy()
    adata.var_names = [*adata.var_names[:-1], "not-a-gene"]
    assert grn.tl.embedding(adata, model=model) is None
    table = adata.varm["X_planted"]
    expected = torch.stack([model.embedding_of(gene) for gene in adata.var_names[:-1]])
    assert table.dtype == np.float32 and np.array_equal(table[:-1], expected)
    assert np.isnan(table[-1]).all()
    assert adata.uns["X_planted"]["unknown"].tolist() == ["not-a-gene"]
    grn.tl.embedding(adata, model=model, key_added="mine")
    assert np.array_equal(adata.varm["mine"], table, equal_nan=True)


def test_pairs_are_sums(planted, toy):
    model = planted()
    grn.tl.embedding(toy, model=model)
    pairs = [("MYB", "CST6"), ("CST6", "MYB"), ("GATA1", "GATA1")]
    found = grn.get.embedding(toy, key="X_planted", pairs=pairs)
    assert np.array_equal(found[0], found[1])
    assert np.allclose(found[0], model.embedding_of("MYB") + model.embedding_of("CST6"))
    assert np.allclose(found[2], 2 * model.embedding_of("GATA1"))


def test_network_without_translator_is_the_cosine(planted, toy):
    model = planted()
    grn.tl.infer_network(toy, model=model, method="embedding", params={"translator": None}, sources=["MYB", "SPI1"])
    network = grn.Network.from_anndata(toy)
    assert not network.signed and len(network) == 2 * 47
    for edge in network.edges.itertuples():
        a, b = model.embedding_of(edge.source), model.embedding_of(edge.target)
        assert edge.weight == pytest.approx(abs(float(a @ b / a.norm() / b.norm())), abs=1e-6)


def test_network_of_some_targets(planted, toy):
    arguments = {"model": planted(), "method": "embedding", "params": {"translator": None}, "sources": ["MYB"]}
    grn.tl.infer_network(toy, targets=["MYB", "VAC14", "CST6"], **arguments)
    some = grn.get.edges(toy).set_index("target")["weight"]
    grn.tl.infer_network(toy, **arguments)
    every = grn.get.edges(toy).set_index("target")["weight"]
    assert sorted(some.index) == ["CST6", "VAC14"]
    assert np.allclose(some, every[some.index.astype(str)])


def test_groups_are_refused(refuses, planted, toy):
    arguments = {"model": planted(), "method": "embedding", "params": {"translator": None}}
    assert "groupby='group'" in refuses(ParameterError, grn.tl.infer_network, toy, groupby="group", **arguments)
