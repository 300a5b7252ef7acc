"""LINGER as a whole against the outputs of the original: the same metacells give the same networks."""

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest

import grn

# where a ReLU bends the last bit decides, which differs between processors: 1.2e-4 of a score, 1.6e-4 of a cosine
SCORE, COSINE = {"relu": 2e-4, "sigmoid": 1e-4}, {"relu": 2e-4, "sigmoid": 1e-5}


@pytest.fixture(scope="module")
def folder(shared_dir):
    return shared_dir / "reference" / "linger"


@pytest.fixture(scope="module")
def cells(folder):
    tables = {
        name: pd.read_csv(folder / f"input_{name}.csv", index_col=0)
        for name in ("tf_expression", "target_expression", "peak_accessibility")
    }
    genes = pd.concat([tables["tf_expression"], tables["target_expression"].drop(index="TF0")])
    rna = ad.AnnData(genes.T.astype("float32"))
    rna.var["is_regulator"] = rna.var_names.isin(tables["tf_expression"].index)
    mdata = mudata.MuData({"rna": rna, "atac": ad.AnnData(tables["peak_accessibility"].T.astype("float32"))})
    mdata.uns["targets"] = tables["target_expression"].index.to_numpy(dtype=object)
    return mdata


def links(folder):
    table = pd.read_csv(folder / "input_re_tg_candidates.csv").rename(columns={"RE": "region", "TG": "gene"})
    return table.assign(distance=0.0)


@pytest.mark.parametrize(("activation", "written"), [("relu", "ReLU"), ("sigmoid", "sigmoid")])
def test_population_networks_are_those_of_the_original(folder, cells, activation, written):
    mdata = cells.copy()
    grn.tl.linger(
        mdata,
        links=links(folder),
        targets=list(cells.uns["targets"]),
        activation=activation,
        cells_per_metacell=1,
        n_regions=None,
        values="log",
        parity=True,
    )
    found = mdata.uns["linger"]
    scores = pd.read_csv(folder / "scnn_shap_scores.csv").query("activation == @written")
    edges = found["edges"].astype({"source": str, "target": str}).set_index(["target", "source"])["weight"].abs()
    expected = scores[scores["kind"] == "TF"].set_index(["TG", "feature"])["mean_abs_shap"]
    np.testing.assert_allclose(edges.reindex(expected.index).fillna(0), expected, atol=SCORE[activation])
    cis = found["cis"].astype({"region": str, "target": str}).set_index(["target", "region"])["weight"].abs()
    expected = scores[scores["kind"] != "TF"].set_index(["TG", "feature"])["mean_abs_shap"]
    np.testing.assert_allclose(cis.reindex(expected.index).fillna(0), expected, atol=SCORE[activation])
    cosine = pd.read_csv(folder / "scnn_tf_re_cosine.csv").query("activation == @written")
    largest = cosine.groupby(["TF", "RE"])["cosine"].max()
    bound = found["tf_re"].astype({"source": str, "region": str}).set_index(["source", "region"])["weight"]
    positive = largest[largest > 0]
    np.testing.assert_allclose(bound.loc[positive.index], positive, atol=COSINE[activation])
    assert len(bound) == len(positive)


def test_networks_with_bulk_are_those_of_the_original(folder, cells):
    mdata = cells.copy()
    arrays = np.load(folder / "linger_bulk_fc1_and_fit.npz")
    candidates = links(folder)
    regulators = cells["rna"].var_names[cells["rna"].var["is_regulator"]]
    bulk = {}
    for gene in cells.uns["targets"]:
        names = [name for name in regulators if name != gene]
        near = candidates["region"][candidates["gene"] == gene].tolist()
        bulk[gene] = pd.DataFrame(arrays[f"{gene}|bulk_fc1"], columns=[*names, *near])
    adjacency = pd.read_csv(folder / "linger_tf_binding_adjacency.csv", index_col=0)
    mdata["atac"].varm["motifs"] = adjacency.loc[mdata["atac"].var_names].to_numpy()
    names = adjacency.columns.to_numpy(dtype=object)
    mdata["atac"].uns["motifs"] = {"names": names, "factors": pd.DataFrame({"motif": names, "factor": names})}
    starts = pd.DataFrame({"chrom": "chr1", "position": 5000, "strand": "+", "gene": cells.uns["targets"]})
    grn.tl.linger(
        mdata,
        bulk=bulk,
        starts=starts,
        targets=list(cells.uns["targets"]),
        cells_per_metacell=1,
        values="log",
        parity=True,
    )
    found = mdata.uns["linger"]
    expected = pd.read_csv(folder / "linger_shap_scores.csv").set_index(["TG", "feature"])["mean_abs_shap"]
    edges = found["edges"].astype({"source": str, "target": str}).set_index(["target", "source"])["weight"].abs()
    cis = found["cis"].astype({"region": str, "target": str}).set_index(["target", "region"])["weight"].abs()
    np.testing.assert_allclose(pd.concat([edges, cis]).reindex(expected.index).fillna(0), expected, atol=1e-4)
    assert found["params"]["mode"] == "LINGER"
