"""Prior probabilities of edges, from any edge table: what makes some regulators likelier than others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import GeneOverlapError, GroupError, NetworkError, ParameterError
from grn._core.logging import hint, some
from grn.methods.cells import pair_places
from grn.methods.group import Group
from grn.methods.inputs import Inputs
from grn.network import Network

# columns that may hold the probability, the first that a table has is read; without any, every listed edge has 1
COLUMNS = ("probability", "weight", "score")
_TAKES = "a table or Network of edges, the key of a network in adata.uns, or None"


def edge_prior(inputs: Inputs, prior: Any) -> pd.DataFrame | None:
    """Edges and their prior probability, in names of the object, for the groups of the task.

    Parameters
    ----------
    inputs
        The object and what is asked.
    prior
        As in :func:`named_edges`. ``None`` for no prior.

    Returns
    -------
    DataFrame or None
        As :func:`named_edges`; without ``group`` where the task has no groups.

        Groups are matched by name. Where the task has none, those of the prior are one: an edge has the highest of its
        probabilities.

    Raises
    ------
    GroupError
        If groups of the task have no prior.
    """
    if prior is None:
        return None
    table = named_edges(inputs, prior)
    if "group" not in table:
        return table
    there = sorted(set(table["group"]))
    if inputs.task.groupby is None:
        if len(there) > 1:
            hint(
                "prior= has %d groups (%s) and the cells are not grouped: an edge has its highest probability in any "
                "of them. Pass groupby= to give every group of cells its own, or one of them, such as "
                "prior[prior['group'] == %r]",
                *(len(there), some(there), there[0]),
            )
        return table.groupby(["source", "target"], as_index=False)["probability"].max()
    lacking = [name for name in inputs.groups[0] if name not in there]
    if lacking:
        raise GroupError(
            f"prior= has no edges for {len(lacking)} groups of {inputs.task.groupby!r}: {some(lacking)}; it has "
            f"{some(there)}. Pass one prior for all of them: prior.drop(columns='group')."
        )
    unused = [name for name in there if name not in inputs.groups[0]]
    if unused:
        hint("%d groups of prior= are no groups of the cells, and are not read: %s", len(unused), some(unused))
    return table


def named_edges(inputs: Inputs, prior: Any) -> pd.DataFrame:
    """Edges and their prior probability, in names of the object; reading the result again changes nothing.

    Parameters
    ----------
    inputs
        The object.
    prior
        Table ``source, target`` with one of ``probability``, ``weight`` (its absolute value) or ``score``, read in this
        order, or none of them (every listed edge has 1); a :class:`grn.Network`; or the key of a stored one. Names are
        matched as :func:`grn.pp.base_grn` does.

    Returns
    -------
    DataFrame
        ``source, target, probability`` and, where the prior has it, ``group``.

    Raises
    ------
    ParameterError
        If it is nothing of this.
    NetworkError
        If columns are missing, values are missing or no probabilities, or no edge is left.
    GeneOverlapError
        If object and table share too few genes.
    """
    table = _edges(inputs, prior)
    plain = pd.DataFrame({name: table[name].astype(object) for name in ("source", "target")})
    plain["score"] = _probability(table)
    if not (plain["score"] > 0).any():
        raise NetworkError("prior= gives every edge the probability 0; pass probabilities above 0, or None.")
    if "group" not in table.columns:
        return _named(inputs, plain)
    of_row = table["group"].astype(str).to_numpy()
    parts = [_named(inputs, plain[of_row == name]).assign(group=name) for name in sorted(set(of_row))]
    return pd.concat(parts, ignore_index=True)


def probabilities(group: Group, prior: pd.DataFrame | None, floor: float) -> np.ndarray:
    """Prior probability (T, S) of every pair of a group: ``floor`` for those not listed, and for those below it.

    Raises
    ------
    GeneOverlapError
        If no listed edge joins a source and a target of the group.
    """
    likely = np.full((len(group.targets), len(group.sources)), floor)
    if prior is None:
        return likely
    if "group" in prior:
        prior = prior[prior["group"] == group.name]
    rows, columns = pair_places(prior, group)
    inside = (rows >= 0) & (columns >= 0)
    if not inside.any():
        raise GeneOverlapError(
            f"none of the {len(prior)} edges of prior= joins one of {len(group.sources)} sources and one of "
            f"{len(group.targets)} targets; pass sources= and targets= that it lists, or another prior."
        )
    likely[rows[inside], columns[inside]] = np.maximum(prior["probability"].to_numpy()[inside], floor)
    return likely


def _edges(inputs: Inputs, prior: Any) -> pd.DataFrame:
    if isinstance(prior, str):
        return inputs.stored_network(prior).edges
    if isinstance(prior, Network):
        return prior.edges
    if not isinstance(prior, pd.DataFrame):
        raise ParameterError(f"prior={checks.shown(prior)} is a {type(prior).__name__}; pass {_TAKES}.")
    missing = [name for name in ("source", "target") if name not in prior.columns]
    if missing:
        raise NetworkError(
            f"prior= lacks {' and '.join(missing)}; its columns are {list(prior.columns[:8])}. Expected source, target "
            f"and one of {', '.join(COLUMNS)}: rename them, prior.rename(columns={{'TF': 'source', 'gene': 'target'}})."
        )
    if prior.empty:
        raise NetworkError("prior= has no rows; pass at least one edge, or None for no prior.")
    return prior


def _probability(table: pd.DataFrame) -> np.ndarray:
    """One probability per row."""
    column = next((name for name in COLUMNS if name in table.columns), None)
    if column is None:
        return np.ones(len(table))
    try:
        values = table[column].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise NetworkError(f"column {column!r} of prior= holds no numbers ({error}).") from error
    if column == "weight":
        values = np.abs(values)
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        examples = ", ".join(f"{value:g}" for value in values[wrong][:3])
        raise NetworkError(
            f"column {column!r} of prior= has {int(wrong.sum())} of {len(values)} values that are no probability, such "
            f"as {examples}; expected 0 to 1. Pass probabilities, or ranks: "
            f"prior.assign(probability=prior[{column!r}].abs().rank(pct=True)), or the edges alone: "
            "prior[['source', 'target']]."
        )
    return values


def _named(inputs: Inputs, table: pd.DataFrame) -> pd.DataFrame:
    """In names of the object, every pair once, with its highest probability."""
    try:
        matched = inputs.matched(table)
    except (GeneOverlapError, NetworkError) as error:
        raise type(error)(f"prior=: {error}") from error
    return matched.astype({"source": str, "target": str}).rename(columns={"score": "probability"})
