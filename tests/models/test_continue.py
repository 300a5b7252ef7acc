import hashlib
import logging

import numpy as np
import pytest
import torch

from grn._core.errors import (
    CapabilityError,
    ExpressionError,
    GeneOverlapError,
    ParameterError,
    StorageError,
    WeightsError,
)
from grn.models import _pretrain, load, pretrain

SHORT = {"steps": 3, "batch_size": 4, "visible": 15, "queries": 15, "min_genes": 20, "device": "cpu", "progress": False}


@pytest.fixture
def adata(make_planted, make_adata):
    return make_adata(make_planted()[0])


def weights(model):
    return model.network.state_dict()


def test_pretraining_writes_a_model_and_returns_it(tiny, adata, tmp_path):
    path = tmp_path / "mine.safetensors"
    before = adata.copy()
    model = pretrain(adata, path=path, model=tiny, **SHORT)
    assert model.name == "mine"
    assert model.genes == tiny.genes
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert list(tmp_path.iterdir()) == [path], "the training state is removed"
    assert not model.network.training
    back = weights(load(path))
    assert all(torch.equal(value, back[key]) for key, value in weights(model).items())
    changed = [key for key, value in weights(tiny).items() if not torch.equal(value, back[key])]
    assert len(changed) > 10
    np.testing.assert_array_equal(adata.X, before.X)
    assert list(adata.var) == list(before.var)


def test_the_seed_decides(tiny, adata, tmp_path):
    def run(name, rng):
        return weights(pretrain(adata, path=tmp_path / name, model=tiny, rng=rng, **SHORT))

    a, b, c = run("a", 1), run("b", 1), run("c", np.random.default_rng(1))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["embedding.weight"], c["embedding.weight"])


def test_the_order_of_cells_genes_and_data_sets_does_not_matter(tiny, adata, tmp_path):
    rng = np.random.default_rng(0)
    cells, genes = rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)
    half = adata.n_obs // 2
    other = adata[:half].copy()
    long = {**SHORT, "steps": 6, "lr": 0.3}

    def run(name, adatas):
        return weights(pretrain(adatas, path=tmp_path / name, model=tiny, **long))

    a = run("a", {"x": adata, "y": other})
    b = run("b", {"y": other, "x": adata[cells][:, genes].copy()})
    moved = {key: (a[key] - value).abs().max() for key, value in weights(tiny).items()}
    assert max(moved.values()) > 1e-2
    assert all((a[key] - b[key]).abs().max() <= 0.01 * max(moved.values()) for key in a)


def test_an_interrupted_call_goes_on(tiny, adata, tmp_path, monkeypatch):
    whole = weights(pretrain(adata, path=tmp_path / "whole", model=tiny, **SHORT))
    fit, save_state = _pretrain.fit, _pretrain._save_state

    def stop(*args):
        save_state(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(_pretrain, "_save_state", stop)
    monkeypatch.setattr("grn.models._continue.fit", lambda *a, **k: fit(*a, save_every=2, **k))
    with pytest.raises(KeyboardInterrupt):
        pretrain(adata, path=tmp_path / "part", model=tiny, **SHORT)
    assert (tmp_path / "part.state").is_file()
    assert not (tmp_path / "part").exists()
    monkeypatch.undo()
    with pytest.raises(WeightsError, match="another schedule"):
        pretrain(adata, path=tmp_path / "part", model=tiny, **SHORT | {"lr": 1e-5})
    found = weights(pretrain(adata, path=tmp_path / "part", model=tiny, **SHORT))
    assert all(torch.equal(whole[k], found[k]) for k in whole)
    assert not (tmp_path / "part.state").exists()


@pytest.mark.parametrize("change", ["data", "model"])
def test_a_state_of_other_data_or_another_model_does_not_resume(
    tiny, make_mini, adata, make_adata, make_planted, tmp_path, monkeypatch, change
):
    save_state = _pretrain._save_state

    def stop(*args):
        save_state(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(_pretrain, "_save_state", stop)
    with pytest.raises(KeyboardInterrupt):
        pretrain(adata, path=tmp_path / "m", model=tiny, **SHORT)
    monkeypatch.undo()
    if change == "data":
        adata = make_adata(make_planted(seed=9)[0], prefix="other")
    start = make_mini(seed=9) if change == "model" else tiny
    with pytest.raises(WeightsError, match="another"):
        pretrain(adata, path=tmp_path / "m", model=start, **SHORT)


def test_several_data_sets_and_bfloat16(tiny, adata, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="grn"):
        given = SHORT | {"precision": "bfloat16", "holdout": 0.3}
        model = pretrain({"one": adata, "two": adata[:50, :40]}, path=str(tmp_path / "m"), model=tiny, **given)
    assert model.network.embedding.weight.dtype == torch.float32
    told = [r.getMessage() for r in caplog.records if "masked R2" in r.getMessage()]
    assert [message.split(":")[0] for message in told] == ["one", "two"]


def test_no_held_out_cells(tiny, adata, tmp_path):
    assert pretrain(adata, path=tmp_path / "m", model=tiny, **SHORT | {"holdout": 0.0}).name == "m"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, "a positive integer") for name in ("steps", "batch_size", "visible", "queries")),
        ("min_genes", "an integer of at least 2, one gene to show and another to predict"),
    ],
)
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3", None])
def test_numbers_must_be_integers_that_are_large_enough(tiny, adata, tmp_path, name, expected, value):
    with pytest.raises(ParameterError, match=rf"{name}={value!r}; pass {expected}"):
        pretrain(adata, path=tmp_path / "m", model=tiny, **SHORT | {name: value})


@pytest.mark.parametrize(
    "bad",
    [
        {"sparse_context": 1.5},
        {"sparse_context": float("nan")},
        {"holdout": 1.0},
        {"holdout": -0.1},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"lr": float("inf")},
        {"precision": "float16"},
        {"rng": -1},
        {"rng": True},
        {"device": "gpu"},
    ],
)
def test_bad_arguments_leave_nothing_behind(tiny, adata, tmp_path, bad):
    with pytest.raises(ParameterError, match=next(iter(bad))):
        pretrain(adata, path=tmp_path / "m", model=tiny, **SHORT | bad)
    assert not list(tmp_path.iterdir())


def test_numpy_integers_are_integers(tiny, adata, tmp_path):
    assert pretrain(adata, path=tmp_path / "m", model=tiny, **SHORT | {"steps": np.int64(2)}).name == "m"


def test_one_gene_is_too_few_to_show_and_to_ask(tiny, adata, tmp_path):
    with pytest.raises((GeneOverlapError, ParameterError), match=r"min_genes|varying genes"):
        pretrain(adata[:, :1].copy(), path=tmp_path / "m", model=tiny, **SHORT | {"min_genes": 1})


def test_a_missing_folder_is_told_before_training(tiny, adata, tmp_path, monkeypatch):
    monkeypatch.setattr("grn.models._continue.fit", lambda *a, **k: pytest.fail("training has begun"))
    with pytest.raises(StorageError, match="none; create it first"):
        pretrain(adata, path=tmp_path / "none" / "m", model=tiny, **SHORT)


def test_data_that_do_not_fit_are_refused(tiny, adata, tmp_path):
    scaled = adata.copy()
    scaled.X = scaled.X - 5
    with pytest.raises(ExpressionError, match="scaled"):
        pretrain(scaled, path=tmp_path / "m", model=tiny, **SHORT)
    with pytest.raises(GeneOverlapError, match="at least 61"):
        pretrain(adata, path=tmp_path / "m", model=tiny, **SHORT | {"min_genes": 61})
    with pytest.raises(ParameterError, match="AnnData"):
        pretrain("cells.h5ad", path=tmp_path / "m", model=tiny, **SHORT)
    assert not list(tmp_path.iterdir())


def test_only_mini_models_are_continued(tiny, adata, tmp_path):
    class Other:
        name, gene_id_kind, sha256, max_genes, gradient_kind = "other", "symbol", "", 9, "exact"
        value_scale, capabilities, source_genes, target_genes = tiny.value_scale, frozenset(), (), ()
        panel = respond = respond_dual = attention = embed = encode_cells = to = lambda self: None

    with pytest.raises(CapabilityError, match="'other'"):
        pretrain(adata, path=tmp_path / "m", model=Other(), **SHORT)
