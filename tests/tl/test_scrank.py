"""Ranking groups of cells by what a drug does to their networks."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import GeneNameError, GroupError, NetworkError, ParameterError, ResultNotFoundError

DRUG_TARGET, MODULE = "T0", [f"g{i}" for i in range(18, 26)]


def planted(seed, n=120, n_genes=36):
    """Three types in which two regulators drive nine genes each; in one type a third gene, T0, drives eight more."""
    rng = np.random.default_rng(seed)
    names = ["T0", "T1", "T2", *(f"g{i}" for i in range(n_genes - 3))]
    counts = []
    for kind in range(3):
        weights = np.zeros((3, n_genes))
        weights[1, 3:12], weights[2, 12:21] = rng.choice([-0.8, 0.8], (2, 9))
        if kind == 1:
            weights[0, 21:29] = np.where(np.arange(8) < 5, 0.8, -0.8)
        z = rng.normal(size=(n, 3))
        rates = z @ weights + 0.4 * rng.normal(size=(n, n_genes)) + 2.0
        rates[:, :3] += 0.8 * z
        counts.append(rng.poisson(np.exp(rates) * rng.lognormal(0, 0.2, size=(n, 1))))
    kinds = pd.Categorical(np.repeat(["one", "two", "three"], n), categories=["one", "two", "three"])
    obs = pd.DataFrame({"type": kinds}, index=[f"c{i}" for i in range(3 * n)])
    return ad.AnnData(np.vstack(counts).astype(np.float32), obs=obs, var=pd.DataFrame(index=names))


def top(adata, **more):
    grn.tl.scrank(adata, groupby="type", **{"drug_targets": [DRUG_TARGET], **more})
    return adata.uns["scrank"]["ranks"]["group"].iloc[0]


@pytest.fixture(scope="module")
def ranked():
    adata = planted(0)
    grn.tl.scrank(adata, groupby="type", drug_targets=[DRUG_TARGET])
    return adata


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_type_with_the_targets_edges_comes_first(seed, parity):
    adata = planted(seed)
    assert top(adata, parity=parity) == "two"
    assert {top(adata, net="scrank", n_hop=n, parity=parity) for n in (1, 3)} == {"two"}
    edges = grn.get.edges(adata, key="scrank", group="two", sources=DRUG_TARGET)
    hits = set(edges["target"]) & set(MODULE)
    assert len(hits) >= (5 if not parity else 3) and len(hits) >= 0.8 * len(edges)


def test_planted_edges_rank_above_those_of_busy_genes():
    """Average precision of the undirected pairs of all three modules against the product of degrees."""
    found, floor = [], []
    for seed in range(3):
        adata = planted(seed)
        top(adata)
        net = grn.get.network(adata, key="scrank").filter(group="two")
        size = np.zeros((36, 36))
        place = {gene: i for i, gene in enumerate(adata.var_names)}
        for source, target, value in net.edges[["source", "target", "weight"]].itertuples(index=False):
            size[place[source], place[target]] = abs(value)
        size = size + size.T
        truth = np.zeros_like(size, dtype=bool)
        for regulator, members in ((0, slice(21, 29)), (1, slice(3, 12)), (2, slice(12, 21))):
            truth[regulator, members] = truth[members, regulator] = truth[members, members] = True
        upper = np.triu_indices(36, 1)
        degree = (size > 0).sum(1)
        found.append(grn.bench.metrics.auprc(truth[upper], size[upper]))
        floor.append(grn.bench.metrics.auprc(truth[upper], np.outer(degree, degree)[upper].astype(float)))
    assert np.mean(found) > np.mean(floor) + 0.2


def test_what_is_written(ranked):
    entry = ranked.uns["scrank"]
    ranks, effects = entry["ranks"], entry["effects"]
    assert ranks["group"].iloc[0] == "two" and ranks["rank"].iloc[0] == 1 and ranks["rescaled"].iloc[0] == 1
    assert ranks["score"].is_monotonic_decreasing and (ranks["expression"] > 0).all()
    assert len(effects) == 3 * ranked.n_vars and set(effects["gene"]) == set(ranked.var_names)
    two = effects[effects["group"] == "two"].set_index("gene")
    assert two["distance"].is_monotonic_decreasing and set(two.index[1:4]) <= set(MODULE)
    edges = grn.get.edges(ranked, key="scrank", group="two")
    own = edges[edges["source"] == DRUG_TARGET].set_index("target")["weight"]
    assert (two["degree"] == edges["source"].value_counts().reindex(two.index, fill_value=0)).all()
    np.testing.assert_allclose(two["from_target_1"].reindex(own.index), own)
    sums = edges.groupby("target", observed=True)["weight"].sum()
    np.testing.assert_allclose(two["in_weight"].reindex(sums.index), sums, atol=1e-12)
    assert entry["params"]["n_hop"] == 2 and entry["params"]["drug_targets"].tolist() == [DRUG_TARGET]


def test_a_file_keeps_it(ranked, tmp_path):
    ranked.write_h5ad(tmp_path / "ranked.h5ad")
    back = ad.read_h5ad(tmp_path / "ranked.h5ad")
    for name in ("ranks", "effects"):
        pd.testing.assert_frame_equal(back.uns["scrank"][name], ranked.uns["scrank"][name], check_names=False)
    grn.tl.scrank(back, groupby="type", drug_targets=[DRUG_TARGET], net="scrank", key_added="again")
    pd.testing.assert_frame_equal(back.uns["again"]["ranks"], ranked.uns["scrank"]["ranks"])


def test_a_second_drug_computes_no_network(ranked, monkeypatch):
    adata = ranked.copy()
    monkeypatch.setattr("grn.methods.scrank.method.network_of", None)
    grn.tl.scrank(adata, groupby="type", drug_targets=["T1", "T2"], net="scrank", key_added="second", action="agonist")
    assert grn.get.edges(adata, key="second").equals(grn.get.edges(adata, key="scrank"))
    assert "from_target_2" in adata.uns["second"]["effects"]
    assert list(adata.uns["second"]["params"]["actions"]) == ["agonist", "agonist"]


def test_any_network_with_groups_will_do(ranked):
    adata = ranked.copy()
    grn.tl.infer_network(adata, method="correlation", groupby="type", sources=list(adata.var_names))
    assert top(adata, net="grn") in {"one", "two", "three"}


def test_groups_order_and_jobs_do_not_matter(ranked):
    order = np.random.default_rng(0).permutation(ranked.n_obs)
    adata = planted(0)[order, ::-1].copy()
    grn.tl.scrank(adata, groupby="type", drug_targets=[DRUG_TARGET], n_jobs=2)
    one, two = (a.uns["scrank"]["ranks"].set_index("group") for a in (adata, ranked))
    pd.testing.assert_frame_equal(one, two, rtol=1e-5, atol=1e-12)


def test_a_table_of_drugs(ranked, caplog):
    adata = ranked.copy()
    table = pd.DataFrame(
        {
            "drug": ["a", "a", "b", "b"],
            "target": ["T0", "T1", "T0", "elsewhere"],
            "action": ["antagonist", "agonist", "antagonist", "antagonist"],
        }
    )
    grn.tl.scrank(adata, groupby="type", drug_targets=table, drug="b", net="scrank", key_added="b")
    pd.testing.assert_frame_equal(adata.uns["b"]["ranks"], ranked.uns["scrank"]["ranks"])
    assert "elsewhere" in caplog.text and adata.uns["b"]["params"]["lost_targets"].tolist() == ["elsewhere"]
    grn.tl.scrank(adata, groupby="type", drug_targets=table, drug="a", net="scrank", key_added="a")
    assert list(adata.uns["a"]["params"]["actions"]) == ["antagonist", "agonist"]
    for wrong, message in (
        ({"drug": "c"}, "drugs of the table, such as a, b"),
        ({}, "drug=None"),
        ({"drug_targets": table.rename(columns={"drug": "name"}), "drug": "a"}, "lacks drug"),
        ({"drug_targets": table.assign(action="inhibitor"), "drug": "a"}, "'inhibitor'"),
        ({"drug_targets": table.assign(target="x"), "drug": "a"}, "none of the targets"),
        ({"drug_targets": ["T0"], "drug": "a"}, "names a row of a table"),
    ):
        with pytest.raises(ParameterError, match=message):
            grn.tl.scrank(adata, **{"groupby": "type", "drug_targets": table, "net": "scrank", **wrong})


def test_the_ratio_to_a_resistance_target(ranked):
    adata = ranked.copy()
    grn.tl.scrank(adata, groupby="type", drug_targets=["T0"], resistance_target="T1", net="scrank", key_added="r")
    grn.tl.scrank(adata, groupby="type", drug_targets=["T1"], net="scrank", key_added="other")
    ranks = adata.uns["r"]["ranks"].set_index("group")
    other = adata.uns["other"]["ranks"].set_index("group")["score"]
    np.testing.assert_allclose(ranks["resistance_score"], other.reindex(ranks.index))
    wanted = np.where(ranks["resistance_score"] > 0, ranks["score"] / ranks["resistance_score"].replace(0, 1), np.nan)
    np.testing.assert_allclose(ranks["ratio"], wanted)


def test_a_target_without_edges_is_told(ranked, caplog):
    adata = ranked.copy()
    edges = adata.uns["scrank"]["edges"]
    idle = next(g for g in adata.var_names if g not in set(edges["source"]))
    grn.tl.scrank(adata, groupby="type", drug_targets=[idle], net="scrank")
    assert (adata.uns["scrank"]["ranks"]["score"] == 0).all() and "no out-edge" in caplog.text


def test_rounded_networks_have_tenths_and_quarters_of_them(ranked):
    adata = planted(0)
    grn.tl.scrank(adata, groupby="type", drug_targets=[DRUG_TARGET], decimals=1)
    assert adata.uns["scrank"]["params"]["decimals"] == 1 and not adata.uns["scrank"]["params"]["parity"]
    pair = ["source", "target", "group"]
    rounded, exact = (a.uns["scrank"]["edges"].astype({"group": str}).set_index(pair) for a in (adata, ranked))
    np.testing.assert_allclose(rounded["weight"] * 40, np.round(rounded["weight"] * 40), atol=1e-9)
    assert set(rounded.index) == set(exact.index) and len(exact["weight"].unique()) > len(rounded["weight"].unique())


def test_what_is_refused(ranked):
    adata = ranked.copy()
    grn.tl.infer_network(adata, method="scrank", sources=["T0"], key_added="whole")
    grn.Network(pd.DataFrame({"source": ["T1"], "target": ["T2"], "weight": 1.0, "group": "one"})).write(adata, "few")
    for wrong, error, message in (
        ({"n_hop": 4}, ParameterError, "n_hop=4"),
        ({"decimals": 0}, ParameterError, "decimals=0"),
        ({"decimals": 1.0}, ParameterError, "decimals=1.0"),
        ({"action": "inhibitor"}, ParameterError, "antagonist, agonist"),
        ({"drug_targets": ["TO"]}, GeneNameError, "not in adata.var_names"),
        ({"drug_targets": "T0"}, ParameterError, "single string"),
        ({"net": "nothing"}, ResultNotFoundError, "nothing"),
        ({"net": "whole"}, GroupError, "no groups"),
        ({"net": "few"}, NetworkError, "do not hold T0"),
        ({"groupby": "kind"}, GroupError, "kind"),
        ({"min_group_cells": 500}, GroupError, "500 cells"),
    ):
        before = sorted(adata.uns)
        with pytest.raises(error, match=message):
            grn.tl.scrank(adata, **{"groupby": "type", "drug_targets": ["T0"], "key_added": "new", **wrong})
        assert sorted(adata.uns) == before
