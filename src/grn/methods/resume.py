"""Parts of a long fit in the folder of ``cache=``: finished ones are not fitted again, the others go on.

A method asks for a :class:`~grn._core.checkpoints.Part` by everything that goes into its numbers, arrays as they are.
Same data and arguments find the part again, whatever the object, the group or the other parts; others make a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from grn._core import sealed
from grn._core.checkpoints import Part, fingerprint
from grn._core.files import PathLike, file_errors, output_folder

__all__ = ["Part", "cache_folder", "part_of", "resumed"]

I = TypeVar("I")  # noqa: E741


def cache_folder(cache: PathLike | None) -> Path | None:
    """The folder that a user gave, checked before the work, without what killed processes left there.

    Raises
    ------
    ParameterError
        If it is no path.
    StorageError
        If nothing can be written there.
    """
    if cache is None:
        return None
    folder = output_folder(cache, name="cache")
    with file_errors(folder, "write"):
        sealed.sweep(folder)
    return folder


def part_of(folder: Path | None, method: str, what: Callable[[], Mapping[str, Any]]) -> Part:
    """The part of a fit that depends on ``what`` and on nothing else.

    Parameters
    ----------
    folder
        The folder, as ``task.cache`` has it; ``None`` keeps nothing.
    method
        Name of the method; parts are in a folder of that name.
    what
        Gives texts, numbers and arrays by name; not called without a folder.
    """
    if folder is None:
        return Part()
    from grn import __version__

    return Part(folder / method, fingerprint({"version": __version__, "method": method, **what()})[:32])


def resumed(
    folder: Path | None,
    method: str,
    shared: Callable[[], Mapping[str, Any]],
    items: Sequence[I],
    identity: Callable[[I], Any],
    compute: Callable[[Sequence[I]], Iterable[tuple[I, np.ndarray]]],
    *,
    together: int = 1,
) -> Iterator[tuple[I, np.ndarray]]:
    """Items and their numbers, in any order: those of earlier calls are read, the others computed and kept.

    Parameters
    ----------
    folder, method
        As :func:`part_of` takes them; without a folder everything is computed.
    shared
        What the numbers of all items depend on.
    items, identity
        All of them, each once, and what the numbers of one of them depend on beside that.
    compute
        Gives some of the items with their numbers, as they are done; whose numbers do not depend on the others.
    together
        Items in one file.
    """
    if folder is None:
        yield from compute(items)
        return
    of_all = fingerprint(shared())
    blocks = [items[first : first + together] for first in range(0, len(items), together)]
    parts: dict[int, Part] = {}
    block_of: dict[I, int] = {}
    for number, block in enumerate(blocks):
        own = [identity(item) for item in block]
        part = part_of(folder, method, lambda own=own: {"shared": of_all, "items": own})
        kept = part.result(_listed)
        if kept is None:
            parts[number] = part
            block_of.update(dict.fromkeys(block, number))
        else:
            yield from zip(block, kept, strict=True)
    waiting: dict[int, dict[I, np.ndarray]] = {}
    for item, values in compute(list(block_of)) if block_of else ():
        number = block_of[item]
        done = waiting.setdefault(number, {})
        done[item] = values
        if len(done) == len(blocks[number]):
            parts[number].finish({str(place): done[each] for place, each in enumerate(blocks[number])})
            del waiting[number]
        yield item, values


def _listed(arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Arrays in the order in which they were numbered."""
    return [arrays[str(place)] for place in range(len(arrays))]
