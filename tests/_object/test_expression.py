import anndata as ad
import numpy as np
import pytest
from scipy import sparse

import grn
from grn._core.errors import ExpressionError, GeneNameError, GroupError, LayerError, ParameterError
from grn._object import values as values_module
from grn._object.container import validate
from grn._object.expression import reads_of
from grn._object.genes import regulator_mask
from grn._object.groups import groups
from grn._object.values import expression
from grn._object.vocabulary import model_genes

N_CELLS, N_VARS = 23, 7
COUNTS = np.random.default_rng(0).poisson(2.0, size=(N_CELLS, N_VARS)).astype(np.float32)
COUNTS[3] = 0
COUNTS[:, 5] = 0
NAMES = ["TP53", "GATA1", "SPI1", "HBB", "CD19", "CD8A", "MYC"]
CONTAINERS = {
    "dense": np.asarray,
    "int": lambda x: x.astype(np.int64),
    "float64": lambda x: x.astype(np.float64),
    "csr_matrix": sparse.csr_matrix,
    "csc_matrix": sparse.csc_matrix,
    "csr_array": sparse.csr_array,
    "csc_array": sparse.csc_array,
}


def log_values(counts=COUNTS):
    totals = counts.sum(axis=1, keepdims=True, dtype=float)
    return np.log1p(np.divide(counts * 1e4, totals, out=np.zeros(counts.shape), where=totals > 0))


def make(x, names=NAMES):
    adata = ad.AnnData(x)
    adata.var_names = list(names)
    return adata


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr("grn._kernels.matrix.VALUES", 5 * N_VARS)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("where", ["memory", "file", "view", "file view"])
@pytest.mark.parametrize("values", ["counts", "log"])
def test_every_container_gives_the_same_values(container, where, values, tmp_path):
    if values == "log" and container == "int":
        pytest.skip("log values are no integers")
    stored = COUNTS if values == "counts" else log_values().astype(np.float32)
    adata = make(CONTAINERS[container](stored))
    if where.startswith("file"):
        adata.write_h5ad(tmp_path / "a.h5ad")
        adata = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    keep = np.arange(N_CELLS)
    if where.endswith("view"):
        keep = keep[::2]
        adata = adata[keep]
    expected = log_values()[keep]
    found = expression(adata)
    assert found.kind == values
    mask = np.arange(len(keep)) % 3 != 1
    for chosen in (None, mask):
        mean, std = found.moments(chosen)
        part = expected if chosen is None else expected[chosen]
        assert mean.dtype == std.dtype == np.float64
        np.testing.assert_allclose(mean, part.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(std, part.std(axis=0), rtol=1e-6, atol=1e-12)
    order = np.array([8, 1, 1, -1, 0, 5])
    rows = found.rows(order)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, expected[order], rtol=1e-6)
    np.testing.assert_allclose(found.rows(mask), expected[mask], rtol=1e-6)
    assert found.rows(np.array([], dtype=int)).shape == (0, N_VARS)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("raw", [False, True])
def test_some_genes_of_all_cells_are_sparse(container, raw):
    adata = make(CONTAINERS[container](COUNTS))
    if raw:
        adata.raw = adata
        adata = adata[:, ["MYC", "GATA1", "SPI1", "TP53"]].copy()
    read = expression(adata, use_raw=raw)
    genes = np.array([3, 1, 0])
    found = read.columns(genes)
    assert sparse.issparse(found)
    np.testing.assert_allclose(found.toarray(), read.rows(np.arange(N_CELLS))[:, genes], rtol=1e-6)


@pytest.mark.parametrize("container", CONTAINERS)
def test_moments_do_not_depend_on_the_order_of_cells_and_genes(container):
    cells, columns = np.random.default_rng(1).permutation(N_CELLS), np.random.default_rng(2).permutation(N_VARS)
    mean, std = expression(make(CONTAINERS[container](COUNTS))).moments()
    shuffled = make(CONTAINERS[container](COUNTS[cells][:, columns]), np.array(NAMES)[columns])
    other_mean, other_std = expression(shuffled).moments()
    np.testing.assert_allclose(other_mean, mean[columns], rtol=1e-12)
    np.testing.assert_allclose(other_std, std[columns], rtol=1e-12)


def test_a_constant_gene_has_no_deviation():
    x = log_values()
    x[:, 2] = 0.1
    assert expression(make(x)).moments()[1][2] == 0.0


def test_linear_values_are_treated_like_counts():
    cpm = COUNTS / np.maximum(COUNTS.sum(axis=1, keepdims=True), 1) * 1e6
    found = expression(make(cpm))
    assert found.kind == "linear"
    np.testing.assert_allclose(found.moments()[0], log_values().mean(axis=0), rtol=1e-6)


def test_raw_is_normalised_over_all_its_genes():
    adata = make(sparse.csr_matrix(COUNTS))
    adata.raw = adata.copy()
    adata = adata[:, ["MYC", "TP53"]].copy()
    adata.X = np.full((N_CELLS, 2), -1.0)
    found = expression(adata, use_raw=True)
    np.testing.assert_allclose(found.rows(np.arange(N_CELLS)), log_values()[:, [6, 0]], rtol=1e-6)
    adata.var_names = ["MYC", "other"]
    with pytest.raises(LayerError, match="other"):
        expression(adata, use_raw=True)


def bad(change):
    x = log_values()
    change(x)
    return x


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (bad(lambda x: x.__setitem__((1, 1), -2.0)), "negative values"),
        (bad(lambda x: x.__setitem__((1, 1), np.nan)), "1 NaN"),
        (bad(lambda x: x.__setitem__((1, 1), np.inf)), "1 infinite"),
        (np.zeros((N_CELLS, N_VARS)), "only zeros"),
        (np.zeros((0, N_VARS)), "0 cells"),
    ],
)
@pytest.mark.parametrize("container", ["dense", "csr_matrix", "csc_matrix"])
def test_unusable_values_are_refused(x, words, container):
    with pytest.raises(ExpressionError, match=words):
        expression(make(x if container == "dense" else CONTAINERS[container](x)))


def test_the_matrix_that_fits_is_named():
    adata = make(log_values() - 3.0)
    with pytest.raises(ExpressionError, match="No other matrix of the object fits"):
        expression(adata)
    adata.layers["counts"] = sparse.csc_matrix(COUNTS)
    with pytest.raises(ExpressionError, match="layer='counts'"):
        expression(adata)
    adata.raw = make(log_values())
    with pytest.raises(ExpressionError, match="use_raw=True"):
        expression(adata)


def test_unknown_layers_are_refused_with_those_that_exist():
    adata = make(COUNTS)
    adata.layers["mine"] = COUNTS
    with pytest.raises(LayerError, match="layer='mine'"):
        expression(adata, layer="other")
    with pytest.raises(LayerError, match=r"adata\.raw is None"):
        expression(adata, use_raw=True)
    with pytest.raises(ParameterError, match="one of them"):
        expression(adata, layer="mine", use_raw=True)


def test_bad_masks_and_positions():
    found = expression(make(COUNTS))
    with pytest.raises(ExpressionError, match="no cells"):
        found.moments(np.zeros(N_CELLS, dtype=bool))
    with pytest.raises(ParameterError, match="shape"):
        found.moments(np.ones(3, dtype=bool))
    with pytest.raises(ParameterError, match="23"):
        found.rows(np.array([N_CELLS]))


def test_objects_and_names_are_validated():
    with pytest.raises(ParameterError, match="ndarray"):
        validate(COUNTS)
    with pytest.raises(GeneNameError, match="MYC"):
        validate(make(COUNTS, [*NAMES[:5], "MYC", "MYC"]))
    with pytest.raises(GeneNameError, match="empty"):
        validate(make(COUNTS, [*NAMES[:6], ""]))


def test_groups_come_in_category_order():
    adata = make(COUNTS)
    adata.obs["g"] = ["b"] * 10 + ["a"] * 13
    adata.obs["g"] = adata.obs["g"].astype("category").cat.set_categories(["c", "b", "a"])
    found = groups(adata, "g")
    assert [name for name, _ in found] == ["b", "a"]
    assert found[0][1].tolist() == [True] * 10 + [False] * 13


def test_unusable_groups_are_refused():
    adata = make(COUNTS)
    adata.obs["few"] = ["a"] * 21 + ["b"] * 2
    adata.obs["gap"] = ["a"] * 22 + [None]
    for column, words in (("few", r"b \(2\)"), ("gap", "notna"), ("none", "few, gap")):
        with pytest.raises(GroupError, match=words):
            groups(adata, column)


def test_model_genes_are_looked_up_or_read():
    adata = make(COUNTS, ["TP53", "ENSG00000102145.3", "MLL", "ARNTL", "a", "b", "c"])
    assert model_genes(adata).tolist() == ["TP53", "GATA1", "KMT2A", "BMAL1", "", "", ""]
    assert model_genes(adata, "ensembl")[1] == "ENSG00000102145"
    adata.var["grn_symbol"] = ["X", "", "", "", "", "", None]
    assert model_genes(adata).tolist() == ["X", "", "", "", "", "", ""]
    with pytest.raises(ParameterError, match="'entrez'"):
        model_genes(adata, "entrez")


def test_model_genes_use_the_names_of_an_older_vocabulary():
    adata = make(COUNTS[:, :4], ["TP53", "BMAL1", "KMT2A", "GATA1"])
    assert model_genes(adata, vocabulary=["ARNTL", "TP53", "MLL"]).tolist() == ["TP53", "ARNTL", "MLL", ""]
    retired = make(COUNTS[:, :2], ["ENSG00000141510.2", "ENSG00000999999.1"])
    found = model_genes(retired, "ensembl", vocabulary=["ENSG00000141510", "ENSG00000999999"])
    assert found.tolist() == ["ENSG00000141510", "ENSG00000999999"]


def test_regulator_mask_is_computed_or_read():
    adata = make(COUNTS)
    assert np.flatnonzero(regulator_mask(adata)).tolist() == [0, 1, 2, 6]
    adata.var["is_regulator"] = [False] * 6 + [True]
    assert np.flatnonzero(regulator_mask(adata)).tolist() == [6]


def test_advice_names_the_matrix_and_fits_what_the_object_holds():
    adata = make(log_values())
    adata.layers["mine"] = bad(lambda x: x.__setitem__((1, 1), np.nan))
    adata.X = log_values() - 3.0
    with pytest.raises(ExpressionError, match=r"join='inner'.*adata\.layers\['mine'\] = np\.nan_to_num"):
        expression(adata, layer="mine")
    del adata.layers["mine"]
    with pytest.raises(ExpressionError, match="neither counts nor logarithms can be made"):
        expression(adata)
    with pytest.raises(ExpressionError, match="cannot be made from logarithms"):
        grn.pp.check_expression(make(log_values()), expect="counts")


def test_a_matrix_is_looked_at_once_within_a_call(monkeypatch):
    """CellOracle asks for the values twice: for the neighbours of cells and for the regressions."""
    looks = []

    def counted(*args, **kwargs):
        looks.append(args)
        return scan_of_values(*args, **kwargs)

    scan_of_values = values_module.scan
    monkeypatch.setattr(values_module, "scan", counted)
    adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=8)
    grn.tl.celloracle(adata, max_p=None, n_bags=2)
    assert len(looks) == 1
    assert adata.uns["grn_smooth"]["params"]["values"] == adata.uns["celloracle"]["params"]["values"] == "log"
    adata.X = adata.layers["counts"].copy()
    grn.tl.infer_network(adata, method="correlation")
    assert len(looks) == 2 and adata.uns["grn"]["params"]["values"] == "counts"


def test_other_layers_within_a_call_are_other_matrices():
    adata = grn.datasets.toy(n_cells=20, n_regulators=3, n_targets=4)
    with reads_of() as reads:
        logs, again = expression(adata), expression(adata)
        counts = expression(adata, layer="counts")
    assert logs is again and counts is not logs and counts.kind == "counts"
    assert list(reads) == [(None, False), (None, False), ("counts", False)]
    assert expression(adata) is not logs
