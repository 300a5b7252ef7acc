"""Flows of simulated perturbations: parity with CellOracle, a planted trajectory, controls, invariances."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import ExpressionError, ParameterError
from grn.simulate import flow

GENES = [f"G{i:02d}" for i in range(24)]
EDGES = pd.DataFrame({"source": "TF", "target": GENES[:12], "weight": [0.6, -0.6] * 6})


def trajectory(n_cells: int = 240, seed: int = 0) -> ad.AnnData:
    """TF rises along a curve on a map and drives twelve genes up or down; twelve others go their own way."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(size=n_cells))
    tf = 0.5 + 2 * time + rng.normal(scale=0.1, size=n_cells)
    driven = 2.0 + np.outer(tf - 1.5, EDGES["weight"]) + rng.normal(scale=0.1, size=(n_cells, 12))
    other = 1.5 + rng.normal(scale=0.2, size=(n_cells, 12))
    x = np.maximum(np.column_stack([tf, driven, other]), 0)
    adata = ad.AnnData(
        x.astype(np.float32),
        obs=pd.DataFrame({"time": time, "half": np.where(time < 0.5, "early", "late")},
                         index=[f"cell_{i}" for i in rng.permutation(n_cells)]),
        var=pd.DataFrame(index=["TF", *GENES]),
    )  # fmt: skip
    adata.obs["half"] = adata.obs["half"].astype("category")
    places = np.column_stack([10 * time, 2 * np.sin(3 * time)]) + rng.normal(scale=0.15, size=(n_cells, 2))
    adata.obsm["X_umap"] = places.astype(np.float32)
    # genes of the other kind are in the network, too
    edges = pd.concat([EDGES, pd.DataFrame({"source": GENES[12], "target": GENES[13:], "weight": 0.1})])
    grn.Network(edges).write(adata)
    return adata


RUN = {"basis": "X_umap", "pseudotime": "time", "coefficients": "weight", "n_neighbors": 30, "n_controls": 49}


@pytest.fixture(scope="module")
def knocked_out() -> ad.AnnData:
    adata = trajectory()
    grn.tl.simulate(adata, perturbation={"TF": 0}, groupby="half", **RUN)
    return adata


def test_a_knock_out_of_the_driver_moves_cells_back(knocked_out):
    grid = knocked_out.uns["simulation"]["grid"]
    shown = grid[grid["shown"]]
    assert len(shown) > 20 and shown["development_x"].mean() > 0.5
    assert shown["flow_x"].mean() < 0 and (shown["score"] < 0).mean() > 0.9
    assert abs(shown["control_score"].mean()) < 0.2 * abs(shown["score"].mean())
    groups = knocked_out.uns["simulation"]["groups"].set_index("group")
    assert (groups["score"] < 0).all() and (groups["shift_x"] < 0).all()
    assert (groups["p_score"] <= 0.04).all() and (groups["p_shift"] <= 0.04).all()
    assert groups["n_cells"].sum() == 240


def test_over_expression_moves_them_on():
    adata = trajectory()
    grn.tl.simulate(adata, perturbation={"TF": ("quantile", 0.95)}, **RUN)
    assert adata.uns["simulation"]["groups"].loc[0, "score"] > 0


def test_a_gene_without_part_in_development_is_not_significant():
    adata = trajectory()
    grn.tl.simulate(adata, perturbation={GENES[12]: 0}, **RUN)
    assert adata.uns["simulation"]["groups"].loc[0, "p_score"] > 0.05


def test_shifts_are_written_for_all_cells(knocked_out):
    for key in ("simulation", "simulation_control"):
        found = knocked_out.obsm[key]
        assert found.shape == (240, 2) and found.dtype == np.float32 and np.isfinite(found).all()
    assert np.abs(knocked_out.obsm["simulation_control"]).mean() < np.abs(knocked_out.obsm["simulation"]).mean()


def test_the_order_of_cells_and_genes_and_the_blocks_do_not_matter(knocked_out, monkeypatch):
    order = np.random.default_rng(1).permutation(240)
    turned = trajectory()[order, ::-1].copy()
    monkeypatch.setattr(flow.defaults, "memory_budget", 1)  # smallest blocks
    grn.tl.simulate(turned, perturbation={"TF": 0}, groupby="half", **RUN)
    for key in ("simulation", "simulation_control"):
        back = turned[knocked_out.obs_names].obsm[key]
        np.testing.assert_allclose(knocked_out.obsm[key], back, atol=2e-4)
    for table in ("grid", "groups"):
        one, two = knocked_out.uns["simulation"][table], turned.uns["simulation"][table]
        pd.testing.assert_frame_equal(one, two, atol=2e-4)


def test_the_control_depends_on_the_seed_only(knocked_out):
    again, other = trajectory(), trajectory()
    grn.tl.simulate(again, perturbation={"TF": 0}, groupby="half", **RUN)
    grn.tl.simulate(other, perturbation={"TF": 0}, groupby="half", rng=1, **RUN)
    assert np.array_equal(again.obsm["simulation_control"], knocked_out.obsm["simulation_control"])
    assert not np.allclose(other.obsm["simulation_control"], knocked_out.obsm["simulation_control"])
    assert np.array_equal(other.obsm["simulation"], knocked_out.obsm["simulation"])


def test_cells_without_pseudotime_do_not_count():
    adata = trajectory()
    adata.obs.loc[adata.obs_names[:20], "time"] = np.nan
    grn.tl.simulate(adata, perturbation={"TF": 0}, **RUN)
    table = adata.uns["simulation"]["groups"]
    assert np.isfinite(table["score"]).all() and table.loc[0, "score"] < 0


def test_without_controls_and_pseudotime():
    adata = trajectory()
    grn.tl.simulate(adata, perturbation={"TF": 0}, basis="X_umap", n_controls=0)
    table, grid = adata.uns["simulation"]["groups"], adata.uns["simulation"]["grid"]
    assert table["p_shift"].isna().all() and "score" not in table and "score" not in grid
    assert adata.uns["simulation"]["params"]["basis"] == "X_umap"


def test_a_later_call_leaves_no_old_flow_behind(knocked_out):
    adata = knocked_out.copy()
    grn.tl.simulate(adata, perturbation={"TF": 0})
    assert not {"simulation", "simulation_control"} & set(adata.obsm) and "grid" not in adata.uns["simulation"]


def test_a_flow_survives_a_file(knocked_out, tmp_path):
    knocked_out.write_h5ad(tmp_path / "flow.h5ad")
    again = ad.read_h5ad(tmp_path / "flow.h5ad")
    for table in ("grid", "groups"):
        pd.testing.assert_frame_equal(
            again.uns["simulation"][table], knocked_out.uns["simulation"][table], check_dtype=False
        )
    assert len(grn.pl.flow(again, panels=["flow", "score"])) == 2


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"n_neighbors": 1}, "n_neighbors=1"),
        ({"n_neighbors": 239}, "from 2 to 238"),
        ({"n_grid": 1}, "n_grid=1"),
        ({"n_controls": -1}, "n_controls=-1"),
        ({"bandwidth": 0}, "bandwidth=0"),
        ({"min_mass": -1}, "min_mass=-1"),
        ({"pseudotime": "dpt"}, "no column 'dpt'"),
        ({"pseudotime": "half"}, "holds no numbers"),
        ({"pseudotime": "flat"}, "at least three that differ"),
        ({"basis": "X_bad"}, "finite columns"),
        ({"basis": "X_line"}, "same coordinate"),
        ({"sampled_fraction": 0.0}, "sampled_fraction=0.0"),
        ({"sampled_fraction": 1.5}, "sampled_fraction=1.5"),
        ({"sampled_fraction": 0.05}, "at least 0.0667"),
        ({"sampling_probs": (0.5, 0.0)}, "sampling_probs="),
        ({"sampling_probs": 0.5}, "sampling_probs="),
        ({"transitions_added": ""}, "transitions_added"),
        ({"transitions_added": "P", "basis": None, "pseudotime": None}, "needs an embedding"),
        ({"transitions_added": "P", "perturbation": {"TF": [0, 1]}}, "basis"),
    ],
    ids=str,
)
def test_bad_input_is_refused(arguments, match):
    adata = trajectory()
    adata.obs["flat"] = 1.0
    adata.obsm["X_bad"] = np.full((240, 2), np.nan)
    adata.obsm["X_line"] = np.zeros((240, 2))
    with pytest.raises(ParameterError, match=match):
        grn.tl.simulate(adata, **{"perturbation": {"TF": 0}, **RUN, **arguments})
    assert not adata.obsp and "simulation" not in adata.uns and "simulation" not in adata.obsm


@pytest.fixture(scope="module")
def oracle(shared_dir) -> tuple[ad.AnnData, dict[str, pd.DataFrame]]:
    """The reference cells with their simulation network, and what CellOracle made of them."""
    folder = shared_dir / "reference" / "celloracle"
    values = pd.read_csv(folder / "imputed_count.csv.gz", index_col=0)
    obs = pd.read_csv(folder / "input_obs.csv", index_col=0)
    adata = ad.AnnData(values.astype(np.float32), obs=obs[["cluster"]].astype("category"))
    adata.obsm["X_umap"] = obs[["x", "y"]].to_numpy()
    names = {"cluster": "group", "coef_mean": "weight", "coef": "weight"}
    links = pd.read_csv(folder / "links_filtered_p001_top60.csv").rename(columns=names)
    links = links[["source", "target", "weight", "group"]]
    grn.Network(links, genes=values.columns, params={"groupby": "cluster"}).write(adata)
    adata.uns["grn"]["simulation"] = pd.read_csv(folder / "coef_simulation.csv").rename(columns=names)
    files = ("delta_X_TF2_KO.csv.gz", "delta_embedding_full.csv", "delta_embedding_knnrandom_frac1.csv")
    expected = {name.partition(".")[0]: pd.read_csv(folder / name, index_col=0) for name in files}
    return adata, {**expected, "grid": pd.read_csv(folder / "grid_flow.csv")}


@pytest.mark.parametrize("coefficients", ["stored", "refit"])
def test_parity_with_celloracle(oracle, coefficients):
    adata, expected = oracle
    out = grn.tl.simulate(
        adata, perturbation={"TF2": 0}, coefficients=coefficients, layer_added="change", basis="X_umap",
        n_neighbors=40, n_grid=10, n_controls=0, parity=True, copy=True,
    )  # fmt: skip
    np.testing.assert_allclose(out.layers["change"].toarray(), expected["delta_X_TF2_KO"], atol=1e-5)
    for name in ("delta_embedding_full", "delta_embedding_knnrandom_frac1"):
        np.testing.assert_allclose(out.obsm["simulation"], expected[name], atol=1e-3)
    grid = out.uns["simulation"]["grid"]
    np.testing.assert_allclose(grid[["x", "y", "flow_x", "flow_y", "mass"]], expected["grid"], atol=1e-3)


@pytest.mark.parametrize(("own_change", "least"), [(True, 0.95), (False, 0.85)])
def test_the_default_tells_the_same_story(oracle, own_change, least):
    adata, expected = oracle
    out = grn.tl.simulate(
        adata, perturbation={"TF2": 0}, basis="X_umap", n_neighbors=40, n_controls=9, own_change=own_change, copy=True
    )
    upstream = expected["delta_embedding_full"].to_numpy()
    assert np.corrcoef(out.obsm["simulation"].ravel(), upstream.ravel())[0, 1] > least


def test_a_gene_without_consequences_moves_cells_only_by_its_own_change():
    adata = trajectory()
    grn.Network(pd.DataFrame({"source": ["TF", GENES[0]], "target": GENES[:2], "weight": [0.0, 0.5]})).write(adata)
    run = {"perturbation": {"TF": 0}, "basis": "X_umap", "coefficients": "weight", "n_controls": 0}
    grn.tl.simulate(adata, **run)
    assert np.abs(adata.obsm["simulation"]).max() < 1e-6
    grn.tl.simulate(adata, **run, own_change=True)
    assert np.abs(adata.obsm["simulation"]).max() > 0.1


def test_p_values_come_from_some_cells_drawn_by_name(monkeypatch):
    monkeypatch.setattr(flow, "_COUNTED", 60)
    adata, turned = trajectory(), trajectory()[::-1].copy()
    for cells in (adata, turned):
        grn.tl.simulate(cells, perturbation={"TF": 0}, **RUN)
    one, two = adata.uns["simulation"]["groups"], turned.uns["simulation"]["groups"]
    pd.testing.assert_frame_equal(one, two, atol=2e-4)
    assert one.loc[0, "p_score"] <= 0.04 and one.loc[0, "n_cells"] == 240


def test_transitions_are_those_of_celloracle(oracle, shared_dir):
    adata, expected = oracle
    run = {"basis": "X_umap", "n_neighbors": 40, "n_controls": 0, "parity": True, "copy": True}
    out = grn.tl.simulate(adata, perturbation={"TF2": 0}, transitions_added="going", **run)
    found = out.obsp["going"]
    assert found.dtype == np.float32 and found.format == "csr" and (np.diff(found.indptr) == 41).all()
    with np.load(shared_dir / "reference" / "celloracle" / "transition_full.npz") as read:
        raised = np.exp(read["corrcoef"] / 0.05) * (found.toarray() > 0)
    np.testing.assert_allclose(found.toarray(), raised / raised.sum(axis=1, keepdims=True), atol=1e-4)
    # upstream's shift follows from the matrix alone
    step = adata.obsm["X_umap"][None] - adata.obsm["X_umap"][:, None]
    units = step / np.maximum(np.linalg.norm(step, axis=2, keepdims=True), 1e-12)
    shift = np.einsum("ij,ijd->id", found.toarray() - (found.toarray() > 0) / 41, units)
    np.testing.assert_allclose(shift, expected["delta_embedding_full"], atol=1e-3)


def test_sampled_neighbours_are_drawn_by_name(knocked_out, monkeypatch):
    run = {"perturbation": {"TF": 0}, "groupby": "half", **RUN, "sampled_fraction": 0.4, "transitions_added": "going"}
    adata = trajectory()
    turned = adata[np.random.default_rng(1).permutation(240), ::-1].copy()
    grn.tl.simulate(adata, **run)
    monkeypatch.setattr(flow.defaults, "memory_budget", 1)  # smallest blocks
    monkeypatch.setattr(flow, "_CELLS_DRAWN", 7)
    grn.tl.simulate(turned, **run)
    found, back = adata.obsp["going"], turned[adata.obs_names].obsp["going"]
    assert (np.diff(found.indptr) == 12).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert ((found != 0) != (back != 0)).nnz == 0
    np.testing.assert_allclose(found.toarray(), back.toarray(), atol=2e-4)
    np.testing.assert_allclose(adata.obsm["simulation"], turned[adata.obs_names].obsm["simulation"], atol=2e-4)
    # other neighbours with another seed, and all of them without a sample
    grn.tl.simulate(turned, **{**run, "rng": 1, "key_added": "other", "transitions_added": "other"})
    assert ((found != 0) != (turned[adata.obs_names].obsp["other"] != 0)).nnz > 100
    grids = [cells.uns["simulation"]["grid"].query("shown")["flow_x"] for cells in (adata, knocked_out)]
    assert np.corrcoef(*grids)[0, 1] > 0.8
    assert adata.uns["simulation"]["params"]["sampled_fraction"] == 0.4


def test_transitions_survive_a_file_and_a_copy(tmp_path):
    adata = trajectory(60)
    out = grn.tl.simulate(
        adata, perturbation={"TF": 0}, basis="X_umap", coefficients="weight", n_controls=0, transitions_added="going",
        copy=True,
    )  # fmt: skip
    assert not adata.obsp
    out.write_h5ad(tmp_path / "going.h5ad")
    assert (ad.read_h5ad(tmp_path / "going.h5ad").obsp["going"] != out.obsp["going"]).nnz == 0


@pytest.mark.parametrize("n_neighbors", [None, 2])
def test_too_few_cells_for_a_flow_are_told_as_such(n_neighbors):
    adata = trajectory(n_cells=3)
    with pytest.raises(ExpressionError, match="the object has 3 cells; a flow on an embedding needs at least 4"):
        grn.tl.simulate(adata, perturbation={"TF": 0}, **{**RUN, "n_neighbors": n_neighbors})
