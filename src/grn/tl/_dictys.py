"""Dictys: networks whose steady state explains the counts of cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._core.rng import RNGLike, seed_of
from grn._object.modalities import on_mudata
from grn.methods.inference import infer
from grn.methods.record import MIN_CELLS_SEEN
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@document(adata=SNIPPETS["adata"], cells=SNIPPETS["cells"], cache=SNIPPETS["cache"])
@on_mudata
def dictys(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    atac: str = "atac",
    base_grn: pd.DataFrame | str | None = "auto",
    n_regulators: int | None = 20,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    groupby: str | None = None,
    covariates: Sequence[str] | None = None,
    n_factors: int = 0,
    rank: int | None = None,
    n_steps: int | None = None,
    tolerance: float | None = 2e-4,
    min_cells: int = MIN_CELLS_SEEN,
    max_cells: int | None = None,
    trajectory: str | None = None,
    window_cells: int = 1000,
    window_overlap: int = 875,
    farthest: float | None = None,
    bandwidth: float | None = None,
    top_share: float = 0.01,
    parity: bool = False,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "dictys",
    rng: RNGLike = 0,
    batch_size: int | None = None,
    device: str = "auto",
    n_jobs: int | None = None,
    cache: str | Path | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Infer signed direct effects from raw counts, as the steady state of a stochastic network, as Dictys does.

    The log shares x of the genes of a cell follow :math:`dx = -(r I - N)(x - \mu)\,dt + \text{noise}` with a network N
    that has the pairs of a base GRN only. Counts are binomial in the depth of the cell. In the long run x is Gaussian
    with a covariance :math:`\Sigma = \mathrm{diag}(d) + F F^\top` for which
    :math:`A \Sigma + \Sigma A^\top = \Sigma_0`, :math:`A = r I - N`, with noise :math:`\Sigma_0`. Minimised is

    .. math:: \mathrm{KL}(q \,\|\, \mathcal N(\mu, \Sigma)) - E_q \log \mathrm{Binomial}(k \mid n, \sigma(x))
        + 10^5 \frac{n}{4 G} \lVert A \Sigma + \Sigma A^\top - \Sigma_0 \rVert_F^2

    for n cells and G genes, with a Gaussian posterior q of every entry. The effect of a regulator s on a target t is
    :math:`N_{ts} / r`.

    Parameters
    ----------
    %(adata)s
    atac
        Modality of the MuData that holds open chromatin, for ``base_grn``.
    base_grn
        DataFrame ``source, target`` of the pairs that may be edges, and optional ``score``, as :func:`grn.pp.base_grn`
        or :func:`grn.pp.base_grn_from_regions` give it. ``"regions"`` makes the latter, with its defaults, from the
        motif hits that :func:`grn.pp.scan_motifs` left in ``mdata["atac"]``, and the links of
        :func:`grn.pp.link_regions` if there are any; ``"auto"`` is that for a MuData with open chromatin. ``None``, and
        ``"auto"`` without chromatin, allow all pairs of a regulator and a gene, which the model can hardly tell apart.
        With ``distance`` of the region from the start of the gene, the score of a pair is the largest of ``log(score)``
        less one decade per million bases.
    n_regulators
        Regulators with the highest scores that a target keeps; ``None``, or no scores, keeps all.
    sources
        Regulators (list of ``var_names``); by default those of ``base_grn``, else those marked or known.
    targets
        Targets (list of ``var_names``); all genes by default. Genes of the model are targets and their regulators.
    groupby
        Column of ``obs``: a network for each of its groups, which need at least 10 cells.
    covariates
        Columns of ``obs`` whose effects on log shares are fitted beside the network, such as a batch or the cell cycle;
        labels become one column for all but one of them.
    n_factors
        Factors of the covariance of the noise, and as many more of the covariance of log shares, for influences that
        are not in the network.
    rank
        Most factors of the covariance of log shares, by default the number of regulators and ``n_factors``.
    n_steps
        Most steps of Adam, over which the rate falls to 1.8 %% of 0.01; 2000 by default, 4000 with ``parity``.
    tolerance
        A group is done when its objective falls by less than this per cell and gene in 100 steps; ``None`` takes all
        steps. Not read with ``parity``.
    min_cells
        Fewest cells of a group in which a gene must be above zero to be in its model; 0 for no limit.
    max_cells
        Most cells per group, drawn by name; ``None`` for all. A group whose fit would take more than
        ``grn.settings.memory_budget`` is refused before anything is computed; the message says how many cells fit. Not
        read with ``trajectory``.
    trajectory
        Key of :func:`grn.pp.trajectory`, such as ``"trajectory"``: a network for each of many moving windows of cells
        along it. ``None``: none of the arguments up to ``top_share`` is read.
    window_cells, window_overlap, farthest
        Cells of a window, cells that it shares at least with the one before, and most pseudotime between both; ``None``
        for any.
    bandwidth
        Deviation of the Gaussian averages of weights along the trajectory, in pseudotime; by default a twentieth of the
        longest way from the root.
    top_share
        Share of the pairs of the mask that are active in a window: those with the largest averages.
    parity
        Follow the original in every detail: one draw of the posterior in every step instead of expectations, a start
        from logarithms of counts, with the root of the variance where a variance should be, and a random network, 4000
        steps, and the correction of indirect effects by columns.
    %(cells)s
    key_added
        Slot of the result.
    rng
        Seed of the start and of draws with ``parity``; nothing else is drawn.
    batch_size
        Most groups fitted together; by default as many as fit into ``grn.settings.memory_budget``. Changes speed only.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``. Some sums are of 64 bits, which ``"mps"`` does not have.
    n_jobs
        Torch threads; -1 for all cores, ``None`` leaves torch's choice.
    %(cache)s
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a new object instead of writing into ``adata``.

    Returns
    -------
    AnnData, MuData or None
        ``None``, or the copy. Writes

        ``uns[key_added]["edges"]``
            DataFrame of all pairs of the mask: ``source``, ``target``, ``weight`` (direct effect per standard
            deviation of both), ``sign``, ``raw`` (direct effect on log shares), ``indirect`` and ``raw_indirect`` (what
            a lasting change of the source comes to, through all paths), ``direction``, and ``group``.
        ``uns[key_added]["levels"]``
            DataFrame ``gene``, ``mean`` (log share), ``variance`` (of log shares), and ``group``.
        ``uns[key_added]["loss"]``
            DataFrame ``step``, ``prior``, ``steady``, ``counts`` (the three terms), ``total``, and ``group``.
        ``uns[key_added]["simulation"]``
            DataFrame ``source``, ``target``, ``weight``, and ``group``: what :func:`grn.tl.simulate` runs on.
        ``uns[key_added]["fit"]``
            Arrays for predictions.
        ``uns[key_added]["windows"]``
            With ``trajectory``: ``window``, ``edge``, ``place``, ``t``. The edges are then means over windows, and
            ``levels`` and ``loss`` have a column ``window``.
        ``uns[key_added]["dynamics"]``
            With ``trajectory``: ``lineage``, ``window``, ``t``, ``source``, ``target``, ``weight`` (averaged along the
            trajectory), ``active``, of all edges that are active somewhere.
        ``uns[key_added]["degrees"]``
            With ``trajectory``: ``lineage``, ``window``, ``t``, ``source``, ``degree`` (number of active targets),
            ``log_degree`` (log2 of that and 1), ``strength`` (their summed absolute weights), ``expression`` (log
            share).
        ``uns[key_added]["regulator_curves"]``, ``["edge_curves"]``
            With ``trajectory``: shapes of the curves of ``log_degree`` and of the weights of edges, by ``lineage``:
            ``terminal`` (last value less the first), ``transient`` (mean less that of the straight line between both),
            ``switching`` (time of the single step with the same mean), ``peak`` (time farthest from that line).
        ``uns[key_added]["params"]``
            Every argument, ``steps`` taken, and the ``damping`` of indirect effects.

    Raises
    ------
    ResultNotFoundError
        If a mask of open chromatin is asked for, and no motifs were looked for in it.
    RegionError, CellNameError
        If there is no such chromatin, or it is that of other cells, or no region has a gene.
    ExpressionError, LayerError
        If the values are no counts, the layer does not exist, or nothing is left to fit.
    GeneNameError, GeneOverlapError
        If names are duplicated or unknown, no gene is a regulator, or no pair of the base GRN is among the genes.
    GroupError
        If a column is missing or has no value for some cells, or a group has too few cells.
    NetworkError
        If ``base_grn`` has no such columns.
    ParameterError
        If an argument is out of its range, or a fit would take more than the memory budget.
    StorageError
        If the folder of ``cache`` cannot be written; told before anything is computed.

    Notes
    -----
    A lasting push of a regulator changes the steady state by a row of :math:`(I - N / r)^{-\top}`. Log shares cannot
    all rise: the change of the sum of all shares is taken off every row, which then is divided by what the push
    does to the regulator itself. Where loops make that less than 0.2 or more than 1.8, N is divided by ``damping``.
    Cost per step: six products of cells x genes x factors, some fifteen of genes x regulators x factors, and some fifty
    operations per cell and gene (``python benchmarks/dictys.py``); memory: 28 bytes per cell and gene of the largest
    group, and some 60 per gene and regulator or factor. Source: Wang et al., Nat Methods 2023, doi
    10.1038/s41592-023-01971-3, written anew.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=8)
    >>> grn.tl.dictys(adata, n_steps=20, layer="counts")
    >>> list(grn.get.edges(adata, key="dictys").columns[:4])
    ['source', 'target', 'weight', 'sign']
    """
    params = {
        "base_grn": base_grn,
        "n_regulators": n_regulators,
        "covariates": covariates,
        "n_factors": n_factors,
        "rank": rank,
        "n_steps": n_steps,
        "tolerance": tolerance,
        "min_cells": min_cells,
        "max_cells": max_cells,
        "trajectory": trajectory,
        "window_cells": window_cells,
        "window_overlap": window_overlap,
        "farthest": farthest,
        "bandwidth": bandwidth,
        "top_share": top_share,
        "parity": parity,
    }
    return infer(
        adata,
        "dictys",
        params=params,
        sources=sources,
        targets=targets,
        groupby=groupby,
        layer=layer,
        use_raw=use_raw,
        values=values,
        key=key_added,
        seed=seed_of(rng),
        cache=cache,
        batch_size=batch_size,
        device=device,
        n_jobs=n_jobs,
        progress=progress,
        copy=copy,
    )
