"""Which regulators matter most in a network, and how much of that a hub of any network would have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grn._core.logging import one_voice
from grn._object.modalities import on_mudata
from grn.regulators.ranks import write_ranks

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@on_mudata
def rank_regulators(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    net: str = "grn",
    by: str = "strength",
    max_q: float | None = None,
    top: int | None = None,
    betweenness: bool = False,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Rank the regulators of a network by their centrality, per group.

    Parameters
    ----------
    adata
        Annotated matrix with a network in ``uns[net]``.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    net
        Entry of ``uns``.
    by
        Column that decides the rank: ``"strength"``, ``"degree"``, ``"mean_strength"``, ``"strength_residual"``,
        ``"pagerank"``, ``"eigenvector"`` or ``"betweenness"``.
    max_q
        Count only edges with a q-value up to this one; needs :func:`grn.tl.confidence` or a method with q-values.
    top
        Count only that many strongest edges per group.
    betweenness
        Compute betweenness too, with igraph (``pip install 'grn[export]'``); on by itself with ``by="betweenness"``.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a changed copy instead of changing ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes ``uns[net]["regulators"]``, a DataFrame sorted by group and rank:

        ``regulator``, ``group``
            Names; ``group`` only where the network has groups. Every regulator of the network is listed in each; a
            group of which ``max_q`` leaves no edge is left out, with a warning.
        ``rank``
            1 for the first, by falling ``by``; values equal up to rounding share the smaller rank, NaN comes last.
        ``degree``, ``strength``
            Number of edges counted, and the sum of their absolute weights.
        ``n_tested``, ``mean_strength``
            Number of edges the network lists for the regulator before ``max_q`` and ``top``, and strength divided by
            it.
        ``expression``
            Mean log-normalised expression in the group; NaN where the object has no such values.
        ``strength_residual``
            Strength minus what a line through all regulators of the group expects from ``expression`` and
            ``n_tested``; NaN with fewer than 10 regulators or without expression.
        ``pagerank``
            Credit that flows from targets to their regulators (damping 0.85); sums to 1 over all genes.
        ``eigenvector``
            Eigenvector centrality on the undirected network; the largest of all genes is 1.
        ``betweenness``
            Number of shortest paths through the gene, each edge of length 1; only if asked for. Paths are those of
            the graph of :meth:`grn.Network.to_networkx` without edges of weight 0: an edge whose direction a role or
            evidence tells is walked that way only, any other both ways. Where no edge of the network has a direction,
            a path and its reverse are one.

    Raises
    ------
    ResultNotFoundError
        If there is no network under ``net``.
    NetworkError
        If ``max_q`` is given and the network has no q-values.
    ParameterError
        If an argument is out of its range, or no edge is left to rank by.
    MissingDependencyError
        If betweenness is asked for and igraph is not installed.

    Notes
    -----
    In a network that lists every pair, degree says nothing, and strength follows how well a gene is measured: highly
    expressed regulators have less noise and stronger edges to everything. Compare with ``strength_residual``, and
    count only edges that hold (``max_q=0.05``). A high rank is a property of the inferred network; that the regulator
    drives the cells needs an experiment. Cost: one pass over the edges, a sparse product per step of the power
    iterations; betweenness costs genes times edges.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=100, n_regulators=3, n_targets=6)
    >>> grn.tl.infer_network(adata, method="correlation")
    >>> grn.tl.rank_regulators(adata)
    >>> adata.uns["grn"]["regulators"]["rank"].tolist()
    [1, 2, 3]
    """
    return write_ranks(
        adata,
        net=net,
        by=by,
        max_q=max_q,
        top=top,
        betweenness=betweenness,
        copy=copy,
    )
