"""LPM's own recipe: how the predicted readout of a gene changes when another gene is perturbed."""

from __future__ import annotations

import numpy as np

from grn._core import checks
from grn._core.errors import ParameterError
from grn.methods.edges import to_network
from grn.methods.inputs import Inputs
from grn.methods.probes.response import perturbation_response
from grn.methods.record import METHODS, Method
from grn.network import Network

CONTEXTS = ("mean", "each")
SIGNS = ("regulation", "response")


def fit_lpm_response(inputs: Inputs, *, contexts: str = "mean", sign: str = "regulation") -> Network:
    """Contrast of an intervention with the control: f(P_i, R_j, c) - f(Control, R_j, c).

    ``contexts="each"`` gives one network per context of the model, in the column ``group``; ``"mean"`` averages. With
    ``sign="regulation"`` the weight is what i does to j: the response to a knock-down is reversed, that to an
    activation is not. ``"response"`` keeps the predicted change itself. The change is in the column ``score`` either
    way.
    """
    model = inputs.task.model
    checks.word("contexts", contexts, CONTEXTS)
    checks.word("sign", sign, SIGNS)
    direction = model.direction if sign == "regulation" else 1
    if direction == 0:
        raise ParameterError(
            f"what the perturbation {model.perturbation_type!r} does to its gene is not known, so its response "
            "has no sign of regulation; pass params={'sign': 'response'} to keep the predicted change."
        )
    response = perturbation_response(inputs)
    cube = response.values.astype(np.float64)  # (n_vars, S, contexts)
    effects = [("", cube.mean(axis=-1))]  # (n_vars, S) each
    if contexts == "each":
        effects = [(name, cube[:, :, i]) for i, name in enumerate(response.groups)]
    parts = [(name, _columns(direction * effect, effect)) for name, effect in effects]
    params = {"contexts": contexts, "sign": sign, "perturbation_type": model.perturbation_type}
    return to_network(inputs.names, response.sources, parts, params=params, signed=True)


def _columns(weight: np.ndarray, effect: np.ndarray) -> dict[str, np.ndarray]:
    return {"weight": weight, "sign": np.where(weight == 0, np.nan, np.sign(weight)), "score": effect}


METHODS.add(
    "lpm_response",
    Method(
        "lpm_response",
        fit_lpm_response,
        "LPM: response to a knock-down or knock-out, sign reversed",
        signed=True,
        probability=False,
        reference="arXiv 2503.23535",
        direction="response",
        needs=("model",),
        family="lpm",
        uses_client=True,
        system="LPM",
        year=2025,
        inputs="foundation model",
        cost="a pass per source and context",
        licence="Apache-2.0",
        page="models/lpm",
    ),
)
