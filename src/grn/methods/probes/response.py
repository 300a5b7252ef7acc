"""A model's own perturbation input: what it predicts when the switch of gene i is on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from grn._core.errors import CapabilityError, ParameterError
from grn.methods.inputs import Inputs
from grn.methods.probes.features import PairFeatures, collect
from grn.methods.probes.readings import Contrast, Flag


def perturbation_response(inputs: Inputs, *, context: str = "virtual", store: Path | None = None) -> PairFeatures:
    """Response (n_vars, S, groups) to the model's own perturbation of each source, one number per pair and group.

    With the capability ``"flag"`` the flag of gene i is set in the base cell; with ``"context"`` the intervention on i
    replaces the control, once per context of the model, and contexts are the groups.
    """
    model, switch = inputs.task.model, np.ones(1, dtype=np.float32)
    if "flag" in model.capabilities:
        return collect(inputs, Flag(switch), context=context, store=store)["perturbation_response"]
    if "context" not in model.capabilities:
        raise CapabilityError(
            f"perturbation_response needs a model with an input for perturbations (scgenept, lpm); {model.name!r} "
            f"offers: {', '.join(sorted(model.capabilities))}. Use grn.tl.vvp or grn.tl.pert, which change expression "
            "values."
        )
    if context != "virtual" or inputs.task.groupby is not None:
        raise ParameterError(
            f"{model.name!r} takes no expression values, so context='mean' and groupby mean nothing to it; leave them "
            "out. Its own contexts become the groups of the result."
        )
    contexts = tuple(model.contexts)
    reading = Contrast(np.ones(len(contexts), dtype=np.float32))
    response = collect(inputs, reading, context=context, store=store)["perturbation_response"]
    return replace(response, grid=switch, groups=contexts)
