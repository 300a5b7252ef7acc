"""Where the fit of a linear stochastic process starts: shares of counts, and principal components of log shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from scipy import linalg
from torch import Tensor

# added to shares before logarithms, and least variance of a gene at the start
_FLOOR, _LEAST = 1e-6, 1e-6
_LEAST_SHARE = 1e-8
# bounds of variances from moments, and least share of the variance that is not of factors
_LEAST_MOMENT, _MOST_MOMENT, _LEAST_LEFT = 0.01, 3.0, 0.1
_ROWS = 512


@dataclass(frozen=True)
class Start:
    """Parameters of B sets before the first step.

    Parameters
    ----------
    level, diagonal, factors
        Of the latent log shares: (B, G), (B, G), (B, G, q).
    network, rate
        (B, G, T) and (B,).
    noise_factors
        (B, G, p); the diagonal of the noise is ``diagonal``.
    effects
        (B, K, G).
    spread
        Deviation of every posterior.
    """

    level: Tensor
    diagonal: Tensor
    factors: Tensor
    network: Tensor
    rate: Tensor
    noise_factors: Tensor
    effects: Tensor
    spread: float = 0.5

    def take(self, sets: Tensor) -> Start:
        """Some of the sets."""
        parts = [field.name for field in fields(self) if field.name != "spread"]
        return replace(self, **{name: getattr(self, name)[sets] for name in parts})


@dataclass(frozen=True)
class SetStart:
    """Start of one set as arrays: level (G,), diagonal (G,), factors (G, q), effects (K, G)."""

    level: np.ndarray
    diagonal: np.ndarray
    factors: np.ndarray
    effects: np.ndarray


def set_start(
    rows: Callable[[slice], np.ndarray], depth: np.ndarray, covariates: np.ndarray, rank: int, *, root: bool
) -> SetStart:
    """Start of one set.

    Parameters
    ----------
    rows
        Gives counts (k, G) of some cells.
    depth
        Trials per cell (n,).
    covariates
        Covariates (n, K) with a mean of 0.
    rank
        Number of factors.
    root
        Take the root of the variance that the factors leave for the variance, as the original does.

    Notes
    -----
    Log shares are looked at in blocks of cells; in memory is their product (G, G), or (n, n) where there are fewer
    cells than genes.
    """
    n_cells = len(depth)
    total: Any = 0.0
    log_sum: Any = 0.0
    crossed: Any = 0.0
    for part in _parts(n_cells):
        logs, counts = _logs(rows, depth, part)
        total, log_sum = total + counts.sum(axis=0), log_sum + logs.sum(axis=0)
        crossed = crossed + covariates[part].T @ logs
    mean = log_sum / n_cells
    effects = np.linalg.lstsq(covariates.T @ covariates, crossed, rcond=None)[0]  # (K, G)
    spread, loadings = _components(rows, depth, covariates, (mean, effects), rank)
    factors = loadings / np.sqrt(n_cells)
    left = np.maximum(spread / n_cells - (factors**2).sum(axis=1), _LEAST)
    level = np.log(np.maximum(total / depth.sum(), _LEAST_SHARE))
    return SetStart(level, np.sqrt(left) if root else left, factors, effects)


def moment_start(rows: Callable[[slice], np.ndarray], depth: np.ndarray, covariates: np.ndarray, rank: int) -> SetStart:
    """Start of one set from the moments of shares; parameters are those of :func:`set_start`.

    Where log shares are Gaussian and counts Poisson, the mean of shares is exp(level + S_ii / 2) and their covariance,
    less the noise of counting, is the product of means times exp(S_ij) - 1. Zeros do no harm, unlike in logarithms.
    """
    n_cells = len(depth)
    total: Any = 0.0
    noise: Any = 0.0
    products: Any = 0.0
    crossed: Any = 0.0
    for part in _parts(n_cells):
        share = rows(part).astype(np.float64) / depth[part, None]
        total, noise = total + share.sum(axis=0), noise + (share / depth[part, None]).sum(axis=0)
        products, crossed = products + share.T @ share, crossed + covariates[part].T @ share
    mean = np.maximum(total / n_cells, _LEAST_SHARE)
    effects = np.linalg.lstsq(covariates.T @ covariates, crossed / mean, rcond=None)[0]  # (K, G)
    ratio = products / n_cells / np.outer(mean, mean) - 1.0
    ratio[np.diag_indices_from(ratio)] -= noise / n_cells / mean**2
    ratio -= effects.T @ (covariates.T @ covariates / n_cells) @ effects
    covariance = np.log1p(np.clip(ratio, np.expm1(-_MOST_MOMENT), np.expm1(_MOST_MOMENT)))
    variance = np.maximum(covariance.diagonal(), _LEAST_MOMENT)
    covariance[np.diag_indices_from(covariance)] = variance
    values, vectors = _leading(covariance, rank)
    factors = _signed(vectors * np.sqrt(np.maximum(values, 0.0)))
    left = np.maximum(variance - (factors**2).sum(axis=1), _LEAST_LEFT * variance)
    return SetStart(np.log(mean) - 0.5 * variance, left, factors, effects)


def _parts(n_cells: int) -> list[slice]:
    return [slice(first, min(first + _ROWS, n_cells)) for first in range(0, n_cells, _ROWS)]


def _logs(rows: Callable[[slice], np.ndarray], depth: np.ndarray, part: slice) -> tuple[np.ndarray, np.ndarray]:
    counts = rows(part).astype(np.float64)
    return np.log(counts / depth[part, None] + _FLOOR), counts


def _components(
    rows: Callable[[slice], np.ndarray],
    depth: np.ndarray,
    covariates: np.ndarray,
    fitted: tuple[np.ndarray, np.ndarray],
    rank: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of squares (G,) of residual log shares, and their leading components times singular values (G, rank)."""
    mean, effects = fitted

    def residuals(part: slice) -> np.ndarray:
        left: np.ndarray = _logs(rows, depth, part)[0] - mean - covariates[part] @ effects
        return left

    parts, n_genes = _parts(len(depth)), len(mean)
    if len(depth) <= n_genes:
        table = np.concatenate([residuals(part) for part in parts])
        values, vectors = _leading(table @ table.T, rank)
        return (table**2).sum(axis=0), _signed(table.T @ vectors)
    products = np.zeros((n_genes, n_genes))
    for part in parts:
        block = residuals(part)
        products += block.T @ block
    values, vectors = _leading(products, rank)
    return products.diagonal().copy(), _signed(vectors * np.sqrt(np.maximum(values, 0.0)))


def _leading(products: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    size = len(products)
    rank = min(rank, size)
    values, vectors = linalg.eigh(products, subset_by_index=(size - rank, size - 1))
    return values[::-1], vectors[:, ::-1]


def _signed(loadings: np.ndarray) -> np.ndarray:
    """Components with the sign that makes their sum positive, whatever the order of genes."""
    signed: np.ndarray = loadings * np.where(loadings.sum(axis=0) < 0, -1.0, 1.0)
    return signed
