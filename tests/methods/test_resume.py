"""Long fits with ``cache=``: an interrupted call goes on with the same numbers, and nothing is fitted twice."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grn
from grn._core import checkpoints
from grn._kernels import ou_fit
from grn._kernels.gene_ode import Round
from grn.methods.flecs import equation
from grn.methods.ritini import method as ritini
from interrupting import Counter

STEPS = 30


@cache
def cells():
    adata = grn.datasets.toy_dynamics(n_cells=90, n_regulators=4, n_targets=8)
    grn.pp.trajectory(adata, pseudotime="time", lineages="lineage")
    adata.obs["group"] = np.where(np.arange(90) % 3 == 0, "a", "b")
    return adata


def dictys(adata, **given):
    base = adata.uns["base_grn"]
    given = {"base_grn": base, "groupby": "group", "n_steps": STEPS, "tolerance": None, **given}
    return grn.tl.dictys(adata, copy=True, layer="counts", **given)


def windows(adata, **given):
    sizes = {"trajectory": "trajectory", "window_cells": 30, "window_overlap": 15, "groupby": None}
    return dictys(adata, **{**sizes, **given})


def flecs(adata, **given):
    given = {"n_epochs": 6, "n_ensemble": 2, "max_paths": 12, "smooth": False, **given}
    return grn.tl.flecs(adata, base_grn=adata.uns["base_grn"], copy=True, **given)


def ritini_(adata, **given):
    given = {"n_epochs": 6, "n_times": 14, "prior": "base_grn", "dropout": 0.1, **given}
    return grn.tl.ritini(adata, base_grn=adata.uns["base_grn"], copy=True, **given)


CALLS = {"dictys": dictys, "windows": windows, "flecs": flecs, "ritini": ritini_}
EVERY = pytest.mark.parametrize("name", CALLS)


def same(one, two):
    """Edges, tables, arrays and layers of two results, to the last bit."""
    key = next(name for name in ("dictys", "flecs", "ritini") if name in one.uns)
    assert one.uns[key].keys() == two.uns[key].keys()
    for name, value in one.uns[key].items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, two.uns[key][name], check_exact=True)
        elif name == "fit":
            for array, values in value.items():
                np.testing.assert_array_equal(values, two.uns[key][name][array], err_msg=array)
    for layer in {f"{key}_velocity"} & {*one.layers}:
        np.testing.assert_array_equal(one.layers[layer], two.layers[layer])


@pytest.fixture
def counted(monkeypatch):
    """Counts the steps or rounds that are computed."""
    counter = Counter()
    step, order, of_epoch = ou_fit._Objective.step, equation.shuffled, ritini.train.__globals__["_batches"]
    monkeypatch.setattr(ou_fit._Objective, "step", counter.wrapped(step))
    monkeypatch.setattr(equation, "shuffled", counter.wrapped(order))
    monkeypatch.setitem(ritini.train.__globals__, "_batches", counter.wrapped(of_epoch))
    return counter


@pytest.fixture
def always(monkeypatch):
    """States are written whenever they are offered."""
    monkeypatch.setattr(checkpoints, "_EVERY", 0.0)
    monkeypatch.setattr(checkpoints, "_SHARE", 0.0)


def test_the_wrapped_functions_are_those_of_the_fits():
    assert isinstance(equation.shuffled(0, 1, 2, 0), Round)


@EVERY
def test_a_cache_changes_no_number_and_nothing_is_fitted_twice(name, counted, tmp_path):
    call = CALLS[name]
    whole = call(cells())
    n = counted.n
    same(whole, call(cells(), cache=tmp_path))
    assert counted.n == 2 * n > 0
    same(whole, call(cells(), cache=tmp_path))
    assert counted.n == 2 * n
    assert not list(tmp_path.rglob("*.state"))


@pytest.mark.parametrize(
    ("name", "share"), [*((name, 0.6) for name in CALLS), ("dictys", 0.3), ("dictys", 0.95), ("flecs", 0.95)]
)
def test_an_interrupted_fit_goes_on_with_the_same_numbers(name, share, counted, always, tmp_path):
    call = CALLS[name]
    whole = call(cells())
    n, counted.n = counted.n, 0
    counted.stop = int(share * n)
    with pytest.raises(KeyboardInterrupt):
        call(cells(), cache=tmp_path)
    counted.stop = None
    same(whole, call(cells(), cache=tmp_path))
    # what was computed after the last state is lost: at most ten steps, or a round
    assert n <= counted.n <= n + 10


@pytest.mark.parametrize("given", [{}, {"parity": True}, {"n_factors": 2, "covariates": ["time"]}])
def test_every_way_of_dictys_goes_on(given, counted, always, tmp_path):
    whole = dictys(cells(), **given)
    n, counted.n = counted.n, 0
    counted.stop = n // 2 + 3
    with pytest.raises(KeyboardInterrupt):
        dictys(cells(), cache=tmp_path, **given)
    counted.stop = None
    same(whole, dictys(cells(), cache=tmp_path, **given))
    assert counted.n <= n + 10


@pytest.mark.parametrize("given", [{"fit": "flow_matching"}, {"parity": True}, {"scale": False}])
def test_every_way_of_flecs_goes_on(given, counted, always, monkeypatch, tmp_path):
    whole = flecs(cells(), **given)
    monkeypatch.setattr(equation, "in_order", counted.wrapped(equation.in_order))
    counted.n, counted.stop = 0, 4
    with pytest.raises(KeyboardInterrupt):
        flecs(cells(), cache=tmp_path, **given)
    counted.stop = None
    same(whole, flecs(cells(), cache=tmp_path, **given))
    assert counted.n == 6


def test_sets_that_are_done_in_a_batch_are_kept_and_the_others_go_on(counted, always, monkeypatch, tmp_path):
    """Windows that stop early are finished while others of their batch are on their way."""
    given = {"tolerance": 0.05, "n_steps": 600}
    whole = windows(cells(), **given)
    steps = whole.uns["dictys"]["params"]["steps"]
    assert len(set(steps.values())) > 1
    n, counted.n = counted.n, 0
    counted.stop = n - 3
    with pytest.raises(KeyboardInterrupt):
        windows(cells(), cache=tmp_path, **given)
    folder = tmp_path / "dictys"
    n_done = len(list(folder.glob("*.sealed")))
    assert 0 < n_done < len(steps) == n_done + len(list(folder.glob("*.state")))
    counted.stop = None
    same(whole, windows(cells(), cache=tmp_path, **given))
    assert counted.n <= n + 10


@EVERY
def test_other_arguments_and_data_make_parts_of_their_own(name, counted, tmp_path):
    call = CALLS[name]
    rounds = {"n_steps": STEPS + 10} if name in ("dictys", "windows") else {"n_epochs": 7}
    call(cells(), cache=tmp_path)
    n = counted.n
    same(call(cells(), **rounds), call(cells(), cache=tmp_path, **rounds))
    assert counted.n > 3 * n
    changed = cells().copy()
    values = changed.layers["counts"].copy()
    values[values > 2] += 1
    changed.layers["counts"], changed.X = values, changed.X * 1.5
    n = counted.n
    alone = call(changed)
    n_alone = counted.n - n
    same(alone, call(changed, cache=tmp_path))
    assert counted.n == n + 2 * n_alone


def test_groups_that_stay_the_same_are_not_fitted_again(counted, tmp_path):
    dictys(cells(), cache=tmp_path)
    n, more = counted.n, cells().copy()
    more.obs["group"] = np.where(more.obs["group"] == "a", "first", np.where(np.arange(90) % 3 == 1, "c", "d"))
    same(dictys(more), dictys(more, cache=tmp_path))
    # the group of other name is that of before, the two halves of the other are new
    n_files = len(list((tmp_path / "dictys").iterdir()))
    assert n_files == 4 and counted.n > n


def damaged(path, how):
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "empty": b"",
            "cut": content[:50],
            "zeros": bytes(len(content)),
            "a bit": content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :],
        }[how]
    )


@pytest.mark.parametrize(
    ("name", "how"), [*(("dictys", how) for how in ("empty", "cut", "zeros")), *((name, "a bit") for name in CALLS)]
)
def test_damaged_files_are_made_again(name, how, counted, always, tmp_path, caplog):
    call = CALLS[name]
    whole = call(cells(), cache=tmp_path)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    kept = {path: path.read_bytes() for path in files}
    damaged(files[0], how)
    same(whole, call(cells(), cache=tmp_path))
    assert "is damaged" in caplog.text
    assert {path: path.read_bytes() for path in files} == kept
    # and so are states
    for path in files:
        path.unlink()
    counted.n, counted.stop = 0, 4 if name in ("flecs", "ritini") else 25
    with pytest.raises(KeyboardInterrupt):
        call(cells(), cache=tmp_path)
    counted.stop = None
    for path in tmp_path.rglob("*.state"):
        damaged(path, how)
    same(whole, call(cells(), cache=tmp_path))


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(counted, tmp_path):
    place = tmp_path / "file"
    place.write_text("x")
    with pytest.raises(grn.errors.StorageError, match="a file"):
        dictys(cells(), cache=place)
    with pytest.raises(grn.errors.ParameterError, match="cache="):
        flecs(cells(), cache=3)
    assert counted.n == 0


def test_a_fingerprint_tells_values_types_and_shapes_apart():
    values = [0, 0.0, False, None, "0", "", [], [0], [[0]], {"a": 0}, {"b": 0}, np.zeros(2), np.zeros((2, 1)), "None"]
    values += [np.zeros(2, np.float32), ["ab", "c"], ["a", "bc"], np.array(["a"], dtype=object), ["a"] * 2]
    values += [
        kind(np.diag([*diagonal, 0.0])) for kind in (sparse.csr_array, sparse.csc_array) for diagonal in ([1], [2])
    ]
    values += [sparse.csr_array((2, 2)), sparse.csr_array((2, 3))]
    made = [checkpoints.fingerprint(value) for value in values]
    assert len(set(made)) == len(values)
    assert checkpoints.fingerprint({"b": 1, "a": 2}) == checkpoints.fingerprint({"a": np.int64(2), "b": 1})
    with pytest.raises(TypeError, match="no fingerprint"):
        checkpoints.fingerprint(object())


def test_states_are_written_from_time_to_time_only(monkeypatch, tmp_path):
    now = [0.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    saved = []

    class Slow(checkpoints.Part):
        def save(self, arrays):
            now[0] += 5.0
            saved.append(now[0])

    states = checkpoints.States([Slow(tmp_path, "a")])
    for second in range(0, 300, 10):
        now[0] = max(now[0], float(second))
        states.offer([0], lambda _: {})
    # after half a minute, and then no more than a twentieth of the time goes into writing
    assert saved[0] == 35.0 and len(saved) == 3
