"""Who may regulate whom, from motifs or experiments: one table for every method that takes such a prior."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core import checks
from grn._core.errors import DataNotFoundError, NetworkError, ParameterError
from grn._core.files import as_path, check_access, is_file
from grn._core.logging import one_voice
from grn._object.container import validate
from grn.pp._named_base_grn import NAMES, named_base_grn
from grn.pp._settled import KEYS, names_of, settled

_EVIDENCE = ("motif", "prior")
_GENE, _PEAK = "gene_short_name", "peak_id"
_READERS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_RENAME = "rename the columns: table.rename(columns={'TF': 'source', 'gene': 'target'})"


@one_voice
def base_grn(
    table: pd.DataFrame | str | os.PathLike[str],
    *,
    adata: AnnData | None = None,
    organism: str = "auto",
    min_score: float | None = None,
    min_overlap: float = 0.1,
    evidence: str = "auto",
) -> pd.DataFrame:
    """Read a base GRN, a list of who may regulate whom, and match it to the genes of an object.

    A base GRN comes from motifs in open chromatin, from ChIP-seq or from the literature. It says which regulators a
    method may use for a target, not how strong they are.

    Parameters
    ----------
    table
        DataFrame, the path of a ``.csv``, ``.tsv``, ``.txt`` (tab) or ``.parquet`` file (text may be gzipped), or the
        name of known edges in ``grn.settings.data_dir``: ``"collectri"``, ``"dorothea"`` (levels A to C),
        ``"omnipath"``, of human genes, or ``"trrust"``. Tables are either long, with columns ``source, target`` and
        optionally ``region`` (str) and ``score`` (number, higher is stronger; other columns are dropped), or wide as
        CellOracle writes it: ``gene_short_name``, optionally ``peak_id``, and one numeric column per regulator, in
        which a value above 0 is an edge and values other than 0 and 1 become the score.
    adata
        Object whose genes the table shall speak of. Names found in ``var_names`` are taken as they are; others are
        looked up with :func:`grn.genes.resolve` as symbol, id or alias, and carried between mouse and human by
        one-to-one orthologs. Letter case is never changed. ``None`` keeps all names as they are written.
    organism
        Organism of the table: ``"human"``, ``"mouse"`` or ``"auto"``, which tells it from the names. Read only with
        ``adata``; the organism of the object is what :func:`grn.pp.align_genes` found, or is told from its names.
    min_score
        Leave out rows whose score is lower.
    min_overlap
        Smallest accepted number of genes that object and table share, as a share (0 to 1) of the smaller of both.
    evidence
        What the table holds: ``"motif"`` (of the source, near the target: by itself this tells the direction of an
        edge) or ``"prior"`` (edges known from elsewhere: these tell a direction where the reverse is not among them).
        ``"auto"`` keeps what an earlier call said, and takes a wide table and one with ``region`` for motifs.

    Returns
    -------
    DataFrame
        ``source, target[, region, score]``: the names as sorted categories, one row per pair (and region) with the
        highest score, sorted by source, target, region. Self-loops are left out. ``attrs["base_grn"]`` is a dict:
        ``evidence``, ``self_loops``, ``merged`` and ``below`` (rows left out or merged) and, with ``adata``,
        ``organism`` (``""`` when names were matched by spelling alone), ``lost_sources`` and ``lost_targets`` (names of
        the table that are no gene of the object), ``renamed`` (number of names written differently in the object).

    Raises
    ------
    DataNotFoundError
        If there is no such file, or the name is that of an organism or genome: the message has the calls that make its
        base GRN.
    NetworkError
        If columns are missing, values are missing or no numbers, or no row is left.
    GeneOverlapError
        If object and table share too few genes.
    GeneNameError
        If gene names of the object are duplicated or empty.
    ParameterError
        If an argument has a wrong type or value.

    Notes
    -----
    Cost: one pass over the table and one sort of its edges; the mouse promoter table of CellOracle (29 308 regions,
    1 079 regulators, 2.8 million edges) takes about 5 s.

    Examples
    --------
    >>> import grn.pp, pandas as pd
    >>> table = pd.DataFrame({"source": ["GATA1", "SPI1", "GATA1"], "target": ["KLF1", "SPI1", "KLF1"]})
    >>> found = grn.pp.base_grn(table)
    >>> found.values.tolist()
    [['GATA1', 'KLF1']]
    >>> found.attrs["base_grn"]
    {'evidence': 'prior', 'self_loops': 1, 'merged': 1, 'below': 0}
    """
    _check_arguments(min_score, min_overlap)
    if adata is not None:
        validate(adata)
    checks.word("evidence", evidence, ("auto", *_EVIDENCE))
    if _is_name(table):
        read, organism = named_base_grn(str(table), organism)
    else:
        read = _frame(table)
    edges = _long(read)
    facts: dict[str, object] = {"evidence": _evidence(read, evidence), "self_loops": 0, "merged": 0, "below": 0}
    if min_score is not None:
        if "score" not in edges:
            raise ParameterError("min_score was passed but the table has no column 'score'; leave min_score=None.")
        strong = edges["score"].to_numpy() >= min_score
        facts["below"] = int((~strong).sum())
        edges = edges[strong]
    return settled(edges, facts, adata=adata, organism=organism, min_overlap=min_overlap)


def _is_name(table: object) -> bool:
    """Whether text names a collection: it has neither folder nor ending."""
    return isinstance(table, str) and bool(table.strip()) and Path(table).name == table and "." not in table


def _check_arguments(min_score: float | None, min_overlap: float) -> None:
    if min_score is not None:
        checks.number("min_score", min_score, finite=False, note=" or None")
    checks.number("min_overlap", min_overlap, least=0, most=1)


def _evidence(table: pd.DataFrame, evidence: str) -> str:
    """What a table holds: as it was said now or before, else by its form."""
    said = table.attrs.get("base_grn")
    before = said.get("evidence") if isinstance(said, dict) else None
    if evidence != "auto":
        return evidence
    if before in _EVIDENCE:
        return str(before)
    return "motif" if "source" not in table.columns or "region" in table.columns else "prior"


def _frame(table: object) -> pd.DataFrame:
    """The table as a DataFrame."""
    if isinstance(table, pd.DataFrame):
        return table
    if not isinstance(table, str | os.PathLike):
        hint_regions = "; of peaks, grn.pp.base_grn_from_regions makes one" if hasattr(table, "uns") else ""
        raise ParameterError(
            f"table has type {type(table).__name__}; pass a DataFrame, the path of a file, or one of the names "
            f"{', '.join(NAMES)}{hint_regions}."
        )
    path = as_path(table, name="table")
    if not is_file(path):
        raise DataNotFoundError(f"there is no file {str(table)!r}; pass the path of a csv, tsv or parquet file.")
    kinds = [suffix for suffix in path.suffixes if suffix != ".gz"]
    kind = kinds[-1] if kinds else ""
    if kind != ".parquet" and kind not in _READERS:
        raise ParameterError(
            f"table={path.name!r} ends in {kind!r}; known are .csv, .tsv, .txt (gzipped too), .parquet."
        )
    try:
        if kind == ".parquet":
            return pd.read_parquet(path)
        # NA, NaN and NULL may be names of genes; empty cells are missing
        return pd.read_csv(path, sep=_READERS[kind], keep_default_na=False, na_values=[""])
    except (OSError, ValueError, EOFError) as error:
        check_access(path, error)
        raise NetworkError(f"{path.name} cannot be read as a table ({error}).") from error


def _long(table: pd.DataFrame) -> pd.DataFrame:
    """Checked columns ``source, target[, region, score]``."""
    if not table.columns.is_unique:
        raise NetworkError(f"columns {list(table.columns[table.columns.duplicated()][:3])} occur more than once.")
    if table.empty:
        raise NetworkError("the base GRN has no rows; pass a table with at least one edge.")
    if _GENE in table.columns and "source" not in table.columns:
        return _from_wide(table)
    missing = [name for name in ("source", "target") if name not in table.columns]
    if missing:
        raise NetworkError(
            f"the base GRN lacks {', '.join(missing)}; its columns are {list(table.columns[:8])}. Expected source, "
            f"target[, region, score], or {_GENE}[, {_PEAK}] and one column per regulator: {_RENAME}."
        )
    edges = pd.DataFrame({name: names_of(table[name], name) for name in KEYS if name in table.columns})
    if "score" in table.columns:
        edges["score"] = _numbers(table[["score"]], "score")[:, 0]
    return edges


def _numbers(columns: pd.DataFrame, what: str) -> np.ndarray:
    try:
        values = columns.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise NetworkError(f"{what} of the base GRN are no numbers ({error}).") from error
    if not np.isfinite(values).all():
        raise NetworkError(f"{what} of the base GRN hold {int((~np.isfinite(values)).sum())} NaN or infinite values.")
    return values


def _from_wide(table: pd.DataFrame) -> pd.DataFrame:
    """Edges of a table with one row per region and gene and one column per regulator."""
    regulators = [name for name in table.columns if name not in (_GENE, _PEAK)]
    if not regulators:
        raise NetworkError(f"the base GRN has {_GENE} but no column of a regulator; pass source and target instead.")
    values = _numbers(table[regulators], "columns of regulators")
    if (values < 0).any():
        raise NetworkError("columns of regulators hold negative values; expected 0, 1 or a score above 0.")
    regulator, row = np.nonzero(values.T)
    target = names_of(table[_GENE], _GENE)
    edges = pd.DataFrame(
        {
            "source": pd.Categorical.from_codes(regulator, categories=[str(name) for name in regulators]),
            "target": target.take(row),
        }
    )
    edges["source"] = names_of(edges["source"], "source")
    if _PEAK in table.columns:
        edges["region"] = names_of(table[_PEAK], _PEAK).take(row)
    score = values[row, regulator]
    if (score != 1).any():
        edges["score"] = score
    return edges
