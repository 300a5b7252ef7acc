"""What methods are given of an object: resolved once, and never the object itself."""

import ast
from pathlib import Path

import numpy as np
import pytest

import grn
from grn.errors import GroupError, ParameterError
from grn.methods import Inputs, Task
from grn.methods import inputs as module
from grn.methods.probes import features

METHODS = Path(module.__file__).parent


@pytest.fixture
def counted(monkeypatch):
    """How often the inputs asked what is behind them."""
    calls = {"pair_genes": 0, "expression": 0, "model_genes": 0}

    def count(name, function):
        def call(*args, **given):
            calls[name] += 1
            return function(*args, **given)

        return call

    for name in calls:
        monkeypatch.setattr(module, name, count(name, getattr(module, name)))
    return calls


@pytest.fixture
def toy():
    return grn.datasets.toy(n_cells=30, n_regulators=3, n_targets=6)


@pytest.fixture
def blood():
    return grn.datasets.pbmc68k()[:, ["SPI1", "LYZ", "CD79A", "CST3"]].copy()


@pytest.mark.parametrize("path", sorted(METHODS.glob("*/*.py")), ids=lambda path: path.relative_to(METHODS).as_posix())
def test_no_system_looks_behind_its_inputs(path):
    tree = ast.parse(path.read_text())
    behind = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "_adata"]
    fits = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("fit")]
    given = [node.name for node in fits if node.args.args and node.args.args[0].arg == "adata"]
    assert behind == given == []


def test_what_a_method_asks_for_is_resolved_once(blood, counted):
    inputs = Inputs(blood, Task(grn.models.load("mini"), sources=["SPI1"], show=False))
    for _ in range(2):
        features.pert(inputs)
        assert len(inputs.model_ids) == 4
    assert counted == {"pair_genes": 1, "expression": 1, "model_genes": 1}


def test_another_order_of_genes_is_another_question(blood, counted):
    inputs = Inputs(blood, Task(grn.models.load("mini"), sources=["SPI1"]))
    assert inputs.pairs.order is None
    assert inputs.pairs_in(["LYZ", "SPI1"]).order == ("LYZ", "SPI1")
    assert inputs.pairs_in(None) is inputs.pairs and counted["pair_genes"] == 2


def test_cells_that_were_read_give_the_values(toy, counted):
    inputs = Inputs(toy, Task())
    assert inputs.cells.expression is inputs.expression and counted["expression"] == 0


def test_probes_work_on_arrays(blood):
    grn.tl.vvp(blood, sources=["SPI1"], context="mean")
    dense = blood.X.toarray() if hasattr(blood.X, "toarray") else np.asarray(blood.X)
    task = Task(grn.models.load("mini"), sources=["SPI1"], show=False)
    inputs = Inputs.of_arrays(dense, blood.var_names, task)
    np.testing.assert_allclose(features.vvp(inputs, context="mean").values, blood.varm["vvp"], atol=1e-6)


def test_columns_and_groups(toy):
    toy.obs["day"] = [1.0, *[2.0] * (toy.n_obs - 1)]
    inputs = Inputs(toy, Task())
    assert inputs.groups[0] == ("",) and (inputs.groups[1] == 0).all() and inputs.group_names == ()
    assert inputs.column("day", "time").iloc[0] == 1.0
    with pytest.raises(GroupError, match=r"no column 'hour' \(time=\)"):
        inputs.column("hour", "time")
    with pytest.raises(ParameterError, match="time=3"):
        inputs.column(3, "time")
    toy.obs.loc[toy.obs_names[0], "day"] = np.nan
    with pytest.raises(GroupError, match="1 of"):
        inputs.column("day", "time")


def test_values_as_they_are_stored(toy):
    toy.layers["counts"] = toy.X.copy()
    stored = Inputs(toy, Task(layer="counts")).stored_values()
    assert stored.shape == toy.shape
    toy.raw = toy[:, :3].copy()
    with pytest.raises(ParameterError, match="layer="):
        Inputs(toy, Task(use_raw=True)).stored_values()
