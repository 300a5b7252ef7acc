"""A reference network: edges taken for true, and which pairs were looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cached_property

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core.errors import NetworkError
from grn._core.logging import logger
from grn.genes.tables import check_organism
from grn.network import Network

# data sets of the BEELINE benchmark
BEELINE = ("hESC", "hHEP", "mDC", "mESC", "mHSC-E", "mHSC-GM", "mHSC-L")


class Reference:
    """Known edges over a stated universe of regulators x genes.

    Edges are listed once and sorted by name, as are genes and regulators, so nothing computed from a reference depends
    on the order of its rows. Duplicated edges are merged and self-loops dropped, both counted and logged.

    Parameters
    ----------
    edges
        DataFrame with ``source`` and ``target``, optionally ``sign`` (1, -1 or NaN); or a :class:`grn.Network`.
    genes
        All genes that could be targets; default: all names in ``edges``.
    regulators
        All genes that could be sources; default: the sources in ``edges``. They are added to ``genes``.
    organism
        ``"human"`` or ``"mouse"``: whose symbols the names are.
    dataset, network, size
        What the labels belong to (``"hESC"``, ``"STRING"``, ``"500"``).
    unit
        References of one unit are not independent of each other (the three mHSC lineages); default: ``dataset``.
    directed
        Whether the direction of an edge means something.
    expression
        Cells measured for this data set, if there are any, with ``genes`` in ``var_names``.
    licence, version, origin
        Where the labels come from and on which terms.

    Raises
    ------
    NetworkError
        A column is missing, a name is empty, an edge lies outside regulators x genes, or no edge is left.
    ParameterError
        The organism is unknown.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn.bench import Reference
    >>> edges = pd.DataFrame({"source": ["SPI1", "SPI1"], "target": ["CD14", "CD4"]})
    >>> Reference(edges, genes=["SPI1", "CD14", "CD4", "CD8A"], dataset="blood", network="mine")
    Reference blood/mine: 2 edges among 1 regulators with evidence (of 1) x 4 genes; human, directed
    """

    def __init__(
        self,
        edges: pd.DataFrame | Network,
        *,
        genes: Iterable[str] | None = None,
        regulators: Iterable[str] | None = None,
        organism: str = "human",
        dataset: str = "",
        network: str = "",
        size: str = "",
        unit: str = "",
        directed: bool = True,
        expression: AnnData | None = None,
        licence: str = "",
        version: str = "",
        origin: str = "",
    ) -> None:
        self.organism = check_organism(organism)
        self.dataset, self.network, self.size = str(dataset), str(network), str(size)
        self.unit = unit or self.dataset
        self.directed = bool(directed)
        self.expression = expression
        self.licence, self.version, self.origin = licence, version, origin
        table, self.n_self_loops, self.n_duplicates = _clean(edges.edges if isinstance(edges, Network) else edges)
        self._regulators = _names(table["source"] if regulators is None else regulators)
        ends = pd.concat([table["source"], table["target"]])
        self._genes = np.union1d(_names(ends if genes is None else genes), self._regulators)
        _inside(table["source"], self._regulators, "sources", "regulators")
        _inside(table["target"], self._genes, "targets", "genes")
        self._edges = table
        if self.n_self_loops or self.n_duplicates:
            logger.info(
                "%s: %d self-loops and %d duplicated edges left out", self.name, self.n_self_loops, self.n_duplicates
            )

    def __repr__(self) -> str:
        direction = "directed" if self.directed else "undirected"
        return (
            f"Reference {self.name}: {len(self._edges):,} edges among {len(self.evidence):,} regulators with evidence "
            f"(of {len(self._regulators):,}) x {len(self._genes):,} genes; {self.organism}, {direction}"
        )

    def __len__(self) -> int:
        return len(self._edges)

    @property
    def name(self) -> str:
        """Data set, network and size, joined by ``/``."""
        return "/".join(part for part in (self.dataset, self.network, self.size) if part) or "reference"

    @property
    def edges(self) -> pd.DataFrame:
        """Copy of the edge table, sorted by names."""
        return self._edges.copy()

    @property
    def genes(self) -> np.ndarray:
        """Names of all genes, sorted."""
        return self._genes.copy()

    @property
    def regulators(self) -> np.ndarray:
        """Names of all listed regulators, sorted."""
        return self._regulators.copy()

    @cached_property
    def evidence(self) -> np.ndarray:
        """Regulators with at least one edge, sorted; the others are unlabelled, not negative."""
        regulators: np.ndarray = np.unique(self._edges["source"].to_numpy(dtype=str))
        regulators.flags.writeable = False
        return regulators

    @cached_property
    def labels(self) -> np.ndarray:
        """Whether a pair is an edge: bool (regulators, genes), read-only."""
        grid = np.zeros((len(self._regulators), len(self._genes)), dtype=bool)
        grid[
            np.searchsorted(self._regulators, self._edges["source"].to_numpy(dtype=str)),
            np.searchsorted(self._genes, self._edges["target"].to_numpy(dtype=str)),
        ] = True
        grid.flags.writeable = False
        return grid

    @cached_property
    def sha256(self) -> str:
        """Hash of edges, their signs where there are any, genes and regulators."""
        digest = hashlib.sha256()
        columns = [self._edges["source"], self._edges["target"], self._genes, self._regulators]
        if "sign" in self._edges:
            columns.append(self._edges["sign"])
        for names in columns:
            digest.update("\n".join(map(str, names)).encode() + b"\x1e")
        return digest.hexdigest()

    def to_network(self) -> Network:
        """The edges as a :class:`grn.Network` of weight 1 (or the sign, where it is known).

        Returns
        -------
        Network
            With ``params`` ``dataset``, ``network``, ``size``, ``licence``, ``version``, ``origin`` and ``sha256``.
        """
        edges = self.edges
        sign = edges["sign"] if "sign" in edges else pd.Series(np.nan, index=edges.index)
        edges["weight"] = sign.fillna(1.0)
        facts = {k: getattr(self, k) for k in ("dataset", "network", "size", "licence", "version", "origin", "sha256")}
        return Network(edges, genes=self._genes, directed=self.directed, signed="sign" in edges, params=facts)


def _clean(edges: pd.DataFrame) -> tuple[pd.DataFrame, int, int]:
    """Sorted unique edges without loops, and how many loops and repeats there were."""
    missing = [c for c in ("source", "target") if c not in getattr(edges, "columns", ())]
    if missing:
        raise NetworkError(
            f"the reference lacks the column(s) {', '.join(missing)}; pass a DataFrame with source and target."
        )
    columns = ["source", "target", *(["sign"] if "sign" in edges else [])]
    if edges[["source", "target"]].isna().to_numpy().any():
        raise NetworkError("the reference has empty names; drop those rows with edges.dropna().")
    table = edges[columns].astype({"source": str, "target": str})
    if (table[["source", "target"]] == "").to_numpy().any():
        raise NetworkError("the reference has empty names; drop those rows first.")
    loops = (table["source"] == table["target"]).to_numpy()
    table = table[~loops]
    if "sign" in table:
        table = _one_sign(table)
    unique = table.drop_duplicates(["source", "target"])
    if unique.empty:
        raise NetworkError(f"no edge is left of {len(edges)} rows ({int(loops.sum())} self-loops); pass known edges.")
    unique = unique.sort_values(["source", "target"], ignore_index=True)
    return unique, int(loops.sum()), len(table) - len(unique)


def _one_sign(table: pd.DataFrame) -> pd.DataFrame:
    """Edges listed with both signs have none."""
    sign = pd.to_numeric(table["sign"], errors="coerce").to_numpy(dtype=np.float64)
    if (np.isnan(sign) & table["sign"].notna()).any() or not np.isin(sign[~np.isnan(sign)], (-1.0, 1.0)).all():
        raise NetworkError("the column sign holds other values than 1, -1 and NaN; map words or '+' and '-' to those.")
    table = table.assign(sign=sign)
    pairs = table.groupby(["source", "target"], sort=False)["sign"]
    agree = pairs.transform("min") == pairs.transform("max")
    return table.assign(sign=pairs.transform("max").where(agree))


def _names(names: Iterable[str]) -> np.ndarray:
    if isinstance(names, str):
        raise NetworkError(f"{names!r} is a single string; pass a list of gene names.")
    listed = list(names)
    if not all(isinstance(name, str) and name for name in listed):
        raise NetworkError("genes or regulators hold empty names, or names that are not strings; drop or convert them.")
    unique: np.ndarray = np.unique(np.asarray(listed, dtype=str))
    return unique


def _inside(names: pd.Series, known: np.ndarray, what: str, where: str) -> None:
    outside = np.setdiff1d(names.to_numpy(dtype=str), known)
    if len(outside):
        raise NetworkError(
            f"{len(outside)} {what} of the reference are not among its {len(known)} {where} "
            f"({', '.join(outside[:3])}); add them to {where}=, or drop these edges."
        )
