"""Translators learn planted edges, from features alone, whatever the order of genes."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

import grn
from grn.errors import (
    CapabilityError,
    GeneNameError,
    GeneOverlapError,
    NetworkError,
    ParameterError,
    ResultNotFoundError,
    WeightsError,
    WeightsNotFoundError,
)
from grn.models.translator import Translator

QUICK = {"members": 1, "epochs": 60, "hidden": (16,), "lr": 1e-2}


@pytest.fixture
def edges(weights, toy):
    """Planted edges of the first six regulators; two are left for a test."""
    found = weights.loc[toy.var_names[:6]].stack()
    found = found[found != 0].rename_axis(["source", "target"]).reset_index(name="effect")
    return found[["source", "target"]]


@pytest.fixture
def probed(planted, toy):
    grn.tl.probe(toy, model=planted())
    grn.tl.embedding(toy, model=planted())
    return toy


@pytest.mark.parametrize("key", ["vvp", "gradient_trajectory"])
@pytest.mark.parametrize("view", ["raw", "centred", "both"])
@pytest.mark.parametrize("negatives", ["uniform", "degree_matched", "all"])
def test_learns_edges_of_unseen_regulators(probed, weights, edges, key, view, negatives):
    translator = grn.tl.fit_translator(probed, edges, key=key, view=view, negatives=negatives, **QUICK)
    probability = translator.probability(probed.varm[key])
    assert np.array_equal(np.isnan(probability), np.isnan(probed.varm[key][..., 0]))
    unseen = probed.var_names[6:8]
    truth = weights.loc[unseen, probed.var_names].T.to_numpy() != 0
    found = probability[:, 6:]
    known = np.isfinite(found)
    assert ((found[known] >= 0) & (found[known] <= 1)).all()
    assert average_precision_score(truth[known], found[known]) > (0.9 if view == "centred" else 0.95)


def test_does_not_learn_from_shuffled_labels(probed, weights, edges):
    """The control of the test above: labels that say nothing teach nothing."""
    rng = np.random.default_rng(0)
    shuffled = edges.assign(target=rng.permutation(edges["target"])).drop_duplicates()
    shuffled = shuffled[shuffled["source"] != shuffled["target"]]
    translator = grn.tl.fit_translator(probed, shuffled, **QUICK)
    found = translator.probability(probed.varm["vvp"])[:, :6]
    truth = weights.loc[probed.var_names[:6], probed.var_names].T.to_numpy() != 0
    known = np.isfinite(found)
    assert average_precision_score(truth[known], found[known]) < 0.9


def test_own_negatives(probed, weights, edges):
    negative = [(s, t) for s in edges["source"].unique() for t in probed.var_names if weights.loc[s, t] == 0 and s != t]
    table = pd.concat(
        [edges.assign(label=1), pd.DataFrame(negative[::3], columns=["source", "target"]).assign(label=0)]
    )
    translator = grn.tl.fit_translator(probed, table, negatives="all", **QUICK)
    assert translator.history["pairs"] == len(table), "nothing is drawn beside them"
    assert translator.history["edges"] == len(edges)
    turned = table.assign(label=1 - table["label"])
    opposite = grn.tl.fit_translator(probed, turned, **QUICK).logits(probed.varm["vvp"])
    straight = translator.logits(probed.varm["vvp"])
    known = np.isfinite(straight)
    assert np.corrcoef(straight[known], opposite[known])[0, 1] < -0.5


@pytest.mark.parametrize("negatives", ["uniform", "degree_matched"])
@pytest.mark.parametrize("n_regulators", [6, 3])
def test_order_of_genes_and_labels_does_not_matter(planted, toy, edges, negatives, n_regulators):
    edges = edges[edges["source"].isin(toy.var_names[:n_regulators])]
    rng = np.random.default_rng(3)
    other = toy[:, rng.permutation(48)].copy()
    logits = []
    for adata, table in ((toy, edges), (other, edges.sample(frac=1, random_state=0))):
        grn.tl.vvp(adata, model=planted())
        arguments = {"negatives": negatives, "members": 1, "epochs": 3, "batch_size": 16, "validation": 0.4}
        translator = grn.tl.fit_translator(adata, table, **arguments)
        columns = np.argsort(adata.uns["vvp"]["sources"])
        logits.append(translator.logits(adata.varm["vvp"])[np.argsort(adata.var_names)][:, columns])
    assert np.allclose(*logits, rtol=1e-3, atol=1e-4, equal_nan=True)


def test_seed_and_members(probed, edges):
    def logits(**arguments):
        found = grn.tl.fit_translator(probed, edges, epochs=2, **arguments)
        return found.logits(probed.varm["vvp"])

    assert np.array_equal(logits(members=2), logits(members=2), equal_nan=True)
    assert not np.allclose(logits(members=2), logits(members=2, rng=1), equal_nan=True)
    translator = grn.tl.fit_translator(probed, edges, members=3, epochs=2)
    assert len(translator.history["validation_loss"]) == 3


def test_the_object_is_not_changed(probed, edges, snapshot, same):
    before, table = snapshot(probed), edges.copy()
    grn.tl.fit_translator(probed, edges, **QUICK)
    assert same(before, snapshot(probed)) and edges.equals(table)


def test_saved_and_loaded(probed, edges, tmp_path):
    translator = grn.tl.fit_translator(probed, edges, members=2, epochs=3)
    translator.save(tmp_path / "mine")
    back = Translator.load(tmp_path / "mine")
    assert back.config == translator.config and back.history == translator.history
    assert np.array_equal(back.logits(probed.varm["vvp"]), translator.logits(probed.varm["vvp"]), equal_nan=True)
    assert back.config.grid == tuple(probed.uns["vvp"]["grid"])
    assert (back.config.model, back.config.model_sha256) == ("planted", "a" * 64)
    with pytest.raises(WeightsNotFoundError, match="other"):
        Translator.load(tmp_path / "other")
    grn.tl.fit_translator(probed, edges, members=2, epochs=4).save(tmp_path / "later")
    (tmp_path / "mine.safetensors").write_bytes((tmp_path / "later.safetensors").read_bytes())
    with pytest.raises(WeightsError, match="not the file"):
        Translator.load(tmp_path / "mine")


def test_features_from_a_file(probed, edges, reread):
    translators = [grn.tl.fit_translator(adata, edges, **QUICK) for adata in (probed, reread(probed))]
    logits = [translator.logits(probed.varm["vvp"]) for translator in translators]
    assert np.array_equal(*logits, equal_nan=True)


def test_features_with_other_names_and_embeddings(probed, edges, planted):
    grn.tl.vvp(probed, model=planted(), key_added="mine", grid=[-1, 1])
    assert grn.tl.fit_translator(probed, edges, key="mine", **QUICK).config.feature == "vvp"
    found = grn.tl.fit_translator(probed, edges, key="X_planted", **QUICK)
    assert (found.config.feature, found.config.points) == ("embedding", 3)
    grn.tl.pert(probed, model=planted(), groupby="group")
    assert grn.tl.fit_translator(probed, edges, key="pert", **QUICK).config.points == 2


def test_embedding_network_is_what_was_learned(probed, edges, planted):
    """infer_network shows a translator what it was fitted on; in sums of rows other genes play no part."""
    translator = grn.tl.fit_translator(probed, edges, key="X_planted", **QUICK)
    sources = np.flatnonzero(probed.var["is_regulator"])
    table = probed.varm["X_planted"]
    cube = table[:, None] + table[sources][None]
    cube[sources, np.arange(len(sources))] = np.nan
    expected = translator.probability(cube)
    part = probed[:, :20].copy()
    for adata in (probed, part):
        grn.tl.infer_network(adata, model=planted(), method="embedding", params={"translator": translator})
        at = {gene: i for i, gene in enumerate(probed.var_names)}
        found = grn.get.edges(adata)
        rows, columns = found["target"].astype(str).map(at), found["source"].astype(str).map(at)
        assert np.allclose(found["probability"], expected[rows, columns], atol=1e-5)


def test_labels_that_do_not_fit(refuses, probed, edges):
    def refused(error, labels, **arguments):
        return refuses(error, grn.tl.fit_translator, probed, labels=labels, **arguments)

    assert "source, target" in refused(NetworkError, edges.rename(columns={"source": "TF"})).replace(" and ", ", ")
    assert "source" in refused(NetworkError, [("MYB", "CST6")])
    foreign = edges.assign(source="nobody")
    assert "has features" in refused(GeneOverlapError, foreign)
    assert "all edges" in refused(NetworkError, edges.assign(label=1))
    assert "all non-edges" in refused(NetworkError, edges.assign(label=0))
    for wrong in (0.5, "yes", np.nan, 2):
        assert "0 and 1" in refused(NetworkError, edges.assign(label=wrong))
    both = pd.concat([edges.head(20).assign(label=1), edges.tail(1).assign(label=0)])
    assert "one class" in refused(NetworkError, both)


def test_one_pair_with_two_labels_is_refused(refuses, probed, edges):
    table = edges.assign(label=np.arange(len(edges)) % 2)
    table = pd.concat([table, table.head(3).assign(label=1 - table["label"].head(3))])
    message = refuses(NetworkError, grn.tl.fit_translator, probed, labels=table)
    first = table.iloc[0]
    assert "3 pairs" in message and f"{first['source']} -> {first['target']}" in message


@pytest.mark.parametrize(
    "arguments",
    [
        {"negatives": "hard"},
        {"view": "sideways"},
        {"members": 0},
        {"epochs": 1.5},
        {"patience": True},
        {"hidden": (8, 0)},
        {"hidden": 8},
        {"validation": 0},
        {"validation": 1.0},
        {"lr": 0},
        {"weight_decay": -1},
        {"batch_size": 0},
        {"rng": "seed"},
    ],
)
def test_bad_arguments(refuses, probed, edges, arguments):
    message = refuses(ParameterError, grn.tl.fit_translator, probed, labels=edges, **arguments)
    assert next(iter(arguments)) in message


def test_missing_features(refuses, probed, toy, edges):
    message = refuses(ResultNotFoundError, grn.tl.fit_translator, probed, labels=edges, key="pert")
    assert "vvp, gradient_trajectory" in message
    toy.var_names = ["x", "x", *toy.var_names[2:]]
    refuses(GeneNameError, grn.tl.fit_translator, toy, labels=edges)


class TestUse:
    @pytest.fixture
    def translators(self, probed, edges):
        return {key: grn.tl.fit_translator(probed, edges, key=key, **QUICK) for key in ("vvp", "gradient_trajectory")}

    def test_other_weights(self, refuses, probed, planted, translators):
        other = planted(sha256="c" * 64, name="other")
        for method in ("ugrn", "gradient_trajectory"):
            arguments = {"model": other, "method": method, "params": {"translator": translators}}
            message = refuses(CapabilityError, grn.tl.infer_network, probed, **arguments)
            assert "other weights" in message and "'other'" in message

    def test_what_is_no_translator(self, refuses, probed, planted, translators):
        def refused(given, method="ugrn"):
            params = {"translator": given}
            arguments = {"model": planted(), "method": method, "params": params}
            return refuses(ParameterError, grn.tl.infer_network, probed, **arguments)

        assert "string, chip" in refused("strings")
        assert "fit_translator" in refused(3)
        assert "fit_translator" in refused({"vvp": "string"})
        assert "no translator for gradient_trajectory" in refused(translators["vvp"])
        assert "no translator for vvp" in refused(translators["gradient_trajectory"], "vvp")

    def test_of_another_feature(self, refuses, probed, planted, translators):
        swapped = {"vvp": translators["gradient_trajectory"], "gradient_trajectory": translators["vvp"]}
        arguments = {"model": planted(), "method": "ugrn", "params": {"translator": swapped}}
        assert "'vvp'" in refuses(ParameterError, grn.tl.infer_network, probed, **arguments)

    @pytest.mark.parametrize("method", ["vvp", "ugrn"])
    def test_of_another_grid(self, probed, planted, edges, translators, method):
        """A translator is never shown values at other points than it was fitted on, unless that is said."""
        model = planted()
        grn.tl.vvp(probed, model=model, grid=np.linspace(0.1, 0.8, 8), key_added="near")
        near = grn.tl.fit_translator(probed, edges, key="near", **QUICK)
        params = {"translator": {**translators, "vvp": near}}
        try:
            grn.tl.infer_network(probed, model=model, method=method, params=params)
        except (ParameterError, CapabilityError) as error:
            assert "grid" in str(error) and "grn" not in probed.uns
            return
        assert method == "vvp"
        expected = near.probability(probed.varm["near"])
        assert np.allclose(np.sort(grn.get.edges(probed)["probability"]), np.sort(expected[~np.isnan(expected)]))

    def test_nothing_is_shipped_for_other_models(self, refuses, probed, planted):
        for method in ("ugrn", "vvp", "gradient_trajectory", "embedding"):
            message = refuses(CapabilityError, grn.tl.infer_network, probed, model=planted(), method=method)
            assert "'planted'" in message and "fit_translator" in message
