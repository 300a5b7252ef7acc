"""The neural ODE on a graph: the numbers of the original, its gradient, and nothing that depends on the batch."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from grn._kernels.graph_ode import Dropout, Graph, Parameters, random_start, shapes
from grn._kernels.graph_ode_fit import Aims, Course, loss, total
from grn._kernels.graph_ode_readings import Trained, effects, free_run, importance
from grn._kernels.graph_ode_train import Schedule, Windows, train
from grn._kernels.ode import integrate

NAMES = {
    "encoder.input": "history_encoder.weight_ih_l0",
    "encoder.state": "history_encoder.weight_hh_l0",
    "encoder.input_bias": "history_encoder.bias_ih_l0",
    "encoder.state_bias": "history_encoder.bias_hh_l0",
    "attention.weight": "graph_ode.func.gnn.lin.weight",
    "attention.source": "graph_ode.func.gnn.att_src",
    "attention.target": "graph_ode.func.gnn.att_dst",
    "attention.bias": "graph_ode.func.gnn.bias",
    **{f"drift.{i}.{part}": f"graph_ode.func.mlp.{2 * i}.{part}" for i in range(3) for part in ("weight", "bias")},
    **{f"decoder.{i}.{part}": f"readout.{2 * i}.{part}" for i in range(2) for part in ("weight", "bias")},
}
SINGLE, DOUBLE = torch.zeros((), dtype=torch.float32), torch.zeros((), dtype=torch.float64)


@pytest.fixture(scope="module")
def reference(shared_dir):
    folder = shared_dir / "reference" / "ritini"

    def stored(name):
        return np.load(folder / f"{name}.npz")

    def parameters(name, like=SINGLE):
        return Parameters.of({ours: stored(name)[f"param::{theirs}"] for ours, theirs in NAMES.items()}, like)

    class Reference:
        forward, trained = stored("forward_seed0"), stored("trained_seed0_30ep")
        curve = pd.read_csv(folder / "train_loss_seed0_30ep.csv")
        edges = pd.read_csv(folder / "edges_mean_attention.csv")
        allowed = pd.read_csv(folder / "granger_prior_p1e-6.csv", index_col=0).to_numpy().T > 0
        genes = pd.read_csv(folder / "input_trajectory.csv").columns
        scale = json.loads((folder / "meta.json").read_text())
        raw = pd.read_csv(folder / "input_trajectory.csv").to_numpy()
        values = torch.tensor((raw - scale["mean"]) / scale["std"], dtype=torch.float32)
        start = staticmethod(parameters)

        def windows(self, like=SINGLE):
            pieces = torch.stack([self.values[i : i + 10] for i in range(51)]).to(like.dtype)
            return Windows(pieces[:, :5], pieces[:, 6:])

    return Reference()


@pytest.fixture
def small():
    """Four genes, of which the first has no source, and windows of random values."""
    random = np.random.default_rng(0)
    allowed = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 1], [0, 1, 1, 0]], dtype=bool)
    windows = Windows(*(torch.tensor(random.normal(size=(6, n, 4))) for n in (3, 2)))
    return Graph(allowed, DOUBLE), Parameters.of(random_start(1, 5, 7), DOUBLE), windows


def slopes(parameters, allowed, state):
    """Slopes of all states as the formula says, and attention."""
    projected = state @ parameters["attention.weight"].T
    scores = (projected @ parameters["attention.source"])[:, None] + (projected @ parameters["attention.target"])[
        :, :, None
    ]
    scores = functional.leaky_relu(scores, 0.2).masked_fill(~allowed, -torch.inf)
    attention = torch.where(allowed, torch.softmax(scores, dim=2), 0.0)
    hidden = torch.tanh(torch.where(allowed, attention, 0.0) @ projected + parameters["attention.bias"])
    for i in range(2):
        hidden = torch.tanh(functional.linear(hidden, parameters[f"drift.{i}.weight"], parameters[f"drift.{i}.bias"]))
    return functional.linear(hidden, parameters["drift.2.weight"], parameters["drift.2.bias"]), attention


def encoded(parameters, histories):
    batch, length, n_genes = histories.shape
    hidden = len(parameters["attention.bias"])
    memory = torch.nn.LSTM(1, hidden, batch_first=True).to(histories.dtype)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    given = dict(zip(names, list(parameters.values())[:4], strict=True))
    series = histories.mT.reshape(batch * n_genes, length, 1)
    return torch.func.functional_call(memory, given, series)[0][:, -1].view(batch, n_genes, hidden)


def decoded(parameters, state):
    inner = torch.tanh(functional.linear(state, parameters["decoder.0.weight"], parameters["decoder.0.bias"]))
    return functional.linear(inner, parameters["decoder.1.weight"], parameters["decoder.1.bias"])[..., 0]


def plain(parameters, allowed, histories, n_steps, h=0.1):
    """Values and the last attention by torch's own layers and automatic differentiation."""
    states, attention = [encoded(parameters, histories)], None
    for _ in range(n_steps):
        z = states[-1]
        first, _ = slopes(parameters, allowed, z)
        second, _ = slopes(parameters, allowed, z + h * first / 3)
        third, _ = slopes(parameters, allowed, z + h * (second - first / 3))
        fourth, attention = slopes(parameters, allowed, z + h * (first - second + third))
        states.append(z + h / 8 * (first + 3 * second + 3 * third + fourth))
    return decoded(parameters, torch.stack(states, dim=1)), attention


def test_forward_pass_of_the_original(reference):
    graph = Graph(reference.allowed, SINGLE)
    course = Course(reference.start("forward_seed0"), graph, reference.values[None, :5], 3)
    source, target = reference.forward["edge_index"]
    expected = reference.forward["pred"][:, :, 0], reference.forward["attention"][:, 0]
    np.testing.assert_allclose(course.values[0], expected[0], atol=1e-6)
    np.testing.assert_allclose(course.attention(-1)[0, target, source], expected[1], atol=1e-6)


def test_training_of_the_original(reference):
    graph, parameters = Graph(reference.allowed, SINGLE), reference.start("forward_seed0")
    aims = Aims(torch.tensor(reference.allowed, dtype=torch.float32), first=0)
    schedule = Schedule(30, 1e-3, 4, shuffle=False)
    curve = train(parameters, graph, reference.windows(), aims, schedule, 3)
    np.testing.assert_allclose(curve, reference.curve, rtol=1e-3)
    for name, theirs in NAMES.items():
        expected = reference.trained[f"param::{theirs}"]
        np.testing.assert_allclose(parameters[name], expected.reshape(parameters[name].shape), atol=1e-4)
    histories = torch.stack([reference.values[i : i + 5] for i in range(55)])
    trained = Trained(parameters, graph, 3, Windows(histories, histories[:, :0]), first=0)
    np.testing.assert_allclose(trained.predictions(), reference.trained["pred"], atol=1e-3)
    edges = tuple(reference.genes.get_indexer(reference.edges[side]) for side in ("target", "source"))
    attention = trained.attention(edges, -1)
    np.testing.assert_allclose(attention, reference.trained["attention"][:, edges[1], edges[0]], atol=1e-3)
    mean = reference.edges["attention_mean"].to_numpy()
    assert np.corrcoef(attention.mean(axis=0), mean)[0, 1] > 0.99
    np.testing.assert_allclose(attention.std(axis=0), reference.edges["attention_std"], atol=1e-3)


@pytest.mark.parametrize("first", [0, 1])
def test_gradient_is_that_of_automatic_differentiation(small, first):
    graph, parameters, windows = small
    aims = Aims(graph.allowed.double() * 0.7, 0.3, 0.5, first)
    leaves = {name: part.clone().requires_grad_() for name, part in parameters.parts.items()}
    values, attention = plain(leaves, graph.allowed, windows.histories, 2)
    edges = attention[:, graph.allowed]
    expected = (
        (values[:, first : first + 2] - windows.futures).square().mean()
        + 0.3 * functional.binary_cross_entropy(attention, aims.prior.expand_as(attention))
        - 0.5 * (edges * edges.clamp_min(1e-12).log()).mean()
    )
    expected.backward()
    course = Course(parameters, graph, windows.histories, 2)
    terms, to_values, to_attention = loss(course, windows.futures, aims, len(windows))
    gradient = course.backward(to_values, to_attention)
    assert total(terms, aims).item() == pytest.approx(expected.item(), rel=1e-12)
    for name in shapes():
        torch.testing.assert_close(gradient[name], leaves[name].grad, rtol=1e-9, atol=1e-12)


def test_gradient_with_dropout_is_that_of_differences(small):
    graph, parameters, windows = small
    aims = Aims(graph.allowed.double(), 0.3, 0.5)

    def at(vector):
        moved = parameters.like()
        moved.vector.copy_(vector)
        dropout = Dropout(0.3, torch.Generator().manual_seed(5))
        course = Course(moved, graph, windows.histories, 2, dropout=dropout)
        return course, loss(course, windows.futures, aims, len(windows))

    course, (_, to_values, to_attention) = at(parameters.vector)
    gradient = course.backward(to_values, to_attention).vector
    random = np.random.default_rng(1)
    for _ in range(3):
        way = torch.tensor(random.normal(size=len(gradient)))
        ends = [total(at(parameters.vector + amount * way)[1][0], aims).item() for amount in (1e-6, -1e-6)]
        assert (gradient @ way).item() == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)


def test_steps_are_those_of_the_solver_of_all_dynamics(small):
    graph, parameters, windows = small
    course = Course(parameters, graph, windows.histories, 2)
    drift = lambda _, state: slopes(parameters, graph.allowed, state)[0]  # noqa: E731
    states = integrate(drift, course.states[0], [0.1, 0.2, 0.3], method="dopri5", rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(course.states, states, rtol=1e-6, atol=1e-6)


def test_windows_computed_together_do_not_matter(small):
    graph, parameters, windows = small
    aims = Aims(graph.allowed.double())
    ends = []
    for memory in (1, 2**30):
        started = Parameters.of(parameters.arrays(), DOUBLE)
        train(started, graph, windows, aims, Schedule(5, batch_size=4, memory=memory), 2)
        ends.append(started.vector)
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-12)


def test_seeds_decide(small):
    graph, parameters, windows = small
    ends = {}
    for seed in (0, 0, 1):
        started = Parameters.of(parameters.arrays(), DOUBLE)
        train(started, graph, windows, Aims(graph.allowed.double()), Schedule(3, batch_size=2, seed=seed), 2)
        if seed in ends:
            torch.testing.assert_close(started.vector, ends[seed], rtol=0, atol=0)
        ends[seed] = started.vector.clone()
    assert not torch.allclose(ends[0], ends[1])
    starts = [random_start(seed)["encoder.input"] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(starts[0], starts[1])
    assert not np.allclose(starts[0], starts[2])


def test_the_best_epoch_is_kept(small):
    graph, parameters, windows = small
    aims = Aims(graph.allowed.double())
    ends = [Parameters.of(parameters.arrays(), DOUBLE) for _ in range(2)]
    curve = train(ends[0], graph, windows, aims, Schedule(40, rate=0.5), 2)
    best = int(np.argmin(curve[:, 0]))
    assert best < 39  # so high a rate does not end at its best
    train(ends[1], graph, windows, aims, Schedule(best + 1, rate=0.5), 2)
    torch.testing.assert_close(ends[0].vector, ends[1].vector, rtol=0, atol=0)


def test_attention_adds_up_to_one_over_the_sources_of_a_gene(small):
    graph, parameters, windows = small
    attention = Course(parameters, graph, windows.histories, 2).attention(0)
    assert (attention[:, ~graph.allowed] == 0).all()
    torch.testing.assert_close(attention.sum(dim=2), graph.allowed.any(dim=1).double().expand(6, -1))
    assert (attention[:, 1, 0] == 1).all()  # one source


def test_what_no_edge_leads_to_has_no_importance_and_no_effect(small):
    graph, parameters, windows = small
    trained = Trained(parameters, graph, 2, windows)
    for table in (importance(trained, np.arange(4)), effects(trained, np.arange(4))):
        assert (table[0, 1:] == 0).all()
    assert (importance(trained, np.arange(4))[~graph.allowed.numpy()] == 0).all()
    changed = effects(trained, np.arange(4))
    leaves = windows.histories.clone().requires_grad_()
    plain(parameters.parts, graph.allowed, leaves, 2)[0][:, -1, 3].sum().backward()
    expected = leaves.grad.sum(dim=(0, 1)) / len(windows)
    np.testing.assert_allclose(changed[3], expected, atol=2e-4)
    parts = effects(Trained(parameters, graph, 2, windows, memory=1), np.arange(4))
    np.testing.assert_allclose(parts, changed, atol=1e-9)


def test_importance_is_the_error_without_the_edges(small):
    graph, parameters, windows = small
    grown = importance(Trained(parameters, graph, 2, windows), np.array([1]))
    without = graph.allowed.clone()
    without[:, 1] = False
    errors = [
        (plain(parameters.parts, allowed, windows.histories, 2)[0][:, 1:] - windows.futures).square().mean(dim=(0, 1))
        for allowed in (graph.allowed, without)
    ]
    np.testing.assert_allclose(grown[2:, 1], (errors[1] - errors[0])[2:], rtol=1e-9)


def test_a_free_run_goes_on_from_its_own_words(small):
    graph, parameters, windows = small
    run = free_run(parameters, graph, windows.histories, 5, 2)
    torch.testing.assert_close(run[:, :2], Course(parameters, graph, windows.histories, 2).values[:, 1:])
    later = torch.cat([windows.histories, run], dim=1)[:, 2:5]
    torch.testing.assert_close(run[:, 2:4], Course(parameters, graph, later, 2).values[:, 1:])
    held = torch.full((6, 5, 4), torch.nan, dtype=torch.float64)
    held[:, :, 1] = 0.25
    fixed = free_run(parameters, graph, windows.histories, 5, 2, held)
    assert (fixed[:, :, 1] == 0.25).all()
    torch.testing.assert_close(fixed[:, :, 0], run[:, :, 0])  # nothing leads to the first gene
    assert not torch.allclose(fixed[:, :, 3], run[:, :, 3])
