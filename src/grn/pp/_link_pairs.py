"""Which pairs of a region and a gene may be linked, and the two sides of an object that they are read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core.errors import GeneOverlapError, GrnError, ParameterError, RegionError
from grn._core.logging import hint, logger, some
from grn._object.chromatin import paired_places
from grn._object.container import validate
from grn._object.groups import MIN_CELLS, check_sizes, label_codes
from grn._object.modalities import is_mudata, modality
from grn.genome import link_genes
from grn.genome.neighbourhood import distances
from grn.genome.regions import rows_of

COLUMNS = ["region", "gene", "distance", "score"]


@dataclass(frozen=True)
class Sides:
    """Regions, and the expression of the same cells.

    Parameters
    ----------
    whole
        The object that was given.
    atac
        Its regions.
    rna
        Its genes; ``None`` for an object of regions alone.
    places
        Row of every cell of ``rna`` in ``atac`` (n_cells,).
    """

    whole: Any
    atac: AnnData
    rna: AnnData | None
    places: np.ndarray

    def codes(self, name: str) -> tuple[tuple[str, ...], np.ndarray]:
        """Labels of a column of ``obs``, and the number of the label of every cell (n_cells,).

        The column is one of the genes, of the whole object or of the regions, looked for in this order.
        """
        tables = [self.atac.obs.iloc[self.places]]
        if self.rna is not None:
            tables = [self.rna.obs, self.whole.obs.reindex(self.rna.obs_names), *tables]
        table = next((table for table in tables if name in table), tables[0])
        labels, codes = label_codes(table, name)
        check_sizes(labels, codes, name, MIN_CELLS)
        return labels, codes


def sides_of(mdata: object, *, rna: str, atac: str, how: str) -> Sides:
    """The two sides of a MuData, or an AnnData of regions."""
    if is_mudata(mdata):
        genes, regions = modality(mdata, rna, argument="rna"), modality(mdata, atac, argument="atac")
        validate(genes, modality=rna)
        return Sides(mdata, regions, genes, paired_places(genes.obs_names, regions, atac))
    if not isinstance(mdata, AnnData):
        raise ParameterError(
            f"mdata has type {type(mdata).__name__}; expected a MuData with mdata[{rna!r}] and mdata[{atac!r}], or for "
            "how='distance', 'coaccess' and 'table' an AnnData whose var_names are regions."
        )
    if how == "correlation":
        raise ParameterError(
            "how='correlation' reads the expression of the same cells, and mdata is an AnnData; pass a MuData with "
            f"mdata[{rna!r}] and mdata[{atac!r}], or how='distance'."
        )
    validate(mdata, modality=atac)
    return Sides(mdata, mdata, None, np.arange(mdata.n_obs))


def near_pairs(
    regions: pd.DataFrame, rna: AnnData | None, starts: pd.DataFrame, *, upstream: int, downstream: int
) -> pd.DataFrame:
    """Pairs ``region, gene, distance`` of regions and genes that are near each other, of genes that were measured."""
    if rna is not None:
        starts = _measured(rna, starts)
    return link_genes(regions, starts=starts, upstream=upstream, downstream=downstream)


def _measured(rna: AnnData, starts: pd.DataFrame) -> pd.DataFrame:
    """Starts of genes of the object."""
    known = rna.var_names.isin(starts["gene"])
    if not known.any():
        raise GeneOverlapError(
            f"none of {rna.n_vars} genes ({some(rna.var_names, 3)}) has a start among {starts['gene'].nunique()} genes "
            f"({some(starts['gene'].unique(), 3)}); expected genes of one organism and kind of name. Pass starts= "
            "of the organism ('mm10'), or with the names of the object: grn.genome.starts(path='genes.gtf')."
        )
    if not known.all():
        hint(
            "%d of %d genes have no known start and get no link, for example %s",
            (~known).sum(),
            len(known),
            some(rna.var_names[~known], 3),
        )
    return starts[starts["gene"].isin(rna.var_names)].reset_index(drop=True)


def given_pairs(table: object, regions: pd.DataFrame, rna: AnnData | None) -> pd.DataFrame:
    """A user's table, checked: ``region, gene``, with ``distance`` and ``score`` where it has them."""
    if not isinstance(table, pd.DataFrame):
        raise ParameterError(
            f"table has type {type(table).__name__}; pass a DataFrame with the columns region and gene."
        )
    missing = [name for name in ("region", "gene") if name not in table]
    if missing:
        raise ParameterError(
            f"table lacks the columns {', '.join(missing)} (it has {some(table.columns, 8)}); rename them: "
            "table.rename(columns={'peak': 'region', 'target': 'gene'})."
        )
    if table.empty:
        raise ParameterError("table has no rows; expected one link of a region and a gene per row.")
    pairs = table[[name for name in COLUMNS if name in table]].reset_index(drop=True)
    gaps = pairs[["region", "gene"]].isna().any(axis=1)
    if gaps.any():
        raise ParameterError(f"{gaps.sum()} of {len(pairs)} rows of table have no region or no gene; drop them.")
    pairs = pairs.astype({"region": str, "gene": str})
    for name in ("distance", "score"):
        if name in pairs:
            pairs[name] = _numbers(pairs[name], name, signed=name == "distance")
    rows = rows_of(pairs["region"], regions.index)
    unknown = pairs["region"][rows < 0]
    if len(unknown):
        raise _unknown(RegionError, unknown, regions.index, "regions", "adata.var_names")
    pairs["region"] = regions.index[rows]
    twice = pairs.duplicated(["region", "gene"])
    if twice.any():
        example = " and ".join(pairs.loc[twice, ["region", "gene"]].iloc[0])
        raise ParameterError(
            f"{twice.sum()} of {len(pairs)} rows of table repeat a link, for example {example}; keep one of each: "
            "table.drop_duplicates(['region', 'gene'])."
        )
    if rna is not None and not pairs["gene"].isin(rna.var_names).all():
        unknown = pairs["gene"][~pairs["gene"].isin(rna.var_names)]
        raise _unknown(GeneOverlapError, unknown, rna.var_names, "genes", "the var_names of RNA")
    return pairs


def _numbers(column: pd.Series, name: str, *, signed: bool) -> np.ndarray:
    """A column of finite numbers."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = ~np.isfinite(numbers) | (numbers < 0 if not signed else False)
    if wrong.any():
        raise ParameterError(
            f"column {name!r} of table holds {column[wrong].iloc[0]!r} ({wrong.sum()} of {len(column)} rows); expected "
            f"{'finite numbers' if signed else 'finite numbers of at least 0'}: correct or drop those rows."
        )
    return numbers


def _unknown(error: type[GrnError], names: pd.Series, known: pd.Index, what: str, where: str) -> GrnError:
    """The error for names of a table that the object does not have."""
    unique = pd.unique(names)
    return error(
        f"{len(unique)} {what} of table are not in {where}, for example {some(unique, 3)} (there are "
        f"{some(known, 2)}); write them as they are written there, or drop those rows."
    )


def with_distances(pairs: pd.DataFrame, regions: pd.DataFrame, starts: pd.DataFrame) -> pd.DataFrame:
    """The pairs with signed distances from the starts of their genes."""
    gap = distances(pairs, regions=regions, starts=starts)
    unknown = np.isnan(gap)
    if unknown.any():
        logger.warning(
            "%d of %d links have no distance: the gene has no known start on the chromosome of the region, for "
            "example %s",
            unknown.sum(),
            len(pairs),
            " and ".join(pairs.loc[unknown, ["region", "gene"]].iloc[0]),
        )
    return pairs.assign(distance=gap)
