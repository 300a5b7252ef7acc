"""``grn convert``, called in the same process: what is written is what was read, filtered."""

import h5py
import numpy as np
import pandas as pd
import pytest

import grn
from grn.__main__ import main


@pytest.fixture
def network() -> grn.Network:
    """Signed edges of two groups, some without direction, with a gene called NA and one like markup."""
    rng = np.random.default_rng(0)
    pairs = [(s, t) for s in ("SPI1", "PAX5", "IRF8") for t in ("LYZ", "NA", "<b>&", "PAX5", "CD14") if s != t]
    parts = [pd.DataFrame(pairs, columns=["source", "target"]).assign(group=name) for name in ("B", "T")]
    edges = pd.concat(parts, ignore_index=True)
    edges["weight"] = rng.uniform(0.1, 1, len(edges)) * rng.choice([1, -1], len(edges))
    edges["qval"] = rng.uniform(0, 1, len(edges))
    edges["direction"] = rng.choice(["motif", "role", "none"], len(edges))
    return grn.Network(edges)


@pytest.fixture
def file(network, tmp_path):
    network.edges.to_csv(tmp_path / "edges.csv", index=False)
    return tmp_path / "edges.csv"


def run(capsys, *arguments):
    status = main(["convert", *map(str, arguments)])
    return status, *capsys.readouterr()


def read(path):
    from grn._conversion import read

    return read(path, "grn")


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.graphml"])
def test_there_and_back(file, network, tmp_path, capsys, name):
    status, out, err = run(capsys, file, tmp_path / name)
    assert (status, err) == (0, "") and out.startswith(f"{len(network)} edges of 3 regulators")
    back = read(tmp_path / name)
    columns = ["source", "target", "group", "direction", "weight", "qval"]
    # of a pair that points nowhere GraphML holds the stronger row
    kept = network.edges if name != "out.graphml" else as_graphml(network)
    frames = [frame[columns].astype(dict.fromkeys(columns[:4], str)) for frame in (back.edges, kept)]
    pd.testing.assert_frame_equal(*(frame.sort_values(columns, ignore_index=True) for frame in frames))


def as_graphml(network):
    from grn.network.direction import as_drawn

    return as_drawn(network.edges, directed=network.directed)[0]


def test_filters_are_those_of_the_network(file, network, tmp_path, capsys):
    arguments = ["--max-q", 0.7, "--top-per-source", 2, "--group", "B"]
    assert run(capsys, file, tmp_path / "out.csv", *arguments)[0] == 0
    expected = network.filter(max_q=0.7, top_per_source=2, group="B")
    assert len(read(tmp_path / "out.csv")) == len(expected) > 0


def test_gene_sets_keep_their_signs(network, tmp_path, capsys):
    network.filter(group="B").edges.drop(columns="group").to_csv(tmp_path / "b.csv", index=False)
    assert run(capsys, tmp_path / "b.csv", tmp_path / "sets.gmt")[0] == 0
    back = read(tmp_path / "sets.gmt").edges
    expected = network.filter(group="B").edges
    signs = lambda edges: {(e.source, e.target, np.sign(e.weight)) for e in edges.itertuples()}  # noqa: E731
    assert signs(back) == signs(expected) and set(back["weight"]) == {-1.0, 1.0}


def test_adjacencies_of_pyscenic(network, tmp_path, capsys):
    network.filter(group="B").edges.drop(columns="group").to_csv(tmp_path / "b.csv", index=False)
    assert run(capsys, tmp_path / "b.csv", tmp_path / "adj.tsv", "--pyscenic")[0] == 0
    assert list(pd.read_csv(tmp_path / "adj.tsv", sep="\t").columns) == ["TF", "target", "importance"]
    assert run(capsys, tmp_path / "adj.tsv", tmp_path / "again.csv")[0] == 0
    back = pd.read_csv(tmp_path / "again.csv", keep_default_na=False)
    np.testing.assert_allclose(back["weight"], network.filter(group="B").edges["weight"].abs())


def test_regulons_of_a_loom_file(tmp_path, capsys):
    regulons = np.zeros(4, dtype=[("SPI1(+)", "i4"), ("PAX5_(-)", "i4"), ("IRF8", "i4")])
    regulons["SPI1(+)"][[0, 1]] = 1
    regulons["PAX5_(-)"][2] = 1
    regulons["IRF8"][3] = 1
    with h5py.File(tmp_path / "scenic.loom", "w") as loom:
        loom["row_attrs/Gene"] = np.array([b"LYZ", b"CD14", b"CD79A", b"CST3"])
        loom["row_attrs/Regulons"] = regulons
    assert run(capsys, tmp_path / "scenic.loom", tmp_path / "edges.csv")[0] == 0
    edges = pd.read_csv(tmp_path / "edges.csv").sort_values(["source", "target"])
    assert edges[["source", "target"]].to_numpy().tolist() == [
        ["IRF8", "CST3"], ["PAX5", "CD79A"], ["SPI1", "CD14"], ["SPI1", "LYZ"],
    ]  # fmt: skip
    assert edges["sign"].fillna(0).tolist() == [0, -1, 1, 1]


def test_into_an_object_and_out_of_it(file, network, tmp_path, capsys):
    grn.datasets.toy(n_cells=10, n_regulators=2, n_targets=3).write_h5ad(tmp_path / "cells.h5ad")
    arguments = ["--cells", tmp_path / "cells.h5ad", "--key", "mine"]
    assert run(capsys, file, tmp_path / "out.h5ad", *arguments)[0] == 0
    assert run(capsys, tmp_path / "out.h5ad", tmp_path / "out.cyjs", "--key", "mine")[0] == 0
    import anndata as ad

    assert len(grn.Network.from_anndata(ad.read_h5ad(tmp_path / "out.h5ad"), "mine")) == len(network)
    assert (tmp_path / "out.cyjs").read_text().startswith('{"format_version"')


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.csv", "out.gmt"], "none.csv"),
        (["edges.csv", "out.xlsx"], ".graphml"),
        (["edges.csv", "out"], "no ending"),
        (["edges.csv", "edges.csv"], "written over"),
        (["edges.csv", "out.h5ad"], "--cells"),
        (["edges.csv", "out.csv", "--cells", "cells.h5ad"], "--cells"),
        (["edges.csv", "out.gmt", "--pyscenic"], "table"),
        (["edges.csv", "out.csv", "--min-stability", "0.5"], "stability"),
        (["edges.csv", "out.csv", "--min-abs-weight", "5"], "no edge is left"),
        (["edges.csv", "out.csv", "--group", "C"], "'B'"),
        (["broken.graphml", "out.csv"], "cannot be read as a network"),
        (["broken.gmt", "out.csv"], "name, description, genes"),
        (["broken.loom", "out.csv"], "cannot be read as a network"),
        (["edges.csv", "out.csv", "--min-targets", "0"], "min-targets"),
    ],
)
def test_what_cannot_be_used(file, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(file.parent)
    for name in ("broken.graphml", "broken.gmt", "broken.loom"):
        (file.parent / name).write_text("nothing of use\n")
    there = sorted(file.parent.iterdir())
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "") and said in err and err.count("\n") == 1
    assert sorted(file.parent.iterdir()) == there


def test_a_loom_file_without_regulons(tmp_path, capsys):
    with h5py.File(tmp_path / "cells.loom", "w") as loom:
        loom["row_attrs/Gene"] = np.array([b"LYZ"])
    assert "row_attrs/Regulons" in run(capsys, tmp_path / "cells.loom", tmp_path / "out.csv")[2]
