"""The benchmark scores the methods of the package by their names."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import grn
from grn.bench import READINGS, Entry
from grn.bench._board import Board
from grn.bench._competitors import competitor, obstacle
from grn.errors import CapabilityError, ParameterError
from grn.methods import METHODS, Method

QUICK = {
    "genie3": {"n_trees": 5},
    "grnboost2": {"max_rounds": 5},
    "celloracle": {"n_bags": 2},
    "scrank": {"n_resamples": 2},
}


@pytest.fixture
def mine(monkeypatch):
    """A method of a user: correlation with the first source for all."""
    monkeypatch.setattr(METHODS, "_records", dict(METHODS._records))

    def fit(group):
        values = group.values()
        return np.abs(np.corrcoef(values.T)[np.ix_(group.targets, group.sources)])

    record = Method("mine", fit, "mine", signed=False, probability=False, reference="none", needs=("cells",))
    return METHODS.add("mine", record)


def figures(table):
    asked = (table["metric"] == "auprc") & (table["pairs"] == "all")
    rows = table[asked & table["kind"].isin(["method", "ablation"])]
    return rows.set_index(["method", "test"])["value"]


def test_every_method_that_can_be_scored_is(quick, runs, model, mine):
    # the translators of universal are those of mini, and a memory has no attention
    lacking = {"universal", "attention"}
    able = [name for name in METHODS if not obstacle(METHODS[name], model) and name not in lacking]
    assert {*QUICK, "correlation", "ridge", "vvp", "pert", "ugrn", "mine"} <= set(able) and "renge" not in able
    entries = [Entry(name, QUICK.get(name, {}), label=name) for name in able]
    train, test = runs.with_cells(runs.ONE), runs.with_cells(runs.TWO)
    table = quick(methods=entries, train=train, test=[test, runs.THREE])
    found = figures(table)
    assert set(found.loc[:, "two"].index) == set(able) and found.between(0, 1).all()
    cells = {name for name in able if competitor(Entry(name)).reads_cells}
    assert set(found.loc[:, "three"].index) == set(able) - cells and {"ridge", "mine", "pert"} <= cells
    seen = table.groupby("method")["seen"].first()
    assert seen["ridge"] == seen["mine"] == "test cells"
    assert seen["ugrn"] == "cells and profiles, gene names, training labels"


@pytest.fixture(scope="module")
def scgpt(runs):
    """A random network of a family with recipes of its own."""
    genes = sorted({*runs.ONE.genes, *runs.TWO.genes})
    return grn.models.untrained("scgpt", genes=genes, layers=1, width=16, heads=2, rng=0)


def test_recipes_of_a_family_are_scored_by_name(quick, runs, scgpt):
    names, test = ["scgpt_attention", "scgpt_embedding"], [runs.with_cells(runs.TWO)]
    table = quick(methods=names, model=scgpt, test=test)
    by_name = figures(table).droplevel("test")
    assert by_name.between(0, 1).all() and by_name.nunique() == 2
    seen = table.groupby("method")["seen"].first()
    assert seen.loc[names].tolist() == ["pretraining cells, test cells", "pretraining cells"]
    scorers = {f"{name} again": grn.bench.scorer(name, model=scgpt) for name in names}
    again = figures(quick(methods=["embedding"], scorers=scorers, model=scgpt, test=test)).droplevel("test")
    assert by_name.tolist() == pytest.approx([again[f"{name} again"] for name in names], abs=1e-12)


def test_published_figures_go_by_what_was_scored(quick, runs):
    """Not by what it is called."""
    train, test = (
        runs.with_cells(reference, expression=None, dataset=name, network="STRING")
        for reference, name in ((runs.ONE, "hESC"), (runs.TWO, "hHEP"))
    )
    methods = [Entry("vvp", label="mine"), Entry("embedding", {"translator": None}, label="VVP"), READINGS["GDT (raw)"]]
    table = quick(methods=[*methods, READINGS["Emb, shuffled names"]], train=train, test=[test])
    published = table[(table["metric"] == "auprc") & (table["pairs"] == "all")].set_index("method")["published"]
    assert published["mine"] == 0.609, "what the paper gives for VVP"
    assert published.drop("mine").isna().all()


def test_methods_run_in_the_surroundings_of_the_call(quick, runs, mine, monkeypatch):
    budgets = []

    def fit(inputs):
        budgets.append((inputs.task.memory_budget, inputs.task.feature_budget))
        return grn.Network(pd.DataFrame({"source": ["A"], "target": ["B"], "weight": [1.0]}))

    record = Method("whole", fit, "whole", signed=False, probability=False, reference="none")
    METHODS.add("whole", record)
    with grn.settings.override(memory_budget=12345, feature_budget=678):
        quick(methods=["whole"], scorers={"again": grn.bench.scorer("whole")}, test=[runs.with_cells(runs.TWO)])
    assert budgets == [(12345, 678)] * 2

    def tell(inputs):
        raise ParameterError(f"a budget of {inputs.task.memory_budget}")

    METHODS.add("whole", replace(record, fit=tell), replace=True)
    with grn.settings.override(memory_budget=12345), pytest.raises(ParameterError, match="a budget of 12345"):
        quick(methods=["whole"], test=[runs.with_cells(runs.TWO)], n_jobs=2)


def test_a_method_of_cells_is_fitted_once_in_a_run(quick, runs, monkeypatch):
    """Neither a protocol nor a training set changes its fit; a board is formed once for all of them."""
    monkeypatch.setattr(METHODS, "_records", dict(METHODS._records))
    fits, boards = [], []

    def fit(group):
        fits.append(group.task.seed)
        return np.abs(np.random.default_rng(0).normal(size=(len(group.targets), len(group.sources))))

    METHODS.add(
        "counted", Method("counted", fit, "x", signed=False, probability=False, reference="x", needs=("cells",))
    )
    form = Board.__init__
    monkeypatch.setattr(Board, "__init__", lambda self, *given: (boards.append(given), form(self, *given))[1])
    test = [runs.with_cells(runs.TWO)]
    arguments = {"methods": ["counted"], "train": [runs.ONE, runs.THREE], "protocols": ["paper", "strict"]}
    table = quick(**arguments, test=test)
    assert len(fits) == 1 and len(boards) == 3
    assert table.query("method == 'counted' and metric == 'auprc' and pairs == 'all'").shape[0] == 4
    again = pd.concat([quick(**{**arguments, "protocols": [protocol]}, test=test) for protocol in ("paper", "strict")])
    assert len(fits) == 3 and runs.same(table, again)


def test_references_of_the_same_edges_are_told_apart_by_their_cells(quick, runs, caplog):
    bare, measured = (
        runs.with_cells(runs.TWO, dataset=name, **more)
        for name, more in (("bare", {"expression": None}), ("measured", {}))
    )
    with caplog.at_level("WARNING", logger="grn"):
        table = quick(methods=["ridge"], test=[measured, bare])
    assert set(table.loc[table["method"] == "ridge", "test"]) == {"measured"}
    assert "bare/N: left out are ridge" in caplog.text and "measured/N: left out" not in caplog.text


def test_rows_say_which_networks_were_read(quick, runs):
    edges = runs.TWO.edges[["source", "target"]].head(20)
    entries = [Entry("prior_ridge", {"prior": edges}), Entry("prior_ridge", label="none")]
    entries += [Entry("ridge", {"base_grn": edges}, label="based")]
    seen = quick(methods=entries, test=[runs.with_cells(runs.TWO)]).groupby("method")["seen"].first()
    prior = next(name for name in seen.index if name.startswith("prior_ridge"))
    assert seen[prior] == "test cells, a prior network" and seen["none"] == "test cells"
    assert seen["based"] == "test cells, a base GRN"


def test_methods_of_cells_give_the_figures_of_their_scorer(quick, runs, mine, caplog):
    test = [runs.with_cells(runs.TWO)]
    by_name = figures(quick(methods=["ridge", "correlation", "mine"], test=test))
    scorers = {f"{name} again": grn.bench.scorer(name) for name in ("ridge", "correlation", "mine")}
    again = figures(quick(methods=[], scorers=scorers, test=test))
    for name in ("correlation", "mine"):
        assert by_name[name, "two"] == pytest.approx(again[f"{name} again", "two"], abs=1e-12)
    assert 0 < by_name["ridge", "two"] < 1
    with caplog.at_level("WARNING", logger="grn"):
        table = quick(methods=["ridge"])
    assert "two/N: left out are ridge, as there are no cells of its own" in caplog.text
    assert "ridge" not in set(table["method"]) and (table["backbone"] == "").all()


def test_translators_and_backgrounds_are_parameters(quick, runs):
    entries = [
        Entry("vvp", {"translator": None}),
        Entry("vvp", {"translator": None, "order": list(runs.TWO.genes)}),
        Entry("vvp"),
        Entry("gradient_trajectory", {"background": "moving"}),
        Entry("vvp", {"background": "unknown"}),
        Entry("ugrn", {"background": "unknown"}),
        Entry("ugrn", {"protocol": "paper"}),
        Entry("ugrn"),
        Entry("embedding", {"translator": None}),
        Entry("embedding", {"translator": None}, "shuffled names"),
        Entry("embedding", {"translator": None}, "shuffled weights"),
    ]
    found = figures(quick(methods=entries)).droplevel("test")
    old = figures(quick(methods=[READINGS[x] for x in ("VVP (raw)", "VVP", "GDT, moving background")])).droplevel(
        "test"
    )
    assert found["vvp(translator=None)"] == old["VVP (raw)"] and found["vvp"] == old["VVP"]
    assert found["gradient_trajectory(background=moving)"] == old["GDT, moving background"]
    assert found["ugrn(protocol=paper)"] == found["ugrn"] != found["ugrn(background=unknown)"]
    assert 0 < found["vvp(background=unknown)"] < 1 and found["vvp(background=unknown)"] != found["vvp"]
    ordered = next(name for name in found.index if "order=" in name)
    assert 0 < found[ordered] < 1
    names = ["embedding(translator=None)" + what for what in ("", ", shuffled names", ", shuffled weights")]
    assert len({found[name] for name in names}) == 3


def test_shipped_translators(quick, runs):
    test = [runs.TWO]
    entries = [Entry("ugrn", {"translator": name}) for name in ("string", "chip")]
    table = quick(methods=entries, model="mini", test=test, max_regulators=4)
    assert figures(table).nunique() == 2
    seen = table.groupby("method")["seen"].first()
    assert seen["ugrn(translator=string)"] == "cells and profiles, gene names, labels (string)"
    with pytest.raises(CapabilityError, match="small"):
        quick(methods=entries)


def test_who_cannot_be_scored_is_refused_at_the_start(quick):
    with pytest.raises(CapabilityError, match=r"'renge' cannot be scored: it reads perturbation and time.*ridge.*vvp"):
        quick(methods=["ridge", "renge"])
    with pytest.raises(CapabilityError, match=r"'scgpt_attention'.*family scgpt, and 'small' is .*celloracle"):
        quick(methods=["scgpt_attention"])


def test_a_function_of_a_user_is_fitted_again(quick, runs, mine, tmp_path):
    """Nothing tells whether it has changed, so its trials are not kept."""
    arguments = {"methods": ["mine"], "test": [runs.with_cells(runs.TWO)], "cache": tmp_path}
    quick(**arguments)
    assert not list(tmp_path.glob("trials/*"))
    quick(**{**arguments, "methods": ["ridge"]})
    assert len(list(tmp_path.glob("trials/*"))) == 1


@pytest.mark.parametrize("base", [None, pd.DataFrame({"source": ["A"], "target": ["B"]})])
def test_what_a_parameter_holds_is_part_of_the_key(base):
    keys = {competitor(Entry("ridge", {"base_grn": base, "alpha": alpha})).key for alpha in (1.0, 2.0)}
    assert len(keys) == 2 and None not in keys
    other = pd.DataFrame({"source": ["A"], "target": ["C"]})
    assert competitor(Entry("ridge", {"base_grn": other, "alpha": 1.0})).key not in keys
    assert competitor(Entry("ridge", {"base_grn": object()})).key is None
