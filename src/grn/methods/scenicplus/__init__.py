"""SCENIC+: regulators, the regions they bind and the genes these regulate."""
