"""What a fit of RENGE predicts after knock-outs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from grn._core import checks
from grn._core.errors import ParameterError
from grn._core.logging import logger
from grn._kernels.dynamics import path_weights, series_terms
from grn.methods.knockout import Course, Question


def knockout(fit: Mapping[str, Any], params: Mapping[str, Any], question: Question) -> dict[str, Course]:
    """Expression, or its change, over time after knock-outs; see :func:`grn.tl.predict_knockout`."""
    depth = int(params["n_k"])
    if question.max_steps is not None:
        depth = checks.integer("max_steps", question.max_steps, least=1, most=depth, note=", n_k of the fit")
    times = np.asarray(fit["times"], dtype=np.float64) if question.times is None else question.times
    levels = 0.0 if question.difference else _levels(fit, times)
    control = np.asarray(fit["control_level"], dtype=np.float64)
    dose = question.dose
    tables = []
    for knocked in question.sets:
        table = _change(fit, knocked, dose, times, depth) + levels  # (T, G)
        table[:, knocked] = -dose * control[knocked] if question.difference else control[knocked] * (1.0 - dose)
        tables.append(table)
    return {"": Course(times, np.stack(tables))}


def _levels(fit: Mapping[str, Any], times: np.ndarray) -> np.ndarray:
    known = np.asarray(fit["times"], dtype=np.float64)
    new = times[~np.isin(times, known)]
    if len(new):
        unknown, there = (", ".join(f"{t:g}" for t in some) for some in (new, known))
        raise ParameterError(
            f"times {unknown} are not in the screen ({there}), so the levels of expression are unknown there; "
            "pass difference=True for the change against the control."
        )
    return np.asarray(fit["level"], dtype=np.float64)[np.searchsorted(known, times)]


def _change(fit: Mapping[str, Any], knocked: np.ndarray, dose: float, times: np.ndarray, depth: int) -> np.ndarray:
    """Change of all genes (T, G) after the genes ``knocked`` (P,) lost ``dose`` times their control levels at once."""
    network = np.asarray(fit["network"], dtype=np.float64)
    alpha = np.asarray(fit["alpha"], dtype=np.float64)
    for k in knocked[np.isnan(alpha[knocked])]:
        gene = fit["genes"][k]
        logger.warning("%s was never knocked out: its delay is the mean of the others", gene, extra={"of": gene})
    delays = np.where(np.isnan(alpha), np.nanmean(alpha), alpha)[knocked]
    levels = np.asarray(fit["control_level"], dtype=np.float64)[knocked]
    x = np.zeros((len(knocked), len(network)))  # (P, G): the change of one gene each
    x[np.arange(len(knocked)), knocked] = -dose * levels
    passes = np.ones_like(x)
    passes[:, knocked] = 0.0
    terms = series_terms(network, x, passes, depth)  # (P, depth, G)
    weights = path_weights(delays, float(fit["beta"]), float(fit["gamma"]), times, depth)  # (P, T, depth)
    change: np.ndarray = (weights @ terms).sum(axis=0)
    return change
