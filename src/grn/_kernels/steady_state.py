"""Steady state of a linear stochastic process: does a network explain a covariance, and what follows a change.

The process is dx = -A (x - mean) dt + noise, with A = r I - N. Its covariance S is stationary where
A S + S A^T = S0, the covariance of the noise. Covariances are diagonal plus low rank, S = diag(d) + F F^T, and N has
columns for regulators only, so that no product of two matrices (genes, genes) is formed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# how often a network is damped before its steady state is given up, and by what factor
_MOST_DAMPING, _DAMPING = 200, 1.1
# range of what a change of a regulator by 1 may come to through loops
_LEAST_RETURN, _MOST_RETURN = 0.2, 1.8


@dataclass(frozen=True)
class Process:
    """B processes of G genes, T of them regulators; padded genes have ``diagonal`` and ``noise`` 0 and no factors.

    Parameters
    ----------
    network
        N (B, G, T): target, regulator.
    source
        Position of every regulator among the genes (B, T).
    rate
        r (B,).
    diagonal, factors
        d (B, G) and F (B, G, q) of the covariance.
    noise, noise_factors
        The same of the noise, (B, G) and (B, G, p).
    """

    network: Tensor
    source: Tensor
    rate: Tensor
    diagonal: Tensor
    factors: Tensor
    noise: Tensor
    noise_factors: Tensor

    def double(self) -> Process:
        """In double precision."""
        parts = (self.rate, self.diagonal, self.factors, self.noise, self.noise_factors)
        return Process(self.network.double(), self.source, *(part.double() for part in parts))

    def at_sources(self, rows: Tensor) -> Tensor:
        """Rows of the regulators (B, T, k) of a matrix (B, G, k)."""
        return rows.gather(1, self.source[..., None].expand(-1, -1, rows.shape[2]))

    def placed(self, rows: Tensor) -> Tensor:
        """Rows of regulators (B, T, k) in a matrix of zeros (B, G, k)."""
        out = rows.new_zeros(rows.shape[0], self.diagonal.shape[1], rows.shape[2])
        return out.scatter_add_(1, self.source[..., None].expand_as(rows), rows)

    def drift(self, rows: Tensor) -> Tensor:
        """A times a matrix (B, G, k)."""
        return self.rate[:, None, None] * rows - self.network @ self.at_sources(rows)

    def drift_back(self, rows: Tensor) -> Tensor:
        """A^T times a matrix (B, G, k)."""
        return self.rate[:, None, None] * rows - self.placed(self.network.mT @ rows)


@dataclass(frozen=True)
class Imbalance:
    """Square of the residual R = A S + S A^T - S0 (B,) and its derivatives, each in the shape of the parameter."""

    square: Tensor
    network: Tensor
    rate: Tensor
    diagonal: Tensor
    factors: Tensor
    noise: Tensor
    noise_factors: Tensor


class _Residual:
    """R as diagonal, regulators' columns and low rank parts."""

    def __init__(self, process: Process) -> None:
        self.process, self.factors = process, process.factors
        self.driven = process.drift(process.factors)  # A F (B, G, q)
        self.pure = 2.0 * process.rate[:, None] * process.diagonal - process.noise
        self.of_sources = process.at_sources(process.diagonal[..., None])[..., 0]  # (B, T)

    def times(self, rows: Tensor) -> Tensor:
        """R times a matrix (B, G, k)."""
        process, diagonal = self.process, self.process.diagonal[..., None]
        out = self.pure[..., None] * rows
        out -= process.network @ (self.of_sources[..., None] * process.at_sources(rows))
        out -= diagonal * process.placed(process.network.mT @ rows)
        out += self.driven @ (self.factors.mT @ rows)
        out += self.factors @ (self.driven.mT @ rows)
        out -= process.noise_factors @ (process.noise_factors.mT @ rows)
        return out

    def diagonal(self) -> Tensor:
        """Diagonal of R (B, G); no gene regulates itself."""
        low = 2.0 * (self.driven * self.factors).sum(dim=2) - self.process.noise_factors.square().sum(dim=2)
        return self.pure + low

    def columns(self) -> Tensor:
        """Columns of R of the regulators (B, G, T), but for what only their diagonal has; no gene regulates itself."""
        process = self.process
        out = -process.network * self.of_sources[:, None]
        among = process.at_sources(process.network).mT  # (B, T, T): regulator, regulator it acts on
        out -= process.diagonal[..., None] * process.placed(among)
        out += self.driven @ process.at_sources(self.factors).mT
        out += self.factors @ process.at_sources(self.driven).mT
        out -= process.noise_factors @ process.at_sources(process.noise_factors).mT
        return out


def imbalance(process: Process, mask: Tensor) -> Imbalance:
    """How far a process is from its steady state, and the derivatives.

    Parameters
    ----------
    process
        The process; its network is 0 outside the mask.
    mask
        Where the network may be other than 0 (B, G, T).

    Notes
    -----
    Cost: some fifteen products (G, T) x (T, q) per process, instead of four (G, G) x (G, G) and their derivatives.
    """
    residual = _Residual(process)
    driven, factors = residual.driven, process.factors
    at_diagonal, columns = residual.diagonal(), residual.columns() * mask
    both = residual.times(torch.cat([factors, driven], dim=2))
    rank = factors.shape[2]
    by_factors, by_driven = both[..., :rank], both[..., rank:]  # R F, R A F
    by_noise = residual.times(process.noise_factors)
    products = columns * residual.of_sources[:, None] + (by_factors @ process.at_sources(factors).mT) * mask
    at_rate = (at_diagonal * process.diagonal).sum(dim=1) + (by_factors * factors).sum(dim=(1, 2))
    pulled = (process.network * columns).sum(dim=1)[..., None]  # (B, T, 1)
    by_diagonal = process.rate[:, None] * at_diagonal - process.placed(pulled)[..., 0]
    explained = process.diagonal * process.rate[:, None] * at_diagonal
    in_network = (process.network * columns * residual.of_sources[:, None]).sum(dim=(1, 2))
    square = 2.0 * (explained.sum(dim=1) - in_network + (by_factors * driven).sum(dim=(1, 2)))
    square = square - (at_diagonal * process.noise).sum(dim=1) - (by_noise * process.noise_factors).sum(dim=(1, 2))
    return Imbalance(
        square=square,
        network=-4.0 * products,
        rate=4.0 * at_rate,
        diagonal=4.0 * by_diagonal,
        factors=4.0 * (process.drift_back(by_factors) + by_driven),
        noise=-2.0 * at_diagonal,
        noise_factors=-4.0 * by_noise,
    )


def relative(weights: np.ndarray, source: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Weights (G, T) per standard deviation of regulator and target, whose deviations are given for all genes (G,)."""
    scaled: np.ndarray = weights * deviation[source] / deviation[:, None]
    return scaled


@dataclass(frozen=True)
class SteadyState:
    """What lasting changes of regulators come to.

    Parameters
    ----------
    effects
        Change of every gene with a change of a regulator by 1 (G, T); 0 for the regulator itself.
    damping
        What the network was divided by, so that no regulator changes itself too much; 1 for nothing.
    """

    effects: np.ndarray
    damping: float


def steady_state(
    weights: np.ndarray, source: np.ndarray, level: np.ndarray, *, column: bool = False, corrected: bool = True
) -> SteadyState:
    """Direct and indirect effects of all regulators on all genes.

    A lasting push of gene i changes the steady state by row i of D = ((I - N^T / damping)^-1)^T. Log shares cannot all
    rise, so what a push does to the sum of all shares is taken off; then every row is divided by what the push
    does to the regulator itself.

    Parameters
    ----------
    weights
        N in units of the rate (G, T).
    source
        Positions of the regulators among the genes (T,).
    level
        Mean log shares (G,).
    column
        Take off the mean of every column instead of every row, as the original does.
    corrected
        Whether to take off anything.
    """
    if not len(source):
        return SteadyState(np.zeros_like(weights), 1.0)
    share = np.exp(level - level.max())
    share /= share.sum()
    damping = 1.0
    for _ in range(_MOST_DAMPING):
        pushed = _pushed(weights / damping, source, share, column=column, corrected=corrected)  # (T, G)
        back = pushed[np.arange(len(source)), source]
        if np.isfinite(back).all() and back.min() >= _LEAST_RETURN and back.max() <= _MOST_RETURN:
            break
        damping *= _DAMPING
    effects = (pushed / back[:, None]).T
    effects[source, np.arange(len(source))] = 0.0
    return SteadyState(effects, damping)


def _pushed(weights: np.ndarray, source: np.ndarray, share: np.ndarray, *, column: bool, corrected: bool) -> np.ndarray:
    """Rows of D of the regulators (T, G).

    Only regulators pass changes on: with the network among them W (T, T), the row of regulator t is its own 1 and the
    network times column t of (I - W)^-1.
    """
    n_genes, n_sources = weights.shape
    among = weights[source]  # (T, T): target, source
    try:
        passed = np.linalg.inv(np.eye(n_sources) - among)
    except np.linalg.LinAlgError:
        return np.full((n_sources, n_genes), np.nan)
    pushed: np.ndarray = (weights @ passed).T  # (T, G)
    pushed[np.arange(n_sources), source] += 1.0
    if not corrected:
        return pushed
    if not column:
        pushed -= (pushed @ share)[:, None]
        return pushed
    # genes that regulate nothing change nothing but themselves
    weighted = share.copy()
    weighted[source] = 0.0
    pushed -= weighted + share[source] @ pushed
    return pushed
