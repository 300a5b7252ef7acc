"""Training of LPM: squared error of the mean z-score of every (perturbation, readout, context)."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grn._core import checks
from grn._core.device import resolve_device
from grn._core.errors import ParameterError
from grn._core.logging import logger, progress
from grn._core.rng import RNGLike, child, seed_of
from grn.models._lpm_data import Effects, ScreenDesign, read_effects
from grn.models._lpm_network import CONTROL, READOUT, LPMNetwork, Symbols
from grn.models._training_state import resume, save_state


@dataclass(frozen=True)
class TrainingRecipe:
    """Sizes of the network and how it is trained; see :meth:`grn.models.LPM.fit`.

    Parameters
    ----------
    embedding_dim, hidden_dim, num_layers, dropout
        The network.
    epochs, batch_size, lr, lr_decay
        The optimiser, AdamW.
    holdout
        Fraction of (perturbation, context) pairs not trained on.
    """

    embedding_dim: int = 32
    hidden_dim: int = 512
    num_layers: int = 2
    dropout: float = 0.0
    epochs: int = 50
    batch_size: int = 5000
    lr: float = 0.002
    lr_decay: float = 0.99
    holdout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("embedding_dim", "hidden_dim", "num_layers", "epochs", "batch_size"):
            least = 0 if name == "num_layers" else 1
            object.__setattr__(self, name, checks.integer(name, getattr(self, name), least=least))
        for name in ("dropout", "holdout"):
            object.__setattr__(self, name, checks.number(name, getattr(self, name), least=0, below=1))
        object.__setattr__(self, "lr", checks.number("lr", self.lr, above=0))
        object.__setattr__(self, "lr_decay", checks.number("lr_decay", self.lr_decay, above=0, most=1))

    def args(self) -> dict[str, Any]:
        """Arguments under the names of the authors' library."""
        return {
            "embedding_dim": self.embedding_dim,
            "optimizer_name": "AdamW",
            "learning_rate": self.lr,
            "learning_rate_decay": self.lr_decay,
            "num_layers": self.num_layers,
            "hidden_dim": self.hidden_dim,
            "batch_size": self.batch_size,
            "embedding_aggregation_mode": "mean",
            "dropout": self.dropout,
        }


@dataclass(frozen=True)
class Run:
    """Where and how a training runs.

    Parameters
    ----------
    path
        File of the model; its state lies beside it.
    rng
        Seed.
    device
        Name of a device.
    show
        Progress bar.
    """

    path: Path | None = None
    rng: RNGLike = 0
    device: str = "auto"
    show: bool | None = None

    @property
    def state(self) -> Path:
        """File of the training state."""
        return Path() if self.path is None else self.path.with_suffix(self.path.suffix + ".state")


@dataclass(frozen=True)
class ReadoutTable:
    """Effects as tensors: rows of the three embedding tables for every pair, and what is to be predicted.

    Parameters
    ----------
    context
        Row of the context of every pair (pairs,).
    members, weights
        Rows of the perturbations of every pair (pairs, k) and their shares, which sum to 1.
    values
        Effects (pairs, readouts), NaN where there is none.
    """

    context: Tensor
    members: Tensor
    weights: Tensor
    values: Tensor

    def to(self, device: torch.device) -> ReadoutTable:
        """On a device."""
        return ReadoutTable(*(part.to(device) for part in (self.context, self.members, self.weights, self.values)))

    def perturbed(self, network: LPMNetwork, pairs: Tensor) -> Tensor:
        """Embeddings (B, d) of the perturbations of some pairs: the mean over a combination."""
        members = network.perturb_embedding_layer(self.members[pairs])
        mean: Tensor = (members * self.weights[pairs].unsqueeze(-1)).sum(dim=1)
        return mean


def fit_network(
    adata: Any, design: ScreenDesign, recipe: TrainingRecipe, run: Run
) -> tuple[LPMNetwork, Symbols, dict[str, Any]]:
    """Read the effects, train, and tell how well held-out pairs are predicted.

    Returns
    -------
    tuple
        Network on the CPU, names of its rows, and a report: ``loss`` per epoch run, ``n_pairs``, ``n_held_out``, the
        figures of :func:`held_out_figures`, and ``sha256`` of the weights.
    """
    device, seed = resolve_device(run.device), seed_of(run.rng)
    effects = read_effects(adata, design)
    held = hold_out(effects, recipe.holdout)
    symbols, table = tables(effects, design.perturbation_type)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        sizes = (recipe.embedding_dim, recipe.hidden_dim, recipe.num_layers)
        network = LPMNetwork(symbols, *sizes, dropout=recipe.dropout).to(device).train()
        losses = _train(network, table.to(device), torch.as_tensor(~held, device=device), recipe, run, seed)
    network.to("cpu").eval()
    report = {"loss": losses, "n_pairs": len(held), "n_held_out": int(held.sum()), "sha256": _digest(network, symbols)}
    if held.any():
        report |= held_out_figures(network, table, effects, held)
        logger.info(
            "LPM: %d of %d pairs held out, R2 over the mean effect %.3f, Pearson %.3f (of the mean effect %.3f)",
            report["n_held_out"],
            report["n_pairs"],
            report["r2"],
            report["pearson"],
            report["pearson_mean"],
        )
    return network, symbols, report


def tables(effects: Effects, perturbation_type: str) -> tuple[Symbols, ReadoutTable]:
    """Names of the rows, in alphabetical order behind the control, and the effects by row."""
    genes = sorted({gene for members in effects.members for gene in members})
    contexts = sorted(set(effects.contexts))
    symbols = Symbols(
        tuple(contexts),
        (CONTROL, *(f"{perturbation_type}_{gene}" for gene in genes)),
        tuple(f"{READOUT}{gene}" for gene in effects.genes),
    )
    row = {gene: i for i, gene in enumerate(genes, start=1)}
    at = {context: i for i, context in enumerate(contexts)}
    width = max(len(members) for members in effects.members)
    members = torch.zeros(len(effects.members), width, dtype=torch.long)
    weights = torch.zeros(len(effects.members), width)
    for pair, found in enumerate(effects.members):
        rows = [row[gene] for gene in found] or [0]  # the control is row 0
        members[pair, : len(rows)] = torch.tensor(rows)
        weights[pair, : len(rows)] = 1.0 / len(rows)
    where = torch.tensor([at[context] for context in effects.contexts])
    return symbols, ReadoutTable(where, members, weights, torch.as_tensor(effects.values))


def hold_out(effects: Effects, fraction: float) -> np.ndarray:
    """Mark pairs to hold out, by the hash of their names; what is left still has every gene and every context.

    Raises
    ------
    ParameterError
        If a fraction is asked for and no pair can be spared.
    """
    held = np.zeros(len(effects.members), dtype=bool)
    if fraction == 0:
        return held
    parts = [
        (("context", context), *(("gene", gene) for gene in members))
        for members, context in zip(effects.members, effects.contexts, strict=True)
    ]
    perturbed = [i for i, members in enumerate(effects.members) if members]
    left = Counter(part for i in perturbed for part in parts[i])
    wanted = max(1, round(fraction * len(perturbed)))
    for i in sorted(perturbed, key=lambda i: hashlib.sha256(repr(parts[i]).encode()).digest()):
        if held.sum() < wanted and all(left[part] > 1 for part in parts[i]):
            held[i] = True
            left.subtract(parts[i])
    if not held.any():
        raise ParameterError(
            f"holdout={fraction} was asked for, but every perturbation is seen in one context only, so none can be "
            "held out; pass holdout=0, or context= with several contexts."
        )
    return held


def _train(
    network: LPMNetwork, table: ReadoutTable, keep: Tensor, recipe: TrainingRecipe, run: Run, seed: int
) -> list[float]:
    """Train in place; return the mean loss of every epoch run in this call."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.lr)
    given = torch.isfinite(table.values) & keep[:, None]
    entries = torch.nonzero(given.flatten()).squeeze(-1)
    key = json.dumps({**asdict(recipe), "seed": seed, "origin": _origin(table, keep)}, sort_keys=True)
    start = 0
    if run.path is not None and run.state.exists():
        start = resume(network, optimizer, key, run.state, table.values.device)
        logger.info("resuming the training of LPM at epoch %d of %d from %s", start, recipe.epochs, run.state)
    losses = []
    for epoch in progress(range(start, recipe.epochs), desc="training LPM", show=run.show):
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * recipe.lr_decay**epoch
        losses.append(_epoch(network, optimizer, table, entries, recipe.batch_size, child(seed, "lpm", str(epoch))))
        if run.path is not None:
            save_state(network, optimizer, key, epoch + 1, run.state)
    return losses


def _epoch(
    network: LPMNetwork,
    optimizer: torch.optim.Optimizer,
    table: ReadoutTable,
    entries: Tensor,
    batch_size: int,
    random: np.random.Generator,
) -> float:
    """One pass over all entries in random order."""
    torch.manual_seed(int(random.integers(2**62)))  # of dropout, so that a resumed run repeats an uninterrupted one
    total = torch.zeros((), device=entries.device)
    for batch in _shuffled(entries, batch_size, random):
        pairs, readouts = batch // table.values.shape[1], batch % table.values.shape[1]
        predicted = network(
            network.context_embedding_layer(table.context[pairs]),
            table.perturbed(network, pairs),
            network.readout_embedding_layer(readouts),
        )
        loss = torch.nn.functional.mse_loss(predicted, table.values[pairs, readouts])
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        total += loss.detach() * len(batch)
    return float(total) / len(entries)


def _shuffled(entries: Tensor, batch_size: int, random: np.random.Generator) -> Iterator[Tensor]:
    order = torch.as_tensor(random.permutation(len(entries)), device=entries.device)
    for part in order.split(batch_size):
        yield entries[part]


def held_out_figures(network: LPMNetwork, table: ReadoutTable, effects: Effects, held: np.ndarray) -> dict[str, float]:
    """How well held-out pairs are predicted, against the mean effect of the trained perturbations of the context.

    Returns
    -------
    dict
        ``mse``, ``mse_mean`` (of the mean effect), ``r2`` (the share of ``mse_mean`` that the model removes),
        ``pearson`` and ``pearson_mean`` (correlation over readouts, averaged over pairs).
    """
    perturbed = np.array([bool(members) for members in effects.members])
    contexts = np.array(effects.contexts, dtype=object)
    readouts = network.readout_embedding_layer.weight
    figures = []
    for pair in np.flatnonzero(held):
        trained = perturbed & ~held & (contexts == contexts[pair])
        given = np.isfinite(effects.values[pair])
        mean = effects.values[trained][:, given].mean(axis=0, dtype=np.float64)
        with torch.no_grad():
            context = network.context_embedding_layer.weight[table.context[pair]]
            predicted = network.table(context, table.perturbed(network, torch.tensor([pair])), readouts)[0]
        truth, guess = effects.values[pair, given].astype(np.float64), predicted.numpy().astype(np.float64)[given]
        errors = np.square(truth - guess).mean(), np.square(truth - mean).mean()
        figures.append((*errors, _pearson(truth, guess), _pearson(truth, mean)))
    mse, mse_mean, pearson, pearson_mean = np.mean(figures, axis=0).tolist()
    r2 = 1 - mse / mse_mean if mse_mean > 0 else math.nan
    return {"mse": mse, "mse_mean": mse_mean, "r2": r2, "pearson": pearson, "pearson_mean": pearson_mean}


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 0.0


def _origin(table: ReadoutTable, keep: Tensor) -> str:
    """Hash of the training data."""
    digest = hashlib.sha256()
    for part in (table.context, table.members, table.weights, table.values, keep):
        digest.update(part.cpu().numpy().tobytes())
    return digest.hexdigest()


def _digest(network: LPMNetwork, symbols: Symbols) -> str:
    """Hash of weights and names, for models that lie in no file."""
    digest = hashlib.sha256(repr(symbols).encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
