"""Translators of named columns in the benchmark: what they read, what they learn, and what their ablations leave."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import grn
from grn.bench import Entry, Reference, _competitors, _evidence
from grn.bench._board import Board, Boards, BoardSetting
from grn.bench._competitors import competitor
from grn.bench._pair_columns import ALL_COLUMNS, SAME_FAMILY, untrained_response
from grn.bench._trial import PROTOCOLS, Contest, Trainer
from grn.bench._trial_store import TrialGroup, trial_path
from grn.bench.negatives import sample
from grn.errors import ParameterError
from grn.genes import regulators
from grn.methods import METHODS
from grn.models import load
from grn.models.pair_translator import PENALTY, embedded, fitted

TRAINED = {"translator": "train", "relatives": "counted"}


@cache
def reference(dataset="one", first=0):
    """Edges at random among genes of ``mini``, many of one family."""
    able, known = set(regulators("human")), load("mini").genes
    tfs = [gene for gene in known if gene in able and gene[:3] in ("GAT", "KLF", "SOX", "FOX", "STA")][first::3][:14]
    others = [gene for gene in known if gene not in able][first::200][:50]
    genes = sorted([*tfs, *others])
    pairs = [(source, target) for source in tfs for target in genes if source != target]
    rows = np.random.default_rng(first).choice(len(pairs), 150, replace=False)
    edges = pd.DataFrame([pairs[i] for i in rows], columns=["source", "target"])
    return Reference(edges, genes=genes, regulators=tfs, dataset=dataset, network="N")


def svd(asked):
    """A symmetric stand-in for the decomposition of a corpus."""
    names = np.array([sum(map(ord, gene)) % 7 for gene in asked.genes], dtype=float)
    return np.cos(np.subtract.outer(names, names))[np.searchsorted(asked.genes, asked.regulators)]


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")

    def call(asked=None, **given):
        return Board(asked or reference(), BoardSetting(load("mini"), folder, show=False, **given))

    return call


@pytest.mark.parametrize(
    "params", [{}, {"relatives": "counted"}, {"translator": "cells"}], ids=["neutral", "counted", "cells"]
)
def test_a_shipped_translator_gives_the_weights_of_the_method(board, params):
    found, entered = board(), competitor(Entry("universal", params))
    adata = ad.AnnData(np.zeros((0, len(reference().genes))), var=pd.DataFrame(index=reference().genes))
    grn.tl.infer_network(adata, method="universal", sources=list(found.regulators), params=params)
    edges = grn.get.edges(adata)
    rows = np.searchsorted(reference().regulators, edges["source"].astype(str))
    columns = np.searchsorted(reference().genes, edges["target"].astype(str))
    scores = expit(found.fixed(entered, 0))
    np.testing.assert_allclose(scores[rows, columns], edges["weight"].abs(), atol=1e-5)
    assert np.isfinite(scores[found.mask]).all() and len(edges) == found.mask.sum()


def test_a_second_method_of_columns_is_read_by_its_own(board, monkeypatch):
    record = METHODS["universal"]
    monkeypatch.setitem(METHODS._records, "second", replace(record, name="second", columns=("response", "same stem")))
    shown = competitor(Entry("second", TRAINED)).reading
    assert shown.columns == ("response", "same stem") and shown.trained
    read = set(board().columns.read(shown, ""))
    assert "same stem" in read and {name.split(" at ")[0] for name in read} == {"response", "same stem"}
    with pytest.raises(ParameterError, match="response, same stem"):
        competitor(Entry("second", {**TRAINED, "columns": ["motif"]}))
    with pytest.raises(ParameterError, match="'universal', 'second'"):
        competitor(Entry("vvp", {"translator": "train"}, "untrained SVD"))


def test_a_method_of_columns_that_nobody_knows_is_fitted_itself(monkeypatch):
    record = METHODS["universal"]
    monkeypatch.setitem(METHODS._records, "third", replace(record, name="third", columns=("response", "binding")))
    assert competitor(Entry("third")).reading is None


def test_relatives_are_told_only_where_they_count(board):
    found = board()
    counted, neutral = (
        found.columns.read(competitor(Entry("universal", {"relatives": how})).reading, "")
        for how in ("counted", "neutral")
    )
    for name, values in counted.items():
        assert values.any()
        assert np.array_equal(neutral[name], np.zeros_like(values) if name in SAME_FAMILY else values, equal_nan=True)


@pytest.mark.parametrize("columns", [None, ["motif"], ["response", "same prefix"]])
def test_a_regression_learns_from_the_sampled_pairs_and_reads_the_columns_listed(board, columns):
    params = TRAINED if columns is None else {**TRAINED, "columns": columns}
    train, test, entered = board(), board(reference("two", 1)), competitor(Entry("universal", params))
    assert entered.trained and (entered.features == ()) == (columns == ["motif"])
    scores = Trainer(train, PROTOCOLS["strict"]).scores(entered, test, 5)
    whole = competitor(Entry("universal", TRAINED)).reading
    tables = [each.columns.read(whole, "") for each in (train, test)]
    names = [n for n in tables[0] if ("response" if n.startswith("response") else n) in (columns or ALL_COLUMNS)]
    drawn = sample(reference(), negatives="degree_matched", mask=train.mask, rng=5)
    sources = [train.regulators.index(name) for name in drawn.pairs["source"]]
    learned = fitted(
        "by hand",
        {name: tables[0][name][drawn.targets, sources] for name in names},
        drawn.labels,
        weights=np.ones(len(drawn)),
        penalty=PENALTY,
        background="unknown",
        model=load("mini"),
        seen="",
    )
    expected = test.grid(learned.logits(tables[1]), np.float64)
    np.testing.assert_allclose(scores[test.mask], expected[test.mask], rtol=1e-9)


def test_ablations_change_what_they_name_and_nothing_else(board):
    found = board(decomposition={"corpus SVD": svd})
    reading = competitor(Entry("universal", TRAINED)).reading
    plain = found.columns.read(reading, "")
    side = [name for name in plain if not name.startswith("response")]
    shuffled = found.columns.read(reading, "shuffled weights")
    assert all(np.array_equal(plain[name], shuffled[name]) for name in side)
    assert not np.allclose(plain["response at 1"], shuffled["response at 1"], atol=0.1, equal_nan=True)
    renamed = found.columns.read(reading, "shuffled names")
    assert all(np.array_equal(renamed[name], found._renamed(plain[name]), equal_nan=True) for name in plain)
    changed = [name for name in plain if not np.array_equal(renamed[name], plain[name], equal_nan=True)]
    assert {"response at 1", "motif"} <= set(changed)
    untrained = competitor(Entry("universal", TRAINED, "untrained SVD"))
    table = found.columns.read(untrained.reading, "untrained SVD")
    assert untrained.features == () and all(np.array_equal(table[name], plain[name]) for name in side)
    expected = untrained_response(svd(reference())[found.rows].T)["response at 0"]
    assert [name for name in table if name not in side] == ["response at 0"]
    assert np.array_equal(table["response at 0"], expected)


def test_a_decomposition_is_read_on_the_scale_of_a_response():
    values = np.random.default_rng(0).normal(size=(30, 8)) + np.arange(8)
    values[3, 2] = np.nan
    read = untrained_response(values)["response at 0"]
    assert read[3, 2] == 0 and np.sqrt(np.square(read).sum() / (read.size - 1)) == pytest.approx(1, abs=1e-3)
    assert np.corrcoef(read[:, 0], values[:, 0])[0, 1] > 0.8 and abs(read.mean(axis=0)).max() < 0.1


def test_who_is_left_out(board):
    untrained, shipped = competitor(Entry("universal", TRAINED, "untrained SVD")), competitor(Entry("universal"))
    assert board().missing(untrained) == "there is no corpus"
    assert board(decomposition={"corpus SVD": svd}).missing(untrained) == board().missing(shipped) == ""
    assert board(reference("hESC")).missing(shipped) == "the shipped translator has learned its labels"
    assert board(reference("hESC")).missing(competitor(Entry("universal", TRAINED))) == ""


@pytest.mark.parametrize(
    "entry", [Entry("universal"), Entry("vvp", {"translator": "string"}), Entry("ugrn", {"translator": "string"})]
)
def test_a_finished_trial_is_that_of_the_shipped_translators_it_used(entry, monkeypatch, tmp_path):
    def path():
        boards = Boards(BoardSetting(load("mini"), tmp_path, show=False))
        contest = Contest((competitor(entry),), {}, 1, 5, 0, {})
        tested = reference("two", 1)
        return trial_path(TrialGroup(reference(), (tested,), "strict"), tested, boards, contest)

    def others(*asked):
        return {name: SimpleNamespace(sha256=f"other {name}") for name in read(*asked)}

    first, read = path(), _competitors.shipped_translators
    assert path() == first
    monkeypatch.setattr(_competitors, "shipped_translators", others)
    monkeypatch.setattr(_competitors, "embedded", lambda *_: SimpleNamespace(sha256="other"))
    assert path() != first


def test_rows_say_what_was_read(quick, runs):
    entries = [Entry("universal", label="shipped"), Entry("universal", TRAINED, label="all")]
    entries += [Entry("universal", {**TRAINED, "columns": ["motif"]}, label="motif")]
    entries += [Entry("universal", TRAINED, "shuffled weights", label="shuffled")]
    table = quick(methods=entries, model="mini", protocols=["paper"])
    seen = table.groupby("method")["seen"].first()
    assert seen["shipped"] == embedded(load("mini"), "universal").seen
    assert seen["all"] == "cells and profiles, gene names, promoter motifs, training labels"
    assert seen["motif"] == "promoter motifs, training labels"
    assert seen["shuffled"] == "gene names, promoter motifs, training labels"
    assert table.groupby("method")["kind"].first()["shuffled"] == "ablation"


def test_the_corpus_in_its_leading_components(monkeypatch):
    random = np.random.default_rng(0)
    factors = random.normal(size=(len(reference().genes), 3))
    values = factors @ np.diag([3.0, -2.0, 0.1]) @ factors.T
    values[4] = values[:, 4] = np.nan
    monkeypatch.setattr(_evidence, "_all_pairs", lambda *_, **__: values)
    rows = np.searchsorted(reference().genes, reference().regulators)
    read = lambda: _evidence._decomposed(reference(), folder=None, data=None, show=False)  # noqa: E731
    np.testing.assert_allclose(read(), values[rows], atol=1e-9)
    monkeypatch.setattr(_evidence, "_RANK", 2)
    known = np.isfinite(values[rows])
    error = np.abs(read() - values[rows])[known]
    assert np.array_equal(np.isfinite(read()), known) and 1e-6 < error.max() < 0.1 * np.abs(values[rows][known]).max()
