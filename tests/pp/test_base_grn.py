import gzip

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn._core.errors import DataNotFoundError, GeneNameError, GeneOverlapError, GrnError, NetworkError, ParameterError
from grn.pp import align_genes, base_grn

LONG = pd.DataFrame(
    {
        "source": ["SPI1", "GATA1", "GATA1", "GATA1", "TAL1"],
        "target": ["CD79A", "KLF1", "KLF1", "GATA1", "KLF1"],
        "region": ["chr1_1_9", "chr2_1_9", "chr2_1_9", "chr3_1_9", "chr2_1_9"],
        "score": [1.0, 2.0, 5.0, 1.0, 0.5],
        "note": list("abcde"),
    }
)


def cells(*names):
    adata = ad.AnnData(np.ones((2, len(names)), dtype=np.float32))
    adata.var_names = list(names)
    return adata


def rows(table):
    return [tuple(row) for row in table.astype(object).itertuples(index=False)]


def test_canonical_table():
    found = base_grn(LONG)
    assert list(found.columns) == ["source", "target", "region", "score"]
    assert rows(found) == [
        ("GATA1", "KLF1", "chr2_1_9", 5.0),
        ("SPI1", "CD79A", "chr1_1_9", 1.0),
        ("TAL1", "KLF1", "chr2_1_9", 0.5),
    ]
    assert found.attrs["base_grn"] == {"evidence": "motif", "self_loops": 1, "merged": 1, "below": 0}
    assert all(isinstance(found[name].dtype, pd.CategoricalDtype) for name in ("source", "target", "region"))
    assert list(found["source"].cat.categories) == ["GATA1", "SPI1", "TAL1"]


def test_the_order_of_rows_and_what_was_passed_do_not_matter():
    before = LONG.copy()
    one, two = base_grn(LONG), base_grn(LONG.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(one, two)
    pd.testing.assert_frame_equal(LONG, before)
    pd.testing.assert_frame_equal(base_grn(one), one, check_like=True)


def test_scores_can_be_cut():
    found = base_grn(LONG, min_score=1)
    assert set(found["source"]) == {"GATA1", "SPI1"} and found.attrs["base_grn"]["below"] == 1
    with pytest.raises(ParameterError, match="score"):
        base_grn(LONG[["source", "target"]], min_score=1)
    with pytest.raises(NetworkError, match="min_score"):
        base_grn(LONG, min_score=9)


def test_wide_table():
    wide = pd.DataFrame(
        {"peak_id": ["p1", "p2", "p3"], "gene_short_name": ["Klf1", "Klf1", "Spi1"], "Gata1": [1, 1, 0], "Spi1": 1.0}
    )
    found = base_grn(wide)
    assert rows(found) == [
        ("Gata1", "Klf1", "p1"),
        ("Gata1", "Klf1", "p2"),
        ("Spi1", "Klf1", "p1"),
        ("Spi1", "Klf1", "p2"),
    ]
    assert found.attrs["base_grn"]["self_loops"] == 1
    assert rows(base_grn(wide.drop(columns="peak_id"))) == [("Gata1", "Klf1"), ("Spi1", "Klf1")]
    scored = base_grn(wide.assign(Spi1=[0.5, 0.0, 3.0]))
    assert rows(scored)[-1] == ("Spi1", "Klf1", "p1", 0.5)
    with pytest.raises(NetworkError, match="negative"):
        base_grn(wide.assign(Spi1=-1))
    with pytest.raises(NetworkError, match="no column of a regulator"):
        base_grn(wide[["peak_id", "gene_short_name"]])


@pytest.mark.parametrize("name", ["net.csv", "net.tsv", "net.txt", "net.csv.gz", "net.parquet"])
def test_files(tmp_path, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        LONG.to_parquet(path)
    else:
        text = LONG.to_csv(index=False, sep="," if "csv" in name else "\t").encode()
        path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    pd.testing.assert_frame_equal(base_grn(path), base_grn(LONG))
    pd.testing.assert_frame_equal(base_grn(str(path)), base_grn(LONG))


def test_names_of_the_object_come_first_then_symbols_ids_and_aliases():
    table = pd.DataFrame({"source": ["GATA1", "GATA1", "SFPI1", "ABC"], "target": ["MLL", "own", "KMT2A", "KMT2A"]})
    adata = cells("ENSG00000102145", "KMT2A", "SPI1", "own")
    found = base_grn(table, adata=adata, organism="human")
    assert rows(found) == [("ENSG00000102145", "KMT2A"), ("ENSG00000102145", "own"), ("SPI1", "KMT2A")]
    facts = found.attrs["base_grn"]
    assert facts["organism"] == "human" and facts["lost_sources"] == ["ABC"] and facts["lost_targets"] == []
    assert facts["renamed"] == 3


def test_two_spellings_of_one_gene_become_one_edge():
    table = pd.DataFrame({"source": ["KMT2A", "MLL"], "target": ["MYC"] * 2, "score": [1, 3]})
    found = base_grn(table, adata=cells("KMT2A", "MYC"), organism="human")
    assert rows(found) == [("KMT2A", "MYC", 3.0)] and found.attrs["base_grn"]["merged"] == 1


@pytest.mark.parametrize("aligned", [False, True])
def test_mouse_and_human_are_carried_by_orthologs_never_by_case(aligned):
    table = pd.DataFrame({"source": ["Trp53", "Gata1", "TRP53"], "target": ["Klf1", "Klf1", "Klf1"]})
    human = cells("TP53", "GATA1", "KLF1", "CD79A", "LYZ")
    if aligned:
        align_genes(human)
    found = base_grn(table, adata=human)
    assert set(rows(found)) >= {("GATA1", "KLF1"), ("TP53", "KLF1")}
    assert found.attrs["base_grn"]["organism"] == "mouse"
    back = base_grn(found, adata=cells("Trp53", "Gata1", "Klf1", "Cd79a", "Lyz2"))
    assert rows(back) == [("Gata1", "Klf1"), ("Trp53", "Klf1")] and back.attrs["base_grn"]["organism"] == "human"


def test_two_mouse_genes_of_one_human_gene_are_lost():
    table = pd.DataFrame({"source": ["Gata1", "Gata1"], "target": ["Lyz1", "Klf1"]})
    found = base_grn(table, adata=cells("GATA1", "KLF1", "LYZ"), organism="mouse")
    assert rows(found) == [("GATA1", "KLF1")] and found.attrs["base_grn"]["lost_targets"] == ["Lyz1"]


def test_foreign_organisms_match_by_spelling():
    table = pd.DataFrame({"source": ["YAL001C", "YAL002W"], "target": ["YAL003W", "YAL004W"]})
    found = base_grn(table, adata=cells("YAL001C", "YAL003W", "YAL009W"))
    assert rows(found) == [("YAL001C", "YAL003W")]
    assert found.attrs["base_grn"]["organism"] == "" and found.attrs["base_grn"]["lost_sources"] == ["YAL002W"]


def test_too_small_an_overlap_is_an_error_with_examples():
    names = [f"own{i}" for i in range(30)]
    table = pd.DataFrame({"source": ["GATA1"] * 20 + ["own1"], "target": [f"other{i}" for i in range(20)] + ["own2"]})
    with pytest.raises(GeneOverlapError, match=r"2 of the 23.*GATA1.*own0"):
        base_grn(table, adata=cells(*names))
    assert rows(base_grn(table, adata=cells(*names), min_overlap=0.05)) == [("own1", "own2")]
    with pytest.raises(GeneOverlapError, match="0 of the 23"):
        base_grn(table, adata=cells("x", "y"), min_overlap=0)
    with pytest.raises(NetworkError, match="no edge"):
        base_grn(LONG, adata=cells("CD79A", "KLF1"))


@pytest.mark.parametrize(
    ("table", "error", "match"),
    [
        (3, ParameterError, "int"),
        ("nowhere.csv", DataNotFoundError, "nowhere"),
        (LONG.iloc[:0], NetworkError, "no rows"),
        (LONG.rename(columns={"source": "TF"}), NetworkError, "lacks source.*rename"),
        (LONG.assign(source=[None, *LONG["source"][1:]]), NetworkError, "1 missing"),
        (LONG.assign(target=[" ", *LONG["target"][1:]]), NetworkError, "non-empty"),
        (LONG.assign(target=range(5)), NetworkError, "expected names"),
        (LONG.assign(score=[np.nan, 1, 1, 1, 1]), NetworkError, "1 NaN"),
        (LONG.assign(score=list("abcde")), NetworkError, "no numbers"),
        (pd.concat([LONG, LONG["source"]], axis=1), NetworkError, "more than once"),
        (pd.DataFrame({"gene_short_name": ["A"], "B": [np.nan]}), NetworkError, "1 NaN"),
        (pd.DataFrame({"gene_short_name": ["A"], "B": ["x"]}), NetworkError, "no numbers"),
        (pd.DataFrame({"gene_short_name": ["A"], "B": [0]}), NetworkError, "no edge"),
    ],
)
def test_bad_tables(table, error, match):
    with pytest.raises(error, match=match):
        base_grn(table)


def test_bad_files(tmp_path):
    (tmp_path / "net.parquet").write_bytes(b"no parquet")
    (tmp_path / "net.xlsx").write_bytes(b"")
    (tmp_path / "empty.csv").write_bytes(b"")
    for name, error in (("net.parquet", NetworkError), ("net.xlsx", ParameterError), ("empty.csv", NetworkError)):
        with pytest.raises(error):
            base_grn(tmp_path / name)


def test_genes_that_look_like_missing_values_are_names(tmp_path):
    (tmp_path / "net.csv").write_text("source,target\nNA,nan\nNULL,None\n")
    assert rows(base_grn(tmp_path / "net.csv")) == [("NA", "nan"), ("NULL", "None")]


@pytest.mark.parametrize("wrong", [{"min_score": "1"}, {"min_score": True}, {"min_overlap": 2}, {"organism": "fly"}])
def test_bad_arguments(wrong):
    with pytest.raises(GrnError):
        base_grn(LONG, adata=cells("GATA1", "KLF1", "x"), **wrong)
    with pytest.raises(ParameterError, match="AnnData"):
        base_grn(LONG, adata=3)
    with pytest.raises(GeneNameError):
        base_grn(LONG, adata=cells("GATA1", "GATA1"))


@pytest.fixture
def collections(tmp_path):
    """A data folder with two collections, of three edges each."""
    folder = tmp_path / "priors"
    folder.mkdir()
    (folder / "collectri_human.csv").write_text("source,target,weight\nGATA1,KLF1,1\nGATA1,GATA1,1\nSPI1,CD79A,-1\n")
    (folder / "trrust_mouse.csv").write_text("tf,target,mode\nGata1,Klf1,Activation\nSpi1,Cd79a,Repression\n")
    with grn.settings.override(data_dir=tmp_path):
        yield


@pytest.mark.usefixtures("collections")
def test_collections_by_name():
    table = base_grn("collectri")
    assert rows(table) == [("GATA1", "KLF1"), ("SPI1", "CD79A")]
    assert table.attrs["base_grn"] == {"evidence": "prior", "self_loops": 1, "merged": 0, "below": 0}
    assert rows(base_grn("CollecTRI")) == rows(table)
    mouse = base_grn("collectri", adata=cells("Gata1", "Klf1", "Spi1", "Cd79a", "Actb"))
    assert rows(mouse) == [("Gata1", "Klf1"), ("Spi1", "Cd79a")]
    assert mouse.attrs["base_grn"]["organism"] == "human"
    assert rows(base_grn("trrust", organism="mouse")) == [("Gata1", "Klf1"), ("Spi1", "Cd79a")]
    with pytest.raises(ParameterError, match="orthologs"):
        base_grn("collectri", organism="mouse")


@pytest.mark.usefixtures("collections")
def test_methods_take_the_names_too():
    adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=5)
    adata.var_names = ["GATA1", "SPI1", "KLF1", "CD79A", *adata.var_names[4:]]
    grn.tl.infer_network(adata, method="ridge", params={"base_grn": "collectri"})
    edges = adata.uns["grn"]["edges"]
    assert set(zip(edges["source"], edges["target"], strict=True)) == {("GATA1", "KLF1"), ("SPI1", "CD79A")}
    assert set(edges["direction"]) == {"prior"}


def test_a_collection_that_is_not_on_disk(tmp_path):
    with grn.settings.override(data_dir=tmp_path), pytest.raises(DataNotFoundError, match="decoupler"):
        base_grn("dorothea")


@pytest.mark.parametrize(("name", "build"), [("mouse", "mm10"), ("human", "hg38"), ("hg19", "hg19"), ("mm10", "mm10")])
def test_organisms_and_genomes_say_which_calls_work(name, build):
    with pytest.raises(DataNotFoundError) as error:
        base_grn(name)
    text = str(error.value)
    assert f"promoter_base_grn('{build}.fa', build='{build}')" in text
    for call in ("base_grn_from_regions(mdata)", "scan_motifs", "base_grn('collectri'"):
        assert call in text
    for function in ("promoter_base_grn", "base_grn_from_regions", "scan_motifs", "base_grn"):
        assert callable(getattr(grn.pp, function))


def test_unknown_names_are_told_from_files():
    with pytest.raises(ParameterError, match="mean 'collectri'"):
        base_grn("colectri")
    with pytest.raises(ParameterError, match="names are"):
        base_grn("nothing")
    with pytest.raises(DataNotFoundError, match="no file"):
        base_grn("nothing.csv")
    with pytest.raises(ParameterError, match="base_grn_from_regions"):
        base_grn(cells("GATA1"))


@pytest.mark.slow
def test_the_mouse_promoter_table_of_celloracle(shared_dir):
    path = shared_dir / "data" / "priors" / "celloracle_mm10_promoter_base_grn.parquet"
    if not path.is_file():
        pytest.skip("the base GRN of CellOracle is not on this machine")
    found = base_grn(path, adata=cells("Gata1", "Klf1", "Trp53", "Spi1", "Zfpm1", "Hbb-b1", "Cebpa", "Myc"))
    assert found.attrs["base_grn"]["organism"] == "mouse"
    assert ("Klf1", "Gata1") in set(zip(found["source"], found["target"], strict=True))
    assert set(found["source"]) == {"Gata1", "Klf1", "Myc"}
    assert (found["source"] != found["target"].astype(object)).all()
