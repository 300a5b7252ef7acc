"""The class Network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core.errors import GroupError
from grn._core.labels import asked
from grn.network import combine, convert, filters
from grn.network._exports import Exports
from grn.network._origins import Origins
from grn.network.filters import Names


class Network(Origins, Exports):
    """A gene regulatory network: a checked edge table, its genes, and what is known about it.

    Rows are sorted by group, then strongest first, then by names, so equal networks have equal tables.
    Methods return new networks; nothing is changed in place.

    Parameters
    ----------
    edges
        DataFrame with the columns ``source``, ``target`` (names) and ``weight`` (finite; sign * strength when the
        sign is known, else a strength). Optional columns: ``sign`` (1, -1, NaN), ``probability``, ``pval``, ``qval``
        (in [0, 1]), ``score``, ``stability``, ``direction`` (what tells that the source regulates the target and not
        the other way: ``"motif"``, ``"prior"``, ``"response"``, ``"role"`` or ``"none"``), ``group``, ``region``,
        ``lag``; further columns of numbers, booleans or strings are kept. Each (group, source, target) occurs once.
        Self-loops are kept and counted.
    genes
        All genes that could have had an edge, in the order wanted for matrices; default: the names in the table,
        sorted.
    directed
        Whether something tells the direction of edges. ``None`` reads the column ``direction``, and says yes where
        there is none: then the table itself says so. An undirected network may list both ``A -> B`` and ``B -> A``.
    signed
        Whether weights carry a sign; ``None`` looks for negative weights and known signs.
    tested
        Whether the edges come with a statistical test.
    params
        Provenance: a dict of numbers, strings, arrays and dicts; ``None`` values are kept. What is kept per group goes
        by the label of the group.

    Raises
    ------
    NetworkError
        A column is missing, a value is not allowed, an edge is repeated, a name is not in ``genes``.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn import Network
    >>> edges = pd.DataFrame({"source": ["SPI1", "SPI1"], "target": ["CD14", "CD3E"], "weight": [0.5, -0.9]})
    >>> Network(edges)
    Network: 2 edges, 1 regulators -> 2 targets, 3 genes; directed, signed
    >>> Network(edges).filter(top=1).edges["target"].tolist()
    ['CD3E']
    """

    def filter(
        self,
        *,
        sources: Names = None,
        targets: Names = None,
        group: Names = None,
        min_abs_weight: float | None = None,
        min_probability: float | None = None,
        max_q: float | None = None,
        min_stability: float | None = None,
        direction: Names = None,
        top: int | None = None,
        top_per_source: int | None = None,
        top_per_target: int | None = None,
        signed_only: bool = False,
    ) -> Network:
        """Keep the edges that pass all conditions; ``genes`` stay as they are.

        The limits on numbers of edges act last and within each group: the two per gene side by side on what the other
        conditions left, then ``top``. Equal strengths are ordered by name.

        Parameters
        ----------
        sources
            One regulator or several; those the network lacks are logged.
        targets
            One target or several; those the network lacks are logged.
        group
            One group or several.
        min_abs_weight
            Smallest absolute weight.
        min_probability
            Smallest ``probability``; edges without one are removed.
        max_q
            Largest ``qval``; edges without one are removed.
        min_stability
            Smallest ``stability``; edges without one are removed.
        direction
            One word or several of the column ``direction``, such as ``["motif", "prior", "response"]`` for edges whose
            direction has evidence.
        top
            Number of strongest edges per group.
        top_per_source
            Number of strongest edges per regulator and group.
        top_per_target
            Number of strongest edges per target and group.
        signed_only
            Remove edges of unknown sign.

        Returns
        -------
        A new Network.

        Raises
        ------
        GeneNameError
            None of the ``sources`` or ``targets`` is a gene of the network.
        GroupError
            The group does not exist.
        NetworkError
            A threshold needs a column that the table lacks.

        Examples
        --------
        >>> import pandas as pd
        >>> edges = pd.DataFrame({"source": ["A", "A", "B"], "target": ["B", "C", "C"], "weight": [1.0, 2.0, 3.0]})
        >>> net = Network(edges)
        >>> len(net.filter(sources="A", min_abs_weight=1.5)), len(net.filter(top_per_target=1))
        (1, 2)
        """
        edges = self._edges
        mask = filters.select_names(edges, "source", sources, self._genes)
        mask &= filters.select_names(edges, "target", targets, self._genes)
        mask &= filters.select_groups(edges, group)
        mask &= filters.select_values(
            edges,
            min_abs_weight=min_abs_weight,
            min_probability=min_probability,
            max_q=max_q,
            min_stability=min_stability,
        )
        mask &= filters.select_directions(edges, direction)
        if signed_only:
            mask &= np.isfinite(combine.known_signs(edges, signed=self.signed))
        passing = edges[mask]
        strongest = filters.select_top(passing, top=top, per_source=top_per_source, per_target=top_per_target)
        return self._with_edges(passing[strongest])

    def within(self, genes: Iterable[str], *, targets_only: bool = False) -> Network:
        """Keep the edges with both ends in ``genes``, and of the genes those.

        Parameters
        ----------
        genes
            Names to keep, for instance ``adata.var_names``; names the network lacks do not matter.
        targets_only
            Ask it of the targets only, as when sources are names of regulons.

        Returns
        -------
        A new Network.

        Examples
        --------
        >>> import pandas as pd
        >>> net = Network(pd.DataFrame({"source": ["A", "A"], "target": ["B", "C"], "weight": [1.0, 2.0]}))
        >>> net.within(["A", "B"]).targets
        ['B']
        """
        wanted = set(genes)
        mask = filters.in_categories(self._edges["target"], wanted)
        if not targets_only:
            mask &= filters.in_categories(self._edges["source"], wanted)
        edges = self._edges[mask]
        known = wanted | set(edges["source"].unique())
        return self._with_edges(edges, self._genes[[gene in known for gene in self._genes]])

    def union(self, other: Network) -> Network:
        """Edges of both networks; of an edge in both, the stronger row (:meth:`merge` of two).

        Parameters
        ----------
        other
            A network of the same kind.

        Returns
        -------
        A new Network.
        """
        return self.merge([self, other])

    @classmethod
    def merge(cls, networks: Sequence[Network]) -> Network:
        """Edges of all networks; of an edge in several, the row with the largest absolute weight.

        The result does not depend on the order of the networks. Signed and unsigned networks may be mixed: edges of
        the latter get sign NaN. The result is ``tested`` if all are.

        Parameters
        ----------
        networks
            At least one network; all with groups or all without.

        Returns
        -------
        A new Network.

        Raises
        ------
        NetworkError
            The networks differ in kind.

        Examples
        --------
        >>> import pandas as pd
        >>> one = Network(pd.DataFrame({"source": ["A"], "target": ["B"], "weight": [1.0]}))
        >>> two = Network(pd.DataFrame({"source": ["A", "B"], "target": ["B", "C"], "weight": [3.0, 2.0]}))
        >>> Network.merge([one, two]).edges["weight"].tolist()
        [3.0, 2.0]
        """
        return cls(**combine.union_parts(list(networks)))

    def compare(self, other: Network, *, top: int = 100) -> pd.DataFrame:
        """Measure how far two networks agree, per group.

        A network without groups is compared with every group of the other. If one is undirected, pairs are compared
        without their direction.

        Parameters
        ----------
        other
            The network to compare with.
        top
            Number of strongest edges for ``top_overlap``; at most as many as the smaller network has.

        Returns
        -------
        DataFrame, one row per group (``"all"`` without groups): ``n_left``, ``n_right``, ``n_shared`` (edges),
        ``jaccard`` = shared / union, ``spearman`` of the absolute weights of shared edges (NaN below three or when
        constant), ``sign_agreement`` among shared edges of known sign, ``top_overlap`` = shared part of the strongest.

        Examples
        --------
        >>> import pandas as pd
        >>> net = Network(pd.DataFrame({"source": ["A", "A"], "target": ["B", "C"], "weight": [1.0, -2.0]}))
        >>> net.compare(net.filter(top=1))["jaccard"].tolist()
        [0.5]
        """
        return combine.compare_table(self, other, top=top)

    def degrees(self) -> pd.DataFrame:
        """Count and sum the edges of every gene.

        Returns
        -------
        DataFrame indexed by gene, or by (group, gene) when the table has groups: ``out_degree``, ``in_degree`` (numbers
        of edges, self-loops in both), ``out_strength``, ``in_strength`` (sums of absolute weights), ``out_signed``,
        ``in_signed`` (sums of sign * strength over edges of known sign; NaN when no sign is known).

        Examples
        --------
        >>> import pandas as pd
        >>> net = Network(pd.DataFrame({"source": ["A", "A"], "target": ["B", "C"], "weight": [1.0, -2.0]}))
        >>> net.degrees().loc["A", ["out_degree", "out_strength", "out_signed"]].tolist()
        [2.0, 3.0, -1.0]
        """
        sign = combine.known_signs(self._edges, signed=self.signed)
        if not self.groups:
            return convert.degree_table(self._edges, self._genes, sign)
        label = self._edges["group"].to_numpy()
        parts = {
            name: convert.degree_table(self._edges[label == name], self._genes, sign[label == name])
            for name in self.groups
        }
        return pd.concat(parts, names=["group"])

    def to_csr(self, genes: Iterable[str] | None = None, *, group: str | None = None) -> sparse.csr_matrix:
        """Weights as a sparse matrix with regulators in rows and targets in columns.

        Parameters
        ----------
        genes
            Names of rows and columns, in order; default: ``Network.genes``. Edges to other genes are left out
            and logged.
        group
            The group to take; needed when there are several.

        Returns
        -------
        CSR matrix (n_genes, n_genes), float64. Edges of weight 0 are stored zeros.

        Raises
        ------
        GroupError
            There are several groups and none was chosen.

        Examples
        --------
        >>> import pandas as pd
        >>> net = Network(pd.DataFrame({"source": ["A"], "target": ["B"], "weight": [2.0]}))
        >>> net.to_csr().toarray().tolist()
        [[0.0, 2.0], [0.0, 0.0]]
        """
        if group is not None and len(asked(group)) != 1:
            raise GroupError(f"group={group!r}; a matrix holds one group, pass its name.")
        edges = combine.single_group(self if group is None else self.filter(group=group), "a matrix")
        return convert.edges_to_csr(edges, self._genes if genes is None else genes)
