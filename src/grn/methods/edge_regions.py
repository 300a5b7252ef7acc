"""In which region the evidence for an edge is, where a method was given a base GRN that says it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from grn.methods.inputs import Inputs
from grn.methods.record import Table
from grn.network import Network

PAIR = ["source", "target"]
TRIPLETS = Table("regions of the base GRN by which the pairs of the edges are joined", (*PAIR, "region"))


def with_region(network: Network, inputs: Inputs, base_grn: Any) -> Network:
    """Write the column ``region`` of a network: of the regions of a pair, that with the highest score.

    Of equal ones, and without scores, the first by name. Networks that have the column, and base GRNs without regions,
    stay as they are.
    """
    table = inputs.prior(base_grn)
    edges = network._edges
    if table is None or "region" not in table or "region" in edges or edges.empty:
        return network
    strongest = _strongest_first(table).drop_duplicates(PAIR)
    place = pd.MultiIndex.from_frame(strongest[PAIR].astype(object)).get_indexer(
        pd.MultiIndex.from_frame(edges[PAIR].astype(object))
    )
    codes = np.append(strongest["region"].cat.codes.to_numpy(), -1)[place]
    return network._with_column("region", pd.Categorical.from_codes(codes, dtype=strongest["region"].dtype))


def triplets(network: Network, inputs: Inputs, base_grn: Any) -> dict[str, pd.DataFrame]:
    """All regions of the pairs that are edges, the strongest first: ``{"triplets": table}``, or nothing.

    The table has ``source, target, region`` and, where the base GRN has it, ``score``.
    """
    table = inputs.prior(base_grn)
    if table is None or "region" not in table:
        return {}
    listed = pd.MultiIndex.from_frame(network._edges[PAIR].astype(object))
    of_edges = table[pd.MultiIndex.from_frame(table[PAIR].astype(object)).isin(listed)]
    columns = [name for name in (*PAIR, "region", "score") if name in of_edges]
    chosen = _strongest_first(of_edges)[columns].reset_index(drop=True)
    for name in (*PAIR, "region"):
        chosen[name] = chosen[name].cat.remove_unused_categories()
    return {"triplets": chosen}


def _strongest_first(table: pd.DataFrame) -> pd.DataFrame:
    """Rows sorted by pair, then by falling score, then by region, whose categories are sorted."""
    keys = [table[name].cat.codes.to_numpy() for name in ("region", "target", "source")]
    if "score" in table:
        keys.insert(1, -table["score"].to_numpy())
    return table.iloc[np.lexsort(keys)]
