"""The gradient trajectory against reverse mode and against differences, both in double precision."""

import copy

import numpy as np
import pytest
import torch

import grn
from grn.errors import CapabilityError, ParameterError
from grn.models import Memory

BACKGROUNDS = ["fixed", "moving"]
STEP = 1e-3


def double(model):
    return Memory(copy.deepcopy(model.network).double(), model.genes, name="double", sha256="")


def cells(panel, sources, grid, background):
    """Virtual cells (S, T, n) in double precision."""
    values = torch.zeros(len(sources), len(grid), len(panel), dtype=torch.float64)
    points = torch.tensor(grid, dtype=torch.float64)
    if background == "moving":
        values[:] = points[:, None]
    for i, gene in enumerate(sources):
        values[i, :, panel.genes.index(gene)] = points
    return values


def reverse_mode(model, panel, values, sources):
    """One backward pass per (source, point, target): (R, S, T)."""
    out = np.empty((len(panel.targets), *values.shape[:2]))
    for s, gene in enumerate(sources):
        x = values[s].clone().requires_grad_()
        response = model.respond(panel, x)
        for j in range(out.shape[0]):
            (grad,) = torch.autograd.grad(response[:, j].sum(), x, retain_graph=True)
            out[j, s] = grad[:, panel.genes.index(gene)].numpy()
    return out


def differences(model, panel, values, sources):
    """Central differences of the response to the source, (R, S, T)."""
    out = np.empty((len(panel.targets), *values.shape[:2]))
    for s, gene in enumerate(sources):
        step = torch.zeros(len(panel), dtype=torch.float64)
        step[panel.genes.index(gene)] = STEP
        up, down = model.respond(panel, values[s] + step), model.respond(panel, values[s] - step)
        out[:, s] = ((up - down) / (2 * STEP)).T.numpy()
    return out


@pytest.fixture(params=["mini", "random"])
def case(request, _mini, random_model, blood, toy):
    """Model, object and three sources, of which one is asked for out of order."""
    if request.param == "mini":
        return _mini, blood[:0].copy(), ["IRF8", "SPI1", "LYZ"]
    return random_model, toy[:0, :14].copy(), ["TAL1", "GATA1", "VAC14"]


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_equals_reverse_mode_and_differences(case, background):
    model, adata, sources = case
    grn.tl.gradient_trajectory(adata, model=model, sources=sources, background=background)
    cube = adata.varm["gradient_trajectory"]
    exact = double(model)
    panel = exact.panel(sources, list(adata.var_names))
    assert panel.targets == tuple(adata.var_names) and not panel.unknown
    values = cells(panel, sources, model.value_scale.gradient_grid, background)
    off_diagonal = ~np.isnan(cube)
    assert (~off_diagonal).sum() == len(sources) * cube.shape[2], "only self pairs are missing"

    for reference, tolerance in ((reverse_mode, 1e-5), (differences, 1e-3)):
        truth = reference(exact, panel, values, sources)
        scale = np.abs(truth).max(axis=(0, 2), keepdims=True)
        assert (scale > 1e-4).all(), "the test says nothing about a model that does not respond"
        error = np.abs(cube - truth) / scale
        assert error[off_diagonal].max() < tolerance, f"{reference.__name__}: {error[off_diagonal].max():.2e}"


def test_backgrounds_differ(case):
    model, adata, sources = case
    cubes = []
    for background in BACKGROUNDS:
        grn.tl.gradient_trajectory(adata, model=model, sources=sources[:1], background=background)
        cubes.append(adata.varm["gradient_trajectory"])
        assert adata.uns["gradient_trajectory"]["params"]["background"] == background
    assert np.nanmax(np.abs(cubes[0] - cubes[1])) > 1e-3 * np.nanmax(np.abs(cubes[0]))


def test_integrates_to_the_perturbation(random_model, toy):
    """Simpson's rule over the gradient gives the difference of two perturbations."""
    adata, fine = toy[:0, :10].copy(), np.linspace(-1, 1, 21)
    grn.tl.gradient_trajectory(adata, model=random_model, sources=["GATA1"], grid=fine)
    grn.tl.vvp(adata, model=random_model, sources=["GATA1"], grid=[-1, 1])
    weights = np.array([1, *([4, 2] * 10)[:-1], 1]) * (fine[1] - fine[0]) / 3
    integral = (adata.varm["gradient_trajectory"][1:, 0] * weights).sum(-1)
    change = adata.varm["vvp"][1:, 0, 1] - adata.varm["vvp"][1:, 0, 0]
    assert np.allclose(integral, change, rtol=1e-3, atol=1e-3 * np.abs(change).max())


def test_tanh_jacobian(planted, weights, toy):
    model, adata = planted(kind="tanh"), toy[:0].copy()
    W = weights.loc[adata.var_names[:8], adata.var_names].T.to_numpy()[:, :, None]
    grid = np.asarray(model.value_scale.gradient_grid)
    grn.tl.gradient_trajectory(adata, model=model)
    found = adata.varm["gradient_trajectory"]
    known = ~np.isnan(found)
    assert np.allclose(found[known], (W * (1 - np.tanh(W * grid) ** 2))[known], atol=1e-6)
    grn.tl.gradient_trajectory(adata, model=model, background="moving")
    totals = weights.loc[adata.var_names, adata.var_names].sum(axis=0).to_numpy()[:, None, None]
    moving = W * (1 - np.tanh(totals * grid) ** 2)
    assert np.allclose(adata.varm["gradient_trajectory"][known], moving[known], atol=1e-6)


def test_refusals(refuses, planted, toy):
    f = grn.tl.gradient_trajectory
    assert "fixed, moving" in refuses(ParameterError, f, toy, model=planted(), background="still")
    message = refuses(ParameterError, f, toy, model=planted(), background="moving", context="mean")
    assert "context='virtual'" in message
    model = planted()
    model.capabilities = frozenset({"value", "embedding"})
    message = refuses(CapabilityError, f, toy, model=model)
    assert "'gradient'" in message and "embedding, value" in message
    assert "'gradient'" in refuses(CapabilityError, grn.tl.probe, toy, model=model)
    grn.tl.vvp(toy, model=model, sources=["GATA1"])
