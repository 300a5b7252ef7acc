"""Package settings: typed, overridable for the length of a ``with`` block."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

from platformdirs import user_cache_path

from grn._core import checks
from grn._core.errors import ParameterError
from grn._core.files import as_path
from grn._core.voice import LEVELS, at_level, logger
from grn._core.voice import verbosity as named_level


def _data_dir() -> Path | None:
    """Folder that the environment names, if it does."""
    named = os.environ.get("GRN_DATA_DIR", "").strip()
    return Path(named) if named else None


def _cache_dir() -> Path | None:
    """Folder that the environment names, else that of the system for what can be made again."""
    named = os.environ.get("GRN_CACHE_DIR", "").strip()
    return Path(named) if named else user_cache_path("grn")


def _as_folder(value: object, name: str) -> Path | None:
    if value is None:
        return None
    if isinstance(value, str | Path) and str(value).strip():
        return as_path(value, name=name)
    raise ParameterError(f"{name}={value!r}; pass the path of a folder, or None for no folder.")


# what is not listed is checked where it is used
_CHECKS: Mapping[str, Callable[[object], object]] = {
    "verbosity": lambda value: checks.word("verbosity", value, LEVELS),
    "progress": lambda value: None if value is None else checks.flag("progress", value, note=", or None"),
    "n_jobs": checks.jobs,
    "memory_budget": lambda value: checks.integer("memory_budget", value, least=1, most=None, note=" of bytes"),
    "feature_budget": lambda value: checks.integer("feature_budget", value, least=1, most=None, note=" of bytes"),
    "data_dir": lambda value: _as_folder(value, "data_dir"),
    "cache_dir": lambda value: _as_folder(value, "cache_dir"),
}


@dataclass
class Settings:
    """Defaults read by the public functions; arguments of a call override them.

    Parameters
    ----------
    verbosity
        What is shown, each with all before it: ``"error"``, ``"warning"`` (a result may not be what it seems),
        ``"hint"`` (what to do next), ``"info"`` (what was done) or ``"debug"``. It is the level of the logger
        ``grn``, and a level that was set there before the import stays; else it is ``"hint"``.
    progress
        Show progress bars: ``True``, ``False`` or ``None`` (only on a terminal or in a notebook).
    device
        Default of ``device="auto"``: ``"auto"`` takes CUDA, then MPS, then the CPU. What cannot be computed on it is
        computed on the CPU.
    n_jobs
        Default number of torch threads; ``None`` leaves torch's own choice.
    memory_budget
        Bytes a batch of virtual cells may use; decides batch sizes.
    feature_budget
        Bytes that features of pairs may use in memory; a probe with more needs ``store=``. 4 GiB by default.
    data_dir
        Folder in which ``grn.datasets`` looks for data that are not in the package, or ``None``. The default is the
        environment variable ``GRN_DATA_DIR``, read when the package is imported.
    cache_dir
        Folder for what takes long and can be made again, or ``None`` to keep nothing. The default is the environment
        variable ``GRN_CACHE_DIR``, else the user's cache folder of the system.
    """

    verbosity: str = field(default_factory=named_level)
    progress: bool | None = None
    device: str = "auto"
    n_jobs: int | None = None
    memory_budget: int = 512 * 2**20
    feature_budget: int = 4 * 2**30
    data_dir: Path | str | None = field(default_factory=_data_dir)
    cache_dir: Path | str | None = field(default_factory=_cache_dir)

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self.__dataclass_fields__:
            valid = ", ".join(f.name for f in fields(self))
            raise ParameterError(f"grn.settings has no setting {name!r}; valid are: {valid}.")
        checked = _CHECKS[name](value) if name in _CHECKS else value
        # the default is the level as it is, which may have no name
        if name == "verbosity" and (name in self.__dict__ or checked != named_level()):
            logger.setLevel(LEVELS[str(checked)])
        object.__setattr__(self, name, checked)

    @contextmanager
    def override(self, **values: object) -> Iterator[Settings]:
        """Set some settings within a ``with`` block and restore them after it."""
        before = {name: getattr(self, name, None) for name in values}
        with at_level(logger.level):
            try:
                for name, value in values.items():
                    setattr(self, name, value)
                yield self
            finally:
                for name, value in before.items():
                    if name in self.__dataclass_fields__:
                        setattr(self, name, value)


settings = Settings()
