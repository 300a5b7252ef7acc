"""How far the edges of a network can be told from chance, and how well they hold when cells are left out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._core.rng import RNGLike, seed_of
from grn._object.modalities import on_mudata
from grn.models import FoundationModel
from grn.tl._snippets import SNIPPETS
from grn.trust.confidence import write_confidence

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def confidence(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    atac: str = "atac",
    net: str = "grn",
    method: str | None = None,
    model: str | FoundationModel | None = None,
    params: Mapping[str, Any] | None = None,
    n_permutations: int = 20,
    n_subsamples: int = 20,
    fraction: float = 0.8,
    strata: str | None = None,
    pool: str = "regulator",
    standardise: bool = True,
    together: bool = True,
    permute: str = "cells",
    top: int | None = None,
    cache: str | Path | None = None,
    rng: RNGLike = 0,
    n_jobs: int | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Give every edge of a network a p-value, a q-value, and its stability under subsampling.

    The method that made the network is run again with the arguments stored with it. First beside permuted
    regulators: copies of all regulators, exchanged between the cells of a group, are further sources, and compete with
    the regulators as they are for the same targets. So a regulator that is also a target stays what it is as a target,
    and what a method explains by other regulators, or fits the longer for their sake, is the same for both. With the
    mean absolute weight :math:`|w_{st}|` of an edge in these runs, and the weights :math:`w_0` of the copies of its
    regulator s in them, over all targets (N of them),

    .. math:: p_{st} = \frac{1 + \#\{|w_0|/\sigma_0 \ge |w_{st}|/\sigma_t\}}{1 + N}

    where :math:`\sigma_t` is the root mean square of all null weights into the target. q-values are those of Benjamini
    and Hochberg within each group, over all pairs that the method listed with or without permutation. Then on
    subsamples of the cells: stability is the share of them in which an edge is among the strongest.

    Parameters
    ----------
    %(adata)s
    %(atac)s
    net
        Entry of ``uns`` with the network, inferred from this object by a method that reads cells.
    method
        Name of the method; by default the one stored with the network.
    model
        Foundation model, if the method reads one; by default the one stored, loaded by name.
    params
        Parameters of the method that are not stored with the network, such as ``{"base_grn": table}``, or that
        replace stored ones. Parameters that the method chose from the data per group (``alpha`` of ridge) stay at
        what it chose.
    n_permutations
        Number of permutations; 0 leaves out p-values.
    n_subsamples
        Number of subsamples; 0 leaves out stability.
    fraction
        Share of the cells of every group (and stratum) in a subsample, above 0 and below 1; drawn by name of cell.
    strata
        Column of ``obs``: cells are exchanged only with others of the same value, for example of the same donor or
        batch. Numbers such as total counts (more than ten different ones) are cut into bins of equal size per group,
        of at least 10 cells, up to 50 bins, so that depth alone makes no edge.
    pool
        ``"regulator"``: null weights of all targets of a regulator count, as above. ``"edge"``: only those of the same
        pair, which assumes nothing, but needs some thousand permutations, since p is at least
        ``1 / (1 + n_permutations)``.
    standardise
        Divide by :math:`\sigma_t`; with false, weights into all targets must be on one scale. Without use for
        ``pool="edge"``.
    together
        Exchange all regulators alike, so that they stay as correlated with each other as they are. With false every
        regulator has its own permutation; methods that regress on several regulators at once then have null weights
        that are too narrow, and p-values that are too small.
    permute
        What the null hypothesis leaves to chance. ``"cells"``: which cell a regulator has which value in, as above.
        ``"links"``: which gene the regions belong to; the method is run with the links of regions and genes exchanged
        between genes, all else as it is, and the weights of all pairs in those runs are the null weights. A small p
        then says that the regions of the target, and the motifs in them, add to what regulator and target have in
        common; for methods that read chromatin and links, so not for LINGER with ``bulk=``. ``together`` has no
        use then.
    top
        Number of strongest edges per group that stability asks for; by default the number of edges with q up to 0.05.
    cache
        Folder that keeps finished repetitions: the same call made again after an interruption goes on where it
        stopped, and one with more repetitions adds to them. Other cells, chromatin or arguments do not meet them; a
        damaged repetition is made again, with a warning.
    rng
        Seed of the permutations and subsamples.
    n_jobs
        Threads, as for the method; -1 for all cores.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a new object instead of writing into ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes into ``uns[net]["edges"]`` the columns

        ``pval``, ``qval``
            Within [0, 1]. Columns of that name that the method itself gave are kept as ``pval_method`` and
            ``qval_method``.
        ``stability``
            Share of the subsamples (0 to 1) in which the edge is among the ``top`` of its group; NaN where no edge
            has a q-value up to 0.05 and ``top`` is not given.
        ``sign_agreement``
            Share of the subsamples that list the edge with a sign in which the sign is the same; NaN without signs.

        and the arguments into ``uns[net]["params"]["confidence"]``; ``schema["tested"]`` becomes true. Everything
        else in ``uns[net]`` stays.

    Raises
    ------
    ResultNotFoundError
        If there is no network under ``net``.
    CapabilityError
        If the method reads no cells, or permutations are no null hypothesis for it.
    ParameterError
        If an argument is out of its range, was not stored and not passed, or the method run again gives another
        network than the one stored.
    ExpressionError, LayerError, GroupError
        If the values or groups can no longer be read.
    StorageError
        If the folder of ``cache`` cannot be written; told before anything is computed.

    Notes
    -----
    Cost: ``n_permutations + n_subsamples + 1`` fits, those of permutations with twice the regulators; the one more
    checks that the arguments are those that made the network. Of a filtered network it may be made twice, the second
    time with all genes. In trees (grnboost2, genie3) four permutations are made in one fit with five times the
    regulators, of which they draw at random: that takes the time of two or three. Permutations of correlation, ridge
    and prior_ridge share one look at the cells, as many of them at a time as ``grn.settings.memory_budget`` allows:
    each costs one matrix product of the copies with all genes beyond what is done without cells. Memory: the values of
    the genes that take part as a sparse matrix, once more for every copy, and the weights of the copies in float32.

    The smallest p-value is 1 / (1 + N). With S regulators a q-value reaches 0.05 only if about
    ``20 S / n_permutations`` edges lie beyond all null weights of their regulators; take more permutations for sparse
    networks. A small q-value says that regulator and target vary together across the cells of the group more than
    exchanged cells do. It does not say that one regulates the other, nor in which direction; batches, donors, depth
    and types of cells within a group make such associations too. See the page on trust in the documentation.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=200, n_regulators=4, n_targets=12)
    >>> grn.tl.infer_network(adata, method="correlation")
    >>> grn.tl.confidence(adata, n_permutations=10, n_subsamples=4)
    >>> bool((grn.get.edges(adata, max_q=0.05)["qval"] <= 0.05).all())
    True
    """
    return write_confidence(
        adata,
        net=net,
        method=method,
        model=model,
        params=params,
        n_permutations=n_permutations,
        n_subsamples=n_subsamples,
        fraction=fraction,
        strata=strata,
        pool=pool,
        standardise=standardise,
        together=together,
        permute=permute,
        top=top,
        cache=cache,
        seed=seed_of(rng),
        n_jobs=n_jobs,
        copy=copy,
    )
