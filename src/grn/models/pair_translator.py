"""A translator in one line: the logistic function of a few numbers of a pair of genes, readable as text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from grn._core import checks
from grn._core.errors import CapabilityError, ParameterError, WeightsError, WeightsNotFoundError
from grn._core.files import as_path, written
from grn.models._bounds import number, parsed
from grn.models.protocol import FoundationModel

FORMAT = "grn.pair_translator/1"
NAMES = ("cells", "universal")
# of the squared coefficients, on standardised columns
PENALTY = 1e-3
_LARGEST = 1e6


@dataclass(frozen=True)
class PairTranslator:
    """Coefficients of a logistic regression of edges on columns of numbers per pair.

    Parameters
    ----------
    name
        Name, such as ``"universal"``.
    columns
        Names of the numbers it reads, in order.
    mean, spread
        Per column, over the training pairs.
    coefficients
        Per column in units of its spread.
    intercept
        Logit of a pair whose columns are at their means.
    background
        Background the responses were read on.
    model, model_sha256
        Foundation model behind the responses, and the hash of its weights.
    seen
        What it has read, for tables that compare methods.
    """

    name: str
    columns: tuple[str, ...]
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    background: str
    model: str
    model_sha256: str
    seen: str

    @property
    def sha256(self) -> str:
        """Hash of all that computes."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def logits(self, table: Mapping[str, np.ndarray]) -> np.ndarray:
        """Edge logits.

        Parameters
        ----------
        table
            Column by name, all of one shape.

        Returns
        -------
        ndarray
            float64 of that shape; NaN where a column is NaN.

        Raises
        ------
        ParameterError
            If a column is missing.
        """
        missing = [name for name in self.columns if name not in table]
        if missing:
            raise ParameterError(
                f"the translator {self.name!r} reads {', '.join(self.columns)}; {', '.join(missing)} is missing."
            )
        total: Any = self.intercept
        for name, mean, spread, weight in zip(self.columns, self.mean, self.spread, self.coefficients, strict=True):
            total = total + (weight / spread) * (np.asarray(table[name], dtype=np.float64) - mean)
        return np.asarray(total)

    def probability(self, table: Mapping[str, np.ndarray]) -> np.ndarray:
        """Edge probabilities: the logistic function of :meth:`logits`."""
        return np.asarray(expit(self.logits(table)))

    def save(self, path: str | Path) -> Path:
        """Write ``path``, a text file, and return it."""
        path = as_path(path)
        with written(path) as place:
            place.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n")
        return path

    @classmethod
    def load(cls, path: str | Path) -> PairTranslator:
        """Read what :meth:`save` wrote.

        Raises
        ------
        WeightsNotFoundError
            If there is no such file.
        WeightsError
            If it does not describe such a translator.
        """
        path = as_path(path)
        if not path.is_file():
            raise WeightsNotFoundError(f"no file {path}; pass the path given to PairTranslator.save.")
        try:
            told = dict(parsed(path.read_text(), path))
            if told.pop("format") != FORMAT:
                raise WeightsError(f"{path} is no pair translator; expected the format {FORMAT!r}.")
            lists = {key: tuple(told[key]) for key in ("columns", "mean", "spread", "coefficients")}
            made = cls(**{**told, **lists})
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise WeightsError(f"{path} does not describe a pair translator ({error}).") from error
        _check(made, path)
        return made


def fitted(
    name: str,
    table: Mapping[str, np.ndarray],
    labels: np.ndarray,
    *,
    weights: np.ndarray,
    penalty: float,
    background: str,
    model: FoundationModel,
    seen: str,
) -> PairTranslator:
    """Fit by penalised maximum likelihood: Newton's method on standardised columns, the intercept free.

    Parameters
    ----------
    name, background, model, seen
        As of :class:`PairTranslator`.
    table
        Column by name (N,).
    labels
        1 for edges, 0 for non-edges (N,).
    weights
        Weight of every pair (N,).
    penalty
        Half of it times the squared coefficients is added to the mean log-loss.
    """
    X = np.stack([np.asarray(column, dtype=np.float64) for column in table.values()], axis=1)  # (N, K)
    w = weights / weights.sum()
    mean = w @ X
    spread = np.sqrt(w @ np.square(X - mean))
    spread = np.where(spread > 1e-6, spread, 1.0)
    Z = np.column_stack([(X - mean) / spread, np.ones(len(X))])  # (N, K + 1)
    ridge = penalty * np.append(np.ones(X.shape[1]), 0.0)
    beta = np.zeros(Z.shape[1])
    for _ in range(50):
        p = expit(Z @ beta)
        step = np.linalg.solve(
            (Z * (w * p * (1 - p))[:, None]).T @ Z + np.diag(ridge), Z.T @ (w * (labels - p)) - ridge * beta
        )
        beta = beta + step
        if np.abs(step).max() < 1e-10:
            break
    return PairTranslator(
        name=name,
        columns=tuple(table),
        mean=_rounded(mean),
        spread=_rounded(spread),
        coefficients=_rounded(beta[:-1]),
        intercept=_rounded(beta[-1:])[0],
        background=background,
        model=model.name,
        model_sha256=model.sha256,
        seen=seen,
    )


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 9) for value in values)


def embedded(model: FoundationModel, name: str) -> PairTranslator:
    """Return the shipped translator of a name for a model.

    Raises
    ------
    ParameterError
        If there is no such name.
    CapabilityError
        If none is shipped for the model with these weights.
    """
    checks.word("translator", name, NAMES)
    path = Path(str(files("grn.models") / "weights" / f"{model.name}-{name}.json"))
    if path.is_file():
        made = _load(path)
        if made.model_sha256 == model.sha256:
            return made
    raise CapabilityError(
        f"no translator {name!r} is shipped for {model.name!r} with these weights; use its raw strength, "
        "grn.tl.infer_network(adata, method='vvp', params={'translator': None}), or fit one with grn.tl.fit_translator."
    )


@lru_cache(maxsize=8)
def _load(path: Path) -> PairTranslator:
    return PairTranslator.load(path)


def _check(made: PairTranslator, path: Path) -> None:
    """Refuse what could not have been fitted."""
    sizes = {len(made.columns), len(made.mean), len(made.spread), len(made.coefficients)}
    if len(sizes) != 1 or not made.columns or not all(isinstance(column, str) for column in made.columns):
        raise WeightsError(f"{path} names {len(made.columns)} columns and has other numbers of coefficients.")
    values = {f"{key}[{i}]": v for key in ("mean", "spread", "coefficients") for i, v in enumerate(getattr(made, key))}
    for key in values:
        number(values, key, path, kind=float, least=None if key.startswith("spread") else -_LARGEST, most=_LARGEST)
    number({"intercept": made.intercept}, "intercept", path, kind=float, least=-_LARGEST, most=_LARGEST)
