"""What the package says, and the one progress helper."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, ParamSpec, TypeVar

from grn._core.once import one_call, one_voice, showing, shown, silently
from grn._core.voice import HINT, at_level, hint, logger, root_left_alone, some

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")

__all__ = [
    "HINT",
    "AsHere",
    "at_level",
    "hint",
    "logger",
    "one_call",
    "one_voice",
    "progress",
    "root_left_alone",
    "showing",
    "silently",
    "some",
]


class AsHere(Generic[P, R]):
    """A function for another process, which speaks there as loud as this process does now and shows no bars."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.function, self.level = function, logger.level

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        with at_level(self.level), one_call(), showing(show=False):
            return self.function(*args, **kwargs)


def progress(items: Iterable[T], *, total: int | None = None, desc: str = "", show: bool | None = None) -> Iterator[T]:
    """Iterate with a progress bar.

    Parameters
    ----------
    items
        What to iterate over.
    total
        Number of items, if ``items`` has no length.
    desc
        Text before the bar.
    show
        ``True``, ``False``, or ``None`` for what the public function was told, and else "only on a terminal or in a
        notebook".
    """
    show = shown() if show is None else show
    visible = (sys.stderr.isatty() or "ipykernel" in sys.modules) if show is None else show
    if not visible:
        # a hidden bar of tqdm takes a lock of all forked processes, which one that is killed never gives back
        yield from items
        return
    from tqdm.auto import tqdm

    yield from tqdm(items, total=total, desc=desc, leave=False)
