"""A model of promoter motifs: low-rank factors of which regulators' motifs go with the promoters of which genes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from grn._core.errors import WeightsError
from grn._core.files import as_path
from grn.models._bounds import check_finite
from grn.models._model_file import read_tensors, save_tensors

FORMAT = "grn.promoter_motifs/1"
Families = Callable[[Iterable[str]], np.ndarray]


@dataclass(frozen=True, eq=False)
class PromoterMotifs:
    """Factors of regulators and of promoters; their product says how much a motif goes with a promoter.

    Parameters
    ----------
    regulators, genes
        Human symbols, sorted.
    motifs
        Factors of the regulators (R, k).
    promoters
        Factors of the genes (G, k).
    """

    regulators: tuple[str, ...]
    genes: tuple[str, ...]
    motifs: np.ndarray
    promoters: np.ndarray

    def scores(self, sources: Iterable[str], targets: Iterable[str], *, families: Families | None = None) -> np.ndarray:
        """How much the motif of every source goes with the promoter of every target.

        Parameters
        ----------
        sources, targets
            Human symbols.
        families
            Gives the family of every symbol, such as :func:`grn.genes.families`. Then a source has the mean over the
            regulators of its family, itself among them, instead of its own motif; this also reaches regulators whose
            motif is not known.

        Returns
        -------
        ndarray
            float32 (sources, targets), without row and column means of the whole table, in units of its spread; 0 where
            motif or promoter is not known.
        """
        left = self._rows(sources) if families is None else self._family_rows(sources, families)
        columns = np.array([self._gene.get(gene, -1) for gene in targets], dtype=np.int64)
        right = np.where(columns[:, None] >= 0, self.promoters[columns], 0.0)  # (T, k)
        scores: np.ndarray = (left @ right.T).astype(np.float32)
        return scores

    def known(self, sources: Iterable[str]) -> np.ndarray:
        """Whether a regulator's own motif is known: bool (sources,)."""
        return np.array([name in self._regulator for name in sources], dtype=bool)

    @cached_property
    def _regulator(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.regulators)}

    @cached_property
    def _gene(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.genes)}

    def _rows(self, sources: Iterable[str]) -> np.ndarray:
        rows = np.array([self._regulator.get(name, -1) for name in sources], dtype=np.int64)
        factors: np.ndarray = np.where(rows[:, None] >= 0, self.motifs[rows], 0.0)  # (S, k)
        return factors

    def _family_rows(self, sources: Iterable[str], families: Families) -> np.ndarray:
        """Mean factors (S, k) of the regulators of every source's family."""
        member = families(sources)[:, None] == families(self.regulators)  # (S, R)
        mean: np.ndarray = (member @ self.motifs) / np.maximum(member.sum(axis=1, keepdims=True), 1)
        return mean


def save(model: PromoterMotifs, path: str | Path) -> Path:
    """Write a model of promoter motifs to one file, in half precision, and return its path."""
    path = as_path(path)
    header = {"format": FORMAT, "regulators": "\n".join(model.regulators), "genes": "\n".join(model.genes)}
    tensors = {"motifs": torch.as_tensor(model.motifs).half(), "promoters": torch.as_tensor(model.promoters).half()}
    save_tensors(path, tensors, header)
    return path


def load(path: str | Path) -> PromoterMotifs:
    """Read what :func:`save` wrote.

    Raises
    ------
    WeightsNotFoundError
        If there is no such file.
    WeightsError
        If it is truncated, of another format, or its names and factors do not fit.
    """
    path = as_path(path)
    tensors, header = read_tensors(path)
    if header.get("format") != FORMAT or set(tensors) != {"motifs", "promoters"}:
        raise WeightsError(f"{path} holds no model of promoter motifs; expected the format {FORMAT!r}.")
    check_finite(tensors, path)
    regulators, genes = (tuple(header.get(key, "").split("\n")) for key in ("regulators", "genes"))
    motifs, promoters = (tensors[key].float().numpy() for key in ("motifs", "promoters"))
    shapes = motifs.shape, promoters.shape
    if shapes != ((len(regulators), motifs.shape[-1]), (len(genes), motifs.shape[-1])):
        raise WeightsError(
            f"{path} has factors of shapes {shapes} for {len(regulators)} regulators and {len(genes)} genes."
        )
    return PromoterMotifs(regulators, genes, motifs, promoters)


@lru_cache(maxsize=1)
def embedded() -> PromoterMotifs:
    """The model in the wheel."""
    return load(Path(str(files("grn.models") / "weights" / "promoter-motifs.safetensors")))
