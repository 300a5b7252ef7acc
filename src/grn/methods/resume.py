"""Parts of a long fit in the folder of ``cache=``: finished ones are not fitted again, the others go on.

A method asks for a :class:`~grn._core.checkpoints.Part` by everything that goes into its numbers, arrays as they are.
Same data and arguments find the part again, whatever the object, the group or the other parts; others make a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from grn._core import sealed
from grn._core.checkpoints import Part, fingerprint
from grn._core.files import PathLike, file_errors, output_folder

__all__ = ["Part", "cache_folder", "part_of"]


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
