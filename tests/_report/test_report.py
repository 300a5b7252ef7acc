"""The report of an object: what it says, what it leaves out, what it refuses, and that no name is ever markup."""

import re
from html.parser import HTMLParser

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import GroupError, ParameterError, ResultNotFoundError, StorageError

EVIL = '</style><img src=x onerror="document.title=1">'


class Elements(HTMLParser):
    """Elements of a page with their attributes, and its text by section."""

    def __init__(self):
        super().__init__()
        self.there, self.text, self._at = [], {"": ""}, ""

    def handle_starttag(self, tag, attrs):
        self.there.append((tag, dict(attrs)))
        if tag == "section":
            self._at = dict(attrs)["id"]
            self.text[self._at] = ""

    def handle_data(self, data):
        self.text[self._at] += data


def parsed(path):
    parser = Elements()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a report."""

    def call(data, name="report.html", **arguments):
        return grn.report(data, file=tmp_path / name, **arguments)

    return call


@pytest.fixture(scope="module")
def cells():
    """Real cells of two groups with two networks, confidence and activities."""
    adata = grn.datasets.pbmc68k()
    sources = ["HES4", "SP110", "SP140", "SP100", "GATA3", "KLF3", "IRF1", "EGR1", "SOX4", "HMGA1", "KLF6"]
    genes = [*sources, *(name for name in adata.var_names[:160] if name not in sources)]
    adata = adata[adata.obs["bulk_labels"].isin(["CD14+ Monocyte", "CD19+ B"]), genes].copy()
    adata.obs["bulk_labels"] = adata.obs["bulk_labels"].cat.remove_unused_categories()
    grn.pp.align_genes(adata)
    grn.tl.infer_network(adata, method="correlation", sources=sources, key_added="cor")
    grn.tl.infer_network(adata, method="ridge", sources=sources, groupby="bulk_labels", key_added="ridge")
    grn.tl.confidence(adata, net="cor", n_permutations=3, n_subsamples=2)
    grn.tl.activity(adata, key="cor", top_per_source=10)
    return adata


@pytest.fixture(scope="module")
def said(cells, tmp_path_factory):
    """Text of the sections of its report."""
    return parsed(grn.report(cells, file=tmp_path_factory.mktemp("report") / "report.html")).text


def test_sections(said):
    names = [
        "contents",
        "cautions",
        "genes",
        "network-1",
        "network-2",
        "activity",
        "agreement",
        "methods",
        "references",
    ]
    assert list(said) == ["", *names]


def test_numbers_are_those_of_the_networks(said, cells):
    for number, key in enumerate(("cor", "ridge"), 1):
        net, text = grn.get.network(cells, key=key), said[f"network-{number}"].replace("\u202f", "")
        for group in net.groups or [None]:
            assert str(len(net.filter(group=group))) in text
    assert f"{cells.uns['grn_genes']['kept']} (human)" in said["genes"]
    assert all(name in said["genes"] for name in cells.uns["grn_genes"]["lost_names"][:12])


def test_regulators_are_those_of_rank_regulators(cells, write):
    page = write(cells, keys="ridge", n_regulators=3, top=10**6)
    ranked = grn.tl.rank_regulators(cells, net="ridge", copy=True).uns["ridge"]["regulators"]
    ranked = ranked.sort_values(["group", "degree", "rank"], ascending=[True, False, True])
    text = page.read_text(encoding="utf-8")
    rows = re.search(r"<table><caption>Regulators of.*?</table>", text)[0]
    found = re.findall(r'<td class="gene">([^<]+)</td>', rows)
    expected = ranked.groupby("group", observed=True).head(3)["regulator"].tolist()
    assert found == expected and len(found) == 6


def test_edges_among_the_strongest_are_counted(write):
    edges = pd.DataFrame({"source": list("AABBB"), "target": list("XYXYZ"), "weight": [5.0, 1, 4, 3, 0.5]})
    text = write(edges, top=3).read_text(encoding="utf-8")
    rows = re.search(r"<table><caption>Regulators of.*?</table>", text)[0]
    assert "Of the 3 strongest" in rows
    assert re.findall(r"<td[^>]*>([^<]*)</td>", rows) == ["B", "2", "3", "7.5", "A", "1", "2", "6"]


def test_what_to_keep_in_mind(said):
    text = said["cautions"]
    assert "Few cells (CD19+ B: 95)" in text and "standard error of 0.10" in text
    assert "ridge: No edge was tested" in text and "cor: No edge was tested" not in text


def test_regulators_that_taking_a_tissue_apart_induces(write):
    edges = pd.DataFrame({"source": ["FOS", "SPI1"], "target": ["LYZ", "CD14"], "weight": [2.0, 1.0]})
    text = parsed(write(edges)).text
    assert "leading regulators are FOS, which" in text["cautions"] and "van den Brink" in text["references"]
    assert "van den Brink" not in parsed(write(edges.iloc[1:])).text["references"]


def test_a_network_without_cells_behind_it_says_so(write):
    adata = grn.datasets.toy(n_cells=200, n_regulators=3, n_targets=10)
    grn.Network(adata.uns["truth"], params={"method": "vvp", "context": "virtual"}).write(adata)
    text = parsed(write(adata)).text["cautions"]
    assert "says nothing about these cells" in text and "Few cells" not in text


def test_confidence(said, cells):
    edges = grn.get.edges(cells, key="cor")
    assert re.search(rf"q ≤ 0.1{(edges['qval'] <= 0.1).sum()}{len(edges)}", said["network-1"].replace("\u202f", ""))
    assert "3 permutations of cells, 2 subsamples" in said["network-1"]
    assert "Not tested against chance." in said["network-2"]


def test_agreement_is_that_of_get(said, cells):
    expected = grn.get.agreement(cells, keys=["cor", "ridge"]).iloc[0]
    assert f"{expected['spearman']:.3g}".replace("-", "−") in said["agreement"]


def test_correlation_stands_beside_a_network(cells, write):
    text = parsed(write(cells, keys=["ridge"])).text
    assert "strongest correlations of the same cells" in text["network-1"]
    assert "agreement" not in text


def test_methods_and_references(said, cells):
    text = said["methods"]
    assert f"{cells.n_obs} cells" in text and "3 networks of permuted cells" in text
    assert "one network for each group of bulk_labels" in text and "decoupler" in text
    assert grn.__version__ in said["references"] and "Badia-i-Mompel" in said["references"]
    cited = {int(number) for number in re.findall(r"\[(\d+)\]", text)}
    assert cited == set(range(1, 1 + len(cited))) and len(cited) >= 4


def test_the_same_after_a_round_trip(cells, write, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    first, second = write(cells, "a.html"), write(ad.read_h5ad(tmp_path / "cells.h5ad"), "b.html")
    assert first.read_bytes() == second.read_bytes()


def test_the_object_stays_as_it_was(cells, write):
    before = cells.copy()
    write(cells)
    assert list(before.uns) == list(cells.uns) and before.uns["ridge"]["edges"].equals(cells.uns["ridge"]["edges"])
    assert list(before.obsm) == list(cells.obsm) and list(before.layers) == list(cells.layers)


def test_no_figure_is_left_open_and_the_style_of_the_user_stays(write):
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    edges = pd.DataFrame({"source": ["A"], "target": ["B"], "weight": [1.0]})
    there = plt.get_fignums()
    before = write(edges, "a.html").read_bytes()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert write(edges, "b.html").read_bytes() == before
        assert mpl.rcParams["font.size"] == 30
    assert plt.get_fignums() == there


def test_names_are_never_markup(write):
    edges = pd.DataFrame({"source": [EVIL, "A", "$x{"], "target": ["B", "&lt;", "C"], "weight": [1.0, 2, -3]})
    plain = parsed(write(edges.assign(source=["D", "A", "E"], target=["B", "F", "C"]), "a.html", title="T"))
    path = write(grn.Network(edges, params={"method": EVIL}), "b.html", title=EVIL)
    odd = parsed(path)
    count = lambda page: {tag: sum(t == tag for t, _ in page.there) for tag in ("img", "style", "script", "meta")}  # noqa: E731
    assert count(odd) == count(plain) and count(odd)["script"] == 0
    assert EVIL in "".join(odd.text.values()) and EVIL not in path.read_text(encoding="utf-8")


def test_nothing_is_loaded_from_elsewhere(cells, write):
    page = parsed(write(cells))
    policy = next(a["content"] for _, a in page.there if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'") and "http" not in policy and "script" not in policy
    for tag, attributes in page.there:
        address = attributes.get("src") or attributes.get("href") or ""
        assert address.startswith(("#", "data:")) or not address, (tag, address[:60])
        assert tag != "img" or attributes["alt"]


def test_links_lead_somewhere(cells, write):
    page = parsed(write(cells))
    places = {a["id"] for _, a in page.there if "id" in a}
    assert {a["href"][1:] for tag, a in page.there if tag == "a"} <= places


def test_the_network_of_a_modality(write):
    mdata = grn.datasets.toy_multiome(n_cells=40, n_regulators=2, n_targets=4)
    grn.tl.infer_network(mdata, method="correlation")
    assert "Network grn (correlation)" in parsed(write(mdata)).text["network-1"]
    with pytest.raises(ParameterError, match="'none'"):
        write(mdata, rna="none")


def test_edges_of_genes_that_are_sliced_away_are_counted(cells, write):
    part = cells[:, [name for name in cells.var_names if name != "SOX4"]].copy()
    assert "edges are left out" in parsed(write(part)).text["cautions"]


def test_activities_without_groups_of_cells(cells, write):
    adata = cells.copy()
    del adata.uns["ridge"]
    assert "pass groupby=" in parsed(write(adata)).text["activity"]
    assert "z-score" in parsed(write(adata, groupby="bulk_labels")).text["activity"]


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"n_regulators": 0}, ParameterError, "n_regulators"),
        ({"n_edges": 0}, ParameterError, "n_edges"),
        ({"top": 0}, ParameterError, "top"),
        ({"show": "yes"}, ParameterError, "show"),
        ({"keys": "none"}, ResultNotFoundError, "'none'"),
        ({"keys": []}, ResultNotFoundError, "'cor'"),
        ({"keys": 5}, ParameterError, "keys"),
        ({"activity": "score_ulk"}, ResultNotFoundError, "score_ulm"),
        ({"groupby": "none"}, GroupError, "bulk_labels"),
        ({"name": "report.pdf"}, ParameterError, r"\.html"),
        ({"name": "none/report.html"}, StorageError, "create it first"),
    ],
)
def test_what_cannot_be_used(cells, write, tmp_path, arguments, error, match):
    with pytest.raises(error, match=match):
        write(cells, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_what_holds_no_network(write, tmp_path):
    adata = ad.AnnData(np.ones((3, 2)), var=pd.DataFrame(index=["A", "B"]))
    with pytest.raises(ResultNotFoundError, match="infer_network"):
        write(adata)
    for data in (5, None, "cells.h5ad", np.ones(3)):
        with pytest.raises(ParameterError):
            write(data)
    edges = pd.DataFrame({"source": ["A"], "target": ["B"], "weight": [1.0]})
    with pytest.raises(ParameterError, match="groupby="):
        write(edges, groupby="cells")
    empty = grn.Network(edges).filter(min_abs_weight=2)
    with pytest.raises(ResultNotFoundError, match="no edges"):
        write(empty)
    assert list(tmp_path.iterdir()) == []


def test_it_is_opened_only_when_asked(write, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    edges = pd.DataFrame({"source": ["A"], "target": ["B"], "weight": [1.0]})
    write(edges)
    assert opened == []
    path = write(edges, show=True)
    assert opened == [path.resolve().as_uri()]
