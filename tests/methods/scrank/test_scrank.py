"""scRank: every step against the authors' program, and what any user may rely on."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import grn
from grn._kernels.alignment import align, perturbed, scores
from grn._kernels.pc_regression import coefficients, spectrum, strongest
from grn._kernels.tensor import cp_als, mean_layer
from grn.errors import ExpressionError, GrnError, GroupError, ParameterError
from grn.methods.scrank.networks import Resampling, _layer, drawn, network_of, starts_of

TYPES = ("alpha", "beta", "gamma")
RUNS = {
    "antagonist_hop1": ([2], 1, False),
    "antagonist_hop2": ([2], 2, False),
    "antagonist_hop3": ([2], 3, False),
    "agonist_hop2": ([2], 2, True),
    "antagonist_two_targets": ([2, 4], 2, False),
}


@pytest.fixture(scope="module")
def reference(shared_dir):
    """Counts, cell types, draws and starts that the authors' program used, and what it made of them."""
    folder = shared_dir / "reference" / "scrank"
    counts = pd.read_csv(folder / "expr_counts.csv.gz", index_col=0)
    kind = pd.read_csv(folder / "meta.csv", index_col=0)["celltype"]
    b, depth, sign = (pd.read_csv(folder / f"cp_init_U{i}.csv").to_numpy() for i in (2, 4, 3))
    draws = {}
    for name in TYPES:
        table = pd.read_csv(folder / f"resample_idx_{name}.csv").to_numpy()
        draws[name] = [np.unique(column, return_counts=True) for column in table.T]
    return SimpleNamespace(
        folder=folder,
        counts=counts,
        kind=kind,
        genes=list(counts.columns),
        draws=draws,
        # a dimension of size one only scales the start of the last factor
        starts=(b, depth * sign),
        cells={name: np.flatnonzero(kind == name) for name in TYPES},
    )


def square(reference, name):
    return pd.read_csv(reference.folder / name, index_col=0).to_numpy()


def resampled(reference, name):
    """The reference networks of the resamples (10, G, G)."""
    table = pd.read_csv(reference.folder / f"resample_nets_{name}.csv.gz")
    place = {gene: i for i, gene in enumerate(reference.genes)}
    found = np.zeros((10, len(place), len(place)))
    found[table["resample"].to_numpy(), table["row"].map(place), table["col"].map(place)] = table["weight"]
    return found


@pytest.mark.parametrize("name", TYPES)
def test_every_step_of_the_authors_networks(reference, name):
    X = reference.counts.to_numpy(float)[reference.cells[name]]
    layers = [strongest(coefficients(spectrum(X[cells], n)), 0.95) for cells, n in reference.draws[name]]
    for layer, wanted in zip(layers, resampled(reference, name), strict=True):
        np.testing.assert_allclose(layer.toarray(), wanted, atol=1e-9)
    found = mean_layer(cp_als(layers, columns=reference.starts[0], depth=reference.starts[1]))
    np.testing.assert_allclose(found, square(reference, f"cp_mean_scaled_{name}.csv.gz"), atol=1e-9)
    np.testing.assert_array_equal(np.round(found, 1), square(reference, f"net_rounded_{name}.csv.gz"))


@pytest.mark.parametrize("name", TYPES)
def test_the_whole_network_of_a_type(reference, name):
    X = reference.counts.to_numpy(np.float32)[reference.cells[name]]
    wanted = square(reference, f"net_final_{name}.csv.gz")
    for jobs in (1, 2):
        found, varies = network_of(
            lambda rows: X[rows], reference.draws[name], reference.starts, Resampling(parity=True), jobs
        )
        np.testing.assert_allclose(found.toarray(), wanted, rtol=0, atol=1e-15)
        assert varies.all()


@pytest.mark.parametrize("name", TYPES)
def test_rounding_alone_gives_the_authors_network(reference, name):
    """No other detail of theirs is needed for it: the threshold drops what rounding drops."""
    X = reference.counts.to_numpy(np.float32)[reference.cells[name]]
    read = lambda rows: X[rows]  # noqa: E731
    found, _ = network_of(read, reference.draws[name], reference.starts, Resampling(decimals=1))
    wanted = square(reference, f"net_final_{name}.csv.gz")
    np.testing.assert_allclose(found.toarray(), wanted, rtol=0, atol=1e-15)
    exact, _ = network_of(read, reference.draws[name], reference.starts, Resampling())
    assert ((exact.toarray() != 0) == (wanted != 0)).all() and np.abs(exact.toarray() - wanted).max() > 0.01
    fine, _ = network_of(read, reference.draws[name], reference.starts, Resampling(decimals=3))
    assert 0 < np.median(np.abs(exact.toarray() - fine.toarray())[wanted != 0]) < 0.001


@pytest.mark.parametrize("run", RUNS)
def test_distances_scores_and_ranks_of_a_drug(reference, run):
    targets, n_hop, agonist = RUNS[run]
    genes = pd.read_csv(reference.folder / f"genes_{run}.csv")
    wanted = pd.read_csv(reference.folder / f"rank_{run}.csv").set_index("celltype")
    reached = []
    for name in TYPES:
        weights = sp.csr_array(square(reference, f"net_final_{name}.csv.gz"))
        found = align(weights, perturbed(weights, targets, agonist=[agonist] * len(targets)), symmetric=False)
        mine = genes[genes["celltype"] == name]
        np.testing.assert_allclose(found.distances, mine["distance"], atol=1e-9)
        np.testing.assert_array_equal(np.diff(weights.indptr), mine["degree"])
        np.testing.assert_allclose(weights.sum(axis=1), mine["out_weight"], atol=1e-12)
        np.testing.assert_allclose(weights.sum(axis=0), mine["in_weight"], atol=1e-12)
        reached.append(scores(weights, found.distances, n_hop=n_hop)[targets].sum())
        assert not found.complex_pair
    np.testing.assert_allclose(reached, wanted.loc[list(TYPES), "perb_score"], atol=1e-9)
    np.testing.assert_array_equal(np.argsort(np.argsort(reached)) + 1, wanted.loc[list(TYPES), "rank"])


def strongest_pairs(edges, n=160):
    """The top decile of the 40 x 40 pairs."""
    edges = edges.sort_values("weight", key=abs, ascending=False, kind="stable").head(n)
    return set(zip(edges["source"].astype(str), edges["target"].astype(str), strict=True))


def overlap(one, two):
    return len(one & two) / len(one | two)


def test_own_draws_agree_with_the_authors_as_well_as_with_each_other(reference):
    """On 60 to 120 cells two draws share few edges; the authors' network is one more draw."""
    adata = AnnData(reference.counts.to_numpy(np.float32), obs=pd.DataFrame({"type": reference.kind}))
    adata.obs_names, adata.var_names = list(reference.counts.index), reference.genes
    theirs = {}
    for name in TYPES:
        weights = pd.DataFrame(square(reference, f"net_final_{name}.csv.gz"), reference.genes, reference.genes)
        edges = weights.rename_axis("source").reset_index().melt("source", var_name="target", value_name="weight")
        theirs[name] = strongest_pairs(edges[edges["weight"] != 0])
    own, first = [], []
    for seed in range(5):
        grn.tl.scrank(adata, groupby="type", drug_targets=["G02"], parity=True, rng=seed)
        edges = adata.uns["scrank"]["edges"]
        own.append({name: strongest_pairs(edges[edges["group"] == name]) for name in TYPES})
        first.append(adata.uns["scrank"]["ranks"]["group"].iloc[0])
    among = np.mean([overlap(one[name], two[name]) for one, two in combinations(own, 2) for name in TYPES])
    with_theirs = np.mean([overlap(one[name], theirs[name]) for one in own for name in TYPES])
    by_chance = 160 / (2 * 1600 - 160)
    assert with_theirs > among - 0.05 and with_theirs > 3 * by_chance
    assert "beta" not in first


@pytest.fixture(scope="module")
def cells():
    return grn.datasets.toy(n_cells=240, n_regulators=6, n_targets=30)


def run(adata, **more):
    params = {**more.pop("params", {})}
    arguments = {"method": "scrank", "groupby": "group", "sources": sorted(adata.var_names), "params": params, **more}
    grn.tl.infer_network(adata, **arguments)
    edges = adata.uns["grn"]["edges"]
    keys = [key for key in ("group", "source", "target") if key in edges]
    return edges.astype(dict.fromkeys(keys, str)).set_index(keys)["weight"].sort_index()


def test_the_order_of_cells_and_genes_and_jobs_do_not_matter(cells):
    wanted = run(cells.copy())
    rng = np.random.default_rng(0)
    turned = cells[rng.permutation(cells.n_obs), rng.permutation(cells.n_vars)].copy()
    pd.testing.assert_series_equal(run(turned), wanted, atol=1e-7)
    pd.testing.assert_series_equal(run(cells.copy(), n_jobs=2), wanted, rtol=0, atol=0)
    assert len(wanted) > 100 and wanted.abs().groupby("group").max().between(0.25, 1).all()


def test_the_seed_matters_and_other_groups_do_not(cells):
    wanted = run(cells.copy())
    assert not run(cells.copy(), rng=1).equals(wanted)
    alone = run(cells[cells.obs["group"] == "group_2"].copy())
    # what is left of the sums of other cells is rounding of the normalisation
    pd.testing.assert_series_equal(alone, wanted.loc[["group_2"]], atol=1e-7)


def test_one_network_without_groups_and_chosen_edges(cells):
    found = run(cells.copy(), groupby=None)
    assert found.index.names == ["source", "target"] and len(found)
    some = run(cells.copy(), groupby=None, sources=["SPI1", "GATA1"], targets=list(cells.var_names[8:]))
    pd.testing.assert_series_equal(some, found.loc[some.index])
    assert set(some.index.get_level_values("source")) <= {"SPI1", "GATA1"}


def test_genes_that_do_not_vary_have_no_edges(cells, caplog):
    adata = cells.copy()
    X = adata.X.toarray()
    X[:, 3], X[:, 5], X[(adata.obs["group"] == "group_1").to_numpy(), 7] = 0.0, 1.7, 0.0
    adata.X = X
    found = run(adata).reset_index()
    flat, part = set(adata.var_names[[3, 5]]), adata.var_names[7]
    assert not flat & ({*found["source"]} | {*found["target"]})
    assert part not in set(found.loc[found["group"] == "group_1", "target"])
    assert "do not vary in group 'group_1'" in caplog.text and np.isfinite(found["weight"]).all()


def with_silent(adata, n, where=None):
    """The object with further genes, above zero in the cells ``where`` only."""
    X = np.hstack([adata.layers["counts"].toarray(), np.zeros((adata.n_obs, n))]).astype(np.float32)
    if where is not None:
        X[where, -n:] = np.random.default_rng(1).poisson(5.0, size=(where.sum(), n))
    made = AnnData(X, obs=adata.obs.copy())
    made.obs_names, made.var_names = adata.obs_names, [*adata.var_names, *(f"silent {k}" for k in range(n))]
    # normalised by the genes that are there without them
    totals = adata.layers["counts"].toarray().sum(axis=1, keepdims=True)
    made.layers["counts"], made.X = X, np.log1p(X / totals * 1e4)
    return made


@pytest.mark.parametrize("params", [{}, {"parity": True}, {"min_cells": 0}])
def test_silent_genes_change_nothing(params):
    adata = grn.datasets.toy(n_cells=300, n_regulators=6, n_targets=30)
    layer = {"layer": "counts"} if "parity" in params else {}
    sources = sorted(adata.var_names)
    wanted = run(with_silent(adata, 0), sources=sources, params=params, **layer)
    found = run(with_silent(adata, 36), sources=sources, params=params, **layer)
    assert len(wanted) > 60
    pd.testing.assert_series_equal(found, wanted, rtol=0, atol=0)


def test_genes_silent_in_one_group_change_nothing_there():
    adata = grn.datasets.toy(n_cells=300, n_regulators=6, n_targets=30)
    other = (adata.obs["group"] == "group_2").to_numpy()
    wanted, found = run(with_silent(adata, 0)), run(with_silent(adata, 20, other))
    pd.testing.assert_series_equal(found.loc[["group_1"]], wanted.loc[["group_1"]], rtol=0, atol=0)
    assert any(name.startswith("silent") for name in found.loc["group_2"].index.get_level_values("source"))


def test_genes_silent_in_a_resample_do_not_count_there():
    """The published steps, one decomposition per gene, on the genes that the cells drawn express."""
    rng = np.random.default_rng(0)
    X = rng.poisson(2.0, size=(60, 30)).astype(float)
    X[:40, 12:22] = 0.0
    draws = [np.unique(rng.integers(stop, size=25), return_counts=True) for stop in (60, 40, 60)]
    for (cells, counts), silent in zip(draws, (0, 10, 0), strict=True):
        drawn = np.repeat(X[cells], counts, axis=0)
        there = np.flatnonzero(drawn.sum(axis=0) > 0)
        assert len(there) == 30 - silent
        Z = drawn[:, there]
        Z = (Z - Z.mean(axis=0)) / Z.std(axis=0, ddof=1)
        A = np.zeros((len(there),) * 2)
        for j in range(len(there)):
            rest = np.delete(np.arange(len(there)), j)
            V = np.linalg.svd(Z[:, rest], full_matrices=False)[2][:3].T
            score = Z[:, rest] @ V
            A[j, rest] = V @ ((score.T @ Z[:, j]) / (score**2).sum(axis=0))
        A /= np.abs(A).max()
        A[np.abs(A) < np.quantile(np.abs(A), 0.95)] = 0.0
        wanted = np.zeros((30, 30))
        wanted[np.ix_(there, there)] = A
        layer, varies = _layer((X[cells], counts), Resampling())
        np.testing.assert_array_equal(np.flatnonzero(varies), there)
        np.testing.assert_allclose(layer.toarray(), wanted, atol=1e-12)


def test_more_cells_than_genes_take_another_way_to_the_same(cells):
    adata = cells[:, :12].copy()
    X = adata.X.toarray()
    members, resampling = np.arange(240), Resampling(cells_per_resample=200)
    draws = drawn(np.asarray(adata.obs_names, dtype=str), "", resampling, 0)
    starts = starts_of(np.asarray(adata.var_names, dtype=str), "", resampling, 0)
    found, _ = network_of(lambda rows: X[members[rows]], draws, starts, resampling)
    layers = [strongest(coefficients(spectrum(X[rows], n)), 0.95) for rows, n in draws]
    mean = mean_layer(cp_als(layers, columns=starts[0], depth=starts[1]))
    assert found.nnz and set(zip(*found.nonzero(), strict=True)) == set(
        zip(*np.nonzero((np.abs(mean.T) >= 0.05) & ~np.eye(12, dtype=bool)), strict=True)
    )


def test_draws_follow_the_names():
    names = np.array([f"c{i}" for i in range(130)])
    order = np.random.default_rng(0).permutation(130)
    for (one, n), (two, m) in zip(
        drawn(names, "a", Resampling(), 0), drawn(names[order], "a", Resampling(), 0), strict=True
    ):
        assert dict(zip(names[one], n, strict=True)) == dict(zip(names[order][two], m, strict=True))
        assert n.sum() == 65
    assert drawn(names[:60], "a", Resampling(), 0)[0][1].sum() == 25


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"n_resamples": 0}, ParameterError, "n_resamples=0"),
        ({"rank": 2.0}, ParameterError, "rank=2.0"),
        ({"quantile": 1.0}, ParameterError, "quantile=1.0"),
        ({"threshold": -0.1}, ParameterError, "threshold=-0.1"),
        ({"cells_per_resample": 3}, ParameterError, "cells_per_resample=3"),
        ({"min_group_cells": 2}, ParameterError, "min_group_cells=2"),
        ({"min_cells": -1}, ParameterError, "min_cells=-1"),
        ({"min_group_cells": 200}, GroupError, "fewer than 200 cells"),
        ({"n_components": 40}, ExpressionError, "36 genes"),
        ({"device": "cpu"}, ParameterError, "no parameter 'device'"),
    ],
)
def test_what_is_refused(cells, params, error, message):
    adata = cells.copy()
    if "n_components" in params:
        params = {**params, "min_group_cells": 50}
    with pytest.raises(error, match=message):
        run(adata, params=params)
    assert "grn" not in adata.uns


def test_too_few_cells_without_groups(cells):
    with pytest.raises(GrnError, match="20 cells"):
        run(cells[:20].copy(), groupby=None)
