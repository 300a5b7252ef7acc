"""Probes of a frozen model: what is read of it for every pair of genes, and networks made of that."""

from grn.methods.probes import single, ugrn, universal

__all__ = ["single", "ugrn", "universal"]
