"""FLeCS: a differential equation of genes on a prior network, its velocities and knock-outs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
@document(**SNIPPETS)
@on_mudata
def flecs(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    atac: str = "atac",
    base_grn: pd.DataFrame | str | None = None,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    trajectory: str = "trajectory",
    stages: str | None = None,
    first: str | Sequence[str] | None = None,
    last: str | Sequence[str] | None = None,
    paths: str | None = None,
    n_bins: int | None = 5,
    n_neighbors: int | None = None,
    max_paths: int | None = 1000,
    use_rep: str | None = None,
    n_pcs: int = 20,
    smooth: bool | str = True,
    scale: bool = True,
    symmetrize_prior: bool = False,
    second_order: bool = False,
    fit: str = "path",
    n_ensemble: int = 5,
    n_epochs: int = 50,
    learning_rate: float = 0.02,
    paths_per_step: int = 32,
    noise: float = 0.1,
    solver: str | None = None,
    step: float = 0.5,
    velocity: bool = True,
    min_cells: int = MIN_CELLS_SEEN,
    parity: bool = False,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "flecs",
    rng: RNGLike = 0,
    device: str = "auto",
    n_jobs: int | None = None,
    cache: str | Path | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Fit production and decay of all genes to paths of cells, with regulation on the edges of a prior network.

    .. math:: \frac{dx_g}{dt} = \sigma\Big(\sum_{r \to g} w_{rg}\, x_r + b_g\Big) - \alpha_g x_g

    Cells of consecutive bins of a trajectory are joined by optimal transport, and so make up paths with a cell at times
    0, 1, 2, ...; the equation is solved from the first cell of a path, and parameters minimise the mean squared
    distance to all its cells. Several networks start at random; where they agree is where the paths decide.

    Parameters
    ----------
    %(adata)s
    atac
        Modality of the MuData that holds open chromatin, for ``base_grn``.
    base_grn
        Table ``source, target[, region, score]`` of the edges that may have a weight: from :func:`grn.pp.base_grn`,
        :func:`grn.pp.promoter_base_grn` or :func:`grn.pp.base_grn_from_regions`, or what the first reads.
        ``"regions"`` makes that of the regions in ``mdata["atac"]``, see :func:`grn.tl.dictys`. ``None`` gives
        every regulator a weight for every target, far more than paths can tell apart.
    sources
        Regulators (list of ``var_names``); by default those of ``base_grn``, or without it the marked or known ones.
    targets
        Targets (list of ``var_names``); all genes by default. Genes without an edge are not in the equation.
    trajectory
        Slot of :func:`grn.pp.trajectory`; paths run along each of its lineages. Not read with ``stages``.
    stages
        Column of ``obs`` with labels: paths then lead from the cells labelled ``first`` to those labelled ``last``.
    first, last
        Labels, one or several, of the cells where paths start and end.
    paths
        ``"bins"``: optimal transport from every bin of a lineage to the one before, chained. ``"neighbours"``: optimal
        transport between the first and the last bin, or ``first`` and ``last``, and the shortest path between the cells
        that it joins on the graph of nearest neighbours. ``None``: ``"bins"``, with ``stages`` ``"neighbours"``.
    n_bins
        Bins of equal size in the order of time, which is the number of cells of a path. ``None`` takes the times of the
        trajectory, such as stages, as bins.
    n_neighbors
        Neighbours of a cell on that graph; ``None`` for the first of 30, 15 and 8 with which half of the paths have
        ``n_bins`` cells.
    max_paths
        Most paths per lineage, whose cells are drawn by name from larger bins; ``None`` for all. Transport takes time
        in the cube of this number.
    use_rep
        Coordinates in ``obsm`` in which distances are measured. By default ``"X_pca"`` if the object has it, else
        components are computed from the values, as with ``"pca"``.
    n_pcs
        Columns of these that count.
    smooth
        ``True``: cells are averaged with their neighbours by weights in ``obsp["grn_smooth"]``, or, if there are none,
        weights computed with the defaults of :func:`grn.pp.smooth` and written there. A key of ``obsp`` with weights,
        or ``False`` for cells as they are.
    scale
        Divide expression by its range over the paths (99th percentile), as production is at most 1 per unit of time,
        and start with production and decay in balance. If false, the scale is that of the values, as in the original.
    symmetrize_prior
        Let targets regulate regulators too: the original loses the direction of its prior.
    second_order
        Give weights to pairs that two edges of the prior join, too.
    fit
        ``"path"``, or ``"flow_matching"``: from a random time of a path, with noise, to a random later one, cells
        joined by straight lines.
    n_ensemble
        Number of networks.
    n_epochs
        Rounds over all paths.
    learning_rate
        Rate of Adam; 0.005 in the original.
    paths_per_step
        Paths whose gradient makes a step.
    noise
        Standard deviation of the noise of ``"flow_matching"``, in units of ``scale``.
    solver
        ``"rk4"`` or ``"dopri5"``, adaptive steps with a tolerance of 1e-7; ``None``: the first, with ``parity`` the
        second.
    step
        Largest step of ``"rk4"``, where cells of a path are 1 apart.
    velocity
        Write the slopes of all cells into ``layers``: a dense matrix.
    min_cells
        Fewest cells in which a gene must be above zero to be in the equation; 0 for no limit, as with ``parity``.
    parity
        Follow the original program: all genes of the object in their order, ``symmetrize_prior``, no ``scale``, decay
        that may fall below zero, adaptive steps, paths in their order and the rest of a round left out; with ``stages``
        neighbours among the two ends alone. Starts are our own.
    %(cells)s
    key_added
        Slot of the result.
    rng
        Seed of starts, of the order of paths and of what is drawn, by names of genes and cells.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    n_jobs
        Torch threads; -1 for all cores, ``None`` leaves torch's choice.
    %(cache)s
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a new object instead of writing into ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes

        ``uns[key_added]["edges"]``
            DataFrame ``source, target, weight`` (mean over the networks, per standard deviation of the source with
            ``scale``), ``sign``, and with several networks ``stability`` (:math:`|\sum_k w_k| / \sum_k |w_k|`: 1 where
            all have one sign, 0 where they cancel) and ``deviation``. With ``symmetrize_prior`` or ``second_order``
            ``order``: 1 for an edge of the prior, -1 for its reverse, 2 for two steps.
        ``uns[key_added]["rates"]``
            DataFrame ``gene, bias, decay`` and, with several networks, their deviations.
        ``uns[key_added]["paths"]``
            DataFrame ``path, lineage, step, cell``.
        ``uns[key_added]["loss"]``
            DataFrame ``epoch, network, loss``.
        ``uns[key_added]["fit"]``
            What :func:`grn.tl.predict_knockout` and :func:`grn.tl.simulate` need.
        ``uns[key_added]["params"]``, ``["schema"]``
            Every argument, ``n_paths``, ``loss`` and ``loss_still``, the error of cells that stay as they start.
        ``layers[key_added + "_velocity"]``
            Mean slope over the networks of every gene in every cell, NaN for genes outside of the equation.
        ``obsp["grn_smooth"]``, ``uns["grn_smooth"]``
            With ``smooth=True``, if there were none.

    Raises
    ------
    ParameterError
        If an argument is out of its range, a bin has fewer than 2 cells, or no path is long enough.
    ResultNotFoundError
        If there is no trajectory, no coordinates or weights under a key, or no motif hits for ``base_grn``.
    RegionError, CellNameError
        If a base GRN of regions is asked for, and there are none of the same cells.
    GroupError
        If a label is unknown.
    GeneNameError, GeneOverlapError
        If names of genes cannot be used, or no edge of ``base_grn`` is among them.
    ExpressionError, LayerError
        If values cannot be used, no gene with an edge varies, or neighbours do not join the ends of any path.
    StorageError
        If the folder of ``cache`` cannot be written; told before anything is computed.

    Notes
    -----
    A path shows what follows what, in cells that are different ones: genes that change together along the trajectory
    are told apart by the prior alone. Cost: a round solves the equation for P paths of L cells with 8 (L - 1)
    products of (P, G) and (G, G), sparse where edges are few, and their gradients; 10 times more with ``"dopri5"``.
    Source: Bertin et al. 2025, arXiv 2503.20027, written anew.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy_dynamics(n_cells=60, n_regulators=4, n_targets=6)
    >>> grn.pp.trajectory(adata, pseudotime="time")
    >>> grn.tl.flecs(adata, base_grn=adata.uns["base_grn"], n_ensemble=2, n_epochs=5)
    >>> list(adata.uns["flecs"]["edges"].columns[:5])
    ['source', 'target', 'weight', 'sign', 'stability']
    >>> grn.tl.predict_knockout(adata, genes="GATA1", key="flecs").shape
    (5, 10)
    """
    params: dict[str, Any] = {
        "base_grn": base_grn,
        "trajectory": trajectory,
        "stages": stages,
        "first": first,
        "last": last,
        "paths": paths,
        "n_bins": n_bins,
        "n_neighbors": n_neighbors,
        "max_paths": max_paths,
        "use_rep": use_rep,
        "n_pcs": n_pcs,
        "smooth": smooth,
        "scale": scale,
        "symmetrize_prior": symmetrize_prior,
        "second_order": second_order,
        "fit": fit,
        "n_ensemble": n_ensemble,
        "n_epochs": n_epochs,
        "learning_rate": learning_rate,
        "paths_per_step": paths_per_step,
        "noise": noise,
        "solver": solver,
        "step": step,
        "velocity": velocity,
        "min_cells": min_cells,
        "parity": parity,
    }
    return infer(
        adata,
        "flecs",
        params=params,
        sources=sources,
        targets=targets,
        layer=layer,
        use_raw=use_raw,
        values=values,
        key=key_added,
        seed=seed_of(rng),
        cache=cache,
        device=device,
        n_jobs=n_jobs,
        progress=progress,
        copy=copy,
    )
