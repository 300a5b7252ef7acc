"""Draw docs/explorer.png, the page of the network of the demo in a browser.

``python scripts/draw_explorer.py`` needs playwright and a chromium on the path.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import grn

PICTURE = Path(__file__).parents[1] / "docs" / "explorer.png"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")


def page(folder: str) -> Path:
    """The page of the network of 700 blood cells, its 5 000 strongest edges."""
    adata = grn.datasets.pbmc68k()
    grn.pp.align_genes(adata)
    grn.pp.annotate_regulators(adata)
    grn.tl.infer_network(adata)
    return grn.pl.explore(adata, file=f"{folder}/network.html", max_edges=5000)


def main() -> None:
    """Write the picture."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("no chromium on this machine: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS, headless=True)
        shot = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
        shot.goto(page(folder).as_uri())
        shot.wait_for_function("document.documentElement.dataset.painted")
        shot.screenshot(path=PICTURE)
        browser.close()
    with Image.open(PICTURE) as picture:
        few = picture.convert("RGB").quantize(96)
    few.save(PICTURE, optimize=True)
    print(f"wrote {PICTURE.name}, {PICTURE.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
