"""Translators shipped with the package, by foundation model, feature and training network."""

from __future__ import annotations

import copy
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from grn._core import checks
from grn._core.errors import CapabilityError
from grn.models.protocol import FoundationModel
from grn.models.translator import Translator

# labels of BEELINE's hESC data set the shipped translators were trained on
NETWORKS = ("string", "chip")


def embedded(model: FoundationModel, feature: str, network: str) -> Translator:
    """Return the shipped translator for a model's feature.

    Parameters
    ----------
    model
        Model the features come from; its weights must be those the translator was trained on.
    feature
        ``"vvp"``, ``"gradient_trajectory"`` or ``"embedding"``.
    network
        ``"string"`` (STRING associations) or ``"chip"`` (non-specific ChIP-seq).

    Raises
    ------
    ParameterError
        If there is no such network.
    CapabilityError
        If no translator is shipped for the model and feature.
    """
    checks.word("translator", network, NETWORKS)
    path = Path(str(files("grn.models") / "weights" / f"{model.name}-{network}-{feature}.json"))
    if path.is_file():
        translator = copy.deepcopy(_load(path))  # so that no caller changes the next one's
        if translator.config.model_sha256 == model.sha256:
            return translator
    raise CapabilityError(
        f"no translator is shipped for feature {feature!r} of model {model.name!r} with these weights; fit one with "
        f"grn.tl.fit_translator(adata, labels, key={feature!r}) and pass translator=..., or use its raw "
        f"strength: grn.tl.infer_network(adata, method={feature!r}, params={{'translator': None}})."
    )


@lru_cache(maxsize=8)
def _load(path: Path) -> Translator:
    return Translator.load(path)
