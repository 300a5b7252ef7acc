"""Paths that users name: every place that reads or writes one says what is wrong with it, before a long computation."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import grn
from grn._core import files
from grn.errors import GrnError, ParameterError, StorageError

NET = grn.Network(pd.DataFrame({"source": ["A", "A"], "target": ["B", "C"], "weight": [1.0, -2.0]}))
GENES = ["GATA1", "SPI1", "TAL1", "KLF1", "CD14", "HBB", "CD4", "CSF1R", "LYZ", "MPO"]


@pytest.fixture(scope="module")
def cells():
    adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=6)
    grn.tl.infer_network(adata, method="correlation")
    return adata


def bench(cache):
    edges = pd.DataFrame({"source": ["GATA1", "SPI1"], "target": ["HBB", "CD14"]})
    one, two = (grn.bench.Reference(edges, genes=GENES, dataset=name) for name in "ab")
    return grn.bench.run(methods=[], train=one, test=[two], outside=False, seeds=1, cache=cache, progress=False)


def pretrain(path):
    return grn.models.pretrain(grn.datasets.pbmc68k(), path=path)


def readers(cells):
    """Calls that read the path they are given."""
    return {
        "collectri": lambda path: grn.datasets.collectri(path=path),
        "beeline": lambda path: grn.datasets.beeline("hESC", network="STRING", path=path),
        "dream4": lambda path: grn.datasets.dream4(network=1, path=path),
        "base_grn": lambda path: grn.pp.base_grn(path, adata=cells),
        "regulators": lambda path: grn.pp.annotate_regulators(cells, regulators=path, copy=True),
        "load": lambda path: grn.models.load("scgpt-human", path=path),
        "translator": grn.models.Translator.load,
        "data_dir": lambda path: setattr(grn.settings, "data_dir", path),
    }


def file_writers(cells):
    """Calls that write a file."""
    return {
        "graphml": NET.to_graphml,
        "cytoscape": NET.to_cytoscape,
        "gmt": NET.to_gmt,
        "adjacency": NET.to_adjacency_csv,
        "save": lambda path: grn.models.save(grn.models.load("mini"), path),
        "pretrain": pretrain,
    }


def folder_writers(cells):
    """Calls that write into a folder."""
    few = {"n_permutations": 1, "n_subsamples": 0, "copy": True}
    return {
        "confidence": lambda path: grn.tl.confidence(cells, cache=path, **few),
        "vvp": lambda path: grn.tl.vvp(cells, store=path, copy=True, progress=False),
        "probe": lambda path: grn.tl.probe(cells, store=path, copy=True, progress=False),
        "bench": bench,
        "pairs": lambda path: grn.bench.scored_pairs(method=grn.bench.READINGS["VVP (raw)"], cache=path),
        "suite": lambda path: grn.bench.perturbation.suite(cache=path),
    }


READERS, FILES, FOLDERS = (list(made(None)) for made in (readers, file_writers, folder_writers))
EVERYTHING = [*READERS, *FILES, *FOLDERS]


def call(cells, name):
    return (readers(cells) | file_writers(cells) | folder_writers(cells))[name]


@pytest.fixture(autouse=True)
def _same_data_dir():
    with grn.settings.override(data_dir=grn.settings.data_dir):
        yield


IMPOSSIBLE = {
    "nul": ("a\0b", "NUL character"),
    "long": ("n" * 300, r"too long \(300 bytes"),
    "surrogate": ("a\ud800b", "characters that no file name can have"),
}


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize("kind", IMPOSSIBLE)
def test_names_that_no_file_can_have_are_refused_by_all(cells, name, kind, tmp_path):
    bad, told = IMPOSSIBLE[kind]
    with pytest.raises(StorageError, match=told) as caught:
        call(cells, name)(str(tmp_path) + "/" + bad)
    text = str(caught.value)
    assert text.isprintable() and text.startswith("cannot use ") and str(tmp_path)[:40] in text and ";" in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize("bad", [5, b"bytes", "", " ", 1.5])
def test_what_is_no_path_is_refused_by_all(cells, name, bad):
    with pytest.raises(GrnError) as caught:
        call(cells, name)(bad)
    assert isinstance(caught.value, ParameterError) or name == "regulators"


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_a_file_where_a_folder_is_needed(cells, name, tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(StorageError, match=r"taken is a file where a folder is needed; move that file"):
        call(cells, name)(tmp_path / "taken" / "inside")
    assert (tmp_path / "taken").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_is_no_folder(cells, name, tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(StorageError, match="taken is a file where a folder is needed"):
        call(cells, name)(tmp_path / "taken")


@pytest.mark.parametrize("name", FILES)
def test_a_folder_is_no_file_and_no_folder_no_place(cells, name, tmp_path):
    with pytest.raises(StorageError, match="it is a folder; pass the path of a file"):
        call(cells, name)(tmp_path)
    with pytest.raises(StorageError, match=r"there is no folder .*nowhere; create it first"):
        call(cells, name)(tmp_path / "nowhere" / "deep" / "file.csv")
    assert list(tmp_path.iterdir()) == []


REFUSED = {errno.ENOSPC: "disk is full", errno.EROFS: "read-only", errno.EACCES: "permission is denied"}


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
@pytest.mark.parametrize("number", REFUSED)
def test_what_the_system_refuses_is_told_before_the_computation(cells, name, number, tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(number, os.strerror(number))

    def compute(*_, **__):
        raise AssertionError("it computed first")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr("grn.trust.repetitions.freeze", compute)
    monkeypatch.setattr("grn.methods.probes.features.base_cells", compute)
    monkeypatch.setattr("grn.models._continue.cell_sets", compute)
    monkeypatch.setattr("grn.bench._run._pairings", compute)
    with pytest.raises(StorageError, match=REFUSED[number]) as caught:
        call(cells, name)(tmp_path / "out.csv")
    assert caught.value.errno == number and str(tmp_path) in str(caught.value)
    assert isinstance(caught.value, OSError) and list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="permission is denied"):
        NET.to_gmt(tmp_path / "sets.gmt")


def files_to_read(folder):
    """Files that exist, by reader, and the call that opens them."""
    (folder / "base.csv").write_text("source,target\nGATA1,SPI1\n")
    (folder / "collectri_human.csv").write_text("source,target,weight\nMYC,TERT,1\n")
    (folder / "regulators.txt").write_text("GATA1\n")
    grn.models.save(grn.models.load("mini"), folder / "mini.safetensors")
    adata = grn.datasets.toy(n_cells=20)
    return {
        "pandas.read_csv": [
            lambda: grn.pp.base_grn(folder / "base.csv"),
            lambda: grn.datasets.collectri(path=folder / "collectri_human.csv"),
        ],
        "pathlib.Path.read_text": [lambda: grn.pp.annotate_regulators(adata, regulators=folder / "regulators.txt")],
        "grn.models._model_file.safe_open": [lambda: grn.models.load(folder / "mini.safetensors")],
    }


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_what_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    for opened, calls in files_to_read(tmp_path).items():
        with monkeypatch.context() as patched:
            patched.setattr(opened, refuse)
            for call in calls:
                with pytest.raises(StorageError, match=f"cannot read {tmp_path}") as caught:
                    call()
                assert caught.value.errno == number
    for path in tmp_path.iterdir():
        path.write_bytes(b"\x00\xff" * 20)
    with pytest.raises(grn.errors.NetworkError):
        grn.datasets.collectri(path=tmp_path / "collectri_human.csv")


SMALL_DISK = """
import resource, sys
from pathlib import Path
import pandas as pd, torch
import grn
from grn.errors import StorageError
folder = Path(sys.argv[1])
genes = [f"GENE{i}" for i in range(400)]
net = grn.Network(pd.DataFrame({"source": "A", "target": genes, "weight": 1.5}))
net.to_gmt(folder / "kept.gmt")
adata = grn.datasets.toy(n_cells=60)
grn.tl.infer_network(adata, method="correlation")
models = {f: grn.models.untrained(f, genes=["SPI1", "CD14"]) for f in ("scgpt", "lpm", "scgenept")}
models |= {f: grn.models.untrained(f, genes=["ENSG00000000001"]) for f in ("scprint", "geneformer", "genecompass")}
models["mini"] = grn.models.load("mini")
writers = {
    "graphml": lambda p: net.to_graphml(p),
    "cyjs": lambda p: net.to_cytoscape(p),
    "csv": lambda p: net.to_adjacency_csv(p),
    "kept.gmt": lambda p: net.to_gmt(p),
    "store": lambda p: grn.tl.probe(adata, store=p, progress=False),
    "cache": lambda p: grn.tl.confidence(adata, cache=p, n_permutations=1, n_subsamples=0),
    **{f: (lambda p, m=m: grn.models.save(m, p)) for f, m in models.items()},
}
before = sorted(adata.uns), sorted(adata.varm)
resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
for name, write in writers.items():
    try:
        write(folder / name)
    except StorageError as error:
        if "larger than the system allows" not in str(error) or str(folder) not in str(error):
            raise
    else:
        raise SystemExit(f"{name} was written")
assert (sorted(adata.uns), sorted(adata.varm)) == before
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes")
def test_a_disk_that_fills_up_leaves_what_was_there(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(grn.__file__).parents[1])}
    command = [sys.executable, "-B", "-c", SMALL_DISK, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "kept.gmt").read_text().count("GENE") == 400
    assert not [path for path in tmp_path.rglob("*") if files.PART in path.name]
    assert {path.name for path in tmp_path.iterdir()} & {"graphml", "cyjs", "csv", "mini"} == set()


def test_a_device_a_link_and_packed_files_are_written_as_before(tmp_path):
    with pytest.raises(StorageError, match="disk is full"):
        NET.to_gmt("/dev/full")
    NET.to_gmt(os.devnull)
    (tmp_path / "link.gmt").symlink_to(tmp_path / "real.gmt")
    (tmp_path / "real.gmt").write_text("old")
    (tmp_path / "real.gmt").chmod(0o640)
    NET.to_gmt(tmp_path / "link.gmt")
    assert (tmp_path / "link.gmt").is_symlink() and "B" in (tmp_path / "real.gmt").read_text()
    assert (tmp_path / "real.gmt").stat().st_mode & 0o777 == 0o640
    NET.to_adjacency_csv(tmp_path / "edges.csv.gz")
    assert (tmp_path / "edges.csv.gz").read_bytes()[:2] == b"\x1f\x8b"
    assert pd.read_csv(tmp_path / "edges.csv.gz")["importance"].tolist() == [2.0, 1.0]
    assert len(list(tmp_path.iterdir())) == 3


def test_the_home_folder_is_known_everywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    NET.to_gmt("~/sets.gmt")
    assert (tmp_path / "sets.gmt").exists()
    assert files.as_path("~nobody-of-that-name/x") == Path("~nobody-of-that-name/x")


def test_an_interruption_passes_and_leaves_what_was_there(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("old")
    for interruption in (KeyboardInterrupt, ZeroDivisionError, grn.errors.NetworkError):
        with pytest.raises(interruption), files.written(path) as place:
            place.write_text("half")
            raise interruption
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_errors_of_the_package_keep_their_kind(tmp_path):
    with pytest.raises(grn.errors.DataNotFoundError), files.file_errors(tmp_path, "read"):
        raise grn.errors.DataNotFoundError("nothing there")
    made = files.storage_error(tmp_path / "x", "read", FileNotFoundError(errno.ENOENT, "no"))
    assert str(made) == f"cannot read {tmp_path / 'x'}: it does not exist; check the path."
    assert np.all([isinstance(made, kind) for kind in (GrnError, OSError, StorageError)])
