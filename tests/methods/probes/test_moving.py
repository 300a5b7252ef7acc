"""The moving background: forward and reverse mode give the same numbers, and the cheaper one is taken."""

import logging

import anndata as ad
import numpy as np
import pytest

import grn
from grn._kernels import perturb
from grn.methods import Inputs, Task
from grn.methods.genes import pair_genes
from grn.methods.probes import features
from grn.methods.probes.base_cells import BaseCells
from grn.methods.probes.plan import SOURCES_PER_UNIT, plan
from grn.methods.probes.readings import Gradient

NAMES = [f"ENSG{i:011d}" for i in range(48)]
FAMILIES = ("scgpt", "scprint", "genecompass", "scgenept")


@pytest.fixture(scope="module")
def _models():
    sizes = {"layers": 2, "width": 16, "heads": 2, "rng": 3}
    return {"mini": grn.models.load("mini")} | {f: grn.models.untrained(f, genes=NAMES, **sizes) for f in FAMILIES}


@pytest.fixture(params=["mini", *FAMILIES])
def model(request, _models):
    return _models[request.param]


def cells(model, n=40):
    adata = ad.AnnData(np.zeros((0, n), dtype=np.float32))
    adata.var_names = list(model.source_genes[:n])
    return adata


def read(model, *, n_sources=30, mode=None, batch_size=None, monkeypatch=None):
    """The cube, with a mode forced upon it."""
    adata = cells(model)
    if mode is not None:
        monkeypatch.setattr(perturb, "reverse_pays", lambda *_: mode == "reverse")
    task = Task(model, sources=list(adata.var_names[:n_sources]), batch_size=batch_size, show=False)
    return features.gradient_trajectory(Inputs(adata, task), background="moving").values


@pytest.fixture
def passes(monkeypatch):
    """How many trajectories were read in reverse mode."""
    done = []
    own = perturb.reverse_gradient

    def counted(*args, **given):
        found = own(*args, **given)
        done.append(len(found))
        return found

    monkeypatch.setattr(perturb, "reverse_gradient", counted)
    return done


@pytest.mark.parametrize("batch_size", [5, None])
def test_the_modes_agree(model, batch_size, passes, monkeypatch):
    forward = read(model, n_sources=20, mode="forward", monkeypatch=monkeypatch, batch_size=batch_size)
    assert not passes
    reverse = read(model, n_sources=20, mode="reverse", monkeypatch=monkeypatch, batch_size=batch_size)
    assert passes == [20], "all sources from one unit"
    assert (np.isnan(forward) == np.isnan(reverse)).all() and np.isnan(forward).sum() == 20 * 8
    scale = np.nanmax(np.abs(forward), axis=(0, 1))
    assert (scale > 0).all()
    assert np.nanmax(np.abs(forward - reverse) / scale) < 2e-5


@pytest.mark.parametrize("n_sources", [5, 30])
def test_the_cheaper_mode_is_taken_and_said(_models, n_sources, passes, caplog):
    with caplog.at_level(logging.INFO, logger="grn"):
        read(_models["mini"], n_sources=n_sources)
    said = [r.getMessage() for r in caplog.records if "moving background" in r.getMessage()]
    modes = {5: "forward mode over 5 sources", 30: "reverse mode over 40 targets"}
    assert said == [f"moving background: {modes[n_sources]}"]
    assert passes == {5: [], 30: [30]}[n_sources]


def units(model, n_sources, n, *, points=8, moving=True):
    adata = cells(model, n)
    genes = pair_genes(adata, model, list(adata.var_names[:n_sources]), None)
    reading = Gradient(np.arange(points, dtype=np.float32), "moving" if moving else "fixed")
    work = plan(model, reading, BaseCells(("",), {}), genes, batch_size=None, memory_budget=2**29)
    return [unit.stop - unit.start for unit in work.units]


def test_units_are_as_large_as_reverse_mode_needs(_models):
    mini = _models["mini"]
    assert max(units(mini, 300, 600, moving=False)) == SOURCES_PER_UNIT
    assert max(units(mini, 50, 600)) == SOURCES_PER_UNIT, "forward mode divides finely"
    assert units(mini, 300, 600) == [300]
    # features of a unit stay below a bound: here 128 MiB / (600 genes x 150 points x 4 bytes)
    assert units(mini, 600, 600, points=150) == [300, 300]


class Closed:
    """A model of someone else, whose responses cannot be followed backwards."""

    def __init__(self, model):
        self.model = model

    def __getattr__(self, name):
        return getattr(self.model, name)

    def respond(self, panel, values, *, context=None):
        return self.model.respond(panel, values.detach(), context=context)


def test_a_model_without_reverse_mode_is_read_in_forward_mode(_models, passes, monkeypatch, caplog):
    with caplog.at_level(logging.INFO, logger="grn"):
        found = read(Closed(_models["mini"]))
    assert "'mini' is read in forward mode; its responses do not record" in caplog.text and not passes
    expected = read(_models["mini"], mode="forward", monkeypatch=monkeypatch)
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-7, equal_nan=True)


def test_bfloat16_stays_in_forward_mode(passes, caplog):
    model = grn.models.untrained("scgpt", genes=NAMES, layers=1, width=16, heads=2, rng=3)
    model._lower()
    model.dtype = "bfloat16"
    with caplog.at_level(logging.INFO, logger="grn"):
        read(model)
    assert "forward mode over 30 sources" in caplog.text and not passes


def test_reverse_mode_takes_no_more_memory_than_forward_mode_may(_models, passes, monkeypatch, caplog):
    mini = _models["mini"]
    monkeypatch.setattr(type(mini), "bytes_per_gene", 100, raising=False)
    with caplog.at_level(logging.INFO, logger="grn"):
        read(mini, batch_size=2)
    assert f"bytes of the {2 * 100 * 40} given" in caplog.text and not passes
