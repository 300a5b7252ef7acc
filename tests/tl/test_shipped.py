"""What comes with the package: the embedded model and its translators."""

import numpy as np
import pytest

import grn
from grn.errors import CapabilityError
from grn.models.translators import NETWORKS, embedded

FEATURES = ("vvp", "gradient_trajectory", "embedding")
METHODS = ("ugrn", *FEATURES)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("feature", FEATURES)
def test_every_translator_is_there(_mini, network, feature):
    config = embedded(_mini, feature, network).config
    assert (config.feature, config.model, config.model_sha256) == (feature, "mini", _mini.sha256)
    if feature != "embedding":
        assert np.allclose(config.grid, _mini.value_scale.gradient_grid)


@pytest.mark.parametrize("network", NETWORKS)
def test_embeddings_are_read_raw(_mini, network):
    """Centring leaves nothing of E_i + E_j but a trace of what was missing when it was fitted."""
    assert embedded(_mini, "embedding", network).config.view == "raw"


@pytest.mark.parametrize("method", METHODS)
def test_networks_without_an_argument(blood, method):
    adata = blood[:0].copy()
    found = {}
    for network in NETWORKS:
        params = {} if network == "string" else {"translator": network}
        grn.tl.infer_network(adata, method=method, params=params, sources=["SPI1", "IRF8"])
        edges = grn.get.edges(adata)
        assert len(edges) == 2 * (adata.n_vars - 1)
        assert edges["probability"].between(0, 1).all() and edges["probability"].nunique() > 10
        assert np.allclose(edges["weight"].abs(), edges["probability"])
        found[network] = edges.set_index(["source", "target"])["probability"].sort_index()
    assert not np.allclose(*found.values()), "each label set has its own translator"


def test_ugrn_with_groups(blood):
    adata = blood[blood.obs["bulk_labels"].isin(["CD14+ Monocyte", "CD19+ B"])].copy()
    grn.tl.ugrn(adata, sources=["SPI1"], groupby="bulk_labels")
    edges = grn.get.edges(adata)
    assert edges["group"].nunique() == 2 and len(edges) == 2 * (adata.n_vars - 1)
    tables = [part.set_index("target")["probability"].sort_index() for _, part in edges.groupby("group", observed=True)]
    assert not np.allclose(*tables)


def test_not_for_other_weights(refuses, blood, random_model):
    for method in METHODS:
        adata = blood[:0].copy()
        adata.var["grn_symbol"] = [*random_model.genes[: adata.n_vars]]
        adata.var["is_regulator"] = np.arange(adata.n_vars) < 2
        message = refuses(CapabilityError, grn.tl.infer_network, adata, model=random_model, method=method)
        assert "fit_translator" in message


def test_the_advice_of_the_message_works(random_model, toy):
    """Without a translator for a model, its raw strengths are offered."""
    for method in FEATURES:
        with pytest.raises(CapabilityError, match=r"translator.*None"):
            grn.tl.infer_network(toy, model=random_model, method=method, sources=["MYB"])
        params = {"translator": None}
        grn.tl.infer_network(toy, model=random_model, method=method, sources=["MYB"], params=params)
    with pytest.raises(CapabilityError) as caught:
        grn.tl.infer_network(toy, model=random_model, method="ugrn", sources=["MYB"])
    assert "method='vvp'" in str(caught.value), "ugrn itself has no raw strength"
