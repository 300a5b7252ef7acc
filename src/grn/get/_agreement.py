"""How far networks of one object agree, pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from grn._core.logging import one_voice
from grn.get.scored import agreement_table, read_scored

if TYPE_CHECKING:
    from anndata import AnnData


@one_voice
def agreement(
    adata: AnnData,
    *,
    keys: Sequence[str] | Mapping[str, str] | None = None,
    top: int = 100,
    group: str | None = None,
) -> pd.DataFrame:
    r"""Measure how far networks agree: one row per two of them.

    Two numbers answer two questions. ``spearman`` asks whether the networks order the pairs alike that both scored;
    absolute weights are compared, those that are equal up to rounding have their average rank. ``shared`` asks whether
    they would name the same edges: how many of the ``top`` strongest they have in common.

    ``expected`` is what ``shared`` would be by chance, if each network drew its strongest edges at random from the
    pairs of its regulators and targets: with :math:`C_a` such pairs in one network, :math:`C_b` in the other and
    :math:`C_{ab}` in both, it is :math:`C_{ab} (k_a / C_a) (k_b / C_b)`, which is :math:`k^2 / C` for networks of the
    same genes. Networks that agree on nothing but which genes are hubs are above it too.

    Parameters
    ----------
    adata
        AnnData with networks in ``uns``.
    keys
        Entries of ``uns``, or a dict of names for the table and entries; ``None`` takes all networks of the object.
    top
        Number of strongest edges :math:`k`; of a network with fewer edges of a weight other than 0, all.
    group
        One group of networks inferred with ``groupby``; networks without groups stand for each. ``None`` takes every
        pair from the group in which it is strongest.

    Returns
    -------
    DataFrame with the columns ``network_a``, ``network_b``; ``directed``: whether ``A -> B`` and ``B -> A`` were told
    apart, which needs two directed networks (otherwise the stronger of the two counts, for both networks); ``n_a``,
    ``n_b``: pairs each scored; ``n_common``: pairs both scored; ``spearman`` over these (NaN below three, or when one
    network gives all the same weight); ``top_a``, ``top_b``: edges compared; ``shared``; ``expected``; ``overlap`` =
    shared / the smaller of ``top_a`` and ``top_b``; ``jaccard`` = shared / (top_a + top_b - shared). The last two are
    NaN for networks without a pair of genes in common. Edges of a gene to itself, and those hidden because an end is
    not in ``var_names``, do not count.

    Raises
    ------
    ResultNotFoundError
        The object holds no network under a key.
    GroupError
        No network has that group.
    ParameterError
        There are fewer than two networks, or ``top`` is not a positive integer.

    Notes
    -----
    When several edges tie for the last places among the strongest, each counts in part, as if the places were drawn
    among them at random: of 4 edges that tie for 2 places each counts 1/2. So ``shared`` does not depend on the order
    of names and need not be a whole number.

    Examples
    --------
    >>> import grn, numpy as np, pandas as pd
    >>> from anndata import AnnData
    >>> adata = AnnData(np.ones((2, 5)), var=pd.DataFrame(index=["SPI1", "CD14", "LYZ", "CD3E", "MS4A1"]))
    >>> edges = pd.DataFrame({"source": "SPI1", "target": ["CD14", "LYZ", "CD3E", "MS4A1"], "weight": [4., 3., 2., 1.]})
    >>> grn.Network(edges).write(adata, "one")
    >>> grn.Network(edges.assign(weight=[3., 4., -2., 1.])).write(adata, "two")
    >>> grn.get.agreement(adata, keys=["one", "two"], top=2)[["n_common", "spearman", "shared", "expected"]]
       n_common  spearman  shared  expected
    0         4       0.8     2.0       1.0
    """
    return agreement_table(read_scored(adata, keys, group), top)
