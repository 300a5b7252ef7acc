"""Knock-outs predicted from wild-type cells by fitted dynamics, against what was measured.

    python benchmarks/dynamics_knockouts.py --data FOLDER [--prior FILE.parquet] [--genes 400] [--rounds 40]
        [--only flecs dictys]

FOLDER holds ``mouse_microglia_trem2_{wt,ko}.h5ad`` and ``mouse_lung_nkx2-1_ko_vs_wt.h5ad``. Every method is fitted to
the wild type alone; what it predicts for the gene that is lost is correlated, over all other genes, with the measured
difference of the means of log-normalised expression. Beside it stand floors: the mean of the gene in the wild type
(what falls most is what is high, whatever was lost), and the correlation with the lost gene times the spread. Trem2 is
no transcription factor, so that no base GRN has edges of it: it is given one to every gene. There is no course in these
data; methods that need one are given the diffusion pseudotime of the wild type, from either end of its first component.
The ceiling is the correlation of the measured change in one half of the cells with that in the other, corrected for
their number. ``share predicted`` is that of the genes for which a change is predicted at all; others count as 0.
"""

from __future__ import annotations

import argparse
import inspect
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import spearmanr

import grn
from grn._core.markdown import markdown_table
from grn.methods import METHODS

SYSTEMS = ("dictys", "flecs", "ritini")
COLUMNS = ("lost", "genes", "prediction", "Pearson", "Spearman", "Spearman of sizes", "share predicted", "seconds")
LOST = {"microglia": "Trem2", "lung": "Nkx2-1"}


def log_normalised(adata: ad.AnnData) -> np.ndarray:
    """Logarithms of counts per 10 000."""
    counts = np.asarray(adata.X.todense() if sparse.issparse(adata.X) else adata.X, dtype=np.float64)
    return np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))


def cells(folder: Path, name: str) -> tuple[ad.AnnData, ad.AnnData]:
    """Cells of the wild type and of the knock-out."""
    if name == "microglia":
        wild, lost = (ad.read_h5ad(folder / f"mouse_microglia_trem2_{part}.h5ad") for part in ("wt", "ko"))
        shared = wild.var_names.intersection(lost.var_names)
        return wild[:, shared].copy(), lost[:, shared].copy()
    both = ad.read_h5ad(folder / "mouse_lung_nkx2-1_ko_vs_wt.h5ad")
    return tuple(both[both.obs["condition"] == label].copy() for label in ("WT", "KO"))  # type: ignore[return-value]


def regulators(names: pd.Index) -> list[str]:
    """Genes that are transcription factors."""
    adata = ad.AnnData(np.zeros((1, len(names)), dtype=np.float32), var=pd.DataFrame(index=names))
    grn.pp.annotate_regulators(adata, organism="mouse")
    return list(names[adata.var["is_regulator"]])


class Trial:
    """Wild-type cells of some genes, with the measured change."""

    def __init__(self, folder: Path, name: str, prior: Path | None, n_genes: int) -> None:
        wild, lost = cells(folder, name)
        self.gene = LOST[name]
        x, y = log_normalised(wild), log_normalised(lost)
        seen = ((x > 0).mean(axis=0) > 0.05) | (wild.var_names == self.gene)
        spread = np.where(seen, x.var(axis=0), -1)
        spread[wild.var_names == self.gene] = np.inf
        chosen = np.sort(np.argsort(-spread, kind="stable")[:n_genes])
        self.names = wild.var_names[chosen]
        self.adata = ad.AnnData(x[:, chosen].astype(np.float32), obs=pd.DataFrame(index=wild.obs_names))
        self.adata.var_names = self.names
        self.adata.layers["counts"] = wild[:, self.names].X.copy()
        self.others = self.names != self.gene
        self.x, self.y = x[:, chosen], y[:, chosen]
        self.change = self.y.mean(axis=0) - self.x.mean(axis=0)
        sources = sorted({*regulators(self.names), self.gene})
        self.base_grn = self._prior(prior, sources)

    def _prior(self, prior: Path | None, sources: list[str]) -> pd.DataFrame:
        """Edges of a base GRN; every gene for a lost gene that has none."""
        names = list(self.names)
        if prior is None:
            table = pd.DataFrame([(s, t) for s in sources for t in names if s != t], columns=["source", "target"])
            return table
        table = grn.pp.base_grn(prior, adata=self.adata, min_overlap=0.0)[["source", "target"]].astype(str)
        table = table[table["source"].isin(sources)]
        if self.gene not in set(table["source"]):
            added = pd.DataFrame({"source": self.gene, "target": [name for name in names if name != self.gene]})
            table = pd.concat([table, added], ignore_index=True)
        return table

    def course(self, *, backwards: bool) -> None:
        """A trajectory by diffusion pseudotime from an end of the first component."""
        import scanpy as sc

        sc.pp.pca(self.adata, n_comps=20, random_state=0)
        sc.pp.neighbors(self.adata, n_neighbors=30, random_state=0)
        sc.tl.diffmap(self.adata)
        first = self.adata.obsm["X_diffmap"][:, 1]
        first = first if spearmanr(first, self.x[:, self.names == self.gene].ravel()).statistic >= 0 else -first
        self.adata.uns["iroot"] = int(first.argmin() if backwards else first.argmax())
        sc.tl.dpt(self.adata)
        time = self.adata.obs["dpt_pseudotime"]
        self.adata.obs["pseudotime"] = np.where(np.isfinite(time), time, time[np.isfinite(time)].max())
        grn.pp.trajectory(self.adata, pseudotime="pseudotime")

    def ceiling(self) -> float:
        """Correlation of the change with itself, by halves of the cells (Spearman-Brown)."""
        rng, found = np.random.default_rng(0), []
        for _ in range(20):
            halves = []
            orders = [rng.permutation(len(part)) for part in (self.x, self.y)]
            for half in (0, 1):
                means = [
                    part[order[half::2]].mean(axis=0) for part, order in zip((self.x, self.y), orders, strict=True)
                ]
                halves.append((means[1] - means[0])[self.others])
            found.append(np.corrcoef(*halves)[0, 1])
        r = float(np.mean(found))
        return 2 * r / (1 + r)

    def judged(self, prediction: np.ndarray) -> dict[str, float]:
        """Correlations of a prediction (G,) with what was measured."""
        predicted, measured = prediction[self.others], self.change[self.others]
        moved = predicted != 0
        if moved.sum() < 3:
            return {"Pearson": np.nan, "Spearman": np.nan, "Spearman of sizes": np.nan, "share predicted": moved.mean()}
        return {
            "Pearson": np.corrcoef(predicted, measured)[0, 1],
            "Spearman": spearmanr(predicted, measured).statistic,
            "Spearman of sizes": spearmanr(np.abs(predicted), np.abs(measured)).statistic,
            "share predicted": moved.mean(),
        }


def floors(trial: Trial) -> dict[str, np.ndarray]:
    """What needs no dynamics."""
    gene = trial.x[:, trial.names == trial.gene].ravel()
    spread = trial.x.std(axis=0)
    with np.errstate(invalid="ignore"):
        r = np.nan_to_num(np.corrcoef(trial.x.T, gene)[-1, :-1])
    return {"floor: mean of the gene": -trial.x.mean(axis=0), "floor: correlation with the lost gene": -r * spread}


def predicted(trial: Trial, system: str, rounds: int) -> np.ndarray:
    """Change of all genes (G,) at the end of what a system predicts."""
    function: Callable[..., None] = getattr(grn.tl, system)
    arguments = {"base_grn": trial.base_grn, "progress": False, "rng": 0}
    takes = inspect.signature(function).parameters
    if system == "dictys":
        arguments |= {"layer": "counts", "sources": sorted(set(trial.base_grn["source"]))}
    if system == "flecs":
        arguments |= {"n_epochs": rounds, "n_ensemble": 3}
    if system == "ritini":
        arguments |= {"prior": "base_grn", "n_epochs": rounds, "n_times": 40, "effects": False}
    function(trial.adata, **{name: value for name, value in arguments.items() if name in takes})
    table = grn.tl.predict_knockout(trial.adata, genes=trial.gene, key=system, difference=True)
    last = table.iloc[-1]
    return last.reindex(trial.names).fillna(0.0).to_numpy(dtype=np.float64)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--prior", type=Path)
    parser.add_argument("--genes", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", nargs="+", default=[name for name in SYSTEMS if name in METHODS])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    grn.settings.verbosity = "error"
    print(markdown_table(COLUMNS, []).rstrip())
    for name, gene in LOST.items():
        trial = Trial(arguments.data, name, arguments.prior, arguments.genes)
        told = {"lost": f"{gene} ({name})", "genes": str(int(trial.others.sum()))}
        tell({**told, "prediction": "ceiling", "Pearson": trial.ceiling()})
        for label, values in floors(trial).items():
            tell({**told, "prediction": label, **trial.judged(values)})
        for system in arguments.only:
            for backwards in (False, True) if "time" in METHODS[system].needs else (None,):
                end = "" if backwards is None else f", from where it is {'low' if backwards else 'high'}"
                if backwards is not None:
                    trial.course(backwards=backwards)
                begin = time.process_time()
                try:
                    found = trial.judged(predicted(trial, system, arguments.rounds))
                except grn.errors.GrnError as error:
                    found = {"prediction": f"{system}: {str(error)[:60]}"}
                tell({**told, "prediction": system + end, "seconds": time.process_time() - begin, **found})


def tell(row: dict[str, object]) -> None:
    """Print a row."""
    cells = [row.get(column, "") for column in COLUMNS]
    shown = ["" if cell != cell else f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in cells]
    print(f"| {' | '.join(shown)} |", flush=True)


if __name__ == "__main__":
    main()
