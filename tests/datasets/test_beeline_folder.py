"""BEELINE's own files, as unpacked from its archives or written by its scripts."""

import numpy as np
import pandas as pd
import pytest

import grn
from grn._core.errors import DataNotFoundError, ExpressionError, GeneNameError, NetworkError, ParameterError
from grn.datasets import beeline

EDGES = [("SPI1", "CD14"), ("SPI1", "GATA1"), ("GATA1", "SPI1"), ("GATA1", "OCT4")]


@pytest.fixture(autouse=True)
def no_data_dir():
    with grn.settings.override(data_dir=None):
        yield


def test_own_files(tmp_path, write_folder):
    edges = [("SPI1", "CD14", "+"), ("GATA1", "SPI1", "-"), ("SPI1", "OTHERGENE1", "?")]
    reference = beeline("mDC", network="Specific", path=write_folder(tmp_path, edges=edges))
    assert reference.genes.tolist() == ["Cd14", "Gata1", "Klf1", "OtherGene1", "Spi1"]
    assert reference.regulators.tolist() == ["Gata1", "Klf1", "Spi1"]
    signs = reference.edges.set_index(["source", "target"])["sign"]
    assert signs["Spi1", "Cd14"] == 1 and signs["Gata1", "Spi1"] == -1 and np.isnan(signs["Spi1", "OtherGene1"])
    assert reference.version.startswith("refNetwork.csv with sha256 ") and reference.directed
    cells = reference.expression
    assert cells.var_names.tolist() == reference.genes.tolist() and cells.obs_names[0] == "cell0"
    written = pd.read_csv(tmp_path / "ExpressionData.csv", index_col=0)
    np.testing.assert_allclose(cells.X.toarray(), written.loc[reference.genes].to_numpy().T, rtol=1e-6)


def test_both_layouts_give_the_same_reference(tmp_path, rows, write_tables, write_folder):
    compact = beeline("mDC", network="STRING", path=write_tables(tmp_path / "compact"))
    listed = rows("genes")
    own = write_folder(tmp_path / "own", genes=listed["gene"])
    listed.loc[listed["is_tf"], ["gene"]].rename(columns={"gene": "TF"}).to_csv(own / "mouse-tfs.csv", index=False)
    assert beeline("mDC", network="STRING", path=own).sha256 == compact.sha256


@pytest.mark.parametrize(
    ("gene", "named"), [("Pou5f1", "OCT4"), ("Oct4", "POU5F1"), ("Oct4", "OCT4"), ("OCT4", "Oct4")]
)
def test_files_that_name_a_gene_differently_meet(tmp_path, write_folder, gene, named):
    path = write_folder(tmp_path, genes=["Gata1", gene], edges=[("GATA1", named)])
    reference = beeline("mDC", network="STRING", path=path)
    assert reference.edges["target"].tolist() == ["Pou5f1"] and len(reference.genes) == 2
    with pytest.raises(NetworkError, match="none of 1 edges"):
        beeline("hESC", network="STRING", path=path)


def test_order_of_rows_of_own_files_does_not_matter(tmp_path, write_folder):
    one = write_folder(tmp_path / "one")
    two = write_folder(tmp_path / "two", edges=EDGES[::-1])
    pd.read_csv(one / "ExpressionData.csv").iloc[::-1].to_csv(two / "ExpressionData.csv", index=False)
    first, second = (beeline("mDC", network="STRING", path=path) for path in (one, two))
    assert first.sha256 == second.sha256
    np.testing.assert_array_equal(first.expression.X.toarray(), second.expression.X.toarray())


def write_archive(root, matrix, *, networks="BEELINE-Networks"):
    """Folders as unpacked from Zenodo, with two human data sets."""
    for dataset, genes in (("hHep", ["SPI1", "GATA1", "CD14"]), ("hESC", ["SPI1", "GATA1", "KLF1", "C1orf112"])):
        folder = root / "BEELINE-data" / "inputs" / "scRNA-Seq" / dataset
        folder.mkdir(parents=True)
        matrix(genes).to_csv(folder / "ExpressionData.csv")
    place = root / networks / "Networks" / "human"
    place.mkdir(parents=True)
    for name, edges in {
        "HepG2-ChIP-seq": [("SPI1", "CD14")],
        "hESC-ChIP-seq": [("GATA1", "KLF1"), ("GATA1", "C1orf112")],
        "Non-specific-ChIP-seq": [("SPI1", "GATA1"), ("SPI1", "CD14")],
        "STRING": [("SPI1", "GATA1"), ("GATA1", "SPI1")] * 2,
    }.items():
        pd.DataFrame(edges, columns=["Gene1", "Gene2"]).to_csv(place / f"{name}-network.csv", index=False)
    pd.DataFrame({"TF": ["SPI1", "KLF1"], "Sources": "x"}).to_csv(root / networks / "human-tfs.csv", index=False)
    return root


@pytest.mark.parametrize("networks", ["BEELINE-Networks", "."])
@pytest.mark.parametrize("start", [".", "BEELINE-data/inputs/scRNA-Seq", "BEELINE-data/inputs/scRNA-Seq/hHep"])
def test_the_unpacked_archives(tmp_path, start, networks, matrix):
    path = write_archive(tmp_path, matrix, networks=networks) / start
    specific = beeline("hHEP", network="Specific", path=path)
    assert specific.version.startswith("HepG2-ChIP-seq-network.csv")
    assert specific.regulators.tolist() == ["SPI1"], "of human-tfs.csv; GATA1 is not in it"
    assert specific.genes.tolist() == ["CD14", "GATA1", "SPI1"]
    assert beeline("hHEP", network="Non-Specific", path=path).edges["target"].tolist() == ["CD14", "GATA1"]
    string = beeline("hHEP", network="STRING", path=path)
    assert (len(string), string.n_duplicates) == (2, 2) and string.regulators.tolist() == ["GATA1", "SPI1"]


def test_each_data_set_has_its_own_folder_and_network(tmp_path, matrix):
    write_archive(tmp_path, matrix)
    reference = beeline("hESC", network="Specific", path=tmp_path)
    assert reference.edges["target"].tolist() == ["C1orf112", "KLF1"], "human names are taken as they are"
    with pytest.raises(ParameterError, match="path is the folder of hHEP, not of hESC"):
        beeline("hESC", network="STRING", path=tmp_path / "BEELINE-data/inputs/scRNA-Seq/hHep")
    with pytest.raises(DataNotFoundError, match="BEELINE's mDC was not found"):
        beeline("mDC", network="STRING", path=tmp_path)
    grn.settings.data_dir = tmp_path
    assert beeline("hESC", network="Specific").sha256 == reference.sha256


def test_files_written_by_its_script_and_packed_ones(tmp_path, write_folder, matrix):
    write_folder(tmp_path)
    (tmp_path / "ExpressionData.csv").rename(tmp_path / "BL--ExpressionData.csv")
    (tmp_path / "refNetwork.csv").rename(tmp_path / "BL--network.csv")
    first = beeline("mDC", network="STRING", path=tmp_path)
    assert first.version.startswith("BL--network.csv")
    packed = tmp_path / "packed"
    packed.mkdir()
    for name in ("BL--ExpressionData.csv", "BL--network.csv"):
        pd.read_csv(tmp_path / name).to_csv(packed / f"{name}.gz", index=False)
    assert beeline("mDC", network="STRING", path=packed).sha256 == first.sha256
    matrix(["Spi1"]).to_csv(tmp_path / "500-ExpressionData.csv")
    with pytest.raises(DataNotFoundError, match=r"2 files for ExpressionData.csv \(500-ExpressionData.csv, BL--Exp"):
        beeline("mDC", network="STRING", path=tmp_path)


def test_a_network_of_another_name_is_not_taken(tmp_path, write_folder):
    write_folder(tmp_path, name="STRING-network.csv")
    with pytest.raises(DataNotFoundError, match=r"no mDC-ChIP-seq-network.csv or refNetwork.csv.*STRING-network.csv"):
        beeline("mDC", network="Specific", path=tmp_path)
    write_folder(tmp_path, edges=EDGES[:1])
    assert len(beeline("mDC", network="Specific", path=tmp_path)) == 1
    assert len(beeline("mDC", network="STRING", path=tmp_path)) == 3, "the network of that name outranks refNetwork"


def test_genes_are_chosen_as_in_its_script(tmp_path, write_folder):
    listed = ["Spi1", "Gata1", "Klf1"]
    others = [f"Gene{i}" for i in range(520)]
    write_folder(tmp_path, genes=[*listed, *others])
    order = pd.DataFrame(
        {
            "VGAMpValue": [1e-9, 1e-9, 0.9, *([1e-9] * 519), 3e-5],
            "Variance": [0.1, 0.2, 99.0, *range(1000, 481, -1), 5000.0],
        },
        index=[*listed, *others],
    )
    order.sample(frac=1, random_state=0).to_csv(tmp_path / "GeneOrdering.csv")
    reference = beeline("mDC", network="STRING", path=tmp_path)
    # Klf1 does not vary, nor does the last gene: 3e-5 is above 0.01 / 523; Gene500 to Gene518 vary least
    assert reference.genes.tolist() == sorted(["Gata1", "Spi1", *others[:500]])
    assert reference.regulators.tolist() == ["Gata1", "Spi1"]
    assert reference.expression.n_vars == 502
    assert len(beeline("mDC", network="STRING", size=1000, path=tmp_path).genes) == 521


def test_genes_of_the_ordering_without_expression_are_counted(tmp_path, caplog, write_folder):
    write_folder(tmp_path)
    names = ["Spi1", "Gata1", "Cd14", "Gone1", "Gone2"]
    pd.DataFrame({"p": 1e-9, "v": 1.0}, index=names).to_csv(tmp_path / "GeneOrdering.csv")
    with caplog.at_level("WARNING", logger="grn"):
        reference = beeline("mDC", network="STRING", path=tmp_path)
    assert reference.genes.tolist() == ["Cd14", "Gata1", "Spi1"]
    assert "GeneOrdering.csv: 2 of 5 genes have no expression" in caplog.text


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("gene,p\nSpi1,0\n", "no table of gene, p-value and variance"),
        ("gene,p,v\nSpi1,low,1\n", "no table of gene, p-value and variance"),
        ("", "no table of gene"),
        ("gene,p,v\nSpi1,0.5,1\n", "no gene of GeneOrdering.csv has a p-value below 0.01 / 1"),
    ],
)
def test_a_damaged_ordering(tmp_path, text, match, write_folder):
    write_folder(tmp_path)
    (tmp_path / "GeneOrdering.csv").write_text(text)
    with pytest.raises(ExpressionError, match=match):
        beeline("mDC", network="STRING", path=tmp_path)


def test_many_genes_without_an_ordering_are_kept_with_a_warning(tmp_path, caplog, write_folder):
    write_folder(tmp_path, genes=["Spi1", "Gata1", "Klf1", "Cd14", *(f"Gene{i}" for i in range(600))])
    with caplog.at_level("WARNING", logger="grn"):
        reference = beeline("mDC", network="STRING", path=tmp_path)
    assert len(reference.genes) == 604
    assert "no GeneOrdering.csv: all 604 genes are kept, 601 besides regulators" in caplog.text


def test_edges_outside_the_expression_are_counted(tmp_path, caplog, write_folder):
    edges = [*EDGES, ("SPI1", "FLT3"), ("MYC", "SPI1"), ("SPI1", "SPI1")]
    with caplog.at_level("WARNING", logger="grn"):
        reference = beeline("mDC", network="STRING", path=write_folder(tmp_path, edges=edges))
    assert (len(reference), reference.n_self_loops) == (3, 1)
    assert "3 of 7 edges are left out, because 3 of their genes are not among the 5" in caplog.text
    write_folder(tmp_path, edges=[("MYC", "FLT3")])
    with pytest.raises(NetworkError, match=r"none of 1 edges lies among the 5 genes.*belong together"):
        beeline("mDC", network="STRING", path=tmp_path)


def test_conflicting_signs_of_own_files(tmp_path, write_folder):
    edges = [("SPI1", "CD14", "+"), ("SPI1", "CD14", "-"), ("GATA1", "SPI1", "-"), ("GATA1", "SPI1", "-")]
    reference = beeline("mDC", network="STRING", path=write_folder(tmp_path, edges=edges))
    assert reference.n_duplicates == 2
    assert reference.edges["sign"].tolist()[0] == -1 and np.isnan(reference.edges["sign"].tolist()[1])


def test_a_network_without_names_or_columns(tmp_path, write_folder):
    write_folder(tmp_path, edges=[("SPI1", ""), ("SPI1", "CD14")])
    with pytest.raises(NetworkError, match=r"refNetwork.csv has rows without a name"):
        beeline("mDC", network="STRING", path=tmp_path)
    (tmp_path / "refNetwork.csv").write_text("TF,target\nSPI1,CD14\n")
    with pytest.raises(NetworkError, match=r"refNetwork.csv lacks the column\(s\) Gene1, Gene2; it has TF, target"):
        beeline("mDC", network="STRING", path=tmp_path)
    (tmp_path / "refNetwork.csv").write_text("")
    with pytest.raises(NetworkError, match=r"refNetwork.csv cannot be read"):
        beeline("mDC", network="STRING", path=tmp_path)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda t: t.mask(t == t.iloc[1, 1]), ExpressionError, r"1 missing or infinite values, .*\['Gata1'\]"),
        (lambda t: t.replace(t.iloc[0, 0], np.inf), ExpressionError, "1 missing or infinite"),
        (lambda t: t.assign(cell1="high"), ExpressionError, r"no numbers in 1 of 4 cells \['cell1'\].*genes in rows"),
        (lambda t: t.iloc[:, :0], ExpressionError, "no numbers in 0 of 0 cells"),
        (lambda t: t.iloc[:0], ExpressionError, "no numbers"),
        (lambda t: t.rename(index={"Gata1": "Spi1"}), GeneNameError, r"repeated gene names \(\['Spi1'\]\)"),
        (lambda t: t.rename(index={"Gata1": ""}), GeneNameError, "empty or repeated"),
    ],
)
def test_damaged_expression(tmp_path, change, error, match, write_folder):
    write_folder(tmp_path)
    change(pd.read_csv(tmp_path / "ExpressionData.csv", index_col=0)).to_csv(tmp_path / "ExpressionData.csv")
    with pytest.raises(error, match=match):
        beeline("mDC", network="STRING", path=tmp_path)


def test_expression_that_is_no_table(tmp_path, write_folder):
    (write_folder(tmp_path) / "ExpressionData.csv").write_bytes(b"")
    with pytest.raises(ExpressionError, match=r"ExpressionData.csv cannot be read"):
        beeline("mDC", network="STRING", path=tmp_path)


def test_a_gene_called_na_is_a_gene(tmp_path, write_folder):
    write_folder(tmp_path, genes=["SPI1", "NA", "CD14"], edges=[("SPI1", "NA"), ("SPI1", "CD14")])
    assert beeline("hESC", network="STRING", path=tmp_path).edges["target"].tolist() == ["CD14", "NA"]


def test_pseudotimes(tmp_path, caplog, write_folder):
    write_folder(tmp_path)
    cells = [f"cell{i}" for i in (2, 0, 1, 3)]
    pd.DataFrame({"PseudoTime": [2.0, 0.0, 1.0, 3.0]}, index=cells).to_csv(tmp_path / "PseudoTime.csv")
    obs = beeline("mDC", network="STRING", path=tmp_path).expression.obs
    assert obs["pseudotime"].tolist() == [0, 1, 2, 3]
    two = pd.DataFrame({"PseudoTime1": [1.0, np.nan, 3.0], "PseudoTime2": [np.nan, 2.0, 4.0]}, index=cells[:3])
    two.to_csv(tmp_path / "PseudoTime.csv")
    with caplog.at_level("WARNING", logger="grn"):
        obs = beeline("mDC", network="STRING", path=tmp_path).expression.obs
    assert list(obs.columns) == ["pseudotime_1", "pseudotime_2"]
    assert obs.loc["cell2"].tolist()[0] == 1 and obs.loc["cell3"].isna().all()
    assert "PseudoTime.csv lacks 1 of 4 cells" in caplog.text
    for text in ("cell,PseudoTime\nother,1\n", "cell,PseudoTime\ncell0,late\n", ""):
        (tmp_path / "PseudoTime.csv").write_text(text)
        with pytest.raises(ExpressionError, match=r"PseudoTime.csv"):
            beeline("mDC", network="STRING", path=tmp_path)


def test_the_real_ordering_gives_the_genes_and_edges_of_the_tables(shared_dir, tmp_path, matrix):
    """The rule by which BEELINE chooses genes, on its own files for hESC; only the cells are made up."""
    source = shared_dir / "data" / "beeline"
    order = pd.read_csv(source / "hESC_GeneOrdering.csv.gz", index_col=0, keep_default_na=False)
    order.to_csv(tmp_path / "GeneOrdering.csv")
    matrix(list(order.index), n_cells=2).to_csv(tmp_path / "ExpressionData.csv")
    (tmp_path / "human-tfs.csv").write_bytes((source / "human-tfs.csv").read_bytes())
    (tmp_path / "STRING-network.csv.gz").write_bytes((source / "networks" / "human_STRING.csv.gz").read_bytes())
    own = beeline("hESC", network="STRING", path=tmp_path)
    compact = beeline("hESC", network="STRING", path=shared_dir / "data")
    assert len(compact) == 4257 and len(compact.genes) == 910
    assert own.sha256 == compact.sha256
