"""A method of a user, as the page on extending shows it, obeys what it is asked because the runner does."""

import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import NetworkError, ParameterError
from grn.methods import METHODS, Inputs, Method, Result, Table, Task


def correlate(group, *, minimum: float = 0.3):
    """Pearson correlation (T, S) of targets with regulators, where it is large."""
    x, y = group.values(group.sources), group.values(group.targets)
    with np.errstate(invalid="ignore"):
        r = np.corrcoef(y.T, x.T)[: y.shape[1], y.shape[1] :]
    return np.where(np.abs(r) >= minimum, r, np.nan)


def record(fit=correlate, **promises):
    return Method("mine", fit, "mine", signed=True, probability=False, reference="x", needs=("cells",), **promises)


@pytest.fixture
def mine(monkeypatch):
    """Registers a method for the time of a test."""
    monkeypatch.setattr(METHODS, "_records", dict(METHODS._records))
    return lambda *given, **promises: METHODS.add("mine", record(*given, **promises))


@pytest.fixture
def adata():
    cells = grn.datasets.toy_groups(n_cells=120, n_regulators=4, n_targets=8)
    cells.layers["other"] = cells.X[::-1].copy()
    return cells


def weights_of(adata, genes, rows=None, layer=None):
    X = (adata.X if layer is None else adata.layers[layer]).toarray()
    X = X if rows is None else X[rows]
    return pd.DataFrame(X, columns=adata.var_names).corr().loc[genes[0], genes[1]]


def test_groups_layer_sources_and_targets_are_obeyed(mine, adata):
    mine()
    sources, targets = list(adata.var_names[:2]), list(adata.var_names[3:7])
    asked = {"sources": sources, "targets": targets, "groupby": "group", "layer": "other", "values": "log"}
    grn.tl.infer_network(adata, method="mine", params={"minimum": 0.0}, **asked)
    edges = grn.get.edges(adata)
    assert set(edges["source"]) == set(sources) and set(edges["target"]) == set(targets)
    assert set(edges["group"]) == set(adata.obs["group"])
    for group, part in edges.groupby("group", observed=True):
        rows = (adata.obs["group"] == group).to_numpy()
        for source, target, weight in part[["source", "target", "weight"]].itertuples(index=False):
            expected = weights_of(adata, (source, target), rows, "other")
            assert weight == pytest.approx(expected, abs=1e-5)
    told = adata.uns["grn"]["params"]
    assert told["minimum"] == 0.0 and told["layer"] == "other" and told["min_cells"] == 5


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
    np.testing.assert_allclose(correlate(group, minimum=0.0), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (lambda group: np.ones((2, 2)), "shape"),
        (lambda group: {"score": np.ones((len(group.targets), len(group.sources)))}, "weight"),
        (lambda group: {"weight": np.full((len(group.targets), len(group.sources)), "a")}, "numbers"),
        (lambda group: pd.DataFrame({"source": ["A"], "target": ["B"], "weight": [1.0]}), "A"),
        (lambda group: pd.DataFrame({"source": ["A"]}), "lacks target"),
        (lambda group: np.full((len(group.targets), len(group.sources)), np.inf), "infinite"),
        (lambda group: pd.DataFrame({"source": [None], "target": [group.names[0]], "weight": [1.0]}), "missing"),
    ],
)
def test_other_answers_are_refused(mine, adata, refuses, fit, message):
    mine(fit)
    assert message in refuses(NetworkError, grn.tl.infer_network, adata, method="mine")


def test_genes_outside_the_question_are_refused(mine, adata, refuses):
    names = list(adata.var_names)
    mine(lambda group: pd.DataFrame({"source": [names[3]], "target": [names[5]], "weight": [1.0]}))
    assert "sources" in refuses(NetworkError, grn.tl.infer_network, adata, method="mine", sources=names[:2])


def with_table(inputs, network, *, prepared):
    return Result(network, {"facts": pd.DataFrame({"gene": inputs.names, "n": prepared})})


def test_tables_that_are_declared_are_written(mine, adata, reread):
    facts = Table("facts", ("gene", "n"))
    mine(prepare=lambda inputs: len(inputs.names), report=with_table, tables={"facts": facts})
    grn.tl.infer_network(adata, method="mine")
    assert reread(adata).uns["grn"]["facts"]["n"].tolist() == [adata.n_vars] * adata.n_vars
    assert grn.tl.methods().loc["mine", "output"] == "edges, facts"


@pytest.mark.parametrize("tables", [{}, {"facts": Table("facts", ("gene", "missing"))}, {"facts": Table("arrays")}])
def test_tables_that_were_not_declared_are_refused(mine, adata, refuses, tables):
    mine(prepare=lambda inputs: 1, report=with_table, tables=tables)
    if tables and not tables["facts"].columns:
        grn.tl.infer_network(adata, method="mine")  # a table may be a DataFrame where no columns are promised
        return
    assert "facts" in refuses(NetworkError, grn.tl.infer_network, adata, method="mine")


def test_parameters_are_verified_before_anything_is_read(mine, adata, monkeypatch, refuses):
    def verify(*, minimum):
        raise ParameterError("minimum is out of range")

    mine(verify=verify)
    monkeypatch.setattr("grn.methods.cells.expression", None)
    assert "out of range" in refuses(ParameterError, grn.tl.infer_network, adata, method="mine")


def test_a_record_needs_a_reference():
    with pytest.raises(TypeError, match="reference"):
        Method("mine", correlate, "mine", signed=True, probability=False)


def required(group, *, minimum):
    return minimum


@pytest.mark.parametrize(
    ("promises", "message"),
    [
        ({"fit": required}, "no default"),
        ({"prepare": lambda inputs, *, minimum=0.1: minimum}, "two defaults"),
        ({"needs": ("cells", "weather")}, "weather"),
    ],
)
def test_records_that_could_not_be_called_by_name_are_refused(promises, message):
    given = {"fit": correlate, "needs": ("cells",), **promises}
    with pytest.raises(ParameterError, match=message):
        Method("mine", description="mine", signed=True, probability=False, reference="x", **given)
