"""What a probe will cost: exact in what can be counted, near in time."""

import copy
import math
import re
from dataclasses import asdict

import pytest

import grn
from grn.errors import CapabilityError, GroupError, ParameterError


class Counting:
    """A model that counts the virtual cells that go through it."""

    def __init__(self, model):
        self._model, self.forward, self.dual = model, 0, 0

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._model, name)

    # those that the protocol is checked for
    name = property(lambda self: self._model.name)
    max_genes = property(lambda self: self._model.max_genes)

    def to(self, device):
        return self

    def respond(self, panel, values, *, context=None):
        self.forward += len(values)
        return self._model.respond(panel, values)

    def respond_dual(self, panel, values, tangents, *, context=None):
        self.dual += len(values)
        return self._model.respond_dual(panel, values, tangents)


@pytest.fixture
def counting(random_model):
    def make(max_genes=2048):
        model = copy.copy(random_model)
        model.max_genes = max_genes
        return Counting(model)

    return make


def estimate(adata, **arguments):
    return grn.tl.estimate_cost(adata, calibrate=False, **arguments)


@pytest.mark.parametrize("max_genes", [2048, 40])
@pytest.mark.parametrize(
    ("run", "features"),
    [
        ("vvp", ["vvp"]),
        ("gradient_trajectory", "gradient_trajectory"),
        ("probe", ["gradient_trajectory", "vvp"]),
    ],
)
def test_passes_are_counted_exactly(toy, counting, run, features, max_genes):
    model = counting(max_genes)
    arguments = {"model": model, "sources": list(toy.var_names[:25])}
    cost = estimate(toy, features=features, **arguments)
    model.forward = model.dual = 0
    getattr(grn.tl, run)(toy, progress=False, **arguments)
    assert (model.forward, model.dual) == (cost.forward_passes, cost.dual_passes)
    held = sum(toy.varm[key].nbytes for key in toy.varm)
    assert held == cost.result_bytes
    assert (cost.n_sources, cost.n_targets, cost.n_groups, cost.n_points) == (25, 48, 1, 8)
    assert (cost.n_panels == 1) == (max_genes == 2048) and cost.panel_genes <= min(48, max_genes)


def test_groups_and_grids_count(toy, counting):
    model = counting()
    arguments = {"model": model, "context": "mean", "groupby": "group", "grid": [-1.0, 1.0, 2.0]}
    cost = estimate(toy, features="vvp", **arguments)
    model.forward = 0
    grn.tl.vvp(toy, progress=False, **arguments)
    assert model.forward == cost.forward_passes == 2 * (8 * 3 + 1)
    assert cost.n_groups == 2 and cost.result_bytes == toy.varm["vvp"].nbytes


@pytest.mark.parametrize("max_genes", [2048, 40])
def test_the_files_of_a_store_are_counted(toy, counting, tmp_path, max_genes):
    model = counting(max_genes)
    sources = list(toy.var_names[:25])
    cost = estimate(toy, model=model, sources=sources)
    grn.tl.probe(toy, model=model, sources=sources, store=tmp_path / "store", progress=False)
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert len(files) == cost.n_files
    assert sum(path.stat().st_size for path in files) < 1.2 * cost.result_bytes + 20_000


def test_operations_are_those_of_the_matrix_products(toy):
    """Of a transformer: 2 n d^2 per weight matrix, 4 n^2 d per attention."""
    model = grn.models.untrained("scgpt", genes=list(toy.var_names), layers=2, width=32, heads=2)
    one = {"model": model, "sources": [str(toy.var_names[0])], "grid": [1.0]}
    few, many = (estimate(toy, targets=list(toy.var_names[:n]), features="vvp", **one) for n in (24, 48))
    assert few.forward_passes == many.forward_passes == 2
    weights = sum(p.numel() for p in model.network.parameters() if p.dim() == 2 and p.shape[0] != 48 + 3)
    for cost, n in ((few, 24), (many, 48)):
        assert 0.5 < cost.flop / (2 * (2 * n * weights + 2 * 4 * n * n * 32)) < 2
    assert 2 * few.flop < many.flop < 4 * few.flop
    dual = estimate(toy, features="gradient_trajectory", **one)
    assert dual.dual_passes == 1 and many.flop < dual.flop < 1.5 * many.flop


def test_it_changes_nothing(toy, random_model, snapshot, same):
    before = snapshot(toy)
    cost = grn.tl.estimate_cost(toy, model=random_model)
    after = snapshot(toy)
    assert all(same(before[slot], after[slot]) for slot in before)
    assert cost.seconds > 0 and math.isnan(estimate(toy, model=random_model).seconds)


def test_it_prints_as_a_table(toy, random_model):
    text = repr(estimate(toy, model=random_model))
    assert text.splitlines()[0] == "Cost of vvp and gradient_trajectory of 'random'"
    assert "8 sources x 48 targets x 8 points" in text and "1 forward, 64 dual" in text
    assert "not measured" in text and re.search(r"FLOP\n", text)
    timed = grn.tl.estimate_cost(toy, model=random_model, context="mean", groupby="group")
    assert "2 groups" in repr(timed) and " on cpu" in repr(timed)
    assert asdict(timed)["dual_passes"] == 128


def test_the_work_is_bounded_by_the_budget(toy, random_model):
    with grn.settings.override(memory_budget=2**14):
        low = estimate(toy, model=random_model)
    assert low.work_bytes < estimate(toy, model=random_model).work_bytes
    assert low.work_bytes <= 2**14 + 3 * low.result_bytes
    assert estimate(toy, model=random_model, batch_size=1).work_bytes < low.work_bytes


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"features": ["pert"]}, ParameterError, "vvp"),
        ({"features": []}, ParameterError, "vvp"),
        ({"context": "real"}, ParameterError, "virtual, mean"),
        ({"groupby": "group"}, ParameterError, "context='mean'"),
        ({"groupby": "nothing", "context": "mean"}, GroupError, "nothing"),
        ({"grid": [1.0, 1.0]}, ParameterError, "grid"),
        ({"batch_size": 0}, ParameterError, "batch_size"),
    ],
)
def test_arguments_are_checked(toy, random_model, refuses, arguments, error, told):
    assert told in refuses(error, grn.tl.estimate_cost, toy, model=random_model, **arguments)


def test_a_model_without_a_gradient_is_told(toy, counting):
    model = counting()
    model.capabilities = frozenset({"value"})
    with pytest.raises(CapabilityError, match="gradient"):
        grn.tl.estimate_cost(toy, model=model)
    assert estimate(toy, model=model, features="vvp").dual_passes == 0
