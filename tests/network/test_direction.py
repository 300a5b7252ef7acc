"""The column ``direction``: its words, the flag that follows from it, storage, filters, merging and graphs."""

import json

import anndata
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import grn
from grn import Network
from grn.errors import NetworkError, ParameterError

ROWS = [
    ("A", "B", 5.0, "none"),
    ("B", "A", 4.0, "none"),
    ("A", "C", 3.0, "response"),
    ("C", "A", 2.5, "none"),
    ("B", "C", 2.0, "motif"),
    ("C", "B", 1.5, "motif"),
    ("A", "X", 1.0, "role"),
    ("C", "C", 0.5, "none"),
]


@pytest.fixture
def edges():
    return pd.DataFrame(ROWS, columns=["source", "target", "weight", "direction"])


@pytest.fixture
def net(edges):
    return Network(edges)


def test_words_are_in_the_order_of_evidence(edges):
    column = Network(edges.sample(frac=1, random_state=0)).edges["direction"]
    assert column.cat.categories.tolist() == ["motif", "response", "role", "none"]
    assert column.astype(str).tolist() == edges["direction"].tolist()


@pytest.mark.parametrize(
    ("words", "directed"),
    [({"none"}, False), ({"role", "none"}, False), ({"role", "prior"}, True), ({"motif"}, True), ({"response"}, True)],
)
def test_the_flag_says_whether_there_is_evidence(words, directed):
    table = pd.DataFrame({"source": "A", "target": [f"T{i}" for i in range(len(words))], "weight": 1.0})
    table["direction"] = sorted(words)
    assert Network(table).directed == directed
    with pytest.raises(NetworkError, match="directed=None"):
        Network(table, directed=not directed)
    assert Network(table, directed=directed).directed == directed


def test_the_flag_follows_the_edges(net, edges):
    assert net.directed and not net.filter(direction=["none", "role"]).directed
    assert not net.replace(edges=edges[edges["direction"] == "none"]).directed
    assert net.replace(edges=edges.drop(columns="direction")).directed
    assert net.replace(tested=True).edges.equals(net.edges)


@pytest.mark.parametrize(("value", "told"), [("reponse", "response"), ("up", "motif, prior"), (None, "missing")])
def test_other_words_are_refused(edges, value, told):
    edges.loc[2, "direction"] = value
    with pytest.raises(NetworkError, match=told):
        Network(edges)
    with pytest.raises(NetworkError, match="direction"):
        Network(edges.assign(direction=1.0))


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_round_trips(net, tmp_path, kind):
    adata = AnnData(np.ones((2, 4), dtype=np.float32), var=pd.DataFrame(index=list("ABCX")))
    net.write(adata)
    path = tmp_path / f"a.{kind}"
    getattr(adata, f"write_{kind}")(path)
    back = getattr(anndata, f"read_{kind}")(path)
    assert Network.from_anndata(back).equals(net)
    assert back.uns["grn"]["schema"]["version"] == 2 and back.uns["grn"]["schema"]["directed"]
    assert grn.get.edges(back).equals(net.edges)


def test_layout_1_has_a_flag_for_all_edges(net):
    adata = AnnData(np.ones((2, 4)), var=pd.DataFrame(index=list("ABCX")))
    for directed in (True, False):
        old = {"version": 1, "directed": directed, "signed": False, "tested": False}
        adata.uns["grn"] = {"edges": net.edges.drop(columns="direction"), "params": {}, "schema": old}
        there = Network.from_anndata(adata)
        assert there.directed == directed and "direction" not in there.edges


def test_filter(net):
    assert net.filter(direction="motif").edges["weight"].tolist() == [2.0, 1.5]
    assert len(grn.get.edges(net, direction=["motif", "response"], top=2)) == 2
    with pytest.raises(ParameterError, match="response"):
        net.filter(direction="responses")
    with pytest.raises(ParameterError, match="direction"):
        net.filter(direction=[])
    with pytest.raises(NetworkError, match="infer_network"):
        Network(net.edges.drop(columns="direction")).filter(direction="none")


def test_merging_keeps_the_strongest_evidence_whichever_row_is_stronger():
    """One rule with the consensus: weights say how strong an edge is, not which way it points."""
    ends = {"source": ["A", "A", "B"], "target": ["B", "C", "A"]}
    strong = pd.DataFrame({**ends, "weight": 9.0, "direction": ["none", "role", "response"]})
    weak = pd.DataFrame({**ends, "weight": 1.0, "direction": ["motif", "none", "none"]})
    for groups in ([], ["y", "x"]):
        tables = [table.assign(group=group) for table in (strong, weak) for group in groups] or [strong, weak]
        if groups:  # evidence of one group says nothing of the other
            tables[0]["direction"] = "none"
            tables = [pd.concat(tables[:2]), pd.concat(tables[2:])]
        first, second = map(Network, tables)
        both = first.union(second)
        assert both.equals(second.union(first)) and (both.edges["weight"] == 9.0).all()
        for group in groups or [None]:
            edges = both.edges if group is None else both.filter(group=group).edges
            words = edges.set_index(["source", "target"])["direction"].astype(str).to_dict()
            rest = ("none", "none") if group == "y" else ("role", "response")
            assert words == {("A", "B"): "motif", ("A", "C"): rest[0], ("B", "A"): rest[1]}
    known = first.union(second.replace(edges=second.edges.drop(columns="direction"), directed=True)).edges
    assert set(known["direction"]) == {"prior"}


def test_merging_keeps_what_is_known(net):
    table = pd.DataFrame({"source": ["X", "Y"], "target": ["A", "A"], "weight": 9.0})
    for directed, word in ((True, "prior"), (False, "none")):
        both = net.union(Network(table, directed=directed))
        assert both.edges["direction"].astype(str).tolist()[:2] == [word] * 2 and both.directed
        assert both.equals(Network(table, directed=directed).union(net))
    plain = Network(table).union(Network(table.assign(target="B"), directed=False)).edges
    assert dict(zip(plain["target"], plain["direction"], strict=True)) == {"A": "prior", "B": "none"}
    assert "direction" not in Network(table).union(Network(table)).edges


def arcs(graph):
    return {(a, b): d["direction"] for a, b, d in graph.edges(data=True)}


# A - B stands in both directions, C -> A has less than A -> C
WANTED = {
    ("A", "B"): "none", ("B", "A"): "none", ("A", "C"): "response", ("B", "C"): "motif", ("C", "B"): "motif",
    ("A", "X"): "role", ("C", "C"): "none",
}  # fmt: skip


def test_graphs_have_no_arrow_without_its_opposite(net, tmp_path):
    graph = net.to_networkx()
    assert graph.is_directed() and arcs(graph) == WANTED
    assert graph["A"]["B"]["weight"] == graph["B"]["A"]["weight"] == 5.0
    assert Network.from_networkx(graph).directed
    turned = net.to_igraph()
    assert {(turned.vs[e.source]["name"], turned.vs[e.target]["name"]): e["direction"] for e in turned.es} == WANTED
    net.to_graphml(tmp_path / "a.graphml")
    assert arcs(nx.read_graphml(tmp_path / "a.graphml")) == WANTED
    net.to_cytoscape(tmp_path / "a.cyjs")
    drawn = [edge["data"] for edge in json.loads((tmp_path / "a.cyjs").read_text())["elements"]["edges"]]
    assert {(edge["source"], edge["target"]): edge["direction"] for edge in drawn} == WANTED
    assert len({edge["id"] for edge in drawn}) == len(WANTED)


def test_without_any_direction_graphs_are_undirected(edges):
    graph = Network(edges[edges["direction"] == "none"]).to_networkx()
    assert not graph.is_directed()
    assert {frozenset(pair) for pair in graph.edges} == {frozenset("AB"), frozenset("AC"), frozenset("C")}
    # roles are an assumption, and still say who is drawn as the source
    graph = Network(edges[edges["direction"].isin(["none", "role"])]).to_networkx()
    assert graph.is_directed() and ("X", "A") not in graph.edges and ("B", "A") in graph.edges


def test_groups_are_drawn_each_by_its_own(edges):
    other = edges.assign(direction="none", group="y")
    graph = Network(pd.concat([edges.assign(group="x"), other])).to_networkx()
    assert {(a, b) for a, b, g in graph.edges(keys=True) if g == "x"} == set(WANTED)
    assert {("C", "A"), ("A", "C")} <= {(a, b) for a, b, g in graph.edges(keys=True) if g == "y"}
