"""What links of regions and genes are worth in simulated cells, and what they cost in real and in many cells.

    python benchmarks/region_links.py
    python benchmarks/region_links.py --part toy
    python benchmarks/region_links.py --part real --folder DATA
    python benchmarks/region_links.py --part large --cells 50000 --regions 100000

`toy` prints the area under the precision-recall curve of the pairs within 30 000 bases against the planted truth, for
every kind of link and for floors, and how often p-values of pairs that have nothing to do with each other are below
0.05. `real` reads `human_snareseq_lines_rna.h5ad` and `..._atac.h5ad` (SNARE-seq of four cell lines) from `--folder`,
by default `multiome` in `GRN_DATA_DIR`. `large` writes a sparse MuData of counts without structure into a temporary
folder and links it, backed. Time and peak memory are those of a process per row, with one thread each.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import anndata as ad
import mudata
import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import rankdata, t
from sklearn.covariance import graphical_lasso
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import average_precision_score

import grn

SEEDS, NEAR = range(4), 30_000
mudata.set_options(pull_on_update=False)
ALPHAS = (0.01, 0.03, 0.1)


def log_normal(counts: np.ndarray) -> np.ndarray:
    """log1p of counts per 10 000."""
    return np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * 1e4)


def deviations(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Deviations from the means of the groups."""
    table = pd.DataFrame(values)
    return (table - table.groupby(group).transform("mean")).to_numpy()


def correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson correlation of all pairs of columns."""
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.corrcoef(first.T, second.T)[: first.shape[1], first.shape[1] :]
    return np.nan_to_num(r)


def lasso(values: np.ndarray, regions: pd.DataFrame, alpha: float, width: int = 2 * NEAR) -> np.ndarray:
    """Partial correlations of regions by graphical lasso, averaged over overlapping windows, as Cicero does it."""
    total, count = (np.zeros((len(regions), len(regions))) for _ in range(2))
    middle = ((regions["start"] + regions["end"]) / 2).to_numpy()
    for chrom in regions["chrom"].unique():
        there = np.flatnonzero(regions["chrom"] == chrom)
        for left in np.arange(middle[there].min(), middle[there].max(), width / 2):
            window = there[(middle[there] >= left) & (middle[there] < left + width)]
            if len(window) < 2:
                continue
            r = correlation(values[:, window], values[:, window])
            np.fill_diagonal(r, 1.0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                precision = graphical_lasso(r + 1e-4 * np.eye(len(r)), alpha)[1]
            scale = np.sqrt(np.diag(precision))
            square = np.ix_(window, window)
            total[square] -= precision / np.outer(scale, scale)
            count[square] += 1
    return total / np.maximum(count, 1)


def linked(mdata: mudata.MuData, how: str, **arguments: object) -> pd.DataFrame:
    """Links of the toy."""
    grn.pp.link_regions(
        mdata, how=how, starts=mdata.uns["starts"], upstream=NEAR, downstream=NEAR, layer="counts", **arguments
    )
    return grn.get.region_links(mdata)


def kinds(seed: int, dropout: float, n_cells: int) -> dict[str, float]:
    """AUPRC of every kind of link and of the floors."""
    mdata = grn.datasets.toy_multiome(rng=seed, dropout=dropout, n_cells=n_cells)
    rna, atac, truth = mdata["rna"], mdata["atac"], mdata.uns["truth"]
    tables = {
        "distance": linked(mdata, "distance"),
        "correlation": linked(mdata, "correlation"),
        "correlation, within groups": linked(mdata, "correlation", within="group"),
        "co-accessibility": linked(mdata, "coaccess"),
        "co-accessibility, within groups": linked(mdata, "coaccess", within="group"),
    }
    averaged = metacells(mdata)
    tables["correlation of metacells"] = linked(averaged, "correlation")
    tables["correlation of metacells, within groups"] = linked(averaged, "correlation", within="group")
    pairs = tables["distance"][["region", "gene"]]
    acting = set(zip(truth["region"], truth["target"], strict=True))
    label = np.array([pair in acting for pair in pairs.itertuples(index=False, name=None)])
    i, j = atac.var_names.get_indexer(pairs["region"]), rna.var_names.get_indexer(pairs["gene"])
    scores = {"chance": np.zeros(len(pairs)), "motifs in the region": motif_score(mdata)[i]}
    group = rna.obs["group"].to_numpy()
    values = [log_normal(x) for x in (atac.X.toarray(), rna.to_df(layer="counts").to_numpy(dtype=float))]
    spearman = [np.apply_along_axis(rankdata, 0, x) for x in values]
    scores["Spearman"] = np.abs(correlation(*spearman)[i, j])
    scores["Spearman, within groups"] = np.abs(correlation(*(deviations(x, group) for x in spearman))[i, j])
    for name, table in tables.items():
        scores[name] = pairs.merge(table, how="left", on=["region", "gene"])["score"].fillna(-1).to_numpy()
        if "pval" in table:
            order = pairs.merge(table, how="left", on=["region", "gene"])["pval"].fillna(1)
            scores[f"{name}, by p-value"] = -np.log(order.to_numpy())
    near = scores["distance"]
    scores["correlation, within groups, x distance"] = near * np.maximum(scores["correlation, within groups"], 0)
    regions = grn.genome.parse_regions(atac.var_names)
    promoters = grn.genome.link_genes(atac.var_names, starts=mdata.uns["starts"], upstream=1000, downstream=100)
    rows = promoters.groupby("gene")["region"].apply(lambda names: atac.var_names.get_indexer(names)).to_dict()
    for alpha in ALPHAS:
        partial = np.abs(lasso(values[0], regions, alpha))
        np.fill_diagonal(partial, 1.0)
        scores[f"graphical lasso {alpha}"] = np.array(
            [partial[r, rows[gene]].max() if gene in rows else -1 for r, gene in zip(i, pairs["gene"], strict=True)]
        )
    return {name: average_precision_score(label, score) for name, score in scores.items()}


def metacells(mdata: mudata.MuData) -> mudata.MuData:
    """200 metacells of 10 cells per group, of counts."""
    cells = mudata.MuData({name: mdata[name].copy() for name in ("rna", "atac")})
    cells["rna"].X = cells["rna"].layers["counts"]
    averaged = grn.pp.metacells(cells, groupby="group", k=10, n_metacells=200)
    averaged.uns["starts"] = mdata.uns["starts"]
    return averaged


def motif_score(mdata: mudata.MuData) -> np.ndarray:
    """Sum of the scores of all motifs in every region."""
    motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    return np.asarray(mdata["atac"].varm["motifs"].sum(axis=1)).ravel()


def calibration(seed: int) -> dict[str, float]:
    """Share of p-values below 0.05 where cells were exchanged, so that no region acts on any gene."""
    shares = {}
    for name, within in (("cells exchanged", False), ("cells exchanged within groups", True)):
        mdata = grn.datasets.toy_multiome(rng=seed)
        atac = mdata["atac"]
        group = mdata["rna"].obs["group"].to_numpy() if within else np.zeros(atac.n_obs)
        order, random = np.arange(atac.n_obs), np.random.default_rng(seed)
        for label in np.unique(group):
            order[group == label] = random.permutation(order[group == label])
        atac.X = atac.X[order]
        table = linked(mdata, "correlation")
        ratio = table["rho"] * np.sqrt((atac.n_obs - 2) / (1 - table["rho"] ** 2))
        shares[f"{name}: null of other chromosomes"] = float((table["pval"] < 0.05).mean())
        shares[f"{name}: t-test"] = float((2 * t.sf(np.abs(ratio), atac.n_obs - 2) < 0.05).mean())
    return shares


def toy() -> None:
    """Print both tables."""
    columns = [(dropout, n) for dropout in (0.0, 0.7) for n in (600, 2000)]
    means = {
        f"{n} cells, {dropout:.0%} of counts lost": pd.DataFrame([kinds(seed, dropout, n) for seed in SEEDS]).mean()
        for dropout, n in columns
    }
    print(f"AUPRC, mean of {len(SEEDS)} simulations\n")
    print(markdown(pd.DataFrame(means), "{:.2f}"))
    print("\nshare of p-values below 0.05 without any link\n")
    shares = pd.DataFrame([calibration(seed) for seed in SEEDS]).mean().to_frame("share")
    print(markdown(shares, "{:.3f}"))


def markdown(table: pd.DataFrame, form: str) -> str:
    """A table for the page."""
    lines = [["", *map(str, table.columns)], ["---"] * (table.shape[1] + 1)]
    lines += [
        [str(name), *(form.format(value) for value in row)]
        for name, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def measured(part: str, arguments: list[str]) -> dict[str, object]:
    """What a part prints, run in a process of its own."""
    command = [sys.executable, __file__, "--child", part, *arguments]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    return json.loads(done.stdout.splitlines()[-1])


def timed(mdata: mudata.MuData, **arguments: object) -> dict[str, object]:
    """Seconds, peak memory and numbers of links of a call; loading came before."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, used = time.perf_counter(), time.process_time()
    grn.pp.link_regions(mdata, **arguments)
    row = {"seconds": time.perf_counter() - started, "of processor": time.process_time() - used}
    table = grn.get.region_links(mdata)
    row |= {"GB before": before / 2**20, "GB peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
    row["links"] = len(table)
    if "qval" in table:
        others = table[table["region"] != table["promoter"]] if "promoter" in table else table
        row["q < 0.05"] = int((others["qval"] < 0.05).sum())
        bins = pd.cut(others["distance"].abs(), [-1, 1000, 20_000, 150_000], labels=["< 1 kb", "< 20 kb", "< 150 kb"])
        row |= {
            f"p < 0.05 {name}": float((part["pval"] < 0.05).mean())
            for name, part in others.groupby(bins, observed=True)
        }
    return row


def real(folder: Path, how: str) -> dict[str, object]:
    """SNARE-seq of four lines."""
    read = {name: ad.read_h5ad(folder / f"human_snareseq_lines_{name}.h5ad") for name in ("rna", "atac")}
    mdata = mudata.MuData(read)
    if how == "metacells":
        mdata, how = grn.pp.metacells(mdata, groupby="label", k=10, n_metacells=100), "correlation"
    return timed(mdata, how=how, starts="hg38")


def simulate(path: Path, n_cells: int, n_regions: int, n_genes: int, density: float) -> None:
    """Counts without structure, and genes with starts, on 22 chromosomes of 125 Mb."""
    random = np.random.default_rng(0)
    sides = {}
    for name, n in (("rna", n_genes), ("atac", n_regions)):
        each = int(n * (0.1 if name == "rna" else density))
        columns = random.integers(0, n, size=n_cells * each, dtype=np.int32)
        matrix = sparse.csr_matrix(
            (np.ones(len(columns), np.float32), columns, np.arange(n_cells + 1) * each), shape=(n_cells, n)
        )
        matrix.sum_duplicates()
        chrom, place = random.integers(1, 23, size=n), np.sort(random.choice(125_000_000, size=n, replace=False))
        names = [
            f"chr{c}:{p}-{p + 500}" if name == "atac" else f"G{k}"
            for k, (c, p) in enumerate(zip(chrom, place, strict=True))
        ]
        obs = pd.DataFrame(index=[f"c{k}" for k in range(n_cells)])
        sides[name] = ad.AnnData(matrix, obs=obs, var=pd.DataFrame(index=names))
        if name == "rna":
            starts = pd.DataFrame(
                {"chrom": [f"chr{c}" for c in chrom], "position": place, "strand": "+", "gene": names}
            )
    mdata = mudata.MuData(sides)
    mdata.uns["starts"] = starts
    mdata.write_h5mu(path)


def child(given: argparse.Namespace) -> None:
    """One row, as JSON."""
    if given.child == "real":
        row = real(given.folder, given.how)
    elif given.child == "simulate":
        row = {}
        simulate(given.file, given.cells, given.regions, given.genes, given.density)
    else:
        mdata = mudata.read_h5mu(given.file, backed="r")
        row = timed(mdata, how=given.how, starts=mdata.uns["starts"])
    print(json.dumps(row))


def printed(rows: dict[str, dict[str, object]]) -> None:
    """Rows as a table."""
    table = pd.DataFrame(rows).T
    print(
        markdown(
            table.astype(object)
            .where(table.notna(), "-")
            .map(lambda v: f"{v:.3g}" if isinstance(v, float) and v < 1000 else f"{v}"),
            "{}",
        )
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("toy", "real", "large"), action="append")
    parser.add_argument("--folder", type=Path, default=Path(os.environ.get("GRN_DATA_DIR", "data")) / "multiome")
    parser.add_argument("--cells", type=int, default=50_000)
    parser.add_argument("--regions", type=int, default=100_000)
    parser.add_argument("--genes", type=int, default=3_000)
    parser.add_argument("--density", type=float, default=0.02, help="share of regions open in a cell")
    parser.add_argument("--child", choices=("real", "simulate", "large"), help=argparse.SUPPRESS)
    parser.add_argument("--how", default="correlation", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given)
        return
    parts = given.part or ["toy", "real", "large"]
    ways = ("distance", "correlation", "coaccess")
    if "toy" in parts:
        toy()
    if "real" in parts:
        print("\nSNARE-seq of four lines\n")
        printed({how: measured("real", ["--how", how, "--folder", str(given.folder)]) for how in (*ways, "metacells")})
    if "large" in parts:
        sizes = [f"--{name}={getattr(given, name)}" for name in ("cells", "regions", "genes", "density")]
        print(f"\n{given.cells} cells x {given.regions} regions x {given.genes} genes, backed\n")
        with tempfile.TemporaryDirectory() as folder:
            file = str(Path(folder) / "large.h5mu")
            measured("simulate", ["--file", file, *sizes])
            printed({how: measured("large", ["--file", file, "--how", how]) for how in ways})


if __name__ == "__main__":
    main()
