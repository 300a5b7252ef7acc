"""Baselines that regress on cells alone."""

from grn.methods.baselines import correlation, genie3, grnboost2, prior_ridge, ridge

__all__ = ["correlation", "genie3", "grnboost2", "prior_ridge", "ridge"]
