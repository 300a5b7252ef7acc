import hashlib
import logging
from dataclasses import replace

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
from grn.models import load, pretrain
from grn.models._continue import OWN, with_sets
from grn.models._memory_fit import CELLS, spread, states_of
from grn.models._training_cells import cell_sets, hold_out

GIVEN = {"min_genes": 20, "progress": False}
VOCABULARY = {f"G{i:02d}": i for i in range(60)}


@pytest.fixture
def adata(make_planted, make_adata):
    return make_adata(make_planted()[0])


def weights(model):
    return model.network.state_dict()


def spread_of(network, i):
    rows = network.set_of == i
    share = network.share[rows] / network.share[rows].sum()
    return spread((network.states[rows] @ network.embedding.T).numpy(), share.numpy())


def test_a_model_with_more_states_is_written_and_returned(tiny, adata, tmp_path):
    path = tmp_path / "mine.safetensors"
    before = adata.copy()
    model = pretrain({"blood": adata}, path=path, model=tiny, **GIVEN)
    assert (model.name, model.genes) == ("mine", tiny.genes)
    assert model.sets == (*tiny.sets, "blood") and model.seen == f"{tiny.seen}, {OWN}"
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert list(tmp_path.iterdir()) == [path]
    back, old = weights(load(path)), weights(tiny)
    assert all(torch.equal(value, back[key]) for key, value in weights(model).items())
    assert torch.equal(back["embedding"], old["embedding"].half().float())
    for key in ("states", "share", "weight", "set_of"):
        kept = old[key].half().float() if key == "states" else old[key]
        assert torch.equal(back[key][: len(kept)], kept), key
    n = model.network.config.n_states - 12
    assert 2 <= n <= CELLS["states"]
    assert (back["set_of"][12:] == 3).all() and len(back["share"]) == 12 + n and len(back["weight"]) == 4
    torch.testing.assert_close(back["share"][12:].sum(), torch.tensor(1.0))
    np.testing.assert_array_equal(adata.X, before.X)
    assert list(adata.var) == list(before.var)


def test_states_are_ridge_regression_on_the_gene_factors(tiny, adata):
    (cells,) = cell_sets({"blood": adata[:, ::-2].copy()}, VOCABULARY, min_genes=5)
    network = with_sets(tiny.network, [cells], 1.0)
    found = states_of(cells, **CELLS, weight=1.0)
    E = tiny.network.embedding.double().numpy()[found.tokens]
    scores = np.linalg.solve(E.T @ E + tiny.network.config.ridge * np.eye(8), E.T @ found.values.T).T
    whole = tiny.network.embedding.double().numpy()
    expected = scores / np.linalg.norm(whole, axis=0)
    states = network.states[12:].double().numpy()
    ratio = np.linalg.norm(states) / np.linalg.norm(expected)
    np.testing.assert_allclose(states, ratio * expected, rtol=1e-4, atol=1e-5)
    variances = [
        np.average(np.square(rows @ whole.T).mean(1), weights=share)
        for rows, share in (
            (network.states[network.set_of == i].numpy(), network.share[network.set_of == i].numpy()) for i in range(4)
        )
    ]
    np.testing.assert_allclose(variances[3], np.median(variances[:3]), rtol=1e-4)
    np.testing.assert_allclose(network.share[12:], found.share, rtol=1e-6)


@pytest.mark.parametrize("weight", [1.0, 3.5])
def test_a_weight_is_relative_to_the_median_data_set(tiny, adata, weight):
    (cells,) = cell_sets({"blood": adata}, VOCABULARY, min_genes=5)
    network = with_sets(tiny.network, [cells], weight)
    products = [float(network.weight[i]) * spread_of(network, i) for i in range(4)]
    np.testing.assert_allclose(products[3], weight * np.median(products[:3]), rtol=1e-5)


def test_the_model_answers_with_the_new_states_in_proportion(tiny, adata):
    """With nothing shown and states of all data sets at zero but the new ones, the answer grows with the weight."""
    (cells,) = cell_sets({"blood": adata}, VOCABULARY, min_genes=5)
    network = with_sets(tiny.network, [cells], 2.0)
    shown, values = torch.arange(3), torch.tensor([[1.0, -1.0, 2.0]])
    p = network.posterior(shown, values)
    total = p[0, 12:].sum()
    torch.testing.assert_close(total, network.weight[3] / network.weight.sum())
    old = tiny.network.posterior(shown, values)
    torch.testing.assert_close(p[:, :12], old * (1 - total), rtol=1e-4, atol=1e-6)


def test_held_out_cells_are_predicted_better(make_memory, make_planted, make_adata, tmp_path, caplog):
    """Gene factors that can hold the planted programmes, and states that know nothing of them."""
    values, loadings = make_planted(n_cells=400, rank=2)
    start = make_memory(d=2, precision=2.0, crowding=20.0, gain=1.0)
    start.network.embedding.copy_(torch.as_tensor(loadings, dtype=torch.float32))
    with caplog.at_level(logging.INFO, logger="grn"):
        pretrain({"own": make_adata(values)}, path=tmp_path / "m", model=start, weight=1e4, holdout=0.2, **GIVEN)
    (told,) = [r.args for r in caplog.records if "masked R2" in r.msg]
    name, before, after, _ = told
    assert name == "own" and after > before + 0.2


def test_a_second_call_gives_the_same_bytes(tiny, adata, tmp_path):
    for name in "ab":
        pretrain(adata, path=tmp_path / name, model=tiny, **GIVEN)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_order_of_cells_genes_and_data_sets_does_not_matter(tiny, adata, tmp_path):
    rng = np.random.default_rng(0)
    cells, genes = rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)
    other = adata[: adata.n_obs // 2].copy()

    def run(name, adatas):
        return pretrain(adatas, path=tmp_path / name, model=tiny, max_cells=60, **GIVEN)

    a = run("a", {"x": adata, "y": other})
    b = run("b", {"y": other, "x": adata[cells][:, genes].copy()})
    assert a.sets == b.sets == (*tiny.sets, "x", "y")
    for key, value in weights(a).items():
        torch.testing.assert_close(value, weights(b)[key], rtol=1e-3, atol=1e-3)


def test_one_model_after_another(tiny, adata, tmp_path):
    """Two calls add what one call adds."""
    sets = {"x": adata, "y": adata[:50].copy()}
    both = pretrain(sets, path=tmp_path / "both", model=tiny, **GIVEN)
    first = pretrain({"x": sets["x"]}, path=tmp_path / "first", model=tiny, **GIVEN)
    second = pretrain({"y": sets["y"]}, path=tmp_path / "second", model=tmp_path / "first", **GIVEN)
    assert second.sets == both.sets and second.seen == both.seen == first.seen
    for key in ("states", "share", "set_of"):
        torch.testing.assert_close(weights(second)[key], weights(both)[key], rtol=1e-2, atol=1e-2)
    with pytest.raises(ParameterError, match=r"has a data set 'x' already; pass a dict"):
        pretrain({"x": adata}, path=tmp_path / "third", model=second, **GIVEN)


def test_many_cells_are_drawn_and_told(tiny, adata, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="grn"):
        few = pretrain({"x": adata}, path=tmp_path / "few", model=tiny, max_cells=40, **GIVEN)
    assert "x: 40 of 90 cells are looked at" in caplog.text
    assert few.network.config.n_states - 12 <= 10


def test_several_data_sets_are_told_apart(tiny, adata, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="grn"):
        sets = {"two": adata[:50, :40].copy(), "one": adata}
        model = pretrain(sets, path=str(tmp_path / "m"), model=tiny, holdout=0.3, **GIVEN)
    assert [r.args[0] for r in caplog.records if "masked R2" in r.msg] == ["one", "two"]
    assert model.sets[-2:] == ("one", "two")


def test_no_held_out_cells(tiny, adata, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="grn"):
        assert pretrain(adata, path=tmp_path / "m", model=tiny, holdout=0.0, **GIVEN).name == "m"
    assert "masked R2" not in caplog.text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("max_cells", "an integer of at least 2"),
        ("min_genes", "an integer of at least 2, one gene to show and another to predict"),
    ],
)
@pytest.mark.parametrize("value", [0, -1, 1, 1.5, True, "3", None])
def test_numbers_must_be_integers_that_are_large_enough(tiny, adata, tmp_path, name, expected, value):
    with pytest.raises(ParameterError, match=rf"{name}={value!r}; pass {expected}"):
        pretrain(adata, path=tmp_path / "m", model=tiny, **GIVEN | {name: value})


@pytest.mark.parametrize(
    "bad",
    [
        {"holdout": 1.0},
        {"holdout": -0.1},
        {"weight": 0.0},
        {"weight": -1},
        {"weight": float("nan")},
        {"weight": float("inf")},
        {"weight": "1"},
        {"values": "log2"},
    ],
)
def test_bad_arguments_leave_nothing_behind(tiny, adata, tmp_path, bad):
    with pytest.raises(ParameterError, match=next(iter(bad))):
        pretrain(adata, path=tmp_path / "m", model=tiny, **GIVEN | bad)
    assert not list(tmp_path.iterdir())


def test_numpy_numbers_are_numbers(tiny, adata, tmp_path):
    given = GIVEN | {"max_cells": np.int64(50), "weight": np.float32(1)}
    assert pretrain(adata, path=tmp_path / "m", model=tiny, **given).name == "m"


def test_a_missing_folder_is_told_before_anything_is_computed(tiny, adata, tmp_path, monkeypatch):
    monkeypatch.setattr("grn.models._continue.with_sets", lambda *a: pytest.fail("it has begun"))
    with pytest.raises(StorageError, match="none; create it first"):
        pretrain(adata, path=tmp_path / "none" / "m", model=tiny, **GIVEN)


def test_data_that_do_not_fit_are_refused(tiny, adata, tmp_path):
    scaled = adata.copy()
    scaled.X = scaled.X - 5
    with pytest.raises(ExpressionError, match="scaled"):
        pretrain(scaled, path=tmp_path / "m", model=tiny, **GIVEN)
    with pytest.raises(GeneOverlapError, match="at least 61"):
        pretrain(adata, path=tmp_path / "m", model=tiny, **GIVEN | {"min_genes": 61})
    with pytest.raises(ParameterError, match="AnnData"):
        pretrain("cells.h5ad", path=tmp_path / "m", model=tiny, **GIVEN)
    assert not list(tmp_path.iterdir())


def test_two_cells_are_enough(tiny, adata, tmp_path):
    model = pretrain({"pair": adata[:2].copy()}, path=tmp_path / "m", model=tiny, **GIVEN)
    assert all(torch.isfinite(value).all() for value in weights(model).values())


@pytest.mark.parametrize("n", [3, 8])
def test_holding_out_leaves_cells_to_learn_from(tiny, adata, n):
    """Whatever is asked to be held out, and where the cells that would be left are copies of one."""
    (cells,) = cell_sets({"few": adata[:n].copy()}, VOCABULARY, min_genes=5)
    copies = replace(cells, X=cells.X[[0] + [1] * (n - 1)])
    for each in (cells, copies):
        for fraction in np.linspace(0, 0.999, 40):
            train, held = hold_out(each, fraction)
            assert len(train.names) + len(held.names) == n and len(train.names) >= 2
            network = with_sets(tiny.network, [train], 1.0)
            assert all(torch.isfinite(value).all() for value in network.state_dict().values())


def test_only_memories_take_more_cells(tiny, adata, tmp_path):
    class Other:
        name, gene_id_kind, sha256, max_genes, gradient_kind = "other", "symbol", "", 9, "exact"
        value_scale, capabilities, source_genes, target_genes = tiny.value_scale, frozenset(), (), ()
        panel = respond = respond_dual = attention = embed = encode_cells = to = lambda self: None

    with pytest.raises(CapabilityError, match="'other'"):
        pretrain(adata, path=tmp_path / "m", model=Other(), **GIVEN)


def test_files_of_another_format_are_refused(adata, tmp_path):
    (tmp_path / "no.safetensors").write_bytes(b"no weights")
    with pytest.raises(WeightsError):
        pretrain(adata, path=tmp_path / "m", model=tmp_path / "no.safetensors", **GIVEN)
