"""FLeCS against what the original computed."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

import grn
from grn._kernels.edge_product import Edges
from grn._kernels.gene_ode import Parameters, Solver, drift
from grn._kernels.trajectory import match, shortest_paths, spread_over, thinned
from grn.methods.flecs import equation, paths

START = ("init_w", "init_bias", "init_alpha")


@pytest.fixture(scope="module")
def reference(shared_dir):
    folder = shared_dir / "reference" / "flecs"
    if not (folder / "fit_seed0_20ep.npz").exists():
        pytest.skip("no reference of FLeCS")
    tables = {path.stem: pd.read_csv(path) for path in folder.glob("*.csv")}
    return {**tables, "fit": dict(np.load(folder / "fit_seed0_20ep.npz"))}


@pytest.fixture(scope="module")
def adata(reference) -> AnnData:
    expression = reference["input_expression"].iloc[:, 1:]
    adata = AnnData(expression.to_numpy(np.float32), var=pd.DataFrame(index=expression.columns))
    adata.obs["stage"] = reference["input_obs"]["stage"].to_numpy()
    adata.obsm["X_pca"] = reference["input_pca"].iloc[:, 1:].to_numpy()
    prior = reference["input_prior_adjacency"].set_index("Unnamed: 0").stack()
    adata.uns["base_grn"] = pd.DataFrame(prior[prior > 0].index.tolist(), columns=["source", "target"])
    return adata


def networks(fit: dict) -> Parameters:
    return Parameters(*(torch.as_tensor(fit[name])[None] for name in START))


def edges_of(fit: dict) -> Edges:
    source, target = torch.as_tensor(fit["init_edges"].T.copy())
    return Edges(source, target, n_genes=fit["bias"].size)


def test_transport_and_paths(reference, adata):
    points, stage = adata.obsm["X_pca"], adata.obs["stage"].to_numpy()
    early, late = np.flatnonzero(stage == "early"), np.flatnonzero(stage == "late")
    first = spread_over(early, len(late))
    pairs = np.column_stack([first, late[match(points[first], points[late])]])
    theirs = reference["ot_match"].to_numpy()
    # a cell that stands in the list twice has two partners, in an order that means nothing
    assert sorted(map(tuple, pairs)) == sorted(map(tuple, theirs))
    among = np.sort(np.concatenate([early, late]))
    found, _ = thinned(shortest_paths(points[among], np.searchsorted(among, theirs), 30), 3)
    np.testing.assert_array_equal(among[found], reference["ot_knn_paths"].filter(like="step").to_numpy())


def test_slopes_and_courses_at_the_start(reference):
    fit = reference["fit"]
    slopes = drift(networks(fit), edges_of(fit))
    first = torch.as_tensor(fit["batch0"][:, 0])[None]
    np.testing.assert_allclose(slopes(0.0, first)[0].numpy(), fit["deriv_batch0_init"], atol=1e-6)
    course = Solver("dopri5")(slopes, first, np.arange(3))[:, 0].numpy().transpose(1, 0, 2)
    np.testing.assert_allclose(course, fit["traj_batch0_init"], atol=5e-6)


@pytest.fixture(scope="module")
def trained(reference, adata):
    """The whole method from the start of the original, on its transport."""
    fit, theirs = reference["fit"], reference["ot_match"].to_numpy()
    edges = edges_of(fit)
    weight = dict(zip(zip(edges.source.tolist(), edges.target.tolist(), strict=True), fit["init_w"], strict=True))

    def given(_seed, _n, _names, source, target, _decay):
        weights = [weight[pair] for pair in zip(source.tolist(), target.tolist(), strict=True)]
        return networks(fit)._replace(weights=torch.as_tensor(np.array(weights))[None])

    def transported(_first, _last):
        return np.searchsorted(np.flatnonzero(adata.obs["stage"].to_numpy() == "late"), theirs[:, 1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(equation, "starts", given)
        patch.setattr(paths, "match", transported)
        grn.tl.flecs(
            adata, base_grn=adata.uns["base_grn"], sources=list(adata.var_names), stages="stage", first="early",
            last="late", n_bins=3, n_pcs=10, smooth=False, values="log", n_ensemble=1, n_epochs=20, learning_rate=0.005,
            paths_per_step=8, parity=True,
        )  # fmt: skip
    return adata


@pytest.mark.slow
def test_training_from_the_same_start(reference, trained):
    entry, fit = trained.uns["flecs"], reference["fit"]
    cells = entry["paths"]["cell"].astype(int).to_numpy().reshape(-1, 3)
    np.testing.assert_array_equal(cells, reference["ot_knn_paths"].filter(like="step").to_numpy())
    np.testing.assert_allclose(entry["loss"]["loss"], fit["loss"], atol=1e-5)
    np.testing.assert_allclose(entry["rates"]["bias"], fit["bias"], atol=1e-4)
    np.testing.assert_allclose(entry["rates"]["decay"], fit["alpha"], atol=1e-4)
    edges = entry["edges"].astype({"source": str, "target": str})
    both = edges.merge(reference["edges_seed0_20ep"], on=["source", "target"], suffixes=("", "_theirs"))
    assert len(both) == len(edges) == 114
    assert (edges["order"] == -1).sum() == 114 - len(trained.uns["base_grn"])
    np.testing.assert_allclose(both["weight"], both["weight_theirs"], atol=1e-4)
    velocity = reference["velocity_seed0_20ep"].iloc[:, 1:].to_numpy()
    np.testing.assert_allclose(trained.layers["flecs_velocity"], velocity, atol=1e-4)
