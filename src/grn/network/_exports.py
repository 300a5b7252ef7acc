"""What a Network can be turned into for other tools."""

from __future__ import annotations

from typing import Any

import pandas as pd

from grn._core import checks
from grn._core.files import PathLike
from grn.network import combine, convert, direction, export
from grn.network._edge_table import EdgeTable


class Exports(EdgeTable):
    """Conversions of :class:`Network`; mixed into it to keep the class readable."""

    def _graph_parts(self, *, isolated: bool) -> tuple[pd.DataFrame, list[str], bool]:
        """Edges and nodes of a graph, and whether it has arrows: then an edge without direction is one each way."""
        edges, points = direction.as_drawn(self._edges, directed=self.directed)
        nodes = convert.nodes_of(edges, self._genes, isolated=isolated)
        arrows = bool(points.any()) or (self.directed and not len(edges))
        return (direction.both_ways(edges, points) if arrows else edges), nodes, arrows

    def to_networkx(self, *, isolated: bool = False) -> Any:
        """Convert to a networkx graph.

        Parameters
        ----------
        isolated
            Also add the genes without edges.

        Returns
        -------
        DiGraph (Graph where no edge has a direction; the Multi variant, keyed by group, when there are groups). Nodes
        carry ``regulator``, edges all columns; values that are not finite are left out. Of a pair without direction the
        stronger of ``A -> B`` and ``B -> A`` counts: in a Graph it is the edge, in a DiGraph it stands in both
        directions, with ``direction="none"``. Of a pair with a direction only the edges that have it are there.

        Raises
        ------
        MissingDependencyError
            networkx is not installed.

        Examples
        --------
        >>> import pandas as pd
        >>> from grn import Network
        >>> net = Network(pd.DataFrame({"source": ["A"], "target": ["B"], "weight": [2.0]}))
        >>> net.to_networkx()["A"]["B"]["weight"]
        2.0
        """
        edges, nodes, arrows = self._graph_parts(isolated=isolated)
        return convert.build_networkx(edges, nodes, directed=arrows, multi="group" in edges)

    def to_igraph(self, *, isolated: bool = False) -> Any:
        """Convert to an igraph graph.

        Parameters
        ----------
        isolated
            Also add the genes without edges.

        Returns
        -------
        ``igraph.Graph`` with vertex attributes ``name`` and ``regulator`` and all columns as edge attributes; with
        groups it has parallel edges. Edges without direction are as in :meth:`to_networkx`.

        Raises
        ------
        MissingDependencyError
            igraph is not installed.
        """
        edges, nodes, arrows = self._graph_parts(isolated=isolated)
        return convert.build_igraph(edges, nodes, directed=arrows)

    def to_graphml(self, path: PathLike, *, isolated: bool = False) -> None:
        """Write GraphML, which Cytoscape, Gephi, networkx and igraph open.

        Parameters
        ----------
        path
            File to write.
        isolated
            Also write the genes without edges.

        Returns
        -------
        None. Nodes carry ``name`` and ``regulator``, edges all columns; values that are not finite are left out. Edges
        without direction are as in :meth:`to_networkx`.

        Raises
        ------
        StorageError
            Nothing can be written there; a file of that name is then as before.
        """
        edges, nodes, arrows = self._graph_parts(isolated=isolated)
        export.write_graphml(path, edges, nodes, directed=arrows)

    def to_cytoscape(self, path: PathLike, *, isolated: bool = False) -> None:
        """Write Cytoscape.js JSON (``.cyjs``).

        Parameters
        ----------
        path
            File to write.
        isolated
            Also write the genes without edges.

        Returns
        -------
        None. The file has ``elements`` with ``nodes`` and ``edges``, as Cytoscape and ``cytoscape.js`` take them. Edges
        without direction are as in :meth:`to_networkx`.

        Raises
        ------
        StorageError
            Nothing can be written there; a file of that name is then as before.
        """
        edges, nodes, arrows = self._graph_parts(isolated=isolated)
        export.write_cytoscape(path, edges, nodes, directed=arrows, multi="group" in edges)

    def regulon_edges(self, *, min_targets: int = 1, signed: bool = True) -> pd.DataFrame:
        """Edges as named gene sets, in the form decoupler takes.

        Parameters
        ----------
        min_targets
            Smallest number of targets of a set; smaller ones are left out.
        signed
            Split each regulator into ``"SPI1(+)"`` (targets it activates) and ``"SPI1(-)"`` (targets it represses),
            with strengths as weights, so that the score of a set says how strongly its targets are expressed. Edges of
            unknown sign form ``"SPI1"``. If false, one set per regulator with the weights as they are.

        Returns
        -------
        DataFrame ``source`` (name of the set), ``target``, ``weight``; strings and float64. Edges of weight 0 are
        left out.

        Raises
        ------
        GroupError
            The network has several groups.
        """
        min_targets = checks.integer("min_targets", min_targets, least=1)
        edges = combine.single_group(self, "a set of regulons")
        table = export.regulon_table(edges, combine.known_signs(edges, signed=self.signed), signed=signed)
        size = table.groupby("source")["source"].transform("size")
        return table[size >= min_targets].reset_index(drop=True)

    def regulons(self, *, min_targets: int = 1, signed: bool = True) -> dict[str, dict[str, float]]:
        """Targets and weights by name of the gene set.

        Parameters
        ----------
        min_targets
            Smallest number of targets of a set; smaller ones are left out.
        signed
            Split into ``"SPI1(+)"`` and ``"SPI1(-)"``; see :meth:`regulon_edges`.

        Returns
        -------
        Dict of dicts: name -> target -> weight, names sorted, strongest target first.

        Examples
        --------
        >>> import pandas as pd
        >>> from grn import Network
        >>> net = Network(pd.DataFrame({"source": ["A", "A"], "target": ["B", "C"], "weight": [1.0, -2.0]}))
        >>> net.regulons()
        {'A(+)': {'B': 1.0}, 'A(-)': {'C': 2.0}}
        """
        table = self.regulon_edges(min_targets=min_targets, signed=signed)
        parts = table.groupby("source", sort=True)
        return {name: dict(zip(part["target"], part["weight"].tolist(), strict=True)) for name, part in parts}

    def to_gmt(self, path: PathLike, *, min_targets: int = 1, signed: bool = True) -> None:
        """Write the regulons as gene sets without weights (GMT), strongest target first.

        Parameters
        ----------
        path
            File to write.
        min_targets
            Smallest number of targets of a set.
        signed
            Split into ``"SPI1(+)"`` and ``"SPI1(-)"``; see :meth:`regulon_edges`.

        Returns
        -------
        None. A name that begins with ``=``, ``+``, ``-`` or ``@`` is written with an apostrophe in front, as a
        spreadsheet would compute it otherwise; a warning names it.

        Raises
        ------
        StorageError
            Nothing can be written there; a file of that name is then as before.
        """
        export.write_gmt(path, self.regulons(min_targets=min_targets, signed=signed))

    def to_adjacency_csv(self, path: PathLike) -> None:
        """Write the adjacency table of pySCENIC: ``TF``, ``target``, ``importance`` (absolute weight).

        Parameters
        ----------
        path
            File to write; ``.tsv`` and ``.txt`` are tab separated, others comma separated.

        Returns
        -------
        None. A name that begins with ``=``, ``+``, ``-`` or ``@`` is written with an apostrophe in front, as a
        spreadsheet would compute it otherwise; a warning names it.

        Raises
        ------
        GroupError
            The network has several groups.
        StorageError
            Nothing can be written there; a file of that name is then as before.
        """
        export.write_adjacency(path, combine.single_group(self, "an adjacency table"))
