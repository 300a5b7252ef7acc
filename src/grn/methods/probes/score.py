"""From the features of a pair to its strength, sign and probability."""

from __future__ import annotations

import numpy as np

from grn._core.errors import CapabilityError, ParameterError
from grn.methods.record import Task
from grn.models import FoundationModel
from grn.models.translator import Translator
from grn.models.translators import NETWORKS, embedded


def slope(feature: str, cube: np.ndarray, grid: np.ndarray, baseline: float) -> np.ndarray:
    """Signed effect (targets, sources) of raw features: mean derivative, mean response up minus down, or the value.

    Attention and embeddings have no sign; their strength is the mean over heads.
    """
    if feature == "vvp":
        return (cube * np.sign(grid - baseline)).mean(axis=-1)
    return cube.mean(axis=-1)


def translators_for(model: FoundationModel, given: object, features: tuple[str, ...]) -> dict[str, Translator]:
    """The translator of every feature: shipped ones by network name, or the caller's own.

    Parameters
    ----------
    model
        Model the features come from.
    given
        ``"string"`` or ``"chip"`` for shipped ones, a :class:`Translator`, or a dict of them by feature.
    features
        Features to translate.
    """
    if isinstance(given, str):
        return {feature: embedded(model, feature, given) for feature in features}
    translators = {given.config.feature: given} if isinstance(given, Translator) else given
    if not isinstance(translators, dict) or not all(isinstance(t, Translator) for t in translators.values()):
        raise ParameterError(
            f"translator={given!r}; pass one of {', '.join(NETWORKS)}, a Translator from grn.tl.fit_translator, or a "
            "dict of them by feature."
        )
    missing = [feature for feature in features if feature not in translators]
    if missing:
        raise ParameterError(
            f"no translator for {', '.join(missing)} was given (got: {', '.join(translators) or 'none'}); fit one with "
            f"grn.tl.fit_translator(adata, labels, key={missing[0]!r})."
        )
    for feature in features:
        _check_origin(translators[feature], feature, model)
    return {feature: translators[feature] for feature in features}


def _check_origin(translator: Translator, feature: str, model: FoundationModel) -> None:
    if translator.config.feature != feature:
        raise ParameterError(
            f"the translator given for {feature!r} was fitted on {translator.config.feature!r}; fit one with "
            f"grn.tl.fit_translator(adata, labels, key={feature!r})."
        )
    made_for = translator.config.model_sha256
    if made_for and made_for != model.sha256:
        raise CapabilityError(
            f"this translator was fitted on features of {translator.config.model!r} with other weights "
            f"({made_for[:12]}) than {model.name!r} has ({model.sha256[:12]}); fit one on features of this model."
        )


def check_background(translator: Translator, background: str) -> None:
    """Refuse features read in another background than the translator was fitted on."""
    fitted = translator.config.background
    if background != fitted:
        raise ParameterError(
            f"the translator for {translator.config.feature!r} was fitted on features of background={fitted!r}, the "
            f"method reads background={background!r}; fit one on such features (grn.tl.fit_translator), or pass "
            f"params={{'background': {fitted!r}}}."
        )


def check_grid(translator: Translator, grid: np.ndarray) -> None:
    """Refuse features read at other points than the translator was fitted on."""
    fitted = np.asarray(translator.config.grid, dtype=np.float32)
    if len(fitted) and not np.array_equal(fitted, np.asarray(grid, dtype=np.float32)):
        raise ParameterError(
            f"the translator for {translator.config.feature!r} was fitted on the grid {fitted.tolist()}, the method "
            f"reads the grid {np.asarray(grid).tolist()}; fit one on features of the model's own grid."
        )


def signed(probability: np.ndarray, effect: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of edges (targets, sources): a probability, the sign of an effect, and as weight their product.

    An effect of 0, or none, has no sign, and its edge the probability as weight.
    """
    sign = np.where(effect == 0, np.nan, np.sign(effect))
    weight = np.where(np.isnan(sign), 1.0, sign) * probability
    return {"weight": weight, "sign": sign, "probability": probability}


def context_of(task: Task, context: str | None) -> str:
    """``"mean"`` when groups are asked for, ``"virtual"`` otherwise, unless the caller decides."""
    if context is not None:
        return context
    return "virtual" if task.groupby is None else "mean"
