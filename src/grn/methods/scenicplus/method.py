"""SCENIC+: eRegulons, the regions that a regulator binds and the genes that these tell of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core import checks
from grn._core.errors import ParameterError
from grn._core.rng import child
from grn._kernels.correlate import pearson, sparse_columns
from grn._kernels.enrichment import random_sets
from grn._kernels.trees import Boosting
from grn.methods.group import Fitted, Group
from grn.methods.inputs import Inputs
from grn.methods.record import METHODS, MIN_CELLS_SEEN, Method, Result, Table
from grn.methods.scenicplus.bound_regions import Bound, bound_regions
from grn.methods.scenicplus.eregulons import (
    MODULES,
    TRIPLETS,
    Names,
    edge_table,
    link_table,
    module_table,
    regulation_table,
    triplet_table,
)
from grn.methods.scenicplus.modules import Links, Regulation, Rules, merged, modules
from grn.methods.scenicplus.region_importances import Growing, region_importances
from grn.methods.scenicplus.search_space import search_space
from grn.methods.trees import Drawn, boosting, check_mode, draw, importances
from grn.network import Network

NAME = "scenicplus"
# what a regulator's importance for itself is above its largest for others
_ABOVE = 1e-5
_MOST_PERMUTATIONS = 1_000_000


@dataclass(frozen=True)
class Ground:
    """What all groups share.

    Parameters
    ----------
    drawn
        Cells that trees see.
    space
        Pairs ``region, gene, distance`` in the order in which trees see them.
    bound
        Regions that regulators bind.
    """

    drawn: Drawn
    space: pd.DataFrame
    bound: Bound


def verify(
    *,
    mode: str,
    max_rounds: int,
    n_trees: int,
    window: int,
    min_rho: float,
    quantiles: Sequence[float],
    per_gene: Sequence[int],
    per_region: Sequence[int],
    min_targets: int,
    n_permutations: int,
    max_cells: int | None,
    min_cells: int,
    parity: bool,
) -> None:
    """Refuse values out of range, and a mode that the original does not have."""
    check_mode(mode)
    if parity and mode == "fast":
        raise ParameterError("parity=True repeats the original, which has no fast mode; pass mode='exact'.")
    for name, value in {"max_rounds": max_rounds, "n_trees": n_trees, "min_targets": min_targets}.items():
        checks.integer(name, value, least=1)
    checks.integer("window", window, least=0)
    checks.integer("n_permutations", n_permutations, least=1, most=_MOST_PERMUTATIONS)
    checks.integer("min_cells", min_cells, least=0, most=None)
    if max_cells is not None:
        checks.integer("max_cells", max_cells, least=1, most=None, note=", or None")
    checks.number("min_rho", min_rho, least=0, most=1)
    rules = {"quantiles": quantiles, "per_gene": per_gene, "per_region": per_region}
    listed = {name: checks.several(name, values) for name, values in rules.items()}
    for value in listed["quantiles"]:
        checks.number("quantiles", value, least=0, most=1)
    for name in ("per_gene", "per_region"):
        for value in listed[name]:
            checks.integer(name, value, least=1)
    if not any(listed.values()):
        raise ParameterError("quantiles=, per_gene= and per_region= are all empty: no link would be strong.")


def ready(
    inputs: Inputs,
    *,
    links: str | pd.DataFrame | None = None,
    starts: pd.DataFrame | None = None,
    cistromes: str | pd.DataFrame | None = None,
    motifs: str | None = "motifs",
) -> None:
    """Refuse chromatin without links of regions and genes, or without motif hits, where these are to be read."""
    if links is not None or starts is None:
        inputs.chromatin.links("links" if links is None else links)
    if cistromes is None and motifs is not None:
        inputs.chromatin.hits(motifs)


def prepare(
    inputs: Inputs,
    *,
    links: str | pd.DataFrame | None = None,
    starts: pd.DataFrame | None = None,
    window: int = 150_000,
    up_to_genes: bool = False,
    cistromes: str | pd.DataFrame | None = None,
    motifs: str | None = "motifs",
    max_cells: int | None = None,
    min_cells: int = MIN_CELLS_SEEN,
    parity: bool = False,
) -> Ground:
    """Read cells, links and cistromes.

    Parameters
    ----------
    inputs
        Cells, chromatin and what is asked.
    links, starts, window, up_to_genes
        Search space, see :func:`grn.methods.scenicplus.search_space.search_space`.
    cistromes, motifs
        Regions of regulators, see :func:`grn.methods.scenicplus.bound_regions.bound_regions`.
    max_cells
        Most cells per group that trees see.
    min_cells
        Fewest cells of a group in which a gene is seen.
    parity
        Follow the original.
    """
    drawn = draw(inputs, max_cells=max_cells, min_cells=min_cells, parity=parity)
    cells, chromatin = inputs.cells, inputs.chromatin
    space = search_space(
        chromatin, cells.names[cells.targets], links=links, starts=starts, window=window, up_to_genes=up_to_genes
    )
    bound = bound_regions(chromatin, cells.names[cells.sources], cistromes=cistromes, motifs=motifs)
    return Ground(drawn, _ordered(space, chromatin.table, parity=parity), bound)


def _ordered(space: pd.DataFrame, regions: pd.DataFrame, *, parity: bool) -> pd.DataFrame:
    """Pairs by gene, of a gene along the genome; with ``parity`` as the sort of the original leaves them."""
    if parity:
        return space.iloc[np.argsort(space["gene"].to_numpy(dtype=object))].reset_index(drop=True)
    at = regions.iloc[space["region"]]
    order = np.lexsort([at["end"], at["start"], at["chrom"].astype(str), space["gene"].astype(str)])
    return space.iloc[order].reset_index(drop=True)


def fit(
    group: Group,
    *,
    prepared: Ground,
    mode: str = "exact",
    max_rounds: int = 5000,
    n_trees: int = 500,
    min_rho: float = 0.05,
    quantiles: Sequence[float] = (0.85, 0.9, 0.95),
    per_gene: Sequence[int] = (5, 10, 15),
    per_region: Sequence[int] = (),
    min_targets: int = 10,
    n_permutations: int = 1000,
    parity: bool = False,
) -> Fitted | None:
    """ERegulons of one group.

    Parameters
    ----------
    group
        Its cells.
    prepared
        What all groups share.
    mode, max_rounds
        Trees of regulators, see :mod:`grn.methods.baselines.grnboost2`.
    n_trees
        Trees of regions per gene.
    min_rho, quantiles, per_gene, per_region, min_targets
        See :class:`grn.methods.scenicplus.modules.Rules`.
    n_permutations
        Random sets behind an enrichment.
    parity
        Follow the original.
    """
    cells = prepared.drawn.of(group, NAME)
    by_name = np.argsort(group.names[group.targets], kind="stable")  # (T,)
    targets = group.targets[by_name]
    regulation = _regulation(group, cells, by_name, mode=mode, max_rounds=max_rounds, parity=parity)
    if regulation is None:
        return None
    names = Names(group.names[group.sources], group.chromatin.names, group.names[targets])
    task = group.task
    growing = Growing(mode, n_trees, task.seed, group.name, task.workers, task.show, parity, task.cache)
    links, distance = _links(group, cells, prepared, targets, growing)
    rules = Rules(min_rho, tuple(quantiles), tuple(per_gene), tuple(per_region), min_targets)
    listed = modules(links, regulation, prepared.bound.cistromes, rules, partial(_sets, task.seed, n_permutations))
    triplets = triplet_table(merged(listed), links, regulation, names, prepared.bound.score)
    tables = {
        "triplets": triplets.drop(columns="q"),
        "modules": module_table(listed, links, names),
        "region_gene": link_table(links, distance, names),
    }
    bound = bool(prepared.bound.cistromes)
    return Fitted(edge_table(triplets) if bound else regulation_table(regulation, names, min_rho), tables=tables)


def _sets(seed: int, times: int, n: int, k: int) -> np.ndarray:
    """Random sets that depend on the seed and their size alone."""
    return random_sets(n, k, times, child(seed, NAME, "sets", str(n), str(k)))


def _regulation(
    group: Group, cells: np.ndarray, by_name: np.ndarray, *, mode: str, max_rounds: int, parity: bool
) -> Regulation | None:
    """Importances of regulators, each its own first target, and correlations; genes in the order of their names."""
    plan = Boosting(rounds=max_rounds, paired=not parity, friedman=parity)
    weight = importances(group, cells, boosting(NAME, plan, mode=mode, parity=parity))
    if weight is None:
        return None
    importance = np.nan_to_num(weight)[by_name]  # (T, S)
    targets = group.targets[by_name]
    rho = np.nan_to_num(pearson(group.rows, np.sort(cells), group.sources, targets).T)
    itself = targets[:, None] == group.sources
    rho[itself] = 1.0
    largest = importance.max(axis=0)
    importance = np.where(itself & (largest > 0), largest + _ABOVE, importance)
    return Regulation(importance, rho)


def _links(
    group: Group, cells: np.ndarray, prepared: Ground, targets: np.ndarray, growing: Growing
) -> tuple[Links, np.ndarray]:
    """Importance and correlation of all links of genes that take part, and their distance; ``targets`` by name."""
    genes = group.names[targets]
    rare = set(group.names[group.rare])
    space = prepared.space[~prepared.space["gene"].isin(rare)]
    regions, at_region = np.unique(space["region"].to_numpy(), return_inverse=True)
    gene = np.searchsorted(genes, space["gene"].to_numpy(dtype=genes.dtype))
    listed = np.unique(gene)  # links are in the order of the genes
    near = np.split(at_region, np.searchsorted(gene, listed)[1:]) if len(listed) else []
    chromatin = group.chromatin
    openness = chromatin.rows(cells)[:, regions] if growing.parity else chromatin.openness(cells, regions)
    openness = sparse.csc_array(openness, dtype=np.float32)  # trees read single precision
    at = np.sort(cells)
    expression = sparse_columns(group.rows, at, targets[listed])[np.searchsorted(at, cells)]
    importance, rho = region_importances(openness, sparse.csc_array(expression), genes[listed], near, growing)
    links = Links(regions[at_region], gene, importance, np.nan_to_num(rho))
    return links, space["distance"].to_numpy(dtype=float)


def report(
    inputs: Inputs, network: Network, *, prepared: Ground, tables: Mapping[str, pd.DataFrame], parity: bool = False
) -> Result:
    """The network with the tables of all groups.

    Parameters
    ----------
    inputs, network, prepared, tables
        The task, all edges, what the groups share, and what they gave beside their edges.
    parity
        Follow the original.
    """
    as_stored = parity or inputs.chromatin.regions.totals is None
    bound = prepared.bound.table(inputs.chromatin.names, inputs.cells.names[inputs.cells.sources])
    params = {
        "n_links": len(prepared.space),
        "n_triplets": len(tables["triplets"]),
        "accessibility": "as stored" if as_stored else "log-normalised counts",
    }
    named = {name: _with_categories(table) for name, table in tables.items()}
    return Result(network.replace(params={**network.params, **params}), {**named, "tf_region": bound})


def _with_categories(table: pd.DataFrame) -> pd.DataFrame:
    """Names as categories."""
    named = [column for column in ("source", "region", "target", "sign", "rule") if column in table]
    return table.astype(dict.fromkeys(named, "category"))


METHODS.add(
    NAME,
    Method(
        NAME,
        fit,
        "SCENIC+: eRegulons from boosted trees of regulators and of regions, motifs and enrichment",
        signed=True,
        probability=False,
        verify=verify,
        ready=ready,
        prepare=prepare,
        report=report,
        needs=("cells", "regions"),
        uses_client=True,
        tables={
            "triplets": Table("regulator, region and target of eRegulons, with their evidence", TRIPLETS),
            "modules": Table("what chose the links of an eRegulon, and its enrichment", MODULES),
            "region_gene": Table(
                "importance and correlation of regions near genes", ("region", "target", "importance")
            ),
            "tf_region": Table("regions that regulators bind", ("source", "region", "extended")),
        },
        keeps_parts=True,
        reference="Bravo González-Blas et al. 2023, doi 10.1038/s41592-023-01938-4",
        system="SCENIC+",
        year=2023,
        inputs="RNA, ATAC, motifs",
        cost="boosted trees per target, of regulators and of regions",
        licence="VIB, academic use only",
        page="methods/scenicplus",
    ),
)
