"""What the values are: found out, said by the user, and recorded."""

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

import grn
from grn._core.errors import ParameterError

GENES = ["GATA1", "SPI1", "TP53", "MYC", "HBB", "CD19", "CD8A", "LYZ", "CST3", "S100A8", "CD79A", "GAPDH"]


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(0)
    depth = rng.lognormal(0.0, 0.8, (90, 1))
    hidden = rng.gamma(2.0, 0.5, (90, 3)) @ rng.random((3, len(GENES)))
    return np.minimum(rng.poisson(3.0 * depth * hidden), 45).astype(float)


def make(x):
    adata = ad.AnnData(sparse.csr_matrix(x))
    adata.var_names = GENES
    adata.obs_names = [f"cell {i}" for i in range(adata.n_obs)]
    adata.obs["group"] = np.where(np.arange(adata.n_obs) % 2, "a", "b")
    adata.obs["state"] = np.where(np.arange(adata.n_obs) % 3, "well", "ill")
    return adata


def lognorm(x):
    return np.log1p(1e4 * x / np.maximum(x.sum(axis=1, keepdims=True), 1e-12))


def weights(adata, **given):
    grn.tl.infer_network(adata, method="correlation", sources=["GATA1", "SPI1"], **given)
    return grn.get.edges(adata).set_index(["source", "target"])["weight"].sort_index()


def test_fractional_counts_give_the_network_of_their_logarithms(counts):
    fractional = 0.93 * counts
    assert fractional.max() < 50
    adata = make(fractional)
    found = weights(adata)
    np.testing.assert_allclose(found, weights(make(lognorm(fractional))), rtol=1e-5)
    assert adata.uns["grn"]["params"]["values"] == "linear"
    assert adata.uns["grn"]["params"]["values_from"] == "detected"


def test_the_user_overrules_and_it_is_recorded(counts):
    adata = make(0.93 * counts)
    found = weights(adata, values="log")
    assert np.abs(found - weights(make(0.93 * counts))).max() > 0.05
    params = adata.uns["grn"]["params"]
    assert (params["values"], params["values_from"]) == ("log", "given")
    with pytest.raises(ParameterError, match="values='tpm'"):
        weights(adata, values="tpm")


@pytest.mark.parametrize("values", ["auto", "log", "linear"])
def test_confidence_reads_the_values_as_the_network_did(counts, values):
    adata = make(0.93 * counts)
    weights(adata, values=values)
    grn.tl.confidence(adata, n_permutations=2, n_subsamples=0, progress=False)
    assert "pval" in adata.uns["grn"]["edges"]


CALLS = {
    "infer_network": lambda a, **v: grn.tl.infer_network(a, method="ridge", key_added="made", **v),
    "probe": lambda a, **v: grn.tl.vvp(a, sources=["SPI1"], context="mean", key_added="made", **v),
    "pert": lambda a, **v: grn.tl.pert(a, sources=["SPI1"], key_added="made", **v),
    "smooth": lambda a, **v: grn.pp.smooth(a, k=4, key_added="made", **v),
    "celloracle": lambda a, **v: grn.tl.celloracle(a, fit="bayesian", key_added="made", centrality=False, **v),
    "differential": lambda a, **v: grn.tl.differential(
        a, condition="state", method="correlation", n_permutations=2, key_added="made", progress=False, **v
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_function_records_what_it_read(counts, name):
    for given, kind, how in (("auto", "counts", "detected"), ("linear", "linear", "given")):
        adata = make(counts)
        CALLS[name](adata, values=given)
        params = adata.uns["made"]["params"]
        assert (params["values"], params["values_from"]) == (kind, how)


def test_virtual_cells_are_of_no_scale(counts):
    adata = make(counts)
    grn.tl.vvp(adata, sources=["SPI1"])
    assert adata.uns["vvp"]["params"]["values"] == "auto"
    assert "values_from" not in adata.uns["vvp"]["params"]
