"""Make the model of promoter motifs in the wheel: which regulators' motifs go with the promoter of which gene.

    python scripts/fit_promoter_motifs.py --data DATA --out src/grn/models/weights

DATA is a folder with ``priors/celloracle_mm10_promoter_base_grn.parquet``, hits of motifs in mouse promoters. Names go
to human symbols through orthologs; hits lose their row and column means and are decomposed. The model keeps the leading
factors of regulators and of promoters; the hits themselves are not kept. A second run gives the same file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse.linalg as spl

from grn.genes import resolve
from grn.models.promoter_motifs import PromoterMotifs, save

TABLE = "priors/celloracle_mm10_promoter_base_grn.parquet"
RANK = 64


def human(symbols: pd.Index) -> np.ndarray:
    """Human symbols of mouse genes; empty where there is no single ortholog."""
    names = pd.Index(symbols.astype(str))
    table = resolve(names.unique(), organism="mouse", orthologs="syntenic").set_index("name")["symbol"]
    return table.loc[names].to_numpy(dtype=str)


def hits(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Regulators (R,), genes (G,), and whether a promoter of the gene has the regulator's motif (R, G)."""
    table = pd.read_parquet(path)
    regulator, gene = human(table.columns[2:]), human(pd.Index(table["gene_short_name"]))
    values = table.iloc[:, 2:].to_numpy() > 0  # (promoters, R)
    regulators, genes = (np.unique(names[names != ""]) for names in (regulator, gene))
    promoter, motif = np.nonzero(values & (regulator != "") & (gene != "")[:, None])
    has = np.zeros((len(regulators), len(genes)), dtype=bool)
    has[np.searchsorted(regulators, regulator[motif]), np.searchsorted(genes, gene[promoter])] = True
    return regulators, genes, has


def main() -> None:
    """Decompose and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("src/grn/models/weights"))
    parser.add_argument("--rank", type=int, default=RANK)
    args = parser.parse_args()
    regulators, genes, has = hits(args.data / TABLE)
    table = has.astype(np.float64)
    table -= table.mean(axis=1, keepdims=True)
    table -= table.mean(axis=0, keepdims=True)
    left, size, right = spl.svds(table, k=args.rank, v0=np.ones(min(table.shape)), random_state=0)
    order = np.argsort(-size)
    sign = np.where(right[order].sum(axis=1) < 0, -1.0, 1.0)
    root = np.sqrt(size[order])
    scale = 1 / table.std()  # so that a score is in units of the spread of the table
    model = PromoterMotifs(
        tuple(regulators.tolist()),
        tuple(genes.tolist()),
        (left[:, order] * root * sign * scale).astype(np.float32),
        (right[order].T * root * sign).astype(np.float32),
    )
    path = save(model, args.out / "promoter-motifs.safetensors")
    kept = float(np.square(size).sum() / np.square(table).sum())
    print(f"{len(regulators)} regulators, {len(genes)} genes, rank {args.rank} keeps {kept:.3f} of the hits; {path}")


if __name__ == "__main__":
    main()
