"""What a fit of RENGE predicts after knock-outs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import GeneNameError, ParameterError, ResultNotFoundError
from grn._core.logging import logger
from grn._kernels.dynamics import path_weights, series_terms
from grn._object.container import check_type
from grn._object.gene_sets import gene_sets
from grn._object.genes import spelled
from grn.methods.genes import rows_of

if TYPE_CHECKING:
    from anndata import AnnData


def knockouts(
    adata: AnnData,
    genes: str | Sequence[str | Sequence[str]],
    key: str,
    *,
    times: Sequence[float] | None,
    dose: float,
    max_steps: int | None,
    difference: bool,
) -> pd.DataFrame:
    """Expression over time after knock-outs; see :func:`grn.tl.predict_knockout`."""
    check_type(adata)
    model, n_k = _stored(adata, key)
    names = np.asarray(model["genes"], dtype=str)
    depth = _depth(max_steps, n_k)
    dose = checks.number("dose", dose, note=", 1 for a knock-out")
    sets = _sets(adata, names, genes, key)
    moments = np.asarray(model["times"], dtype=np.float64) if times is None else _times(times)
    levels = 0.0 if difference else _levels(model, moments)
    control = np.asarray(model["control_level"], dtype=np.float64)
    tables = []
    for knocked in sets:
        table = _course(model, knocked, float(dose), moments, depth) + levels  # (T, G)
        table[:, knocked] = -dose * control[knocked] if difference else control[knocked] * (1.0 - dose)
        tables.append(pd.DataFrame(table, index=pd.Index(moments, name="time"), columns=names))
    if isinstance(genes, str):
        return tables[0]
    return pd.concat(tables, keys=["+".join(names[knocked]) for knocked in sets], names=["knockout"])


def _sets(adata: AnnData, names: np.ndarray, genes: object, key: str) -> list[np.ndarray]:
    """Positions among the genes of the network of those that are knocked out together, one array per knock-out."""
    together = gene_sets(genes)
    asked = spelled(adata, [gene for genes in together for gene in genes])
    _positions(names, asked, key)
    place = {str(name): k for k, name in enumerate(names)}
    starts = np.cumsum([len(genes) for genes in together])[:-1]
    # in the order of the names, so that a set is one set however it is written
    sets = [
        tuple(sorted(part.tolist(), key=names.__getitem__))
        for part in np.split(np.array([place[gene] for gene in asked]), starts)
    ]
    gene_sets([names[list(positions)] for positions in sets])  # two spellings may be one gene
    return [np.array(positions) for positions in dict.fromkeys(sets)]


def _stored(adata: AnnData, key: str) -> tuple[Mapping[str, Any], int]:
    """The fit and the length of its paths; earlier versions kept the fit among the parameters."""
    entry = adata.uns.get(key)
    entry = entry if isinstance(entry, Mapping) else {}
    params = entry.get("params")
    params = params if isinstance(params, Mapping) else {}
    model = entry.get("fit", params.get("fit"))
    if not isinstance(model, Mapping) or "control_level" not in model:
        raise ResultNotFoundError(
            f"uns[{key!r}] holds no fit of RENGE; run grn.tl.renge(adata, perturbation=..., time=..., control=..., "
            f"key_added={key!r}) first."
        )
    return model, int(params["n_k"])


def _depth(max_steps: int | None, n_k: int) -> int:
    if max_steps is None:
        return n_k
    return checks.integer("max_steps", max_steps, least=1, most=n_k, note=", n_k of the fit")


def _positions(names: np.ndarray, wanted: Sequence[str], key: str) -> np.ndarray:
    try:
        return rows_of(names, list(wanted), "genes")
    except GeneNameError as error:
        message = str(error).replace("adata.var_names", f"the network in uns[{key!r}]")
        raise GeneNameError(f"{message} It has {len(names)} genes.") from error


def _times(times: Sequence[float]) -> np.ndarray:
    try:
        days = np.atleast_1d(np.asarray(times, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ParameterError(f"times={times!r}; pass a list of numbers.") from error
    if days.ndim != 1 or not len(days) or not np.isfinite(days).all():
        raise ParameterError(f"times={times!r}; pass a list of numbers.")
    return days


def _levels(model: Mapping[str, Any], times: np.ndarray) -> np.ndarray:
    known = np.asarray(model["times"], dtype=np.float64)
    new = times[~np.isin(times, known)]
    if len(new):
        unknown, there = (", ".join(f"{t:g}" for t in some) for some in (new, known))
        raise ParameterError(
            f"times {unknown} are not in the screen ({there}), so the levels of expression are unknown there; "
            "pass difference=True for the change against the control."
        )
    return np.asarray(model["level"], dtype=np.float64)[np.searchsorted(known, times)]


def _course(model: Mapping[str, Any], knocked: np.ndarray, dose: float, times: np.ndarray, depth: int) -> np.ndarray:
    """Change of all genes (T, G) after the genes ``knocked`` (P,) lost ``dose`` times their control levels at once."""
    network = np.asarray(model["network"], dtype=np.float64)
    alpha = np.asarray(model["alpha"], dtype=np.float64)
    for k in knocked[np.isnan(alpha[knocked])]:
        gene = model["genes"][k]
        logger.warning("%s was never knocked out: its delay is the mean of the others", gene, extra={"of": gene})
    delays = np.where(np.isnan(alpha), np.nanmean(alpha), alpha)[knocked]
    levels = np.asarray(model["control_level"], dtype=np.float64)[knocked]
    x = np.zeros((len(knocked), len(network)))  # (P, G): the change of one gene each
    x[np.arange(len(knocked)), knocked] = -dose * levels
    passes = np.ones_like(x)
    passes[:, knocked] = 0.0
    terms = series_terms(network, x, passes, depth)  # (P, depth, G)
    weights = path_weights(delays, float(model["beta"]), float(model["gamma"]), times, depth)  # (P, T, depth)
    change: np.ndarray = (weights @ terms).sum(axis=0)
    return change
