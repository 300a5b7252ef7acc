"""How pairs are read as a network: as in the paper, or as is recommended for the model."""

from __future__ import annotations

from grn._core import checks
from grn._core.errors import ParameterError
from grn.methods.probes.base_cells import verify_context
from grn.methods.probes.features import OF_RESPONSES, check_background
from grn.models import FoundationModel
from grn.models.protocol import BACKGROUNDS, PAPER, PairReading

PROTOCOLS = ("paper", "recommended")


def verify_trajectory(*, context: str | None, background: str | None, protocol: str) -> None:
    """Refuse what is no context, background or protocol of a trajectory, and those that exclude each other."""
    _verify(context, background, protocol, BACKGROUNDS)


def verify_response(*, context: str | None, background: str | None, protocol: str) -> None:
    """Refuse what is no context, background or protocol of a response, and those that exclude each other."""
    _verify(context, background, protocol, OF_RESPONSES)


def _verify(context: str | None, background: str | None, protocol: str, among: tuple[str, ...]) -> None:
    verify_context(context=context)
    checks.word("protocol", protocol, PROTOCOLS)
    if background is not None:
        check_background(background, context, among=among)


def pair_reading(
    model: FoundationModel,
    protocol: str,
    *,
    context: str,
    background: str | None = None,
    centred: bool | None = None,
    translated: bool = False,
) -> PairReading:
    """The reading that a protocol means for a model, with what the user says otherwise.

    Parameters
    ----------
    model
        The model; its ``pair_reading``, if it has one, is what is recommended.
    protocol
        ``"paper"`` or ``"recommended"``.
    context
        ``"virtual"`` or ``"mean"``; around a mean real cell the other genes are known, whatever is recommended.
    background, centred
        What the user asked for; ``None`` leaves it to the protocol.
    translated
        Whether a translator makes probabilities; it centres by itself if it was fitted so.
    """
    told = PAPER if protocol == "paper" else getattr(model, "pair_reading", PAPER)
    if background is None:
        background = told.background if context == "virtual" else "fixed"
    if translated:
        if centred is not None and checks.flag("centred", centred):
            raise ParameterError(
                "centred=True is for raw strengths, translator=None; a translator sees features as it was fitted, see "
                "view= of grn.tl.fit_translator."
            )
        return PairReading(background)
    return PairReading(background, told.centred if centred is None else checks.flag("centred", centred))
