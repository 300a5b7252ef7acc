"""Networks of real multiome cells against CollecTRI: LINGER, regulators of genes as in SCENIC+, correlation, floors.

python benchmarks/multiome_real.py FOLDER

FOLDER has ``human_snareseq_lines_{rna,atac}.h5ad`` (SNARE-seq of BJ, H1, K562 and GM12878). There is no genome
sequence, so no motifs: LINGER runs in scNN mode, and of SCENIC+ the step that ranks regulators of genes, which are the
trees of GRNBoost2 with and without its limit on the correlation. Regulators are all that 20 cells express; targets are
these and the genes that most cells express, of those that CollecTRI lists as targets and that have a start in hg38.
Everything is at its defaults. Areas under the precision-recall curve, with intervals over regulators, where non-edges
are drawn uniformly and where they have the degrees of the edges.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import mudata
import numpy as np
import pandas as pd
from scipy import sparse

import grn
from grn._core.markdown import markdown_table
from grn._kernels.expression import log_normalize

PAIR = ["source", "target"]
NEGATIVES = ("uniform", "degree_matched")
MIN_CELLS = 20
MIN_RHO = 0.05  # of modules of SCENIC+
FLOORS = ("random", "target is a regulator", "mean expression", "own degree")


def read(folder: Path) -> mudata.MuData:
    """Both modalities, regulators marked."""
    parts = {name: ad.read_h5ad(folder / f"human_snareseq_lines_{name}.h5ad") for name in ("rna", "atac")}
    with mudata.set_options(pull_on_update=False):
        mdata = mudata.MuData(parts)
    grn.pp.annotate_regulators(mdata, organism="human")
    return mdata


def question(rna: ad.AnnData, n_targets: int) -> tuple[list[str], grn.bench.Reference]:
    """Regulators, and the edges of CollecTRI among them and the most detected genes."""
    seen = pd.Series(np.asarray((rna.X > 0).sum(axis=0)).ravel(), rna.var_names)  # cells
    known = grn.pp.base_grn("collectri", adata=rna).astype(str)
    regulators = sorted(seen.index[(seen >= MIN_CELLS) & rna.var["is_regulator"]])
    listed = seen.index.isin(known["target"]) & seen.index.isin(grn.genome.starts("hg38")["gene"])
    others = seen[listed & ~rna.var["is_regulator"].to_numpy()]
    others = others.sort_index().sort_values(ascending=False, kind="stable").index[:n_targets]
    genes = [*regulators, *others]
    edges = known[known["source"].isin(regulators) & known["target"].isin(genes)]
    values = log_normalize(sparse.csr_matrix(rna.X, dtype=float)).tocsc()[:, rna.var_names.get_indexer(genes)]
    cells = ad.AnnData(values.tocsr(), obs=rna.obs[[]], var=pd.DataFrame(index=genes))
    facts = {"dataset": "SNARE-seq lines", "network": "CollecTRI", "organism": "human"}
    return regulators, grn.bench.Reference(edges, genes=genes, regulators=regulators, expression=cells, **facts)


def strongest(edges: pd.DataFrame) -> pd.DataFrame:
    """The strongest edge of every pair over groups."""
    edges = edges.assign(weight=edges["weight"].abs()).astype(dict.fromkeys(PAIR, str))
    return edges.groupby(PAIR, as_index=False)["weight"].max()


def metacells(mdata: mudata.MuData) -> mudata.MuData:
    """As large as those of LINGER, and as many per line as the smallest has cells, with the regulators marked."""
    fewest = mdata["rna"].obs["label"].value_counts().min()
    made = grn.pp.metacells(mdata, groupby="label", k=5, n_metacells=int(fewest), progress=False)
    made["rna"].var["is_regulator"] = mdata["rna"].var["is_regulator"]
    return made


def networks(mdata: mudata.MuData, regulators: list[str], genes: list[str]) -> dict[str, Callable[[], pd.DataFrame]]:
    """How to get the edges of every method; the order matters, as some are parts of others."""
    asked = {"sources": regulators, "targets": genes, "progress": False}
    cached: dict[str, pd.DataFrame] = {}

    def plain(method: str, cells: mudata.MuData, groupby: str | None = None) -> pd.DataFrame:
        grn.tl.infer_network(cells, method=method, groupby=groupby, key_added="net", **asked)
        return grn.get.edges(cells, key="net")

    def trees() -> pd.DataFrame:
        cached["trees"] = plain("grnboost2", mdata).astype(dict.fromkeys(PAIR, str))
        return cached["trees"]

    def modules() -> pd.DataFrame:
        both = cached["trees"].merge(cached["correlation"], on=PAIR, suffixes=("", "_rho"))
        return both[both["weight_rho"].abs() > MIN_RHO]

    def correlation() -> pd.DataFrame:
        cached["correlation"] = plain("correlation", mdata).astype(dict.fromkeys(PAIR, str))
        return cached["correlation"]

    def linger(groupby: str | None) -> pd.DataFrame:
        grn.tl.linger(mdata, groupby=groupby, motifs=None, **asked)
        return grn.get.edges(mdata, key="linger")

    return {
        "correlation": correlation,
        "correlation of metacells of a line": lambda: plain("correlation", metacells(mdata)),
        "correlation within lines, strongest": lambda: strongest(plain("correlation", mdata, "label")),
        "trees (GRNBoost2, the step of SCENIC+)": trees,
        "trees, absolute correlation above .05": modules,
        "LINGER, all cells": lambda: linger(None),
        "LINGER by line, strongest": lambda: strongest(linger("label")),
        "LINGER by line, networks of all cells": lambda: mdata.uns["linger"]["population"],
    }


def interval(table: pd.DataFrame, name: str) -> str:
    """AUPRC with its interval."""
    row = table.loc[name]
    return f"{row['value']:.3f}" if name == "random" else f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def measured(edges: pd.DataFrame, reference: grn.bench.Reference, name: str) -> dict[str, pd.DataFrame]:
    """AUPRC of a network and of all floors, by kind of non-edges."""
    figures = grn.bench.score_edges(edges, reference=reference, negatives=NEGATIVES, name=name, progress=False)
    figures = figures[figures["metric"] == "auprc"]
    return {kind: figures[figures["negatives"] == kind].set_index("method") for kind in NEGATIVES}


def table(mdata: mudata.MuData, regulators: list[str], reference: grn.bench.Reference) -> str:
    """A row per method and floor."""
    rows: list[list[str]] = []
    for name, make in networks(mdata, regulators, list(reference.genes)).items():
        start = time.process_time()
        edges = make()
        seconds = time.process_time() - start
        by_kind = measured(edges[[*PAIR, "weight"]], reference, name)
        gains = by_kind["degree_matched"].loc[name]
        gain = f"{gains['gain']:+.3f} [{gains['gain_low']:+.3f}, {gains['gain_high']:+.3f}]"
        areas = [interval(by_kind[kind], name) for kind in NEGATIVES]
        rows.append([name, f"{len(edges):,}", *areas, gain, f"{seconds:.0f}"])
        print(rows[-1], flush=True)
    floors = [[floor, "", *(interval(by_kind[kind], floor) for kind in NEGATIVES), "", ""] for floor in FLOORS]
    numbers = by_kind["degree_matched"].iloc[0], by_kind["uniform"].iloc[0]
    print(f"edges that keep a partner: {numbers[0]['n_pos']:.0f} of {numbers[1]['n_pos']:.0f}", flush=True)
    head = ["scores", "edges", "uniform", "degrees matched", "gain over the best floor, matched", "s"]
    return markdown_table(head, [*rows, *floors])


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--targets", type=int, default=500, help="genes beside the regulators")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "multiome_real.md")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    mdata = read(args.folder)
    regulators, reference = question(mdata["rna"], args.targets)
    print(reference, flush=True)
    text = f"{reference}\n\n{table(mdata, regulators, reference)}\n"
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(f"# `python benchmarks/multiome_real.py`\n\n{text}")
    print(text)


if __name__ == "__main__":
    main()
