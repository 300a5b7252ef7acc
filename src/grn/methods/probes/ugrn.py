"""Universal inference: both probes of a frozen model, two translators, the mean of their logits.

Source: arXiv 2605.08128. The probes are read in one pass on the model's gradient grid.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from grn.methods.edges import to_network
from grn.methods.inputs import Inputs
from grn.methods.probes import features
from grn.methods.probes.features import FEATURES
from grn.methods.probes.protocols import pair_reading, verify_response
from grn.methods.probes.score import (
    check_background,
    check_grid,
    context_of,
    signed,
    slope,
    translators_for,
)
from grn.methods.record import METHODS, Method
from grn.models import FoundationModel
from grn.models.translator import Translator
from grn.network import Network


def fit(
    inputs: Inputs,
    *,
    translator: str | Translator | dict[str, Translator] = "string",
    context: str | None = None,
    background: str | None = None,
    protocol: str = "paper",
    stored: features.Stored | None = None,
) -> Network:
    """Infer a network.

    Parameters
    ----------
    inputs
        Model, genes and cells.
    translator
        ``"string"``, ``"chip"``, or a dict of translators for ``vvp`` and ``gradient_trajectory``.
    context
        ``"virtual"``, ``"mean"``, or ``None``: the mean cell when groups are asked for, else virtual.
    background, protocol
        ``"fixed"`` or ``"unknown"``, or ``None`` as the protocol says: that of the ``"paper"``, or what is
        ``"recommended"`` for the model.
    stored
        Looks for features computed before, which are used instead of probing again.
    """
    task = inputs.task
    chosen = translators_for(task.model, translator, FEATURES)
    context = context_of(task, context)
    reading = pair_reading(task.model, protocol, context=context, background=background, translated=True)
    for translator_of_feature in chosen.values():
        check_background(translator_of_feature, reading.background)
    pairs = None if stored is None else stored(context, reading.background)
    if pairs is None:
        pairs = features.both(inputs, background=reading.background, context=context)
    for name in FEATURES:
        check_grid(chosen[name], pairs[name].grid)
    parts = [(group, score(pairs, chosen, i, task.model)) for i, group in enumerate(pairs["vvp"].groups)]
    params = {
        "translator": translator if isinstance(translator, str) else "given",
        "translator_sha256": {name: fitted.sha256 for name, fitted in chosen.items()},
        "context": context,
        "background": reading.background,
        "protocol": protocol,
    }
    return to_network(inputs.names, pairs["vvp"].sources, parts, params=params, signed=True)


def score(
    pairs: dict[str, features.PairFeatures], chosen: dict[str, Translator], group: int, model: FoundationModel
) -> dict[str, np.ndarray]:
    """Matrices (n_vars, S) of one group: probability, sign of the mean gradient, their product, the gradient itself."""
    cubes = {name: pairs[name].of_group(group) for name in FEATURES}  # (n_vars, S, M) each
    logits = np.mean([chosen[name].logits(cubes[name]) for name in FEATURES], axis=0)  # (n_vars, S)
    trajectory = pairs["gradient_trajectory"]
    gradient = slope("gradient_trajectory", cubes["gradient_trajectory"], trajectory.grid, model.value_scale.baseline)
    return signed(expit(logits), gradient) | {"score": gradient}


METHODS.add(
    "ugrn",
    Method(
        "ugrn",
        fit,
        "both probes of a frozen model, translated and averaged; sign of the gradient",
        signed=True,
        probability=True,
        direction="response",
        needs=("model",),
        features=FEATURES,
        verify=verify_response,
        uses_client=True,
        confidence="probability",
        reference="arXiv 2605.08128",
        system="virtual perturbation",
        year=2026,
        inputs="foundation model",
        cost="8 dual passes per source",
        page="concepts",
    ),
)
