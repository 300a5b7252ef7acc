"""Which genes a drug acts on, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from grn._core.errors import ParameterError
from grn._core.logging import logger
from grn.methods.inputs import Inputs

ACTIONS = ("antagonist", "agonist")


@dataclass(frozen=True)
class Drug:
    """Targets of a drug (names) and what it does to each."""

    targets: tuple[str, ...]
    actions: tuple[str, ...]
    name: str = ""


def drug_of(
    inputs: Inputs, given: Sequence[str] | pd.DataFrame, action: str, drug: str | None
) -> tuple[Drug, list[str]]:
    """The drug asked for, and its targets that the object lacks."""
    if action not in ACTIONS:
        raise ParameterError(f"action={action!r}; pass one of {', '.join(ACTIONS)}.")
    if not isinstance(given, pd.DataFrame):
        if drug is not None:
            raise ParameterError(f"drug={drug!r} names a row of a table; pass the table as drug_targets=.")
        targets = tuple(inputs.names[inputs.positions(given, "drug_targets")].tolist())
        return Drug(targets, (action,) * len(targets)), []
    table = _rows_of_drug(given, drug)
    table = table.assign(target=inputs.spelled(table["target"]))
    known = table[table["target"].isin(inputs.names)].drop_duplicates("target")
    lost = sorted(set(table["target"]) - set(known["target"]))
    if known.empty:
        raise ParameterError(f"none of the targets of {drug!r} is in adata.var_names: {', '.join(lost[:5])}.")
    if lost:
        logger.warning("%d targets of %s are not in adata.var_names: %s", len(lost), drug, ", ".join(lost[:5]))
    actions = tuple(known["action"]) if "action" in known else (action,) * len(known)
    wrong = sorted(set(actions) - set(ACTIONS))
    if wrong:
        raise ParameterError(f"the table has the action {wrong[0]!r} for {drug!r}; use {' or '.join(ACTIONS)}.")
    return Drug(tuple(known["target"]), actions, str(drug)), lost


def _rows_of_drug(table: pd.DataFrame, drug: str | None) -> pd.DataFrame:
    missing = [name for name in ("drug", "target") if name not in table]
    if missing:
        there = ", ".join(map(str, table.columns)) or "no columns"
        raise ParameterError(
            f"the table of drugs lacks {', '.join(missing)}; it has {there}. "
            "Pass a DataFrame with the columns drug, target and optionally action, or a list of genes."
        )
    there = list(dict.fromkeys(table["drug"].astype(str)))
    if drug is None or str(drug) not in there:
        some = ", ".join(there[:5]) or "none"
        raise ParameterError(f"drug={drug!r} is not one of the {len(there)} drugs of the table, such as {some}.")
    columns = [name for name in ("drug", "target", "action") if name in table]
    return table.loc[table["drug"].astype(str) == str(drug), columns].astype(str)
