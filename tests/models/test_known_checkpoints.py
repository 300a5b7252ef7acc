"""Published checkpoints by name, and everything that can be wrong with a call of load, save and untrained."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from grn._core.errors import CapabilityError, GrnError, ParameterError, StorageError, WeightsError, WeightsNotFoundError
from grn.models import FoundationModel, available, load, register, save, untrained
from grn.models import _registry as registry
from grn.models._formats import FAMILIES, format_of
from grn.models._known_checkpoints import KNOWN, Known

GENES = ["SPI1", "CD14", "LYZ", "GATA1", "PAX5"]
SIZES = {"layers": 1, "width": 8, "heads": 2}


@pytest.fixture(autouse=True)
def own_records(monkeypatch):
    monkeypatch.setattr(registry._RECORDS, "_records", dict(registry._RECORDS._records))


@pytest.fixture
def model():
    return untrained("scgpt", genes=GENES, **SIZES)


@pytest.fixture
def folder(model, tmp_path):
    return save(model, tmp_path / "mine")


@pytest.fixture
def published(monkeypatch):
    """A published checkpoint small enough for a test."""
    known = Known("small-one", "scgpt", "a small one", "nowhere", "best_model.pt", {"layers": 1, "genes": 5})
    monkeypatch.setitem(KNOWN, "small-one", known)
    return known


def responses(model):
    panel = model.panel(GENES[:2], GENES)
    values = torch.tensor([[0.0, 3.0, 12.0, 50.0, 7.0]])
    return model.respond(panel, values)


@pytest.mark.parametrize("name", KNOWN)
def test_every_published_checkpoint_says_where_it_is(name):
    known = KNOWN[name]
    assert known.family in FAMILIES and name.startswith(known.family)
    assert re.fullmatch(r"[a-z0-9.-]+", name) and all(size > 0 for size in known.sizes.values())
    told = available()[name]
    assert known.where in told and f"load({name!r}, path=...)" in told and "\n" not in told
    with pytest.raises(WeightsNotFoundError, match=re.escape(f"grn.models.load({name!r}, path='FOLDER')")) as raised:
        load(name)
    assert known.where in str(raised.value) and known.files in str(raised.value)


@pytest.mark.parametrize("family", sorted({known.family for known in KNOWN.values()}))
def test_sizes_that_identify_are_sizes_a_model_tells(family):
    genes = [f"ENSG{i:011d}" for i in range(1, 4)]
    found = format_of(family).untrained(genes, **SIZES, seed=0)
    assert isinstance(found, FoundationModel) and found.family == family and found.name == f"{family}-untrained"
    for known in KNOWN.values():
        if known.family == family:
            assert set(known.sizes) <= set(found.sizes)


def test_a_name_and_a_path(folder, published, model):
    for path in (folder, str(folder), folder / "best_model.pt"):
        found = load("small-one", path=path)
        assert found.name == "small-one" and torch.equal(responses(found), responses(model))
    assert load(folder).name == "mine" and load(folder / "best_model.pt").name == "best_model"


def test_other_sizes_or_another_family_are_refused(folder):
    with pytest.raises(WeightsError, match=r"not 'scgpt-human': it has genes 5 \(published: 60694\), .*load\("):
        load("scgpt-human", path=folder)
    with pytest.raises(WeightsError, match=r"holds a scgpt checkpoint; 'geneformer-v1-10m' is geneformer"):
        load("geneformer-v1-10m", path=folder)


def test_a_mini_file_is_no_published_checkpoint(tiny, tmp_path, published):
    path = save(tiny, tmp_path / "m.safetensors")
    with pytest.raises(WeightsError, match="no known architecture"):
        load("small-one", path=path)
    for wrong in ({"dtype": "bfloat16"}, {"params": {"readout": "mvc"}}):
        with pytest.raises(ParameterError, match="a model of this package takes none of them"):
            load(path, **wrong)


def test_a_name_goes_before_a_folder_of_that_name(folder, published, monkeypatch):
    monkeypatch.chdir(folder.parent)
    folder.rename(folder.parent / "small-one")
    with pytest.raises(WeightsNotFoundError, match="path='FOLDER'"):
        load("small-one")
    assert load("small-one", path="small-one").name == "small-one"
    assert load("./small-one").name == "small-one" and load(Path("small-one")).name == "small-one"


def test_places_in_every_spelling(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(folder)
    (folder / "sub").mkdir()
    for place in ("~/mine", Path("~/mine"), "~/mine/", f"{folder}/sub/..", ".", "../mine", Path()):
        assert load(place).name == "mine"
    monkeypatch.chdir(tmp_path)
    assert load("mine").name == "mine"
    (tmp_path / "linked").symlink_to(folder)
    assert load("linked").name == "linked"
    assert save(load("mine"), "~/again") == tmp_path / "again"
    assert load("~/again").sha256 == load("mine").sha256
    with pytest.raises(WeightsNotFoundError, match="no file ~nobody-here/x"):
        load("~nobody-here/x")


@pytest.mark.parametrize("path", ["", " ", 3, b"mine", ["mine"], True])
def test_other_things_are_no_paths(published, path):
    with pytest.raises(ParameterError, match="path of a file or folder"):
        load("small-one", path=path)


@pytest.mark.parametrize("name", ["", " "])
def test_nothing_is_no_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError, match="model="):
        load(name)


def test_an_unknown_name_suggests_a_published_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError, match=r"available: mini, .*Did you mean 'scgpt-human'\?"):
        load("scgpt-humn")
    with pytest.raises(ParameterError, match=r"no published model is called 'scgpt'; known are scgpt-human"):
        load("scgpt", path=tmp_path)


def test_a_path_needs_a_name_that_takes_one(folder, model):
    for first in ("mini", model):
        with pytest.raises(ParameterError, match=r"takes none of them.*grn\.models\.load\(path\)"):
            load(first, path=folder)
    with pytest.raises(ParameterError, match="takes none of them"):
        load(path=folder)
    assert load(model) is model


@pytest.mark.parametrize("dtype", ["float16", "double", None, 32, torch.bfloat16, torch.float32, ["float32"]])
def test_number_types_are_named(folder, dtype):
    with pytest.raises(ParameterError, match="use one of float32, bfloat16"):
        load(folder, dtype=dtype)


@pytest.mark.parametrize("params", ["mvc", 3, [("readout", "mvc")], {"readout"}])
def test_parameters_are_a_dict(folder, params):
    with pytest.raises(ParameterError, match=r"pass a dict by name, such as \{'readout': 'mvc'\}"):
        load(folder, params=params)


@pytest.mark.parametrize("name", ["readot", "name", "dtype", "checkpoint", "", 3, None])
def test_parameters_the_family_does_not_have_are_refused(folder, name):
    with pytest.raises(ParameterError, match=rf"scgpt has no parameter {name!r}; valid are: readout='expression'"):
        load(folder, params={name: 1})
    with pytest.raises(ParameterError, match=r"no parameter .*'b'"):
        load(folder, params={"readout": "mvc", 1: 2, "b": 3})


def test_a_readout_the_family_does_not_have_is_refused(folder):
    with pytest.raises(ParameterError, match=r"readout='logit'.*expression, mvc, generative"):
        load(folder, params={"readout": "logit"})


def test_a_loaded_model_is_frozen(folder):
    found = load(folder)
    assert not found.network.training and not any(p.requires_grad for p in found.network.parameters())
    assert str(found.device) == "cpu" and len(found.sha256) == 64


def test_a_checkpoint_read_in_half_precision_is_saved_and_read_again(folder, tmp_path):
    half = load(folder, dtype="bfloat16")
    again = load(save(half, tmp_path / "half"))
    torch.testing.assert_close(responses(again), responses(half), rtol=0.05, atol=0.05)


def test_saving_replaces_what_is_there(folder, model):
    before = load(folder).sha256
    other = untrained("scgpt", genes=GENES[:3], rng=5, **SIZES)
    assert load(save(other, folder)).sha256 != before and load(folder).sizes["genes"] == 3
    assert sorted(p.name for p in folder.iterdir()) == ["args.json", "best_model.pt", "vocab.json"]


def test_what_cannot_be_saved_says_so(model, tiny, tmp_path):
    (tmp_path / "file").write_text("x")
    for thing in (model, tiny):
        with pytest.raises(StorageError, match=r"no folder .*missing; create it first"):
            save(thing, tmp_path / "missing" / "m")
        with pytest.raises(ParameterError, match="path of a file or folder"):
            save(thing, None)
    with pytest.raises(StorageError, match="file is a file where a folder is needed"):
        save(model, tmp_path / "file")
    with pytest.raises(StorageError, match="it is a folder"):
        save(tiny, tmp_path)
    for thing in (None, "scgpt", type(model), object()):
        with pytest.raises(CapabilityError, match="has no file format"):
            save(thing, tmp_path / "m")


def test_a_user_may_hide_a_published_name_on_purpose_only(tiny, published):
    with pytest.raises(ParameterError, match=r"'small-one' is a published checkpoint.*replace=True"):
        register("small-one", lambda: tiny)
    register("small-one", lambda: tiny, description="my own", replace=True)
    assert load("small-one") is tiny and available()["small-one"] == "my own"


def test_a_foreign_checkpoint_names_its_keys(tmp_path):
    torch.save({"conv.weight": torch.zeros(2), "fc.bias": torch.zeros(1)}, tmp_path / "m.pt")
    with pytest.raises(WeightsError, match=r"no known architecture; it has 2 keys such as conv\.weight, fc\.bias"):
        load(tmp_path / "m.pt")


@pytest.mark.parametrize("gone", ["args.json", "vocab.json", "best_model.pt"])
def test_a_missing_file_of_a_checkpoint_is_named(folder, gone):
    (folder / gone).unlink()
    with pytest.raises(WeightsNotFoundError, match="files of parameters" if gone.endswith("pt") else re.escape(gone)):
        load(folder)


@pytest.mark.parametrize("heads", [None, 0, -2, True, "2", 2.5, 3, float("nan")])
def test_heads_come_from_the_configuration(folder, heads):
    args = json.loads((folder / "args.json").read_text())
    (folder / "args.json").write_text(json.dumps({**args, "nheads": heads}))
    with pytest.raises(WeightsError, match="heads"):
        load(folder)


class TestUntrained:
    @pytest.mark.parametrize("name", ["layers", "width", "heads", "feedforward"])
    @pytest.mark.parametrize("size", [0, -1, 1.5, 2.0, True, "2", float("nan"), [2]])
    def test_sizes_are_positive_integers(self, name, size):
        with pytest.raises(ParameterError, match=re.escape(f"{name}={size!r}; pass a positive integer")):
            untrained("scgpt", genes=GENES, **{**SIZES, name: size})

    def test_numpy_integers_are_integers(self):
        sizes = {name: np.int64(size) for name, size in SIZES.items()}
        assert untrained("scgpt", genes=GENES, feedforward=np.int32(12), **sizes).sizes["feedforward"] == 12

    def test_heads_divide_the_width(self):
        with pytest.raises(ParameterError, match="heads=3 does not divide width=8"):
            untrained("scgpt", genes=GENES, layers=1, width=8, heads=3)

    @pytest.mark.parametrize("genes", ["SPI1", [], None, 3, ["A", "A"], ["A", None], ["A", ""], [["A"]], [1, 2]])
    def test_genes_are_distinct_names(self, genes):
        with pytest.raises(ParameterError, match="list of distinct names"):
            untrained("scgpt", genes=genes, **SIZES)

    @pytest.mark.parametrize("genes", [tuple(GENES), np.array(GENES), dict.fromkeys(GENES), (g for g in GENES)])
    def test_genes_of_any_kind_of_list(self, genes):
        assert untrained("scgpt", genes=genes, **SIZES).source_genes == tuple(GENES)

    @pytest.mark.parametrize("family", ["scGPT", "mini", "", None, 3, "scgpt-human"])
    def test_families_are_listed(self, family):
        with pytest.raises(ParameterError, match=r"family=.*; use one of genecompass, geneformer, lpm"):
            untrained(family, genes=GENES, **SIZES)

    def test_the_seed_decides(self):
        a, b, c = (responses(untrained("scgpt", genes=GENES, rng=seed, **SIZES)) for seed in (1, 1, 2))
        assert torch.equal(a, b) and not torch.equal(a, c)
        torch.manual_seed(0)
        assert torch.equal(a, responses(untrained("scgpt", genes=GENES, rng=1, **SIZES)))
        for bad in (-1, True, "x"):
            with pytest.raises(GrnError, match="rng"):
                untrained("scgpt", genes=GENES, rng=bad, **SIZES)
