"""Dictys on planted cells: recovery, tables, orders, batches, groups, and input that does not fit."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import grn
from grn._core.errors import ExpressionError, GroupError, NetworkError, ParameterError
from grn._core.rng import sample_names
from grn.methods.dictys import contexts
from grn.methods.dictys.mask import strongest, with_decay


def made(**sizes):
    adata = grn.datasets.toy(**{"n_cells": 120, "n_regulators": 4, "n_targets": 10} | sizes)
    adata.X = adata.layers.pop("counts")
    return adata


def fitted(adata, **arguments):
    adata = adata.copy()
    grn.tl.dictys(adata, **{"n_steps": 60} | arguments)
    return adata.uns["dictys"]


def by_pair(edges):
    keys = [key for key in ("group", "source", "target") if key in edges]
    return edges.astype(dict.fromkeys(keys, str)).set_index(keys).sort_index()


def same(one, other, atol=0.0):
    one, other = by_pair(one["edges"]), by_pair(other["edges"])
    pd.testing.assert_index_equal(one.index, other.index)
    for name in ("weight", "raw", "indirect", "raw_indirect"):
        np.testing.assert_allclose(one[name], other[name], atol=atol)


def prior(adata, extra=12):
    """The planted pairs, among others."""
    truth = adata.uns["truth"][["source", "target"]].astype(str)
    names = list(adata.var_names)
    more = [(names[i % 4], names[4 + (3 * i) % (len(names) - 4)]) for i in range(extra)]
    return pd.concat([truth, pd.DataFrame(more, columns=["source", "target"])]).drop_duplicates(ignore_index=True)


def test_planted_edges_are_found_with_their_signs():
    adata = made(n_cells=300, n_groups=1)
    edges = fitted(adata, base_grn=prior(adata, 40), n_steps=500)["edges"].astype({"source": str, "target": str})
    truth = adata.uns["truth"].astype({"source": str, "target": str}).set_index(["source", "target"])["weight"]
    planted = [truth.get(pair, 0.0) for pair in zip(edges["source"], edges["target"], strict=True)]
    assert np.corrcoef(planted, edges["raw"])[0, 1] > 0.7
    strong = np.abs(planted) > 0.4
    assert (np.sign(np.array(planted))[strong] == edges["sign"][strong]).mean() > 0.9


def test_edges_are_those_of_the_base_grn_and_tables_hang_together():
    adata = made()
    base = prior(adata)
    entry = fitted(adata, base_grn=base, groupby="group")
    edges = entry["edges"]
    listed = set(map(tuple, edges[["source", "target"]].astype(str).to_numpy()))
    assert listed == set(map(tuple, base.to_numpy())) and len(edges) == 2 * len(base)
    levels = entry["levels"].astype({"group": str, "gene": str}).set_index(["group", "gene"])
    for _, group in levels.groupby("group"):
        assert np.exp(group["mean"]).sum() == pytest.approx(1.0)
    deviation = np.sqrt(levels["variance"])
    table = edges.astype({"group": str, "source": str, "target": str})
    for row in table.head(20).itertuples():
        scale = deviation[row.group, row.source] / deviation[row.group, row.target]
        assert row.weight == pytest.approx(row.raw * scale) and row.indirect == pytest.approx(row.raw_indirect * scale)
    assert set(entry["loss"].columns) == {"group", "step", "prior", "steady", "counts", "total"}
    coefficients = entry["simulation"].astype({"group": str, "source": str, "target": str})
    merged = coefficients.merge(table, on=["group", "source", "target"])
    damping = merged["group"].map(entry["params"]["damping"]).astype(float)
    np.testing.assert_allclose(merged["weight_x"], merged["raw"] / damping)
    assert set(entry["params"]["steps"]) == {"group_1", "group_2"}


def test_a_simulation_runs_on_the_stored_coefficients():
    adata = made()
    grn.tl.dictys(adata, base_grn=prior(adata), n_steps=60, groupby="group")
    grn.tl.simulate(
        adata, perturbation={"GATA1": 0}, net="dictys", groupby="group", coefficients="stored", mode="steady"
    )
    assert adata.uns["simulation"]["effects"].shape[0] > 0


def test_nothing_depends_on_the_order_of_genes_or_cells():
    adata = made()
    base = prior(adata)
    wanted = fitted(adata, base_grn=base, groupby="group")
    rng = np.random.default_rng(0)
    other = adata[rng.permutation(adata.n_obs)][:, rng.permutation(adata.n_vars)].copy()
    same(fitted(other, base_grn=base.sample(frac=1, random_state=0), groupby="group"), wanted)
    same(fitted(adata, base_grn=base, groupby="group", rng=5), wanted)


def test_groups_have_the_numbers_they_have_alone_and_in_any_batch():
    adata = made()
    adata.obs["group"] = np.where(np.arange(adata.n_obs) < 50, "a", np.where(np.arange(adata.n_obs) < 100, "b", "c"))
    base = prior(adata)
    together = fitted(adata, base_grn=base, groupby="group", n_steps=300)
    same(fitted(adata, base_grn=base, groupby="group", n_steps=300, batch_size=1), together)
    alone = fitted(adata[adata.obs["group"] == "b"].copy(), base_grn=base, n_steps=300)
    edges = together["edges"]
    same(alone, {"edges": edges[edges["group"] == "b"].drop(columns="group")})


def test_a_covariate_takes_its_share():
    adata = made(n_cells=200, n_groups=1)
    rng = np.random.default_rng(0)
    batch = rng.integers(2, size=adata.n_obs)
    counts = adata.X.toarray()
    counts[batch == 1, 5] *= 6
    adata.X = sparse.csr_matrix(counts)
    adata.obs["batch"], adata.obs["score"] = np.where(batch, "x", "y"), rng.normal(size=adata.n_obs)
    without, given = (fitted(adata, covariates=c, n_steps=300) for c in (None, ["batch", "score"]))
    one, other = (entry["levels"].set_index("gene")["variance"] for entry in (without, given))
    changed = adata.var_names[5]
    assert other[changed] < 0.75 * one[changed]
    assert fitted(adata, covariates=["batch"], groupby="batch")["edges"].shape[0] > 0


def test_parity_takes_all_steps_and_more_factors_are_taken():
    adata = made(n_groups=1)
    entry = fitted(adata, parity=True, n_steps=30)
    assert len(entry["loss"]) == 30 and np.isfinite(entry["edges"]["weight"]).all()
    other = fitted(adata, parity=True, n_steps=30, rng=1)
    assert not np.allclose(by_pair(entry["edges"])["weight"], by_pair(other["edges"])["weight"], atol=1e-9)
    more = fitted(adata, n_factors=2)
    assert np.isfinite(more["edges"]["weight"]).all()
    with pytest.raises(AssertionError):
        same(more, fitted(adata))
    few = fitted(adata, rank=1)
    assert np.isfinite(few["edges"]["weight"]).all()


def test_a_fit_that_is_done_stops(caplog):
    adata = made(n_cells=60, n_groups=1, n_targets=5)
    with caplog.at_level(logging.WARNING, logger="grn"):
        entry = fitted(adata, n_steps=2000, tolerance=0.05)
    assert entry["params"]["steps"]["all"] < 2000 and "still falls" not in caplog.text
    with caplog.at_level(logging.WARNING, logger="grn"):
        fitted(adata, n_steps=30)
    assert "still falls" in caplog.text


def test_the_strongest_regulators_by_score_are_taken():
    scores = np.array([[1.0, 3.0, 3.0, -np.inf], [-np.inf, -np.inf, 2.0, -np.inf]])
    names = np.array(["c", "b", "a", "d"])
    np.testing.assert_array_equal(strongest(scores, names, 1), [[0, 0, 1, 0], [0, 0, 1, 0]])
    np.testing.assert_array_equal(strongest(scores, names, 3), [[1, 1, 1, 0], [0, 0, 1, 0]])
    adata = made()
    base = prior(adata, 60)
    base["score"] = np.arange(len(base)) + 1.0
    edges = fitted(adata, base_grn=base, n_regulators=1)["edges"].astype({"source": str, "target": str})
    wanted = base.sort_values("score").drop_duplicates("target", keep="last")
    assert set(map(tuple, edges[["source", "target"]].to_numpy())) == set(
        map(tuple, wanted[["source", "target"]].to_numpy())
    )


def test_scores_fall_with_distance():
    table = pd.DataFrame({"source": "a", "target": "b", "score": [10.0, 10.0], "distance": [-1e6, 0.0]})
    np.testing.assert_allclose(with_decay(table)["score"], [0.0, np.log(10.0)])
    assert with_decay(table.drop(columns="distance"))["score"].tolist() == [10.0, 10.0]
    with pytest.raises(NetworkError, match="not above 0"):
        with_decay(table.assign(score=0.0))


def test_values_that_are_no_counts_are_refused_and_named():
    adata = grn.datasets.toy(n_cells=40, n_regulators=3, n_targets=5)
    with pytest.raises(ExpressionError, match="layer='counts'"):
        grn.tl.dictys(adata, n_steps=5)
    del adata.layers["counts"]
    with pytest.raises(ExpressionError, match="holds no counts"):
        grn.tl.dictys(adata, n_steps=5)
    assert "dictys" not in adata.uns


def test_input_that_does_not_fit_is_refused():
    adata = made(n_cells=40)
    with pytest.raises(NetworkError, match="Sox2"):
        fitted(adata, base_grn=pd.DataFrame({"source": ["Sox2"], "target": ["GATA1"]}))
    with pytest.raises(GroupError, match="tiny"):
        adata.obs["few"] = np.where(np.arange(40) == 0, "tiny", "rest")
        fitted(adata, groupby="few")
    with pytest.raises(GroupError, match="covariates"):
        fitted(adata, covariates=["nowhere"])
    for name, value in {"n_regulators": 0, "n_steps": 0, "tolerance": -1.0, "rank": 0, "n_factors": -1}.items():
        with pytest.raises(ParameterError, match=name):
            fitted(adata, **{name: value})


def test_constant_and_silent_genes_have_no_edges(caplog):
    adata = made(n_cells=60, n_groups=1)
    counts = adata.X.toarray()
    counts[:, -1], counts[:, -2] = 3.0, 0.0
    adata.X = sparse.csr_matrix(counts)
    with caplog.at_level(logging.INFO, logger="grn"):
        edges = fitted(adata)["edges"]
    lost = set(adata.var_names[-2:])
    assert lost.isdisjoint(edges["target"].astype(str)) and adata.var_names[-1] in caplog.text
    counts[0] = 0.0
    adata.X = sparse.csr_matrix(counts)
    with caplog.at_level(logging.WARNING, logger="grn"):
        fitted(adata)
    assert "1 cells without counts" in caplog.text


def test_a_group_without_a_regulator_is_skipped(caplog):
    adata = made(n_cells=60)
    counts = adata.X.toarray()
    counts[np.ix_((adata.obs["group"] == "group_1").to_numpy(), np.arange(4))] = 0.0
    adata.X = sparse.csr_matrix(counts)
    with caplog.at_level(logging.WARNING, logger="grn"):
        entry = fitted(adata, groupby="group")
    assert set(entry["edges"]["group"]) == {"group_2"} and "group_1" in caplog.text
    counts[:, :4] = 0.0
    adata.X = sparse.csr_matrix(counts)
    with pytest.raises(ExpressionError):
        fitted(adata, groupby="group")


def test_a_knockout_shifts_the_steady_state():
    adata = made()
    grn.tl.dictys(adata, base_grn=prior(adata, 30), n_steps=60)
    entry = adata.uns["dictys"]
    genes, damping = list(entry["fit"]["genes"]), float(entry["fit"]["damping"][0])
    network = np.zeros((len(genes), len(genes)))
    edges = entry["edges"].astype({"source": str, "target": str})
    for row in edges.itertuples():
        network[genes.index(row.target), genes.index(row.source)] = row.raw / damping
    level = entry["levels"].set_index("gene").loc[genes, "mean"].to_numpy()
    level = np.log1p(1e4 * np.exp(level))
    k = genes.index("GATA1")
    held = network.copy()
    held[k] = 0.0
    wanted = np.linalg.solve(np.eye(len(genes)) - held, -level[k] * np.eye(len(genes))[k])
    got = grn.tl.predict_knockout(adata, genes="GATA1", key="dictys", difference=True)
    np.testing.assert_allclose(got.loc[np.inf, genes], wanted, atol=1e-8)
    half = grn.tl.predict_knockout(adata, genes=["GATA1"], key="dictys", dose=0.5)
    np.testing.assert_allclose(half.iloc[0][genes], level + 0.5 * wanted, atol=1e-8)
    times = [0.0, 0.5, 2.0, 60.0]
    course = grn.tl.predict_knockout(adata, genes="GATA1", key="dictys", times=times, difference=True)[genes]
    drift = held - np.eye(len(genes))
    drift[k] = 0.0
    from scipy.linalg import expm

    begin = -level[k] * np.eye(len(genes))[k]
    for time in times:
        np.testing.assert_allclose(course.loc[time], expm(drift * time) @ begin, atol=1e-6)
    with pytest.raises(ParameterError, match="max_steps"):
        grn.tl.predict_knockout(adata, genes="GATA1", key="dictys", max_steps=2)


def test_a_knockout_is_predicted_in_every_group():
    adata = made()
    grn.tl.dictys(adata, base_grn=prior(adata), n_steps=30, groupby="group")
    got = grn.tl.predict_knockout(adata, genes=["GATA1", ("GATA1", "SPI1")], key="dictys", difference=True)
    assert got.index.names == ["group", "knockout", "time"] and len(got) == 4
    assert (got["GATA1"] < 0).all()


@pytest.fixture
def budget(monkeypatch):
    def at(n_bytes):
        monkeypatch.setattr(grn.settings, "memory_budget", n_bytes)

    return at


def test_a_group_beyond_the_memory_budget_is_refused_with_the_number_of_cells_that_fit(budget, monkeypatch):
    monkeypatch.setattr("grn.methods.dictys.contexts._SMALL", 0)
    monkeypatch.setattr("grn.methods.dictys.contexts._BLOCKS", 0)
    adata = made(n_cells=400, n_groups=1)
    adata.obs["kind"] = np.where(np.arange(400) < 320, "many", "few")
    given = {"base_grn": prior(adata), "groupby": "kind", "n_steps": 3}
    budget(120_000)
    with pytest.raises(ParameterError, match=r"320 cells x 14 genes of 'many' takes .* max_cells=(\d+)") as error:
        fitted(adata, **given)
    text = str(error.value)
    assert "dictys" not in adata.uns
    most = int(text.split("max_cells=")[1].split(",")[0])
    assert 80 <= most < 320
    assert len(fitted(adata, max_cells=most, **given)["edges"])
    with pytest.raises(ParameterError, match="max_cells="):
        fitted(adata, max_cells=most + 17, **given)
    budget(int(text.split("memory_budget = ")[1].split(" *")[0]) * 2**20)
    assert len(fitted(adata, **given)["edges"])
    budget(1000)
    with pytest.raises(ParameterError, match="pass fewer targets=") as error:
        fitted(adata, **given)
    assert "max_cells" not in str(error.value)


def test_the_bytes_of_a_fit_are_those_that_its_tensors_take():
    n_cells, n_genes = 2000, 500
    none = np.zeros(0)
    context = contexts.Context("", np.arange(n_cells), np.arange(n_genes), np.arange(10), np.ones((n_genes, 10), bool))
    reading = contexts.Reading(
        None, none, np.zeros((n_cells, 0)), 0, None, None, False, 0, 0, None, torch.device("cpu")
    )
    entries = 4 * 7 * n_cells * 504
    assert entries < contexts.bytes_of(context, reading) < 1.8 * entries


def test_cells_of_a_group_are_drawn_by_name():
    adata = made(n_cells=200)
    base, order = prior(adata), np.random.default_rng(0).permutation(200)
    one = fitted(adata, base_grn=base, groupby="group", max_cells=40, n_steps=20)
    same(one, fitted(adata[order], base_grn=base, groupby="group", max_cells=40, n_steps=20))
    every = fitted(adata, base_grn=base, groupby="group", n_steps=20)
    same(every, fitted(adata, base_grn=base, groupby="group", max_cells=200, n_steps=20))
    assert not np.allclose(by_pair(one["edges"])["raw"], by_pair(every["edges"])["raw"])
    other = fitted(adata, base_grn=base, groupby="group", max_cells=40, n_steps=20, rng=1)
    assert not np.allclose(by_pair(one["edges"])["raw"], by_pair(other["edges"])["raw"])


def test_a_gene_that_no_drawn_cell_has_is_left_out():
    adata = made(n_cells=200, n_groups=1)
    drawn = sample_names(list(adata.obs_names), 50, 0)
    gene = adata.var_names[-1]
    counts = adata.X.toarray() if sparse.issparse(adata.X) else adata.X.copy()
    counts[drawn, -1] = 0
    adata.X = counts
    every, some = (fitted(adata, base_grn=prior(adata), max_cells=most, n_steps=5) for most in (None, 50))
    assert gene in set(every["levels"]["gene"]) and gene not in set(some["levels"]["gene"])
