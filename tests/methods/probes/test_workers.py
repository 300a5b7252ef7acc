"""Probes and recipes on the workers of a cluster: the same numbers, whoever computes, dies or writes."""

import os
import pickle
import signal
from dataclasses import replace
from functools import cache

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import ParameterError
from grn.methods import Inputs, Task
from grn.methods.probes import execution, workers
from grn.methods.probes.base_cells import base_cells
from grn.methods.probes.execution import ArraySink
from grn.methods.probes.plan import plan
from grn.methods.probes.readings import Both


@cache
def known_genes():
    return sorted(grn.models.load("mini").genes)[:140:2]


def regulators():
    return known_genes()[::2]


@pytest.fixture(scope="module")
def model():
    """More sources than a unit holds, and more genes than the model takes at a time."""
    made = grn.models.untrained("scgpt", genes=known_genes(), layers=1, width=16, heads=2)
    made.max_genes = 50
    return made


@pytest.fixture
def cells():
    counts = np.random.default_rng(0).poisson(2.0, (40, len(known_genes()))).astype(np.float32)
    adata = ad.AnnData(counts, var=pd.DataFrame(index=known_genes()))
    adata.obs["type"] = np.repeat(["a", "b"], 20)
    return adata


def work(cells, model):
    inputs = Inputs(cells, Task(model, sources=regulators(), groupby="type"))
    base = base_cells(inputs, inputs.pairs, context="mean")
    points = np.array(model.value_scale.gradient_grid[:3], dtype=np.float32)
    return plan(model, Both(points), base, inputs.pairs, batch_size=8, memory_budget=2**29)


@pytest.fixture
def probe(cells, model):
    """Both probes at the mean cells of two groups, here unless told otherwise."""

    def call(**given):
        usual = {"sources": regulators(), "grid": [1.0, 5.0, 9.0], "context": "mean", "groupby": "type", "n_jobs": 1}
        return grn.tl.probe(cells, model=model, copy=True, **{**usual, **given})

    return call


def same(one, other):
    for key in ("vvp", "gradient_trajectory"):
        assert np.isfinite(one.varm[key]).any()
        np.testing.assert_array_equal(one.varm[key], other.varm[key])
    return True


def kill(client, n):
    """Kill the processes of some workers."""
    for pid in list(client.run(os.getpid).values())[:n]:
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def killing(monkeypatch):
    """Let workers die once a unit is finished: ``killing(client, n)``."""
    real = workers.run_units

    def arrange(client, n):
        def run_units(*given):
            for i, unit in enumerate(real(*given)):
                if i == 0:
                    kill(client, n)
                yield unit

        monkeypatch.setattr(workers, "run_units", run_units)

    return arrange


def test_a_worker_computes_what_is_computed_here(probe, near_client):
    assert same(probe(), probe(client=near_client))


@pytest.mark.slow
def test_two_workers_compute_what_is_computed_here(probe, client):
    assert same(probe(), probe(client=client))


def test_the_order_of_units_does_not_matter(cells, model, near_client):
    whole = work(cells, model)
    assert len(whole.units) >= 8 and len(whole.strides) > 1 and len(whole.cells.names) == 2
    cubes = []
    for units, client in ((whole.units, None), (list(reversed(whole.units)), near_client)):
        sink = ArraySink(whole)
        execution.run(replace(whole, units=units), sink, client=client, show=False)
        cubes.append(sink.cubes)
    for name in cubes[0]:
        np.testing.assert_array_equal(cubes[0][name], cubes[1][name])


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2], ids=["one worker", "all workers"])
def test_workers_that_die_change_nothing(probe, client, killing, n):
    here = probe()
    killing(client, n)
    assert same(here, probe(client=client))
    client.wait_for_workers(2)


@pytest.mark.slow
def test_workers_write_the_store_themselves(probe, client, killing, tmp_path, monkeypatch):
    here = probe()
    killing(client, 1)
    # this process must not write any unit
    monkeypatch.setattr("grn.methods.probes.store_sink.StoreSink.write", None)
    there = probe(client=client, store=tmp_path / "features")
    monkeypatch.undo()
    for key in ("vvp", "gradient_trajectory"):
        assert key not in there.varm
        found = grn.get.features(there, key=key, sources=regulators())
        np.testing.assert_array_equal(found.values, grn.get.features(here, key=key, sources=regulators()).values)
    client.wait_for_workers(2)


def test_a_store_is_left_alone_when_all_of_it_is_there(probe, near_client, tmp_path, monkeypatch):
    probe(client=near_client, store=tmp_path / "features")
    monkeypatch.setattr("grn._core.cluster._Run._send", None)
    probe(client=near_client, store=tmp_path / "features")


def test_the_plan_is_small_beside_the_model(cells, model):
    whole = work(cells, model)
    assert len(pickle.dumps(replace(whole, model=None))) < 100_000
    assert all(len(pickle.dumps(unit)) < 300 for unit in whole.units)


def test_what_is_no_client_is_refused_before_anything_is_read(cells, model):
    cells.X = None
    for call in (grn.tl.probe, grn.tl.pert, grn.tl.infer_network):
        with pytest.raises(ParameterError, match="client has type str"):
            call(cells, model=model, sources=regulators(), client="tcp://10.0.0.1:8786")


RECIPES = {
    "vvp": ("scgpt", {"translator": None}),
    "attention": ("scgpt", {"max_cells": 10}),
    "scgpt_attention": ("scgpt", {"max_cells": 10}),
    "geneformer_deletion": ("geneformer", {"max_cells": 6}),
    "genecompass_deletion": ("genecompass", {"max_cells": 6, "mode": "overexpress"}),
    "scprint_attention": ("scprint", {"max_cells": 10}),
    "scgenept_response": ("scgenept", {"max_cells": 10}),
    "lpm_response": ("lpm", {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("method", RECIPES)
def test_recipes_give_the_same_network_on_a_cluster(cells, client, method):
    family, params = RECIPES[method]
    genes = known_genes()
    if family not in ("scgpt", "scgenept", "lpm"):
        genes = [f"ENSG{i:011d}" for i in range(len(genes))]
    cells.var_names = genes
    model = grn.models.untrained(family, genes=genes, layers=1, width=16, heads=2)
    groupby = None if family == "lpm" else "type"
    tables = []
    order = ["group", "source", "target"] if groupby else ["source", "target"]
    for given in (None, client):
        grn.tl.infer_network(
            cells,
            method=method,
            model=model,
            sources=genes[:20],
            groupby=groupby,
            params=params,
            client=given,
            batch_size=4,
            n_jobs=1,
        )
        tables.append(grn.get.edges(cells).sort_values(order, ignore_index=True))
    # products of matrices may round differently where arrays start at another address
    pd.testing.assert_frame_equal(*tables, rtol=1e-9, atol=1e-12)


def test_a_method_without_use_for_workers_says_so(cells, model, near_client, caplog):
    for method in ("embedding", "scgpt_embedding"):
        params = {"translator": None} if method == "embedding" else {}
        caplog.clear()
        grn.tl.infer_network(cells, method=method, model=model, sources=regulators(), params=params, client=near_client)
        assert f"method '{method}' computes here" in caplog.text
