"""A named collection whose look-up errors list what exists."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Generic, TypeVar

from grn._core.errors import ParameterError
from grn._core.near import did_you_mean

T = TypeVar("T")


@dataclass
class _Elsewhere(Generic[T]):
    """A record that a module makes when it is imported, which first use does."""

    module: str
    record: T | None = None


class Registry(Generic[T]):
    """Records by name, in order of registration or announcement.

    Parameters
    ----------
    kind
        What a record is, for error messages (``"method"``).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._records: dict[str, T | _Elsewhere[T]] = {}

    def announce(self, module: str, names: str) -> None:
        """Name, separated by spaces, the records that a module adds when it is imported, which first use does."""
        self._records.update({name: _Elsewhere(module) for name in names.split()})

    def _made(self, name: str, place: _Elsewhere[T]) -> T:
        if place.record is None:
            import_module(place.module)
        if place.record is None:
            raise RuntimeError(f"{place.module} was said to add the {self.kind} {name!r} and did not.")
        return place.record

    def add(self, name: str, record: T, *, replace: bool = False) -> T:
        """Add a record under a new name; an existing name needs ``replace=True``."""
        place = self._records.get(name)
        if isinstance(place, _Elsewhere) and place.record is None:
            if place.module in sys.modules:  # it is being imported and adds what was announced
                place.record = record
                return record
            self._made(name, place)
        if name in self._records and not replace:
            raise ParameterError(f"a {self.kind} called {name!r} exists already; pass replace=True to replace it.")
        self._records[name] = record
        return record

    def __getitem__(self, name: str) -> T:
        try:
            known = name in self._records
        except TypeError:
            known = False
        if not known:
            valid = ", ".join(self._records)
            close = did_you_mean(name, self._records)
            raise ParameterError(f"no {self.kind} is called {name!r}; available: {valid}.{close}")
        place = self._records[name]
        return self._made(name, place) if isinstance(place, _Elsewhere) else place

    def __contains__(self, name: object) -> bool:
        return name in self._records

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)
