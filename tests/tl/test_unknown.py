"""The unknown background: a model is shown one gene, and every source has a cell of its own to be compared with."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import grn
from grn.errors import CapabilityError, ParameterError
from grn.models import ValueScale
from grn.models.protocol import PairReading, resolve_panel
from grn.models.translator import Translator

GENES = tuple(grn.datasets.toy(n_cells=2).var_names[:12])
GRID = (-2.0, -1.0, 1.0, 3.0)
BASELINE = 0.5


class Gaussian:
    """Expectation of genes given those that are shown, under a covariance C: ``C_jS (C_SS)^-1 (v_S - m_S) + m_j``.

    Shown gene i alone at v, it says ``m_j + C_ji / C_ii (v - m_i)``. A gene's own value is not looked at.
    """

    gene_id_kind = "symbol"
    sha256 = "g" * 64
    gradient_kind = "exact"
    capabilities = frozenset({"value", "gradient", "unknown"})
    value_scale = ValueScale("number", BASELINE, GRID, GRID, -4, 4)
    source_genes = target_genes = GENES

    def __init__(self, *, name="gaussian", max_genes=100, seed=0):
        rng = np.random.default_rng(seed)
        factors = rng.normal(size=(len(GENES), 4))
        self.covariance = torch.as_tensor(factors @ factors.T + 0.5 * np.eye(len(GENES)))
        self.mean = torch.as_tensor(rng.normal(size=len(GENES)))
        self.name, self.max_genes, self.shown = name, max_genes, []

    def to(self, device):
        return self

    def panel(self, sources, targets):
        return resolve_panel({g: i for i, g in enumerate(GENES)}, sources, targets, max_genes=self.max_genes)

    def respond_dual(self, panel, values, tangents, *, context=None):
        C, m, targets = self.covariance, self.mean, panel.tokens[panel.tgt_pos]
        out, slope = (torch.empty(len(values), len(targets), dtype=torch.float64) for _ in range(2))
        for row, (cell, tangent) in enumerate(zip(values.double(), tangents.double(), strict=True)):
            there = ~torch.isnan(cell)
            self.shown.append(int(there.sum()))
            for j, target in enumerate(targets):
                seen = there & (panel.tokens != target)
                tokens = panel.tokens[seen]
                weights = torch.linalg.solve(C[tokens][:, tokens], C[tokens, target])
                out[row, j] = m[target] + weights @ (cell[seen] - m[tokens])
                slope[row, j] = weights @ tangent[seen]
        return out.float(), slope.float()

    def respond(self, panel, values, *, context=None):
        return self.respond_dual(panel, values, torch.zeros_like(values))[0]

    def attention(self, panel, values):
        raise CapabilityError("none")

    def embed(self, panel, values=None):
        raise CapabilityError("none")

    def encode_cells(self, X, genes, *, reference=None):
        return torch.as_tensor(X, dtype=torch.float32)

    def slopes(self):
        """d E[x_j | x_i] / d x_i, row target, column source; NaN on self pairs."""
        slopes = (self.covariance / self.covariance.diagonal()[None]).numpy().copy()
        np.fill_diagonal(slopes, np.nan)
        return slopes


@pytest.fixture
def genes():
    adata = ad.AnnData(np.zeros((0, len(GENES)), dtype=np.float32))
    adata.var_names = list(GENES)
    return adata


def read(adata, probe, model=None, **given):
    getattr(grn.tl, probe)(adata, model=model or Gaussian(), sources=list(GENES), background="unknown", **given)
    return {key: adata.varm[key] for key in ("vvp", "gradient_trajectory") if key in adata.varm}


@pytest.mark.parametrize("batch_size", [1, 3, 5, None])
@pytest.mark.parametrize("probe", ["vvp", "gradient_trajectory", "probe"])
def test_the_response_is_the_covariance(genes, probe, batch_size):
    model = Gaussian()
    cubes = read(genes, probe, model, batch_size=batch_size)
    slopes = model.slopes()[:, :, None]
    wanted = {"vvp": slopes * (np.array(GRID) - BASELINE), "gradient_trajectory": slopes * np.ones(len(GRID))}
    assert cubes and set(model.shown) == {1}, "nothing else is shown, in the cell compared with neither"
    for name, cube in cubes.items():
        assert (np.isnan(cube) == np.isnan(wanted[name])).all(), "no NaN but on self pairs"
        np.testing.assert_allclose(cube, wanted[name], atol=1e-5)


def test_the_fixed_background_answers_another_question(genes):
    cubes = read(genes, "probe")
    grn.tl.probe(genes, model=Gaussian(), sources=list(GENES), key_added="fixed_")
    for name, cube in cubes.items():
        fixed = genes.varm[f"fixed_{name}"]
        assert (np.isnan(cube) == np.isnan(fixed)).all()
        assert np.nanmax(np.abs(cube - fixed)) > 0.3 * np.nanmax(np.abs(cube)), "partial, not marginal"


def test_no_other_gene_matters(genes):
    """Neither its order, nor whether it is there, nor the panels that a small model divides genes into."""
    whole = read(genes, "probe")
    order = np.random.default_rng(1).permutation(len(GENES))
    mixed = read(genes[:, order].copy(), "probe")
    panels = read(genes.copy(), "probe", Gaussian(max_genes=5))
    few = genes[:, :4].copy()
    grn.tl.probe(few, model=Gaussian(), sources=[GENES[0]], background="unknown")
    for name, cube in whole.items():
        np.testing.assert_allclose(mixed[name], cube[order][:, :], atol=1e-6)
        np.testing.assert_allclose(panels[name], cube, atol=1e-6)
        np.testing.assert_allclose(few.varm[name][:, 0], cube[:4, 0], atol=1e-6)


def test_a_store_holds_the_same(genes, tmp_path):
    model = Gaussian()
    cubes = read(genes, "probe")
    read(genes, "probe", model, store=tmp_path / "features.zarr")
    for name, cube in cubes.items():
        found = grn.get.features(genes, key=name)
        np.testing.assert_array_equal(found.values[:, [found.sources.tolist().index(g) for g in GENES]], cube)
    asked = len(model.shown)
    read(genes, "probe", model, store=tmp_path / "features.zarr")
    assert len(model.shown) == asked, "a store that is complete is used as it is"
    with pytest.raises(ParameterError, match=r"background \(unknown there, fixed here\)"):
        grn.tl.probe(genes, model=model, sources=list(GENES), store=tmp_path / "features.zarr")


def test_workers_give_the_same(genes, near_client):
    cubes = read(genes, "probe")
    far = read(genes, "probe", client=near_client)
    for name, cube in cubes.items():
        np.testing.assert_array_equal(far[name], cube)


@pytest.mark.parametrize("probe", ["vvp", "gradient_trajectory", "probe"])
def test_the_record_says_so(genes, probe, reread):
    cubes = read(genes, probe)
    back = reread(genes)
    for name, cube in cubes.items():
        assert back.uns[name]["params"]["background"] == "unknown"
        np.testing.assert_array_equal(back.varm[name], cube)


@pytest.mark.parametrize(
    ("features", "passes"),
    [(["vvp"], (60, 0)), (["gradient_trajectory"], (0, 48)), (["vvp", "gradient_trajectory"], (12, 48))],
)
def test_the_cost_is_counted(genes, features, passes):
    ask = {"model": Gaussian(), "sources": list(GENES), "features": features, "calibrate": False}
    cost = grn.tl.estimate_cost(genes, background="unknown", **ask)
    assert (cost.forward_passes, cost.dual_passes) == passes
    model = Gaussian()
    read(genes, "probe" if len(features) == 2 else features[0], model)
    assert len(model.shown) == sum(passes)


def test_refusals(refuses, genes):
    blind = Gaussian(name="blind")
    blind.capabilities = frozenset({"value", "gradient"})
    for probe in (grn.tl.vvp, grn.tl.gradient_trajectory, grn.tl.probe, grn.tl.estimate_cost):
        message = refuses(CapabilityError, probe, genes, model=blind, sources=[GENES[0]], background="unknown")
        assert "'unknown'" in message and "'blind' offers: gradient, value" in message
    for probe in (grn.tl.vvp, grn.tl.probe, grn.tl.estimate_cost):
        message = refuses(ParameterError, probe, genes, model=Gaussian(), sources=[GENES[0]], background="moving")
        assert "fixed, unknown" in message
    cells = ad.AnnData(np.ones((30, len(GENES)), dtype=np.float32))
    cells.var_names, cells.obs["type"] = list(GENES), ["a"] * 15 + ["b"] * 15
    ask = {"model": Gaussian(), "sources": [GENES[0]], "background": "unknown"}
    for probe in (grn.tl.vvp, grn.tl.gradient_trajectory, grn.tl.probe):
        assert "context='virtual'" in refuses(ParameterError, probe, cells, context="mean", **ask)
        assert "every group would get the same" in refuses(ParameterError, probe, cells, groupby="type", **ask)


@pytest.fixture
def labels():
    """Every second gene regulates some others."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [(a, b) for a in GENES for b in GENES if a != b and rng.random() < 0.3], columns=["source", "target"]
    )


@pytest.fixture
def fitted(genes, labels):
    """Translators by background and feature."""
    small = {"members": 1, "epochs": 3, "hidden": (4,)}
    found = {}
    for background in ("fixed", "unknown"):
        grn.tl.probe(genes, model=Gaussian(), sources=list(GENES), background=background)
        found[background] = {
            key: grn.tl.fit_translator(genes, labels, key=key, **small) for key in ("vvp", "gradient_trajectory")
        }
    genes.varm.clear()
    genes.uns.clear()
    return found


def infer(adata, method, model=None, **params):
    model = model or Gaussian()
    grn.tl.infer_network(adata, method=method, model=model, sources=list(GENES), params=params)
    return grn.get.edges(adata).set_index(["source", "target"]).sort_index(), adata.uns["grn"]["params"]


def matrix(table, column="weight"):
    return table[column].unstack("source").loc[list(GENES), list(GENES)].to_numpy()


@pytest.mark.parametrize("method", ["vvp", "gradient_trajectory"])
def test_networks_are_read_in_a_background(genes, method):
    edges, params = infer(genes, method, translator=None, background="unknown")
    slopes = Gaussian().slopes()
    sides = np.array(GRID) - BASELINE
    wanted = slopes if method == "gradient_trajectory" else slopes * (sides * np.sign(sides)).mean()
    np.testing.assert_allclose(matrix(edges), wanted, atol=1e-5)
    told = {key: params[key] for key in ("background", "centred", "protocol", "context")}
    assert told == {"background": "unknown", "centred": False, "protocol": "paper", "context": "virtual"}
    _, params = infer(genes, method, translator=None)
    assert params["background"] == "fixed", "the paper's, unless asked otherwise"


@pytest.mark.parametrize("method", ["vvp", "gradient_trajectory"])
def test_centred_strengths_have_no_hubs(genes, method):
    raw, _ = infer(genes, method, translator=None, background="unknown")
    edges, params = infer(genes, method, translator=None, background="unknown", centred=True)
    weight, effect = matrix(edges), matrix(raw)
    known = ~np.isnan(effect)
    mean = [np.nanmean(effect, axis=axis, keepdims=True) for axis in (1, 0)]
    np.testing.assert_allclose(weight[known], (effect - mean[0] - mean[1] + effect[known].mean())[known], atol=1e-5)
    np.testing.assert_allclose(matrix(edges, "score"), effect, atol=1e-6)
    assert params["centred"] is True or params["centred"] == np.True_
    assert (np.sign(weight[known]) == matrix(edges, "sign")[known]).all()
    order = np.random.default_rng(1).permutation(len(GENES))
    mixed, _ = infer(genes[:, order].copy(), method, translator=None, background="unknown", centred=True)
    np.testing.assert_allclose(matrix(mixed), weight, atol=1e-6)


class Recommending(Gaussian):
    """Says how it is best read."""

    pair_reading = PairReading("unknown", centred=True)


@pytest.mark.parametrize("method", ["vvp", "gradient_trajectory"])
def test_a_model_recommends_and_the_paper_stays(genes, method):
    asked = infer(genes, method, translator=None, background="unknown", centred=True)[0]
    recommended, params = infer(genes, method, Recommending(), translator=None, protocol="recommended")
    pd.testing.assert_frame_equal(recommended, asked)
    assert (params["protocol"], params["background"], bool(params["centred"])) == ("recommended", "unknown", True)
    paper, params = infer(genes, method, Recommending(), translator=None, protocol="paper")
    pd.testing.assert_frame_equal(paper, infer(genes, method, translator=None)[0])
    assert (params["background"], bool(params["centred"])) == ("fixed", False)
    other, _ = infer(genes, method, Recommending(), translator=None, protocol="recommended", centred=False)
    pd.testing.assert_frame_equal(other, infer(genes, method, translator=None, background="unknown")[0])
    nothing, _ = infer(genes, method, translator=None, protocol="recommended")
    pd.testing.assert_frame_equal(nothing, paper)


def test_a_mean_cell_is_known_whatever_is_recommended(genes):
    cells = ad.AnnData(np.random.default_rng(0).poisson(4.0, size=(40, len(GENES))).astype(np.float32))
    cells.var_names, cells.obs["type"] = list(GENES), ["a"] * 20 + ["b"] * 20
    ask = {"method": "vvp", "model": Recommending(), "sources": list(GENES), "groupby": "type"}
    grn.tl.infer_network(cells, **ask, params={"translator": None, "protocol": "recommended"})
    assert cells.uns["grn"]["params"]["background"] == "fixed"


@pytest.mark.parametrize("method", ["vvp", "gradient_trajectory", "ugrn"])
def test_translators_are_for_one_background(genes, fitted, refuses, method):
    for background, other in (("fixed", "unknown"), ("unknown", "fixed")):
        model = Gaussian()
        call = {"method": method, "model": model, "sources": list(GENES)}
        params = {"translator": fitted[background], "background": other}
        message = refuses(ParameterError, grn.tl.infer_network, genes, params=params, **call)
        assert f"background={background!r}" in message and f"background={other!r}" in message
        assert not model.shown, "refused before anything is read"
        edges, params = infer(genes, method, translator=fitted[background], background=background)
        assert params["background"] == background and edges["probability"].between(0, 1).all()


def test_a_translator_keeps_its_background_on_disk(fitted, tmp_path):
    for background, translators in fitted.items():
        translator = translators["vvp"]
        path = translator.save(tmp_path / background)
        again = Translator.load(path)
        assert again.config.background == background and again.sha256 == translator.sha256
        assert ("background" in path.with_suffix(".json").read_text()) == (background == "unknown")


def test_ensembles_use_features_of_their_background_again(genes, fitted):
    model = Gaussian()
    grn.tl.probe(genes, model=model, sources=list(GENES), background="unknown")
    read = len(model.shown)
    edges, _ = infer(genes, "ugrn", model, translator=fitted["unknown"], background="unknown")
    assert len(model.shown) == read, "stored before"
    infer(genes, "ugrn", model, translator=fitted["fixed"])
    assert len(model.shown) > read, "of another background"
    fresh, _ = infer(genes[:, :].copy(), "ugrn", translator=fitted["unknown"], background="unknown")
    pd.testing.assert_frame_equal(edges, fresh)
    grn.tl.ugrn(genes, model=Recommending(), sources=list(GENES), translator=fitted["unknown"], protocol="recommended")
    assert genes.uns["grn"]["params"]["background"] == "unknown"


def test_refused_parameters(refuses, genes, fitted):
    call = {"model": Gaussian(), "sources": list(GENES), "method": "vvp"}
    for params, word in (
        ({"protocol": "best"}, "paper, recommended"),
        ({"background": "moving", "translator": None}, "fixed, unknown"),
        ({"background": "unknown", "context": "mean"}, "context='virtual'"),
        ({"centred": "yes", "translator": None}, "centred="),
        ({"centred": True, "translator": fitted["fixed"]}, "translator=None"),
    ):
        assert word in refuses(ParameterError, grn.tl.infer_network, genes, params=params, **call)
