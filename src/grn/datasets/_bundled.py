"""Real data that installed packages carry."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
from anndata import AnnData, read_h5ad

from grn.genes import tables


def pbmc68k() -> AnnData:
    """Give 700 human blood cells with 765 genes, log-normalised.

    The object is ``scanpy.datasets.pbmc68k_reduced()``, which scanpy carries in its package, with the
    log-normalised values of its ``.raw`` as ``X`` (its own ``X`` is scaled). Cells: Zheng et al. 2017.

    Returns
    -------
    AnnData
        ``X`` CSR float32 (700, 765), log-normalised; ``obs`` with ``bulk_labels`` (cell type), ``louvain`` and
        quality columns; ``obsm`` with ``X_pca`` and ``X_umap``; colours in ``uns``; ``var_names`` are symbols as
        shipped, some of them outdated.

    Examples
    --------
    >>> import grn.datasets
    >>> adata = grn.datasets.pbmc68k()
    >>> adata.shape
    (700, 765)
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the file has an old layout, which is of no interest to the caller
        cells = _reduced()
    return AnnData(
        X=cells.raw.X.copy(),
        obs=cells.obs.copy(),
        var=pd.DataFrame(index=cells.raw.var_names.copy()),
        obsm={key: cells.obsm[key].copy() for key in cells.obsm},
        uns={key: value for key, value in cells.uns.items() if key.endswith("_colors")},
    )


def _reduced() -> AnnData:
    """What ``scanpy.datasets.pbmc68k_reduced()`` gives, read without importing scanpy where its file is known."""
    package = find_spec("scanpy")
    folders = (package.submodule_search_locations or []) if package is not None else []
    for folder in folders:
        path = Path(folder) / "datasets" / "10x_pbmc68k_reduced.h5ad"
        if path.is_file():
            return read_h5ad(path)
    import scanpy as sc

    cells: AnnData = sc.datasets.pbmc68k_reduced()
    return cells


def tfs(organism: str = "human") -> pd.DataFrame:
    """Give the list of known transcriptional regulators with the sources that name them.

    Parameters
    ----------
    organism
        ``"human"`` (Lambert et al. 2018 and the curated list of HGNC) or ``"mouse"`` (MGI).

    Returns
    -------
    DataFrame
        Sorted by ``symbol`` (of that organism), with ``ensembl`` (gene id without version, ``""`` when not in the
        tables) and ``sources`` (``"lambert2018"``, ``"hgnc"``, ``"mgi"``, joined by ``"|"``).

    Raises
    ------
    ParameterError
        If there is no list for ``organism``.

    Examples
    --------
    >>> import grn.datasets
    >>> table = grn.datasets.tfs()
    >>> table.loc[table["symbol"] == "GATA1", "sources"].tolist()
    ['hgnc|lambert2018']
    """
    listed = tables.regulator_sources(tables.check_organism(organism))
    ids = tables.symbols(organism)
    names = sorted(listed)
    return pd.DataFrame(
        {
            "symbol": names,
            "ensembl": [ids.get(name, "") for name in names],
            "sources": [listed[name] for name in names],
        }
    )
