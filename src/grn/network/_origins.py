"""Where a Network comes from, and where it is stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import pandas as pd

from grn._core.errors import NetworkError
from grn._core.names import check_key
from grn.network import _validate, convert, schema
from grn.network._edge_table import EdgeTable


class Origins(EdgeTable):
    """Constructors and storage of :class:`Network`; mixed into it to keep the class readable."""

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        source: str = "source",
        target: str = "target",
        weight: str | None = "weight",
        genes: Iterable[str] | None = None,
        directed: bool | None = None,
        signed: bool | None = None,
    ) -> Self:
        """Build a network from a table with other column names.

        Parameters
        ----------
        frame
            One row per edge; further columns are kept.
        source
            Column of the regulators (``"TF"`` in pySCENIC tables).
        target
            Column of the targets.
        weight
            Column of the weights (``"importance"`` in pySCENIC tables), or ``None`` to give every edge weight 1.
        genes
            See :class:`grn.Network`.
        directed
            See :class:`grn.Network`.
        signed
            See :class:`grn.Network`.

        Returns
        -------
        A new Network.

        Examples
        --------
        >>> import pandas as pd
        >>> from grn import Network
        >>> table = pd.DataFrame({"TF": ["A"], "target": ["B"], "importance": [4.0]})
        >>> Network.from_frame(table, source="TF", weight="importance").regulators
        ['A']
        """
        wanted = {source: "source", target: "target", **({} if weight is None else {weight: "weight"})}
        missing = [name for name in wanted if name not in frame.columns]
        if missing:
            there = _validate.examples(frame.columns, limit=12)
            raise NetworkError(f"the table has no column {_validate.examples(missing)}; it has {there}.")
        renamed = frame.drop(columns=[c for c in wanted.values() if c in frame.columns and c not in wanted])
        renamed = renamed.rename(columns=wanted)
        if weight is None:
            renamed["weight"] = 1.0
        return cls(renamed, genes=genes, directed=directed, signed=signed)

    @classmethod
    def from_matrix(
        cls, matrix: Any, genes: Sequence[str], *, directed: bool = True, signed: bool | None = None
    ) -> Self:
        """Build a network from the non-zero entries of a matrix.

        Parameters
        ----------
        matrix
            Sparse or dense (n_genes, n_genes), row = regulator, column = target.
        genes
            Names of rows and columns.
        directed
            See :class:`grn.Network`.
        signed
            See :class:`grn.Network`.

        Returns
        -------
        A new Network.

        Examples
        --------
        >>> from grn import Network
        >>> Network.from_matrix([[0, 2], [0, 0]], ["A", "B"]).targets
        ['B']
        """
        return cls(convert.matrix_to_edges(matrix, genes), genes=genes, directed=directed, signed=signed)

    @classmethod
    def from_networkx(cls, graph: Any, *, weight: str = "weight") -> Self:
        """Build a network from a networkx graph; nodes are the genes, edge attributes the columns.

        Parameters
        ----------
        graph
            Graph or DiGraph whose nodes are gene names; a multigraph needs the edge attribute ``group``.
        weight
            Edge attribute with the weights.

        Returns
        -------
        A new Network.
        """
        edges = convert.networkx_to_edges(graph, weight=weight)
        return cls(edges, genes=graph.nodes, directed=None if "direction" in edges else graph.is_directed())

    @classmethod
    def from_anndata(cls, adata: Any, key: str = "grn") -> Self:
        """Read the network stored in an object, as it was written.

        Genes sliced away since then are still in it; :func:`grn.get.edges` hides their edges.

        Parameters
        ----------
        adata
            AnnData or MuData.
        key
            Entry of ``uns``.

        Returns
        -------
        A new Network.

        Raises
        ------
        ResultNotFoundError
            There is no such entry.
        NetworkError
            The entry was written by a newer version of the package, or is damaged.
        """
        record = schema.read_record(adata, key)
        stored = record["schema"]
        signed = stored.get("signed")
        try:
            return cls(
                record["edges"],
                genes=record.get("genes"),
                directed=None if "direction" in record["edges"] else bool(stored["directed"]),
                signed=None if signed is None else bool(signed),
                tested=bool(stored.get("tested", False)),
                params=record["params"],
            )
        except NetworkError as error:
            raise NetworkError(f"uns[{key!r}]: {error}") from error

    def write(self, adata: Any, key: str = "grn") -> None:
        """Store the network in an object, replacing what is there under the key.

        Parameters
        ----------
        adata
            AnnData or MuData; a view becomes a copy, as in scanpy.
        key
            Entry of ``uns``.

        Returns
        -------
        None. Writes ``uns[key]`` with ``edges``, ``params``, ``schema`` (version, directed, signed, tested,
        orientation) and ``genes``. In ``params`` the characters that files take for the end of a name are escaped in
        labels of groups (``"L2/3"`` is ``"L2%2F3"`` there, and ``"L2/3"`` in ``Network.params``).
        """
        schema.container(adata)
        check_key(key, "key")
        adata.uns[key] = {
            "edges": self.edges,
            "params": schema.storable(self.params),
            "schema": {
                "version": schema.VERSION,
                "directed": self.directed,
                "signed": self.signed,
                "tested": self.tested,
                "orientation": schema.ORIENTATION,
            },
            "genes": self._genes.astype(str),
        }
