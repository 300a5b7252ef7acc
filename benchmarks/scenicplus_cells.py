"""What the steps of SCENIC+ that need no motifs say of measured cells: lines of SNARE-seq, and A549 with dexamethasone.

python benchmarks/scenicplus_cells.py FOLDER

No genome sequence comes with these files, so there are no motif hits and no cistromes: regulators keep the 50 genes
that they are most important for among those they correlate with positively (fast trees), and are ranked by how much
the AUCell score of these genes is that of one line (specificity), or differs between 0 and 3 hours (t). The floor
ranks them by their own expression in the same way. Regions are boosted for the genes drawn.
FOLDER has ``human_snareseq_lines_{rna,atac}.h5ad`` and ``human_a549_dex_scicar_{rna,atac}.h5ad``.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from pathlib import Path

import anndata as ad
import decoupler as dc
import numpy as np
import pandas as pd
from scipy import sparse, stats

import grn
from grn._core.markdown import markdown_table
from grn._kernels.expression import log_normalize
from grn._kernels.specificity import specificity
from grn.methods.scenicplus.region_importances import Growing, region_importances

KNOWN = {
    "K562": ["GATA1", "KLF1", "TAL1", "NFE2"],
    "H1": ["POU5F1", "SOX2", "NANOG"],
    "GM12878": ["PAX5", "EBF1", "IRF4"],
}
TOP = 50


def regulons(adata: ad.AnnData, values: pd.DataFrame, targets: list[str]) -> pd.DataFrame:
    """Genes of every regulator, ``source, target, weight``."""
    params = {"mode": "fast"}
    grn.tl.infer_network(adata, method="grnboost2", targets=targets, params=params, key_added="trees", progress=False)
    edges = adata.uns["trees"]["edges"].astype({"source": str, "target": str})
    centred = (values - values.mean()) / values.std()
    pairs = zip(edges["source"], edges["target"], strict=True)
    edges["rho"] = [float((centred[s] * centred[t]).mean()) for s, t in pairs]
    edges = edges[edges["rho"] > 0.05].sort_values("weight", ascending=False)
    sets = edges.groupby("source").head(TOP)
    return sets[sets.groupby("source")["target"].transform("size") >= 10].assign(weight=1.0)


def scores(values: pd.DataFrame, sets: pd.DataFrame) -> pd.DataFrame:
    """AUCell scores of every regulator."""
    table = dc.mt.aucell(values, sets[["source", "target", "weight"]].sort_values(["source", "target"]), tmin=5)
    return table[0] if isinstance(table, tuple) else table


def drawn_targets(values: pd.DataFrame, number: int) -> list[str]:
    """Genes that vary most."""
    seen = (values > 0).sum() >= 20
    return values.loc[:, seen].var().sort_values(ascending=False).index[:number].tolist()


def rank_of(score: pd.Series, name: str) -> str:
    """Rank of a regulator, the largest first."""
    if name not in score.index or np.isnan(score[name]):
        return "not scored"
    return f"{int((score > score[name]).sum()) + 1} of {int(score.notna().sum())}"


def regions(atac: ad.AnnData, values: pd.DataFrame, targets: list[str], build: str) -> str:
    """What boosting of regions took and where its strongest links are."""
    links = grn.genome.link_genes(atac.var_names, starts=grn.genome.starts(build))
    links = links[links["gene"].isin(targets)].sort_values(["gene", "region"])
    index = pd.Index(atac.var_names)
    genes = links["gene"].unique()
    near = [index.get_indexer(part["region"]) for _, part in links.groupby("gene", sort=False)]
    counts = sparse.csr_matrix(atac.X, dtype=float)
    openness = sparse.csc_array(log_normalize(counts))
    start = time.process_time()
    expression = sparse.csc_array(values[genes].to_numpy(dtype=np.float32))
    importance, rho = region_importances(openness, expression, genes, near, Growing("fast", 500, 0))
    seconds = time.process_time() - start
    links = links.assign(importance=importance, rho=rho)
    best = links.sort_values("importance", ascending=False).drop_duplicates("gene")
    near_start, best_near = ((part["distance"].abs() <= 1000).mean() for part in (links, best))
    return (
        f"{len(genes)} genes, {len(links)} links, {seconds:.0f} s; on the start of the gene (1000 bases) are "
        f"{near_start:.1%} of the links and {best_near:.1%} "
        f"of the strongest per gene; of the strongest {(best['rho'] > 0).mean():.0%} correlate positively, of all "
        f"{(links['rho'] > 0).mean():.0%}"
    )


def lines(folder: Path, number: int) -> str:
    """Known regulators of three lines."""
    rna, atac = (ad.read_h5ad(folder / f"human_snareseq_lines_{part}.h5ad") for part in ("rna", "atac"))
    rna = rna[:, np.asarray((rna.X > 0).sum(axis=0)).ravel() >= 5].copy()
    grn.pp.annotate_regulators(rna, organism="human")
    counts = sparse.csr_matrix(rna.X, dtype=float)
    values = pd.DataFrame(log_normalize(counts).toarray(), index=rna.obs_names, columns=rna.var_names)
    targets = drawn_targets(values, number)
    sets = regulons(rna, values, targets)
    activity = scores(values, sets)
    labels = rna.obs["label"].astype("category")
    names, codes = list(labels.cat.categories), labels.cat.codes.to_numpy()
    by_set = pd.DataFrame(specificity(activity.to_numpy(), codes, len(names)), names, activity.columns)
    regulators = list(rna.var_names[rna.var["is_regulator"]])
    by_own = pd.DataFrame(specificity(values[regulators].to_numpy(), codes, len(names)), names, regulators)
    rows = []
    for line, known in KNOWN.items():
        for name in known:
            cells = int((values[name] > 0).sum()) if name in values else 0
            rows.append([line, name, str(cells), rank_of(by_set.loc[line], name), rank_of(by_own.loc[line], name)])
    firsts = [f"{line}: {', '.join(by_set.loc[line].nlargest(8).index)}" for line in names]
    head = ["line", "regulator", "cells with it", "rank by its genes", "rank by itself"]
    size = f"{len(regulators)} regulators, {len(targets)} targets; regions: {regions(atac, values, targets, 'hg38')}"
    return f"{size}\n\n{markdown_table(head, rows)}\n\nFirst by their genes. {'. '.join(firsts)}."


def dexamethasone(folder: Path, number: int) -> str:
    """Where NR3C1 stands among the regulators between 0 and 3 hours."""
    rna, atac = (ad.read_h5ad(folder / f"human_a549_dex_scicar_{part}.h5ad") for part in ("rna", "atac"))
    grn.pp.annotate_regulators(rna, organism="human")
    values = rna.to_df()
    targets = drawn_targets(values, number)
    sets = regulons(rna, values, targets)
    activity = scores(values, sets)
    early, late = (rna.obs["time_h"].astype(str).isin([t]).to_numpy() for t in ("0", "3"))
    t_set = pd.Series(np.abs(stats.ttest_ind(activity[late], activity[early])[0]), activity.columns)
    regulators = list(rna.var_names[rna.var["is_regulator"]])
    t_own = pd.Series(
        np.abs(stats.ttest_ind(values.loc[late, regulators], values.loc[early, regulators])[0]), regulators
    )
    rows = [[name, rank_of(t_set, name), rank_of(t_own, name)] for name in ("NR3C1", "CEBPB", "CEBPD", "FOSL2")]
    table = markdown_table(["regulator", "rank by its genes", "rank by itself"], rows)
    genes = ", ".join(sets[sets["source"] == "NR3C1"]["target"].head(10))
    size = f"{len(regulators)} regulators, {len(targets)} targets; regions: {regions(atac, values, targets, 'hg19')}"
    first = ", ".join(t_set.nlargest(8).index)
    return f"{size}\n\n{table}\n\nFirst by their genes: {first}. Genes of NR3C1: {genes or 'none'}."


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--genes", type=int, default=1000, help="targets, those that vary most")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "scenicplus_cells.md")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    parts = {}
    for title, part in {"A549 with dexamethasone": dexamethasone, "SNARE-seq lines": lines}.items():
        parts[title] = part(args.folder, args.genes)
        print(f"## {title}\n\n{parts[title]}\n", flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    text = "\n\n".join(f"## {title}\n\n{part}" for title, part in parts.items())
    args.out.write_text(f"# `python benchmarks/scenicplus_cells.py`\n\n{text}\n")


if __name__ == "__main__":
    main()
