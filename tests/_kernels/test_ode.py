"""Solvers of differential equations against closed forms, scipy and torchdiffeq."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from grn._kernels.edge_product import Edges
from grn._kernels.ode import integrate
from grn.errors import ParameterError

SIZE = 6


@pytest.fixture
def linear() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(SIZE, SIZE)) - 2 * np.eye(SIZE), rng.normal(size=(5, SIZE))


def gene_drift(rng: np.random.Generator, dtype=torch.float64):
    weights, bias = (torch.as_tensor(rng.normal(size=size), dtype=dtype) for size in ((SIZE, SIZE), SIZE))
    decay = torch.as_tensor(rng.uniform(0.2, 1.0, SIZE), dtype=dtype)
    return lambda t, x: torch.sigmoid(x @ weights + bias) - decay * x


@pytest.mark.parametrize(("method", "options", "close"), [("rk4", {"step": 0.01}, 1e-8), ("dopri5", {}, 1e-5)])
def test_a_linear_equation_is_solved_by_the_matrix_exponential(linear, method, options, close):
    matrix, start = linear
    times = np.array([0.0, 0.3, 0.35, 2.0])
    by_gene = torch.as_tensor(matrix).T
    states = integrate(lambda t, x: x @ by_gene, torch.as_tensor(start), times, method=method, **options)
    assert states.shape == (4, 5, SIZE)
    expected = np.stack([start @ expm(matrix * t).T for t in times])
    np.testing.assert_allclose(states.numpy(), expected, atol=close)


def test_the_error_of_fixed_steps_falls_with_their_fourth_power(linear):
    matrix, start = linear
    by_gene, exact = torch.as_tensor(matrix).T, start @ expm(matrix).T
    errors = [
        np.abs(
            integrate(lambda t, x: x @ by_gene, torch.as_tensor(start), [0.0, 1.0], step=h)[-1].numpy() - exact
        ).max()
        for h in (0.1, 0.05, 0.025)
    ]
    order = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert ((order > 3.7) & (order < 4.5)).all()


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_time_matters_and_may_run_backwards(method):
    # dx/dt = cos t
    start = torch.zeros(3, 1, dtype=torch.float64)
    for times in ([0.0, 1.0, 2.5], [2.0, 1.0, -1.0]):
        states = integrate(lambda t, x: x * 0 + np.cos(t), start, times, method=method, step=0.01)
        expected = np.sin(times) - np.sin(times[0])
        np.testing.assert_allclose(states[:, 0, 0].numpy(), expected, atol=1e-5)


def test_adaptive_steps_agree_with_scipy_and_torchdiffeq():
    rng = np.random.default_rng(1)
    drift, start = gene_drift(rng), torch.as_tensor(rng.uniform(0, 3, (4, SIZE)))
    times = np.linspace(0, 5, 7)
    states = integrate(drift, start, times, method="dopri5", rtol=1e-9, atol=1e-11).numpy()
    for cell, first in enumerate(start.numpy()):
        by_scipy = solve_ivp(
            lambda t, x: drift(t, torch.as_tensor(x)).numpy(), (0, 5), first, t_eval=times, rtol=1e-10, atol=1e-12
        )
        np.testing.assert_allclose(states[:, cell], by_scipy.y.T, atol=1e-8)
    torchdiffeq = pytest.importorskip("torchdiffeq")
    theirs = torchdiffeq.odeint(drift, start, torch.as_tensor(times), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(states, theirs.numpy(), atol=1e-8)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
def test_errors_follow_the_tolerances(tolerance):
    drift, start = gene_drift(np.random.default_rng(2)), torch.full((2, SIZE), 3.0, dtype=torch.float64)
    exact = integrate(drift, start, [0.0, 4.0], step=1e-3)[-1]
    found = integrate(drift, start, [0.0, 4.0], method="dopri5", rtol=tolerance, atol=tolerance)[-1]
    assert float((found - exact).abs().max()) < 30 * tolerance


def test_adaptive_steps_are_small_only_where_the_states_move_fast():
    asked = []

    def drift(t, x):
        asked.append(t)
        return 100.0 / (1.0 + (100.0 * t) ** 2) + 0 * x  # most of the change is near t = 0

    start = torch.zeros(1, 1, dtype=torch.float64)
    end = integrate(drift, start, [-4.0, 4.0], method="dopri5", rtol=1e-6, atol=1e-8)[-1]
    assert abs(float(end) - 2 * np.arctan(400.0)) < 1e-5
    near = np.abs(asked) < 0.2  # a twentieth of the time
    assert near.mean() > 0.5


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_gradients_are_those_of_finite_differences(method):
    rng = np.random.default_rng(3)
    start = torch.as_tensor(rng.uniform(0, 2, (3, 4)))
    weights = torch.as_tensor(rng.normal(size=(4, 4)))

    def end(first, matrix):
        drift = lambda t, x: torch.sigmoid(x @ matrix) - 0.5 * x  # noqa: E731
        return integrate(drift, first, [0.0, 0.4, 1.5], method=method, step=0.2, rtol=1e-9, atol=1e-10)

    inputs = start.requires_grad_(), weights.requires_grad_()
    assert torch.autograd.gradcheck(end, inputs, atol=1e-5)


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_a_cell_does_not_depend_on_those_solved_with_it(method):
    rng = np.random.default_rng(4)
    drift, start = gene_drift(rng), torch.as_tensor(rng.uniform(0, 3, (8, SIZE)))
    options = {"method": method, "step": 0.1, "rtol": 1e-8, "atol": 1e-9}
    together = integrate(drift, start, [0.0, 1.0, 3.0], **options)
    alone = torch.cat([integrate(drift, start[i : i + 1], [0.0, 1.0, 3.0], **options) for i in range(8)], dim=1)
    shuffled = integrate(drift, start.flip(0), [0.0, 1.0, 3.0], **options).flip(1)
    np.testing.assert_allclose(alone.numpy(), together.numpy(), atol=1e-14 if method == "rk4" else 1e-7)
    np.testing.assert_allclose(shuffled.numpy(), together.numpy(), atol=1e-14)


def test_any_number_of_leading_axes():
    rng = np.random.default_rng(5)
    drift, start = gene_drift(rng), torch.as_tensor(rng.uniform(0, 3, (2, 3, SIZE)))
    for method in ("rk4", "dopri5"):
        states = integrate(drift, start, [0.0, 1.0], method=method)
        assert states.shape == (2, 2, 3, SIZE)
        assert integrate(drift, start[0, 0], [0.0, 1.0], method=method).shape == (2, SIZE)
        assert torch.equal(states[0], start)


def test_one_time_is_the_start():
    start = torch.ones(2, 2)
    for method in ("rk4", "dopri5"):
        assert torch.equal(integrate(lambda t, x: -x, start, [3.0], method=method), start[None])


@pytest.mark.parametrize("times", [[], [0.0, 0.0], [0.0, 1.0, 0.5], [0.0, np.inf], [np.nan, 1.0]])
def test_times_that_are_no_course_are_refused(times):
    with pytest.raises(ParameterError, match="pass finite times that rise throughout"):
        integrate(lambda t, x: x, torch.ones(1, 1), times)


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_states_that_run_away_are_refused(method):
    # dx/dt = x^2 reaches infinity at t = 1
    with pytest.raises(ParameterError, match=r"finite|run away"):
        integrate(lambda t, x: x**2, torch.ones(1, 1, dtype=torch.float64), [0.0, 60.0], method=method, step=0.5)


def test_wrong_options_are_refused():
    start = torch.ones(1, 1)
    for options in ({"method": "rk5"}, {"step": 0.0}, {"method": "dopri5", "rtol": 0}, {"max_steps": 0}):
        with pytest.raises(ParameterError):
            integrate(lambda t, x: x, start, [0.0, 1.0], **options)
    with pytest.raises(ParameterError, match="1000 steps"):
        integrate(lambda t, x: x, start, [0.0, 1.0], step=0.001, max_steps=999)


def some_edges(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    there = np.random.default_rng(seed).random((SIZE, SIZE)) < 0.3
    there[2] = False  # a gene that regulates nothing
    return tuple(torch.as_tensor(np.random.default_rng(seed).permutation(np.argwhere(there)).T.copy()))


@pytest.mark.parametrize("dense", [True, False])
def test_products_with_edges_are_those_of_their_matrix(dense):
    source, target = some_edges(6)
    edges = Edges(source, target, SIZE, dense=dense)
    weights = torch.randn(len(source), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrix = np.zeros((SIZE, SIZE))
    matrix[source, target] = weights
    for shape in ((5, SIZE), (2, 3, SIZE), (SIZE,)):
        x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        np.testing.assert_allclose(edges.product(weights)(x).numpy(), x.numpy() @ matrix, atol=1e-14)
    inputs = x[None].requires_grad_(), weights.requires_grad_()
    assert torch.autograd.gradcheck(lambda values, w: edges.product(w)(values), inputs)


def test_edges_are_multiplied_one_by_one_where_they_are_few():
    source, target = torch.zeros(3, dtype=torch.long), torch.arange(3)
    assert Edges(source, target, 200).dense
    assert not Edges(source, target, 1000).dense
