"""The masked-value objective: hide part of a cell's genes, predict them from the rest."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse.linalg as spl
import torch
from torch import Tensor

from grn._core.errors import WeightsError
from grn._core.logging import logger, progress
from grn.models._bounds import parsed
from grn.models._model_file import save_pickled
from grn.models._training_cells import CellSet
from grn.models._unpickle import read_torch
from grn.models.mini import SCALE, MiniNetwork

_UNREADABLE = (RuntimeError, KeyError, TypeError, AttributeError, EOFError, OSError, ValueError, pickle.UnpicklingError)


@dataclass(frozen=True)
class Schedule:
    """How to train.

    Parameters
    ----------
    steps
        Optimiser steps in all.
    batch_size
        Cells per step, all from one data set.
    visible, queries
        Genes shown and genes to predict per step.
    lr
        Peak learning rate of AdamW, warmed up over 100 steps, then falling as a cosine that would reach a
        twentieth at step ``horizon``.
    horizon
        Length of the cosine; ``0`` is ``steps``. A longer one keeps the rate up, so that a run can be prolonged.
    cooldown
        Last steps, over which the rate falls linearly to zero on top of the cosine.
    sparse_context
        Fraction of steps in which most visible values are replaced by the baseline 0, so that the
        baseline means "nothing known" and virtual cells are no surprise to the network.
    precision
        ``"bfloat16"`` runs the matrix products of training in bfloat16 (weights stay float32), ``"float32"`` does not.
    seed
        Seed; step s draws from (seed, s), so that a resumed run repeats an uninterrupted one.
    """

    steps: int = 3000
    batch_size: int = 32
    visible: int = 384
    queries: int = 384
    lr: float = 1e-3
    horizon: int = 0
    cooldown: int = 0
    sparse_context: float = 0.5
    precision: str = "bfloat16"
    seed: int = 0


def initial_embedding(sets: Sequence[CellSet], n_genes: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings from the leading eigenvectors of the correlation pooled over data sets.

    Every data set adds its correlation matrix with the square root of its number of cells as weight;
    a pair is averaged over the data sets that measure both genes.

    Returns
    -------
    tuple of ndarray
        Embedding (n_genes, d) of unit root mean square, and all d eigenvalues.
    """
    total = np.zeros((n_genes, n_genes), dtype=np.float32)
    weight = np.zeros((n_genes, n_genes), dtype=np.float32)
    for cells in sets:
        w = math.sqrt(cells.X.shape[0])
        z = cells.z(np.arange(cells.X.shape[0]), np.arange(cells.X.shape[1]), SCALE.lower, SCALE.upper)
        z /= np.sqrt(np.square(z).mean(axis=0, keepdims=True)) + 1e-6
        at = np.ix_(cells.tokens, cells.tokens)
        total[at] += (w / len(z)) * (z.T @ z)
        weight[at] += w
    total /= np.maximum(weight, 1e-6)
    np.fill_diagonal(total, 0.0)
    values, vectors = spl.eigsh(total, k=d, which="LA", v0=np.ones(n_genes, dtype=np.float32))
    order = np.argsort(-values)
    vectors = vectors[:, order] * np.sign(vectors[:, order].sum(axis=0) + 1e-12)
    embedding = vectors * np.sqrt(np.maximum(values[order], 0.0))
    return (embedding / np.sqrt(np.square(embedding).mean())).astype(np.float32), values[order]


def _set_probability(sets: Sequence[CellSet]) -> np.ndarray:
    size = np.array([min(len(c.names), 3000) for c in sets], dtype=float) ** 0.75
    share: np.ndarray = size / size.sum()
    return share


def batch(
    sets: Sequence[CellSet], s: Schedule, step: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Genes and values that are visible, genes and values to predict, of one training step."""
    rng = np.random.default_rng([s.seed, step])
    cells = sets[int(rng.choice(len(sets), p=_set_probability(sets)))]
    rows = rng.integers(cells.X.shape[0], size=s.batch_size)
    # genes hardly ever detected teach little: draw by the square root of detection
    p = np.sqrt(cells.detection)
    n = min(len(p), s.visible + s.queries)
    columns = rng.choice(len(p), size=n, replace=False, p=p / p.sum())
    cut = max(1, n * s.visible // (s.visible + s.queries))
    z = cells.z(rows, columns, SCALE.lower, SCALE.upper)
    if rng.random() < s.sparse_context:
        share = math.exp(rng.uniform(math.log(1 / cut), 0.0))
        z[:, :cut] *= rng.random((len(z), cut)) < share
    tokens, values = torch.as_tensor(cells.tokens[columns]), torch.as_tensor(z)
    parts = tokens[:cut], values[:, :cut], tokens[cut:], values[:, cut:]
    return tuple(part.to(device) for part in parts)  # type: ignore[return-value]


def fit(
    network: MiniNetwork,
    sets: Sequence[CellSet],
    schedule: Schedule,
    *,
    device: torch.device,
    checkpoint: Path | None = None,
    origin: str = "",
    save_every: int = 200,
    show: bool | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train in place; resume from ``checkpoint`` when it exists and write it every ``save_every`` steps.

    ``origin`` names the start weights and the data; a checkpoint of another origin is refused.

    Returns
    -------
    list of float
        Loss of every step run in this call.
    """
    network.to(device).train().requires_grad_(requires_grad=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=schedule.lr, weight_decay=1e-4, betas=(0.9, 0.98))
    start = 0
    if checkpoint is not None and checkpoint.exists():
        start = _resume(network, optimizer, _key(schedule, origin), checkpoint, device)
        logger.info("resuming pretraining at step %d of %d from %s", start, schedule.steps, checkpoint)
    losses = []
    for step in progress(range(start, schedule.steps), desc="pretraining", show=show):
        for group in optimizer.param_groups:
            group["lr"] = schedule.lr * _rate(step, schedule)
        tokens, values, queries, truth = batch(sets, schedule, step, device)
        with torch.autocast(device.type, torch.bfloat16, enabled=schedule.precision == "bfloat16"):
            predicted = network(tokens, values, queries)
        loss = torch.nn.functional.mse_loss(predicted.float(), truth)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if on_step is not None:
            on_step(step, losses[-1])
        if checkpoint is not None and ((step + 1) % save_every == 0 or step + 1 == schedule.steps):
            _save_state(network, optimizer, _key(schedule, origin), step + 1, checkpoint)
    network.eval().requires_grad_(requires_grad=False)
    return losses


def _rate(step: int, s: Schedule) -> float:
    warm = min(1.0, (step + 1) / 100)
    cool = min(1.0, (s.steps - step) / s.cooldown) if s.cooldown else 1.0
    return warm * cool * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / max(1, s.horizon or s.steps))))


def _key(schedule: Schedule, origin: str) -> str:
    return json.dumps(asdict(schedule) | ({"origin": origin} if origin else {}), sort_keys=True)


def _save_state(network: torch.nn.Module, optimizer: torch.optim.Optimizer, key: str, step: int, path: Path) -> None:
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


def _resume(
    network: torch.nn.Module, optimizer: torch.optim.Optimizer, key: str, path: Path, device: torch.device
) -> int:
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
