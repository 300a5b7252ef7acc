"""Which way does an edge point? Arrows and scores against edges that CollecTRI lists one way.

python benchmarks/direction.py [--part evidence|methods] [--regulators 300] [--seeds 3]

``evidence``: of the arrows that :func:`grn.tl.infer_network` draws, by what tells them (column ``direction``), the
share that CollecTRI has that way, among pairs that it lists one way. Motifs are those of CellOracle's table of mouse
promoters, ``priors/celloracle_mm10_promoter_base_grn.parquet`` in ``grn.settings.data_dir``; responses those of
``mini``; roles the list of regulators. Rows marked strict are for pairs without a gene of BEELINE's hESC, on which
choices of this package were made, the others for all.

``methods``: of one-way edges between two regulators without a gene of hESC, the share whose score is higher than that
of the reverse, and the AUPRC of the edges against their reverses, for every method and floor. Methods are trained on
hESC.

Intervals (95 %) are over regulators, both of an edge drawn. Chance is .5.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import grn
from grn._core.markdown import markdown_table
from grn._core.rng import child

PROMOTERS = Path("priors", "celloracle_mm10_promoter_base_grn.parquet")
CELLS = Path("expression", "human_pbmc_ifnb_kang2018_harmony.h5ad")
KEYS = ["source", "target"]
RAW = {"translator": None}


def one_way() -> pd.DataFrame:
    """Edges of CollecTRI whose reverse it does not list."""
    edges = grn.datasets.collectri().edges[KEYS].astype(str)
    edges = edges[edges["source"] != edges["target"]].drop_duplicates()
    reverse = edges.rename(columns={"source": "target", "target": "source"})
    both = edges.merge(reverse, on=KEYS)
    listed = pd.MultiIndex.from_frame(both[KEYS])
    return edges[~pd.MultiIndex.from_frame(edges).isin(listed)].reset_index(drop=True)


def blank(genes: list[str]) -> ad.AnnData:
    """Cells that say nothing, for methods whose directions are asked and whose weights are not."""
    values = np.abs(child(0, "blank cells").normal(size=(30, len(genes)))).astype(np.float32)
    made = ad.AnnData(values, var=pd.DataFrame(index=genes))
    grn.pp.align_genes(made, organism="human")
    grn.pp.annotate_regulators(made, organism="human")
    return made


def arrows(cells: ad.AnnData, word: str, method: str = "correlation", **asked: object) -> pd.DataFrame:
    """Edges whose direction is told by a word."""
    grn.tl.infer_network(cells, method=method, values="log", progress=False, **asked)
    edges = cells.uns["grn"]["edges"]
    return edges.loc[edges["direction"] == word, KEYS].astype(str)


def by_motif(pairs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Arrows between regulators that motifs tell, and the motifs in promoters of regulators."""
    genes = sorted({*pairs["source"], *pairs["target"]})
    cells = blank(genes)
    base = grn.pp.base_grn(Path(grn.settings.data_dir) / PROMOTERS, adata=cells, min_overlap=0.0)
    regulators = [name for name in genes if name in set(base["source"])]
    told = arrows(cells, "motif", sources=regulators, params={"base_grn": base, "min_cells": 0})
    return told, base[KEYS].astype(str)


def by_role(pairs: pd.DataFrame) -> pd.DataFrame:
    """Arrows that the list of regulators tells, among pairs that are listed."""
    cells = blank(sorted({*pairs["source"], *pairs["target"]}))
    reverse = pairs.rename(columns={"source": "target", "target": "source"})
    return arrows(cells, "role", params={"base_grn": pd.concat([pairs, reverse])[KEYS], "min_cells": 0})


def by_response(pairs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Arrows that responses of ``mini`` tell: to virtual values, and at the mean cell of blood cells."""
    virtual = blank(sorted({*pairs["source"], *pairs["target"]}))
    sources = [name for name in virtual.var_names if name in set(pairs["source"])]
    asked = {"sources": sources, "targets": sources}
    told = {}
    for background in ("fixed", "unknown"):
        params = {**RAW, "background": background}
        told[f"`mini`, `vvp`, others {background}"] = arrows(virtual, "response", "vvp", params=params, **asked)
    blood = ad.read_h5ad(Path(grn.settings.data_dir) / CELLS)
    grn.pp.align_genes(blood, organism="human")
    blood = blood[:, blood.var_names.isin(sources)].copy()
    told["`mini`, `pert`, blood cells"] = arrows(blood, "response", "pert", sources=list(blood.var_names))
    return told


def reciprocity(base: pd.DataFrame, testable: set[str]) -> str:
    """How often CollecTRI lists an edge both ways, by the number of ways in which there is a motif."""
    edges = grn.datasets.collectri().edges[KEYS].astype(str).drop_duplicates()
    edges = edges[edges.isin(testable).all(axis=1) & (edges["source"] != edges["target"])]
    listed, motifs = pd.MultiIndex.from_frame(edges), pd.MultiIndex.from_frame(base)
    reverse = pd.MultiIndex.from_frame(edges[KEYS[::-1]], names=KEYS)
    table = pd.DataFrame({"ways": listed.isin(motifs).astype(int) + reverse.isin(motifs), "both": reverse.isin(listed)})
    # an edge that is listed both ways has two rows
    pairs = table.assign(pair=np.where(table["both"], 0.5, 1.0)).groupby("ways")
    shares = pairs.apply(lambda part: part["pair"][part["both"]].sum() / part["pair"].sum(), include_groups=False)
    told = ", ".join(f"{share:.3f} with motifs {ways} ways" for ways, share in shares.items())
    return f"share of pairs that CollecTRI lists both ways: {told}"


def line(name: str, told: pd.DataFrame, pairs: pd.DataFrame, n_boot: int = 1000) -> list[str]:
    """A row: arrows among the pairs that are known one way, and how many are right."""
    known = {True: pd.MultiIndex.from_frame(pairs[KEYS]), False: pd.MultiIndex.from_frame(pairs[KEYS[::-1]])}
    told = told[pd.MultiIndex.from_frame(told).isin(known[True].append(known[False]))]
    right = pd.MultiIndex.from_frame(told).isin(known[True])
    if not len(right):
        return [name, "0", "", ""]
    genes, ends = np.unique(told.to_numpy().T, return_inverse=True)
    first, second = ends.reshape(2, -1)
    even = np.full(len(genes), 1 / len(genes))
    times = child(0, "direction", name).multinomial(len(genes), even, size=n_boot)
    weights = times[:, first] * times[:, second]  # (B, N)
    total = weights.sum(axis=1)
    low, high = np.quantile((weights @ right)[total > 0] / total[total > 0], [0.025, 0.975])
    return [name, f"{len(right)}", f"{right.mean():.3f}", f"[{low:.3f}, {high:.3f}]"]


def evidence(hesc: set[str]) -> str:
    """The table of arrows by what tells them."""
    listed = one_way()
    between = listed[listed["target"].isin(set(listed["source"]))]
    motif, base = by_motif(between)
    testable = set(base["source"]) & set(base["target"])
    tested = between[between.isin(testable).all(axis=1)]
    print(reciprocity(base, testable), flush=True)
    rows = []
    for name, told, pairs in (
        ("motif", motif, between),
        ("motif, both genes have one", motif, tested),
        *((f"response ({what})", told, between) for what, told in by_response(between).items()),
        ("role", by_role(listed), listed),
    ):
        rows.append(line(name, told, pairs))
        strict = pairs[~pairs.isin(hesc).any(axis=1)]
        rows.append(line(f"{name}, strict", told, strict))
        for row in rows[-2:]:
            print(" | ".join(row), flush=True)
    return markdown_table(["what tells the direction", "arrows", "right", "95 % interval"], rows)


def reference(hesc: set[str]) -> grn.bench.Reference:
    """All edges of CollecTRI between genes that hESC does not have, of its regulators."""
    edges = grn.datasets.collectri().edges[KEYS].astype(str)
    left = set(edges["source"]) - hesc
    pairs = edges[edges["source"].isin(left) & edges["target"].isin(left) & (edges["source"] != edges["target"])]
    return grn.bench.Reference(pairs, dataset="CollecTRI", network="CollecTRI", organism="human")


def methods(learned: grn.bench.Reference, asked: argparse.Namespace) -> str:
    """The table of scores."""
    table = grn.bench.run(
        methods=asked.methods,
        train=learned,
        test=[reference(set(learned.genes))],
        protocols=["strict"],
        seeds=asked.seeds,
        max_regulators=asked.regulators,
        cache=asked.cache,
    )
    table = table[table["pairs"] == "all"].set_index("method")
    share, area = (table[table["metric"] == metric] for metric in ("direction", "auprc_direction"))
    rows = [
        [
            name,
            row["kind"],
            f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]",
            f"{area.at[name, 'value']:.3f}",
        ]
        for name, row in share.sort_values(["kind", "value"], ascending=[False, False]).iterrows()
    ]
    return markdown_table(["score", "kind", "right way higher", "AUPRC against reverses"], rows)


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("evidence", "methods"), action="append")
    parser.add_argument("--regulators", type=int, default=None, help="most regulators of methods, drawn by name")
    parser.add_argument("--methods", nargs="*", default=None, help="names of grn.tl.methods() (default: the readings)")
    parser.add_argument("--labels", default="STRING", help="network of hESC that translators learn (default: STRING)")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--cache", default=None, help="folder for features and finished trials")
    asked = parser.parse_args()
    learned = grn.datasets.beeline("hESC", network=asked.labels)
    parts = {"evidence": lambda: evidence(set(learned.genes)), "methods": lambda: methods(learned, asked)}
    for part in asked.part or parts:
        print(f"\n{parts[part]()}\n", flush=True)


if __name__ == "__main__":
    main()
