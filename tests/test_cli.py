"""The command line, called in the same process."""

import anndata as ad
import pandas as pd
import pytest
import torch

import grn
from grn.__main__ import main

GENES = ["SPI1", "IRF8", "LYZ", "CD79A", "CST3", "S100A8", "CD74", "GNLY"]


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Panels here are too small for threads to help."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def file(tmp_path):
    """200 blood cells of two kinds over 8 genes."""
    adata = grn.datasets.pbmc68k()[:, GENES]
    adata = adata[adata.obs["bulk_labels"].isin(["Dendritic", "CD56+ NK"])].copy()
    adata.layers["copy"] = adata.X.copy()
    adata.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def fails(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert status == 2 and out == "" and "Traceback" not in err
    assert err.startswith("grn: ") and err.count("\n") == 1
    return err


def test_infer(file, tmp_path, capsys):
    """Expression set to zero needs no translator, so this holds for any weights."""
    out, kept = tmp_path / "net.csv", tmp_path / "net.h5ad"
    status = main(["infer", str(file), "--method", "pert", "--top", "9", "--out", str(out), "--h5ad", str(kept)])
    assert status == 0
    edges = pd.read_csv(out)
    assert list(edges.columns[:3]) == ["source", "target", "weight"] and len(edges) == 9
    assert set(edges["source"]) <= {"SPI1", "IRF8"}, "only regulators are sources"
    assert edges["weight"].abs().is_monotonic_decreasing
    said = capsys.readouterr().out
    assert "9 edges" in said and str(out) in said and str(kept) in said
    back = ad.read_h5ad(kept)
    assert back.uns["grn"]["params"]["method"] == "pert" and len(grn.get.edges(back)) == 2 * 7
    assert grn.get.edges(back, top=9)["weight"].tolist() == pytest.approx(edges["weight"].tolist())


def test_infer_with_groups_and_layer(file, tmp_path):
    out = tmp_path / "net.csv"
    arguments = ["--method", "pert", "--groupby", "bulk_labels", "--layer", "copy", "--organism", "human"]
    assert main(["infer", str(file), *arguments, "--out", str(out)]) == 0
    edges = pd.read_csv(out)
    assert edges.groupby("group").size().to_dict() == {"CD56+ NK": 14, "Dendritic": 14}


def test_infer_by_default(file, tmp_path):
    """With the translators of the package."""
    out = tmp_path / "net.csv"
    assert main(["infer", str(file), "--out", str(out)]) == 0
    edges = pd.read_csv(out)
    assert len(edges) == 14 and {"sign", "probability"} <= set(edges.columns)


def test_missing_file(tmp_path, capsys):
    err = fails(capsys, "infer", tmp_path / "absent.h5ad")
    assert "absent.h5ad" in err and ".h5ad file" in err


def test_files_that_are_no_object(tmp_path, capsys):
    (tmp_path / "text.h5ad").write_text("not a file of HDF5")
    assert "text.h5ad" in fails(capsys, "infer", tmp_path / "text.h5ad")


def test_folder_that_does_not_exist(file, tmp_path, capsys):
    """It is made when there is something to write, not before."""
    out = tmp_path / "new" / "net.csv"
    assert "ugrn" in fails(capsys, "infer", file, "--method", "ugnr", "--out", out)
    assert not out.parent.exists()
    assert main(["infer", str(file), "--method", "pert", "--out", str(out)]) == 0 and out.is_file()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--method", "ugnr"], "'ugrn'"),
        (["--model", "mimi"], "'mini'"),
        (["--method", "pert", "--groupby", "cluster"], "bulk_labels"),
        (["--method", "pert", "--layer", "counts"], "copy"),
        (["--method", "pert", "--top", "-1"], "top"),
        (["--method", "attention"], "scgpt"),
    ],
)
def test_what_cannot_be_used(file, tmp_path, capsys, arguments, hint):
    out = tmp_path / "net.csv"
    assert hint in fails(capsys, "infer", file, *arguments, "--out", out)
    assert not out.exists()


def test_version_and_usage(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0 and capsys.readouterr().out.strip() == f"grn {grn.__version__}"
    for wrong in ([], ["inferr"], ["infer"], ["infer", "x.h5ad", "--organism", "fly"]):
        with pytest.raises(SystemExit) as caught:
            main(wrong)
        assert caught.value.code == 2 and "usage: grn" in capsys.readouterr().err


def test_demo_is_passed_its_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("grn._demo.demo", lambda out: f"report of {out}")
    assert main(["demo", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == f"report of {tmp_path}"
