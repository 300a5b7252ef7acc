"""Speed of the engines that methods without a foundation model share, each beside the plain way to compute the same.

Seconds are those of the processor, all threads together, so that other work on the machine does not count.

python benchmarks/engines.py [--large]

``--large`` also infers a CellOracle network of 3 000 genes, 5 000 cells and 200 regulators, and reads the peak memory.
"""

from __future__ import annotations

import argparse
import platform
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy
import sklearn
import torch
from scipy import sparse
from scipy.sparse.linalg import svds
from sklearn.linear_model import Ridge

import grn
from grn._core.markdown import markdown_table
from grn._kernels import dynamics, flow, pc_regression, ridge
from grn._kernels.scatter import scatter

Timed = tuple[float, Any]


def timed(call: Callable[[], Any], repeats: int = 3) -> Timed:
    """Median processor seconds of a call, and what it returned."""
    times, found = [], None
    for _ in range(repeats):
        start = time.process_time()
        found = call()
        times.append(time.process_time() - start)
    return statistics.median(times), found


def difference(one: Any, two: Any) -> float:
    """Largest absolute difference, in units of the largest value."""
    one, two = (np.asarray(part.toarray() if sparse.issparse(part) else part) for part in (one, two))
    return float(np.abs(one - two).max() / np.abs(two).max())


def cells(n_cells: int, n_genes: int, seed: int = 0) -> np.ndarray:
    """Correlated values of a few hidden factors."""
    random = np.random.default_rng(seed)
    factors = random.normal(size=(n_cells, 10)) @ random.normal(size=(10, n_genes))
    return (5.0 + factors / 3 + random.normal(size=(n_cells, n_genes))).astype(np.float32)


def bagged(n_genes: int, n_groups: int, n_bags: int, n_cells: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Cells of every group, and how often every bag holds every cell."""
    random = np.random.default_rng(0)
    drawn = random.integers(0, n_cells, (n_bags, n_cells))
    counts = np.stack([np.bincount(one, minlength=n_cells) for one in drawn]).astype(np.float64)
    return [cells(n_cells, n_genes, seed) for seed in range(n_groups)], counts


def one_by_one(groups: list[np.ndarray], counts: np.ndarray, columns: list[list[np.ndarray]]) -> np.ndarray:
    """Mean coefficients over bags (groups, genes, genes) by a fit per group, gene (of ``columns``) and bag."""
    found = np.zeros((len(groups), len(columns), len(columns)))
    for group, values in enumerate(groups):
        for gene, bags in enumerate(columns):
            total, times = np.zeros(len(columns)), np.zeros(len(columns))
            for count, used in zip(counts, bags, strict=True):
                drawn = np.repeat(np.arange(len(values)), count.astype(int))
                fit = Ridge(alpha=10.0).fit(values[drawn][:, used].astype(np.float64), values[drawn, gene])
                total[used] += fit.coef_
                times[used] += 1
            found[group, gene] = total / np.maximum(times, 1)
    return found


def bagging(
    n_genes: int = 40, n_groups: int = 3, n_bags: int = 20, n_cells: int = 300
) -> tuple[str, Timed, str, Timed]:
    """Bagged ridge with a base GRN, in which every gene has a dozen regulators of its own."""
    random = np.random.default_rng(0)
    groups, counts = bagged(n_genes, n_groups, n_bags, n_cells)
    genes, size = np.arange(n_genes), 12
    regulators = [np.sort(random.permutation(np.delete(genes, gene))[:size]) for gene in genes]
    places = np.stack([random.permutation(size)[: int(0.8 * size)] for _ in range(n_bags)])

    def engine() -> np.ndarray:
        found = np.zeros((n_groups, n_genes, n_genes))
        for group, values in enumerate(groups):
            products = ridge.bag_products(
                lambda rows, v=values: v[rows], np.arange(n_cells), genes, genes, counts, values.mean(axis=0)
            )
            mean = ridge.bagging_ridge(products, products, regulators, lambda _: places, 10.0).mean
            np.put_along_axis(found[group], np.stack(regulators), mean.reshape(n_genes, size), axis=1)
        return found

    columns = [[own[part] for part in places] for own in regulators]
    title = f"bagging ridge, {n_genes} genes x {size} regulators x {n_groups} groups x {n_bags} bags, {n_cells} cells"
    return (
        title,
        timed(engine),
        "scikit-learn, a fit per bag and gene",
        timed(lambda: one_by_one(groups, counts, columns), 1),
    )


def open_bagging(
    n_genes: int = 40, n_groups: int = 3, n_bags: int = 20, n_cells: int = 300
) -> tuple[str, Timed, str, Timed]:
    """Bagged ridge without a base GRN: every gene on all others."""
    random = np.random.default_rng(1)
    groups, counts = bagged(n_genes, n_groups, n_bags, n_cells)
    genes = np.arange(n_genes)
    places = np.stack([np.sort(random.permutation(n_genes)[: int(0.8 * n_genes)]) for _ in range(n_bags)])
    other = ~np.eye(n_genes, dtype=bool)

    def engine() -> np.ndarray:
        found = np.zeros((n_groups, n_genes, n_genes))
        for group, values in enumerate(groups):
            products = ridge.bag_products(
                lambda rows, v=values: v[rows], np.arange(n_cells), genes, genes, counts, values.mean(axis=0)
            )
            fitted = ridge.open_bagging_ridge(products, products, genes, np.ones(n_genes), places, 10.0)
            found[group][other] = fitted.mean
        return found

    columns = [[part[part != gene] for part in places] for gene in genes]
    title = f"bagging ridge, {n_genes} genes on all others x {n_groups} groups x {n_bags} bags, {n_cells} cells"
    return (
        title,
        timed(engine),
        "scikit-learn, a fit per bag and gene",
        timed(lambda: one_by_one(groups, counts, columns), 1),
    )


def restricted(n_genes: int = 2000, n_regulators: int = 200, own: int = 20) -> tuple[str, Timed, str, Timed]:
    """Ridge of every gene on the regulators of its own."""
    random = np.random.default_rng(0)
    values = cells(2000, n_genes)
    regulators = []
    for gene in range(n_genes):
        drawn = random.permutation(n_regulators)[: own + 1]
        regulators.append(np.sort(drawn[drawn != gene][:own]))
    targets = np.arange(n_genes)

    def engine() -> np.ndarray:
        everyone = np.arange(len(values))
        products = scatter(lambda rows: values[rows], everyone).products
        return ridge.plain_ridge(products, products[:, targets], regulators, 1.0)

    def peer() -> np.ndarray:
        found = [
            Ridge(alpha=1.0).fit(values[:, regulators[gene]].astype(np.float64), values[:, gene]).coef_
            for gene in targets
        ]
        return np.concatenate(found)

    title = f"restricted ridge, {n_genes} genes with {own} of {n_regulators} regulators, 2000 cells, products included"
    return title, timed(engine), "scikit-learn, a fit per gene", timed(peer, 1)


def components(n_cells: int = 200, n_genes: int = 400) -> tuple[str, Timed, str, Timed]:
    """Every gene on three principal components of the others."""
    values = cells(n_cells, n_genes).astype(np.float64)
    scaled = (values - values.mean(axis=0)) / values.std(axis=0, ddof=1)

    def peer() -> np.ndarray:
        found = np.zeros((n_genes, n_genes))
        for gene in range(n_genes):
            others = np.delete(np.arange(n_genes), gene)
            part = scaled[:, others]
            _, _, right = svds(part, k=3, v0=np.ones(min(part.shape)))
            scores = part @ right.T
            found[gene, others] = right.T @ ((scores.T @ scaled[:, gene]) / (scores**2).sum(axis=0))
        return found

    title = f"regression on 3 principal components of all other genes, {n_genes} genes, {n_cells} cells"
    engine = timed(lambda: pc_regression.coefficients(pc_regression.spectrum(values)))
    return title, engine, "a truncated decomposition per gene", timed(peer, 1)


def series(n_genes: int = 12, n_times: int = 4, depth: int = 3, block: int = 50) -> tuple[str, Timed, str, Timed]:
    """RENGE's squared error and its gradient."""
    random = np.random.default_rng(0)
    sizes = np.full((n_genes + 1, n_times), block)
    times = np.arange(1.0, n_times + 1)
    knocked = np.repeat(np.arange(n_genes + 1), n_times * block)
    at_time = np.tile(np.repeat(np.arange(n_times), block), n_genes + 1)
    values, dose = random.normal(2.0, 1.0, (sizes.sum(), n_genes)), np.where(knocked > 0, random.random(sizes.sum()), 0)
    inputs = np.vstack([np.zeros(n_genes), np.eye(n_genes)])
    at = dynamics.Parameters(
        random.normal(0, 0.3, (n_genes, n_genes)),
        random.normal(2, 1, (n_times, n_genes)),
        np.zeros(n_genes + 1),
        0.3,
        0.2,
    )
    loss = dynamics.SeriesLoss(dynamics.blocks_of(values, dose, sizes), inputs, 1 - inputs, times, depth)
    network = torch.tensor(at.network, requires_grad=True)
    cell_values, cell_inputs = torch.tensor(values), torch.tensor(inputs[knocked] * dose[:, None])
    passes, day = torch.tensor(1 - inputs[knocked]), torch.tensor(times[at_time])
    level = torch.tensor(at.level)[torch.tensor(at_time)]

    def engine() -> np.ndarray:
        value, gradient = loss(at)
        return np.append(gradient.network.ravel(), value)

    def peer() -> np.ndarray:
        network.grad = None
        term, answer = cell_inputs @ network.T, 0.0
        for j in range(depth):
            term = (passes * term) @ network.T if j else term
            answer = answer + torch.sigmoid(at.beta * day - at.gamma * j)[:, None] * term
        error = ((passes * (cell_values - level - answer)) ** 2).sum() * n_times / len(values)
        error.backward()
        return np.append(network.grad.numpy().ravel(), error.item())

    title = f"RENGE's error with gradient, {n_genes} genes, {n_times} times, paths of {depth}, {len(values)} cells"
    return title, timed(engine, 50), "torch, cell by cell", timed(peer, 20)


def embedding_flow(n_cells: int = 1500, n_genes: int = 200, k: int = 60) -> tuple[str, Timed, str, Timed]:
    """Embedding shifts of all cells."""
    random = np.random.default_rng(0)
    values, change = cells(n_cells, n_genes), random.normal(size=(n_cells, n_genes)).astype(np.float32)
    places = random.random((n_cells, 2))
    near = np.argsort(((places[:, None] - places) ** 2).sum(axis=2), axis=1)[:, 1 : k + 1]

    def engine() -> np.ndarray:
        units = flow.directions(places, np.arange(n_cells), near)
        return flow.shifts(values, np.arange(n_cells), near, units, lambda i: change[i : i + 1])[:, 0]

    def peer() -> np.ndarray:
        rho = np.empty((n_cells, n_cells))
        for i in range(n_cells):
            steps = (values - values[i]).astype(np.float64)
            steps -= steps.mean(axis=1, keepdims=True)
            own = change[i].astype(np.float64) - change[i].mean()
            length = np.sqrt((steps**2).sum(axis=1) * (own**2).sum())
            rho[i] = np.divide(steps @ own, length, out=np.zeros(n_cells), where=length > 0)
        mask = np.zeros_like(rho)
        np.put_along_axis(mask, near, 1.0, axis=1)
        weight = np.exp(rho / 0.05) * mask
        weight = weight / weight.sum(axis=1, keepdims=True) - mask / k
        units = places - places[:, None]
        length = np.linalg.norm(units, axis=2, keepdims=True)
        units = np.divide(units, length, out=np.zeros_like(units), where=length > 0)
        return np.einsum("ij,ijd->id", weight, units)

    title = f"embedding shifts, {n_cells} cells, {n_genes} genes, {k} neighbours"
    return title, timed(engine), "cells x cells, dense", timed(peer, 1)


def large() -> str:
    """Time and peak memory of a CellOracle network of 3 000 genes, 5 000 cells and 200 regulators."""
    random = np.random.default_rng(0)
    counts = random.poisson(np.exp(cells(5000, 3000) - 6.0)).astype(np.float32)
    names = [f"gene_{i}" for i in range(3000)]
    obs = pd.DataFrame({"group": [f"group_{i % 3}" for i in range(5000)]}, index=[f"cell_{i}" for i in range(5000)])
    adata = ad.AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=names))
    seconds, _ = timed(
        lambda: grn.tl.infer_network(
            adata, method="celloracle", sources=names[:200], groupby="group", progress=False, n_jobs=2
        ),
        1,
    )
    status = Path("/proc/self/status")
    peak = int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) / 2**20 if status.exists() else float("nan")
    return (
        "CellOracle, 3 000 genes x 200 regulators x 3 groups, 5 000 cells, 20 bags, smoothing included: "
        f"{seconds:.0f} s of the processor, peak {peak:.1f} GiB for the whole process"
    )


def main() -> None:
    """Print a table of seconds, ratios and differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "engines.md")
    args = parser.parse_args()
    rows = []
    for task in (bagging, open_bagging, restricted, components, series, embedding_flow):
        title, (ours, one), name, (theirs, two) = task()
        rows.append(
            [title, f"{ours:.4g}", name, f"{theirs:.4g}", f"{theirs / ours:.0f}", f"{difference(one, two):.0e}"]
        )
    head = ["task", "grn (s)", "peer", "peer (s)", "ratio", "largest difference"]
    grid = markdown_table(head, rows)
    versions = f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}"
    machine = f"{platform.machine()}, Python {platform.python_version()}, {versions}, torch {torch.__version__}"
    text = f"# `python benchmarks/engines.py`\n\n{machine}, {torch.get_num_threads()} threads\n\n{grid}\n"
    print(grid, flush=True)
    if args.large:
        told = large()
        print(told)
        text += f"\n{told}\n"
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text)


if __name__ == "__main__":
    main()
