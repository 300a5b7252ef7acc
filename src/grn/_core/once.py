"""Say a thing once in a call, however many panels, groups or genes it is true of.

Within a call of a function that is marked by :func:`one_voice`, a line that was said before is dropped. A line given
``extra={"of": name}`` waits for the end of the call, and those that say the same of several names are said as one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from typing import ParamSpec, TypeVar

from grn._core.settings import settings
from grn._core.voice import add_filter, logger, quiet

P = ParamSpec("P")
R = TypeVar("R")

# names told beside the first
_TOLD = 5


class _Scope:
    """What was said, and what waits; one for all threads, as work of a call may run in several."""

    def __init__(self) -> None:
        self.lock, self.depth = threading.RLock(), 0
        self.said: set[tuple[int, str]] = set()
        self.waiting: dict[tuple[int, str], list[logging.LogRecord]] = {}

    def __enter__(self) -> None:
        with self.lock:
            self.depth += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.depth -= 1
            if self.depth:
                return
            waiting = list(self.waiting.values())
            self.said.clear()
            self.waiting.clear()
        for records in waiting:
            logger.callHandlers(_merged(records))

    def hear(self, record: logging.LogRecord) -> bool:
        """Whether to say a line now."""
        with self.lock:
            if not self.depth:
                return True
            if getattr(record, "of", ""):
                self.waiting.setdefault((record.levelno, str(record.msg)), []).append(record)
                return False
            key = (record.levelno, record.getMessage())
            new = key not in self.said
            self.said.add(key)
            return new


def _merged(records: list[logging.LogRecord]) -> logging.LogRecord:
    """The first line and of what else it is true."""
    first, rest = records[0], list(dict.fromkeys(str(record.of) for record in records[1:]))  # type: ignore[attr-defined]
    rest = [name for name in rest if name != first.of]  # type: ignore[attr-defined]
    if rest:
        more = f" and {len(rest) - _TOLD} more" if len(rest) > _TOLD else ""
        first.msg = f"{first.getMessage()} (likewise {', '.join(rest[:_TOLD])}{more})"
        first.args = ()
    return first


_scope = _Scope()


def _said_once(record: logging.LogRecord) -> bool:
    return _scope.hear(record)


add_filter(_said_once)


_shown: list[bool | None] = [None]


@contextmanager
def showing(show: object) -> Iterator[None]:
    """Show bars or not within a block, in all threads; ``None`` leaves it to the block around, then to the settings."""
    chosen = show if isinstance(show, bool) else _shown[-1]
    _shown.append(settings.progress if chosen is None else chosen)
    try:
        yield
    finally:
        _shown.pop()


def shown() -> bool | None:
    """Whether bars are shown here; ``None`` if nothing decides."""
    return _shown[-1]


@contextmanager
def silently() -> Iterator[None]:
    """Errors only, and no bars: what has been said once need not be said for every repetition."""
    with quiet(), showing(show=False):
        yield


@contextmanager
def one_call() -> Iterator[None]:
    """A block that speaks as one call does."""
    with _scope:
        yield


def one_voice(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a public function: what it says more than once is said once, also by other public functions it calls.

    Its argument ``progress``, if it has one, decides over all bars of the call.
    """
    shows = "progress" in signature(function).parameters

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with _scope, showing(kwargs.get("progress") if shows else None):
            return function(*args, **kwargs)

    return call
