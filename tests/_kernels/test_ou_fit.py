"""Gradients of the steady-state fit against automatic differentiation of the plain formula, padding, and parity."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.distributions import Binomial, LowRankMultivariateNormal, Normal

from grn._kernels import clipped_adam, ou_fit
from grn._kernels.clipped_adam import ClippedAdam
from grn._kernels.ou_cells import Counts, Local, Prior, expected, sampled
from grn._kernels.ou_fit import Setting, Shape
from grn._kernels.ou_start import Start, set_start


def made(n_cells=30, n_genes=8, n_sources=3, n_covariates=0, seed=0, dtype=torch.float32):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(np.exp(rng.normal(2.0, 0.7, (n_cells, n_genes))))
    depth = counts.sum(axis=1).astype(np.float64) + 5.0
    covariates = rng.normal(size=(n_cells, n_covariates))
    covariates -= covariates.mean(axis=0)
    mask = rng.random((n_genes, n_sources)) < 0.6
    mask[np.arange(n_sources), np.arange(n_sources)] = False
    mask[-1] = True
    begin = set_start(lambda part: counts[part], depth, covariates, n_sources, root=False)

    def tensor(values):
        return torch.as_tensor(np.asarray(values), dtype=dtype)[None]

    held = Counts(tensor(counts), tensor(depth), tensor(np.ones(n_cells)), tensor(np.ones(n_genes)), tensor(covariates))
    shape = Shape(torch.arange(n_sources)[None], tensor(mask), tensor(np.ones(begin.factors.shape[1])))
    start = Start(
        tensor(begin.level),
        tensor(begin.diagonal),
        tensor(begin.factors),
        tensor(np.zeros((n_genes, n_sources))),
        torch.ones(1, dtype=dtype),
        tensor(np.zeros((n_genes, 0))),
        tensor(begin.effects),
    )
    return held, shape, start


def plain(counts, local, prior, noise=None):
    """Objective without the imbalance, by the distributions of torch; expectations by 60 nodes."""
    level, diagonal, factors, effects = prior
    mean, sd = local[0], local[1].exp()
    centre = level[:, None] + counts.covariates @ effects
    gauss = LowRankMultivariateNormal(torch.zeros_like(centre), factors[:, None], diagonal[:, None])
    if noise is not None:
        x = mean + sd * noise
        likely = Binomial(counts.depth[..., None], logits=x, validate_args=False).log_prob(counts.counts)
        return Normal(mean, sd).log_prob(x).sum() - gauss.log_prob(x - centre).sum(), -likely.sum()
    precision = torch.linalg.inv(torch.diag_embed(diagonal) + factors @ factors.mT)
    spread = 0.5 * (precision.diagonal(dim1=1, dim2=2)[:, None] * sd**2).sum()
    divergence = -Normal(mean, sd).entropy().sum() - gauss.log_prob(mean - centre).sum() + spread
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    likely = 0.0
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        x = mean + sd * node
        likely = likely + weight * Binomial(counts.depth[..., None], logits=x, validate_args=False).log_prob(
            counts.counts
        )
    return divergence, -likely.sum()


class Recorder:
    """Stands for Adam and keeps the gradients."""

    def __init__(self):
        self.gradients = []

    def move(self, value, gradient, moments):
        self.gradients.append(gradient.clone())


@pytest.mark.parametrize("drawn", [False, True])
@pytest.mark.parametrize("n_covariates", [0, 2])
def test_gradients_are_those_of_the_plain_formula(drawn, n_covariates):
    counts, _, start = made(n_covariates=n_covariates, dtype=torch.float64)
    torch.manual_seed(1)
    noise = torch.randn(counts.counts.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    local = [
        (start.level[:, None] + 0.3 * torch.randn_like(counts.counts)).requires_grad_(),
        (-1.0 + 0.2 * torch.randn_like(counts.counts)).requires_grad_(),
    ]
    prior = [part.clone().requires_grad_() for part in (start.level, start.diagonal, start.factors, start.effects)]
    divergence, unlikely = plain(counts, local, prior, noise if drawn else None)
    wanted = torch.autograd.grad(divergence + unlikely, [*local, *prior], allow_unused=True)
    ours = Prior(*(part.detach() for part in prior))
    recorder = Recorder()
    pairs = ((local[0].detach(),) * 2, (local[1].detach(),) * 2)
    held = Local(local[0].detach().clone(), local[1].detach().clone(), pairs)
    if drawn:
        sums = sampled(counts, held, ours, recorder, torch.Generator().manual_seed(3))
    else:
        sums = expected(counts, held, ours, recorder)
    close = {"rtol": 5e-4, "atol": 2e-3} if not drawn else {"rtol": 1e-9, "atol": 1e-8}
    gradient = ours.gradient(sums)
    found = [*recorder.gradients, gradient.level, gradient.diagonal, gradient.factors, gradient.effects]
    for name, one, other in zip(("mean", "log sd", "level", "d", "F", "effects"), found, wanted, strict=True):
        if other is not None:
            torch.testing.assert_close(one, other, **close, msg=lambda text, name=name: f"{name}: {text}")
    torch.testing.assert_close(sums.prior.sum(), divergence.detach(), rtol=1e-9, atol=1e-6)
    choices = ou_fit._choices(counts).sum()
    torch.testing.assert_close(sums.counts.sum() + choices, unlikely.detach(), rtol=1e-5, atol=1e-4)


def test_clipped_adam_takes_the_steps_of_adam():
    value = torch.tensor([1.0, -2.0])
    wanted = value.clone().requires_grad_()
    ours, theirs = ClippedAdam(0.1, 1.0), torch.optim.Adam([wanted], lr=0.1, eps=1e-12)
    moments = clipped_adam.moments_of(value)
    for gradient in ([0.5, -1.0], [2.0, 0.1], [-0.3, 0.7]):
        ours.advance()
        ours.move(value, torch.tensor(gradient), moments)
        wanted.grad = torch.tensor(gradient)
        theirs.step()
    torch.testing.assert_close(value, wanted.detach(), rtol=1e-5, atol=1e-6)
    ours.advance()
    before = value.clone()
    ours.move(value, torch.tensor([1e9, -1e9]), clipped_adam.moments_of(value))
    assert (value - before).abs().max() < 1.0


def run(counts, shape, start, setting, **more):
    more = {"paired": not setting.sampled, **more}
    return {place: one for place, one in ou_fit.fit(counts, shape, start, setting, **more) if one is not None}


def padded(parts, sizes):
    """Sets of tensors as one batch, padded with zeros."""
    out = []
    for group, size in zip(zip(*parts, strict=True), sizes, strict=True):
        batch = torch.zeros((len(group), *size), dtype=group[0].dtype)
        for place, part in enumerate(group):
            batch[(place, *(slice(n) for n in part.shape[1:]))] = part[0]
        out.append(batch)
    return out


def test_sets_of_a_padded_batch_are_those_fitted_alone():
    sets = [made(seed=1, dtype=torch.float64), made(n_cells=21, n_genes=6, n_sources=2, seed=2, dtype=torch.float64)]
    setting = Setting(n_steps=100, tolerance=None)
    alone = [run(*one, setting)[0] for one in sets]
    fields = ("counts", "depth", "cells", "genes", "covariates")
    counts = Counts(
        *padded([[getattr(one[0], name) for name in fields] for one in sets], [(30, 8), (30,), (30,), (8,), (30, 0)])
    )
    shape = Shape(*padded([[one[1].source, one[1].mask, one[1].factors] for one in sets], [(3,), (8, 3), (3,)]))
    names = ("level", "diagonal", "factors", "network", "rate", "noise_factors", "effects")
    parts = padded(
        [[getattr(one[2], name) for name in names] for one in sets],
        [(8,), (8,), (8, 3), (8, 3), (), (8, 0), (0, 8)],
    )
    parts[1] = torch.where(counts.genes > 0, parts[1], 1.0)
    both = run(counts, shape, Start(*parts), setting)
    for place, one in enumerate(alone):
        n_sources = one.network.shape[1]
        np.testing.assert_allclose(both[place].network[:, :n_sources], one.network, atol=1e-8)
        np.testing.assert_allclose(both[place].level, one.level, atol=1e-8)
        np.testing.assert_allclose(both[place].losses[-1, 1:].sum(), one.losses[-1, 1:].sum(), rtol=1e-8)


def joined(kind, parts):
    tensors = {name: value for name, value in vars(parts[0]).items() if isinstance(value, torch.Tensor)}
    return kind(**{name: torch.cat([getattr(part, name) for part in parts]) for name in tensors})


def test_sets_that_are_done_leave_and_the_others_go_on():
    one, other = (made(seed=seed, dtype=torch.float64) for seed in (1, 2))
    setting = Setting(n_steps=1500, tolerance=1e-2)
    alone = [run(*each, setting)[0] for each in (one, other)]
    assert alone[0].converged and len({len(each.losses) for each in alone}) == 2
    counts, shape, start = (
        joined(kind, parts) for kind, parts in zip((Counts, Shape, Start), zip(one, other, strict=True), strict=True)
    )
    both = run(counts, shape, start, setting)
    for place, each in enumerate(alone):
        assert len(both[place].losses) == len(each.losses)
        np.testing.assert_allclose(both[place].network, each.network, atol=1e-12)


def test_the_start_is_the_same_from_either_side():
    rng = np.random.default_rng(0)
    counts = rng.poisson(20.0, (40, 25))
    depth = counts.sum(axis=1).astype(np.float64)
    tall = set_start(lambda part: counts[part], depth, np.zeros((40, 0)), 3, root=False)
    table = np.log(counts / depth[:, None] + 1e-6)
    table -= table.mean(axis=0)
    _, sizes, vectors = np.linalg.svd(table, full_matrices=False)
    wanted = (vectors[:3].T * sizes[:3]) / np.sqrt(40)
    np.testing.assert_allclose(tall.factors @ tall.factors.T, wanted @ wanted.T, atol=1e-10)
    wide = set_start(lambda part: counts[:20][part], depth[:20], np.zeros((20, 0)), 3, root=True)
    table = np.log(counts[:20] / depth[:20, None] + 1e-6)
    table -= table.mean(axis=0)
    left = (table**2).mean(axis=0) - (wide.factors**2).sum(axis=1)
    np.testing.assert_allclose(wide.diagonal, np.sqrt(left), atol=1e-10)


@pytest.mark.slow
def test_the_fit_is_that_of_the_original(shared_dir):
    folder = shared_dir / "reference" / "dictys"

    def read(name):
        return pd.read_csv(folder / f"{name}.tsv.gz", sep="\t", index_col=0)

    table, mask = read("expression"), read("mask")
    genes, counts = list(table.index), table.to_numpy().T.astype(np.float32)
    n_cells, n_genes = counts.shape
    depth = counts.sum(axis=1).astype(np.float64)
    begin = set_start(lambda part: counts[part], depth, np.zeros((n_cells, 0)), len(mask), root=True)

    def tensor(values):
        return torch.as_tensor(np.asarray(values), dtype=torch.float32)[None]

    draws = torch.Generator().manual_seed(3)
    start = Start(
        tensor(begin.level),
        tensor(begin.diagonal),
        tensor(begin.factors),
        0.01 * torch.randn(1, n_genes, len(mask), generator=draws),
        torch.ones(1),
        torch.zeros(1, n_genes, 0),
        torch.zeros(1, 0, n_genes),
    )
    held = Counts(
        tensor(counts), tensor(depth), torch.ones(1, n_cells), torch.ones(1, n_genes), torch.zeros(1, n_cells, 0)
    )
    sources = torch.tensor([[genes.index(name) for name in mask.index]])
    shape = Shape(sources, tensor(mask[genes].to_numpy().T), torch.ones(1, len(mask)))
    (got,) = run(held, shape, start, Setting(tolerance=None, sampled=True, haste=1.0), draws=draws).values()
    weight, listed = (got.network / got.rate).T, mask[genes].to_numpy() > 0
    ours = got.losses[-200:, 1:].sum(axis=1).mean()
    for seed in (12345, 1):
        theirs = read(f"seed{seed}_weight")[genes].to_numpy()
        assert np.corrcoef(weight[listed], theirs[listed])[0, 1] >= 0.93
        assert abs(ours / read(f"seed{seed}_loss").to_numpy()[-200:].sum(axis=1).mean() - 1.0) < 0.005
    first = read("seed1_loss").to_numpy()[0]
    np.testing.assert_allclose(got.losses[0, 1:], first, rtol=0.1)
    off = np.array([[gene != name for gene in genes] for name in mask.index])
    assert np.corrcoef(weight[off], read("true_direct_effect")[genes].to_numpy()[off])[0, 1] >= 0.82
