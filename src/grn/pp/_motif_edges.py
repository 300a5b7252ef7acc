"""From motifs in regions, and genes of regions, to edges: a regulator of every gene whose regions have its motif."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grn.genome.hits import FactorHits


def motif_edges(hits: FactorHits, links: pd.DataFrame, *, regions: pd.Index, motifs: np.ndarray) -> pd.DataFrame:
    """List every triple of a factor, a region with its motif, and a gene of that region.

    Parameters
    ----------
    hits
        Factors and rows of regions.
    links
        ``row`` (of the region), ``gene``, and columns that are carried along.
    regions, motifs
        Names of the rows and of the columns of hits.

    Returns
    -------
    DataFrame
        Categories ``source, target, region``, ``score`` (bits), ``motif``, and the columns of ``links``.
    """
    links = links.sort_values("row", kind="stable", ignore_index=True)
    per_region = np.bincount(links["row"], minlength=len(regions))  # (R,)
    first = np.cumsum(per_region) - per_region
    repeat = per_region[hits.region]  # (N,)
    hit = np.repeat(np.arange(len(repeat)), repeat)
    link = first[hits.region[hit]] + np.arange(len(hit)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    gene = pd.Categorical(links["gene"])
    carried = links.drop(columns=["row", "gene"])
    return pd.DataFrame(
        {
            "source": pd.Categorical.from_codes(hits.factor[hit], categories=hits.factors),
            "target": gene.take(link),
            "region": pd.Categorical.from_codes(hits.region[hit], categories=regions),
            "score": hits.score[hit],
            "motif": pd.Categorical.from_codes(hits.motif[hit], categories=motifs),
            **{name: carried[name].to_numpy()[link] for name in carried},
        }
    )
