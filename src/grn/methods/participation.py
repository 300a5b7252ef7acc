"""Which genes took part in which group: told to whoever runs a method again on some of the cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from grn._core.errors import ExpressionError


class NothingVariesError(ExpressionError):
    """No regulator or no target varies in any group."""


@dataclass
class Taken:
    """What methods found while somebody listened.

    Parameters
    ----------
    genes
        Names of the genes that may have edges, by group.
    skipped
        Groups in which nothing varies.
    """

    genes: dict[str, Sequence[str]] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)


_LISTENER: ContextVar[Taken | None] = ContextVar("grn_taken", default=None)


@contextmanager
def listening() -> Iterator[Taken]:
    """Hear what the methods called within tell."""
    found = Taken()
    token = _LISTENER.set(found)
    try:
        yield found
    finally:
        _LISTENER.reset(token)


def tell_genes(group: str, names: Sequence[str]) -> None:
    """Say which genes may have edges in a group."""
    listener = _LISTENER.get()
    if listener is not None:
        listener.genes[group] = names


def tell_skipped(group: str) -> None:
    """Say that nothing varies in a group."""
    listener = _LISTENER.get()
    if listener is not None:
        listener.skipped.add(group)


def with_copies(taking: Mapping[str, Sequence[str]], aliases: Mapping[str, str]) -> dict[str, list[str]]:
    """The genes of every group and the copies of those that have one."""
    return {group: [*names, *(aliases[name] for name in names if name in aliases)] for group, names in taking.items()}
