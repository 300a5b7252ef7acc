"""Where a network comes from, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

# longest list that is written out
_LISTED = 12
_LONGEST = 400


def in_words(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of the parameters of a network, in words, by name."""
    return sorted(_rows("", params))


def _rows(head: str, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from _rows(f"{head}{name}.", value)
        else:
            yield f"{head}{name}", _value_in_words(value)


def _value_in_words(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, pd.DataFrame):
        return f"table of {len(value)} rows"
    if isinstance(value, np.ndarray | list | tuple):
        items = [str(item) for item in np.ravel(np.asarray(value)).tolist()]
        more = f", ... ({len(items)} in all)" if len(items) > _LISTED else ""
        return (", ".join(items[:_LISTED]) + more) or "none"
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
