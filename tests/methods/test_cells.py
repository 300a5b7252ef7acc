"""What real cells become before a model reads them: whole-cell scales, counts, and names only the model knows."""

import logging

import anndata as ad
import numpy as np
import pytest

import grn
from grn._object.values import expression
from grn.errors import GeneNameError
from grn.methods.genes import pair_genes
from grn.methods.probes.base_cells import encode
from grn.models import Moments

SYMBOLS = ["SPI1", "GATA1", "LYZ", "CD14", "CD79A", "CST3", "S100A8", "KLF1"]


def counted(names, n_cells=12, seed=0):
    counts = np.random.default_rng(seed).poisson(4.0, size=(n_cells, len(names))).astype(np.float32)
    adata = ad.AnnData(counts)
    adata.var_names, adata.obs_names = list(names), [f"cell{i}" for i in range(n_cells)]
    return adata


def test_bins_are_those_of_the_whole_cell_whatever_the_panel():
    adata = counted(SYMBOLS)
    model = grn.models.untrained("scgpt", genes=SYMBOLS, width=8, heads=2)
    values = expression(adata)
    moments = Moments(*values.moments())
    column = {gene: i for i, gene in enumerate(SYMBOLS)}
    X = values.rows(np.arange(adata.n_obs))
    whole = encode(model, X, moments, column, model.panel(SYMBOLS, SYMBOLS))
    part = encode(model, X, moments, column, model.panel(["LYZ"], ["KLF1", "SPI1"]))
    np.testing.assert_array_equal(part.numpy(), whole[:, [0, 2, 7]].numpy())
    alone = model.encode_cells(X[:, [0, 2, 7]], ["SPI1", "LYZ", "KLF1"])
    assert not np.array_equal(alone.numpy(), part.numpy())


def test_counts_reach_models_that_take_counts():
    """GeneCompass reads log2(1 + count / median): ten times the counts are more than twice the value of one count."""
    few = counted(SYMBOLS)
    many = few.copy()
    many.X = few.X * 10
    names = grn.genes.resolve(SYMBOLS, organism="human")["ensembl"].tolist()
    model = grn.models.untrained("genecompass", genes=names, width=8, heads=2)
    for adata in (few, many):
        grn.tl.pert(adata, model=model, sources=["SPI1"])
    assert not np.allclose(few.varm["pert"], many.varm["pert"], equal_nan=True)
    values = expression(many)
    np.testing.assert_array_equal(values.totals(np.arange(12)), np.asarray(many.X.sum(axis=1)))
    mask = np.arange(12) % 2 == 0
    np.testing.assert_array_equal(values.totals(mask), many.X[mask].sum(axis=1))
    many.X = np.log1p(many.X)
    assert expression(many).totals(mask) is None


def test_linear_values_are_no_counts():
    adata = counted(SYMBOLS)
    adata.X = adata.X * 1e6 / adata.X.sum(axis=1, keepdims=True)
    assert expression(adata).totals(np.arange(12)) is None


def test_a_name_that_only_the_model_knows_is_found(caplog):
    names = [*SYMBOLS, "MY-CONSTRUCT"]
    model = grn.models.untrained("scgpt", genes=names, width=8, heads=2)
    adata = counted(names)
    assert pair_genes(adata, model, ["SPI1"], None).unknown.tolist() == []
    with caplog.at_level(logging.WARNING, "grn"):
        grn.pp.align_genes(adata, organism="human", model=model)
    assert adata.uns["grn_genes"]["model"]["unknown"] == 0
    assert adata.uns["grn_genes"]["lost_names"].tolist() == ["MY-CONSTRUCT"]
    assert pair_genes(adata, model, ["SPI1"], None).unknown.tolist() == []


def test_letter_case_is_no_way_into_a_human_model():
    mouse = ["Spi1", "Gata1", "Lyz2", "Cd14", "Cd79a", "Cst3", "Gm10053"]
    model = grn.models.untrained("scgpt", genes=["SPI1", "GATA1", "CD14", "Gm10053"], width=8, heads=2)
    unknown = pair_genes(counted(mouse), model, ["Spi1"], None).unknown.tolist()
    assert "Gm10053" in unknown and "Spi1" not in unknown


@pytest.mark.parametrize("family", ["genecompass", "scprint"])
def test_a_mouse_model_reads_mouse_genes_as_they_are(family, tmp_path):
    mouse = ["Spi1", "Gata1", "Cd14", "Cst3", "Klf1"]
    table = grn.genes.tables.symbols("mouse")
    human = grn.genes.resolve(SYMBOLS, organism="human")["ensembl"].tolist()
    both = grn.models.untrained(family, genes=[*human, *(table[name] for name in mouse)], width=8, heads=2)
    path = grn.models.save(both, tmp_path / ("model.ckpt" if family == "scprint" else "model"))
    model = grn.models.load(path, params={"organism": "mouse"})
    assert set(model.source_genes) == {table[name] for name in mouse}
    adata = counted(mouse)
    grn.tl.vvp(adata, model=model, sources=["Spi1"])
    assert np.isfinite(adata.varm["vvp"][1:]).all()
    by_id = counted([table[name] for name in mouse])
    grn.tl.vvp(by_id, model=model, sources=[table["Spi1"]])
    np.testing.assert_array_equal(by_id.varm["vvp"], adata.varm["vvp"])
    with pytest.raises(GeneNameError, match="mouse"):
        grn.tl.vvp(counted(SYMBOLS), model=model, sources=["SPI1"])
