"""Activity of regulators in cells from the expression of their targets, and which regulators drive a group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from grn._kernels.null import qvalues
from grn._kernels.regulation_scores import activity, higher_inside, with_levels
from grn._kernels.scatter import BLOCK, Rows


def activities(rows: Rows, n_cells: int, genes: np.ndarray, network: np.ndarray) -> np.ndarray:
    """Activity (n_cells, S) float32 of regulators with the weights ``network`` (T, S) on genes by position (T,).

    Expression per unit of depth is given the same distribution in all cells first, in two passes over them.
    """
    levels = np.zeros(len(genes))
    blocks = [np.arange(i, min(i + BLOCK, n_cells)) for i in range(0, n_cells, BLOCK)]
    for cells in blocks:
        levels += np.sort(np.expm1(rows(cells)[:, genes].astype(np.float64)), axis=1).sum(axis=0)
    levels /= n_cells
    scores = np.empty((n_cells, network.shape[1]), dtype=np.float32)
    for cells in blocks:
        values = np.expm1(rows(cells)[:, genes].astype(np.float64))
        scores[cells] = activity(network, with_levels(values, levels))
    return scores


def drivers(scores: np.ndarray, regulators: np.ndarray, groups: Sequence[tuple[str, np.ndarray]]) -> pd.DataFrame:
    """Regulators that are more active in a group than in the cells of the other groups, the clearest first.

    Parameters
    ----------
    scores
        Activity (n, S).
    regulators
        Names (S,).
    groups
        Names of the groups and positions of their cells.
    """
    everyone = np.concatenate([members for _, members in groups])
    tables = []
    for name, members in groups:
        inside = np.isin(everyone, members)
        t, pval = higher_inside(scores[everyone].astype(np.float64), inside)
        means = [scores[everyone[mask]].mean(axis=0) for mask in (inside, ~inside)]
        table = pd.DataFrame(
            {
                "group": name,
                "source": regulators,
                "activity": means[0],
                "elsewhere": means[1],
                "t": t,
                "pval": pval,
                "qval": qvalues(pval),
            }
        )
        tables.append(table.sort_values(["pval", "source"], kind="stable"))
    table = pd.concat(tables, ignore_index=True)
    names = [name for name, _ in groups]
    return table.assign(
        group=pd.Categorical(table["group"], categories=names),
        source=pd.Categorical(table["source"], categories=np.unique(regulators)),
    )
