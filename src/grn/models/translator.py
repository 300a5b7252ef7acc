"""The translator: a small MLP from the features of a gene pair to the probability of an edge.

Features come as a cube (targets, sources, K). Because a gene that responds to
everything lifts a whole row, and a regulator that moves everything a whole
column, the cube may be double-centred before the MLP: the mean of the row and of
the column are subtracted, the grand mean added back. Which parts the MLP sees
(``raw``, ``centred`` or both) is stored with it, as are the mean and spread used to
standardise each feature.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor, nn

from grn._core.errors import ParameterError, WeightsError, WeightsNotFoundError
from grn._core.files import as_path, written
from grn.models._bounds import number, outline, parsed
from grn.models._model_file import load_strictly, read_tensors, save_tensors
from grn.models.protocol import BACKGROUNDS
from grn.models.steady import ordinary, undisturbed

FORMAT = "grn.translator/1"
VIEWS = ("raw", "centred", "both")
GRID_LIMIT = 1e30


@dataclass(frozen=True)
class TranslatorConfig:
    """What a translator was built for.

    Parameters
    ----------
    feature
        Name of the feature (``"vvp"``, ``"gradient_trajectory"``, ...).
    points
        Number of features K per pair before the view is applied.
    view
        ``"raw"``, ``"centred"`` (double-centred) or ``"both"``.
    hidden
        Widths of the hidden layers.
    members
        Number of networks whose logits are averaged, one per seed.
    model, model_sha256
        Foundation model the features came from, and the hash of its weights.
    grid
        Grid the features were read on.
    background
        Where the other genes were when they were read: ``"fixed"``, ``"moving"`` or ``"unknown"``.
    """

    feature: str
    points: int
    view: str = "both"
    hidden: tuple[int, ...] = (64, 32)
    members: int = 1
    model: str = ""
    model_sha256: str = ""
    grid: tuple[float, ...] = ()
    background: str = "fixed"

    def described(self) -> dict[str, object]:
        """Fields as files have them: without the background where it is that of all files before there were others."""
        fields = asdict(self)
        if self.background == "fixed":
            del fields["background"]
        return fields


@dataclass
class Translator:
    """A fitted translator; make one with ``grn.tl.fit_translator``, read one with :meth:`load`.

    Parameters
    ----------
    config
        What it was built for.
    network
        Standardisation and MLPs.
    history
        How the fit went: figures per seed, for people.
    """

    config: TranslatorConfig
    network: TranslatorNetwork
    history: dict[str, object] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Hash of what computes: the configuration and the parameters as they are."""
        digest = hashlib.sha256(json.dumps(self.config.described(), sort_keys=True).encode())
        for key, tensor in self.network.state_dict().items():
            digest.update(key.encode() + np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
        return digest.hexdigest()

    def logits(self, cube: np.ndarray, *, only: np.ndarray | None = None) -> np.ndarray:
        """Edge logits of a feature cube; NaN where a feature is NaN.

        Parameters
        ----------
        cube
            Features (targets, sources, K), as in ``varm``.
        only
            Pairs that are wanted, bool (targets, sources); others are NaN. All by default.

        Returns
        -------
        ndarray
            Logits (targets, sources) float32.

        Raises
        ------
        ParameterError
            If the cube has another number of features.
        """
        features = view_of(cube, self.config)
        known = ~np.isnan(features).any(axis=-1)
        if only is not None:
            known &= only
        out = np.full(cube.shape[:2], np.nan, dtype=np.float32)
        with ordinary(self.network), torch.no_grad():
            parts = torch.split(torch.as_tensor(features[known]), 65536)
            if known.any():
                out[known] = torch.cat([self.network(part).mean(0) for part in parts]).numpy()
        return out

    def probability(self, cube: np.ndarray) -> np.ndarray:
        """Edge probabilities: the logistic function of :meth:`logits`.

        Parameters
        ----------
        cube
            Features (targets, sources, K), as in ``varm``.

        Returns
        -------
        ndarray
            Probabilities (targets, sources) float32.
        """
        return np.asarray(expit(self.logits(cube)))

    def save(self, path: str | Path) -> Path:
        """Write ``path.safetensors`` and ``path.json``.

        Parameters
        ----------
        path
            Where to; a suffix ``.json`` or ``.safetensors`` is dropped.

        Returns
        -------
        Path
            The path without suffix.
        """
        base = _base(path)
        tensors = base.with_name(base.name + ".safetensors")
        save_tensors(
            tensors, self.network.state_dict(), {"format": FORMAT, "config": json.dumps(self.config.described())}
        )
        described = {
            "format": FORMAT,
            "config": self.config.described(),
            "history": self.history,
            "sha256": hashlib.sha256(tensors.read_bytes()).hexdigest(),
        }
        with written(base.with_name(base.name + ".json")) as place:
            place.write_text(json.dumps(described, indent=1) + "\n")
        return base

    @classmethod
    @undisturbed
    def load(cls, path: str | Path) -> Translator:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path
            Path given to :meth:`save`, with or without suffix.

        Returns
        -------
        Translator
            The translator.

        Raises
        ------
        WeightsNotFoundError
            If one of the two files is missing.
        WeightsError
            If they are truncated, foreign, or do not belong together.
        """
        base = _base(path)
        described = base.with_name(base.name + ".json")
        if not described.is_file():
            raise WeightsNotFoundError(f"no file {described}; pass the path given to Translator.save.")
        try:
            record = parsed(described.read_text(), described)
            given = record["config"]
            config = TranslatorConfig(**{**given, "hidden": tuple(given["hidden"]), "grid": tuple(given["grid"])})
            digest, kind = record["sha256"], record["format"]
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise WeightsError(f"{described} does not describe a translator ({error}).") from error
        tensors_path = base.with_name(base.name + ".safetensors")
        tensors, header = read_tensors(tensors_path)
        if kind != FORMAT or header.get("format") != FORMAT:
            raise WeightsError(f"{described} has format {kind!r}; expected {FORMAT!r}.")
        if hashlib.sha256(tensors_path.read_bytes()).hexdigest() != digest:
            raise WeightsError(
                f"{tensors_path} is not the file {described} was written with; save the translator again."
            )
        _check_sizes(config, tensors, tensors_path)
        if "config" in header and parsed(header["config"], tensors_path) != json.loads(json.dumps(config.described())):
            raise WeightsError(
                f"{described} and {tensors_path} differ in their configuration; save the translator again."
            )
        with outline():
            network = TranslatorNetwork(config)
        load_strictly(network, tensors, tensors_path)
        return cls(config, network.eval(), dict(record.get("history", {})))


def _check_sizes(config: TranslatorConfig, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse sizes that the file has no parameters for, before a network is made of them."""
    size = path.stat().st_size
    sizes = {"points": config.points, "members": config.members}
    sizes |= {f"hidden[{i}]": width for i, width in enumerate(config.hidden[: len(tensors)])}
    for name in sizes:
        number(sizes, name, path, most=size)
    points = {f"grid[{i}]": point for i, point in enumerate(config.grid)}
    for name in points:
        number(points, name, path, kind=float, least=-GRID_LIMIT, most=GRID_LIMIT)
    if config.background not in BACKGROUNDS:
        raise WeightsError(f"{path} has background={config.background!r}; expected one of {', '.join(BACKGROUNDS)}.")
    if config.view not in VIEWS or len(config.hidden) > len(tensors):
        raise WeightsError(
            f"{path} has view={config.view!r} and {len(config.hidden)} hidden layers; expected one of "
            f"{', '.join(VIEWS)}, and no more layers than the {len(tensors)} tensors in the file."
        )


class TranslatorNetwork(nn.Module):
    """Standardisation followed by ``members`` independent MLPs, evaluated together."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: TranslatorConfig) -> None:
        super().__init__()
        width = config.points * (2 if config.view == "both" else 1)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))
        sizes = (width, *config.hidden, 1)
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for fan_in, fan_out in itertools.pairwise(sizes):
            self.weights.append(nn.Parameter(torch.zeros(config.members, fan_in, fan_out)))
            self.biases.append(nn.Parameter(torch.zeros(config.members, 1, fan_out)))

    def initialise(self, seed: int) -> None:
        """Draw initial weights from a seed (He initialisation); biases are 0."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in self.weights:
                weight.copy_(torch.randn(weight.shape, generator=generator) * (2.0 / weight.shape[1]) ** 0.5)
            for bias in self.biases:
                bias.zero_()

    def standardise_by(self, features: Tensor) -> None:
        """Take mean and spread from training features (N, K'); features that do not vary are only centred."""
        spread = features.std(0)
        self.mean.copy_(features.mean(0))
        self.std.copy_(torch.where(spread > 1e-12, spread, torch.ones_like(spread)))

    def forward(self, features: Tensor) -> Tensor:
        """Logits (members, N) of features (N, K')."""
        h = ((features - self.mean) / self.std).clamp(-8, 8).expand(len(self.weights[0]), -1, -1)
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.baddbmm(bias, h, weight)
            if i + 1 < len(self.weights):
                h = torch.relu(h)
        return h.squeeze(-1)


def view_of(cube: np.ndarray, config: TranslatorConfig) -> np.ndarray:
    """What the MLP sees of a cube (targets, sources, K): (targets, sources, K or 2 K) float32."""
    if cube.ndim != 3 or cube.shape[-1] != config.points:
        raise ParameterError(
            f"the features have shape {cube.shape}; this translator reads {config.points} values of "
            f"{config.feature!r} per pair: (targets, sources, {config.points})."
        )
    if config.view == "raw":
        return np.ascontiguousarray(cube, dtype=np.float32)
    centred = double_centred(cube)
    return centred if config.view == "centred" else np.concatenate([cube, centred], axis=-1).astype(np.float32)


def double_centred(cube: np.ndarray) -> np.ndarray:
    """Subtract the mean over sources and the mean over targets, add the grand mean; NaN entries do not count.

    With a single source or target there is nothing to compare with: that axis is left uncentred.
    """
    known = ~np.isnan(cube)
    filled = np.where(known, cube, 0.0).astype(np.float64)

    def mean(axis: int | tuple[int, int]) -> np.ndarray:
        n = known.sum(axis=axis, keepdims=True)
        return cast(np.ndarray, filled.sum(axis=axis, keepdims=True) / np.maximum(n, 1))

    rows = mean(1) if cube.shape[1] > 1 else 0.0
    columns = mean(0) if cube.shape[0] > 1 else 0.0
    both = mean((0, 1)) if cube.shape[0] > 1 and cube.shape[1] > 1 else 0.0
    return (cube - rows - columns + both).astype(np.float32)


def _base(path: str | Path) -> Path:
    path = as_path(path)
    return path.with_suffix("") if path.suffix in (".json", ".safetensors") else path
