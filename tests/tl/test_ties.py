"""What ranks computed numbers: ties are ties, the order of cells decides nothing, and no rank is made of nothing."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import grn
from grn.errors import ParameterError
from grn.models.translators import embedded


@pytest.fixture
def cells():
    """Regulators that are copies of each other, so that many weights are equal but for rounding."""
    rng = np.random.default_rng(0)
    X = rng.poisson(3.0, size=(200, 24)).astype(np.float32)
    X[:, 4:8], X[:, 16:20] = X[:, :4], X[:, 8:12]
    adata = AnnData(np.log1p(X), obs=pd.DataFrame(index=[f"c{k}" for k in range(200)]))
    adata.var_names = [f"g{k:02d}" for k in range(24)]
    adata.var["is_regulator"] = np.arange(24) < 8
    return adata


def ranked(adata):
    for name, params in (("correlation", {}), ("spearman", {"kind": "spearman"}), ("ridge", {"alpha": 0.3})):
        method = "correlation" if name == "spearman" else name
        grn.tl.infer_network(adata, method=method, params=params, key_added=name)
    grn.tl.consensus(adata, min_support=1)
    grn.tl.rank_regulators(adata, net="correlation")
    table = grn.get.edges(adata, key="consensus").astype({"source": str, "target": str})
    return (
        table.set_index(["source", "target"]),
        adata.uns["correlation"]["regulators"].set_index("regulator")["rank"],
        grn.get.agreement(adata, keys=["correlation", "spearman", "ridge"], top=30),
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_order_of_cells_moves_no_rank(cells, seed):
    turned = cells[np.random.default_rng(seed).permutation(200)].copy()
    (one, ranks, agreed), (two, again, agreed_again) = ranked(cells), ranked(turned)
    pd.testing.assert_frame_equal(one, two, rtol=0, atol=1e-12)
    assert list(one.index) == list(two.index)
    pd.testing.assert_series_equal(ranks, again)
    pd.testing.assert_frame_equal(agreed, agreed_again, rtol=0, atol=1e-12)


def test_copies_share_their_rank(cells):
    ranked(cells)
    table = grn.get.edges(cells, key="consensus").astype({"source": str, "target": str})
    weight = table.set_index(["source", "target"])["weight"]
    for target in ("g12", "g13", "g14", "g15", "g20", "g21"):
        for source, copy in (("g00", "g04"), ("g01", "g05")):
            if (source, target) in weight and (copy, target) in weight:
                assert weight[source, target] == weight[copy, target]
    found = cells.uns["correlation"]["regulators"].set_index("regulator")["rank"]
    assert found["g00"] == found["g04"] and found["g01"] == found["g05"]


def test_equally_strong_edges_are_ordered_by_their_score_then_by_name():
    table = pd.DataFrame(
        {
            "source": ["B", "A", "C", "D", "E"],
            "target": "T",
            "weight": [0.9988067, -0.9988067 * (1 + 1e-12), 0.9988067, 0.9988067, 0.999],
            "probability": [0.9988067, 0.9988067, 0.9988067, 0.9988067, 0.999],
            "score": [0.1, -0.4, 0.7, 0.1, 0.0],
        }
    )
    net = grn.Network(table)
    assert net.edges["source"].tolist() == ["E", "C", "A", "B", "D"]
    assert net.filter(top_per_target=2).edges["source"].tolist() == ["E", "C"]
    assert grn.get.edges(net, top=3)["source"].tolist() == ["E", "C", "A"]
    assert grn.Network(table.iloc[::-1]).equals(net)


@pytest.mark.parametrize("feature", ["vvp", "gradient_trajectory"])
def test_what_a_translator_clips_ties_exactly(feature):
    """Inputs beyond 8 standard deviations count as 8, so that the strongest pairs have one logit."""
    translator = embedded(grn.models.load("mini"), feature, "string")
    cubes = [np.zeros((4, 3, translator.config.points), dtype=np.float32) for _ in range(2)]
    cubes[0][1, 1], cubes[1][1, 1] = 1e4, 2e4
    one, two = (translator.logits(cube)[1, 1] for cube in cubes)
    assert one == two > 2


def test_no_rank_without_edges(cells):
    grn.tl.infer_network(cells, method="correlation")
    edges = cells.uns["grn"]["edges"]
    edges["qval"] = 0.3
    before = set(cells.uns["grn"])
    with pytest.raises(ParameterError, match=r"none of \d+ edges.*max_q=0.05 \(the smallest is 0.3\)"):
        grn.tl.rank_regulators(cells, max_q=0.05)
    assert set(cells.uns["grn"]) == before
    grn.tl.rank_regulators(cells, max_q=0.3)
    assert cells.uns["grn"]["regulators"]["rank"].nunique() > 1


def test_groups_without_edges_are_left_out_and_named(cells, caplog):
    cells.obs["kind"] = ["a", "b"] * 100
    grn.tl.infer_network(cells, method="correlation", groupby="kind")
    edges = cells.uns["grn"]["edges"]
    edges["qval"] = np.where(edges["group"] == "a", 0.01, 0.3)
    grn.tl.rank_regulators(cells, max_q=0.05)
    assert set(cells.uns["grn"]["regulators"]["group"]) == {"a"}
    assert "no edge has q up to 0.05 in 1 of 2 groups, whose regulators are not ranked: b" in caplog.text


def test_a_consensus_of_nothing(cells):
    grn.tl.infer_network(cells, method="correlation", key_added="one")
    grn.tl.infer_network(cells, method="ridge", key_added="two")
    with pytest.raises(ParameterError, match=r"min_support=3.*of 2 networks"):
        grn.tl.consensus(cells, min_support=3)
    assert "consensus" not in cells.uns


def test_an_empty_table_is_said(cells, caplog):
    grn.tl.infer_network(cells, method="correlation")
    assert grn.get.edges(cells, min_abs_weight=2).empty
    assert "no edge passes all conditions" in caplog.text
