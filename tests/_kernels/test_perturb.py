import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import grn
from grn._kernels.perturb import (
    NoReverse,
    blocks,
    gradient,
    grid_cells,
    perturb,
    perturb_and_gradient,
    reverse_gradient,
    reverse_pays,
)

N, R = 6, 4
GRID = torch.tensor([-2.0, -0.5, 1.0, 3.0, 4.0], dtype=torch.float64)
COLUMNS = torch.tensor([4, 0, 3, 5])


class Toy:
    """respond(v) = tanh(v W), whose Jacobian is known; counts the rows of every call."""

    def __init__(self):
        g = torch.Generator().manual_seed(0)
        self.W = torch.randn(N, R, generator=g, dtype=torch.float64)
        self.base = torch.randn(N, generator=g, dtype=torch.float64)
        self.plain, self.dual = [], []

    def respond(self, values):
        self.plain.append(len(values))
        return torch.tanh(values @ self.W)

    def respond_dual(self, values, tangents):
        self.dual.append(len(values))
        out = torch.tanh(values @ self.W)
        return out, (1 - out**2) * (tangents @ self.W)

    def cell(self, column, value, moving):
        values = torch.full_like(self.base, value) if moving else self.base.clone()
        values[column] = value
        return values

    def expected(self, grid, moving=False):
        """Responses and derivatives (S, R, M), one virtual cell at a time."""
        grid = grid.expand(len(COLUMNS), -1)
        response = torch.empty(len(COLUMNS), R, grid.shape[1], dtype=torch.float64)
        slope = torch.empty_like(response)
        origin = torch.tanh(self.base @ self.W)
        for s, column in enumerate(COLUMNS):
            for m, value in enumerate(grid[s]):
                out = torch.tanh(self.cell(column, float(value), moving) @ self.W)
                response[s, :, m] = out - origin
                slope[s, :, m] = (1 - out**2) * self.W[column]
        return response, slope


@pytest.fixture
def toy():
    return Toy()


def collect(parts):
    """Concatenated cubes, after checking that the blocks follow each other."""
    starts, cubes, position = [], [], 0
    for start, *cube in parts:
        starts.append(start)
        assert start == position
        position += len(cube[0])
        cubes.append(cube)
    assert position == len(COLUMNS)
    return [torch.cat(kind) for kind in zip(*cubes, strict=True)]


per_source = torch.stack([GRID, GRID + 1, 2 * GRID, -GRID])


@pytest.mark.parametrize("grid", [GRID, per_source, GRID[:1]], ids=["shared", "per source", "one point"])
@pytest.mark.parametrize("batch", [*range(1, 26), 40, 100])
def test_perturb_for_every_batch_size(toy, grid, batch):
    (found,) = collect(perturb(toy.respond, toy.base, COLUMNS, grid, batch=batch))
    torch.testing.assert_close(found, toy.expected(grid)[0], rtol=1e-12, atol=1e-12)
    assert max(toy.plain) <= batch
    assert sum(toy.plain) == len(COLUMNS) * grid.shape[-1] + 1


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("grid", [GRID, per_source], ids=["shared", "per source"])
@pytest.mark.parametrize("batch", [1, 2, 4, 5, 6, 9, 10, 19, 20, 21, 100])
def test_gradient_for_every_batch_size(toy, grid, moving, batch):
    (found,) = collect(gradient(toy.respond_dual, toy.base, COLUMNS, grid, batch=batch, moving=moving))
    torch.testing.assert_close(found, toy.expected(grid, moving)[1], rtol=1e-12, atol=1e-12)
    assert max(toy.dual) <= batch
    assert sum(toy.dual) == len(COLUMNS) * grid.shape[-1]


def test_the_backgrounds_differ(toy):
    fixed, moving = (toy.expected(GRID, background)[1] for background in (False, True))
    assert (fixed - moving).abs().max() > 0.1


@pytest.mark.parametrize("grid", [GRID, per_source], ids=["shared", "per source"])
@pytest.mark.parametrize("batch", [1, 3, 5, 10, 100])
def test_joint_probes_equal_separate_ones(toy, grid, batch):
    joint = collect(perturb_and_gradient(toy.respond, toy.respond_dual, toy.base, COLUMNS, grid, batch=batch))
    assert toy.plain == [1]
    (response,) = collect(perturb(toy.respond, toy.base, COLUMNS, grid, batch=batch))
    (slope,) = collect(gradient(toy.respond_dual, toy.base, COLUMNS, grid, batch=batch))
    torch.testing.assert_close(joint[0], response, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(joint[1], slope, rtol=1e-12, atol=1e-12)


def test_a_perturbation_to_the_base_value_is_no_perturbation(toy):
    grid = toy.base[COLUMNS][:, None].expand(-1, 2)
    (found,) = collect(perturb(toy.respond, toy.base, COLUMNS, grid, batch=8))
    assert found.abs().max() < 1e-14


@pytest.mark.parametrize("batch", [1, 3, 5, 7, 100])
def test_sources_may_be_compared_with_cells_of_their_own(toy, batch):
    resting = torch.tensor([0.3, -1.0, 2.0, 0.0], dtype=torch.float64)
    (found,) = collect(perturb(toy.respond, toy.base, COLUMNS, GRID, batch=batch, resting=resting))
    assert max(toy.plain) <= batch and sum(toy.plain) == len(COLUMNS) * (len(GRID) + 1)
    toy.plain.clear()
    given = {"batch": batch, "resting": resting}
    joint = collect(perturb_and_gradient(toy.respond, toy.respond_dual, toy.base, COLUMNS, GRID, **given))
    assert sum(toy.plain) == len(COLUMNS)
    response, slope = toy.expected(GRID)
    origin = torch.tanh(toy.base @ toy.W)
    for s, column in enumerate(COLUMNS):
        rest = torch.tanh(toy.cell(column, float(resting[s]), moving=False) @ toy.W)
        response[s] += (origin - rest)[:, None]
    torch.testing.assert_close(found, response, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(joint[0], response, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(joint[1], slope, rtol=1e-12, atol=1e-12)
    assert not list(perturb(toy.respond, toy.base, COLUMNS[:0], GRID, batch=batch, resting=resting[:0]))


@given(S=st.integers(1, 6), M=st.integers(1, 4), moving=st.booleans(), own=st.booleans())
@settings(max_examples=30, deadline=None)
def test_virtual_cells_differ_from_the_base_in_one_gene(S, M, moving, own):
    g = torch.Generator().manual_seed(S * 10 + M)
    base, columns = torch.randn(6, generator=g), torch.randperm(6, generator=g)[:S]
    grid = torch.randn(*((S, M) if own else (M,)), generator=g)
    values, tangents = grid_cells(base, columns, grid, moving=moving)
    assert values.shape == tangents.shape == (S * M, 6)
    for row, (s, m) in enumerate((s, m) for s in range(S) for m in range(M)):
        point = grid[s, m] if own else grid[m]
        rest = point.expand(6) if moving else base
        others = torch.arange(6) != columns[s]
        assert values[row, columns[s]] == point
        assert torch.equal(values[row, others], rest[others])
        assert tangents[row].nonzero().flatten().tolist() == [int(columns[s])]
        assert tangents[row, columns[s]] == 1


def test_the_base_and_the_grid_stay_as_they_are(toy):
    base, grid = toy.base.clone(), GRID.clone()
    for moving in (False, True):
        collect(gradient(toy.respond_dual, toy.base, COLUMNS, grid, batch=3, moving=moving))
    assert torch.equal(base, toy.base)
    assert torch.equal(grid, GRID)


def test_no_sources_give_no_blocks(toy):
    assert list(blocks(toy.base, COLUMNS[:0], GRID, 4)) == []
    assert list(perturb(toy.respond, toy.base, COLUMNS[:0], GRID, batch=4)) == []


ROOM = 2**20


def reverse(toy, respond=None, *, batch=16, room=ROOM, grid=GRID):
    with torch.no_grad():
        return reverse_gradient(
            respond or toy.respond, toy.respond_dual, toy.base, COLUMNS, grid, batch=batch, room=room
        )


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5, 100])
def test_reverse_mode_gives_the_same_for_every_batch_size(toy, batch):
    found = reverse(toy, batch=batch)
    assert found.shape == (len(COLUMNS), R, len(GRID)) and not found.requires_grad
    torch.testing.assert_close(found, toy.expected(GRID, moving=True)[1], rtol=1e-12, atol=1e-12)
    # what is recorded serves all targets of a point; one pass measures its size, one dual pass checks
    rows = {1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 100: 4}[batch]
    assert toy.plain == [1] + [rows] * len(GRID) and toy.dual == [1]


def test_reverse_mode_stays_within_its_room(toy):
    # tanh keeps its result: R numbers per cell
    for rows in (1, 2, 4):
        toy.plain.clear()
        reverse(toy, room=rows * R * 8)
        assert max(toy.plain) == rows
    with pytest.raises(NoReverse, match=f"take {R * 8} bytes of the {R * 8 - 1} given"):
        reverse(toy, room=R * 8 - 1)


def test_weights_take_no_room(toy):
    W = torch.randn(1000, 1000, dtype=torch.float64)
    reverse(toy, lambda values: toy.respond(values) + 0 * (values.sum(1, keepdim=True).expand(-1, 1000) @ W)[:, :R])


def half_seen(toy):
    def respond(values):
        seen = torch.cat([values[:, :4], values[:, 4:].detach()], dim=1)
        return torch.tanh(seen @ toy.W)

    return respond


UNFOLLOWED = {
    "detached": (lambda toy: lambda values: toy.respond(values.detach()), "do not record"),
    "numpy": (lambda toy: lambda values: torch.tanh(torch.as_tensor(values.numpy() @ toy.W.numpy())), "numpy"),
    "no_grad": (lambda toy: torch.no_grad()(toy.respond), "do not record"),
    "in place": (lambda toy: lambda values: toy.respond(values.add_(0)), "leaf"),
    "half": (half_seen, "do not give the derivative of forward mode"),
}


@pytest.mark.parametrize("kind", UNFOLLOWED)
def test_a_model_that_cannot_be_followed_backwards_is_refused(toy, kind):
    make, message = UNFOLLOWED[kind]
    with pytest.raises(NoReverse, match=message):
        reverse(toy, make(toy))


def test_an_unknown_target_would_spoil_the_others_backwards(toy):
    toy.W[:, 1] = torch.nan
    with pytest.raises(NoReverse, match="do not give the derivative of forward mode"):
        reverse(toy)


@pytest.mark.parametrize(
    ("sources", "targets", "expected"),
    [(20, 280, False), (200, 280, True), (200, 2000, False), (1600, 200, True), (1, 1, True), (4, 8, False)],
)
def test_the_cheaper_mode(sources, targets, expected):
    assert reverse_pays(sources, targets) is expected
    assert reverse_pays(10 * sources, targets) >= expected >= reverse_pays(sources, 10 * targets)


def test_the_cheaper_mode_is_that_of_the_model():
    """Following a memory back costs less than a pass of it, following a transformer back costs more."""
    memory = grn.models.load("mini").pass_costs
    assert reverse_pays(100, 250, memory) and not reverse_pays(100, 250)
    assert not reverse_pays(100, 400, memory)
