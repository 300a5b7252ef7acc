"""What the fit of a method predicts after knock-outs: question, answer, and the way from an object to a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import GeneNameError, ParameterError
from grn._object.container import check_type
from grn._object.gene_sets import gene_sets
from grn._object.genes import spelled
from grn.methods.fits import stored_fit
from grn.methods.genes import rows_of

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class Question:
    """Knock-outs that are asked of a fit.

    Parameters
    ----------
    sets
        Positions, among the ``genes`` of the fit, of the genes that are knocked out together, one array per knock-out.
    dose
        Share of the expression that is taken away: 1 is a knock-out.
    times
        Times to predict (T,), ``None`` for those of the fit.
    max_steps
        Longest path that counts, ``None`` for all.
    difference
        Whether the change against no knock-out is asked for, or else expression.
    """

    sets: Sequence[np.ndarray]
    dose: float
    times: np.ndarray | None
    max_steps: int | None
    difference: bool

    def refuse(self, system: str, *arguments: str) -> None:
        """Refuse arguments that mean nothing for the fits of a system."""
        given = [name for name in arguments if getattr(self, name) is not None]
        if given:
            raise ParameterError(
                f"{given[0]}={getattr(self, given[0])!r} means nothing for a fit of {system}; leave it out."
            )


@dataclass(frozen=True)
class Course:
    """Expression, or its change, after knock-outs.

    Parameters
    ----------
    times
        Times (T,); ``inf`` for the steady state.
    values
        Expression of all genes of the fit, or its change where that is asked for (K, T, G).
    """

    times: np.ndarray
    values: np.ndarray


# what a record answers for its fit and the parameters of its network
Answer = Callable[[Mapping[str, Any], Mapping[str, Any], Question], Mapping[str, Course]]


def knockouts(
    adata: AnnData,
    genes: str | Sequence[str | Sequence[str]],
    key: str,
    *,
    times: Sequence[float] | None,
    dose: float,
    max_steps: int | None,
    difference: bool,
) -> pd.DataFrame:
    """Expression after knock-outs; see :func:`grn.tl.predict_knockout`."""
    check_type(adata)
    stored = stored_fit(adata, key, "knockout", "predicts knock-outs")
    names = stored.genes
    amount = float(checks.number("dose", dose, note=", 1 for a knock-out"))
    sets = _sets(adata, names, genes, key)
    moments = None if times is None else _times(times)
    steps = None if max_steps is None else checks.integer("max_steps", max_steps, least=1)
    question = Question(sets, amount, moments, steps, bool(difference))
    answer = cast(Answer, stored.record.knockout)
    courses = answer(stored.fit, stored.params, question)
    labels = ["+".join(names[knocked]) for knocked in sets]
    by_group = {group: _table(course, labels, names) for group, course in courses.items()}
    table = pd.concat(by_group, names=["group"]) if list(by_group) != [""] else by_group[""]
    return table.xs(labels[0], level="knockout") if isinstance(genes, str) else table


def _table(course: Course, labels: list[str], names: np.ndarray) -> pd.DataFrame:
    """One row per knock-out and time."""
    index = pd.MultiIndex.from_product([labels, course.times], names=["knockout", "time"])
    return pd.DataFrame(course.values.reshape(len(index), len(names)), index=index, columns=names)


def _sets(adata: AnnData, names: np.ndarray, genes: object, key: str) -> list[np.ndarray]:
    """Positions among the genes of the fit of those that are knocked out together, one array per knock-out."""
    together = gene_sets(genes)
    asked = spelled(adata, [gene for genes in together for gene in genes])
    _positions(names, asked, key)
    place = {str(name): k for k, name in enumerate(names)}
    starts = np.cumsum([len(genes) for genes in together])[:-1]
    # in the order of the names, so that a set is one set however it is written
    sets = [
        tuple(sorted(part.tolist(), key=names.__getitem__))
        for part in np.split(np.array([place[gene] for gene in asked]), starts)
    ]
    gene_sets([names[list(positions)] for positions in sets])  # two spellings may be one gene
    return [np.array(positions) for positions in dict.fromkeys(sets)]


def _positions(names: np.ndarray, wanted: Sequence[str], key: str) -> np.ndarray:
    try:
        return rows_of(names, list(wanted), "genes")
    except GeneNameError as error:
        message = str(error).replace("adata.var_names", f"the network in uns[{key!r}]")
        raise GeneNameError(f"{message} It has {len(names)} genes.") from error


def _times(times: Sequence[float]) -> np.ndarray:
    try:
        days = np.atleast_1d(np.asarray(times, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ParameterError(f"times={times!r}; pass a list of numbers.") from error
    if days.ndim != 1 or not len(days) or not np.isfinite(days).all():
        raise ParameterError(f"times={times!r}; pass a list of numbers.")
    return days
