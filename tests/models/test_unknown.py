"""Genes that a model is not shown: finite answers that depend on what is shown and on nothing else."""

import numpy as np
import pytest
import torch

import grn
from grn.errors import CapabilityError
from grn.models.protocol import CAPABILITIES, need, virtual_cell
from random_memories import random_memory

NAMES = [f"ENSG{i:011d}" for i in range(30)]
# family, read-out: what gives a model, and whether hidden genes leave no trace
CASES = {
    "mini": ("mini", "", True),
    "scgpt": ("scgpt", "expression", False),
    "scgpt mvc": ("scgpt", "mvc", False),
    "scgpt generative": ("scgpt", "generative", True),
    "scprint": ("scprint", "logit", False),
    "scprint mvc": ("scprint", "mvc_log_mean", False),
    "geneformer": ("geneformer", "logit", False),
    "geneformer masked": ("geneformer", "masked", False),
    "genecompass": ("genecompass", "logit", False),
    "lpm": ("lpm", "", True),
}
_MODELS = {}


def model_of(case):
    if case not in _MODELS:
        family, readout, _ = CASES[case]
        if family == "mini":
            _MODELS[case] = random_memory(NAMES, name="mini", sha256="", crowding=1000.0)
        else:
            model = grn.models.untrained(family, genes=NAMES, layers=2, width=16, heads=2, rng=3)
            about = {"family": family, "readout": readout}
            _MODELS[case] = with_readout(model, **about) if readout else model
    return _MODELS[case]


def with_readout(model, *, family, readout):
    """The same weights, read otherwise: capabilities follow the read-out, so the model is made again."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = grn.models.save(model, Path(folder) / ("model.ckpt" if family == "scprint" else family))
        return grn.models.load(path, params={"readout": readout})


@pytest.fixture(params=CASES)
def case(request):
    return request.param


@pytest.fixture
def model(case):
    return model_of(case)


@pytest.fixture
def panel(model):
    return model.panel(NAMES[:5], NAMES[:12])


def masked(model, panel, shown):
    """The virtual cell, with genes outside ``shown`` unknown, one row per set of positions."""
    values = virtual_cell(model, panel).repeat(len(shown), 1)
    for row, columns in zip(values, shown, strict=True):
        hide = torch.ones(len(row), dtype=torch.bool)
        hide[list(columns)] = False
        row[hide] = torch.nan
    return values


SETS = [(0,), (), (3,), tuple(range(12)), (0, 4, 7), (0,), (11,)]


def test_it_is_a_capability(model):
    assert "unknown" in CAPABILITIES and "unknown" in model.capabilities


def test_answers_are_finite_whatever_is_hidden(model, panel):
    values = masked(model, panel, SETS)
    tangents = torch.zeros_like(values)
    tangents[:, 0] = 1.0
    with torch.no_grad():
        out = model.respond(panel, values)
        primal, slope = model.respond_dual(panel, values, tangents.where(~values.isnan(), torch.tensor(0.0)))
    assert out.isfinite().all() and slope.isfinite().all()
    torch.testing.assert_close(primal, out, atol=1e-5, rtol=1e-4)
    assert values.isnan().any(), "the caller's values stay as they are"


def test_a_row_does_not_depend_on_the_others(model, panel):
    values = masked(model, panel, SETS)
    with torch.no_grad():
        together = model.respond(panel, values)
        alone = torch.cat([model.respond(panel, row[None]) for row in values])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_nothing_hidden_is_nothing_new(model, panel, monkeypatch):
    values = virtual_cell(model, panel).repeat(3, 1)
    with torch.no_grad():
        out = model.respond(panel, values)
        mixed = model.respond(panel, torch.cat([values, torch.full_like(values, torch.nan)]))[:3]
    torch.testing.assert_close(mixed, out, atol=1e-5, rtol=1e-4)


def test_what_is_shown_matters(model, panel):
    low, high = (masked(model, panel, [(0,)]) for _ in range(2))
    low[0, 0], high[0, 0] = min(model.value_scale.perturbation_grid), max(model.value_scale.perturbation_grid)
    with torch.no_grad():
        change = (model.respond(panel, high) - model.respond(panel, low))[0, 1:]
    assert change.abs().max() > 1e-4


def test_the_gradient_is_that_of_the_response(case, model, panel):
    if case.startswith("geneformer"):
        pytest.skip("ranks change in steps; the derivative is one of interpolated positions")
    values = masked(model, panel, [(0,), (0, 4, 7)])
    values[:, 0] = model.value_scale.perturbation_grid[2]
    tangents = torch.zeros_like(values)
    tangents[:, 0] = 1.0
    step = 1e-2 * max(1.0, abs(float(values[0, 0])))
    with torch.no_grad():
        _, slope = model.respond_dual(panel, values, tangents)
        up, down = (model.respond(panel, values + sign * step * tangents) for sign in (1, -1))
    wanted = (up - down) / (2 * step)
    close = torch.isclose(slope, wanted, rtol=0.1, atol=0.02 * float(wanted.abs().max()))
    assert close.float().mean() > 0.9  # kinks of ReLU may lie within a step


def test_hidden_genes_that_are_left_out_leave_no_trace(case, model, panel):
    small = model.panel(NAMES[:5], [NAMES[1], NAMES[8]])
    shown = [panel.genes.index(NAMES[0])], [small.genes.index(NAMES[0])]
    with torch.no_grad():
        large = model.respond(panel, masked(model, panel, [shown[0]]))[0, [1, 8]]
        few = model.respond(small, masked(model, small, [shown[1]]))[0]
    if CASES[case][2]:
        torch.testing.assert_close(large, few, atol=1e-6, rtol=1e-5)
    else:
        assert (large - few).abs().max() > 1e-6, "hidden genes have a place in the sentence, and the page says so"


def test_scgpt_shows_the_value_of_masked_genes():
    model, values = model_of("scgpt"), None
    panel = model.panel(NAMES[:5], NAMES[:12])
    values = masked(model, panel, [(0, 3)])
    with torch.no_grad():
        hidden = model.respond(panel, values)
        given = model.respond(panel, values.nan_to_num(-1.0))
    torch.testing.assert_close(hidden, given)
    assert model.mask_value == -1.0


def test_scprint_counts_what_it_does_not_show():
    """A share of the counts of the panel is what it was, hidden genes have none of their own."""
    model = model_of("scprint")
    panel = model.panel(NAMES[:5], NAMES[:12])
    values = masked(model, panel, [(0, 3)])
    values[0, 0] = 4.0
    shares = model.encoder_input(values)
    torch.testing.assert_close(shares[0, [0, 3]], torch.tensor([4.0, 1.0]) / 15)
    assert shares.isnan().sum() == 10


@pytest.mark.parametrize("case_", ["geneformer", "geneformer masked"])
def test_geneformer_sees_masks_in_panel_order(case_):
    model = model_of(case_)
    panel = model.panel(NAMES[:5], NAMES[:12])
    values = masked(model, panel, [(2,)])
    values[0, 2] = 1.0  # moved to the front
    mask, tokens = model.special["<mask>"], panel.tokens
    ids = torch.full((1, 12), mask)
    ids[0, 0] = tokens[2]
    place = [1, 2, 0, *range(3, 12)]
    with torch.no_grad():
        x = model._hidden(ids)[0, place]
        wanted = model.network.logit(x, tokens) if case_ == "geneformer" else model.network.log_prob(x, tokens)
        found = model.respond(panel, values)[0]
    others = np.arange(12) != 2
    torch.testing.assert_close(found[others], wanted[others], atol=1e-5, rtol=1e-4)


def test_genecompass_hides_word_and_value():
    model = model_of("genecompass")
    panel = model.panel(NAMES[:5], NAMES[:12])
    values = masked(model, panel, [(2,)])
    ids = torch.full((1, 12), model.tokens["<mask>"])
    ids[0, 2] = panel.tokens[2]
    with torch.no_grad():
        x = model.network.tokens(ids, values.nan_to_num(-1.0), mouse=model.mouse, alpha=model.network.alpha)
        wanted = model.network.logit(model.network.stack(x)[:, model.network.special :], panel.tokens)
        torch.testing.assert_close(model.respond(panel, values), wanted)


@pytest.mark.parametrize(("family", "readout"), [("geneformer", "shift"), ("genecompass", "value"), ("scgenept", "")])
def test_models_that_cannot_be_shown_so_little_say_what_they_offer(family, readout):
    model = grn.models.untrained(family, genes=NAMES, layers=1, width=16, heads=2)
    model = with_readout(model, family=family, readout=readout) if readout else model
    with pytest.raises(CapabilityError, match=r"'unknown'; .* offers: .*gradient"):
        need(model, "unknown", "background='unknown'")


def test_the_mask_value_is_in_the_files(tmp_path):
    model = grn.models.untrained("scgpt", genes=NAMES, layers=1, width=16, heads=2)
    model.mask_value = -3.0
    assert grn.models.load(grn.models.save(model, tmp_path / "scgpt")).mask_value == -3.0
