"""Which cells an in-silico perturbation starts from, and which states it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from grn._core.errors import GroupError, ParameterError
from grn._object.groups import FEWEST_OF_A_MEAN, draw_cells, label_codes

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class States:
    """States of cells, labels of one column of ``obs``.

    Parameters
    ----------
    column
        The column; ``None`` for cells without states.
    start
        State of the cells that are perturbed.
    goal
        State they should move towards; ``None`` for no comparison.
    others
        Further states to compare with.
    """

    column: str | None = None
    start: str | None = None
    goal: str | None = None
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class StartCells:
    """Rows of the cells that are perturbed, by group, and those of the states they are compared with."""

    groups: dict[str, np.ndarray]
    states: dict[str, np.ndarray] = field(default_factory=dict)


def states_of(column: object, start: object, goal: object, others: Sequence[str] | None) -> States:
    """States as asked for, checked as far as no object is needed."""
    given = {"start_state": start, "goal_state": goal, "alt_states": others}
    named = [name for name, value in given.items() if value is not None]
    if column is None:
        if named:
            raise ParameterError(
                f"{', '.join(named)} given without state_key=; pass the column of obs with the states."
            )
        return States()
    if start is None:
        raise ParameterError(f"state_key={column!r} needs start_state=: the state of the cells that are perturbed.")
    if others is not None and goal is None:
        raise ParameterError("alt_states= needs goal_state=: the state that cells should move towards.")
    if isinstance(others, str):
        raise ParameterError(f"alt_states={others!r} is a single string; pass a list of states.")
    listed = [str(state) for state in (start, goal, *(others or ())) if state is not None]
    if len(set(listed)) < len(listed):
        raise ParameterError(f"start_state, goal_state and alt_states name a state twice: {', '.join(listed)}.")
    return States(str(column), listed[0], None if goal is None else listed[1], tuple(listed[2:]))


def start_cells(adata: AnnData, states: States, groupby: str | None, max_cells: int | None, seed: int) -> StartCells:
    """Draw the cells to perturb and those of every state, at most ``max_cells`` of each, by name.

    Raises
    ------
    GroupError
        If the column or a state is missing, a group has no cell to start from, or a state too few for a mean.
    """
    if states.column is None or states.start is None:
        return StartCells(draw_cells(adata, groupby, max_cells, seed))
    names, codes = label_codes(adata.obs, states.column)
    compared = [state for state in (states.goal, *states.others) if state is not None]
    masks = {}
    for state in (states.start, *compared):
        if state not in names:
            there = ", ".join(names[:8])
            raise GroupError(f"obs[{states.column!r}] has no state {state!r}; states: {there}.")
        masks[state] = codes == names.index(state)
    groups = draw_cells(adata, groupby, max_cells, seed, among=masks[states.start])
    for group, rows in groups.items():
        if not len(rows):
            raise GroupError(
                f"group {group!r} of obs[{groupby!r}] has no cell of start_state={states.start!r}; leave it out."
            )
    # the mean of the start is a landmark too: cells that leave it need not come nearer to the goal
    landmarks = [*compared, states.start] if compared else []
    drawn = {s: draw_cells(adata, None, max_cells, seed, among=masks[s])[""] for s in landmarks}
    few = [f"{state} ({len(rows)})" for state, rows in drawn.items() if len(rows) < FEWEST_OF_A_MEAN]
    if few:
        raise GroupError(
            f"states of obs[{states.column!r}] with fewer than {FEWEST_OF_A_MEAN} cells have no mean: {', '.join(few)}."
        )
    return StartCells(groups, drawn)
