"""The suite of knock-out experiments: what methods see, what is noted or left out, and the real experiments."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grn
from grn.bench import perturbation
from grn.errors import CapabilityError, DataNotFoundError, ParameterError


@pytest.fixture(scope="module")
def weights(screens):
    return screens.planted()


@pytest.fixture
def folder(tmp_path, weights, screens):
    """A folder with one experiment, simulated, in which two regulators are not measured."""
    adata = screens.screen(weights, measured=[*screens.REGULATORS[2:], *screens.TARGETS])
    adata.obs["perturbation"] = adata.obs["perturbation"].replace("control", "non-targeting")
    adata.obs["bio_rep"] = np.where(np.arange(adata.n_obs) % 2, "rep_1", "rep_2")
    adata.uns["matrix"] = "simulated"
    adata.write_h5ad(tmp_path / "human_thp1_papalexi2021_sceptre299.h5ad")
    return tmp_path


def test_the_suite_shows_methods_only_what_was_not_lost(folder, weights, screens):
    seen = []

    def mine(adata):
        seen.append(adata)
        return screens.edges_of(weights)

    table = perturbation.suite(methods={"mine": mine}, path=folder)
    assert len(seen) == 1 and seen[0].n_obs == 180 and set(seen[0].obs["perturbation"]) == {"control"}
    assert list(seen[0].var_names) == sorted(screens.GENES) and seen[0].uns["organism"] == "human"
    assert list(seen[0].var_names[seen[0].var["is_regulator"]]) == screens.REGULATORS
    assert list(seen[0].var_names[~seen[0].var["measured"]]) == screens.REGULATORS[:2]
    assert not seen[0][:, screens.REGULATORS[:2]].to_df().to_numpy().any()
    row = screens.value_of(table, "mine", "auprc", data="THP-1 ECCITE-seq", regulators="all")
    assert row["value"] > 0.85 and row["gain_low"] > 0.3
    again = screens.value_of(
        table, "replicate 1", "auprc", data="THP-1 ECCITE-seq, replicates 2 and 3", regulators="all"
    )
    assert again["kind"] == "oracle" and again["value"] > 0.9


def test_the_suite_notes_what_could_not_be_applied(folder, weights):
    def refuses(adata):
        raise CapabilityError("this method reads tea leaves.")

    def elsewhere(adata):
        return pd.DataFrame({"source": ["X"], "target": ["Y"], "weight": [1.0]})

    table = perturbation.suite(methods={"tea": refuses, "other": elsewhere}, data=["thp1"], path=folder)
    tea, other = (table[table["method"] == name] for name in ("tea", "other"))
    assert len(tea) == 2 and tea["value"].isna().all() and tea["note"].str.contains("tea leaves").all()
    assert other["note"].str.contains("measured pair").all()
    assert "tea leaves" in perturbation.markdown(table)

    def broken(adata):
        raise KeyError("a mistake of the user")

    with pytest.raises(KeyError):
        perturbation.suite(methods={"broken": broken}, data=["thp1"], path=folder)


def test_the_suite_says_what_is_not_there(folder, tmp_path, caplog):
    table = perturbation.suite(methods={}, path=folder)
    assert set(table["data"]) == {"THP-1 ECCITE-seq", "THP-1 ECCITE-seq, replicates 2 and 3"}
    assert "dream4 is left out" in caplog.text and "nkx2-1 is left out" in caplog.text
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataNotFoundError, match="published"):
        perturbation.suite(methods={}, path=tmp_path / "empty")
    with pytest.raises(ParameterError, match="thp1"):
        perturbation.suite(data=["mars"], path=folder)
    with pytest.raises(ParameterError):
        perturbation.suite(data=[], path=folder)


def test_a_model_is_refused_by_simulated_genes_and_reads_real_ones():
    from grn.bench._suite_readings import Readings

    methods = Readings().methods()
    names = ["STAT1", "SPI1", "CD14", "CST3", "LYZ", "NOT-A-GENE"]
    adata = ad.AnnData(np.zeros((0, 6), dtype=np.float32), var=pd.DataFrame(index=names))
    adata.var["is_regulator"] = [True, True, False, False, False, False]
    adata.uns["organism"] = "human"
    edges = methods["mini Ens"](adata)
    assert set(edges["source"]) == {"STAT1", "SPI1"} and "NOT-A-GENE" not in set(edges["target"])
    assert len(edges) == 8 and edges["weight"].abs().between(0, 1).all()
    assert (methods["mini Emb"](adata)["weight"] >= 0).all()
    expected = adata.copy()
    grn.tl.infer_network(expected, sources=["STAT1", "SPI1"], method="universal")
    expected = grn.get.edges(expected)[["source", "target", "weight"]].astype({"source": str, "target": str})
    mine = methods["mini universal"](adata)[["source", "target", "weight"]].astype({"source": str, "target": str})
    order = ["source", "target"]
    pd.testing.assert_frame_equal(*(t.sort_values(order, ignore_index=True) for t in (mine, expected)), rtol=1e-4)
    with pytest.raises(CapabilityError, match="cells"):
        methods["mini Pert (origin)"](adata)
    adata.uns["organism"] = "simulated"
    with pytest.raises(CapabilityError, match="simulated"):
        methods["mini VVP"](adata)


def correlation(adata):
    """|correlation| among what is given, over all regulators."""
    values = adata.X.toarray() if sparse.issparse(adata.X) else adata.X
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.nan_to_num(np.corrcoef(np.asarray(values, dtype=np.float64), rowvar=False))
    table = pd.DataFrame(found, index=adata.var_names, columns=adata.var_names)
    table = table.loc[adata.var["is_regulator"].to_numpy()].rename_axis("source").reset_index()
    return table.melt("source", var_name="target", value_name="weight").query("source != target")


def test_the_real_experiments(shared_dir):
    table = perturbation.suite(
        methods={"mine": correlation}, data=["dream4", "thp1", "nkx2-1"], path=shared_dir / "data" / "perturbation"
    )
    chosen = table[(table["metric"] == "auprc")].set_index(["data", "regulators", "method"])
    edges = chosen.loc["DREAM4, true edges"].loc["all"]
    assert edges.loc["the knock-out itself", "value"] > 2 * edges.loc["|correlation|", "value"]
    assert edges.loc["|correlation|", "value"] > 1.5 * edges.loc["random", "value"]
    assert edges.loc["mine", "value"] == pytest.approx(edges.loc["|correlation|", "value"], abs=0.01)
    assert edges.loc["mine", "n_pos"] == 176 + 249 + 195 + 211 + 193
    again = chosen.loc["DREAM4, strongest effects"].loc["all"]
    assert again.loc["knock-down", "gain"] > 0
    thp1 = chosen.loc["THP-1 ECCITE-seq"]
    assert thp1.loc["all", "n_regulators"].max() <= 25 and thp1.loc["measured", "n_regulators"].max() <= 9
    assert max(thp1.loc["all"].loc[["mean effect", "in-degree"], "value"]) > thp1.loc[("all", "random"), "value"]
    lung = chosen.loc["Nkx2-1 knock-out"].loc["all"]
    assert (lung["n_regulators"] == 1).all() and lung["low"].isna().all()
