"""The report in a real browser: it loads without a word, fits a phone, and prints."""

import shutil

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
EVIL = "</style><img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The report of two networks, one with groups, names like markup and a column too many for a phone."""
    adata = grn.datasets.toy(n_cells=120, n_regulators=5, n_targets=30)
    adata.obs["type"] = pd.Categorical(["a long name of a type of cells", "B"] * 60)
    grn.tl.infer_network(adata, method="correlation", groupby="type")
    grn.tl.infer_network(adata, method="ridge", key_added=EVIL.replace("/", ""))
    grn.tl.activity(adata)
    return grn.report(adata, file=tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=True, timeout=60_000)
        yield started
        started.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_it_loads_without_a_word_and_fits(browser, file, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: request.url.startswith(("file:", "data:")) or said.append(request.url))
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == width
    pictures = page.evaluate("[...document.images].map((image) => image.complete && image.naturalWidth > 100)")
    assert len(pictures) == 3 and all(pictures)
    assert page.title() == "2 gene regulatory networks"
    # tables that are wider scroll in their own place
    wide = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth).length"
    )
    assert (wide > 0) == (width == 390)
    context.close()
    assert said == []


def test_it_prints(browser, file):
    page = browser.new_page()
    page.goto(file.as_uri())
    printed = page.pdf(prefer_css_page_size=True)
    page.close()
    assert printed.startswith(b"%PDF") and 3 <= printed.count(b"/Type /Page\n") <= 20
