"""BEELINE's data sets and reference networks."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core import checks
from grn._core.errors import DataNotFoundError, ExpressionError, NetworkError, ParameterError
from grn._core.files import UNREADABLE, check_access
from grn._core.logging import logger
from grn.datasets import local_files
from grn.datasets._beeline_folder import Labels, dataset_folder, key, read_folder
from grn.datasets._unpack_limit import read_cells
from grn.datasets.reference import BEELINE, Reference
from grn.genes.spelling import restore

NETWORKS = ("STRING", "Non-Specific", "Specific", "Lofgof")
SIZES = (500, 1000)
_OTHER_NAMES = {
    "nonspecificchipseq": "Non-Specific",
    "celltypespecific": "Specific",
    "celltypespecificchipseq": "Specific",
    "logof": "Lofgof",
}
_WHERE = "https://doi.org/10.5281/zenodo.3378975 (BEELINE-data.zip and BEELINE-Networks.zip)"
_ORIGIN = "BEELINE: Pratapa et al. 2020, Nature Methods 17:147, doi:10.1038/s41592-019-0690-6"
_TABLES = "076f52dbeaf59681a07bcec234f2d8b598278a513d46b1f111287c836daa9604"
_EXPRESSION = {
    ("mDC", 500): "mDC_TFs500_expression.h5ad",
    ("hESC", 500): "hESC_subset_expression.h5ad",
    ("hESC", 1000): "hESC_subset_expression.h5ad",
}


def beeline(
    dataset: str, *, network: str, size: int | str = 500, path: str | os.PathLike[str] | None = None
) -> Reference:
    r"""Read one of BEELINE's reference networks with its genes and, where there are any, its cells.

    Two layouts are read: compact tables (``edges.parquet`` and ``genes.parquet``), or BEELINE's own files as unpacked
    from its archives: a folder with ``ExpressionData.csv`` and, if present, ``GeneOrdering.csv`` and
    ``PseudoTime.csv``; networks as ``refNetwork.csv`` beside them or under their names (``STRING-network.csv``) there
    or in ``Networks/human`` and ``Networks/mouse``. With ``GeneOrdering.csv`` genes are chosen as BEELINE does:
    regulators that vary (Bonferroni-corrected p below 0.01) and the ``size`` other such genes of largest variance;
    without it all genes are kept.

    Parameters
    ----------
    dataset
        ``"hESC"``, ``"hHEP"``, ``"mDC"``, ``"mESC"``, ``"mHSC-E"``, ``"mHSC-GM"`` or ``"mHSC-L"``, in any letter case.
    network
        ``"STRING"``, ``"Non-Specific"``, ``"Specific"`` (ChIP-seq of that cell type) or, for mESC only, ``"Lofgof"``.
    size
        500 or 1000: how many genes that vary most are added to the regulators.
    path
        Folder of the tables, of the unpacked archives or of one data set; default: ``grn.settings.data_dir``.

    Returns
    -------
    Reference
        Regulators are the listed regulators of this data set and network and all sources of edges. ``unit`` is
        ``"mHSC"`` for the three mHSC lineages, which share cells and edges. STRING is an association: ``directed`` is
        False. ``expression`` holds log-normalised cells with pseudotimes in ``obs``; from the compact tables only for
        mDC at size 500, and 56 genes of hESC.

    Raises
    ------
    ParameterError
        The data set, network, size or their combination does not exist.
    DataNotFoundError
        The data are not on disk; the message says where to get them.
    NetworkError
        A table of genes or edges is damaged, or no edge lies among the genes.
    ExpressionError
        The cells cannot be read, or have missing values.
    GeneNameError
        Genes of the expression are repeated or without a name.

    Notes
    -----
    Mouse symbols are written in capitals at the source. Each is given back the letter case of MGI if it matches one
    symbol, or else one alias, when case is ignored; what matches none or several stays as it is. Edges with an end
    outside the genes are left out, and a warning counts them.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import grn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cells = pathlib.Path(folder, "ExpressionData.csv")
    ...     _ = cells.write_text("gene,cell1,cell2\nSpi1,1,2\nCd14,0,3\nCd3e,1,0\n")
    ...     edges = pathlib.Path(folder, "refNetwork.csv")
    ...     _ = edges.write_text("Gene1,Gene2\nSPI1,CD14\n")
    ...     reference = grn.datasets.beeline("mDC", network="Specific", path=folder)
    >>> reference
    Reference mDC/Specific/500: 1 edges among 1 regulators with evidence (of 1) x 3 genes; mouse, directed
    >>> reference.edges["target"].tolist()
    ['Cd14']
    """
    dataset, network, size = _check(dataset, network, size)
    organism = "human" if dataset.startswith("h") else "mouse"
    tables = local_files.find("beeline", "edges.parquet", path=path)
    start = local_files.root(path)
    folder = None if tables or start is None or not start.is_dir() else _folder(start, dataset)
    if tables is not None:
        labels = _read_tables(tables, dataset, network, size, organism)
    elif folder is not None and start is not None:
        labels = read_folder(folder, start=start, dataset=dataset, network=network, size=size, organism=organism)
    else:
        raise local_files.not_found(
            "beeline", "edges.parquet", path=path, what=f"BEELINE's {dataset}", where_published=_WHERE
        )
    edges = _among(labels.edges, labels.genes, f"{dataset}/{network}/{size}")
    return Reference(
        edges,
        genes=labels.genes,
        regulators=np.union1d(labels.regulators, edges["source"]),
        organism=organism,
        dataset=dataset,
        network=network,
        size=str(size),
        unit="mHSC" if dataset.startswith("mHSC") else dataset,
        directed=network != "STRING",
        expression=labels.expression,
        licence=labels.licence,
        version=labels.version,
        origin=_ORIGIN,
    )


def _folder(start: Path, dataset: str) -> Path | None:
    for place in (start, start / "beeline"):
        folder = dataset_folder(place, dataset, BEELINE) if place.is_dir() else None
        if folder is not None:
            return folder
    return None


def _check(dataset: str, network: str, size: int | str) -> tuple[str, str, int]:
    """Names as listed above, or an error that lists them."""
    name = {key(known): known for known in BEELINE}.get(key(str(dataset)))
    if name is None:
        raise ParameterError(f"dataset={dataset!r} is not one of BEELINE's; use one of {', '.join(BEELINE)}.")
    kind = (_OTHER_NAMES | {key(known): known for known in NETWORKS}).get(key(str(network)))
    there = NETWORKS if name == "mESC" else NETWORKS[:3]
    if kind not in there:
        only = " Lofgof exists for mESC only." if kind == "Lofgof" else ""
        raise ParameterError(f"network={network!r} does not exist for {name}; use one of {', '.join(there)}.{only}")
    try:
        number = int(size) if isinstance(size, str) and size.isdecimal() else checks.integer("size", size)
    except ParameterError:
        number = 0
    if number not in SIZES:
        raise ParameterError(f"size={checks.shown(size)} does not exist; use 500 or 1000.")
    return name, kind, number


def _read_tables(path: Path, dataset: str, network: str, size: int, organism: str) -> Labels:
    """Read the compact tables."""
    if path.name != "edges.parquet":
        raise ParameterError(f"path is the file {path.name}; pass the folder that it lies in.")
    if not path.with_name("genes.parquet").exists():
        raise DataNotFoundError("genes.parquet is not beside edges.parquet; both tables are needed, copy it there.")
    listed = _of(path.with_name("genes.parquet"), ("gene", "is_tf"), dataset)
    known = _of(path, ("tf", "target"), dataset)
    names = [*listed["gene"], *known["tf"], *known["target"]]
    spelling = restore(names, organism) if organism == "mouse" else {name: name for name in names}
    listed, known = (t[(t["network"] == network) & (t["size"] == str(size))] for t in (listed, known))
    if listed.empty or known.empty:
        raise DataNotFoundError(
            f"{path.name} or genes.parquet has no rows for {dataset}, {network}, {size}; get the complete tables, or "
            f"BEELINE's own files from {_WHERE}."
        )
    flags = listed["is_tf"].isin([True])
    if not listed["is_tf"].isin([True, False]).all() or listed["gene"].duplicated().any():
        raise NetworkError("genes.parquet repeats genes, or is_tf holds other values than True and False.")
    genes = listed["gene"].map(spelling)
    digest = local_files.sha256_of(path)
    return Labels(
        edges=pd.DataFrame({"source": known["tf"].map(spelling), "target": known["target"].map(spelling)}),
        genes=sorted(genes),
        regulators=sorted(genes[flags]),
        expression=_read_cells(path.parent, dataset, size, dict(zip(listed["gene"], genes, strict=True))),
        licence="MIT as stated by GENELink for its copy; the sources of the networks have terms of their own",
        version="zpliulab/GENELink@4eb816a" if digest == _TABLES else f"{path.name} with sha256 {digest[:12]}",
    )


def _of(path: Path, columns: tuple[str, str], dataset: str) -> pd.DataFrame:
    """Rows of one data set."""
    wanted = ("network", "dataset", "size", *columns)
    table = local_files.read_columns(path, {name: (name,) for name in wanted})
    table = table[table["dataset"] == dataset].astype({"network": str, "size": str})
    names = table.drop(columns="is_tf", errors="ignore")
    if names.isna().to_numpy().any() or (names == "").to_numpy().any():
        raise NetworkError(f"{path.name} has rows without a name for {dataset}; get an undamaged copy.")
    return table


def _read_cells(folder: Path, dataset: str, size: int, spelling: dict[str, str]) -> AnnData | None:
    """Cells that lie beside the tables, with the genes of the data set, sorted."""
    path = folder / _EXPRESSION.get((dataset, size), "")
    if not path.is_file():
        return None
    try:
        adata = read_cells(path)
    except (*UNREADABLE, KeyError) as error:
        check_access(path, error)
        raise ExpressionError(f"{path.name} cannot be read ({error}); download it again.") from error
    inside = sorted((name for name in adata.var_names if name in spelling), key=spelling.__getitem__)
    logger.info("%s: %d of its %d genes are among the %d", path.name, len(inside), adata.n_vars, len(spelling))
    adata = adata[:, inside].copy()
    adata.var_names = [spelling[name] for name in inside]
    return adata


def _among(edges: pd.DataFrame, genes: list[str], name: str) -> pd.DataFrame:
    """Edges with both ends among the genes; a warning counts the others."""
    known = set(genes)
    inside = edges["source"].isin(known) & edges["target"].isin(known)
    if not inside.all():
        ends = set(edges["source"].unique()) | set(edges["target"].unique())
        logger.warning(
            "%s: %d of %d edges are left out, because %d of their genes are not among the %d of the data set",
            name, (~inside).sum(), len(edges), len(ends - known), len(known),
        )  # fmt: skip
    if not inside.any():
        raise NetworkError(
            f"{name}: none of {len(edges)} edges lies among the {len(genes)} genes, for instance {genes[:3]} against "
            f"{list(edges['source'][:3])}; check that expression and network belong together."
        )
    return edges[inside]
