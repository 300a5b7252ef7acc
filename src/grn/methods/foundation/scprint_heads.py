"""Attention of mean queries to mean keys, head by head: the arithmetic of scPRINT's network recipe."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from grn._core.errors import ParameterError
from grn.methods.probes.training_pairs import LabelledPairs


class MeanProjections:
    """Queries and keys of every token, averaged over cells that are shown with the same genes."""

    def __init__(self) -> None:
        self.n_cells = 0
        self.sums: list[Tensor] = []

    def add(self, layers: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Add cells: per layer queries and keys (B, H, n, D)."""
        for i, pair in enumerate(layers):
            both = torch.stack(pair).permute(1, 3, 0, 2, 4)  # (B, n, 2, H, D)
            both = both.cpu() if both.device.type == "mps" else both
            # in double precision, so that the batch size leaves no trace
            total = both.sum(0, dtype=torch.float64).cpu()
            if i == 0:
                self.n_cells += len(both)
            if i == len(self.sums):
                self.sums.append(total)
            else:
                self.sums[i] += total

    def mean(self) -> Tensor:
        """Means (L, n, 2, H, D), the query before the key."""
        if not self.sums:
            raise ParameterError("there is no cell to read.")
        return torch.stack(self.sums) / self.n_cells


def head_maps(means: Tensor) -> Iterator[np.ndarray]:
    """Attention (n, n) of mean queries (rows) to mean keys (columns) of every head, layer by layer."""
    for layer in means:
        for q, k in zip(layer[:, 0].unbind(1), layer[:, 1].unbind(1), strict=True):
            yield torch.softmax(q @ k.T / math.sqrt(q.shape[-1]), dim=-1).numpy()


def mean_map(means: Tensor, heads: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
    """Mean attention (n, n) over all heads of all layers, or over some, counted layer by layer."""
    chosen = None if heads is None else {int(head) for head in heads}
    total = np.zeros((means.shape[1], means.shape[1]))
    taken = 0
    for i, found in enumerate(head_maps(means)):
        if chosen is None or i in chosen:
            total += found
            taken += 1
    return total / max(1, taken)


def choose_heads(means: Tensor, queries: np.ndarray, keys: np.ndarray, pairs: LabelledPairs) -> np.ndarray:
    """Heads whose attention speaks for an edge: positive coefficients of a logistic regression on known pairs.

    Parameters
    ----------
    means
        Means (L, n, 2, H, D).
    queries, keys
        Token of every target and of every source that ``pairs`` counts.
    pairs
        Edges and other pairs; both classes weigh the same. Attention is standardised per head.

    Returns
    -------
    ndarray
        Numbers of the heads, layer by layer.

    Raises
    ------
    ParameterError
        If no coefficient is positive.
    """
    from sklearn.linear_model import LogisticRegression

    rows, columns = queries[pairs.targets], keys[pairs.sources]
    features = np.stack([found[rows, columns] for found in head_maps(means)], axis=1)
    spread = features.std(axis=0)
    features = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    fitted = LogisticRegression(class_weight="balanced", max_iter=1000).fit(features, pairs.labels)
    chosen = np.flatnonzero(fitted.coef_[0] > 0)
    if not len(chosen):
        raise ParameterError(
            f"no head attends more along the {int(pairs.labels.sum())} edges of labels than elsewhere; use other "
            "labels or heads='mean'."
        )
    return chosen
