"""A base GRN from footprints of regulators, by the rule of Dictys."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core import checks
from grn._core.errors import NetworkError, ParameterError, RegionError
from grn._core.logging import logger, one_voice, some
from grn._kernels.intervals import DECAY
from grn._object.container import validate
from grn.genome import link_genes, parse_regions
from grn.genome.neighbourhood import starts_for
from grn.pp._settled import names_of, settled


@one_voice
def base_grn_from_footprints(
    footprints: pd.DataFrame,
    *,
    motifs: pd.DataFrame | None = None,
    starts: pd.DataFrame | str = "auto",
    window: int = 500_000,
    adata: AnnData | None = None,
    organism: str = "auto",
    min_overlap: float = 0.1,
) -> pd.DataFrame:
    r"""Make a base GRN from footprints: regulators that leave one near the start of a gene.

    The rule of Dictys. A footprint p of strength :math:`a_p` with the motif of a regulator s, of score :math:`b_{sp}`,
    links s to every gene t whose start is at most ``window`` bases from it:

    .. math:: \text{score}_{st} = \max_p \; \log a_p + \log b_{sp} - \ln(10)\, \frac{|d_{pt}|}{10^6}

    Parameters
    ----------
    footprints
        Either a DataFrame ``source, region, score``: a regulator, where its footprint is, and the logarithm of its
        strength. Or, with ``motifs``, the strengths of footprints, regions in rows and motifs in columns, such as the
        scores of Wellington.
    motifs
        Scores of motifs in the footprints, with the rows and columns of ``footprints``, such as those of HOMER. A
        column ``"TF1,TF2_name"`` is a motif of TF1 and of TF2. Pairs in which one of the two tables is not above 0 are
        none.
    starts
        Transcription starts: from :func:`grn.genome.starts`, or ``"hg38"``, ``"hg19"`` or ``"mm10"``, which are checked
        against the regions, or ``"auto"``, which tells the build.
    window
        Most distance of a footprint from the start of a gene, in bases.
    adata
        Object whose genes the table shall speak of, as in :func:`grn.pp.base_grn`.
    organism, min_overlap
        As in :func:`grn.pp.base_grn`.

    Returns
    -------
    DataFrame
        As :func:`grn.pp.base_grn` gives it: ``source, target, region`` (the footprint with the highest score) and
        ``score``, a logarithm. One row per pair.

    Raises
    ------
    NetworkError
        If a column is missing, scores are no finite numbers, names are no names, or no edge is left.
    RegionError
        If regions are malformed or of another build, or none is near a gene.
    GeneOverlapError
        If the object and the table share too few genes.
    ParameterError
        If an argument has a wrong type or value.

    Notes
    -----
    :func:`grn.tl.dictys` takes the ``n_regulators`` highest scores of every target. Footprints are called from reads of
    ATAC-seq by other programs; without any, :func:`grn.pp.base_grn_from_regions` takes motifs in peaks. Cost: a row per
    footprint and gene near it. Source: Wang et al., Nat Methods 2023, doi 10.1038/s41592-023-01971-3.

    Examples
    --------
    >>> import pandas as pd
    >>> import grn
    >>> footprints = pd.DataFrame({"source": "SPI1", "region": ["chrX:48786000-48786020", "chrX:48700000-48700020"]})
    >>> footprints["score"] = [2.0, 4.0]
    >>> base = grn.pp.base_grn_from_footprints(footprints, starts=grn.genome.starts("hg38"), window=100_000)
    >>> base[base["target"] == "GATA1"].round(3).values.tolist()
    [['SPI1', 'GATA1', 'chrX:48700000-48700020', 3.801]]
    """
    checks.integer("window", window, least=0)
    checks.number("min_overlap", min_overlap, least=0, most=1)
    if adata is not None:
        validate(adata)
    for name, table in (("footprints", footprints), ("motifs", motifs)):
        if not isinstance(table, pd.DataFrame) and (name == "footprints" or table is not None):
            raise ParameterError(f"{name} has type {type(table).__name__}; expected a DataFrame.")
    bound = _checked(footprints) if motifs is None else binding(footprints, motifs)
    regions = pd.unique(bound["region"])
    places = parse_regions(regions)
    near = link_genes(regions, starts=starts_for(places, starts)[0], upstream=window, downstream=window)
    links = linked(bound, near.rename(columns={"gene": "target"}))
    logger.info("%d of %d footprints are near a gene", near["region"].nunique(), len(regions))
    facts: dict[str, object] = {"evidence": "footprint", "self_loops": 0, "merged": 0, "below": 0}
    named = {name: names_of(links[name].astype(object), name) for name in ("source", "target", "region")}
    return settled(links.assign(**named), facts, adata=adata, organism=organism, min_overlap=min_overlap)


def _checked(footprints: pd.DataFrame) -> pd.DataFrame:
    """Footprints with their columns and finite scores."""
    lacking = [name for name in ("source", "region", "score") if name not in footprints]
    if lacking:
        raise NetworkError(
            f"footprints lacks {', '.join(lacking)} (it has {some(footprints.columns, 6)}); expected source, region, "
            "score, or strengths by region and motif with motifs=."
        )
    score = pd.to_numeric(footprints["score"], errors="coerce").to_numpy(np.float64)
    if not len(footprints) or not np.isfinite(score).all():
        what = (
            "no row" if not len(footprints) else f"{int((~np.isfinite(score)).sum())} scores that are no finite numbers"
        )
        raise NetworkError(f"footprints has {what}; expected a logarithm of the strength in every row.")
    for name in ("source", "region"):
        names_of(footprints[name], name)
    return footprints[["source", "region"]].astype(object).assign(score=score)


def binding(footprints: pd.DataFrame, motifs: pd.DataFrame) -> pd.DataFrame:
    """Binding ``source, region, score`` from strengths of footprints and scores of motifs, the best motif of each.

    Parameters
    ----------
    footprints, motifs
        Tables (regions, motifs); see :func:`base_grn_from_footprints`.
    """
    unique = all(part.is_unique for part in (footprints.index, footprints.columns, motifs.index, motifs.columns))
    same = set(footprints.index) == set(motifs.index) and set(footprints.columns) == set(motifs.columns)
    if not unique or not same:
        raise NetworkError(
            f"footprints is {footprints.shape} and motifs {motifs.shape} with other, or repeated, names of regions or "
            "motifs; expected the same in both, each once."
        )
    strength = footprints.to_numpy(np.float64)
    score = motifs.loc[footprints.index, footprints.columns].to_numpy(np.float64)
    row, column = np.nonzero((strength > 0) & (score > 0))
    if not len(row):
        raise NetworkError("no footprint has a strength and a motif score above 0.")
    total = np.log(strength[row, column]) + np.log(score[row, column])
    regulators = pd.Series(footprints.columns.astype(str)).str.rsplit("_", n=1).str[0].str.split(",")
    table = pd.DataFrame(
        {"source": regulators.to_numpy()[column], "region": footprints.index.to_numpy()[row], "score": total}
    ).explode("source")
    return table.groupby(["source", "region"], sort=True)["score"].max().reset_index()


def linked(bound: pd.DataFrame, distances: pd.DataFrame) -> pd.DataFrame:
    """Links ``source, target, score, region``: the footprint with the highest score, of equal ones the first by name.

    Parameters
    ----------
    bound
        Binding ``source, region, score``, scores being logarithms.
    distances
        Distances ``region, target, distance`` of regions from starts of genes, of either sign.
    """
    pairs = bound.merge(distances, on="region")
    pairs = pairs[pairs["source"].astype(str) != pairs["target"].astype(str)]
    if pairs.empty:
        raise RegionError("no footprint is near the start of a gene of another name; pass a larger window=.")
    pairs = pairs.assign(score=pairs["score"] - DECAY * pairs["distance"].abs())
    pairs = pairs.sort_values(["source", "target", "score", "region"], ascending=[True, True, False, True])
    return pairs.drop_duplicates(["source", "target"])[["source", "target", "region", "score"]].reset_index(drop=True)
