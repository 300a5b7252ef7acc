"""Where methods compute: what was asked for is done, refused or said, and the numbers are the same."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import grn
from grn._core.errors import ParameterError
from grn._core.settings import settings
from grn.methods import METHODS, Inputs, Method, Task, inference
from grn.methods.devices import device_of
from grn.methods.runner import run

ON_DEVICE = tuple(name for name in METHODS if METHODS[name].devices and "regions" not in METHODS[name].needs)
# those that compute with numpy on the processor, in 64-bit numbers anywhere
WITH_NUMPY = ("correlation", "prior_ridge", "ridge", "scrank")
PROCESSOR_ONLY = ("celloracle", "genie3", "grnboost2", "renge")


PARAMS = {
    "dictys": {"n_steps": 20},
    "celloracle": {"max_p": None},
    "flecs": {"n_bins": 3, "n_epochs": 2, "n_ensemble": 2, "smooth": False, "velocity": False},
    "ritini": {"prior": "full", "n_times": 12, "n_epochs": 2, "effects": False},
}


def cells_for(name):
    adata = grn.datasets.toy_groups(n_cells=120, n_regulators=4, n_targets=8)
    if "counts" in METHODS[name].needs:
        adata.X = adata.layers.pop("counts")
    if name in ("flecs", "ritini"):
        adata.obs["time"] = np.random.default_rng(0).random(adata.n_obs)
        grn.pp.trajectory(adata, pseudotime="time")
    return adata


@pytest.fixture
def cuda(monkeypatch):
    """Torch sees one CUDA device, and MPS."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


@pytest.fixture
def mps(monkeypatch):
    """Torch sees MPS alone."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


def edges(name, device):
    groupby = None if name in ("flecs", "ritini") else "group"
    inputs = Inputs(cells_for(name), Task(groupby=groupby, device=device, show=False))
    params = {"prior": planted(), "strength": 0.5} if name == "prior_ridge" else PARAMS.get(name, {})
    return run(inputs, METHODS[name], params).network.edges


def planted():
    edges = cells_for("ridge").uns["truth"][["source", "target"]].drop_duplicates()
    return edges.assign(probability=np.where(np.arange(len(edges)) % 3, 0.9, 0.2))


def test_the_records_say_what_they_use():
    assert {*WITH_NUMPY, "dictys", "flecs", "ritini"} == set(ON_DEVICE)
    assert not any(METHODS[name].devices for name in PROCESSOR_ONLY)
    with pytest.raises(ParameterError, match="devices='tpu'"):
        replace(METHODS["ridge"], devices=("tpu",))


@pytest.mark.parametrize("name", WITH_NUMPY)
def test_torch_on_the_processor_gives_the_edges_of_numpy(name):
    wanted, found = edges(name, None), edges(name, "cpu")
    on = ["group", "source", "target"]
    pd.testing.assert_frame_equal(
        found.sort_values(on, ignore_index=True), wanted.sort_values(on, ignore_index=True), rtol=1e-9, atol=1e-10
    )


@pytest.mark.parametrize("kind", ["spearman", "restricted", "restricted prior"])
def test_so_do_other_kinds(kind):
    adata, prior = cells_for("ridge"), planted()
    base = prior[["source", "target"]]
    name, params = {
        "spearman": ("correlation", {"kind": "spearman"}),
        "restricted": ("ridge", {"base_grn": base}),
        "restricted prior": ("prior_ridge", {"base_grn": base, "prior": prior}),
    }[kind]
    wanted, found = (
        run(Inputs(adata, Task(device=device, show=False)), METHODS[name], params).network.edges
        for device in (None, "cpu")
    )
    assert len(wanted)
    pd.testing.assert_frame_equal(found, wanted, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ON_DEVICE)
def test_methods_compute_where_the_task_says(name):
    """Numbers on a device that holds none cannot be read back."""
    with pytest.raises((NotImplementedError, RuntimeError)):
        edges(name, "meta")


@pytest.mark.parametrize("name", ON_DEVICE)
def test_the_device_of_a_task(name, cuda):
    record = METHODS[name]
    assert device_of(record) == device_of(record, "cuda") == "cuda"
    assert device_of(record, "cuda:0") == "cuda:0"
    assert device_of(record, "cpu") is None
    with settings.override(device="cpu"):
        assert device_of(record) is None
        assert device_of(record, "cuda") == "cuda"
    with pytest.raises(ParameterError, match="cuda:3"):
        device_of(record, "cuda:3")


@pytest.mark.parametrize("name", ON_DEVICE)
def test_a_device_without_64_bit_numbers_is_refused_and_never_chosen(name, mps):
    record = METHODS[name]
    if "mps" in record.devices:
        assert device_of(record) == device_of(record, "mps") == "mps"
        return
    assert device_of(record) is None
    with settings.override(device="mps"):
        assert device_of(record) is None
    with pytest.raises(ParameterError, match=rf"device='mps': method '{name}' computes in 64-bit.*device='cpu'.*cuda"):
        device_of(record, "mps")


@pytest.mark.parametrize("name", PROCESSOR_ONLY)
def test_a_method_without_use_for_a_device_says_so_when_asked(name, cuda, caplog):
    for asked in ("auto", "cpu"):
        assert device_of(METHODS[name], asked) is None
    with settings.override(device="cuda"):
        assert device_of(METHODS[name]) is None
    assert not caplog.text
    assert device_of(METHODS[name], "cuda") is None
    assert f"'{name}' computes on the processor: it has no use for device='cuda'" in caplog.text


def test_users_are_told(cuda, caplog):
    adata = cells_for("celloracle")
    grn.tl.infer_network(adata, method="celloracle", device="cuda", params={"max_p": None})
    assert "no use for device='cuda'" in caplog.text
    with pytest.raises(ParameterError, match="device='nowhere'"):
        grn.tl.infer_network(adata, method="celloracle", device="nowhere")
    with pytest.raises(ParameterError, match="64-bit"):
        grn.tl.scrank(adata, drug_targets=None, groupby="group", device="mps")


def test_workers_of_a_client_compute_on_processors_unless_a_device_is_asked_for(cuda, caplog, monkeypatch):
    asked = []
    monkeypatch.setattr(inference, "check_client", lambda client: None)
    monkeypatch.setattr(inference, "run", lambda inputs, *_, **__: asked.append(inputs.task.device) or 1 / 0)
    for device in ("auto", "cpu", "cuda"):
        with pytest.raises(ZeroDivisionError):
            grn.tl.infer_network(cells_for("ridge"), method="ridge", client=object(), device=device)
        assert ("no use for client=" in caplog.text) == (device == "cuda")
    assert asked == [None, None, "cuda"]


def test_what_is_asked_reaches_the_method(cuda):
    asked = []

    def fit(group):
        asked.append(group.task.device)
        return np.ones((len(group.targets), len(group.sources)))

    record = Method(
        "mine", fit, "mine", signed=False, probability=False, reference="", needs=("cells",), devices=("cuda",)
    )
    adata = cells_for("ridge")
    METHODS.add("mine", record)
    try:
        for device in ("auto", "cpu", "cuda:0"):
            grn.tl.infer_network(adata, method="mine", device=device)
        grn.tl.confidence(adata, n_permutations=1)
        grn.tl.differential(adata, condition="group", method="mine", n_permutations=0)
    finally:
        del METHODS._records["mine"]
    assert asked[:3] == ["cuda", None, "cuda:0"]
    assert len(asked) > 4 and set(asked[3:]) == {"cuda"}


def test_the_processor_needs_no_torch():
    """Torch takes as much memory as the whole of a small run."""
    code = """
import sys, grn
adata = grn.datasets.toy_groups(n_cells=120, n_regulators=4, n_targets=8)
for method in ("correlation", "ridge", "prior_ridge", "scrank"):
    for device in ("auto", "cpu"):
        grn.tl.infer_network(adata, method=method, groupby="group", device=device, n_jobs=2)
        assert "torch" not in sys.modules, (method, device)
grn.tl.infer_network(adata, method="ridge")
grn.tl.confidence(adata, n_permutations=2)
assert "torch" not in sys.modules, "confidence"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
