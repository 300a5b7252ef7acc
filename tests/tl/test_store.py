"""Probes whose features go to a folder: the same numbers, found by name, nothing lost when a run is stopped."""

import copy
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import grn
from grn._core import store as format_
from grn.errors import GeneNameError, GroupError, ParameterError, ResultNotFoundError, StorageError
from grn.methods.probes import execution

PROBES = ("vvp", "gradient_trajectory")


@pytest.fixture(scope="module")
def _probed(random_model, tmp_path_factory):
    """An object with both probes in a store, its twin with both in memory, and the model.

    The model takes few genes at a time, so that there are several panels and short units; sources are not in its order.
    """
    model = copy.copy(random_model)
    model.max_genes = 40
    folder = tmp_path_factory.mktemp("probed") / "store"
    adata = grn.datasets.toy(n_cells=60)
    twin = adata.copy()
    arguments = {"model": model, "sources": list(adata.var_names[::-1][8:]), "progress": False}
    grn.tl.probe(adata, store=folder, **arguments)
    grn.tl.probe(twin, **arguments)
    return adata, twin, model, folder


@pytest.fixture
def small(_probed):
    return _probed[2]


@pytest.fixture
def everyone(toy):
    return list(toy.var_names[::-1][8:])


@pytest.fixture
def stored(_probed, tmp_path):
    """The object and its twin, with a store of their own."""
    adata, twin, _, folder = _probed
    shutil.copytree(folder, tmp_path / "store")
    adata = adata.copy()
    for key in PROBES:
        adata.uns[key]["store"] = str(tmp_path / "store")
    return adata, twin.copy()


def same_features(adata, twin, **chosen):
    for key in PROBES:
        found = grn.get.features(adata, key=key, **chosen)
        expected = grn.get.features(twin, key=key, **{"sources": list(found.sources), **chosen})
        np.testing.assert_array_equal(found.values, expected.values)
        for axis in ("targets", "sources", "grid"):
            assert getattr(found, axis).tolist() == getattr(expected, axis).tolist()
        assert found.value_scale == expected.value_scale and not found.values.flags.writeable
        groups = [None if x.groups is None else x.groups.tolist() for x in (found, expected)]
        assert groups[0] == groups[1]


def test_a_store_gives_the_numbers_of_memory(stored, _probed, tmp_path, same):
    adata, twin = stored
    assert _probed[0].uns["vvp"]["store"] == str(_probed[3])
    assert not set(PROBES) & set(adata.varm)
    for key in PROBES:
        entry, other = adata.uns[key], twin.uns[key]
        assert set(entry) == set(other) | {"store", "store_sha256"}
        assert set(entry["sources"]) == set(other["sources"])
        assert same(entry["params"], other["params"])
        assert entry["store_sha256"] == format_.digest(format_.manifest_of(tmp_path / "store"))
    same_features(adata, twin)


@pytest.mark.parametrize("probe", ["vvp", "gradient_trajectory", "pert"])
def test_every_probe_takes_a_store(toy, random_model, tmp_path, probe):
    twin = toy.copy()
    context = {} if probe == "pert" else {"context": "mean"}
    arguments = {"model": random_model, "groupby": "group", "progress": False, **context}
    getattr(grn.tl, probe)(toy, store=str(tmp_path / "store"), **arguments)
    getattr(grn.tl, probe)(twin, **arguments)
    for group in [None, *toy.obs["group"].unique()]:
        found = grn.get.features(toy, key=probe, group=group)
        expected = grn.get.features(twin, key=probe, group=group, sources=list(found.sources))
        np.testing.assert_array_equal(found.values, expected.values)
        assert found.groups.tolist() == expected.groups.tolist() and found.grid.tolist() == expected.grid.tolist()
    with pytest.raises(GroupError, match="no group 'nobody'"):
        grn.get.features(toy, key=probe, group="nobody")


def test_the_contexts_of_lpm_are_groups_of_a_store_too(toy, tmp_path):
    model = grn.models.untrained("lpm", genes=list(toy.var_names))
    twin = toy.copy()
    grn.tl.perturbation_response(toy, model=model, store=tmp_path / "store", progress=False)
    grn.tl.perturbation_response(twin, model=model, progress=False)
    for group in (None, model.contexts[-1]):
        found = grn.get.features(toy, key="perturbation_response", group=group)
        expected = grn.get.features(twin, key="perturbation_response", group=group, sources=list(found.sources))
        np.testing.assert_array_equal(found.values, expected.values)
        assert found.groups.tolist() == expected.groups.tolist()


def test_selections_read_what_was_asked_for(stored, everyone):
    adata, twin = stored
    same_features(adata, twin, sources=[everyone[7], everyone[0]], targets=everyone[30:20:-1])
    same_features(adata, twin, targets=everyone[3], sources=everyone[2])
    with pytest.raises(GeneNameError, match="nobody"):
        grn.get.features(adata, key="vvp", sources=["nobody"])
    with pytest.raises(GroupError, match="no groups"):
        grn.get.features(adata, key="vvp", group="a")


def test_genes_are_found_by_name_after_slicing(stored):
    adata, twin = stored
    kept = adata.var_names[[5, 3, 30, 11]]
    same_features(adata[:, kept].copy(), twin[:, kept].copy())
    renamed = adata.copy()
    renamed.var_names = ["new", *renamed.var_names[1:]]
    with pytest.raises(GeneNameError, match=r"1 of 48 names are not among the genes of the store .*new"):
        grn.get.features(renamed, key="vvp")
    assert grn.get.features(renamed, key="vvp", targets=renamed.var_names[3]).values.shape == (1, 40, 8)


def test_an_object_that_names_a_store_survives_a_round_trip(stored, reread):
    adata, twin = stored
    same_features(reread(adata), twin)


def test_a_store_that_is_gone_moved_foreign_or_unfinished_is_told(stored, tmp_path, toy, small):
    adata, twin = stored
    shutil.move(tmp_path / "store", tmp_path / "elsewhere")
    with pytest.raises(ResultNotFoundError, match=r"not there.*adata\.uns\['vvp'\]\['store'\]"):
        grn.get.features(adata, key="vvp")
    for key in PROBES:
        adata.uns[key]["store"] = str(tmp_path / "elsewhere")
    same_features(adata, twin)
    grn.tl.probe(toy.copy(), model=small, store=tmp_path / "store", progress=False)
    adata.uns["vvp"]["store"] = str(tmp_path / "store")
    with pytest.raises(ResultNotFoundError, match="holds other features"):
        grn.get.features(adata, key="vvp")
    (tmp_path / "elsewhere" / format_.FINISHED / ".zattrs").unlink()
    with pytest.raises(ResultNotFoundError, match="not finished"):
        grn.get.features(adata, key="gradient_trajectory")


def test_slots_are_overwritten_whole(toy, random_model, tmp_path):
    arguments = {"model": random_model, "progress": False}
    grn.tl.vvp(toy, **arguments)
    copied = grn.tl.vvp(toy, store=tmp_path / "store", copy=True, **arguments)
    assert "vvp" in toy.varm and "store" not in toy.uns["vvp"]
    assert "vvp" not in copied.varm and "store" in copied.uns["vvp"]
    grn.tl.vvp(copied, **arguments)
    assert "vvp" in copied.varm and "store" not in copied.uns["vvp"]
    with pytest.raises(ResultNotFoundError, match="'vvp'"):
        grn.get.features(copied, key="nothing")


def test_a_finished_store_is_used_again_without_a_pass(stored, toy, small, everyone, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the model was asked again")

    monkeypatch.setattr(type(small), "respond", refuse)
    again = grn.datasets.toy(n_cells=60)
    grn.tl.probe(again, model=small, sources=everyone, store=tmp_path / "store", progress=False)
    assert grn.get.features(again, key="vvp").values.shape == (48, 40, 8)


def test_a_damaged_store_is_told_and_mended_by_the_same_call(stored, small, everyone, tmp_path, caplog):
    adata, twin = stored
    folder = tmp_path / "store"
    whole = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    chunks = sorted(path for path in whole if path.name.startswith("0."))
    chunks[0].unlink()
    chunks[-1].write_bytes(whole[chunks[-1]][:-3] + b"xyz")
    (folder / format_.FINISHED / ".zarray").write_bytes(b"{")
    with pytest.raises(StorageError, match=r"finished/.zarray is not as it was written.*grn\.tl\.probe\("):
        grn.get.features(adata, key="vvp")
    (folder / format_.FINISHED / ".zarray").write_bytes(whole[folder / format_.FINISHED / ".zarray"])
    for key, what in (("vvp", "its checksum is another"), ("gradient_trajectory", "it is missing")):
        with pytest.raises(StorageError, match=rf"'{key}' of .*{what}.*grn\.tl\.probe\(adata, store="):
            grn.get.features(adata, key=key)
    grn.tl.probe(adata, model=small, sources=everyone, store=folder, progress=False)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == whole
    assert caplog.text.count("is damaged in unit") == 2
    same_features(adata, twin)


def test_ctrl_c_leaves_the_object_alone_and_a_store_that_goes_on(
    toy, small, everyone, tmp_path, monkeypatch, snapshot, same
):
    before, whole = snapshot(toy), toy.copy()
    plain, asked = type(small).respond, []

    def counted(self, *given, **more):
        asked.append(1)
        if interrupt and any(finished.glob("[0-9]*")):  # as soon as something is done
            raise KeyboardInterrupt
        return plain(self, *given, **more)

    monkeypatch.setattr(type(small), "respond", counted)
    arguments = {"model": small, "sources": everyone, "progress": False}
    finished, interrupt = tmp_path / "store" / format_.FINISHED, True
    with pytest.raises(KeyboardInterrupt):
        grn.tl.vvp(toy, store=tmp_path / "store", **arguments)
    after = snapshot(toy)
    assert all(same(before[slot], after[slot]) for slot in before)
    assert list(finished.glob("[0-9]*"))
    interrupt = False
    del asked[:]
    grn.tl.vvp(toy, store=tmp_path / "store", **arguments)
    rest = len(asked)
    grn.tl.vvp(whole, store=tmp_path / "whole", **arguments)
    assert 0 < rest < len(asked) - rest
    found = [grn.get.features(thing, key="vvp").values for thing in (toy, whole)]
    np.testing.assert_array_equal(*found)


def test_features_beyond_the_budget_need_a_store(toy, random_model, tmp_path, refuses):
    with grn.settings.override(feature_budget=20_000):
        told = refuses(ParameterError, grn.tl.probe, toy, model=random_model)
        assert "24 KiB" in told and "store=" in told and "19.5 KiB" in told
        raw = {"method": "vvp", "params": {"translator": None}}
        with grn.settings.override(feature_budget=10_000):
            assert "store=" in refuses(ParameterError, grn.tl.infer_network, toy, model=random_model, **raw)
        grn.tl.vvp(toy, model=random_model, progress=False)
        grn.tl.probe(toy, model=random_model, store=tmp_path / "store", progress=False)
        grn.get.features(toy, key="vvp")
    with grn.settings.override(feature_budget=10_000):
        with pytest.raises(ParameterError, match=r"12 KiB .*sources="):
            grn.get.features(toy, key="vvp")
        assert grn.get.features(toy, key="vvp", sources=toy.uns["vvp"]["sources"][:2]).values.shape == (48, 2, 8)


def test_translators_and_networks_read_stores(stored, small, everyone):
    adata, twin = stored
    labels = adata.uns["truth"]
    arguments = {"members": 1, "epochs": 3}
    fitted = [{key: grn.tl.fit_translator(thing, labels, key=key, **arguments) for key in PROBES} for thing in stored]
    twice = [fitted[i][key].logits(twin.varm[key]) for i in (0, 1) for key in PROBES]
    np.testing.assert_allclose(twice[0], twice[2], atol=1e-4)
    np.testing.assert_allclose(twice[1], twice[3], atol=1e-4)
    edges = []
    for thing in stored:
        grn.tl.ugrn(thing, model=small, sources=everyone, translator=fitted[1], progress=False)
        edges.append(grn.get.edges(thing))
    assert edges[0].equals(edges[1])


def test_networks_do_not_compute_what_a_store_holds(stored, small, everyone, monkeypatch, caplog, tmp_path):
    adata, _ = stored
    translators = {k: grn.tl.fit_translator(adata, adata.uns["truth"], key=k, members=1, epochs=1) for k in PROBES}
    plain = type(small).respond
    asked = []
    monkeypatch.setattr(type(small), "respond", lambda self, *g, **m: (asked.append(1), plain(self, *g, **m))[1])
    arguments = {"model": small, "sources": everyone, "translator": translators, "progress": False}
    grn.tl.ugrn(adata, **arguments)
    assert not asked
    shutil.rmtree(tmp_path / "store")
    with caplog.at_level(logging.WARNING, logger="grn"):
        grn.tl.ugrn(adata, **arguments)
    assert asked and "not there" in caplog.text


def test_curves_are_drawn_from_a_store(stored, everyone):
    adata, twin = stored
    pairs = [(everyone[0], everyone[1]), (everyone[2], everyone[9])]
    with grn.settings.override(feature_budget=1000):  # far less than the store holds
        panels = [grn.pl.response(thing, pairs=pairs, keys=list(PROBES)) for thing in stored]
    for ours, theirs in zip(*panels, strict=True):
        for line, other in zip(ours.lines, theirs.lines, strict=True):
            np.testing.assert_array_equal(line.get_ydata(), other.get_ydata())
    assert Path(adata.uns["vvp"]["store"]).is_dir() and "vvp" in twin.varm


@pytest.mark.parametrize("where", [None, "store"])
def test_a_long_run_is_announced_once(toy, small, everyone, tmp_path, monkeypatch, caplog, where):
    monkeypatch.setattr(execution, "LONG", 0.0)
    store = None if where is None else tmp_path / where
    with caplog.at_level(logging.WARNING, logger="grn"):
        grn.tl.vvp(toy, model=small, sources=everyone, store=store, progress=False)
    told = [record.message for record in caplog.records]
    assert len(told) == 1 and told[0].startswith("vvp: about ") and "regulators" in told[0]
    assert ("goes on" in told[0]) == (store is not None) and ("store='folder'" in told[0]) == (store is None)


def test_a_short_run_is_not_announced(toy, random_model, caplog):
    with caplog.at_level(logging.WARNING, logger="grn"):
        grn.tl.vvp(toy, model=random_model, progress=False)
    assert not caplog.records
    assert [execution.duration(s) for s in (12.3, 600, 7200, 400_000)] == ["12 s", "10 min", "2.0 h", "4.6 days"]


def run_script(*arguments):
    """Run the script beside this file, in a process of its own; what it found."""
    folders = [Path(grn.__file__).parents[1], Path(__file__).parents[1] / "shared"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders)), "OMP_NUM_THREADS": "1"}
    script = Path(__file__).with_name("store_runs.py")
    command = [sys.executable, str(script), *map(str, arguments)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_random_moments_a_run_goes_on_to_the_same_bytes(tmp_path):
    found = run_script("killed", tmp_path, 20)
    assert found["repetitions"] == 20 and found["kills"] == 30
    assert found["different"] == []
    assert len(set(found["finished_at_kill"])) >= 4, "kills came at too few different moments to prove anything"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_three_processes_on_one_store_leave_each_other_alone(tmp_path):
    found = run_script("crowd", tmp_path, 12)
    assert found["failed"] == 0 and found["different"] == []
    assert found["kills"] == 18 and len(set(found["finished_at_kill"])) >= 4


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="reads the peak from getrusage")
def test_memory_does_not_grow_with_regulators(tmp_path):
    few, many = (run_script("memory", tmp_path / str(n), n) for n in (50, 400))
    kept = many["features"] - few["features"]
    assert kept > 80 * 2**20, "too small to be seen"
    assert many["peak"] - few["peak"] < 0.3 * kept
    assert many["peak"] < 1.1 * few["peak"]
    assert many["peak"] - many["before"] < grn.settings.memory_budget
