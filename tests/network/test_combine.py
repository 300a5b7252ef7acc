import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from grn import Network
from grn._core.errors import GroupError, NetworkError, ParameterError

NAMES = ["A", "B", "C", "D"]
SETTINGS = settings(max_examples=40, deadline=None, derandomize=True)


@st.composite
def networks(draw):
    pair = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from(["x", "y"]))
    keys = draw(st.lists(pair, unique=True, max_size=10))
    size = {"min_size": len(keys), "max_size": len(keys)}
    weights = draw(st.lists(st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0]), **size))
    scores = draw(st.lists(st.sampled_from([0.0, 1.0, np.nan]), **size))
    regions = draw(st.lists(st.sampled_from(["chr1", "chr2", None]), **size))
    frame = pd.DataFrame(keys, columns=["source", "target", "group"])
    return Network(frame.assign(weight=weights, score=scores, region=regions), genes=NAMES, signed=True)


def net(*rows, **flags):
    return Network(pd.DataFrame(list(rows), columns=["source", "target", "weight"]), **flags)


class TestUnion:
    @SETTINGS
    @given(networks(), networks())
    def test_commutes(self, a, b):
        assert a.union(b).equals(b.union(a))

    @SETTINGS
    @given(networks(), networks(), networks())
    def test_is_associative(self, a, b, c):
        assert a.union(b).union(c).equals(a.union(b.union(c)))
        assert Network.merge([a, b, c]).equals(Network.merge([c, a, b]))

    @SETTINGS
    @given(networks())
    def test_of_itself_or_parts_is_itself(self, a):
        assert a.union(a).equals(a)
        assert a.union(a.filter(top=2)).equals(a)

    @SETTINGS
    @given(networks(), networks())
    def test_keeps_the_strongest(self, a, b):
        expected = {}
        for row in [*a.edges.itertuples(), *b.edges.itertuples()]:
            edge = (row.group, row.source, row.target)
            expected[edge] = max(abs(row.weight), expected.get(edge, 0))
        found = {(row.group, row.source, row.target): abs(row.weight) for row in a.union(b).edges.itertuples()}
        assert found == expected

    def test_signed_with_unsigned(self):
        found = net(("A", "B", -1)).union(net(("A", "C", 2)))
        assert found.signed
        assert found.edges["sign"].isna().tolist() == [True, False]
        assert found.edges["weight"].tolist() == [2, -1]

    def test_genes_flags_and_params(self):
        one = net(("A", "B", 1), genes=["B", "A", "Z"], tested=True, params={"m": 1})
        two = net(("A", "C", 1), params={"m": 2})
        found = one.union(two)
        assert list(found.genes) == ["A", "B", "C", "Z"]
        assert not found.tested
        assert found.params["network_1"] == {"m": 2}
        assert one.union(one).params == {"m": 1}
        assert list(one.union(one).genes) == ["B", "A", "Z"]

    def test_refusals(self):
        with pytest.raises(NetworkError, match="group"):
            net(("A", "B", 1)).union(Network(net(("A", "B", 1)).edges.assign(group="x")))
        with pytest.raises(ParameterError, match="nothing"):
            Network.merge([])


class TestCompare:
    @SETTINGS
    @given(networks())
    def test_with_itself(self, a):
        found = a.compare(a)
        assert list(found.index) == (a.groups or ["all"])
        assert (found["jaccard"].dropna() == 1).all() and (found["top_overlap"].dropna() == 1).all()
        assert (found["sign_agreement"].dropna() == 1).all()
        assert np.allclose(found["spearman"].dropna(), 1)

    @SETTINGS
    @given(networks(), networks())
    def test_is_symmetric(self, a, b):
        one = a.compare(b, top=3)
        two = b.compare(a, top=3).rename(columns={"n_left": "n_right", "n_right": "n_left"})[one.columns]
        pd.testing.assert_frame_equal(one.sort_index(), two.sort_index())

    @SETTINGS
    @given(networks(), networks())
    def test_counts(self, a, b):
        found = a.compare(b)
        assert found["n_left"].sum() == len(a) and found["n_right"].sum() == len(b)
        total = found["n_left"] + found["n_right"] - found["n_shared"]
        assert len(a.union(b)) == total.sum()

    def test_values(self):
        a = net(("A", "B", 4), ("A", "C", -3), ("A", "D", 2), ("B", "C", 1))
        b = net(("A", "B", 1), ("A", "C", 3), ("A", "D", 2), ("C", "D", -9))
        row = a.compare(b, top=2).loc["all"]
        assert row["n_shared"] == 3 and row["jaccard"] == 3 / 5
        assert row["spearman"] == pytest.approx(spearmanr([4, 3, 2], [1, 3, 2]).statistic)
        assert row["sign_agreement"] == pytest.approx(2 / 3)
        assert row["top_overlap"] == 0.5

    def test_unknown_signs_and_nothing_shared(self):
        row = net(("A", "B", 4)).compare(net(("A", "B", -4))).loc["all"]
        assert np.isnan(row["sign_agreement"]) and np.isnan(row["spearman"])
        row = net(("A", "B", 4)).compare(net(("B", "A", 4))).loc["all"]
        assert row["jaccard"] == 0 and row["top_overlap"] == 0

    def test_undirected_pairs(self):
        assert net(("A", "B", 4)).compare(net(("B", "A", 4), directed=False)).loc["all", "jaccard"] == 1

    def test_no_groups_against_groups(self):
        a = net(("A", "B", 1), ("A", "C", 1))
        b = Network(a.edges.assign(group=["x", "y"]))
        assert a.compare(b)["n_shared"].to_dict() == {"x": 1, "y": 1}

    def test_bad_top(self):
        with pytest.raises(ParameterError, match="top=0"):
            net().compare(net(), top=0)


def test_single_group_is_asked_for():
    two = Network(pd.DataFrame({"source": "A", "target": "B", "weight": [1, 2], "group": ["x", "y"]}))
    for call in (two.to_csr, two.regulons, lambda: two.to_adjacency_csv("never.csv")):
        with pytest.raises(GroupError, match=r"group='x'"):
            call()
    assert two.to_csr(group="y").sum() == 2
