"""``grn report``, called in the same process."""

import pandas as pd
import pytest

import grn
from grn.__main__ import main


@pytest.fixture
def edges() -> pd.DataFrame:
    return pd.DataFrame({"source": ["SPI1", "SPI1", "NA"], "target": ["LYZ", "NA", "CD14"], "weight": [0.3, -0.5, 0.4]})


def run(capsys, *arguments):
    status = main(["report", *map(str, arguments)])
    return status, *capsys.readouterr()


def test_an_object(tmp_path, capsys):
    adata = grn.datasets.toy(n_cells=60, n_regulators=2, n_targets=8)
    grn.tl.infer_network(adata, method="ridge", key_added="second")
    adata.write_h5ad(tmp_path / "cells.h5ad")
    out = tmp_path / "page.html"
    status, said, err = run(capsys, tmp_path / "cells.h5ad", "--keys", "second", "--regulators", 1, "-o", out)
    assert (status, err) == (0, "") and str(out) in said
    expected = grn.report(adata, keys="second", n_regulators=1, file=tmp_path / "other.html")
    assert out.read_bytes() == expected.read_bytes()


def test_a_table_of_edges_in_which_a_gene_is_called_na(tmp_path, capsys, edges):
    edges.to_csv(tmp_path / "edges.csv", index=False)
    status, _, err = run(capsys, tmp_path / "edges.csv", "-o", tmp_path / "page.html", "--title", "Mine")
    assert (status, err) == (0, "")
    expected = grn.report(edges, file=tmp_path / "other.html", title="Mine")
    assert (tmp_path / "page.html").read_bytes() == expected.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.h5ad"], "none.h5ad"),
        (["edges.csv", "-o", "page.txt"], ".html"),
        (["edges.csv", "--groupby", "type"], "groupby="),
        (["edges.csv", "--top", "0"], "top"),
    ],
)
def test_what_cannot_be_used(tmp_path, capsys, edges, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    edges.to_csv("edges.csv", index=False)
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "") and said in err and err.startswith("grn: ") and "fault of grn" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["edges.csv"]
