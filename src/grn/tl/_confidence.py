"""How far the edges of a network can be told from chance, and how well they hold when cells are left out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grn._core import checks
from grn._core.device import torch_threads
from grn._core.docs import document
from grn._core.errors import ParameterError
from grn._core.files import output_folder
from grn._core.logging import logger, one_voice
from grn._core.rng import RNGLike, seed_of
from grn._kernels.null import discovery_rates, edge_pvalues, pooled_pvalues
from grn._object.container import check_target, target, validate
from grn._object.groups import cell_names
from grn.methods.inputs import jobs
from grn.models import FoundationModel
from grn.network import Network
from grn.tl._snippets import SNIPPETS
from grn.trust.repetitions import Repeated, RepetitionPlan, repeat
from grn.trust.rerun import Axes, Edges, need_permutable, rerun_of

if TYPE_CHECKING:
    from anndata import AnnData

POOLS = ("regulator", "edge")
# edges up to this q-value are what stability asks for by default
_LEVEL = 0.05


@one_voice
@document(**SNIPPETS)
def confidence(
    adata: AnnData,
    *,
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
    top: int | None = None,
    cache: str | Path | None = None,
    rng: RNGLike = 0,
    n_jobs: int | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | None:
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
    top
        Number of strongest edges per group that stability asks for; by default the number of edges with q up to 0.05.
    cache
        Folder that keeps finished repetitions: the same call made again after an interruption goes on where it
        stopped, and one with more repetitions adds to them. Other cells or arguments do not meet them; a damaged
        repetition is made again, with a warning.
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
    time with all genes. Memory: the values of the genes that take part as a sparse matrix, twice, and the weights of
    the copies in float32.

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
    validate(adata)
    check_target(adata, copy=copy)
    _check(n_permutations, n_subsamples, fraction, pool, top)
    folder = None if cache is None else output_folder(cache, name="cache")
    cell_names(adata)
    network = Network.from_anndata(adata, net)
    if not len(network):
        raise ParameterError(f"uns[{net!r}] has no edges, so there is nothing to test; infer a network first.")
    rerun = rerun_of(adata, network, method=method, model=model, given=params, n_jobs=jobs(n_jobs), key=net)
    if n_permutations:
        need_permutable(rerun.record)
    counts = int(n_permutations), int(n_subsamples)
    plan = RepetitionPlan(*counts, float(fraction), strata, together, seed_of(rng), progress, folder)
    with torch_threads(jobs(n_jobs)):
        found = repeat(adata, network, rerun, plan, key=net)
    columns = _columns(network, found, pool, top, standardise=standardise)
    told = {"n_permutations": n_permutations, "n_subsamples": n_subsamples, "fraction": fraction, "strata": strata}
    told |= {"pool": pool, "standardise": standardise, "together": together, "top": top, "seed": plan.seed}
    made = _described(network, columns, told)
    out = target(adata, copy=copy)
    record = out.uns[net]
    rest = {} if not isinstance(record, Mapping) else {k: v for k, v in record.items() if k not in _LAYOUT}
    made.write(out, net)
    out.uns[net].update(rest)
    if "qval" in columns:
        logger.info(
            "%d of %d edges of uns[%r] have q up to %g", (columns["qval"] <= _LEVEL).sum(), len(made), net, _LEVEL
        )
    return out if copy else None


_LAYOUT = ("edges", "params", "schema", "genes")


def _check(n_permutations: int, n_subsamples: int, fraction: float, pool: str, top: int | None) -> None:
    checks.integer("n_permutations", n_permutations, least=0)
    checks.integer("n_subsamples", n_subsamples, least=0)
    if not n_permutations and not n_subsamples:
        raise ParameterError("n_permutations=0 and n_subsamples=0 leave nothing to do; pass at least one of them.")
    checks.number("fraction", fraction, above=0, below=1)
    checks.word("pool", pool, POOLS)
    if top is not None:
        checks.integer("top", top, least=1, note=" or None")
    elif n_subsamples and not n_permutations:
        raise ParameterError("without permutations stability needs to know among how many edges: pass top=1000.")


def _columns(
    network: Network, found: Repeated, pool: str, top: int | None, *, standardise: bool
) -> dict[str, np.ndarray]:
    """New columns, in the order of the rows of the network."""
    axes = found.axes
    own, shape = axes.number(network), axes.shape
    group = shape.group(own.keys)
    columns: dict[str, np.ndarray] = {}
    if len(found.null):
        beside = found.real.of(own.keys)
        # pairs that a filter left out, or that are listed beside permuted regulators only, were tested too
        listed = found.null.candidates(np.concatenate([own.keys, found.again.keys, found.real.keys]))
        if pool == "regulator":
            pval = pooled_pvalues(own.keys, beside, found.null, shape, candidates=listed, standardise=standardise)
        else:
            pval = edge_pvalues(own.keys, beside, found.null)
        sizes = np.bincount(shape.group(listed), minlength=len(axes.groups))
        columns = {"pval": pval, "qval": discovery_rates(pval, group, sizes)}
    if found.samples:
        best = np.full(len(axes.groups), top or 0)
        if top is None:
            best = np.bincount(group[columns["qval"] <= _LEVEL], minlength=len(axes.groups))
            for name in np.asarray(axes.groups)[best == 0]:
                where = f" in group {str(name)!r}" if name else ""
                told = "no edge has q up to %g%s, so there is no stability; pass top=..."
                logger.warning(told, _LEVEL, where, extra={"of": str(name)})
        columns |= _stability(own, found.samples, axes, best)
    return {name: values[np.argsort(own.row)] for name, values in columns.items()}


def _stability(own: Edges, samples: list[Edges], axes: Axes, best: np.ndarray) -> dict[str, np.ndarray]:
    """Share of the samples with an edge among the ``best`` (groups,) of its group, and with the same sign."""
    hits, same, known = (np.zeros(len(own.keys)) for _ in range(3))
    for sample in samples:
        group = axes.shape.group(sample.keys)
        order = np.lexsort((sample.keys, -np.abs(sample.weights), group))
        first = np.searchsorted(group[order], np.arange(len(axes.groups)))
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order)) - first[group[order]]
        at, there = sample.at(own.keys)
        hits[there] += (place < best[group])[at[there]]
        sign = np.full(len(own.keys), np.nan)
        sign[there] = sample.signs[at[there]]
        both = ~np.isnan(sign) & ~np.isnan(own.signs)
        known += both
        same += both & (sign == own.signs)
    asked = best[axes.shape.group(own.keys)] > 0
    agreement = np.divide(same, known, out=np.full(len(known), np.nan), where=known > 0)
    return {"stability": np.where(asked, hits / len(samples), np.nan), "sign_agreement": agreement}


def _described(network: Network, columns: dict[str, np.ndarray], told: dict[str, Any]) -> Network:
    edges, params = network.edges, network.params
    for name in ("pval", "qval"):
        if name in edges and name in columns and "confidence" not in params:
            edges[f"{name}_method"] = edges[name]
    for name, values in columns.items():
        edges[name] = values
    return network.replace(
        edges=edges, tested=network.tested or "pval" in columns, params={**params, "confidence": told}
    )
