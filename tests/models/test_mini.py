import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grn._core.errors import CapabilityError, ParameterError
from grn._kernels.attention import attention_weights
from grn._kernels.perturb import gradient, grid_cells
from grn.models import FoundationModel, Mini, Moments
from grn.models.mini import GRID, SCALE, MiniConfig, MiniNetwork
from grn.models.protocol import need

SOURCES, TARGETS = ["G07", "G41", "G03"], ["G50", "G03", "G22", "G11", "G59"]


def cells(n, width, dtype=torch.float32, seed=1):
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def trajectory(model, panel, base, moving):
    """Reverse-mode Jacobian at every virtual cell, (S, R, T)."""
    grid = torch.tensor(GRID, dtype=base.dtype)
    values, _ = grid_cells(base, panel.src_pos, grid, moving=moving)
    values.requires_grad_(requires_grad=True)
    out = model.respond(panel, values)
    rows = torch.arange(len(values))
    own = panel.src_pos.repeat_interleave(len(grid))
    by_target = [torch.autograd.grad(out[:, r].sum(), values, retain_graph=True)[0][rows, own] for r in range(5)]
    return torch.stack(by_target).unflatten(1, (len(panel.src_pos), len(grid))).transpose(0, 1)


def forward_mode(model, panel, base, moving, batch=7):
    grid = torch.tensor(GRID, dtype=base.dtype)
    dual = lambda v, t: model.respond_dual(panel, v, t)  # noqa: E731
    return torch.cat([g for _, g in gradient(dual, base, panel.src_pos, grid, batch=batch, moving=moving)])


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("encoder_blocks", [0, 2])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_the_gradient_equals_reverse_mode(make_mini, moving, encoder_blocks, dtype, tolerance):
    model = make_mini(dtype=dtype, encoder_blocks=encoder_blocks)
    panel = model.panel(SOURCES, TARGETS)
    base = cells(1, len(panel), dtype)[0]
    expected = trajectory(model, panel, base, moving)
    found = forward_mode(model, panel, base, moving)
    assert found.dtype == dtype
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("moving", [False, True])
def test_the_gradient_equals_central_differences(make_mini, moving):
    model = make_mini(dtype=torch.float64)
    panel = model.panel(SOURCES, TARGETS)
    values, tangents = grid_cells(
        cells(1, len(panel), torch.float64)[0], panel.src_pos, torch.tensor(GRID).double(), moving=moving
    )
    h = 1e-5
    differences = (model.respond(panel, values + h * tangents) - model.respond(panel, values - h * tangents)) / (2 * h)
    primal, tangent = model.respond_dual(panel, values, tangents)
    assert (tangent - differences).abs().max() <= 1e-3 * differences.abs().max()
    torch.testing.assert_close(primal, model.respond(panel, values), rtol=1e-10, atol=1e-10)


def test_the_blocks_take_part_in_the_gradient(tiny):
    panel = tiny.panel(SOURCES, TARGETS)
    slopes = forward_mode(tiny, panel, torch.zeros(len(panel)), moving=False)
    curvature = slopes.std(dim=-1).mean() / slopes.abs().mean()
    assert curvature > 0.02, "the linear path alone has the same slope at every value"


def test_results_carry_no_graph(tiny):
    panel = tiny.panel(SOURCES, TARGETS)
    values = cells(2, len(panel))
    found = [tiny.respond(panel, values), *tiny.respond_dual(panel, values, torch.ones_like(values))]
    assert not any(x.requires_grad for x in (*found, tiny.embed(panel), tiny.attention(panel, values)))


@given(sources=st.permutations(SOURCES), targets=st.permutations(TARGETS))
@settings(max_examples=20, deadline=None)
def test_the_order_asked_for_changes_nothing(_tiny, sources, targets):
    expected, found = _tiny.panel(SOURCES, TARGETS), _tiny.panel(sources, targets)
    assert found.genes == expected.genes
    values, tangents = cells(3, len(expected)), cells(3, len(expected), seed=2)
    back = [targets.index(t) for t in TARGETS]
    for a, b in zip(
        _tiny.respond_dual(expected, values, tangents), _tiny.respond_dual(found, values, tangents), strict=True
    ):
        torch.testing.assert_close(a, b[:, back], rtol=1e-6, atol=1e-6)
    first, second = (_tiny.respond(p, values) for p in (expected, _tiny.panel(sources, TARGETS)))
    assert torch.equal(first, second)
    again = _tiny.respond(found, values)[:, back]
    torch.testing.assert_close(first, again, rtol=1e-6, atol=1e-6)


def test_a_cell_does_not_depend_on_its_batch(tiny):
    panel = tiny.panel(SOURCES, TARGETS)
    values, tangents = cells(9, len(panel)), cells(9, len(panel), seed=2)
    together = (tiny.respond(panel, values), *tiny.respond_dual(panel, values, tangents))
    for i in range(9):
        one = slice(i, i + 1)
        alone = (tiny.respond(panel, values[one]), *tiny.respond_dual(panel, values[one], tangents[one]))
        for a, b in zip(alone, together, strict=True):
            torch.testing.assert_close(a, b[one], rtol=1e-5, atol=1e-5)


def test_genes_have_no_position(make_mini):
    """A network whose embedding rows are permuted with the names answers the same."""
    model = make_mini(dtype=torch.float64)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    network = MiniNetwork(model.network.config).double()
    state = model.network.state_dict()
    network.load_state_dict(state | {"embedding.weight": state["embedding.weight"][order]})
    other = Mini(network, [model.genes[i] for i in order], name="permuted", sha256="")
    panel, moved = model.panel(SOURCES, TARGETS), other.panel(SOURCES, TARGETS)
    values = cells(2, len(panel), torch.float64)
    column = [panel.genes.index(g) for g in moved.genes]
    torch.testing.assert_close(model.respond(panel, values), other.respond(moved, values[:, column]))


def test_a_gene_is_not_predicted_from_its_own_value(make_mini):
    model = make_mini(dtype=torch.float64, encoder_blocks=0)
    panel = model.panel(SOURCES, TARGETS)
    values = cells(1, len(panel), torch.float64).repeat(2, 1)
    for r, column in enumerate(panel.tgt_pos):
        moved = values.clone()
        moved[1, column] += 3.0
        out = model.respond(panel, moved)
        torch.testing.assert_close(out[0, r], out[1, r], rtol=1e-10, atol=1e-10)
        others = [k for k in range(len(TARGETS)) if k != r]
        assert ((out[0] - out[1])[others].abs() > 1e-3).all()


def test_the_own_slope_is_zero_without_an_encoder(make_mini):
    model = make_mini(dtype=torch.float64, encoder_blocks=0)
    panel = model.panel(TARGETS, TARGETS)
    base = cells(1, len(panel), torch.float64)[0]
    slopes = forward_mode(model, panel, base, moving=True).abs()
    own = torch.eye(len(TARGETS), dtype=bool)
    assert slopes[own].max() < 1e-10
    assert slopes[~own].min() > 1e-6


@pytest.mark.parametrize("encoder_blocks", [0, 2])
def test_a_panel_of_one_gene_gives_numbers(make_mini, encoder_blocks):
    model = make_mini(encoder_blocks=encoder_blocks)
    panel = model.panel(["G01"], ["G01"])
    out, tangent = model.respond_dual(panel, torch.ones(2, 1), torch.ones(2, 1))
    torch.testing.assert_close(out, model.respond(panel, torch.ones(2, 1)), rtol=1e-5, atol=1e-5)
    assert torch.isfinite(tangent).all()
    assert torch.isfinite(model.attention(panel, torch.ones(2, 1))).all()


def test_attention_maps_are_probabilities(tiny):
    panel = tiny.panel(SOURCES, TARGETS)
    n = len(panel)
    maps = tiny.attention(panel, cells(2, n))
    assert maps.shape == (2, 3, 2, n, n)
    torch.testing.assert_close(maps.sum(-1), torch.ones(2, 3, 2, n))
    own = maps.diagonal(dim1=-2, dim2=-1)
    assert (own[:, 0] > 0).all(), "encoder tokens see themselves"
    assert (own[:, 1:] == 0).all(), "queries never see their own gene"


@pytest.mark.parametrize("encoder_blocks", [0, 2])
def test_the_maps_are_those_of_the_prediction(make_mini, encoder_blocks):
    model = make_mini(dtype=torch.float64, encoder_blocks=encoder_blocks)
    panel = model.panel(TARGETS, TARGETS)
    values, seen = cells(2, len(panel), torch.float64), []

    def look(block, given):
        x, context, exclude = (*given, None, None)[:3]
        normed = block.norm1(x)
        q, k, _ = block.attention.project(normed, normed if context is None else context)
        seen.append(attention_weights(q, k, exclude=exclude))

    blocks = [*model.network.encoder, *model.network.decoder]
    hooks = [block.register_forward_pre_hook(look) for block in blocks]
    model.respond(model.panel(panel.genes, panel.genes), values)
    for hook in hooks:
        hook.remove()
    torch.testing.assert_close(model.attention(panel, values), torch.stack(seen, dim=1), rtol=1e-10, atol=1e-10)


def test_embed_is_the_table_whatever_the_values(tiny):
    panel = tiny.panel(SOURCES, TARGETS)
    found = tiny.embed(panel)
    assert found.shape == (len(panel), 16)
    assert torch.equal(found, tiny.network.embedding.weight[panel.tokens])
    assert torch.equal(found, tiny.embed(panel, cells(2, len(panel))))


def linear_network(n=60, d=16, ridge=7.0):
    """A new network, which is its linear path, from random embeddings."""
    torch.manual_seed(0)
    network = MiniNetwork(MiniConfig(n_genes=n, d=d, heads=2, d_feedforward=8, d_value=4)).double()
    E = np.random.default_rng(0).normal(size=(n, d))
    network.start_from(torch.as_tensor(E), ridge=ridge)
    return network.requires_grad_(requires_grad=False), E


def test_a_new_network_is_ridge_regression_on_the_embedding():
    network, E = linear_network()
    z = np.random.default_rng(1).normal(size=(4, 40))
    seen, asked = E[:40], E[40:]
    expected = z @ seen @ np.linalg.solve(seen.T @ seen + 7.0 * np.eye(16), asked.T)
    np.testing.assert_allclose(network(torch.arange(40), torch.as_tensor(z), torch.arange(40, 60)), expected, atol=1e-9)


def without(network, tokens, values, j):
    """Prediction of gene j from a panel that lacks it."""
    rest = torch.arange(len(tokens)) != j
    return network(tokens[rest], values[:, rest], tokens[j : j + 1])[:, 0]


@pytest.mark.parametrize("kind", ["linear", "full"])
def test_the_own_gene_is_left_out_as_if_it_were_not_there(make_mini, kind):
    network = linear_network()[0] if kind == "linear" else make_mini(dtype=torch.float64, encoder_blocks=0).network
    tokens, values = torch.arange(5, 20), cells(3, 15, torch.float64)
    found = network(tokens, values, tokens, torch.arange(15))
    expected = torch.stack([without(network, tokens, values, j) for j in range(15)], dim=1)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_queries_without_an_own_gene_are_not_corrected(tiny):
    tokens, values, queries = torch.arange(5), cells(3, 5), torch.arange(5, 9)
    none = torch.full((4,), -1)
    plain = tiny.network(tokens, values, queries)
    torch.testing.assert_close(tiny.network(tokens, values, queries, none), plain, rtol=1e-5, atol=1e-5)


def test_encode_cells_gives_clipped_z_scores(tiny):
    X = np.random.default_rng(0).gamma(0.3, 2.0, size=(40, 6)).astype(np.float32)
    X[0, 0], X[:, 3] = 90.0, 0.1
    z = tiny.encode_cells(X, tiny.genes[:6])
    assert z.dtype == torch.float32
    X64 = X.astype(float)
    rest = [0, 1, 2, 4, 5]
    expected = np.clip((X64 - X64.mean(0))[:, rest] / X64.std(0)[rest], SCALE.lower, SCALE.upper)
    np.testing.assert_allclose(z[:, rest], expected, atol=1e-5)
    assert z.max() == SCALE.upper
    assert (z[:, 3] == 0).all()


@given(value=st.floats(0, 20, width=32), n=st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_a_constant_gene_is_at_the_baseline(_tiny, value, n):
    z = _tiny.encode_cells(np.full((n, 1), value, dtype=np.float32), ["G00"])
    assert (z == SCALE.baseline).all()


def test_encode_cells_uses_the_moments_of_a_reference(tiny):
    X = np.array([[1.0, 5.0, -9.0], [3.0, 5.0, 9.0]], dtype=np.float32)
    reference = Moments(np.array([1.0, 4.0, 0.0]), np.array([2.0, 0.0, 1.0]))
    z = tiny.encode_cells(X, tiny.genes[:3], reference=reference)
    np.testing.assert_allclose(z, [[0, 0, -3], [1, 0, 6]])


def test_the_model_is_frozen_and_fits_the_protocol(tiny):
    assert isinstance(tiny, FoundationModel)
    assert not tiny.network.training
    assert not any(p.requires_grad for p in tiny.network.parameters())
    assert tiny.source_genes == tiny.target_genes == tiny.genes
    assert tiny.to("cpu") is tiny
    assert str(tiny.device) == "cpu"
    assert "60 genes" in repr(tiny)
    assert "16 wide" in repr(tiny)


@pytest.mark.parametrize("genes", [["A", "B"], ["A", "B", "B"], ["A", "B", "C", "D"]])
def test_the_vocabulary_must_fit_the_embedding(genes):
    network = MiniNetwork(MiniConfig(n_genes=3, d=8, d_feedforward=8, d_value=4))
    with pytest.raises(ParameterError, match=f"{len(genes)} names.*3 rows"):
        Mini(network, genes, name="x", sha256="")


def test_need_says_what_a_model_offers(tiny):
    need(tiny, "gradient", "grn.tl.gradient_trajectory")
    with pytest.raises(CapabilityError, match=r"grn.tl.flags needs .*'flag'; 'tiny' offers: attention, cells"):
        need(tiny, "flag", "grn.tl.flags")


def test_the_scale_is_sound():
    for grid in (SCALE.perturbation_grid, SCALE.gradient_grid):
        assert len(grid) == 8
        assert list(grid) == sorted(set(grid))
        assert SCALE.baseline not in grid
        assert SCALE.lower <= grid[0] < SCALE.baseline < grid[-1] <= SCALE.upper
