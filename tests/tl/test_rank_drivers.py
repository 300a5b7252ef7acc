"""Which regulators drive a contrast: planted answers, names, groups, and input that cannot be used."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import GroupError, NetworkError, ParameterError, ResultNotFoundError

REGULATORS = ["GATA1", "SPI1", "PAX5", "MYB", "TAL1", "KLF1"]
N_TARGETS = 12


def planted_network(regulators=REGULATORS):
    pairs = [(r, f"T{r}{i}", 1.0 if i % 4 else -1.0) for r in regulators for i in range(N_TARGETS)]
    return pd.DataFrame(pairs, columns=["source", "target", "weight"])


def planted(driver="SPI1", louder="GATA1", seed=0):
    """Two conditions of two types of cells: the targets of one regulator move, another one moves alone."""
    edges = planted_network()
    names = [*REGULATORS, *edges["target"]]
    rng = np.random.default_rng(seed)
    values = rng.gamma(2.0, 0.5, size=(160, len(names)))
    obs = pd.DataFrame({"condition": ["control", "treated"] * 80, "type": ["T", "T", "B", "B"] * 40})
    obs.index = [f"c{i}" for i in range(160)]
    treated = (obs["condition"] == "treated").to_numpy()
    move = edges.set_index("target")["weight"].where((edges["source"] == driver).to_numpy(), 0.0)
    values[np.ix_(treated, range(len(REGULATORS), len(names)))] += 0.8 * move.to_numpy()
    values[treated, names.index(louder)] += 2.0
    return ad.AnnData(np.maximum(values, 0.0), obs=obs, var=pd.DataFrame(index=names))


def rank(adata, net=None, **arguments):
    asked = {"condition": "condition", "group": "treated", "reference": "control", "values": "log", **arguments}
    grn.tl.rank_drivers(adata, net=grn.Network(planted_network()) if net is None else net, **asked)
    return adata.uns["drivers"]["table"]


@pytest.mark.parametrize("evidence", ["targets", "both"])
def test_the_regulator_whose_targets_move_is_first_not_the_one_that_moves_alone(evidence):
    table = rank(planted(), evidence=evidence).set_index("regulator")
    assert table["rank"].idxmin() == "SPI1" and table.loc["SPI1", "qval"] < 1e-4
    assert table["change"].idxmax() == "GATA1", "the change of the regulator alone points to another"
    assert table.loc["GATA1", "log_change"] == pytest.approx(2.0, abs=0.4)
    if evidence == "targets":
        assert table.loc["GATA1", "qval"] > 0.05
        assert (table["score"] == table["activity"]).all()
    assert (table["n_targets"] == N_TARGETS).all() and len(table) == len(REGULATORS)


def test_activity_without_shared_targets_is_that_of_decoupler():
    import decoupler as dc

    adata = planted()
    table = rank(adata, evidence="targets").set_index("regulator")
    treated = (adata.obs["condition"] == "treated").to_numpy()
    from scipy import stats

    t = stats.ttest_ind(adata.X[treated], adata.X[~treated], equal_var=False).statistic
    row = pd.DataFrame(t[None], index=["contrast"], columns=adata.var_names)
    scores, _ = dc.mt.ulm(row, planted_network(), tmin=5)
    assert np.allclose(table["activity"], scores.loc["contrast", table.index], rtol=1e-4)


def test_a_loss_is_first_from_below():
    adata = planted()
    lost = rank(adata, group="control", reference="treated", direction="down")
    assert lost["regulator"].iloc[0] == "SPI1" and lost["score"].iloc[0] < 0
    assert rank(adata, group="control", reference="treated", direction="up")["regulator"].iloc[-1] == "SPI1"
    assert rank(adata, group="control", reference="treated", direction="both")["regulator"].iloc[0] == "SPI1"


def test_targets_of_many_regulators_say_less_of_each():
    edges = planted_network()
    # MYB lists the targets of SPI1, and so do three others
    stolen = edges[edges["source"] == "SPI1"]
    crowd = [stolen.assign(source=name) for name in ("MYB", "TAL1", "KLF1")]
    own = edges[edges["source"].isin(["SPI1", "GATA1", "PAX5"])]
    adata = planted()
    # half of what SPI1 lists is its own
    half = pd.concat([own, *(part[:6] for part in crowd)], ignore_index=True)
    table = rank(adata, grn.Network(half), evidence="targets").set_index("regulator")
    assert table["rank"].idxmin() == "SPI1" and table.loc["SPI1", "score"] > 1.2 * table.loc["MYB", "score"]


def test_every_group_is_compared_and_scored_with_its_own_network():
    adata = planted()
    table = rank(adata, groupby="type")
    assert list(table["group"].cat.categories) == ["B", "T"]
    assert table[table["rank"] == 1]["regulator"].tolist() == ["SPI1", "SPI1"]
    # in T the targets that move are said to be those of TAL1
    swapped = planted_network().replace({"source": {"SPI1": "TAL1", "TAL1": "SPI1"}}).assign(group="T")
    both = grn.Network(pd.concat([planted_network().assign(group="B"), swapped]), params={"groupby": "type"})
    table = rank(adata, both)
    assert table[table["rank"] == 1].set_index("group")["regulator"].to_dict() == {"B": "SPI1", "T": "TAL1"}


def test_rest_is_all_others_unless_it_is_a_value():
    adata = planted()
    adata.obs["three"] = np.where(adata.obs["condition"] == "treated", "treated", adata.obs["type"].astype(str))
    one = rank(adata, condition="three", reference="rest").drop(columns="rank")
    two = rank(adata).drop(columns="rank")
    pd.testing.assert_frame_equal(one, two)
    adata.obs["three"] = adata.obs["three"].replace({"B": "rest"})
    three = rank(adata, condition="three", reference="rest")
    assert not np.allclose(three["score"], two["score"])


def test_a_regulator_that_was_not_measured_is_ranked_by_its_targets():
    adata = planted()
    table = rank(adata[:, adata.var_names != "SPI1"].copy()).set_index("regulator")
    assert table["rank"].idxmin() == "SPI1" and np.isnan(table.loc["SPI1", "change"])
    assert table.loc["SPI1", "score"] == pytest.approx(table.loc["SPI1", "activity"] / np.sqrt(2))


def test_a_human_network_serves_mouse_genes_after_alignment():
    adata = planted()
    names = {"GATA1": "Gata1", "SPI1": "Spi1", "PAX5": "Pax5", "MYB": "Myb", "TAL1": "Tal1", "KLF1": "Klf1"}
    human = ["CD14", "LYN", "CSF1R", "ITGAM", "TYROBP", "CTSS", "CYBB", "NCF1", "NCF2", "IRF8", "TLR4", "MPO"]
    edges = planted_network().assign(target=lambda t: t["target"].replace({f"TSPI1{i}": human[i] for i in range(12)}))
    names |= {f"TSPI1{i}": human[i].capitalize() for i in range(12)}
    adata.var_names = [names.get(name, name) for name in adata.var_names]
    grn.pp.align_genes(adata, organism="mouse", orthologs="syntenic", min_overlap=0.05)
    table = rank(adata, grn.Network(edges)).set_index("regulator")
    assert table["rank"].idxmin() == "Spi1" and table.loc["Spi1", "n_targets"] >= 8


def test_two_spellings_of_a_gene_are_one_target():
    adata = planted()
    adata.var_names = ["KMT2A" if name == "TSPI11" else name for name in adata.var_names]
    edges = planted_network().replace({"target": {"TSPI11": "KMT2A"}})
    alias = pd.DataFrame({"source": ["SPI1"], "target": ["MLL"], "weight": [-0.5]})
    adata.var["grn_symbol"] = [{"KMT2A": "MLL"}.get(name, name) for name in adata.var_names]
    both = rank(adata, grn.Network(pd.concat([edges, alias], ignore_index=True)))
    pd.testing.assert_frame_equal(both, rank(adata, grn.Network(edges)))


def test_order_of_cells_genes_and_edges_changes_nothing():
    adata, edges = planted(), planted_network()
    table = rank(adata)
    rng = np.random.default_rng(1)
    mixed = adata[rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)].copy()
    other = rank(mixed, grn.Network(edges.sample(frac=1, random_state=1)))
    pd.testing.assert_frame_equal(table, other, rtol=1e-6)


def test_results_survive_a_file(tmp_path):
    adata = planted()
    table = rank(adata, groupby="type")
    adata.write_h5ad(tmp_path / "drivers.h5ad")
    again = ad.read_h5ad(tmp_path / "drivers.h5ad").uns["drivers"]
    pd.testing.assert_frame_equal(table, again["table"], check_dtype=False, check_categorical=False)
    assert again["params"]["condition"] == "condition"


def test_small_groups_are_told_and_left_out(caplog):
    adata = planted()
    keep = ~((adata.obs["type"] == "B") & (adata.obs["condition"] == "treated")) | (np.arange(160) < 20)
    table = rank(adata[keep.to_numpy()].copy(), groupby="type")
    assert table["group"].unique().tolist() == ["T"] and "B (5 treated" in caplog.text


def test_groups_without_a_network_are_told(caplog):
    adata = planted()
    of_t = grn.Network(planted_network().assign(group="T"), params={"groupby": "type"})
    assert rank(adata, of_t)["group"].unique().tolist() == ["T"]
    assert "1 groups have no network and are left out: B" in caplog.text
    with pytest.raises(GroupError, match=r"obs\['type'\] has B, T, and the network has liver; pass the groupby="):
        rank(adata, grn.Network(planted_network().assign(group="liver"), params={"groupby": "type"}))
    with pytest.raises(GroupError, match="does not say by which column of obs"):
        rank(adata, grn.Network(planted_network().assign(group="T")))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"group": "dosed"}, GroupError, "no value 'dosed'.*control, treated"),
        ({"reference": "treated"}, GroupError, "both 'treated'"),
        ({"condition": "batch"}, GroupError, "no column 'batch'"),
        ({"groupby": "condition"}, GroupError, "column of the contrast"),
        ({"groupby": "tissue"}, GroupError, "no column 'tissue'"),
        ({"min_cells": 100}, GroupError, "min_cells=100"),
        ({"min_targets": 40}, NetworkError, "40 targets"),
        ({"max_q": 0.1}, NetworkError, "qval"),
        ({"net": "absent"}, ResultNotFoundError, "absent"),
        ({"net": 3}, ParameterError, "int"),
        ({"evidence": "all"}, ParameterError, "both"),
        ({"direction": "left"}, ParameterError, "down"),
    ],
)
def test_what_cannot_be_answered_is_said(arguments, error, words):
    adata = planted()
    with pytest.raises(error, match=words):
        rank(adata, **arguments)
    assert "drivers" not in adata.uns


def test_interferon_in_blood_cells(shared_dir):
    adata = ad.read_h5ad(shared_dir / "data" / "expression" / "human_pbmc_ifnb_kang2018_muscat.h5ad")
    net = grn.datasets.collectri(path=shared_dir / "data")
    grn.tl.rank_drivers(
        adata, condition="group_id", group="stim", reference="ctrl", groupby="cluster_id", net=net, key_added="ifn"
    )
    table = adata.uns["ifn"]["table"]
    groups = table["group"].unique()
    assert len(groups) == 5
    for _, part in table.groupby("group", observed=True):
        ranks = part.set_index("regulator")["rank"]
        assert ranks.idxmin() in ("STAT1", "IRF9") and ranks["IRF7"] <= 5
