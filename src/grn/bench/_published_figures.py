"""Figures of the paper to set beside ours (arXiv 2605.08128, scGPT, trained on hESC; as reported second-hand)."""

from __future__ import annotations

from grn.bench._competitors import Competitor, competitor
from grn.bench._entries import READINGS

_COLUMNS = ("Pert (origin)", "Attn (origin)", "Pert", "Emb", "VVP", "GDT", "Ens")
_ROWS = {
    ("STRING", "hHEP"): (0.496, 0.507, 0.586, 0.732, 0.609, 0.906, 0.909),
    ("STRING", "mDC"): (0.512, 0.536, 0.569, 0.637, 0.606, 0.917, 0.923),
    ("STRING", "mESC"): (0.542, 0.531, 0.493, 0.699, 0.600, 0.969, 0.966),
    ("STRING", "mHSC-L"): (0.622, 0.534, 0.624, 0.815, 0.656, 0.895, 0.873),
    ("Non-Specific", "hHEP"): (0.516, 0.512, 0.546, 0.586, 0.549, 0.716, 0.711),
    ("Non-Specific", "mESC"): (0.551, 0.539, 0.512, 0.638, 0.582, 0.835, 0.836),
}


def published_label(entered: Competitor) -> str:
    """The label in the paper of what a competitor is, whatever it is called here; ``""`` if it is not in there."""
    identity = _identity(entered)
    return next((label for label in _COLUMNS if _identity(competitor(READINGS[label])) == identity), "")


def _identity(entered: Competitor) -> tuple[str, ...]:
    """Method, variant, features and where their translator comes from."""
    translator = None if entered.reading is None else entered.reading.translator
    origin = "none" if translator is None else "training" if entered.trained else "elsewhere"
    return (entered.record.name, entered.variant, origin, *entered.features)


def published(label: str, *, train: str, network: str, test: str, protocol: str, metric: str) -> float:
    """AUPRC the paper reports under a label on another backbone, or NaN."""
    row = _ROWS.get((network, test))
    comparable = train == f"hESC/{network}" and protocol == "paper" and metric == "auprc" and label in _COLUMNS
    return row[_COLUMNS.index(label)] if comparable and row is not None else float("nan")
