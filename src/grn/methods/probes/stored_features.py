"""Features already on the object, when they are exactly what a method would compute."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from anndata import AnnData

from grn._core import stored
from grn._core.entries import UnsEntry, feature_entry
from grn._core.errors import GrnError
from grn._core.logging import logger
from grn._core.settings import settings
from grn.methods.genes import PairGenes
from grn.methods.inputs import Inputs
from grn.methods.probes.features import FEATURES, PairFeatures
from grn.methods.record import Task


def stored_features(adata: AnnData, inputs: Inputs, context: str, background: str) -> dict[str, PairFeatures] | None:
    """Both probes as :func:`grn.tl.probe` stored them, or ``None`` unless everything agrees.

    Model weights, sources, known genes, grid, background, context, groups and the values read must be those of the
    task; the cells behind ``context="mean"`` cannot be compared, so only virtual cells are ever reused.
    """
    if context != "virtual" or not all(_is_there(adata, name) for name in FEATURES):
        return None
    cubes = {name: _stored(adata, name, inputs, background) for name in FEATURES}
    agreeing = {name: cube for name, cube in cubes.items() if cube is not None}
    if len(agreeing) < len(FEATURES):
        return None
    logger.info("using the features stored before: %s", ", ".join(FEATURES))
    return agreeing


def _is_there(adata: AnnData, name: str) -> bool:
    entry = adata.uns.get(name)
    return name in adata.varm or (isinstance(entry, Mapping) and "store" in entry)


def _stored(adata: AnnData, name: str, inputs: Inputs, background: str) -> PairFeatures | None:
    task, genes, names = inputs.task, inputs.pairs, inputs.names
    grid = np.asarray(task.model.value_scale.gradient_grid, dtype=np.float32)
    try:
        if not _says(feature_entry(adata, name), task, grid, names, genes, background):
            return None
    except GrnError as error:
        logger.info("features %r are not used again: %s", name, error)
        return None
    cube = _cube(adata, name, names[genes.sources])
    agrees = (
        cube is not None
        and cube.shape == (len(names), len(genes.sources), len(grid))
        and np.array_equal(~np.isnan(cube).any(axis=-1), _pairs(genes, len(names)))
    )
    return PairFeatures(cube, genes.sources, grid, ("",), genes, name, background) if agrees else None


def _says(entry: UnsEntry, task: Task, grid: np.ndarray, names: np.ndarray, genes: PairGenes, background: str) -> bool:
    """Whether the record of features names the task; the sources of a store come in its own order."""
    params = entry.mapping("params")
    sources, wanted = entry.names("sources").tolist(), names[genes.sources].tolist()
    return (
        params.text("model") == task.model.name
        and params.text("model_sha256") == task.model.sha256
        and params.text("context") == "virtual"
        and params.text("background", "fixed") == background
        and params.record.get("order") is None
        and _is(params.record.get("max_genes", task.model.max_genes), task.model.max_genes)
        and np.array_equal(entry.numbers("grid").astype(np.float32), grid)
        and (sorted(sources) == sorted(wanted) if "store" in entry.record else sources == wanted)
        and params.number("n_genes", -1) == len(names)
    )


def _is(value: object, wanted: object) -> bool:
    """Whether a stored value is the one wanted; what has no single value is not."""
    return value is wanted or (np.isscalar(value) and bool(value == wanted))


def _cube(adata: AnnData, name: str, sources: np.ndarray) -> np.ndarray | None:
    """The features themselves; ``None`` when their store is gone, does not fit the object or is too large."""
    entry = adata.uns[name]
    if "store" not in entry:
        return np.asarray(adata.varm[name])
    try:
        return stored.read(entry, name, targets=adata.var_names, sources=sources, budget=settings.feature_budget)
    except GrnError as error:
        logger.warning("features in a store cannot be used again: %s", error)
        return None


def _pairs(genes: PairGenes, n_vars: int) -> np.ndarray:
    """Pairs (n_vars, S) that have features: known targets but for the source itself."""
    known = np.zeros((n_vars, len(genes.sources)), dtype=bool)
    known[genes.targets] = True
    known[genes.sources, np.arange(len(genes.sources))] = False
    return known
