"""First layers of networks that a user trained on bulk data, or took from the authors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grn._core.errors import ParameterError
from grn._core.logging import logger, some
from grn._core.sealed import UNREADABLE
from grn._kernels.gene_networks import HIDDEN
from grn.genome import overlaps

# a chromosome and two numbers
_REGION = re.compile(r"\S+[:_-][\d,]+[-_][\d,]+$")
_FORM = (
    "pass a dict from genes to DataFrames (64 rows, columns named by regulators and regions), or an .npz with the "
    "arrays 'GENE|weights' (64, p), 'GENE|features' (p,) and, for the penalty 'ewc', 'GENE|importance' (64, p)"
)


@dataclass(frozen=True)
class FirstLayer:
    """First layer of a gene: weights (64, p), their importance or ``None``, and names of the p inputs."""

    features: np.ndarray
    weights: np.ndarray
    importance: np.ndarray | None


def read_bulk(bulk: Any) -> dict[str, FirstLayer]:
    """First layers by gene, checked."""
    if isinstance(bulk, str | Path):
        layers = _of_file(Path(bulk))
    elif isinstance(bulk, Mapping) and bulk:
        layers = {str(gene): _of_table(str(gene), table) for gene, table in bulk.items()}
    else:
        empty = " without genes" if isinstance(bulk, Mapping) else ""
        raise ParameterError(f"bulk= is {type(bulk).__name__}{empty}; {_FORM}.")
    for gene, layer in layers.items():
        _check(gene, layer)
    return layers


def with_copies(layers: Mapping[str, FirstLayer], aliases: Mapping[str, str]) -> dict[str, FirstLayer]:
    """First layers in which the columns of regulators that have an alias are there once more, under it."""
    return {gene: _with_copies(layer, aliases) for gene, layer in layers.items()} if aliases else dict(layers)


def _with_copies(layer: FirstLayer, aliases: Mapping[str, str]) -> FirstLayer:
    at = np.flatnonzero(np.isin(layer.features, list(aliases)))
    order = np.append(np.arange(len(layer.features)), at)
    features = np.append(layer.features.astype(object), [aliases[name] for name in layer.features[at]]).astype(str)
    importance = None if layer.importance is None else layer.importance[:, order]
    return FirstLayer(features, layer.weights[:, order], importance)


def _of_table(gene: str, table: Any) -> FirstLayer:
    if not isinstance(table, pd.DataFrame):
        raise ParameterError(f"bulk[{gene!r}] is {type(table).__name__}, which names no inputs; {_FORM}.")
    return FirstLayer(np.asarray(table.columns, dtype=str), table.to_numpy(), None)


def _of_file(path: Path) -> dict[str, FirstLayer]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            parts = {name: arrays[name] for name in arrays.files}
    except (OSError, *UNREADABLE) as error:
        raise ParameterError(f"bulk={str(path)!r} cannot be read as .npz ({error}); {_FORM}.") from error
    genes = [name.removesuffix("|weights") for name in parts if name.endswith("|weights")]
    lacking = [gene for gene in genes if f"{gene}|features" not in parts]
    if not genes or lacking:
        what = f"no features of {some(lacking)}" if lacking else "no weights"
        raise ParameterError(f"bulk={str(path)!r} has {what}; {_FORM}.")
    return {
        gene: FirstLayer(
            parts[f"{gene}|features"].astype(str), parts[f"{gene}|weights"], parts.get(f"{gene}|importance")
        )
        for gene in genes
    }


def _check(gene: str, layer: FirstLayer) -> None:
    for what, values in (("weights", layer.weights), ("importance", layer.importance)):
        if values is None:
            continue
        shape = (HIDDEN[0], len(layer.features))
        if values.shape != shape or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
            raise ParameterError(
                f"{what} of {gene!r} in bulk= have shape {values.shape} and type {values.dtype}; expected finite "
                f"numbers of shape {shape}: {_FORM}."
            )
    if len(np.unique(layer.features)) < len(layer.features):
        raise ParameterError(f"bulk= names an input of {gene!r} twice; every column has a name of its own.")


def matched_regions(layers: Mapping[str, FirstLayer], regions: pd.DataFrame, genes: set[str]) -> dict[str, str]:
    """Region of the object for every region of the first layers that it overlaps: the one that shares most bases.

    Names may be spelled in any of the usual ways; what is neither a gene of the object nor a region has no match.
    """
    names = pd.Index(sorted({name for layer in layers.values() for name in layer.features} - genes), dtype=object)
    spelled = np.array([_REGION.match(name) is not None for name in names], dtype=bool)
    if (~spelled).any():
        lost = names[~spelled]
        logger.warning("linger: %d inputs of bulk= are neither genes here nor regions: %s", len(lost), some(lost))
    if not spelled.any():
        return {}
    shared = overlaps(names[spelled].tolist(), other=regions)
    best = shared.sort_values(["region", "shared", "other"], ascending=[True, False, True]).drop_duplicates("region")
    logger.info("linger: %d of %d regions of bulk= overlap one here", len(best), spelled.sum())
    return dict(zip(best["region"], best["other"], strict=True))
