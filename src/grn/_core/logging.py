"""The package logger and the one progress helper."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

logger = logging.getLogger("grn")
logger.addHandler(logging.NullHandler())


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
        ``True``, ``False``, or ``None`` for "only on a terminal or in a notebook".
    """
    from tqdm.auto import tqdm

    visible = (sys.stderr.isatty() or "ipykernel" in sys.modules) if show is None else show
    yield from tqdm(items, total=total, desc=desc, disable=not visible, leave=False)
