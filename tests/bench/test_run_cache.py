"""Runs with a cache: finished trials are kept, an interrupted run goes on, other inputs are other trials."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn.bench import READINGS, _corpus_sets, _evaluation, _trial


def count_trials(monkeypatch, *, fail_at=None):
    """Record which trials are run; raise at one of them."""
    done = []

    def counted(trainer, board, contest):
        if len(done) + 1 == fail_at:
            raise RuntimeError("the light went out")
        done.append((board.reference.dataset, trainer.protocol.name))
        return _trial.run_trial(trainer, board, contest)

    monkeypatch.setattr(_evaluation, "run_trial", counted)
    return done


def test_finished_trials_are_not_computed_again(quick, tmp_path, monkeypatch, runs):
    done = count_trials(monkeypatch)
    first = quick(cache=tmp_path)
    assert done == [("two", "paper")]
    assert runs.same(first, quick(cache=str(tmp_path))) and len(done) == 1
    more = quick(cache=tmp_path, test=[runs.TWO, runs.THREE], protocols=["paper", "strict"])
    assert len(done) == 4 and len(more) == 4 * len(first)
    assert runs.same(first, more[(more["test"] == "two") & (more["protocol"] == "paper")])


CHANGES = {
    "seeds": lambda _: {"seeds": 2},
    "rng": lambda _: {"rng": 1},
    "n_boot": lambda _: {"n_boot": 11},
    "methods": lambda _: {"methods": [READINGS["VVP (raw)"], READINGS["GDT (raw)"]]},
    "max_regulators": lambda _: {"max_regulators": 12},
    "model": lambda runs: {"model": runs.small(seed=1)},
    "cells": lambda runs: {"test": [runs.with_cells(runs.TWO)]},
    "unit": lambda runs: {"test": [runs.with_cells(runs.TWO, expression=None, unit="other")]},
    "directed": lambda runs: {"test": [runs.with_cells(runs.TWO, expression=None, directed=False)]},
    "name": lambda runs: {"test": [runs.with_cells(runs.TWO, expression=None, dataset="other")]},
    "train": lambda runs: {"train": runs.make("one", slice(0, 14), slice(0, 60), seed=9)},
}


def test_a_trial_of_another_version_is_another_trial(quick, tmp_path, monkeypatch):
    done = count_trials(monkeypatch)
    quick(cache=tmp_path)
    monkeypatch.setattr(grn, "__version__", "0.0.1")
    table = quick(cache=tmp_path)
    assert len(done) == 2 and (table["version"] == "0.0.1").all()


@pytest.mark.parametrize("change", CHANGES)
def test_a_trial_of_other_inputs_is_another_trial(quick, tmp_path, monkeypatch, change, runs):
    done = count_trials(monkeypatch)
    quick(cache=tmp_path)
    changed = CHANGES[change](runs)
    found = quick(cache=tmp_path, **changed)
    assert len(done) == 2
    assert runs.same(found, quick(**changed))


def test_an_interrupted_run_goes_on(quick, tmp_path, monkeypatch, runs):
    arguments = {"test": [runs.TWO, runs.THREE], "protocols": ["paper", "strict"], "methods": ["vvp"]}
    whole = quick(**arguments)
    first = count_trials(monkeypatch, fail_at=3)
    with pytest.raises(RuntimeError, match="light"):
        quick(**arguments, cache=tmp_path)
    second = count_trials(monkeypatch)
    assert runs.same(whole, quick(**arguments, cache=tmp_path))
    assert len(first) == len(second) == 2 and not set(first) & set(second)
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".part"]


def outside(folder, runs, *, change=None):
    """A folder with what floors from outside are read from: one set of cells, and CollecTRI."""
    genes = sorted({*runs.ONE.genes, *runs.TWO.genes})
    values = np.random.default_rng(1).poisson(3.0, (40, len(genes))).astype(np.float32)
    values[7, 3] += change == "corpus"
    edges = [(source, target) for source in runs.ONE.regulators for target in runs.ONE.genes[::3] if source != target]
    edges += [(source, target) for source in runs.TWO.regulators for target in runs.TWO.genes[::3] if source != target]
    edges = edges[:-20] if change == "prior" else edges
    for name in ("expression", "priors"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    cells = ad.AnnData(values, uns={"organism": "human"}, var=pd.DataFrame(index=genes))
    cells.obs_names = [f"c{i}" for i in range(40)]
    cells.write_h5ad(folder / "expression" / "a.h5ad")
    table = pd.DataFrame(edges, columns=["source", "target"]).assign(weight=1.0)
    table.to_csv(folder / "priors" / "collectri_human.csv", index=False)
    return folder


@pytest.mark.parametrize("change", ["corpus", "prior", None])
def test_what_is_in_the_files_from_outside_is_part_of_the_key(quick, tmp_path, monkeypatch, runs, change):
    monkeypatch.setattr(_corpus_sets, "training_sets", lambda: ("a",))
    done = count_trials(monkeypatch)
    arguments = {
        "outside": True,
        "methods": [READINGS["VVP (raw)"], READINGS["Pert (origin)"]],
        "cache": tmp_path / "cache",
    }
    first = quick(path=outside(tmp_path / "data", runs), **arguments)
    told = set(first["method"])
    assert {"corpus co-expression", "prior (CollecTRI)", "Pert (origin)"} <= told and len(done) == 1
    found = quick(path=outside(tmp_path / "other", runs, change=change), **arguments)
    assert len(done) == (1 if change is None else 2)
    assert runs.same(found, quick(path=tmp_path / "other", **{**arguments, "cache": None}))
    differ = first["method"][(first["value"] - found["value"]).abs() > 0].unique()
    assert set(differ) <= {"corpus": told - {"prior (CollecTRI)"}, "prior": {"prior (CollecTRI)"}, None: set()}[change]
    assert (change is None) == (len(differ) == 0)


def test_trials_are_kept_whichever_others_are_asked_for(quick, tmp_path, monkeypatch, runs):
    monkeypatch.setattr(_corpus_sets, "training_sets", lambda: ("a",))
    done = count_trials(monkeypatch)
    path = outside(tmp_path / "data", runs)
    arguments = {"outside": True, "methods": ["pert"], "cache": tmp_path / "cache", "path": path}
    quick(**arguments)
    quick(**arguments, test=[runs.TWO, runs.THREE])
    assert done == [("two", "paper"), ("three", "paper")]


def test_no_flipped_bit_in_a_cache_changes_a_result(quick, tmp_path, monkeypatch, runs):
    monkeypatch.setattr(_corpus_sets, "training_sets", lambda: ("a",))
    arguments = {"outside": True, "path": outside(tmp_path / "data", runs), "cache": tmp_path / "cache"}
    first, chance = quick(**arguments), random.Random(0)
    whole = {path: path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert {path.parent.name.split("-")[0] for path in whole} >= {"trials", "vvp", "cache"}
    for _ in range(3):
        for path, text in whole.items():
            at = chance.randrange(8 * len(text))
            flipped = bytearray(text)
            flipped[at // 8] ^= 1 << at % 8
            path.write_bytes(bytes(flipped))
        assert runs.same(first, quick(**arguments))
        read = {path for path in whole if path.read_bytes() == whole[path]}
        assert all(path in read for path in whole if path.parent.name in ("trials", "cache"))
        for path, text in whole.items():
            path.write_bytes(text)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_three_processes_on_one_cache_killed_at_random_moments(tmp_path):
    folders = [Path(grn.__file__).parents[1], Path(__file__).parents[1] / "shared"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("cache_runs.py")), str(tmp_path), "4"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout.splitlines()[-1])
    assert told["failed"] == 0 and told["different"] == [] and told["left"] == [] and told["kills"] >= 4


@pytest.mark.parametrize("junk", [b"", b"PAR1 and no more", b"PAR1"])
def test_a_damaged_trial_is_computed_again(quick, tmp_path, monkeypatch, caplog, junk, runs):
    first = quick(cache=tmp_path)
    (path,) = (tmp_path / "trials").glob("*.sealed")
    path.write_bytes(junk)
    done = count_trials(monkeypatch)
    with caplog.at_level("WARNING", logger="grn"):
        assert runs.same(first, quick(cache=tmp_path))
    assert len(done) == 1 and path.name in caplog.text and "damaged" in caplog.text
    assert runs.same(first, quick(cache=tmp_path)) and len(done) == 1


def test_a_temporary_cache_leaves_nothing(quick, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    quick()
    assert list(tmp_path.iterdir()) == []
