"""Put cells on a trajectory: a tree of edges along which windows move and lineages part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from anndata import AnnData

from grn._core.errors import GroupError, ParameterError
from grn._core.logging import one_voice
from grn._core.names import check_key
from grn._object.container import check_target, target, validate
from grn._object.groups import cell_names
from grn._object.modalities import on_mudata
from grn._object.trajectory import KEY, Trajectory, write_trajectory
from grn.pp._trajectory_lineages import of_pseudotime, of_stages
from grn.pp._trajectory_paga import of_paga
from grn.pp._trajectory_table import of_table

if TYPE_CHECKING:
    from mudata import MuData

# what a trajectory is made from -> arguments that go with it, and those of them that it needs
_TOGETHER = {
    "edges": (("edges", "cells", "root"), ("edges", "cells")),
    "paga": (("paga", "pseudotime", "root"), ("paga", "pseudotime", "root")),
    "time": (("time", "lineages"), ("time",)),
    "pseudotime": (("pseudotime", "lineages"), ("pseudotime",)),
}


@one_voice
@on_mudata
def trajectory(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    pseudotime: str | None = None,
    time: str | None = None,
    lineages: str | Sequence[str] | pd.DataFrame | None = None,
    paga: str | None = None,
    edges: pd.DataFrame | None = None,
    cells: pd.DataFrame | None = None,
    root: str | None = None,
    key_added: str = KEY,
    copy: bool = False,
) -> AnnData | MuData | None:
    """Put cells on a tree of edges, from a pseudotime, stages, a PAGA graph, or a table.

    Exactly one of these makes a trajectory:

    - ``pseudotime``, with ``lineages`` if there are several;
    - ``time``, with ``lineages`` if there are several: stages, each of them a node;
    - ``paga`` with ``pseudotime`` and ``root``: groups of cells are nodes, and each follows the one that it is most
      connected to among those that are earlier;
    - ``edges`` with ``cells``, and ``root`` if the edges do not tell it: what other programs found.

    Parameters
    ----------
    adata
        Annotated matrix (cells, genes). Values are not read.
    rna
        Modality of the MuData that holds the cells; read only where ``adata`` is one.
    pseudotime
        Column of ``obs`` with finite numbers that grow along the trajectory, such as ``"dpt_pseudotime"``.
    time
        Column of ``obs`` with stages: ordered categories, which become the times 0, 1, 2, ..., or numbers.
    lineages
        Who belongs to which lineage: a column of ``obs`` with labels, each cell in one; several columns with True and
        False; or a table of these by the names of the cells. Two lineages are one until the last cell that belongs to
        both. Cells that belong to none are off the trajectory. By default all are on one, called ``"main"``.
    paga
        Key of ``uns`` where ``sc.tl.paga`` left its graph.
    edges
        Table of edges: ``start``, ``end`` (names of nodes), ``length``, and ``edge`` if they have names. They have to
        form one tree, and may run towards the root.
    cells
        Table by the names of the cells: the name of the ``edge`` of each, or its ``start`` and ``end``, and ``place``,
        the distance from the start of the edge. Cells that it lacks are off the trajectory.
    root
        Where the trajectory begins: a group of ``paga``, or a node of ``edges``.
    key_added
        Slot of the result.
    copy
        Return a new object instead of writing into ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes

        ``uns[key_added]``
            ``edges``: ``edge``, ``start``, ``end``, ``length``, each after the one that leads to it; ``lineages``:
            ``lineage``, ``edge``, ``order``, paths from the root to the leaves, that share their first edges;
            ``params``.
        ``obs[key_added + "_edge"]``, ``obs[key_added + "_place"]``, ``obs[key_added + "_time"]``
            The edge of every cell, its distance from the start of the edge, and from the root; missing off the
            trajectory.

    Raises
    ------
    ParameterError
        If arguments do not go together, a time is missing, infinite or the same in all cells, edges form no tree, or
        a cell or the root is not on them.
    GroupError
        If a column is missing, a lineage has no cells, or none of its own, or a group is not connected.
    ResultNotFoundError
        If ``uns`` has no PAGA graph.

    Notes
    -----
    Lengths are in units of the pseudotime, or of ``edges``. With ``paga`` a group is earlier than another if its median
    is before the first quartile of that; for a group that none precedes so, if its median is before that of it. Where
    this holds along the maximum spanning tree of the connectivities, it is that tree; where it does not, the spanning
    tree would lead back in time, or from sister to sister. A group stands at the median of its cells, the root at the
    first cell, and a leaf at the last one; cells are on the path to their group at their pseudotime, and those past
    their group on the way to the group after it, of several the one whose cells are nearest in
    ``obsp["connectivities"]``. Nothing depends on the order of the cells. Cost: a pass over the cells for each lineage;
    with ``paga`` a search of the graph for every branch.

    Examples
    --------
    >>> import numpy as np
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=8)
    >>> adata.obs["pseudotime"] = np.linspace(0, 2, 60)
    >>> adata.obs["neuron"] = adata.obs["pseudotime"] < 1.5
    >>> adata.obs["glia"] = (adata.obs["pseudotime"] < 0.5) | ~adata.obs["neuron"]
    >>> grn.pp.trajectory(adata, pseudotime="pseudotime", lineages=["neuron", "glia"])
    >>> list(adata.uns["trajectory"]["edges"]["edge"])
    ['root>glia+neuron', 'glia+neuron>neuron', 'glia+neuron>glia']
    """
    validate(adata)
    check_key(key_added)
    check_target(adata, copy=copy, key=key_added)
    given = {
        "pseudotime": pseudotime, "time": time, "lineages": lineages, "paga": paga, "edges": edges, "cells": cells,
        "root": root,
    }  # fmt: skip
    kind = _kind({name for name, value in given.items() if value is not None})
    if not adata.n_obs:
        raise GroupError("the object has no cells to put on a trajectory; load it with its cells.")
    cell_names(adata)
    made = _made(adata, kind, given)
    out = target(adata, copy=copy)
    write_trajectory(out, key_added, made, {"source": kind, **_recorded(given)})
    return out if copy else None


def _kind(given: set[str]) -> str:
    """What the trajectory is made from; refuses arguments that are missing or do not go together."""
    kind = next((name for name in _TOGETHER if name in given), None)
    if kind is None:
        with_it = f"{', '.join(sorted(given))} alone {'do' if len(given) > 1 else 'does'} not. " if given else ""
        raise ParameterError(
            f"{with_it}Pass what makes a trajectory: pseudotime=, time=, paga= with pseudotime= and root=, or edges= "
            "with cells=."
        )
    allowed, needed = _TOGETHER[kind]
    missing = [name for name in needed if name not in given]
    if missing:
        raise ParameterError(f"{kind}= needs {' and '.join(f'{name}=' for name in missing)} too.")
    strange = sorted(given - set(allowed))
    if strange:
        others = [f"{name}=" for name in allowed if name != kind]
        raise ParameterError(
            f"{strange[0]}= has no meaning beside {kind}=, which takes {' and '.join(others)}; leave out one of them."
        )
    return kind


def _made(adata: AnnData, kind: str, given: dict[str, Any]) -> Trajectory:
    if kind == "edges":
        return of_table(adata, given["edges"], given["cells"], given["root"])
    if kind == "paga":
        return of_paga(adata, given["paga"], given["pseudotime"], given["root"])
    if kind == "time":
        return of_stages(adata, given["time"], given["lineages"])
    return of_pseudotime(adata, given["pseudotime"], given["lineages"])


def _recorded(given: dict[str, Any]) -> dict[str, Any]:
    """Arguments as they are kept: of tables only that they were given, as the result holds what they said."""
    return {name: "a table" if isinstance(value, pd.DataFrame) else value for name, value in given.items()}
