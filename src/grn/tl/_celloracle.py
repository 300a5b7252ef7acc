"""CellOracle: networks per group, their filter, their scores, and the network that a simulation runs on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
@document(**SNIPPETS)
@on_mudata
def celloracle(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    atac: str = "atac",
    base_grn: pd.DataFrame | str | None = None,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    groupby: str | None = None,
    fit: str = "bagging",
    alpha: float = 10.0,
    n_bags: int = 20,
    smooth: bool | str = True,
    max_p: float | None = 0.001,
    top: int | None = 10000,
    simulation_alpha: float = 10.0,
    centrality: bool | None = None,
    min_cells: int = MIN_CELLS_SEEN,
    parity: bool = False,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "celloracle",
    rng: RNGLike = 0,
    client: Any = None,
    n_jobs: int | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Infer a network per group of cells with CellOracle, score its genes, and fit the network for simulations.

    The smoothed expression y of every target is regressed on that of the regulators its base GRN allows, each divided
    by its standard deviation s over all cells:

    .. math:: \min_{a, \beta} \sum_c \Big(y_c - a - \sum_r \beta_r x_{cr} / s_r\Big)^2 + \alpha \sum_r \beta_r^2

    With ``fit="bagging"`` this is done for ``n_bags`` bootstrap samples of the cells, each with a random 80 % of the
    regulators; the weight of an edge is its mean coefficient and its p-value that of a t-test over the bags. With
    ``fit="bayesian"`` penalty and noise follow from the evidence, and weight and p-value from the posterior.

    Parameters
    ----------
    %(adata)s
    atac
        Modality of the MuData that holds open chromatin, for ``base_grn``.
    base_grn
        Table ``source, target[, region, score]`` of the regulators a target may have: from
        :func:`grn.pp.base_grn_from_regions`, :func:`grn.pp.promoter_base_grn` or :func:`grn.pp.base_grn`, or what the
        last reads; or ``"regions"``, which calls the first for a MuData, see :func:`grn.tl.dictys`. ``None``
        allows every regulator for every target: slower, and without the evidence of binding that the method rests on.
    sources
        Regulators (list of ``var_names``); by default those of ``base_grn``, or without it the marked or known ones.
    targets
        Targets (list of ``var_names``); all genes by default.
    groupby
        Column of ``obs``: one network per group, each of at least 10 cells.
    fit
        ``"bagging"`` or ``"bayesian"``.
    alpha
        Penalty of a bag, at least 1e-5.
    n_bags
        Number of bags, at least 2.
    smooth
        ``True``: weights in ``obsp["grn_smooth"]``, or, if there are none, weights computed with the defaults of
        :func:`grn.pp.smooth` and written there. A key of ``obsp`` with weights, or ``False`` for cells as they are.
    max_p
        Largest p-value of an edge that is kept; ``None`` for no limit.
    top
        Number of strongest edges per group that are kept; ``None`` for no limit.
    simulation_alpha
        Penalty of the network for simulations, at least 1e-5.
    centrality
        Whether to compute betweenness and eigenvector centrality, which need igraph (``pip install 'grn[export]'``).
        ``None``: if it is installed.
    min_cells
        Fewest cells of a group in which a gene must be above zero, before smoothing, to have edges there: a gene that
        is seen in one or two cells correlates perfectly with others of these cells. 0 for no limit, as with ``parity``.
    parity
        Follow the original program where it is odd: bags drawn with seed 123 from the numbers of cells and regulators,
        regulators in the order of the rows of ``base_grn``, and strong edges as long ones in the betweenness.
    %(cells)s
    key_added
        Slot of the result.
    rng
        Seed of the bags, which are drawn by names of cells, groups and regulators.
    %(client)s
    n_jobs
        Threads that solve; -1 for all cores. Changes speed only.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a new object instead of writing into ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes

        ``uns[key_added]["edges"]``
            DataFrame ``source, target, weight`` (change of the target per standard deviation of the regulator, other
            regulators equal), ``pval``, ``group`` and ``coef_variance`` (over bags, or of the posterior), filtered.
            With a base GRN that has regions, ``region``: of those of the pair, the one with the highest score.
        ``uns[key_added]["scores"]``
            DataFrame ``gene, group``, ``degree_all``, ``degree_in``, ``degree_out``, the same divided by the number of
            other genes (``degree_centrality_*``), ``betweenness`` and ``eigenvector``, of the filtered network;
            ``eigenvector`` is near 0 outside its largest connected part.
        ``uns[key_added]["entropy"]``
            DataFrame ``gene, group, n_regulators, entropy, entropy_norm``: how evenly the absolute weights of all edges
            of a target, before the filter, are spread; in nats, and divided by the largest possible value.
        ``uns[key_added]["simulation"]``
            DataFrame ``source, target, weight, group``: plain ridge on the filtered edges; change of the target per
            unit of the regulator. :func:`grn.tl.simulate` reads it.
        ``uns[key_added]["triplets"]``
            With regions: DataFrame ``source, target, region[, score]``, all regions of the pairs that are edges.
        ``uns[key_added]["params"]``, ``["schema"]``
            Every argument, the package version, the number of edges before the filter, ``rare_genes`` (number of
            genes below ``min_cells``, per group), ``skipped_groups`` (in which nothing varies); the layout.
        ``obsp["grn_smooth"]``, ``uns["grn_smooth"]``
            With ``smooth=True``, if there were none.

        Without ``groupby`` there are no columns ``group``.

    Raises
    ------
    ParameterError
        If an argument is out of its range.
    GeneNameError
        If gene names are duplicated or empty, or ``sources``/``targets`` are not in ``var_names``.
    GeneOverlapError
        If no gene is a regulator, or object and ``base_grn`` share too few genes.
    NetworkError
        If ``base_grn`` is no table of edges, or no edge passes the filter.
    ExpressionError, LayerError, GroupError
        If the values, the layer or the groups cannot be used, or nothing varies in a group.
    ResultNotFoundError
        If ``obsp`` has no weights under the key in ``smooth``, or there are no motif hits for ``base_grn``.
    RegionError, CellNameError
        If a base GRN of regions is asked for, and there are none of the same cells.
    MissingDependencyError
        If ``centrality`` is true and igraph is not installed.

    Notes
    -----
    The p-values are no error rates: that of bagging shrinks with the number of bags, and smoothed cells are not
    independent. :func:`grn.tl.confidence` gives q-values against permuted cells. Genes that do not vary in a group
    have no edges there and are logged. Cost for n cells, T regulators and G targets: n_bags n T G operations, and
    n_bags systems of 0.8 p unknowns for every different set of p regulators (one set without ``base_grn``).
    Source: Kamimoto et al. 2023, written anew.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=120, n_regulators=3, n_targets=8)
    >>> grn.tl.celloracle(adata, groupby="group")
    >>> list(adata.uns["celloracle"]["edges"].columns)
    ['source', 'target', 'weight', 'pval', 'direction', 'group', 'coef_variance']
    """
    params = {
        "base_grn": base_grn,
        "fit": fit,
        "alpha": alpha,
        "n_bags": n_bags,
        "smooth": smooth,
        "max_p": max_p,
        "top": top,
        "simulation_alpha": simulation_alpha,
        "centrality": centrality,
        "min_cells": min_cells,
        "parity": parity,
    }
    return infer(
        adata,
        "celloracle",
        params=params,
        sources=sources,
        targets=targets,
        groupby=groupby,
        layer=layer,
        use_raw=use_raw,
        values=values,
        key=key_added,
        seed=seed_of(rng),
        client=client,
        n_jobs=n_jobs,
        progress=progress,
        copy=copy,
    )
