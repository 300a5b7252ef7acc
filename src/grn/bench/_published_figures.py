"""Figures of the paper to set beside ours (arXiv 2605.08128, scGPT, trained on hESC; as reported second-hand)."""

from __future__ import annotations

_COLUMNS = ("Pert (origin)", "Attn (origin)", "Pert", "Emb", "VVP", "GDT", "Ens")
_ROWS = {
    ("STRING", "hHEP"): (0.496, 0.507, 0.586, 0.732, 0.609, 0.906, 0.909),
    ("STRING", "mDC"): (0.512, 0.536, 0.569, 0.637, 0.606, 0.917, 0.923),
    ("STRING", "mESC"): (0.542, 0.531, 0.493, 0.699, 0.600, 0.969, 0.966),
    ("STRING", "mHSC-L"): (0.622, 0.534, 0.624, 0.815, 0.656, 0.895, 0.873),
    ("Non-Specific", "hHEP"): (0.516, 0.512, 0.546, 0.586, 0.549, 0.716, 0.711),
    ("Non-Specific", "mESC"): (0.551, 0.539, 0.512, 0.638, 0.582, 0.835, 0.836),
}


def published(method: str, *, train: str, network: str, test: str, protocol: str, metric: str) -> float:
    """AUPRC the paper reports for a method on another backbone, or NaN."""
    row = _ROWS.get((network, test))
    told = train == f"hESC/{network}" and protocol == "paper" and metric == "auprc" and method in _COLUMNS
    return row[_COLUMNS.index(method)] if told and row is not None else float("nan")
