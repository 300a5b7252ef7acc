"""FLeCS on planted equations: what it recovers, what it writes, what it predicts, and what it refuses."""

import logging
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData, read_h5ad
from sklearn.metrics import average_precision_score

import grn
from grn._kernels.edge_product import Edges
from grn._kernels.gene_ode import Parameters, Round, Solver, Standard, Training, drift, train
from grn.errors import ExpressionError, GeneOverlapError, GroupError, ParameterError, ResultNotFoundError
from grn.methods.flecs.starts import shuffled, starts

FAST = {"n_epochs": 3, "n_ensemble": 2, "smooth": False, "values": "log", "n_pcs": 5}
REGULATORS, GENES, STAGES = 4, 14, 5
ENDS = {"stages": "stage", "first": "day_0", "last": "day_4", "n_bins": 3}


@cache
def planted() -> AnnData:
    """Cells that follow dx/dt = sigmoid(x W + b) - decay x from many beginnings, each seen at one of five times."""
    rng = np.random.default_rng(0)
    names = [f"R{i}" for i in range(REGULATORS)] + [f"T{i:02d}" for i in range(GENES - REGULATORS)]
    true = np.zeros((GENES, GENES))
    prior = []
    for target in range(GENES):
        regulators = rng.permutation([r for r in range(REGULATORS) if r != target])
        true[regulators[0], target] = 6.0 * rng.choice([-1.0, 1.0])
        prior += [(names[r], names[target]) for r in regulators]
    # half of the greatest production where regulators are in the middle of their range
    bias, decay = -0.5 * true.sum(axis=0), np.full(GENES, 0.7)
    edges = Edges(*(torch.as_tensor(part) for part in np.nonzero(true)), GENES)
    at = Parameters(*(torch.as_tensor(part[None]) for part in (true[np.nonzero(true)], bias, decay)))
    n = 400
    begin, stage = rng.uniform(0, 1.4, (n, GENES)), np.arange(n) % STAGES
    states = Solver(step=0.1)(drift(at, edges), torch.as_tensor(begin)[None], np.arange(STAGES))[:, 0].numpy()
    values = np.maximum(states[stage, np.arange(n)] + rng.normal(0, 0.02, (n, GENES)), 0)
    adata = AnnData(values.astype(np.float32), var=pd.DataFrame(index=names))
    adata.obs_names = [f"cell_{i:03d}" for i in range(n)]
    days = [f"day_{s}" for s in range(STAGES)]
    adata.obs["stage"] = pd.Categorical.from_codes(stage, days, ordered=True)
    adata.obs["pseudotime"] = stage + rng.uniform(-0.4, 0.4, n)
    adata.obsm["X_pca"] = values - values.mean(axis=0)
    adata.uns["true_weights"] = true
    adata.uns["base_grn"] = pd.DataFrame(prior, columns=["source", "target"])
    grn.pp.trajectory(adata, time="stage")
    return adata


def fitted(adata=None, **arguments):
    adata = planted().copy() if adata is None else adata
    grn.tl.flecs(adata, **{"base_grn": adata.uns["base_grn"], **FAST, **arguments})
    return adata


def table(adata) -> pd.DataFrame:
    edges = adata.uns["flecs"]["edges"].astype({"source": str, "target": str})
    return edges.set_index(["source", "target"]).sort_index()


def weights(adata) -> pd.Series:
    return table(adata)["weight"]


def true_weights(adata, pairs) -> np.ndarray:
    place = {name: i for i, name in enumerate(adata.var_names)}
    return np.array([adata.uns["true_weights"][place[s], place[t]] for s, t in pairs])


def precision(adata, scores: pd.Series) -> float:
    return average_precision_score(true_weights(adata, scores.index) != 0, scores.abs())


@pytest.fixture(scope="module")
def recovered():
    return fitted(n_epochs=60, n_ensemble=3, n_bins=None, n_pcs=GENES, paths_per_step=8)


class TestPlanted:
    def test_edges_are_recovered_above_correlation_and_chance(self, recovered):
        scores = weights(recovered)
        correlation = pd.DataFrame(np.corrcoef(recovered.X.T), recovered.var_names, recovered.var_names)
        floor = pd.Series([correlation.loc[pair] for pair in scores.index], scores.index)
        chance = np.mean(true_weights(recovered, scores.index) != 0)
        found = precision(recovered, scores)
        assert found > 0.65 and found > precision(recovered, floor) + 0.2 and found > chance + 0.3

    def test_signs_are_those_planted(self, recovered):
        scores = weights(recovered)
        true = true_weights(recovered, scores.index)
        assert (np.sign(scores) == np.sign(true))[true != 0].mean() > 0.9

    def test_the_paths_are_explained(self, recovered):
        entry = recovered.uns["flecs"]
        assert entry["params"]["loss"] < 0.7 * entry["params"]["loss_still"]
        losses = entry["loss"].pivot(index="epoch", columns="network", values="loss")
        assert (losses.iloc[-1] < losses.iloc[0]).all()

    def test_networks_agree_most_on_edges_that_are_there(self, recovered):
        edges = table(recovered)
        there = true_weights(recovered, edges.index) != 0
        assert edges["stability"].between(0, 1).all()
        assert edges["stability"][there].mean() > edges["stability"][~there].mean()

    def test_a_knock_out_changes_the_targets_that_were_planted(self, recovered):
        regulators = list(recovered.var_names[:REGULATORS])
        change = grn.tl.predict_knockout(recovered, genes=regulators, key="flecs", difference=True)
        last = change.xs(4.0, level="time").stack()
        last.index.names = ["source", "target"]
        true = true_weights(recovered, last.index)
        assert (np.sign(last) == -np.sign(true))[true != 0].mean() > 0.8

    def test_flow_matching_recovers_them_too(self):
        matched = {"fit": "flow_matching", "noise": 0.02, "n_epochs": 60}
        adata = fitted(**matched, n_bins=None, n_pcs=GENES, paths_per_step=8)
        scores = weights(adata)
        assert precision(adata, scores) > np.mean(true_weights(adata, scores.index) != 0) + 0.3


class TestWhatIsWritten:
    def test_slots(self, tmp_path):
        fitted().write_h5ad(tmp_path / "fitted.h5ad")
        adata = read_h5ad(tmp_path / "fitted.h5ad")
        entry = adata.uns["flecs"]
        assert set(entry) == {"edges", "genes", "rates", "paths", "loss", "fit", "params", "schema"}
        assert list(entry["rates"].columns) == ["gene", "bias", "decay", "bias_deviation", "decay_deviation"]
        assert sorted(entry["rates"]["gene"]) == sorted(adata.var_names)
        assert (entry["rates"]["decay"] > 0).all()
        assert len(entry["loss"]) == 2 * 3
        paths = entry["paths"].pivot(index="path", columns="step", values="cell")
        assert paths.shape == (entry["params"]["n_paths"], 5)
        times = adata.obs["trajectory_time"]
        assert all(np.diff(times[list(map(str, row))].to_numpy()).min() >= 0 for row in paths.to_numpy()[:20])

    def test_velocities_are_the_slopes_of_the_equation(self):
        base = planted()
        values = np.hstack([base.X, np.ones((base.n_obs, 1), dtype=np.float32)])
        wide = AnnData(values, obs=base.obs.copy(), var=pd.DataFrame(index=[*base.var_names, "other"]))
        wide.obsm["X_pca"], wide.uns = base.obsm["X_pca"].copy(), dict(base.uns)
        fitted(wide)
        velocity, fit = wide.layers["flecs_velocity"], wide.uns["flecs"]["fit"]
        assert velocity.shape == wide.shape and np.isnan(velocity[:, -1]).all()
        place = pd.Index(wide.var_names).get_indexer(np.asarray(fit["genes"], dtype=str))
        x = wide.X[:, place] / fit["scale"]
        slopes = []
        for network in range(2):
            matrix = np.zeros((len(place),) * 2)
            matrix[fit["source"], fit["target"]] = fit["weights"][network]
            slopes.append(1 / (1 + np.exp(-(x @ matrix + fit["bias"][network]))) - fit["decay"][network] * x)
        np.testing.assert_allclose(velocity[:, place], np.mean(slopes, axis=0) * fit["scale"], atol=1e-5)
        assert "flecs_velocity" not in fitted(velocity=False).layers

    def test_only_what_was_asked_for_is_listed(self):
        edges = table(fitted(sources=["R0", "R1"], targets=["T00", "T01", "R0"])).reset_index()
        assert set(edges["source"]) <= {"R0", "R1"} and set(edges["target"]) <= {"T00", "T01", "R0"}

    def test_reversed_and_second_edges_are_told_apart(self):
        few = {"base_grn": pd.DataFrame({"source": ["R0", "R1"], "target": ["R1", "T00"]})}
        assert "order" not in table(fitted(**few))
        both = table(fitted(**few, symmetrize_prior=True, second_order=True))["order"]
        assert both.to_dict() == {
            ("R0", "R1"): 1, ("R1", "T00"): 1, ("R1", "R0"): -1, ("T00", "R1"): -1, ("R0", "T00"): 2, ("T00", "R0"): 2,
        }  # fmt: skip

    def test_one_network_has_no_spread(self):
        assert {"stability", "deviation"}.isdisjoint(table(fitted(n_ensemble=1)).columns)

    def test_smoothing_weights_are_kept(self):
        adata = fitted(smooth=True)
        assert "grn_smooth" in adata.obsp and adata.uns["flecs"]["params"]["smooth"] == "grn_smooth"


class TestOrder:
    @pytest.mark.parametrize("arguments", [{}, ENDS], ids=["trajectory", "stages"])
    def test_genes_and_cells_in_any_order(self, arguments):
        adata, rng = fitted(**arguments), np.random.default_rng(1)
        other = planted().copy()[rng.permutation(adata.n_obs)][:, rng.permutation(adata.n_vars)].copy()
        fitted(other, **arguments)
        pd.testing.assert_series_equal(weights(other), weights(adata), atol=1e-6)
        velocity = other[adata.obs_names, adata.var_names].layers["flecs_velocity"]
        np.testing.assert_allclose(velocity, adata.layers["flecs_velocity"], atol=1e-5)

    def test_the_seed_decides_and_more_networks_leave_the_first_ones(self):
        first, again, other, more = (fitted(**a) for a in ({}, {}, {"rng": 1}, {"n_ensemble": 3}))
        pd.testing.assert_series_equal(weights(first), weights(again), check_exact=True)
        assert not np.allclose(weights(first), weights(other))
        parts = [adata.uns["flecs"]["fit"]["weights"] for adata in (first, more)]
        np.testing.assert_allclose(parts[1][:2], parts[0], atol=1e-6)

    def test_starts_follow_names(self):
        names, source, target = np.array(["A", "B", "C"]), np.array([0, 1]), np.array([2, 0])
        at = starts(0, 2, names, source, target)
        turned = starts(0, 2, names[::-1].copy(), 2 - source, 2 - target)
        assert torch.equal(at.weights, turned.weights) and torch.equal(at.bias.flip(1), turned.bias)
        many = starts(0, 1, np.array([f"g{i}" for i in range(4000)]), np.arange(3999), np.arange(1, 4000))
        assert abs(float(many.weights.std()) - 0.01) < 5e-4
        assert abs(float(many.decay.mean()) - 0.2) < 0.01 and abs(float(many.decay.std()) - np.sqrt(2) / 10) < 0.01


class TestLineages:
    def branched(self):
        adata = planted().copy()
        early, side = adata.obs["pseudotime"] < 1.5, np.arange(adata.n_obs) // STAGES % 2 == 0
        adata.obs["left"], adata.obs["right"] = early | side, early | ~side
        grn.pp.trajectory(adata, pseudotime="pseudotime", lineages=["left", "right"])
        return adata

    @pytest.mark.parametrize("paths", ["bins", "neighbours"])
    def test_paths_run_along_each(self, paths):
        adata = fitted(self.branched(), paths=paths, n_bins=3)
        listed = adata.uns["flecs"]["paths"]
        assert set(listed["lineage"]) == {"left", "right"}
        cells, right = adata.obs.loc[listed["cell"].to_numpy()], (listed["lineage"] == "right").to_numpy()
        assert cells.loc[right, "right"].all() and cells.loc[~right, "left"].all()

    def test_predictions_are_made_for_each(self):
        adata = fitted(self.branched(), n_bins=3)
        course = grn.tl.predict_knockout(adata, genes=["R0"], key="flecs")
        assert list(course.index.names) == ["group", "knockout", "time"]
        assert set(course.index.get_level_values("group")) == {"left", "right"}


class TestPredictions:
    def test_a_gene_knocked_out_is_held_at_its_share_of_the_control(self):
        adata = fitted()
        control = grn.tl.predict_knockout(adata, genes="R0", key="flecs", dose=0.0)
        for dose in (1.0, 0.5, -1.0):
            course = grn.tl.predict_knockout(adata, genes="R0", key="flecs", dose=dose)
            np.testing.assert_allclose(course["R0"], control["R0"] * (1 - dose), atol=1e-10)
            change = grn.tl.predict_knockout(adata, genes="R0", key="flecs", dose=dose, difference=True)
            np.testing.assert_allclose(change, course - control, atol=1e-10)
            others = [gene for gene in control if gene != "R0"]
            np.testing.assert_allclose(change.loc[0.0, others], 0, atol=1e-12)

    def test_the_control_starts_where_paths_start(self):
        adata = fitted()
        first = adata.uns["flecs"]["paths"].query("step == 0")["cell"]
        start = pd.Series(adata[first.to_numpy()].X.mean(axis=0), adata.var_names)
        control = grn.tl.predict_knockout(adata, genes="R0", key="flecs", dose=0.0)
        np.testing.assert_allclose(control.loc[0.0, start.index], start, atol=1e-5)

    def test_sets_differ_from_single_ones_and_times_are_free(self):
        adata = fitted()
        course = grn.tl.predict_knockout(adata, genes=["R0", ("R0", "R1")], key="flecs", times=[2.5, 0.5, 7.0])
        assert course.loc["R0"].index.tolist() == [2.5, 0.5, 7.0]
        assert (course.loc["R0+R1", ["R0", "R1"]] == 0).all().all() and (course.loc["R0", "R1"] != 0).all()
        for wrong in ({"times": [-1.0]}, {"max_steps": 2}):
            with pytest.raises(ParameterError):
                grn.tl.predict_knockout(adata, genes="R0", key="flecs", **wrong)

    def test_a_gene_that_regulates_nothing_changes_nothing(self):
        change = grn.tl.predict_knockout(fitted(), genes="T03", key="flecs", difference=True)
        np.testing.assert_allclose(change.drop(columns="T03"), 0, atol=1e-12)

    def test_cells_follow_the_fit(self):
        adata = fitted()
        fit, params = adata.uns["flecs"]["fit"], adata.uns["flecs"]["params"]
        follow = grn.methods.METHODS["flecs"].response(fit, params, steps=2)[""]
        genes = np.asarray(fit["genes"], dtype=str)
        x = adata[:5, genes].X.astype(float)
        for gene, silent in (("R0", False), ("T03", True)):
            k = np.flatnonzero(genes == gene)
            change = follow(x, k, -x[:, k])
            assert np.allclose(np.delete(change, k, axis=1), 0, atol=1e-12) is silent
            assert (change[:, k] < 0).all()
        assert np.allclose(follow(x, k, np.zeros((5, 1))), 0)


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "error", "match"),
        [
            ({"trajectory": "nowhere"}, ResultNotFoundError, "nowhere"),
            ({"stages": "stage", "first": "day_0"}, ParameterError, "last=None; pass one or more labels"),
            ({**ENDS, "last": "dya_4"}, GroupError, "Did you mean 'day_4'"),
            ({**ENDS, "last": "day_0"}, ParameterError, "share 80 cells"),
            ({**ENDS, "paths": "bins"}, ParameterError, "n_bins=None"),
            ({**ENDS, "stages": "nothing"}, GroupError, "no column 'nothing'"),
            ({"first": "day_0"}, ParameterError, "pass its name as stages="),
            ({"n_bins": 1}, ParameterError, "n_bins=1"),
            ({"n_bins": 300}, ParameterError, "has 1 cells of 400; expected 2"),
            ({"paths": "neighbours", "n_bins": 150}, ParameterError, "the longest has"),
            ({"paths": "straight"}, ParameterError, "paths='straight'"),
            ({"fit": "paths"}, ParameterError, "fit='paths'"),
            ({"solver": "euler"}, ParameterError, "solver='euler'"),
            ({"n_ensemble": 0}, ParameterError, "n_ensemble=0"),
            ({"learning_rate": 0}, ParameterError, "learning_rate=0"),
            ({"use_rep": "X_none"}, ResultNotFoundError, "obsm has no 'X_none'"),
            ({"base_grn": pd.DataFrame({"source": ["A"], "target": ["B"]})}, GeneOverlapError, "share"),
        ],
    )
    def test_with_a_reason(self, arguments, error, match):
        adata = planted().copy()
        before = sorted(adata.uns), sorted(adata.layers), sorted(adata.obsp)
        with pytest.raises(error, match=match):
            fitted(adata, **arguments)
        assert (sorted(adata.uns), sorted(adata.layers), sorted(adata.obsp)) == before

    def test_ends_that_no_neighbours_join(self):
        adata = planted().copy()
        late = (adata.obs["stage"] > "day_1").to_numpy()
        adata.obsm["X_pca"] = np.column_stack([late * 1000.0, np.arange(adata.n_obs)])
        with pytest.raises(ExpressionError, match="falls apart"):
            fitted(adata, paths="neighbours", n_bins=3)
        assert "flecs" in fitted(adata, paths="bins", n_bins=3).uns

    def test_groups_are_no_question_of_it(self):
        adata = planted().copy()
        with pytest.raises(ExpressionError, match="leave groupby= out"):
            grn.tl.infer_network(adata, method="flecs", groupby="stage", params={"base_grn": adata.uns["base_grn"]})

    def test_constant_and_rare_genes_have_no_edges(self, caplog):
        adata = planted().copy()
        adata.X[:, 5] = 1.0
        adata.X[:, 6] = 0.0
        adata.X[:2, 6] = 1.0
        with caplog.at_level(logging.WARNING, logger="grn"):
            fitted(adata)
        assert "1 genes do not vary" in caplog.text and "T01" in caplog.text
        assert {"T01", "T02"}.isdisjoint(table(adata).reset_index()["target"])
        assert np.isnan(adata.layers["flecs_velocity"][:, [5, 6]]).all()

    def test_a_fit_that_explains_nothing_says_so(self, caplog):
        adata = planted().copy()
        adata.X = 1 + np.random.default_rng(5).normal(0, 0.01, adata.shape).astype(np.float32)  # nothing moves
        with caplog.at_level(logging.WARNING, logger="grn"):
            fitted(adata, n_epochs=1, scale=False)
        assert "explains nothing of the paths" in caplog.text


def some_networks(seed: int) -> Parameters:
    rng = np.random.default_rng(seed)
    return Parameters(*(torch.as_tensor(rng.uniform(0.1, 1, (3, k))) for k in (3, 4, 4)))


class TestKernel:
    @pytest.mark.parametrize("fit", ["path", "flow_matching"])
    def test_networks_trained_together_are_those_trained_alone(self, fit):
        rng = np.random.default_rng(2)
        values = torch.as_tensor(rng.uniform(0.1, 1, (30, 4)))
        paths = torch.as_tensor(rng.integers(0, 30, (11, 3)))
        edges, at = Edges(torch.tensor([0, 1, 2]), torch.tensor([1, 2, 3]), 4), some_networks(2)
        standard = Standard(values.mean(dim=0), values.std(dim=0))

        def trained(which: slice):
            start = Parameters(*(part[which] for part in at))
            rounds = lambda epoch: Round(*(part[which] for part in shuffled(0, 3, 11, epoch)))  # noqa: E731
            return train(values, paths, edges, start, Training(4, 0.01, 4, fit, 0.1), Solver(), rounds, standard)

        together, alone = trained(slice(0, 3)), trained(slice(1, 2))
        np.testing.assert_allclose(together.at.weights[1], alone.at.weights[0], atol=1e-10)
        np.testing.assert_allclose(together.losses[1], alone.losses[0], atol=1e-10)

    def test_units_of_training_are_the_same_equation(self):
        edges, at = Edges(torch.tensor([0, 1, 2]), torch.tensor([1, 2, 3]), 4), some_networks(3)
        standard = Standard(torch.rand(4, dtype=torch.float64), torch.rand(4, dtype=torch.float64) + 0.1)
        for part, other in zip(at, standard.natural(standard.raw(at, edges), edges), strict=True):
            torch.testing.assert_close(part, other)

    def test_sparse_and_dense_networks_are_trained_alike(self):
        rng = np.random.default_rng(4)
        values, paths = torch.as_tensor(rng.uniform(0, 1, (20, 4))), torch.as_tensor(rng.integers(0, 20, (6, 3)))
        ends = []
        for dense in (True, False):
            edges = Edges(torch.tensor([0, 1, 2]), torch.tensor([1, 2, 3]), 4, dense=dense)
            rounds = lambda epoch: shuffled(0, 3, 6, epoch)  # noqa: E731
            ends.append(
                train(values, paths, edges, some_networks(4), Training(3, 0.01, 3), Solver(), rounds).at.weights
            )
        torch.testing.assert_close(*ends)
