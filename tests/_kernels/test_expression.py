import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from grn._kernels.expression import as_log, log_normalize, moments, row_blocks
from grn._kernels.scan import detect_kind

FORMS = {
    "dense": np.asarray,
    "csr": sp.csr_matrix,
    "csc": sp.csc_matrix,
    "csr_array": sp.csr_array,
    "csc_array": sp.csc_array,
}
COUNTS = np.random.default_rng(0).poisson(1.0, size=(30, 8)).astype(np.float32)
COUNTS[3], COUNTS[:, 5] = 0, 0
LONG = np.random.default_rng(1).poisson(1.0, size=(4100, 3)).astype(np.float32)


def formula(counts):
    counts = np.asarray(counts, dtype=np.float64)
    total = counts.sum(axis=1, keepdims=True)
    return np.log1p(1e4 * np.divide(counts, total, out=np.zeros_like(counts), where=total > 0))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rows", [1, 7, 30, 31])
def test_row_blocks_cover_the_matrix(form, rows):
    seen = list(row_blocks(FORMS[form](COUNTS), rows=rows))
    dense = [b.toarray() if sp.issparse(b) else b for _, b in seen]
    np.testing.assert_array_equal(np.concatenate(dense), COUNTS)
    assert [w.start for w, _ in seen] == list(range(0, 30, rows))
    assert all(w.stop - w.start == b.shape[0] <= rows for w, b in seen)
    assert all(b.format == "csr" for _, b in seen if sp.issparse(b))


@pytest.mark.parametrize("form", ["dense", "csr", "csr_array"])
def test_log_normalize_is_the_formula(form):
    x = FORMS[form](COUNTS)
    found = log_normalize(x)
    assert sp.issparse(found) == sp.issparse(x)
    dense = found.toarray() if sp.issparse(found) else found
    np.testing.assert_allclose(dense, formula(COUNTS), rtol=2e-6)
    assert (dense[3] == 0).all()
    np.testing.assert_array_equal(x.toarray() if sp.issparse(x) else x, COUNTS)


def twice_stored():
    return sp.csr_matrix(([1.0, 2.0, 4.0], [0, 0, 1], [0, 2, 3]), shape=(2, 2))


@pytest.mark.parametrize("kind", ["counts", "log"])
def test_entries_stored_twice_count_once_as_their_sum(kind):
    x = twice_stored()
    for found, expected in zip(moments(x, kind), moments(x.toarray(), kind), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert x.nnz == 3, "the matrix of the caller stays as it is"


@pytest.mark.parametrize(("kind", "normalised"), [("counts", True), ("linear", True), ("log", False)])
def test_only_log_values_pass_through(kind, normalised):
    np.testing.assert_allclose(as_log(COUNTS, kind), formula(COUNTS) if normalised else COUNTS, rtol=2e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["counts", "log"])
@pytest.mark.parametrize("masked", [False, True])
def test_moments_are_those_of_numpy(form, kind, masked):
    x = LONG if kind == "counts" else LONG / 3
    mask = np.arange(len(x)) % 5 != 0 if masked else None
    values = formula(x) if kind == "counts" else x.astype(np.float64)
    values = values[mask] if masked else values
    mean, std = moments(FORMS[form](x), kind, mask=mask)
    assert mean.dtype == std.dtype == np.float64
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(std, values.std(axis=0), rtol=1e-6)


def test_moments_of_a_file(tmp_path):
    for form in ("dense", "csr", "csc"):
        path = tmp_path / f"{form}.h5ad"
        ad.AnnData(FORMS[form](COUNTS)).write_h5ad(path)
        backed = ad.read_h5ad(path, backed="r")
        assert detect_kind(backed.X) == "counts"
        for a, b in zip(moments(backed.X, "counts"), moments(COUNTS, "counts"), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


def test_the_mask_of_no_cells_gives_zeros():
    mean, std = moments(COUNTS, "counts", mask=np.zeros(30, dtype=bool))
    assert not mean.any()
    assert not std.any()


@given(value=st.floats(0, 20, width=32), n=st.integers(1, 200), form=st.sampled_from(sorted(FORMS)))
@settings(max_examples=40, deadline=None)
def test_a_constant_gene_has_exactly_no_spread(value, n, form):
    x = np.full((n, 2), value, dtype=np.float32)
    x[:, 1] = np.arange(n) % 2
    mean, std = moments(FORMS[form](x), "log")
    assert std[0] == 0.0
    np.testing.assert_allclose(mean[0], value, rtol=1e-12)
    assert (std[1] > 0) == (n > 1)


@pytest.mark.parametrize("form", FORMS)
def test_moments_do_not_depend_on_the_order_of_cells_and_genes(form):
    rng = np.random.default_rng(2)
    cells, genes = rng.permutation(30), rng.permutation(8)
    for a, b in zip(
        moments(FORMS[form](COUNTS), "counts"), moments(FORMS[form](COUNTS[cells][:, genes]), "counts"), strict=True
    ):
        np.testing.assert_allclose(a[genes], b, rtol=1e-7)
