"""Which cells make a metacell: draws that depend on names alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core.errors import ParameterError
from grn._core.rng import child, sample_names
from grn._kernels.partition import partition
from grn._kernels.smooth import anchors, metacells
from grn.pp._metacell_sides import Sides

# metacells by label: every cell is in about so many, and there are at most so many of a label
_TIMES, _MOST = 5, 1000


@dataclass(frozen=True)
class Drawn:
    """Sets of cells.

    Parameters
    ----------
    members
        Sets (m, n_cells), 1 for every cell of a set, by modality.
    labels
        Label of every set (m,).
    categories
        All labels, in order.
    columns
        What else ``obs`` says of the sets.
    """

    members: dict[str, sparse.csr_matrix]
    labels: list[str]
    categories: tuple[str, ...]
    columns: dict[str, np.ndarray]

    def observations(self, groupby: str) -> pd.DataFrame:
        """``obs`` of the metacells."""
        sizes = np.diff(next(iter(self.members.values())).indptr).astype(np.int64)
        numbers = pd.Series(self.labels, dtype=object).groupby(self.labels).cumcount() + 1
        index = [f"{label}_{number}" for label, number in zip(self.labels, numbers, strict=True)]
        label = pd.Categorical(self.labels, categories=list(self.categories))
        return pd.DataFrame({groupby: label, "n_cells": sizes, **self.columns}, index=index)


def by_label(sides: Sides, k: int, n: int | None, seed: int) -> Drawn:
    """Random cells of a label; where cells are not paired, drawn on every side by itself.

    Parameters
    ----------
    sides
        Objects and labels.
    k
        Cells per metacell.
    n
        Metacells per label; ``None`` for as many as put every cell of the smaller side in five.
    seed
        Seed.
    """
    sets: dict[str, list[np.ndarray]] = {name: [] for name in sides.labels}
    labels: list[str] = []
    for label in sides.first.names:
        smallest = min(side.sizes()[label] for side in sides.labels.values())
        count = min(_MOST, _TIMES * (smallest // k)) if n is None else n
        labels += [label] * count
        for name, side in sides.labels.items():
            rows = side.rows(label)
            draws = (child(seed, "metacell", name, label, str(number)) for number in range(count))
            sets[name] += [rows[draw.choice(len(rows), size=k, replace=False)] for draw in draws]
    members = {name: _members(np.array(those), len(sides.labels[name].cells)) for name, those in sets.items()}
    return Drawn(_on_both(members, sides), labels, sides.first.names, {})


def by_neighbours(sides: Sides, points: np.ndarray, k: int, n: int | None, seed: int, *, within: bool) -> Drawn:
    """Cells of every label, each with its nearest neighbours.

    Parameters
    ----------
    sides
        Objects and labels.
    points
        Coordinates of the cells (n_cells, d).
    k
        Cells per metacell.
    n
        Metacells per label; ``None`` for one more than the root of the number of its cells.
    seed
        Seed.
    within
        Whether neighbours are cells of the same label.
    """
    cells, everywhere = sides.first, np.argsort(sides.first.cells, kind="stable")
    if k > len(everywhere):
        raise ParameterError(f"k={k}; there are {len(everywhere)} cells.")
    sets, starts, labels, share = [], [], [], []
    for code, label in enumerate(cells.names):
        rows = cells.rows(label)
        if n is not None and n > len(rows):
            raise ParameterError(f"n_metacells={n}; {label} has {len(rows)} cells to start from.")
        of_label = int(child(seed, "anchors", label).integers(2**32))
        chosen = rows[anchors(cells.cells[rows].tolist(), n, of_label)]
        among = rows if within else everywhere
        place = np.empty(len(everywhere), dtype=np.int64)
        place[among] = np.arange(len(among))
        near = among[metacells(points[among], place[chosen], k).indices.reshape(-1, k)]  # (m, k)
        sets.append(near)
        starts.append(chosen)
        labels += [label] * len(chosen)
        share.append((cells.codes[near] == code).mean(axis=1))
    columns = {"anchor": cells.cells[np.concatenate(starts)].astype(object)}
    if not within:
        columns["share"] = np.concatenate(share)
    members = {next(iter(sides.labels)): _members(np.concatenate(sets), len(everywhere))}
    return Drawn(_on_both(members, sides), labels, cells.names, columns)


def by_partition(sides: Sides, points: np.ndarray, k: int, n: int | None, seed: int) -> Drawn:
    """All cells of every label, divided into compact sets.

    Parameters
    ----------
    sides
        Objects and labels.
    points
        Coordinates of the cells (n_cells, d).
    k
        Cells per metacell, about.
    n
        Metacells per label, about; ``None`` for as many as make sets of ``k``.
    seed
        Seed of the cells that sets start from.
    """
    cells, n_cells = sides.first, len(sides.first.cells)
    sets, sizes, labels = [], [], []
    for label in cells.names:
        rows = cells.rows(label)
        if n is not None and n > len(rows):
            raise ParameterError(f"n_metacells={n}; {label} has {len(rows)} cells to divide.")
        of_label = int(child(seed, "partition", label).integers(2**32))
        rows = rows[sample_names(cells.cells[rows].tolist(), len(rows), of_label)]
        part = partition(points[rows], k if n is None else len(rows) / n)
        sets.append(rows[np.lexsort((rows, part))])
        sizes.append(np.bincount(part))
        labels += [label] * len(sizes[-1])
    ends = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
    members = sparse.csr_matrix((np.ones(n_cells), np.concatenate(sets), ends), shape=(len(labels), n_cells))
    return Drawn(_on_both({next(iter(sides.labels)): members}, sides), labels, cells.names, {})


def _members(sets: np.ndarray, n: int) -> sparse.csr_matrix:
    """Sets of cells (m, k) as rows of ones (m, n)."""
    m, k = sets.shape
    return sparse.csr_matrix((np.ones(m * k), sets.ravel(), np.arange(0, m * k + 1, k)), shape=(m, n))


def _on_both(members: dict[str, sparse.csr_matrix], sides: Sides) -> dict[str, sparse.csr_matrix]:
    """The same cells in the other modality, if they are paired."""
    if sides.places is None:
        return members
    first, second = sides.parts
    sets = members[first]
    there = sparse.csr_matrix((sets.data, sides.places[sets.indices], sets.indptr), shape=sets.shape)
    return {first: sets, second: there}
