"""One file per memory: half-precision tables, whole shares and weights, and a header with sizes and names."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch

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
    _check_sizes(config, path)
    for names, size, what in ((genes, config.n_genes, "genes"), (sets, config.n_sets, "data sets")):
        if not len(names) == len(set(names)) == size:
            raise WeightsError(f"{path} names {len(names)} {what}, {len(set(names))} distinct; its tables have {size}.")
    with outline():
        network = MemoryNetwork(config)
    load_strictly(network, tensors, path)
    _check_states(network, path)
    return Memory(
        network, genes, sets=sets, name=name or path.stem, sha256=sha256_file(path), max_genes=max_genes, seen=seen
    )


def _check_sizes(config: MemoryConfig, path: Path) -> None:
    """Refuse sizes that the file has no parameters for, before a network is made of them."""
    numbers = asdict(config)
    for key in ("n_genes", "n_states", "n_sets", "d"):
        number(numbers, key, path, most=path.stat().st_size)
    for key in ("precision", "gain", "ridge"):
        number(numbers, key, path, kind=float, least=0, most=1e9)
    number(numbers, "crowding", path, kind=float, most=1e9)


def _check_states(network: MemoryNetwork, path: Path) -> None:
    """Refuse shares and weights of nothing, and states of data sets that are none of its own."""
    for name, parts in (("share", network.share), ("weight", network.weight)):
        if not bool((parts > 0).all()):
            raise WeightsError(f"{path} holds a {name} that is not positive.")
    sets = torch.unique(network.set_of)
    if not torch.equal(sets, torch.arange(network.config.n_sets)):
        raise WeightsError(
            f"the states of {path} are of data sets {int(sets[0])} to {int(sets[-1])}, {len(sets)} in all; it names "
            f"{network.config.n_sets}."
        )
