"""Small files of data that would fill the memory are refused at once; what packs well and is honest is read."""

import gzip
import json
import lzma
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pandas as pd
import pytest

import grn
from grn.datasets import _unpack_limit
from grn.datasets._unpack_limit import FileTooLargeError, read_cells, read_parquet, read_text

WORKER = textwrap.dedent(
    """
    import json, pathlib, resource, sys, time
    import grn, pandas, pyarrow.parquet, h5py
    folder = pathlib.Path(sys.argv[1])
    grn.datasets.collectri(path=folder / "honest.csv.gz"), grn.datasets.collectri(path=folder / "honest.parquet")
    with open("/proc/self/status") as status:
        now = next(int(line.split()[1]) for line in status if line.startswith("VmSize")) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (now + 2 * 2**30,) * 2)
    for path in sorted(folder.glob("bad*")):
        read = grn.datasets.papalexi2021 if path.suffix == ".h5ad" else grn.datasets.collectri
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        try:
            read(path=path)
            told = "nothing"
        except grn.errors.GrnError as error:
            told = type(error).__name__ + ": " + str(error)[:200]
        except BaseException as error:
            told = "raw " + repr(error)[:200]
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(json.dumps([path.name, told, time.process_time() - start, grown * 1024]), flush=True)
    """
)
HEAD = b"source,target,weight\n"


def edges(n):
    rng = np.random.default_rng(0)
    names = np.array([f"G{i}" for i in range(500)])
    return pd.DataFrame({"source": rng.choice(names, n), "target": rng.choice(names, n), "weight": 1.0})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("data")
    edges(50).drop_duplicates(["source", "target"]).to_csv(made / "honest.csv.gz", index=False)
    edges(50).drop_duplicates(["source", "target"]).to_parquet(made / "honest.parquet")
    rows, blank = b"A,B,1\n" * 2**18, b" " * 2**20
    with gzip.open(made / "bad-rows.csv.gz", "wb", compresslevel=9) as file:
        file.write(HEAD)
        for _ in range(100):
            file.write(rows)
    with gzip.open(made / "bad-line.csv.gz", "wb", compresslevel=9) as file:
        for _ in range(250):
            file.write(blank)
    with lzma.open(made / "bad-rows.csv.xz", "wb", preset=0) as file:
        file.write(HEAD)
        for _ in range(50):
            file.write(rows)
    many = pd.DataFrame({name: pd.Categorical.from_codes(np.zeros(20_000_000, dtype=np.int8), ["A"]) for name in "ab"})
    many.columns = ["source", "target"]
    many["weight"] = np.float32(1.0)
    many.to_parquet(made / "bad-rows.parquet", compression="zstd")
    with h5py.File(made / "bad-shape.h5ad", "w") as file:
        file.create_dataset("X", shape=(10**7, 10**6), dtype="f4", chunks=(1000, 1000), compression="gzip")
    return made


def test_refused_at_once_and_for_little(folder):
    command = [sys.executable, "-c", WORKER, str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    found = {name: rest for name, *rest in map(json.loads, run.stdout.splitlines())}
    assert len(found) == len(list(folder.glob("bad*"))) == 5
    for name, (told, seconds, grown) in found.items():
        assert told.startswith(("NetworkError", "ExpressionError")) and "cannot be read" in told, (name, told)
        assert seconds < 1 and grown < 200 * 2**20, (name, seconds, grown >> 20)


def test_what_packs_well_and_is_honest_is_read(tmp_path, monkeypatch):
    zeros = pd.DataFrame(np.zeros((500, 5000), dtype=int), index=[f"gene{i}" for i in range(500)])
    zeros.iloc[np.arange(500), np.random.default_rng(0).integers(0, 5000, 500)] = 1
    zeros.to_csv(tmp_path / "x.csv.gz")
    size = (tmp_path / "x.csv.gz").stat().st_size
    with monkeypatch.context() as patch:
        patch.setattr(_unpack_limit, "ROOM", 2**20)  # what is smaller unpacked is never refused
        assert read_text(tmp_path / "x.csv.gz", index_col=0).shape == (500, 5000)
        assert 5e6 > _unpack_limit.ROOM and 5e6 / size > 50
    table = pd.DataFrame({"source": "A", "target": "B", "weight": np.zeros(300_000)})
    table.to_parquet(tmp_path / "x.parquet")
    assert len(read_parquet(tmp_path / "x.parquet", ["source"])) == 300_000
    grn.datasets.toy(n_cells=50).write_h5ad(tmp_path / "x.h5ad", compression="gzip")
    assert read_cells(tmp_path / "x.h5ad").n_obs == 50


def test_the_limit_is_told(tmp_path, folder):
    with pytest.raises(FileTooLargeError, match="unpacks to more than 400 times its size"):
        read_text(folder / "bad-line.csv.gz")
    with pytest.raises(FileTooLargeError, match="more than 1000 times its size"):
        read_cells(folder / "bad-shape.h5ad")
