"""A named collection whose look-up errors list what exists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from grn._core.errors import ParameterError
from grn._core.near import did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Records by name, in order of registration.

    Parameters
    ----------
    kind
        What a record is, for error messages (``"method"``).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._records: dict[str, T] = {}

    def add(self, name: str, record: T, *, replace: bool = False) -> T:
        """Add a record under a new name; an existing name needs ``replace=True``."""
        if name in self._records and not replace:
            raise ParameterError(f"a {self.kind} called {name!r} exists already; pass replace=True to replace it.")
        self._records[name] = record
        return record

    def __getitem__(self, name: str) -> T:
        try:
            return self._records[name]
        except (KeyError, TypeError):
            valid = ", ".join(self._records)
            close = did_you_mean(name, self._records)
            raise ParameterError(f"no {self.kind} is called {name!r}; available: {valid}.{close}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._records

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)
