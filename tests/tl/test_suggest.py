"""What an object holds and where to start, and whether what is said to run runs and what is said to fail fails."""

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import GeneNameError, GrnError, GroupError, LayerError, ParameterError
from grn.methods import METHODS
from grn.methods.measured import measures
from grn.methods.questions import QUESTIONS, start

CHEAP = ("correlation", "ridge", "prior_ridge", "embedding", "vvp", "universal")


@pytest.fixture(scope="module")
def groups():
    return grn.tl.suggest(grn.datasets.toy_groups(n_cells=60, n_regulators=4, n_targets=8))


def test_every_method_and_question_is_told(groups):
    assert set(groups.methods.index) == set(METHODS)
    assert list(groups.start.index) == [question.name for question in QUESTIONS]
    assert groups.methods.loc["ridge", "runs"] and not groups.methods.loc["scenicplus", "runs"]
    assert (groups.methods["missing"] == "").tolist() == groups.methods["runs"].tolist()


def test_what_the_object_holds_is_found(groups):
    assert groups.holds.loc["groups", "found"].endswith("obs['group'] (2), obs['donor'] (6)")
    assert groups.holds.loc["trajectory", "call"] == "grn.pp.trajectory(adata, pseudotime='pseudotime')"
    assert not groups.holds.loc["regions", "there"] and not groups.holds.loc["knock-outs", "there"]


def test_calls_that_are_said_to_run_run():
    adata = grn.datasets.toy_groups(n_cells=60, n_regulators=4, n_targets=8)
    told = grn.tl.suggest(adata)
    for method in CHEAP:
        assert told.methods.loc[method, "runs"]
        exec(told.methods.loc[method, "call"], {"grn": grn, "adata": adata})
        assert adata.uns["grn"]["params"]["method"] == method


def test_what_is_missing_is_what_the_call_says():
    adata = grn.datasets.toy(n_cells=40, n_regulators=3, n_targets=5)
    told = grn.tl.suggest(adata)
    for method in ("dictys", "flecs", "ritini", "renge", "linger", "scenicplus", "attention", "scgpt_attention"):
        with pytest.raises(GrnError) as raised:
            grn.tl.infer_network(adata, method=method)
        assert told.methods.loc[method, "missing"] == str(raised.value), method


def test_a_screen_is_recognised_and_its_columns_are_passed():
    adata = grn.datasets.toy_perturbation(n_cells=6)
    adata.obs = adata.obs.rename(columns={"perturbation": "guide", "time": "day"})
    adata.obs["guide"] = adata.obs["guide"].astype(str).replace("control", "non-targeting")
    told = grn.tl.suggest(adata)
    assert told.start.loc["screen", "method"] == "renge"
    params = "{'perturbation': 'guide', 'control': 'non-targeting', 'time': 'day'}"
    assert f"params={params}" in told.start.loc["screen", "call"]


def test_a_trajectory_enables_what_reads_one():
    adata = grn.datasets.toy_dynamics(n_cells=80)
    assert grn.tl.suggest(adata).start.loc["dynamics", "why"].startswith("needs a trajectory: grn.pp.trajectory(")
    grn.pp.trajectory(adata, time="time")
    told = grn.tl.suggest(adata, layer="counts")
    assert told.methods.loc[["flecs", "ritini", "dictys"], "runs"].all()
    assert told.start.loc["dynamics", "method"] == "dictys"
    assert "'trajectory': 'trajectory'" in told.start.loc["dynamics", "call"]


def test_chromatin_is_seen_and_what_is_missing_beside_it():
    mdata = grn.datasets.toy_multiome(n_cells=60)
    told = grn.tl.suggest(mdata)
    assert told.holds.loc["regions", "there"] and "link_regions" in told.methods.loc["scenicplus", "missing"]
    assert told.start.loc["regions", "method"] == "linger" and "mdata" in told.start.loc["regions", "call"]


def test_conditions_and_their_control_go_into_the_call():
    adata = grn.datasets.toy(n_cells=40, n_regulators=3, n_targets=5)
    adata.obs["stim"] = np.where(np.arange(40) % 2, "ctrl", "drug")
    told = grn.tl.suggest(adata)
    assert told.start.loc["drivers", "method"] == "CollecTRI"
    assert "condition='stim', group='drug', reference='ctrl'" in told.start.loc["drivers", "call"]


def test_the_object_is_not_changed_and_no_order_matters():
    adata = grn.datasets.toy_groups(n_cells=40, n_regulators=3, n_targets=5)
    before = adata.copy()
    told = grn.tl.suggest(adata)
    assert adata.obs.equals(before.obs) and set(adata.uns) == set(before.uns) and set(adata.obsm) == set(before.obsm)
    turned = grn.tl.suggest(adata[::-1, ::-1].copy())
    pd.testing.assert_frame_equal(told.start, turned.start)
    pd.testing.assert_frame_equal(told.methods, turned.methods)


def test_it_prints_in_lines_and_as_escaped_tables(groups):
    adata = grn.datasets.toy(n_cells=40, n_regulators=3, n_targets=5)
    adata.obs = adata.obs.rename(columns={"group": "<b>group</b>"})
    assert max(map(len, repr(groups).splitlines())) <= 110
    assert "<b>" not in grn.tl.suggest(adata)._repr_html_()
    # methods of published models lack the same: one line
    assert repr(groups).count("with a checkpoint of") == 1


def test_trials_time_what_can_be_divided():
    adata = grn.datasets.toy(n_cells=30, n_regulators=2, n_targets=3)
    told = grn.tl.suggest(adata, calibrate=True, targets=list(adata.var_names[:3]))
    seconds = told.methods["seconds"]
    assert seconds[["ridge", "genie3", "vvp"]].gt(0).all()
    assert seconds[["scrank", "renge"]].isna().all()
    assert "here" in repr(told)


def test_ensembl_names_without_any_known_gene_are_told():
    adata = ad.AnnData(np.eye(12, dtype=np.float32), var=pd.DataFrame(index=[f"thing{i}" for i in range(12)]))
    told = grn.tl.suggest(adata)
    assert not told.methods["runs"].any() and (told.start["method"] == "").all()
    assert "annotate_regulators" in told.holds.loc["regulators", "call"]
    adata = ad.concat([adata, adata[:, :]], keys=["a", "b"], label="type", index_unique="-")
    assert (grn.tl.suggest(adata).start.loc[["known", "cells", "knockout"], "call"] == "").all()


def test_few_cells_leave_what_reads_names_alone():
    adata = grn.datasets.toy(n_cells=40, n_regulators=3, n_targets=5)[:4].copy()
    told = grn.tl.suggest(adata)
    assert told.methods.loc["universal", "runs"] and "4 cells" in told.methods.loc["ridge", "missing"]
    assert told.start.loc["cells", "method"] == ""


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"groupby": "nothing"}, GroupError),
        ({"condition": "nothing"}, GroupError),
        ({"perturbation": "nothing"}, GroupError),
        ({"time": "nothing"}, GroupError),
        ({"layer": "nothing"}, LayerError),
        ({"sources": ["nothing"]}, GeneNameError),
        ({"targets": ["nothing"]}, GeneNameError),
        ({"sources": []}, ParameterError),
        ({"calibrate": "yes"}, ParameterError),
    ],
)
def test_bad_arguments(arguments, error):
    with pytest.raises(error):
        grn.tl.suggest(grn.datasets.toy(n_cells=20, n_regulators=2, n_targets=3), **arguments)


def test_the_start_is_what_was_ahead_by_most_and_says_so_where_nothing_was():
    by_name = {question.name: question for question in QUESTIONS}
    everything = set(METHODS)
    for question in QUESTIONS:
        chosen = start(question, everything)
        gains = [m.gain(name) for m in question.measures.values() for name in m.values]
        assert chosen.why.startswith("least behind" if max(g for g in gains if g is not None) <= 0 else ("first", "no"))
    assert start(by_name["regions"], {"linger"}).why.startswith("least behind")
    assert start(by_name["regions"], {"ridge"}).method == ""
    assert start(replace(by_name["drivers"], published=False), {"ridge"}).method == "ridge"


def test_figures_are_of_methods_that_there_are():
    published = {"CollecTRI", "DoRothEA", "TRRUST"}
    for measure in measures().values():
        assert set(measure.values) <= set(METHODS) | published
        assert measure.question in {question.name for question in QUESTIONS}
