"""Which genes the regions of an object belong to, for a base GRN: promoters, and regions that go with them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core import checks
from grn._core.errors import RegionError, ResultNotFoundError
from grn._core.logging import hint, logger, some
from grn.genome import check_build, link_genes, parse_regions
from grn.genome import starts as starts_of
from grn.genome.tables import BUILDS

LINKS = "links"
_EXPECTED = "expected region, gene[, distance, score], as grn.pp.link_regions writes them"


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
        checks.integer(name, value, least=0, most=None)
    rows = region_rows(table, atac.var_names)
    distance = _numbers(table, "distance")
    promoter = (distance >= -upstream) & (distance <= downstream)
    score = np.where(promoter, 1.0, _numbers(table, "score"))
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
    if isinstance(links, pd.DataFrame):
        return _checked(links, "links=")
    key = LINKS if links is None else links
    if not isinstance(key, str):
        raise RegionError(f"links has type {type(links).__name__}; pass a DataFrame, a key of uns, or None.")
    stored = atac.uns.get(key)
    if links is None and stored is None:
        return None
    if not isinstance(stored, Mapping) or not isinstance(stored.get("table"), pd.DataFrame):
        raise ResultNotFoundError(
            f"uns[{key!r}] of the regions holds no links; make them with grn.pp.link_regions(mdata), or pass a table: "
            f"{_EXPECTED}."
        )
    return _checked(stored["table"], f"uns[{key!r}]['table']")


def _checked(table: pd.DataFrame, where: str) -> pd.DataFrame:
    missing = [name for name in ("region", "gene") if name not in table.columns]
    if missing or table.empty:
        lacks = f"lacks {' and '.join(missing)}" if missing else "has no rows"
        raise RegionError(f"{where} {lacks} (columns {list(map(str, table.columns[:8]))}); {_EXPECTED}.")
    return table


def _promoters(atac: AnnData, starts: pd.DataFrame | str, upstream: int, downstream: int) -> pd.DataFrame:
    """Regions on promoters."""
    table = parse_regions(atac.var_names)
    if isinstance(starts, str):
        starts = starts_of(build_of(table, starts))
    near = link_genes(table, starts=starts, upstream=upstream, downstream=downstream)
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


def build_of(table: pd.DataFrame, build: str) -> str:
    """The build that ``starts`` names, compared with the regions, or with ``"auto"`` told from them."""
    checks.word("starts", build, ("auto", *BUILDS), note=", or a table as grn.genome.starts gives it")
    try:
        return check_build(table, build=build)
    except RegionError as error:
        raise RegionError(
            f"{error} Here that is starts={build!r}; of other genomes pass starts=grn.genome.starts(path='genes.gtf')."
        ) from error


def region_rows(table: pd.DataFrame, names: pd.Index) -> np.ndarray:
    """Row of the region of every link, whatever its spelling; -1 for none."""
    listed = table["region"].astype(str)
    rows: np.ndarray = pd.Index(names.astype(str)).get_indexer(listed)
    if (rows >= 0).all():
        return rows
    here = parse_regions(names)
    asked = pd.Index(listed[rows < 0].unique(), dtype=object)
    there = parse_regions(asked)
    known = {place: row for row, place in enumerate(here.itertuples(index=False, name=None))}
    row_of = {
        name: known.get(place, -1) for name, place in zip(asked, there.itertuples(index=False, name=None), strict=True)
    }
    rows[rows < 0] = listed[rows < 0].map(row_of).to_numpy()
    return rows


def _numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    """A column as numbers, NaN where it is missing."""
    if name not in table.columns:
        return np.full(len(table), np.nan)
    try:
        return table[name].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise RegionError(f"{name} of the links holds no numbers ({error}); {_EXPECTED}.") from error


def _strong(
    table: pd.DataFrame, score: np.ndarray, min_link: float | None, max_p: float | None
) -> tuple[np.ndarray, str]:
    """Mask of the links that count without being on a promoter, and what they have to have."""
    if max_p is not None and "pval" in table:
        return _numbers(table, "pval") <= max_p, f"a p-value of at most max_p={max_p:g}"
    if min_link is not None and "score" in table:
        return score >= min_link, f"a score of at least min_link={min_link:g}"
    return np.ones(len(table), dtype=bool), "nothing"
