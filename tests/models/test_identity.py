"""The hash of a model is that of what computes: a change in memory is another model."""

import copy
import hashlib
import json
import pickle

import anndata as ad
import numpy as np
import pytest
import torch

import grn
from grn.errors import CapabilityError, ParameterError
from grn.models import load, untrained
from grn.models.translators import embedded

FAMILIES = ("scgpt", "geneformer", "genecompass", "scprint", "scgenept", "lpm")
SYMBOLS = ["SPI1", "GATA1", "LYZ", "CD14"]
ENSEMBL = [f"ENSG{i:011d}" for i in range(1, 5)]


def family_of(name, rng=1):
    if name == "mini":
        return load("mini")
    genes = SYMBOLS if name in ("scgpt", "scgenept", "lpm") else ENSEMBL
    return untrained(name, genes=genes, layers=1, width=8, heads=2, rng=rng)


def in_place(model):
    with torch.no_grad():
        next(model.network.parameters()).add_(1.0)


def behind_the_version(model):
    """Neither the place nor the version of a tensor shows this."""
    tensor = next(model.network.parameters())
    version = tensor._version
    tensor.data.view(-1)[:2] = tensor.data.view(-1)[:2].flip(0) + torch.tensor([1e-6, 0.0])
    assert tensor._version == version


def replaced(model):
    name, tensor = next(iter(model.network.named_parameters()))
    model.network.load_state_dict({**model.network.state_dict(), name: tensor.flip(0)})


@pytest.mark.parametrize("change", [in_place, behind_the_version, replaced])
@pytest.mark.parametrize("family", ["mini", *FAMILIES])
def test_changed_weights_have_another_hash(family, change):
    model = family_of(family)
    before, kept = model.sha256, copy.deepcopy(model.network.state_dict())
    assert before and model.sha256 == before
    change(model)
    after = model.sha256
    assert after.startswith(f"{before}+changed-") and model.sha256 == after
    again = family_of(family)
    change(again)
    assert again.sha256 == after, "equal weights, equal hash"
    model.network.load_state_dict(kept)
    assert model.sha256 == before, "and back"


@pytest.mark.parametrize("family", ["mini", *FAMILIES])
def test_copies_and_moves_are_the_same_model(family):
    model = family_of(family)
    before = model.sha256
    moved = pickle.loads(pickle.dumps(copy.deepcopy(model).to("cpu")))
    moved.network.load_state_dict(copy.deepcopy(model.network.state_dict()), assign=True)
    moved.max_genes = 7
    moved.name = "other"
    assert moved.sha256 == before == model.sha256
    in_place(moved)
    assert moved.sha256 != before == model.sha256


def test_a_name_given_to_changed_weights_stays_with_them():
    model = family_of("scgpt")
    in_place(model)
    model.sha256 = "mine"
    assert model.sha256 == "mine"
    in_place(model)
    assert model.sha256.startswith("mine+changed-")


def test_random_models_differ_by_their_weights():
    assert family_of("scgpt", 1).sha256 == family_of("scgpt", 1).sha256 != family_of("scgpt", 2).sha256


@pytest.mark.parametrize(
    ("family", "name", "value"),
    [("scgpt", "readout", "mvc"), ("geneformer", "layer", 0), ("genecompass", "rerank", True), ("scgpt", "n_bins", 9)],
)
def test_another_reading_has_another_hash(family, name, value):
    model = family_of(family)
    before = model.sha256
    setattr(model, name, value)
    assert model.sha256.startswith(f"{before}+changed-")


def test_contexts_of_a_view_are_in_its_hash():
    model = family_of("lpm")
    assert model.within(["context_1"]).sha256 == f"{model.sha256}+contexts=['context_1']"
    assert model.within(["context_1"]).sha256 != model.within(["context_0"]).sha256


def test_files_keep_the_hash_they_had(tmp_path):
    path = grn.models.save(load("mini"), tmp_path / "m.safetensors")
    assert load(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    path = grn.models.save(family_of("scgpt"), tmp_path / "s")
    assert "+changed" not in load(path, params={"readout": "mvc"}).sha256


def test_names_beside_the_weights_are_part_of_the_hash(tmp_path):
    model = family_of("scgpt")
    path = grn.models.save(model, tmp_path / "s")
    before = load(path).sha256
    assert load(path).sha256 == before and len(before) == 64
    names = json.loads((path / "vocab.json").read_text())
    names["OTHER"] = names.pop(model.source_genes[0])
    (path / "vocab.json").write_text(json.dumps(names))
    assert load(path).sha256 != before


@pytest.fixture
def adata():
    found = ad.AnnData(np.zeros((0, 4), dtype=np.float32))
    found.var_names = SYMBOLS
    return found


def test_a_store_is_not_filled_with_features_of_other_weights(adata, tmp_path):
    model = family_of("scgpt")
    grn.tl.vvp(adata, model=model, sources=SYMBOLS[:2], store=tmp_path / "store")
    in_place(model)
    with pytest.raises(ParameterError, match="weights of the model"):
        grn.tl.vvp(adata, model=model, sources=SYMBOLS[:2], store=tmp_path / "store")


def test_features_of_the_object_are_not_used_again(adata):
    """They were made with the weights before; the network has to be that of the weights now."""
    model = load("mini")
    grn.tl.probe(adata, model=model, sources=SYMBOLS[:2])
    old = adata.varm["vvp"].copy()
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.mul_(1.3)
    with pytest.raises(CapabilityError, match="with these weights"):
        grn.tl.infer_network(adata, model=model, sources=SYMBOLS[:2])
    network = {}
    for one in (adata, adata.copy()):
        if one is not adata:
            del one.varm["vvp"]
        grn.tl.infer_network(one, model=model, sources=SYMBOLS[:2], method="vvp", params={"translator": None})
        network[one is adata] = grn.get.edges(one)
        assert one.uns["grn"]["params"]["model_sha256"] == model.sha256 != load("mini").sha256
    assert network[True].equals(network[False])
    grn.tl.probe(adata, model=model, sources=SYMBOLS[:2])
    assert np.nanmax(np.abs(adata.varm["vvp"] - old)) > 1e-3
    assert adata.uns["vvp"]["params"]["model_sha256"] == model.sha256


class Own:
    """A user's model with the members of the protocol and a plain hash."""

    sha256 = "own"

    def __init__(self, model):
        self._model = model

    def __getattr__(self, name):
        return getattr(self._model, name)

    def to(self, device):
        return self


def test_a_plain_hash_is_taken_as_it_is(adata):
    model = Own(load("mini"))
    grn.tl.vvp(adata, model=model, sources=SYMBOLS[:2])
    in_place(model)
    grn.tl.vvp(adata, model=model, sources=SYMBOLS[:2])
    assert adata.uns["vvp"]["params"]["model_sha256"] == "own"


def test_networks_name_the_weights_of_their_translators(adata):
    params = []
    for method in ("ugrn", "vvp"):
        grn.tl.infer_network(adata, sources=SYMBOLS[:2], method=method)
        params.append(adata.uns["grn"]["params"]["translator_sha256"])
    both, one = params
    assert set(both) == {"vvp", "gradient_trajectory"} and both["vvp"] == one != both["gradient_trajectory"]
    translator = embedded(load("mini"), "vvp", "string")
    assert translator.sha256 == one
    translator.network.weights[0].data[0, 0, 0] += 1.0
    assert translator.sha256 != one == embedded(load("mini"), "vvp", "string").sha256
    grn.tl.infer_network(adata, sources=SYMBOLS[:2], method="vvp", params={"translator": translator})
    assert adata.uns["grn"]["params"]["translator_sha256"] == translator.sha256
    grn.tl.infer_network(adata, sources=SYMBOLS[:2], method="vvp", params={"translator": None})
    assert "translator_sha256" not in adata.uns["grn"]["params"]
