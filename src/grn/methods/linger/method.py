"""LINGER: networks of genes trained on metacells, and the regulation read out of them, for all cells or by group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import sparse

from grn._core import checks
from grn._core.errors import ParameterError, ResultNotFoundError
from grn._core.logging import logger
from grn._kernels.gene_networks import ACTIVATIONS, STEPS
from grn._kernels.regulation_scores import potential
from grn._object.chromatin import Chromatin
from grn.methods.cells import Cells, none_varies, report_constant
from grn.methods.edges import in_groups, indexed, stacked
from grn.methods.inputs import Inputs
from grn.methods.linger.bulk import FirstLayer, read_bulk, with_copies
from grn.methods.linger.candidates import Candidates, bulk_regions, candidates_of, near_regions
from grn.methods.linger.metacells import Metacells, accessibility_of, make_metacells
from grn.methods.linger.nets import Accessibility, Data, Population, Setting, fit_genes, standardised
from grn.methods.linger.networks import (
    Means,
    Regulation,
    binding_table,
    cis_table,
    edge_table,
    group_scores,
    population_scores,
)
from grn.methods.linger.regulator_activity import activities, drivers
from grn.methods.linger.stored_nets import stored_nets
from grn.methods.record import METHODS, MIN_CELLS_SEEN, Method, Result, Table

PENALTIES = ("dot", "ewc")
ATTRIBUTIONS = ("original", "expected_gradients")
# added to cis scores of groups in the presence of a prior from bulk data, as in the original
_FLOOR = 0.1


def verify(
    *,
    window: int,
    bulk: object,
    bulk_penalty: str,
    manifold: float | None,
    activation: str,
    attribution: str,
    n_epochs: int,
    n_metacells: int | None,
    cells_per_metacell: int,
    top: int | None,
    n_regions: int | None,
    keep_nets: bool,
) -> None:
    """Refuse values out of range and unknown words."""
    checks.integer("window", window, least=0)
    checks.word("bulk_penalty", bulk_penalty, PENALTIES)
    checks.word("activation", activation, ACTIVATIONS)
    checks.word("attribution", attribution, ATTRIBUTIONS)
    checks.flag("keep_nets", keep_nets)
    counts = {"n_epochs": n_epochs, "cells_per_metacell": cells_per_metacell}
    counts |= {"n_metacells": n_metacells, "top": top, "n_regions": n_regions}
    for name, value in counts.items():
        if value is not None or name in ("n_epochs", "cells_per_metacell"):
            checks.integer(name, value, least=1)
    if manifold is not None:
        checks.number("manifold", manifold, least=0)
    if bulk_penalty == "ewc" and bulk is None:
        raise ParameterError("bulk_penalty='ewc' holds networks near those of bulk=, which was not given.")


@dataclass(frozen=True)
class _Genes:
    """Positions of regulators (S,) and genes (T,) in the object, and regions and genes by pairs."""

    regulators: np.ndarray
    genes: np.ndarray
    candidates: Candidates
    bulk: tuple[dict[str, FirstLayer], dict[str, str]] | None


def fit(
    inputs: Inputs,
    *,
    links: str | pd.DataFrame | None = None,
    starts: str | pd.DataFrame | None = None,
    window: int = 1_000_000,
    motifs: str | None = "motifs",
    bulk: Any = None,
    bulk_penalty: str = "dot",
    manifold: float | None = None,
    activation: str = "relu",
    attribution: str = "original",
    n_epochs: int = STEPS,
    n_metacells: int | None = 300,
    cells_per_metacell: int = 5,
    top: int | None = None,
    n_regions: int | None = 500,
    keep_nets: bool = False,
    min_cells: int = MIN_CELLS_SEEN,
    parity: bool = False,
) -> Result:
    """Fit; parameters are those of :func:`grn.tl.linger`."""
    task = inputs.task
    if task.batch_size is not None:
        checks.integer("batch_size", task.batch_size, least=1)
    inputs.need_cell_names()
    cells = inputs.read_cells(min_cells=0 if parity else min_cells)
    chromatin = inputs.chromatin
    spread = cells.expression.moments(cells.codes >= 0)[1]
    genes = _genes(cells, chromatin, spread, links, starts, window, bulk, parity=parity)
    binding = _motif_binding(chromatin, motifs, cells.names[genes.regulators], genes.candidates.regions)
    strength = (0.0 if bulk is None else 1.0) if manifold is None else manifold
    if strength and binding is None:
        hint = "scan_motifs finds them" if motifs else "motifs=None leaves them out"
        logger.info("linger: without motif hits there is no manifold term (%s)", hint)
    accessibility = accessibility_of(chromatin, np.arange(inputs.n_cells))
    groups = list(cells)
    metacells = make_metacells(
        cells.expression.rows,
        accessibility,
        groups,
        inputs.cell_names,
        spread,
        size=cells_per_metacell,
        number=n_metacells,
        seed=task.seed,
    )
    setting = Setting(
        activation=activation,
        attribution=attribution,
        n_epochs=n_epochs,
        penalty=bulk_penalty,
        manifold=strength,
        seed=task.seed,
        parity=parity,
        batch_size=task.batch_size,
        memory=task.memory_budget,
        device=torch.device(task.device or "cpu"),
    )
    data = _data(cells, chromatin, accessibility, metacells, genes, binding, parity=parity)
    with torch.no_grad():
        population = fit_genes(data, setting, keep=keep_nets, cache=task.cache)
    result = _result(inputs, genes, population, binding, accessibility, chromatin, top=top, n_regions=n_regions)
    tables = dict(result.tables)
    if keep_nets:
        tables["nets"] = stored_nets(data, population, setting, metacells.group, [name for name, _ in groups])
    params = {
        **result.network.params,
        "mode": "scNN" if bulk is None else "LINGER",
        "n_metacells_used": len(metacells.names),
        "motifs_used": binding is not None,
        "manifold_used": strength if binding is not None else 0.0,
        "min_cells": inputs.min_cells,
    }
    return Result(result.network.replace(params=params), tables)


def _genes(
    cells: Cells,
    chromatin: Chromatin,
    spread: np.ndarray,
    links: Any,
    starts: Any,
    window: int,
    bulk: Any,
    *,
    parity: bool,
) -> _Genes:
    """Regulators and genes that vary and are seen, with the regions of each gene."""
    usable = (spread > 0) & ~cells.rare.all(axis=0)
    constant = np.isin(np.arange(len(spread)), cells.genes) & (spread == 0) & ~cells.rare.all(axis=0)
    report_constant(cells.names, constant, "")
    regulators, targets = (part[usable[part]] for part in (cells.sources, cells.targets))
    if not len(regulators) or not len(targets):
        raise none_varies(cells.groups)
    names = cells.names[targets]
    layers = None
    if bulk is None:
        table = near_regions(chromatin, names, links, starts, window)
    else:
        first_layers = with_copies(read_bulk(bulk), chromatin.regions.aliases)
        known = set(cells.names.tolist())
        table, places = bulk_regions(first_layers, chromatin, names, known, starts)
        layers = (first_layers, places)
    candidates = candidates_of(table, ordered=parity)
    if not parity:
        regulators = regulators[np.argsort(cells.names[regulators], kind="stable")]
    place = {name: position for position, name in zip(targets, names, strict=True)}
    return _Genes(regulators, np.array([place[name] for name in candidates.genes]), candidates, layers)


def _motif_binding(
    chromatin: Chromatin, key: str | None, regulators: np.ndarray, regions: np.ndarray
) -> np.ndarray | None:
    """Score of the best motif of every regulator in every region (R, S); ``None`` where no motifs were looked for."""
    if key is None:
        return None
    try:
        best = chromatin.factor_hits(key)
    except ResultNotFoundError:
        if key == "motifs":
            return None
        raise
    rows = pd.Index(regions).get_indexer(chromatin.names)[best.region]
    column = pd.Index(regulators).get_indexer(best.factors)[best.factor]
    inside = (rows >= 0) & (column >= 0)
    if not inside.any():
        logger.warning("linger: no motif hit is of a regulator and in a region near a target; motifs are not used")
        return None
    binding = np.zeros((len(regions), len(regulators)), dtype=np.float32)
    binding[rows[inside], column[inside]] = best.score[inside]
    return binding


def _data(
    cells: Cells,
    chromatin: Chromatin,
    accessibility: sparse.csr_matrix,
    metacells: Metacells,
    genes: _Genes,
    binding: np.ndarray | None,
    *,
    parity: bool,
) -> Data:
    rows = cells.expression.rows
    regions = pd.Index(chromatin.names).get_indexer(genes.candidates.regions)
    expression = metacells.expression(rows, genes.regulators)
    return Data(
        names=list(metacells.names),
        regulators=cells.names[genes.regulators],
        genes=genes.candidates.genes,
        absent=-expression.mean(axis=0) / (expression.std(axis=0, ddof=1) + 1e-12),
        expression=standardised(expression, parity=parity),
        target=torch.as_tensor(metacells.expression(rows, genes.genes)),
        accessibility=Accessibility(metacells.accessibility(accessibility, regions), parity=parity),
        candidates=genes.candidates,
        motifs=binding,
        bulk=genes.bulk,
    )


def _result(
    inputs: Inputs,
    genes: _Genes,
    population: Population,
    binding: np.ndarray | None,
    accessibility: sparse.csr_matrix,
    chromatin: Chromatin,
    *,
    top: int | None,
    n_regions: int | None,
) -> Result:
    """Edges and tables of all cells, or of every group."""
    cells, candidates = inputs.cells, genes.candidates
    reach = potential(population.binding, binding)
    everyone = population_scores(population, candidates, reach)
    parts: dict[str, list[tuple[str, pd.DataFrame]]] = {"edges": [], "cis": [], "tf_re": []}
    regions = pd.Index(chromatin.names).get_indexer(candidates.regions)
    floor = 0.0 if genes.bulk is None else _FLOOR
    grouped = inputs.task.groupby is not None
    means = [mean for mean, _ in cells.expression.group_moments(cells.codes)[1]]
    other = cells.names[genes.regulators] != candidates.genes[:, None]  # (T, S)
    for code, (name, members) in enumerate(cells):
        rare = cells.rare[code]
        regulation: Regulation = everyone
        if grouped:
            open_regions = np.asarray(accessibility[members].mean(axis=0, dtype=np.float64)).ravel()[regions]
            mean = Means(means[code][genes.regulators], means[code][genes.genes], open_regions)
            regulation = group_scores(population, candidates, reach, mean, floor=floor)
        shown = ~rare[genes.genes][:, None] & ~rare[genes.regulators] & other
        source, target, columns = edge_table(regulation, population.slope, shown, candidates, top)
        edges = indexed(cells.names, genes.regulators[source], genes.genes[target])
        parts["edges"].append((name, pd.concat([edges, columns.set_index(edges.index)], axis=1)))
        parts["cis"].append((name, cis_table(regulation, population.cis_slope, candidates, ~rare[genes.genes])))
        names = cells.names[genes.regulators]
        parts["tf_re"].append((name, _bound(regulation, names, candidates, ~rare[genes.regulators], n_regions)))
    tables = {
        "cis": in_groups(parts["cis"]),
        "tf_re": in_groups(parts["tf_re"]),
        "fit": _fitted(population, candidates),
    }
    if grouped:
        tables |= _beside_groups(cells, genes, population, everyone, other)
    params = {"rare_genes": cells.counts(), "n_regions_near": len(candidates.regions)}
    return Result(stacked(inputs.names, parts["edges"], params=params, signed=True), tables)


def _bound(
    regulation: Regulation, names: np.ndarray, candidates: Candidates, shown: np.ndarray, n_regions: int | None
) -> pd.DataFrame:
    """Bindings of regulators, in an order of names that is that of categories."""
    table = binding_table(regulation, names, candidates, shown, n_regions)
    table["source"] = table["source"].cat.set_categories(np.unique(names))
    return table


def _fitted(population: Population, candidates: Candidates) -> pd.DataFrame:
    """How well the network of every gene fits its metacells."""
    return pd.DataFrame(
        {
            "target": candidates.genes,
            "n_regions": np.diff(candidates.bounds),
            "error": population.error.astype(np.float64),
            "loss": population.loss.astype(np.float64),
        }
    )


def _beside_groups(
    cells: Cells, genes: _Genes, population: Population, everyone: Regulation, other: np.ndarray
) -> dict[str, pd.DataFrame]:
    """The network of all cells, and which regulators drive the groups by it."""
    source, target, columns = edge_table(everyone, population.slope, other, genes.candidates, None)
    edges = indexed(cells.names, genes.regulators[source], genes.genes[target])
    network = np.where(other, population.score, 0.0).astype(np.float64)
    scores = activities(cells.expression.rows, len(cells.codes), genes.genes, network)
    groups = list(cells)
    tables = {"population": pd.concat([edges, columns.set_index(edges.index)], axis=1)}
    if len(groups) > 1:
        tables["drivers"] = drivers(scores, cells.names[genes.regulators], groups)
    return tables


METHODS.add(
    "linger",
    Method(
        "linger",
        fit,
        "LINGER: a network per gene of regulators and regions near it, read out as trans, cis and binding",
        verify=verify,
        whole=True,
        signed=True,
        probability=False,
        devices=("cuda",),
        needs=("cells", "regions"),
        tables={
            "cis": Table("regions and the genes they act on", ("region", "target", "weight", "distance")),
            "tf_re": Table("regulators and the regions they bind", ("source", "region", "weight")),
            "population": Table("edges of all cells together", ("source", "target", "weight", "region")),
            "drivers": Table("regulators more active in a group", ("group", "source", "activity", "t", "pval", "qval")),
            "fit": Table("how well every network fits", ("target", "n_regions", "error", "loss")),
            "nets": Table("networks of all genes, for knock-outs"),
        },
        keeps_parts=True,
        reference="Yuan and Duren 2024, doi 10.1038/s41587-024-02182-7",
        system="LINGER",
        year=2024,
        inputs="RNA, open chromatin of the same cells",
        cost="a small network per gene, many at once",
        licence="MIT",
        page="methods/linger",
    ),
)
