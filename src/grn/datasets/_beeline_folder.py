"""Read BEELINE's own files, as unpacked from its archives or written by its generateExpInputs.py."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from grn._core.errors import DataNotFoundError, ExpressionError, GeneNameError, NetworkError, ParameterError
from grn._core.files import UNREADABLE, check_access
from grn._core.logging import hint, logger
from grn.datasets._unpack_limit import read_text
from grn.datasets.local_files import read_columns, sha256_of
from grn.genes.regulators import regulators
from grn.genes.spelling import restore, spelled

_INSIDE = ("", "scRNA-Seq", "inputs/scRNA-Seq", "BEELINE-data/inputs/scRNA-Seq")
_CHIP = {"hESC": "hESC", "hHEP": "HepG2", "mDC": "mDC", "mESC": "mESC"}
_ANY_NETWORK = ("refNetwork", "GroundTruthNetwork")
_NAMED = re.compile(r"string|nonspecific|chipseq|lofgof")
_ARCHIVE = ("scRNA-Seq", "inputs", "BEELINE-data")
_ALPHA = 0.01


class Labels(NamedTuple):
    """What either layout says about one data set and network, in the letter case of its organism."""

    edges: pd.DataFrame
    genes: list[str]
    regulators: list[str]
    expression: AnnData | None
    licence: str
    version: str


def key(name: str) -> str:
    """Spelling without case and punctuation: ``hHep`` and ``hHEP`` are one data set."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def dataset_folder(start: Path, dataset: str, datasets: Iterable[str]) -> Path | None:
    """Find the folder that holds the expression of a data set: the one given, or one of that name below it."""
    if _expression_files(start):
        other = [name for name in datasets if key(name) == key(start.name) and name != dataset]
        if other:
            raise ParameterError(f"path is the folder of {other[0]}, not of {dataset}; pass the folder of {dataset}.")
        return start
    for inside in _INSIDE:
        place = start / inside
        for child in sorted(place.iterdir()) if place.is_dir() else ():
            if child.is_dir() and key(child.name) == key(dataset) and _expression_files(child):
                return child
    return None


def read_folder(folder: Path, *, start: Path, dataset: str, network: str, size: int, organism: str) -> Labels:
    """Read expression, choose genes as BEELINE does, and read one network among them."""
    values = _expression(_only(_expression_files(folder), folder, "ExpressionData.csv"))
    around = [place for place in _around(folder, start) if place.is_dir()]
    names = restore(values.index, organism) if organism == "mouse" else {name: name for name in values.index}
    same = _Matcher(names, organism)
    listed = _regulators(around, same, organism)
    chosen = _choose_genes(folder, values.index, listed, size)
    path = _network_file(folder, around, network, dataset, organism)
    values = values.loc[sorted(chosen, key=names.__getitem__)]
    adata = AnnData(
        X=sparse.csr_matrix(values.to_numpy(dtype=np.float32).T),
        obs=_pseudotime(folder, values.columns),
        var=pd.DataFrame(index=[names[gene] for gene in values.index]),
        uns={"organism": organism, "matrix": "log-normalised as distributed by BEELINE"},
    )
    genes = list(adata.var_names)
    return Labels(
        edges=_edges(path, names, same),
        genes=genes,
        regulators=sorted({names[gene] for gene in listed} & set(genes)),
        expression=adata,
        licence="see BEELINE's Zenodo record and the sources of the network",
        version=f"{path.name} with sha256 {sha256_of(path)[:12]}",
    )


def _around(folder: Path, start: Path) -> Iterator[Path]:
    """Where networks and lists of regulators may lie: here, at the start, or beside the unpacked BEELINE-data."""
    upward = [folder.resolve()]
    while upward[-1].parent.name in _ARCHIVE:
        upward.append(upward[-1].parent)
    for place in dict.fromkeys([folder, start, *upward[1:], *([upward[-1].parent] if upward[1:] else [])]):
        yield place
        yield place / "BEELINE-Networks"


def _expression_files(folder: Path) -> list[Path]:
    files = sorted(p for ext in ("csv", "csv.gz") for p in folder.glob(f"*ExpressionData.{ext}"))
    return [p for p in files if p.name.startswith("ExpressionData.")][:1] or files


def _only(files: list[Path], folder: Path, what: str) -> Path:
    if len(files) == 1:
        return files[0]
    raise DataNotFoundError(
        f"{folder.name} holds {len(files)} files for {what} ({', '.join(p.name for p in files[:4])}); "
        "pass as path= a folder with one of them."
    )


def _expression(path: Path) -> pd.DataFrame:
    """Genes x cells, checked."""
    try:
        table = read_text(path, converters={0: str})
    except UNREADABLE as error:
        check_access(path, error)
        raise ExpressionError(f"{path.name} cannot be read ({error}); download it again.") from error
    table = table.set_index(table.columns[0])
    text = [str(name) for name in table.columns[[dtype.kind not in "fiu" for dtype in table.dtypes]]]
    if text or table.empty:
        raise ExpressionError(
            f"{path.name} holds no numbers in {len(text)} of {table.shape[1]} cells {text[:3]}; "
            "expected genes in rows, cells in columns and gene names in the first column."
        )
    if "" in table.index or not table.index.is_unique:
        repeated = list(table.index[table.index.duplicated()].unique()[:3])
        raise GeneNameError(f"{path.name} has empty or repeated gene names ({repeated}); name each gene once.")
    bad = ~np.isfinite(table.to_numpy(dtype=np.float64))
    if bad.any():
        genes = list(table.index[bad.any(axis=1)][:3])
        raise ExpressionError(
            f"{path.name} has {int(bad.sum())} missing or infinite values, for instance in {genes}; "
            "fill them (0 where nothing was detected) or leave these cells out."
        )
    return table.astype(np.float32)


def _pseudotime(folder: Path, cells: pd.Index) -> pd.DataFrame:
    """One column per lineage; empty without PseudoTime.csv."""
    obs = pd.DataFrame(index=cells.astype(str))
    path = next((p for name in ("PseudoTime.csv", "PseudoTime.csv.gz") if (p := folder / name).exists()), None)
    if path is None:
        return obs
    try:
        table = read_text(path, index_col=0).astype(np.float64)
    except UNREADABLE as error:
        check_access(path, error)
        raise ExpressionError(f"{path.name} cannot be read as cells x pseudotimes ({error}).") from error
    table.index = table.index.astype(str)
    missing = int((~obs.index.isin(table.index)).sum())
    if not table.index.is_unique or missing == len(obs):
        raise ExpressionError(f"{path.name} repeats cells, or has none of those in the expression; check that file.")
    if missing:
        logger.warning("%s lacks %d of %d cells; their pseudotime is NaN", path.name, missing, len(obs))
    single = table.shape[1] == 1
    table.columns = ["pseudotime" if single else f"pseudotime_{i + 1}" for i in range(table.shape[1])]
    return table.reindex(obs.index)


def _regulators(around: list[Path], same: _Matcher, organism: str) -> set[str]:
    """Genes of the data set that are listed as regulators, as spelled there."""
    path = next((place / f"{organism}-tfs.csv" for place in around if (place / f"{organism}-tfs.csv").exists()), None)
    if path is None:
        hint("no %s-tfs.csv beside the data: regulators are those of grn.genes.regulators", organism)
        listed = set(regulators(organism))
    else:
        listed = set(read_columns(path, {"tf": ("TF", "tf", "Gene")})["tf"])
    return {gene for name in listed if (gene := same.find(name)) is not None}


class _Matcher:
    """Find the gene of the data set that a name in another file stands for."""

    def __init__(self, names: dict[str, str], organism: str) -> None:
        self._names, self._organism = names, organism
        capitals = pd.Series(list(names), index=[name.upper() for name in names])
        self._capitals = capitals[~capitals.index.duplicated(keep=False)].to_dict()
        self._symbols = {symbol: name for name, symbol in names.items()}

    def find(self, name: str) -> str | None:
        """Give the gene as the expression spells it; human names are taken as they are."""
        if name in self._names or self._organism != "mouse":
            return name if name in self._names else None
        return self._capitals.get(name.upper()) or self._symbols.get(spelled(name, self._organism)[0])


def _choose_genes(folder: Path, genes: pd.Index, listed: set[str], size: int) -> list[str]:
    """Take what varies: all such regulators and the ``size`` other genes with the largest variance.

    Varying is a p-value below 0.01 divided by the number of genes in GeneOrdering.csv, as in BEELINE's script.
    """
    path = next((p for name in ("GeneOrdering.csv", "GeneOrdering.csv.gz") if (p := folder / name).exists()), None)
    if path is None:
        others = len(genes) - len(listed)
        if others > size:
            logger.warning("no GeneOrdering.csv: all %d genes are kept, %d besides regulators", len(genes), others)
        return list(genes)
    try:
        table = read_text(path, converters={0: str})
        table = pd.DataFrame({"gene": table.iloc[:, 0], "p": table.iloc[:, 1], "variance": table.iloc[:, 2]})
        table = table.astype({"p": np.float64, "variance": np.float64})
    except (*UNREADABLE, IndexError) as error:
        check_access(path, error)
        raise ExpressionError(f"{path.name} is no table of gene, p-value and variance ({error}).") from error
    known = table[table["gene"].isin(genes)].drop_duplicates("gene")
    if len(known) < len(table):
        logger.warning("%s: %d of %d genes have no expression", path.name, len(table) - len(known), len(table))
    varying = known[known["p"] < _ALPHA / max(len(known), 1)]
    regulating = varying["gene"].isin(listed)
    others = varying[~regulating].sort_values(["variance", "gene"], ascending=[False, True])["gene"].head(size)
    chosen = [*varying.loc[regulating, "gene"], *others]
    if not chosen:
        raise ExpressionError(f"no gene of {path.name} has a p-value below {_ALPHA} / {len(known)}; check its columns.")
    return chosen


def _network_file(folder: Path, around: list[Path], network: str, dataset: str, organism: str) -> Path:
    """The file of that name; else a network without a name in the folder of the data set."""
    wanted = {
        "STRING": "STRING",
        "Non-Specific": "Non-Specific-ChIP-seq",
        "Specific": f"{_CHIP.get(dataset, 'mHSC')}-ChIP-seq",
        "Lofgof": "mESC-lofgof",
    }[network]
    here = _networks(folder)
    for place in [folder, *(p for base in around for p in (base, base / "Networks" / organism))]:
        for path in _networks(place):
            if key(_stem(path)) == key(f"{wanted}-network"):
                return path
    general = [p for p in here if _stem(p) in _ANY_NETWORK] or [p for p in here if not _NAMED.search(key(_stem(p)))]
    if len(general) == 1:
        hint("%s is taken for the %s network of %s", general[0].name, network, dataset)
        return general[0]
    raise DataNotFoundError(
        f"no {wanted}-network.csv or refNetwork.csv was found for {dataset}; its folder holds "
        f"{', '.join(p.name for p in here) or 'no network'}. BEELINE-Networks.zip "
        "(https://doi.org/10.5281/zenodo.3378975) has it: unpack it beside BEELINE-data, or copy the file into the "
        f"folder {folder.name}."
    )


def _networks(folder: Path) -> list[Path]:
    files = (p for ext in ("csv", "csv.gz") for p in folder.glob(f"*etwork.{ext}"))
    return sorted(files) if folder.is_dir() else []


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".csv")


def _edges(path: Path, names: dict[str, str], same: _Matcher) -> pd.DataFrame:
    """Edges with the names of the data set, and the sign where it is given."""
    columns = {"source": ("Gene1",), "target": ("Gene2",), "type": ("Type",)}
    table = read_columns(path, columns, optional=("type",))
    edges = pd.DataFrame(index=table.index)
    for end in ("source", "target"):
        codes, spellings = pd.factorize(table[end])  # millions of rows, thousands of names
        if "" in spellings:
            raise NetworkError(f"{path.name} has rows without a name; fill or remove them.")
        renamed = [name if (gene := same.find(name)) is None else names[gene] for name in spellings]
        edges[end] = np.array(renamed, dtype=object)[codes]
    if "type" in table and table["type"].isin(["+", "-"]).any():
        edges["sign"] = table["type"].map({"+": 1.0, "-": -1.0})
    return edges
