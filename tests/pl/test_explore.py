"""The page of a network: what it holds, what it refuses, and that no name is ever markup."""

import importlib.util
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import GroupError, ParameterError, ResultNotFoundError, StorageError
from grn.pl import _explore

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "src" / "grn" / "pl" / "_explorer" / "assets"
EVIL = '</script><img src=x onerror="document.title=1">'


class Elements(HTMLParser):
    """Elements of a page with their attributes, and the text of scripts."""

    def __init__(self):
        super().__init__()
        self.there, self.scripts = [], []

    def handle_starttag(self, tag, attrs):
        self.there.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.there and self.there[-1][0] == "script":
            self.scripts[-1] += data


def elements(path):
    parser = Elements()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


def held(path):
    """What the scripts of a page read."""
    return json.loads(elements(path).scripts[0])


def as_frame(content):
    """The edge table that a page holds."""
    table = {end: [content["genes"][i] for i in content[end]] for end in ("source", "target")}
    for column in content["columns"]:
        if column["kind"] == "word":
            table[column["name"]] = [None if code < 0 else column["levels"][code] for code in column["codes"]]
        else:
            table[column["name"]] = [float("inf") if value == "inf" else value for value in column["values"]]
    return pd.DataFrame(table)


@pytest.fixture
def page(tmp_path):
    """Return a function that writes a page of a network."""

    def write(data, name="page.html", **arguments):
        return grn.pl.explore(data, file=tmp_path / name, **arguments)

    return write


@pytest.fixture
def rich(make_edges) -> grn.Network:
    """Edges of two groups with every column that can be filtered."""
    rng = np.random.default_rng(1)
    edges = pd.concat([make_edges(150, seed=i).assign(group=name) for i, name in enumerate(("B cell", "T cell"))])
    edges["qval"] = rng.uniform(0, 1, 300)
    edges["stability"] = np.where(rng.uniform(size=300) < 0.1, np.nan, rng.uniform(0, 1, 300))
    edges["direction"] = rng.choice(["motif", "prior", "role", "none"], 300)
    return grn.Network(edges, params={"method": "ridge", "alpha": 1.0, "sources": None})


def test_the_page_holds_the_edges_as_they_are(page, rich):
    content = held(page(rich))
    back = as_frame(content)
    for name, column in rich.edges.items():
        if pd.api.types.is_numeric_dtype(column):
            np.testing.assert_array_equal(back[name].astype(float), column)
        else:
            assert back[name].tolist() == column.astype(object).tolist(), name
    assert content["total"] == len(back) == 300
    assert content["genes"] == sorted({*rich.regulators, *rich.targets})


def test_numbers_that_json_lacks(page):
    odd = pd.DataFrame({"source": "A", "target": ["B", "C", "D"], "weight": [0.1, 0.2, 0.3]})
    content = held(page(odd.assign(ratio=[np.inf, -np.inf, np.nan], seen=[True, False, True], lag=[1, 2, 3])))
    columns = {column["name"]: column for column in content["columns"]}
    assert sorted(map(str, columns["ratio"]["values"])) == ["-inf", "None", "inf"]
    assert (columns["seen"]["kind"], columns["lag"]["kind"]) == ("flag", "whole")


def test_arrows_only_where_the_network_says_what_tells_the_direction(page, rich):
    content = held(page(rich))
    assert content["points"] == (rich.edges["direction"].astype(object) != "none").astype(int).tolist()
    table = pd.DataFrame({"source": ["A", "B"], "target": ["B", "C"], "weight": [1.0, -2.0]})
    assert set(held(page(table))["points"]) == {1}
    undirected = held(page(grn.Network(table, directed=False)))
    assert set(undirected["points"]) == {0} and undirected["words"] == []
    assert undirected["sign"] == [-1, 1]


def test_names_are_never_markup(page):
    edges = pd.DataFrame({"source": [EVIL, "<!--", "A"], "target": ["B", "]]>&amp;", "C&lt;"], "weight": [1.0, 2, 3]})
    edges["group"] = [EVIL, "b", "c"]
    plain = elements(page(pd.DataFrame({"source": ["A"], "target": ["B"], "weight": [1.0], "group": ["a"]}), "a.html"))
    path = page(grn.Network(edges, params={EVIL: EVIL}), title=EVIL)
    parsed = elements(path)
    assert [tag for tag, _ in parsed.there] == [tag for tag, _ in plain.there]
    content = held(path)
    assert EVIL in content["genes"] and content["title"] == EVIL and content["provenance"] == [[EVIL, EVIL]]
    assert EVIL not in path.read_text(encoding="utf-8")


def test_placeholders_in_names_stay_names(page):
    content = held(page(pd.DataFrame({"source": ["{{script}}"], "target": ["{{data}}"], "weight": [1.0]})))
    assert content["genes"] == ["{{data}}", "{{script}}"]


def test_nothing_is_loaded_from_elsewhere(page, tiny):
    parsed = elements(page(tiny))
    policy = next(a["content"] for _, a in parsed.there if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and "http" not in policy and "unsafe-eval" not in policy
    assert policy.count("'sha256-") == 2 and "script-src 'unsafe" not in policy
    for tag, attributes in parsed.there:
        address = attributes.get("src") or attributes.get("href") or ""
        assert not address or address.startswith(("#", "data:")), (tag, address)


def test_the_scripts_make_text_and_no_markup():
    for path in [*ASSETS.glob("*.js"), ASSETS / "template.html", ASSETS / "explorer.css"]:
        text = path.read_text(encoding="utf-8")
        if path.name != "cytoscape.min.js":
            assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|fetch\(|XMLHttp", text)
            assert len(text.splitlines()) < 400
        assert "</script" not in text.replace("</script>", "", 3 if path.suffix == ".html" else 0), path.name


def test_every_script_is_part_of_the_page():
    from grn.pl._explorer.page import LIBRARY, MODULES

    assert {path.name for path in ASSETS.glob("*.js")} == {LIBRARY, *MODULES}


def test_the_library_is_the_one_whose_hash_is_known():
    spec = importlib.util.spec_from_file_location("fetch_cytoscape", ROOT / "scripts" / "fetch_cytoscape.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.differing() == []
    licence = (ASSETS / "cytoscape.LICENSE").read_text(encoding="utf-8")
    assert "Cytoscape Consortium" in licence and "without restriction" in licence


def test_the_licence_of_the_library_is_in_the_page(page, tiny):
    assert "Copyright (c) 2016-2026, The Cytoscape Consortium" in page(tiny).read_text(encoding="utf-8")


def test_the_same_input_gives_the_same_bytes(page, rich):
    shuffled = grn.Network(rich.edges.sample(frac=1, random_state=0), params=rich.params)
    assert page(rich, "a.html").read_bytes() == page(shuffled, "b.html").read_bytes()


def test_edges_that_are_left_out_are_counted(page, rich, caplog):
    caplog.set_level("WARNING", logger="grn")
    content = held(page(rich, max_edges=40))
    assert "40 strongest of 300 edges" in caplog.text
    assert content["total"] == 300
    weights = rich.edges["weight"].abs().sort_values(ascending=False)
    assert as_frame(content)["weight"].abs().min() == weights.iloc[39]
    caplog.clear()
    assert len(held(page(rich, max_edges=300))["source"]) == 300 and caplog.text == ""


def test_more_edges_than_a_page_holds(page, rich, monkeypatch, tmp_path):
    monkeypatch.setattr(_explore, "MOST_EDGES", 200)
    with pytest.raises(ParameterError, match=r"300 edges, a page holds 200.*max_edges=.*group="):
        page(rich)
    assert list(tmp_path.iterdir()) == []
    assert len(held(page(rich, group="B cell"))["source"]) == 150
    assert len(held(page(rich, max_edges=200))["source"]) == 200


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"max_edges": 0}, ParameterError, "max_edges"),
        ({"max_edges": 20_001}, ParameterError, "max_edges"),
        ({"max_drawn": 0}, ParameterError, "max_drawn"),
        ({"show": "yes"}, ParameterError, "show"),
        ({"group": "none"}, GroupError, "B cell"),
        ({"palette": ["no colour"]}, ParameterError, "palette"),
        ({"name": "page.txt"}, ParameterError, r"\.html"),
        ({"name": "none/page.html"}, StorageError, "create it first"),
    ],
)
def test_what_cannot_be_used(page, rich, tmp_path, arguments, error, said):
    with pytest.raises(error, match=said):
        page(rich, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_no_network(page):
    adata = ad.AnnData(np.ones((2, 2)), var=pd.DataFrame(index=["A", "B"]))
    with pytest.raises(ResultNotFoundError, match="'second'"):
        page(adata, key="second")
    empty = grn.Network(pd.DataFrame({"source": ["A"], "target": ["B"], "weight": [1.0]})).filter(min_abs_weight=2)
    with pytest.raises(ParameterError, match="no edges"):
        page(empty)


def test_an_object_shows_its_network_its_provenance_and_its_curves(page):
    adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=8)
    grn.tl.infer_network(adata, method="ridge", key_added="net")
    network = grn.get.network(adata, key="net")
    source = network.regulators[0]
    adata.varm["vvp"] = np.arange(adata.n_vars * 3, dtype="float32").reshape(adata.n_vars, 1, 3)
    adata.uns["vvp"] = {"sources": np.array([source]), "grid": np.array([1.0, -1, 2]), "value_scale": "z", "params": {}}
    before = adata.copy()
    content = held(page(adata, key="net"))
    assert content["title"] == "Network by ridge"
    assert dict(map(tuple, content["provenance"]))["method"] == "ridge"
    (curve,) = content["curves"]
    assert (curve["key"], curve["grid"]) == ("vvp", [-1.0, 1.0, 2.0])
    for row, values in enumerate(curve["values"]):
        ends = [content["genes"][content[end][row]] for end in ("source", "target")]
        expected = None if ends[0] != source else grn.get.features(adata, key="vvp").pair(*ends)[[1, 0, 2]].tolist()
        assert values == expected
    assert held(page(adata, key="net", curves=[]))["curves"] == []
    with pytest.raises(ResultNotFoundError):
        page(adata, key="net", curves=["pert"])
    assert set(adata.uns) == set(before.uns) and adata.uns["net"]["edges"].equals(before.uns["net"]["edges"])


def test_probes_that_cannot_be_read_leave_the_page_without_curves(page, tiny, caplog):
    adata = ad.AnnData(np.ones((2, 7)), var=pd.DataFrame(index=sorted({*tiny["source"], *tiny["target"], "X"})))
    grn.Network(tiny).write(adata)
    adata.varm["vvp"] = np.ones((7, 1, 3), dtype="float32")
    adata.uns["vvp"] = {"sources": np.array(["SPI1"]), "grid": "none"}
    caplog.set_level("WARNING", logger="grn")
    assert held(page(adata))["curves"] == [] and "'vvp'" in caplog.text
    with pytest.raises(ResultNotFoundError, match="grid"):
        page(adata, curves=["vvp"])


def test_the_network_of_a_modality(page):
    mdata = grn.datasets.toy_multiome(n_cells=10, n_regulators=2, n_targets=4)
    planted = mdata.uns["truth"][["source", "target"]].drop_duplicates()
    network = grn.Network(planted.assign(weight=1.0))
    network.write(mdata["rna"])
    assert len(held(page(mdata))["source"]) == len(network)


def test_edges_of_genes_that_are_sliced_away_are_hidden(page, tiny, caplog):
    adata = ad.AnnData(np.ones((2, 6)), var=pd.DataFrame(index=sorted({*tiny["source"], *tiny["target"]})))
    grn.Network(tiny).write(adata)
    caplog.set_level("INFO", logger="grn")
    content = held(page(adata[:, [name != "LYZ" for name in adata.var_names]]))
    assert len(content["source"]) == 5 and "hid 1 of 6" in caplog.text


def test_it_is_opened_only_when_asked(page, tiny, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    page(tiny)
    assert opened == []
    path = page(tiny, show=True)
    assert opened == [path.resolve().as_uri()]


def test_a_file_that_cannot_be_replaced_stays_as_it_was(page, tiny, tmp_path, monkeypatch):
    (tmp_path / "page.html").write_text("before")
    monkeypatch.setattr(_explore, "page", lambda *_, **__: "\ud800")
    with pytest.raises(UnicodeEncodeError):
        page(tiny)
    assert (tmp_path / "page.html").read_text() == "before" and len(list(tmp_path.iterdir())) == 1
