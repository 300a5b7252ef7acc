"""MuData at the doorway: the modality that a function works on, and what the whole object lends it meanwhile."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from anndata import AnnData

from grn._core.errors import CellNameError, ParameterError
from grn._core.logging import some
from grn._core.near import did_you_mean
from grn._object.chromatin import lent_chromatin
from grn.network.schema import is_network, is_regulons

F = TypeVar("F", bound=Callable[..., Any])

# arguments that name a column of obs, which may be that of the whole object
COLUMNS = ("condition", "donor", "groupby", "lineages", "perturbation", "pseudotime", "state_key", "strata", "time")


def is_mudata(data: object) -> bool:
    """Whether an object is a MuData; its package is imported by who made one."""
    return type(data).__name__ == "MuData" and hasattr(data, "mod")


def modality(mdata: Any, name: object, *, argument: str) -> AnnData:
    """A modality of a MuData by name; ``argument`` is what names it."""
    if not isinstance(name, str) or name not in mdata.mod:
        there = ", ".join(map(repr, mdata.mod)) or "none"
        near = did_you_mean(str(name), list(map(str, mdata.mod)))
        raise ParameterError(f"mdata has no modality {name!r} ({argument}=); there are: {there}.{near}")
    chosen = mdata.mod[name]
    if not isinstance(chosen, AnnData):
        raise ParameterError(f"mdata[{name!r}] is {type(chosen).__name__}; {argument}= names an AnnData within mdata.")
    return chosen


def on_mudata(function: F) -> F:
    """Let a function that changes an AnnData take a MuData: it works on the modality that its argument ``rna`` names.

    Columns of ``mdata.obs`` and entries of ``mdata.uns`` can be named as if they were the modality's. Networks and
    regulons that the function makes go to ``mdata.uns``, all else to the modality. A function that has an argument
    ``atac`` finds chromatin beside the cells, see :mod:`grn._object.chromatin`.
    """

    def work(mdata: Any, given: Mapping[str, Any], args: Sequence[Any], arguments: dict[str, Any]) -> Any:
        copy = bool(arguments.pop("copy", False))
        whole = _to_change(mdata, copy=copy)
        cells = modality(whole, given["rna"], argument="rna")
        with _lent(whole, cells, arguments, atac=given.get("atac")):
            result = function(cells, *args, **arguments)
        return whole if copy else result

    return _taking(function, work)


def on_regions(function: F) -> F:
    """Let a function that changes an AnnData of regions take a MuData, by its argument ``atac``.

    Columns of ``mdata.obs`` can be named as if they were the modality's; all that is made goes to the modality.
    """

    def work(mdata: Any, given: Mapping[str, Any], args: Sequence[Any], arguments: dict[str, Any]) -> Any:
        copy = bool(arguments.pop("copy", False))
        whole = _to_change(mdata, copy=copy)
        regions = modality(whole, given["atac"], argument="atac")
        with _lent_columns(whole, regions, arguments):
            result = function(regions, *args, **arguments)
        return whole if copy else result

    return _taking(function, work)


def from_mudata(function: F) -> F:
    """Let a function that reads an AnnData take a MuData: it reads the modality that ``rna``, or ``atac``, names."""

    def read(mdata: Any, given: Mapping[str, Any], args: Sequence[Any], arguments: dict[str, Any]) -> Any:
        argument = next(iter(given))
        cells = modality(mdata, given[argument], argument=argument)
        with _lent_columns(mdata, cells, arguments):
            return function(cells, *args, **arguments)

    return _taking(function, read)


def _taking(function: F, of_mudata: Callable[..., Any]) -> F:
    """The function, with another way for a MuData."""
    parameters = inspect.signature(function).parameters
    first = next(iter(parameters))
    names = {name: parameters[name].default for name in ("rna", "atac") if name in parameters}

    @functools.wraps(function)
    def call(*args: Any, **arguments: Any) -> Any:
        if not args and first not in arguments:
            return function(**arguments)  # python says what is missing
        data, *further = args or (arguments.pop(first),)
        given = {name: arguments.get(name, default) for name, default in names.items()}
        if is_mudata(data):
            argument = next(iter(given))
            modality(data, given[argument], argument=argument)
            return of_mudata(data, given, further, arguments)
        _refuse_names(data, given, names)
        return function(data, *further, **arguments)

    return call  # type: ignore[return-value]


def _to_change(mdata: Any, *, copy: bool) -> Any:
    """The object itself, or a copy; a view becomes an object of its own first, as its modalities would when written."""
    if mdata.isbacked and (copy or mdata.is_view):
        why = "of which copy=True makes none" if copy else "and is a view, which cannot be written to"
        raise ParameterError(
            f"mdata is read from a file, {why}; read it into memory: mudata.read_h5mu({str(mdata.filename)!r})."
        )
    if copy:
        return mdata.copy()
    if mdata.is_view:
        mdata.uns = dict(mdata.uns)
    return mdata


def _refuse_names(data: object, given: Mapping[str, object], defaults: Mapping[str, object]) -> None:
    """An AnnData has no modalities to name."""
    for name, value in given.items():
        if isinstance(data, AnnData) and not (isinstance(value, str) and value == defaults[name]):
            raise ParameterError(
                f"{name}={value!r} names a modality of a MuData, and adata is an AnnData; leave it out."
            )


@contextmanager
def _lent(mdata: Any, cells: AnnData, arguments: Mapping[str, Any], *, atac: str | None) -> Iterator[None]:
    """Give a modality what the whole object holds, for the time of a call; take it back, with new networks."""
    with _lent_columns(mdata, cells, arguments), lent_chromatin(mdata, cells, atac):
        hidden = {key: cells.uns[key] for key in mdata.uns if key in cells.uns}
        lent, before = set(mdata.uns), set(cells.uns)
        cells.uns.update(mdata.uns)
        try:
            yield
        finally:
            made = {key for key in cells.uns if key not in before and _is_shared(cells.uns[key])}
            for key in (lent | made) & set(cells.uns):
                mdata.uns[key] = cells.uns.pop(key)
            cells.uns.update(hidden)


def _is_shared(entry: object) -> bool:
    return is_network(entry) or is_regulons(entry)


@contextmanager
def _lent_columns(mdata: Any, cells: AnnData, arguments: Mapping[str, Any]) -> Iterator[None]:
    """Columns of the whole object that arguments, or the networks in it, name and the modality lacks."""
    made_with = [entry["params"] for entry in mdata.uns.values() if is_network(entry) and "params" in entry]
    given = [arguments, *(params for params in made_with if isinstance(params, Mapping))]
    named = [source.get(name) for source in given for name in COLUMNS]
    wanted = {name for name in named if isinstance(name, str) and name not in cells.obs and name in mdata.obs}
    if wanted and not mdata.obs_names.is_unique:
        twice = mdata.obs_names[mdata.obs_names.duplicated()].unique().tolist()
        raise CellNameError(
            f"{len(twice)} names of cells occur more than once in mdata, for example {some(twice, 3)}, so that "
            f"mdata.obs[{min(wanted)!r}] cannot be told of the cells of a modality; make them unique before mdata is "
            "made: adata.obs_names_make_unique()."
        )
    for name in sorted(wanted):
        cells.obs[name] = mdata.obs[name].reindex(cells.obs_names)
    try:
        yield
    finally:
        for name in wanted:
            del cells.obs[name]
