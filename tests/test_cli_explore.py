"""``grn explore``, called in the same process."""

import json
import re

import pandas as pd
import pytest

import grn
from grn.__main__ import main


@pytest.fixture
def edges() -> pd.DataFrame:
    return pd.DataFrame(
        {"source": ["SPI1", "SPI1", "NA"], "target": ["LYZ", "NA", "CD14"], "weight": [0.1 + 0.2, -0.5, 0.4],
         "qval": [0.01, None, 0.3]}
    )  # fmt: skip


def held(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="network-data">(.*?)</script>', text)[1])


def run(capsys, *arguments):
    status = main(["explore", *map(str, arguments)])
    return status, *capsys.readouterr()


def test_an_object(tmp_path, capsys, edges):
    adata = grn.datasets.toy(n_cells=10, n_regulators=2, n_targets=3)
    grn.Network(adata.uns["truth"], params={"method": "planted"}).write(adata, "second")
    adata.write_h5ad(tmp_path / "cells.h5ad")
    out = tmp_path / "page.html"
    status, said, err = run(capsys, tmp_path / "cells.h5ad", "--key", "second", "-o", out)
    assert (status, err) == (0, "") and str(out) in said
    expected = grn.pl.explore(adata, key="second", file=tmp_path / "other.html")
    assert out.read_bytes() == expected.read_bytes()


@pytest.mark.parametrize(("name", "separator"), [("edges.csv", ","), ("edges.tsv", "\t")])
def test_a_table_of_edges_in_which_a_gene_is_called_na(tmp_path, capsys, edges, name, separator):
    edges.to_csv(tmp_path / name, sep=separator, index=False)
    status, _, err = run(capsys, tmp_path / name, "-o", tmp_path / "page.html", "--title", "Mine")
    assert status == 0, err
    expected = grn.pl.explore(edges, file=tmp_path / "other.html", title="Mine")
    assert (tmp_path / "page.html").read_bytes() == expected.read_bytes()
    assert held(expected)["genes"] == ["CD14", "LYZ", "NA", "SPI1"]


def test_groups_and_limits(tmp_path, capsys, edges):
    edges.assign(group=["a", "b", "b"]).to_csv(tmp_path / "edges.csv", index=False)
    out = tmp_path / "page.html"
    status, _, err = run(capsys, tmp_path / "edges.csv", "-o", out, "--group", "b", "--max-edges", 1, "--max-drawn", 7)
    assert status == 0 and "1 strongest of 2" in err
    content = held(out)
    assert (content["total"], len(content["source"]), content["max_drawn"]) == (2, 1, 7)


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (None, [], "edges.csv"),
        ("source,target\nA,B\n", [], "weight"),
        ("", [], "edges.csv"),
        ("source,target,weight\nA,B,1\n", ["-o", "page.txt"], ".html"),
        ("source,target,weight\nA,B,1\n", ["--max-edges", "0"], "max_edges"),
        ("source,target,weight\nA,B,1\n", ["--group", "x"], "no groups"),
    ],
)
def test_what_cannot_be_used(tmp_path, capsys, monkeypatch, content, options, said):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "edges.csv").write_text(content)
    status, out, err = run(capsys, "edges.csv", *options)
    assert (status, out) == (2, "") and said in err and err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"edges.csv"}
