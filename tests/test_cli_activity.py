"""``grn activity``, called in the same process."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn.__main__ import main


@pytest.fixture
def file(tmp_path):
    """Simulated cells with a network."""
    adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=20)
    grn.tl.infer_network(adata, method="ridge")
    adata.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def run(capsys, *arguments):
    status = main(["activity", *map(str, arguments)])
    return status, *capsys.readouterr()


def test_scores_are_those_of_the_function(file, tmp_path, capsys):
    out, kept = tmp_path / "new" / "scores.csv", tmp_path / "scored.h5ad"
    status, said, _ = run(capsys, file, "-o", out, "--h5ad", kept, "--top-per-source", 8, "--method", "mlm")
    assert status == 0 and str(out) in said and str(kept) in said
    adata = ad.read_h5ad(file)
    grn.tl.activity(adata, top_per_source=8, method="mlm")
    table = pd.read_csv(out, index_col="cell")
    assert table.index.tolist() == adata.obs_names.tolist()
    np.testing.assert_allclose(table, adata.obsm["score_mlm"], rtol=1e-5)
    np.testing.assert_array_equal(ad.read_h5ad(kept).obsm["score_mlm"], adata.obsm["score_mlm"])


def test_a_network_of_another_file(file, tmp_path, capsys):
    adata = ad.read_h5ad(file)
    grn.get.network(adata).to_gmt(tmp_path / "sets.gmt", signed=False)
    del adata.uns["grn"]
    adata.write_h5ad(tmp_path / "bare.h5ad")
    out = tmp_path / "scores.tsv"
    assert run(capsys, tmp_path / "bare.h5ad", "--network", tmp_path / "sets.gmt", "-o", out)[0] == 0
    assert pd.read_csv(out, sep="\t").shape == (60, 1 + 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.h5ad"], "none.h5ad"),
        (["cells.h5ad", "-o", "scores.xlsx"], ".csv"),
        (["cells.h5ad", "--key", "other"], "'grn'"),
        (["cells.h5ad", "--method", "ulmm"], "'ulm'"),
        (["cells.h5ad", "--min-targets", "0"], "min_targets"),
        (["cells.h5ad", "--h5ad", "cells.h5ad"], "written over"),
        (["cells.h5ad", "--h5mu", "out.h5mu"], "--h5ad"),
        (["cells.h5ad", "--h5ad", "out.txt"], ".h5ad"),
        (["cells.h5ad", "--network", "none.gmt"], "none.gmt"),
    ],
)
def test_what_cannot_be_used(file, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(file.parent)
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "") and said in err and "fault of grn" not in err
    assert [path.name for path in file.parent.iterdir()] == ["cells.h5ad"]


def test_the_network_of_another_file_is_not_written_over(file, tmp_path, capsys):
    edges = tmp_path / "edges.csv"
    grn.get.edges(ad.read_h5ad(file)).to_csv(edges, index=False)
    before = edges.read_bytes()
    status, out, err = run(capsys, file, "--network", edges, "-o", edges)
    assert (status, out) == (2, "") and "--network" in err and "written over" in err
    assert edges.read_bytes() == before
