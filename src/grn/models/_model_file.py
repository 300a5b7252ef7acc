"""Tensors and a header with architecture and vocabulary in one file, read strictly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from grn._core.errors import WeightsError, WeightsNotFoundError
from grn._core.files import check_access, file_errors, written
from grn.models._bounds import put


def sha256_file(path: Path) -> str:
    """Hash of a file, read in blocks."""
    digest = hashlib.sha256()
    with file_errors(path, "read"), path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors and a text header; equal content gives equal bytes, and a reader never sees half a file."""
    data = to_bytes({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, metadata=dict(header))
    # safetensors writes the header's entries in random order, which would change the hash at every save
    size = int.from_bytes(data[:8], "little")
    entries = json.loads(data[8 : 8 + size])
    entries["__metadata__"] = dict(sorted(entries["__metadata__"].items()))
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with written(path) as place:
        place.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])


def save_pickled(path: Path, content: object) -> None:
    """Write what torch pickles, in the layout others publish; a reader never sees half a file."""
    with written(path) as place, place.open("wb") as handle:
        try:
            torch.save(content, handle)  # given a path, it would note the name of the place
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # torch says something else over what the system said
                raise error.__context__ from None
            raise


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a safetensors file.

    Raises
    ------
    WeightsNotFoundError
        If there is no such file.
    WeightsError
        If the file is truncated or no safetensors file.
    """
    if not path.is_file():
        raise WeightsNotFoundError(f"no file {path}; pass the path of a checkpoint or see grn.models.available().")
    try:
        with safe_open(path, framework="pt") as handle:
            return {key: handle.get_tensor(key) for key in handle.keys()}, dict(handle.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        check_access(path, error)
        raise WeightsError(
            f"{path} is not a readable safetensors file ({error}); it may be truncated. Fetch or train it again."
        ) from error


def load_strictly(module: torch.nn.Module, tensors: Mapping[str, Tensor], source: object) -> None:
    """Load tensors into a module; every key, shape and kind of number must fit.

    Raises
    ------
    WeightsError
        Naming missing keys, unexpected keys and wrong shapes.
    """
    expected = module.state_dict()
    missing = sorted(set(expected) - set(tensors))
    extra = sorted(set(tensors) - set(expected))
    shapes = [
        f"{key}: found {_told(tensors[key])}, expected {_told(expected[key])}"
        for key in sorted(set(expected) & set(tensors))
        if _told(tensors[key]) != _told(expected[key])
    ]
    if missing or extra or shapes:
        problems = [
            f"missing keys {missing[:5]}" if missing else "",
            f"unexpected keys {extra[:5]}" if extra else "",
            f"wrong shapes {shapes[:5]}" if shapes else "",
        ]
        raise WeightsError(
            f"{source} does not fit {type(module).__name__}: {'; '.join(t for t in problems if t)}. "
            "Use the checkpoint that belongs to this architecture."
        )
    put(module, tensors, source)


def _told(tensor: Tensor) -> str:
    kind = "floating" if tensor.is_floating_point() else str(tensor.dtype).removeprefix("torch.")
    return f"{tuple(tensor.shape)}" if kind == "floating" else f"{tuple(tensor.shape)} {kind}"
