"""The page of a network in a real browser: it loads, finds, filters as Network.filter does, exports what passes."""

import io
import re
import shutil

import numpy as np
import pandas as pd
import pytest

import grn

api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium"),
]
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
EVIL = "</script><img src=x onerror=\"document.title='owned'\">"
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def network() -> grn.Network:
    """700 edges of two groups, with every column that can be filtered and a gene that is called like markup."""
    rng = np.random.default_rng(0)
    genes = [f"GENE{i}" for i in range(60)]
    names = [f"TF{i}" for i in range(12)]
    pairs = [(s, t) for s in names for t in genes + names if s != t]
    parts = []
    for group in ("B cell", "T cell"):
        chosen = [pairs[i] for i in rng.permutation(len(pairs))[:349]]
        parts.append(pd.DataFrame(chosen, columns=["source", "target"]).assign(group=group))
        parts.append(pd.DataFrame({"source": ["TF0"], "target": [EVIL], "group": [group]}))
    edges = pd.concat(parts, ignore_index=True)
    n = len(edges)
    edges["weight"] = rng.uniform(0.01, 1, n) * rng.choice([1, -1], n)
    edges["sign"] = np.where(rng.uniform(size=n) < 0.1, np.nan, np.sign(edges["weight"]))
    edges["weight"] = np.where(edges["sign"].isna(), edges["weight"].abs(), edges["weight"])
    edges["probability"] = rng.uniform(0, 1, n)
    edges["qval"] = rng.uniform(0, 1, n)
    edges["stability"] = np.where(rng.uniform(size=n) < 0.1, np.nan, rng.uniform(0, 1, n))
    edges["direction"] = rng.choice(["motif", "prior", "role", "none"], n)
    edges.loc[edges["target"] == EVIL, ["weight", "sign"]] = 5.0, 1.0
    return grn.Network(edges, params={"method": "ridge"})


@pytest.fixture(scope="module")
def file(network, tmp_path_factory):
    return grn.pl.explore(network, file=tmp_path_factory.mktemp("page") / "network.html", title=EVIL)


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=True, timeout=60_000)
        yield started
        started.close()


@pytest.fixture
def visit(browser):
    """Return a function that opens a file; at the end nothing was said on the console or asked of the network."""
    contexts, said = [], []

    def go(path, *, size=DESKTOP, scheme="light"):
        context = browser.new_context(viewport=size, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on(
            "request", lambda request: request.url.startswith(("file:", "data:", "blob:")) or said.append(request.url)
        )
        page.goto(path.as_uri())
        page.wait_for_function("document.documentElement.dataset.painted")
        return page

    yield go
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture
def page(visit, file):
    return visit(file)


def passing(page) -> int:
    """Rows of the table of edges."""
    return int(page.get_attribute("#edges .table", "aria-rowcount")) - 1


def stated(page) -> list[int]:
    """Numbers of the statement: drawn, of how many that pass, of how many in all."""
    text = page.inner_text("#statement").replace("\u202f", "")
    return [int(number) for number in re.findall(r"\d+", text)]


def bound(page, name, value):
    page.fill(f"#{name}", str(value))
    page.press(f"#{name}", "Enter")


def download(page, kind) -> bytes:
    page.click("#export summary")
    with page.expect_download() as waiting:
        page.click(f"[data-export={kind}]")
    return waiting.value.path().read_bytes()


def read(table: bytes) -> pd.DataFrame:
    """A table with numbers as they were written."""
    return pd.read_csv(io.BytesIO(table), float_precision="round_trip")


def test_it_loads_and_says_how_much_it_shows(page, network):
    assert stated(page)[:2] == [300, 700]
    assert passing(page) == len(network) == 700
    assert page.locator("#picture canvas").count() >= 2


def test_a_gene_that_is_called_like_markup_is_a_name(page):
    assert page.inner_text("h1") == EVIL and page.title() == EVIL
    assert page.locator("img").count() == 0
    page.click("#tab-edges")
    assert page.inner_text("#edges .body .row >> nth=0").split("\n")[1] == EVIL
    page.fill("#search", "<img")
    assert page.inner_text("#suggestions .gene") == EVIL
    page.press("#search", "Enter")
    assert page.inner_text("#details h2") == EVIL
    assert page.title() == EVIL and page.locator("img").count() == 0


def test_search_finds_a_gene_and_puts_it_in_focus(page, network):
    page.fill("#search", "tf1")
    assert page.locator("#suggestions .gene").all_inner_texts()[0] == "TF1"
    page.press("#search", "Enter")
    assert page.inner_text("#details h2") == "TF1"
    edges = network.edges.astype({"source": object, "target": object})
    near = {"TF1", *edges.loc[edges["source"] == "TF1", "target"], *edges.loc[edges["target"] == "TF1", "source"]}
    assert passing(page) == (edges["source"].isin(near) & edges["target"].isin(near)).sum() < 700
    page.click("text=2 hops")
    assert passing(page) == 700
    page.click("#whole")
    assert passing(page) == 700 and page.is_hidden("#focusbar")
    page.fill("#search", "no such gene")
    assert "No gene" in page.inner_text("#suggestions")


@pytest.mark.parametrize(
    ("controls", "conditions"),
    [
        ({"min-weight": 0.4}, {"min_abs_weight": 0.4}),
        ({"bound-probability": 0.3}, {"min_probability": 0.3}),
        ({"bound-qval": 0.2}, {"max_q": 0.2}),
        ({"bound-stability": 0.5}, {"min_stability": 0.5}),
        ({"top": 2}, {"top_per_target": 2}),
        ({"bound-probability": 0.2, "bound-qval": 0.7, "top": 3},
         {"min_probability": 0.2, "max_q": 0.7, "top_per_target": 3}),
    ],
)  # fmt: skip
def test_bounds_filter_as_the_network_does(page, network, controls, conditions):
    for name, value in controls.items():
        bound(page, name, value)
    expected = network.filter(**conditions)
    assert 0 < len(expected) < 700
    assert passing(page) == len(expected)
    assert stated(page)[:3] == [min(300, stated(page)[0]), len(expected), 700]
    page.click("#reset")
    assert passing(page) == 700


def test_signs_words_and_groups_filter_as_the_network_does(page, network):
    page.uncheck("#sign-2")
    assert passing(page) == len(network.filter(signed_only=True)) < 700
    page.uncheck("#sign-1")
    assert passing(page) == (network.edges["sign"] == 1).sum()
    page.click("#reset")
    words = [text.split("\n")[0] for text in page.locator("label.tick:has([id^=direction])").all_inner_texts()]
    assert words == ["motif", "prior", "role", "none"]
    page.uncheck("#direction-2")
    page.uncheck("#direction-3")
    assert passing(page) == len(network.filter(direction=["motif", "prior"]))
    page.click("#reset")
    page.select_option("#group", label="T cell")
    assert passing(page) == len(network.filter(group="T cell")) == 350
    bound(page, "top", 1)
    assert passing(page) == len(network.filter(group="T cell", top_per_target=1))


def test_only_columns_that_exist_have_filters(visit, tmp_path):
    plain = pd.DataFrame({"source": ["A", "A"], "target": ["B", "C"], "weight": [1.0, 2.0]})
    page = visit(grn.pl.explore(plain, file=tmp_path / "plain.html"))
    there = {
        name: page.locator(f"#{name}").count() for name in ("bound-probability", "bound-qval", "group", "min-weight")
    }
    assert there == {"bound-probability": 0, "bound-qval": 0, "group": 0, "min-weight": 1}
    assert page.locator("[id^=direction]").count() == 0


def test_groups_side_by_side(page):
    page.select_option("#group", "side")
    assert page.locator(".panel").count() == 2
    assert page.locator(".panel h3").all_inner_texts() == ["B cell (150 edges)", "T cell (150 edges)"]
    page.select_option("#colour", "group")
    assert "B cell" in page.inner_text("#legend")


def test_the_exported_table_is_the_edges_that_pass(page, network):
    bound(page, "bound-probability", 0.6)
    back = read(download(page, "csv"))
    expected = network.filter(min_probability=0.6).edges
    expected = expected.astype({name: object for name in expected if expected[name].dtype == "category"})
    pd.testing.assert_frame_equal(back, expected.reset_index(drop=True), check_dtype=False, check_exact=True)


def test_names_that_a_spreadsheet_would_compute_get_an_apostrophe(visit, tmp_path):
    edges = pd.DataFrame({"source": ["=1+1", "A,B"], "target": ["-X", 'C"D'], "weight": [1e-7, -2e22]})
    page = visit(grn.pl.explore(edges, file=tmp_path / "odd.html"))
    back = read(download(page, "csv"))
    assert back["source"].tolist() == ["A,B", "'=1+1"] and back["target"].tolist() == ['C"D', "'-X"]
    assert back["weight"].tolist() == [-2e22, 1e-7]


@pytest.mark.parametrize("group", [None, "T cell"])
def test_the_exported_graph_is_that_of_the_network(page, network, tmp_path, group):
    nx = pytest.importorskip("networkx", reason="networkx is not installed")
    if group:
        page.select_option("#group", label=group)
    (tmp_path / "page.graphml").write_bytes(download(page, "graphml"))
    (network.filter(group=group) if group else network).to_graphml(tmp_path / "network.graphml")

    def edges(name):
        graph = nx.read_graphml(tmp_path / name)
        return sorted((s, t, sorted(values.items())) for s, t, values in graph.edges(data=True)), dict(
            graph.nodes(data=True)
        )

    assert edges("page.graphml") == edges("network.graphml")


def test_the_picture_can_be_saved(page):
    text = download(page, "svg").decode()
    assert text.startswith("<svg") and 200 < text.count("<path") and "TF0" in text and EVIL not in text
    import xml.etree.ElementTree as ElementTree

    ElementTree.fromstring(text)
    assert download(page, "png").startswith(b"\x89PNG")


def test_arrows_stand_at_edges_with_evidence_only(visit, tmp_path):
    table = pd.DataFrame({"source": ["A", "B", "C"], "target": ["B", "A", "D"], "weight": [3.0, 2.0, 1.0]})
    page = visit(grn.pl.explore(table.assign(direction="none"), file=tmp_path / "none.html"))
    assert stated(page)[:2] == [2, 3], "a pair without direction is drawn once"
    assert page.inner_text("#legend").split("\n")[:2] == ["sign unknown", "no known direction"]
    page = visit(grn.pl.explore(table, file=tmp_path / "known.html"))
    assert stated(page)[:2] == [3, 3] and "no known direction" not in page.inner_text("#legend")


def test_tables_sort_and_hold_all_edges(page, network):
    counts = network.edges.groupby("source", observed=True)["target"].nunique()
    rows = page.locator("#regulators .body .row")
    first = rows.nth(0).locator("div").all_inner_texts()
    assert int(first[1]) == counts.max() and counts[first[0]] == counts.max()
    page.click("#regulators [data-column=partners] button")
    assert int(rows.nth(0).locator("div").all_inner_texts()[1]) == counts.min()
    page.click("#tab-edges")
    page.click("#edges [data-column=qval] button")
    smallest = network.edges["qval"].max()
    assert page.get_attribute("#edges [data-column=qval]", "aria-sort") == "descending"
    texts = page.locator("#edges .body .row >> nth=0").locator("div").all_inner_texts()
    assert f"{smallest:.4g}"[:5] in " ".join(texts)
    assert page.locator("#edges .body .row").count() < 60, "only rows in sight are made"
    page.eval_on_selector("#edges .scroll", "place => { place.scrollTop = place.scrollHeight; }")
    page.wait_for_selector('#edges .row[aria-rowindex="701"]')


def test_details_of_an_edge(page, network):
    page.click("#tab-edges")
    page.click("#edges .body .row >> nth=3")
    page.click("#tab-details")
    edge = network.edges.reindex(network.edges["weight"].abs().sort_values(ascending=False, kind="stable").index).iloc[
        3
    ]
    text = page.inner_text("#details")
    assert edge["source"] in text and edge["target"] in text and edge["group"] in text
    for name in ("probability", "qval"):
        assert f"{edge[name]}" in text
    assert "told by" in text and "Not among the edges drawn" not in text
    page.keyboard.press("e")
    page.keyboard.press("End")
    page.keyboard.press("i")
    assert "Not among the edges drawn" in page.inner_text("#details")
    assert page.inner_text("#details h2") in page.inner_text("#said")


def test_the_curve_of_an_edge(visit, tmp_path):
    adata = grn.datasets.toy(n_cells=30, n_regulators=3, n_targets=5)
    grn.Network(adata.uns["truth"]).write(adata)
    adata.varm["vvp"] = np.ones((adata.n_vars, 3, 3), dtype="float32")
    sources = grn.get.network(adata).regulators[:3]
    adata.uns["vvp"] = {"sources": np.array(sources), "grid": np.array([-1.0, 1, 2]), "value_scale": "z", "params": {}}
    page = visit(grn.pl.explore(adata, file=tmp_path / "curves.html"))
    page.click("#tab-edges")
    page.click("#edges .body .row >> nth=0")
    page.click("#tab-details")
    assert page.locator("#details svg.chart path").count() == 1
    assert page.locator("#details svg.chart circle").count() == 4, "three values and the baseline"


def test_everything_can_be_done_with_the_keyboard(page):
    page.keyboard.press("/")
    page.keyboard.type("TF3")
    page.keyboard.press("Enter")
    assert page.inner_text("#details h2") == "TF3" and passing(page) < 700
    page.keyboard.press("2")
    assert passing(page) == 700 and page.inner_text("[aria-pressed=true]") == "2 hops"
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert page.is_hidden("#focusbar")
    page.keyboard.press("n")
    first = page.inner_text("#details h2")
    page.keyboard.press("n")
    assert page.inner_text("#details h2") != first
    page.keyboard.press("p")
    assert page.inner_text("#details h2") == first
    page.keyboard.press("e")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.locator("#edges .row.chosen").get_attribute("aria-rowindex") == "3"
    page.keyboard.press("Enter")
    assert page.locator(".chip").count() == 2
    page.keyboard.press("g")
    assert page.input_value("#group") == "0"
    page.keyboard.press("?")
    assert page.locator("#about").evaluate("dialog => dialog.open") and "ridge" in page.inner_text("#about")
    page.keyboard.press("Escape")
    assert not page.locator("#about").evaluate("dialog => dialog.open")


def test_every_control_has_a_name_and_shows_the_focus(page):
    names = page.eval_on_selector_all(
        "button, input:not([aria-hidden]), select, [tabindex='0']",
        "all => all.map(e => e.getAttribute('aria-label') || e.textContent.trim() || (e.labels || [])[0]?.innerText)",
    )
    assert len(names) > 20 and all(names)
    page.keyboard.press("Tab")
    seen = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("getComputedStyle(document.activeElement).outlineStyle + document.activeElement.id"))
    assert not [entry for entry in seen if entry.startswith("none")] and len(seen) > 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(visit, file, scheme):
    page = visit(file, scheme=scheme)
    dark = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(dark)
    assert (before == "rgb(255, 255, 255)") == (scheme == "light")
    page.keyboard.press("d")
    assert page.evaluate(dark) != before


@pytest.mark.parametrize("size", [DESKTOP, PHONE, {"width": 900, "height": 700}], ids=["desktop", "phone", "tablet"])
def test_nothing_is_wider_than_the_screen(visit, file, size):
    page = visit(file, size=size)
    for tab in ("regulators", "edges", "details"):
        page.click(f"#tab-{tab}")
        wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], tab
    if size is PHONE:
        page.click("#tab-filters")
        assert page.is_visible("#min-weight") and page.is_hidden("#details")
        page.click("#tab-targets")
        assert page.is_hidden("#min-weight") and page.locator("#targets .body .row").count() > 5


def test_the_same_file_gives_the_same_picture(visit, file):
    one, two = (download(visit(file), "svg") for _ in range(2))
    assert one == two
