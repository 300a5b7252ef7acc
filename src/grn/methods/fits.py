"""The fit that a method left in an object, and the functions of its record that read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from anndata import AnnData

from grn._core.errors import ResultNotFoundError
from grn.methods.record import METHODS, Method

# change (k, G) of cells with values (k, G) in which some genes (P,) are moved by an amount each (k, P); genes are those
# of the fit, in its order
Follow = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class StoredFit:
    """What a method fitted.

    Parameters
    ----------
    record
        The method.
    fit
        Its table ``"fit"``: a mapping of arrays, with the names of its ``genes``.
    params
        Parameters of its network.
    """

    record: Method
    fit: Mapping[str, Any]
    params: Mapping[str, Any]

    @property
    def genes(self) -> np.ndarray:
        """Names of the genes of the fit (G,)."""
        return np.asarray(self.fit["genes"], dtype=str)


def fit_in(entry: object, able: str) -> StoredFit | None:
    """The fit in an entry of ``uns``, if its method has a function of the name ``able``."""
    record = _record_of(entry)
    fit = entry.get("fit") if isinstance(entry, Mapping) else None
    if record is None or getattr(record, able) is None or not isinstance(fit, Mapping) or "genes" not in fit:
        return None
    return StoredFit(record, fit, entry["params"])  # type: ignore[index]


def _record_of(entry: object) -> Method | None:
    """The method that made an entry of ``uns``, if it says which."""
    params = entry.get("params") if isinstance(entry, Mapping) else None
    method = params.get("method") if isinstance(params, Mapping) else None
    return METHODS[method] if isinstance(method, str) and method in METHODS else None


def stored_fit(adata: AnnData, key: str, able: str, does: str) -> StoredFit:
    """The fit in ``uns[key]`` of a method whose record has a function of the name ``able``.

    Parameters
    ----------
    adata
        The object.
    key
        Entry of ``uns``.
    able
        Field of :class:`grn.methods.Method`.
    does
        What the function does, for the error.

    Raises
    ------
    ResultNotFoundError
        If there is no such fit.
    """
    entry = adata.uns.get(key)
    stored = fit_in(entry, able)
    if stored is None:
        names = ", ".join(f"grn.tl.{name}" for name in sorted(METHODS) if getattr(METHODS[name], able) is not None)
        record = _record_of(entry)
        what = "no fit" if record is None else f"a network of {record.name}, with no fit"
        raise ResultNotFoundError(f"uns[{key!r}] holds {what} that {does}; run one of {names} and pass its key_added.")
    return stored
