"""Windows of the paths of lineages: what is given to the model, and what it is to predict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from grn._kernels.graph_ode_train import Windows
from grn.methods.ritini.series import Series


@dataclass(frozen=True)
class Cut:
    """Windows of all lineages.

    Parameters
    ----------
    series
        Where they are cut from.
    history, horizon
        Points that are given, and from the first to the last point that is predicted.
    first
        First point of a course that stands for a prediction: 0 for the state at its start, 1 for the point after it.
    gap
        Points between the history and the first prediction.
    evaluation
        Evaluation of the drift whose attention is read: that at the end of the history, or the last one.
    """

    series: Series
    history: int
    horizon: int
    first: int
    gap: int
    evaluation: int

    @property
    def n_steps(self) -> int:
        """Steps of the solver."""
        return self.horizon - self.gap - 1 + self.first

    @property
    def paths(self) -> list[np.ndarray]:
        """Scaled values (T, G) of every lineage."""
        return [self.series.scaled(lineage.values) for lineage in self.series.lineages]

    def windows(self, like: torch.Tensor) -> Windows:
        """Windows with a future, those of one lineage after those of another."""
        length = self.history + self.horizon
        pieces = np.concatenate([_pieces(path, length) for path in self.paths])  # (W, L + P, G)
        values = torch.as_tensor(pieces, dtype=like.dtype, device=like.device)
        return Windows(values[:, : self.history].contiguous(), values[:, self.history + self.gap :].contiguous())

    def histories(self, like: torch.Tensor) -> Windows:
        """All histories, also those at the end of a path; the original leaves the last one out."""
        paths = [path[: len(path) - self.gap] for path in self.paths]
        pieces = np.concatenate([_pieces(path, self.history) for path in paths])
        values = torch.as_tensor(pieces, dtype=like.dtype, device=like.device)
        return Windows(values, values[:, :0])

    def ends(self) -> list[np.ndarray]:
        """Times at which the histories of every lineage end."""
        return [lineage.times[self.history - 1 : len(lineage.times) - self.gap] for lineage in self.series.lineages]


def cut(series: Series, history: int, horizon: int, *, parity: bool) -> Cut:
    """Windows as we cut them, or as the original does: it takes the first point of the future for the start alone."""
    if parity:
        return Cut(series, history, horizon, first=0, gap=1, evaluation=-1)
    return Cut(series, history, horizon, first=1, gap=0, evaluation=0)


def _pieces(path: np.ndarray, length: int) -> np.ndarray:
    """All pieces (W, L, G) of a path."""
    return np.moveaxis(sliding_window_view(path, length, axis=0), 2, 1)
