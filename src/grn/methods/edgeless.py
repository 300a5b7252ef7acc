"""Genes that the user asked for by name and that a network lacks: told, never dropped in silence."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from grn._core.logging import logger, some
from grn.methods.inputs import Inputs
from grn.network import Network


def tell_without_edges(network: Network, inputs: Inputs) -> None:
    """Warn of sources and targets asked for that have no edge, unless it was said that the model lacks them.

    Parameters
    ----------
    network
        What was made.
    inputs
        What was asked: names in ``sources`` and ``targets``; ``None`` and all genes of the object name none.
    """
    edges, task = network._edges, inputs.task
    sides = {"sources": (edges["source"], task.sources), "targets": (edges["target"], task.targets)}
    lost = {
        what: [] if len(set(asked or ())) == len(inputs.names) else _absent(set(column.unique()), asked)
        for what, (column, asked) in sides.items()
    }
    if task.model is not None and any(lost.values()):
        genes = inputs.pairs
        lost["sources"] = [name for name in lost["sources"] if name not in set(genes.lost_sources)]
        lost["targets"] = [name for name in lost["targets"] if name not in set(genes.lost_targets)]
    # a gene has no edge to itself
    lost["targets"] = [name for name in lost["targets"] if set(map(str, task.sources or ())) != {name}]
    lost["sources"] = [name for name in lost["sources"] if set(map(str, task.targets or ())) != {name}]
    for what, names in lost.items():
        if names:
            asked = len(set(sides[what][1] or ()))
            logger.warning("%d of %d %s asked for have no edge: %s", len(names), asked, what, some(names))


def _absent(there: Collection[str], asked: Sequence[str] | None) -> list[str]:
    return [name for name in dict.fromkeys(map(str, asked or ())) if name not in there]
