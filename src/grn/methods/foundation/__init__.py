"""Recipes of published foundation models, each as its authors read networks from it."""

from grn.methods.foundation import genecompass, geneformer, lpm, scgenept, scgpt, scprint

__all__ = ["genecompass", "geneformer", "lpm", "scgenept", "scgpt", "scprint"]
