"""What a model answers does not depend on what its caller told torch, and its caller's torch is left as it was."""

import contextlib
import inspect

import anndata as ad
import numpy as np
import pytest
import torch

import grn
from grn.models import Moments, load, pretrain, untrained
from grn.models.memory import Memory
from grn.models.steady import Steady
from grn.models.translator import Translator, TranslatorConfig, TranslatorNetwork
from grn.models.translator_training import FitSettings, fit_network

FAMILIES = ("scgpt", "geneformer", "genecompass", "scprint", "scgenept", "lpm")
SYMBOLS = ["SPI1", "GATA1", "LYZ", "CD14", "CD79A", "CST3"]
ENSEMBL = [f"ENSG{i:011d}" for i in range(1, 7)]


@contextlib.contextmanager
def wide_numbers():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


MODES = {
    "no_grad": torch.no_grad,
    "enable_grad": torch.enable_grad,
    "inference": torch.inference_mode,
    "float64": wide_numbers,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "meta": lambda: torch.device("meta"),
}


def state():
    """What a call may not change, but for random numbers."""
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_device(),
    )


def family_of(name):
    if name == "mini":
        return load("mini")
    genes = SYMBOLS if name in ("scgpt", "scgenept", "lpm") else ENSEMBL
    return untrained(name, genes=genes, layers=2, width=16, heads=2, rng=1)


def calls(model):
    """Every public method of a model with arguments; what it cannot do is answered by its error."""
    genes = list(model.source_genes[:5])
    panel = model.panel(genes[:2], genes)
    n, d = len(panel), model.sizes["width"] if hasattr(model, "sizes") else 0
    scale = model.value_scale
    values = torch.linspace(scale.baseline, scale.perturbation_grid[-1], n).repeat(2, 1)
    if getattr(model, "family", "") == "lpm":
        values[:, 2:] = 0.0  # genes without a perturbation
    tangents = torch.zeros_like(values)
    tangents[:, 0] = 1.0
    X = np.log1p(np.random.default_rng(0).poisson(2.0, size=(3, len(genes))).astype(np.float64))
    moments = Moments(X.mean(0), X.std(0), np.full(3, 50.0))
    tokens = panel.tokens[None].repeat(2, 1)
    return {
        "panel": lambda: model.panel(genes[:2], genes).tokens,
        "respond": lambda: model.respond(panel, values),
        "respond_dual": lambda: model.respond_dual(panel, values, tangents),
        "read": lambda: model.read(panel, values),
        "read_dual": lambda: model.read_dual(panel, values, None)[0],
        "attention": lambda: model.attention(panel, values),
        "embed": lambda: model.embed(panel),
        "encode_cells": lambda: model.encode_cells(X, genes, reference=moments),
        "embed_cells": lambda: model.embed_cells(X, genes, reference=moments),
        "perturb_cells": lambda: model.perturb_cells(X, genes, [genes[:1]], reference=moments),
        "classify_cells": lambda: list(model.classify_cells(X, genes, reference=moments).values()),
        "denoise_cells": lambda: model.denoise_cells(X, genes, reference=moments),
        "to": lambda: model.to("cpu").embed(panel),
        "virtual_cell": lambda: model.virtual_cell(panel),
        "embedding_gradient": lambda: model.embedding_gradient(panel, values[0]),
        "contextual": lambda: model.contextual(tokens, values),
        "tokenize": lambda: [part for cell in model.tokenize(X, genes, reference=moments) for part in cell],
        "input_ids": lambda: model.input_ids(X, genes, reference=moments),
        "sequence": lambda: model.sequence(tokens) if model.family == "geneformer" else model.sequence(panel, values),
        "positions": lambda: model.positions(values),
        "queries_keys": lambda: model.queries_keys(panel, values, 1),
        "projections": lambda: [part for pair in model.projections(panel, values) for part in pair],
        "encoder_input": lambda: model.encoder_input(values),
        "respond_flag": lambda: model.respond_flag(panel, values, tangents),
        "within": lambda: model.within(["context_1"]).respond(panel, values),
        "predict": lambda: model.predict(["CRISPRi_SPI1", "Control"]),
        "lacks": lambda: str(model.lacks("thing")),
    }, d


def arrays(found):
    """An answer as a list of arrays."""
    if isinstance(found, torch.Tensor):
        assert not found.is_inference()
        return [found.detach().numpy()]
    if isinstance(found, list | tuple):
        return [array for part in found for array in arrays(part)]
    return [np.asarray(found)]


def public_methods(model):
    return [n for n in dir(type(model)) if n[0] != "_" and inspect.isfunction(getattr(type(model), n))]


def answer(call):
    try:
        return arrays(call())
    except grn.errors.GrnError as error:
        return [np.asarray(str(error))]


def same(found, wanted):
    return len(found) == len(wanted) and all(
        a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        for a, b in zip(found, wanted, strict=True)
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", ["mini", *FAMILIES])
def test_every_public_method(family, mode):
    model = family_of(family)
    known, _ = calls(model)
    methods = public_methods(model)
    assert set(methods) <= set(known), "a new method needs a call here"
    wanted = {name: answer(known[name]) for name in methods}
    assert sum(array.dtype.kind == "f" and array.size > 0 for array in wanted["embed"]) == 1
    for name in methods:
        with MODES[mode]():
            before, drawn = state(), torch.get_rng_state()
            found = answer(known[name])
            assert state() == before and torch.equal(drawn, torch.get_rng_state()), name
        assert same(found, wanted[name]), name


@pytest.mark.parametrize("family", ["mini", *FAMILIES])
def test_panels_and_values_made_in_inference_mode(family):
    model = family_of(family)
    wanted = {name: answer(call) for name, call in calls(model)[0].items() if hasattr(model, name)}
    with torch.inference_mode():
        known, _ = calls(model)
    for name, found in wanted.items():
        assert same(answer(known[name]), found), name
    with torch.inference_mode():
        for name, found in wanted.items():
            assert same(answer(known[name]), found), name


@pytest.mark.parametrize("family", ["mini", *FAMILIES])
def test_a_network_in_training_mode_answers_as_in_evaluation(family):
    model = family_of(family)
    if family == "lpm":
        for module in model.network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.5
    known, _ = calls(model)
    methods = public_methods(model)
    wanted = {name: answer(known[name]) for name in methods}
    model.network.train().requires_grad_(requires_grad=True)
    for name in methods:
        if name not in ("to", "lacks"):
            pairs = zip(answer(known[name]), wanted[name], strict=True)
            assert all(np.allclose(a, b, atol=1e-6, equal_nan=True) for a, b in pairs if a.dtype.kind == "f"), name
            assert all(module.training for module in model.network.modules()), name


def test_gradients_flow_where_the_caller_wants_them():
    model = family_of("scgpt")
    panel = model.panel(SYMBOLS[:2], SYMBOLS)
    values = torch.ones(1, 6, requires_grad=True)
    (slope,) = torch.autograd.grad(model.respond(panel, values).sum(), values)
    assert slope.abs().max() > 0
    with torch.no_grad():
        assert not model.respond(panel, values).requires_grad


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", FAMILIES)
def test_building_writing_and_reading(family, mode, tmp_path):
    wanted = family_of(family)
    with MODES[mode]():
        before, drawn = state(), torch.get_rng_state()
        made = family_of(family)
        path = grn.models.save(made, tmp_path / ("m.pt" if family in ("lpm", "scprint") else "m"))
        read = load(path)
        assert state() == before and torch.equal(drawn, torch.get_rng_state())
    for model in (made, read):
        found, own = model.network.state_dict(), wanted.network.state_dict()
        assert all(torch.equal(found[k], v) and found[k].dtype == v.dtype for k, v in own.items())
        assert not any(p.is_inference() or p.requires_grad for p in model.network.parameters())
        assert not any(module.training for module in model.network.modules())
        known, _ = calls(model)
        assert same(answer(known["respond_dual"]), answer(calls(wanted)[0]["respond_dual"]))


def screen():
    rng = np.random.default_rng(0)
    adata = ad.AnnData(rng.poisson(3.0, size=(120, 8)).astype(np.float32))
    adata.var_names = [*SYMBOLS, "KLF1", "NKG7"]
    adata.obs_names = [f"cell{i}" for i in range(120)]
    adata.obs["p"] = ["control", "SPI1", "GATA1"] * 40
    return adata


@pytest.mark.parametrize("mode", MODES)
def test_training_a_model(mode, tmp_path):
    def fit():
        given = {"perturbation": "p", "epochs": 1, "embedding_dim": 4, "hidden_dim": 8, "dropout": 0.2}
        return grn.models.LPM.fit(screen(), **given, device="cpu", progress=False)

    torch.manual_seed(1)
    wanted = fit()
    torch.manual_seed(2)
    with MODES[mode]():
        before, drawn = state(), torch.get_rng_state()
        found = fit()
        assert state() == before and torch.equal(drawn, torch.get_rng_state())
    assert found.sha256 == wanted.sha256


@pytest.mark.parametrize("mode", MODES)
def test_adding_cells_to_a_memory(mode, tmp_path, make_memory, make_planted, make_adata):
    start = make_memory()
    adata = make_adata(make_planted()[0])

    def trained(name):
        return pretrain(adata, path=tmp_path / name, progress=False, model=start, min_genes=5)

    wanted = trained("a.safetensors")
    with MODES[mode]():
        before, drawn = state(), torch.get_rng_state()
        found = trained("b.safetensors")
        assert state() == before and torch.equal(drawn, torch.get_rng_state())
    assert found.sha256 == wanted.sha256


@pytest.mark.parametrize("mode", MODES)
def test_translators(mode, tmp_path):
    rng = np.random.default_rng(0)
    cube = rng.normal(size=(5, 4, 3)).astype(np.float32)
    x, y = rng.normal(size=(60, 6)).astype(np.float32), rng.integers(0, 2, 60)

    def fitted(name):
        with torch.device("cpu"):
            network = TranslatorNetwork(TranslatorConfig("vvp", 3, members=2))
        fit_network(network, (x, y), (x, y), FitSettings(epochs=2), 0)
        Translator(TranslatorConfig("vvp", 3, members=2), network).save(tmp_path / name)
        return Translator.load(tmp_path / name).probability(cube)

    wanted = fitted("a")
    with MODES[mode]():
        before, drawn = state(), torch.get_rng_state()
        found = Translator.load(tmp_path / "a").probability(cube)
        assert state() == before and torch.equal(drawn, torch.get_rng_state())
    assert np.array_equal(found, wanted)
    if mode not in ("float64", "inference"):  # the network itself is made here
        with MODES[mode]():
            assert np.array_equal(fitted("b"), wanted)


def test_all_models_are_steady():
    assert issubclass(Memory, Steady) and all(isinstance(family_of(name), Steady) for name in FAMILIES)


@pytest.mark.parametrize("mode", MODES)
def test_public_functions_on_objects(mode):
    adata = screen()
    calls = {
        "vvp": lambda one: grn.tl.vvp(one, sources=["SPI1"], context="mean"),
        "moving": lambda one: grn.tl.gradient_trajectory(one, sources=SYMBOLS, background="moving", key_added="moving"),
        "attention": lambda one: grn.tl.attention(one, sources=["SPI1"], model=family_of("scgpt")),
    }
    for key, call in calls.items():
        wanted, found = adata.copy(), adata.copy()
        call(wanted)
        with MODES[mode]():
            before, drawn = state(), torch.get_rng_state()
            call(found)
            assert state() == before and torch.equal(drawn, torch.get_rng_state()), key
        assert np.array_equal(found.varm[key], wanted.varm[key], equal_nan=True), key


@pytest.mark.parametrize("mode", MODES)
def test_a_translator_is_fitted(mode):
    adata = grn.datasets.toy(n_cells=20)
    grn.tl.vvp(adata, sources=adata.uns["truth"]["source"].unique().tolist())

    def fitted():
        return grn.tl.fit_translator(adata, adata.uns["truth"], members=1, epochs=3).probability(adata.varm["vvp"])

    wanted = fitted()
    with MODES[mode]():
        assert np.array_equal(fitted(), wanted, equal_nan=True)
