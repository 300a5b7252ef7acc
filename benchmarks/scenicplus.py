"""SCENIC+: planted triplets against floors, and fast trees against exact ones.

python benchmarks/scenicplus.py [--only planted|speed] [--seeds 3] [--lines FOLDER]

Planted: area under the precision-recall curve of all pairs of the simulated multiome. Regulator-gene pairs and
regulator-region pairs are scored by their best triplet, region-gene pairs by importance times absolute correlation and
by their best triplet. Floors: the distance of the nearest region with a motif, the best motif, and correlation.
Speed: processor time of both steps of trees on simulated cells, and, with ``--lines``, on the four lines of SNARE-seq
in a folder with ``human_snareseq_lines_{rna,atac}.h5ad``; overlap of the five strongest links per gene, and mean
Spearman correlation of importances per gene.
"""

from __future__ import annotations

import argparse
import logging
import platform
import time
import warnings
from functools import partial
from pathlib import Path

import anndata as ad
import numba
import numpy as np
import pandas as pd
import sklearn
from mudata import MuData
from scipy import sparse
from sklearn.metrics import average_precision_score

import grn
from grn._core.markdown import markdown_table
from grn._core.rng import sample_names
from grn._kernels.bins import Bins
from grn._kernels.expression import log_normalize
from grn._kernels.histogram_trees import boosted_together
from grn._kernels.trees import Boosting, boosted
from grn.methods.scenicplus.region_importances import Growing, region_importances, spearman_with

WINDOW, TOP = 60_000, 5


def planted(seed: int, n_targets: int) -> dict[tuple[str, str], float]:
    """Areas by kind of pair and by score."""
    mdata = grn.datasets.toy_multiome(n_targets=n_targets, rng=seed)
    motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    grn.tl.scenicplus(mdata, starts=mdata.uns["starts"], window=WINDOW, min_targets=5, rng=seed)
    triplets = mdata.uns["scenicplus"]["triplets"].astype({"source": str, "region": str, "target": str})
    links = mdata.uns["scenicplus"]["region_gene"].astype({"region": str, "target": str})
    triplets["evidence"] = 1.0 / triplets["triplet_rank"]
    regulators, genes = list(mdata.uns["regulators"]), sorted(links["target"].unique())
    regions = list(mdata["atac"].var_names)
    expression = frame(mdata["rna"], "counts")
    openness = frame(mdata["atac"], None)
    hits = grn.get.motif_hits(mdata["atac"])
    near = links.assign(near=1 / (1 + links["distance"].abs() / 10_000))
    bound = hits.merge(near, on="region")
    kinds = {
        "regulator-gene": (("source", "target"), regulators, genes),
        "regulator-region": (("source", "region"), regulators, regions),
        "region-gene": (("region", "target"), regions, genes),
    }
    scores = {
        "regulator-gene": {
            "triplets": triplets.set_index(["source", "target"])["evidence"],
            "floor: nearest region with a motif": bound.set_index(["source", "target"])["near"],
            "floor: best motif near": bound.set_index(["source", "target"])["score"],
            "floor: correlation": correlations(expression[regulators], expression[genes]),
        },
        "regulator-region": {
            "triplets": triplets.set_index(["source", "region"])["evidence"],
            "floor: motif": hits.set_index(["source", "region"])["score"],
            "floor: correlation": correlations(expression[regulators], openness),
        },
        "region-gene": {
            "triplets": triplets.set_index(["region", "target"])["evidence"],
            "importance x |rho|": (links["importance"] * links["rho"].abs()).set_axis(index_of(links)),
            "floor: distance": near["near"].set_axis(index_of(links)),
            "floor: correlation": correlations(openness, expression[genes]),
        },
    }
    areas = {}
    for kind, (columns, rows, others) in kinds.items():
        truth = set(map(tuple, mdata.uns["truth"][list(columns)].astype(str).to_numpy()))
        universe = list(links[["region", "target"]].itertuples(index=False, name=None))
        if kind != "region-gene":
            universe = [(row, other) for row in rows for other in others if row != other]
        label = np.array([pair in truth for pair in universe])
        areas[kind, "chance"] = float(label.mean())
        for name, score in scores[kind].items():
            best = score.groupby(level=[0, 1]).max().to_dict()
            areas[kind, name] = average_precision_score(label, [best.get(pair, 0.0) for pair in universe])
    return areas


def index_of(links: pd.DataFrame) -> pd.MultiIndex:
    """Pairs of a table of links."""
    return pd.MultiIndex.from_frame(links[["region", "target"]])


def frame(adata: ad.AnnData, layer: str | None) -> pd.DataFrame:
    """Log-normalised counts."""
    counts = adata.to_df(layer=layer)
    return np.log1p(counts.div(counts.sum(axis=1), axis=0) * 1e4)


def correlations(first: pd.DataFrame, second: pd.DataFrame) -> pd.Series:
    """Absolute Pearson correlations by pair."""
    r = np.abs(np.corrcoef(first.T, second.T)[: first.shape[1], first.shape[1] :])
    return pd.Series(np.nan_to_num(r).ravel(), pd.MultiIndex.from_product([first.columns, second.columns]))


def planted_table(seeds: int, n_targets: int) -> str:
    """Mean areas over seeds, and the smallest and largest."""
    runs = pd.DataFrame([planted(seed, n_targets) for seed in range(seeds)])
    rows = [
        [kind, name, f"{runs[kind, name].mean():.3f}", f"{runs[kind, name].min():.3f} to {runs[kind, name].max():.3f}"]
        for kind, name in runs.columns
    ]
    return markdown_table(["pairs", "score", "AUPRC, mean", "seeds"], rows)


def agreement(exact: list[np.ndarray], fast: list[np.ndarray]) -> tuple[float, float]:
    """Overlap of the strongest links per gene, and mean Spearman correlation; of genes with more links than that."""
    pairs = [(one, two) for one, two in zip(exact, fast, strict=True) if len(one) > TOP]
    best = [[set(np.argsort(-part, kind="stable")[:TOP].tolist()) for part in pair] for pair in pairs]
    shared = float(np.mean([len(one & two) / TOP for one, two in best]))
    return shared, float(np.mean([spearman_with(one[:, None], two)[0] for one, two in pairs]))


def compare(
    name: str, X: np.ndarray, Y: np.ndarray, openness: sparse.csc_array, near: list[np.ndarray]
) -> list[list[str]]:
    """Rows of the table of times for the regulators (n, S) and the regions near each of the targets (n, T)."""
    rows, everything = [], np.arange(X.shape[1])
    bins = Bins.of(X)
    boosted_together(bins, Y[:, :2], everything, seed=1, plan=Boosting(rounds=2))  # compiles
    ways = {
        "exact": lambda: [boosted(X, y, seed=1)[0] for y in Y.T],
        "exact, another seed": lambda: [boosted(X, y, seed=2)[0] for y in Y.T],
        "fast": lambda: list(boosted_together(bins, Y, everything, seed=1)[0]),
    }
    made, seconds = {}, {}
    for way, call in ways.items():
        start = time.process_time()
        made[way] = call()
        seconds[way] = time.process_time() - start
    rows += listed(f"{name}: {X.shape[1]} regulators", made, seconds, Y.shape[1])
    names = np.array([f"g{i}" for i in range(Y.shape[1])])
    ends = np.cumsum([len(part) for part in near])[:-1]
    for way, mode, seed in (("exact", "exact", 1), ("exact, another seed", "exact", 2), ("fast", "fast", 1)):
        start = time.process_time()
        importance, _ = region_importances(openness, sparse.csc_array(Y), names, near, Growing(mode, 500, seed))
        seconds[way] = time.process_time() - start
        made[way] = np.split(importance, ends)
    mean = np.mean([len(part) for part in near])
    return rows + listed(f"{name}: {mean:.0f} regions per gene", made, seconds, Y.shape[1])


def listed(problem: str, made: dict[str, list[np.ndarray]], seconds: dict[str, float], targets: int) -> list[list[str]]:
    """Seconds, ratio and agreement with exact trees."""
    rows = []
    for way, importance in made.items():
        shared, rho = agreement(made["exact"], importance)
        ratio = seconds["exact"] / seconds[way]
        rows.append([problem, way, f"{seconds[way] / targets:.2f}", f"{ratio:.1f}", f"{shared:.2f}", f"{rho:.2f}"])
        print(f"| {' | '.join(rows[-1])} |", flush=True)
    return rows


def simulated(n_cells: int, targets: int) -> list[list[str]]:
    """Simulated cells, some of the targets."""
    mdata = grn.datasets.toy_multiome(n_cells=n_cells, n_regulators=60, n_targets=60, regions_per_gene=8, rng=1)
    genes = [f for f in mdata["rna"].var_names if f not in set(mdata.uns["regulators"])]
    links = grn.genome.link_genes(
        mdata["atac"].var_names, starts=mdata.uns["starts"], upstream=WINDOW, downstream=WINDOW
    )
    return measured(
        f"simulated, {n_cells} cells", mdata, genes, list(mdata.uns["regulators"]), links, targets, "counts"
    )


def lines(folder: Path, targets: int) -> list[list[str]]:
    """Four lines of SNARE-seq: regulators and genes seen in at least a tenth of the cells."""
    mdata = MuData({k: ad.read_h5ad(folder / f"human_snareseq_lines_{k}.h5ad") for k in ("rna", "atac")})
    seen = np.asarray((mdata["rna"].X > 0).mean(axis=0)).ravel() >= 0.1
    genes = list(mdata["rna"].var_names[seen])
    grn.pp.annotate_regulators(mdata["rna"], organism="human")
    regulators = [g for g in genes if mdata["rna"].var.loc[g, "is_regulator"]]
    starts = grn.genome.starts("hg38")
    links = grn.genome.link_genes(mdata["atac"].var_names, starts=starts)
    return measured(f"SNARE-seq lines, {mdata.n_obs} cells", mdata, genes, regulators, links, targets, None)


def measured(
    name: str,
    mdata: MuData,
    genes: list[str],
    regulators: list[str],
    links: pd.DataFrame,
    targets: int,
    layer: str | None,
) -> list[list[str]]:
    """Draw targets that have links by name and compare."""
    linked = set(links["gene"])
    able = [g for g in genes if g in linked and g not in set(regulators)]
    chosen = [able[i] for i in sample_names(able, targets, 0)]
    rna = mdata["rna"]
    counts = sparse.csr_matrix(rna.X if layer is None else rna.layers[layer], dtype=float)
    values = sparse.csc_matrix(log_normalize(counts))
    X, Y = (values[:, rna.var_names.get_indexer(part)].toarray().astype(np.float32) for part in (regulators, chosen))
    openness = log_normalize(sparse.csr_matrix(mdata["atac"].X, dtype=float)).tocsc()
    index = pd.Index(mdata["atac"].var_names)
    near = [index.get_indexer(links.loc[links["gene"] == gene, "region"]) for gene in chosen]
    return compare(name, np.asfortranarray(X), Y, sparse.csc_array(openness), near)


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("planted", "speed"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--genes", type=int, default=80, help="targets of the planted multiome")
    parser.add_argument("--targets", type=int, default=12, help="targets of the table of times")
    parser.add_argument("--lines", type=Path, help="folder with the lines of SNARE-seq")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "scenicplus.md")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    parts = {}
    if args.only != "planted":
        problems = [partial(simulated, 1000), partial(simulated, 5000)] + [partial(lines, args.lines)] * bool(
            args.lines
        )
        rows = [row for problem in problems for row in problem(args.targets)]
        head = ["problem", "trees", "s / target", "times faster", f"top {TOP}", "rank corr."]
        parts["Fast and exact trees"] = markdown_table(head, rows)
    if args.only != "speed":
        parts["Planted multiome"] = planted_table(args.seeds, args.genes)
    used = f"{platform.machine()}, scikit-learn {sklearn.__version__}, numba {numba.__version__}"
    text = "\n\n".join([used, *(f"## {title}\n\n{part}" for title, part in parts.items())])
    print(text)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(f"# `python benchmarks/scenicplus.py`\n\n{text}\n")


if __name__ == "__main__":
    main()
