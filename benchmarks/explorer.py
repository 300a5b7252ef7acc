"""Seconds to write the page of a network, and of a browser to its first picture.

``python benchmarks/explorer.py`` needs playwright and a chromium on the path. It prints a table in Markdown. Networks
are made at random: regulators with targets by a power law, three groups, all columns that can be filtered.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import grn

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
# from the choice of another limit to its picture
CHANGE = """() => new Promise((done) => {
  const start = performance.now(), field = document.getElementById("bound-probability");
  field.value = 0.5;
  field.dispatchEvent(new Event("change"));
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
})"""


def network(n_edges: int, *, seed: int = 0) -> grn.Network:
    """A random network with every column that can be filtered."""
    rng = np.random.default_rng(seed)
    regulators = [f"TF{i}" for i in range(60)]
    targets = [f"GENE{i}" for i in range(1500)] + regulators
    share = np.arange(1, 61.0) ** -0.7
    n = 2 * n_edges
    table = pd.DataFrame(
        {
            "source": rng.choice(regulators, n, p=share / share.sum()),
            "target": rng.choice(targets, n),
            "group": rng.choice(["naive", "Th1", "Th17"], n),
        }
    )
    table = table[table["source"] != table["target"]].drop_duplicates().head(n_edges).reset_index(drop=True)
    n = len(table)
    table["weight"] = rng.gamma(2, 0.2, n) * rng.choice([1, 1, -1], n)
    table["sign"] = np.sign(table["weight"])
    for name in ("probability", "qval", "stability"):
        table[name] = rng.uniform(0, 1, n)
    table["direction"] = rng.choice(["motif", "prior", "role", "none"], n)
    return grn.Network(table)


def first_picture(browser: object, path: Path) -> tuple[float, float, float]:
    """Seconds from the call of the page to its first picture, of the processor until then, of a change of a filter."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    meter = page.context.new_cdp_session(page)
    meter.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(path.as_uri())
    page.wait_for_function("document.documentElement.dataset.painted")
    painted = float(page.evaluate("document.documentElement.dataset.painted"))
    metrics = {entry["name"]: entry["value"] for entry in meter.send("Performance.getMetrics")["metrics"]}
    changed = float(page.evaluate(CHANGE))
    page.close()
    return painted / 1000, metrics["TaskDuration"], changed / 1000


def main() -> None:
    """Measure, and print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[300, 1000, 5000, 20_000], help="numbers of edges")
    parser.add_argument("--repeats", type=int, default=5, help="pages opened of each size")
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("no chromium on this machine: apt-get install chromium")
    print("| edges | page, MB | to write, s | first picture, s | slowest, s | its processor time, s | a filter, s |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        grn.pl.explore(network(50), file=Path(folder) / "first.html")  # what is imported then is not counted
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS, headless=True)
        for size in args.sizes:
            net = network(size)
            start = time.perf_counter()
            path = grn.pl.explore(net, file=Path(folder) / f"{size}.html")
            wrote = time.perf_counter() - start
            times = [first_picture(browser, path) for _ in range(args.repeats)]
            painted, busy, changed = zip(*times, strict=True)
            print(
                f"| {len(net)} | {path.stat().st_size / 1e6:.1f} | {wrote:.2f} | {statistics.median(painted):.2f} | "
                f"{max(painted):.2f} | {statistics.median(busy):.2f} | {statistics.median(changed):.2f} |",
                flush=True,
            )
        browser.close()


if __name__ == "__main__":
    main()
