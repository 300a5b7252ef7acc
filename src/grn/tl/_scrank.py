"""Drug targets removed from the networks of cell types: which type changes most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from anndata import AnnData

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._core.rng import RNGLike, seed_of
from grn._object.modalities import on_mudata
from grn.methods.inference import infer
from grn.methods.record import MIN_CELLS_SEEN
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from mudata import MuData


@one_voice
@document(cells=SNIPPETS["cells"])
@on_mudata
def scrank(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    groupby: str,
    drug_targets: Sequence[str] | pd.DataFrame,
    action: str = "antagonist",
    drug: str | None = None,
    resistance_target: str | None = None,
    n_hop: int = 2,
    net: str | None = None,
    n_resamples: int = 10,
    n_components: int = 3,
    quantile: float = 0.95,
    rank: int = 5,
    threshold: float = 0.05,
    decimals: int | None = None,
    cells_per_resample: int | None = None,
    min_cells: int = MIN_CELLS_SEEN,
    min_group_cells: int = 26,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "scrank",
    rng: RNGLike = 0,
    device: str = "auto",
    n_jobs: int | None = None,
    parity: bool = False,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Rank groups of cells by how much a drug on its targets changes their networks (scRank).

    Every group gets a network over all genes of the object. The out-edges of the drug targets are removed from it
    (antagonist), or their positive weights set to 1 (agonist). Both networks are embedded together, and a gene
    counts by how far it lies from itself:

    .. math:: \text{score} = \sum_t \Bigl(d_t \frac{|\sum_j w_{tj}|}{k_t}
        + \sum_{g:\, w_{tg} \ne 0} d_g |w_{tg}| + d_g \frac{|\sum_j w_{gj}|}{k_g}\Bigr)

    with distances d, weights w and numbers of out-edges k.

    Parameters
    ----------
    adata
        Annotated matrix (cells, genes). Keep some thousand variable genes, regulators and drug targets; memory grows
        with the square of their number.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    groupby
        Column of ``obs`` with the groups, such as cell types.
    drug_targets
        Genes the drug acts on (list of ``var_names``, usually one or two), or a table of drugs: DataFrame with the
        columns ``drug``, ``target`` and optionally ``action``. Targets of a table that the object lacks are logged
        and listed in ``params``.
    action
        ``"antagonist"`` or ``"agonist"``; for a table with a column ``action`` that column counts.
    drug
        Name of the drug in the table.
    resistance_target
        A gene to compare with: ``ratio`` in the ranks is the score of the drug divided by the score of an
        antagonist of this gene, within each group.
    n_hop
        How far a target reaches: 1, the distances of all genes; 2, the target and its targets; 3, also theirs.
    net
        Entry of ``uns`` with networks of the groups of ``groupby``, such as that of an earlier call: they are used,
        and none is computed. Weights above 1 are divided by the largest of the group.
    n_resamples
        Draws of cells per group, one network each.
    n_components
        Principal components in a regression.
    quantile
        Weights below this quantile of the absolute weights of a resample are dropped.
    rank
        Components of the tensor decomposition that denoises the networks of the resamples.
    threshold
        Smallest absolute weight, relative to the largest of the group. Upstream rounds to one decimal, which keeps
        the same edges.
    decimals
        Digits behind the point to which weights are rounded, before the weaker direction of a pair is quartered: 1
        gives the networks of upstream. ``None`` rounds nothing, or to one with ``parity``.
    cells_per_resample
        Cells drawn, with replacement; by default half of a group of more than 100 cells, else 25.
    min_cells
        Fewest cells of a group in which a gene must be above zero to be in its network: standardising makes a handful
        of counts as large as any gene. 0 for no limit, as with ``parity``; genes without any value above zero are
        never in.
    min_group_cells
        Fewest cells of a group.
    %(cells)s
    key_added
        Entry of ``uns`` to write.
    rng
        Seed of the draws of cells and of the starts of the decomposition, keyed by the names of cells and genes.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``: where the regressions run. Numbers agree up to rounding.
    n_jobs
        Threads over the resamples; -1 for all cores. The result does not depend on it.
    parity
        Do as the authors' program: values as they are stored (give it counts), weights rounded to one decimal, a
        Laplacian that is not symmetric. Random draws differ from those of R.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a changed copy instead of changing ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes into ``uns[key_added]``

        ``edges``, ``params``, ``schema``, ``genes``
            The networks, as every method stores them: ``source, target, weight, sign, group``.
        ``ranks``
            DataFrame, best first: ``group``, ``score``, ``rank`` (1 is the most affected), ``rescaled`` (1 the most
            affected, 0 the least), two baselines, ``expression`` (mean log-normalised expression of the targets)
            and ``module_score`` (that of the targets and the genes they regulate there, minus genes expressed
            alike), their ranks, and with ``resistance_target`` its score and ``ratio``.
        ``effects``
            DataFrame, per group the genes that move most first: ``group``, ``gene``, ``distance``, ``degree``
            (out-edges), ``out_weight``, ``in_weight`` (sums), ``from_target_1``, ... (weight of the edge from each
            target).

    Raises
    ------
    GeneNameError
        Gene names are duplicated, or targets are not in ``var_names``.
    GroupError
        The column is missing, a group is too small, or the networks are of other groups.
    ParameterError
        An argument is out of its range, or the table of drugs does not fit.
    ExpressionError, LayerError
        The values or the layer cannot be used.
    ResultNotFoundError, NetworkError
        There are no networks under ``net``, or they lack a target.

    Notes
    -----
    Li et al. 2024, Cell Reports Medicine, doi 10.1016/j.xcrm.2024.101568; networks as in scTenifoldNet (Osorio et
    al. 2020). Scores compare groups of one call; they have no unit. A group in which no target has an out-edge has
    score 0. Cost: for G genes and r distinct cells of a resample about :math:`r^3 + r G^2` operations per resample,
    then some hundred sparse products per group and drug.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=120, n_regulators=4, n_targets=12)
    >>> grn.tl.scrank(adata, groupby="group", drug_targets=["GATA1"])
    >>> list(adata.uns["scrank"]["ranks"].columns[:4])
    ['group', 'score', 'rank', 'rescaled']
    >>> grn.tl.scrank(adata, groupby="group", drug_targets=["SPI1"], net="scrank", key_added="second")
    >>> grn.get.edges(adata, key="second").equals(grn.get.edges(adata, key="scrank"))
    True
    """
    params = {
        "drug_targets": drug_targets,
        "action": action,
        "drug": drug,
        "resistance_target": resistance_target,
        "n_hop": n_hop,
        "net": net,
        "n_resamples": n_resamples,
        "n_components": n_components,
        "quantile": quantile,
        "rank": rank,
        "threshold": threshold,
        "decimals": decimals,
        "cells_per_resample": cells_per_resample,
        "min_cells": min_cells,
        "min_group_cells": min_group_cells,
        "parity": parity,
    }
    return infer(
        adata,
        "scrank",
        params=params,
        groupby=groupby,
        layer=layer,
        use_raw=use_raw,
        values=values,
        key=key_added,
        seed=seed_of(rng),
        device=device,
        n_jobs=n_jobs,
        progress=progress,
        copy=copy,
    )
