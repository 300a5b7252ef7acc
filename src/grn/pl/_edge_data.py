"""Edge tables as the figures need them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grn import get
from grn._core.errors import GeneNameError, ParameterError
from grn._core.near import did_you_mean
from grn._object.genes import spelled
from grn.get.visible import visible

if TYPE_CHECKING:
    from anndata import AnnData

    from grn.network import Network


def near(name: object, known: Iterable[str], *, genes: bool = False) -> str:
    """Return the end of an error message: names close to one that does not exist, or some of those that do."""
    pool = sorted({str(item) for item in known})
    return did_you_mean(name, pool, genes=genes) or _some(pool)


def _some(pool: Sequence[str]) -> str:
    return f" Known are {', '.join(pool[:5])}{' and more' if len(pool) > 5 else ''}." if pool else ""


def edge_table(data: AnnData | Network | pd.DataFrame, *, key: str, group: str | None) -> pd.DataFrame:
    """One row per (source, target), strongest first, with columns ``sign`` in {1, -1, 0} and ``strength``.

    When several groups hold a pair, the group in which it is strongest counts.
    """
    net = get.network(data, key=key, group=group)
    edges = visible(net, data, key).edges
    table = edges.assign(source=edges["source"].astype(str), target=edges["target"].astype(str))
    table["weight"] = table["weight"].astype(float)
    table["sign"] = _signs(table, signed=net.signed)
    table["strength"] = table["weight"].abs()
    table = table.sort_values(["strength", "source", "target", "weight"], ascending=[False, True, True, False])
    return table.drop_duplicates(["source", "target"]).reset_index(drop=True)


def _signs(table: pd.DataFrame, *, signed: bool) -> np.ndarray:
    """Signs from the column if there is one, else from the weights of a signed network."""
    if "sign" in table.columns:
        return np.sign(np.nan_to_num(table["sign"].to_numpy(dtype=float))).astype(int)
    return np.sign(table["weight"].to_numpy()).astype(int) if signed else np.zeros(len(table), dtype=int)


def numeric_column(table: pd.DataFrame, name: str, *, argument: str) -> np.ndarray:
    """Return a column of numbers of an edge table, or raise naming the columns that would do."""
    numeric = [c for c in table.columns if pd.api.types.is_numeric_dtype(table[c]) and c != "strength"]
    if name not in numeric:
        raise ParameterError(
            f"{argument}={name!r} is not a numeric column of the edges; use one of {', '.join(numeric)}."
            + near(name, numeric)
        )
    return table[name].to_numpy(dtype=float)


def in_names(data: object, genes: Sequence[str]) -> list[str]:
    """Genes as in ``var_names`` where an object is drawn that has other names beside them."""
    return spelled(data, genes) if hasattr(data, "var_names") else [str(gene) for gene in genes]


def check_genes(genes: Sequence[str], known: Iterable[str], *, argument: str) -> None:
    """Raise if a gene is not among the known ones."""
    pool = set(known)
    missing = [gene for gene in genes if gene not in pool]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        hint = near(missing[0], pool, genes=True)
        raise GeneNameError(f"{argument}: {missing[0]!r}{more} is not in the network.{hint}")
