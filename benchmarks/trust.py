"""Calibration of ``grn.tl.confidence`` and ``grn.tl.differential`` on simulated cells.

    python benchmarks/trust.py                 # about ten minutes on one core
    python benchmarks/trust.py --repeats 5     # a quick look
    python benchmarks/trust.py --only cost     # what permutations cost, in fits; a few minutes with trees
    python benchmarks/trust.py --only copies   # trees beside more than one copy of every regulator; some minutes

Prints the tables of ``docs/methods/trust.md``. All genes are simulated, so it is known which edges are real.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

import grn
from grn._core.markdown import markdown_table
from grn.methods import METHODS

logging.getLogger("grn").setLevel("ERROR")
REGULATORS, TARGETS = 10, 60
TREES = {"grnboost2": {"mode": "fast"}}


def frame(values: np.ndarray, obs: pd.DataFrame, regulators: int = REGULATORS) -> ad.AnnData:
    """An object of regulators R0, R1, ... and targets T0, T1, ..."""
    names = [f"R{i}" for i in range(regulators)] + [f"T{i}" for i in range(values.shape[1] - regulators)]
    var = pd.DataFrame({"is_regulator": np.arange(values.shape[1]) < regulators}, index=names)
    return ad.AnnData(values.astype(np.float32), obs=obs, var=var)


def counts(seed: int, *, cells: int = 300, depth: float = 0.0, background: int = 0) -> ad.AnnData:
    """Independent genes, overdispersed counts; divided by the known depth, or with a background by the total."""
    random = np.random.default_rng(seed)
    genes = REGULATORS + TARGETS + background
    depths = random.lognormal(0.0, depth, size=cells)
    means = random.lognormal(0.0, 1.2, size=genes)
    drawn = random.poisson(depths[:, None] * means * random.gamma(1.0, size=(cells, genes)))
    total = drawn.sum(axis=1)
    scaled = drawn * (1e4 / total)[:, None] if background else drawn / depths[:, None]
    obs = pd.DataFrame({"total": total.astype(float)}, index=[f"c{i}" for i in range(cells)])
    return frame(np.log1p(scaled[:, : REGULATORS + TARGETS]), obs)


def planted(
    seed: int,
    *,
    cells: int = 300,
    genes: tuple[int, int] = (REGULATORS, TARGETS),
    share: float = 0.1,
    alike: float = 0.0,
) -> tuple[ad.AnnData, np.ndarray]:
    """Targets that follow a share of the regulators, which may be alike; the real pairs (regulators, targets)."""
    random = np.random.default_rng(seed)
    common = random.normal(size=(cells, 1))
    regulators = np.sqrt(alike) * common + np.sqrt(1 - alike) * random.normal(size=(cells, genes[0]))
    real = random.random(genes) < share
    strength = real * random.choice([-1, 1], real.shape) * random.uniform(0.2, 0.6, real.shape)
    targets = regulators @ strength + random.normal(size=(cells, genes[1]))
    obs = pd.DataFrame(index=[f"c{i}" for i in range(cells)])
    return frame(np.hstack([regulators, targets]) + 12, obs, genes[0]), real


def tested(adata: ad.AnnData, method: str, params: dict | None = None, **arguments) -> pd.DataFrame:
    """Edges into the targets with their p- and q-values."""
    targets = [name for name in adata.var_names if name.startswith("T")]
    grn.tl.infer_network(adata, method=method, params=params, targets=targets)
    grn.tl.confidence(adata, n_subsamples=0, params=params, **arguments)
    return adata.uns["grn"]["edges"]


def null_table(repeats: int, methods: list[str]) -> pd.DataFrame:
    """Share of small p-values where nothing is real."""
    cases = {
        "equal depth": ({}, None),
        "depth varies": ({"depth": 0.5}, None),
        "depth varies, strata": ({"depth": 0.5}, "total"),
        "depth varies, divided by totals, strata": ({"depth": 0.5, "background": 500}, "total"),
    }
    rows = []
    for method in methods:
        for name, (arguments, strata) in cases.items():
            small, below, found = [], [], []
            for seed in range(repeats):
                edges = tested(counts(seed, **arguments), method, strata=strata, rng=seed)
                small.append((edges["pval"] < 0.05).mean())
                below.append((edges["pval"] < 0.01).mean())
                found.append((edges["qval"] <= 0.05).any())
            error = np.std(small) / np.sqrt(repeats)
            rows.append((method, name, np.mean(small), error, np.mean(below), np.mean(found)))
    columns = ["method", "cells", "p < 0.05", "standard error", "p < 0.01", "runs with q <= 0.05"]
    return pd.DataFrame(rows, columns=columns)


def discoveries(edges: pd.DataFrame, real: np.ndarray) -> list[float]:
    """Share of small p-values of pairs that are not real; false share and share found, at two q-values."""
    at = [edges[c].astype(str).str[1:].astype(int).to_numpy() for c in ("source", "target")]
    true = real[at[0], at[1]]
    # pairs without an edge have p = 1
    shares = [(edges["pval"][~true] < 0.05).sum() / (~real).sum()]
    for level in (0.05, 0.2):
        called = (edges["qval"] <= level).to_numpy()
        shares += [(called & ~true).sum() / max(1, called.sum()), (called & true).sum() / real.sum()]
    return shares


def discovery_table(repeats: int, methods: list[str]) -> pd.DataFrame:
    """False discoveries and power where a tenth of the pairs is real."""
    rows = []
    cases = [(m, alike, True) for m in methods for alike in (0.0, 0.5)]
    cases += [("ridge", 0.5, False), ("ridge, alpha=1e-4", 0.5, True), ("ridge, alpha=1e-4", 0.5, False)]
    for method, alike, together in cases:
        name, _, fixed = method.partition(", alpha=")
        made = []
        for seed in range(repeats):
            adata, real = planted(seed, alike=alike)
            params = {"alpha": float(fixed)} if fixed else None
            made.append(discoveries(tested(adata, name, params, n_permutations=50, together=together, rng=seed), real))
        rows.append((method, alike, together, *np.mean(made, axis=0)))
    columns = ["method", "alike", "together", "p < 0.05 of pairs that are not real", "false at q <= 0.05"]
    return pd.DataFrame(rows, columns=[*columns, "found at q <= 0.05", "false at q <= 0.2", "found at q <= 0.2"])


def cells_and_modules(cells: int, genes: int, regulators: int) -> ad.AnnData:
    """Sparse log-normalised counts of genes that follow twelve common factors; the first genes are regulators."""
    random = np.random.default_rng(0)
    factors, loadings = random.normal(size=(cells, 12)), random.normal(size=(12, genes)) / 2
    drawn = random.poisson(np.exp(factors @ loadings / 2 + random.normal(-2.2, 1.0, size=genes)))
    values = np.log1p(drawn * 1e4 / np.maximum(drawn.sum(axis=1, keepdims=True), 1))
    var = pd.DataFrame({"is_regulator": np.arange(genes) < regulators}, index=[f"G{i}" for i in range(genes)])
    obs = pd.DataFrame(index=[f"c{i}" for i in range(cells)])
    return ad.AnnData(sparse.csr_matrix(values, dtype=np.float32), obs=obs, var=var)


def copies_table(repeats: int, methods: list[str]) -> pd.DataFrame:
    """Trees on histograms beside one, two and four permuted copies of every regulator: errors, power and cost."""
    rows, genes = [], (40, 120)
    for method in methods:
        record, params = METHODS[method], {"mode": "fast", **({"n_trees": 100} if method == "genie3" else {})}
        for alike in (0.0, 0.5):
            # other data than those on which the number of copies was chosen
            cases = [
                planted(seed, cells=400, genes=genes, share=0.05, alike=alike) for seed in range(100, 100 + repeats)
            ]
            for copies in (1, 2, 4):
                METHODS.add(method, replace(record, copies=copies), replace=True)
                made, start = [], os.times()
                for seed, (adata, real) in enumerate(cases):
                    edges = tested(adata, method, params, n_permutations=20, rng=seed)
                    made.append(discoveries(edges, real))
                spent = sum(os.times()[:4]) - sum(start[:4])
                rows.append((method, alike, copies, *np.mean(made, axis=0), spent / repeats))
                print(rows[-1], file=sys.stderr, flush=True)
        METHODS.add(method, record, replace=True)
    columns = ["method", "alike", "copies", "p < 0.05 of pairs that are not real", "false at q <= 0.05"]
    columns += ["found at q <= 0.05", "false at q <= 0.2", "found at q <= 0.2", "processor time, s"]
    return pd.DataFrame(rows, columns=columns)


def seconds(call: Callable[[], object]) -> float:
    """Processor time of a call, that of its child processes included."""
    start = os.times()
    call()
    stop = os.times()
    return sum(stop[:4]) - sum(start[:4])


def cost_table(methods: list[str], size: tuple[int, int, int]) -> pd.DataFrame:
    """Processor time of 20 permutations, as a number of fits; without and with what permutations share."""
    rows = []
    for method in [*methods, *TREES]:
        adata = cells_and_modules(*size)
        infer = partial(grn.tl.infer_network, adata, method=method, params=TREES.get(method))
        infer()
        fit = min(seconds(infer) for _ in range(3))
        record = METHODS[method]
        ways = [{"reads_sums": False}, {}] if record.reads_sums else [{"copies": 1}, {}]
        for way in ways:
            METHODS.add(method, replace(record, **way), replace=True)
            one, twenty = (
                seconds(partial(grn.tl.confidence, adata, n_permutations=number, n_subsamples=0)) / fit
                for number in (1, 20)
            )
            # what all fits but the first cost
            fits = -(-20 // METHODS[method].copies)
            rows.append((method, "no" if way else "yes", fit, twenty, (twenty - one) * fits / (fits - 1)))
        METHODS.add(method, record, replace=True)
    columns = ["method", "shared", "one fit, s", "the whole call, fits", "20 permutations alone, fits"]
    return pd.DataFrame(rows, columns=columns)


def donors_table(repeats: int) -> pd.DataFrame:
    """Share of small p-values between two conditions that do not differ, with donors that do."""
    rows = []
    for between in (0.0, 0.5, 1.5):
        shares: dict[str, list[float]] = {"donor": [], "cells": []}
        for seed in range(repeats):
            random = np.random.default_rng(seed)
            donor = np.repeat(np.arange(10), 40)
            values = random.normal(size=(400, REGULATORS + 20)) + between * random.normal(size=(10, 30))[donor]
            obs = pd.DataFrame({"donor": donor.astype(str), "state": np.where(donor < 5, "a", "b")})
            adata = frame(values + 12, obs.set_axis([f"c{i}" for i in range(400)], axis=0))
            for unit, own in (("donor", "donor"), ("cells", None)):
                grn.tl.differential(adata, condition="state", donor=own, n_permutations=100, rng=seed)
                shares[unit].append((adata.uns["differential"]["edges"]["pval"] <= 0.05).mean())
        rows.append((between, np.mean(shares["donor"]), np.mean(shares["cells"])))
    return pd.DataFrame(rows, columns=["deviation between donors", "p <= 0.05, donors", "p <= 0.05, cells"])


def show(title: str, table: pd.DataFrame, start: float) -> None:
    """Print a table as markdown."""
    print(f"\n## {title} ({time.time() - start:.0f} s)\n")
    rows = [[f"{v:.3f}" if isinstance(v, float) else v for v in row] for row in table.itertuples(index=False)]
    print(markdown_table(table.columns, rows), flush=True)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30, help="simulations per row")
    parser.add_argument("--methods", nargs="+", default=["correlation", "ridge"])
    parser.add_argument("--trees", nargs="+", default=["grnboost2", "genie3"], help="methods of trees beside copies")
    parser.add_argument("--only", choices=["null", "discovery", "donors", "cost", "copies"])
    parser.add_argument("--size", nargs=3, type=int, default=[4000, 1500, 120], help="cells, genes, regulators of cost")
    asked = parser.parse_args()
    tables = {
        "null": ("Nothing is real", lambda: null_table(asked.repeats, asked.methods)),
        "discovery": ("A tenth of the pairs is real", lambda: discovery_table(asked.repeats, asked.methods)),
        "cost": (
            f"What 20 permutations cost: {asked.size[0]} cells, {asked.size[1]} genes, {asked.size[2]} regulators",
            lambda: cost_table(asked.methods, tuple(asked.size)),
        ),
        "copies": (
            "Copies of regulators beside trees: 400 cells, 40 regulators, 120 targets, 20 permutations",
            lambda: copies_table(asked.repeats, asked.trees),
        ),
        "donors": ("Two conditions that do not differ", lambda: donors_table(asked.repeats)),
    }
    for name, (title, make) in tables.items():
        if asked.only in (None, name):
            start = time.time()
            show(title, make(), start)


if __name__ == "__main__":
    main()
