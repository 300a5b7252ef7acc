"""Centralities of regulators."""

import anndata as ad
import networkx as nx
import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import NetworkError, ParameterError, ResultNotFoundError


@pytest.fixture
def inferred():
    adata = grn.datasets.toy(n_cells=100, n_regulators=12, n_targets=20)
    grn.tl.infer_network(adata, method="ridge", groupby="group")
    return adata


def table(adata, group=None, key="grn"):
    found = adata.uns[key]["regulators"]
    found = found if group is None else found[found["group"] == group]
    return found.set_index("regulator")


def test_measures_are_those_of_networkx(inferred):
    assert grn.tl.rank_regulators(inferred, betweenness=True, top=60) is None
    edges = grn.get.edges(inferred, group="group_2", top=60)
    found = table(inferred, "group_2")
    graph = nx.DiGraph()
    graph.add_nodes_from(inferred.var_names)
    graph.add_weighted_edges_from(edges[["source", "target", "weight"]].to_numpy())
    for _, _, data in graph.edges(data=True):
        data["weight"] = abs(data["weight"])
    rank = nx.pagerank(graph.reverse(), tol=1e-13, max_iter=1000)
    # what has no direction is walked both ways
    nowhere = edges.loc[edges["direction"] == "none", ["source", "target"]].astype(str)
    assert 0 < len(nowhere) < len(edges)
    graph_of_paths = nx.DiGraph(graph)
    graph_of_paths.add_edges_from(nowhere[["target", "source"]].to_numpy())
    paths = nx.betweenness_centrality(graph_of_paths, normalized=False)
    for name, row in found.iterrows():
        assert row["degree"] == graph.out_degree(name)
        assert row["strength"] == pytest.approx(graph.out_degree(name, weight="weight"))
        assert row["pagerank"] == pytest.approx(rank[name], abs=1e-9)
        assert row["betweenness"] == pytest.approx(paths[name])
    assert (found["n_tested"] == 31).all() and np.allclose(found["mean_strength"], found["strength"] / 31)


@pytest.mark.parametrize(
    "words", [["none"] * 5, ["none"] * 3 + ["role"] * 2, ["none", "prior", "none", "role", "role"]]
)
def test_paths_are_those_of_the_exported_graph(words):
    """Without any direction a pair that is listed both ways is one edge, and each pair of ends has one path."""
    ends = [("A", "B"), ("B", "A"), ("B", "C"), ("A", "T"), ("C", "T")]
    table = pd.DataFrame(ends, columns=["source", "target"]).assign(weight=[5.0, 4, 3, 2, 1], direction=words)
    adata = ad.AnnData(np.ones((3, 4), np.float32), var=pd.DataFrame(index=list("ABCT")))
    net = grn.Network(table)
    net.write(adata)
    grn.tl.rank_regulators(adata, betweenness=True)
    paths = nx.betweenness_centrality(net.to_networkx(), normalized=False)
    assert adata.uns["grn"]["regulators"].set_index("regulator")["betweenness"].to_dict() == pytest.approx(
        {name: paths[name] for name in "ABC"}
    )
    assert any(paths.values())


def test_ranks_and_layout(inferred):
    for by in ("strength", "degree", "mean_strength", "strength_residual", "pagerank", "eigenvector", "betweenness"):
        grn.tl.rank_regulators(inferred, by=by, top=40)
        for group in ("group_1", "group_2"):
            found = table(inferred, group)
            assert len(found) == 12 and found[by].is_monotonic_decreasing and found["rank"].iloc[0] == 1
    assert ("betweenness" in found) and list(inferred.uns["grn"]["regulators"].columns[:3]) == [
        "regulator",
        "group",
        "rank",
    ]
    grn.tl.rank_regulators(inferred)
    assert "betweenness" not in inferred.uns["grn"]["regulators"]


def test_expression_and_what_is_left_of_strength(inferred):
    grn.tl.rank_regulators(inferred)
    found = table(inferred, "group_1")
    mask = (inferred.obs["group"] == "group_1").to_numpy()
    assert np.allclose(found["expression"], inferred[mask, found.index].X.mean(axis=0), atol=1e-5)
    assert found["strength_residual"].sum() == pytest.approx(0, abs=1e-9)
    assert abs(np.corrcoef(found["strength_residual"], found["expression"])[0, 1]) < 1e-6
    few = grn.datasets.toy(n_cells=50, n_regulators=4, n_targets=6)
    grn.tl.infer_network(few, method="correlation")
    grn.tl.rank_regulators(few)
    assert table(few)["strength_residual"].isna().all() and "group" not in few.uns["grn"]["regulators"]


def test_a_hub_of_expression_is_no_hub_of_the_residual():
    """Strength that follows expression alone leaves nothing."""
    names = [f"R{i}" for i in range(12)] + [f"T{i}" for i in range(5)]
    level = np.append(np.linspace(1, 3, 12), np.ones(5))
    adata = ad.AnnData(np.vstack([level - 0.05, level + 0.05]).astype(np.float32), var=pd.DataFrame(index=names))
    rows = [(f"R{i}", f"T{j}", level[i]) for i in range(12) for j in range(5)]
    rows[0] = ("R0", "T0", 11.0)
    grn.Network(pd.DataFrame(rows, columns=["source", "target", "weight"])).write(adata)
    grn.tl.rank_regulators(adata, by="strength_residual")
    found = table(adata)
    assert found.index[0] == "R0" and found["rank"].iloc[0] == 1
    grn.tl.rank_regulators(adata)
    assert table(adata).index[1] == "R11"


def test_values_that_cannot_be_read_leave_expression_out(inferred):
    inferred.X = inferred.X.toarray() - 1.0
    grn.tl.rank_regulators(inferred)
    assert inferred.uns["grn"]["regulators"]["expression"].isna().all()


def test_only_edges_that_hold(inferred, refuses):
    assert "qval" in refuses(NetworkError, grn.tl.rank_regulators, inferred, max_q=0.05)
    grn.tl.confidence(inferred, n_permutations=10, n_subsamples=0)
    grn.tl.rank_regulators(inferred, max_q=0.2)
    held = grn.get.edges(inferred, max_q=0.2)
    assert inferred.uns["grn"]["regulators"]["degree"].sum() == len(held) > 0
    assert len(inferred.uns["grn"]["regulators"]) == 24


def test_forms_and_files(inferred, reread, tmp_path):
    made = grn.tl.rank_regulators(inferred, copy=True)
    assert "regulators" not in inferred.uns["grn"]
    expected = made.uns["grn"]["regulators"]
    moved = inferred[::-1, ::-1].copy()
    view = inferred[:, :]
    inferred.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    for other in (moved, view, backed):
        grn.tl.rank_regulators(other)
        pd.testing.assert_frame_equal(other.uns["grn"]["regulators"], expected, check_exact=False)
    assert "regulators" not in inferred.uns["grn"]
    back = reread(made)
    pd.testing.assert_frame_equal(back.uns["grn"]["regulators"], expected, check_dtype=False)
    assert len(grn.get.edges(back)) == len(grn.get.edges(made))


def test_bad_arguments(inferred, refuses):
    for arguments in ({"by": "closeness"}, {"top": 0}, {"top": 2.5}):
        refuses(ParameterError, grn.tl.rank_regulators, inferred, **arguments)
    refuses(ResultNotFoundError, grn.tl.rank_regulators, inferred, net="other")
