"""Models by name: the embedded one, those a user registers, and files."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from grn._core import checks
from grn._core.errors import CapabilityError, ParameterError, WeightsError, WeightsNotFoundError
from grn._core.files import as_path, file_errors
from grn._core.near import did_you_mean
from grn._core.registry import Registry
from grn._core.rng import RNGLike, seed_of
from grn.models._checkpoint import open_checkpoint
from grn.models._formats import detect, format_of, of_model, reading
from grn.models._known_checkpoints import KNOWN, Known
from grn.models._memory_file import load_memory, save_memory
from grn.models._published_model import DTYPES
from grn.models.memory import Memory
from grn.models.protocol import FoundationModel
from grn.models.steady import Steady, content_hash, undisturbed


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
    if name in KNOWN and not replace:
        raise ParameterError(f"{name!r} is a published checkpoint; use another name, or replace=True to hide it.")
    _RECORDS.add(name, ModelRecord(name, description, factory), replace=replace)


def available() -> dict[str, str]:
    """Names of the models that :func:`load` knows, each with one line of description.

    Weights of published models stay with their authors: ``load(name, path=...)``.

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
    registered = {name: _RECORDS[name].description for name in _RECORDS}
    return registered | {name: known.description for name, known in KNOWN.items() if name not in registered}


@undisturbed
def load(
    model: str | Path | FoundationModel = "mini",
    *,
    path: str | Path | None = None,
    params: Mapping[str, Any] | None = None,
    dtype: str = "float32",
) -> FoundationModel:
    """Load a frozen model; the architecture of a checkpoint is told from its keys.

    Parameters
    ----------
    model
        A name from :func:`available`, the file or folder of a checkpoint, or a model (returned as is).
    path
        File or folder of the checkpoint behind a name, for published models, whose weights their authors keep. The
        sizes must be those of the published checkpoint.
    params
        Parameters of the architecture by name, such as ``{"readout": "mvc"}``; the page of each model lists them.
    dtype
        ``"float32"``, or ``"bfloat16"`` for the matrix products of the transformer. Responses then stay within 5 % of
        the largest and gradients correlate above 0.9; small differences of virtual value perturbation are lost.

    Returns
    -------
    FoundationModel
        The model on the CPU, in evaluation mode, without gradients.

    Raises
    ------
    ParameterError
        If the name or a parameter is unknown, or an object is no model.
    WeightsNotFoundError
        If there is no such file, or a file beside it is missing.
    WeightsError
        If a file is truncated, foreign, or does not fit: names missing, unexpected and misshapen keys.

    Notes
    -----
    Nothing in a file is run: parameters are read as tensors, dictionaries by a reader that builds plain containers
    only. Every key must be accounted for; keys that are known and not needed are listed in ``model.unused``.
    ``model.sha256`` is the hash of the file and of those that were read beside it, such as the vocabulary, followed by
    what was asked for in ``params`` and ``dtype`` (``"…+readout=mvc"``).

    Examples
    --------
    >>> import grn
    >>> model = grn.models.load("mini")
    >>> model.gene_id_kind
    'symbol'
    """
    checks.word("dtype", dtype, DTYPES)
    checks.mapping("params", params, example="{'readout': 'mvc'}")
    if not isinstance(model, str | Path):
        _only_checkpoints(path, params, dtype, what="a model that is loaded already")
        return _checked(model)
    if isinstance(model, str) and model in _RECORDS:
        _only_checkpoints(path, params, dtype, what=f"the model {model!r}")
        return _made(model)
    if isinstance(model, str) and model in KNOWN:
        if path is None:
            raise WeightsNotFoundError(KNOWN[model].where_to_get())
        return _read(as_path(path), model, params, dtype, KNOWN[model])
    if path is not None:
        hint = did_you_mean(model, KNOWN)
        raise ParameterError(f"no published model is called {str(model)!r}; known are {', '.join(KNOWN)}.{hint}")
    file = as_path(model, name="model")
    if _exists(file):
        return _read(file, None, params, dtype)
    if file.suffix or isinstance(model, Path) or "/" in str(model):
        raise WeightsNotFoundError(f"no file {file}; known names are: {', '.join(available())}.")
    hint = did_you_mean(model, available())
    raise ParameterError(f"no model is called {str(model)!r}; available: {', '.join(available())}.{hint}")


def _exists(file: Path) -> bool:
    with file_errors(file, "read"):
        return file.exists()


def _checked(model: FoundationModel) -> FoundationModel:
    # to look at all members would take the checksum of the weights
    if isinstance(model, Steady) or isinstance(model, FoundationModel):
        return model
    raise ParameterError(
        f"model has type {type(model).__name__}; pass a name, a path or an object with the members of "
        "grn.models.FoundationModel."
    )


def _read(
    path: Path, name: str | None, params: Mapping[str, Any] | None, dtype: str, known: Known | None = None
) -> FoundationModel:
    with file_errors(path, "read"):
        checkpoint = open_checkpoint(path)
    if checkpoint.header.get("format", "").startswith("grn.") and known is None:
        _only_checkpoints(None, params, dtype, what="a model of this package")
        return load_memory(checkpoint.path)
    layout = detect(checkpoint)
    if known is not None and layout.family != known.family:
        raise WeightsError(f"{path} holds a {layout.family} checkpoint; {name!r} is {known.family}.")
    given = {k: v.item() if isinstance(v, np.generic) else v for k, v in (params or {}).items()}
    layout.check(given)
    at = path.resolve() if path.name in ("", "..") else path
    called = name or (at.name if path.is_dir() else at.stem)
    model = layout.load(checkpoint, name=called, dtype=dtype, **given)
    # features read in another way are other features: caches and translators tell models apart by this
    model.sha256 += reading(layout, given, dtype)
    if known is not None:
        known.check(model, path)
    return model


def _only_checkpoints(path: object, params: Mapping[str, Any] | None, dtype: str, *, what: str) -> None:
    if path is not None or params or dtype != "float32":
        raise ParameterError(
            f"path=, params= and dtype= are for published checkpoints; {what} takes none of them. A checkpoint without "
            "a name is read by grn.models.load(path)."
        )


@undisturbed
def save(model: FoundationModel, path: str | Path) -> Path:
    """Write a model so that :func:`load` reads it again.

    Parameters
    ----------
    model
        ``mini`` or another model of this package, or one of a published architecture.
    path
        For ``mini`` the file; for a published architecture the folder (``lpm`` and ``scprint``: the file), in the
        layout its authors publish. Existing files are replaced.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    CapabilityError
        If the model is of another kind, or of a subclass of ``Memory``, which a file does not keep.
    ParameterError
        If ``path`` is no path.
    StorageError
        If there is no such folder, or nothing can be written there.

    Examples
    --------
    >>> import grn, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "copy.safetensors"
    >>> grn.models.load(grn.models.save(grn.models.load("mini"), path)).name
    'copy'
    """
    path = as_path(path)
    write = _writer(model)
    with file_errors(path, "write"):
        path.parent.stat()
        return write(model, path)


def _writer(model: FoundationModel) -> Callable[[Any, Path], Path]:
    """What writes a model; a subclass is refused, as what it changes is not in the file."""
    if type(model) is Memory:
        return save_memory
    if isinstance(model, Memory):
        raise CapabilityError(
            f"a model of type {type(model).__name__} would be read again as a Memory, without what that class changes; "
            "save grn.models.Memory(model.network, model.genes, sets=model.sets, name=model.name, sha256=model.sha256) "
            "if its weights are meant."
        )
    return of_model(model).save


@undisturbed
def untrained(
    family: str,
    *,
    genes: Sequence[str],
    layers: int = 2,
    width: int = 32,
    heads: int = 4,
    feedforward: int | None = None,
    rng: RNGLike = 0,
) -> FoundationModel:
    """A published architecture with random weights: to try a pipeline and measure its cost before fetching real ones.

    Its numbers mean nothing; its name ends in ``-untrained``.

    Parameters
    ----------
    family
        ``"scgpt"``, ``"geneformer"``, ``"scprint"``, ``"genecompass"``, ``"scgenept"`` or ``"lpm"``.
    genes
        Vocabulary: symbols for ``scgpt``, ``scgenept`` and ``lpm``, Ensembl ids for the others.
    layers, width, heads
        Number of layers, width of a token, number of attention heads.
    feedforward
        Width of the feed-forward layers; by default what the family publishes relative to ``width``.
    rng
        Seed of the weights.

    Returns
    -------
    FoundationModel
        The model on the CPU.

    Raises
    ------
    ParameterError
        If the family is unknown, a size is not a positive integer, or ``heads`` does not divide ``width``.

    Examples
    --------
    >>> import grn
    >>> grn.models.untrained("scgpt", genes=["SPI1", "CD14"]).name
    'scgpt-untrained'
    """
    sizes = {"layers": layers, "width": width, "heads": heads}
    if feedforward is not None:
        sizes["feedforward"] = feedforward
    sizes = {name: checks.integer(name, size, least=1) for name, size in sizes.items()}
    if width % heads:
        raise ParameterError(f"heads={heads} does not divide width={width}.")
    listed = list(genes) if isinstance(genes, Iterable) and not isinstance(genes, str) else []
    if not listed or not all(isinstance(gene, str) and gene for gene in listed) or len(set(listed)) < len(listed):
        raise ParameterError("genes must be a list of distinct names.")
    if any(gene.startswith("<") for gene in listed):
        raise ParameterError("names that start with '<' are special tokens, which the model adds; pass genes only.")
    model = format_of(family).untrained(list(map(str, listed)), seed=seed_of(rng), **sizes)
    model.sha256 = f"untrained-{content_hash(model)}"
    return model


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
    return load_memory(Path(str(files("grn.models") / "weights" / "mini.safetensors")), name="mini")


# a copy, so that moving one caller's model to a device leaves the next caller's on the CPU
register(
    "mini",
    lambda: copy.deepcopy(_embedded()),
    description="memory of the states of many tissues and cells, made by this package; human symbols; in the wheel",
)
