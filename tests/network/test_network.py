import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

from grn import Network
from grn._core.errors import GeneNameError, GroupError, NetworkError, ParameterError

NAMES = ["A", "B", "C", "D", "E"]
SETTINGS = settings(max_examples=40, deadline=None, derandomize=True)


def table(*rows, columns=("source", "target", "weight")):
    return pd.DataFrame(list(rows), columns=list(columns))


@st.composite
def tables(draw, groups=("x", "y")):
    pair = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from(groups))
    keys = draw(st.lists(pair, unique=True, max_size=14))
    weights = draw(st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 2.0]), min_size=len(keys), max_size=len(keys)))
    chances = draw(st.lists(st.floats(0, 1), min_size=len(keys), max_size=len(keys)))
    rows = [(*key, weight, p) for key, weight, p in zip(keys, weights, chances, strict=True)]
    return pd.DataFrame(rows, columns=["source", "target", "group", "weight", "probability"])


def network(frame):
    return Network(frame, genes=NAMES, signed=True)


def pairs(net):
    return set(map(tuple, net.edges[["source", "target", "group"]].astype(str).to_numpy()))


class TestConstruction:
    def test_order_is_group_then_strength_then_names(self):
        rows = [("B", "A", 1, "y"), ("A", "C", -1, "y"), ("A", "B", 1, "y"), ("A", "B", 0.1, "x")]
        net = Network(table(*rows, columns=["source", "target", "weight", "group"]))
        found = net.edges[["group", "source", "target", "weight"]].astype(object).to_numpy().tolist()
        assert found == [["x", "A", "B", 0.1], ["y", "A", "B", 1], ["y", "A", "C", -1], ["y", "B", "A", 1]]

    def test_category_order_of_groups_is_kept(self):
        frame = table(("A", "B", 1), ("A", "B", 2)).assign(group=pd.Categorical(["b", "a"], ["unused", "b", "a"]))
        assert Network(frame).groups == ["b", "a"]
        assert Network(frame).edges["group"].tolist() == ["b", "a"]

    def test_first_columns_and_dtypes(self):
        frame = table(("A", "B", 1)).assign(zeta="z", probability=1, alpha=True)[
            ["zeta", "probability", "weight", "target", "source", "alpha"]
        ]
        edges = Network(frame).edges
        assert list(edges) == ["source", "target", "weight", "probability", "alpha", "zeta"]
        assert edges["weight"].dtype == edges["probability"].dtype == np.float64
        assert all(isinstance(edges[name].dtype, pd.CategoricalDtype) for name in ("source", "target", "zeta"))

    @SETTINGS
    @given(tables(), st.randoms(use_true_random=False))
    def test_row_order_does_not_matter(self, frame, random):
        order = list(range(len(frame)))
        random.shuffle(order)
        assert network(frame).equals(network(frame.iloc[order]))

    def test_equals_sees_a_difference(self):
        one = Network(table(("A", "B", 1)))
        assert not one.equals(Network(table(("A", "B", 2))))
        assert not one.equals(Network(table(("A", "B", 1)), genes=["A", "B", "C"]))
        assert not one.equals(Network(table(("A", "B", 1)), directed=False))
        assert not one.equals(one.edges)

    def test_empty_table(self):
        net = Network(table())
        assert (len(net), net.regulators, net.targets, net.groups) == (0, [], [], [])
        assert net.to_csr().shape == (0, 0)
        assert net.equals(net.filter(top=3)) and net.equals(net.union(net))
        assert len(net.degrees()) == 0 and net.regulons() == {}
        assert "0 edges" in repr(net)

    def test_the_table_cannot_be_changed_from_outside(self):
        frame = table(("A", "B", 1.0))
        net = Network(frame, params={"list": [1, 2]})
        frame.loc[0, "weight"] = 9
        edges = net.edges
        edges.loc[0, "weight"] = 9
        net.genes[0] = "Z"
        net.params["list"][0] = 9
        assert net.edges["weight"].tolist() == [1.0]
        assert list(net.genes) == ["A", "B"]
        assert net.params["list"].tolist() == [1, 2]

    def test_self_loops_are_kept_and_counted(self):
        net = Network(table(("A", "A", 1), ("A", "B", 1)))
        assert len(net) == 2 and net.n_self_loops == 1
        assert "1 self-loops" in repr(net)

    def test_repr_says_what_it_is(self):
        text = repr(Network(table(("A", "B", -1)).assign(group="T cells"), tested=True, directed=False))
        for part in ("1 edges", "2 genes", "undirected", "signed", "tested", "'T cells'"):
            assert part in text

    @pytest.mark.parametrize(
        ("weights", "sign", "expected"),
        [([1, 2], None, False), ([1, -2], None, True), ([1, 2], [1, np.nan], True), ([1, 2], [np.nan] * 2, False)],
    )
    def test_signed_is_found(self, weights, sign, expected):
        frame = pd.DataFrame({"source": "A", "target": ["B", "C"], "weight": weights})
        if sign:
            frame["sign"] = sign
        assert Network(frame).signed is expected

    def test_params_become_storable(self):
        net = Network(table(), params={"a": None, "b": (1, 2), "c": {"d": ["x"]}, "e": {"f", "g"}})
        assert net.params["a"] is None
        assert net.params["b"].tolist() == [1, 2]
        assert net.params["c"]["d"].tolist() == ["x"]
        assert net.params["e"].tolist() == ["f", "g"]

    def test_labels_as_keys_come_back_from_an_object(self):
        params = {"n_cells": {"L2/3": 4, "L2_3": 5, "L2%2F3": 6}}
        adata = AnnData(np.ones((2, 2)))
        Network(table(), params=params).write(adata)
        assert "/" not in "".join(adata.uns["grn"]["params"]["n_cells"])
        assert Network.from_anndata(adata).params == params == Network(table(), params=params).params

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("edges", table(("B", "A", 2.0))),
            ("genes", ["C", "A", "B"]),
            ("directed", True),
            ("signed", False),
            ("tested", False),
            ("params", {"other": 1}),
        ],
    )
    def test_replace_changes_what_is_named_and_nothing_else(self, name, value):
        given = {"genes": ["A", "B"], "directed": False, "signed": True, "tested": True, "params": {"none": None}}
        net = Network(table(("A", "B", 1.0)), **given)
        changed = net.replace(**{name: value})
        expected = Network(**{"edges": table(("A", "B", 1.0)), **given, name: value})
        assert changed.equals(expected) and changed.params == expected.params
        assert name == "params" or not changed.equals(net)
        assert net.equals(Network(table(("A", "B", 1.0)), **given)) and net.params == {"none": None}

    def test_replace_checks_that_the_parts_fit(self):
        net = Network(table(("A", "B", -1.0)))
        with pytest.raises(NetworkError, match="signed"):
            net.replace(signed=False)
        with pytest.raises(NetworkError, match="genes"):
            net.replace(edges=table(("A", "C", 1.0)))

    @pytest.mark.parametrize("params", [{"a": object()}, {1: 2}, {"": 1}, {"a": [1, "x", None]}, {"a": [[1], [1, 2]]}])
    def test_params_that_cannot_be_stored(self, params):
        with pytest.raises(NetworkError, match="params"):
            Network(table(), params=params)


class TestBadTables:
    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"weight": None}, "lacks weight"),
            ({"source": None}, "lacks source"),
            ({"weight": [np.nan, 1]}, "NaN or infinite .A -> B"),
            ({"weight": [np.inf, 1]}, "NaN or infinite"),
            ({"weight": ["x", 1]}, "not numeric"),
            ({"weight": [1j, 1]}, "not numeric"),
            ({"source": ["", "A"]}, "empty name"),
            ({"target": [" ", "C"]}, "empty name"),
            ({"target": [np.nan, "C"]}, "missing values"),
            ({"source": [None, "A"]}, "missing values"),
            ({"source": [1, 2]}, "not strings"),
            ({"source": [["A"], "A"]}, "not strings"),
            ({"target": ["B\t", "C"]}, "control characters"),
            ({"target": ["B", "B"]}, "more than once.*A -> B"),
            ({"sign": [0, 1]}, "-1, 1 or NaN"),
            ({"sign": [2, 1]}, "-1, 1 or NaN"),
            ({"sign": [-1, 1]}, "contradicts their sign"),
            ({"probability": [1.1, 0]}, "outside"),
            ({"probability": [-0.1, 0]}, "outside"),
            ({"qval": [2, 0]}, "outside"),
            ({"group": [None, "a"]}, "missing values"),
            ({"a/b": [1, 2]}, "cannot be stored"),
            ({"when": pd.to_datetime(["2020-01-01"] * 2)}, "not strings"),
        ],
    )
    def test_is_refused(self, change, match):
        frame = table(("A", "B", 1.0), ("A", "C", 1.0)).astype({"weight": object})
        frame = frame.drop(columns=[name for name, values in change.items() if values is None])
        frame = frame.assign(**{name: values for name, values in change.items() if values is not None})
        with pytest.raises(NetworkError, match=match):
            Network(frame)

    def test_other_objects(self):
        with pytest.raises(NetworkError, match="list"):
            Network([("A", "B", 1)])
        with pytest.raises(NetworkError, match="occur more than once"):
            Network(pd.DataFrame([["A", "B", 1, 2]], columns=["source", "target", "weight", "weight"]))

    @pytest.mark.parametrize(
        ("genes", "match"), [(["A"], "'B'"), (["A", "B", "B"], "repeated"), (["A", "B", ""], "empty")]
    )
    def test_genes(self, genes, match):
        with pytest.raises(NetworkError, match=match):
            Network(table(("A", "B", 1)), genes=genes)

    def test_unsigned_with_negative_weights(self):
        with pytest.raises(NetworkError, match="signed=True"):
            Network(table(("A", "B", -1)), signed=False)

    def test_same_edge_in_two_groups_is_fine(self):
        assert len(Network(table(("A", "B", 1), ("A", "B", 1)).assign(group=["x", "y"]))) == 2

    def test_missing_optional_values_are_fine(self):
        frame = table(("A", "B", 1), ("A", "C", 1)).assign(probability=[None, 0.5], note=[None, "x"], sign=[None, 1])
        edges = Network(frame).edges
        assert edges["probability"].isna().tolist() == [True, False]
        assert edges["note"].isna().tolist() == [True, False]


class TestFilter:
    @SETTINGS
    @given(tables(), st.floats(0, 2), st.floats(0, 1))
    def test_thresholds_commute_and_repeat(self, frame, weight, chance):
        net = network(frame)
        one = net.filter(min_abs_weight=weight).filter(min_probability=chance)
        two = net.filter(min_probability=chance).filter(min_abs_weight=weight)
        both = net.filter(min_abs_weight=weight, min_probability=chance)
        assert one.equals(two) and one.equals(both) and both.equals(both.filter(min_abs_weight=weight))
        kept = frame[(frame["weight"].abs() >= weight) & (frame["probability"] >= chance)]
        assert both.equals(network(kept))

    @SETTINGS
    @given(tables(), st.integers(0, 3))
    def test_top_per_target_against_a_plain_loop(self, frame, k):
        expected = set()
        for (group, target), part in frame.groupby(["group", "target"]):
            ranked = sorted(part.itertuples(), key=lambda row: (-abs(row.weight), row.source))
            expected |= {(row.source, target, group) for row in ranked[:k]}
        assert pairs(network(frame).filter(top_per_target=k)) == expected

    @SETTINGS
    @given(tables(), st.integers(0, 3), st.integers(0, 3))
    def test_limits_per_gene_act_side_by_side(self, frame, a, b):
        net = network(frame)
        both = net.filter(top_per_source=a, top_per_target=b)
        assert pairs(both) == pairs(net.filter(top_per_source=a)) & pairs(net.filter(top_per_target=b))

    @SETTINGS
    @given(tables(), st.integers(0, 4))
    def test_result_is_a_valid_network(self, frame, k):
        found = network(frame).filter(top=k)
        assert found.equals(Network(found.edges, genes=NAMES, signed=True))
        assert all(n <= k for n in found.edges["group"].value_counts())

    def test_ties_go_by_name(self):
        net = Network(table(("B", "T", 1), ("A", "T", -1), ("C", "T", 1)))
        assert net.filter(top_per_target=2).regulators == ["A", "B"]

    def test_names_groups_and_signs(self):
        frame = table(("A", "B", 1), ("B", "C", -1), ("A", "C", 2)).assign(group=["x", "y", "x"], sign=[1, -1, np.nan])
        net = Network(frame)
        assert len(net.filter(sources="A")) == 2
        assert len(net.filter(sources=["A", "B"], targets=["C"])) == 2
        assert len(net.filter(sources=[])) == 0
        assert net.filter(group="y").groups == ["y"]
        assert len(net.filter(group=["x", "y"])) == 3
        assert len(net.filter(signed_only=True)) == 2
        assert list(net.filter(sources="B").genes) == list(net.genes)

    def test_unknown_names(self, caplog):
        net = Network(table(("SPI1", "CD14", 1)))
        with pytest.raises(GeneNameError, match="Did you mean 'SPI1'"):
            net.filter(sources="SPl1")
        with caplog.at_level("INFO", logger="grn"):
            assert len(net.filter(sources=["SPI1", "KLF4"])) == 1
        assert "KLF4" in caplog.text

    def test_unknown_groups(self):
        with pytest.raises(GroupError, match="has no groups"):
            Network(table(("A", "B", 1))).filter(group="x")
        with pytest.raises(GroupError, match=r"'y'.*'x'"):
            Network(table(("A", "B", 1)).assign(group="x")).filter(group="y")

    def test_missing_column_names_the_call(self):
        net = Network(table(("A", "B", 1)))
        with pytest.raises(NetworkError, match=r"grn\.tl\.confidence"):
            net.filter(max_q=0.1)
        with pytest.raises(NetworkError, match="stability"):
            net.filter(min_stability=0.1)
        with pytest.raises(NetworkError, match="probability"):
            net.filter(min_probability=0.1)

    def test_missing_values_fail_their_threshold(self):
        net = Network(table(("A", "B", 1), ("A", "C", 1)).assign(qval=[np.nan, 0.01], stability=[0.5, np.nan]))
        assert net.filter(max_q=1).targets == ["C"]
        assert net.filter(min_stability=0).targets == ["B"]

    @pytest.mark.parametrize(
        "bad", [{"top": -1}, {"top": 1.5}, {"top": True}, {"top_per_source": "3"}, {"min_abs_weight": np.nan}]
    )
    def test_bad_numbers(self, bad):
        with pytest.raises(ParameterError, match=next(iter(bad))):
            Network(table(("A", "B", 1))).filter(**bad)

    def test_within(self):
        net = Network(table(("A", "B", 1), ("A", "C", 1), ("R(+)", "B", 1)))
        assert len(net.within(["A", "B", "Z"])) == 1
        assert list(net.within(["A", "B", "Z"]).genes) == ["A", "B"]
        assert net.within(["B"], targets_only=True).regulators == ["A", "R(+)"]
