"""Tables of links whose scores come from cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from grn._core.errors import ExpressionError
from grn._core.logging import hint, some
from grn._kernels.null import qvalues
from grn._object.accessibility import Accessibility
from grn._object.expression import Expression
from grn.genome import link_genes
from grn.genome.neighbourhood import BEFORE, BEHIND
from grn.pp._link_evidence import Cells, Evidence, Second, along

_MADE = ["rho", "zscore", "pval"]


@dataclass(frozen=True)
class Columns:
    """Pairs that are correlated: each row of ``table`` with a region along the genome and a column of the other side.

    Parameters
    ----------
    table
        Links ``region, gene, distance``, with ``promoter`` once for every promoter region of the gene.
    first, second
        Region along the genome, and column (rows of ``table``,).
    side
        The columns.
    """

    table: pd.DataFrame
    first: np.ndarray
    second: np.ndarray
    side: Second


def of_genes(
    links: pd.DataFrame, regions: pd.DataFrame, starts: pd.DataFrame, genes: pd.Index, expression: Expression
) -> Columns:
    """Every link with the expression of its gene; genes are numbered along the genome."""
    known = starts[starts["gene"].isin(links["gene"])].sort_values(["chrom", "position", "gene"])
    known = known.drop_duplicates("gene")
    side = Second(known["chrom"].to_numpy(dtype=object), genes.get_indexer(known["gene"]), expression)
    return Columns(links, _places(regions, links["region"]), pd.Index(known["gene"]).get_indexer(links["gene"]), side)


def of_promoters(links: pd.DataFrame, regions: pd.DataFrame, starts: pd.DataFrame) -> Columns:
    """Every link once for every region on the promoter of its gene, with the accessibility there."""
    starts = starts[starts["gene"].isin(links["gene"])]
    promoters = link_genes(regions, starts=starts, upstream=BEFORE, downstream=BEHIND)
    promoters = promoters[["gene", "region"]].rename(columns={"region": "promoter"})
    bare = pd.unique(links["gene"][~links["gene"].isin(promoters["gene"])])
    if len(bare):
        hint(
            "%d of %d genes have no region on their promoter and get no link, for example %s",
            len(bare),
            links["gene"].nunique(),
            some(bare, 3),
        )
    table = links.merge(promoters, on="gene")
    place = _places(regions, table["promoter"])
    columns, second = np.unique(place, return_inverse=True)
    side = Second(regions["chrom"].to_numpy(dtype=object)[along(regions)][columns], columns, None)
    return Columns(table, _places(regions, table["region"]), second, side)


def _places(regions: pd.DataFrame, names: pd.Series) -> np.ndarray:
    """Where regions stand along the genome."""
    order = along(regions)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    positions: np.ndarray = place[regions.index.get_indexer(names)]
    return positions


def correlated(
    columns: Columns,
    regions: pd.DataFrame,
    accessibility: Accessibility,
    cells: Cells,
    *,
    by_group: bool,
    min_cells: int,
    seed: int | None,
) -> pd.DataFrame:
    """The links with what the cells say of them; ``seed`` is ``None`` for no null."""
    evidence = Evidence(regions, accessibility, columns.side, cells, min_cells=min_cells, seed=seed)
    unique, back = np.unique(columns.second * len(regions) + columns.first, return_inverse=True)
    second, first = np.divmod(unique, len(regions))
    parts = evidence.by_group(first, second) if by_group else [(None, evidence.within(first, second))]
    tables = [_tested(columns.table, made.iloc[back], label) for label, made in parts]
    made = pd.concat(tables, ignore_index=True)
    if made.empty:
        raise ExpressionError(
            f"no pair of a region and a gene near it is seen in min_cells={min_cells} cells each and varies between "
            "cells, so that nothing is correlated; pass a smaller min_cells, or how='distance'."
        )
    rare = len(tables) * len(columns.table.drop_duplicates(["region", "gene"])) - len(made)
    if rare:
        hint(
            "%d of %d pairs have no link: fewer than min_cells=%d cells have the region open or the gene seen, or it "
            "does not vary",
            rare,
            rare + len(made),
            min_cells,
        )
    if by_group:
        made["group"] = pd.Categorical(made["group"], categories=list(cells.labels))
    return made


def _tested(links: pd.DataFrame, made: pd.DataFrame, label: str | None) -> pd.DataFrame:
    """Links of one group that have a correlation, with q-values."""
    table = links.reset_index(drop=True).assign(score=made["rho"].abs().to_numpy())
    for name in made:
        table[name] = made[name].to_numpy()
    table = table[table["rho"].notna()]
    if "promoter" in table:
        table = _best_promoter(table)
    if "pval" in table:
        # a region on a promoter goes with itself, which is no test
        tested = table["region"] != table["promoter"] if "promoter" in table else np.ones(len(table), dtype=bool)
        table["qval"] = table["pval"]
        table.loc[tested, "qval"] = qvalues(table.loc[tested, "pval"].to_numpy())
    last = [name for name in ("promoter",) if name in table]
    table = table[[name for name in table if name not in last] + last].reset_index(drop=True)
    return table if label is None else table.assign(group=label)


def _best_promoter(table: pd.DataFrame) -> pd.DataFrame:
    """Of several promoter regions of a gene the one that goes with the region most; p-values are for all of them."""
    order = np.lexsort([table["promoter"].to_numpy(dtype=str), -table["score"].round(9)])
    table = table.iloc[order]
    tried = table.groupby(["region", "gene"])["rho"].transform("size")
    if "pval" in table:
        table = table.assign(pval=np.minimum(table["pval"] * tried, 1.0))
    return table.drop_duplicates(["region", "gene"])


def ordered(links: pd.DataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    """Links along the genome, then by gene, of a group after the other; names as categories."""
    group = links["group"].cat.codes if "group" in links else np.zeros(len(links))
    links = links.iloc[np.lexsort([links["gene"].to_numpy(dtype=str), _places(regions, links["region"]), group])]
    names = [name for name in ("region", "gene", "promoter") if name in links]
    first = ["region", "gene", "distance", "score"]
    links = links[first + [name for name in links if name not in first]]
    return links.astype(dict.fromkeys(names, "category")).reset_index(drop=True)
