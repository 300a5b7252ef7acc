"""From features to strengths, signs and tables."""

import numpy as np
import pytest

from grn.errors import ParameterError
from grn.methods import Method, Task
from grn.methods.edges import to_network
from grn.methods.probes.embedding import pair_sums
from grn.methods.probes.score import context_of, slope


def test_slope_of_responses_and_gradients():
    grid = np.array([-2.0, -1.0, 1.0, 2.0])
    cube = np.array([[[-4.0, -2.0, 2.0, 4.0], [3.0, 3.0, 3.0, 3.0]]])
    assert slope("vvp", cube, grid, 0.0).tolist() == [[3.0, 0.0]], "up minus down"
    assert slope("gradient_trajectory", cube, grid, 0.0).tolist() == [[0.0, 3.0]]
    assert slope("pert", cube[..., :1], grid[:1], 0.0).tolist() == [[-4.0, 3.0]]
    assert slope("vvp", cube, grid + 10, 10.0).tolist() == [[3.0, 0.0]], "relative to the baseline"
    assert slope("vvp", cube, grid, 1.0)[0, 1] == pytest.approx(3 * (-2 + 0 + 1) / 4)


def test_context():
    task = Task(model=None, groupby="cluster")
    assert context_of(task, None) == "mean" and context_of(task, "virtual") == "virtual"
    assert context_of(Task(model=None), None) == "virtual"


def test_pair_sums():
    table = np.arange(6, dtype=np.float32).reshape(3, 2)
    found = pair_sums(table, np.array([2, 0]))
    assert found.shape == (3, 2, 2) and found[1, 0].tolist() == [6, 8] and found[2, 0].tolist() == [8, 10]


def test_table_out_of_matrices():
    names, sources = np.array(["a", "b", "c"]), np.array([2, 0])
    weight = np.array([[0.5, np.nan], [-2.0, 1.0], [np.nan, 0.0]])
    columns = {"weight": weight, "sign": np.sign(weight), "probability": np.abs(weight) / 2}
    columns["sign"][2, 1] = np.nan
    network = to_network(names, sources, [("", columns)], params={"x": 1}, signed=True)
    edges = network.edges
    assert edges[["source", "target", "weight"]].to_numpy().tolist() == [
        ["c", "b", -2.0],
        ["a", "b", 1.0],
        ["c", "a", 0.5],
        ["a", "c", 0.0],
    ]
    assert edges["sign"].tolist()[:3] == [-1, 1, 1] and np.isnan(edges["sign"][3])
    assert edges["probability"].tolist() == [1.0, 0.5, 0.25, 0.0]
    assert "group" not in edges and network.params["x"] == 1 and list(network.genes) == ["a", "b", "c"]


def test_table_with_groups_in_their_order():
    weight = np.array([[np.nan], [1.0]])
    parts = [("late", {"weight": weight}), ("early", {"weight": 3 * weight})]
    network = to_network(np.array(["a", "b"]), np.array([0]), parts, params={}, signed=False)
    assert network.groups == ["late", "early"]
    assert network.edges[["group", "weight"]].to_numpy().tolist() == [["late", 1.0], ["early", 3.0]]
    assert not network.signed


def test_parameters_of_a_method():
    def fit(adata, task, *, depth=3, kind="a"):
        return None

    method = Method("mine", fit, "a method", signed=False, probability=False, reference="")
    assert method.parameters() == {"depth": 3, "kind": "a"}
    method.check({"depth": 4})
    with pytest.raises(ParameterError, match=r"'mine' has no parameter 'dept'; valid are: depth=3, kind='a'\."):
        method.check({"dept": 4})
    bare = Method("bare", lambda adata, task: None, "none", signed=False, probability=False, reference="")
    with pytest.raises(ParameterError, match="valid are: none"):
        bare.check({"x": 1})
