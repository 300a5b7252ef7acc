"""One network out of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from grn._core.logging import one_voice
from grn._object.modalities import on_mudata
from grn.trust.consensus import write_consensus

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@on_mudata
def consensus(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    nets: Sequence[str] | None = None,
    method: str = "rank",
    top: int | None = None,
    min_support: int = 0,
    key_added: str = "consensus",
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Combine several networks of one object into one, by ranks or by votes.

    Strengths of different methods are on different scales; ranks are not. Of the N pairs of a group that network m
    knows, the weakest has the score :math:`r_m = 0.5 / N` and the strongest :math:`1 - 0.5 / N`; weights that are equal
    up to rounding share the mean of their scores, and so do all pairs that m knows and does not list, at the end. A
    network knows the pairs of its regulators and its targets. With the M networks that know a pair,

    .. math:: w = \operatorname{sign} \cdot \frac1M \sum_m r_m \quad (\text{rank}), \qquad
              w = \operatorname{sign} \cdot \frac1M \sum_m [\text{m votes for the pair}] \quad (\text{vote})

    The sign is that of most networks that know one, and unknown if they are equally many.

    Parameters
    ----------
    adata
        Annotated matrix with networks in ``uns``.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    nets
        Entries of ``uns``, at least two; by default all networks but earlier consensus and differential ones.
    method
        ``"rank"`` or ``"vote"``.
    top
        Number of strongest edges per network and group that are its votes; by default a tenth of the pairs it knows.
        Edges of weight 0 are no votes.
    min_support
        Smallest number of votes of an edge; edges with fewer are left out. At least 1 with ``method="vote"``.
    key_added
        Entry of ``uns`` to write.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a changed copy instead of changing ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes the network ``uns[key_added]``: ``edges`` with ``source``, ``target``,
        ``weight`` (sign times a strength within 0 and 1), ``sign``, ``group`` where a network has groups, and

        ``n_methods``
            Number of networks that know the pair.
        ``support``
            Number of networks that vote for it.
        ``sign_agreement``
            Share of the networks with a sign that have the sign of the majority (0.5 to 1); NaN without signs.

    Raises
    ------
    ResultNotFoundError
        If a network does not exist, or there are fewer than two.
    NetworkError
        If an entry of ``uns`` is no network.
    ParameterError
        If an argument is out of its range.

    Notes
    -----
    Groups are matched by name; a network without groups counts in every group, and one that lacks a group is not asked
    there. An edge of an undirected network counts in both directions, from genes that are regulators in any of the
    networks. Of an edge, the strongest evidence of direction in any of them stays. Networks that share their data
    agree on its artefacts too: agreement is no second experiment. Cost: a sort of every network.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=100, n_regulators=3, n_targets=6)
    >>> for name in ("correlation", "ridge"):
    ...     grn.tl.infer_network(adata, method=name, key_added=name)
    >>> grn.tl.consensus(adata, nets=["correlation", "ridge"])
    >>> grn.get.edges(adata, key="consensus")["n_methods"].unique().tolist()
    [2]
    """
    return write_consensus(
        adata,
        nets=nets,
        method=method,
        top=top,
        min_support=min_support,
        key_added=key_added,
        copy=copy,
    )
