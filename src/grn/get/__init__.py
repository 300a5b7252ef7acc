"""Read-only views of what the functions of ``grn.pp`` and ``grn.tl`` have stored."""

from grn.get._agreement import agreement
from grn.get._edges import edges, network, regulons
from grn.get._features import Features, embedding, features
from grn.get._genes import gene_report

__all__ = ["Features", "agreement", "edges", "embedding", "features", "gene_report", "network", "regulons"]
