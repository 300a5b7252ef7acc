"""What lies where in a genome: regions, transcription starts, sequences, and motifs of transcription factors."""

from grn.genome.composition import gc_content
from grn.genome.jaspar import carry_factors, jaspar
from grn.genome.motif_files import read_motifs
from grn.genome.motifs import Motifs
from grn.genome.neighbourhood import check_build, link_genes, nearest_gene, promoter_shares
from grn.genome.regions import merge, overlaps, parse_regions
from grn.genome.scan import motif_positions
from grn.genome.sequences import Sequences
from grn.genome.starts import starts

__all__ = [
    "Motifs",
    "Sequences",
    "carry_factors",
    "check_build",
    "gc_content",
    "jaspar",
    "link_genes",
    "merge",
    "motif_positions",
    "nearest_gene",
    "overlaps",
    "parse_regions",
    "promoter_shares",
    "read_motifs",
    "starts",
]
