import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from grn._core.errors import ExpressionError, GeneNameError, LayerError, ParameterError
from grn.pp import check_expression

COUNTS = np.random.default_rng(0).poisson(3.0, size=(40, 6)).astype(float)
COUNTS[5] = 0
COUNTS[:, 4] = 0


def make(x):
    adata = ad.AnnData(x)
    adata.var_names = [f"gene{i}" for i in range(x.shape[1])]
    return adata


@pytest.mark.parametrize(
    ("x", "kind"),
    [
        (COUNTS, "counts"),
        (np.log1p(COUNTS), "log"),
        (COUNTS * 33.3, "linear"),
        (COUNTS - 1.5, "scaled"),
        (COUNTS * 0, "empty"),
    ],
)
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix, sparse.csc_array])
def test_kinds(x, kind, container):
    report = check_expression(make(container(x)))
    assert (report.kind, report.n_cells, report.n_genes) == (kind, 40, 6)
    assert report.minimum == x.min() and report.maximum == x.max()


def test_constant_genes_zero_cells_and_nan_are_reported():
    x = COUNTS.copy()
    x[0, 0] = np.nan
    report = check_expression(make(x))
    assert (report.n_constant, report.constant_genes) == (1, ("gene4",))
    assert (report.n_zero_cells, report.n_nan) == (1, 1)
    assert "gene4" in str(report) and "1 NaN" in str(report) and "1 cells have zeros only" in str(report)


@pytest.mark.parametrize("shape", [(0, 6), (3, 0)])
def test_empty_objects_are_reported(shape):
    assert check_expression(make(np.zeros(shape))).kind == "empty"


def test_only_nan_is_empty():
    assert check_expression(make(np.full((3, 6), np.nan))).kind == "empty"


def test_other_matrices_are_named():
    adata = make(COUNTS - 1.5)
    adata.layers["counts"] = sparse.csr_matrix(COUNTS)
    adata.raw = make(np.log1p(COUNTS))
    report = check_expression(adata)
    assert report.counts_in == ("layer='counts'",) and report.log_in == ("use_raw=True",)
    assert check_expression(adata, use_raw=True, expect="log").where == "adata.raw"
    assert check_expression(adata, layer="counts", expect="counts").counts_in == ()
    with pytest.raises(ExpressionError, match="use_raw=True"):
        check_expression(adata, expect="log")
    with pytest.raises(ExpressionError, match="layer='counts'"):
        check_expression(adata, expect="counts")


def test_expectation_fails_on_nan():
    x = np.log1p(COUNTS)
    x[0, 0] = np.nan
    with pytest.raises(ExpressionError, match="1 NaN"):
        check_expression(make(x), expect="log")


def test_a_file_is_read_and_left_alone(tmp_path):
    make(sparse.csr_matrix(COUNTS)).write_h5ad(tmp_path / "a.h5ad")
    before = (tmp_path / "a.h5ad").read_bytes()
    adata = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    assert check_expression(adata).kind == "counts"
    adata.file.close()
    assert (tmp_path / "a.h5ad").read_bytes() == before


def test_bad_arguments():
    with pytest.raises(ParameterError, match="'raw'"):
        check_expression(make(COUNTS), expect="raw")
    with pytest.raises(LayerError, match="'x'"):
        check_expression(make(COUNTS), layer="x")
    with pytest.raises(ParameterError, match="AnnData"):
        check_expression(COUNTS)


@pytest.mark.parametrize(
    ("bad", "arguments", "cure"),
    [
        ("raw", {"use_raw": True}, {"use_raw": False}),
        ("raw", {"use_raw": True}, {"use_raw": False, "layer": "log"}),
        ("log", {"layer": "log"}, {"layer": None, "use_raw": True}),
        ("log", {"layer": "log"}, {"layer": None}),
    ],
)
def test_advice_takes_back_what_selected_the_bad_matrix(bad, arguments, cure):
    good = np.log1p(np.arange(60.0).reshape(6, 10) % 7)
    spoiled = good.copy()
    spoiled[0, 0] = np.nan
    adata = ad.AnnData(spoiled if bad == "raw" else good)
    adata.raw = adata.copy()
    adata.X = good if cure != {"use_raw": False, "layer": "log"} else spoiled
    adata.layers["log"] = spoiled if bad == "log" else good
    said = ", ".join(f"{name}={value!r}" for name, value in cure.items())
    with pytest.raises(ExpressionError) as error:
        check_expression(adata, expect="log", **arguments)
    assert said in str(error.value)
    assert check_expression(adata, expect="log", **{**arguments, **cure}).n_nan == 0


@pytest.mark.parametrize("use_raw", [False, True])
def test_missing_names_of_genes_are_refused(use_raw):
    adata = make(COUNTS)
    adata.var.index = pd.Index([None, *adata.var_names[1:]], dtype=object)
    if use_raw:
        adata.raw = adata
        adata.var_names = [f"gene{i}" for i in range(adata.n_vars)]
    with pytest.raises(GeneNameError, match="1 of 6 gene names are missing"):
        check_expression(adata, use_raw=use_raw)
