"""Activity of eRegulons in cells, by their genes and by their regions, and how specific it is."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core import checks
from grn._core.errors import GroupError, NetworkError, ResultNotFoundError
from grn._core.logging import hint, logger, some
from grn._core.logging import progress as progress_bar
from grn._kernels.correlate import sparse_columns
from grn._kernels.specificity import specificity
from grn._object.chromatin import chromatin_of
from grn._object.container import check_target, target, validate
from grn._object.groups import label_codes
from grn._object.values import expression
from grn.network.schema import holder, storable
from grn.regulators.activity import scorer_of, versions

if TYPE_CHECKING:
    from anndata import AnnData

_COLUMNS = ("source", "region", "target", "sign", "extended")
# values that are dense at a time
_VALUES = 2**26


def write_eregulon_activity(
    adata: AnnData,
    *,
    key: str,
    groupby: str | None,
    min_targets: int,
    min_rho: float | None,
    top: int | None,
    layer: str | None,
    use_raw: bool,
    values: str,
    key_added: str,
    progress: bool | None,
    copy: bool,
) -> AnnData | None:
    """Score eRegulons and write the scores; see :func:`grn.tl.eregulon_activity`."""
    arguments = {name: value for name, value in locals().items() if name not in {"adata", "copy", "progress"}}
    validate(adata)
    check_target(adata, copy=copy, key=key_added)
    checks.integer("min_targets", min_targets, least=1)
    if top is not None:
        checks.integer("top", top, least=1, note=", or None")
    if min_rho is not None:
        checks.number("min_rho", min_rho, least=-1, most=1, note=", or None")
    triplets = _triplets(adata, key, top)
    labels = None if groupby is None else label_codes(adata.obs, groupby, gaps=True)
    chromatin = chromatin_of(adata)
    table = _listed(triplets, adata.var_names, chromatin.names, min_targets, key)
    chosen = triplets[triplets["eregulon"].isin(table.index)]
    read = expression(adata, layer=layer, use_raw=use_raw, values=values)
    genes, regions = np.asarray(adata.var_names, dtype=str), chromatin.names
    sides = {"genes": (read.rows, genes, "target"), "regions": (chromatin.openness, regions, "region")}
    scores = {
        side: _scored(rows, names, chosen, column, table.index, adata.n_obs)
        for side, (rows, names, column) in progress_bar(list(sides.items()), desc="eregulons", show=progress)
    }
    table["rho"] = _paired_correlation(scores["genes"], scores["regions"])
    table["rho_tf"] = _paired_correlation(scores["genes"], _sources(read, genes, table["source"], adata.n_obs))
    if min_rho is not None:
        keep = (table["rho"] >= min_rho).to_numpy()
        if not keep.any():
            raise NetworkError(
                f"the scores of genes and regions of no eRegulon correlate at min_rho={min_rho} or above; the largest "
                f"correlation is {table['rho'].max():.2f}."
            )
        table, scores = table[keep], {side: part[:, keep] for side, part in scores.items()}
    out = target(adata, copy=copy)
    for side, part in scores.items():
        out.obsm[f"{key_added}_{side}"] = pd.DataFrame(
            part.astype(np.float32), index=adata.obs_names, columns=list(table.index)
        )
    record: dict[str, Any] = {"table": table.rename_axis("eregulon").reset_index()}
    if labels is not None:
        record["specificity"] = _specific(scores, *labels, names=table.index)
    params = {"function": "eregulon_activity", **arguments, **versions(), "n_eregulons": len(table)}
    out.uns[key_added] = {**record, "params": storable(params)}
    logger.info("scores of %d eRegulons in obsm[%r] and obsm[%r]", len(table), *(f"{key_added}_{s}" for s in sides))
    return out if copy else None


def _triplets(adata: AnnData, key: str, top: int | None) -> pd.DataFrame:
    """Triplets of a network with the name of their eRegulon, of each the best."""
    record = holder(adata, key).uns.get(key)
    table = record.get("triplets") if hasattr(record, "get") else None
    if not isinstance(table, pd.DataFrame) or any(name not in table for name in _COLUMNS):
        raise ResultNotFoundError(f"uns[{key!r}] has no triplets of eRegulons; call grn.tl.scenicplus(mdata) first.")
    if "group" in table:
        raise GroupError(
            f"uns[{key!r}] has eRegulons of {table['group'].nunique()} groups; scores of cells of different groups "
            "would be of different sets. Call grn.tl.scenicplus without groupby=, or score one group's cells."
        )
    table = table.astype({"source": str, "region": str, "target": str, "sign": str})
    kind = np.where(table["extended"], "extended", "direct")
    # a column of obsm, which files do not keep with a slash
    table["eregulon"] = table["source"] + "_" + kind + "_" + table["sign"].str.replace("/", "")
    if top is not None:
        table = table.sort_values("triplet_rank", kind="stable").groupby("eregulon").head(top)
    return table


def _listed(triplets: pd.DataFrame, genes: pd.Index, regions: np.ndarray, min_targets: int, key: str) -> pd.DataFrame:
    """One row per eRegulon with enough genes of the object."""
    known = triplets[triplets["target"].isin(genes) & triplets["region"].isin(regions)]
    grouped = known.groupby("eregulon", sort=True)
    first = grouped[["source", "extended", "sign"]].first()
    table = first.assign(n_genes=grouped["target"].nunique(), n_regions=grouped["region"].nunique())
    small = table[table["n_genes"] < min_targets].index
    if len(small) == len(table):
        raise NetworkError(
            f"no eRegulon of uns[{key!r}] has min_targets={min_targets} targets among the genes of this object; the "
            f"largest has {int(table['n_genes'].max()) if len(table) else 0}."
        )
    if len(small):
        hint("%d of %d eRegulons have fewer than %d targets: %s", len(small), len(table), min_targets, some(small))
    return table.drop(index=small)


def _scored(
    rows: Any, names: np.ndarray, triplets: pd.DataFrame, column: str, eregulons: pd.Index, n_cells: int
) -> np.ndarray:
    """AUCell scores (n_cells, F) by decoupler, a block of cells at a time, features in the order of their names."""
    from anndata import AnnData

    if len(names) < 2:
        raise NetworkError(
            f"eRegulons are ranked among all {column}s of the object, and it has {len(names)}; pass more."
        )
    net = triplets[["eregulon", column]].drop_duplicates().sort_values(["eregulon", column])
    net = net.rename(columns={"eregulon": "source", column: "target"}).assign(weight=1.0)
    order = np.argsort(names, kind="stable")
    step = max(1, _VALUES // max(1, len(names)))
    scorer, parts = scorer_of("aucell"), []
    for start in range(0, n_cells, step):
        cells = np.arange(start, min(start + step, n_cells))
        block = sparse.csr_matrix(rows(cells))[:, order]
        data = AnnData(block, obs=pd.DataFrame(index=cells.astype(str)), var=pd.DataFrame(index=names[order]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decoupler's and numba's own
            scorer(data, net, tmin=1, empty=False)
        # a cell without any value is left out
        parts.append(data.obsm["score_aucell"].reindex(index=cells.astype(str), columns=list(eregulons)).to_numpy())
    return np.nan_to_num(np.concatenate(parts).astype(np.float64))


def _sources(read: Any, genes: np.ndarray, sources: pd.Series, n_cells: int) -> np.ndarray:
    """Expression (n_cells, F) of the regulator of every eRegulon; 0 where the object lacks it."""
    place = pd.Index(genes).get_indexer(sources)
    values = sparse_columns(read.rows, np.arange(n_cells), place).toarray().astype(np.float64)
    values[:, place < 0] = 0.0
    return values


def _paired_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson correlation (F,) of columns with columns; NaN where one is constant."""
    x, y = first - first.mean(axis=0), second - second.mean(axis=0)
    scale = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    return np.divide((x * y).sum(axis=0), scale, out=np.full(x.shape[1], np.nan), where=scale > 1e-12)


def _specific(
    scores: dict[str, np.ndarray], groups: tuple[str, ...], codes: np.ndarray, *, names: pd.Index
) -> pd.DataFrame:
    """Specificity of every eRegulon for every group, by genes and by regions."""
    columns = {f"rss_{side}": specificity(part, codes, len(groups)).ravel() for side, part in scores.items()}
    index = pd.MultiIndex.from_product([list(groups), list(names)], names=["group", "eregulon"])
    return pd.DataFrame(columns, index=index).reset_index()
