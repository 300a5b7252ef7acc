"""Devices and batch sizes."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from grn._core import checks
from grn._core.errors import ParameterError

if TYPE_CHECKING:
    import torch

# kinds of device beside the processor, the first choice first
ACCELERATORS = ("cuda", "mps")
# the driver of NVIDIA on Linux and on Windows, and what that of AMD opens
_DRIVERS, _AMD = ("libcuda.so.1", "nvcuda.dll"), "/dev/kfd"


@dataclass(eq=False)
class _Waiting:
    """A call that began without torch: the threads it asked for, and those that torch had when it was loaded."""

    threads: int | None
    before: int | None = None


_waiting: list[_Waiting] = []


def resolve_device(device: str) -> torch.device:
    """Turn ``"auto" | "cpu" | "cuda" | "cuda:1" | "mps"`` into a torch device that exists; loads torch."""
    import torch

    for waiting in _waiting[-1:]:
        if waiting.before is None and waiting.threads is not None:
            waiting.before = torch.get_num_threads()
            torch.set_num_threads(waiting.threads)
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ParameterError(f"device={device!r} is unknown; use 'auto', 'cpu', 'cuda' or 'mps'.") from error
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise ParameterError(f"device={device!r} is not supported; use 'auto', 'cpu', 'cuda' or 'mps'.")
    missing = (chosen.type == "mps" and not torch.backends.mps.is_available()) or (
        chosen.type == "cuda" and (not torch.cuda.is_available() or (chosen.index or 0) >= torch.cuda.device_count())
    )
    if missing:
        raise ParameterError(f"device={device!r} was asked for but torch sees no such device; use device='auto'.")
    return chosen


def accelerator(kinds: Collection[str]) -> str | None:
    """The device that ``"auto"`` takes, if it is of one of the kinds; ``None`` for the processor.

    Torch, which takes some hundred megabytes, is asked only where it is loaded already or where there is a driver.
    """
    if not kinds or ("torch" not in sys.modules and not _has_driver()):
        return None
    chosen = resolve_device("auto")
    return str(chosen) if chosen.type in kinds else None


def _has_driver() -> bool:
    for name in _DRIVERS:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return sys.platform == "darwin" or Path(_AMD).exists()


def rows_per_batch(bytes_per_row: int, budget: int, *, limit: int = 64) -> int:
    """Rows that fit the memory budget, between 1 and ``limit``."""
    return max(1, min(limit, budget // max(1, bytes_per_row)))


@contextmanager
def ordinary_torch() -> Iterator[None]:
    """Torch as it starts, whatever the caller has set; afterwards everything is as it was.

    Grad mode is left alone, since a caller may want gradients; inference mode becomes ``no_grad``, which gives the same
    numbers and lets forward-mode differentiation work.
    """
    import torch

    dtype = torch.get_default_dtype()
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(mode=False))
            stack.enter_context(torch.no_grad())
        if dtype != torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, dtype)
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


@contextmanager
def torch_threads(n_jobs: int | None, *, needed: bool = True) -> Iterator[None]:
    """Run :func:`ordinary_torch` with a number of threads; ``None`` leaves it, ``-1`` takes all cores.

    Where it is not needed and not loaded, torch is left alone; :func:`resolve_device` sets the threads if it loads it.
    """
    threads = checks.jobs(n_jobs)
    threads = (os.cpu_count() or 1) if threads == -1 else threads
    if not needed and "torch" not in sys.modules:
        with _threads_later(threads):
            yield
        return
    import torch

    if threads is None:
        with ordinary_torch():
            yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with ordinary_torch():
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _threads_later(threads: int | None) -> Iterator[None]:
    waiting = _Waiting(threads)
    _waiting.append(waiting)
    try:
        yield
    finally:
        _waiting.remove(waiting)
        if waiting.before is not None:
            import torch

            torch.set_num_threads(waiting.before)
