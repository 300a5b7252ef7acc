"""Floors from files of others: co-expression over bulk archives, and motifs of regulators in promoters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from grn.bench._identity import keys
from grn.datasets.local_files import columns_of, read_columns
from grn.datasets.reference import Reference

# lists of the genes that go along with a regulator most, over thousands of bulk samples
COEXPRESSION = ("coexpression_archs4_human.parquet", "coexpression_gtex_human.parquet")
# 1 where a motif of the regulator (columns) occurs in a promoter peak of the gene (rows)
PROMOTERS = "celloracle_mm10_promoter_base_grn.parquet"
_GENE, _PEAK = "gene_short_name", "peak_id"
_LISTED = 300


@lru_cache(maxsize=len(COEXPRESSION))
def _coexpressed(file: Path, sha256: str) -> pd.DataFrame:
    """Co-expressed genes of every regulator: keys ``source`` and ``target``, and ``score`` from 1 down to 0.

    The place in the list counts, as the size of a correlation depends on the archive; where an entry has no rank, that
    of its absolute correlation among the entries of its regulator is taken.
    """
    spellings = {name: (name,) for name in ("source", "target", "rank", "r")}
    table = read_columns(file, spellings)
    strength = table["r"].astype(np.float64).abs()
    place = strength.groupby(table["source"].astype(str)).rank(ascending=False, method="first")
    rank = table["rank"].astype(np.float64).fillna(place)
    score = (1 - (rank - 1) / _LISTED).clip(lower=0.0).fillna(0.0)
    ends = {}
    for end in ("source", "target"):
        names, places = np.unique(table[end].to_numpy(dtype=str), return_inverse=True)
        ends[end] = keys(names, organism="human")[places]
    return pd.DataFrame({**ends, "score": score}).groupby(["source", "target"], as_index=False)["score"].max()


def coexpressed(reference: Reference, *, files: Mapping[Path, str]) -> np.ndarray:
    """Mean place in the lists of co-expressed genes (regulators, genes); 0 where a pair is in none.

    Parameters
    ----------
    reference
        The test reference.
    files
        File -> hash of its content.
    """
    genes = keys(reference.genes, organism=reference.organism)
    regulators = genes[np.searchsorted(reference.genes, reference.regulators)]
    total = np.zeros((len(regulators), len(genes)))
    for table in (_coexpressed(file, sha256) for file, sha256 in files.items()):
        near = table[table["source"].isin(set(regulators)) & table["target"].isin(set(genes))]
        wide = near.pivot(index="source", columns="target", values="score")
        total += wide.reindex(index=regulators, columns=genes).fillna(0.0).to_numpy()
    return total / len(files)


def motif_hits(reference: Reference, *, file: Path) -> np.ndarray:
    """Promoters of a target with a motif of the regulator, as a share, without effects of either (regulators, genes).

    Names of other organisms meet through orthologs. Regulators without a motif and genes without a promoter say
    nothing: 0, which is the mean of all others.
    """
    genes = keys(reference.genes, organism=reference.organism)
    regulators = genes[np.searchsorted(reference.genes, reference.regulators)]
    names = [name for name in columns_of(file) if name not in (_GENE, _PEAK)]
    of_names = pd.Series(keys(names, organism="mouse"), index=names)
    of_names = of_names[of_names.isin(set(regulators))]
    table = read_columns(file, {name: (name,) for name in (_GENE, *of_names.index)})
    targets = keys(table.pop(_GENE).astype(str), organism="mouse")
    inside = np.isin(targets, genes)
    hits = (table[inside] > 0).astype(np.float64)
    by_regulator = hits.T.groupby(of_names.loc[hits.columns].to_numpy()).max().T
    shares = by_regulator.groupby(targets[inside]).mean()  # (promoter genes, regulators with motifs)
    if shares.empty:
        return np.zeros((len(regulators), len(genes)))
    centred = shares - shares.mean(axis=0)
    centred = centred.sub(centred.mean(axis=1), axis=0)
    return centred.T.reindex(index=regulators, columns=genes).fillna(0.0).to_numpy()
