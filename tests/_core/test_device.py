import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import grn
from grn._core.device import resolve_device, rows_per_batch, torch_threads
from grn._core.errors import ParameterError


@pytest.fixture
def no_accelerator(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_auto_falls_back_to_the_cpu(no_accelerator):
    assert resolve_device("auto") == torch.device("cpu")
    assert resolve_device("cpu") == torch.device("cpu")


def test_auto_prefers_cuda_then_mps(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto").type == "cuda"


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_a_device_that_torch_does_not_see_is_refused(no_accelerator, device):
    with pytest.raises(ParameterError, match=rf"device='{device}' was asked for.*device='auto'"):
        resolve_device(device)


def test_a_card_beyond_the_last_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ParameterError, match="cuda:2"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("device", ["gpu", "", "cuda:x", None, 1.5, "meta"])
def test_an_unknown_device_names_the_known_ones(no_accelerator, device):
    with pytest.raises(ParameterError, match="'auto', 'cpu', 'cuda' or 'mps'"):
        resolve_device(device)


@pytest.mark.parametrize(
    ("row", "budget", "limit", "rows"),
    [(10, 100, 64, 10), (10, 99, 64, 9), (10, 9, 64, 1), (10, 0, 64, 1), (0, 100, 64, 64), (1, 10**9, 7, 7)],
)
def test_rows_per_batch(row, budget, limit, rows):
    assert rows_per_batch(row, budget, limit=limit) == rows


def test_threads_are_restored_also_after_an_error():
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with pytest.raises(KeyError), torch_threads(before + 2):
        raise KeyError
    assert torch.get_num_threads() == before


def test_none_leaves_the_threads_and_minus_one_takes_all():
    before = torch.get_num_threads()
    with torch_threads(None):
        assert torch.get_num_threads() == before
    with torch_threads(-1):
        assert torch.get_num_threads() == os.cpu_count()
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("bad", [0, -2, "2", 1.5])
def test_bad_thread_numbers_are_refused(bad):
    with pytest.raises(ParameterError, match="n_jobs"), torch_threads(bad):
        pytest.fail("the block must not run")


def in_new_process(code):
    where = str(Path(grn.__file__).parents[1])
    setup = f"import sys; sys.path.insert(0, {where!r}); from grn._core.device import *; "
    return subprocess.run(
        [sys.executable, "-c", setup + code], capture_output=True, text=True, check=True, env={**os.environ, **ONE}
    ).stdout.split()


ONE = {"OMP_NUM_THREADS": "1"}


def test_threads_wait_for_torch():
    code = (
        "from grn._core.device import torch_threads\n"
        "with torch_threads(3, needed=False):\n"
        "    print('torch' in sys.modules)\n"
        "    resolve_device('cpu'); import torch; print(torch.get_num_threads())\n"
        "    resolve_device('cpu'); print(torch.get_num_threads())\n"
        "print(torch.get_num_threads())\n"
        "with torch_threads(2, needed=False):\n"
        "    print(torch.get_num_threads())\n"
        "resolve_device('cpu'); print(torch.get_num_threads())\n"
    )
    assert in_new_process(code) == ["False", "3", "3", "1", "2", "1"]


def test_torch_is_not_loaded_for_threads():
    code = (
        "from grn._core.device import torch_threads\n"
        "for n in (None, 1, -1):\n"
        "    with torch_threads(n, needed=False): pass\n"
        "print('torch' in sys.modules)"
    )
    assert in_new_process(code) == ["False"]
