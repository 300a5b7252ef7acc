"""The recipe of LPM: contrasts with the control, with the sign of regulation."""

import numpy as np
import pytest

import grn
from grn._core.errors import CapabilityError, ParameterError
from grn.methods import Inputs, Task
from grn.methods.foundation.lpm import fit_lpm_response
from grn.models._lpm_network import LPMNetwork, Symbols
from grn.models._published_model import About
from grn.models._random import random_state
from grn.models.lpm import LPM

GENES = ["SPI1", "GATA1", "LYZ", "CD14", "CST3"]


def make(kind="CRISPRi") -> LPM:
    """LYZ can only be read, KLF1 only be perturbed, CD14 is not known."""
    symbols = Symbols(
        ("blood", "skin"),
        ("Control", *(f"{kind}_{gene}" for gene in ("SPI1", "GATA1", "CST3", "KLF1"))),
        tuple(f"Transcriptome_{gene}" for gene in ("LYZ", "SPI1", "CST3")),
    )
    return LPM(random_state(LPMNetwork(symbols, 4, 8, 2), 1, spread=0.6), symbols, About("tiny", "0" * 64, 100))


@pytest.fixture
def adata():
    found = grn.datasets.toy(n_cells=10, n_regulators=1, n_targets=4)
    found.var_names = GENES
    return found


def table(adata, *, model=None, sources=("SPI1", "GATA1"), **given):
    network = fit_lpm_response(Inputs(adata, Task(model=model or make(), sources=list(sources))), **given)
    index = ["source", "target", *(["group"] if "group" in network.edges else [])]
    return network, network.edges.set_index(index)


def contrast(model, source, target, context=None):
    kind = model.perturbation_type
    found = model.predict([f"{kind}_{source}", "Control"], [f"Transcriptome_{target}"], context=context)
    return float(found[0, 0] - found[1, 0])


def test_a_knock_down_that_lowers_its_target_means_activation(adata):
    model = make()
    network, edges = table(adata, model=model)
    pairs = {("SPI1", "LYZ"), ("SPI1", "CST3"), ("GATA1", "LYZ"), ("GATA1", "CST3"), ("GATA1", "SPI1")}
    assert set(edges.index) == pairs and network.signed
    for pair in pairs:
        change = contrast(model, *pair)
        assert edges.loc[pair, "weight"] == pytest.approx(-change, abs=1e-5)
        assert edges.loc[pair, "score"] == pytest.approx(change, abs=1e-5)
        assert edges.loc[pair, "sign"] == -np.sign(change)


@pytest.mark.parametrize(("kind", "sign", "factor"), [("CRISPRi", "response", 1), ("CRISPRa", "regulation", 1)])
def test_activation_and_raw_responses_keep_their_sign(adata, kind, sign, factor):
    model = make(kind)
    _, edges = table(adata, model=model, sign=sign)
    assert edges.loc[("SPI1", "LYZ"), "weight"] == pytest.approx(factor * contrast(model, "SPI1", "LYZ"), abs=1e-5)


def test_one_network_per_context(adata):
    model = make()
    network, edges = table(adata, model=model, contexts="each")
    assert network.groups == ["blood", "skin"]
    for context in network.groups:
        change = contrast(model, "GATA1", "LYZ", context)
        assert edges.loc[("GATA1", "LYZ", context), "weight"] == pytest.approx(-change, abs=1e-5)
    _, mean = table(adata, model=model)
    both = edges.loc[("GATA1", "LYZ"), "weight"].mean()
    assert mean.loc[("GATA1", "LYZ"), "weight"] == pytest.approx(both, abs=1e-6)
    only, _ = table(adata, model=model.within(["skin"]), contexts="each")
    assert only.groups == ["skin"]


def test_the_order_of_genes_does_not_matter(adata):
    _, edges = table(adata)
    _, mixed = table(adata[:, ["CST3", "CD14", "SPI1", "LYZ", "GATA1"]].copy(), sources=("GATA1", "SPI1"))
    np.testing.assert_allclose(mixed.loc[edges.index, "weight"], edges["weight"], atol=1e-6)


def test_what_is_refused(adata):
    with pytest.raises(CapabilityError, match="reads models of the family lpm; 'mini' is another"):
        grn.tl.infer_network(adata, method="lpm_response", model="mini")
    for given in ({"contexts": "all"}, {"sign": "raw"}):
        with pytest.raises(ParameterError, match="use one of"):
            table(adata, **given)
    with pytest.raises(ParameterError, match="'drug' does to its gene is not known"):
        table(adata, model=make("drug"))
    with pytest.raises(ParameterError, match="groupby"):
        fit_lpm_response(Inputs(adata, Task(model=make(), sources=["SPI1"], groupby="group")))


def test_a_fitted_model_finds_the_planted_edge():
    rng = np.random.default_rng(0)
    adata = grn.datasets.toy(n_cells=240, n_regulators=2, n_targets=3)
    adata.X = rng.normal(5, 0.5, size=adata.shape).astype(np.float32)
    adata.obs["gene"] = ["control", "GATA1", "SPI1"] * 80
    target, other = adata.var_names[2], adata.var_names[3]
    adata.X[adata.obs["gene"] == "GATA1", 2] -= 1.0
    adata.X[adata.obs["gene"] == "SPI1", 3] += 1.0
    model = LPM.fit(adata, perturbation="gene", embedding_dim=8, hidden_dim=32, epochs=200, lr=0.01, device="cpu")
    _, edges = table(adata, model=model)
    assert edges["weight"].idxmax() == ("GATA1", target) and edges["weight"].idxmin() == ("SPI1", other)
    assert edges["weight"].abs().nlargest(3).iloc[2] < 0.7 < edges["weight"].abs().nlargest(2).iloc[1]
