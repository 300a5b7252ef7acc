"""The generalization benchmark: splits, negatives, metrics, floors and audits as objects, and runs over them."""

from grn.bench import audit, drivers, floors, metrics, negatives, perturbation, splits
from grn.bench._edge_scores import score_edges
from grn.bench._entries import READINGS, Entry
from grn.bench._family_finding import family_links
from grn.bench._headline import gains
from grn.bench._labels_only import label_floors, leakage
from grn.bench._leaderboard import leaderboard, markdown, overview
from grn.bench._method_scorer import scorer
from grn.bench._reliability import reliability
from grn.bench._run import run
from grn.bench._scored_pairs import scored_pairs
from grn.bench._verdict import verdict
from grn.datasets.reference import Reference

__all__ = [
    "READINGS",
    "Entry",
    "Reference",
    "audit",
    "drivers",
    "family_links",
    "floors",
    "gains",
    "label_floors",
    "leaderboard",
    "leakage",
    "markdown",
    "metrics",
    "negatives",
    "overview",
    "perturbation",
    "reliability",
    "run",
    "score_edges",
    "scored_pairs",
    "scorer",
    "splits",
    "verdict",
]
