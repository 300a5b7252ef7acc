"""Whether planted motifs are found in the sets of regions in which they are frequent, and what cistromes are worth.

    python benchmarks/motif_enrichment.py
    python benchmarks/motif_enrichment.py --part speed

Toys: simulated multiomes of several sizes, scanned for all of JASPAR. A regulator is *there* in a set if its motif was
planted in more of its regions than chance has it (Fisher's exact test, one-sided, p < 0.001); asked is how well the
best score of its motifs tells these pairs from the others, and how many are above the thresholds. Cistromes: precision
and recall, and the area under the precision-recall curve, of pairs of a regulator and a region against those that act
in the simulation (truth), where every second planted motif is idle. Floors are chance, scores of motif hits alone,
accessibility alone (the largest score of a region in any label), and the product of the last two.

Speed: sets of regions of 20 000 cells x 100 000 regions in a file, 1 000 of them open in every cell, by labels and as
topics; random scores of 100 000 regions x 900 motifs, a tenth of them hits, and 20 sets of 2 000 regions. Seconds are
of this process, memory is the peak of it.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData, read_h5ad
from scipy import sparse
from scipy.stats import fisher_exact
from sklearn.metrics import average_precision_score, roc_auc_score

import grn

# targets, groups, seed
TOYS = ((200, 4, 0), (400, 4, 1), (400, 3, 2), (1000, 3, 3))
MIN_LOG2FC = 0.5


def toy(n_targets: int, n_groups: int, seed: int):
    """A scanned multiome with enriched motifs and cistromes."""
    mdata = grn.datasets.toy_multiome(n_cells=800, n_targets=n_targets, n_groups=n_groups, rng=seed)
    grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=grn.pp.motifs())
    grn.tl.region_sets(mdata, groupby="group")
    grn.tl.motif_enrichment(mdata, min_log2fc=MIN_LOG2FC)
    return mdata


def there(mdata) -> dict[tuple[str, str], bool]:
    """Whether a regulator was planted in a set more often than by chance."""
    planted, n = mdata.uns["planted"], mdata["atac"].n_vars
    table = mdata["atac"].uns["region_sets"]["table"].astype({"set": str})
    answers = {}
    for name, regions in table.groupby("set")["region"]:
        for source in mdata.uns["regulators"]:
            mine, chosen = set(planted.loc[planted["source"] == source, "region"]), set(regions)
            both = len(mine & chosen)
            square = [[both, len(chosen) - both], [len(mine) - both, n - len(chosen) - len(mine) + both]]
            answers[name, source] = fisher_exact(square, alternative="greater")[1] < 1e-3
    return answers


def enrichment(mdata) -> list[dict[str, object]]:
    """How well each method tells where a regulator is."""
    stored = mdata["atac"].uns["motif_enrichment"]
    table = stored["table"].astype({"set": str, "method": str, "motif": str})
    table["score"] = table["nes"].fillna(-np.log10(table["pval"]) * np.sign(table["log2fc"]))
    table = table.merge(stored["factors"].astype(str), on="motif")
    best = table.groupby(["method", "set", "factor"])[["score", "enriched"]].max()
    answers = there(mdata)
    label = np.array(list(answers.values()))
    rows = []
    for method in ("recovery", "differential"):
        found = best.loc[[(method, *pair) for pair in answers]]
        hit = found["enriched"].to_numpy(dtype=bool)
        rows.append(
            {
                "regions": mdata["atac"].n_vars,
                "method": method,
                "pairs": len(label),
                "there": int(label.sum()),
                "AUROC": roc_auc_score(label, found["score"]),
                "AUPRC": average_precision_score(label, found["score"]),
                "enriched, there": int((hit & label).sum()),
                "enriched, not there": int((hit & ~label).sum()),
            }
        )
    return rows


def worth(mdata, methods: list[str]) -> list[dict[str, object]]:
    """Pairs of a regulator and a region in cistromes, and by the floors, against those that act."""
    atac, regulators = mdata["atac"], list(mdata.uns["regulators"])
    truth = mdata.uns["truth"]
    acting = set(zip(truth["source"], truth["region"], strict=True))
    label = np.array([[(s, r) in acting for r in atac.var_names] for s in regulators])
    hits = grn.get.motif_hits(atac).pivot(index="source", columns="region", values="score")
    motif = hits.reindex(index=regulators, columns=atac.var_names).fillna(0).clip(lower=0).to_numpy()
    sets = atac.uns["region_sets"]["table"].groupby("region")["score"].max()
    open_ = np.tile(sets.reindex(atac.var_names).fillna(0).to_numpy(), (len(regulators), 1))
    scores = {"chance": np.zeros_like(motif), "motif": motif, "accessibility": open_}
    scores["motif x accessibility"] = motif * open_
    for method in methods:
        grn.tl.motif_enrichment(mdata, method=method, min_log2fc=MIN_LOG2FC)
        grn.tl.cistromes(mdata)
        table = grn.get.cistromes(atac).assign(member=1.0)
        member = table.pivot(index="source", columns="region", values="member")
        member = member.reindex(index=regulators, columns=atac.var_names).fillna(0).to_numpy()
        scores[f"cistrome ({method})"] = member * (1 + open_ * motif)
    rows = []
    for name, score in scores.items():
        chosen = score > 0
        shared = (chosen & label).sum()
        rows.append(
            {
                "regions": atac.n_vars,
                "by": name,
                "pairs": int(chosen.sum()) if name != "chance" else label.size,
                "precision": shared / max(chosen.sum(), 1) if name != "chance" else label.mean(),
                "recall": shared / label.sum() if name != "chance" else 1.0,
                "AUPRC": average_precision_score(label.ravel(), score.ravel()),
            }
        )
    return rows


def toys() -> None:
    """Print both tables of the toys."""
    first, second = [], []
    for sizes in TOYS:
        mdata = toy(*sizes)
        first += enrichment(mdata)
        second += worth(mdata, ["recovery", "differential"])
    print(pd.DataFrame(first).round(2).to_string(index=False))
    print()
    print(pd.DataFrame(second).round(3).to_string(index=False))


def speed(n_regions: int, n_motifs: int, n_sets: int, n_members: int) -> None:
    """Seconds and memory of both methods on random scores."""
    random = np.random.default_rng(0)
    hits = sparse.random(n_regions, n_motifs, density=0.1, format="csr", dtype=np.float32, random_state=random)
    hits.data = (5 + 10 * hits.data).astype(np.float32)
    names = [f"chr{k % 22 + 1}:{k * 1000}-{k * 1000 + 500}" for k in range(n_regions)]
    adata = AnnData(sparse.csr_matrix((1, n_regions), dtype=np.float32), var=pd.DataFrame(index=names))
    adata.varm["motifs"] = hits
    motifs = np.array([f"M{k}" for k in range(n_motifs)], dtype=object)
    factors = pd.DataFrame({"motif": motifs, "factor": motifs})
    adata.uns["motifs"] = {"names": motifs, "factors": factors}
    sets = {f"set{k}": random.choice(names, n_members, replace=False).tolist() for k in range(n_sets)}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{n_regions} regions x {n_motifs} motifs, {hits.nnz} hits, {n_sets} sets of {n_members}; {before:.1f} GB")
    for method in ("recovery", "differential"):
        started = time.process_time()
        # every motif is enriched, so that leading edges of all of them are looked for
        grn.tl.motif_enrichment(adata, sets=sets, method=method, min_nes=-99, max_qval=1, min_log2fc=-99)
        taken = time.process_time() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{method:12s} {taken:6.1f} s, peak {peak:.1f} GB")
    started = time.process_time()
    grn.tl.cistromes(adata)
    print(f"cistromes    {time.process_time() - started:6.1f} s")


def cells(n_cells: int, n_regions: int, n_open: int = 1000) -> None:
    """Seconds and memory of sets of regions, from a file; in every other cell more of the first half are open."""
    random = np.random.default_rng(0)
    drawn = random.integers(0, n_regions, (n_cells, n_open), dtype=np.int32)
    drawn[::2, : n_open // 2] //= 2
    drawn.sort(axis=1)
    values = np.ones(drawn.size, dtype=np.float32)
    matrix = sparse.csr_matrix((values, drawn.ravel(), np.arange(0, drawn.size + 1, n_open)), (n_cells, n_regions))
    matrix.sum_duplicates()
    names = [f"chr{k % 22 + 1}:{k * 1000}-{k * 1000 + 500}" for k in range(n_regions)]
    obs = pd.DataFrame({"label": np.array(["a", "b"])[np.arange(n_cells) % 2]}, index=[f"c{k}" for k in range(n_cells)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.h5ad"
        AnnData(matrix, obs=obs, var=pd.DataFrame(index=names)).write_h5ad(path)
        del matrix, drawn, values
        adata = read_h5ad(path, backed="r")
        for name, call in (
            ("region_sets", lambda: grn.tl.region_sets(adata, groupby="label", min_log2fc=0.0)),
            ("topics", lambda: grn.tl.topics(adata, n_topics=10, max_iter=20)),
        ):
            started = time.process_time()
            call()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(
                f"{name:12s} {time.process_time() - started:6.1f} s, peak {peak:.1f} GB, {n_cells} cells x {n_regions}"
            )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("toys", "speed"), default=None, help="one of the two; both by default")
    parser.add_argument("--regions", type=int, default=100_000)
    parser.add_argument("--cells", type=int, default=20_000)
    parser.add_argument("--motifs", type=int, default=900)
    parser.add_argument("--sets", type=int, default=20)
    given = parser.parse_args()
    if given.part != "speed":
        toys()
    if given.part != "toys":
        cells(given.cells, given.regions)
        speed(given.regions, given.motifs, given.sets, given.regions // 50)


if __name__ == "__main__":
    main()
