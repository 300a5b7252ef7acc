"""The linear network that a simulation runs on: stored, refitted, or the weights themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core import checks
from grn._core.errors import GeneOverlapError, GroupError, NetworkError
from grn._core.logging import hint, logger
from grn._core.settings import settings
from grn._kernels.edge_ridge import edge_ridge
from grn._kernels.scatter import BLOCK
from grn.methods.cells import none_varies
from grn.methods.fits import fit_in
from grn.network import Network
from grn.network.direction import oriented

if TYPE_CHECKING:
    from anndata import AnnData

WAYS = ("auto", "stored", "fit", "refit", "weight")


def edges_of(adata: AnnData, net: str, coefficients: str) -> tuple[Network, pd.DataFrame, str]:
    """The network, the edges to run on (``source, target, weight``, maybe ``group``), and where coefficients are from.

    Edges that leave the genes of the object are left out and counted in the log.
    """
    checks.word("coefficients", coefficients, WAYS)
    network = Network.from_anndata(adata, net)
    record = adata.uns[net]
    stored = record.get("simulation") if isinstance(record, Mapping) else None
    if coefficients == "stored" and stored is None:
        raise NetworkError(
            f"uns[{net!r}] holds no simulation network, as grn.tl.celloracle writes one; pass coefficients='refit'."
        )
    way = coefficients
    if way == "auto":
        way = "stored" if stored is not None else "refit" if fit_in(record, "response") is None else "fit"
    table = network.edges if way != "stored" else _stored(stored, net)
    if way != "stored":
        _tell_undirected(network, table)
    if not network.signed and way == "weight":
        logger.warning(
            "the weights of the network carry no sign: every regulator activates; coefficients='refit' gives signs"
        )
    table = table[["source", "target", "weight", *(["group"] if "group" in table else [])]]
    table = table.astype({"source": str, "target": str, "weight": float})
    known = table["source"].isin(adata.var_names) & table["target"].isin(adata.var_names)
    if not known.all():
        hint("%d of %d edges have an end that is not in var_names", int((~known).sum()), len(table))
    if way == "refit":
        known &= table["source"] != table["target"]
    if not known.any():
        raise GeneOverlapError(f"no edge of uns[{net!r}] joins two genes of this object; infer a network on it.")
    return network, table[known].reset_index(drop=True), way


def _tell_undirected(network: Network, table: pd.DataFrame) -> None:
    """Log how many edges point nowhere; from a regulator to a gene that is none, an edge is read as it is meant."""
    lacking = int((~oriented(table, directed=network.directed)).sum())
    if lacking:
        logger.warning(
            "nothing tells the direction of %d of %d edges, which are read as they are listed, from source to target",
            *(lacking, len(table)),
        )


def _stored(stored: object, net: str) -> pd.DataFrame:
    """The table that CellOracle wrote, if it is one."""
    where = f"uns[{net!r}]['simulation']"
    if not isinstance(stored, pd.DataFrame):
        raise NetworkError(
            f"{where} is a {type(stored).__name__} and no table; run grn.tl.celloracle again, or pass "
            "coefficients='refit'."
        )
    lacking = [name for name in ("source", "target", "weight") if name not in stored]
    if lacking:
        raise NetworkError(f"{where} has no column {', '.join(lacking)}; run grn.tl.celloracle again.")
    if not stored.columns.is_unique or not pd.api.types.is_numeric_dtype(stored["weight"]):
        raise NetworkError(f"{where} has weights that are no numbers; run grn.tl.celloracle again.")
    return stored.reset_index(drop=True)


def check_sources(genes: Sequence[str], tables: list[pd.DataFrame], net: str) -> None:
    """Refuse perturbed genes that regulate nothing in any group."""
    sources = set().union(*(set(table["source"]) for table in tables))
    lacking = [gene for gene in genes if gene not in sources]
    if lacking:
        strongest = tables[0]["source"].value_counts().index[:5]
        raise GeneOverlapError(
            f"{', '.join(lacking)}: no outgoing edge in uns[{net!r}], so nothing would follow. "
            f"Regulators with most targets: {', '.join(strongest)}."
        )


def by_group(table: pd.DataFrame, groups: Sequence[str], net: str) -> list[pd.DataFrame]:
    """Edges per group of cells, none where the table has none; a table without groups serves all of them."""
    if "group" not in table:
        return [table] * len(groups)
    label = table["group"].astype(str)
    there = sorted(set(label))
    if not set(there) & set(groups):
        raise GroupError(
            f"the groups in uns[{net!r}] ({', '.join(there[:5])}) are not those of cells ({', '.join(groups[:5])}): "
            "pass the groupby of the network, or infer it again."
        )
    return [table[label == group] for group in groups]


def weights(table: pd.DataFrame, names: np.ndarray) -> Any:
    """Weights of edges as sparse (G, G), regulators in rows."""
    index = pd.Index(names)
    place = index.get_indexer(table["source"]), index.get_indexer(table["target"])
    matrix = sparse.csr_array((table["weight"].to_numpy(), place), shape=(len(names),) * 2)
    if not np.isfinite(matrix.data).all():
        raise NetworkError("the network has weights that are not finite; leave those edges out.")
    return matrix


def refitted(
    table: pd.DataFrame, names: np.ndarray, rows: Callable[[np.ndarray], np.ndarray], cells: np.ndarray, alpha: float
) -> Any:
    """Ridge coefficients of the edges on some cells (G, G); ``rows`` gives the values of the genes ``names``."""
    shape, index = (len(names),) * 2, pd.Index(names)
    if table.empty:
        return sparse.csr_array(shape)
    source, target = index.get_indexer(table["source"]), index.get_indexer(table["target"])
    centre = rows(cells[:BLOCK]).mean(axis=0, dtype=np.float64)
    values = edge_ridge(rows, cells, source, target, alpha, centre=centre, memory=settings.memory_budget)
    return sparse.csr_array((values, (source, target)), shape=shape)


def flat_groups(matrices: Sequence[Any], tables: Sequence[pd.DataFrame], groups: Sequence[str]) -> list[str]:
    """Groups that have edges and nothing that varies, so that all coefficients are 0."""
    return [
        group
        for group, matrix, table in zip(groups, matrices, tables, strict=True)
        if len(table) and not np.abs(matrix.data).max(initial=0.0) > 0
    ]


def tell_flat(matrices: Sequence[Any], tables: Sequence[pd.DataFrame], groups: Sequence[str]) -> None:
    """Log groups in which nothing varies, and refuse if that is all of them."""
    flat = flat_groups(matrices, tables, groups)
    if len(flat) == sum(len(table) > 0 for table in tables):
        raise none_varies(tuple(groups))
    if flat:
        logger.warning(
            "nothing varies in %d of %d groups, so that nothing follows there: %s",
            *(len(flat), len(groups), ", ".join(flat[:10])),
        )


def tell_silent(genes: np.ndarray, tables: list[pd.DataFrame], groups: tuple[str, ...]) -> None:
    """Log groups in which a perturbed gene has no targets."""
    for gene in genes:
        silent = [group for group, table in zip(groups, tables, strict=True) if gene not in set(table["source"])]
        if silent:
            logger.warning("%s regulates nothing in %s: nothing follows there", gene, ", ".join(silent))
