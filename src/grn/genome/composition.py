"""What sequences of regions are made of."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grn.genome.regions import Regions, parse_regions
from grn.genome.sequences import Sequences, Source, opened

# regions in work at a time
_BLOCK = 4096


def gc_content(regions: Regions, *, sequences: Source | Sequences) -> pd.Series:
    """Give the share of G and C in the bases of every region.

    Motifs rich in G and C are found in promoters and CpG islands whatever binds there. Background regions that are
    alike in this share are drawn by ``grn.tl.motif_enrichment(adata, match=["gc"])``, after
    ``adata.var["gc"] = grn.genome.gc_content(adata.var_names, sequences=...)``.

    Parameters
    ----------
    regions
        Names or a table, as :func:`parse_regions` takes them.
    sequences
        :class:`Sequences`, or what they are made of: a dict, or the path of a FASTA or .2bit file.

    Returns
    -------
    Series
        Shares of known bases, by the names of the regions; 0.5 where none is known.

    Raises
    ------
    RegionError
        If regions are malformed or not in the sequences.
    ParameterError
        If ``sequences`` has a wrong type.
    DataNotFoundError
        If there is no such file.
    MissingDependencyError
        If the file needs a package of ``grn[motif]`` that is not installed.

    Examples
    --------
    >>> import grn.genome
    >>> grn.genome.gc_content(["chr1:0-4", "chr1:4-8"], sequences={"chr1": "ACGTGGNN"}).tolist()
    [0.5, 1.0]
    """
    table = parse_regions(regions)
    share = np.full(len(table), 0.5)
    with opened(sequences) as source:
        source.check(table)
        for first in range(0, len(table), _BLOCK):
            for row, codes in enumerate(source.coded(table.iloc[first : first + _BLOCK]), start=first):
                a, c, g, t = np.bincount(codes, minlength=5)[:4].tolist()
                if a + c + g + t:
                    share[row] = (c + g) / (a + c + g + t)
    return pd.Series(share, index=table.index, name="gc")
