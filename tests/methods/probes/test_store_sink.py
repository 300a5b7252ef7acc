"""Features on disk: the numbers of memory, written unit by unit, whole or not at all."""

import json
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import zarr

from grn._core import sealed, store
from grn.errors import ParameterError, ResultNotFoundError, StorageError
from grn.methods.genes import PairGenes
from grn.methods.probes.base_cells import BaseCells
from grn.methods.probes.execution import ArraySink, run
from grn.methods.probes.plan import plan
from grn.methods.probes.readings import Both, Gradient, Vvp
from grn.methods.probes.store_sink import StoreSink, fingerprint, sources_per_chunk
from grn.models import Moments, ValueScale
from grn.models.protocol import resolve_panel

NAMES = [f"g{i:02d}" for i in range(45)]
IDENTITY = {"genes": NAMES, "grn_version": "1"}
POINTS = np.array([-1.0, 0.5, 2.0], dtype=np.float32)


class Linear:
    """Response and derivative by one matrix."""

    name, sha256 = "linear", "a" * 64
    value_scale = ValueScale("z-score", 0.0, (1.0,), (1.0,), -4, 4)
    source_genes = target_genes = tuple(NAMES)

    def __init__(self, max_genes=100):
        self.max_genes = max_genes
        self.weights = torch.randn(len(NAMES), len(NAMES), generator=torch.Generator().manual_seed(0))

    def panel(self, sources, targets):
        return resolve_panel({g: i for i, g in enumerate(NAMES)}, sources, targets, max_genes=self.max_genes)

    def respond(self, panel, values):
        return torch.tanh(values @ self.weights[panel.tokens][:, panel.tokens[panel.tgt_pos]])

    def respond_dual(self, panel, values, tangents):
        out = self.respond(panel, values)
        return out, (1 - out**2) * (tangents @ self.weights[panel.tokens][:, panel.tokens[panel.tgt_pos]])

    def encode_cells(self, X, genes, *, reference=None):
        return torch.as_tensor(X - reference.mean, dtype=torch.float32)


def virtual():
    return BaseCells(("",), {name: i for i, name in enumerate(NAMES)})


def grouped(change=0.0):
    rng = np.random.default_rng(0)
    means = tuple(rng.normal(size=len(NAMES)) for _ in range(2))
    means[0][3] += change
    reference = Moments(rng.normal(size=len(NAMES)), np.ones(len(NAMES)))
    return BaseCells(("a", "b"), {name: i for i, name in enumerate(NAMES)}, reference, means, (None, None))


def work(*, model=None, reading=None, cells=None, targets=range(45), sources=range(39, 2, -1)):
    nothing = np.array([], dtype=str)
    genes = PairGenes(np.array(NAMES), np.array(sources), np.array(targets), nothing, nothing, nothing)
    reading = Both(POINTS) if reading is None else reading
    return plan(model or Linear(), reading, cells or virtual(), genes, batch_size=None, memory_budget=2**20)


def in_memory(made):
    sink = ArraySink(made)
    run(made, sink, show=False)
    return sink.cubes


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("max_genes", [100, 30])
@pytest.mark.parametrize("cells", [virtual, grouped])
def test_a_store_holds_the_numbers_of_memory(tmp_path, max_genes, cells):
    made = work(model=Linear(max_genes), cells=cells())
    sink = StoreSink(tmp_path / "store", made, IDENTITY)
    run(made, sink, show=False)
    assert sink.finish() == store.digest(store.manifest_of(tmp_path / "store"))
    order = [list(made.genes.sources).index(row) for row in made.order]
    group = zarr.open_group(str(tmp_path / "store"), mode="r")
    for name, cube in in_memory(made).items():
        assert group[name].dtype == np.float32
        np.testing.assert_array_equal(group[name][:], cube[:, order])
    marks = [[unit.start, unit.stop, unit.group] for unit in made.units]
    assert group[store.FINISHED][:].reshape(-1, 3).tolist() == marks


@pytest.mark.parametrize("reading", [Vvp(POINTS), Gradient(POINTS), Gradient(POINTS, background="moving")])
def test_every_chunk_belongs_to_one_unit(tmp_path, reading):
    made = work(model=Linear(30), reading=reading, cells=virtual() if reading != Vvp else grouped())
    sink = StoreSink(tmp_path / "store", made, IDENTITY)
    seen = files(tmp_path / "store")
    owners = set()
    for unit in made.units:
        sink.write(unit, made.run(unit))
        now = files(tmp_path / "store")
        new = set(now) - set(seen)
        assert store.FINISHED + f"/{unit.index}" in new and len(new) > 1
        assert not new & owners and all(now[name] == text for name, text in seen.items()), "changed another's chunk"
        owners |= new
        seen = now
    array = zarr.open_group(str(tmp_path / "store"), mode="r")[reading.features[0]]
    assert array.chunks == (len(NAMES), sink.chunk, len(POINTS))
    assert array.shape == (len(NAMES), len(made.order), len(POINTS) * len(made.cells.names))


@pytest.mark.parametrize(("max_genes", "sizes"), [(100, 16), (30, 1)])
def test_chunks_are_units_when_no_set_of_panels_ends_between_them(tmp_path, max_genes, sizes):
    made = work(model=Linear(max_genes))
    assert sources_per_chunk(made) == sizes
    assert sources_per_chunk(work(sources=range(5))) == 5
    starts = {unit.start for unit in made.units}
    assert all(start % sizes == 0 for start in starts) and len(starts) >= 3


def test_a_unit_counts_only_when_all_its_chunks_are_written(tmp_path, monkeypatch):
    made = work()
    sink = StoreSink(tmp_path / "store", made, IDENTITY)
    before, calls = files(tmp_path / "store"), []

    def fail(handle):
        calls.append(handle)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(StorageError, match="disk is full"):
            sink.write(made.units[0], made.run(made.units[0]))
    assert not sink.done(made.units[0]) and files(tmp_path / "store") == before
    sink.write(made.units[0], made.run(made.units[0]))
    assert sink.done(made.units[0]) and not sink.done(made.units[1])


def test_the_mark_comes_after_the_flushed_chunks(tmp_path, monkeypatch):
    made = work()
    sink = StoreSink(tmp_path / "store", made, IDENTITY)
    steps = []
    flush, publish = os.fsync, sealed.publish

    def spy(found):
        steps.append(("publish", sorted(path.parent.name for path in found)[0]))
        publish(found)

    monkeypatch.setattr(os, "fsync", lambda handle: (steps.append(("flush", "")), flush(handle))[1])
    monkeypatch.setattr(sealed, "publish", spy)
    sink.write(made.units[0], made.run(made.units[0]))
    where = [i for i, (what, _) in enumerate(steps) if what == "publish"]
    assert [steps[i][1] for i in where] == ["gradient_trajectory", store.FINISHED]
    assert where[1] - where[0] - 1 >= 2, "every chunk is flushed before the mark"


def test_an_interrupted_run_goes_on_over_what_a_kill_left(tmp_path, monkeypatch):
    made = work(cells=grouped())
    folder = tmp_path / "store"
    sink = StoreSink(folder, made, IDENTITY)
    sink.write(made.units[1], made.run(made.units[1]))
    (folder / "vvp" / "0.0.0").write_bytes(b"half a chu")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with monkeypatch.context() as patched:
        patched.setattr(os, "getpid", lambda: dead.pid)
        sealed.part_of(folder / "vvp" / "0.1.0").write_bytes(b"half")
    again = StoreSink(folder, made, IDENTITY)
    assert [again.done(unit) for unit in made.units[:3]] == [False, True, False]
    with pytest.raises(ResultNotFoundError, match=f"{len(made.units) - 1} of {len(made.units)} parts"):
        again.finish()
    run(made, again, show=False)
    again.finish()
    whole = StoreSink(tmp_path / "whole", made, IDENTITY)
    run(made, whole, show=False)
    whole.finish()
    assert files(folder) == files(tmp_path / "whole")


@pytest.mark.parametrize("left", [(), (".zattrs",), (".zattrs", ".zgroup", "vvp/.zarray")])
def test_a_store_that_was_not_even_begun_is_completed(tmp_path, left):
    made = work()
    StoreSink(tmp_path / "whole", made, IDENTITY)
    expected = files(tmp_path / "whole")
    folder = tmp_path / "store"
    folder.mkdir()
    for name in left:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(expected[name])
    (folder / ".zgroup.abc.part").write_bytes(b"{")
    StoreSink(folder, made, IDENTITY)
    assert {name: text for name, text in files(folder).items() if not name.endswith(".part")} == expected


def other(**changes):
    model = Linear(changes.pop("max_genes", 100))
    for name in ("name", "sha256"):
        setattr(model, name, changes.pop(name, getattr(Linear, name)))
    return work(model=model, **changes)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (other(sha256="b" * 64), "weights of the model"),
        (other(name="another"), r"model \(linear there, another here\)"),
        (other(reading=Both(POINTS[:2])), r"grid \(3 there, 2 here\)"),
        (other(reading=Both(POINTS + 1)), r"grid \(3 there, 3 here, first -1.0 and 0.0\)"),
        (other(reading=Vvp(POINTS)), "features"),
        (other(sources=range(3, 39)), r"sources \(37 there, 36 here"),
        (other(targets=range(44)), "panels"),
        (other(max_genes=30), r"sources|panels"),
        (other(cells=grouped()), "cells .*groups"),
    ],
)
def test_a_store_of_other_work_is_refused(tmp_path, made, told):
    StoreSink(tmp_path / "store", work(), IDENTITY)
    before = files(tmp_path / "store")
    with pytest.raises(ParameterError, match=told) as caught:
        StoreSink(tmp_path / "store", made, IDENTITY)
    assert "another folder" in str(caught.value) and "delete" in str(caught.value)
    assert files(tmp_path / "store") == before


def test_genes_cells_background_and_version_count_too(tmp_path):
    made = work(cells=grouped())
    StoreSink(tmp_path / "store", made, IDENTITY)
    with pytest.raises(ParameterError, match=r"genes \(45 there, 45 here, first 'g02' and 'x'\)"):
        StoreSink(tmp_path / "store", made, {**IDENTITY, "genes": ["g00", "g01", "x", *NAMES[3:]]})
    with pytest.raises(ParameterError, match="version of grn"):
        StoreSink(tmp_path / "store", made, {**IDENTITY, "grn_version": "2"})
    with pytest.raises(ParameterError, match="cells"):
        StoreSink(tmp_path / "store", work(cells=grouped(0.1)), IDENTITY)
    StoreSink(tmp_path / "fixed", work(reading=Gradient(POINTS)), IDENTITY)
    with pytest.raises(ParameterError, match=r"background \(fixed there, moving here\)"):
        StoreSink(tmp_path / "fixed", work(reading=Gradient(POINTS, background="moving")), IDENTITY)


def test_base_cells_are_known_by_what_a_model_can_see_of_them():
    assert fingerprint(virtual()) == "virtual"
    assert fingerprint(grouped()) == fingerprint(grouped(1e-15)) != fingerprint(grouped(1e-3))
    assert fingerprint(grouped()) != fingerprint(replace(grouped(), names=("a", "c")))


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    folder = tmp_path / "object.zarr"
    zarr.open_group(str(folder), mode="w").attrs["encoding-type"] = "anndata"
    before = files(folder)
    with pytest.raises(ParameterError, match="holds something else"):
        StoreSink(folder, work(), IDENTITY)
    assert files(folder) == before
    (tmp_path / "file").write_text("text")
    with pytest.raises(StorageError, match="is a file where a folder is needed"):
        StoreSink(tmp_path / "file", work(), IDENTITY)
    with pytest.raises(StorageError, match="is a file where a folder is needed"):
        StoreSink(tmp_path / "file" / "inside", work(), IDENTITY)


def test_a_sink_travels_light_and_writes_from_anywhere(tmp_path):
    made = work(cells=grouped())
    sink = StoreSink(tmp_path / "store", made, IDENTITY)
    sent = pickle.dumps(sink)
    assert len(sent) < 1000
    jobs = [unit for unit in made.units for _ in range(2)]  # a unit may run twice, when its worker seemed lost

    def job(unit):
        pickle.loads(sent).write(unit, made.run(unit))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(job, jobs))
    sink.finish()
    alone = StoreSink(tmp_path / "alone", made, IDENTITY)
    run(made, alone, show=False)
    alone.finish()
    assert files(tmp_path / "store") == files(tmp_path / "alone")


def test_only_what_is_missing_runs(tmp_path, monkeypatch):
    made = work(cells=grouped())
    run(made, StoreSink(tmp_path / "store", made, IDENTITY), show=False)
    sink = StoreSink(tmp_path / "store", made, IDENTITY)
    (tmp_path / "store" / store.FINISHED / "2").unlink()
    seen = []
    counting = SimpleNamespace(**vars(made), run=lambda unit: seen.append(unit.index) or made.run(unit))
    run(counting, sink, show=False)
    assert seen == [2]


def test_the_manifest_is_plain_json(tmp_path):
    StoreSink(tmp_path / "store", work(cells=grouped()), IDENTITY)
    found = json.loads((tmp_path / "store" / ".zattrs").read_text())["grn"]
    assert found["genes"] == NAMES and found["groups"] == ["a", "b"] and found["grid"] == POINTS.tolist()
    assert found["sources"] == sorted(found["sources"]) and len(found["sources"]) == 37
    assert {"model", "model_sha256", "value_scale", "gene_ids", "base_cells", "background", "layout"} <= set(found)


def test_sizes_are_told_in_units_people_read():
    assert [store.size(n) for n in (999, 1010, 1536, 5 * 2**30, 3 * 2**40)] == [
        "999 bytes",
        "1010 bytes",
        "1.5 KiB",
        "5 GiB",
        "3 TiB",
    ]
