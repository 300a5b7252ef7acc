"""What lies where in a genome: regions, transcription starts, sequences, and motifs of transcription factors."""

from grn.genome.neighbourhood import check_build, link_genes, nearest_gene, promoter_shares
from grn.genome.regions import merge, overlaps, parse_regions
from grn.genome.starts import starts

__all__ = [
    "check_build",
    "link_genes",
    "merge",
    "nearest_gene",
    "overlaps",
    "parse_regions",
    "promoter_shares",
    "starts",
]
