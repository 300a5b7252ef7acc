"""Edges that differ between two conditions, tested on donors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.device import torch_threads
from grn._core.errors import CapabilityError, GeneOverlapError
from grn._core.logging import hint, logger, one_voice
from grn._core.logging import progress as bar
from grn._core.rng import RNGLike, seed_of
from grn._kernels.null import Draws, discovery_rates, edge_pvalues, pooled_pvalues
from grn._object.container import check_target, target, validate
from grn._object.expression import reads_of
from grn._object.genes import gene_rows, genes_of, regulator_mask
from grn.methods import METHODS, Task
from grn.methods.cells import Taken, listening, none_varies
from grn.methods.inputs import jobs
from grn.methods.provenance import recordable
from grn.methods.record import MIN_CELLS_SEEN
from grn.network import Network
from grn.tl._confidence import POOLS
from grn.trust.design import MIN_CELLS, Design, design_of
from grn.trust.frozen import freeze
from grn.trust.rerun import Axes, Rerun, checked_params

if TYPE_CHECKING:
    from anndata import AnnData


@one_voice
def differential(
    adata: AnnData,
    *,
    condition: str,
    conditions: tuple[str, str] | None = None,
    donor: str | None = None,
    method: str = "correlation",
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    groupby: str | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    params: Mapping[str, Any] | None = None,
    min_cells: int = MIN_CELLS_SEEN,
    n_permutations: int = 200,
    pool: str = "edge",
    standardise: bool = True,
    key_added: str = "differential",
    rng: RNGLike = 0,
    n_jobs: int | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | None:
    r"""Compare the networks of two conditions edge by edge, with donors as the units of the test.

    One network per condition (and group), from all its cells, gives :math:`d = w_b - w_a`. Then the conditions are
    dealt out anew to the donors, every donor with all its cells, and the networks are made again:

    .. math:: p = \frac{1 + \#\{|d_0| \ge |d|\}}{1 + N}

    with the differences :math:`d_0` of the N other ways to deal them out. If there are no more than
    ``n_permutations`` of those, each is taken once and the test is exact; else ways are drawn. Donors with cells of
    one condition each keep the number of donors per condition; if all donors have both, they are pairs, and the
    conditions are swapped within donors.

    Parameters
    ----------
    adata
        Annotated matrix.
    condition
        Column of ``obs`` with the conditions.
    conditions
        Two values of that column, the reference first; by default the only two, in category order. Cells of other
        values are left out.
    donor
        Column of ``obs`` with the donor (animal, culture, well: whatever was assigned to a condition). ``None``
        exchanges cells, which are no replicates: p-values are then far too small where donors differ.
    method
        Method of :func:`grn.tl.methods` that reads cells and no foundation model.
    sources
        Regulators (list of ``var_names``); by default as for :func:`grn.tl.infer_network`.
    targets
        Targets (list of ``var_names``); all genes by default.
    groupby
        Column of ``obs``: compare within every group.
    layer
        Layer with counts or log-normalised values; ``None`` reads ``X``.
    use_raw
        Read ``.raw`` instead of ``X``.
    values
        What the values are: ``"counts"``, ``"linear"`` or ``"log"``; ``"auto"`` finds out, and warns if in doubt.
    params
        Parameters of the method itself.
    min_cells
        Fewest cells of a condition (of a group) in which a gene must be above zero to have edges there: a gene that is
        seen in one or two cells correlates perfectly with others of these cells. Given to the method; 0 for no limit.
    n_permutations
        Largest number of ways to deal out conditions; 0 gives differences without p-values.
    pool
        ``"edge"``: every edge has its own null differences. ``"regulator"``: all targets of a regulator share theirs,
        which gives smaller p-values and assumes that the null is the same for them once divided by its spread.
    standardise
        With ``pool="regulator"``, divide differences by the root mean square null difference of the target.
    key_added
        Entry of ``uns`` to write.
    rng
        Seed of the ways that are drawn, and of the method.
    n_jobs
        Threads, as for the method; -1 for all cores.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a new object instead of writing into ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes the network ``uns[key_added]``: ``edges`` with ``source``, ``target``,
        ``weight`` (:math:`w_b - w_a`, signed), ``weight_a``, ``weight_b`` (0 where the method lists no such edge),
        ``pval``, ``qval`` (Benjamini and Hochberg, per group), ``group`` with ``groupby``; ``params`` with all
        arguments, ``design`` (``"donors"``, ``"paired donors"`` or ``"cells"``), ``exact``, ``n_donors``,
        ``n_relabellings`` (ways tried), ``smallest_p`` (what a p-value can reach with ``pool="edge"``), ``rare_genes``
        (number below ``min_cells`` in either condition, per group) and ``skipped_groups`` (in which nothing varies in a
        condition).

    Raises
    ------
    GroupError
        If a column is missing or incomplete, a condition has no cells, no group has 10 cells in both, or the donors
        allow no test.
    CapabilityError
        If the method reads no cells, or a foundation model.
    GeneNameError, GeneOverlapError
        If names cannot be used, or no gene is a regulator.
    ExpressionError, LayerError
        If the values cannot be used.
    ParameterError
        If an argument is out of its range.

    Notes
    -----
    With few donors p cannot be small: 3 against 3 allow 10 ways, and p is at least 0.1; 4 against 4 allow 35. The
    smallest p is logged if it is above 0.05. The test asks whether donors of the two conditions could be exchanged.
    A larger share of one type of cell in a condition, deeper sequencing, or another batch makes differences too, and a
    network from few cells has weaker or wilder weights; groups with fewer than 50 cells in a condition are logged.
    Donors with many cells count for more. Cost: two fits per group and way.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=160, n_regulators=3, n_targets=6)
    >>> adata.obs["donor"] = [f"d{i // 2 % 8}{g}" for i, g in enumerate(adata.obs["group"])]
    >>> grn.tl.differential(adata, condition="group", donor="donor", n_permutations=20)
    >>> list(grn.get.edges(adata, key="differential").columns[:3])
    ['source', 'target', 'weight']
    """
    validate(adata)
    check_target(adata, copy=copy, key=key_added)
    n_permutations = checks.integer("n_permutations", n_permutations, least=0)
    checks.word("pool", pool, POOLS)
    seed = seed_of(rng)
    record = METHODS[method]
    if "cells" not in record.needs or record.reads_model:
        raise CapabilityError(
            f"method {method!r} does not estimate its weights from cells; use one that regresses on cells, such as "
            "'correlation' or 'ridge'."
        )
    own = checked_params(adata, record, params)
    if "min_cells" in record.parameters(listing=False):
        own = {"min_cells": min_cells, **own}
    genes = _genes(adata, sources, targets)
    design = design_of(adata, condition, conditions, donor, groupby)
    labels = design.relabellings(n_permutations, seed)
    with reads_of() as reads:
        frozen = freeze(adata, sorted({*genes[0], *genes[1]}), layer=layer, use_raw=use_raw, values=values)
    rerun = Rerun(record, Task(model=None, groupby=_PART, seed=seed, show=False, n_jobs=jobs(n_jobs)), own, {})
    axes = Axes(tuple(f"{k}{side}" for k in range(len(design.groups)) for side in "ab"), *genes, loops=False)
    cells = frozen.part(design.rows)
    with torch_threads(jobs(n_jobs)):
        found = _repeat(cells, design, labels, rerun, axes, show=progress)
    made = _network(found, design, axes, pool, standardise=standardise, names=adata.var_names)
    told = {
        **{"function": "differential", "method": method, "condition": condition, "conditions": list(design.names)},
        **{"donor": donor, "groupby": groupby, "layer": layer, "use_raw": use_raw, "pool": pool, "seed": seed},
        **reads.told,
        **{name: recordable(value) for name, value in {**record.parameters(listing=False), **own}.items()},
        **{"sources": genes[0], "targets": genes[1]},
        **{"standardise": standardise, "n_permutations": n_permutations, **design.told(labels), **found.told},
    }
    out = target(adata, copy=copy)
    made.replace(params=told).write(out, key_added)
    logger.info("differential: %d edges in uns[%r]", len(made), key_added)
    return out if copy else None


_PART = "_grn_part"


@dataclass(frozen=True)
class _Differences:
    """Weights of both conditions and null differences, all by number of edge: (group, source, target)."""

    keys: np.ndarray
    first: np.ndarray
    second: np.ndarray
    null: list[Draws]
    told: dict[str, Any]


@dataclass(frozen=True)
class _Pair:
    """Edges of both conditions by number, their weights, which groups have both, and what took part."""

    keys: np.ndarray
    first: np.ndarray
    second: np.ndarray
    there: np.ndarray
    taken: Taken


def _genes(
    adata: AnnData, sources: Sequence[str] | None, targets: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = np.asarray(adata.var_names, dtype=str)
    own = np.flatnonzero(regulator_mask(adata)) if sources is None else gene_rows(adata, sources, "sources")
    if not len(own):
        raise GeneOverlapError(
            "no regulator is among the genes of this object; call grn.pp.annotate_regulators(adata, organism=...) or "
            "pass sources=[...]."
        )
    other = genes_of(adata) if targets is None else gene_rows(adata, targets, "targets")
    return tuple(sorted(names[own].tolist())), tuple(sorted(names[other].tolist()))


def _repeat(
    cells: AnnData, design: Design, labels: list[np.ndarray], rerun: Rerun, axes: Axes, *, show: bool | None
) -> _Differences:
    """Differences of the real conditions and of every other way to deal them out."""
    n_groups = len(design.groups)
    real = _difference(cells, design, design.second, rerun, axes)
    if not real.there.any():
        raise none_varies(design.groups)
    told = _told(real, design, cells.n_vars, rerun.own.get("min_cells"))
    null = [Draws() for _ in range(n_groups)]
    if labels:
        design.warn(len(labels))
    for label in bar(labels, desc="differential", show=show):
        other = _difference(cells, design, label, rerun, axes)
        group = axes.shape.group(other.keys)
        for k in np.flatnonzero(other.there & real.there):
            null[k].add(other.keys[group == k], (other.second - other.first)[group == k])
    return _Differences(real.keys, real.first, real.second, null, told)


def _told(real: _Pair, design: Design, n_genes: int, min_cells: object) -> dict[str, Any]:
    """Provenance of the groups left out and of the genes seen in too few cells, said once."""
    skipped = [name for name, there in zip(design.groups, real.there, strict=True) if not there]
    if skipped:
        logger.warning(
            "nothing varies in one condition of %d of %d groups, which are left out: %s",
            *(len(skipped), len(design.groups), ", ".join(skipped[:10])),
        )
    rare = {
        name or "all": np.array([n_genes - len(real.taken.genes.get(f"{k}{side}", ())) for side in "ab"])
        for k, name in enumerate(design.groups)
    }
    counts = [f"{a} and {b}{'' if name == 'all' else f' in {name}'}" for name, (a, b) in rare.items() if a or b]
    if counts:
        hint(
            "of %d genes, seen in fewer than min_cells=%s cells of %s and %s, without edges there: %s",
            *(n_genes, min_cells, *design.names, ", ".join(counts[:8])),
        )
    return {"rare_genes": rare, "skipped_groups": np.array(skipped, dtype=str)}


def _difference(cells: AnnData, design: Design, second: np.ndarray, rerun: Rerun, axes: Axes) -> _Pair:
    """The networks of two conditions, of the groups with enough cells in both."""
    part = 2 * design.codes + second
    sizes = np.bincount(part, minlength=2 * len(design.groups)).reshape(-1, 2)
    there = (sizes >= MIN_CELLS).all(axis=1)
    kept = there[design.codes]
    own = cells if kept.all() else cells[kept].copy()
    own.obs[_PART] = pd.Categorical.from_codes(part[kept], categories=list(axes.groups))
    with listening() as taken:
        found = rerun.fit(own, axes)
    there &= [not {f"{k}a", f"{k}b"} & taken.skipped for k in range(len(design.groups))]
    size = axes.shape.sources * axes.shape.targets
    place, pair = np.divmod(found.keys, size)
    key = place // 2 * size + pair
    keys = np.unique(key[there[axes.shape.group(key)]])
    weights = []
    for side in (0, 1):
        weight = np.zeros(len(keys))
        mine = (place % 2 == side) & there[axes.shape.group(key)]
        weight[np.searchsorted(keys, key[mine])] = found.weights[mine]
        weights.append(weight)
    return _Pair(keys, weights[0], weights[1], there, taken)


def _network(
    found: _Differences, design: Design, axes: Axes, pool: str, *, standardise: bool, names: pd.Index
) -> Network:
    shape = axes.shape
    source, column = shape.block(found.keys) % shape.sources, found.keys % shape.targets
    group = shape.group(found.keys)
    edges = pd.DataFrame(
        {
            "source": pd.Categorical.from_codes(source, categories=list(axes.sources)),
            "target": pd.Categorical.from_codes(column, categories=list(axes.targets)),
            "weight": found.second - found.first,
            "weight_a": found.first,
            "weight_b": found.second,
        }
    )
    if design.groups != ("",):
        edges["group"] = pd.Categorical.from_codes(group, categories=list(design.groups))
    tested = any(len(draws) for draws in found.null)
    if tested:
        pval, sizes = np.ones(len(edges)), np.zeros(len(design.groups), dtype=np.int64)
        for k, draws in enumerate(found.null):
            own = group == k
            keys, change = found.keys[own], edges["weight"].to_numpy()[own]
            if pool == "edge":
                pval[own] = edge_pvalues(keys, change, draws)
            else:
                pval[own] = pooled_pvalues(keys, change, draws, shape, standardise=standardise)
            sizes[k] = len(draws.candidates(keys))
        edges["pval"], edges["qval"] = pval, discovery_rates(pval, group, sizes)
    return Network(edges, genes=[str(name) for name in names], signed=True, tested=tested)
