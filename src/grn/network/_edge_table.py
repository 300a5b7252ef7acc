"""The checked edge table that a Network is: what it holds, and copies of it with something changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
import pandas as pd

from grn.network import _validate, direction, schema


class EdgeTable:
    """Edges, genes, flags and provenance; :class:`grn.Network` says what they mean."""

    def __init__(
        self,
        edges: pd.DataFrame,
        *,
        genes: Iterable[str] | None = None,
        directed: bool | None = None,
        signed: bool | None = None,
        tested: bool = False,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self._edges = _validate.clean_edges(edges)
        self._genes = _validate.clean_genes(genes, self._edges)
        self._directed = _validate.check_direction(self._edges, directed=directed)
        self.signed = _validate.check_signs(self._edges, signed=signed)
        self.tested = bool(tested)
        self._params: dict[str, Any] = schema.plain(schema.restored(params or {}))

    def _with_edges(self, edges: pd.DataFrame, genes: np.ndarray | None = None) -> Self:
        """Return the same network with some rows of its own sorted table, which needs no second check."""
        part = object.__new__(type(self))
        part.__dict__.update(self.__dict__)
        part._edges = edges.reset_index(drop=True)
        for name in part._edges.columns[part._edges.dtypes == "category"]:
            part._edges[name] = part._edges[name].cat.remove_unused_categories()
        part._genes = self._genes if genes is None else genes
        return part

    def _with_column(self, name: str, values: pd.Categorical) -> Self:
        """Return the same network with one more column, at its place."""
        made = self._edges.assign(**{name: values})
        return self._with_edges(made[_validate.in_order(made.columns)])

    @property
    def edges(self) -> pd.DataFrame:
        """Copy of the edge table; decoupler takes it as ``net`` if there is at most one group."""
        return self._edges.copy()

    @property
    def directed(self) -> bool:
        """Whether more than the list of regulators tells the direction of at least one edge.

        With a column ``direction``, which says it for every edge, it is read from there.
        """
        return direction.tells(self._edges["direction"]) if "direction" in self._edges else self._directed

    @property
    def genes(self) -> np.ndarray:
        """Names of all genes, with or without edges."""
        return self._genes.copy()

    @property
    def regulators(self) -> list[str]:
        """Names with at least one outgoing edge, sorted."""
        return list(self._edges["source"].cat.categories)

    @property
    def targets(self) -> list[str]:
        """Names with at least one incoming edge, sorted."""
        return list(self._edges["target"].cat.categories)

    @property
    def groups(self) -> list[str]:
        """Names of the groups in category order; empty when the table has none."""
        return list(self._edges["group"].cat.categories) if "group" in self._edges else []

    @property
    def params(self) -> dict[str, Any]:
        """Copy of the provenance; arguments that were None are None."""
        return dict(schema.plain(self._params))

    @property
    def n_self_loops(self) -> int:
        """Number of edges from a gene to itself."""
        return int((self._edges["source"].astype(object) == self._edges["target"].astype(object)).sum())

    def __len__(self) -> int:
        return len(self._edges)

    def __repr__(self) -> str:
        loops = self.n_self_loops
        notes = [
            "directed" if self.directed else "undirected",
            "signed" if self.signed else "unsigned",
            *(["tested"] if self.tested else []),
            *([f"{len(self.groups)} groups ({_validate.examples(self.groups)})"] if self.groups else []),
            *([f"{loops} self-loops"] if loops else []),
        ]
        size = f"{len(self):,} edges, {len(self.regulators):,} regulators -> {len(self.targets):,} targets"
        return f"Network: {size}, {len(self._genes):,} genes; {', '.join(notes)}"

    def equals(self, other: EdgeTable) -> bool:
        """Tell whether two networks have the same edges, genes and flags; ``params`` do not count.

        Parameters
        ----------
        other
            The network to compare with.
        """
        flags = ("directed", "signed", "tested")
        return (
            isinstance(other, EdgeTable)
            and all(getattr(self, name) == getattr(other, name) for name in flags)
            and np.array_equal(self._genes, other._genes)
            and self._edges.equals(other._edges)
        )

    def replace(
        self,
        *,
        edges: pd.DataFrame | None = None,
        genes: Iterable[str] | None = None,
        directed: bool | None = None,
        signed: bool | None = None,
        tested: bool | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Self:
        """Copy the network with something changed; what is not given stays as it is.

        Parameters
        ----------
        edges
            Another edge table; it is checked as at :class:`grn.Network`.
        genes
            Other genes, in the order wanted for matrices.
        directed
            Whether the direction of edges is known; ``None`` keeps what is said, or reads the column ``direction``.
        signed
            Whether weights carry a sign.
        tested
            Whether the edges come with a statistical test.
        params
            Other provenance, in place of all there is.

        Returns
        -------
        A new Network.

        Raises
        ------
        NetworkError
            The parts do not fit each other, as negative weights in an unsigned network.

        Examples
        --------
        >>> import pandas as pd
        >>> from grn import Network
        >>> net = Network(pd.DataFrame({"source": ["A"], "target": ["B"], "weight": [1.0]}), tested=True)
        >>> net.replace(genes=["A", "B", "C"], signed=True)
        Network: 1 edges, 1 regulators -> 1 targets, 3 genes; directed, signed, tested
        """
        if all(given is None for given in (edges, genes, directed, signed, tested)):
            changed = self._with_edges(self._edges)  # nothing to check again
        else:
            changed = type(self)(
                self._edges if edges is None else edges,
                genes=self._genes if genes is None else genes,
                directed=self._said(directed=directed, edges=edges),
                signed=self.signed if signed is None else signed,
                tested=self.tested if tested is None else tested,
            )
        changed._params = self._params if params is None else schema.plain(schema.restored(params))
        return changed

    def _said(self, *, directed: bool | None, edges: pd.DataFrame | None) -> bool | None:
        """What is said of the direction of a changed table; a column of its own says it itself."""
        has_column = "direction" in (self._edges if edges is None else edges)
        return directed if has_column or directed is not None else self.directed
