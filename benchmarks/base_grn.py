"""From a genome and peaks to a network: what a base GRN is worth, on simulated cells and on mouse bone marrow.

python benchmarks/base_grn.py [--part planted|mouse|promoters|regions|embedded] [--seeds 5]

``planted``: :func:`grn.datasets.toy_multiome`, whose genome is written to a FASTA file and scanned; area under the
precision-recall curve of all pairs of a regulator and a target, for CellOracle with base GRNs of several kinds, and for
floors: the best motif near the gene, the nearest region with a motif, the correlation of expression.
``mouse``: peaks of mouse bone marrow and their stored hits (``multiome/mouse_bm_*_celloracle.*`` in
``grn.settings.data_dir``): how far our promoters give the stored pairs of a peak and a gene; then CellOracle with the
stored hits on haematopoietic progenitors in culture (``expression/mouse_hematopoiesis_larry_*``), against CollecTRI.
``promoters``: seconds of :func:`grn.pp.promoter_base_grn` on random bases, as many as the promoters of hg38 have, and
the share of promoters with a motif that this threshold gives by chance.
``regions``: seconds and memory of :func:`grn.pp.base_grn_from_regions` for 100 000 regions with all motifs of JASPAR.
``embedded``: whether the factors of promoter motifs in the package could stand for a base GRN.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.metrics import average_precision_score

import grn
from grn._core.markdown import markdown_table
from grn._core.rng import child
from grn.genome.scan import GENOMIC
from grn.models.promoter_motifs import embedded as promoter_motifs

PAIR = ["source", "target"]
SIZES = {"n_cells": 600, "n_regulators": 20, "n_targets": 80}
WINDOW = 60_000
EVERY = f"all genes within {WINDOW // 1000} kb"
PROMOTERS = "celloracle_mm10_promoter_base_grn.parquet"
CELLS = "mouse_hematopoiesis_larry_weinreb2020_cospar781.h5ad"


def strengths(table: pd.DataFrame, column: str, truth: pd.DataFrame) -> np.ndarray:
    """Highest absolute value (regulators, targets) of every pair, 0 where it is not listed."""
    table = table.assign(**{name: table[name].astype(str) for name in PAIR}, strength=table[column].abs())
    wide = table.groupby(PAIR)["strength"].max().unstack()
    found: np.ndarray = wide.reindex(index=truth.index, columns=truth.columns).fillna(0.0).to_numpy()
    return found


def score(table: pd.DataFrame, column: str, truth: pd.DataFrame) -> float:
    """AUPRC of all pairs."""
    return float(average_precision_score(truth.to_numpy().ravel(), strengths(table, column, truth).ravel()))


def interval(values: np.ndarray, truth: pd.DataFrame, n_boot: int = 200) -> str:
    """AUPRC with its 95 % interval over regulators."""
    label = truth.to_numpy()
    drawn = child(0, "regulators").integers(len(label), size=(n_boot, len(label)))
    areas = [average_precision_score(label[rows].ravel(), values[rows].ravel()) for rows in drawn]
    low, high = np.quantile(areas, [0.025, 0.975])
    return f"{average_precision_score(label.ravel(), values.ravel()):.4f} [{low:.4f}, {high:.4f}]"


def simulated(seed: int) -> tuple[object, pd.DataFrame]:
    """Cells with scanned regions, and which pairs are edges (regulators, targets)."""
    mdata = grn.datasets.toy_multiome(**SIZES, rng=seed)
    regulators = list(mdata.uns["regulators"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "genome.fa")
        path.write_text("".join(f">{name}\n{bases}\n" for name, bases in mdata.uns["genome"].items()))
        motifs = grn.pp.motifs().select(factors=regulators)
        grn.pp.scan_motifs(mdata["atac"], sequences=path, motifs=motifs, progress=False)
    edges = mdata.uns["truth"][PAIR].drop_duplicates().assign(edge=True)
    targets = [name for name in mdata["rna"].var_names if name not in set(regulators)]
    truth = edges.pivot(index="source", columns="target", values="edge").reindex(index=regulators, columns=targets)
    return mdata, truth.notna()


def base_grns(mdata: object) -> dict[str, pd.DataFrame | None]:
    """Who may regulate whom, by name of the way."""
    starts, atac = mdata.uns["starts"], mdata["atac"]
    near = grn.genome.link_genes(atac.var_names, starts=starts, upstream=WINDOW, downstream=WINDOW)
    own = near.assign(distance=near["distance"].abs()).sort_values("distance", kind="stable")
    made = {
        "no base GRN": None,
        "regions on promoters": grn.pp.base_grn_from_regions(mdata, starts=starts),
        "nearest gene of a region": grn.pp.base_grn_from_regions(mdata, links=own.drop_duplicates("region")),
        EVERY: grn.pp.base_grn_from_regions(mdata, links=near),
    }
    window = {"starts": starts, "upstream": WINDOW, "downstream": WINDOW, "progress": False}
    kinds = {
        "correlation": {},
        "correlation within groups": {"within": "group"},
        "co-accessibility": {"how": "coaccess"},
    }
    for name, asked in kinds.items():
        grn.pp.link_regions(mdata, **window, **asked)
        made[f"linked by {name}, p <= .05"] = grn.pp.base_grn_from_regions(mdata)
    return made


def floors(mdata: object, truth: pd.DataFrame) -> dict[str, float]:
    """Scores of single pieces of evidence."""
    links = grn.genome.link_genes(
        mdata["atac"].var_names, starts=mdata.uns["starts"], upstream=WINDOW, downstream=WINDOW
    )
    table = grn.pp.base_grn_from_regions(mdata, links=links)
    table["near"] = 1 / (1 + table["distance"].abs() / 10_000)
    rna = mdata["rna"].copy()
    grn.tl.infer_network(rna, method="correlation", sources=list(truth.index), targets=list(truth.columns))
    return {
        "chance": float(truth.to_numpy().mean()),
        "motif only: best score near the gene": score(table, "score", truth),
        "distance only: nearest region with a motif": score(table, "near", truth),
        "co-expression only: correlation": score(grn.get.edges(rna), "weight", truth),
    }


def named_region_acts(mdata: object, edges: pd.DataFrame, base: pd.DataFrame) -> tuple[float, float]:
    """Share of true edges whose region is one that acts, and what a region of the pair drawn at random would give."""
    planted = mdata.uns["truth"][[*PAIR, "region"]].drop_duplicates()
    acts = set(planted.itertuples(index=False, name=None))
    listed = base[[*PAIR, "region"]].astype(str)
    listed = listed.assign(acts=[row in acts for row in listed.itertuples(index=False, name=None)])
    drawn = listed.groupby(PAIR)["acts"].mean()
    pairs = pd.MultiIndex.from_frame(edges[PAIR].astype(str))
    true = pairs.isin(pd.MultiIndex.from_frame(planted[PAIR]))
    named = [row in acts for row in edges.loc[true, [*PAIR, "region"]].astype(str).itertuples(index=False, name=None)]
    return float(np.mean(named)), float(drawn.reindex(pairs[true]).mean())


def planted(seeds: int) -> str:
    """Table of simulated cells."""
    runs: dict[str, list[list[float]]] = {}
    for seed in range(seeds):
        mdata, truth = simulated(seed)
        for name, value in floors(mdata, truth).items():
            runs.setdefault(name, []).append([value, *[np.nan] * 4])
        asked = {"sources": list(truth.index), "targets": list(truth.columns), "max_p": None, "top": None}
        for name, base in base_grns(mdata).items():
            values = []
            for smooth in (False, True):
                grn.tl.celloracle(mdata, base_grn=base, smooth=smooth, **asked)
                edges = mdata.uns["celloracle"]["edges"]
                values.append(score(edges, "weight", truth))
            listed = truth.size if base is None else len(base[PAIR].drop_duplicates())
            regions = (np.nan, np.nan) if base is None else named_region_acts(mdata, edges, base)
            runs.setdefault(f"CellOracle, {name}", []).append([*values, listed / truth.size, *regions])
    rows = []
    for name, found in runs.items():
        mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(seeds)
        told = [f"{m:.3f} ± {e:.3f}" for m, e in zip(mean[:2], error[:2], strict=True)] + [f"{m:.2f}" for m in mean[2:]]
        rows.append([name, *["" if text.startswith("nan") else text for text in told]])
    head = ["TF-gene AUPRC, mean ± s.e.", "not smoothed", "smoothed", "pairs listed", "region acts", "at random"]
    return markdown_table(head, rows)


def on_disk(*parts: str) -> Path:
    """A file below ``grn.settings.data_dir``."""
    if grn.settings.data_dir is None:
        raise SystemExit("this part reads files: set GRN_DATA_DIR to their folder, or pass --part planted")
    return Path(grn.settings.data_dir, *parts)


def peaks_and_hits() -> tuple[list[str], Path]:
    """Peaks of mouse bone marrow, and the file with the stored pairs of a peak and a gene, and hits."""
    folder = on_disk("multiome")
    peaks = pd.read_csv(folder / "mouse_bm_scatac_peaks_mm10_celloracle.csv.gz").iloc[:, 0].tolist()
    return peaks, folder / "mouse_bm_peak_gene_motif_scan_celloracle.parquet"


def links_on_promoters() -> str:
    """Our pairs of a peak and a gene against the stored ones."""
    peaks, stored = peaks_and_hits()
    theirs = set(pd.read_parquet(stored, columns=["peak_id", "gene_short_name"]).itertuples(index=False, name=None))
    starts, rows = grn.genome.starts("mm10"), []
    for upstream, downstream in ((1000, 100), (500, 500), (1000, 1000)):
        links = grn.genome.link_genes(peaks, starts=starts, upstream=upstream, downstream=downstream)
        ours = set(links[["region", "gene"]].itertuples(index=False, name=None))
        both = len(ours & theirs)
        rows.append(
            [f"-{upstream} to +{downstream}", str(len(ours)), f"{both / len(ours):.3f}", f"{both / len(theirs):.3f}"]
        )
    head = ["promoter", "our pairs", "of ours, stored too", f"of {len(theirs)} stored, ours too"]
    return markdown_table(head, rows)


EXPECTED = {
    "Monocyte": ["Irf8", "Klf4"],
    "Neutrophil": ["Cebpe", "Gfi1"],
    "Baso": ["Gata2", "Runx1"],
    "Mast": ["Gata2", "Mitf"],
}


def progenitors() -> ad.AnnData:
    """Haematopoietic progenitors, states with at least 40 cells."""
    cells = ad.read_h5ad(on_disk("expression", CELLS))
    size = cells.obs["state"].map(cells.obs["state"].value_counts()).astype(int)
    cells = cells[size >= 40].copy()
    grn.pp.align_genes(cells, organism="mouse")
    grn.pp.annotate_regulators(cells, organism="mouse")
    return cells


def known_edges(cells: ad.AnnData, sources: list[str]) -> pd.DataFrame:
    """Which pairs CollecTRI lists, of regulators with at least 5 of them."""
    known = grn.pp.base_grn("collectri", adata=cells)
    pairs = known[known["source"].isin(sources)].astype(str)
    wide = pairs.assign(edge=True).pivot(index="source", columns="target", values="edge").notna()
    wide = wide.reindex(columns=sorted(cells.var_names), fill_value=False)
    return wide[wide.sum(axis=1) >= 5]


def mouse() -> str:
    """Links, then the network of haematopoietic progenitors with stored hits."""
    cells = progenitors()
    base = grn.pp.base_grn(peaks_and_hits()[1], adata=cells)
    regulators = [name for name in sorted(set(base["source"])) if cells.var.loc[name, "is_regulator"]]
    truth = known_edges(cells, regulators)
    told = [
        f"{cells.n_obs} cells, {cells.n_vars} genes; the base GRN lists {len(base[PAIR].drop_duplicates())} pairs of "
        f"{len(regulators)} regulators"
    ]
    told.append(f"CollecTRI: {int(truth.to_numpy().sum())} edges of {len(truth)} regulators")
    scores = {
        "chance": f"{truth.to_numpy().mean():.4f}",
        "motif only": interval(strengths(base.assign(listed=1.0), "listed", truth), truth),
    }
    runs = {
        "co-expression only": ("correlation", {}),
        "CellOracle, no base GRN": ("celloracle", {"max_p": None, "top": None}),
    }
    runs["CellOracle, base GRN of peaks"] = ("celloracle", {"base_grn": base, "max_p": None, "top": None})
    for name, (method, params) in runs.items():
        grn.tl.infer_network(cells, method=method, sources=regulators, params=params, key_added="one")
        scores[name] = interval(strengths(cells.uns["one"]["edges"], "weight", truth), truth)
    edges = cells.uns["one"]["edges"]
    told.append(f"with the base GRN, edges by direction: {edges['direction'].value_counts().to_dict()}")
    grn.tl.celloracle(cells, base_grn=base, groupby="state", sources=regulators)
    degree = cells.uns["celloracle"]["scores"].set_index(["group", "gene"])["degree_out"].unstack(0)
    rows = [
        [
            state,
            ", ".join(degree[state].nlargest(6).index),
            ", ".join(f"{gene} {place(degree[state], gene)}" for gene in genes),
        ]
        for state, genes in EXPECTED.items()
    ]
    table = markdown_table(
        ["AUPRC against CollecTRI", "value, 95 % interval"], [[name, value] for name, value in scores.items()]
    )
    groups = markdown_table(["state", "most targets", "known regulator: rank by number of targets"], rows)
    return "\n\n".join([links_on_promoters(), "; ".join(told), table, groups])


def place(values: pd.Series, gene: str) -> str:
    """Rank of a gene, the largest first, of how many."""
    return (
        f"{int(values.rank(ascending=False)[gene])} of {int((values > 0).sum())}"
        if gene in values.index and values[gene] > 0
        else "no edge"
    )


def promoters() -> str:
    """Seconds for as many promoters as hg38 has, of random bases, and how many have a motif by chance."""
    starts = grn.genome.starts("hg38")
    width, n = 1200, len(starts)
    bases = np.array(list("ACGT"))[child(0, "promoters").choice(4, size=n * width, p=GENOMIC)]
    made = starts.assign(chrom="chr1", position=width * np.arange(n) + 1050, strand="+")
    with tempfile.TemporaryDirectory() as folder:
        asked = {"starts": made, "cache": folder, "progress": False}
        genome = {"chr1": "".join(bases)}
        seconds, tables = [], []
        for _ in range(2):
            began = time.process_time()
            tables.append(grn.pp.promoter_base_grn(genome, **asked))
            seconds.append(time.process_time() - began)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.npz"))
    table = tables[0]
    share = table.groupby("source", observed=True)["region"].nunique() / n
    return (
        f"{n} promoters of 1101 random bases, all motifs of JASPAR: {seconds[0]:.0f} s of one core, {seconds[1]:.0f} s "
        f"from the file ({size / 2**20:.0f} MB); {len(table):,} rows of {len(share)} regulators; of all promoters a "
        f"regulator has a motif by chance in {share.median():.1%} (quartiles {share.quantile(0.25):.1%}, "
        f"{share.quantile(0.75):.1%})"
    )


def regions(n: int = 100_000, share: float = 0.1) -> str:
    """Seconds and memory of a base GRN of many regions, a fifth of them on promoters, with random hits."""
    random, starts = child(0, "regions"), grn.genome.starts("hg38")
    on = starts.iloc[random.choice(len(starts), n // 5, replace=False)]
    chrom = np.append(on["chrom"].to_numpy(dtype=str), random.choice(on["chrom"].unique().astype(str), n - len(on)))
    begin = np.append(on["position"] - 250, random.integers(10_000, 40_000_000, n - len(on)))
    names = pd.unique(np.array([f"{c}:{s}-{s + 500}" for c, s in zip(chrom, begin, strict=True)], dtype=object))
    motifs = grn.pp.motifs()
    hits = sparse.random(len(names), len(motifs), density=share, format="csr", random_state=0, dtype=np.float32)
    atac = ad.AnnData(sparse.csr_matrix((1, len(names)), dtype=np.float32), var=pd.DataFrame(index=names))
    atac.varm["motifs"] = hits
    atac.uns["motifs"] = {"names": np.array(motifs.names, dtype=object), "factors": motifs.to_frame()}
    began = time.process_time()
    base = grn.pp.base_grn_from_regions(atac, starts="hg38")
    took, peak = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return (
        f"{len(names):,} regions, {len(motifs)} motifs, {hits.nnz:,} hits: {len(base):,} triples in {took:.0f} s of "
        f"one core, peak of the whole process {peak:.1f} GB"
    )


def embedded() -> str:
    """How much of CellOracle's table of mouse promoters the factors in the package give back."""
    model = promoter_motifs()
    genes = sorted({*model.regulators, *model.genes})
    blank = ad.AnnData(np.zeros((1, len(genes)), dtype=np.float32), var=pd.DataFrame(index=genes))
    grn.pp.align_genes(blank, organism="human")
    base = grn.pp.base_grn(on_disk("priors", PROMOTERS), adata=blank, organism="mouse")
    sources, targets = (
        sorted(set(base[side]) & set(names)) for side, names in zip(PAIR, (model.regulators, model.genes), strict=True)
    )
    place = [
        pd.Index(names).get_indexer(base[side].astype(object))
        for side, names in zip(PAIR, (sources, targets), strict=True)
    ]
    both = (place[0] >= 0) & (place[1] >= 0)
    listed = np.zeros((len(sources), len(targets)), dtype=bool)
    listed[place[0][both], place[1][both]] = True
    scores = model.scores(sources, targets)
    n, order = int(listed.sum()), np.argsort(-scores, axis=None, kind="stable")
    right = float(listed.ravel()[order[:n]].mean())
    within = [average_precision_score(row, value) for row, value in zip(listed, scores, strict=True) if row.any()]
    area = average_precision_score(listed.ravel(), scores.ravel())
    return (
        f"{len(sources)} regulators x {len(targets)} genes, {listed.mean():.3f} of the pairs listed; of as many pairs "
        f"with the highest scores {right:.3f} are listed; AUPRC {area:.3f}, mean within a regulator "
        f"{np.mean(within):.3f} (listed there {listed.mean(axis=1).mean():.3f})"
    )


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("planted", "mouse", "promoters", "regions", "embedded"), action="append")
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    grn.settings.verbosity = "error"
    parts = {
        "planted": lambda: planted(asked.seeds),
        "mouse": mouse,
        "promoters": promoters,
        "regions": regions,
        "embedded": embedded,
    }
    for part in asked.part or parts:
        print(f"\n{parts[part]()}\n", flush=True)


if __name__ == "__main__":
    main()
