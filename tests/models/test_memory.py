"""A memory of states against its formulas written in numpy, one cell and one state at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grn._core.errors import CapabilityError, ParameterError
from grn._kernels.perturb import gradient, grid_cells
from grn.models import FoundationModel, Memory, Moments, untrained
from grn.models import memory as memory_module
from grn.models._formats import FAMILIES
from grn.models.memory import GRID, SCALE, MemoryConfig, MemoryNetwork
from grn.models.protocol import ARCHITECTURES, CAPABILITIES, need

SOURCES, TARGETS = ["G07", "G41", "G03"], ["G50", "G03", "G22", "G11", "G59"]
NAN = float("nan")


def cells(n, width, dtype=torch.float32, seed=1):
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def with_gaps(values, share=0.5, seed=3):
    """The same values, of which some are not shown, others in every cell."""
    hidden = torch.rand(values.shape, generator=torch.Generator().manual_seed(seed)) < share
    return values.masked_fill(hidden, NAN)


def parts(model, genes):
    """What the formulas are made of, in double precision."""
    n = model.network
    tokens = [model.genes.index(gene) for gene in genes]
    u = (n.states.double() @ n.embedding.double()[tokens].T).numpy()
    return u, n.share.double().numpy(), n.weight.double().numpy(), n.set_of.numpy(), n.config


def posterior_by_hand(model, genes, cell):
    """p(c | v): a softmax of the evidence within each data set, times the share of the data set among their weights."""
    u, share, weight, set_of, config = parts(model, genes)
    shown = [g for g in range(len(genes)) if not np.isnan(cell[g])]
    b = config.precision / (1 + len(shown) / config.crowding)
    p = np.zeros(len(u))
    for c in range(len(u)):
        p[c] = share[c] * np.exp(b * sum(cell[g] * u[c, g] - u[c, g] ** 2 / 2 for g in shown))
    for h in range(config.n_sets):
        p[set_of == h] *= weight[h] / weight.sum() / p[set_of == h].sum()
    return p, b


def answer_by_hand(model, genes, cell, targets):
    p, _ = posterior_by_hand(model, genes, cell)
    return model.network.config.gain * p @ parts(model, targets)[0]


def slope_by_hand(model, genes, cell, source, targets):
    """gain * b * sum over data sets of their share times the covariance of the source and a target over the states."""
    p, b = posterior_by_hand(model, genes, cell)
    i, j = parts(model, [source])[0][:, 0], parts(model, targets)[0]
    set_of, total = model.network.set_of.numpy(), np.zeros(len(targets))
    for h in np.unique(set_of):
        rows = set_of == h
        mass, q = p[rows].sum(), p[rows] / p[rows].sum()
        total += mass * (q * i[rows]) @ (j[rows] - q @ j[rows])
    return model.network.config.gain * b * total


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95, 1.0])
def test_answers_and_posterior_are_the_formulas(make_memory, share):
    model = make_memory(dtype=torch.float64)
    panel = model.panel(SOURCES, TARGETS)
    values = with_gaps(cells(4, len(panel), torch.float64), share)
    found = model.network.posterior(panel.tokens, values)
    torch.testing.assert_close(found.sum(1), torch.ones(4, dtype=torch.float64))
    for row in range(4):
        cell = values[row].numpy()
        np.testing.assert_allclose(found[row], posterior_by_hand(model, panel.genes, cell)[0], rtol=1e-10)
        expected = answer_by_hand(model, panel.genes, cell, panel.targets)
        np.testing.assert_allclose(model.respond(panel, values)[row], expected, rtol=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_slope_is_a_covariance_over_the_posterior(make_memory, share):
    model = make_memory(dtype=torch.float64)
    panel = model.panel(SOURCES, TARGETS)
    values = with_gaps(cells(3, len(panel), torch.float64), share)
    for gene, column in zip(SOURCES, panel.src_pos, strict=True):
        values[:, column] = torch.linspace(-2, 3, 3)
        tangents = torch.zeros_like(values)
        tangents[:, column] = 1.0
        _, slopes = model.respond_dual(panel, values, tangents)
        expected = [slope_by_hand(model, panel.genes, cell.numpy(), gene, panel.targets) for cell in values]
        np.testing.assert_allclose(slopes, expected, rtol=1e-9, atol=1e-12)
        if share == 1.0:
            values[:, column] = NAN


def test_with_nothing_shown_the_slope_at_zero_is_the_pooled_co_expression(make_memory):
    """One gene shown at a value of 0 for which no state is likelier: the squares of the gene are the same in all."""
    model = make_memory(dtype=torch.float64, n_states=4, n_sets=2)
    network = model.network
    network.states.copy_(torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]) * torch.eye(8, dtype=torch.float64)[:1])
    network.share.fill_(0.5)
    panel = model.panel(["G00"], ["G00", "G01"])
    _, slope = model.respond_dual(panel, torch.tensor([[0.0, NAN]]).double(), torch.tensor([[1.0, 0.0]]).double())
    b, (x, y) = 0.3 / (1 + 1 / 5.0), network.embedding[:2, 0]
    np.testing.assert_allclose(slope[0], 1.3 * b * np.array([x * x, x * y]), rtol=1e-12)


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("background", [0.0, NAN])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-10)])
def test_forward_reverse_and_differences_agree(make_memory, moving, background, dtype, tolerance):
    model = make_memory(dtype=dtype)
    panel, grid = model.panel(SOURCES, TARGETS), torch.tensor(GRID, dtype=dtype)
    base = torch.full((len(panel),), background, dtype=dtype)
    blocks = gradient(lambda v, t: model.respond_dual(panel, v, t), base, panel.src_pos, grid, batch=7, moving=moving)
    found = torch.cat([block for _, block in blocks])  # (S, R, T)
    values, tangents = grid_cells(base, panel.src_pos, grid, moving=moving)
    start = values.clone().requires_grad_()
    out = model.respond(panel, start)
    own = panel.src_pos.repeat_interleave(len(grid))
    for r in range(len(TARGETS)):
        (grad,) = torch.autograd.grad(out[:, r].sum(), start, retain_graph=True)
        reverse = grad[torch.arange(len(values)), own].unflatten(0, (3, len(grid)))
        assert (found[:, r] - reverse).abs().max() <= tolerance * found.abs().max()
    if dtype == torch.float64:
        up, down = (model.respond(panel, values + h * tangents) for h in (1e-5, -1e-5))
        differences = ((up - down) / 2e-5).unflatten(0, (3, len(grid))).transpose(1, 2)
        torch.testing.assert_close(found, differences, rtol=1e-6, atol=1e-8)
        assert torch.autograd.gradcheck(lambda v: model.network(panel.tokens, v, panel.tokens[panel.tgt_pos]), (start,))


def test_responses_bend(make_memory):
    model = make_memory(dtype=torch.float64)
    panel = model.panel(["G07"], ["G50"])
    values = torch.full((8, 2), NAN, dtype=torch.float64)
    values[:, panel.src_pos] = torch.tensor(GRID, dtype=torch.float64)[:, None]
    tangents = torch.zeros_like(values)
    tangents[:, panel.src_pos] = 1.0
    slopes = model.respond_dual(panel, values, tangents)[1][:, 0]
    assert slopes.std() > 0.02 * slopes.abs().mean()


def test_a_gene_that_is_not_shown_says_nothing(make_memory):
    """A panel with genes that are not shown answers as the panel without them."""
    model = make_memory(dtype=torch.float64)
    full, part = model.panel(SOURCES, TARGETS), model.panel(SOURCES[:1], TARGETS)
    shown = cells(3, len(part), torch.float64)
    values = torch.full((3, len(full)), NAN, dtype=torch.float64)
    values[:, [full.genes.index(gene) for gene in part.genes]] = shown
    torch.testing.assert_close(model.respond(full, values), model.respond(part, shown), rtol=1e-12, atol=1e-12)
    tangents = torch.zeros_like(values)
    tangents[:, full.genes.index("G41")] = 1.0
    assert (model.respond_dual(full, values, tangents)[1] == 0).all()


def test_nothing_shown_is_the_mean_of_the_states(make_memory):
    model = make_memory(dtype=torch.float64)
    panel = model.panel(SOURCES, TARGETS)
    nothing = torch.full((1, len(panel)), NAN, dtype=torch.float64)
    u, share, weight, set_of, config = parts(model, panel.targets)
    mean = sum(weight[h] * np.average(u[set_of == h], axis=0, weights=share[set_of == h]) for h in range(3))
    np.testing.assert_allclose(model.respond(panel, nothing)[0], config.gain * mean / weight.sum(), rtol=1e-12)


def test_blocks_of_the_table_change_nothing(make_memory, monkeypatch):
    model = make_memory(dtype=torch.float64)
    panel = model.panel(model.genes, TARGETS)
    values = with_gaps(cells(4, 60, torch.float64))
    whole = model.respond(panel, values)
    monkeypatch.setattr(memory_module, "_BLOCK", 7)
    torch.testing.assert_close(model.respond(panel, values), whole, rtol=1e-12, atol=1e-12)


def test_evidence_beyond_the_range_of_exponentials(make_memory):
    model = make_memory(precision=1e4)
    panel = model.panel(SOURCES, TARGETS)
    found = model.network.posterior(panel.tokens, cells(3, len(panel)) * 100)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found.sum(1), torch.ones(3))


def test_results_carry_no_graph(tiny):
    panel = tiny.panel(SOURCES, TARGETS)
    values = cells(2, len(panel))
    found = [tiny.respond(panel, values), *tiny.respond_dual(panel, values, torch.ones_like(values))]
    assert not any(x.requires_grad for x in (*found, tiny.embed(panel)))


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


def test_a_cell_does_not_depend_on_its_batch(tiny):
    panel = tiny.panel(SOURCES, TARGETS)
    values, tangents = with_gaps(cells(9, len(panel))), cells(9, len(panel), seed=2)
    together = (tiny.respond(panel, values), *tiny.respond_dual(panel, values, tangents))
    for i in range(9):
        row = slice(i, i + 1)
        alone = (tiny.respond(panel, values[row]), *tiny.respond_dual(panel, values[row], tangents[row]))
        for a, b in zip(alone, together, strict=True):
            torch.testing.assert_close(a, b[row], rtol=1e-5, atol=1e-6)


def test_genes_states_and_data_sets_have_no_position(make_memory):
    model = make_memory(dtype=torch.float64)
    draw = torch.Generator().manual_seed(0)
    genes, states, sets = (torch.randperm(n, generator=draw) for n in (60, 12, 3))
    network, old = MemoryNetwork(model.network.config).double(), model.network
    network.load_state_dict(
        {
            "embedding": old.embedding[genes],
            "states": old.states[states],
            "share": old.share[states],
            "weight": old.weight[sets],
            "set_of": torch.argsort(sets)[old.set_of[states]],
        }
    )
    other = Memory(network, [model.genes[i] for i in genes], name="permuted", sha256="")
    panel, moved = model.panel(SOURCES, TARGETS), other.panel(SOURCES, TARGETS)
    values = with_gaps(cells(2, len(panel), torch.float64))
    column = [panel.genes.index(g) for g in moved.genes]
    torch.testing.assert_close(model.respond(panel, values), other.respond(moved, values[:, column]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_answers_the_same(make_memory):
    model = make_memory()
    panel = model.panel(SOURCES, TARGETS)
    values = with_gaps(cells(3, len(panel)))
    expected = model.respond(panel, values)
    found = model.to("cuda").respond(panel, values.cuda())
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-5)


def test_embed_is_the_table_whatever_the_values(tiny):
    panel = tiny.panel(SOURCES, TARGETS)
    found = tiny.embed(panel)
    assert found.shape == (len(panel), 8)
    assert torch.equal(found, tiny.network.embedding[panel.tokens])
    assert torch.equal(found, tiny.embed(panel, cells(2, len(panel))))


def test_scores_are_ridge_regression_on_the_embedding(make_memory):
    network = make_memory(dtype=torch.float64, ridge=2.5).network
    E, z = network.embedding[:40].numpy(), np.random.default_rng(1).normal(size=(4, 40))
    expected = np.linalg.solve(E.T @ E + 2.5 * np.eye(8), E.T @ z.T).T
    np.testing.assert_allclose(network.scores(torch.arange(40), torch.as_tensor(z)), expected, rtol=1e-9)


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
    assert "60 genes, 12 states of 3 data sets" in repr(tiny)


@pytest.mark.parametrize("genes", [["A", "B"], ["A", "B", "B"], ["A", "B", "C", "D"]])
def test_the_vocabulary_must_fit_the_embedding(genes):
    with pytest.raises(ParameterError, match=f"{len(genes)} names.*3 rows"):
        Memory(MemoryNetwork(MemoryConfig(3, 4, 2, 8)), genes, name="x", sha256="")


@pytest.mark.parametrize("sets", [["a"], ["a", "a"], ["a", "b", "c"]])
def test_data_sets_are_named_once_each(sets):
    network = MemoryNetwork(MemoryConfig(2, 4, 2, 8))
    with pytest.raises(ParameterError, match=f"{len(sets)} data sets are named"):
        Memory(network, ["A", "B"], sets=sets, name="x", sha256="")
    assert len(set(Memory(network, ["A", "B"], name="x", sha256="").sets)) == 2


def test_there_is_no_attention_and_the_error_says_where_there_is(tiny):
    with pytest.raises(CapabilityError, match=r"'tiny' offers: cells, .*Models of scgpt, geneformer.* have it"):
        tiny.attention(tiny.panel(SOURCES, TARGETS), cells(1, 7))


def test_need_says_what_a_model_offers(tiny):
    need(tiny, "gradient", "grn.tl.gradient_trajectory")
    with pytest.raises(CapabilityError, match=r"grn.tl.flags needs .*'flag'; 'tiny' offers: cells, .*scgenept have it"):
        need(tiny, "flag", "grn.tl.flags")


def test_the_advice_of_need_is_right():
    """Architectures that are named for a capability are those whose models have it."""
    symbols, ensembl = ["SPI1", "GATA1"], [f"ENSG{i:011d}" for i in range(1, 5)]
    offers = {
        family: untrained(
            family, genes=symbols if family in ("scgpt", "scgenept", "lpm") else ensembl, width=16, heads=2
        ).capabilities
        for family in FAMILIES
    }
    for capability in CAPABILITIES - {"value", "gradient", "embedding"}:
        assert set(ARCHITECTURES[capability]) == {family for family in FAMILIES if capability in offers[family]}


def test_the_scale_is_sound():
    for grid in (SCALE.perturbation_grid, SCALE.gradient_grid):
        assert len(grid) == 8
        assert list(grid) == sorted(set(grid))
        assert SCALE.baseline not in grid
        assert SCALE.lower <= grid[0] < SCALE.baseline < grid[-1] <= SCALE.upper
