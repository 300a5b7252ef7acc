"""Frozen foundation models behind one protocol."""

from grn.models._continue import pretrain, save
from grn.models._protocol import CAPABILITIES, FoundationModel, Moments, Panel, ValueScale
from grn.models._registry import available, load, register
from grn.models.mini import Mini
from grn.models.translator import Translator

__all__ = [
    "CAPABILITIES",
    "FoundationModel",
    "Mini",
    "Moments",
    "Panel",
    "Translator",
    "ValueScale",
    "available",
    "load",
    "pretrain",
    "register",
    "save",
]
