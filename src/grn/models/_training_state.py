"""State of an interrupted training: written between steps, read by the same call only."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from grn._core.errors import WeightsError
from grn.models._bounds import parsed
from grn.models._model_file import save_pickled
from grn.models._unpickle import read_torch

_UNREADABLE = (RuntimeError, KeyError, TypeError, AttributeError, EOFError, OSError, ValueError, pickle.UnpicklingError)


def save_state(network: torch.nn.Module, optimizer: torch.optim.Optimizer, key: str, step: int, path: Path) -> None:
    """Write how far a training has come; ``key`` is JSON of all that decides how it goes on."""
    state = {
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
        "schedule": key,
    }
    save_pickled(path, {**state, "sha256": _content(state).hex()})


def _content(value: Any) -> bytes:
    """Hash of tensors and numbers in containers, whatever the file around them."""
    digest = hashlib.sha256()
    if isinstance(value, Tensor):
        digest.update(f"tensor {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.detach().cpu().numpy().tobytes())
    elif isinstance(value, Mapping):
        digest.update(b"mapping ")
        for name in sorted(value, key=repr):
            digest.update(repr(name).encode() + _content(value[name]))
    elif isinstance(value, list | tuple):
        digest.update(b"list ")
        for item in value:
            digest.update(_content(item))
    else:
        digest.update(repr(value).encode())
    return digest.digest()


def resume(
    network: torch.nn.Module, optimizer: torch.optim.Optimizer, key: str, path: Path, device: torch.device
) -> int:
    """Read what :func:`save_state` wrote into network and optimiser; number of the next step.

    Raises
    ------
    WeightsError
        If it is unreadable, or was written under another key.
    """
    try:
        state = read_torch(path)
        if state.pop("sha256") != _content(state).hex():  # torch checks no checksum of its archives
            raise ValueError("it is not as it was written")
        same = parsed(state["schedule"], path) == json.loads(key)
        if same:
            network.load_state_dict(state["network"])
            optimizer.load_state_dict(state["optimizer"])
    except _UNREADABLE as error:
        raise WeightsError(f"{path} is not a readable training state ({error}); delete it to start anew.") from error
    if not same:
        raise WeightsError(
            f"{path} was written with another schedule, start model or data ({state['schedule']}); "
            "repeat that call to resume, delete the file to start anew, or choose another path."
        )
    return int(state["step"])
