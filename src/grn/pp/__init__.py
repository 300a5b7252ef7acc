"""From an object as it comes to an object that models and methods can use."""

from typing import TYPE_CHECKING

from grn._core.lazy import lazy_names

if TYPE_CHECKING:
    from grn.pp._base_grn import base_grn
    from grn.pp._base_grn_from_footprints import base_grn_from_footprints
    from grn.pp._base_grn_from_regions import base_grn_from_regions
    from grn.pp._links import link_regions
    from grn.pp._metacells import metacells
    from grn.pp._motifs import motifs, scan_motifs
    from grn.pp._promoter_base_grn import promoter_base_grn
    from grn.pp._smooth import smooth
    from grn.pp._trajectory import trajectory
    from grn.pp.align import align_genes
    from grn.pp.check import ExpressionReport, check_expression
    from grn.pp.regulators import annotate_regulators
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "grn.pp._base_grn": "base_grn",
            "grn.pp._base_grn_from_footprints": "base_grn_from_footprints",
            "grn.pp._base_grn_from_regions": "base_grn_from_regions",
            "grn.pp._links": "link_regions",
            "grn.pp._metacells": "metacells",
            "grn.pp._motifs": "motifs scan_motifs",
            "grn.pp._promoter_base_grn": "promoter_base_grn",
            "grn.pp._smooth": "smooth",
            "grn.pp._trajectory": "trajectory",
            "grn.pp.align": "align_genes",
            "grn.pp.check": "ExpressionReport check_expression",
            "grn.pp.regulators": "annotate_regulators",
        },
    )

__all__ = [
    "ExpressionReport",
    "align_genes",
    "annotate_regulators",
    "base_grn",
    "base_grn_from_footprints",
    "base_grn_from_regions",
    "check_expression",
    "link_regions",
    "metacells",
    "motifs",
    "promoter_base_grn",
    "scan_motifs",
    "smooth",
    "trajectory",
]
