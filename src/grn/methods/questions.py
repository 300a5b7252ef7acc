"""Questions that people bring, which methods answer them, and with which one to start."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from grn.methods.measured import Measure, measures
from grn.methods.record import METHODS, Method


@dataclass(frozen=True)
class Question:
    """What is asked, and who can answer.

    Parameters
    ----------
    name
        Short name.
    asks
        The question in words.
    answered
        Whether a record answers it.
    lacking
        What an object must have where none of the methods can run.
    published
        Whether a published network answers it too, beside a contrast.
    holding
        What an object must hold beside what the method needs, as :func:`grn.methods.holdings.holdings` names it.
    by_group
        Whether it is asked of groups of cells.
    after
        The call that answers it once a method has run.
    caution
        What else is known of the answers, with the page that says it.
    """

    name: str
    asks: str
    answered: Callable[[Method], bool]
    lacking: str
    published: bool = False
    holding: str = ""
    by_group: bool = False
    after: Callable[[Method], str] | None = None
    caution: str = ""

    @property
    def measures(self) -> dict[str, Measure]:
        """What has been measured that tells of it."""
        return {name: measure for name, measure in measures().items() if measure.question == self.name}


@dataclass(frozen=True)
class Start:
    """The method to start with, ``""`` if none can run, and why."""

    method: str
    why: str


def _of_a_knockout(record: Method) -> str:
    if record.knockout is not None:
        return "grn.tl.predict_knockout(adata, genes='GENE', key='grn')"
    return "grn.tl.simulate(adata, perturbation={'GENE': 0})"


QUESTIONS = (
    Question(
        "known",
        "which regulators act on which genes, in any cells?",
        lambda record: True,
        "expression, or names of genes that the model knows",
        caution="it knows associations of many tissues, not your contrast (methods/universal)",
    ),
    Question(
        "cells",
        "how are these cells, or every group of them, wired?",
        lambda record: "cells" in record.needs,
        "expression of some tens of cells",
        by_group=True,
        caution="simulated cells are made for linear methods, and a hidden cause misleads all (methods/index)",
    ),
    Question(
        "drivers",
        "which regulators drive the difference of two conditions or types of cell?",
        lambda record: True,
        "a column of obs with the two sides",
        published=True,
        caution="compare with the change of the regulator itself, which is hard to beat (bench/drivers)",
    ),
    Question(
        "regions",
        "through which regions of open chromatin?",
        lambda record: "regions" in record.needs,
        "open chromatin of the same cells, in a MuData",
        caution="in sorted lines none was ahead of correlation by more than chance (methods/linger)",
    ),
    Question(
        "screen",
        "which effects of knock-outs are direct?",
        lambda record: "perturbation" in record.needs,
        "knock-outs at two or more times",
        caution="a hidden cause costs it more than others (methods/index)",
    ),
    Question(
        "dynamics",
        "how does regulation change along a trajectory?",
        lambda record: "dynamics" in record.tables or ("time" in record.needs and "perturbation" not in record.needs),
        "a trajectory",
        holding="trajectory",
        caution="its lead is within the spread of simulations, and no model of dynamics was better than correlation at "
        "direct against indirect edges (dynamics)",
    ),
    Question(
        "knockout",
        "what does a knock-out change in the expression of other genes?",
        lambda record: record.knockout is not None or "simulation" in record.tables,
        "expression of some tens of cells",
        after=_of_a_knockout,
        caution="leads are within the spread of simulations; of two knock-outs that were measured in mice none was "
        "predicted (methods/flecs, methods/dictys)",
    ),
)


def start(question: Question, able: Collection[str]) -> Start:
    """The method with the largest figure above its baseline among those that answer, and can run.

    Parameters
    ----------
    question
        What is asked.
    able
        Names of the methods that can run.
    """
    there = [name for name in METHODS if name in able and question.answered(METHODS[name])]
    outside = {name for m in question.measures.values() for name in m.values if name not in METHODS}
    known = set(there) | (outside if question.published else set())
    gains = [
        (gain, name, measure)
        for measure in question.measures.values()
        for name in sorted(known)
        if (gain := measure.gain(name)) is not None
    ]
    if not known:
        return Start("", f"needs {question.lacking}")
    if not gains:
        return Start(sorted(known)[0], "nothing was measured of those that can run")
    gain, name, measure = max(gains, key=lambda entry: entry[0])
    first = "first of those measured" if sum(other == gain for other, _, _ in gains) == 1 else "no other is ahead"
    ahead = first if gain > 0 else "least behind: none that can run was ahead of the baseline"
    return Start(name, f"{ahead}, {measure.told(name)}; see {measure.page}")
