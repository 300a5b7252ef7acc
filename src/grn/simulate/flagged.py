"""What a model with an input for perturbations predicts when several genes are perturbed at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from grn._core.errors import ParameterError
from grn._core.logging import progress
from grn.models import Panel
from grn.models.protocol import need
from grn.simulate.in_silico import GeneSets

if TYPE_CHECKING:
    from collections.abc import Callable

    from grn._object.expression import Expression
    from grn.methods.genes import PairGenes


@dataclass(frozen=True)
class Responses:
    """Predicted change of every gene (n_vars, sets, groups), float32, NaN for genes not predicted; cells per group."""

    change: np.ndarray
    cells: dict[str, int]


def responses(
    model: Any,
    values: Expression,
    sets: GeneSets,
    groups: dict[str, np.ndarray],
    batch: Callable[[Panel], int],
    *,
    show: bool | None,
) -> Responses:
    r"""Mean over cells of the prediction with the flags of a set, minus that without any.

    Parameters
    ----------
    model
        Model with the capability ``"flag"``.
    values
        Log-normalised values.
    sets
        Genes that are flagged together.
    groups
        Rows of the cells, by group.
    batch
        Gives the cells per pass for a panel.
    show
        Progress bar.
    """
    need(model, "flag", "mode='flag'")
    panels = _panels(model, sets)
    change = np.full((len(sets.genes.ids), len(sets.rows), len(groups)), np.nan, dtype=np.float32)
    passes = [
        (panel, targets, group, rows[start : start + batch(panel)])
        for panel, targets in panels
        for group, rows in groups.items()
        for start in range(0, len(rows), batch(panel))
    ]
    column = {str(gene): i for i, gene in enumerate(sets.genes.ids) if gene}
    order = {group: i for i, group in enumerate(groups)}
    totals: dict[tuple[int, str], np.ndarray] = {}
    for panel, targets, group, rows in progress(passes, desc="in_silico_perturbation", show=show):
        X = values.rows(rows)[:, [column[gene] for gene in panel.genes]]  # (cells, n)
        summed = _summed(model, panel, model.encode_cells(X, panel.genes), sets)  # (sets, R)
        at = (int(targets[0]), group)
        totals[at] = totals[at] + summed if at in totals else summed
    for _, targets in panels:
        for group, rows in groups.items():
            change[targets, :, order[group]] = totals[int(targets[0]), group].T / len(rows)
    for i, rows in enumerate(sets.rows.values()):
        change[list(rows), i] = np.nan  # as for pairs of a gene with itself
    return Responses(change, {group: len(rows) for group, rows in groups.items()})


def _panels(model: Any, sets: GeneSets) -> list[tuple[Panel, np.ndarray]]:
    """Panels that hold the genes of all sets and part of the targets each, with the rows of those targets."""
    genes: PairGenes = sets.genes
    order = {gene: i for i, gene in enumerate(model.target_genes)}
    targets = np.array(sorted(genes.targets, key=lambda row: order[genes.ids[row]]), dtype=np.int64)
    flagged = np.array(sorted({row for rows in sets.rows.values() for row in rows}), dtype=np.int64)
    if len(np.union1d(flagged, targets)) <= model.max_genes:
        parts = [targets]
    else:
        room = model.max_genes - len(flagged)
        if room < len(flagged):
            raise ParameterError(
                f"the sets hold {len(flagged)} genes, which have to be shown together with their targets; "
                f"{model.name!r} takes {model.max_genes} at a time. Pass fewer sets per call, or raise model.max_genes."
            )
        n_parts = -(-len(targets) // room)
        parts = [targets[i::n_parts] for i in range(n_parts)]
    return [(model.panel(list(genes.ids[flagged]), list(genes.ids[part])), part) for part in parts]


def _summed(model: Any, panel: Panel, values: torch.Tensor, sets: GeneSets) -> np.ndarray:
    """Change of the targets (sets, R) under the flags of every set, summed over cells with ``values`` (cells, n)."""
    place = {gene: i for i, gene in enumerate(panel.genes)}
    with torch.no_grad():
        none = torch.zeros_like(values)
        origin = model.respond_flag(panel, values, none)
        found = []
        for together in sets.ids:
            flags = none.clone()
            flags[:, [place[gene] for gene in together]] = 1.0
            found.append((model.respond_flag(panel, values, flags) - origin).double().sum(0))
    summed: np.ndarray = torch.stack(found).cpu().numpy()
    return summed
