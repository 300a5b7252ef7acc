"""Baselines that regress on cells alone."""

from typing import TYPE_CHECKING

from grn._core.lazy import lazy_names

if TYPE_CHECKING:
    from grn.methods.baselines import correlation, genie3, grnboost2, prior_ridge, ridge
else:
    __getattr__, __dir__ = lazy_names(__name__, {})

__all__ = ["correlation", "genie3", "grnboost2", "prior_ridge", "ridge"]
