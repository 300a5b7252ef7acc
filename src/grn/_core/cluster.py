"""Independent tasks: one after the other here, or side by side on the workers of a dask cluster.

What all tasks share travels once to every worker; a task carries only what is its own. Results come back as they are
finished, a few at a time. Functions must be pure: a task whose worker is lost runs again on another.
"""

from __future__ import annotations

import copy
import ctypes
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pickle import PicklingError
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from grn._core.device import resolve_device, torch_threads
from grn._core.errors import ClusterError, GrnError, ParameterError, StorageError
from grn._core.logging import AsHere, logger
from grn._core.optional import require

T = TypeVar("T")
Function = Callable[[Any, Any, T], Any]

# tasks on their way: enough that no worker waits for the next, few enough that results do not pile up
_PER_WORKER = 2
_AT_LEAST = 8
# a disk or a network may fail once; all workers may be lost at once, but not over and over without a result
_RETRIES = 2
_LOSSES = 3

# what dask.config sets for workers, and what is set instead: M_MMAP_THRESHOLD as glibc's own largest, M_TRIM_THRESHOLD
_DASK_TRIMS_AT = "65536"
_MALLOC = {-3: 32 * 2**20, -1: 512 * 2**20}

# torch keeps the level of forward mode in one variable per process, so two tasks must not run in one at a time
_ALONE = threading.Lock()


@dataclass(frozen=True, eq=False)
class _Shared:
    """What all tasks of a run have in common, as it travels."""

    function: Callable[[Any, Any, Any], Any]
    model: Any
    rest: Any
    version: str


_placed: WeakKeyDictionary[_Shared, Any] = WeakKeyDictionary()


def check_client(client: Any) -> None:
    """Refuse what is no running ``dask.distributed.Client``; ``None`` passes.

    Raises
    ------
    MissingDependencyError
        If dask is not installed.
    ParameterError
        If ``client`` is something else, is closed, or is asynchronous.
    """
    if client is None:
        return
    distributed = require("distributed", extra="dask", purpose="client=")
    if not isinstance(client, distributed.Client):
        raise ParameterError(
            f"client has type {type(client).__name__}; pass a dask.distributed.Client, such as "
            "Client(LocalCluster()), or None to compute here."
        )
    if client.asynchronous:
        raise ParameterError("client is asynchronous; pass one made without asynchronous=True.")
    if client.status != "running":
        raise ParameterError(f"client is {client.status}; connect a new dask.distributed.Client.")


def each(
    function: Function[T], model: Any, rest: Any, items: Iterable[T], *, client: Any = None, ordered: bool = True
) -> Generator[tuple[T, Any], None, None]:
    """Pairs of an item and ``function(model, rest, item)``.

    Parameters
    ----------
    function
        Pure, and importable by its name on a worker.
    model
        What holds weights, or ``None``; it travels on the CPU and moves to the device of the worker.
    rest
        What else all tasks share.
    items
        What each task is about, consumed as tasks are finished.
    client
        dask client; ``None`` runs everything here.
    ordered
        Whether pairs come in the order of the items, or as they are finished.

    Raises
    ------
    ClusterError
        If workers cannot run this version of the package, or keep dying.
    """
    if client is None:
        yield from ((item, function(model, rest, item)) for item in items)
        return
    check_client(client)
    run: _Run[T] = _Run(client, _Shared(AsHere(function), on_cpu(model), rest, _version()))
    try:
        yield from run.results(items, ordered=ordered)
    except OSError as error:
        if client.status == "running":
            raise
        raise ClusterError(f"the scheduler of the cluster is gone ({error}).") from error
    finally:
        run.cancel()


def on_cpu(model: Any) -> Any:
    """The model itself if it is on the CPU, else a copy that is."""
    if model is None or str(getattr(model, "device", "")) == "cpu":
        return model
    return copy.deepcopy(model).to("cpu")


class _Run(Generic[T]):
    """Tasks on their way."""

    def __init__(self, client: Any, shared: _Shared) -> None:
        from distributed import as_completed

        self.client, self.shared = client, shared
        self.flying: dict[Any, tuple[int, T]] = {}
        self.landed = as_completed(loop=client.loop)
        self.losses = 0
        self.sent: Any = None

    def results(self, items: Iterable[T], *, ordered: bool) -> Iterator[tuple[T, Any]]:
        """Pairs of items and results; those that wait for their turn count as on their way."""
        waiting = enumerate(items)
        held: dict[int, tuple[T, Any]] = {}
        turn = 0
        while True:
            for number, item in islice(waiting, self._room(len(held))):
                self._start(number, item)
            if not self.flying:
                return
            number, item, result = self._next()
            if not ordered:
                yield item, result
                continue
            held[number] = item, result
            while turn in held:
                yield held.pop(turn)
                turn += 1

    def cancel(self) -> None:
        """Give up what is on its way, and let workers forget what was sent; a traceback may hold on to this object."""
        if self.sent is not None and self.client.status == "running":
            self.client.cancel([*self.flying, self.sent])

    def _room(self, held: int) -> int:
        limit = max(_AT_LEAST, _PER_WORKER * len(self.client.nthreads()))
        return max(0, limit - len(self.flying) - held)

    def _start(self, number: int, item: T) -> None:
        from distributed.protocol.pickle import dumps

        if self.sent is None:
            self.sent = self._send()
        # bytes, or the scheduler would unpack the item and import torch for it
        task = self.client.submit(_work, self.sent, dumps(item), pure=False, retries=_RETRIES)
        self.flying[task] = number, item
        self.landed.add(task)

    def _next(self) -> tuple[int, T, Any]:
        from distributed import KilledWorker

        while True:
            task = next(self.landed)
            number, item = self.flying.pop(task)
            try:
                result = task.result()
            except CancelledError:
                self._recover()
                self._start(number, item)
                continue
            except KilledWorker as error:
                raise ClusterError(
                    f"a task lost its worker too often ({error}). Mostly memory ran out: give workers more of it or "
                    "fewer threads, or, where a model is read, pass batch_size=1."
                ) from error
            finally:
                task.release()
            if isinstance(result, GrnError):
                raise result
            self.losses = 0
            return number, item, result

    def _recover(self) -> None:
        """Send again what was lost with all workers that held it."""
        if self.client.status != "running":
            raise ClusterError(f"the scheduler of the cluster is gone (client is {self.client.status}).")
        if self.sent.status == "finished":
            return
        self.losses += 1
        if self.losses > _LOSSES:
            raise ClusterError(
                f"all workers were lost {self.losses} times without finishing a task. Mostly memory ran out: give "
                "workers more of it, or, where a model is read, pass batch_size=1."
            )
        logger.warning("all workers were lost; going on with those that come back")
        self.sent = self._send()

    def _send(self) -> Any:
        for _ in range(_LOSSES):
            if not self.client.nthreads():
                logger.warning("the cluster has no workers yet; waiting for the first")
            self.client.wait_for_workers(1)
            check_workers(self.client)
            try:
                return self.client.scatter(self.shared, broadcast=True, hash=False)
            except (TypeError, AttributeError, PicklingError) as error:
                raise ClusterError(f"the work cannot be pickled, so it cannot be sent to workers: {error}.") from error
            except OSError as error:
                if self.client.status != "running":
                    raise
                logger.warning("a worker was lost while it was sent the model (%s); sending again", error)
        raise ClusterError(
            f"workers were lost {_LOSSES} times while they were sent the model. Mostly memory ran out: give them more "
            "of it, or start fewer."
        )


def check_workers(client: Any) -> None:
    """Refuse workers, or a scheduler, that lack the package or have another version.

    Raises
    ------
    ClusterError
        If there is one.
    """

    def version() -> str:  # inside, so that it travels as code: a worker without grn could not find it by name
        from grn import __version__

        return __version__

    versions = client.run(version, on_error="return")
    try:
        versions["the scheduler"] = client.run_on_scheduler(version)
    except ImportError as error:
        versions["the scheduler"] = error
    for address, what in versions.items():
        if isinstance(what, OSError):  # it has left since
            continue
        if what != _version():
            has = f"has grn {what}" if isinstance(what, str) else f"cannot import grn ({what!r})"
            raise ClusterError(
                f"{address} {has}, here is grn {_version()}. Start scheduler and workers in an environment with the "
                "same packages as this process."
            )


def _work(shared: _Shared, item: bytes) -> Any:
    """One task, on a worker: its result, or the error of the package that stopped it."""
    from distributed import get_worker
    from distributed.protocol.pickle import loads

    if shared.version != _version():
        raise ClusterError(f"a worker has grn {_version()}, the client grn {shared.version}; install the same version.")
    _reuse_memory()
    with _ALONE, torch_threads(get_worker().state.nthreads):
        try:
            return shared.function(_on_device(shared), shared.rest, loads(item))
        except StorageError:  # a disk may fail once
            raise
        except GrnError as error:  # another try would not help
            return error


@cache
def _reuse_memory() -> bool:
    """Let malloc keep what is freed, once per process.

    dask starts workers with an environment in which large arrays go back to the system at once and come back page by
    page: probes then take more than twice as long. Settings of the user's own are left alone.
    """
    if os.environ.get("MALLOC_TRIM_THRESHOLD_") != _DASK_TRIMS_AT or "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc only
    if mallopt is None:
        return False
    return all(mallopt(option, n_bytes) for option, n_bytes in _MALLOC.items())


def _on_device(shared: _Shared) -> Any:
    """The model on the device of this worker; what was sent stays on the CPU, as workers pass it on."""
    device = resolve_device("auto")
    if shared.model is None or device.type == "cpu":
        return shared.model
    if shared not in _placed:
        _placed[shared] = copy.deepcopy(shared.model).to(device)
    return _placed[shared]


def _version() -> str:
    import grn

    return grn.__version__
