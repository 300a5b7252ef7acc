"""The edge table all methods return and all consumers take."""

from grn.network._network import Network

__all__ = ["Network"]
