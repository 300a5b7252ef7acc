"""A time series of knock-outs as arrays: efficiency of the guides, doses, moments, and where a fit starts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit
from scipy.stats import truncnorm

from grn._kernels.dynamics import Array, BlockMoments, Parameters, blocks_of, sums

SMALL = 1e-10


@dataclass(frozen=True)
class Screen:
    """Cells of a time series of knock-outs, those of the control first, then knock-out by knock-out, time by time.

    Parameters
    ----------
    values
        Expression (n, G).
    sizes
        Cells per knock-out and time (S, T); row 0 is the control.
    knocked
        Gene of every knock-out (S - 1,), as a position in the G genes.
    times
        Times (T,).
    """

    values: Array
    sizes: Array
    knocked: Array
    times: Array

    @cached_property
    def inputs(self) -> Array:
        """One input of unit dose per row (S, G)."""
        out = np.zeros((len(self.sizes), self.values.shape[1]))
        out[np.arange(1, len(out)), self.knocked] = 1.0
        return out

    @cached_property
    def observed(self) -> Array:
        """0 for the gene that is knocked out, else 1 (S, G)."""
        return np.asarray(1.0 - self.inputs)

    def drawn(self, random: np.random.Generator, *, controls: bool) -> Array:
        """Positions of cells drawn with replacement within every block (n,)."""
        sizes = self.sizes.ravel()
        starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
        places: Array = starts + (random.random(len(starts)) * np.repeat(sizes, sizes)).astype(np.int64)
        if not controls:
            n_controls = int(self.sizes[0].sum())
            places[:n_controls] = np.arange(n_controls)
        return places


@dataclass(frozen=True)
class Start:
    """Where a fit starts, and the largest size of entries of the network and of the levels."""

    at: Parameters
    most: tuple[float, float]


def efficiency(values: Array, sizes: Array) -> Array:
    """How strongly each cell shows its knock-out (n,): 1 / (1 + exp(gain in squared error)); 1 for controls.

    One step of an expectation maximisation after MIMOSCA: levels per time and shifts per knock-out by least squares,
    then cell by cell the squared error with the shift against that without, in units of the spread of the gene.
    """
    totals = sums(values, sizes.ravel()).reshape(*sizes.shape, -1)
    n = sizes.astype(np.float64)
    products = np.block([[np.diag(n[1:].sum(axis=1)), n[1:]], [n[1:].T, np.diag(n.sum(axis=0))]])
    fitted = np.linalg.lstsq(products, np.concatenate([totals[1:].sum(axis=1), totals.sum(axis=0)]), rcond=None)[0]
    shifts, levels = fitted[: len(n) - 1], fitted[len(n) - 1 :]
    out = np.ones(len(values))
    ends = np.cumsum(sizes.sum(axis=1))
    for s, shift in enumerate(shifts, start=1):
        rows = slice(ends[s - 1], ends[s])
        cells = values[rows]
        if len(cells) <= 2:
            continue
        spread = 2.0 * cells.var(axis=0, ddof=1)
        off = cells - np.repeat(levels, sizes[s], axis=0)
        gain = ((off - shift) ** 2 - off**2) / (spread + 0.5)
        out[rows] = expit(-gain[:, spread > 0].sum(axis=1))
    return out


def control_levels(controls: Array) -> Array:
    """Mean of the values above zero of every gene over control cells; 0 where there is none (G,)."""
    there = controls != 0
    return np.asarray(controls.sum(axis=0) / np.maximum(there.sum(axis=0), 1))


def doses(values: Array, screen: Screen) -> Array:
    """Change of the knocked-out gene in every cell (n,): minus its level in controls, times the efficiency."""
    level = control_levels(values[: screen.sizes[0].sum()])
    per_input = np.concatenate([[0.0], -level[screen.knocked]])
    return np.asarray(np.repeat(per_input, screen.sizes.sum(axis=1)) * efficiency(values, screen.sizes))


def moments(screen: Screen) -> BlockMoments:
    """Moments of the cells of a screen, with doses from its own cells."""
    return blocks_of(screen.values, doses(screen.values, screen), screen.sizes)


def elastic_net(blocks: BlockMoments, *, alpha: float = 5e-4, l1_ratio: float = 0.5) -> tuple[Array, Array]:
    """Effect per dose (S - 1, G) and level per time (T, G) by one elastic net per gene.

    The nets see a small table with the same cross products as the cells, which gives the same coefficients.
    """
    from sklearn.linear_model import ElasticNet

    n, dose = blocks.count, blocks.dose
    squares = (blocks.spread + n * dose**2)[1:].sum(axis=1)
    across = (n * dose)[1:]
    gram = np.block([[np.diag(squares), across], [across.T, np.diag(n.sum(axis=0))]])
    by_dose = (blocks.cross + (n * dose)[..., None] * blocks.mean)[1:].sum(axis=1)
    right = np.concatenate([by_dose, (n[..., None] * blocks.mean).sum(axis=0)])
    size, turn = np.linalg.eigh(gram)
    solid = size > 1e-12 * size[-1]
    scale = np.sqrt(solid.sum() / n.sum())
    root = np.sqrt(size[solid])
    table = scale * root[:, None] * turn[:, solid].T
    answers = scale * (turn[:, solid].T @ right) / root[:, None]
    net = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, fit_intercept=False, max_iter=10_000, tol=1e-6)
    # one gene at a time: a joint stopping rule would let a gene depend on its neighbours
    coefficients = np.array([net.fit(table, answer).coef_ for answer in answers.T])
    return coefficients[:, : len(squares)].T, coefficients[:, len(squares) :].T


def start_of(blocks: BlockMoments, knocked: Array) -> Start:
    """Start of a fit from elastic nets, delays at zero."""
    effects, levels = elastic_net(blocks)
    network = np.zeros((levels.shape[1],) * 2)
    network[:, knocked] = effects.T
    most = tuple(2.0 * float(np.abs(part).max(initial=0.0)) or 1.0 for part in (network, levels))
    return Start(Parameters(network, levels, np.zeros(len(knocked)), SMALL, SMALL), (most[0], most[1]))


def random_start(start: Start, random: np.random.Generator) -> Start:
    """The same start with the network drawn from a normal, cut at the bounds, as wide as the elastic nets' effects."""
    at, most = start.at, start.most[0]
    scale = float(at.network.std()) or 1.0
    network = truncnorm.rvs(-most / scale, most / scale, scale=scale, size=at.network.shape, random_state=random)
    return Start(Parameters(network, at.level, at.alpha, at.beta, at.gamma), start.most)
