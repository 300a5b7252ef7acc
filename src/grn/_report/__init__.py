"""A report of what an object holds of networks, as one page: what was inferred and how, and what to keep in mind."""

from grn._report.writing import report

__all__ = ["report"]
