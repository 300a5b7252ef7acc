"""The numbers of the authors' RENGE 0.0.5 on the reference data."""

import json
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import grn
from grn._core.rng import child
from grn._kernels.dynamics import Parameters, SeriesLoss, explained
from grn._kernels.renge import doses, elastic_net, moments, random_start, start_of
from grn._kernels.renge_fit import Setting, fit, penalty, with_control
from grn.methods import Inputs, Task
from grn.methods.renge.method import significance
from grn.methods.renge.screen import Columns, read_screen

SETTING = {"C": 0.02, "l1_ratio": 0.1, "n_k": 3}
COLUMNS = {"perturbation": "gene", "time": "day", "control": "none"}


def square(path):
    return pd.read_csv(path, index_col=0).to_numpy()


@pytest.fixture(scope="module")
def reference(shared_dir):
    """The reference as an object and as a screen, with the fixed parameters of the original."""
    folder = shared_dir / "reference" / "renge"
    if not folder.is_dir():
        pytest.skip("the reference of RENGE is not on this machine")
    E, X = (pd.read_csv(folder / f"input_{name}.csv.gz", index_col=0) for name in "EX")
    genes = E.columns.to_numpy(str)
    knocked = X[genes].to_numpy()
    labels = np.where(knocked.any(axis=1), genes[knocked.argmax(axis=1)], "none")
    adata = ad.AnnData(
        E.to_numpy(),
        obs=pd.DataFrame({"gene": labels, "day": X["t"].to_numpy()}, index=E.index),
        var=pd.DataFrame(index=genes),
    )
    found = read_screen(Inputs(adata, Task()), Columns("gene", "day", "none"), None, min_cells=1)
    assert list(found.genes) == list(genes)
    with np.load(folder / "fixed_params.npz") as fixed:
        fixed = dict(fixed)
    # cells of the original in the order of the screen
    order = np.lexsort((E.index.to_numpy(str), X["t"], np.where(labels == "none", "", labels)))
    return SimpleNamespace(folder=folder, adata=adata, found=found, screen=found.screen, order=order, fixed=fixed)


def unpacked(vector, knocked, n_genes=12, n_times=4):
    """The original's vector: network by row, levels by time, a delay per gene, speed, delay per step."""
    levels = vector[n_genes**2 : n_genes**2 + n_times * n_genes].reshape(n_times, n_genes)
    alpha = vector[n_genes**2 + n_times * n_genes : -2][knocked]
    return Parameters(vector[: n_genes**2].reshape(n_genes, -1), levels, alpha, float(vector[-2]), float(vector[-1]))


def test_doses(reference):
    prepared = pd.read_csv(reference.folder / "X_prep.csv.gz", index_col=0).to_numpy()[reference.order, :12]
    found = doses(reference.screen.values, reference.screen)
    np.testing.assert_allclose(found, prepared.sum(axis=1), atol=1e-6)
    rows = np.repeat(reference.screen.inputs, reference.screen.sizes.sum(axis=1), axis=0)
    np.testing.assert_allclose(found[:, None] * rows, prepared, atol=1e-6)


def test_efficiency_of_guides(reference):
    """The table of the cells against what the original made of its columns of knock-outs."""
    adata = reference.adata.copy()
    grn.tl.renge(adata, **COLUMNS, **SETTING, n_boot=0)
    found = adata.uns["renge"]["efficiency"].set_index("cell")
    prepared = pd.read_csv(reference.folder / "X_prep.csv.gz", index_col=0).iloc[:, :12]
    knocked = adata.obs_names[adata.obs["gene"] != "none"]
    assert sorted(found.index) == sorted(knocked)
    found = found.loc[knocked]
    assert (found["knockout"] == adata.obs.loc[knocked, "gene"]).all()
    assert (found["time"] == adata.obs.loc[knocked, "day"]).all()
    np.testing.assert_allclose(found["dose"], prepared.loc[knocked].sum(axis=1), atol=1e-6)
    level = adata.uns["renge"]["fit"]["control_level"]
    levels = found["knockout"].map(dict(zip(adata.var_names, level, strict=True)))
    np.testing.assert_allclose(found["efficiency"], -found["dose"] / levels, atol=1e-12)
    assert found["efficiency"].between(0, 1).all()


def test_elastic_nets_from_moments(reference):
    """The original stops its descent at a coarse tolerance on all cells; ours is finer."""
    effects, levels = elastic_net(moments(reference.screen))
    np.testing.assert_allclose(
        effects.T, square(reference.folder / "init_elasticnet_A.csv")[:, reference.screen.knocked], atol=1e-3
    )
    np.testing.assert_allclose(levels.T, square(reference.folder / "init_elasticnet_b.csv"), atol=1e-3)


def test_loss_gradient_prediction_and_score(reference):
    screen, fixed = reference.screen, reference.fixed
    at = unpacked(fixed["params"], screen.knocked)
    loss = SeriesLoss(moments(screen), screen.inputs, screen.observed, screen.times, 3)
    value, by = loss(with_control(at))
    paid, slope = penalty(at.network, Setting(**SETTING, parity=True))
    assert value + paid == pytest.approx(float(fixed["loss"]), rel=1e-6)
    assert paid == pytest.approx(float(fixed["loss_reg"]), rel=1e-6)
    theirs = unpacked(fixed["grad"], screen.knocked)
    off = ~np.eye(12, dtype=bool)
    np.testing.assert_allclose((by.network + slope)[off], theirs.network[off], atol=1e-4)
    np.testing.assert_allclose(by.level, theirs.level, atol=1e-4)
    np.testing.assert_allclose(by.alpha[1:], theirs.alpha, atol=1e-4)
    np.testing.assert_allclose([by.beta, by.gamma], [theirs.beta, theirs.gamma], atol=1e-4)
    # theirs differs on the diagonal, where the network is fixed, by the derivative of |0| that it takes for one
    np.testing.assert_allclose(np.diag(theirs.network - by.network - slope), 0.02 * 0.1 * 3, atol=1e-4)
    answer = loss.predict(with_control(at))
    block = np.repeat(np.arange(screen.sizes.size), screen.sizes.ravel())
    s, t = np.divmod(block, len(screen.times))
    predicted = at.level[t] + doses(screen.values, screen)[:, None] * answer[s, t]
    np.testing.assert_allclose(predicted, fixed["pred"][reference.order], atol=1e-4)
    score = explained(moments(screen), screen.observed, at.level, answer)
    assert score == pytest.approx(float(fixed["score"]), rel=1e-6)


@pytest.mark.parametrize("parity", [False, True])
def test_fit(reference, parity):
    blocks, screen = moments(reference.screen), reference.screen
    start = start_of(blocks, screen.knocked)
    if parity:
        start = random_start(start, child(0, "renge", "start"))
    found = fit(blocks, screen, Setting(**SETTING, parity=parity), start)
    meta = json.loads((reference.folder / "meta.json").read_text())["fits"]
    off = ~np.eye(12, dtype=bool)
    for seed in range(3):
        assert found.loss <= meta[f"seed{seed}"]["loss"] * 1.001
        theirs = square(reference.folder / f"A_seed{seed}.csv")
        assert np.corrcoef(found.at.network[off], theirs[off])[0, 1] >= 0.99
    assert found.converged and not np.diag(found.at.network).any()
    # only without parity are weights exactly zero
    assert ((found.at.network[off] == 0).mean() > 0.1) != parity


def test_q_values(reference):
    """p and q from three refits of the original."""
    with np.load(reference.folder / "A_boot3_seed0.npz") as found:
        refits = found["A"].astype(float)
    network = square(reference.folder / "A_seed0.csv")
    theirs = square(reference.folder / "qval_boot3_seed0.csv")
    off = ~np.eye(12, dtype=bool)
    np.testing.assert_allclose(significance(network, refits, parity=True).qval[off], theirs[off], atol=1e-5)
    ours = significance(network, refits)
    assert np.isnan(np.diag(ours.qval)).all()
    np.testing.assert_allclose(ours.qval[off], stats.false_discovery_control(ours.pval[off]))
    assert (ours.pval[off] >= significance(network, refits, parity=True).pval[off]).all()


def test_prediction_after_a_knock_out(reference):
    """From the original's parameters through the stored result."""
    adata = reference.adata.copy()
    grn.tl.renge(adata, **COLUMNS, **SETTING, n_boot=0)
    at = unpacked(np.load(reference.folder / "params_seed0.npy"), np.arange(12))
    stored = adata.uns["renge"]["fit"]
    stored |= {"network": at.network, "level": at.level, "alpha": at.alpha, "beta": at.beta, "gamma": at.gamma}
    dose = pd.read_csv(reference.folder / "predict_input_KO_g02.csv", index_col=0)["g02"].iloc[0]
    found = grn.tl.predict_knockout(adata, genes="g02", dose=-dose / stored["control_level"][2])
    theirs = pd.read_csv(reference.folder / "predict_KO_g02.csv", index_col=0)
    assert found.index.tolist() == [2, 3, 4, 5] and list(found.columns) == list(theirs.columns)
    # the knocked-out gene itself is a prediction there, and its dose here
    others = [gene for gene in theirs.columns if gene != "g02"]
    np.testing.assert_allclose(found[others], theirs[others], atol=1e-4)
