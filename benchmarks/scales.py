"""How often the scale of values is told right: expression files as they are, and made into other scales.

python benchmarks/scales.py [--folder FOLDER] [--cells 60]

Every file (h5ad, ``uns["matrix"]`` says what it holds) is read as it is and, where it holds counts or linear values,
made into fractional counts, shares and logarithms, over all its genes and over 300 of them. The rule before was the
maximum alone: above 50 is linear.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
from scipy import sparse

from grn._core.markdown import markdown_table
from grn._kernels.scan import scan

LOG_WORDS = ("log", "scale not documented")
Made = Iterator[tuple[str, str, np.ndarray]]


def files(folder: Path, n_cells: int) -> Iterator[tuple[str, np.ndarray]]:
    """What a file holds and some of its cells; files of which the source does not tell are left out."""
    for path in sorted(folder.glob("*.h5ad")):
        adata = ad.read_h5ad(path)
        block = adata.X[:: max(1, adata.n_obs // n_cells)][:n_cells]
        values = (block.toarray() if sparse.issparse(block) else np.asarray(block)).astype(float)
        whole = all((part == np.rint(part)).all() for part in (adata.X.data if sparse.issparse(adata.X) else adata.X,))
        words = str(adata.uns.get("matrix", ""))
        if "see value range" in words:
            continue
        kind = "counts" if whole else "log" if any(word in words for word in LOG_WORDS) else "linear"
        yield kind, values[:, values.any(axis=0)]


def share(x: np.ndarray, total: float) -> np.ndarray:
    """Values per ``total`` of a cell."""
    return total * x / np.maximum(x.sum(axis=1, keepdims=True), 1e-12)


def fractions(x: np.ndarray, random: np.random.Generator) -> Made:
    """Counts up to 50 (genes without larger ones) with fractions."""
    x = x[:, x.max(axis=0) < 50]
    x = x[x.any(axis=1)]
    if x.shape[1] < 20 or len(x) < 10 or x.max() < 2:
        return
    some = np.sort(random.choice(x.shape[1], min(x.shape[1], 300), replace=False))
    profile = x.sum(axis=0) / x.sum()
    ambient = np.maximum(x - 0.08 * x.sum(axis=1, keepdims=True) * profile, 0.0)
    split = (random.random(x.shape) < 0.15) & (x > 0)
    yield "ambient-corrected", "linear", ambient
    yield "ambient-corrected, 300 genes", "linear", ambient[:, some]
    yield "times 0.93", "linear", 0.93 * x
    yield "times noise", "linear", x * random.uniform(0.85, 1.0, x.shape)
    yield "split reads", "linear", x - np.where(split, random.choice([0.5, 1 / 3, 0.25], x.shape), 0.0)
    yield "expectations", "linear", np.where(x > 0, np.abs(x + random.normal(0.0, 0.25, x.shape)), 0.0)
    yield "expm1(log1p)", "linear", np.expm1(np.log1p(x.astype(np.float32))).astype(float)
    yield "shares", "linear", share(x, 1.0)
    yield "shares, 300 genes", "linear", share(x, 1.0)[:, some]
    yield "per median", "linear", share(x, float(np.median(x.sum(axis=1))))
    yield "per median, 300 genes", "linear", share(x, float(np.median(x.sum(axis=1))))[:, some]


def logarithms(x: np.ndarray, random: np.random.Generator) -> Made:
    """Logarithms over all genes, some, and the highest."""
    some = np.sort(random.choice(x.shape[1], min(x.shape[1], 300), replace=False))
    top = np.argsort(-x.mean(axis=0), kind="stable")[:200]
    log1p, log2 = np.log1p(share(x, 1e4)), np.log2(share(x, 1e6) + 1)
    rates = x / random.lognormal(7.5, 0.7, x.shape[1])
    tpm = np.log2(share(rates, 1e6) + 1)
    yield "log1p per 10 000", "log", log1p
    yield "log1p per 10 000, 300 genes", "log", log1p[:, some]
    yield "log1p per 10 000, highest 200", "log", log1p[:, top]
    yield "log1p per median", "log", np.log1p(share(x, float(np.median(x.sum(axis=1)))))
    yield "log2 per million", "log", log2
    yield "log2 per million, 300 genes", "log", log2[:, some]
    yield "log2 TPM", "log", tpm
    yield "log2 TPM, 300 genes", "log", tpm[:, some]
    yield "log10 per 10 000, 300 genes", "log", np.log10(share(x, 1e4) + 1)[:, some]
    yield "log1p of values", "log", np.log1p(x)
    yield "log2 of values", "log", np.log2(x + 1)
    mixed = np.stack([log1p[random.choice(len(x), 10, replace=False)].mean(axis=0) for _ in range(len(x))])
    yield "mean log1p of 10 cells, 300 genes", "log", mixed[:, some]


def cases(folder: Path, n_cells: int) -> Made:
    """All matrices: how they were made, what they are, the values."""
    random = np.random.default_rng(0)
    for kind, values in files(folder, n_cells):
        yield "as it is", kind, values
        if kind == "counts":
            yield from fractions(values, random)
            few = random.binomial(values.astype(np.int64), min(1.0, max(0.02, 45 / values.max()))).astype(float)
            yield from ((f"{name}, few reads", is_, made) for name, is_, made in fractions(few, random))
        if kind != "log":
            yield from logarithms(values, random)


def main() -> None:
    """Print a table of right answers, warnings and wrong ones, before and now."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("GRN_DATA_DIR", ".")) / "expression"
    parser.add_argument("--folder", type=Path, default=default)
    parser.add_argument("--cells", type=int, default=60)
    given = parser.parse_args()
    tables: dict[tuple[str, str], Counter[str]] = {}
    for name, kind, values in cases(given.folder, given.cells):
        if kind == "linear" and (values == np.rint(values)).all():
            continue
        found = scan(values)
        before = "counts" if found.integer else "linear" if found.high > 50 else "log"
        counts = tables.setdefault((name, kind), Counter())
        counts.update(["n", "before"] if before == kind else ["n"])
        counts.update([("right" if found.kind == kind else "wrong") + ("" if found.decision.sure else ", warned")])
    head = ("n", "before", "right", "right, warned", "wrong", "wrong, warned")
    total = sum(tables.values(), Counter())
    rows = []
    for (name, kind), counts in [*sorted(tables.items(), key=lambda item: item[0][::-1]), (("all", ""), total)]:
        rows.append([name, kind, *(counts[word] for word in head)])
    grid = markdown_table(["made", "is", "matrices", "right before", *head[2:]], rows)
    print(grid)
    out = Path(__file__).parent / "results"
    out.mkdir(exist_ok=True)
    (out / "scales.md").write_text(grid + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
