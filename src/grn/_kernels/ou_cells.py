"""Counts of cells around a Gaussian latent expression: gradients and values, block by block.

Of gene g in cell c the log share x is Gaussian with mean ``level`` and covariance S = diag(d) + F F^T over genes, the
count is binomial in the depth of the cell with logit x. The posterior of x is taken as Gaussian, independent over
genes, with mean m and deviation s.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from grn._kernels.clipped_adam import ClippedAdam

# log deviations of the posterior stay below this, so that no exponential overflows
_MOST_SPREAD = math.log(4.0)
_ROOT = math.sqrt(3.0)
# entries of a block of cells: what fits into caches, and what keeps an accelerator busy
_BLOCK, _LARGE_BLOCK = 2**18, 2**27


@dataclass(frozen=True)
class Counts:
    """Counts of B sets of n cells and G genes, some of them padding.

    Parameters
    ----------
    counts
        Counts (B, n, G), 0 where padded.
    depth
        Trials per cell (B, n), 0 where padded.
    cells
        1 for cells, 0 for padding (B, n).
    genes
        1 for genes, 0 for padding (B, G).
    covariates
        Covariates (B, n, K), 0 where padded.
    """

    counts: Tensor
    depth: Tensor
    cells: Tensor
    genes: Tensor
    covariates: Tensor

    def take(self, sets: Tensor) -> Counts:
        """Some of the sets."""
        return Counts(*(getattr(self, name)[sets] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Local:
    """Posterior of every entry (B, n, G): mean, log deviation, and the two moments of Adam of both."""

    mean: Tensor
    log_sd: Tensor
    moments: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]

    def take(self, sets: Tensor) -> Local:
        """Some of the sets."""
        pairs = [(pair[0][sets], pair[1][sets]) for pair in self.moments]
        return Local(self.mean[sets], self.log_sd[sets], (pairs[0], pairs[1]))


class Sums:
    """What the gradient of the prior needs of all cells, of x - level or its mean under the posterior."""

    def __init__(self, counts: Counts, rank: int) -> None:
        n_sets, n_genes = counts.genes.shape
        new = counts.depth.new_zeros
        self.n_cells = counts.cells.sum(dim=1)
        self.scored = new(n_sets, n_genes)  # sums of S^-1 x
        self.squares = new(n_sets, n_genes)  # of its squares
        self.variances = new(n_sets, n_genes)  # of s^2
        self.factors = new(n_sets, n_genes, rank)  # of x x^T S^-1 F
        self.effects = new(n_sets, counts.covariates.shape[2], n_genes)
        self.prior, self.counts = new(n_sets, dtype=torch.float64), new(n_sets, dtype=torch.float64)


@dataclass(frozen=True)
class PriorGradient:
    """Derivatives by the parameters of :class:`Prior`."""

    level: Tensor
    diagonal: Tensor
    factors: Tensor
    effects: Tensor


class Prior:
    """The Gaussian of the latent expression of B sets.

    Parameters
    ----------
    level
        Means (B, G).
    diagonal, factors
        d (B, G) and F (B, G, q) of the covariance S.
    effects
        Effects of covariates (B, K, G).
    """

    def __init__(self, level: Tensor, diagonal: Tensor, factors: Tensor, effects: Tensor) -> None:
        self.level, self.diagonal, self.effects = level, diagonal, effects
        self.scaled = factors / diagonal[..., None]  # d^-1 F (B, G, q)
        eye = torch.eye(factors.shape[2], dtype=factors.dtype, device=factors.device)
        root = torch.linalg.cholesky(factors.mT @ self.scaled + eye)
        self.inner = torch.cholesky_inverse(root)  # (B, q, q)
        self.solved = self.scaled @ self.inner  # S^-1 F
        self.explained = (self.solved * self.scaled).sum(dim=2)
        self.precision = 1.0 / diagonal - self.explained  # diagonal of S^-1
        log_root = root.diagonal(dim1=1, dim2=2).log().double().sum(dim=1)
        self.log_det = diagonal.log().double().sum(dim=1) + 2.0 * log_root

    def gradient(self, sums: Sums) -> PriorGradient:
        """Derivatives of the negative log density, from sums over cells."""
        spread = sums.variances[..., None]
        inner = sums.factors + spread * self.solved
        solved = inner / self.diagonal[..., None] - self.solved @ (self.scaled.mT @ inner)
        by_factors = sums.n_cells[:, None, None] * self.solved - solved
        middle = self.inner @ (self.scaled.mT @ (spread * self.scaled)) @ self.inner
        pulled = sums.variances / self.diagonal * (1.0 / self.diagonal - 2.0 * self.explained)
        pulled = pulled + ((self.scaled @ middle) * self.scaled).sum(dim=2)
        by_diagonal = 0.5 * (sums.n_cells[:, None] * self.precision - sums.squares - pulled)
        return PriorGradient(-sums.scored, by_diagonal, by_factors, -sums.effects)


def blocks(counts: Counts) -> Iterator[tuple[slice, slice]]:
    """Sets and cells that are looked at together: several small sets, or some cells of a large one."""
    n_sets, n_cells, n_genes = counts.counts.shape
    size = _BLOCK if counts.counts.device.type == "cpu" else _LARGE_BLOCK
    if n_cells * n_genes <= size:
        # no block of a single set beside others: its products would be rounded in another way
        n_blocks = max(1, min(n_sets // 2, -(-n_sets * n_cells * n_genes // size)))
        ends = [n_sets * k // n_blocks for k in range(n_blocks + 1)]
        yield from ((slice(first, end), slice(None)) for first, end in pairwise(ends))
        return
    step = size // _BLOCK * _cells_drawn(n_genes)
    for place in range(n_sets):
        yield from ((slice(place, place + 1), slice(first, first + step)) for first in range(0, n_cells, step))


def expected(counts: Counts, local: Local, prior: Prior, adam: ClippedAdam | None, *, value: bool = True) -> Sums:
    """Sums over all cells with the Gaussian terms in closed form; moves the posteriors if there is an ``adam``.

    The expectation of log(1 + exp x) is that of exp(x), in closed form, times a function of x that hardly varies where
    shares are small, by three nodes of Gauss and Hermite around the mean of the tilted Gaussian.
    """
    sums = Sums(counts, prior.scaled.shape[2])
    for sets, cells in blocks(counts):
        mean, log_sd = local.mean[sets, cells], local.log_sd[sets, cells]
        count, depth = counts.counts[sets, cells], counts.depth[sets, cells, None]
        sd = log_sd.exp()
        variance = sd.square()
        pull = _pulled(counts, prior, sums, sets, cells, mean)
        _add(sums.variances[sets], variance, counts.cells[sets, cells])
        share = (mean + 0.5 * variance).exp_()
        tilted = (mean + variance).exp_()
        step = sd.mul_(_ROOT).exp_()
        nodes = (tilted, tilted * step, tilted / step)
        if value:
            rest = sum(weight * v.log1p().div_(v) for weight, v in zip((2 / 3, 1 / 6, 1 / 6), nodes, strict=True))
            trials = (depth * share).mul_(rest).sub_(count * mean)
            sums.counts[sets] += trials.sum(dim=(1, 2), dtype=torch.float64)
            entropy = (0.5 * prior.precision[sets, None] * variance).sub_(log_sd).sub_(0.5)
            _add_total(sums.prior[sets], entropy, counts.cells[sets, cells])
        if adam is None:
            continue
        first, second = _moments_of_rest(nodes)
        share.mul_(depth)
        pull.add_(first.mul_(share)).sub_(count)
        spread = second.mul_(share).add_(prior.precision[sets, None]).mul_(variance).sub_(1.0)
        adam.move(mean, pull, _part(local.moments[0], sets, cells))
        adam.move(log_sd, spread, _part(local.moments[1], sets, cells))
        log_sd.clamp_(max=_MOST_SPREAD)
    return _with_log_det(sums, prior)


def _cells_drawn(n_genes: int) -> int:
    return max(1, _BLOCK // n_genes)


def _normal(like: Tensor, draws: torch.Generator) -> Tensor:
    """Normal values (B, n, G), drawn by the processor in blocks of one size: the same on every device."""
    parts = [
        torch.randn(part.shape, dtype=part.dtype, generator=draws)
        for part in like.split(_cells_drawn(like.shape[2]), dim=1)
    ]
    return torch.cat(parts, dim=1).to(like.device)


def sampled(counts: Counts, local: Local, prior: Prior, adam: ClippedAdam | None, draws: torch.Generator) -> Sums:
    """Sums over all cells with one draw of every entry; moves the posteriors if there is an ``adam``."""
    sums = Sums(counts, prior.scaled.shape[2])
    for sets, cells in blocks(counts):
        mean, log_sd = local.mean[sets, cells], local.log_sd[sets, cells]
        count, depth = counts.counts[sets, cells], counts.depth[sets, cells, None]
        noise = _normal(mean, draws)
        noise.mul_(counts.genes[sets, None])
        drawn = (log_sd.exp() * noise).add_(mean)
        pull = _pulled(counts, prior, sums, sets, cells, drawn)
        trials = torch.nn.functional.softplus(drawn).mul_(depth).sub_(count * drawn)
        sums.counts[sets] += trials.sum(dim=(1, 2), dtype=torch.float64)
        _add_total(sums.prior[sets], noise.square().mul_(-0.5).sub_(log_sd), counts.cells[sets, cells])
        if adam is None:
            continue
        pull.add_(torch.sigmoid(drawn).mul_(depth)).sub_(count)
        spread = drawn.sub_(mean).mul_(pull).sub_(1.0)
        adam.move(mean, pull, _part(local.moments[0], sets, cells))
        adam.move(log_sd, spread, _part(local.moments[1], sets, cells))
    return _with_log_det(sums, prior)


def _pulled(counts: Counts, prior: Prior, sums: Sums, sets: slice, cells: slice, values: Tensor) -> Tensor:
    """S^-1 x of values x + level (b, c, G), and what the prior needs of it."""
    x = values - prior.level[sets, None]
    given = counts.covariates[sets, cells]
    if given.shape[2]:
        x.baddbmm_(given, prior.effects[sets], alpha=-1)
    loads = (x @ prior.scaled[sets]) @ prior.inner[sets]  # S^-1 F by cell (b, c, q)
    pull = (x / prior.diagonal[sets, None]).baddbmm_(loads, prior.scaled[sets].mT, alpha=-1)
    weight = counts.cells[sets, cells]
    _add_total(sums.prior[sets], (x * pull).mul_(0.5), weight)
    loads.mul_(weight[..., None])
    sums.factors[sets] += x.mT @ loads
    _add(sums.scored[sets], pull, weight)
    _add(sums.squares[sets], pull.square(), weight)
    if given.shape[2]:
        sums.effects[sets] += given.mT @ pull
    return pull


def _moments_of_rest(nodes: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Expectation of 1 / (1 + exp x) and of its square, over the nodes."""
    middle, high, low = (v.add_(1.0).reciprocal_() for v in nodes)
    first = (high + low).mul_(0.25).add_(middle).mul_(2 / 3)
    second = high.square_().add_(low.square_()).mul_(0.25).add_(middle.square_()).mul_(2 / 3)
    return first, second


def _part(moments: tuple[Tensor, Tensor], sets: slice, cells: slice) -> tuple[Tensor, Tensor]:
    return moments[0][sets, cells], moments[1][sets, cells]


def _add(total: Tensor, values: Tensor, weight: Tensor) -> None:
    """Add sums (b, G) over cells of values (b, c, G), without padded ones."""
    total += (weight[:, None] @ values)[:, 0]


def _add_total(total: Tensor, values: Tensor, weight: Tensor) -> None:
    """Add sums (b,) over cells and genes, without padded cells."""
    total += (values.sum(dim=2, dtype=torch.float64) * weight).sum(dim=1)


def _with_log_det(sums: Sums, prior: Prior) -> Sums:
    sums.prior += 0.5 * sums.n_cells * prior.log_det
    return sums
