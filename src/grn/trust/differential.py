"""The networks of two conditions against each other, and against those of conditions that are dealt out anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.device import torch_threads
from grn._core.errors import CapabilityError, GeneOverlapError
from grn._core.logging import hint, logger
from grn._core.logging import progress as progress_bar
from grn._kernels.null import Draws, discovery_rates, edge_pvalues, pooled_pvalues
from grn._object.container import check_target, target, validate
from grn._object.expression import reads_of
from grn._object.genes import gene_rows, genes_of, regulator_mask
from grn.methods import METHODS, Method, Task
from grn.methods.cells import Taken, listening, none_varies
from grn.methods.devices import device_of
from grn.methods.inputs import jobs
from grn.methods.provenance import recordable
from grn.network import Network
from grn.trust.confidence import POOLS
from grn.trust.design import MIN_CELLS, Design, design_of
from grn.trust.frozen import freeze
from grn.trust.numbers import Axes
from grn.trust.rerun import Rerun, checked_params

if TYPE_CHECKING:
    from anndata import AnnData

# column of the groups and sides, in a copy of the cells
_PART = "_grn_part"


@dataclass(frozen=True)
class _Pair:
    """Edges of both conditions by number, their weights, which groups have both, and what took part."""

    keys: np.ndarray
    first: np.ndarray
    second: np.ndarray
    there: np.ndarray
    taken: Taken


@dataclass(frozen=True)
class _Differences:
    """Weights of both conditions and null differences, all by number of edge: (group, source, target)."""

    keys: np.ndarray
    first: np.ndarray
    second: np.ndarray
    null: list[Draws]
    record: dict[str, Any]


def write_differential(
    adata: AnnData,
    *,
    condition: str,
    conditions: tuple[str, str] | None,
    donor: str | None,
    method: str,
    sources: Sequence[str] | None,
    targets: Sequence[str] | None,
    groupby: str | None,
    layer: str | None,
    use_raw: bool,
    values: str,
    params: Mapping[str, Any] | None,
    min_cells: int,
    n_permutations: int,
    pool: str,
    standardise: bool,
    key_added: str,
    seed: int,
    n_jobs: int | None,
    copy: bool,
) -> AnnData | None:
    """Compare the networks of two conditions and write the differences; see :func:`grn.tl.differential`."""
    validate(adata)
    check_target(adata, copy=copy, key=key_added)
    n_permutations = checks.integer("n_permutations", n_permutations, least=0)
    checks.word("pool", pool, POOLS)
    record = _record(method)
    arguments = checked_params(adata, record, params)
    if "min_cells" in record.parameters(listing=False):
        arguments = {"min_cells": min_cells, **arguments}
    genes = _genes(adata, sources, targets)
    design = design_of(adata, condition, conditions, donor, groupby)
    labels = design.relabellings(n_permutations, seed)
    with reads_of() as reads:
        frozen = freeze(adata, sorted({*genes[0], *genes[1]}), layer=layer, use_raw=use_raw, values=values)
    task = Task(model=None, groupby=_PART, seed=seed, show=False, n_jobs=jobs(n_jobs), device=device_of(record))
    axes = Axes(tuple(f"{k}{side}" for k in range(len(design.groups)) for side in "ab"), *genes, loops=False)
    with torch_threads(task.n_jobs, needed=task.uses_torch):
        differences = _repeat(frozen.part(design.rows), design, labels, Rerun(record, task, arguments, {}), axes)
    network = _network(differences, design, axes, pool, standardise=standardise, names=adata.var_names)
    provenance = {
        **{"function": "differential", "method": method, "condition": condition, "conditions": list(design.names)},
        **{"donor": donor, "groupby": groupby, "layer": layer, "use_raw": use_raw, "pool": pool, "seed": seed},
        **reads.told,
        **{name: recordable(value) for name, value in {**record.parameters(listing=False), **arguments}.items()},
        **{"sources": genes[0], "targets": genes[1]},
        **{"standardise": standardise, "n_permutations": n_permutations, **design.told(labels), **differences.record},
    }
    out = target(adata, copy=copy)
    network.replace(params=provenance).write(out, key_added)
    logger.info("differential: %d edges in uns[%r]", len(network), key_added)
    return out if copy else None


def _record(method: str) -> Method:
    record = METHODS[method]
    if "cells" not in record.needs or record.reads_model:
        raise CapabilityError(
            f"method {method!r} does not estimate its weights from cells; use one that regresses on cells, such as "
            "'correlation' or 'ridge'."
        )
    return record


def _genes(
    adata: AnnData, sources: Sequence[str] | None, targets: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the regulators and of the targets, sorted."""
    names = np.asarray(adata.var_names, dtype=str)
    regulators = np.flatnonzero(regulator_mask(adata)) if sources is None else gene_rows(adata, sources, "sources")
    if not len(regulators):
        raise GeneOverlapError(
            "no regulator is among the genes of this object; call grn.pp.annotate_regulators(adata, organism=...) or "
            "pass sources=[...]."
        )
    genes = genes_of(adata) if targets is None else gene_rows(adata, targets, "targets")
    return tuple(sorted(names[regulators].tolist())), tuple(sorted(names[genes].tolist()))


def _repeat(cells: AnnData, design: Design, labels: list[np.ndarray], rerun: Rerun, axes: Axes) -> _Differences:
    """Differences of the real conditions and of every other way to deal them out."""
    n_groups = len(design.groups)
    real = _difference(cells, design, design.second, rerun, axes)
    if not real.there.any():
        raise none_varies(design.groups)
    record = _tell(real, design, cells.n_vars, rerun.arguments.get("min_cells"))
    null = [Draws() for _ in range(n_groups)]
    if labels:
        design.warn(len(labels))
    for label in progress_bar(labels, desc="differential"):
        dealt = _difference(cells, design, label, rerun, axes)
        group = axes.shape.group(dealt.keys)
        for k in np.flatnonzero(dealt.there & real.there):
            null[k].add(dealt.keys[group == k], (dealt.second - dealt.first)[group == k])
    return _Differences(real.keys, real.first, real.second, null, record)


def _tell(real: _Pair, design: Design, n_genes: int, min_cells: object) -> dict[str, Any]:
    """Log, and return as provenance, the groups left out and the numbers of genes seen in too few cells."""
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
    large = there[design.codes]
    compared = cells if large.all() else cells[large].copy()
    compared.obs[_PART] = pd.Categorical.from_codes(part[large], categories=list(axes.groups))
    with listening() as taken:
        edges = rerun.fit(compared, axes)
    there &= [not {f"{k}a", f"{k}b"} & taken.skipped for k in range(len(design.groups))]
    size = axes.shape.sources * axes.shape.targets
    place, pair = np.divmod(edges.keys, size)
    key = place // 2 * size + pair
    keys = np.unique(key[there[axes.shape.group(key)]])
    weights = []
    for side in (0, 1):
        weight = np.zeros(len(keys))
        mine = (place % 2 == side) & there[axes.shape.group(key)]
        weight[np.searchsorted(keys, key[mine])] = edges.weights[mine]
        weights.append(weight)
    return _Pair(keys, weights[0], weights[1], there, taken)


def _network(
    differences: _Differences, design: Design, axes: Axes, pool: str, *, standardise: bool, names: pd.Index
) -> Network:
    shape, keys = axes.shape, differences.keys
    source, column, group = shape.block(keys) % shape.sources, keys % shape.targets, shape.group(keys)
    edges = pd.DataFrame(
        {
            "source": pd.Categorical.from_codes(source, categories=list(axes.sources)),
            "target": pd.Categorical.from_codes(column, categories=list(axes.targets)),
            "weight": differences.second - differences.first,
            "weight_a": differences.first,
            "weight_b": differences.second,
        }
    )
    if design.groups != ("",):
        edges["group"] = pd.Categorical.from_codes(group, categories=list(design.groups))
    tested = any(len(draws) for draws in differences.null)
    if tested:
        pval, sizes = np.ones(len(edges)), np.zeros(len(design.groups), dtype=np.int64)
        for k, draws in enumerate(differences.null):
            rows = group == k
            change = edges["weight"].to_numpy()[rows]
            if pool == "edge":
                pval[rows] = edge_pvalues(keys[rows], change, draws)
            else:
                pval[rows] = pooled_pvalues(keys[rows], change, draws, shape, standardise=standardise)
            sizes[k] = len(draws.candidates(keys[rows]))
        edges["pval"], edges["qval"] = pval, discovery_rates(pval, group, sizes)
    return Network(edges, genes=[str(name) for name in names], signed=True, tested=tested)
