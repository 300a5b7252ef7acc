"""A method of a user, as the page on extending shows it, obeys what it is asked because the runner does."""

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import NetworkError, ParameterError
from grn.methods import METHODS, Inputs, Method, Result, Table, Task
from grn.models import _registry

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


@cache
def cells_of_the_page():
    """Code cells of the page that registers a method."""
    return re.findall(r"^```\{code-cell\} python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.M | re.S)


@cache
def shown():
    """What the cell of the page that registers a method defines: its function and its record."""
    (cell,) = [code for code in cells_of_the_page() if "METHODS.add(" in code]
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(METHODS, "_records", dict(METHODS._records))
        exec(compile(cell, str(PAGE), "exec"), names)
        assert names["record"] in METHODS._records.values()
    return names


@pytest.fixture
def mine(monkeypatch):
    """Registers the method of the page for the time of a test, with another function or more promises."""
    monkeypatch.setattr(METHODS, "_records", dict(METHODS._records))

    def register(fit=None, **promises):
        record = replace(shown()["record"], name="mine", **promises)
        return METHODS.add("mine", record if fit is None else replace(record, fit=fit))

    return register


@pytest.fixture
def adata():
    cells = grn.datasets.toy_groups(n_cells=120, n_regulators=4, n_targets=8)
    cells.layers["other"] = cells.X[::-1].copy()
    cells.raw = ad.AnnData(cells.X[np.roll(np.arange(120), 7)], var=cells.var[[]])
    return cells


def test_every_cell_of_the_page_runs(monkeypatch):
    monkeypatch.setattr(METHODS, "_records", dict(METHODS._records))
    monkeypatch.setattr(_registry._RECORDS, "_records", dict(_registry._RECORDS._records))
    names = {}
    for code in cells_of_the_page():
        exec(compile(code, str(PAGE), "exec"), names)
    edges = grn.get.edges(names["cells"])
    assert len(edges) and edges["weight"].abs().min() >= 0.5 and edges["group"].nunique() > 1


@pytest.mark.parametrize("matrix", [{"layer": "other"}, {"use_raw": True}], ids=["layer", "use_raw"])
def test_groups_matrix_sources_and_targets_are_obeyed(mine, adata, matrix):
    mine()
    sources, targets = list(adata.var_names[:2]), list(adata.var_names[3:7])
    asked = {"sources": sources, "targets": targets, "groupby": "group", "values": "log", **matrix}
    grn.tl.infer_network(adata, method="mine", params={"minimum": 0.0}, **asked)
    read = adata.layers["other"] if "layer" in matrix else adata.raw.X  # (n, G)
    edges = grn.get.edges(adata)
    assert set(edges["source"]) == set(sources) and set(edges["target"]) == set(targets)
    assert set(edges["group"]) == set(adata.obs["group"])
    for group, part in edges.groupby("group", observed=True):
        members = pd.DataFrame(read.toarray()[adata.obs["group"] == group], columns=adata.var_names)
        for source, target, weight in part[["source", "target", "weight"]].itertuples(index=False):
            assert weight == pytest.approx(members[source].corr(members[target]), abs=1e-5)
    given = {"minimum": 0.0, "min_cells": 5, **matrix}
    assert {name: adata.uns["grn"]["params"][name] for name in given} == given


def test_confidence_benchmark_differential_and_the_table_come_with_it(mine, adata):
    mine()
    assert grn.tl.methods().loc["mine", "parameters"] == "minimum=0.3, min_cells=5"
    grn.tl.infer_network(adata, method="mine", groupby="group")
    grn.tl.confidence(adata, n_permutations=2, n_subsamples=2, top=5)
    assert {"pval", "qval", "stability"} <= set(adata.uns["grn"]["edges"])
    truth = pd.DataFrame({"source": adata.var_names[:2], "target": adata.var_names[5:7]})
    assert np.isfinite(grn.bench.scorer("mine")(adata, truth)).all()
    adata.obs["donor"] = [f"d{i % 8}" for i in range(adata.n_obs)]
    adata.obs["condition"] = ["a" if i % 8 < 4 else "b" for i in range(adata.n_obs)]
    grn.tl.differential(adata, condition="condition", donor="donor", method="mine", n_permutations=2)
    assert len(adata.uns["differential"]["edges"])


def matrix_of_ones(group):
    return np.ones((len(group.targets), len(group.sources)))


def table_of_ones(group):
    sources, targets = group.names[group.sources], group.names[group.targets]
    return pd.DataFrame([(s, t, 1.0) for t in targets for s in sources], columns=["source", "target", "weight"])


def categorical_table_of_ones(group):
    return table_of_ones(group).astype({"source": "category", "target": "category"})


ANSWERS = (matrix_of_ones, table_of_ones, categorical_table_of_ones)


@pytest.mark.parametrize("fit", ANSWERS)
@pytest.mark.parametrize("groupby", [None, "group"])
@pytest.mark.parametrize("restricted", [False, True])
def test_only_pairs_that_may_be_edges_are_left_of_matrices_and_of_tables(mine, adata, fit, groupby, restricted):
    mine(fit, takes_prior=True)
    sources, targets, rare = list(adata.var_names[:3]), list(adata.var_names[2:9]), adata.var_names[6]
    silenced = adata.X.tolil()
    silenced[4:, 6] = 0
    adata.X = silenced.tocsr()
    every_pair = [(s, t) for s in sources for t in targets if s != t and t != rare]
    allowed = every_pair[::2] if restricted else every_pair
    base_grn = pd.DataFrame([*allowed, (sources[0], rare), (sources[2], sources[2])], columns=["source", "target"])
    params = {"base_grn": base_grn} if restricted else {}
    grn.tl.infer_network(
        adata, method="mine", params=params, groupby=groupby, sources=sources, targets=targets, values="log"
    )
    edges = grn.get.edges(adata)
    groups = [None] if groupby is None else sorted(set(adata.obs["group"]))
    assert groupby is None or sorted(set(edges["group"])) == groups
    for group in groups:
        part = edges if group is None else edges[edges["group"] == group]
        assert sorted(zip(part["source"], part["target"], strict=True)) == sorted(allowed)


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("named", [False, True])
def test_a_table_keeps_to_the_sources_and_targets_of_the_group(mine, adata, refuses, side, named):
    regulators, others = (list(adata.var_names[adata.var["is_regulator"] == is_one]) for is_one in (True, False))
    pairs = {"source": [regulators[0]], "target": [others[0]]}
    strange = others[1] if side == "source" else others[2]
    mine(lambda group: pd.DataFrame({**pairs, side: [strange], "weight": [1.0]}))
    asked = {"sources": regulators if named else None, "targets": others[:2]}
    told = refuses(NetworkError, grn.tl.infer_network, adata, method="mine", **asked)
    assert f"not among the {side}s" in told and strange in told


def test_nan_is_no_edge_in_a_table_too(mine, adata):
    mine(lambda group: table_of_ones(group).assign(weight=lambda table: np.where(table.index % 2, np.nan, 1.0)))
    grn.tl.infer_network(adata, method="mine")
    assert np.isfinite(grn.get.edges(adata)["weight"]).all()


def test_columns_differ_between_groups(mine, adata, refuses):
    mine(lambda group: matrix_of_ones(group) if group.name == "a" else table_of_ones(group).assign(pval=0.5))
    adata.obs["group"] = ["a", "b"] * 60
    told = refuses(NetworkError, grn.tl.infer_network, adata, method="mine", groupby="group")
    assert "pval" in told and "'b'" in told


def test_it_works_on_arrays():
    values = np.random.default_rng(0).normal(5, 1, (40, 3)).clip(0)
    task = Task(sources=["a"], targets=["a", "b", "c"], values="log")
    group = Inputs.of_arrays(values, ["a", "b", "c"], task).group()
    expected = np.corrcoef(values.T)[:, [0]]
    np.testing.assert_allclose(shown()["correlate"](group, minimum=0.0), expected, atol=1e-5)


def table(**columns):
    return lambda group: pd.DataFrame(columns)


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (lambda group: np.ones((2, 2)), "returned weight of shape (2, 2)"),
        (lambda group: {"score": matrix_of_ones(group)}, "returned score; fit returns 'weight'"),
        (lambda group: {"weight": np.full_like(matrix_of_ones(group), "a", dtype=object)}, "fit returns numbers"),
        (lambda group: matrix_of_ones(group) * np.inf, "returned infinite weight"),
        (table(source=["A"]), "lacks target"),
        (table(source=["A"], target=["B"], weight=[1.0]), "1 genes that are not among the sources of the group: A"),
        (table(source=[None], target=["GATA1"], weight=[1.0]), "1 edges with a missing source"),
    ],
)
def test_other_answers_are_refused(mine, adata, refuses, fit, message):
    mine(fit)
    assert message in refuses(NetworkError, grn.tl.infer_network, adata, method="mine")


def with_table(inputs, network, *, prepared):
    return Result(network, {"facts": pd.DataFrame({"gene": inputs.names, "n": prepared})})


def test_tables_that_are_declared_are_written(mine, adata, reread):
    facts = Table("facts", ("gene", "n"))
    mine(prepare=lambda inputs: len(inputs.names), report=with_table, tables={"facts": facts})
    grn.tl.infer_network(adata, method="mine")
    assert reread(adata).uns["grn"]["facts"]["n"].tolist() == [adata.n_vars] * adata.n_vars
    assert grn.tl.methods().loc["mine", "output"] == "edges, facts"


def test_a_table_for_which_no_columns_are_promised_may_have_any(mine, adata):
    mine(prepare=lambda inputs: 1, report=with_table, tables={"facts": Table("facts")})
    grn.tl.infer_network(adata, method="mine")
    assert list(adata.uns["grn"]["facts"]) == ["gene", "n"]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({}, "a table 'facts' that it does not declare"),
        ({"facts": Table("facts", ("gene", "missing"))}, "table 'facts' of method 'mine' lacks the column(s) missing"),
    ],
)
def test_tables_other_than_those_declared_are_refused(mine, adata, refuses, tables, message):
    mine(prepare=lambda inputs: 1, report=with_table, tables=tables)
    assert message in refuses(NetworkError, grn.tl.infer_network, adata, method="mine")


def test_parameters_are_verified_before_anything_is_read(mine, adata, monkeypatch, refuses):
    def verify(*, minimum):
        raise ParameterError("minimum is out of range")

    mine(verify=verify)
    monkeypatch.setattr("grn.methods.cells.expression", None)
    assert "out of range" in refuses(ParameterError, grn.tl.infer_network, adata, method="mine")


def test_a_record_needs_a_reference():
    with pytest.raises(TypeError, match="reference"):
        Method("mine", shown()["correlate"], "mine", signed=True, probability=False)


def required(group, *, minimum):
    return minimum


@pytest.mark.parametrize(
    ("promises", "message"),
    [
        ({"fit": required}, "no default"),
        ({"prepare": lambda inputs, *, minimum=0.1: minimum}, "two defaults"),
        ({"needs": ("cells", "weather")}, "weather"),
        ({"optional": ("weather",)}, "weather"),
        ({"verify": lambda *, maximum: None}, "verify of method 'correlation_example' takes 'maximum'"),
    ],
)
def test_records_that_could_not_be_called_by_name_are_refused(promises, message):
    with pytest.raises(ParameterError, match=message):
        replace(shown()["record"], **promises)
