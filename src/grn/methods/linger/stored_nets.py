"""Networks of genes as they are stored, and what they predict when a regulator is taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from grn._core.errors import GeneNameError, ResultNotFoundError
from grn._core.logging import logger, some
from grn._kernels.gene_networks import Features, Weights, predict
from grn.methods.linger.nets import Data, Population, Setting


def stored_nets(
    data: Data, population: Population, setting: Setting, group: np.ndarray, groups: Sequence[str]
) -> dict[str, Any]:
    """Everything a prediction needs, as arrays.

    Parameters of all genes follow each other in ``weights``; ``columns`` are their inputs, regulators first, then
    regions from ``len(regulators)`` on, and ``bounds`` where the inputs of every gene start and end.
    """
    weights, columns = [], []
    bounds = data.candidates.bounds
    for position, gene in enumerate(data.genes):
        regulators = np.arange(len(data.regulators))
        if setting.parity:
            regulators = regulators[data.regulators != gene]
        regions = data.candidates.region[bounds[position] : bounds[position + 1]] + len(data.regulators)
        columns.append(np.concatenate([regulators, regions]))
        weights += [part.ravel() for part in population.parts[str(gene)]]
    accessibility = data.accessibility.columns(np.arange(len(data.candidates.regions)))
    return {
        "activation": setting.activation,
        "genes": data.genes.astype(object),
        "regulators": data.regulators.astype(object),
        "regions": data.candidates.regions.astype(object),
        "metacells": np.array(data.names, dtype=object),
        "group": np.array([groups[code] for code in group], dtype=object),
        "inputs": torch.cat([data.expression, accessibility], dim=1).numpy(),
        "absent": data.absent,
        "weights": np.concatenate(weights).astype(np.float32),
        "columns": np.concatenate(columns).astype(np.int64),
        "bounds": np.concatenate([[0], np.cumsum([len(part) for part in columns])]),
    }


def knocked_out(nets: Mapping[str, Any] | None, sources: Sequence[str] | None, *, key: str) -> pd.DataFrame:
    """Mean change of every gene, by group of metacells, when the expression of a regulator is set to zero.

    Parameters
    ----------
    nets
        What :func:`stored_nets` made.
    sources
        Regulators to take away; all by default.
    key
        Where the networks are, for the error.
    """
    if nets is None:
        raise ResultNotFoundError(
            f"uns[{key!r}] holds no networks of genes; call grn.tl.linger(mdata, ..., keep_nets=True) again."
        )
    regulators = np.asarray(nets["regulators"], dtype=str)
    wanted = regulators if sources is None else np.array(list(dict.fromkeys(map(str, sources))), dtype=str)
    strange = wanted[~np.isin(wanted, regulators)]
    if len(strange) or not len(wanted):
        what = f"{some(strange)} of genes= are no regulators" if len(strange) else "genes= is empty"
        raise GeneNameError(f"{what}; those of these networks are {some(regulators)}, and genes=None takes all.")
    place = {name: position for position, name in enumerate(regulators)}
    inputs, absent = torch.as_tensor(np.asarray(nets["inputs"])), np.asarray(nets["absent"])
    genes = np.asarray(nets["genes"], dtype=str)
    groups, group = np.unique(np.asarray(nets["group"], dtype=str), return_inverse=True)
    change = np.zeros((len(groups), len(wanted), len(genes)), dtype=np.float32)
    offset, bounds, columns = 0, np.asarray(nets["bounds"]), np.asarray(nets["columns"])
    vector = np.asarray(nets["weights"])
    for position in range(len(genes)):
        own = columns[bounds[position] : bounds[position + 1]]
        weights = Weights(1, len(own), inputs)
        for slot in weights.parts:
            slot.copy_(torch.as_tensor(vector[offset : offset + slot.numel()]).view(slot.shape))
            offset += slot.numel()
        values = inputs[:, own]
        before = predict(Features(values[:, :0], values[None]), weights, str(nets["activation"]))[0]
        for row, name in enumerate(wanted):
            without = values.clone()
            without[:, own == place[name]] = float(absent[place[name]])
            after = predict(Features(values[:, :0], without[None]), weights, str(nets["activation"]))[0]
            apart = (after - before).numpy()
            change[:, row, position] = [apart[group == code].mean() for code in range(len(groups))]
    source, target = np.nonzero(wanted[:, None] != genes)
    tables = []
    for name, mean in zip(groups, change, strict=True):
        table = pd.DataFrame({"source": wanted[source], "target": genes[target], "change": mean[source, target]})
        tables.append(table.assign(group=name) if name else table)
    logger.info("linger: %d knock-outs in %d genes", len(wanted), len(genes))
    table = pd.concat(tables, ignore_index=True)
    order = ["group"] if "group" in table else []
    table["size"] = table["change"].abs()
    table = table.sort_values([*order, "source", "size", "target"], ascending=[*[True] * len(order), True, False, True])
    return table.drop(columns="size").reset_index(drop=True)
