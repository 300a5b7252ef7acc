"""What the page knows of a network: a table by columns, in the order of the network, and where it comes from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from grn.network import Network
from grn.network.combine import known_signs
from grn.network.direction import NONE, WORDS, oriented


def edge_content(net: Network) -> dict[str, Any]:
    """Genes by name, ends of edges by the number of their gene, and all columns.

    Parameters
    ----------
    net
        The network; rows keep its order, strongest first within a group.
    """
    edges = net.edges
    genes = sorted({*edges["source"].cat.categories, *edges["target"].cat.categories})
    number = pd.Index(genes, dtype=object)
    ends = {
        end: number.get_indexer(edges[end].cat.categories)[edges[end].cat.codes].tolist()
        for end in ("source", "target")
    }
    rest = [name for name in edges.columns if name not in ends]
    return {
        "genes": genes,
        **ends,
        "sign": np.nan_to_num(known_signs(edges, signed=net.signed)).astype(int).tolist(),
        "points": oriented(edges, directed=net.directed).astype(int).tolist(),
        "columns": [{"name": name, **_column(edges[name])} for name in rest],
        "words": [word for word in WORDS if "direction" in edges and (edges["direction"] == word).any()],
        "no_direction": NONE,
    }


def _column(values: pd.Series) -> dict[str, Any]:
    """One column: numbers, flags, or words and their places."""
    if pd.api.types.is_bool_dtype(values.dtype):
        return {"kind": "flag", "values": values.astype(int).tolist()}
    if pd.api.types.is_integer_dtype(values.dtype):
        return {"kind": "whole", "values": values.tolist()}
    if pd.api.types.is_numeric_dtype(values.dtype):
        return {"kind": "number", "values": [number(value) for value in values.astype(float).tolist()]}
    words = values.astype("category") if values.dtype != "category" else values
    levels = [str(level) for level in words.cat.categories]
    return {"kind": "word", "levels": levels, "codes": words.cat.codes.tolist()}


def number(value: float) -> float | str | None:
    """A number as JSON has it; what is infinite goes by its name."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")
