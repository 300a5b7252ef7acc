"""Ranks: from expression to the order in which Geneformer reads genes, and from relative ranks to an order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grn.models._published_model import counts_of
from grn.models.protocol import Moments


@dataclass(frozen=True)
class RankedPanel:
    """Genes to read (K,): row and place in the cells, column of the panel; and the tokens of the panel (n,)."""

    row: Tensor
    place: Tensor
    column: Tensor
    panel: Tensor


def ranked(X: np.ndarray, tokens: Sequence[int], medians: np.ndarray, reference: Moments | None) -> list[np.ndarray]:
    """Columns of the detected genes of every cell, by falling ``count / total * 10 000 / median``.

    Parameters
    ----------
    X
        log1p CP10k (cells, genes).
    tokens
        Token of every gene; equal genes go by it, so the order of the columns does not matter.
    medians
        Median of every gene (genes,); a gene with NaN counts as not detected.
    reference
        Its ``total`` gives back the exact counts, so that genes tie as they do for the authors.
    """
    x = counts_of(X, reference)
    if reference is not None and reference.total is not None:
        # float32 logarithms lose the last digits of a count; a mean cell has no whole counts and stays as it is
        whole = np.rint(x)
        x = np.where(np.abs(x - whole) <= 1e-5 * whole, whole, x) / np.reshape(reference.total, (-1, 1)) * 1e4
    x = x / medians
    by_token = np.argsort(tokens, kind="stable")
    key = np.where(x > 0, -x, np.inf)[:, by_token]
    order = np.argsort(key, axis=1, kind="stable")
    return [by_token[row[: np.isfinite(k).sum()]] for row, k in zip(order, key, strict=True)]


def relative(columns: Sequence[np.ndarray], n: int) -> np.ndarray:
    """Relative ranks (cells, n): 1 for the first, less by 1 / (n - 1) for every next, -1 for genes not listed."""
    out = np.full((len(columns), n), -1.0, dtype=np.float32)
    for row, listed in zip(out, columns, strict=True):
        row[listed] = 1.0 - np.arange(len(listed)) / max(1, n - 1)
    return out


def orders(values: Tensor) -> tuple[Tensor, Tensor]:
    """Panel columns of every row (B, n) in the order of their relative ranks, and how many are present (B,).

    The rank of a value is ``(1 - v) (n - 1)``, rounded. A gene that leaves its place in the panel passes the one that
    stands where it goes: one moved gene lands exactly there, and a permutation of all genes is kept. Genes that are
    all of one value stand in the order of the panel. Absent genes (below 0) come last.
    """
    n = values.shape[-1]
    place = torch.arange(n, dtype=values.dtype, device=values.device)
    present = values >= 0
    rank = ((1 - values) * (n - 1)).round()
    key = rank + 0.5 * torch.sign(rank - place)
    top = values.masked_fill(~present, -1.0).amax(dim=-1, keepdim=True)
    one_value = ((values == top) | ~present).all(dim=-1, keepdim=True)
    key = torch.where(one_value, place, key).masked_fill(~present, float("inf"))
    return torch.argsort(key, dim=-1, stable=True), present.sum(dim=-1)


def equal_lengths(lengths: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Every length that is not 0, and the rows that have it."""
    for length in torch.unique(lengths).tolist():
        if length:
            yield int(length), (lengths == length).nonzero().squeeze(-1)
