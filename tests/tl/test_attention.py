"""Which way attention is read, and which cells it is averaged over."""

import numpy as np
import pytest

import grn
from grn.errors import CapabilityError, ParameterError


def z_scores(adata):
    X = adata.X.toarray().astype(np.float64)
    return np.clip((X - X.mean(axis=0)) / X.std(axis=0), -4, 4)


def by_hand(weights, adata, sources, cells):
    """The two maps of the planted model averaged over cells: (targets, sources, 2)."""
    W = weights.loc[list(sources), list(adata.var_names)].T.to_numpy()[:, :, None] + 1
    level = np.exp(z_scores(adata)[cells]).mean(axis=0)
    columns = [adata.var_names.get_loc(gene) for gene in sources]
    query, key = np.broadcast_to(level[:, None], W.shape[:2]), np.broadcast_to(level[columns], W.shape[:2])
    found = W * np.stack([query, key], axis=-1)
    found[columns, np.arange(len(columns))] = np.nan
    return found


@pytest.mark.parametrize("max_genes", [1000, 9])
def test_row_is_target_and_column_is_source(planted, weights, toy, max_genes):
    """Effects are directed, so a transposed read-out differs; the maps tell query and key apart."""
    sources = ["SPI1", "MYB", "GATA1"]
    grn.tl.attention(toy, model=planted(max_genes=max_genes), sources=sources, max_cells=1000)
    expected = by_hand(weights, toy, sources, slice(None))
    assert toy.varm["attention"].shape == (48, 3, 2)
    assert np.allclose(toy.varm["attention"], expected, rtol=1e-4, equal_nan=True)
    swapped = by_hand(weights.T, toy, sources, slice(None))
    assert not np.allclose(toy.varm["attention"], swapped, rtol=1e-2, equal_nan=True)
    assert toy.uns["attention"]["grid"].tolist() == [0, 1]


def test_groups_are_averaged_apart(planted, weights, toy):
    grn.tl.attention(toy, model=planted(), sources=["MYB"], groupby="group", max_cells=30, batch_size=8)
    assert toy.varm["attention"].shape == (48, 1, 4)
    for g, name in enumerate(["group_1", "group_2"]):
        expected = by_hand(weights, toy, ["MYB"], (toy.obs["group"] == name).to_numpy())
        assert np.allclose(toy.varm["attention"][..., 2 * g : 2 * g + 2], expected, rtol=1e-4, equal_nan=True)
    assert toy.uns["attention"]["groups"].tolist() == ["group_1", "group_2"]


def test_the_draw_of_cells(planted, toy):
    """A draw differs from all cells and between seeds, repeats itself, and goes by the names of cells."""
    model, order = planted(), np.random.default_rng(1).permutation(60)

    def read(adata, **arguments):
        grn.tl.attention(adata, model=model, sources=["MYB"], **arguments)
        return adata.varm["attention"]

    drawn = read(toy, max_cells=5)
    assert np.array_equal(drawn, read(toy, max_cells=5), equal_nan=True)
    assert np.allclose(drawn, read(toy[order].copy(), max_cells=5), rtol=1e-5, equal_nan=True)
    assert not np.allclose(drawn, read(toy, max_cells=5, rng=1), equal_nan=True)
    assert not np.allclose(drawn, read(toy, max_cells=60), equal_nan=True)
    assert np.allclose(read(toy, max_cells=60), read(toy, max_cells=10**6, rng=3), rtol=1e-6, equal_nan=True)
    renamed = toy.copy()
    renamed.obs_names = [f"x{i}" for i in range(60)]
    assert not np.allclose(drawn, read(renamed, max_cells=5), equal_nan=True)


def test_softmax_rows_of_a_transformer(attentive, toy):
    """Over all keys attention sums to one; what is missing is the gene itself and what is no gene."""
    adata = toy[:, :10].copy()
    grn.tl.attention(adata, model=attentive, sources=list(adata.var_names), max_cells=3)
    cube = adata.varm["attention"]
    assert (cube[np.isfinite(cube)] >= 0).all()
    totals = np.nansum(cube, axis=1)
    assert (totals > 0.5).all() and (totals < 1).all()


def test_mini_has_none_and_the_error_names_models_that_have(refuses, toy):
    message = refuses(CapabilityError, grn.tl.attention, toy, model="mini")
    assert "'mini' offers" in message and "scgpt, geneformer, genecompass, scprint, scgenept have it" in message


@pytest.mark.parametrize("max_cells", [0, -1, 2.5, "all", True])
def test_bad_number_of_cells(refuses, planted, toy, max_cells):
    message = refuses(ParameterError, grn.tl.attention, toy, model=planted(), max_cells=max_cells)
    assert "max_cells" in message and "positive integer" in message


def test_bad_seed(refuses, planted, toy):
    assert "rng=-1" in refuses(ParameterError, grn.tl.attention, toy, model=planted(), rng=-1)
