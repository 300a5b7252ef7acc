"""Gene names: approved symbols, Ensembl ids, aliases, orthologs and lists of regulators."""

from grn.genes.families import families
from grn.genes.organism import detect_organism
from grn.genes.regulators import regulators
from grn.genes.resolve import resolve
from grn.genes.tables import versions

__all__ = ["detect_organism", "families", "regulators", "resolve", "versions"]
