"""Whole runs: what is in the table, what it depends on and what it does not."""

import re

import numpy as np
import pytest

import grn
from grn.bench import READINGS, Reference, _evaluation, run
from grn.bench._backbone_features import BackboneFeatures

METHODS = ["VVP (raw)", "VVP", "Emb", "Ens, shuffled names", "Emb, shuffled weights"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def full(runs):
    chosen = {"methods": [READINGS[label] for label in METHODS], "train": runs.ONE, "test": [runs.TWO, runs.THREE]}
    return {**chosen, "outside": False, "seeds": 2, "n_boot": 30}


@pytest.fixture(scope="module")
def table(model, cache, full):
    return run(**full, model=model, cache=cache, progress=False)


def documented():
    """Column and metric names in double backticks of the section Returns."""
    returns = re.split(r"\n\s*(?:Returns|Raises)\n\s*-+\n", run.__doc__)[1]
    columns, metrics = returns.split("Metrics:")
    names = lambda text: set(re.findall(r"``(\w+)``", text))  # noqa: E731
    return names(columns) - {"ablation", "oracle"}, names(metrics)


def test_columns_and_metrics_are_those_of_the_documentation(table):
    columns, metrics = documented()
    assert set(table.columns) == columns
    assert set(table["metric"]) == metrics
    assert {"method", "ablation", "floor", "oracle"} == set(table["kind"])


def test_one_row_for_every_method_and_metric_of_every_trial(table, runs):
    assert not table.duplicated(runs.IDENTITY).any()
    trials = table.groupby(["train", "test", "protocol", "pairs"]).size()
    assert len(trials) == 8 and set(table["pairs"]) == {"all", "different families"}
    assert set(trials) == {len(documented()[1]) * (len(METHODS) + len(runs.FLOORS) + len(runs.ORACLES))}
    assert set(table["method"]) == {*METHODS, *runs.FLOORS, *runs.ORACLES}


def test_facts_of_a_trial(table, runs):
    rest = table.drop(columns=["value", "low", "high", "note", "seen", "published"])
    facts = rest.groupby(["test", "protocol", "pairs"])
    for name in ("n_pos", "prevalence", "coverage", "shared_genes", "regulators", "negatives", "train_sha256"):
        assert (facts[name].nunique(dropna=False) == 1).all(), name
    of_all = table[table["pairs"] == "all"]
    paper, strict = (of_all[of_all["protocol"] == name].iloc[0] for name in ("paper", "strict"))
    assert paper["negatives"] == "uniform" and strict["negatives"] == "degree_matched"
    assert paper["n_pos"] == paper["n_neg"] == 120 and paper["prevalence"] == 0.5
    assert strict["n_pos"] == strict["n_neg"] <= 120 and 0 < strict["edges_with_partner"] <= 1
    assert (table["coverage"] == 1).all() and (table["seeds"] == 2).all()
    assert (table["train"] == "one/N").all() and (table["train_dataset"] == "one").all()
    assert set(table["test_sha256"]) == {runs.TWO.sha256, runs.THREE.sha256} and set(table["train_sha256"]) == {
        runs.ONE.sha256
    }
    assert (table["version"] == grn.__version__).all() and (table["backbone"] == "small").all()


def test_no_gene_of_training_is_tested_under_strict(table):
    shared = table.groupby(["test", "protocol"])[["shared_genes", "shared_regulators", "shared_pairs"]].first()
    assert (shared.xs("strict", level="protocol") == 0).all(axis=None)
    assert (shared.loc[("three", "paper")] > 0).all()


def test_values_are_in_range(table):
    bounded = table[table["metric"].str.startswith("au") & ~table["metric"].str.endswith("ratio")]
    assert bounded["value"].between(0, 1).all()
    told = table[table["metric"].isin(["auprc", "auprc_regulator"])]
    assert (told["low"] <= told["value"] + 0.1).all() and (told["high"] >= told["value"] - 0.1).all()
    assert (told["low"] < told["high"]).sum() > 0.8 * len(told)
    without = ~table["metric"].isin(["auprc", "auprc_regulator", "direction"])
    assert table.loc[without, ["low", "high"]].isna().all(axis=None)
    ratio = table.pivot_table(index=["test", "protocol", "pairs", "method"], columns="metric", values="value")
    assert np.allclose(ratio["auprc_ratio"], 2 * ratio["auprc"])


def test_gain_is_over_the_best_floor(table):
    for _, part in table[table["metric"] != "auprc_rewired"].groupby(["test", "protocol", "pairs", "metric"]):
        floors = part[part["kind"] == "floor"].set_index("method")["value"]
        assert (part["floor"] == floors.max()).all()
        assert (floors[part["best_floor"]] == floors.max()).all()
        others = part[part["kind"] != "floor"]
        assert np.allclose(others["gain"], others["value"] - others["floor"], equal_nan=True)
        assert part.loc[part["kind"] == "floor", ["gain", "gain_low", "gain_high"]].isna().all(axis=None)
        if part["metric"].iloc[0] == "auprc":
            assert (others["gain_low"] <= others["gain_high"]).all()


def test_rewired_labels_have_no_gain(table):
    """More is not better there."""
    assert table.loc[table["metric"] == "auprc_rewired", "gain"].isna().all()


def test_the_same_table_without_a_cache_and_with_shuffled_rows(table, model, runs, full):
    shuffle = lambda r: Reference(  # noqa: E731
        r.edges.sample(frac=1, random_state=0),
        genes=r.genes[::-1],
        regulators=r.regulators[::-1],
        dataset=r.dataset,
        network=r.network,
    )
    assert runs.same(
        table,
        run(**{**full, "train": shuffle(runs.ONE), "test": [shuffle(runs.THREE), shuffle(runs.TWO)]}, model=model),
    )


def test_the_same_table_from_the_cache(table, model, cache, monkeypatch, runs, full):
    monkeypatch.setattr(_evaluation, "run_trial", None)
    monkeypatch.setattr(BackboneFeatures, "_read", None)
    assert runs.same(table, run(**full, model=model, cache=cache))


@pytest.mark.slow
def test_the_same_table_in_two_processes(quick, runs):
    arguments = {"methods": ["vvp"], "protocols": ["paper", "strict"]}
    arguments |= {"scorers": {"length": lambda _, pairs: pairs["target"].str.len()}}
    assert runs.same(quick(**arguments), quick(**arguments, n_jobs=2))


def test_another_seed_is_another_table(quick, runs):
    first, second = quick(), quick(rng=1)
    assert not first["value"].equals(second["value"])
    assert runs.same(first, quick(rng=np.int64(0)))


@pytest.mark.parametrize("limit", [10, 1000])
def test_max_regulators(quick, limit, runs):
    found = quick(max_regulators=limit, protocols=["paper", "strict"])
    assert (found["regulators"] <= limit).all() and (found["regulators"] >= 9).all()
    shuffled = Reference(
        runs.TWO.edges.sample(frac=1, random_state=1),
        genes=runs.TWO.genes,
        regulators=runs.TWO.regulators,
        dataset="two",
        network="N",
    )
    assert runs.same(found, quick(max_regulators=limit, protocols=["paper", "strict"], test=[shuffled]))
    if limit == 1000:
        assert runs.same(found, quick(protocols=["paper", "strict"]))
