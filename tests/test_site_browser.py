"""The built site in a real browser: no table is cut off and no page scrolls sideways, on a desktop and on a phone.

``GRN_DOCS_HTML=FOLDER`` names a site that ``sphinx-build`` has made; ``.ci/run`` does so after it has built one.
"""

import os
import shutil
from pathlib import Path

import pytest

api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SITE = os.environ.get("GRN_DOCS_HTML", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium"),
    pytest.mark.skipif(not SITE, reason="GRN_DOCS_HTML names no built site"),
]
FLAGS = "--no-sandbox --disable-gpu --no-first-run --disable-background-networking".split()
WIDTHS = {"desktop": 1280, "phone": 390}
# of the pages of functions, which are made alike, one in so many is looked at
EVERY = 8
# how far the page is wider than the window, and tables of which something can never be seen
LOOK = """() => {
  const edge = document.documentElement.clientWidth, cut = [];
  for (const table of document.querySelectorAll('table')) {
    const box = table.getBoundingClientRect();
    let scrolls = box.width === 0 || box.right <= edge + 1;
    for (let around = table.parentElement; around && around !== document.body; around = around.parentElement) {
      const style = getComputedStyle(around).overflowX, frame = around.getBoundingClientRect();
      if (box.right <= frame.right + 1) continue;
      if (['auto', 'scroll'].includes(style) && frame.right <= edge + 1) { scrolls = true; break; }
      if (['hidden', 'clip'].includes(style)) { scrolls = false; break; }
    }
    if (!scrolls) cut.push(table.innerText.slice(0, 60));
  }
  return [document.documentElement.scrollWidth - edge, cut];
}"""


def pages():
    """Pages of the site, and some of those of the functions."""
    found = sorted(page for page in Path(SITE).rglob("*.html") if not page.relative_to(SITE).parts[0].startswith("_"))
    made_alike = [page for page in found if "generated" in page.parts]
    return [page for page in found if page not in made_alike] + made_alike[::EVERY]


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=True, timeout=60_000)
        yield started
        started.close()


@pytest.fixture
def visit(browser, request):
    """A page of the browser that asks nothing of the network."""
    tab = browser.new_page(viewport={"width": WIDTHS[request.param], "height": 900})
    tab.route("**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort())
    yield lambda path: tab.goto(path.as_uri(), wait_until="domcontentloaded") and tab
    tab.close()


@pytest.mark.parametrize("visit", WIDTHS, indirect=True)
def test_nothing_is_cut_off_and_no_page_scrolls_sideways(visit):
    assert len(pages()) > 40
    wrong = {}
    for path in pages():
        if path.name == "404.html":  # its files are found from the root of a server
            continue
        wider, cut = visit(path).evaluate(LOOK)
        if wider > 0 or cut:
            wrong[str(path.relative_to(SITE))] = wider, cut
    assert wrong == {}


@pytest.mark.parametrize("visit", ["desktop"], indirect=True)
def test_the_first_page_has_a_picture_three_doors_and_groups_on_the_left(visit):
    tab = visit(Path(SITE) / "index.html")
    assert tab.locator(".cell_output img").count() == 1
    assert tab.locator(".door").count() == 3
    assert tab.locator("#pst-primary-sidebar .caption-text").count() >= 7


@pytest.mark.parametrize("visit", ["desktop"], indirect=True)
def test_executed_pages_can_be_downloaded_as_notebooks(visit):
    for name in ("quickstart", "gallery"):
        link = visit(Path(SITE) / f"{name}.html").locator(".btn-download-notebook-button")
        assert link.count() == 1
        assert (Path(SITE) / link.get_attribute("href").partition("#")[0]).exists()
