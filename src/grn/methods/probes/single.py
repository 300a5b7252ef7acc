"""One feature of a foundation model as a method of its own: raw strength, or translated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.special import expit

from grn._core import checks
from grn._core.errors import CapabilityError
from grn.methods.edges import to_network
from grn.methods.inputs import Inputs
from grn.methods.probes import features
from grn.methods.probes.attention import attention
from grn.methods.probes.base_cells import refuse_groups
from grn.methods.probes.embedding import gene_embeddings, pair_embeddings, pairing
from grn.methods.probes.protocols import pair_reading, verify_response, verify_trajectory
from grn.methods.probes.score import (
    check_background,
    check_grid,
    context_of,
    signed,
    slope,
    translators_for,
)
from grn.methods.record import METHODS, Method
from grn.models.protocol import Capability, need
from grn.models.translator import Translator, double_centred
from grn.network import Network

Given = str | Translator | dict[str, Translator] | None


def fit_vvp(
    inputs: Inputs,
    *,
    translator: Given = "string",
    context: str | None = None,
    background: str | None = None,
    centred: bool | None = None,
    protocol: str = "paper",
    order: Sequence[str] | None = None,
) -> Network:
    """Virtual value perturbation; without translator the mean response up minus down."""
    asked = _Asked("vvp", translator, context, background, centred, protocol)
    return _network(inputs, asked, partial(features.vvp, inputs, order=order))


def fit_gradient(
    inputs: Inputs,
    *,
    translator: Given = "string",
    context: str | None = None,
    background: str | None = None,
    centred: bool | None = None,
    protocol: str = "paper",
    order: Sequence[str] | None = None,
) -> Network:
    """Gradient trajectory; without translator the mean derivative."""
    asked = _Asked("gradient_trajectory", translator, context, background, centred, protocol)
    return _network(inputs, asked, partial(features.gradient_trajectory, inputs, order=order))


def fit_pert(inputs: Inputs) -> Network:
    """Zero-out on the mean cell: the signed change is the weight."""
    params = {"translator": "none", "context": "mean"}
    return _scored(inputs, features.pert(inputs), None, centred=False, params=params)


def verify_attention(*, max_cells: int | None) -> None:
    """Refuse what is no number of cells."""
    if max_cells is not None:
        checks.integer("max_cells", max_cells, least=1, note=", or None for all cells")


def fit_attention(inputs: Inputs, *, max_cells: int = 32) -> Network:
    """Attention from target to source, averaged over layers, heads and cells; unsigned."""
    maps = attention(inputs, max_cells=max_cells)
    # (n_vars, S, L * H) -> (n_vars, S)
    parts = [(group, {"weight": maps.of_group(i).mean(axis=-1)}) for i, group in enumerate(maps.groups)]
    return to_network(inputs.names, maps.sources, parts, params={"max_cells": max_cells}, signed=False)


def fit_embedding(inputs: Inputs, *, translator: Given = "string") -> Network:
    """Vocabulary embeddings: E_i + E_j translated, or without translator their absolute cosine; unsigned."""
    task = inputs.task
    if task.groupby is not None:
        refuse_groups(task.groupby)
    genes = inputs.pairs
    table = gene_embeddings(inputs)  # (n_vars, d)
    if translator is None:
        if pairing(task.model) != "sum":
            raise CapabilityError(
                f"the embeddings of {task.model.name!r} for sources and for targets lie in different spaces and cannot "
                "be compared; pass params={'translator': ...} fitted by grn.tl.fit_translator."
            )
        chosen = None
        unit = table / np.linalg.norm(table, axis=1, keepdims=True)
        weight = np.abs(unit @ unit[genes.sources].T)  # (n_vars, S)
        columns = {"weight": weight}
    else:
        chosen = translators_for(task.model, translator, ("embedding",))["embedding"]
        probability = expit(chosen.logits(pair_embeddings(table, genes.sources, pairing(task.model))))
        columns = {"weight": probability, "probability": probability.copy()}
    is_target = np.zeros(len(inputs.names), dtype=bool)
    is_target[genes.targets] = True
    for matrix in columns.values():
        matrix[~is_target] = np.nan
        matrix[genes.sources, np.arange(len(genes.sources))] = np.nan
    params = _provenance(translator, chosen)
    return to_network(inputs.names, genes.sources, [("", columns)], params=params, signed=False)


@dataclass(frozen=True, eq=False)
class _Asked:
    """What is read of a model, and how."""

    feature: str
    translator: Given
    context: str | None
    background: str | None
    centred: bool | None
    protocol: str


def _network(inputs: Inputs, asked: _Asked, read: Callable[..., features.PairFeatures]) -> Network:
    """Network of a feature, translated if a translator is given; it is looked for before the model is read."""
    model, given = inputs.task.model, asked.translator
    context = context_of(inputs.task, asked.context)
    chosen = None if given is None else translators_for(model, given, (asked.feature,))[asked.feature]
    reading = pair_reading(
        model,
        asked.protocol,
        context=context,
        background=asked.background,
        centred=asked.centred,
        translated=chosen is not None,
    )
    if chosen is not None:
        check_background(chosen, reading.background)
    pairs = read(background=reading.background, context=context)
    if chosen is not None:
        check_grid(chosen, pairs.grid)
    params = {**_provenance(given, chosen), "context": context, **asdict(reading), "protocol": asked.protocol}
    return _scored(inputs, pairs, chosen, centred=reading.centred, params=params)


def _scored(
    inputs: Inputs,
    pairs: features.PairFeatures,
    chosen: Translator | None,
    *,
    centred: bool,
    params: Mapping[str, Any],
) -> Network:
    """Network of features: their effects, centred effects or probabilities are the weights."""
    parts = []
    for i, group in enumerate(pairs.groups):
        cube = pairs.of_group(i)  # (n_vars, S, M)
        effect = slope(pairs.feature, cube, pairs.grid, inputs.task.model.value_scale.baseline)  # (n_vars, S)
        weight = double_centred(effect) if centred else effect
        if chosen is None:
            columns = {"weight": weight, "sign": np.where(weight == 0, np.nan, np.sign(weight))}
        else:
            columns = signed(expit(chosen.logits(cube)), weight)
        if centred or chosen is not None:
            columns["score"] = effect
        parts.append((group, columns))
    return to_network(inputs.names, pairs.sources, parts, params=dict(params), signed=True)


def _provenance(given: Given, chosen: Translator | None) -> dict[str, str]:
    """Which translator made probabilities of features."""
    if chosen is None:
        return {"translator": "none"}
    return {"translator": given if isinstance(given, str) else "given", "translator_sha256": chosen.sha256}


def _offering(capability: Capability, purpose: str) -> Callable[[Inputs], None]:
    """Refuses a model that does not offer a capability."""

    def ready(inputs: Inputs) -> None:
        need(inputs.task.model, capability, purpose)

    return ready


_Probe = partial(
    Method,
    reference="arXiv 2605.08128",
    system="virtual perturbation",
    year=2026,
    inputs="foundation model",
    page="concepts",
)
_PROBES = (
    _Probe(
        "vvp",
        fit_vvp,
        "virtual value perturbation alone",
        signed=True,
        probability=True,
        direction="response",
        needs=("model",),
        features=("vvp",),
        verify=verify_response,
        uses_client=True,
        confidence="probability",
        ready=_offering("value", "virtual value perturbation"),
        cost="8 passes per source",
    ),
    _Probe(
        "gradient_trajectory",
        fit_gradient,
        "gradient trajectory alone",
        signed=True,
        probability=True,
        direction="response",
        needs=("model",),
        features=("gradient_trajectory",),
        verify=verify_trajectory,
        uses_client=True,
        confidence="probability",
        ready=_offering("gradient", "gradient trajectory"),
        cost="8 dual passes per source",
    ),
    _Probe(
        "pert",
        fit_pert,
        "zero-out on the real mean cell",
        signed=True,
        probability=False,
        direction="response",
        needs=("model", "cells"),
        features=("pert",),
        uses_client=True,
        inputs="foundation model, RNA",
        ready=_offering("value", "the zero-out perturbation"),
        cost="a pass per source and group",
    ),
    _Probe(
        "attention",
        fit_attention,
        "mean attention of target to source",
        signed=False,
        probability=False,
        needs=("model",),
        optional=("cells",),
        features=("attention",),
        verify=verify_attention,
        uses_client=True,
        inputs="foundation model, RNA",
        ready=_offering("attention", "the attention probe"),
        cost="a pass per cell",
    ),
    _Probe(
        "embedding",
        fit_embedding,
        "vocabulary embeddings of the pair",
        signed=False,
        probability=True,
        needs=("model",),
        features=("embedding",),
        confidence="probability",
        ready=_offering("embedding", "the embedding probe"),
        cost="none",
    ),
)
for _method in _PROBES:
    METHODS.add(_method.name, _method)
