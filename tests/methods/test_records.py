"""One contract for every record that reads cells and no model."""

import logging
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grn
from grn._core.errors import ExpressionError, GeneNameError, GeneOverlapError, GrnError, GroupError, ParameterError
from grn._kernels import matrix
from grn.methods import METHODS

# those that read regions take a MuData and have their tests in their folders
RECORDS = tuple(name for name in METHODS if not METHODS[name].reads_model and "regions" not in METHODS[name].needs)
records = pytest.mark.parametrize("name", RECORDS)


@dataclass(frozen=True)
class Case:
    """What a record needs for a fast run, and what it cannot promise (with the reason)."""

    screen: bool = False
    # cells with a trajectory
    course: bool = False
    params: MappingProxyType[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    groupby: str | None = "group"
    # every gene is a source where none is named
    every_gene: bool = False
    # why another order of the cells may give another result
    cell_order: str = ""
    tolerance: float = 1e-4


def prior():
    """Two of three planted edges, and edges that are none."""
    edges = grn.datasets.toy_groups(n_cells=10, n_regulators=4, n_targets=8).uns["truth"]
    pairs = edges[["source", "target"]].drop_duplicates()
    return pairs.assign(probability=np.where(np.arange(len(pairs)) % 3, 0.9, 0.2))


CASES = {
    "dictys": Case(params=MappingProxyType({"n_steps": 60}), tolerance=1e-6),
    "prior_ridge": Case(params=MappingProxyType({"prior": prior(), "strength": 0.5})),
    "celloracle": Case(params=MappingProxyType({"max_p": None})),
    "scrank": Case(every_gene=True),
    "genie3": Case(params=MappingProxyType({"mode": "fast", "n_trees": 10})),
    "grnboost2": Case(params=MappingProxyType({"max_rounds": 20})),
    "renge": Case(
        screen=True,
        params=MappingProxyType({"C": 1e-3, "l1_ratio": 0.1, "n_k": 2, "n_boot": 5}),
        groupby=None,
        every_gene=True,
    ),
    "flecs": Case(
        course=True,
        params=MappingProxyType({"n_bins": 3, "n_epochs": 2, "n_ensemble": 2, "smooth": False, "velocity": False}),
        groupby=None,
    ),
    "ritini": Case(
        course=True,
        params=MappingProxyType({"prior": "full", "n_times": 12, "n_epochs": 2, "effects": False}),
        groupby=None,
    ),
}


def case(name):
    return CASES.get(name, Case())


def cells_for(name):
    if case(name).screen:
        return grn.datasets.toy_perturbation(n_cells=6, n_regulators=3, n_targets=2, n_times=2)
    adata = grn.datasets.toy_groups(n_cells=120, n_regulators=4, n_targets=8)
    if "counts" in METHODS[name].needs:
        adata.X = adata.layers.pop("counts")
    if case(name).course:
        adata.obs["time"] = np.random.default_rng(0).random(adata.n_obs)
        grn.pp.trajectory(adata, pseudotime="time")
    return adata


def run(name, adata, **more):
    """Edges by (group, source, target)."""
    mine = case(name)
    params = {**mine.params, **more.pop("params", {})}
    arguments = {"method": name, "groupby": mine.groupby, "params": params, "progress": False, **more}
    assert grn.tl.infer_network(adata, **arguments) is None
    return by_pair(adata.uns["grn"]["edges"])


def by_pair(edges):
    keys = [key for key in ("group", "source", "target") if key in edges]
    return edges.astype(dict.fromkeys(keys, str)).set_index(keys).sort_index()


def assert_same(found, wanted, tolerance):
    assert list(found.columns) == list(wanted.columns)
    pd.testing.assert_index_equal(found.index, wanted.index)
    for column in found.select_dtypes("number"):
        scale = max(1e-12, wanted[column].abs().max())
        np.testing.assert_allclose(
            found[column] / scale, wanted[column] / scale, atol=tolerance, rtol=0, equal_nan=True, err_msg=column
        )


@pytest.fixture(scope="module")
def inferred():
    """Every record on the plain object, computed once; copy before writing."""
    known = {}

    def get(name):
        if name not in known:
            known[name] = cells_for(name)
            run(name, known[name])
        return known[name]

    return get


@pytest.fixture(scope="module")
def wanted(inferred):
    """Edges of every record on the plain object."""
    return lambda name: by_pair(inferred(name).uns["grn"]["edges"])


def test_there_are_records():
    assert set(RECORDS) >= {"correlation", "ridge"} and set(CASES) <= set(RECORDS)


@records
def test_what_an_edge_table_holds(name, wanted):
    adata, edges = cells_for(name), wanted(name)
    table = edges.reset_index()
    allowed = set(adata.var_names if case(name).every_gene else adata.var_names[adata.var["is_regulator"]])
    assert len(table) and set(table["source"]) <= allowed and set(table["target"]) <= set(adata.var_names)
    assert (table["source"] != table["target"]).all() and not table.duplicated([*edges.index.names]).any()
    assert np.isfinite(table["weight"]).all() and table["weight"].abs().max() > 0
    if not METHODS[name].signed:
        assert (table["weight"] >= 0).all()
    assert ("probability" in table) == METHODS[name].probability
    if case(name).groupby:
        assert set(table["group"]) == set(adata.obs["group"])


def dense(adata, _):
    adata.X = adata.X.toarray()
    return adata


def by_genes(adata, _):
    adata.X = sparse.csc_matrix(adata.X).astype(np.float64)
    return adata


def backed(adata, folder):
    adata.write_h5ad(folder / "cells.h5ad")
    return ad.read_h5ad(folder / "cells.h5ad", backed="r")


def backed_by_genes(adata, folder):
    return backed(by_genes(adata, folder), folder)


def zarr_group(adata, folder):
    zarr = pytest.importorskip("zarr")
    adata.write_zarr(folder / "cells.zarr")
    adata.X = ad.io.sparse_dataset(zarr.open_group(folder / "cells.zarr", mode="r")["X"])
    return adata


def lazy_h5ad(adata, folder):
    pytest.importorskip("xarray")
    adata.write_h5ad(folder / "cells.h5ad")
    return ad.experimental.read_lazy(folder / "cells.h5ad")


def lazy_zarr(adata, folder):
    pytest.importorskip("xarray")
    adata.write_zarr(folder / "cells.zarr")
    return ad.experimental.read_lazy(folder / "cells.zarr")


def dask_dense(adata, _):
    da = pytest.importorskip("dask.array")
    adata.X = da.from_array(adata.X.toarray(), chunks=(50, 5))
    return adata


def dask_csr(adata, _):
    da = pytest.importorskip("dask.array")
    X = da.from_array(adata.X.toarray(), chunks=(50, -1))
    adata.X = X.map_blocks(sparse.csr_matrix, dtype=np.float32)
    return adata


FORMS = (dense, by_genes, backed, backed_by_genes, zarr_group, lazy_h5ad, lazy_zarr, dask_dense, dask_csr)


@records
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_form_of_matrix_gives_the_same(name, form, wanted, tmp_path):
    adata = form(cells_for(name), tmp_path)
    assert_same(run(name, adata), wanted(name), case(name).tolerance)


@records
def test_a_file_is_read_in_pieces(name, tmp_path, monkeypatch):
    adata = backed(cells_for(name), tmp_path)
    n_cells, largest = adata.n_obs, []
    read = matrix._SparseFile.read

    def counted(self, lines):
        block = read(self, lines)
        largest.append(block.shape[0])
        return block

    def whole(*_):
        raise AssertionError("the whole matrix is loaded")

    monkeypatch.setattr(matrix, "VALUES", adata.n_vars * n_cells // 8)
    monkeypatch.setattr(matrix, "_GAP", 0)
    monkeypatch.setattr(matrix._SparseFile, "read", counted)
    for loads in ("to_memory", "__getitem__"):
        monkeypatch.setattr(type(adata.X), loads, whole)
    run(name, adata)
    assert largest and max(largest) <= max(16, n_cells // 4)


@records
def test_only_the_result_is_written(name):
    adata = cells_for(name)
    X, obs, var = adata.X, adata.obs.copy(), adata.var.copy()
    before = {slot: sorted(getattr(adata, slot)) for slot in ("layers", "obsm", "varm", "obsp", "varp", "uns")}
    data = X.data.copy()
    embedding = adata.obsm["X_toy"].copy() if "X_toy" in adata.obsm else None
    run(name, adata)
    assert adata.X is X and np.array_equal(X.data, data)
    pd.testing.assert_frame_equal(adata.obs, obs)
    pd.testing.assert_frame_equal(adata.var, var)
    before["uns"] = sorted([*before["uns"], "grn"])
    if name == "celloracle":  # keeps the weights that it smoothed with, as tl.celloracle says
        before["uns"], before["obsp"] = sorted([*before["uns"], "grn_smooth"]), [*before["obsp"], "grn_smooth"]
    assert {slot: sorted(getattr(adata, slot)) for slot in before} == before
    assert embedding is None or np.array_equal(adata.obsm["X_toy"], embedding)


@records
def test_a_copy_is_returned_and_the_object_left(name, wanted):
    adata, mine = cells_for(name), case(name)
    out = grn.tl.infer_network(adata, method=name, groupby=mine.groupby, params=dict(mine.params), copy=True)
    assert "grn" not in adata.uns
    assert_same(by_pair(out.uns["grn"]["edges"]), wanted(name), 0)


@records
def test_the_order_of_genes_does_not_matter(name, wanted):
    adata = cells_for(name)
    order = np.random.default_rng(1).permutation(adata.n_vars)
    assert_same(run(name, adata[:, order].copy()), wanted(name), case(name).tolerance)


@records
def test_the_order_of_cells_does_not_matter(name, wanted):
    if case(name).cell_order:
        pytest.skip(case(name).cell_order)
    adata = cells_for(name)
    order = np.random.default_rng(1).permutation(adata.n_obs)
    assert_same(run(name, adata[order].copy()), wanted(name), case(name).tolerance)


@records
def test_the_same_seed_gives_the_same_with_any_number_of_jobs(name):
    one, two = run(name, cells_for(name), rng=7), run(name, cells_for(name), rng=7, n_jobs=2)
    assert_same(one, two, 0)


with_client = pytest.mark.parametrize("name", [name for name in RECORDS if METHODS[name].uses_client])


@pytest.mark.parametrize("restricted", [False, True], ids=["all pairs", "base GRN"])
@with_client
def test_a_worker_gives_the_same(name, restricted, near_client):
    assert_workers_agree(name, near_client, restricted=restricted)


@pytest.mark.slow
@with_client
def test_two_workers_give_the_same(name, client):
    assert_workers_agree(name, client, restricted=True)


def assert_workers_agree(name, client, *, restricted):
    params = {"base_grn": grn.pp.base_grn(prior(), adata=cells_for(name))} if restricted else {}
    adata, other = cells_for(name), cells_for(name)
    assert_same(run(name, adata, params=params, client=client), run(name, other, params=params), 0)


def test_those_that_take_a_client_are_the_costly_ones():
    assert {name for name in RECORDS if METHODS[name].uses_client} == {
        *("ridge", "prior_ridge", "celloracle", "genie3", "grnboost2")
    }


def test_bayesian_ridge_and_fast_trees_on_a_worker(near_client):
    for name, params in (("celloracle", {"fit": "bayesian"}), ("grnboost2", {"mode": "fast", "max_rounds": 20})):
        found = run(name, cells_for(name), params=params, client=near_client)
        assert_same(found, run(name, cells_for(name), params=params), 0)


@records
@pytest.mark.filterwarnings("ignore:Trying to modify attribute")
def test_a_view_is_read_like_its_copy(name):
    adata = cells_for(name)
    view = adata[1:, : adata.n_vars - 1]
    assert view.is_view
    copied = run(name, view.copy())
    assert_same(run(name, view), copied, 0)
    assert "grn" not in adata.uns


@records
def test_results_survive_a_file(name, inferred, wanted, tmp_path):
    adata, edges = inferred(name).copy(), wanted(name)
    adata.write_h5ad(tmp_path / "result.h5ad")
    back = ad.read_h5ad(tmp_path / "result.h5ad")
    assert_same(by_pair(back.uns["grn"]["edges"]), edges, 0)
    lazy = ad.experimental.read_lazy(tmp_path / "result.h5ad")
    assert grn.get.network(lazy).equals(grn.get.network(adata))
    one, two = (grn.get.network(found).params for found in (adata, back))
    assert set(one) == set(two) and one["method"] == two["method"] == name
    for key in METHODS[name].parameters():
        if key in one:
            assert np.array_equal(np.asarray(one[key]), np.asarray(two[key])), key


@records
def test_sources_and_targets_are_obeyed(name):
    adata = cells_for(name)
    sources, targets = ["SPI1", "GATA1"], list(adata.var_names[1:])
    table = run(name, adata, sources=sources, targets=targets).reset_index()
    assert set(table["source"]) <= set(sources) and set(table["target"]) <= set(targets)


with_base_grn = [name for name in RECORDS if "base_grn" in METHODS[name].parameters()]


@pytest.mark.parametrize("name", with_base_grn)
def test_a_base_grn_is_obeyed_in_any_order_of_rows(name):
    adata = cells_for(name)
    truth = adata.uns["truth"][["source", "target"]]
    table = pd.concat([truth.assign(region="a"), truth.iloc[:3].assign(region="b")], ignore_index=True)
    base = grn.pp.base_grn(table, adata=adata)
    one = run(name, adata, params={"base_grn": base})
    two = run(name, adata, params={"base_grn": base.sample(frac=1, random_state=0)})
    assert_same(one, two, 0)
    found = one.reset_index()
    allowed = set(zip(truth["source"], truth["target"], strict=True))
    assert set(zip(found["source"], found["target"], strict=True)) <= allowed
    kept = table.copy()
    run(name, adata, params={"base_grn": table})
    pd.testing.assert_frame_equal(table, kept)


@pytest.mark.parametrize("name", with_base_grn)
def test_a_base_grn_of_other_genes_is_an_error(name):
    table = pd.DataFrame({"source": ["Sox2"], "target": ["no-gene"]})
    adata = cells_for(name)
    with pytest.raises(GeneOverlapError):
        run(name, adata, params={"base_grn": table})
    with pytest.raises(GrnError):
        run(name, adata, params={"base_grn": table.rename(columns={"source": "TF"})})
    assert "grn" not in adata.uns


def with_nan(adata):
    adata.X.data[0] = np.nan


def negative(adata):
    adata.X = adata.X.toarray() - 1.0


def duplicated(adata):
    adata.var_names = [*adata.var_names[:-1], adata.var_names[0]]


def nothing(adata):
    adata.X = sparse.csr_matrix(adata.shape, dtype=np.float32)


BROKEN = [
    (with_nan, ExpressionError),
    (negative, ExpressionError),
    (duplicated, GeneNameError),
    (nothing, ExpressionError),
]


@records
@pytest.mark.parametrize(("change", "error"), BROKEN, ids=lambda thing: getattr(thing, "__name__", ""))
def test_broken_objects_are_refused_and_left(name, change, error):
    adata = cells_for(name)
    change(adata)
    keys = set(adata.uns)
    with pytest.raises(error):
        run(name, adata)
    assert set(adata.uns) == keys


@records
def test_no_cells_and_no_regulators_are_refused(name):
    adata = cells_for(name)
    with pytest.raises(GrnError):
        run(name, adata[:0].copy())
    if not case(name).every_gene:
        adata.var["is_regulator"] = False
        with pytest.raises(GeneOverlapError):
            run(name, adata)
    with pytest.raises(GeneNameError):
        run(name, cells_for(name), sources=["no-gene"])


@records
def test_groups_that_do_not_fit_are_refused(name):
    if case(name).groupby is None:
        pytest.skip("the record reads conditions of a screen or a trajectory, not groups")
    adata = cells_for(name)
    with pytest.raises(GroupError):
        run(name, adata, groupby="nowhere")
    adata.obs["group"] = adata.obs["group"].astype(str).where(np.arange(adata.n_obs) > 1, "tiny")
    with pytest.raises(GroupError, match="tiny"):
        run(name, adata)
    assert "grn" not in adata.uns


@records
def test_unknown_parameters_are_refused(name):
    with pytest.raises(ParameterError, match="nonsense"):
        run(name, cells_for(name), params={"nonsense": 1})


@records
def test_constant_genes_are_reported_and_have_no_edges(name, caplog):
    adata = cells_for(name)
    lost = str(adata.var_names[-1])
    X = adata.X.toarray()
    X[:, -1] = 2.0 if "counts" in METHODS[name].needs else 1.5
    adata.X = sparse.csr_matrix(X)
    with caplog.at_level(logging.INFO, logger="grn"):
        try:
            table = run(name, adata).reset_index()
        except GrnError as error:
            assert lost in str(error)
            return
    touched = table[(table["source"] == lost) | (table["target"] == lost)]
    assert touched.empty or (touched["weight"] == 0).all()
    assert lost in caplog.text


@records
def test_the_record_describes_itself(name):
    record = METHODS[name]
    assert record.description and record.reference and "cells" in record.needs
    assert name in grn.tl.methods().index
