"""Reading any container in pieces of bounded size."""

import anndata as ad
import h5py
import numpy as np
import pytest
import scipy.sparse as sp
import zarr

from grn._core.errors import ParameterError
from grn._kernels import matrix
from grn._kernels.expression import group_moments, moments
from grn._kernels.matrix import by_rows, open_matrix, peek, pieces, take, window

N_CELLS, N_VARS = 41, 13
RNG = np.random.default_rng(0)
VALUES = (RNG.poisson(0.6, size=(N_CELLS, N_VARS)) * RNG.integers(1, 9, size=(N_CELLS, N_VARS))).astype(np.float32)
VALUES[5], VALUES[:, 4] = 0, 0


def messy():
    """CSR with unsorted columns, entries stored twice, and stored zeros."""
    rows, columns = np.nonzero(VALUES >= 0)
    half = VALUES[rows, columns] / 2
    order = np.lexsort((RNG.random(2 * len(rows)), np.tile(rows, 2)))
    pointers = np.arange(N_CELLS + 1) * 2 * N_VARS
    return sp.csr_matrix((np.tile(half, 2)[order], np.tile(columns, 2)[order], pointers), shape=VALUES.shape)


def wide_index():
    x = sp.csr_matrix(VALUES)
    x.indptr, x.indices = x.indptr.astype(np.int64), x.indices.astype(np.int64)
    return x


MEMORY = {
    "dense": lambda: VALUES,
    "fortran": lambda: np.asfortranarray(VALUES),
    "integers": lambda: VALUES.astype(np.uint16),
    "csr": lambda: sp.csr_matrix(VALUES),
    "csc": lambda: sp.csc_array(VALUES),
    "coo": lambda: sp.coo_matrix(VALUES),
    "messy": messy,
    "messy csc": lambda: messy().T.tocsr().T,
    "64 bits": wide_index,
}
CHUNKS = {"contiguous": None, "flat": (7, N_VARS), "tall": (N_CELLS, 2), "tiles": (6, 5)}
FILES = [*(f"{kind} {form}" for kind in ("h5ad", "zarr") for form in ("csr", "csc")), *(f"h5ad {c}" for c in CHUNKS)]
FILES += ["h5ad float16", *(f"zarr {c}" for c in CHUNKS if c != "contiguous")]
DASK = ["dask flat", "dask tall", "dask tiles", "dask one", "dask csr", "dask csc", "dask csr_array", "dask csr tiles"]


def in_file(name, folder):
    kind, form = name.split()
    group = h5py.File(folder / "a.h5", "w") if kind == "h5ad" else zarr.open_group(folder / "a.zarr", mode="w")
    if form in ("csr", "csc"):
        ad.io.write_elem(group, "X", sp.csr_matrix(VALUES).asformat(form))
        return ad.io.sparse_dataset(group["X"])
    if form == "float16":
        ad.io.write_elem(group, "X", x := sp.csr_matrix(VALUES))
        del group["X/data"]
        group["X/data"] = x.data.astype(np.float16)
        return ad.io.sparse_dataset(group["X"])
    if kind == "h5ad":
        return group.create_dataset("X", data=VALUES, chunks=CHUNKS[form])
    made = group.create_array("X", shape=VALUES.shape, dtype="f4", chunks=CHUNKS[form])
    made[:] = VALUES
    return made


def in_dask(name):
    da = pytest.importorskip("dask.array")
    form = name.removeprefix("dask ")
    if form in ("flat", "tall", "tiles"):
        return da.from_array(VALUES, chunks=CHUNKS[form])
    if form == "one":
        return da.from_array(VALUES, chunks=VALUES.shape)
    chunks = {"csr": (7, -1), "csc": (-1, 3), "csr_array": (7, -1), "csr tiles": (7, 5)}[form]
    made = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "csr_array": sp.csr_array, "csr tiles": sp.csr_matrix}[form]
    return da.from_array(VALUES, chunks=chunks).map_blocks(made, dtype=VALUES.dtype)


def opened(name, folder):
    if name in MEMORY:
        return MEMORY[name]()
    return in_dask(name) if name.startswith("dask") else in_file(name, folder)


def dense(block):
    assert block.dtype == np.float64
    return block.toarray() if sp.issparse(block) else block


def assembled(source, keep=None):
    """All pieces put back, and how often every element came."""
    found, times = np.zeros(source.shape), np.zeros(source.shape, dtype=int)
    for piece in pieces(source, keep):
        where = np.ix_(np.arange(source.shape[0])[piece.rows], np.arange(source.shape[1])[piece.columns])
        found[where] += dense(piece.values)
        times[where] += 1
    return found, times


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(matrix, "VALUES", 4 * N_VARS)
    monkeypatch.setattr(matrix, "_GAP", 20)


@pytest.mark.parametrize("name", [*MEMORY, *FILES, *DASK])
class TestEveryContainer:
    def test_pieces_cover_it_once(self, name, tmp_path):
        given = opened(name, tmp_path)
        source = open_matrix(given)
        assert source.shape == VALUES.shape
        keep = np.arange(N_CELLS) % 5 == 2
        for mask in (None, keep, np.zeros(N_CELLS, dtype=bool)):
            found, times = assembled(source, mask)
            expected = VALUES if mask is None else VALUES * mask[:, None]
            np.testing.assert_allclose(found, expected, rtol=1e-6)
            assert (times == (1 if mask is None else mask[:, None])).all()
        if sp.issparse(given):
            np.testing.assert_allclose(given.toarray(), VALUES, rtol=1e-6, err_msg="the matrix of the caller changed")

    def test_pieces_are_small(self, name, tmp_path):
        source = open_matrix(opened(name, tmp_path))
        longest = 2 * max(source.shape) if "messy" in name else max(source.shape)
        for piece in pieces(source):
            size = piece.values.nnz if sp.issparse(piece.values) else piece.values.size
            assert size <= max(2 * matrix.VALUES, longest)

    def test_rows_in_any_order(self, name, tmp_path):
        source = by_rows(open_matrix(opened(name, tmp_path)))
        for rows in ([3, 4, 5], [40, 0, 17, 17, 2, 39, 1], [], list(range(N_CELLS))):
            index = np.array(rows, dtype=np.int64)
            np.testing.assert_allclose(dense(take(source, index)), VALUES[index], rtol=1e-6, err_msg=str(rows))
        np.testing.assert_allclose(dense(take(source, slice(4, 9))), VALUES[4:9], rtol=1e-6)

    def test_a_window(self, name, tmp_path):
        base = open_matrix(opened(name, tmp_path))
        rows, columns = np.random.default_rng(1).integers(N_CELLS, size=30), np.array([9, 2, 3, 12, 0])
        for own, other in ((rows, None), (None, columns), (rows, columns)):
            source = window(base, own, other)
            expected = VALUES[slice(None) if own is None else own][:, slice(None) if other is None else other]
            found, times = assembled(source)
            np.testing.assert_allclose(found, expected, rtol=1e-6)
            assert (times == 1).all()
            index = np.array([7, 0, 7, 21])
            np.testing.assert_allclose(dense(take(by_rows(source), index)), expected[index], rtol=1e-6)

    def test_a_peek_shows_lines_of_it(self, name, tmp_path, monkeypatch):
        source = open_matrix(opened(name, tmp_path))
        # cells, unless the matrix is stored by genes in a file
        cells = source.axis == 0 or name in ("csc", "messy csc")
        lines = {tuple(line) for line in np.float32(VALUES if cells else VALUES.T)}
        found = dense(peek(source, lines=8, runs=4))
        found = found if cells else found.T
        assert 0 < len(found) <= 8 and {tuple(line) for line in np.float32(found)} <= lines

    def test_moments_by_group(self, name, tmp_path):
        codes = np.random.default_rng(2).integers(-1, 3, size=N_CELLS)
        totals = VALUES.sum(axis=1, keepdims=True, dtype=np.float64)
        logged = np.log1p(1e4 * np.divide(VALUES, totals, out=np.zeros(VALUES.shape), where=totals > 0))
        columns = np.array([7, 1, 12])
        given = opened(name, tmp_path)
        for kind, values in (("counts", logged), ("log", VALUES.astype(np.float64))):
            for kept in (None, columns):
                found = group_moments(given, kind, codes, 3, columns=kept)
                for code, group in enumerate(found):
                    own = values[codes == code][:, slice(None) if kept is None else kept]
                    mean, std = group.result()
                    np.testing.assert_allclose(mean, own.mean(axis=0), rtol=1e-6)
                    np.testing.assert_allclose(std, own.std(axis=0), rtol=1e-6, atol=1e-12)


class Counted:
    """An array of a file that counts what is read of it."""

    def __init__(self, values):
        self.values, self.read = values, 0

    def __getitem__(self, where):
        self.read += len(self.values[where])
        return self.values[where]


class Group:
    """Looks like a sparse group of a file."""

    def __init__(self, x):
        self.format, self.shape = x.format, x.shape
        self.group = {name: Counted(getattr(x, name)) for name in ("data", "indices", "indptr")}


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_a_pass_reads_a_file_once(form):
    x = sp.random(300, 40, 0.3, format=form, random_state=0, dtype=np.float32)
    given = Group(x)
    codes = np.arange(300) % 7
    group_moments(given, "log", codes, 7)
    assert given.group["data"].read == given.group["indices"].read == x.nnz
    take(open_matrix(given), np.array([5, 200]))
    more = given.group["data"].read - x.nnz
    assert more == x.nnz if form == "csc" else more <= 2 * 40


@pytest.mark.parametrize("chunks", [(7, -1), (-1, 3), (6, 5)])
def test_a_pass_computes_a_chunk_once(chunks):
    dask, da = pytest.importorskip("dask"), pytest.importorskip("dask.array")
    seen = []

    def counted(block):
        seen.append(block.shape)
        return block

    given = da.from_array(VALUES, chunks=chunks)
    given = given.map_blocks(counted, dtype=given.dtype, meta=np.empty((0, 0), dtype=np.float32))
    with dask.config.set(scheduler="synchronous"):
        group_moments(given, "log", np.arange(N_CELLS) % 3, 3)
    assert len(seen) == np.prod(given.numblocks)


class Tail:
    """An array longer than 2**31 of which only the end is ever read."""

    def __init__(self, start, values):
        self.start, self.values = start, values

    def __getitem__(self, where):
        assert where.start >= self.start
        return self.values[where.start - self.start : where.stop - self.start]


def test_more_entries_than_32_bits_count():
    end = sp.csr_matrix(VALUES)
    given = Group(end)
    given.shape = (N_CELLS + 1, N_VARS)
    before = 2**31 + 5
    given.group = {name: Tail(before, getattr(end, name)) for name in ("data", "indices")}
    given.group["indptr"] = np.concatenate([[0], end.indptr.astype(np.int64) + before])
    codes = np.arange(N_CELLS + 1) - 1
    mean, std = group_moments(given, "log", np.minimum(codes, 0), 1)[0].result()
    np.testing.assert_allclose(mean, VALUES.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(std, VALUES.std(axis=0), rtol=1e-6)
    np.testing.assert_allclose(dense(take(open_matrix(given), np.array([8, 3]))), VALUES[[7, 2]])


def test_sums_of_small_floats_are_exact():
    x = np.full((3, 2**12), 0.1, dtype=np.float32)
    x[:, 0] = 2.0**24
    totals = x[0].astype(np.float64).sum()
    for given in (x, sp.csr_matrix(x), sp.csc_matrix(x)):
        mean, _ = moments(given, "counts")
        np.testing.assert_allclose(mean, np.log1p(1e4 / totals * x[0].astype(np.float64)), rtol=1e-12)


def test_foreign_matrices_are_named():
    with pytest.raises(ParameterError, match=r"builtins\.list.*Convert it"):
        open_matrix([[1.0]])


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
@pytest.mark.parametrize("made", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_nothing_has_no_pieces(shape, made):
    source = open_matrix(made(np.zeros(shape)))
    assert not list(pieces(source))
    assert source.shape == shape
