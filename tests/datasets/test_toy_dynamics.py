import time

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from grn._core.errors import ParameterError
from grn.datasets import toy_dynamics
from grn.datasets._langevin import Circuit, simulate
from grn.pp import check_expression

START, FOLLOWER, FIRST, SECOND = "GATA1", "SPI1", "TAL1", "KLF1"


@pytest.fixture(scope="module")
def cells():
    return toy_dynamics(n_cells=600)


def logs(adata):
    return adata.to_df().groupby([adata.obs["branch"], adata.obs["group"]], observed=True).mean()


def circuit(**changed):
    """A gene that nothing changes, one that it activates and one that it represses."""
    parts = {
        "genes": ("A", "B", "C"),
        "decay": np.array([1.0, 2.0, 0.5]),
        "start": np.array([1.0, 0.0, 1.0]),
        "source": np.array([1, 0, 0]),
        "target": np.array([0, 1, 2]),
        "strength": np.array([1e-12, 0.8, -0.6]),
        "threshold": np.array([0.5, 0.5, 0.5]),
        "steep": np.array([False, True, False]),
    }
    return Circuit(**{**parts, **changed})


def test_production_is_the_product_of_hill_functions():
    got = circuit().activity(np.array([[1.0, 0.5], [0.0, 0.0], [0.0, 0.0]]))
    steep, flat = np.array([16 / 17, 0.5]), np.array([0.8, 0.5])
    np.testing.assert_allclose(got[1], 0.2 + 0.8 * steep)
    np.testing.assert_allclose(got[2], 1 - 0.6 * flat)
    both = circuit(
        source=np.array([1, 0, 1, 0]),
        target=np.array([0, 1, 2, 2]),
        strength=np.array([0.5, 0.8, 0.7, -0.6]),
        threshold=np.full(4, 0.5),
        steep=np.zeros(4, dtype=bool),
    )
    np.testing.assert_allclose(both.activity(np.array([1.0, 1.0, 0.0]))[2], (0.3 + 0.7 * 0.8) * (1 - 0.6 * 0.8))


def test_without_noise_levels_relax_at_their_decay():
    times = np.array([0.0, 0.6, 3.0])
    course = simulate(circuit(), 0, "any", times, end=3.0, molecules=1e12, lost=[None])
    full = 0.2 + 0.8 * 16 / 17
    np.testing.assert_allclose(course.sampled[0][:, 1], full * (1 - np.exp(-2.0 * times)), atol=0.03)
    repressed = 1 - 0.6 * 0.8
    np.testing.assert_allclose(course.sampled[0][:, 2], repressed + (1 - repressed) * np.exp(-0.5 * times), atol=0.01)
    np.testing.assert_array_equal(course.end[0][2], course.sampled[0][2])


def test_noise_has_the_variance_of_birth_and_death():
    course = simulate(circuit(), 0, "any", np.full(4000, 12.0), end=12.0, molecules=50, lost=[None, 0])
    level = course.end[0][:, 0]
    assert level.mean() == pytest.approx(1.0, abs=0.02) and level.var() == pytest.approx(1 / 50, rel=0.15)
    lost = course.end[1]
    assert (lost[:, 0] == 0).all() and lost[:, 1].mean() == pytest.approx(0.2, abs=0.02)
    # genes that the lost one does not act on have the same noise
    alone = simulate(circuit(), 0, "any", np.full(4000, 12.0), end=12.0, molecules=50, lost=[None])
    np.testing.assert_array_equal(alone.end[0], course.end[0])


def test_it_is_complete(cells):
    assert cells.shape == (600, 30) and check_expression(cells).kind == "log"
    assert (cells.layers["counts"].data % 1 == 0).all() and cells.obsm["X_pca"].shape == (600, 10)
    assert cells.obs["time"].between(0, 12).all() and cells.obs["group"].value_counts().tolist() == [200] * 3
    assert cells.obs.groupby("group", observed=True)["time"].max().is_monotonic_increasing
    assert (cells.obs["perturbation"] == "control").all() and (cells.var["decay"] > 0).all()
    truth = cells.uns["truth"]
    assert (truth["source"] != truth["target"]).all() and not truth.duplicated(["source", "target"]).any()
    assert set(truth["target"]) == set(cells.var_names) and (np.sign(truth["weight"]) == truth["sign"]).all()
    loops = set(zip(truth["source"], truth["target"], strict=True))
    assert {(START, FOLLOWER), (FOLLOWER, START), (FIRST, SECOND), (SECOND, FIRST)} <= loops


def test_the_start_fades_and_branches_separate(cells):
    mean, share = logs(cells), pd.crosstab(cells.obs["group"], cells.obs["branch"], normalize="index")
    assert share["trunk"].is_monotonic_decreasing and share["trunk"].iloc[0] > 0.6 and share["trunk"].iloc[-1] < 0.2
    trunk = mean.loc[("trunk", "group_1")]
    ends = [mean.loc[(lineage, "group_3")] for lineage in ("lineage_1", "lineage_2")]
    assert all(trunk[START] > end[START] + 0.3 and end[FOLLOWER] > trunk[FOLLOWER] + 0.3 for end in ends)
    assert ends[0][FIRST] > ends[1][FIRST] + 1.5 and ends[1][SECOND] > ends[0][SECOND] + 1.5
    late = cells[cells.obs["branch"] != "trunk"]
    sides = late.obsm["X_pca"][:, :2], late.obs["lineage"] == "lineage_1"
    centres = np.array([sides[0][sides[1] == side].mean(axis=0) for side in (False, True)])
    nearest = np.linalg.norm(sides[0][:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == sides[1].to_numpy()).mean() > 0.95
    assert 0.35 < (cells.obs["lineage"] == "lineage_1").mean() < 0.65


@pytest.mark.parametrize("seed", range(3))
def test_lost_regulators_move_their_targets_the_other_way(seed):
    made = toy_dynamics(n_cells=20, rng=seed)
    truth, response = made.uns["truth"], made.uns["knockouts"]
    assert response.index.tolist() == list(made.var_names[:8]) and response.columns.tolist() == list(made.var_names)
    # a gene may lose more by what else changes
    right = [np.sign(response.loc[row.source, row.target]) == -row.sign for row in truth.itertuples()]
    assert np.mean(right) > 0.9
    reach = {source: {source} for source in response.index}
    for _ in response.index:
        for row in truth.itertuples():
            reach = {k: genes | {row.target} if row.source in genes else genes for k, genes in reach.items()}
    for source, genes in reach.items():
        untouched = response.loc[source, [name for name in made.var_names if name not in genes]]
        assert (untouched == 0).all() and response.loc[source, source] < -2
    # without its rival, one side of the switch always wins
    assert response.loc[FIRST, SECOND] > 0.5 and response.loc[SECOND, FIRST] > 0.5


def test_knocked_out_cells_show_the_response():
    made = toy_dynamics(n_cells=800, n_regulators=5, n_targets=8, n_knockout_cells=800, dropout=0.0)
    assert made.n_obs == 6 * 800 and made.obs_names.is_unique
    late = made[made.obs["group"] == "group_3"]
    mean = pd.DataFrame(late.layers["counts"].toarray(), columns=made.var_names)
    mean = np.log1p(mean).groupby(late.obs["perturbation"].to_numpy()).mean()
    response = made.uns["knockouts"]
    for gene in response.index:
        others = [name for name in made.var_names if name != gene]
        seen = mean.loc[gene, others] - mean.loc["control", others]
        assert np.corrcoef(seen, response.loc[gene, others])[0, 1] > 0.85
        assert mean.loc[gene, gene] < 0.1
    plain = toy_dynamics(n_cells=800, n_regulators=5, n_targets=8, dropout=0.0)
    controls = made[made.obs["perturbation"] == "control"]
    pd.testing.assert_series_equal(plain.obs["time"], controls.obs["time"])
    pd.testing.assert_frame_equal(plain.uns["knockouts"], response)


def test_the_prior_has_the_share_of_true_edges_asked_for():
    pair = ["source", "target"]
    for precision in (0.4, 0.5, 1.0):
        made = toy_dynamics(n_cells=10, n_regulators=20, n_targets=60, prior_precision=precision)
        base, truth = made.uns["base_grn"], set(made.uns["truth"][pair].itertuples(index=False, name=None))
        listed = list(base[pair].itertuples(index=False, name=None))
        assert truth <= set(listed) and len(set(listed)) == len(listed) and (base["source"] != base["target"]).all()
        assert np.mean([edge in truth for edge in listed]) == pytest.approx(precision, abs=0.03)


def test_seeds_and_gene_names_decide():
    first, again, other = toy_dynamics(n_cells=30), toy_dynamics(n_cells=30), toy_dynamics(n_cells=30, rng=1)
    assert (first.X != again.X).nnz == 0 and (first.X != other.X).nnz > 0
    pd.testing.assert_frame_equal(first.obs, again.obs)
    fewer = toy_dynamics(n_cells=30, n_targets=5)
    shared = list(fewer.var_names)
    pd.testing.assert_frame_equal(first.to_df(layer="counts")[shared], fewer.to_df(layer="counts"))
    pd.testing.assert_series_equal(first.var["decay"][shared], fewer.var["decay"])
    pd.testing.assert_frame_equal(first.obs, fewer.obs)
    for table in ("truth", "base_grn"):
        mine = first.uns[table][first.uns[table]["target"].isin(shared)].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, fewer.uns[table])


def test_dropout_and_depth_do_not_touch_the_truth():
    plain, thin = toy_dynamics(n_cells=200, dropout=0.0), toy_dynamics(n_cells=200, dropout=0.5)
    lost = 1 - thin.layers["counts"].sum() / plain.layers["counts"].sum()
    assert 0.45 < lost < 0.55
    for table in ("truth", "knockouts", "base_grn"):
        pd.testing.assert_frame_equal(plain.uns[table], thin.uns[table])


def test_files_keep_it(tmp_path):
    made = toy_dynamics(n_cells=12)
    made.write_h5ad(tmp_path / "toy.h5ad")
    back = ad.read_h5ad(tmp_path / "toy.h5ad")
    for table in ("truth", "base_grn", "knockouts"):
        pd.testing.assert_frame_equal(back.uns[table], made.uns[table], check_dtype=False, check_index_type=False)
    assert sparse.issparse(back.X)


def test_it_is_fast():
    began = time.process_time()
    toy_dynamics()
    assert time.process_time() - began < 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_cells": 0},
        {"n_cells": 1.5},
        {"n_regulators": 3},
        {"n_targets": 0},
        {"n_groups": 4, "n_cells": 3},
        {"n_knockout_cells": -1},
        {"molecules": 0},
        {"molecules": float("nan")},
        {"dropout": 1.0},
        {"prior_precision": 0},
        {"prior_precision": 1.5},
    ],
)
def test_bad_arguments(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        toy_dynamics(**wrong)
