"""From footprints of regulators to who may regulate whom: binding, distance to starts, links, the strongest of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grn._core.errors import NetworkError
from grn.methods.dictys.mask import DECAY, strongest

# bases around a start within which a footprint may act
WINDOW = 500_000


def binding(footprints: pd.DataFrame, motifs: pd.DataFrame) -> pd.DataFrame:
    """Binding ``source, region, score`` from strengths of footprints and scores of motifs.

    The score is the sum of both logarithms, the largest over motifs of a regulator; pairs in which one of the two is
    not above 0 are left out.

    Parameters
    ----------
    footprints, motifs
        Tables (regions, motifs). A column ``TF1,TF2_name`` is a motif of TF1 and of TF2.
    """
    strength, score = (
        footprints.to_numpy(np.float64),
        motifs.loc[footprints.index, footprints.columns].to_numpy(np.float64),
    )
    row, column = np.nonzero((strength > 0) & (score > 0))
    total = np.log(strength[row, column]) + np.log(score[row, column])
    table = pd.DataFrame(
        {"motif": footprints.columns.to_numpy()[column], "region": footprints.index[row], "score": total}
    )
    factors = table["motif"].astype(str).str.rsplit("_", n=1).str[0].str.split(",")
    table = table.assign(source=factors).explode("source")
    best = table.groupby(["source", "region"], sort=True)["score"].max().reset_index()
    return best[["source", "region", "score"]]


def linked(bound: pd.DataFrame, distances: pd.DataFrame, *, window: int = WINDOW) -> pd.DataFrame:
    """Links ``source, target, score``: the largest score over regions near the start of the target.

    A score falls by one decade per million bases; a gene has no link with itself.

    Parameters
    ----------
    bound
        Binding ``source, region, score``, scores being logarithms.
    distances
        Distances ``region, target, distance`` of regions from starts of genes, of either sign.
    window
        Most distance that counts.
    """
    for name, table, columns in (
        ("bound", bound, ("source", "region", "score")),
        ("distances", distances, ("region", "target", "distance")),
    ):
        lacking = [column for column in columns if column not in table]
        if lacking:
            raise NetworkError(f"{name} has no column {', '.join(lacking)}; expected {', '.join(columns)}.")
    near = distances[distances["distance"].abs() <= window]
    pairs = bound.merge(near, on="region")
    pairs = pairs[pairs["source"].astype(str) != pairs["target"].astype(str)]
    pairs = pairs.assign(score=pairs["score"] - DECAY * pairs["distance"].abs())
    return pairs.groupby(["source", "target"], sort=True, observed=True)["score"].max().reset_index()


def strongest_links(links: pd.DataFrame, n_regulators: int) -> pd.DataFrame:
    """Of links ``source, target, score`` the ``n_regulators`` with the highest score of every target."""
    table = links.pivot(index="target", columns="source", values="score")
    chosen = strongest(table.fillna(-np.inf).to_numpy(np.float64), table.columns.to_numpy(), n_regulators)
    kept = chosen[table.index.get_indexer(links["target"]), table.columns.get_indexer(links["source"])]
    return links[kept].reset_index(drop=True)
