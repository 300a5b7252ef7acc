"""Read-only views of what the functions of ``grn.pp`` and ``grn.tl`` have stored."""

from typing import TYPE_CHECKING

from grn._core.lazy import lazy_names

if TYPE_CHECKING:
    from grn.get._agreement import agreement
    from grn.get._cistromes import cistromes
    from grn.get._edges import edges, network, regulons
    from grn.get._gene_report import gene_report
    from grn.get._motif_hits import motif_hits
    from grn.get._pair_features import Features, embedding, features
    from grn.get._region_links import region_links
    from grn.get._regulators import regulators
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "grn.get._agreement": "agreement",
            "grn.get._cistromes": "cistromes",
            "grn.get._edges": "edges network regulons",
            "grn.get._gene_report": "gene_report",
            "grn.get._motif_hits": "motif_hits",
            "grn.get._pair_features": "Features embedding features",
            "grn.get._region_links": "region_links",
            "grn.get._regulators": "regulators",
        },
    )

__all__ = [
    "Features",
    "agreement",
    "cistromes",
    "edges",
    "embedding",
    "features",
    "gene_report",
    "motif_hits",
    "network",
    "region_links",
    "regulators",
    "regulons",
]
