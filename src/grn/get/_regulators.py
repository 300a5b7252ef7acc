"""Tables of ranked regulators out of any object that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import GroupError, ParameterError, ResultNotFoundError
from grn._core.labels import asked
from grn._core.logging import one_voice
from grn._object.container import check_type
from grn.network.filters import Names

if TYPE_CHECKING:
    from anndata import AnnData

# where the functions that rank regulators keep their table
_TABLES = ("table", "regulators")


@one_voice
def regulators(
    adata: AnnData,
    *,
    key: str = "differential_activity",
    group: Names = None,
    max_q: float | None = None,
    top: int | None = None,
) -> pd.DataFrame:
    """Give a table of ranked regulators, filtered.

    Parameters
    ----------
    adata
        AnnData with a table of :func:`grn.tl.differential_activity`, :func:`grn.tl.rank_drivers` or
        :func:`grn.tl.rank_regulators` in ``uns[key]``.
    key
        Entry of ``uns``: what those functions call ``key_added``, or the network that was ranked.
    group
        One group or several; all by default.
    max_q
        Largest ``qval``; needs that column.
    top
        Largest ``rank``, per group.

    Returns
    -------
    DataFrame
        A copy with the columns that the function describes, sorted by group and rank.

    Raises
    ------
    ResultNotFoundError
        There is no such table under ``key``.
    GroupError
        The table has no such group.
    ParameterError
        ``max_q`` was passed for a table without ``qval``, or a number is out of range.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=120, n_regulators=3, n_targets=30)
    >>> grn.tl.rank_drivers(adata, condition="group", group="group_1", net=grn.Network(adata.uns["truth"]))
    >>> grn.get.regulators(adata, key="drivers", top=1)["rank"].tolist()
    [1]
    """
    check_type(adata)
    table = _table(adata, key)
    keep = pd.Series(np.ones(len(table), dtype=bool), index=table.index)
    if group is not None:
        wanted = asked(group)
        groups = table["group"].astype(str) if "group" in table else pd.Series(index=table.index, dtype=str)
        there = list(groups.dropna().unique())
        lacking = [name for name in wanted if name not in there]
        if lacking:
            raise GroupError(
                f"the regulators in uns[{key!r}] have no group {', '.join(map(repr, lacking))}; "
                f"they have {', '.join(there[:10]) or 'none'}."
            )
        keep &= groups.isin(wanted)
    if max_q is not None:
        if "qval" not in table:
            raise ParameterError(f"the regulators in uns[{key!r}] have no column 'qval'; leave max_q=None.")
        keep &= table["qval"] <= checks.number("max_q", max_q, least=0.0)
    if top is not None:
        keep &= table["rank"] <= checks.integer("top", top, least=1)
    return table[keep].reset_index(drop=True)


def _table(adata: AnnData, key: str) -> pd.DataFrame:
    """A copy of the table in an entry of ``uns``."""
    entry = adata.uns.get(key)
    for name in _TABLES:
        table = entry.get(name) if isinstance(entry, Mapping) else None
        if isinstance(table, pd.DataFrame) and {"regulator", "rank"} <= set(table.columns):
            return table.copy()
    ranked = [name for name, other in adata.uns.items() if isinstance(other, Mapping) and set(_TABLES) & set(other)]
    raise ResultNotFoundError(
        f"uns[{key!r}] holds no ranked regulators; entries that may: {', '.join(map(repr, ranked)) or 'none'}. Run "
        "grn.tl.differential_activity, grn.tl.rank_drivers or grn.tl.rank_regulators first."
    )
