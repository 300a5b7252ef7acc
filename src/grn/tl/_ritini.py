"""RiTINI: attention of a neural ODE on a graph of genes along a trajectory."""

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
@document(cells=SNIPPETS["cells"], cache=SNIPPETS["cache"])
@on_mudata
def ritini(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    trajectory: str = "trajectory",
    lineages: Sequence[str] | None = None,
    n_times: int | None = 100,
    bandwidth: float | None = None,
    prior: str = "granger",
    base_grn: pd.DataFrame | None = None,
    prior_threshold: float = 30.0,
    permissive: bool = False,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    history: int = 5,
    horizon: int = 5,
    n_epochs: int = 200,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    graph_weight: float = 3e-4,
    entropy_weight: float = 5e-4,
    dropout: float | None = None,
    scale: str = "gene",
    effects: bool = True,
    n_dynamics: int | None = 1000,
    min_cells: int = MIN_CELLS_SEEN,
    parity: bool = False,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "ritini",
    rng: RNGLike = 0,
    device: str = "auto",
    n_jobs: int | None = None,
    cache: str | Path | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Train a neural ODE on a graph of genes along a trajectory, and read its attention as edges over time, as RiTINI.

    The last points of the average path of every gene are summed up in a state z, from which the next ones follow by

    .. math:: \frac{dz_i}{dt} = f\Big(\tanh \sum_j a_{ij} W z_j\Big), \qquad
        a_{ij} = \operatorname{softmax}_j\big(\operatorname{leaky}(u^\top W z_j + v^\top W z_i)\big)

    over the sources j that a prior lists for gene i. All genes share the weights. The edge from j to i is the mean of
    a, which adds up to 1 over the sources of a gene: **a gene with one source has an edge of weight 1 whatever the data
    say**. On planted dynamics attention says little beyond its prior; see the page on RiTINI before you use it.

    Parameters
    ----------
    adata
        Annotated matrix (cells, genes) with a trajectory of :func:`grn.pp.trajectory`.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    trajectory
        Name of the trajectory.
    lineages
        Names of some of its lineages; all by default.
    n_times
        Points of the average path of every lineage. ``None`` takes every cell as a point, with values as they are
        stored: for a path that was made elsewhere, as an AnnData whose "cells" are its points.
    bandwidth
        Standard deviation of the Gaussian weights of cells around a point, as a share of the time that a lineage
        takes; two points by default.
    prior
        ``"granger"``: pairs that pass a Granger test with lag 1 along the paths. ``"full"``: all pairs.
        ``"base_grn"``: those of the table.
    base_grn
        DataFrame ``source, target`` of the pairs that may be edges; also restricts the other two priors.
    prior_threshold
        Evidence -ln p from which a pair passes the Granger test.
    permissive
        Let attention go to all pairs, the prior being a term of the loss only. Otherwise no edge outside it is found.
    sources
        Genes that may act on others (list of ``var_names``); by default those of ``base_grn``; without it, and
        with ``permissive`` beside them, those marked or known as regulators.
    targets
        Genes whose edges are listed; all genes by default. Sources and targets together: at most 1000, some hundred
        are sensible.
    history, horizon
        Points of the path that are given, and that are predicted from them.
    n_epochs
        Passes over all windows; the parameters of the best one are kept.
    learning_rate
        Rate of Adam, halved after 10 epochs without improvement. By default 0.005, with ``parity`` 0.001.
    batch_size
        Windows per step, which changes the result: 16 by default, with ``parity`` 4.
    graph_weight, entropy_weight
        Factors of the cross-entropy between attention and prior and of the entropy of attention in the loss.
    dropout
        Share of features and of attention that is left out in training: 0 by default, with ``parity`` 0.1.
    scale
        What has a standard deviation of 1: each ``"gene"``, or ``"all"`` values together, as in the original and with
        ``parity``.
    effects
        Add the columns ``importance`` and ``effect``: three passes over all windows per source.
    n_dynamics
        Number of edges, the strongest, whose attention over time is listed; ``None`` for all.
    min_cells
        Fewest cells in which a gene must be above zero to take part; 0 for no limit, as with ``parity``.
    parity
        Follow the original: its windows leave out the point after the history, attention is that of the last
        evaluation, -ln p is cut at 57.6, and the defaults of ``learning_rate``, ``batch_size`` and ``dropout`` change.
    %(cells)s
    key_added
        Slot of the result.
    rng
        Seed of the start, of the order of windows and of dropout.
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
            DataFrame of all pairs that attention is given to: ``source, target, weight`` (mean attention over time and
            lineages), ``attention_sd`` (its standard deviation), ``relative`` (attention times the number of sources of
            the target: 1 is an even share), ``in_prior``; with ``effects`` also ``importance`` (by how much the error
            of the target grows when the source is cut off) and ``effect`` (change of the target at the end of the
            horizon per unit of the source, with a sign).
        ``uns[key_added]["dynamics"]``
            DataFrame ``lineage, t, source, target, weight``: attention at the end of every history.
        ``uns[key_added]["predictions"]``
            DataFrame ``lineage, t, gene, observed, predicted``: the last point predicted from every history.
        ``uns[key_added]["prior"]``
            DataFrame ``source, target``, and ``evidence`` (-ln p) with ``prior="granger"``.
        ``uns[key_added]["loss"]``
            DataFrame ``epoch, total, prediction, graph, entropy``.
        ``uns[key_added]["fit"]``
            For :func:`grn.tl.predict_knockout` and ``grn.tl.simulate(coefficients="fit")``.
        ``uns[key_added]["params"]``
            Every argument, ``n_windows``, ``n_prior``, ``without_sources``, ``best_epoch``, ``prediction_error``, and
            ``stay_error`` (that of predicting no change).

    Raises
    ------
    ResultNotFoundError
        If there is no trajectory of that name.
    NetworkError
        If no pair passes the Granger test; the message names a threshold that leaves some.
    GeneOverlapError
        If no gene is a regulator, or no pair of ``base_grn`` is among the genes.
    ParameterError
        If an argument is out of its range, a lineage is too short or unknown, or there are too many genes.
    GeneNameError, ExpressionError, LayerError
        If names, values or the layer cannot be used, or nothing varies.
    StorageError
        If the folder of ``cache`` cannot be written; told before anything is computed.

    Notes
    -----
    Genes that do not vary along the paths are left out, with a warning. Attention depends on the values of both genes
    alone: two sources with one history share it evenly. Steps of a smooth path are not independent, so that p of the
    Granger test are far too small. Cost: W G (G + 6000) (horizon 4) operations per epoch and window W; memory is
    bounded by ``grn.settings.memory_budget``. Source: Bhaskar et al. 2023 (Learning on Graphs), written anew.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy_dynamics(n_cells=100, n_regulators=4, n_targets=4)
    >>> grn.pp.trajectory(adata, pseudotime="time", lineages="lineage")
    >>> grn.tl.ritini(adata, prior="base_grn", base_grn=adata.uns["base_grn"], n_times=20, n_epochs=5)
    >>> list(adata.uns["ritini"]["dynamics"].columns)
    ['lineage', 't', 'source', 'target', 'weight']
    """
    params = {
        "trajectory": trajectory,
        "lineages": lineages,
        "n_times": n_times,
        "bandwidth": bandwidth,
        "prior": prior,
        "base_grn": base_grn,
        "prior_threshold": prior_threshold,
        "permissive": permissive,
        "history": history,
        "horizon": horizon,
        "n_epochs": n_epochs,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "graph_weight": graph_weight,
        "entropy_weight": entropy_weight,
        "dropout": dropout,
        "scale": scale,
        "effects": effects,
        "n_dynamics": n_dynamics,
        "min_cells": min_cells,
        "parity": parity,
    }
    return infer(
        adata,
        "ritini",
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
