"""SCENIC+: importances of regulators and regions, modules, enrichment, eRegulons."""

from grn.methods.scenicplus import method

__all__ = ["method"]
