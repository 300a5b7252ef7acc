"""One file per memory: half-precision tables, whole shares and weights, and a header with sizes and names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from grn._core.errors import WeightsError
from grn._core.files import as_path
from grn.models._bounds import number, outline, parsed
from grn.models._model_file import load_strictly, read_tensors, save_tensors, sha256_file
from grn.models.memory import Memory, MemoryConfig, MemoryNetwork

FORMAT = "grn.memory/1"
_HALF = ("embedding", "states")


def save_memory(model: Memory, path: str | Path) -> Path:
    """Write a memory to one safetensors file and return its path; the two tables are kept in half precision."""
    path = as_path(path)
    header = {
        "format": FORMAT,
        "config": json.dumps(asdict(model.network.config)),
        "genes": "\n".join(model.genes),
        "sets": "\n".join(model.sets),
        "max_genes": str(model.max_genes),
        "seen": model.seen,
    }
    tensors = model.network.state_dict()
    save_tensors(path, {k: v.half() if k in _HALF else v for k, v in tensors.items()}, header)
    return path


def load_memory(path: str | Path, *, name: str | None = None) -> Memory:
    """Read a memory.

    Raises
    ------
    WeightsNotFoundError
        If there is no such file.
    WeightsError
        If the file is truncated, of another format, or does not fit its own header.
    """
    path = as_path(path)
    tensors, header = read_tensors(path)
    if header.get("format") != FORMAT:
        raise WeightsError(
            f"{path} has format {header.get('format', 'none')!r}; expected {FORMAT!r}, as written by grn.models.save()."
        )
    source = f"the header of {path}"
    try:
        config = MemoryConfig(**parsed(header["config"], source))
        genes, sets = header["genes"].split("\n"), header["sets"].split("\n")
        max_genes = number({"max_genes": int(header["max_genes"])}, "max_genes", path, least=2)
        seen = header["seen"]
    except WeightsError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{source} cannot be read ({error}).") from error
    _check(config, tensors, path)
    if (len(genes), len(set(genes)), len(sets)) != (config.n_genes, config.n_genes, config.n_sets):
        raise WeightsError(
            f"{path} names {len(set(genes))} distinct genes and {len(sets)} data sets; its sizes are {config.n_genes} "
            f"and {config.n_sets}."
        )
    with outline():
        network = MemoryNetwork(config)
    load_strictly(network, tensors, path)
    return Memory(
        network, genes, sets=sets, name=name or path.stem, sha256=sha256_file(path), max_genes=max_genes, seen=seen
    )


def _check(config: MemoryConfig, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse sizes that the file has no parameters for, and data sets of states that are none of its own."""
    numbers = asdict(config)
    for key in ("n_genes", "n_states", "n_sets", "d"):
        number(numbers, key, path, most=path.stat().st_size)
    for key in ("precision", "crowding", "gain", "ridge"):
        number(numbers, key, path, kind=float, least=0, most=1e9)
    set_of = tensors.get("set_of")
    if set_of is None or set_of.dtype != torch.long or set_of.numel() == 0:
        return  # refused with the other tensors
    if int(set_of.min()) < 0 or int(set_of.max()) >= config.n_sets:
        raise WeightsError(f"{path} has states of data set {int(set_of.max())}; it has {config.n_sets} data sets.")
