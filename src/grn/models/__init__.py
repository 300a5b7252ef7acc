"""Frozen foundation models behind one protocol."""

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
