"""``grn infer``: files of every format, parameters of methods, and errors before anything is computed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import anndata as ad
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grn
from grn.__main__ import main
from grn._typed import typed
from grn.errors import ParameterError
from grn.methods import METHODS, Method


@pytest.fixture
def adata():
    found = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=6)
    found.X = np.random.default_rng(0).poisson(found.X.toarray()).astype(np.float32)
    return found


@pytest.fixture
def file(adata, tmp_path):
    adata.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


@pytest.fixture
def computed(monkeypatch):
    """What reached the computation; it ends there."""
    calls = []

    def stop(*_, **arguments):
        calls.append(arguments)
        raise ParameterError("computed")

    monkeypatch.setattr(grn.tl, "infer_network", stop)
    return calls


@pytest.fixture
def of_regions():
    """A method that says how much of a target's cells is open."""

    def fit(group):
        is_open = np.asarray(group.chromatin.rows(group.members).sum(axis=1)).ravel()
        weights = np.corrcoef(group.values()[:, group.targets].T, is_open)[:-1, -1:]
        return weights * np.ones((1, len(group.sources)))

    words = {"signed": True, "probability": False, "reference": "none", "needs": ("cells", "regions")}
    METHODS.add("of_regions", Method("of_regions", fit, "a test", **words))
    yield "of_regions"
    METHODS._records.pop("of_regions")


@pytest.fixture
def mdata():
    whole = grn.datasets.toy_multiome(n_cells=60, n_regulators=3, n_targets=6)
    with mudata.set_options(pull_on_update=False):
        return mudata.MuData({"rna": whole["rna"], "atac": whole["atac"]})


@pytest.fixture
def paired(mdata, tmp_path):
    mdata.write_h5mu(tmp_path / "cells.h5mu")
    return tmp_path / "cells.h5mu"


def fails(capsys, *arguments):
    capsys.readouterr()
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert status == 2 and out == "" and err.startswith("grn: ") and err.count("\n") == 1
    return err


def tenx(path, adata):
    """A file as cellranger 3 writes it."""
    X = sparse.csr_matrix(adata.X, dtype=np.int32)
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        matrix["data"], matrix["indices"], matrix["indptr"] = X.data, X.indices, X.indptr
        matrix["shape"], matrix["barcodes"] = np.array(X.shape[::-1]), adata.obs_names.to_numpy(dtype="S")
        features = matrix.create_group("features")
        n = adata.n_vars
        features["id"] = features["name"] = adata.var_names.to_numpy(dtype="S")
        features["feature_type"] = np.array([b"Gene Expression"] * n)
        features["genome"] = np.array([b"GRCh38"] * n)


def write(kind, adata, tmp_path):
    path = tmp_path / f"cells.{kind}"
    if kind == "10x.h5":
        tenx(path, adata)
    elif kind == "plain.h5":
        adata.write_h5ad(path)
    elif kind == "zarr":
        adata.write_zarr(path)
    elif kind == "loom":
        pytest.importorskip("loompy")
        adata.write_loom(path)
    else:
        path.mkdir()
        from scipy.io import mmwrite

        mmwrite(path / "matrix.mtx", sparse.csc_matrix(adata.X).T.astype(int))
        pd.DataFrame({"id": adata.var_names, "name": adata.var_names}).to_csv(
            path / "genes.tsv", sep="\t", header=False, index=False
        )
        pd.Series(adata.obs_names).to_csv(path / "barcodes.tsv", header=False, index=False)
    return path


@pytest.mark.parametrize("kind", ["10x.h5", "plain.h5", "zarr", "loom", "folder"])
def test_formats_give_one_network(kind, adata, file, tmp_path):
    found = []
    for path in (file, write(kind, adata, tmp_path)):
        assert main(["infer", str(path), "--method", "correlation", "--out", str(tmp_path / "net.csv")]) == 0
        found.append(pd.read_csv(tmp_path / "net.csv"))
    pd.testing.assert_frame_equal(*found)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a.h5mu", "an .h5mu file"),
        ("a.rds", "writeH5AD"),
        ("a.mtx", "folder"),
        ("a.csv", "sc.read_csv"),
        ("a.h5", "10x .h5"),
        ("a.h5ad", ".h5ad file"),
        ("a.zarr", "zarr group"),
        ("a.loom", "loom"),
    ],
)
def test_other_and_damaged_files_are_refused_in_one_line(name, told, tmp_path, computed, capsys):
    path = tmp_path / name
    path.mkdir() if name.endswith("zarr") else path.write_bytes(b"no such format" * 20)
    assert told in fails(capsys, "infer", path, "--out", tmp_path / "net.csv")
    assert not computed and not (tmp_path / "net.csv").exists()


def test_a_cut_file_is_refused_in_one_line(file, tmp_path, computed, capsys):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    fails(capsys, "infer", file, "--out", tmp_path / "net.csv")
    assert not computed


def test_modalities_of_a_file(mdata, paired, of_regions, tmp_path):
    places = ["--out", str(tmp_path / "net.csv"), "--h5mu", str(tmp_path / "net.h5mu")]
    assert main(["infer", str(paired), "--method", of_regions, *places]) == 0
    grn.pp.align_genes(mdata)
    grn.pp.annotate_regulators(mdata)
    grn.tl.infer_network(mdata, method=of_regions)
    again = mudata.read_h5mu(tmp_path / "net.h5mu")
    pd.testing.assert_frame_equal(grn.get.edges(again), grn.get.edges(mdata))
    written = pd.read_csv(tmp_path / "net.csv")
    np.testing.assert_allclose(written["weight"], grn.get.edges(mdata)["weight"], rtol=1e-5)
    assert len(written) > 10


def test_a_modality_is_what_its_own_file_is(mdata, paired, of_regions, tmp_path):
    mdata["rna"].write_h5ad(tmp_path / "rna.h5ad")
    mdata.mod["gex"], mdata.mod["peaks"] = mdata.mod.pop("rna"), mdata.mod.pop("atac")
    mdata.write_h5mu(tmp_path / "named.h5mu")
    tables = []
    for name, more in (("rna.h5ad", []), ("cells.h5mu", []), ("named.h5mu", ["--rna", "gex", "--atac", "peaks"])):
        out = ["--method", "ridge", "--confidence", "2", "--out", str(tmp_path / "net.csv"), *more]
        assert main(["infer", str(tmp_path / name), *out]) == 0
        tables.append(pd.read_csv(tmp_path / "net.csv"))
        if name.endswith("h5mu"):
            assert main(["infer", str(tmp_path / name), "--method", of_regions, *out[4:]]) == 0
    pd.testing.assert_frame_equal(tables[0], tables[1])
    pd.testing.assert_frame_equal(tables[0], tables[2])


def test_hits_and_links_are_those_of_the_file(tmp_path, capsys):
    mdata = grn.datasets.toy_multiome(n_cells=60, n_regulators=4, n_targets=12)
    motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    grn.pp.link_regions(mdata, how="distance", starts=mdata.uns["starts"], key_added="near")
    with mudata.set_options(pull_on_update=False):
        mdata.write_h5mu(tmp_path / "cells.h5mu")
    arguments = ["--method", "scenicplus", "--param", "min_targets=2", "--param", "n_trees=10"]
    out = ["--out", str(tmp_path / "net.csv")]
    assert main(["infer", str(tmp_path / "cells.h5mu"), *arguments, "--param", "links=near", *out]) == 0
    edges = pd.read_csv(tmp_path / "net.csv")
    assert len(edges) and set(edges["region"]) <= set(mdata["atac"].var_names)
    told = fails(capsys, "infer", tmp_path / "cells.h5mu", *arguments, "--param", "links=far", *out)
    assert "'far'" in told and "link_regions" in told


def test_a_base_grn_speaks_of_the_genes_of_a_modality(paired, tmp_path):
    pairs = pd.DataFrame({"source": ["SPI1", "EBF1"], "target": ["EBF1", "SPI1"]})
    pairs.to_csv(tmp_path / "prior.csv", index=False)
    arguments = ["--method", "ridge", "--base-grn", str(tmp_path / "prior.csv"), "--out", str(tmp_path / "net.csv")]
    assert main(["infer", str(paired), *arguments]) == 0
    edges = pd.read_csv(tmp_path / "net.csv")
    assert sorted(zip(edges["source"], edges["target"], strict=True)) == sorted(
        pairs.itertuples(index=False, name=None)
    )


def test_what_does_not_go_with_the_object_is_told_before_the_computation(
    file, paired, mdata, of_regions, tmp_path, computed, capsys
):
    def told(path, *arguments):
        return fails(capsys, "infer", path, "--out", tmp_path / "net.csv", *arguments)

    assert "--h5mu" in told(paired, "--h5ad", tmp_path / "net.h5ad")
    assert "--h5ad" in told(file, "--h5mu", tmp_path / "net.h5mu")
    assert "end it in .h5mu" in told(paired, "--h5mu", tmp_path / "net.h5ad")
    assert "written over" in told(paired, "--h5mu", paired)
    assert "is none" in told(file, "--rna", "gex")
    assert "MuData" in told(file, "--method", of_regions)
    assert "'rna', 'atac'" in told(paired, "--rna", "gex")
    assert "(--atac=)" in told(paired, "--atac", "peaks", "--method", of_regions)
    mdata["atac"].obs_names = [f"nucleus_{i}" for i in range(mdata.n_obs)]
    mudata.MuData(dict(mdata.mod)).write_h5mu(tmp_path / "unpaired.h5mu")
    assert "metacells" in told(tmp_path / "unpaired.h5mu", "--method", of_regions)
    assert not computed


@pytest.mark.parametrize("option", ["--out", "--h5ad"])
def test_what_cannot_be_written_is_told_before_the_computation(option, file, tmp_path, computed, capsys):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    free = ["--out", tmp_path / "net.csv"] if option == "--h5ad" else []
    for path, told in (
        (tmp_path / "folder", "folder"),
        (tmp_path / "file" / "net.csv", "is a file where a folder is needed"),
        (tmp_path / ("n" * 300), "too long"),
        (file, "written over"),
    ):
        assert told in fails(capsys, "infer", file, *free, option, path)
    assert not computed
    if os.getuid():
        (tmp_path / "folder").chmod(0o500)
        fails(capsys, "infer", file, *free, option, tmp_path / "folder" / "net.csv")
        assert not computed


def test_two_outputs_are_two_files(file, tmp_path, computed, capsys):
    assert "--out" in fails(capsys, "infer", file, "--out", tmp_path / "a", "--h5ad", tmp_path / "a")
    (tmp_path / "link").symlink_to(file)
    assert "written over" in fails(capsys, "infer", tmp_path / "link", "--out", file)
    assert not computed


@pytest.mark.parametrize(
    ("option", "name", "told"),
    [
        ("--out", "net.xyz", "ends in '.xyz', a format that is not written; end it in .csv or .tsv or .txt"),
        ("--out", "net", "has no ending; end it in .csv"),
        ("--out", "net.h5ad", "end it in .csv"),
        ("--h5ad", "net.csv", "end it in .h5ad"),
    ],
)
def test_endings_that_name_another_format_are_told_before_the_computation(
    option, name, told, file, tmp_path, computed, capsys
):
    free = ["--out", tmp_path / "free.csv"] if option == "--h5ad" else []
    assert told in fails(capsys, "infer", file, *free, option, tmp_path / name)
    assert not computed


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="reads /proc")  # noqa: PTH112
def test_folders_in_which_nothing_can_be_made_are_told_as_such(file, computed, capsys):
    assert "no file can be made in /proc" in fails(capsys, "infer", file, "--out", "/proc/net.csv")
    assert not computed


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--method", "ridge", "--param", "alpah=1"], "alpha=None"),
        (["--method", "ridge", "--param", "alpha"], "name=value"),
        (["--method", "ridge", "--param", "alpha=big"], "expected None, float"),
        (["--method", "ridge", "--param", "alpha=1", "--param", "alpha=2"], "more than once"),
        (["--method", "ridge", "--param", "base_grn=x.csv"], "--param base_grn"),
        (["--method", "vvp", "--base-grn", "x.csv"], "celloracle"),
        (["--method", "ridge", "--base-grn", "absent.csv"], "absent.csv"),
        (["--method", "ridge", "--base-grn", "colectri"], "mean 'collectri'"),
        (["--model", "scgpt"], "'scgpt-human'"),
        (["--top", "0"], "--top"),
        (["--confidence", "0"], "--confidence"),
        (["--method", "vvp", "--confidence"], "foundation model"),
        (["--seed", "-1"], "--seed"),
        (["--jobs", "0"], "--jobs"),
    ],
)
def test_arguments_that_cannot_be_used_are_told_before_the_computation(
    arguments, told, file, tmp_path, computed, capsys
):
    assert told in fails(capsys, "infer", file, *arguments, "--out", tmp_path / "net.csv")
    assert not computed


def test_arguments_reach_the_functions(file, tmp_path, computed, capsys):
    (tmp_path / "genes.txt").write_text("SPI1\nTAL1\n")
    fails(
        capsys, "infer", file, "--method", "grnboost2", "--param", "max_cells=40", "--param", "parity=no",
        "--seed", 5, "--jobs", 2, "--groupby", "group", "--use-raw", "--sources", "SPI1,GATA1", "TAL1",
        "--targets", tmp_path / "genes.txt", "--values", "counts", "--out", tmp_path / "net.csv",
    )  # fmt: skip
    wanted = {
        "method": "grnboost2",
        "params": {"max_cells": 40, "parity": False},
        "rng": 5,
        "n_jobs": 2,
        "groupby": "group",
        "use_raw": True,
        "layer": None,
        "values": "counts",
        "sources": ["SPI1", "GATA1", "TAL1"],
        "targets": ["SPI1", "TAL1"],
    }
    assert {name: computed[0][name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("method", "text", "value"),
    [
        ("ridge", "alpha=none", None),
        ("ridge", "alpha=1e-2", 0.01),
        ("celloracle", "n_bags=7", 7),
        ("celloracle", "alpha=3", 3.0),
        ("celloracle", "smooth=false", False),
        ("celloracle", "smooth=my_key", "my_key"),
        ("celloracle", "fit=bayesian", "bayesian"),
        ("renge", "genes=SPI1, GATA1", ["SPI1", "GATA1"]),
        ("ugrn", "translator=chip", "chip"),
        ("scrank", "cells_per_resample=None", None),
    ],
)
def test_parameters_have_the_type_of_the_signature(method, text, value):
    found = typed(METHODS[method], [text])
    assert found == {text.partition("=")[0]: value} and type(*found.values()) is type(value)


def test_every_parameter_of_every_method_is_a_value_or_refused():
    for name in METHODS:
        for parameter, default in METHODS[name].parameters().items():
            if isinstance(default, bool | int | float | str) or default is None:
                try:
                    assert typed(METHODS[name], [f"{parameter}={default}"])[parameter] == default
                except ParameterError as error:
                    assert default is None and "--param" in str(error)


def test_base_grn_and_confidence(adata, file, tmp_path):
    truth = adata.uns["truth"][["source", "target"]]
    truth.to_csv(tmp_path / "prior.csv", index=False)
    arguments = ["--method", "ridge", "--base-grn", str(tmp_path / "prior.csv"), "--confidence", "3"]
    places = ["--out", str(tmp_path / "net.tsv"), "--h5ad", str(tmp_path / "net.h5ad")]
    status = main(["infer", str(file), *arguments, *places])
    assert status == 0
    edges = pd.read_csv(tmp_path / "net.tsv", sep="\t")
    assert {"qval", "stability"} <= set(edges.columns)
    assert set(zip(edges["source"], edges["target"], strict=True)) == set(truth.itertuples(index=False, name=None))
    assert ad.read_h5ad(tmp_path / "net.h5ad").uns["grn"]["params"]["confidence"]["n_permutations"] == 3


def test_seeds_and_jobs(file, tmp_path):
    def run(*arguments):
        out = str(tmp_path / "net.csv")
        assert main(["infer", str(file), "--method", "grnboost2", "--out", out, *arguments]) == 0
        return pd.read_csv(out)

    one = run("--seed", "1")
    pd.testing.assert_frame_equal(one, run("--seed", "1", "--jobs", "2"))
    assert not one.equals(run("--seed", "2"))


def test_verbosity(file, tmp_path, capsys):
    arguments = ["infer", str(file), "--method", "correlation", "--out", str(tmp_path / "net.csv")]
    said = {}
    for name in ("error", "info"):
        main([*arguments, "--sources", "SPI1", "--targets", "SPI1", "TAL1", "--verbosity", name])
        said[name] = capsys.readouterr().err
    assert said["error"] == "" and "edges in uns" in said["info"]
    assert grn.settings.verbosity == "hint"


def test_an_interruption_is_quiet(file, tmp_path, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(grn.tl, "infer_network", interrupt)
    assert main(["infer", str(file), "--out", str(tmp_path / "net.csv")]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_fault_of_the_package_is_one_line(file, tmp_path, monkeypatch, capsys):
    def fault(*_, **__):
        raise TypeError("two\nlines")

    monkeypatch.setattr(grn.tl, "infer_network", fault)
    assert main(["infer", str(file), "--out", str(tmp_path / "net.csv")]) == 1
    assert capsys.readouterr().err.startswith("grn: TypeError: two lines (")
    assert main(["infer", str(file), "--out", str(tmp_path / "net.csv"), "--verbosity", "debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.slow
def test_ctrl_c_in_a_process_of_its_own(tmp_path):
    grn.datasets.toy(n_cells=2000, n_regulators=40, n_targets=400).write_h5ad(tmp_path / "cells.h5ad")
    code = f"import sys; sys.path.insert(0, {str(Path(grn.__file__).parents[1])!r}); from grn.__main__ import main; "
    code += f"sys.exit(main(['infer', {str(tmp_path / 'cells.h5ad')!r}, '--method', 'genie3', '--verbosity', 'info']))"
    # a shell that runs the tests in the background ignores Ctrl-C, and what it starts would too
    heed = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, preexec_fn=heed) as run:
        try:
            time.sleep(8)
            run.send_signal(signal.SIGINT)
            err = run.communicate(timeout=60)[1]
        finally:
            run.kill()
    assert run.returncode == 130 and "Traceback" not in err and not (tmp_path / "edges.csv").exists()
