"""Equal values are common in counts; where genes stand in the object decides nothing."""

import anndata as ad
import numpy as np
import pytest

import grn

SYMBOLS = ["SPI1", "GATA1", "LYZ", "CD14", "CD79A", "CST3", "S100A8", "KLF1", "NKG7", "CD3E"]
ENSEMBL = [f"ENSG{i:011d}" for i in range(1, 11)]
RECIPES = {
    "scgpt": "scgpt_attention",
    "geneformer": "geneformer_deletion",
    "genecompass": "genecompass_deletion",
    "scprint": "scprint_attention",
    "scgenept": "scgenept_response",
}


def names_of(family):
    return SYMBOLS if family in ("scgpt", "scgenept") else ENSEMBL


def tied_cells(names):
    """Counts 0 to 2, so that most genes of a cell share their value with others, and two genes share all of them."""
    counts = np.random.default_rng(4).integers(0, 3, size=(30, len(names))).astype(np.float32)
    counts[:, 5] = counts[:, 2]
    adata = ad.AnnData(counts)
    adata.var_names, adata.obs_names = names, [f"cell{i}" for i in range(30)]
    return adata


def small(family):
    """The vocabulary is not in the order of the object, and has genes that the object lacks."""
    names = names_of(family)
    more = ["TP53"] if names is SYMBOLS else ["ENSG00000009999"]
    return grn.models.untrained(family, genes=[*names[::-1], *more], layers=2, width=16, heads=2, rng=2)


def mixed(adata):
    return adata[:, np.random.default_rng(9).permutation(adata.n_vars)].copy()


@pytest.mark.parametrize("family", RECIPES)
def test_recipes(family):
    model, adata = small(family), tied_cells(names_of(family))
    sources, found = list(adata.var_names[:3]), []
    for one in (adata, mixed(adata)):
        grn.tl.infer_network(one, method=RECIPES[family], model=model, sources=sources)
        found.append(grn.get.edges(one).set_index(["source", "target"])["weight"].sort_index())
    assert len(found[0]) > 20 and found[0].index.equals(found[1].index)
    np.testing.assert_allclose(found[0], found[1], atol=2e-6)


@pytest.mark.parametrize("family", RECIPES)
def test_probes_at_the_mean_cell(family):
    model, adata = small(family), tied_cells(names_of(family))
    if family == "genecompass":
        model.rerank = True
    sources, cubes = list(adata.var_names[:3]), []
    for one in (adata, mixed(adata)):
        grn.tl.vvp(one, model=model, sources=sources, context="mean")
        cubes.append(one[:, adata.var_names].varm["vvp"])
    largest = np.nanmax(np.abs(cubes[0]))
    assert np.isfinite(cubes[0]).mean() > 0.5 and largest > 1e-5
    np.testing.assert_allclose(*cubes, atol=max(1e-7, 0.005 * largest))
