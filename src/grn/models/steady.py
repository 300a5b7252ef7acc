"""Frozen models: the same answers whatever the caller has told torch, under the hash of what gives them."""

from __future__ import annotations

import functools
import hashlib
import inspect
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from grn._core.device import ordinary_torch

P = ParamSpec("P")
T = TypeVar("T")

# what a model is called and how much of it is shown at a time are no part of what it computes
_ASIDE = frozenset({"network", "name", "max_genes", "report", "unused", "hyper", "args"})


@contextmanager
def ordinary(network: nn.Module | None = None) -> Iterator[None]:
    """Torch as it starts, and a network in evaluation mode; afterwards everything is as it was."""
    trained = [] if network is None else [module for module in network.modules() if module.training]
    with ordinary_torch():
        try:
            for module in trained:
                module.training = False
            yield
        finally:
            for module in trained:
                module.training = True


def undisturbed(function: Callable[P, T]) -> Callable[P, T]:
    """A function that builds or trains networks, apart from the caller's torch: its modes and its random numbers."""

    @functools.wraps(function)
    def apart(*args: P.args, **kwargs: P.kwargs) -> T:
        with ordinary(), torch.enable_grad(), torch.random.fork_rng(devices=[]):
            return function(*args, **kwargs)

    return apart


class Steady:
    """Base of the models of this package.

    Public methods of subclasses run as :func:`ordinary` says. ``sha256`` is what it was set to as long as weights and
    reading are those of that moment; after a change it names the change.
    """

    network: nn.Module
    _told: str = ""
    _seal: int | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, member in list(vars(cls).items()):
            if not name.startswith("_") and inspect.isfunction(member):
                setattr(cls, name, _stepwise(member) if inspect.isgeneratorfunction(member) else _steadied(member))

    @property
    def sha256(self) -> str:
        """Hash of the file behind the weights; with ``+changed-`` and a hash of their content after a change."""
        seal = _checksum(self)
        if self._seal is None:
            self._seal = seal
        return self._told if seal == self._seal else f"{self._told}+changed-{content_hash(self)[:16]}"

    @sha256.setter
    def sha256(self, value: str) -> None:
        self._told, self._seal = value, _checksum(self)


def content_hash(model: Steady) -> str:
    """Hash of the weights of a model and of how they are read."""
    digest = hashlib.sha256()
    for part in _content(model):
        digest.update(part)
    return digest.hexdigest()


def _checksum(model: Steady) -> int:
    """Tells changes apart at a fraction of the cost of a hash; versions of tensors do not, as ``.data`` has none."""
    checksum = 0
    for part in _content(model):
        checksum = zlib.crc32(part, checksum)
    return checksum


def _content(model: Steady) -> Iterator[Any]:
    """Bytes of all that decides what a model computes."""
    for key, tensor in model.network.state_dict().items():
        yield f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode()
        yield tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    for key, value in sorted(vars(model).items()):
        if key not in _ASIDE and not key.startswith("_"):
            yield f"{key}={sorted(value) if isinstance(value, frozenset) else value!r}".encode(errors="surrogatepass")


def _steadied(method: Callable[..., T]) -> Callable[..., T]:
    @functools.wraps(method)
    def steadied(self: Steady, *args: Any, **kwargs: Any) -> T:
        with ordinary(getattr(self, "network", None)):
            return method(self, *map(_usable, args), **{key: _usable(value) for key, value in kwargs.items()})

    return steadied


def _stepwise(method: Callable[..., Iterator[T]]) -> Callable[..., Iterator[T]]:
    """The same for a generator; between two values the caller's state is in place."""

    @functools.wraps(method)
    def stepwise(self: Steady, *args: Any, **kwargs: Any) -> Iterator[T]:
        steps = method(self, *map(_usable, args), **{key: _usable(value) for key, value in kwargs.items()})
        while True:
            with ordinary(self.network):
                try:
                    value = next(steps)
                except StopIteration:
                    return
            yield value

    return stepwise


def _usable(value: Any) -> Any:
    """A tensor made in inference mode cannot be used outside of it, its copy can."""
    return value.clone() if isinstance(value, Tensor) and value.is_inference() else value
