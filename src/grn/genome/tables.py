"""The fact tables of the package, read once: ``scripts/build_genome_tables.py`` compiles them."""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files
from io import BytesIO

import pandas as pd

BUILDS = ("hg19", "hg38", "mm10")


@cache
def shipped(name: str) -> pd.DataFrame:
    """A table as it is stored; not to be changed by those who read it."""
    packed = files("grn.genome").joinpath("data", f"{name}.tsv.gz").read_bytes()
    return pd.read_csv(BytesIO(gzip.decompress(packed)), sep="\t", keep_default_na=False)
