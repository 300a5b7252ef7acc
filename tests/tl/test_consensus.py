"""One network out of several, by ranks and by votes."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn import Network
from grn.errors import NetworkError, ParameterError, ResultNotFoundError

GENES = ["A", "B", "C", "D"]


@pytest.fixture
def adata():
    """Two networks whose ranks are easy: regulators A and B; the second knows A only."""
    made = ad.AnnData(np.ones((2, 4), dtype=np.float32), var=pd.DataFrame(index=GENES))
    one = [("A", "C", 4.0), ("A", "D", -3.0), ("B", "C", 2.0), ("B", "D", 1.0)]
    two = [("A", "C", 10.0), ("A", "D", 20.0)]
    for name, rows in (("one", one), ("two", two)):
        Network(pd.DataFrame(rows, columns=["source", "target", "weight"]), signed=True).write(made, name)
    return made


def table(adata, key="consensus"):
    edges = adata.uns[key]["edges"]
    labels = [name for name in ("group", "source", "target") if name in edges]
    return edges.astype(dict.fromkeys(labels, str)).set_index(labels).sort_index()


def test_ranks_by_hand(adata):
    assert grn.tl.consensus(adata, top=1) is None
    found = table(adata)
    # four pairs in the first network: scores 7/8, 5/8, 3/8, 1/8; two in the second: 1/4, 3/4
    assert found.loc[("A", "C"), "weight"] == pytest.approx((7 / 8 + 1 / 4) / 2)
    assert found.loc[("A", "D"), "weight"] == pytest.approx((5 / 8 + 3 / 4) / 2)
    assert np.isnan(found.loc[("A", "D"), "sign"]) and found.loc[("A", "D"), "sign_agreement"] == 0.5
    assert found.loc[("B", "D"), "weight"] == pytest.approx(1 / 8)
    assert found["n_methods"].tolist() == [2, 2, 1, 1] and found["support"].tolist() == [1, 1, 0, 0]
    record = adata.uns["consensus"]
    assert list(record["params"]["nets"]) == ["one", "two"] and record["schema"]["signed"]
    assert not record["schema"]["tested"]


def test_votes_by_hand(adata):
    grn.tl.consensus(adata, method="vote", top=2)
    found = table(adata)
    assert found["weight"].tolist() == [1.0, 1.0] and list(found.index) == [("A", "C"), ("A", "D")]
    grn.tl.consensus(adata, method="vote", top=1)
    assert table(adata)["weight"].tolist() == [0.5, 0.5]
    grn.tl.consensus(adata, top=1, min_support=1)
    assert len(table(adata)) == 2


def test_majority_of_signs(adata):
    for name, weight in (("three", -1.0), ("four", -2.0)):
        edges = pd.DataFrame({"source": ["A", "A"], "target": ["C", "D"], "weight": [weight, weight / 2]})
        Network(edges).write(adata, name)
    grn.tl.consensus(adata)
    found = table(adata)
    assert found.loc[("A", "D"), ["sign", "sign_agreement"]].tolist() == [-1.0, 0.75]
    assert found.loc[("A", "D"), "weight"] < 0 and np.isnan(found.loc[("A", "C"), "sign"])


def test_pairs_that_a_network_knows_and_does_not_list_come_last(adata):
    edges = pd.DataFrame({"source": ["A", "B"], "target": ["C", "D"], "weight": [3.0, 1.0]})
    Network(edges).write(adata, "two")
    grn.tl.consensus(adata, nets=["one", "two"])
    found = table(adata)
    # of its four pairs the second lists two; the others share (1/8 + 3/8) / 2
    assert found.loc[("A", "D"), "weight"] == pytest.approx(-(5 / 8 + 1 / 4) / 2)
    assert (found["n_methods"] == 2).all()


def test_only_order_counts_not_scale(adata):
    grn.tl.consensus(adata)
    before = table(adata)
    record = adata.uns["two"]["edges"]
    record["weight"] = np.exp(record["weight"])
    grn.tl.consensus(adata, nets=["two", "one"])
    pd.testing.assert_frame_equal(table(adata), before)


def test_groups_are_matched_by_name(adata):
    one = adata.uns["one"]["edges"].drop(columns="group", errors="ignore")
    grouped = pd.concat([one.assign(group="x"), one.assign(group="y", weight=one["weight"] * [1, 1, 1, 9])])
    Network(grouped).write(adata, "one")
    Network(one.assign(group="y")).write(adata, "three")
    grn.tl.consensus(adata, top=1)
    found = table(adata)
    assert found.loc["x", "n_methods"].max() == 2 and found.loc["y", "n_methods"].max() == 3
    assert found.loc[("y", "B", "D"), "support"] == 1 and found.loc[("x", "B", "D"), "support"] == 0


def test_undirected_networks_count_in_both_directions(adata):
    edges = pd.DataFrame({"source": ["A"], "target": ["B"], "weight": [1.0]})
    Network(edges, directed=False).write(adata, "two")
    one = adata.uns["one"]["edges"].astype({"source": str, "target": str})[["source", "target", "weight"]]
    Network(pd.concat([one, pd.DataFrame({"source": ["B"], "target": ["A"], "weight": [0.5]})])).write(adata, "one")
    grn.tl.consensus(adata, method="vote", top=9)
    found = table(adata)
    assert found.loc[("B", "A"), "support"] == 2 and found.loc[("A", "B"), "support"] == 1
    assert ("C", "A") not in found.index and adata.uns["consensus"]["schema"]["directed"]


def test_unsigned_networks(adata):
    for name in ("one", "two"):
        edges = adata.uns[name]["edges"]
        Network(edges.assign(weight=edges["weight"].abs()), signed=False).write(adata, name)
    grn.tl.consensus(adata)
    assert not adata.uns["consensus"]["schema"]["signed"] and table(adata)["sign_agreement"].isna().all()


def test_default_takes_networks_only(adata):
    grn.tl.consensus(adata)
    adata.uns["note"] = {"edges": "none"}
    adata.uns["table"] = pd.DataFrame({"source": ["A"], "target": ["B"], "weight": [1.0]})
    grn.tl.regulons(adata, key="one", min_targets=1)
    grn.tl.consensus(adata, key_added="again")
    assert list(adata.uns["again"]["params"]["nets"]) == ["one", "two"]


def test_of_inferred_networks(toy, reread, tmp_path):
    for name in ("correlation", "ridge"):
        grn.tl.infer_network(toy, method=name, groupby="group", key_added=name)
    moved = toy[::-1, ::-1].copy()
    made = grn.tl.consensus(toy, copy=True)
    assert "consensus" not in toy.uns
    grn.tl.consensus(moved)
    view = toy[:, :]
    grn.tl.consensus(view)
    pd.testing.assert_frame_equal(table(made), table(moved))
    pd.testing.assert_frame_equal(table(made), table(reread(view)))
    assert set(grn.get.edges(made, key="consensus", group="group_1")["n_methods"]) == {2}
    toy.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    grn.tl.consensus(backed)
    pd.testing.assert_frame_equal(table(backed), table(made))


def test_bad_arguments(adata, refuses):
    for arguments in ({"method": "mean"}, {"top": 0}, {"top": True}, {"min_support": -1}, {"nets": "one"}):
        refuses(ParameterError, grn.tl.consensus, adata, **arguments)
    assert "two networks" in refuses(ResultNotFoundError, grn.tl.consensus, adata, nets=["one"])
    assert "three" in refuses(ResultNotFoundError, grn.tl.consensus, adata, nets=["one", "three"])
    adata.uns["note"] = {"edges": "none"}
    refuses(NetworkError, grn.tl.consensus, adata, nets=["one", "note"])


def test_evidence_of_direction_is_kept(adata):
    """The strongest of all networks; one without the column that is directed says so itself."""
    edges = pd.DataFrame({"source": ["A", "B"], "target": ["B", "C"], "weight": [1.0, 0.5]})
    Network(edges.assign(direction=["none", "motif"])).write(adata, "one")
    Network(edges.assign(direction=["response", "role"])).write(adata, "two")
    grn.tl.consensus(adata, nets=["one", "two"])
    assert table(adata)["direction"].to_dict() == {("A", "B"): "response", ("B", "C"): "motif"}
    Network(edges.assign(direction="none")).write(adata, "one")
    Network(edges, directed=False).write(adata, "two")
    grn.tl.consensus(adata, nets=["one", "two"])
    assert set(table(adata)["direction"]) == {"none"} and not adata.uns["consensus"]["schema"]["directed"]
