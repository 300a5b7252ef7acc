"""Edge tables as competitors: what counts, what is ignored, what is refused."""

import itertools

import numpy as np
import pandas as pd
import pytest

import grn
from grn.bench import Reference, score_edges
from grn.bench.negatives import sample
from grn.errors import GeneOverlapError, NetworkError, ParameterError

COLUMNS = (
    "method kind metric value low high best_floor floor gain gain_low gain_high train train_dataset test unit network "
    "size protocol negatives n_pos n_neg prevalence listed outside self_loops sign_accuracy"
).split()
METRICS = {
    "auprc",
    "auprc_ratio",
    "early_precision_ratio",
    "auroc",
    "auprc_regulator",
    "auprc_target",
    "auprc_residual",
}
GENES = [f"G{i:02d}" for i in range(40)]
REGULATORS = GENES[:12]


def reference(seed=0, signs=False, **arguments):
    pairs = [(s, t) for s, t in itertools.product(REGULATORS, GENES) if s != t]
    random = np.random.default_rng(seed)
    rows = random.choice(len(pairs), 90, replace=False)
    edges = pd.DataFrame([pairs[i] for i in rows], columns=["source", "target"])
    if signs:
        edges["sign"] = random.choice([-1.0, 1.0], len(edges))
    return Reference(edges, **{"genes": GENES, "regulators": REGULATORS, "dataset": "set", **arguments})


KNOWN = reference()


def truth(weight=1.0):
    return KNOWN.edges.assign(weight=weight)


def full(seed=1):
    """A random weight for every pair."""
    pairs = [(s, t) for s, t in itertools.product(REGULATORS, GENES) if s != t]
    table = pd.DataFrame(pairs, columns=["source", "target"])
    return table.assign(weight=np.random.default_rng(seed).normal(size=len(table)))


def score(edges, **arguments):
    return score_edges(edges, **{"reference": KNOWN, "seeds": 2, "n_boot": 20, **arguments})


def of(table, metric="auprc", method="edges", negatives="uniform"):
    found = table.query("metric == @metric and method == @method and negatives == @negatives")
    assert len(found) == 1
    return found.iloc[0]


def test_the_table_is_as_documented():
    table = score(truth())
    assert sorted(table.columns) == sorted(COLUMNS) and set(table["metric"]) == METRICS
    text = score_edges.__doc__
    assert all(f"``{name}``" in text for name in COLUMNS)
    kinds = table.groupby("kind")["method"].unique().map(sorted).to_dict()
    assert kinds == {
        "method": ["edges"],
        "floor": ["random", "target is a regulator"],
        "oracle": ["own degree", "own out-degree"],
    }
    assert list(table["negatives"].unique()) == ["uniform", "degree_matched"]
    assert not table.duplicated(["method", "metric", "negatives"]).any()


def test_the_truth_scores_one():
    table = score(truth(), negatives=["uniform", "degree_matched", "all", "configuration"])
    for negatives in table["negatives"].unique():
        for metric in ("auprc", "auroc", "auprc_regulator", "auprc_target"):
            assert of(table, metric, negatives=negatives)["value"] == 1, (negatives, metric)
        row = of(table, negatives=negatives)
        assert row["low"] == row["high"] == 1 and row["gain_low"] > 0.2
        ratio = of(table, "early_precision_ratio", negatives=negatives)
        assert ratio["value"] == pytest.approx(1 / ratio["prevalence"])
    assert of(table, negatives="all")["n_neg"] == 12 * 39 - 90
    assert of(table)["prevalence"] == 0.5 and of(table)["listed"] == 0.5


def test_random_weights_are_at_chance_and_figures_are_those_of_the_metrics():
    table = score(full(), n_boot=100)
    drawn = [sample(KNOWN, negatives="uniform", rng=seed) for seed in (0, 1)]
    weight = np.zeros(KNOWN.labels.shape)
    edges = full()
    weight[np.searchsorted(KNOWN.regulators, edges["source"]), np.searchsorted(KNOWN.genes, edges["target"])] = edges[
        "weight"
    ].abs()
    areas = [grn.bench.metrics.auprc(part.labels, part.take(weight)) for part in drawn]
    assert of(table)["value"] == pytest.approx(np.mean(areas), abs=1e-12)
    for negatives in ("uniform", "degree_matched"):
        row = of(table, negatives=negatives)
        assert row["low"] < row["prevalence"] < row["high"] and row["listed"] == 1


def test_the_sign_of_a_weight_is_no_strength():
    flipped = full()
    flipped["weight"] *= np.where(np.arange(len(flipped)) % 2, -1, 1)
    a, b = score(full()), score(flipped)
    assert np.array_equal(a["value"], b["value"], equal_nan=True)


def test_the_order_of_rows_and_the_container_mean_nothing():
    first = score(full())
    mixed = full().sample(frac=1, random_state=0).set_index(pd.Index(range(3, 3 + len(full()))))
    mixed["source"] = mixed["source"].astype("category")
    for other in (mixed, grn.Network(full()), full().assign(probability=0.5, group="all")):
        pd.testing.assert_frame_equal(first, score(other))
    shuffled = Reference(
        KNOWN.edges.sample(frac=1, random_state=0), genes=GENES[::-1], regulators=REGULATORS[::-1], dataset="set"
    )
    pd.testing.assert_frame_equal(first, score(full(), reference=shuffled))


def test_pairs_that_are_not_listed_rank_last_and_tied():
    half = truth().iloc[::2]
    low = full().merge(half[["source", "target"]], how="left", indicator=True)
    low["weight"] = np.where(low["_merge"] == "both", 1.0, 1e-9)
    explicit = score(low.drop(columns="_merge"))
    assert of(score(half))["value"] == pytest.approx(of(explicit)["value"], abs=1e-12)
    zero = pd.concat([half, truth(0.0).iloc[1::2]])
    assert of(score(zero))["value"] == 1, "a listed weight of 0 is above what is not listed"


def test_edges_without_weights_are_equally_strong():
    mixed = pd.concat([KNOWN.edges, full().iloc[:60, :2]]).drop_duplicates()
    pd.testing.assert_frame_equal(score(mixed), score(mixed.assign(weight=3.0)))
    signed = reference(signs=True)
    table = score(signed.edges, reference=signed)
    assert of(table)["value"] == 1 and (table["sign_accuracy"] == 1).all()


def test_the_reference_is_named():
    table = score(truth(), reference=reference(network="N", size="500", unit="mHSC"))
    facts = table[["train", "train_dataset", "test", "unit", "network", "size"]].drop_duplicates()
    assert facts.to_numpy().tolist() == [["", "", "set", "mHSC", "N", "500"]]
    assert table["protocol"].equals(table["negatives"])
    board = grn.bench.leaderboard(table, network="N", protocol="degree_matched")
    assert board.loc[("method", "edges"), "set"] == 1


def test_edges_outside_and_self_loops_are_ignored_and_counted():
    strange = pd.DataFrame(
        {
            "source": ["G00", "G30", "Z", "G00", "Z"],
            "target": ["Z", "G00", "G01", "G00", "Z"],
            "weight": [9.0, 9, 9, 9, 9],
        }
    )
    plain, more = score(truth()), score(pd.concat([truth(), strange]))
    changed = ["outside", "self_loops"]
    pd.testing.assert_frame_equal(plain.drop(columns=changed), more.drop(columns=changed))
    assert (plain[changed] == 0).all(axis=None)
    assert (more["outside"] == 3).all() and (more["self_loops"] == 2).all()


def test_signs_are_compared_where_both_know_one():
    signed = reference(signs=True)
    edges = signed.edges.assign(weight=lambda t: t["sign"] * 0.5)
    wrong = edges.index[:18]
    edges.loc[wrong, ["sign", "weight"]] *= -1
    assert score(edges, reference=signed)["sign_accuracy"].unique() == [pytest.approx(0.8)]
    weights = edges.drop(columns="sign")
    assert score(weights, reference=signed)["sign_accuracy"].unique() == [pytest.approx(0.8)]
    part = pd.concat([weights.iloc[:20], full().iloc[:5].assign(weight=0.0)]).drop_duplicates(["source", "target"])
    assert score(part, reference=signed)["sign_accuracy"].unique() == [pytest.approx(2 / 20)]
    unsigned = signed.edges.drop(columns="sign").assign(weight=1.0)
    assert score(unsigned, reference=signed)["sign_accuracy"].isna().all()
    assert score(edges, reference=reference())["sign_accuracy"].isna().all(), "the reference knows no sign"


def test_pairs_behind_the_figures():
    listed = full().iloc[::2]
    table = score(listed, pairs=True)
    assert list(table.columns) == ["source", "target", "label", "negatives", "score"]
    for negatives, part in table.groupby("negatives"):
        drawn = sample(KNOWN, negatives=negatives, rng=0)
        assert part[["source", "target", "label"]].reset_index(drop=True).equals(drawn.pairs)
        weight = listed.set_index(["source", "target"])["weight"].abs()
        expected = weight.reindex(pd.MultiIndex.from_frame(part[["source", "target"]])).fillna(0.0)
        np.testing.assert_allclose(part["score"], expected)


def test_cells_of_the_reference_add_floors():
    cells = grn.datasets.toy(n_cells=60)
    known = Reference(cells.uns["truth"], genes=cells.var_names, expression=cells)
    table = score(cells.uns["truth"], reference=known)
    assert {"|correlation|", "mean expression"} <= set(table.loc[table["kind"] == "floor", "method"])
    assert of(table)["value"] == 1


@pytest.mark.parametrize(
    ("edges", "error", "message"),
    [
        (lambda: pd.concat([truth(), truth().head(2)]), NetworkError, "more than once"),
        (lambda: truth(np.nan), NetworkError, "NaN"),
        (lambda: truth(np.inf), NetworkError, "infinite"),
        (lambda: truth("strong"), NetworkError, "not numeric"),
        (lambda: truth().rename(columns={"source": "TF"}), NetworkError, "source"),
        (lambda: truth().assign(source=None), NetworkError, "missing"),
        (lambda: truth().to_numpy(), NetworkError, "DataFrame"),
        (lambda: None, NetworkError, "NoneType"),
        (lambda: pd.concat([truth().assign(group=g) for g in "ab"]), NetworkError, "2 groups"),
        (lambda: truth().head(0), GeneOverlapError, "none of the 0 edges"),
        (lambda: truth().replace(r"^G", "H", regex=True), GeneOverlapError, "none of the 90 edges"),
        (lambda: pd.DataFrame({"source": ["G30"], "target": ["G31"], "weight": [1.0]}), GeneOverlapError, "regulator"),
    ],
)
def test_tables_that_are_refused(edges, error, message):
    with pytest.raises(error, match=message):
        score(edges())


def test_self_loops_alone_are_no_network():
    loop = pd.DataFrame({"source": ["G00"], "target": ["G00"], "weight": [1.0]})
    table = score(loop)
    assert (table["self_loops"] == 1).all() and (table["listed"] == 0).all()
    assert of(table, "auroc")["value"] == 0.5


def test_one_group_of_several_can_be_scored():
    both = grn.Network(pd.concat([truth().assign(group="a"), full().assign(group="b")]))
    assert of(score(both.filter(group="a")))["value"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reference": truth()}, "Reference"),
        ({"negatives": "uniform"}, "list"),
        ({"negatives": ["random"]}, "uniform"),
        ({"negatives": ["hard"]}, "hard"),
        ({"negatives": []}, "negatives"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": 2.0}, "seeds"),
        ({"n_boot": 0}, "n_boot"),
        ({"n_boot": True}, "n_boot"),
        ({"rng": -3}, "rng"),
        ({"name": "random"}, "name"),
        ({"name": "own degree"}, "name"),
        ({"name": ""}, "name"),
        ({"name": 3}, "name"),
    ],
    ids=str,
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ParameterError, match=message):
        score(truth(), **arguments)


def test_a_reference_in_which_every_pair_is_an_edge():
    edges = pd.DataFrame(list(itertools.product("AB", "CD")), columns=["source", "target"])
    complete = Reference(edges, genes=list("ABCD"))
    edges = complete.edges.assign(weight=1.0)
    missing = [("A", "B"), ("B", "A")]  # the only pairs that are no edge
    table = score(edges, reference=complete, negatives=["all"])
    assert of(table, negatives="all")["n_neg"] == len(missing)
    whole = pd.concat([complete.edges, pd.DataFrame(missing, columns=["source", "target"])])
    whole = Reference(whole, genes=list("ABCD"))
    for negatives in ("uniform", "all", "degree_matched"):
        with pytest.raises(NetworkError, match="no non-edge"):
            score(edges, reference=whole, negatives=[negatives])


def test_regulators_without_evidence_are_not_asked_about():
    more = reference(regulators=GENES[:20])
    assert len(more.regulators) == 20 and len(more.evidence) == 12
    pairs = score(full(), reference=more, negatives=["all"], pairs=True)
    assert set(pairs["source"]) == set(more.evidence)
    guesses = pd.concat([truth(), pd.DataFrame({"source": GENES[12:20], "target": "G39", "weight": 9.0})])
    assert of(score(guesses, reference=more))["value"] == 1, "edges of unlabelled regulators are no mistakes"


def test_a_network_inferred_from_toy_data_end_to_end():
    """The truth beats chance by far, a method of the package is scored, and its gain is told."""
    adata = grn.datasets.toy(n_cells=120, n_regulators=6, n_targets=24)
    known = Reference(adata.uns["truth"], genes=adata.var_names, dataset="toy", expression=adata)
    grn.tl.infer_network(adata, method="vvp", sources=known.regulators.tolist(), params={"translator": None})
    table = score_edges(grn.get.edges(adata), reference=known, name="VVP", seeds=2, n_boot=30)
    same = score_edges(grn.get.network(adata), reference=known, name="VVP", seeds=2, n_boot=30)
    pd.testing.assert_frame_equal(table, same)
    row = of(table, method="VVP")
    edges = grn.get.edges(adata).astype({"source": str, "target": str})
    pairs = score_edges(edges, reference=known, negatives=["uniform"], pairs=True, seeds=2, n_boot=30)
    listed = pairs.merge(edges, on=["source", "target"])
    assert 0 < len(listed) < len(pairs), "the model does not know all genes of the toy data"
    assert row["listed"] == pytest.approx(len(listed) / len(pairs), abs=0.06)
    assert 0 < row["value"] < 1 and row["low"] <= row["high"]
    assert row["gain"] == pytest.approx(row["value"] - row["floor"])
    correlation = of(table, method="|correlation|")
    assert correlation["value"] > 0.6, "the planted network is in the cells"
