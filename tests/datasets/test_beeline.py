"""Compact tables of BEELINE's labels, written small into a folder, and the real ones."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn._core.errors import DataNotFoundError, ExpressionError, NetworkError, ParameterError
from grn.datasets import beeline
from grn.datasets._beeline import NETWORKS
from grn.datasets.reference import BEELINE
from grn.genes import tables


@pytest.fixture(autouse=True)
def no_data_dir():
    with grn.settings.override(data_dir=None):
        yield


def test_compact_tables(tmp_path, write_tables):
    reference = beeline("mDC", network="STRING", path=write_tables(tmp_path))
    assert reference.genes.tolist() == ["Cd14", "Gata1", "HN1", "Klf1", "OTHERGENE1", "Pou5f1", "Spi1"]
    assert reference.regulators.tolist() == ["Gata1", "Klf1", "Spi1"]
    assert reference.evidence.tolist() == ["Gata1", "Spi1"]
    pairs = [("Gata1", "Pou5f1"), ("Gata1", "Spi1"), ("Spi1", "Cd14"), ("Spi1", "Gata1")]
    assert list(reference.edges.itertuples(index=False, name=None)) == pairs
    assert (reference.organism, reference.name, reference.size) == ("mouse", "mDC/STRING/500", "500")
    assert reference.expression is None and "2020" in reference.origin and "MIT" in reference.licence
    assert reference.version.startswith("edges.parquet with sha256 ")


@pytest.mark.parametrize("where", ["tables", "parent", "setting", "setting of the tables"])
def test_the_tables_are_found(tmp_path, where, write_tables):
    write_tables(tmp_path / "beeline")
    if where.startswith("setting"):
        grn.settings.data_dir = tmp_path / "beeline" if "tables" in where else str(tmp_path)
        assert len(beeline("mDC", network="STRING")) == 4
    else:
        path = tmp_path / "beeline" if where == "tables" else tmp_path
        assert len(beeline("mDC", network="STRING", path=str(path))) == 4


def test_an_argument_outranks_the_setting(tmp_path, write_tables, rows):
    grn.settings.data_dir = write_tables(tmp_path / "one")
    other = write_tables(tmp_path / "two", edges=rows("edges", "mDC", "STRING", 500).iloc[:2])
    assert len(beeline("mDC", network="STRING", path=other)) == 2


def test_the_order_of_rows_does_not_matter(tmp_path, write_tables, rows):
    edges, genes = (rows(kind, "mDC", "STRING", 500) for kind in ("edges", "genes"))
    one = write_tables(tmp_path / "one", edges=edges, genes=genes)
    two = write_tables(tmp_path / "two", edges=edges.iloc[::-1], genes=genes.sample(frac=1, random_state=3))
    first, second = (beeline("mDC", network="STRING", path=path) for path in (one, two))
    assert first.sha256 == second.sha256


def test_only_the_rows_asked_for_are_used(tmp_path, write_tables, rows):
    other = rows("edges", "mDC", "Specific", 500).assign(target="KLF1")
    edges = pd.concat([rows("edges", "mDC", "STRING", 500), other, other.assign(network="STRING", size=1000)])
    genes = [rows("genes", "mDC", n, s) for n, s in (("STRING", 500), ("Specific", 500), ("STRING", 1000))]
    genes[1]["is_tf"] = False
    write_tables(tmp_path, edges=edges, genes=pd.concat(genes))
    assert len(beeline("mDC", network="STRING", path=tmp_path)) == 4
    specific = beeline("mDC", network="Specific", path=tmp_path)
    assert len(specific) == 2 and set(specific.edges["target"]) == {"Klf1"}
    assert specific.regulators.tolist() == ["Gata1", "Spi1"], "sources of edges are regulators, listed or not"
    assert beeline("mDC", network="STRING", size=1000, path=tmp_path).name == "mDC/STRING/1000"


@pytest.mark.parametrize("dataset", BEELINE)
def test_organism_unit_and_direction(tmp_path, dataset, write_tables):
    unit = "mHSC" if dataset.startswith("mHSC") else dataset
    for network, directed in (("STRING", False), ("Specific", True)):
        write_tables(tmp_path, dataset=dataset, network=network)
        reference = beeline(dataset, network=network, path=tmp_path)
        assert (reference.dataset, reference.unit, reference.directed) == (dataset, unit, directed)
        assert reference.organism == ("human" if dataset[0] == "h" else "mouse")
        assert ("SPI1" in reference.genes) == (dataset[0] == "h")


@pytest.mark.parametrize(
    ("dataset", "network", "size", "name"),
    [
        ("hhep", "string", "500", "hHEP/STRING/500"),
        ("hHep", "non-specific", 500, "hHEP/Non-Specific/500"),
        ("MHSC_GM", "Non-Specific-ChIP-seq", np.int64(1000), "mHSC-GM/Non-Specific/1000"),
        ("mesc", "cell-type-specific", 500, "mESC/Specific/500"),
        ("mESC", "lof/gof", 500, "mESC/Lofgof/500"),
        ("mESC", "LOGOF", 500, "mESC/Lofgof/500"),
    ],
)
def test_spellings(tmp_path, dataset, network, size, name, write_tables):
    exact = dict(zip(("dataset", "network", "size"), name.split("/"), strict=True))
    write_tables(tmp_path, dataset=exact["dataset"], network=exact["network"], size=int(exact["size"]))
    assert beeline(dataset, network=network, size=size, path=tmp_path).name == name


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"dataset": "hESC2"}, "dataset='hESC2'.*hESC, hHEP, mDC, mESC, mHSC-E, mHSC-GM, mHSC-L"),
        ({"dataset": None}, "dataset=None"),
        ({"network": "ChIP"}, "network='ChIP' does not exist for hESC; use one of STRING, Non-Specific, Specific"),
        ({"network": "Lofgof"}, "does not exist for hESC.*Lofgof exists for mESC only"),
        ({"dataset": "mESC", "network": "x"}, "STRING, Non-Specific, Specific, Lofgof"),
        ({"size": 750}, "size=750 does not exist; use 500 or 1000"),
        ({"size": "all"}, "size='all' does not exist; use 500 or 1000"),
        ({"size": True}, "size=True does not exist; use 500 or 1000"),
        ({"size": 500.0}, "size=500.0 does not exist; use 500 or 1000"),
        ({"size": None}, "size=None does not exist; use 500 or 1000"),
        ({"path": ""}, "path=''"),
        ({"path": 3}, "path=3"),
    ],
)
def test_what_does_not_exist_is_refused(arguments, match):
    with pytest.raises(ParameterError, match=match):
        beeline(**{"dataset": "hESC", "network": "STRING", **arguments})


@pytest.mark.parametrize("place", ["unset", "missing", "empty", "setting"])
def test_missing_data_say_where_to_get_them(tmp_path, place):
    looked = {
        "unset": "grn.settings.data_dir is not set",
        "missing": "path=.*nowhere' does not exist",
        "empty": "path=.* holds no beeline/edges.parquet",
        "setting": "grn.settings.data_dir=.* holds no",
    }[place]
    path = {"missing": tmp_path / "nowhere", "empty": tmp_path}.get(place)
    if place == "setting":
        grn.settings.data_dir = tmp_path
    with pytest.raises(DataNotFoundError, match=looked) as error:
        beeline("hESC", network="STRING", path=path)
    for word in ("10.5281/zenodo.3378975", "BEELINE-Networks.zip", "path=", "grn.settings.data_dir", "GRN_DATA_DIR"):
        assert word in str(error.value)


def test_an_incomplete_set_of_tables(tmp_path, write_tables):
    write_tables(tmp_path)
    with pytest.raises(DataNotFoundError, match=r"no rows for mDC, Specific, 500.*zenodo"):
        beeline("mDC", network="Specific", path=tmp_path)
    with pytest.raises(ParameterError, match=r"genes.parquet; pass the folder"):
        beeline("mDC", network="STRING", path=tmp_path / "genes.parquet")
    (tmp_path / "genes.parquet").unlink()
    with pytest.raises(DataNotFoundError, match=r"genes.parquet is not beside"):
        beeline("mDC", network="STRING", path=tmp_path)


@pytest.mark.parametrize("name", ["edges.parquet", "genes.parquet"])
@pytest.mark.parametrize("content", [b"", b"PAR1 nothing", "half"])
def test_a_damaged_table(tmp_path, name, content, write_tables):
    file = write_tables(tmp_path) / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if content == "half" else content)
    with pytest.raises(NetworkError, match=f"{name} cannot be read.*download it again"):
        beeline("mDC", network="STRING", path=tmp_path)


def test_a_table_of_other_columns(tmp_path, write_tables, rows):
    write_tables(tmp_path, edges=rows("edges", "mDC", "STRING", 500).rename(columns={"tf": "source"}))
    with pytest.raises(NetworkError, match=r"edges.parquet lacks the column\(s\) tf; it has .*source, target"):
        beeline("mDC", network="STRING", path=tmp_path)
    write_tables(tmp_path, genes=rows("genes", "mDC", "STRING", 500).drop(columns=["is_tf", "gene"]))
    with pytest.raises(NetworkError, match=r"genes.parquet lacks the column\(s\) gene, is_tf"):
        beeline("mDC", network="STRING", path=tmp_path)


@pytest.mark.parametrize("flags", ["True", 2, None])
def test_flags_must_be_true_or_false(tmp_path, flags, write_tables, rows):
    write_tables(tmp_path, genes=rows("genes", "mDC", "STRING", 500).assign(is_tf=flags))
    with pytest.raises(NetworkError, match="other values than True and False"):
        beeline("mDC", network="STRING", path=tmp_path)


def test_repeated_genes_and_missing_names(tmp_path, write_tables, rows):
    genes, edges = (rows(kind, "mDC", "STRING", 500) for kind in ("genes", "edges"))
    write_tables(tmp_path, genes=pd.concat([genes, genes.iloc[:1]]))
    with pytest.raises(NetworkError, match="repeats genes"):
        beeline("mDC", network="STRING", path=tmp_path)
    edges.loc[1, "target"] = None
    write_tables(tmp_path, edges=edges)
    with pytest.raises(NetworkError, match=r"edges.parquet has rows without a name for mDC"):
        beeline("mDC", network="STRING", path=tmp_path)


def test_duplicates_and_loops_in_the_tables_are_counted(tmp_path, write_tables, rows):
    edges = rows("edges", "mDC", "STRING", 500)
    write_tables(tmp_path, edges=pd.concat([edges, edges.iloc[:2], edges.iloc[:1].assign(target="SPI1")]))
    reference = beeline("mDC", network="STRING", path=tmp_path)
    assert (len(reference), reference.n_duplicates, reference.n_self_loops) == (4, 2, 1)


def test_edges_outside_the_genes_are_counted_in_a_warning(tmp_path, caplog, write_tables, rows):
    edges = rows("edges", "mDC", "STRING", 500)
    more = [edges.iloc[:2].assign(target="FLT3"), edges.iloc[:1].assign(tf="X")]
    write_tables(tmp_path, edges=pd.concat([edges, *more]))
    with caplog.at_level("WARNING", logger="grn"):
        reference = beeline("mDC", network="STRING", path=tmp_path)
    assert len(reference) == 4 and "Flt3" not in reference.genes
    assert "3 of 7 edges are left out, because 2 of their genes are not among the 7" in caplog.text


def test_no_warning_without_reason(tmp_path, caplog, write_tables, write_folder):
    with caplog.at_level("WARNING", logger="grn"):
        beeline("mDC", network="STRING", path=write_tables(tmp_path / "tables"))
        beeline("mDC", network="STRING", path=write_folder(tmp_path / "own", edges=[("SPI1", "CD14")]))
    assert caplog.text == ""


def test_cells_beside_the_tables_are_attached(tmp_path, write_tables):
    write_tables(tmp_path, size=500)
    cells = ad.AnnData(
        np.arange(15, dtype="float32").reshape(3, 5),
        obs=pd.DataFrame({"pseudotime": [0.1, 0.2, 0.3]}, index=["c1", "c2", "c3"]),
        var=pd.DataFrame(index=["SPI1", "ELSEWHERE", "OCT4", "CD14", "OTHERGENE1"]),
    )
    cells.write_h5ad(tmp_path / "mDC_TFs500_expression.h5ad")
    found = beeline("mDC", network="STRING", path=tmp_path).expression
    assert found.var_names.tolist() == ["Cd14", "OTHERGENE1", "Pou5f1", "Spi1"]
    np.testing.assert_array_equal(found.X, cells.X[:, [3, 4, 2, 0]])
    assert found.obs["pseudotime"].tolist() == [0.1, 0.2, 0.3]
    write_tables(tmp_path, size=1000)
    assert beeline("mDC", network="STRING", size=1000, path=tmp_path).expression is None
    (tmp_path / "mDC_TFs500_expression.h5ad").write_bytes(b"not hdf5")
    write_tables(tmp_path, size=500)
    with pytest.raises(ExpressionError, match=r"mDC_TFs500_expression.h5ad cannot be read"):
        beeline("mDC", network="STRING", path=tmp_path)


# the real tables


def real(shared_dir, dataset, network, size):
    summary = pd.read_csv(shared_dir / "data" / "beeline" / "summary.csv").set_index(["dataset", "network", "size"])
    expected = summary.loc[(dataset, network, size)]
    reference = beeline(dataset, network=network, size=size, path=shared_dir / "data")
    assert len(reference) == expected["n_unique_edges"] == reference.labels.sum()
    assert len(reference.genes) == expected["n_genes"]
    assert len(reference.regulators) == expected["n_tfs"]
    assert reference.n_duplicates == reference.n_self_loops == 0
    assert reference.version == "zpliulab/GENELink@4eb816a"
    return reference


@pytest.mark.parametrize("network", NETWORKS)
def test_real_counts_of_mesc(shared_dir, network):
    real(shared_dir, "mESC", network, 500)


@pytest.mark.slow
def test_real_counts_of_all_combinations(shared_dir):
    summary = pd.read_csv(shared_dir / "data" / "beeline" / "summary.csv")
    for row in summary.to_dict("records"):
        real(shared_dir, row["dataset"], row["network"], row["size"])
    assert len(summary) == 44


def test_real_names_and_cells(shared_dir):
    reference = real(shared_dir, "mDC", "Specific", 500)
    known = tables.symbols("mouse")
    assert sum(gene in known for gene in reference.genes) > 0.95 * len(reference.genes)
    assert {"Spi1", "Stat1"} <= set(reference.regulators)
    assert reference.expression.shape == (383, 821)
    assert reference.expression.var_names.tolist() == reference.genes.tolist()
    assert reference.expression.obs["pseudotime"].notna().all()
