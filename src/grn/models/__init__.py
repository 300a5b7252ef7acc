"""Frozen foundation models behind one protocol."""

from typing import TYPE_CHECKING

from grn._core.lazy import lazy_names

if TYPE_CHECKING:
    from grn.models._continue import pretrain
    from grn.models._registry import available, load, register, save, untrained
    from grn.models.genecompass import GeneCompass
    from grn.models.geneformer import Geneformer
    from grn.models.lpm import LPM
    from grn.models.memory import Memory
    from grn.models.protocol import CAPABILITIES, FoundationModel, Moments, PairReading, Panel, ValueScale
    from grn.models.scgenept import ScGenePT
    from grn.models.scgpt import ScGPT
    from grn.models.scprint import ScPRINT
    from grn.models.translator import Translator
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "grn.models._continue": "pretrain",
            "grn.models._registry": "available load register save untrained",
            "grn.models.genecompass": "GeneCompass",
            "grn.models.geneformer": "Geneformer",
            "grn.models.lpm": "LPM",
            "grn.models.memory": "Memory",
            "grn.models.protocol": "CAPABILITIES FoundationModel Moments PairReading Panel ValueScale",
            "grn.models.scgenept": "ScGenePT",
            "grn.models.scgpt": "ScGPT",
            "grn.models.scprint": "ScPRINT",
            "grn.models.translator": "Translator",
        },
    )

__all__ = [
    "CAPABILITIES",
    "LPM",
    "FoundationModel",
    "GeneCompass",
    "Geneformer",
    "Memory",
    "Moments",
    "PairReading",
    "Panel",
    "ScGPT",
    "ScGenePT",
    "ScPRINT",
    "Translator",
    "ValueScale",
    "available",
    "load",
    "pretrain",
    "register",
    "save",
    "untrained",
]
