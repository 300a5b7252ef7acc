"""Runs with a cache: finished cells are kept, an interrupted run goes on, other inputs are other cells."""

import pytest

from grn.bench import _cell, _run


def count_cells(monkeypatch, *, fail_at=None):
    """Record which cells are computed; raise at one of them."""
    done = []

    def counted(trainer, board, contest):
        if len(done) + 1 == fail_at:
            raise RuntimeError("the light went out")
        done.append((board.reference.dataset, trainer.protocol.name))
        return _cell.cell(trainer, board, contest)

    monkeypatch.setattr(_run, "cell", counted)
    return done


def test_finished_cells_are_not_computed_again(quick, tmp_path, monkeypatch, runs):
    done = count_cells(monkeypatch)
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
    "methods": lambda _: {"methods": ["VVP (raw)", "GDT (raw)"]},
    "max_regulators": lambda _: {"max_regulators": 12},
    "model": lambda runs: {"model": runs.small(seed=1)},
    "cells": lambda runs: {"test": [runs.with_cells(runs.TWO)]},
    "unit": lambda runs: {"test": [runs.with_cells(runs.TWO, expression=None, unit="other")]},
    "directed": lambda runs: {"test": [runs.with_cells(runs.TWO, expression=None, directed=False)]},
    "name": lambda runs: {"test": [runs.with_cells(runs.TWO, expression=None, dataset="other")]},
    "train": lambda runs: {"train": runs.make("one", slice(0, 14), slice(0, 60), seed=9)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_cell_of_other_inputs_is_another_cell(quick, tmp_path, monkeypatch, change, runs):
    done = count_cells(monkeypatch)
    quick(cache=tmp_path)
    changed = CHANGES[change](runs)
    found = quick(cache=tmp_path, **changed)
    assert len(done) == 2
    assert runs.same(found, quick(**changed))


def test_an_interrupted_run_goes_on(quick, tmp_path, monkeypatch, runs):
    arguments = {"test": [runs.TWO, runs.THREE], "protocols": ["paper", "strict"], "methods": ["VVP"]}
    whole = quick(**arguments)
    first = count_cells(monkeypatch, fail_at=3)
    with pytest.raises(RuntimeError, match="light"):
        quick(**arguments, cache=tmp_path)
    second = count_cells(monkeypatch)
    assert runs.same(whole, quick(**arguments, cache=tmp_path))
    assert len(first) == len(second) == 2 and not set(first) & set(second)
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".part"]


@pytest.mark.parametrize("junk", [b"", b"PAR1 and no more", b"PAR1"])
def test_a_damaged_cell_is_computed_again(quick, tmp_path, monkeypatch, caplog, junk, runs):
    first = quick(cache=tmp_path)
    (path,) = (tmp_path / "cells").glob("*.parquet")
    path.write_bytes(junk)
    done = count_cells(monkeypatch)
    with caplog.at_level("WARNING", logger="grn"):
        assert runs.same(first, quick(cache=tmp_path))
    assert len(done) == 1 and path.name in caplog.text and "damaged" in caplog.text
    assert runs.same(first, quick(cache=tmp_path)) and len(done) == 1


def test_a_temporary_cache_leaves_nothing(quick, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    quick()
    assert list(tmp_path.iterdir()) == []
