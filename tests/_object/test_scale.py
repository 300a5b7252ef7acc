"""Objects that are larger than memory: the same numbers as in memory, in pieces, and nothing is loaded or changed."""

import subprocess
import sys
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from scipy import sparse

import grn
from grn._core.errors import ParameterError
from grn._kernels import matrix
from grn._kernels.matrix import open_matrix
from grn._object.genes import regulator_mask
from grn._object.groups import group_codes, groups
from grn._object.values import expression
from grn._object.vocabulary import model_genes

N_CELLS, N_VARS = 6_000, 500


@pytest.fixture(scope="module")
def atlas():
    """6 000 cells of counts in five groups, as one would have them in memory."""
    random = np.random.default_rng(0)
    known = list(grn.models.load("mini").genes)[: N_VARS - 1]
    group = random.integers(5, size=N_CELLS)
    chance = random.random((5, N_VARS))[group] ** 4 / 4
    counts = sparse.csr_matrix((random.random((N_CELLS, N_VARS)) < chance), dtype=np.float32)
    counts.data = random.geometric(0.3, size=counts.nnz).astype(np.float32)
    obs = pd.DataFrame({"group": pd.Categorical.from_codes(group, [f"type {i}" for i in "cabed"])})
    obs.index = [f"cell-{i}" for i in range(N_CELLS)]
    adata = ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=[*known, "unnamed"]))
    adata.var["is_regulator"] = np.arange(N_VARS) < 4
    return adata


@pytest.fixture(scope="module")
def numbers(atlas):
    """Mean and deviation over all cells and per group, by numpy."""
    totals = np.asarray(atlas.X.sum(axis=1, dtype=np.float64))
    logged = np.log1p(atlas.X.toarray() / np.where(totals > 0, totals, 1) * 1e4)
    codes = atlas.obs["group"].cat.codes.to_numpy()
    means = np.stack([logged[codes == code].mean(axis=0) for code in range(5)])
    return {"values": logged, "mean": logged.mean(axis=0), "std": logged.std(axis=0), "means": means, "totals": totals}


@pytest.fixture(scope="module")
def files(atlas, tmp_path_factory):
    """The object on disk, in several forms."""
    folder = tmp_path_factory.mktemp("atlas")
    atlas.write_h5ad(folder / "csr.h5ad")
    other = atlas.copy()
    other.X = other.X.tocsc()
    other.write_h5ad(folder / "csc.h5ad")
    other.X = other.X.toarray()
    other.write_h5ad(folder / "dense.h5ad")
    other.raw, other.X = atlas.copy(), None
    other.layers["counts"] = atlas.X
    other.write_h5ad(folder / "raw.h5ad")
    atlas.write_zarr(folder / "csr.zarr")
    return folder


@pytest.fixture(scope="module")
def probed(atlas):
    """Probes, their arguments, and what they find in memory, in pieces of the usual size."""
    genes = {"sources": list(atlas.var_names[:2]), "targets": list(atlas.var_names[:5])}
    model = grn.models.untrained("scgpt", genes=genes["targets"], layers=1, width=8, heads=2)
    made = []
    for probe, more in ((grn.tl.pert, {}), (grn.tl.attention, {"max_cells": 2, "model": model})):
        adata, arguments = around(atlas, atlas.X), {"groupby": "group", **genes, **more}
        probe(adata, key_added="found", **arguments)
        made.append((probe, arguments, adata.varm["found"]))
    return made


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(matrix, "VALUES", 2**15)


def around(atlas, X):
    return ad.AnnData(X, obs=atlas.obs.copy(), var=atlas.var.copy())


def backed(name):
    return lambda atlas, files: ad.read_h5ad(files / f"{name}.h5ad", backed="r")


def backed_view(atlas, files):
    return ad.read_h5ad(files / "csr.h5ad", backed="r")[:, list(atlas.var_names)]


def lazily(name):
    def read(atlas, files):
        pytest.importorskip("dask")
        pytest.importorskip("xarray")
        return ad.experimental.read_lazy(files / name)

    return read


def lazy_view(atlas, files):
    return lazily("csr.h5ad")(atlas, files)[np.arange(N_CELLS)]


def zarr_group(atlas, files):
    return around(atlas, ad.io.sparse_dataset(zarr.open_group(files / "csr.zarr", mode="r")["X"]))


def dask_of(chunks, form):
    def make(atlas, files):
        da = pytest.importorskip("dask.array")
        found = da.from_array(atlas.X.toarray(), chunks=chunks)
        return around(atlas, found.map_blocks(form, dtype=np.float32) if form else found)

    return make


OPENED = {
    "backed csr": backed("csr"),
    "backed csc": backed("csc"),
    "backed dense": backed("dense"),
    "view of a file": backed_view,
    "zarr group": zarr_group,
    "lazy h5ad": lazily("csr.h5ad"),
    "lazy h5ad csc": lazily("csc.h5ad"),
    "lazy h5ad dense": lazily("dense.h5ad"),
    "lazy zarr": lazily("csr.zarr"),
    "lazy view": lazy_view,
    "dask dense": dask_of((900, 170), None),
    "dask csr": dask_of((900, -1), sparse.csr_matrix),
    "memory csc": lambda atlas, files: around(atlas, atlas.X.tocsc()),
}


@pytest.mark.parametrize("form", OPENED)
class TestEveryForm:
    def test_the_same_report(self, form, atlas, files):
        assert str(grn.pp.check_expression(OPENED[form](atlas, files))) == str(grn.pp.check_expression(atlas))

    def test_the_same_moments_rows_and_totals(self, form, atlas, files, numbers):
        adata = OPENED[form](atlas, files)
        values = expression(adata)
        names, codes = group_codes(adata, "group")
        assert names == tuple(atlas.obs["group"].cat.categories)
        (mean, std), found = values.group_moments(codes)
        means = [own for own, _ in found]
        for part, name in ((mean, "mean"), (std, "std"), (np.stack(means), "means")):
            np.testing.assert_allclose(part, numbers[name], rtol=1e-6, atol=1e-12, err_msg=name)
        index = np.array([N_CELLS - 1, 3, 3, 3_500, 0])
        np.testing.assert_allclose(values.rows(index), numbers["values"][index], rtol=1e-6)
        np.testing.assert_array_equal(values.totals(index), numbers["totals"].ravel()[index])

    def test_probes_write_into_the_object_and_leave_the_rest_alone(self, form, atlas, files, probed):
        adata = OPENED[form](atlas, files)
        kind = type(open_matrix(adata.X))
        for probe, arguments, expected in probed:
            if form == "view of a file":
                with pytest.raises(ParameterError, match="to_memory"):
                    probe(adata, key_added="found", **arguments)
                continue
            probe(adata, key_added="found", **arguments)
            np.testing.assert_allclose(adata.varm["found"], expected, rtol=1e-4, atol=1e-6)
            assert list(adata.uns) == ["found"] and type(open_matrix(adata.X)) is kind

    def test_genes_are_matched_without_cells(self, form, atlas, files, monkeypatch):
        adata = OPENED[form](atlas, files)
        monkeypatch.setattr(matrix, "pieces", None)
        if adata.is_view and adata.isbacked:
            pytest.skip("a view of a file takes no columns")
        grn.pp.align_genes(adata)
        grn.pp.annotate_regulators(adata, key_added="is_regulator")
        assert model_genes(adata).tolist()[:3] == model_genes(atlas).tolist()[:3]
        assert regulator_mask(adata).sum() > 4


def test_groups_do_not_depend_on_the_pass(atlas, numbers):
    values = expression(atlas)
    for (_, mask), mean in zip(groups(atlas, "group"), numbers["means"], strict=True):
        np.testing.assert_allclose(values.moments(mask)[0], mean, rtol=1e-9)


def test_order_of_cells_and_pieces_does_not_matter(atlas, numbers, monkeypatch):
    random = np.random.default_rng(1)
    cells, genes = random.permutation(N_CELLS), random.permutation(N_VARS)
    for size, given in ((2**13, atlas[cells][:, genes]), (2**22, atlas[cells][:, genes].copy())):
        monkeypatch.setattr(matrix, "VALUES", size)
        (mean, std), found = expression(given).group_moments(group_codes(given, "group")[1])
        np.testing.assert_allclose(mean, numbers["mean"][genes], rtol=1e-6)
        np.testing.assert_allclose(std, numbers["std"][genes], rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(np.stack([own for own, _ in found]), numbers["means"][:, genes], rtol=1e-6)


@pytest.mark.parametrize("name", ["csr", "csc", "dense"])
def test_part_of_a_file_is_read_as_if_it_were_in_memory(name, atlas, files):
    random = np.random.default_rng(2)
    parts = [(random.permutation(N_CELLS)[:900], slice(None)), (slice(None), random.permutation(N_VARS)[:40])]
    parts += [((atlas.obs["group"] == "type a").to_numpy(), list(atlas.var_names[3:9])), (slice(10, 1200), slice(60))]
    for rows, columns in parts:
        view = ad.read_h5ad(files / f"{name}.h5ad", backed="r")[rows, columns]
        memory = atlas[rows, columns].copy()
        assert str(grn.pp.check_expression(view)) == str(grn.pp.check_expression(memory))
        found, known = expression(view), expression(memory)
        for a, b in zip(found.moments(), known.moments(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(found.rows(np.array([5, 2])), known.rows(np.array([5, 2])), rtol=1e-6)


def test_raw_and_layers_of_files(atlas, files, numbers):
    for open_file in (backed("raw"), lazily("raw.h5ad")):
        adata = open_file(atlas, files)
        for chosen in ({"use_raw": True}, {"layer": "counts"}):
            np.testing.assert_allclose(expression(adata, **chosen).moments()[0], numbers["mean"], rtol=1e-6)
            part = adata[::2]
            mean = expression(part, **chosen).moments()[0]
            np.testing.assert_allclose(mean, numbers["values"][::2].mean(axis=0), rtol=1e-6)


def test_a_matrix_by_genes_says_what_single_cells_cost(atlas, files, caplog):
    values = expression(backed("csc")(atlas, files))
    values.moments()
    assert not caplog.messages
    for _ in range(2):
        values.rows(np.arange(3))
    assert len(caplog.messages) == 1 and "tocsr()" in caplog.text


def test_a_file_is_not_changed_and_results_can_be_saved(atlas, files, tmp_path):
    before = (files / "csr.h5ad").read_bytes()
    adata = backed("csr")(atlas, files)
    grn.tl.pert(adata, sources=[atlas.var_names[0]], targets=list(atlas.var_names[:3]))
    adata.write_h5ad(tmp_path / "with_results.h5ad")
    back = ad.read_h5ad(tmp_path / "with_results.h5ad", backed="r")
    np.testing.assert_array_equal(back.varm["pert"], adata.varm["pert"])
    assert back.uns["pert"]["sources"].tolist() == [atlas.var_names[0]]
    adata.file.close()
    assert (files / "csr.h5ad").read_bytes() == before


CHILD = """
import re, resource, sys
from pathlib import Path
import anndata as ad
import grn
from grn._kernels import matrix

status = Path("/proc/self/status")


def peak():
    if status.exists():  # ru_maxrss of a child starts where its parent was
        return int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**20


matrix.VALUES //= 8  # pieces are to this file what they are to one eight times as large
small = ad.read_h5ad(sys.argv[2])


def calls(adata):
    grn.pp.check_expression(adata)
    grn.tl.pert(adata, sources=small.uns["sources"].tolist(), targets=small.uns["targets"].tolist(), groupby="group")


calls(small)  # loads what is lazy
before = peak()
calls(ad.read_h5ad(sys.argv[1], backed={"file": "r", "memory": None}[sys.argv[3]]))
print(peak() - before)
"""


def write_in_pieces(path: Path, cells: int, genes: list[str], form: str) -> None:
    random = np.random.default_rng(0)
    group = pd.Categorical.from_codes(random.integers(4, size=cells), list("abcd"))
    obs = pd.DataFrame({"group": group}, index=np.arange(cells).astype(str))
    ad.AnnData(obs=obs, var=pd.DataFrame(index=genes)).write_h5ad(path)
    lines, other = (cells, len(genes)) if form == "csr" else (len(genes), cells)
    with h5py.File(path, "a") as file:
        # the same lines again and again: what counts is how many there are
        step = min(lines, 10_000_000 // other)
        seen = random.integers(25, size=(step, other), dtype=np.uint8) == 0
        pointers = np.concatenate([[0], np.cumsum(seen.sum(axis=1))])
        counts = random.integers(1, 9, size=pointers[-1]).astype(np.float32)
        block = sparse.csr_matrix((counts, np.flatnonzero(seen) % other, pointers), shape=seen.shape)
        for start in range(0, lines, step):
            part = block[: lines - start]
            part = part if form == "csr" else part.T
            if start:
                ad.io.sparse_dataset(file["X"]).append(part)
            else:
                ad.io.write_elem(file, "X", part)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csr", "csc"])
def test_memory_stays_flat(form, tmp_path):
    """200 000 cells x 1500 genes, 4 % of them detected: 92 MiB in memory before anything is done with them."""
    known = list(grn.models.load("mini").genes)
    genes = [*known, *(f"unnamed-{i}" for i in range(1500))][:1500]
    write_in_pieces(tmp_path / "large.h5ad", 200_000, genes, form)
    write_in_pieces(tmp_path / "small.h5ad", 2_000, genes, form)
    small = ad.read_h5ad(tmp_path / "small.h5ad")
    small.uns = {"sources": np.array(known[:2]), "targets": np.array(known[:4])}
    small.write_h5ad(tmp_path / "small.h5ad")
    growth = {"memory": np.inf}
    for where in ("file", "memory") if form == "csr" else ("file",):
        argv = [sys.executable, "-c", CHILD, str(tmp_path / "large.h5ad"), str(tmp_path / "small.h5ad"), where]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        growth[where] = float(done.stdout)
    assert growth["file"] < 92 < growth["memory"], growth
