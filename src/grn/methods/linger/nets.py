"""Networks of all genes: which inputs they have, their training in batches, and what is read out of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from grn._core.checkpoints import fingerprint
from grn._core.logging import progress
from grn._core.rng import child, sample_names
from grn._kernels.gene_attribution import attribution, cosines, expected_gradients
from grn._kernels.gene_networks import (
    HIDDEN,
    Bulk,
    Features,
    Manifold,
    Weights,
    affinity_of,
    original_start,
    predict,
    random_start,
    train,
)
from grn.methods.linger.bulk import FirstLayer
from grn.methods.linger.candidates import Candidates
from grn.methods.resume import part_of

# inputs of regions are padded to a multiple of this, so that the numbers of a gene do not depend on its batch
STEP = 16
BACKGROUND = 50
MOST_GENES = 64
# numbers that are dense at a time while regions are read
VALUES = 2**22
# of the data of a fit, what is held as tensors
_OF_TORCH = ("expression", "target", "accessibility")


@dataclass(frozen=True)
class Setting:
    """How networks are trained and read.

    Parameters
    ----------
    activation, attribution, n_epochs
        Parameters of :func:`grn.tl.linger`.
    penalty
        ``"dot"`` or ``"ewc"``: how networks are held near bulk.
    manifold
        Factor of the term of motifs; 0 for none.
    seed, parity
        Seed of starts and background, and whether both are those of the original.
    batch_size
        Genes trained at a time; ``None`` to decide it.
    memory
        Bytes that a batch may take.
    device
        Where.
    """

    activation: str
    attribution: str
    n_epochs: int
    penalty: str
    manifold: float
    seed: int
    parity: bool
    batch_size: int | None
    memory: int
    device: torch.device


@dataclass(frozen=True)
class Data:
    """What the networks are trained on: m metacells, S regulators, R regions, T genes.

    Parameters
    ----------
    names
        Names of the metacells.
    regulators, genes
        Names; the regulators in the order in which networks read them.
    absent
        Standardised value of an expression of zero (S,).
    expression, target, accessibility
        Standardised expression (m, S), expression of the genes (m, T), and accessibility of the regions (m, R).
    candidates
        Regions of every gene.
    motifs
        Motif binding (R, S), or ``None``.
    bulk
        First layers by gene, and the region here by name there.
    """

    names: list[str]
    regulators: np.ndarray
    genes: np.ndarray
    absent: np.ndarray
    expression: Tensor
    target: Tensor
    accessibility: Accessibility
    candidates: Candidates
    motifs: np.ndarray | None
    bulk: tuple[Mapping[str, FirstLayer], Mapping[str, str]] | None


@dataclass(frozen=True)
class Population:
    """What is read out of the networks of all genes.

    Parameters
    ----------
    score, slope
        Of every regulator on every gene (T, S): mean absolute contribution, 0 for the gene itself, and mean derivative.
    cis
        Mean absolute contribution of the region of every candidate pair (n,).
    cis_slope
        Mean derivative by it (n,).
    binding
        Likeness of first-layer weights of every regulator and region (R, S), the largest over genes; 0 for none.
    error, loss
        Mean squared error over the variance of the gene, and last loss (T,).
    parts
        Parameters of every gene by name, each part as :class:`grn._kernels.gene_networks.Weights` has it, with the
        inputs it has; empty unless asked for.
    """

    score: np.ndarray
    slope: np.ndarray
    cis: np.ndarray
    cis_slope: np.ndarray
    binding: np.ndarray
    error: np.ndarray
    loss: np.ndarray
    parts: dict[str, list[np.ndarray]]


class Accessibility:
    """Accessibility of regions over metacells, standardised where it is read: all of it at once is never dense.

    Parameters
    ----------
    means
        Mean accessibility (m, R).
    parity
        Compute in single precision, as the original does.
    """

    def __init__(self, means: sparse.csc_matrix, *, parity: bool) -> None:
        self.means = means
        self._type = torch.float32 if parity else torch.float64
        size = max(1, VALUES // max(1, means.shape[0]))
        blocks = (np.arange(i, min(i + size, means.shape[1])) for i in range(0, means.shape[1], size))
        parts = [_scale(self._dense(regions)) for regions in blocks]
        self.middle, self.deviation = (torch.cat(part) for part in zip(*parts, strict=True))

    def _dense(self, regions: np.ndarray) -> Tensor:
        return torch.as_tensor(self.means[:, regions].toarray(), dtype=self._type)

    def columns(self, regions: np.ndarray) -> Tensor:
        """Some regions, by position (m, len(regions)) float32."""
        return ((self._dense(regions) - self.middle[regions]) / self.deviation[regions]).to(torch.float32)


def _scale(values: Tensor) -> tuple[Tensor, Tensor]:
    """What columns over metacells are reduced by, and divided by."""
    return values.mean(dim=0), values.std(dim=0) + 1e-12


def standardised(values: np.ndarray, *, parity: bool) -> Tensor:
    """Columns with a mean of 0 and a deviation of 1 over metacells; in parity computed in single precision."""
    columns = torch.as_tensor(values, dtype=torch.float32 if parity else torch.float64)
    middle, deviation = _scale(columns)
    return ((columns - middle) / deviation).to(torch.float32)


def fit_genes(data: Data, setting: Setting, *, keep: bool = False, cache: Path | None = None) -> Population:
    """Train the networks of all genes and read them out; batches that are in the cache are not trained again."""
    candidates, n_genes, n_regulators = data.candidates, len(data.genes), len(data.regulators)
    score, slope = np.zeros((2, n_genes, n_regulators), dtype=np.float32)
    cis, cis_slope = np.zeros((2, len(candidates.gene)), dtype=np.float32)
    binding = np.full((len(candidates.regions), n_regulators), -np.inf, dtype=np.float32)
    error, loss = np.zeros((2, n_genes), dtype=np.float32)
    background, parts = _background(data, setting), {}
    bounds = candidates.bounds
    batches = list(_batches(data, setting))
    of_all = "" if cache is None else fingerprint(_identity(data, setting))
    for genes in progress(batches, total=len(batches), desc="linger"):
        part = part_of(cache, "linger", lambda genes=genes: {"data": of_all, "genes": genes, "keep": keep})
        read = part.get(dict, lambda genes=genes: _read_out(_Batch(data, setting, genes), background, keep=keep), dict)
        for place, gene in enumerate(genes):
            columns, first = inputs_of(data, setting, gene), bounds[gene]
            n_shared, n_near = len(columns), bounds[gene + 1] - first
            near = slice(n_shared, n_shared + n_near)
            score[gene, columns] = read["contributions"][place, :n_shared]
            slope[gene, columns] = read["slopes"][place, :n_shared]
            score[gene, data.regulators == data.genes[gene]] = 0.0
            cis[first : bounds[gene + 1]] = read["contributions"][place, near]
            cis_slope[first : bounds[gene + 1]] = read["slopes"][place, near]
            rows = candidates.region[first : bounds[gene + 1]]
            like = read["likeness"][place, :, :n_near].T.copy()  # (regions of the gene, S)
            like[:, data.regulators[columns] == data.genes[gene]] = -np.inf
            binding[np.ix_(rows, columns)] = np.maximum(binding[np.ix_(rows, columns)], like)
            error[gene], loss[gene] = read["error"][place], read["loss"][place]
            if keep:
                parts[str(data.genes[gene])] = _parts(read, place, n_shared + n_near)
    binding[np.isinf(binding)] = 0.0
    return Population(score, slope, cis, cis_slope, binding, error, loss, parts)


def _identity(data: Data, setting: Setting) -> dict[str, Any]:
    """Everything that the networks depend on."""
    tensors = {"expression": data.expression.numpy(), "target": data.target.numpy()}
    how = {"device": setting.device.type, "memory": 0, "batch_size": None}
    return {
        **{field.name: getattr(data, field.name) for field in fields(Data) if field.name not in _OF_TORCH},
        **tensors,
        "accessibility": data.accessibility.means,
        "setting": {**{field.name: getattr(setting, field.name) for field in fields(Setting)}, **how},
    }


def _read_out(batch: _Batch, background: Tensor, *, keep: bool) -> dict[str, np.ndarray]:
    """Train the networks of a batch; what is read out of them, and with ``keep`` their parameters."""
    losses = batch.train()
    contributions, slopes = batch.read(background)
    read = {
        "contributions": contributions,
        "slopes": slopes,
        "likeness": cosines(batch.weights.W1, batch.n_shared).cpu().numpy(),
        "error": batch.left_over(),
        "loss": losses[-1],
    }
    parts = batch.weights.parts if keep else ()
    return read | {f"part {number}": part.cpu().numpy() for number, part in enumerate(parts)}


def _parts(read: Mapping[str, np.ndarray], place: int, n_inputs: int) -> list[np.ndarray]:
    """Parameters of a network of a batch, without padding."""
    parts = [read[f"part {number}"][place] for number in range(len(read)) if f"part {number}" in read]
    return [parts[0][:, :n_inputs], *parts[1:]]


def inputs_of(data: Data, setting: Setting, gene: int) -> np.ndarray:
    """Regulators that the network of a gene reads, by position.

    The original leaves the gene itself out; here its column has weights of zero and stays there.
    """
    if setting.parity:
        return np.flatnonzero(data.regulators != data.genes[gene])
    return np.arange(len(data.regulators))


def _batches(data: Data, setting: Setting) -> Iterator[np.ndarray]:
    """Genes whose networks have the same width, by name, as many as fit."""
    sizes = np.diff(data.candidates.bounds)
    widths = np.maximum(-(-sizes // STEP) * STEP, STEP)
    for width in np.unique(widths):
        genes = np.flatnonzero(widths == width)
        per_gene = _bytes_of_gene(data, setting, int(width))
        most = setting.batch_size or max(2, min(MOST_GENES, setting.memory // per_gene))
        if setting.parity:
            most = 1
        for first in range(0, len(genes), most):
            yield genes[first : first + most]


def _bytes_of_gene(data: Data, setting: Setting, width: int) -> int:
    """Memory that a gene with ``width`` columns of regions takes in a batch."""
    m, shared = data.expression.shape
    inputs = shared + width
    numbers = m * (width + 4 * sum(HIDDEN)) + 8 * HIDDEN[0] * inputs + shared * width
    if data.bulk is not None:
        numbers += 6 * HIDDEN[0] * inputs
    if setting.manifold and data.motifs is not None:
        numbers += 10 * shared * width  # the graph in double precision, and what is made of it
    if setting.attribution == "expected_gradients":
        numbers += 6 * m * inputs
    return 4 * numbers


def _background(data: Data, setting: Setting) -> Tensor:
    """Metacells against which contributions are measured."""
    m = len(data.names)
    if setting.parity:
        chosen = np.random.RandomState(42).choice(m, BACKGROUND, replace=m < BACKGROUND)
    else:
        chosen = np.sort(sample_names(data.names, min(BACKGROUND, m), setting.seed))
    return torch.as_tensor(chosen, device=setting.device)


class _Batch:
    """Networks of some genes, at least two of them, so that their products are rounded alike in all batches."""

    def __init__(self, data: Data, setting: Setting, genes: np.ndarray) -> None:
        self.data, self.setting = data, setting
        alone = len(genes) == 1 and not setting.parity
        self.genes = np.repeat(genes, 2) if alone else genes
        self.inputs = [inputs_of(data, setting, g) for g in self.genes]
        self.n_shared = len(self.inputs[0])
        bounds = data.candidates.bounds
        self.rows = [data.candidates.region[bounds[g] : bounds[g + 1]] for g in self.genes]
        most = max(len(rows) for rows in self.rows)
        width = most if setting.parity else max(STEP, -(-most // STEP) * STEP)
        self.features = self._features(width)
        self.weights = Weights(len(self.genes), self.n_shared + width, self.features.each)
        for place in range(len(self.genes)):
            self._start(place)

    def _features(self, width: int) -> Features:
        data, device = self.data, self.setting.device
        near = torch.zeros(len(self.genes), len(data.names), width)
        for place, rows in enumerate(self.rows):
            near[place, :, : len(rows)] = data.accessibility.columns(rows)
        if not self.setting.parity:
            return Features(data.expression.to(device), near.to(device))
        each = torch.cat([data.expression[None][:, :, self.inputs[0]], near], dim=2)
        return Features(each[0, :, :0].to(device), each.to(device))

    def _start(self, place: int) -> None:
        """Where the network of a gene starts: keyed by its name, or as in the original."""
        data, setting = self.data, self.setting
        gene, n_near = str(data.genes[self.genes[place]]), len(self.rows[place])
        n_inputs = self.n_shared + n_near
        if setting.parity:
            start = original_start(n_inputs)
        else:
            start = random_start(child(setting.seed, "linger", gene), n_inputs)
            start[0][:, : self.n_shared][:, data.regulators == gene] = 0.0
        for slot, part in zip(self.weights.parts, start, strict=True):
            slot[place][..., : part.shape[-1]] = torch.as_tensor(part, dtype=torch.float32)

    def train(self) -> np.ndarray:
        setting = self.setting
        target = self.data.target[:, self.genes].T.contiguous().to(setting.device)
        losses = train(
            self.features,
            target,
            self.weights,
            activation=setting.activation,
            steps=setting.n_epochs,
            extra=self._terms(),
        )
        self.target = target
        return losses.cpu().numpy()

    def _terms(self) -> tuple[Bulk | Manifold, ...]:
        terms: list[Bulk | Manifold] = []
        data, setting, width = self.data, self.setting, self.weights.W1.shape[2]
        if data.bulk is not None:
            weights, importance = np.zeros((2, len(self.genes), HIDDEN[0], width), dtype=np.float32)
            for place in range(len(self.genes)):
                self._place_bulk(place, weights[place], importance[place])
            parts = [torch.as_tensor(part, device=setting.device) for part in (weights, importance)]
            terms.append(Bulk(parts[0], parts[1] if setting.penalty == "ewc" else None))
        if setting.manifold and data.motifs is not None:
            graph = np.zeros((len(self.genes), self.n_shared, width - self.n_shared))
            for place, rows in enumerate(self.rows):
                graph[place, :, : len(rows)] = data.motifs[rows][:, self.inputs[place]].T
                graph[place, data.regulators[self.inputs[place]] == data.genes[self.genes[place]]] = 0.0
            affinity, present = affinity_of(torch.as_tensor(graph))
            parts = [part.to(torch.float32).to(setting.device) for part in (affinity, present)]
            terms.append(Manifold(parts[0], parts[1], setting.manifold))
        return tuple(terms)

    def _place_bulk(self, place: int, weights: np.ndarray, importance: np.ndarray) -> None:
        """Columns of the first layer of a gene where the inputs of its network are (64, width)."""
        data = self.data
        layers, regions = data.bulk or ({}, {})
        gene = data.genes[self.genes[place]]
        layer = layers[gene]
        column = {name: i for i, name in enumerate(data.regulators[self.inputs[place]]) if name != gene}
        near = data.candidates.regions[self.rows[place]]
        column |= {name: self.n_shared + i for i, name in enumerate(near)}
        for i, name in enumerate(layer.features):
            # of regions that overlap the same one here the first in the layer counts
            here = column.pop(regions.get(name, name), None)
            if here is not None:
                weights[:, here] = layer.weights[:, i]
                importance[:, here] = 1.0 if layer.importance is None else layer.importance[:, i]

    def read(self, background: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Contributions and slopes (B, width)."""
        reading = attribution if self.setting.attribution == "original" else expected_gradients
        parts = reading(self.features, self.weights, background, activation=self.setting.activation)
        return parts[0].cpu().numpy(), parts[1].cpu().numpy()

    def left_over(self) -> np.ndarray:
        """Mean squared error over the variance of the genes (B,)."""
        output = predict(self.features, self.weights, self.setting.activation)
        spread = self.target.var(dim=1, unbiased=False)
        return ((output - self.target).square().mean(dim=1) / spread.clamp(min=1e-12)).cpu().numpy()
