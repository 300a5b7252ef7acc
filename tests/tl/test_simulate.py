"""In-silico perturbation: planted effects, the language of perturbations, groups, invariances, bad input."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge

import grn
from grn.errors import (
    ExpressionError,
    GeneNameError,
    GeneOverlapError,
    GroupError,
    NetworkError,
    ParameterError,
    ResultNotFoundError,
)
from grn.simulate import coefficients, propagation

EDGES = pd.DataFrame(
    {"source": ["A", "A", "B", "D"], "target": ["B", "C", "D", "C"], "weight": [0.5, -0.4, 0.8, 0.3]}
)  # A -| C, A -> B -> D -> C


def planted(n_cells: int = 400, seed: int = 0) -> ad.AnnData:
    """Cells whose genes follow EDGES exactly, but for a little noise, with a network and two groups."""
    rng = np.random.default_rng(seed)
    noise = lambda: rng.normal(scale=0.02, size=n_cells)  # noqa: E731
    a = rng.uniform(0.5, 2.5, n_cells)
    b = 1.0 + 0.5 * a + rng.uniform(0, 0.5, n_cells)
    d = 0.5 + 0.8 * b + rng.uniform(0, 0.5, n_cells)
    c = 2.0 - 0.4 * a + 0.3 * d + noise()
    x = np.column_stack([a, b, c, d, rng.uniform(0, 3, n_cells)])
    adata = ad.AnnData(
        x.astype(np.float32),
        obs=pd.DataFrame({"type": pd.Categorical(np.where(np.arange(n_cells) % 3 == 0, "one", "two"))},
                         index=[f"cell_{i}" for i in range(n_cells)]),
        var=pd.DataFrame(index=list("ABCDE")),
    )  # fmt: skip
    grn.Network(EDGES, genes=list("ABCDE")).write(adata)
    return adata


def effect(adata: ad.AnnData, gene: str, *, dose: int = 0, group: str = "all", key: str = "simulation") -> float:
    table = adata.uns[key]["effects"]
    found = table[(table["gene"] == gene) & (table["dose"] == dose) & (table["group"] == group)]
    return float(found["effect"].iloc[0]) if len(found) else 0.0


@pytest.mark.parametrize(("coefficients", "rtol"), [("weight", 1e-5), ("refit", 0.03)])
def test_a_planted_knock_out_has_its_known_effect(coefficients, rtol):
    adata = planted()
    grn.tl.simulate(adata, perturbation={"A": 0}, coefficients=coefficients, alpha=0.01, layer_added="change")
    change, a = adata.layers["change"].toarray(), np.asarray(adata.X)[:, 0]
    total = {"A": -1.0, "B": -0.5, "D": -0.4, "C": 0.4 - 0.12}
    for gene, factor in total.items():
        np.testing.assert_allclose(change[:, list("ABCDE").index(gene)], factor * a, rtol=rtol)
        assert effect(adata, gene) == pytest.approx(factor * a.mean(), rel=rtol)
    assert change[:, 4].tolist() == [0.0] * adata.n_obs
    table = adata.uns["simulation"]["effects"].set_index("gene")
    assert table["perturbed"].to_dict() == {"A": True, "B": False, "D": False, "C": False}
    assert table["direct"].to_dict() == {"A": False, "B": True, "D": False, "C": True}
    assert table.loc["B", "before"] == pytest.approx(float(adata.X[:, 1].mean()), rel=1e-5)


def test_one_step_reaches_direct_targets_only():
    adata = planted()
    grn.tl.simulate(adata, perturbation={"A": 0}, coefficients="weight", n_propagation=1)
    assert effect(adata, "B") != 0 == effect(adata, "D")


@pytest.mark.parametrize("mode", ["paths", "steady"])
def test_modes_agree_where_nothing_is_clipped_and_no_loop_is_long(mode):
    adata = planted()
    grn.tl.simulate(adata, perturbation={"A": 0}, coefficients="weight", layer_added="step")
    grn.tl.simulate(adata, perturbation={"A": 0}, coefficients="weight", mode=mode, layer_added="other")
    np.testing.assert_allclose(adata.layers["step"].toarray(), adata.layers["other"].toarray(), atol=1e-6)


def test_the_language_of_perturbations():
    adata = planted()
    a = np.asarray(adata.X, dtype=np.float64)[:, 0]
    doses = [0, 1.5, ("fold", 2), ("fold", 0.0), ("quantile", 0.9)]
    grn.tl.simulate(adata, perturbation={"A": doses}, coefficients="weight")
    goals = [0.0, 1.5, np.log1p(2 * np.expm1(a)), 0.0, np.quantile(a, 0.9)]
    for dose, goal in enumerate(goals):
        assert effect(adata, "A", dose=dose) == pytest.approx(float(np.mean(goal - a)), abs=1e-6)
        assert effect(adata, "B", dose=dose) == pytest.approx(0.5 * float(np.mean(goal - a)), abs=1e-6)
    assert adata.uns["simulation"]["params"]["doses"].tolist() == [
        "A=0", "A=1.5", "A=fold 2", "A=fold 0", "A=quantile 0.9",
    ]  # fmt: skip


def test_several_genes_are_set_at_once_and_held():
    adata = planted()
    grn.tl.simulate(adata, perturbation={"A": 0, "B": ("fold", 1.0)}, coefficients="weight")
    # B stays where it is, so nothing reaches D
    assert effect(adata, "B") == 0 and effect(adata, "D") == 0
    assert effect(adata, "C") == pytest.approx(0.4 * float(adata.X[:, 0].mean()), rel=1e-5)


def test_clipping_keeps_genes_in_their_range_but_not_the_perturbed_one():
    adata = planted()
    grn.tl.simulate(adata, perturbation={"A": 0}, coefficients="weight", clip=True, layer_added="change")
    after = np.asarray(adata.X) + adata.layers["change"].toarray()
    assert after[:, 1].min() >= adata.X[:, 1].min() - 1e-5
    np.testing.assert_allclose(after[:, 0], 0, atol=1e-6)


def test_groups_run_on_their_own_coefficients():
    adata = planted()
    edges = pd.concat([EDGES.assign(group="one"), EDGES.assign(group="two", weight=EDGES["weight"] * -1)])
    grn.Network(edges, genes=list("ABCDE"), params={"groupby": "type"}).write(adata)
    grn.tl.simulate(adata, perturbation={"A": 0}, coefficients="weight", n_propagation=1)
    assert effect(adata, "B", group="one") < 0 < effect(adata, "B", group="two")


def test_a_network_without_groups_is_refitted_per_group():
    adata = planted()
    first = (adata.obs["type"] == "one").to_numpy()
    adata.X[first, 1] = adata.X[first, 1].max() - adata.X[first, 1] + 0.5  # B falls with A in one group
    grn.tl.simulate(adata, perturbation={"A": 0}, groupby="type", n_propagation=1)
    assert effect(adata, "B", group="one") > 0 > effect(adata, "B", group="two")


def test_a_stored_simulation_network_goes_first():
    adata = planted()
    adata.uns["grn"]["simulation"] = EDGES.assign(weight=EDGES["weight"] * 1.2)
    grn.tl.simulate(adata, perturbation={"A": 0}, n_propagation=1)
    assert effect(adata, "B") == pytest.approx(-0.6 * float(adata.X[:, 0].mean()), rel=1e-5)
    assert adata.uns["simulation"]["params"]["coefficients"] == "stored"


def test_signs_of_the_toy_network_are_recovered():
    adata = grn.datasets.toy(n_cells=600)
    truth = adata.uns["truth"]
    grn.Network(truth).write(adata)
    source = truth["source"].value_counts().index[0]
    grn.tl.simulate(adata, perturbation={source: 0}, n_propagation=1)
    known = truth[truth["source"] == source].set_index("target")["weight"]
    found = adata.uns["simulation"]["effects"].set_index("gene")["effect"].reindex(known.index)
    assert np.mean(np.sign(found) == -np.sign(known)) > 0.9


def test_smoothed_cells_are_read_through_their_weights():
    adata = planted(60)
    grn.pp.smooth(adata, k=5)
    adata.layers["smooth"] = sparse.csr_matrix(adata.obsp["grn_smooth"] @ adata.X)
    grn.tl.simulate(adata, perturbation={"A": 0}, layer="smooth", key_added="layer")
    for smooth in (True, "grn_smooth"):
        grn.tl.simulate(adata, perturbation={"A": 0}, smooth=smooth)
        pd.testing.assert_frame_equal(adata.uns["layer"]["effects"], adata.uns["simulation"]["effects"], atol=1e-5)
    adata.uns["grn"]["params"]["smooth"] = "grn_smooth"  # as celloracle says it
    grn.tl.simulate(adata, perturbation={"A": 0}, key_added="as_inferred")
    pd.testing.assert_frame_equal(adata.uns["as_inferred"]["effects"], adata.uns["simulation"]["effects"])
    grn.tl.simulate(adata, perturbation={"A": 0}, smooth=False, key_added="raw")
    assert adata.uns["raw"]["params"]["smooth"] == "False"


def test_the_order_of_cells_and_genes_and_the_blocks_do_not_matter(monkeypatch):
    adata = planted(90)
    grn.tl.simulate(adata, perturbation={"A": 0}, groupby="type", layer_added="change")
    turned = planted(90)[::-1, list("EDCBA")].copy()
    monkeypatch.setattr(propagation, "_VALUES", 35)
    grn.tl.simulate(turned, perturbation={"A": 0}, groupby="type", layer_added="change")
    pd.testing.assert_frame_equal(adata.uns["simulation"]["effects"], turned.uns["simulation"]["effects"], rtol=1e-5)
    back = turned[adata.obs_names, adata.var_names].layers["change"].toarray()
    np.testing.assert_allclose(adata.layers["change"].toarray(), back, atol=1e-5)


@pytest.mark.parametrize("form", ["csr", "csc", "backed"])
def test_matrices_of_all_kinds_give_the_same(form, tmp_path):
    adata, other = planted(60), planted(60)
    if form == "backed":
        other.write_h5ad(tmp_path / "cells.h5ad")
        other = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    else:
        other.X = getattr(sparse, f"{form}_matrix")(other.X)
    for cells in (adata, other):
        grn.tl.simulate(cells, perturbation={"A": 0})
    pd.testing.assert_frame_equal(adata.uns["simulation"]["effects"], other.uns["simulation"]["effects"], rtol=1e-5)


def test_results_survive_a_file_and_a_copy_leaves_the_object_alone(tmp_path):
    adata = planted(60)
    before = sorted(adata.uns), sorted(adata.layers)
    out = grn.tl.simulate(adata, perturbation={"A": [0, 1]}, copy=True)
    assert (sorted(adata.uns), sorted(adata.layers)) == before and "simulation" in out.uns
    grn.tl.simulate(out, perturbation={"A": 0}, layer_added="change")
    out.write_h5ad(tmp_path / "out.h5ad")
    again = ad.read_h5ad(tmp_path / "out.h5ad")
    pd.testing.assert_frame_equal(
        again.uns["simulation"]["effects"], out.uns["simulation"]["effects"], check_dtype=False
    )
    assert again.layers["change"].dtype == np.float32
    assert grn.pl.simulate(again) is not None


BAD = [
    ({"perturbation": {}}, ParameterError, "dict by gene"),
    ({"perturbation": "A"}, ParameterError, "dict by gene"),
    ({"perturbation": {"A": -1}}, ParameterError, "at least 0"),
    ({"perturbation": {"A": True}}, ParameterError, "at least 0"),
    ({"perturbation": {"A": "0"}}, ParameterError, "knock-out"),
    ({"perturbation": {"A": ("times", 2)}}, ParameterError, "fold"),
    ({"perturbation": {"A": ("quantile", 2)}}, ParameterError, "quantile"),
    ({"perturbation": {"A": [0, 1], "B": [0]}}, ParameterError, "lengths"),
    ({"perturbation": {"A": []}}, ParameterError, "lengths"),
    ({"perturbation": {"A": 100}}, ParameterError, "twice the largest observed"),
    ({"perturbation": {"A": ("fold", 1000)}}, ParameterError, "twice the largest observed"),
    ({"perturbation": {"GATA1": 0}}, GeneNameError, "var_names"),
    ({"perturbation": {"C": 0}}, GeneOverlapError, "no outgoing edge"),
    ({"net": "other"}, ResultNotFoundError, "no network 'other'"),
    ({"coefficients": "stored"}, NetworkError, "no simulation network"),
    ({"coefficients": "guess"}, ParameterError, "coefficients='guess'; use one of"),
    ({"mode": "jump"}, ParameterError, "mode='jump'; use one of"),
    ({"n_propagation": 0}, ParameterError, "from 1 to 1000"),
    ({"n_propagation": 10**30}, ParameterError, "n_propagation=10*; pass an integer from 1 to 1000: mode='steady'"),
    ({"n_grid": 10**9}, ParameterError, "n_grid=1000000000; pass an integer from 2 to 1000"),
    ({"n_neighbors": 1}, ParameterError, "n_neighbors=1; pass an integer of at least 2"),
    ({"n_controls": True}, ParameterError, "n_controls=True"),
    ({"bandwidth": "wide"}, ParameterError, "bandwidth='wide'; pass a finite number above 0"),
    ({"min_mass": float("inf")}, ParameterError, "min_mass=inf"),
    ({"sampled_fraction": 2}, ParameterError, "sampled_fraction=2"),
    ({"sampling_probs": "ab"}, ParameterError, "sampling_probs='a'"),
    ({"alpha": 0}, ParameterError, "at least 1e-05"),
    ({"groupby": "batch"}, GroupError, "no column"),
    ({"smooth": "missing"}, ResultNotFoundError, "missing"),
    ({"smooth": 3}, ParameterError, "entry of obsp"),
    ({"basis": "X_tsne"}, ParameterError, "X_tsne"),
    ({"pseudotime": "dpt"}, ParameterError, "needs an embedding"),
    ({"perturbation": {"A": [0, 1]}, "layer_added": "x"}, ParameterError, "single dose"),
    ({"rng": -1}, ParameterError, "rng=-1"),
]


@pytest.mark.parametrize(("arguments", "error", "match"), BAD, ids=[str(row[0]) for row in BAD])
def test_bad_input_is_refused_and_nothing_is_written(arguments, error, match):
    adata = planted(60)
    with pytest.raises(error, match=match):
        grn.tl.simulate(adata, **{"perturbation": {"A": 0}, **arguments})
    assert sorted(adata.uns) == ["grn"] and not adata.layers and not adata.obsm


def test_a_gene_that_no_cell_expresses_is_refused():
    adata = planted(60)
    adata.X[:, 0] = 0
    with pytest.raises(ExpressionError, match="no cell expresses A"):
        grn.tl.simulate(adata, perturbation={"A": 0})


def test_a_steady_state_needs_damped_feedback():
    adata = planted(60)
    loop = pd.DataFrame({"source": ["A", "B", "D"], "target": ["B", "D", "B"], "weight": [1.0, 1.5, 1.5]})
    grn.Network(loop).write(adata)
    with pytest.raises(NetworkError, match=r"spectral radius 1\.5"):
        grn.tl.simulate(adata, perturbation={"A": 0}, coefficients="weight", mode="steady")


def test_groups_of_a_network_must_be_those_of_the_cells(caplog):
    adata = planted(60)
    grn.Network(EDGES.assign(group="one")).write(adata)
    with pytest.raises(GroupError, match="pass groupby="):
        grn.tl.simulate(adata, perturbation={"A": 0})
    grn.tl.simulate(adata, perturbation={"A": 0}, groupby="type", coefficients="weight")
    assert "A regulates nothing in two" in caplog.text
    assert effect(adata, "B", group="two") == 0 != effect(adata, "B", group="one")
    grn.Network(EDGES.assign(group="three")).write(adata)
    with pytest.raises(GroupError, match="three"):
        grn.tl.simulate(adata, perturbation={"A": 0}, groupby="type")


def test_targets_are_refitted_in_parts_and_as_ridge_says(monkeypatch):
    adata = planted(80)
    grn.tl.simulate(adata, perturbation={"A": 0}, n_propagation=1, key_added="whole")
    monkeypatch.setattr(coefficients.settings, "memory_budget", 1)
    grn.tl.simulate(adata, perturbation={"A": 0}, n_propagation=1)
    pd.testing.assert_frame_equal(adata.uns["whole"]["effects"], adata.uns["simulation"]["effects"])
    x = np.asarray(adata.X, dtype=np.float64)
    slope = Ridge(alpha=10.0).fit(x[:, [0, 3]], x[:, 2]).coef_[0]
    assert effect(adata, "C") == pytest.approx(-slope * x[:, 0].mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("words", "lacking"),
    [("role", 0), ("prior", 0), ("none", 4), (["motif", "none", "role", "none"], 2), (None, 0), (False, 4)],
)
def test_edges_that_point_nowhere_are_counted(caplog, words, lacking):
    """The list of regulators tells which way to read an edge, evidence or not; without the column the flag tells it."""
    adata = planted()
    edges = EDGES if words in (None, False) else EDGES.assign(direction=words)
    grn.Network(edges, genes=list("ABCDE"), directed=words if words is False else None).write(adata)
    grn.tl.simulate(adata, perturbation={"A": 0}, n_propagation=1)
    said = f"nothing tells the direction of {lacking} of {len(EDGES)} edges"
    assert ("nothing tells" in caplog.text) == bool(lacking) == (said in caplog.text)


def test_weights_without_a_sign_are_reported(caplog):
    adata = planted(40)
    grn.Network(EDGES.assign(weight=EDGES["weight"].abs()), genes=list("ABCDE"), signed=False).write(adata)
    grn.tl.simulate(adata, perturbation={"A": 0}, coefficients="weight")
    assert "carry no sign" in caplog.text


@pytest.mark.parametrize("method", ["correlation", "ridge"])
def test_networks_of_other_methods_can_be_simulated(method):
    adata = grn.datasets.toy(n_cells=200, n_regulators=4, n_targets=12)
    grn.tl.infer_network(adata, method=method)
    grn.tl.simulate(adata, perturbation={"GATA1": 0}, n_propagation=1)
    truth = adata.uns["truth"].query("source == 'GATA1'").set_index("target")["weight"]
    found = adata.uns["simulation"]["effects"].set_index("gene")["effect"].reindex(truth.index)
    assert (np.sign(found) == -np.sign(truth)).mean() >= 0.75
