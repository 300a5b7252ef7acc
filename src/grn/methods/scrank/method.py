"""scRank: networks of groups of cells, and which group a drug on its targets changes most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import scipy.sparse as sp

from grn._core import checks
from grn._core.errors import GroupError, NetworkError
from grn._core.logging import logger
from grn._kernels.scan import scan
from grn._object.expression import label, take
from grn.methods.edges import indexed
from grn.methods.group import Group
from grn.methods.inputs import Inputs
from grn.methods.record import METHODS, MIN_CELLS_SEEN, Method, Result, Table
from grn.methods.scrank.drug import Drug, drug_of
from grn.methods.scrank.effects import ranked, with_baselines
from grn.methods.scrank.networks import Resampling, Rows, check_size, drawn, network_of, placed, starts_of
from grn.network import Network


@dataclass(frozen=True)
class RankingSetup:
    """What all groups share.

    Parameters
    ----------
    resampling
        How networks are made.
    rows
        Gives the values that are regressed.
    cell_names
        Names of all cells; they are drawn by them.
    drug, resistance
        Targets of the drug, and the gene it is compared with.
    lost_targets
        Targets of a table of drugs that the object lacks.
    stored
        Networks made before, to be used instead of new ones.
    weights
        Networks over all genes (n_vars, n_vars) by group, filled while groups are fitted.
    """

    resampling: Resampling
    rows: Rows
    cell_names: np.ndarray
    drug: Drug | None
    resistance: Drug | None
    lost_targets: Sequence[str]
    stored: Network | None
    weights: dict[str, sp.csr_array] = field(default_factory=dict)


def verify(
    *,
    n_resamples: int,
    n_components: int,
    quantile: float,
    rank: int,
    threshold: float,
    decimals: int | None,
    cells_per_resample: int | None,
    min_group_cells: int,
    n_hop: int,
) -> None:
    """Refuse values out of range."""
    Resampling(n_resamples, n_components, quantile, rank, threshold, decimals, cells_per_resample)
    least = n_components + 2
    checks.integer("min_group_cells", min_group_cells, least=least, note=", n_components + 2")
    checks.integer("n_hop", n_hop, least=1, most=3)


def prepare(
    inputs: Inputs,
    *,
    drug_targets: Sequence[str] | pd.DataFrame | None = None,
    action: str = "antagonist",
    drug: str | None = None,
    resistance_target: str | None = None,
    net: str | None = None,
    n_resamples: int = 10,
    n_components: int = 3,
    quantile: float = 0.95,
    rank: int = 5,
    threshold: float = 0.05,
    decimals: int | None = None,
    cells_per_resample: int | None = None,
    min_cells: int = MIN_CELLS_SEEN,
    min_group_cells: int = 26,
    parity: bool = False,
) -> RankingSetup:
    """Find the drug and read the cells; parameters are those of :func:`grn.tl.scrank`."""
    task = inputs.task
    chosen, lost = (None, ()) if drug_targets is None else drug_of(inputs, drug_targets, action, drug)
    other = None if resistance_target is None else drug_of(inputs, [resistance_target], "antagonist", None)[0]
    resampling = Resampling(
        n_resamples=n_resamples,
        n_components=n_components,
        quantile=quantile,
        rank=rank,
        threshold=threshold,
        decimals=decimals,
        cells_per_resample=cells_per_resample,
        parity=bool(parity),
        memory=task.memory_budget,
        device=task.device,
    )
    if net is None:
        # genes that a group does not express at all take no part in its network, whatever the limit
        seen = 1 if parity or min_cells == 0 else min_cells
        cells = inputs.read_cells(min_cells=seen, min_group_cells=min_group_cells, sources=inputs.genes)
        inputs.min_cells = 0 if parity else min_cells
        check_size(len(cells.names), resampling)
    else:
        cells = inputs.read_cells(min_cells=0, min_group_cells=1, sources=inputs.genes)
    stored = None if net is None else _stored(inputs, net, cells.groups, (chosen, other))
    rows = _as_given(inputs) if parity else cells.expression.rows
    names = inputs.cell_names if net is None else inputs.barcodes
    return RankingSetup(resampling, rows, names, chosen, other, lost, stored)


def fit(group: Group, *, prepared: RankingSetup) -> pd.DataFrame | None:
    """Edges of one group: one network over all genes, of which the sources and targets asked for are listed."""
    weights = _weights(group, prepared)
    if weights is None:
        return None
    prepared.weights[group.name] = weights
    table = weights.tocoo()
    listed = np.isin(table.row, group.sources) & np.isin(table.col, group.targets)
    weight = table.data[listed]
    return indexed(group.names, table.row[listed], table.col[listed], weight=weight, sign=np.sign(weight))


def _weights(group: Group, prepared: RankingSetup) -> sp.csr_array | None:
    """Network (n_vars, n_vars) of one group, row = regulator; ``None`` if nothing varies."""
    resampling, task = prepared.resampling, group.task
    if prepared.stored is not None:
        return _matrix_of(prepared.stored, group)
    genes = np.flatnonzero(~group.rare)
    if len(genes) < resampling.n_components + 2:
        return None
    places = drawn(prepared.cell_names[group.members], group.name, resampling, task.seed)
    draws = [(group.members[cell], n) for cell, n in places]
    starts = starts_of(group.names[genes], group.name, resampling, task.seed)
    weights, varies = network_of(lambda rows: prepared.rows(rows)[:, genes], draws, starts, resampling, task.n_jobs)
    if not varies.any():
        return None
    constant = np.zeros(len(group.names), dtype=bool)
    constant[genes[~varies]] = True
    group.report_constant(constant)
    if not weights.nnz:
        where = f" in group {group.name!r}" if group.name else ""
        logger.warning("scrank finds no edge%s", where, extra={"of": group.name})
    return placed(weights, genes, len(group.names))


def _matrix_of(network: Network, group: Group) -> sp.csr_array | None:
    """The stored network of a group; ``None`` where nothing varied when it was made."""
    if group.name in {str(name) for name in network.params.get("skipped_groups", ())}:
        return None
    edges = network.edges
    edges = edges[edges["group"] == group.name]
    index = pd.Index(group.names)
    source, target = (index.get_indexer(edges[side].astype(str)) for side in ("source", "target"))
    inside = (source >= 0) & (target >= 0)
    shape = (len(group.names),) * 2
    return sp.csr_array((edges["weight"].to_numpy()[inside], (source[inside], target[inside])), shape=shape)


def report(
    inputs: Inputs,
    network: Network,
    *,
    prepared: RankingSetup,
    resistance_target: str | None = None,
    net: str | None = None,
    n_hop: int = 2,
    parity: bool = False,
) -> Result:
    """Rank the groups by what the drug does to their networks; without a drug the network alone."""
    drug, cells = prepared.drug, inputs.cells
    before = {"decimals": prepared.resampling.rounding} if prepared.stored is None else prepared.stored.params
    base = network.replace(params={**network.params, **before})
    if drug is None:
        return Result(base)
    groups = tuple(name for name in cells.groups if name in prepared.weights)
    means = np.array([mean for mean, _ in cells.expression.group_moments(cells.codes)[1]])
    means = means[[cells.groups.index(name) for name in groups]]  # (groups, n_vars)
    arguments = {"n_hop": n_hop, "symmetric": not parity}
    ranks, effects = ranked(prepared.weights, inputs.names, groups, drug, prepared.resistance, **arguments)
    ranks = with_baselines(ranks, prepared.weights, means, inputs.names, groups, drug)
    params = {
        "drug_targets": list(drug.targets),
        "actions": list(drug.actions),
        "drug": drug.name,
        "lost_targets": list(prepared.lost_targets),
        "resistance_target": resistance_target,
        "n_hop": n_hop,
        "net": net,
        "aligned": "directed" if parity else "symmetric",
    }
    logger.info("scrank: %s moves most for %s", ranks["group"].iloc[0], ", ".join(drug.targets))
    return Result(base.replace(params={**base.params, **params}), {"ranks": ranks, "effects": effects})


def _as_given(inputs: Inputs) -> Rows:
    """Values as they are stored, as the authors' program takes them."""
    task, matrix = inputs.task, inputs.stored_values()
    kind = scan(matrix, peek=True).kind
    if kind != "counts":
        where = label(task.layer, use_raw=task.use_raw)
        logger.warning("%s holds no counts; the authors' program takes counts: pass layer=", where)

    def rows(cells: np.ndarray) -> np.ndarray:
        order = np.argsort(cells, kind="stable")
        block = take(matrix, cells[order])
        block = block.toarray() if sp.issparse(block) else np.asarray(block)
        out = np.empty_like(block)
        out[order] = block
        return out

    return rows


def _stored(inputs: Inputs, key: str, groups: Sequence[str], drugs: Sequence[Drug | None]) -> Network:
    network, groupby = inputs.stored_network(key), inputs.task.groupby
    strange = sorted(set(network.groups) - set(groups))
    if strange or not network.groups:
        there = f"groups {', '.join(strange[:5])}" if strange else "no groups"
        raise GroupError(
            f"the networks in uns[{key!r}] have {there}; obs[{groupby!r}] has {', '.join(groups[:5])}. Infer them with "
            f"groupby={groupby!r}, or leave net=None."
        )
    missing = [name for drug in drugs if drug for name in drug.targets if name not in set(network.genes.tolist())]
    if missing:
        raise NetworkError(f"the networks do not hold {', '.join(missing)}; infer them with these genes, net=None.")
    return network


METHODS.add(
    "scrank",
    Method(
        "scrank",
        fit,
        "principal-component regression of resampled cells, denoised as a tensor; which group a drug changes most",
        verify=verify,
        prepare=prepare,
        report=report,
        signed=True,
        probability=False,
        devices=("cuda",),
        needs=("cells",),
        tables={
            "ranks": Table("groups of cells, the most affected first", ("group", "score", "rank", "rescaled")),
            "effects": Table("what a drug does to every gene", ("group", "gene", "distance")),
        },
        reference="Li et al. 2024, doi 10.1016/j.xcrm.2024.101568",
        system="scRank",
        year=2024,
        inputs="RNA",
        cost="ten regressions of all genes per group",
        licence="GPL-3.0",
        page="methods/scrank",
    ),
)
