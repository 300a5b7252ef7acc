"""Functions of a user in a run: what they are given, what they may give back, and whether their figures are right."""

import hashlib
from functools import partial

import numpy as np
import pandas as pd
import pytest

from grn.bench import Reference, _run
from grn.errors import ParameterError

BOTH = {"protocols": ["paper", "strict"], "methods": []}


def hashed(adata, pairs, *, salt=""):
    """A number in [0, 1) per pair that depends on names only."""
    names = zip(pairs["source"], pairs["target"], strict=True)
    digests = [hashlib.sha256(f"{salt}{source} {target}".encode()).digest() for source, target in names]
    return np.array([int.from_bytes(digest[:4], "little") / 2**32 for digest in digests])


def truth(reference, *, noise=0.0):
    known = set(zip(reference.edges["source"], reference.edges["target"], strict=True))

    def score(adata, pairs):
        names = zip(pairs["source"], pairs["target"], strict=True)
        return np.array([float(pair in known) for pair in names]) + noise * hashed(adata, pairs)

    return score


def test_a_scorer_sees_the_object_and_the_pairs(quick, runs):
    seen = []

    def score(adata, pairs):
        seen.append((adata, pairs.copy()))
        values = hashed(adata, pairs)
        pairs["source"] = "spoilt"
        adata.var_names = [f"spoilt{i}" for i in range(adata.n_vars)]
        return values

    test = runs.with_cells(runs.TWO)
    first = quick(**BOTH, scorers={"mine": score}, test=[test])
    again = quick(**BOTH, scorers={"mine": hashed}, test=[test])
    assert runs.same(first, again), "what a scorer does to its arguments changes nothing"
    assert list(test.expression.var_names) == list(runs.TWO.genes)
    assert len(seen) == 2
    for adata, pairs in seen:
        assert list(pairs.columns) == ["source", "target"] and not pairs.duplicated().any()
        assert set(pairs["source"]) <= set(runs.TWO.evidence) and set(pairs["target"]) <= set(runs.TWO.genes)
        assert (pairs["source"] != pairs["target"]).all()
        assert len(pairs) >= 180 and adata.n_obs == 30 and adata.n_vars == len(runs.TWO.genes)
        assert adata.var["is_regulator"].sum() == len(runs.TWO.regulators)


def test_no_gene_of_training_is_asked_about_under_strict(quick, runs):
    """Neither as a source nor as a target, whatever a figure is for."""
    train = runs.make("train", slice(4, 20), slice(30, 80), seed=2)
    shared = set(train.genes) & set(runs.TWO.genes)
    seen = {}

    def score(adata, pairs):
        seen[len(seen)] = {*pairs["source"], *pairs["target"]}
        return hashed(adata, pairs)

    found = quick(**BOTH, scorers={"mine": score}, train=train, model=runs.small(train, runs.TWO))
    assert len(shared) == 26 and len(seen) == 2 and list(found["protocol"].unique()) == ["paper", "strict"]
    assert len(seen[0] & shared) > 15 and not seen[1] & shared and len(seen[1]) > 20


def test_a_scorer_sees_all_genes_even_where_few_are_measured(quick, runs):
    """Cells that do not cover the genes are no cells of this universe."""
    part = runs.with_cells(runs.TWO)
    for reference in (runs.TWO, runs.with_cells(runs.TWO, expression=part.expression[:, :9].copy())):
        seen = []
        quick(methods=[], test=[reference], scorers={"mine": lambda a, p: seen.append(a) or hashed(a, p)})  # noqa: B023
        assert seen[0].n_obs == 0 and list(seen[0].var_names) == list(runs.TWO.genes)
        assert set(seen[0].var_names[seen[0].var["is_regulator"]]) == set(runs.TWO.regulators)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, list, pd.Series])
def test_what_a_scorer_may_return(quick, dtype, runs):
    whole = lambda a, p: np.round(1e6 * hashed(a, p))  # noqa: E731
    given = lambda a, p: dtype(whole(a, p)) if dtype in (list, pd.Series) else whole(a, p).astype(dtype)  # noqa: E731
    assert runs.same(quick(methods=[], scorers={"mine": given}), quick(methods=[], scorers={"mine": whole}))


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda a, p: np.zeros(len(p) - 1), "one number per row"),
        (lambda a, p: np.zeros((len(p), 1)), "one number per row"),
        (lambda a, p: 1.0, "one number per row"),
        (lambda a, p: None, "one number per row"),
        (lambda a, p: np.array(["high"] * len(p)), "one number per row"),
        (lambda a, p: np.ones(len(p)) * 1j, "one number per row"),
        (lambda a, p: np.where(np.arange(len(p)) < 2, np.nan, 1.0), "2 NaN or infinite"),
        (lambda a, p: np.full(len(p), -np.inf), "NaN or infinite"),
    ],
)
def test_what_a_scorer_may_not_return(quick, score, message):
    with pytest.raises(ParameterError, match=message) as caught:
        quick(methods=[], scorers={"mine": score})
    assert "'mine'" in str(caught.value)


def test_an_exception_of_a_scorer_is_passed_through(quick):
    def broken(adata, pairs):
        raise KeyError("my own mistake")

    with pytest.raises(KeyError, match="my own mistake"):
        quick(methods=[], scorers={"mine": broken})


@pytest.mark.parametrize("scorers", [[hashed], {"mine": 3}, {3: hashed}, hashed], ids=["list", "3", "key", "function"])
def test_scorers_are_functions_by_name(quick, scorers):
    with pytest.raises(ParameterError, match="scorers"):
        quick(scorers=scorers)


@pytest.mark.parametrize("name", ["Ens", "degree", "random", "own degree"])
def test_a_scorer_takes_no_name_that_means_something_else(quick, name):
    with pytest.raises(ParameterError, match=name):
        quick(methods=[], scorers={name: hashed})


def test_results_of_scorers_are_not_kept(quick, tmp_path):
    """A function has no name to keep them by."""
    first = quick(methods=[], cache=tmp_path, scorers={"mine": hashed})
    second = quick(methods=[], cache=tmp_path, scorers={"mine": lambda a, p: -hashed(a, p)})
    assert not first.query("method == 'mine'")["value"].equals(second.query("method == 'mine'")["value"])
    assert "mine" not in set(quick(methods=[], cache=tmp_path)["method"])


def test_a_perfect_scorer(quick, runs):
    mine = quick(**BOTH, scorers={"mine": truth(runs.TWO)}).query("method == 'mine'")
    of = mine.pivot_table(index="protocol", columns="metric", values="value")
    for metric in ("auprc", "auroc", "auprc_regulator", "auprc_target", "direction"):
        assert (of[metric] == 1).all(), metric
    assert (of[["auprc_ratio", "early_precision_ratio"]] == 2).all(axis=None)
    assert (of["auprc_rewired"] < 0.75).all(), "it knows nothing of exchanged edges"
    told = mine[mine["metric"].isin(["auprc", "auprc_regulator"])]
    assert (told[["low", "high"]] == 1).all(axis=None)
    assert (told["gain"] > 0.3).all() and (told["gain_low"] > 0.2).all()


def test_a_random_scorer_is_at_chance(quick):
    """Twenty scorers that know nothing: their mean is the floor "random", and intervals are as wide as they spread."""
    scorers = {f"mine {i}": partial(hashed, salt=str(i)) for i in range(20)}
    table = quick(**BOTH, scorers=scorers, seeds=3, n_boot=200)
    table = table[table["metric"] == "auprc"].assign(question=lambda rows: rows["protocol"] + ", " + rows["pairs"])
    mine = table[table["method"].isin(scorers)]
    assert len(mine) == 4 * 20
    # the exact expectation over all orders; of few pairs it is a little above the prevalence
    chance = mine["question"].map(table[table["method"] == "random"].set_index("question")["value"])
    excess = (mine["value"] - chance).groupby(mine["question"])
    assert (excess.mean().abs() < 3 * excess.std() / 20**0.5).all()
    assert ((mine["low"] < chance) & (chance < mine["high"])).mean() >= 0.85
    assert ((mine["gain_low"] < 0) & (mine["gain_high"] > 0)).mean() >= 0.85
    width = (mine["high"] - mine["low"]).groupby(mine["question"]).mean()
    assert (width / (2 * 1.96 * excess.std())).between(2 / 3, 3 / 2).all()


def test_a_scorer_and_a_floor_with_the_same_scores_have_the_same_figures(quick, monkeypatch):
    """Whatever pairs a figure needs, the scorer is asked for them."""

    def table_of(reference):
        every = pd.MultiIndex.from_product([reference.regulators, reference.genes], names=["source", "target"])
        return hashed(None, every.to_frame()).reshape(reference.labels.shape)

    monkeypatch.setattr(_run, "stand_in_cells", lambda *_, **__: None)
    monkeypatch.setattr(_run, "outside_floors", lambda *_, **__: {"hash": table_of})
    found = quick(**BOTH, scorers={"mine": hashed}, outside=True, seeds=2)
    shown = ["protocol", "metric", "value", "low", "high"]
    mine, floor = (found.loc[found["method"] == name, shown].reset_index(drop=True) for name in ("mine", "hash"))
    pd.testing.assert_frame_equal(mine, floor)


def hubs(runs, name, tfs, others, *, seed):
    """Regulators and targets of very different degrees; which of them meet is random."""
    random = np.random.default_rng(seed)
    genes = sorted([*runs.TFS[tfs], *runs.OTHERS[others]])
    n = tfs.stop - tfs.start
    share = np.outer(np.geomspace(1, 0.05, n), random.permutation(np.geomspace(1, 0.02, len(genes))))
    edges = [
        (source, target)
        for i, source in enumerate(runs.TFS[tfs])
        for j, target in enumerate(genes)
        if source != target and random.random() < 0.5 * share[i, j]
    ]
    table = pd.DataFrame(edges, columns=["source", "target"])
    return Reference(table, genes=genes, regulators=runs.TFS[tfs], dataset=name, network="N")


def test_planted_edges_are_found_and_node_degrees_are_at_chance_under_strict(quick, runs):
    train = hubs(runs, "one", slice(0, 40), slice(0, 120), seed=0)
    test = hubs(runs, "two", slice(40, 80), slice(120, 240), seed=1)
    out, into = test.edges["source"].value_counts(), test.edges["target"].value_counts()

    def degrees(adata, pairs):
        return np.log1p(pairs["source"].map(out).fillna(0)) + np.log1p(pairs["target"].map(into).fillna(0))

    scorers = {"pair": truth(test, noise=1.5), "node": degrees}
    found = quick(**BOTH, scorers=scorers, train=train, test=[test], model=runs.small(train, test), seeds=3, n_boot=100)
    found = found[found["pairs"] == "all"]
    of = found[found["metric"] == "auprc"].set_index(["method", "protocol"])
    assert of.loc[("node", "paper"), "value"] > 0.8
    assert of.loc[("node", "strict"), "low"] < 0.5 < of.loc[("node", "strict"), "high"]
    assert of.loc[("node", "strict"), "value"] < 0.55
    assert (of.loc["pair", "low"] > 0.7).all() and (of.loc["pair", "value"] > 0.8).all()
    assert (of.loc["pair", "gain_low"] > 0.1).all()
    residual = found[found["metric"] == "auprc_residual"].set_index(["method", "protocol"])["value"]
    assert (residual["pair"] > 0.7).all() and residual[("node", "strict")] < 0.58
    rewired = found[found["metric"] == "auprc_rewired"].set_index(["method", "protocol"])["value"]
    assert abs(rewired[("node", "paper")] - of.loc[("node", "paper"), "value"]) < 0.05, "degrees survive rewiring"
    assert rewired[("pair", "strict")] < 0.6


def test_direction(quick, runs):
    """One-way edges between regulators only, and only of directed references."""
    turned = lambda table: table[["target", "source"]].set_axis(["source", "target"], axis=1)  # noqa: E731
    a, b, c = runs.TWO.evidence[:3]
    both_ways = pd.DataFrame([(a, b), (b, a), (a, c), (c, a)], columns=["source", "target"])
    edges = pd.concat([runs.TWO.edges, both_ways])
    given = {"genes": runs.TWO.genes, "regulators": runs.TWO.regulators, "dataset": "two", "network": "N"}
    directed, undirected = (Reference(edges, **given, directed=d) for d in (True, False))
    scorers = {
        "right": truth(directed),
        "wrong": lambda a, p: truth(directed)(a, turned(p)),
        "tied": lambda a, p: np.zeros(len(p)),
    }
    found = quick(methods=[], scorers=scorers, test=[directed]).query("metric == 'direction' and pairs == 'all'")
    assert found.set_index("method").loc[["right", "wrong", "tied"], "value"].tolist() == [1, 0, 0.5]
    found = quick(methods=[], scorers=scorers, test=[undirected]).query("metric == 'direction'")
    assert found["value"].isna().all() and found["gain"].isna().all()
