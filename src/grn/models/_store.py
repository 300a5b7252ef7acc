"""One file per model: tensors and a header with architecture and vocabulary, read strictly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from grn._core.errors import WeightsError, WeightsNotFoundError
from grn.models.mini import Mini, MiniConfig, MiniNetwork

FORMAT = "grn.mini/1"


def sha256_file(path: Path) -> str:
    """Hash of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors and a text header; a reader never sees half a file."""
    part = path.with_suffix(path.suffix + ".part")
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, part, metadata=dict(header))
    part.replace(path)


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
        raise WeightsError(
            f"{path} is not a readable safetensors file ({error}); it may be truncated. Fetch or train it again."
        ) from error


def load_strictly(module: torch.nn.Module, tensors: Mapping[str, Tensor], source: object) -> None:
    """Load tensors into a module; every key and shape must fit.

    Raises
    ------
    WeightsError
        Naming missing keys, unexpected keys and wrong shapes.
    """
    expected = module.state_dict()
    missing = sorted(set(expected) - set(tensors))
    extra = sorted(set(tensors) - set(expected))
    shapes = [
        f"{key}: found {tuple(tensors[key].shape)}, expected {tuple(expected[key].shape)}"
        for key in sorted(set(expected) & set(tensors))
        if tensors[key].shape != expected[key].shape
    ]
    if missing or extra or shapes:
        told = [
            f"missing keys {missing[:5]}" if missing else "",
            f"unexpected keys {extra[:5]}" if extra else "",
            f"wrong shapes {shapes[:5]}" if shapes else "",
        ]
        raise WeightsError(
            f"{source} does not fit {type(module).__name__}: {'; '.join(t for t in told if t)}. "
            "Use the checkpoint that belongs to this architecture."
        )
    module.load_state_dict(tensors)


def save_mini(model: Mini, path: str | Path, *, card: Mapping[str, object] | None = None) -> Path:
    """Write a ``mini`` model to one safetensors file and return its path."""
    path = Path(path)
    header = {
        "format": FORMAT,
        "config": json.dumps(asdict(model.network.config)),
        "genes": "\n".join(model.genes),
        "card": json.dumps(dict(card or {})),
    }
    save_tensors(path, model.network.state_dict(), header)
    return path


def load_mini(path: str | Path, *, name: str | None = None) -> Mini:
    """Read a ``mini`` model.

    Raises
    ------
    WeightsError
        If the file is missing, truncated, of another format, or does not fit its own header.
    """
    path = Path(path)
    tensors, header = read_tensors(path)
    if header.get("format") != FORMAT:
        raise WeightsError(
            f"{path} has format {header.get('format', 'none')!r}; expected {FORMAT!r}, as written by grn.models.save()."
        )
    try:
        config = MiniConfig(**json.loads(header["config"]))
        genes = header["genes"].split("\n")
        sizes_ok = all(isinstance(getattr(config, f.name), int) for f in fields(config))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"the header of {path} cannot be read ({error}).") from error
    if not sizes_ok or len(genes) != config.n_genes:
        raise WeightsError(f"{path} names {len(genes)} genes but its embedding has {config.n_genes} rows.")
    network = MiniNetwork(config)
    load_strictly(network, tensors, path)
    return Mini(network, genes, name=name or path.stem, sha256=sha256_file(path))
