"""Which regulators differ between conditions: planted answers, calibration, designs, and input that cannot be used."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import GroupError, NetworkError, ParameterError, ResultNotFoundError

N_REGULATORS, N_TARGETS = 30, 10
KEY = "differential_activity"


def network():
    pairs = [(f"R{k:02d}", f"T{k:02d}x{i}", 1.0 if i % 4 else -1.0) for k in range(N_REGULATORS) for i in range(10)]
    return pd.DataFrame(pairs, columns=["source", "target", "weight"])


def planted(*, n_donors=4, paired=True, effect=1.5, donor_spread=0.4, n_cells=15, seed=0):
    """Donors of their own level for every regulon, two types of cells; the targets of R00 move with the condition."""
    rng, edges = np.random.default_rng(seed), network()
    genes = [*edges["source"].unique(), *edges["target"]]
    weights = np.repeat(np.eye(N_REGULATORS), N_TARGETS, axis=1) * edges["weight"].to_numpy()
    rows, obs = [], []
    for d in range(n_donors):
        sides = (0, 1) if paired else (d % 2,)
        for side in sides:
            for kind in ("B", "T"):
                level = rng.normal(scale=donor_spread, size=N_REGULATORS)
                level[0] += effect * side
                mean = np.concatenate([np.zeros(N_REGULATORS), level @ weights]) + 1.5
                mean[1] += 1.5 * side
                rows.append(rng.poisson(np.exp(mean), size=(n_cells, len(genes))))
                obs += [{"donor": f"d{d}", "condition": ("control", "treated")[side], "type": kind}] * n_cells
    cells = pd.DataFrame(obs, index=[f"c{i}" for i in range(len(obs))])
    return ad.AnnData(np.concatenate(rows).astype(np.float32), obs=cells, var=pd.DataFrame(index=genes))


def compare(adata, net=None, **arguments):
    asked = {"condition": "condition", "reference": "control", "donor": "donor", "values": "counts", **arguments}
    grn.tl.differential_activity(adata, net=grn.Network(network()) if net is None else net, **asked)
    return grn.get.regulators(adata, key=KEY)


@pytest.mark.parametrize("paired", [True, False])
def test_the_regulator_whose_targets_move_is_first_and_the_floor_names_the_one_that_moves_alone(paired):
    adata = planted(n_donors=4 if paired else 8, paired=paired)
    table = compare(adata).set_index("regulator")
    assert table["rank"].idxmin() == "R00" and table.loc["R00", "qval"] < 0.05 and table.loc["R00", "activity"] > 0
    assert table["change_rank"].idxmin() == "R01" and table.loc["R01", "change_qval"] < 0.01
    assert table.loc["R01", "qval"] > 0.05 and table.loc["R01", "log_change"] > 1
    assert (table["n_targets"] == N_TARGETS).all() and len(table) == N_REGULATORS
    assert (table["n_donors"] == (4 if paired else 8)).all()
    assert adata.uns[KEY]["params"]["design"] == ("paired donors" if paired else "donors")


@pytest.mark.parametrize(("paired", "n_donors"), [(True, 3), (False, 8)])
def test_no_more_are_called_than_promised_where_donors_differ_and_conditions_do_not(paired, n_donors):
    pvals = []
    for seed in range(12):
        table = compare(planted(n_donors=n_donors, paired=paired, effect=0.0, seed=seed, n_cells=10), groupby="type")
        pvals.append(table["pval"])
    pvals = pd.concat(pvals)
    assert len(pvals) == 12 * 2 * N_REGULATORS
    assert (pvals < 0.05).mean() < 0.08 and (pvals < 0.5).mean() == pytest.approx(0.5, abs=0.08)


def test_cells_taken_for_replicates_call_what_donors_do_not():
    adata = planted(effect=0.0, n_donors=4, donor_spread=0.8)
    of_donors = compare(adata)["qval"]
    grn.tl.rank_drivers(
        adata, condition="condition", group="treated", reference="control", net=grn.Network(network()), values="counts"
    )
    assert (of_donors < 0.05).sum() == 0 < (adata.uns["drivers"]["table"]["qval"] < 0.05).sum()


def test_activities_are_those_of_decoupler_on_centred_sums_and_the_plain_test_is_that_of_scipy():
    import decoupler as dc
    from scipy import stats

    adata = planted()
    table = compare(adata, moderate=False).set_index("regulator")
    sums = adata.to_df().groupby([adata.obs["donor"], adata.obs["condition"]]).sum()
    logs = np.log1p(1e4 * sums.div(sums.sum(axis=1), axis=0))
    logs.index = [f"{donor} {condition}" for donor, condition in logs.index]
    scores, _ = dc.mt.ulm(logs - logs.mean(), network(), tmin=5)
    sides = [scores.loc[[f"d{d} {name}" for d in range(4)], table.index] for name in ("treated", "control")]
    known = stats.ttest_rel(*map(np.asarray, sides))
    assert np.allclose(table["score"], known.statistic, rtol=1e-3)
    assert np.allclose(table["pval"], known.pvalue, rtol=1e-2)
    stored = adata.uns[KEY]["activity"]
    one = stored[(stored["donor"] == "d2") & (stored["condition"] == "treated")].set_index("regulator")
    assert np.allclose(one["activity"][table.index], scores.loc["d2 treated", table.index], rtol=1e-4, atol=1e-4)
    own = stats.ttest_rel(*(logs.loc[[f"d{d} {name}" for d in range(4)], "R01"] for name in ("treated", "control")))
    assert table.loc["R01", "change"] == pytest.approx(own.statistic, rel=1e-5)


def test_every_group_is_compared_with_its_own_network():
    adata = planted()
    assert list(compare(adata, groupby="type")["group"].cat.categories) == ["B", "T"]
    swapped = network().replace({"source": {"R00": "R05", "R05": "R00"}}).assign(group="T")
    both = grn.Network(pd.concat([network().assign(group="B"), swapped]), params={"groupby": "type"})
    compare(adata, both)
    first = grn.get.regulators(adata, top=1).set_index("group")["regulator"]
    assert first.to_dict() == {"B": "R00", "T": "R05"}
    assert set(grn.get.regulators(adata, group="T")["group"]) == {"T"}
    assert (grn.get.regulators(adata, max_q=0.05)["qval"] <= 0.05).all()


def test_directions_and_the_reference_turn_the_signs():
    adata = planted(effect=-1.5)
    assert compare(adata)["regulator"].iloc[0] == "R00" and compare(adata)["score"].iloc[0] < 0
    assert compare(adata, direction="down")["regulator"].iloc[0] == "R00"
    assert compare(adata, direction="up")["regulator"].iloc[-1] == "R00"
    turned = compare(adata, reference="treated").set_index("regulator")
    assert np.allclose(turned["score"], -compare(adata).set_index("regulator").loc[turned.index, "score"])


def test_order_of_cells_genes_and_edges_and_the_container_change_nothing(tmp_path):
    from scipy import sparse

    adata = planted()
    table = compare(adata, groupby="type")
    rng = np.random.default_rng(1)
    mixed = adata[rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)].copy()
    other = compare(mixed, grn.Network(network().sample(frac=1, random_state=1)), groupby="type")
    pd.testing.assert_frame_equal(table, other, rtol=1e-4)
    adata.X = sparse.csr_matrix(adata.X)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    pd.testing.assert_frame_equal(table, compare(backed, groupby="type"), rtol=1e-4)
    adata.X = sparse.csc_matrix(adata.X)
    pd.testing.assert_frame_equal(table, compare(adata, groupby="type"), rtol=1e-4)


def test_names_of_donors_change_nothing():
    adata = planted(n_donors=8, paired=False)
    table = compare(adata)
    adata.obs["donor"] = adata.obs["donor"].map({f"d{d}": d * 7 % 8 for d in range(8)})
    pd.testing.assert_frame_equal(table, compare(adata), rtol=1e-5)


def test_logarithms_are_averaged():
    adata = planted()
    grn_logs = adata.copy()
    grn_logs.X = np.log1p(1e4 * adata.X / adata.X.sum(axis=1, keepdims=True))
    assert compare(grn_logs, values="log")["regulator"].iloc[0] == "R00"
    means = grn_logs.to_df()["R01"].groupby([adata.obs["condition"], adata.obs["donor"]]).mean()
    stored = grn_logs.uns[KEY]["activity"]
    own = stored[stored["regulator"] == "R01"].set_index(["condition", "donor"])["expression"]
    assert np.allclose(own.sort_index(), means.sort_index(), rtol=1e-5)


def test_results_survive_a_file(tmp_path):
    adata = planted()
    adata.obs["type"] = adata.obs["type"].replace({"B": "B/plasma"})
    compare(adata, groupby="type")
    adata.write_h5ad(tmp_path / "result.h5ad")
    again = ad.read_h5ad(tmp_path / "result.h5ad")
    for name in ("table", "samples", "activity"):
        pd.testing.assert_frame_equal(
            adata.uns[KEY][name], again.uns[KEY][name], check_dtype=False, check_categorical=False
        )
    assert len(grn.get.regulators(again, group="B/plasma")) == N_REGULATORS
    assert again.uns[KEY]["samples"]["n_cells"].tolist() == [15] * 16


def without(adata, **labels):
    keep = np.zeros(adata.n_obs, dtype=bool)
    for name, value in labels.items():
        keep |= (adata.obs[name] != value).to_numpy()
    return adata[keep].copy()


def test_samples_of_few_cells_are_told_and_left_out_with_their_pair(caplog):
    adata = planted()
    few = (adata.obs["donor"] == "d1") & (adata.obs["condition"] == "treated") & (adata.obs["type"] == "B")
    adata = adata[~few | (np.arange(adata.n_obs) % 5 == 0)].copy()
    table = compare(adata, groupby="type")
    assert table.groupby("group", observed=True)["n_donors"].first().to_dict() == {"B": 3, "T": 4}
    assert "d1 treated B (3)" in caplog.text and "the other condition of their donor" in caplog.text
    kept = adata.uns[KEY]["samples"]
    assert not ((kept["donor"] == "d1") & (kept["group"] == "B")).any()


def test_groups_of_one_donor_are_told_and_left_out(caplog):
    adata = planted(n_donors=2)
    adata = without(adata, donor="d1", type="B")
    assert set(compare(adata, groupby="type")["group"]) == {"T"}
    assert "1 groups have fewer than 2 pairs and are left out: B (1 control, 1 treated)" in caplog.text
    assert "paired donors with as few as 2" in caplog.text


def test_one_donor_is_no_replicate():
    with pytest.raises(GroupError, match=r"no group has 2 donors.*rank_drivers"):
        compare(planted(n_donors=1))
    with pytest.raises(GroupError, match=r"no group has 2 donors.*1 control, 1 treated"):
        compare(planted(n_donors=2, paired=False))


def test_a_donor_of_one_condition_among_pairs_is_named():
    adata = without(planted(), donor="d2", condition="treated")
    with pytest.raises(GroupError, match=r"3 donors .* both 'control' and 'treated', 1 of one: d2.*isin\(\['d2'\]\)"):
        compare(adata)
    # the remedy that the message names
    assert compare(adata[~adata.obs["donor"].isin(["d2"])].copy())["n_donors"].iloc[0] == 3


def test_cells_without_a_donor_are_an_error_and_cells_of_no_condition_are_not_compared():
    adata = planted()
    table = compare(adata)
    adata.obs["donor"] = adata.obs["donor"].where(np.arange(adata.n_obs) > 4)
    with pytest.raises(GroupError, match=r"5 of 240 cells have no value in obs\['donor'\]; drop them"):
        compare(adata)
    adata.obs["condition"] = adata.obs["condition"].where(np.arange(adata.n_obs) > 4)
    assert len(compare(adata)) == len(table)


def test_a_third_condition_needs_the_name_of_the_second():
    adata = planted()
    adata.obs.loc[adata.obs["type"] == "T", "condition"] += " T"
    with pytest.raises(
        GroupError, match=r"3 values beside reference='control' \(control T, treated, treated T\).*group="
    ):
        compare(adata)
    assert compare(adata, group="treated")["regulator"].iloc[0] == "R00"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"reference": "untreated"}, GroupError, "no value 'untreated' for reference="),
        ({"group": "dosed"}, GroupError, "no value 'dosed' for group="),
        ({"group": "control"}, GroupError, "both 'control'"),
        ({"condition": "batch"}, GroupError, "no column 'batch'"),
        ({"donor": "animal"}, GroupError, "no column 'animal'"),
        ({"donor": None}, GroupError, "no column None"),
        ({"groupby": "tissue"}, GroupError, "no column 'tissue'"),
        ({"donor": "condition"}, GroupError, "condition and donor are both the column 'condition'"),
        ({"groupby": "donor"}, GroupError, "donor and groupby"),
        ({"min_cells": 100}, GroupError, "2 donors with enough cells"),
        ({"min_targets": 40}, NetworkError, "40 targets"),
        ({"max_q": 0.1}, NetworkError, "qval"),
        ({"net": "absent"}, ResultNotFoundError, "absent"),
        ({"net": 3}, ParameterError, "int"),
        ({"method": "ulmo"}, ParameterError, "Did you mean 'ulm'"),
        ({"direction": "left"}, ParameterError, "down"),
    ],
)
def test_what_cannot_be_answered_is_said(arguments, error, words):
    adata = planted()
    with pytest.raises(error, match=words):
        compare(adata, **arguments)
    assert KEY not in adata.uns


class TestRegulators:
    def test_every_ranking_is_read(self):
        adata = planted()
        grn.Network(network()).write(adata, "mine")
        grn.tl.rank_regulators(adata, net="mine")
        asked = {"condition": "condition", "group": "treated", "net": "mine", "values": "counts"}
        grn.tl.rank_drivers(adata, **asked)
        for key, table in {"mine": adata.uns["mine"]["regulators"], "drivers": adata.uns["drivers"]["table"]}.items():
            pd.testing.assert_frame_equal(grn.get.regulators(adata, key=key), table)
        with pytest.raises(ParameterError, match="qval"):
            grn.get.regulators(adata, key="mine", max_q=0.1)
        with pytest.raises(GroupError, match="no group 'B'"):
            grn.get.regulators(adata, key="mine", group="B")
        assert len(grn.get.regulators(adata, key="mine", group=[])) == 0

    def test_what_is_not_there_is_said(self):
        adata = planted()
        with pytest.raises(ResultNotFoundError, match="no ranked regulators; entries that may: none"):
            grn.get.regulators(adata)

    def test_the_table_is_a_copy(self):
        adata = planted()
        compare(adata)["rank"] = 0
        assert (grn.get.regulators(adata)["rank"] > 0).all()


def test_interferon_in_blood_cells(shared_dir):
    adata = ad.read_h5ad(shared_dir / "data" / "expression" / "human_pbmc_ifnb_kang2018_muscat.h5ad")
    adata.obs["donor"] = adata.obs["sample_id"].astype(str).str[-3:]
    net = grn.datasets.collectri(path=shared_dir / "data")
    table = compare(adata, net, condition="group_id", reference="ctrl", groupby="cluster_id")
    known = {"STAT1", "STAT2", "IRF9", "IRF1", "IRF3"}
    assert table["group"].nunique() == 5
    for _, part in table.groupby("group", observed=True):
        ranks = part.set_index("regulator")["rank"]
        assert ranks.idxmin() in known and ranks["STAT1"] <= 4 and ranks["IRF9"] <= 4
