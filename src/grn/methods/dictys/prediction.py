"""What a fit of Dictys predicts after knock-outs: the shift of the steady state, and the way there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import expm

from grn.methods.knockout import Course, Question

# counts per cell of the scale on which expression is predicted, as in log-normalised values
_TOTAL = 1e4


def knockout(fit: Mapping[str, Any], params: Mapping[str, Any], question: Question) -> dict[str, Course]:
    """Expression, or its change, after knock-outs, by group; see :func:`grn.tl.predict_knockout`.

    Expression is log1p of the mean share times 10 000. The genes of a set are held at ``1 - dose`` of it; all others
    move by the damped network towards the steady state that follows. Times are in units of 1 / r, the time in which a
    gene without regulators comes back to a third of a push; without times only the steady state is given.
    """
    del params
    question.refuse("Dictys", "max_steps")
    times = np.array([np.inf]) if question.times is None else question.times
    answers = {}
    for number, group in enumerate(np.asarray(fit["groups"]).astype(str)):
        level = np.log1p(_TOTAL * np.exp(np.asarray(fit["level"], dtype=np.float64)[number]))  # (G,)
        network = _network(fit, number, len(level))
        values = np.stack([_course(network, level, knocked, question.dose, times) for knocked in question.sets])
        answers[group] = Course(times, values if question.difference else values + level)
    return answers


def _network(fit: Mapping[str, Any], number: int, n_genes: int) -> sparse.csr_array:
    """Damped effects (G, G) of a group: target, source."""
    inside = np.asarray(fit["group"]) == number
    weight = np.asarray(fit["weight"], dtype=np.float64)[inside] / float(np.asarray(fit["damping"])[number])
    ends = tuple(np.asarray(fit[side])[inside] for side in ("target", "source"))
    return sparse.csr_array((weight, ends), shape=(n_genes, n_genes))


def _course(
    network: sparse.csr_array, level: np.ndarray, knocked: np.ndarray, dose: float, times: np.ndarray
) -> np.ndarray:
    """Change of all genes (T, G) after some lost ``dose`` of their expression.

    Only regulators pass changes on: those that are free settle among themselves, all other genes follow.
    """
    change = np.zeros((len(times), len(level)))
    lost = np.zeros(len(level))
    # a gene that the group does not have cannot be lost there
    lost[knocked] = -dose * np.nan_to_num(level[knocked])
    free = np.setdiff1d(np.unique(network.indices), knocked)
    others = np.setdiff1d(np.arange(len(level)), np.r_[free, knocked])
    push = network @ lost  # (G,)
    among = network[free][:, free].toarray() - np.eye(len(free))
    rest = np.linalg.solve(among, -push[free]) if len(free) else np.zeros(0)
    below = network[others][:, free]
    for row, time in zip(change, times, strict=True):
        row[free], row[others] = _state(among, below, rest, push[others], float(time))
        row[knocked] = lost[knocked]
    change[:, np.isnan(level)] = np.nan
    return change


def _state(
    among: np.ndarray, below: sparse.csr_array, rest: np.ndarray, push: np.ndarray, time: float
) -> tuple[np.ndarray, np.ndarray]:
    """Changes of free regulators and of the genes below them at a time."""
    if np.isinf(time):
        return rest, below @ rest + push
    size = len(rest)
    # dx = B (x - rest) among regulators; dy = W x + push - y below them, with W x driven by the decaying difference
    decay = expm(among * time)
    driven = np.zeros((2 * size, 2 * size))
    driven[:size, :size], driven[size:, :size], driven[size:, size:] = among, np.eye(size), -np.eye(size)
    memory = expm(driven * time)[size:, :size]
    left = 1.0 - np.exp(-time)
    return rest - decay @ rest, below @ (left * rest - memory @ rest) + left * push
