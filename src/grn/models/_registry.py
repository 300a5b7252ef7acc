"""Models by name: the embedded one, those a user registers, and files."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from grn._core.errors import ParameterError, WeightsNotFoundError
from grn._core.registry import Registry
from grn.models._protocol import FoundationModel
from grn.models._store import load_mini


@dataclass(frozen=True)
class ModelRecord:
    """A model that can be loaded by name.

    Parameters
    ----------
    name
        Name for :func:`load`.
    description
        One line for people.
    factory
        Function without arguments that returns the model.
    """

    name: str
    description: str
    factory: Callable[[], FoundationModel]


_RECORDS: Registry[ModelRecord] = Registry("model")


def register(
    name: str, factory: Callable[[], FoundationModel], *, description: str = "", replace: bool = False
) -> None:
    """Make a model loadable by name in every function of the package.

    Parameters
    ----------
    name
        Name for ``model=`` arguments.
    factory
        Function without arguments that returns an object of the :class:`FoundationModel` protocol.
    description
        One line for :func:`available`.
    replace
        Replace a model of that name.

    Raises
    ------
    ParameterError
        If the name is taken and ``replace`` is false, or ``factory`` cannot be called.

    Examples
    --------
    >>> import grn
    >>> grn.models.register("mine", lambda: grn.models.load("mini"), description="an example", replace=True)
    >>> grn.models.available()["mine"]
    'an example'
    """
    if not callable(factory):
        raise ParameterError(f"factory has type {type(factory).__name__}; pass a function that returns the model.")
    _RECORDS.add(name, ModelRecord(name, description, factory), replace=replace)


def available() -> dict[str, str]:
    """Names of the models that :func:`load` knows, each with one line of description.

    Returns
    -------
    dict
        Description by name.

    Examples
    --------
    >>> import grn
    >>> "mini" in grn.models.available()
    True
    """
    return {name: _RECORDS[name].description for name in _RECORDS}


def load(model: str | Path | FoundationModel = "mini") -> FoundationModel:
    """Load a frozen model.

    Parameters
    ----------
    model
        A name from :func:`available`, the path of a checkpoint written by :func:`save`, or a model (returned as is).

    Returns
    -------
    FoundationModel
        The model on the CPU, in evaluation mode, without gradients.

    Raises
    ------
    ParameterError
        If the name is unknown, or an object is no model.
    WeightsNotFoundError
        If a path is given and no such file exists.
    WeightsError
        If the file is truncated, foreign or does not fit its header.

    Examples
    --------
    >>> import grn
    >>> model = grn.models.load("mini")
    >>> model.gene_id_kind
    'symbol'
    """
    if not isinstance(model, str | Path):
        if isinstance(model, FoundationModel):
            return model
        raise ParameterError(
            f"model has type {type(model).__name__}; pass a name, a path or an object with the members of "
            "grn.models.FoundationModel."
        )
    if isinstance(model, str) and model in _RECORDS:
        return _made(model)
    path = Path(model)
    if path.is_file():
        return load_mini(path)
    if path.suffix or isinstance(model, Path) or "/" in str(model):
        raise WeightsNotFoundError(f"no file {path}; known names are: {', '.join(_RECORDS)}.")
    return _made(str(model))


def _made(name: str) -> FoundationModel:
    model = _RECORDS[name].factory()
    if not isinstance(model, FoundationModel):
        raise ParameterError(
            f"the factory of model {name!r} returned an object of type {type(model).__name__}; it must return one "
            "with the members of grn.models.FoundationModel."
        )
    return model


@lru_cache(maxsize=1)
def _embedded() -> FoundationModel:
    return load_mini(Path(str(files("grn.models") / "weights" / "mini.safetensors")), name="mini")


# a copy, so that moving one caller's model to a device leaves the next caller's on the CPU
register(
    "mini",
    lambda: copy.deepcopy(_embedded()),
    description="small transformer trained by this package; human symbols; in the wheel",
)
