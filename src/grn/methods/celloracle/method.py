"""CellOracle: every target regressed on the regulators that a base GRN allows, by bagged or Bayesian ridge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from scipy import sparse

from grn._core import checks
from grn._core.errors import NetworkError
from grn._core.logging import logger
from grn._core.optional import require
from grn._object.smoothing import KEY
from grn.methods.celloracle.regression import Bags, Problem, fit_group, fit_plain, problem
from grn.methods.celloracle.scores import network_entropy, network_scores
from grn.methods.edge_regions import TRIPLETS, triplets
from grn.methods.edges import indexed
from grn.methods.group import Group
from grn.methods.inputs import Inputs
from grn.methods.record import METHODS, MIN_CELLS_SEEN, Method, Result, Table
from grn.network import Network

FITS = ("bagging", "bayesian")
_MOST_BAGS = 100_000


@dataclass(frozen=True)
class RegressionSetup:
    """What all groups share.

    Parameters
    ----------
    problem
        Cells, candidate regulators and scales.
    bags
        How to draw bags; ``None`` for Bayesian ridge.
    graphs
        Weights of neighbours that were made now, for ``obsp``.
    """

    problem: Problem
    bags: Bags | None
    graphs: Mapping[str, tuple[Any, Mapping[str, Any]]]


def prepare(
    inputs: Inputs,
    *,
    base_grn: pd.DataFrame | None = None,
    fit: str = "bagging",
    alpha: float = 10.0,
    n_bags: int = 20,
    smooth: bool | str | sparse.spmatrix = True,
    min_cells: int = MIN_CELLS_SEEN,
    parity: bool = False,
) -> RegressionSetup:
    """Read the cells.

    Parameters
    ----------
    inputs
        Genes, cells and groups; without ``sources`` the regulators of ``base_grn``.
    base_grn
        Table ``source, target`` of the regulators a target may have; ``None`` for all.
    fit
        ``"bagging"`` or ``"bayesian"``.
    alpha, n_bags
        Penalty and number of bags of ``"bagging"``.
    smooth
        ``True`` (weights in ``obsp["grn_smooth"]``, else computed with the defaults of ``grn.pp.smooth``), ``False``,
        a key of ``obsp``, or weights.
    min_cells
        Fewest cells of a group in which a gene must be above zero, before smoothing, to have edges there; 0 for no
        limit, as with ``parity``.
    parity
        Draw bags as the original program does.
    """
    weights, made = inputs.neighbours(smooth)
    seen, by_name = 0 if parity else min_cells, fit == "bagging" and not parity
    data = problem(inputs, base_grn, weights, min_cells=seen, parity=parity, drawn=by_name)
    task = inputs.task
    bags = Bags(int(n_bags), float(alpha), parity, task.seed, task.memory_budget)
    graphs = {} if made is None else {KEY: (weights, made)}
    return RegressionSetup(data, bags if fit == "bagging" else None, graphs)


def verify(
    *,
    fit: str,
    alpha: float,
    n_bags: int,
    max_p: float | None,
    top: int | None,
    simulation_alpha: float,
    centrality: bool | None,
) -> None:
    """Refuse values out of range, and centralities without igraph."""
    checks.word("fit", fit, FITS)
    checks.penalty("alpha", alpha, checks.OF_SUMS)
    checks.integer("n_bags", n_bags, least=2, most=_MOST_BAGS, note=", as a t-test needs two bags")
    if max_p is not None:
        checks.number("max_p", max_p, above=0, most=1, note=", or None")
    if top is not None:
        checks.integer("top", top, least=1, note=", or None")
    checks.penalty("simulation_alpha", simulation_alpha, checks.OF_SUMS)
    if centrality:
        require("igraph", extra="export", purpose="centralities of a network")


def fit_one(group: Group, *, prepared: RegressionSetup) -> pd.DataFrame | None:
    """All allowed edges of one group, with the p-value and the variance of their coefficients."""
    data = prepared.problem
    fitted = fit_group(data, group.name, data.members(group.name), prepared.bags)
    if fitted is None:
        return None
    source, target, coefficients = fitted
    return indexed(
        group.names,
        source,
        target,
        weight=coefficients.mean,
        pval=coefficients.pvalue,
        coef_variance=coefficients.variance,
    )


def report(
    inputs: Inputs,
    network: Network,
    *,
    prepared: RegressionSetup,
    base_grn: pd.DataFrame | None = None,
    fit: str = "bagging",
    smooth: bool | str | sparse.spmatrix = True,
    max_p: float | None = 0.001,
    top: int | None = 10000,
    simulation_alpha: float = 10.0,
    centrality: bool | None = None,
    parity: bool = False,
) -> Result:
    """List the edges that matter, score their genes, and fit the network of simulations.

    Parameters
    ----------
    inputs, network, prepared
        The task, all edges, and what they were fitted on.
    base_grn, fit, smooth, parity
        See :func:`prepare`.
    max_p
        Largest p-value of an edge; ``None`` for any.
    top
        Most edges per group, by absolute weight; ``None`` for all.
    simulation_alpha
        Penalty of the network of simulations.
    centrality
        Whether to compute betweenness and eigenvector centrality, which need igraph; ``None``: if it is installed.
    """
    listed = _filtered(network, max_p, top)
    params = {"n_tested": len(network), "simulation_alpha": float(simulation_alpha)}
    params["smooth"] = KEY if smooth is True else smooth if isinstance(smooth, str | bool) else "given"
    if fit == "bayesian":
        params |= {"alpha": None, "n_bags": None}
    memory = inputs.task.memory_budget
    simulated = simulation(prepared.problem, listed.edges, alpha=float(simulation_alpha), memory=memory)
    tables = {
        "scores": network_scores(listed.edges, centrality=centrality, strong_is_long=parity),
        "entropy": network_entropy(network.edges),
        "simulation": simulated.pipe(lambda table: table.set_axis(table.index.astype(str), axis=0)),
        **triplets(listed, inputs, base_grn),
    }
    return Result(listed.replace(params={**network.params, **params}), tables, prepared.graphs)


def _filtered(network: Network, max_p: float | None, top: int | None) -> Network:
    """Edges with a small p-value, and of these the strongest per group."""
    edges = network.edges
    pvalues = edges["pval"].to_numpy()
    if max_p is not None:
        edges = edges[pvalues <= max_p]
    if edges.empty:
        raise NetworkError(
            f"none of {len(network)} edges has a p-value of at most max_p={max_p}; the smallest is "
            f"{pvalues.min():.3g}. Pass a larger max_p, or None."
        )
    lost = sorted(set(network.groups) - set(edges["group"].unique())) if network.groups else []
    if lost:
        logger.warning("no edge of group %s has a p-value of at most %s", ", ".join(lost), max_p)
    return network.replace(edges=edges).filter(top=top)


def simulation(data: Problem, edges: pd.DataFrame, *, alpha: float, memory: int) -> pd.DataFrame:
    """Fit the edges of every group anew, without bags and scales.

    Parameters
    ----------
    data
        What the network was fitted on.
    edges
        Edges ``source, target[, group]`` to fit.
    alpha
        Penalty, at least 1e-5.
    memory
        Bytes for products.

    Returns
    -------
    DataFrame
        ``source, target, weight[, group]``; change of the target per unit of the source.
    """
    names = data.cells.names
    index = pd.Index(names)
    parts = []
    for group in data.cells.groups:
        part = edges[edges["group"] == group] if "group" in edges else edges
        if part.empty:
            continue
        source, target = (index.get_indexer(part[side].astype(object)) for side in ("source", "target"))
        weight = fit_plain(data, group, data.members(group), source, target, alpha, memory)
        table = indexed(names, source, target, weight=weight)
        parts.append(table.assign(group=pd.Categorical([group] * len(table), data.cells.groups)) if group else table)
    return pd.concat(parts, ignore_index=True)


METHODS.add(
    "celloracle",
    Method(
        "celloracle",
        fit_one,
        "CellOracle: bagged or Bayesian ridge of smoothed targets on the regulators of a base GRN",
        verify=verify,
        prepare=prepare,
        report=report,
        signed=True,
        probability=False,
        takes_prior=True,
        needs=("cells",),
        uses_client=True,
        tables={
            "scores": Table("degrees and centralities of genes", ("gene", "degree_all", "degree_in", "degree_out")),
            "entropy": Table("how evenly the regulation of a target is spread", ("gene", "n_regulators", "entropy")),
            "simulation": Table("coefficients of simulations", ("source", "target", "weight")),
            "triplets": TRIPLETS,
        },
        confidence="pval",
        reference="Kamimoto et al. 2023, doi 10.1038/s41586-022-05688-9",
        system="CellOracle",
        year=2023,
        inputs="RNA, base GRN from ATAC",
        cost="bags of ridge per target and group",
        licence="non-commercial variant of Apache-2.0",
        page="methods/celloracle",
    ),
)
