"""Small data that come with the package: nothing here uses the network."""

from grn.datasets._bundled import pbmc68k, tfs
from grn.datasets._toy import toy

__all__ = ["pbmc68k", "tfs", "toy"]
