"""LINGER: networks of genes from expression and open chromatin, activity of regulators, knock-outs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from anndata import AnnData

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._core.rng import RNGLike, seed_of
from grn._object.modalities import on_mudata
from grn.methods.inference import infer
from grn.methods.linger.after import knockout, write_activity
from grn.methods.record import MIN_CELLS_SEEN
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def linger(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    atac: str = "atac",
    links: str | pd.DataFrame | None = None,
    starts: str | pd.DataFrame | None = None,
    window: int = 1_000_000,
    motifs: str | None = "motifs",
    bulk: Mapping[str, pd.DataFrame] | str | Path | None = None,
    bulk_penalty: str = "dot",
    manifold: float | None = None,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    groupby: str | None = None,
    activation: str = "relu",
    attribution: str = "original",
    n_epochs: int = 100,
    n_metacells: int | None = 300,
    cells_per_metacell: int = 5,
    top: int | None = None,
    n_regions: int | None = 500,
    keep_nets: bool = False,
    min_cells: int = MIN_CELLS_SEEN,
    parity: bool = False,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "linger",
    rng: RNGLike = 0,
    batch_size: int | None = None,
    device: str = "auto",
    n_jobs: int | None = None,
    cache: str | Path | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Infer trans, cis and binding networks from expression and open chromatin of the same cells, as LINGER does.

    The expression y of every gene over metacells is fitted by a network f with two hidden layers of 64 and 16 units,
    whose inputs x are all other regulators and the regions near the gene, each standardised:

    .. math:: \frac1n \sum_c (f(x_c) - y_c)^2 + 0.01\, R(\theta) - 0.1 \langle W, W^{bulk} \rangle
        + \mu \operatorname{tr}(W L W^\top)

    with first layer W. The last two terms need ``bulk`` and motif hits; without bulk this is LINGER's scNN mode. The
    score of an input is its mean absolute contribution
    :math:`\phi_i(x) = \overline{g_i(b)\,(x_i - b_i)}` with derivatives g in background metacells b: of regulators it is
    the trans network, of regions the cis network. The cosine of columns of W is the binding of regulators and regions.
    With ``groupby`` all three are weighted by accessibility, expression and distance in every group.

    Parameters
    ----------
    %(adata)s
    %(atac)s
    links
        Regions of every gene: ``None`` for all within ``window`` of its start, a key of
        ``mdata["atac"].uns`` that :func:`grn.pp.link_regions` wrote, or a table ``region, gene`` with ``distance``
        (bases from the start). Pairs of unknown distance are left out. Not read with ``bulk``, which says which regions
        a gene has.
    starts
        Starts of genes: ``"hg38"``, ``"hg19"``, ``"mm10"``, a table of :func:`grn.genome.starts`, or ``None`` to tell
        the build from the regions.
    window
        Bases on both sides of a start within which regions may act on the gene.
    motifs
        Key of motif hits that :func:`grn.pp.scan_motifs` wrote into ``mdata["atac"]``, or ``None`` for no motifs. With
        the default and no hits there, motifs are left out.
    bulk
        First layers of networks trained on bulk data: a dict from genes to tables (64 rows, columns named by regulators
        and regions), or an ``.npz`` with arrays ``GENE|weights`` (64, p), ``GENE|features`` (p,) and optional
        ``GENE|importance`` (64, p). Regions are matched to yours by overlap. ``None``: LINGER's scNN mode.
    bulk_penalty
        ``"dot"``: the term of the program. ``"ewc"``: that of the paper,
        :math:`0.1 \sum F (W - W^{bulk})^2`, with the importance as F, 1 where there is none.
    manifold
        Factor :math:`\mu` of the term of motifs; by default 1 with ``bulk``, else 0, as in the program.
    sources
        Regulators (list of ``var_names``); by default those marked or known.
    targets
        Targets (list of ``var_names``); all genes by default.
    groupby
        Column of ``obs``: metacells are made within its groups, and every group of at least 10 cells gets a network.
    activation
        ``"relu"``, ``"sigmoid"`` or ``"tanh"``.
    attribution
        ``"original"``, in one pass, or ``"expected_gradients"``, whose contributions add up to the output; four passes
        over all metacells per background metacell.
    n_epochs
        Steps of training.
    n_metacells
        Metacells per group, at most its number of cells; ``None`` for the root of the number of its cells and one
        more, as in the original.
    cells_per_metacell
        Cells that are averaged, 20 in the original; 1 takes cells as they are, such as those of
        :func:`grn.pp.metacells`, all of them.
    top
        Number of strongest edges per group that are listed; ``None`` for all above zero.
    n_regions
        Number of strongest regions of every regulator in the table ``tf_re``; ``None`` for all above zero.
    keep_nets
        Store the networks, which :func:`grn.tl.linger_knockout` needs: 64 numbers per input of every gene, and one per
        metacell and input.
    min_cells
        Fewest cells of a group in which a gene must be above zero to have edges there; 0 for no limit, as with
        ``parity``.
    parity
        Follow the original program where it is odd: all networks start from seed 42 of torch and are trained one by
        one, the background is drawn with seed 42 of numpy, inputs stand in the order of the object and of ``links``.
    %(cells)s
    key_added
        Slot of the result.
    rng
        Seed of starts, metacells and background, keyed by names of genes and cells.
    batch_size
        Genes trained at a time; decided from ``grn.settings.memory_budget`` by default. Changes speed only.
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
        ``None``, or the copy. Writes, into ``mdata.uns``,

        ``uns[key_added]["edges"]``
            DataFrame ``source, target, weight`` (trans score times sign), ``sign`` (of the mean derivative), ``region``
            (through which the pair is connected most strongly), ``direction``, and ``group``.
        ``uns[key_added]["cis"]``
            DataFrame ``region, target, weight, sign, distance``, and ``group``.
        ``uns[key_added]["tf_re"]``
            DataFrame ``source, region, weight``, and ``group``.
        ``uns[key_added]["population"]``
            With ``groupby``: edges of all cells together.
        ``uns[key_added]["drivers"]``
            With two groups or more: ``group, source, activity, elsewhere, t, pval, qval``, a one-sided test of the
            activity of a regulator (see :func:`grn.tl.linger_activity`) in the cells of a group against the others.
        ``uns[key_added]["fit"]``
            DataFrame ``target, n_regions, error`` (mean squared error over the variance of the gene), ``loss``.
        ``uns[key_added]["nets"]``
            With ``keep_nets``: parameters and inputs of all networks.
        ``uns[key_added]["params"]``, ``["schema"]``
            Every argument, the mode (``"scNN"`` or ``"LINGER"``), ``n_metacells_used``, ``motifs_used``; the layout.

    Raises
    ------
    RegionError
        If there is no open chromatin of the same cells, names are no regions, the build is not told, or no region is
        near a target or in ``bulk``.
    CellNameError
        If the modalities do not have the same cells.
    GeneOverlapError
        If no gene is a regulator, or no target has a start or a link.
    ParameterError
        If an argument is out of its range, or ``bulk`` has another form.
    GeneNameError, ExpressionError, LayerError, GroupError
        If names, values, the layer or the groups cannot be used, or nothing varies.
    ResultNotFoundError
        If there are no links or motif hits under the key given.
    StorageError
        If the folder of ``cache`` cannot be written; told before anything is computed.

    Notes
    -----
    R adds the induced 1-norm of every weight matrix (its largest absolute column sum) and the absolute sum of every
    bias. Weights of groups are products, not probabilities; p-values of drivers treat cells as independent.
    :func:`grn.tl.confidence` gives q-values against permuted cells. Cost for m metacells, G genes with p inputs: 25 600
    m p G operations (``python benchmarks/linger.py``); memory: a batch of two or more genes, within
    ``grn.settings.memory_budget`` if that is more; a few times the accessibility of all cells, as it is stored; m
    numbers per regulator and target; and four times (regions near a gene) x regulators numbers, which for 100 000
    regions and 1 000 regulators are 1.6 GB. Source: Yuan and Duren 2024, written anew.

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=100, n_regulators=3, n_targets=6)
    >>> grn.tl.linger(mdata, starts=mdata.uns["starts"], window=50_000, groupby="group")
    >>> list(mdata.uns["linger"]["edges"].columns)
    ['source', 'target', 'weight', 'sign', 'direction', 'group', 'region']
    >>> list(mdata.uns["linger"]["cis"].columns)
    ['region', 'target', 'weight', 'sign', 'distance', 'group']
    """
    params = {
        "links": links,
        "starts": starts,
        "window": window,
        "motifs": motifs,
        "bulk": bulk,
        "bulk_penalty": bulk_penalty,
        "manifold": manifold,
        "activation": activation,
        "attribution": attribution,
        "n_epochs": n_epochs,
        "n_metacells": n_metacells,
        "cells_per_metacell": cells_per_metacell,
        "top": top,
        "n_regions": n_regions,
        "keep_nets": keep_nets,
        "min_cells": min_cells,
        "parity": parity,
    }
    return infer(
        adata,
        "linger",
        params=params,
        sources=sources,
        targets=targets,
        groupby=groupby,
        layer=layer,
        use_raw=use_raw,
        values=values,
        key=key_added,
        seed=seed_of(rng),
        batch_size=batch_size,
        device=device,
        n_jobs=n_jobs,
        cache=cache,
        progress=progress,
        copy=copy,
    )


@one_voice
@document(**SNIPPETS)
@on_mudata
def linger_activity(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    key: str = "linger",
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "linger_activity",
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Score the activity of every regulator in every cell by how far its targets exceed what is expected, as LINGER.

    With the trans network N of all cells (targets, regulators), and expression x per unit of depth that was given the
    same distribution in all cells,

    .. math:: a = \frac{N^\top x - E^\top x}{E^\top x}, \qquad E = \frac{(N 1)(1^\top N)}{1^\top N 1}

    Parameters
    ----------
    %(adata)s
    key
        Entry of ``uns`` with a network of :func:`grn.tl.linger`.
    %(cells)s
    key_added
        Entry of ``obsm`` and ``uns``.
    copy
        Return a new object instead of writing into ``adata``.

    Returns
    -------
    AnnData, MuData or None
        ``None``, or the copy. Writes

        ``obsm[key_added]``
            DataFrame (cells, regulators) float32: 0 where the targets are as expected, 0.1 where they are 10 %% above.
        ``uns[key_added]``
            ``params``: every argument.

    Raises
    ------
    ResultNotFoundError
        If ``uns[key]`` holds no network of :func:`grn.tl.linger`.
    GeneNameError
        If the object lacks genes of the network.
    ExpressionError, LayerError
        If the values or the layer cannot be used.

    Notes
    -----
    Weights have no sign here, as in the original: targets that a regulator represses count as those it activates. Cost:
    two passes over the cells.

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=100, n_regulators=3, n_targets=6)
    >>> grn.tl.linger(mdata, starts=mdata.uns["starts"], window=50_000)
    >>> grn.tl.linger_activity(mdata)
    >>> mdata["rna"].obsm["linger_activity"].shape
    (100, 3)
    """
    return write_activity(adata, key, layer=layer, use_raw=use_raw, values=values, key_added=key_added, copy=copy)


@one_voice
@document(**SNIPPETS)
@on_mudata
def linger_knockout(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    genes: Sequence[str] | None = None,
    key: str = "linger",
) -> pd.DataFrame:
    """Predict what happens to every gene when a regulator is not expressed, from the networks of :func:`grn.tl.linger`.

    The networks are asked twice for every metacell, with its inputs and with those in which the expression of the
    regulator is zero. Accessibility and other regulators stay as they are: these are direct effects.

    Parameters
    ----------
    %(adata)s
    genes
        Regulators to take away, one at a time; all by default.
    key
        Entry of ``uns`` with a network of :func:`grn.tl.linger` that was made with ``keep_nets=True``.

    Returns
    -------
    DataFrame
        ``source, target, change`` (of log-normalised expression, mean over metacells), the largest first, and
        ``group`` where there are groups.

    Raises
    ------
    ResultNotFoundError
        If ``uns[key]`` holds no networks of genes.
    GeneNameError
        If a gene is no regulator of them.

    Notes
    -----
    A regulator that is on in all metacells is taken to a value that the networks have not seen. Cost: a pass over the
    metacells per gene and regulator.

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=100, n_regulators=3, n_targets=6)
    >>> grn.tl.linger(mdata, starts=mdata.uns["starts"], window=50_000, keep_nets=True)
    >>> grn.tl.linger_knockout(mdata, genes=["SPI1"]).columns.tolist()
    ['source', 'target', 'change']
    """
    return knockout(adata, genes, key)
