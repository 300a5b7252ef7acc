"""Checkpoints of other packages: read without running their code, matched key by key."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from grn._core.errors import WeightsError, WeightsNotFoundError
from grn._core.logging import logger
from grn.models._bounds import check_room, parsed, put
from grn.models._model_file import read_tensors, sha256_file
from grn.models._unpickle import check_start, read_pickle, read_torch

# where the parameters of a published checkpoint lie inside its folder, the preferred form first
WEIGHTS = ("best_model.pt", "model.safetensors", "pytorch_model.bin")
SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
# what the transformers library writes beside them
_STATE = ("training_args.bin", "optimizer.pt", "optimizer.bin", "scheduler.pt", "scheduler.bin", "scaler.pt")
_SHARD = re.compile(r"-\d+-of-(\d+)\.")

_ONE_FILE = (
    "Write the parameters to one file first: with transformers, model.save_pretrained(folder, max_shard_size='100GB')."
)

Names = Callable[[str], "str | tuple[str, ...]"]


@dataclass(frozen=True)
class Checkpoint:
    """Parameters of a checkpoint with all that lies beside them.

    Parameters
    ----------
    path
        File of the parameters.
    tensors
        Parameters and buffers by their published keys.
    header
        Text header of a safetensors file.
    hyper
        ``hyper_parameters`` of a Lightning file.
    other
        Entries of the state that are no tensors (symbol lists).
    label
        First entry of a file that holds (label, arguments, state).
    beside
        Hashes of the files that were read beside it, by name; filled as they are read.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    header: Mapping[str, str] = field(default_factory=dict)
    hyper: Mapping[str, Any] = field(default_factory=dict)
    other: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    beside: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def folder(self) -> Path:
        """Folder of the configuration and vocabulary files."""
        return self.path.parent

    def sha256(self) -> str:
        """Hash of the parameter file and of what was read beside it: other names of genes make another model."""
        parameters = sha256_file(self.path)
        if not self.beside:
            return parameters
        return hashlib.sha256(json.dumps([parameters, self.beside], sort_keys=True).encode()).hexdigest()

    def has(self, *keys: str) -> bool:
        """Whether all these parameters are there."""
        return all(key in self.tensors for key in keys)

    def count(self, pattern: str) -> int:
        """Number of layers: the consecutive i from 0 for which ``pattern.format(i)`` is the start of a key."""
        before, after = pattern.split("{}")
        rest = (key.removeprefix(before) for key in self.tensors if key.startswith(before))
        there = {number for number, mark, _ in (part.partition(after) for part in rest) if mark}
        return next(i for i in range(len(there) + 1) if str(i) not in there)

    def shape(self, key: str, dims: int) -> tuple[int, ...]:
        """Shape of a parameter that decides a size.

        Raises
        ------
        WeightsError
            If it is missing or has another number of axes.
        """
        if key not in self.tensors:
            raise WeightsError(f"{self.path} lacks the key {key!r}; {_some('it has', self.tensors)}.")
        shape = tuple(self.tensors[key].shape)
        if len(shape) != dims or 0 in shape:
            raise WeightsError(f"{key!r} in {self.path} has shape {shape}; expected {dims} axes, none of them empty.")
        return shape

    def json(self, name: str) -> dict[str, Any]:
        """A JSON object beside the parameters."""
        path = self.folder / name
        if not path.is_file():
            raise WeightsNotFoundError(
                f"{self.path.name} needs {name} beside it; {self.folder} holds: {_listing(self.folder)}."
            )
        try:
            content = parsed(path.read_text(encoding="utf-8"), path)
        except (OSError, UnicodeDecodeError) as error:
            raise WeightsError(f"{path} is not readable JSON ({error}); fetch it again.") from error
        if not isinstance(content, dict):
            raise WeightsError(f"{path} holds a {type(content).__name__}; expected a JSON object.")
        self.beside[name] = sha256_file(path)
        return content

    def dictionary(self, *patterns: str, what: str, path: str | Path | None = None) -> dict[Any, Any]:
        """A pickled dictionary beside the parameters (or one folder up), by file name patterns, or at ``path``."""
        path = self._found(patterns, what) if path is None else Path(path)
        content = read_pickle(path)
        self.beside[what] = sha256_file(path)
        return content

    def _found(self, patterns: tuple[str, ...], what: str) -> Path:
        for folder in (self.folder, self.folder.parent):
            paths = sorted({p for pattern in patterns for p in folder.glob(pattern)})
            if len(paths) > 1:
                raise WeightsError(
                    f"several files in {folder} could be {what}: {', '.join(p.name for p in paths)}; pass the path of "
                    "one in params, see the page of the model."
                )
            if paths:
                return paths[0]
        raise WeightsNotFoundError(
            f"{self.path.name} needs {what} ({' or '.join(patterns)}) beside it; {self.folder} holds: "
            f"{_listing(self.folder)}."
        )


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Read the parameters of a file, or of the one parameter file in a folder.

    Raises
    ------
    WeightsNotFoundError
        If there is no such file, or the folder holds no parameters.
    WeightsError
        If the file is truncated, holds objects beside tensors and plain values, or is no checkpoint.
    """
    path = _weights_file(Path(path))
    if _is_safetensors(path):
        tensors, header = read_tensors(path)
        return Checkpoint(path, _bare(tensors), header=header)
    content, label = read_torch(path), ""
    hyper: Any = None
    if isinstance(content, tuple) and len(content) == 3 and isinstance(content[0], str):
        label, hyper, content = content
    elif isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        hyper, content = content.get("hyper_parameters"), content["state_dict"]
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a {type(content).__name__}; expected a state dict of tensors by key.")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    other = {str(key): value for key, value in content.items() if not isinstance(value, Tensor)}
    check_room(tensors, path.stat().st_size, path)
    if not tensors:
        raise WeightsError(
            f"{path} holds no tensors by key; {_some('it has', other) or 'it is empty'}. Expected a state dict, alone "
            "or under 'state_dict'."
        )
    return Checkpoint(
        path, _bare(tensors), hyper=dict(hyper) if isinstance(hyper, Mapping) else {}, other=other, label=label
    )


def _is_safetensors(path: Path) -> bool:
    """Tell by the first bytes, since files are renamed: eight of the header's length, then the header in JSON."""
    check_start(path)
    with path.open("rb") as handle:
        start = handle.read(9)
    torch_file = start.startswith((b"PK\x03\x04", b"\x80\x02"))
    return start[8:] == b"{" or (path.suffix == ".safetensors" and not torch_file)


def fill(
    module: torch.nn.Module,
    checkpoint: Checkpoint,
    names: Names,
    *,
    unused: Iterable[str] = (),
    strange: str = "Use the checkpoint that belongs to this architecture.",
) -> tuple[str, ...]:
    """Give a module every parameter from its published key; every key of the checkpoint must be accounted for.

    Parameters
    ----------
    module
        Module to fill, in place; made inside :func:`grn.models._bounds.outline` it takes no memory before.
    checkpoint
        Where from.
    names
        Published key of a name in the module's state; several keys are joined along the first axis.
    unused
        Patterns of published keys that the module does not need, as of ``fnmatch``; they are reported.
    strange
        Last sentence of the error.

    Returns
    -------
    tuple of str
        The keys that were there and not needed.

    Raises
    ------
    WeightsError
        Naming missing keys, wrong shapes and unexpected keys, by their published names.
    """
    tensors = checkpoint.tensors
    used: set[str] = set()
    missing: list[str] = []
    wrong: list[str] = []
    filled: dict[str, Tensor] = {}
    state = module.state_dict(keep_vars=True)
    for name, parameter in state.items():
        keys = names(name)
        keys = (keys,) if isinstance(keys, str) else keys
        used.update(keys)
        lost = [key for key in keys if key not in tensors]
        misfits = [] if lost else _misfits({key: tensors[key] for key in keys}, parameter, len(keys))
        missing += lost
        wrong += misfits
        if not lost and not misfits:
            parts = [tensors[key].to(parameter.dtype) for key in keys]
            filled[name] = torch.cat(parts) if len(parts) > 1 else parts[0]
    wrong += _untied(filled, state, names)
    rest = sorted(key for key in tensors if key not in used)
    spare = tuple(key for key in rest if any(fnmatchcase(key, pattern) for pattern in unused))
    extra = [key for key in rest if key not in spare]
    if missing or wrong or extra:
        problems = (_some("missing keys", missing), _some("wrong shapes:", wrong), _some("unexpected keys", extra))
        raise WeightsError(f"{checkpoint.path} does not fit: {'; '.join(t for t in problems if t)}. {strange}")
    put(module, filled, checkpoint.path)
    if spare:
        logger.info("%s: %d keys are not needed and were left out (%s)", checkpoint.path, len(spare), _some("", spare))
    return spare


def _misfits(parts: Mapping[str, Tensor], parameter: Tensor, n: int) -> list[str]:
    """What is wrong with the tensors that are to make up a parameter, in equal parts along the first axis."""
    wanted = (parameter.shape[0] // n, *parameter.shape[1:]) if parameter.dim() else ()
    problems = [f"{k} is {tuple(t.shape)}, expected {wanted}" for k, t in parts.items() if tuple(t.shape) != wanted]
    kinds = [k for k, t in parts.items() if t.is_floating_point() != parameter.is_floating_point()]
    return problems + [f"{k} holds {parts[k].dtype}, expected {parameter.dtype}" for k in kinds]


def _untied(found: Mapping[str, Tensor], state: Mapping[str, Tensor], names: Names) -> list[str]:
    """Parameters that are one in the module and two in the checkpoint, with other values."""
    first: dict[int, str] = {}
    untied = []
    for name, value in found.items():
        other = first.setdefault(id(state[name]), name)
        if other != name and not torch.equal(value, found[other]):
            untied.append(f"{names(name)} differs from {names(other)}, which is the same parameter here")
    return untied


def published(module: torch.nn.Module, names: Names) -> dict[str, Tensor]:
    """State of a module under its published keys: the inverse of :func:`fill`."""
    out: dict[str, Tensor] = {}
    for name, parameter in module.state_dict().items():
        keys = names(name)
        if isinstance(keys, str):
            out[keys] = parameter.detach().cpu()
        else:
            out.update(zip(keys, parameter.detach().cpu().chunk(len(keys)), strict=True))
    return {key: value.clone() for key, value in out.items()}


def _weights_file(path: Path) -> Path:
    if path.is_file():
        shard = _SHARD.search(path.name)
        if shard and int(shard[1]) > 1:
            raise WeightsError(f"{path} is one of {shard[1]} parts of a checkpoint. {_ONE_FILE}")
        return path
    if not path.is_dir():
        raise WeightsNotFoundError(f"no file or folder {path}; pass the path of a checkpoint.")
    for name in WEIGHTS:
        if (path / name).is_file():
            return path / name
    files = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.name not in _STATE and p.is_file())
    if len(files) == 1:
        return _weights_file(files[0])
    if files and all(_SHARD.search(p.name) for p in files):
        raise WeightsError(f"{path} holds a checkpoint in parts ({_some('', [p.name for p in files])}). {_ONE_FILE}")
    raise WeightsNotFoundError(
        f"{path} holds {'several' if files else 'no'} files of parameters ({_listing(path)}); pass the path of one, or "
        f"a folder with {', '.join(WEIGHTS)}."
    )


def _bare(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefix that DataParallel adds to every key."""
    wrapped = bool(tensors) and all(key.startswith("module.") for key in tensors)
    return {key.removeprefix("module.") if wrapped else key: value for key, value in tensors.items()}


def _listing(folder: Path, limit: int = 8) -> str:
    names = sorted(p.name for p in folder.iterdir())
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "") if names else "nothing"


def _some(title: str, items: Iterable[str], limit: int = 5) -> str:
    items = list(items)
    if not items:
        return ""
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return f"{title} {', '.join(items[:limit])}{more}".strip()
