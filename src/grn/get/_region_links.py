"""Links of regions and genes, filtered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.entries import entry_of
from grn._core.errors import ParameterError
from grn._core.logging import one_voice
from grn._core.near import did_you_mean
from grn._object.container import check_type
from grn._object.modalities import is_mudata, modality

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
def region_links(
    mdata: MuData | AnnData,
    *,
    key: str = "links",
    atac: str = "atac",
    genes: list[str] | None = None,
    group: str | None = None,
    max_q: float | None = None,
    min_score: float | None = None,
    max_distance: int | None = None,
    sign: int | None = None,
    top_per_gene: int | None = None,
) -> pd.DataFrame:
    """List links of regions and genes.

    Parameters
    ----------
    mdata
        Object after :func:`grn.pp.link_regions`, or its modality of regions.
    key
        Its ``key_added``.
    atac
        Name of the modality of regions.
    genes
        Links of these genes; all by default.
    group
        Links of this group, where they were made by groups.
    max_q
        Largest q-value.
    min_score
        Smallest score.
    max_distance
        Largest distance from the start of the gene, in bases, before or behind it.
    sign
        1 for regions that are open where the gene is expressed, -1 for regions that are closed there.
    top_per_gene
        Links of every gene (and group) with the largest scores; of equal ones the nearest.

    Returns
    -------
    DataFrame
        ``region, gene, distance, score`` and what else the links have, names as strings, in the stored order. Regions
        that were sliced away since are left out.

    Raises
    ------
    ResultNotFoundError
        If there are no links under that key, or they are damaged.
    ParameterError
        If the object or an argument has a wrong type or value, or the links lack what is asked for.

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=200)
    >>> grn.pp.link_regions(mdata, how="distance", starts=mdata.uns["starts"], upstream=30_000, downstream=30_000)
    >>> links = grn.get.region_links(mdata, top_per_gene=2, max_distance=10_000)
    >>> links.columns.tolist(), int(links.groupby("gene").size().max())
    (['region', 'gene', 'distance', 'score'], 2)
    """
    regions = modality(mdata, atac, argument="atac") if is_mudata(mdata) else mdata
    check_type(regions, modality=atac)
    table = _stored(regions, key)
    keep = table["region"].isin(regions.var_names).to_numpy()
    if genes is not None:
        keep &= table["gene"].isin(checks.names("genes", genes)).to_numpy()
    if group is not None:
        keep &= _of_group(table, group)
    if max_q is not None:
        keep &= _column(table, "qval", "max_q") <= checks.number("max_q", max_q, least=0, most=1)
    if min_score is not None:
        keep &= (table["score"] >= checks.number("min_score", min_score)).to_numpy()
    if max_distance is not None:
        keep &= (table["distance"].abs() <= checks.integer("max_distance", max_distance, least=0)).to_numpy()
    if sign is not None:
        if checks.integer("sign", sign, least=-1) == 0 or sign > 1:
            raise ParameterError(f"sign={checks.shown(sign)}; pass 1 or -1.")
        keep &= np.sign(_column(table, "rho", "sign")) == sign
    table = table[keep]
    if top_per_gene is not None:
        table = _top(table, checks.integer("top_per_gene", top_per_gene, least=1))
    return table.reset_index(drop=True)


def _stored(regions: AnnData, key: str) -> pd.DataFrame:
    """The table, with names as strings."""
    entry = entry_of(
        regions, key, what="links of regions and genes", call=f"grn.pp.link_regions(mdata, key_added={key!r})"
    )
    table = entry.record.get("table")
    if not isinstance(table, pd.DataFrame) or not {"region", "gene", "distance", "score"} <= set(table):
        raise entry.damaged("it has no table of region, gene, distance and score")
    names = [name for name in ("region", "gene", "promoter", "group") if name in table]
    return table.assign(**{name: table[name].astype(str).astype(object) for name in names})


def _of_group(table: pd.DataFrame, group: Any) -> np.ndarray:
    if "group" not in table:
        raise ParameterError(f"group={group!r}, and the links have no groups; make them with groupby=.")
    known = list(pd.unique(table["group"]))
    if str(group) not in known:
        raise ParameterError(
            f"group={group!r}; the links have the groups {', '.join(known)}.{did_you_mean(group, known)}"
        )
    mine: np.ndarray = (table["group"] == str(group)).to_numpy()
    return mine


def _column(table: pd.DataFrame, name: str, argument: str) -> np.ndarray:
    """A column that not all links have."""
    if name not in table:
        raise ParameterError(
            f"{argument}= reads the column {name!r}, which the links lack; make them with "
            "grn.pp.link_regions(mdata, how='correlation')."
        )
    values: np.ndarray = table[name].to_numpy(dtype=np.float64)
    return values


def _top(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """The links of every gene with the largest scores, in the order of the table."""
    by = ["gene"] + (["group"] if "group" in table else [])
    ranked = table.assign(far=table["distance"].abs()).sort_values(
        ["score", "far", "region"], ascending=[False, True, True], kind="stable"
    )
    return table.loc[ranked.groupby(by, sort=False).head(n).index.sort_values()]
