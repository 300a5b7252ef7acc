"""Imbalance of linear processes against the dense formula, and steady states against the reference of Dictys."""

import numpy as np
import pandas as pd
import pytest
import torch

from grn._kernels.steady_state import Process, imbalance, relative, steady_state


def process(n_sets=2, n_genes=12, n_sources=4, rank=5, n_noise=2):
    torch.manual_seed(0)
    new = {"dtype": torch.float64}
    source = torch.stack([torch.randperm(n_genes)[:n_sources] for _ in range(n_sets)])
    mask = (torch.rand(n_sets, n_genes, n_sources) < 0.5).to(torch.float64)
    mask.scatter_(1, source[:, None], 0.0)
    return mask, Process(
        torch.randn(n_sets, n_genes, n_sources, **new) * mask,
        source,
        torch.rand(n_sets, **new) + 0.5,
        torch.rand(n_sets, n_genes, **new),
        torch.randn(n_sets, n_genes, rank, **new),
        torch.rand(n_sets, n_genes, **new),
        torch.randn(n_sets, n_genes, n_noise, **new),
    )


PARTS = ("network", "rate", "diagonal", "factors", "noise", "noise_factors")


@pytest.mark.parametrize("n_noise", [0, 2])
def test_imbalance_and_its_derivatives_are_those_of_the_dense_formula(n_noise):
    mask, made = process(n_noise=n_noise)
    free = {name: getattr(made, name).clone().requires_grad_() for name in PARTS}
    n_genes = made.diagonal.shape[1]
    network = torch.stack(
        [
            torch.zeros(n_genes, n_genes, dtype=torch.float64).index_add(1, columns, weights)
            for columns, weights in zip(made.source, free["network"] * mask, strict=True)
        ]
    )
    drift = free["rate"][:, None, None] * torch.eye(n_genes, dtype=torch.float64) - network
    covariance = torch.diag_embed(free["diagonal"]) + free["factors"] @ free["factors"].mT
    noise = torch.diag_embed(free["noise"]) + free["noise_factors"] @ free["noise_factors"].mT
    square = ((drift @ covariance + covariance @ drift.mT - noise) ** 2).sum(dim=(1, 2))
    wanted = torch.autograd.grad(square.sum(), list(free.values()))
    off = imbalance(made, mask)
    torch.testing.assert_close(off.square, square.detach(), rtol=1e-10, atol=1e-10)
    for name, value in zip(PARTS, wanted, strict=True):
        torch.testing.assert_close(getattr(off, name), value, rtol=1e-9, atol=1e-9)


def test_a_process_in_its_steady_state_is_balanced():
    mask, made = process(n_sets=1, n_noise=0)
    drift = made.drift(torch.eye(12, dtype=torch.float64)[None])
    assert drift.shape == (1, 12, 12)
    covariance = torch.diag_embed(made.diagonal) + made.factors @ made.factors.mT
    noise = drift @ covariance + covariance @ drift.mT
    assert (drift @ covariance + covariance @ drift.mT - noise).abs().max() == 0
    back = made.drift_back(torch.eye(12, dtype=torch.float64)[None])
    torch.testing.assert_close(back, drift.mT)
    assert mask.sum() > 0


@pytest.fixture
def reference(shared_dir):
    folder = shared_dir / "reference" / "dictys"

    def read(name):
        return pd.read_csv(folder / f"{name}.tsv.gz", sep="\t", index_col=0)

    return read


@pytest.mark.parametrize("seed", [12345, 1])
def test_weights_and_steady_states_are_those_of_the_original(reference, seed):
    levels = reference(f"seed{seed}_meanvar")
    genes = list(levels.index)
    tables = {
        name: reference(f"seed{seed}_{name}")[genes].to_numpy().T
        for name in ("weight", "nweight", "iweight", "inweight")
    }
    source = np.array([genes.index(name) for name in reference("mask").index])
    factors = reference(f"seed{seed}_covfactor").loc[genes].to_numpy()
    deviation = np.sqrt(levels["var"].to_numpy() + (factors**2).sum(axis=1))
    np.testing.assert_allclose(relative(tables["weight"], source, deviation), tables["nweight"], atol=1e-8)
    got = steady_state(tables["weight"], source, levels["mean"].to_numpy(), column=True)
    np.testing.assert_allclose(got.effects, tables["iweight"], atol=1e-8)
    np.testing.assert_allclose(relative(got.effects, source, deviation), tables["inweight"], atol=1e-8)
    assert got.damping == 1.0


def test_effects_of_a_chain_pass_through_it():
    weights = np.zeros((3, 2))
    weights[1, 0], weights[2, 1] = 0.5, -0.4
    got = steady_state(weights, np.array([0, 1]), np.zeros(3), corrected=False)
    np.testing.assert_allclose(got.effects, [[0.0, 0.0], [0.5, 0.0], [-0.2, -0.4]])


def test_the_correction_by_rows_leaves_the_sum_of_shares():
    rng = np.random.default_rng(0)
    weights = 0.3 * rng.normal(size=(6, 3))
    source, level = np.array([0, 2, 4]), rng.normal(size=6)
    weights[source, np.arange(3)] = 0.0
    share = np.exp(level) / np.exp(level).sum()
    inverse = np.linalg.inv(np.eye(6) - _square(weights, source))
    pushed = inverse.T[source]
    wanted = pushed - (pushed @ share)[:, None]
    back = wanted[np.arange(3), source]
    wanted = wanted / back[:, None]
    assert np.abs(wanted @ share).max() < 1e-12
    wanted[np.arange(3), source] = 0.0
    np.testing.assert_allclose(steady_state(weights, source, level).effects, wanted.T, atol=1e-12)


def _square(weights, source):
    out = np.zeros((len(weights), len(weights)))
    out[:, source] = weights
    return out


def test_a_loop_that_does_not_come_to_rest_is_damped():
    weights = np.array([[0.0, 1.2], [1.1, 0.0], [0.5, 0.0]])
    got = steady_state(weights, np.array([0, 1]), np.zeros(3), corrected=False)
    assert got.damping > 1.0 and np.isfinite(got.effects).all()
