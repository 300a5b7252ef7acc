"""The package logger and what of it is shown.

Levels are those of :mod:`logging` and one more: a *hint* says what the user may want to do next, stands between an
information and a warning, and is shown by default.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

HINT = 25
LEVELS = {
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "hint": HINT,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}
DEFAULT = "hint"
_HANDLER = "grn screen"
_HEADS = {logging.DEBUG: "grn debug: ", logging.INFO: "grn: ", HINT: "grn hint: ", logging.WARNING: "grn warning: "}

logger = logging.getLogger("grn")


class _Screen(logging.Handler):
    """Writes to what is the standard error stream at that moment, unless another handler shows the line anyway."""

    def __init__(self) -> None:
        super().__init__()
        self.set_name(_HANDLER)

    def format(self, record: logging.LogRecord) -> str:
        return _HEADS.get(record.levelno, "grn error: ") + super().format(record)

    def emit(self, record: logging.LogRecord) -> None:
        stream = sys.stderr
        if stream is None or _shown_elsewhere(record):
            return
        try:
            # a bar on its line is taken away and drawn again below
            line, bars = self.format(record) + "\n", sys.modules.get("tqdm")
            if bars is None:
                stream.write(line)
            else:
                bars.tqdm.write(line, file=stream, end="")
            stream.flush()
        except Exception:  # noqa: BLE001 - as every handler: what cannot be written must not stop the work
            self.handleError(record)


def _name_hints(record: logging.LogRecord) -> bool:
    """A filter that drops nothing; the name is not in logging's own table, as scanpy has another level of that name."""
    if record.levelno == HINT:
        record.levelname = "HINT"
    return True


def _shown_elsewhere(record: logging.LogRecord) -> bool:
    """Whether a handler of the user's own, here or further up, writes the line to the screen."""
    place: logging.Logger | None = logging.getLogger(record.name)
    while place is not None:
        if any(_on_screen(handler) and record.levelno >= handler.level for handler in place.handlers):
            return True
        place = place.parent if place.propagate else None
    return False


def _on_screen(handler: logging.Handler) -> bool:
    if handler.get_name() == _HANDLER:
        return False
    stream = getattr(handler, "stream", None) or getattr(getattr(handler, "console", None), "file", None)
    if stream is None:
        return False
    return stream in (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__) or _is_terminal(stream)


def _is_terminal(stream: object) -> bool:
    try:
        return bool(stream.isatty())  # type: ignore[attr-defined]
    except (AttributeError, ValueError):  # no file, or a closed one
        return False


def add_filter(function: Callable[[logging.LogRecord], bool]) -> None:
    """Let a function of this package see every record, once per process, however often its module is imported."""
    for known in [known for known in logger.filters if getattr(known, "__name__", "") == function.__name__]:
        logger.removeFilter(known)
    logger.addFilter(function)


def _install() -> None:
    """Once per process, however often this module is imported; a level that the user set stays."""
    for handler in [handler for handler in logger.handlers if handler.get_name() == _HANDLER]:
        logger.removeHandler(handler)
    logger.addHandler(_Screen())
    add_filter(_name_hints)
    if logger.level == logging.NOTSET:
        logger.setLevel(LEVELS[DEFAULT])


_install()


def hint(message: str, *args: object, of: str = "") -> None:
    """Say what the user may want to know or to do next: shown by default, below a warning.

    ``of`` is what it is said of, where the same may be true of several.
    """
    logger.log(HINT, message, *args, stacklevel=2, extra={"of": of})


@contextmanager
def root_left_alone() -> Iterator[None]:
    """Let what is called meanwhile speak through :mod:`logging` itself, which gives a bare root logger a handler."""
    silent = logging.NullHandler()
    logging.root.addHandler(silent)
    try:
        yield
    finally:
        logging.root.removeHandler(silent)


def some(names: Iterable[object], limit: int = 10) -> str:
    """The first names of a list, for a message."""
    listed = [str(name) for name in names]
    return ", ".join(listed[:limit]) + (f" and {len(listed) - limit} more" if len(listed) > limit else "")


def verbosity() -> str:
    """Name of the level of the logger; of the next one that shows no more, if it has no name."""
    return next((name for name, level in reversed(LEVELS.items()) if level >= logger.level), "error")


@contextmanager
def at_level(level: int) -> Iterator[None]:
    """Another level of the logger for the length of a block, in all threads."""
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


def quiet() -> AbstractContextManager[None]:
    """Errors only: what has been said once need not be said for every repetition."""
    return at_level(max(logger.level, logging.ERROR))
