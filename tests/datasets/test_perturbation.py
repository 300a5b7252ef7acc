"""Loaders of knock-out data: layout, provenance, what is missing or broken."""

import hashlib

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from grn._core.settings import settings
from grn.datasets._perturbation import dream4, nkx2_1_knockout, papalexi2021, replogle2022
from grn.errors import DataNotFoundError, ExpressionError, GroupError, NetworkError, ParameterError

THP1 = "human_thp1_papalexi2021_sceptre299.h5ad"
LUNG = "mouse_lung_nkx2-1_ko_vs_wt.h5ad"
LISTS = "human_k562_rpe1_perturbseq_replogle2022_ranked_up.parquet"
SCREENS = [(papalexi2021, THP1), (nkx2_1_knockout, LUNG)]


def cells():
    obs = pd.DataFrame({"perturbation": ["non-targeting", "A", "A"]}, index=list("xyz"))
    return ad.AnnData(np.array([[1, 0], [2, 3], [0, 4]], dtype=np.uint16), obs=obs, var=pd.DataFrame(index=["A", "B"]))


def lists():
    rows = [("k562", "P", 2, "NA", False), ("k562", "P", 1, "G", True), ("rpe1", "P", 1, "H", True)]
    return pd.DataFrame(rows, columns=["cell_line", "perturbation", "rank", "gene", "top_up"])


def write_dream4(folder, *, names=("wt", "perturbation.1.t0", "perturbation.1.applied.t50", "G1.ko", "G2.kd", "MF.7")):
    folder.mkdir(parents=True, exist_ok=True)
    values = np.arange(2 * len(names)).reshape(2, -1) / 100
    table = pd.DataFrame(values, index=["G1", "G2"], columns=names)
    table.to_csv(folder / "insilico_size100_2_expression.csv.gz")
    pd.DataFrame({"tf": ["G2"], "target": ["G1"]}).to_csv(folder / "insilico_size100_2_goldstandard.csv", index=False)
    return table


@pytest.mark.parametrize(("load", "name"), SCREENS)
def test_screens_are_counts_with_named_controls(tmp_path, load, name):
    cells().write_h5ad(tmp_path / name)
    adata = load(path=tmp_path)
    assert adata.obs["perturbation"].tolist() == ["control", "A", "A"] and adata.X.dtype == np.float32
    assert adata.X.tolist() == [[1, 0], [2, 3], [0, 4]]
    digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert adata.uns["sha256"] == digest and digest[:12] in adata.uns["version"], "another file has another version"
    assert adata.uns["licence"].startswith("GPL") and adata.uns["matrix"] == "raw counts"
    adata.write_h5ad(tmp_path / "again.h5ad")
    assert ad.read_h5ad(tmp_path / "again.h5ad").uns["sha256"] == digest


def test_files_are_found_by_name_by_folder_and_by_the_setting(tmp_path):
    folder = tmp_path / "perturbation"
    folder.mkdir()
    cells().write_h5ad(folder / THP1)
    for path in (folder / THP1, folder, tmp_path):
        assert papalexi2021(path=path).n_obs == 3
    with settings.override(data_dir=tmp_path):
        assert papalexi2021().n_obs == 3


@pytest.mark.parametrize(("load", "name"), SCREENS)
def test_broken_and_foreign_screens_are_refused(tmp_path, load, name):
    (tmp_path / name).write_bytes(b"not a file of cells")
    with pytest.raises(ExpressionError, match="again"):
        load(path=tmp_path)
    other = cells()
    other.obs.columns = ["guide"]
    other.write_h5ad(tmp_path / name)
    with pytest.raises(GroupError, match="guide"):
        load(path=tmp_path)


@pytest.mark.parametrize("load", [dream4, papalexi2021, nkx2_1_knockout, replogle2022])
def test_absent_data_say_where_they_are_published(tmp_path, load):
    with pytest.raises(DataNotFoundError, match="published at"):
        load(path=tmp_path)
    with settings.override(data_dir=None), pytest.raises(DataNotFoundError, match="GRN_DATA_DIR"):
        load()


def test_dream4_tells_its_conditions_apart(tmp_path):
    table = write_dream4(tmp_path / "perturbation" / "dream4")
    adata = dream4(network=2, path=tmp_path)
    kinds = ["wild-type", "time-series", "time-series", "knock-out", "knock-down", "multifactorial"]
    assert adata.obs["kind"].tolist() == kinds
    named = ["control", "time-series 1", "time-series 1", "G1", "G2", "multifactorial 7"]
    assert adata.obs["perturbation"].tolist() == named
    np.testing.assert_array_equal(adata.obs["time"], [np.nan, 0, 50, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(adata.obs["stimulus"], [np.nan, 0, 1, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(adata.X, table.T, rtol=1e-6)
    assert adata.uns["reference"].to_numpy().tolist() == [["G2", "G1"]] and adata.uns["organism"] == "simulated"
    adata.write_h5ad(tmp_path / "again.h5ad")
    assert ad.read_h5ad(tmp_path / "again.h5ad").obs["kind"].tolist() == kinds


def test_dream4_refuses_what_it_cannot_read(tmp_path):
    for network in (0, 6, True, "1", 1.5):
        with pytest.raises(ParameterError, match="1 to 5"):
            dream4(network=network, path=tmp_path)
    write_dream4(tmp_path, names=("wt", "G1.oe"))
    with pytest.raises(ParameterError, match=r"G1\.oe"):
        dream4(network=2, path=tmp_path)
    with pytest.raises(ParameterError, match="folder"):
        dream4(network=2, path=tmp_path / "insilico_size100_2_goldstandard.csv")
    (tmp_path / "insilico_size100_2_expression.csv.gz").write_bytes(b"nothing packed")
    with pytest.raises(ExpressionError, match="again"):
        dream4(network=2, path=tmp_path)
    (tmp_path / "insilico_size100_2_goldstandard.csv").write_text("a,b\n1,2\n")
    with pytest.raises(NetworkError, match="lacks"):
        dream4(network=2, path=tmp_path)


def test_replogle_gives_one_cell_line_by_rank(tmp_path):
    lists().to_parquet(tmp_path / LISTS)
    table = replogle2022(cell_line="K562", path=tmp_path)
    assert table.to_numpy().tolist() == [["P", 1, "G", True], ["P", 2, "NA", False]]
    assert list(table) == ["perturbation", "rank", "gene", "top_up"] and table["top_up"].dtype == bool
    assert replogle2022(cell_line="rpe1", path=tmp_path)["gene"].tolist() == ["H"]
    assert table.attrs["licence"] == "MIT" and len(table.attrs["sha256"]) == 64


def test_replogle_refuses_what_it_cannot_read(tmp_path):
    for line in ("hela", None, 3):
        with pytest.raises(ParameterError, match="k562"):
            replogle2022(cell_line=line, path=tmp_path)
    lists().drop(columns="rank").to_parquet(tmp_path / LISTS)
    with pytest.raises(NetworkError, match="rank"):
        replogle2022(path=tmp_path)


def test_the_real_files(shared_dir):
    path = shared_dir / "data"
    thp1 = papalexi2021(path=path)
    assert thp1.shape == (20729, 299) and thp1.obs["perturbation"].nunique() == 26
    lost = set(thp1.obs["perturbation"]) - {"control"}
    assert (thp1.obs["perturbation"] == "control").sum() == 2386 and len(lost & set(thp1.var_names)) == 9
    assert thp1.uns["version"].startswith("sceptre")
    lung = nkx2_1_knockout(path=path)
    assert lung.shape == (1021, 2000) and set(lung.obs["perturbation"]) == {"control", "Nkx2-1"}
    edges = [len(dream4(network=i, path=path).uns["reference"]) for i in range(1, 6)]
    assert edges == [176, 249, 195, 211, 193]
    counts = dream4(network=4, path=path).obs["kind"].value_counts().to_dict()
    assert counts == {
        "time-series": 210, "knock-out": 100, "knock-down": 100, "multifactorial": 100, "wild-type": 1
    }  # fmt: skip
    table = replogle2022(cell_line="rpe1", path=path)
    sizes = table.groupby("perturbation").size()
    assert len(sizes) == 585 and (sizes == 1000).all() and table["gene"].nunique() == 7225
