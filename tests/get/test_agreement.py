import itertools

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

import grn
from grn import Network, get
from grn._core.errors import GroupError, ParameterError, ResultNotFoundError

GENES = [f"G{i}" for i in range(8)]


def cells(**networks) -> ad.AnnData:
    adata = ad.AnnData(np.ones((2, len(GENES)), dtype=np.float32), var=pd.DataFrame(index=GENES))
    for key, net in networks.items():
        (net if isinstance(net, Network) else Network(net)).write(adata, key)
    return adata


def table(edges) -> pd.DataFrame:
    return pd.DataFrame([(s, t, w) for (s, t), w in edges.items()], columns=["source", "target", "weight"])


def complete(seed=0, *, sources=GENES[:3], targets=GENES) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return table({(s, t): rng.normal() for s in sources for t in targets if s != t})


def row(adata, **options):
    found = get.agreement(adata, **options)
    assert len(found) == 1
    return found.iloc[0]


def test_numbers_worked_out_by_hand():
    one = table({("G0", "G1"): 5.0, ("G0", "G2"): -4.0, ("G0", "G3"): 3.0, ("G1", "G2"): 2.0, ("G1", "G1"): 9.0})
    two = table({("G0", "G1"): -1.0, ("G0", "G2"): 6.0, ("G0", "G3"): 2.0, ("G1", "G3"): 7.0})
    found = row(cells(one=one, two=two), top=2)
    assert found.to_dict() == {
        "network_a": "one", "network_b": "two", "directed": True, "n_a": 4, "n_b": 4, "n_common": 3,
        "spearman": pytest.approx(-0.5), "top_a": 2, "top_b": 2, "shared": 1.0,
        # {G0, G1} x {G1, G2, G3} without G1 -> G1 are five pairs in both
        "expected": pytest.approx(5 * (2 / 5) * (2 / 5)), "overlap": 0.5, "jaccard": pytest.approx(1 / 3),
    }  # fmt: skip


def test_a_network_agrees_with_itself_whatever_the_sign():
    edges = complete()
    found = row(cells(a=edges, b=edges.assign(weight=-edges["weight"])), top=5)
    assert (found["spearman"], found["shared"], found["overlap"], found["jaccard"]) == (pytest.approx(1), 5, 1, 1)
    assert found["expected"] == pytest.approx(25 / 21) and found["n_common"] == 21


def test_neither_order_nor_who_is_first_matters():
    adata = cells(a=complete(0), b=complete(1))
    forward, back = row(adata, top=4), row(adata, keys=["b", "a"], top=4)
    for name in ("n_common", "spearman", "shared", "expected", "overlap", "jaccard"):
        assert forward[name] == pytest.approx(back[name])
    shuffled = adata[::-1, ::-1].copy()
    pd.testing.assert_frame_equal(get.agreement(shuffled, top=4), get.agreement(adata, top=4))


def test_keys():
    adata = cells(a=complete(0), b=complete(1), c=complete(2))
    adata.uns["notes"], adata.uns["table"] = {"x": 1}, complete(3)
    grn.tl.regulons(adata, key="a", min_targets=1)
    every = get.agreement(adata)
    assert list(zip(every["network_a"], every["network_b"], strict=True)) == [("a", "b"), ("a", "c"), ("b", "c")]
    for keys in (["b", "c"], ("b", "c"), pd.Index(["b", "c"]), np.array(["b", "c"])):
        assert row(adata, keys=keys)[["network_a", "network_b"]].tolist() == ["b", "c"]
    named = row(adata, keys={"first": "a", "again": "a"})
    assert named[["network_a", "network_b", "overlap"]].tolist() == ["first", "again", 1.0]
    with_table = row(adata, keys=["a", "table"])
    assert with_table["n_common"] == 21, "a bare edge table is read too"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("ab", "pass a list of entries"),
        (3, "pass a list of entries"),
        ([], "two networks or more"),
        (["a"], "two networks or more"),
        ({"x": "a"}, "two networks or more"),
        (["a", "a"], "twice"),
        (["a", 3], "strings"),
        ({1: "a", 2: "b"}, "strings"),
    ],
)
def test_keys_that_are_none(keys, told):
    with pytest.raises(ParameterError, match=told):
        get.agreement(cells(a=complete(0), b=complete(1)), keys=keys)


def test_objects_without_networks():
    with pytest.raises(ParameterError, match=r"holds 'a'\. Store each.*key_added"):
        get.agreement(cells(a=complete()))
    with pytest.raises(ParameterError, match="holds none"):
        get.agreement(cells())
    with pytest.raises(ResultNotFoundError, match=r"no network 'c'.*'a', 'b'"):
        get.agreement(cells(a=complete(), b=complete()), keys=["a", "c"])
    with pytest.raises(ParameterError, match="DataFrame; pass an AnnData"):
        get.agreement(complete(), keys=["a", "b"])


@pytest.mark.parametrize("top", [0, -1, 1.5, True, "3", None])
def test_top_is_a_positive_integer(top):
    with pytest.raises(ParameterError, match="pass a positive integer"):
        get.agreement(cells(a=complete(), b=complete()), top=top)


def test_ties_at_the_last_place_count_in_part():
    one = table({("G0", f"G{i}"): w for i, w in zip(range(1, 6), (9, 5, 5, 5, 1), strict=True)})
    two = table({("G0", f"G{i}"): w for i, w in zip(range(1, 6), (1, 5, 3, 2, 9), strict=True)})
    found = row(cells(a=one, b=two), top=2)
    assert found["shared"] == pytest.approx(1 / 3), "one of three places, of which two names one"
    flat = row(cells(a=one.assign(weight=1.0), b=one.assign(weight=2.0)), top=2)
    assert flat["shared"] == pytest.approx(flat["expected"]) == pytest.approx(4 / 5)
    assert np.isnan(flat["spearman"])
    renamed = [table({("G7", f"G{7 - i}"): w for i, w in enumerate(t["weight"], 1)}) for t in (one, two)]
    assert row(cells(a=renamed[0], b=renamed[1]), top=2)["shared"] == pytest.approx(found["shared"])


def test_ranks_of_ties_are_averaged():
    one = table({("G0", f"G{i}"): w for i, w in zip(range(1, 7), (1, 1, 2, 2, 2, 5), strict=True)})
    two = table({("G0", f"G{i}"): w for i, w in zip(range(1, 7), (-3, 1, 3, 0, 0, 4), strict=True)})
    expected = spearmanr(one["weight"].abs(), two["weight"].abs()).statistic
    assert row(cells(a=one, b=two))["spearman"] == pytest.approx(expected)


def test_an_edge_of_weight_zero_is_no_strong_edge():
    one = table({("G0", "G1"): 3.0, ("G0", "G2"): 0.0, ("G0", "G3"): 0.0, ("G0", "G4"): 0.0})
    two = table({("G0", "G1"): 0.0, ("G0", "G2"): 0.0, ("G0", "G3"): 0.0, ("G0", "G4"): 0.0})
    found = row(cells(a=one, b=one.assign(weight=[2.0, 0, 0, 1])), top=3)
    assert (found["top_a"], found["top_b"], found["shared"], found["n_common"]) == (1, 2, 1, 4)
    assert found["overlap"] == 1 and found["jaccard"] == 0.5
    empty = row(cells(a=one, b=two), top=3)
    assert (empty["top_b"], empty["shared"], empty["expected"]) == (0, 0, 0)
    assert np.isnan(empty["overlap"]) and np.isnan(empty["jaccard"]) and np.isnan(empty["spearman"])


def test_few_or_no_pairs_in_common_are_nan():
    apart = row(cells(a=complete(sources=["G0"], targets=GENES[2:5]), b=complete(sources=["G1"])))
    assert apart[["n_common", "shared", "expected"]].tolist() == [0, 0, 0]
    assert apart[["spearman", "overlap", "jaccard"]].isna().all()
    two = row(cells(a=complete(sources=["G0"], targets=GENES[1:5]), b=complete(sources=["G0"], targets=GENES[3:])))
    assert two["n_common"] == 2 and np.isnan(two["spearman"]) and two["overlap"] >= 0
    nothing = Network(complete().iloc[:0])
    for other in (nothing, Network(complete())):
        found = row(cells(a=nothing, b=other))
        assert found["n_a"] == found["shared"] == found["expected"] == 0 and np.isnan(found["overlap"])
    loops = row(cells(a=table({("G0", "G0"): 1.0}), b=complete()))
    assert loops["n_a"] == 0


def test_pairs_that_only_one_could_name_dilute_neither_number():
    """The strongest of each count, so those of regulators the other lacks cannot be shared."""
    one = complete(sources=GENES[:2])
    two = complete(sources=GENES[1:3])
    found = row(cells(a=one, b=two), top=14)
    assert found["shared"] == 7 == found["n_common"]
    assert found["expected"] == pytest.approx(7), "all pairs of both are taken"


class TestDirection:
    both = table({("G0", "G1"): 1.0, ("G1", "G0"): 5.0, ("G0", "G2"): 3.0, ("G2", "G1"): 2.0})

    def test_directed_networks_are_told_apart(self):
        turned = self.both.rename(columns={"source": "target", "target": "source"})
        found = row(cells(a=self.both, b=turned), top=1)
        assert found["directed"] and found["shared"] == 0 and found["n_common"] == 2

    def test_one_undirected_network_makes_it_undirected(self):
        other = Network(
            table({("G1", "G0"): 4.0, ("G0", "G2"): 3.0, ("G1", "G2"): 2.0, ("G2", "G1"): 1.0}), directed=False
        )
        found = row(cells(a=self.both, b=other), top=2)
        assert not found["directed"]
        assert (found["n_a"], found["n_b"], found["n_common"]) == (3, 3, 3)
        assert found["spearman"] == pytest.approx(1) and found["shared"] == 2
        assert found["expected"] == pytest.approx(2 * 2 / 3)

    def test_which_way_an_undirected_pair_is_written_does_not_matter(self):
        net = Network(complete(1, targets=GENES[:5]), directed=False)
        turned = Network(net.edges.rename(columns={"source": "target", "target": "source"}), directed=False)
        for other in (complete(0), Network(complete(0), directed=False)):
            a, b = (row(cells(a=other, b=written), top=6) for written in (net, turned))
            pd.testing.assert_series_equal(a, b)


def brute(nets, top, ordered):
    """The expected overlap by counting pairs one by one."""

    def pairs(net):
        edges = net.edges[net.edges["source"].astype(str) != net.edges["target"].astype(str)]
        found = {(s, t) for s in set(edges["source"]) for t in set(edges["target"]) if s != t}
        return found if ordered else {tuple(sorted(pair)) for pair in found}

    def size(net):
        listed = net.edges[["source", "target"]].astype(str).itertuples(index=False, name=None)
        return min(top, len({(s, t) if ordered else tuple(sorted((s, t))) for s, t in listed if s != t}))

    one, two = (pairs(net) for net in nets)
    sizes = [size(net) for net in nets]
    return len(one & two) * sizes[0] / max(len(one), 1) * sizes[1] / max(len(two), 1)


PAIRS = list(itertools.product(GENES[:5], repeat=2))
some = st.lists(st.sampled_from(PAIRS), max_size=12, unique=True)
SEEDS = st.integers(0, 9)


@given(one=some, two=some, directed=st.tuples(st.booleans(), st.booleans()), top=st.integers(1, 8), seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_the_expected_overlap_is_counted_right(one, two, directed, top, seed):
    rng = np.random.default_rng(seed)
    empty = complete().iloc[:0]
    nets = [
        Network(table({pair: rng.normal() + 9 for pair in pairs}) if pairs else empty, directed=d)
        for pairs, d in zip((one, two), directed, strict=True)
    ]
    found = row(cells(a=nets[0], b=nets[1]), top=top)
    assert found["expected"] == pytest.approx(brute(nets, top, all(directed)))
    assert 0 <= found["shared"] <= min(found["top_a"], found["top_b"]) + 1e-12
    assert found["shared"] <= found["n_common"] and not found["jaccard"] > found["overlap"] + 1e-12


def test_random_networks_share_what_is_expected():
    found = [row(cells(a=complete(2 * i), b=complete(2 * i + 1, sources=GENES[1:5])), top=6) for i in range(100)]
    shared = np.array([one["shared"] for one in found])
    assert abs(shared.mean() - found[0]["expected"]) < 4 * shared.std() / np.sqrt(len(shared))


class TestGroups:
    @pytest.fixture
    def adata(self):
        x, y = complete(0), complete(1)
        grouped = pd.concat([x.assign(group="x"), y.assign(group="y")])
        return cells(grouped=grouped, x=x, y=y)

    def test_one_group_against_networks_without(self, adata):
        for group in "xy":
            found = get.agreement(adata, keys=["grouped", group], group=group, top=5)
            assert found["overlap"].tolist() == [1.0] and found["n_a"].tolist() == [21]
        assert get.agreement(adata, keys=["grouped", "x"], group="y", top=5)["overlap"].tolist() != [1.0]

    def test_without_a_group_the_strongest_counts(self, adata):
        strongest = pd.concat([complete(0), complete(1)]).assign(size=lambda t: t["weight"].abs())
        strongest = strongest.sort_values("size", ascending=False).drop_duplicates(["source", "target"])
        Network(strongest[["source", "target", "weight"]]).write(adata, "strongest")
        found = row(adata, keys=["grouped", "strongest"], top=5)
        assert found["spearman"] == pytest.approx(1) and found["overlap"] == 1 and found["n_a"] == 21

    def test_groups_that_are_not_there(self, adata):
        with pytest.raises(GroupError, match=r"network 'grouped' has no group 'z'; it has 'x', 'y'"):
            get.agreement(adata, group="z")
        with pytest.raises(GroupError, match="no network has groups"):
            get.agreement(adata, keys=["x", "y"], group="x")
        with pytest.raises(GroupError, match="name of one group"):
            get.agreement(adata, group=["x", "y"])


def test_hidden_edges_do_not_count(caplog):
    adata = cells(a=complete(0), b=complete(1))
    with caplog.at_level("INFO", logger="grn"):
        found = row(adata[:, GENES[:5]], top=5)
    parts = [edges[edges["target"].isin(GENES[:5])] for edges in (complete(0), complete(1))]
    expected = row(cells(a=parts[0], b=parts[1]), top=5)
    pd.testing.assert_series_equal(found, expected)
    assert "a: hid 9 of 21 edges" in caplog.text


def test_the_object_is_left_alone_and_files_keep_what_is_compared(tmp_path):
    adata = cells(a=complete(0), b=complete(1))
    before = adata.uns["a"]["edges"].copy()
    found = get.agreement(adata, top=4)
    pd.testing.assert_frame_equal(adata.uns["a"]["edges"], before)
    adata.write_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(get.agreement(ad.read_h5ad(tmp_path / "a.h5ad"), top=4), found)
