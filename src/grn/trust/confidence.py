"""How far the edges of a network can be told from chance, and how well they hold: columns out of its repetitions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grn._core import checks
from grn._core.device import torch_threads
from grn._core.errors import ParameterError
from grn._core.files import output_folder
from grn._core.logging import logger
from grn._kernels.null import discovery_rates, edge_pvalues, pooled_pvalues
from grn._object.container import check_target, target, validate
from grn._object.groups import cell_names
from grn.methods.inputs import jobs
from grn.models import FoundationModel
from grn.network import Network
from grn.trust.numbers import Axes, Edges
from grn.trust.repetitions import Repeated, RepetitionPlan, repeat
from grn.trust.rerun import need_permutable, rerun_of

if TYPE_CHECKING:
    from anndata import AnnData

POOLS = ("regulator", "edge")
PERMUTED = ("cells", "links")
# edges up to this q-value are what stability asks for by default
_LEVEL = 0.05
_LAYOUT = ("edges", "params", "schema", "genes")


def write_confidence(
    adata: AnnData,
    *,
    net: str,
    method: str | None,
    model: str | FoundationModel | None,
    params: Mapping[str, Any] | None,
    n_permutations: int,
    n_subsamples: int,
    fraction: float,
    strata: str | None,
    pool: str,
    standardise: bool,
    together: bool,
    permute: str,
    top: int | None,
    cache: str | Path | None,
    seed: int,
    n_jobs: int | None,
    copy: bool,
) -> AnnData | None:
    """Repeat the method that made a network and write the columns that follow; see :func:`grn.tl.confidence`."""
    validate(adata)
    check_target(adata, copy=copy)
    _check(n_permutations, n_subsamples, fraction, pool, top)
    checks.word("permute", permute, PERMUTED)
    folder = None if cache is None else output_folder(cache, name="cache")
    cell_names(adata)
    network = Network.from_anndata(adata, net)
    if not len(network):
        raise ParameterError(f"uns[{net!r}] has no edges, so there is nothing to test; infer a network first.")
    rerun = rerun_of(adata, network, method=method, model=model, given=params, n_jobs=jobs(n_jobs), key=net)
    if n_permutations:
        need_permutable(rerun.record, permute)
    counts = int(n_permutations), int(n_subsamples)
    plan = RepetitionPlan(*counts, float(fraction), strata, together, permute, seed, folder)
    with torch_threads(rerun.task.n_jobs, needed=rerun.task.uses_torch):
        repeated = repeat(adata, network, rerun, plan, key=net)
    columns = _columns(network, repeated, pool, top, standardise=standardise)
    record = {"n_permutations": n_permutations, "n_subsamples": n_subsamples, "fraction": fraction, "strata": strata}
    record |= {"pool": pool, "standardise": standardise, "together": together, "top": top, "seed": seed}
    record["permute"] = permute
    out = target(adata, copy=copy)
    _write(out, net, _described(network, columns, record))
    if "qval" in columns:
        logger.info(
            "%d of %d edges of uns[%r] have q up to %g", (columns["qval"] <= _LEVEL).sum(), len(network), net, _LEVEL
        )
    return out if copy else None


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


def _write(adata: AnnData, net: str, network: Network) -> None:
    """Store the network again, and keep what else lies under its key."""
    record = adata.uns[net]
    beside = {} if not isinstance(record, Mapping) else {k: v for k, v in record.items() if k not in _LAYOUT}
    network.write(adata, net)
    adata.uns[net].update(beside)


def _columns(
    network: Network, repeated: Repeated, pool: str, top: int | None, *, standardise: bool
) -> dict[str, np.ndarray]:
    """New columns, in the order of the rows of the network."""
    axes = repeated.axes
    edges, shape = axes.number(network), axes.shape
    group = shape.group(edges.keys)
    columns: dict[str, np.ndarray] = {}
    if len(repeated.null):
        beside = repeated.real.of(edges.keys)
        # pairs that a filter left out, or that are listed beside permuted regulators only, were tested too
        listed = repeated.null.candidates(edges.keys, repeated.again.keys, repeated.real.keys)
        if pool == "regulator":
            pval = pooled_pvalues(edges.keys, beside, repeated.null, shape, candidates=listed, standardise=standardise)
        else:
            pval = edge_pvalues(edges.keys, beside, repeated.null)
        sizes = np.bincount(shape.group(listed), minlength=len(axes.groups))
        columns = {"pval": pval, "qval": discovery_rates(pval, group, sizes)}
    if repeated.samples:
        best = np.full(len(axes.groups), top or 0)
        if top is None:
            best = np.bincount(group[columns["qval"] <= _LEVEL], minlength=len(axes.groups))
            for name in np.asarray(axes.groups)[best == 0]:
                where = f" in group {str(name)!r}" if name else ""
                message = "no edge has q up to %g%s, so there is no stability; pass top=..."
                logger.warning(message, _LEVEL, where, extra={"of": str(name)})
        columns |= _stability(edges, repeated.samples, axes, best)
    return {name: values[np.argsort(edges.row)] for name, values in columns.items()}


def _stability(edges: Edges, samples: list[Edges], axes: Axes, best: np.ndarray) -> dict[str, np.ndarray]:
    """Share of the samples with an edge among the ``best`` (groups,) of its group, and with the same sign."""
    hits, same, known = (np.zeros(len(edges.keys)) for _ in range(3))
    for sample in samples:
        group = axes.shape.group(sample.keys)
        order = np.lexsort((sample.keys, -np.abs(sample.weights), group))
        first = np.searchsorted(group[order], np.arange(len(axes.groups)))
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order)) - first[group[order]]
        at, there = sample.at(edges.keys)
        hits[there] += (place < best[group])[at[there]]
        sign = np.full(len(edges.keys), np.nan)
        sign[there] = sample.signs[at[there]]
        both = ~np.isnan(sign) & ~np.isnan(edges.signs)
        known += both
        same += both & (sign == edges.signs)
    asked = best[axes.shape.group(edges.keys)] > 0
    agreement = np.divide(same, known, out=np.full(len(known), np.nan), where=known > 0)
    return {"stability": np.where(asked, hits / len(samples), np.nan), "sign_agreement": agreement}


def _described(network: Network, columns: dict[str, np.ndarray], record: dict[str, Any]) -> Network:
    """The network with the new columns, and with those of its method under another name."""
    edges, params = network.edges, network.params
    for name in ("pval", "qval"):
        if name in edges and name in columns and "confidence" not in params:
            edges[f"{name}_method"] = edges[name]
    for name, values in columns.items():
        edges[name] = values
    return network.replace(
        edges=edges, tested=network.tested or "pval" in columns, params={**params, "confidence": record}
    )
