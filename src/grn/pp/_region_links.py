"""Which genes the regions of an object belong to, for a base GRN: promoters, and regions that go with them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core import checks
from grn._core.errors import RegionError
from grn._core.logging import hint, logger, some
from grn._object.region_links import links_of, numbers
from grn.genome import link_genes, parse_regions
from grn.genome.neighbourhood import starts_for
from grn.genome.regions import rows_of

LINKS = "links"


def region_links(
    atac: AnnData,
    *,
    links: pd.DataFrame | str | None,
    starts: pd.DataFrame | str,
    upstream: int,
    downstream: int,
    min_link: float | None,
    max_p: float | None,
) -> pd.DataFrame:
    """Pairs of a region and a gene that count: ``row, gene, distance, promoter, link``, each once.

    Arguments are those of :func:`grn.pp.base_grn_from_regions`.
    """
    if min_link is not None:
        checks.number("min_link", min_link, note=", or None")
    if max_p is not None:
        checks.number("max_p", max_p, least=0, most=1, note=", or None")
    table = _given(atac, links)
    if table is None:
        return _promoters(atac, starts, upstream, downstream)
    for name, value in (("upstream", upstream), ("downstream", downstream)):
        checks.integer(name, value, least=0)
    rows = rows_of(table["region"], atac.var_names)
    distance = numbers(table, "distance")
    promoter = (distance >= -upstream) & (distance <= downstream)
    score = np.where(promoter, 1.0, numbers(table, "score"))
    gene = table["gene"].astype(object).where(table["gene"].notna(), "").to_numpy()
    keep = (rows >= 0) & (gene != "")
    if not keep.any():
        raise RegionError(
            f"none of the {len(table)} links joins a region of the object with a gene; the links are of regions such "
            f"as {some(table['region'].astype(str).unique(), 2)}, the object has {some(atac.var_names, 2)}."
        )
    if not keep.all():
        logger.warning(
            "%d of %d links are left out: their region is not in the object, or they name no gene",
            (~keep).sum(),
            len(keep),
        )
    strong, limit = _strong(table, score, min_link, max_p)
    strong |= promoter
    if (keep & ~strong).any():
        hint("%d of %d links are left out: %s is asked for", (keep & ~strong).sum(), keep.sum(), limit)
    keep &= strong
    if not keep.any():
        raise RegionError(
            f"no link has {limit}, and none is on a promoter; the highest score is "
            f"{np.nanmax(score, initial=-np.inf):.3g}. Pass a lower min_link or a larger max_p, or None."
        )
    made = pd.DataFrame(
        {"row": rows, "gene": gene.astype(str), "distance": distance, "promoter": promoter, "link": score}
    )[keep]
    made = made.iloc[np.lexsort([-made["link"].fillna(-np.inf), made["gene"], made["row"]])]
    return made.drop_duplicates(["row", "gene"], ignore_index=True)


def _given(atac: AnnData, links: pd.DataFrame | str | None) -> pd.DataFrame | None:
    """The table that was passed or stored; ``None`` where there is none and none was asked for."""
    if links is None and LINKS not in atac.uns:
        return None
    return links_of(atac, LINKS if links is None else links, where="the regions")


def _promoters(atac: AnnData, starts: pd.DataFrame | str, upstream: int, downstream: int) -> pd.DataFrame:
    """Regions on promoters."""
    table = parse_regions(atac.var_names)
    near = link_genes(table, starts=starts_for(table, starts)[0], upstream=upstream, downstream=downstream)
    rows = pd.Index(table.index).get_indexer(near["region"])
    n_regions = near["region"].nunique()
    logger.info("%d of %d regions are on promoters, of %d genes", n_regions, len(table), near["gene"].nunique())
    hint(
        "no links of regions and genes are stored: the base GRN is made of the %d regions on promoters alone. "
        "grn.pp.link_regions(mdata) adds those that go with them",
        n_regions,
    )
    made = {"row": rows, "gene": near["gene"], "distance": near["distance"].astype(float), "promoter": True}
    return pd.DataFrame({**made, "link": 1.0})


def _strong(
    table: pd.DataFrame, score: np.ndarray, min_link: float | None, max_p: float | None
) -> tuple[np.ndarray, str]:
    """Mask of the links that count without being on a promoter, and what they have to have."""
    if max_p is not None and "pval" in table:
        return numbers(table, "pval") <= max_p, f"a p-value of at most max_p={max_p:g}"
    if min_link is not None and "score" in table:
        return score >= min_link, f"a score of at least min_link={min_link:g}"
    return np.ones(len(table), dtype=bool), "nothing"
