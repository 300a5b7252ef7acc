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


@pytest.fixture
def treated():
    """Cells of four donors, each with both conditions, of two types."""
    adata = grn.datasets.toy(n_cells=320, n_regulators=3, n_targets=30, n_groups=1)
    number = np.arange(320)
    adata.obs = pd.DataFrame(index=adata.obs_names)
    adata.obs["disease"] = np.where(number % 2, "control", "ill")
    adata.obs["patient_id"] = [f"p{k}" for k in number // 2 % 4]
    adata.obs["cell_type"] = [f"t{k}" for k in number // 8 % 2]
    return adata


def drivers(adata, **arguments):
    return grn.tl.suggest(adata, **arguments).start.loc["drivers"]


def test_donors_are_replicates_where_both_sides_have_some(treated):
    told = drivers(treated)
    assert told["method"] == "CollecTRI" and "how_to/conditions" in told["caution"]
    assert told["call"] == (
        "grn.tl.differential_activity(adata, net=grn.datasets.collectri(), condition='disease', group='ill', "
        "reference='control', donor='patient_id', groupby='cell_type')"
    )
    call = told["call"].replace("grn.datasets.collectri()", "net")
    exec(call, {"grn": grn, "adata": treated, "net": grn.Network(treated.uns["truth"])})
    assert treated.uns["differential_activity"]["params"]["design"] == "paired donors"


@pytest.mark.parametrize(
    "name", ["donor", "Patient", "individual", "sample", "sample_id", "replicate", "subject", "mouse.id"]
)
def test_donors_are_found_by_their_names(treated, name):
    treated.obs = treated.obs.rename(columns={"patient_id": name})
    assert f"donor={name!r}" in drivers(treated)["call"]


def test_donors_come_before_their_samples_and_may_be_numbers(treated):
    treated.obs.insert(0, "sample", treated.obs["patient_id"] + treated.obs["disease"])
    treated.obs["donor"] = treated.obs.pop("patient_id").str[1:].astype(int)
    assert "donor='donor'" in drivers(treated)["call"]
    assert "donor='sample'" in drivers(treated, donor="sample")["call"]
    del treated.obs["donor"]
    assert "donor='sample'" in drivers(treated)["call"]


def test_types_that_leave_no_replicates_are_left_away(treated):
    treated.obs["cell_type"] = np.where(treated.obs["disease"] == "ill", "t0", "t1")
    told = drivers(treated)
    assert "donor='patient_id'" in told["call"] and "groupby" not in told["call"]
    # those that were asked for are not
    told = drivers(treated, groupby="cell_type")
    assert "rank_drivers" in told["call"] and "no group has 2 donors" in told["caution"]


def test_without_replicates_cells_are_ranked_and_the_reason_is_told(treated):
    treated.obs["patient_id"] = np.where(treated.obs["disease"] == "ill", "p0", "p1")
    told = drivers(treated)
    assert told["call"].startswith("grn.tl.rank_drivers(adata") and "donor=" not in told["call"]
    assert "donors are no replicates here: no group has 2 donors" in told["caution"]
    del treated.obs["patient_id"]
    assert "donors" not in drivers(treated)["caution"]


def test_columns_that_are_not_named_may_have_gaps(treated):
    treated.obs["patient_id"] = treated.obs["patient_id"].replace("p3", np.nan)
    assert "320 cells have no value in obs['patient_id']" in drivers(treated)["caution"]
    treated.obs["disease"] = treated.obs["disease"].where(np.arange(320) > 9)
    told = drivers(treated)
    assert "donors are no replicates" in told["caution"]
    call = told["call"].replace("grn.datasets.collectri()", "net")
    exec(call, {"grn": grn, "adata": treated, "net": grn.Network(treated.uns["truth"])})


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
        ({"donor": "nothing"}, GroupError),
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
