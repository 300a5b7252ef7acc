import builtins
import json
import sys

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from grn import Network
from grn._core.errors import GroupError, MissingDependencyError, NetworkError, ParameterError


@pytest.fixture
def net():
    frame = pd.DataFrame(
        {
            "source": ["SPI1", "SPI1", "KLF4", "KLF4"],
            "target": ["CD14", "KLF4", "KLF4", "HLA-A & <B>"],
            "weight": [0.5, -0.25, 1.0, 2.0],
            "sign": [1, -1, 1, np.nan],
            "probability": [0.9, np.nan, 0.1, 0.3],
            "region": ["chr1:1-2", None, "chr2", "chr3"],
            "novel": [True, False, True, False],
            "lag": [1, 2, 3, 4],
        }
    )
    return Network(frame, genes=["GAPDH", "SPI1", "KLF4", "CD14", "HLA-A & <B>"])


@pytest.fixture
def grouped():
    return Network(pd.DataFrame({"source": "A", "target": "B", "weight": [1.0, 2.0], "group": ["x", "y"]}))


def by_pair(graph):
    return {(s, t): d for s, t, d in graph.edges(data=True)}


class TestMatrix:
    def test_row_is_regulator(self, net):
        matrix = net.to_csr()
        assert sparse.isspmatrix_csr(matrix) and matrix.shape == (5, 5)
        assert matrix[1, 3] == 0.5 and matrix[3, 1] == 0 and matrix[2, 2] == 1

    def test_genes_choose_and_order(self, net, caplog):
        with caplog.at_level("INFO", logger="grn"):
            matrix = net.to_csr(["KLF4", "SPI1"])
        assert matrix.toarray().tolist() == [[1, 0], [-0.25, 0]]
        assert "2 of 4 edges" in caplog.text
        with pytest.raises(ParameterError, match="repeated"):
            net.to_csr(["KLF4", "KLF4"])

    def test_back_and_forth(self, net):
        plain = Network(net.edges[["source", "target", "weight"]], genes=net.genes)
        for matrix in (net.to_csr(), net.to_csr().tocsc(), net.to_csr().toarray(), sparse.csr_array(net.to_csr())):
            assert Network.from_matrix(matrix, net.genes).equals(plain)

    def test_bad_matrices(self):
        with pytest.raises(NetworkError, match="shape"):
            Network.from_matrix(np.ones((2, 3)), ["A", "B"])
        with pytest.raises(NetworkError, match="NaN"):
            Network.from_matrix([[np.nan, 0], [0, 0]], ["A", "B"])

    def test_group_is_one_name(self, grouped):
        with pytest.raises(GroupError, match="pass its name"):
            grouped.to_csr(group=["x", "y"])


class TestFrames:
    def test_other_names(self):
        frame = pd.DataFrame({"TF": ["A"], "target": ["B"], "importance": [3.0], "source": ["old"]})
        edges = Network.from_frame(frame, source="TF", weight="importance").edges
        assert edges.astype(object).to_numpy().tolist() == [["A", "B", 3.0]]

    def test_without_weights(self):
        edges = Network.from_frame(pd.DataFrame({"source": ["A"], "target": ["B"]}), weight=None).edges
        assert edges["weight"].tolist() == [1.0]

    def test_missing_column(self):
        with pytest.raises(NetworkError, match=r"'importance'.*'target'"):
            Network.from_frame(pd.DataFrame({"source": ["A"], "target": ["B"]}), weight="importance")


class TestGraphs:
    def test_networkx_back_and_forth(self, net):
        graph = net.to_networkx(isolated=True)
        assert isinstance(graph, nx.DiGraph) and graph.nodes["CD14"] == {"regulator": False}
        assert "probability" not in graph["SPI1"]["KLF4"]
        assert Network.from_networkx(graph).equals(net)

    def test_isolated_genes_are_left_out(self, net):
        assert "GAPDH" not in net.to_networkx() and "GAPDH" in net.to_networkx(isolated=True)

    def test_groups_make_a_multigraph(self, grouped):
        graph = grouped.to_networkx()
        assert graph["A"]["B"]["y"]["weight"] == 2
        assert Network.from_networkx(graph).equals(grouped)
        assert grouped.to_igraph().ecount() == 2

    def test_undirected_pairs_occur_once(self):
        net = Network(pd.DataFrame({"source": ["A", "B"], "target": ["B", "A"], "weight": [1.0, 3.0]}), directed=False)
        graph = net.to_networkx()
        assert not graph.is_directed() and graph["A"]["B"]["weight"] == 3
        assert net.to_igraph().ecount() == 1
        assert not Network.from_networkx(graph).directed

    def test_foreign_graphs(self):
        graph = nx.DiGraph([("A", "B", {"strength": 2.0})])
        assert Network.from_networkx(graph, weight="strength").edges["weight"].tolist() == [2.0]
        assert len(Network.from_networkx(nx.DiGraph())) == 0
        with pytest.raises(NetworkError, match="'weight'"):
            Network.from_networkx(graph)
        with pytest.raises(NetworkError, match="not strings"):
            Network.from_networkx(nx.DiGraph([(1, 2, {"weight": 1.0})]))
        with pytest.raises(NetworkError, match="networkx"):
            Network.from_networkx([1])

    def test_igraph(self, net):
        graph = net.to_igraph()
        edge = graph.es[graph.get_eid("SPI1", "CD14")]
        assert graph.is_directed() and graph.vcount() == 4
        assert edge["weight"] == 0.5 and edge["region"] == "chr1:1-2"
        assert graph.vs.find("SPI1")["regulator"] is True

    @pytest.mark.parametrize("name", ["networkx", "igraph"])
    def test_missing_package_names_the_extra(self, net, name, monkeypatch):
        real = builtins.__import__

        def refuse(module, *args, **kwargs):
            if module.split(".")[0] == name:
                raise ImportError(module)
            return real(module, *args, **kwargs)

        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setattr(builtins, "__import__", refuse)
        with pytest.raises(MissingDependencyError, match=r"grn\[export\]"):
            getattr(net, f"to_{name}")()


class TestFiles:
    def test_graphml_in_networkx(self, net, tmp_path):
        net.to_graphml(tmp_path / "a.graphml", isolated=True)
        graph = nx.read_graphml(tmp_path / "a.graphml")
        for _, data in graph.nodes(data=True):
            assert set(data) == {"name", "regulator"}
        assert by_pair(graph) == by_pair(net.to_networkx())
        assert Network.from_networkx(graph).equals(net.__class__(net.edges, genes=list(graph)))

    def test_graphml_in_igraph(self, net, tmp_path):
        igraph = pytest.importorskip("igraph")
        net.to_graphml(str(tmp_path / "a.graphml"))
        graph = igraph.Graph.Read_GraphML(str(tmp_path / "a.graphml"))
        assert graph.is_directed() and graph.vcount() == 4
        edge = graph.es[graph.get_eid("SPI1", "CD14")]
        assert (edge["weight"], edge["region"], edge["novel"], edge["lag"]) == (0.5, "chr1:1-2", True, 1)
        assert graph.vs.find("SPI1")["regulator"] is True
        assert np.isnan(graph.es[graph.get_eid("SPI1", "KLF4")]["probability"])
        assert "HLA-A & <B>" in graph.vs["name"]

    def test_graphml_with_groups(self, grouped, tmp_path):
        grouped.to_graphml(tmp_path / "a.graphml")
        graph = nx.read_graphml(tmp_path / "a.graphml")
        assert graph.is_multigraph() and Network.from_networkx(graph).equals(grouped)

    @pytest.mark.parametrize("which", ["net", "grouped"])
    def test_cytoscape(self, which, request, tmp_path):
        net = request.getfixturevalue(which)
        net.to_cytoscape(tmp_path / "a.cyjs")
        document = json.loads((tmp_path / "a.cyjs").read_text(encoding="utf-8"))
        nodes = {node["data"]["id"] for node in document["elements"]["nodes"]}
        edges = [edge["data"] for edge in document["elements"]["edges"]]
        assert len(edges) == len(net) and len({edge["id"] for edge in edges}) == len(net)
        assert all({edge["source"], edge["target"]} <= nodes for edge in edges)
        graph = nx.cytoscape_graph(document)
        weights = sorted(data["weight"] for _, _, data in graph.edges(data=True))
        assert weights == sorted(net.edges["weight"])

    def test_names_that_a_spreadsheet_would_compute_are_escaped_in_gmt(self, tmp_path, caplog):
        frame = pd.DataFrame({"source": ["=1+1", "SPI1"], "target": ["CD14", "@A"], "weight": [1.0, -2.0]})
        Network(frame).to_gmt(tmp_path / "a.gmt")
        assert (tmp_path / "a.gmt").read_text() == "'=1+1(+)\tgrn\tCD14\nSPI1(-)\tgrn\t'@A\n"
        assert "apostrophe" in caplog.text and "@A" in caplog.text

    def test_gmt(self, net, tmp_path):
        decoupler = pytest.importorskip("decoupler")
        plain = net.filter(targets=["CD14", "KLF4"])
        plain.to_gmt(tmp_path / "a.gmt")
        assert (tmp_path / "a.gmt").read_text() == "KLF4(+)\tgrn\tKLF4\nSPI1(+)\tgrn\tCD14\nSPI1(-)\tgrn\tKLF4\n"
        read = decoupler.pp.read_gmt(tmp_path / "a.gmt")
        assert read.to_numpy().tolist() == [["KLF4(+)", "KLF4"], ["SPI1(+)", "CD14"], ["SPI1(-)", "KLF4"]]

    @pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("a.tsv", "\t")])
    def test_adjacency(self, net, tmp_path, name, separator):
        net.to_adjacency_csv(tmp_path / name)
        read = pd.read_csv(tmp_path / name, sep=separator)
        assert list(read) == ["TF", "target", "importance"]
        back = Network.from_frame(read, source="TF", weight="importance")
        assert back.edges["weight"].tolist() == net.edges["weight"].abs().tolist()

    def test_empty_network(self, tmp_path):
        empty = Network(pd.DataFrame(columns=["source", "target", "weight"]))
        empty.to_graphml(tmp_path / "a.graphml")
        empty.to_cytoscape(tmp_path / "a.cyjs")
        empty.to_gmt(tmp_path / "a.gmt")
        assert len(nx.read_graphml(tmp_path / "a.graphml")) == 0
        assert empty.to_igraph().vcount() == 0 and len(empty.to_networkx()) == 0


class TestRegulons:
    def test_names_and_weights(self, net):
        assert net.regulons() == {
            "KLF4": {"HLA-A & <B>": 2.0},
            "KLF4(+)": {"KLF4": 1.0},
            "SPI1(+)": {"CD14": 0.5},
            "SPI1(-)": {"KLF4": 0.25},
        }

    def test_one_set_per_regulator(self, net):
        assert net.regulons(signed=False)["SPI1"] == {"CD14": 0.5, "KLF4": -0.25}

    def test_small_sets_are_left_out(self, net):
        assert net.regulons(min_targets=2) == {}
        with pytest.raises(ParameterError, match="min_targets"):
            net.regulons(min_targets=0)

    def test_no_weight_no_target(self):
        net = Network(pd.DataFrame({"source": "A", "target": ["B", "C"], "weight": [0.0, 1.0]}))
        assert net.regulons() == {"A": {"C": 1.0}}


class TestDegrees:
    def test_values(self, net):
        table = net.degrees()
        assert table.loc["GAPDH"].tolist() == [0] * 6
        assert table.loc["KLF4", ["out_degree", "in_degree"]].tolist() == [2, 2]
        assert table.loc["KLF4", ["out_strength", "in_strength"]].tolist() == [3.0, 1.25]
        assert table.loc["KLF4", ["out_signed", "in_signed"]].tolist() == [1.0, 0.75]

    def test_unsigned_has_no_signed_sums(self):
        table = Network(pd.DataFrame({"source": ["A"], "target": ["B"], "weight": [1.0]})).degrees()
        assert table["out_signed"].isna().all() and table["out_strength"].sum() == 1

    def test_groups(self, grouped):
        assert grouped.degrees().loc[("y", "A"), "out_strength"] == 2


class TestNames:
    """Names reach other tools as plain strings, and as nothing but text."""

    @pytest.fixture
    def numpy_names(self):
        names = np.array(["A", "B", "C"])
        table = pd.DataFrame({"source": [names[0], names[0]], "target": list(names[1:]), "weight": [1.0, -1.0]})
        return Network(table.assign(region=[names[0], names[1]]), genes=names)

    def test_nodes_are_str(self, numpy_names):
        graph = numpy_names.to_networkx()
        ends = [end for edge in graph.edges for end in edge]
        regions = [data["region"] for *_, data in graph.edges(data=True)]
        vertices = numpy_names.to_igraph(isolated=True).vs["name"]
        sets = numpy_names.regulons()
        targets = [target for found in sets.values() for target in found]
        for name in [*graph.nodes, *ends, *regions, *vertices, *sets, *targets, *numpy_names.genes]:
            assert type(name) is str
        assert {type(name) for name in [*numpy_names.regulators, *numpy_names.targets]} == {str}

    def test_nodes_are_str_after_storage(self, numpy_names):
        import anndata as ad

        adata = ad.AnnData(np.ones((2, 3)), var=pd.DataFrame(index=["A", "B", "C"]))
        numpy_names.write(adata)
        assert {type(node) for node in Network.from_anndata(adata).to_networkx(isolated=True)} == {str}

    @pytest.mark.parametrize("broken", ["A\x00", "A\n", "A\t", "\ud800", "A\uffff"], ids=ascii)
    def test_names_that_no_file_keeps_are_refused(self, broken):
        name = pd.Series([broken], dtype=object)  # the strings of pandas 3 hold no surrogates
        for column in ("source", "target", "group", "region"):
            table = pd.DataFrame({"source": ["A"], "target": ["B"], "weight": [1.0]}).assign(**{column: name})
            with pytest.raises(NetworkError, match="cannot be stored"):
                Network(table)
        with pytest.raises(NetworkError, match="cannot be stored"):
            Network(table.drop(columns="region"), genes=["A", "B", broken])

    @pytest.mark.parametrize("suffix", ["csv", "tsv"])
    def test_formulas_are_escaped_in_tables(self, tmp_path, caplog, suffix):
        names, path = ["=HYPERLINK(0)", "+1", "-1", "@SUM(A1)", "A=1"], tmp_path / f"a.{suffix}"
        Network(pd.DataFrame({"source": names, "target": "B", "weight": 1.0})).to_adjacency_csv(path)
        table = pd.read_csv(path, sep="," if suffix == "csv" else "\t")
        assert sorted(table["TF"]) == sorted(["'" + name for name in names[:4]] + ["A=1"])
        assert "4 names begin with" in caplog.text

    def test_other_tables_are_as_they_were(self, net, tmp_path, caplog):
        net.to_adjacency_csv(tmp_path / "a.csv")
        table = pd.read_csv(tmp_path / "a.csv")
        assert set(table["TF"]) == {"SPI1", "KLF4"} and not caplog.text
