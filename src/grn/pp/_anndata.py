"""What every function needs to know of an AnnData before it computes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from anndata import AnnData

from grn import genes
from grn._core.errors import ExpressionError, GeneNameError, LayerError, ParameterError
from grn._core.logging import logger
from grn._core.names import WHY, check_key, unstorable
from grn._kernels.matrix_parts import clipped, only
from grn._kernels.scan import Scan, scan, settled
from grn.genes.tables import symbols as symbol_table
from grn.pp._expression import Expression, label, note, select
from grn.pp._remedy import remedy
from grn.pp._var import column, gene_mask

KINDS = ("symbol", "ensembl")


def check_type(adata: object) -> None:
    """Accept an AnnData only."""
    if not isinstance(adata, AnnData):
        hint = "pass mdata['rna']" if type(adata).__name__ == "MuData" else "build one with anndata.AnnData(X)"
        raise ParameterError(f"adata has type {type(adata).__name__}; expected an AnnData: {hint}.")


def validate(adata: AnnData) -> None:
    """Check the type of the object and that its gene names are unique, not empty and such that files keep them."""
    check_type(adata)
    names = adata.var_names
    missing = np.flatnonzero(pd.isna(names))
    if len(missing):
        raise GeneNameError(
            f"{len(missing)} of {len(names)} gene names are missing (NaN), at positions {missing[:5].tolist()}; remove "
            "them: adata = adata[:, adata.var_names.notna()].copy()."
        )
    broken = unstorable(names)
    if broken:
        raise GeneNameError(
            f"{len(broken)} of {len(names)} gene names cannot be stored ({', '.join(map(repr, broken[:3]))}): {WHY}; "
            "rename these genes in adata.var_names."
        )
    empty = [position for position, name in enumerate(names) if not str(name).strip()]
    if empty:
        raise GeneNameError(
            f"{len(empty)} of {len(names)} gene names are empty, at positions {empty[:5]}; "
            "remove them: adata = adata[:, adata.var_names != ''].copy()."
        )
    if not names.is_unique:
        twice = list(dict.fromkeys(names[names.duplicated()]))
        raise GeneNameError(
            f"{len(twice)} gene names occur more than once, for example {twice[:5]}; keep the first of each: "
            "adata = adata[:, ~adata.var_names.duplicated()].copy(), or run adata.var_names_make_unique()."
        )


def target(adata: AnnData, *, copy: bool) -> AnnData:
    """Return the object that results are written to."""
    check_target(adata, copy=copy)
    if copy:
        return adata.to_memory() if adata.isbacked else adata.copy()
    return adata


def check_target(adata: AnnData, *, copy: bool, key: str | None = None) -> None:
    """Refuse an object, or a name, that results cannot be written to; worth asking before a long computation."""
    if key is not None:
        check_key(key)
    if not copy and adata.is_view and adata.isbacked:
        raise ParameterError("adata is a view of a file and cannot be written to; call adata = adata.to_memory().")


def expression(adata: AnnData, *, layer: str | None = None, use_raw: bool = False, values: str = "auto") -> Expression:
    """Give a lazy view on log-normalised values of the genes in ``adata.var_names``.

    Parameters
    ----------
    adata
        The object.
    layer
        Layer to read; ``None`` reads ``adata.X``.
    use_raw
        Read ``adata.raw``, restricted to ``adata.var_names`` after normalising over all its genes.
    values
        What the values are: ``"counts"``, ``"linear"``, ``"log"``, or ``"auto"`` to find out.

    Raises
    ------
    ExpressionError
        For scaled or negative values, NaN, only zeros, or no cells; names the matrix that fits.
    LayerError
        If the layer or ``.raw`` does not exist, or ``.raw`` lacks genes of the object.
    """
    validate(adata)
    matrix = select(adata, layer, use_raw=use_raw)
    where = label(layer, use_raw=use_raw)
    if 0 in matrix.shape:
        raise ExpressionError(
            f"{where} has {matrix.shape[0]} cells and {matrix.shape[1]} genes; both must be at least 1."
        )
    columns = _raw_columns(adata) if use_raw else None
    genes_only = gene_mask(adata, raw=use_raw)
    if genes_only is not None:
        matrix = only(matrix, genes_only)
    seen = scan(matrix)
    problem = _problem(seen)
    if problem:
        fix = remedy(adata, ("log", "counts", "linear"), layer, use_raw=use_raw, seen=seen)
        raise ExpressionError(f"{where} holds {problem}. {fix}")
    decision = settled(seen, values, where)
    note(decision)
    if decision.kind == "linear":
        logger.info("%s is linear (%s): normalised and log-transformed like counts", where, decision.why)
    return Expression(clipped(matrix) if seen.noise else matrix, decision, columns, totals=seen.totals)


def _problem(seen: Scan) -> str:
    """What is wrong with values, if anything is."""
    if seen.n_nan or seen.n_infinite:
        negative = f" (beside {seen.n_negative} negative ones)" if seen.kind == "scaled" else ""
        return f"{seen.n_nan} NaN and {seen.n_infinite} infinite values{negative}; expected finite expression"
    if seen.kind == "scaled":
        return (
            f"negative values (minimum {seen.low:.3g}), so it is scaled or centred; expected counts or log-normalised "
            "values"
        )
    return "only zeros; expected expression" if seen.kind == "empty" else ""


def _raw_columns(adata: AnnData) -> np.ndarray | None:
    names = pd.Index(adata.raw.var_names)
    if names.equals(adata.var_names):
        return None
    if not names.is_unique:
        raise GeneNameError("adata.raw has duplicated gene names; use layer= instead of use_raw=True.")
    columns = names.get_indexer(adata.var_names)
    missing = adata.var_names[columns < 0]
    if len(missing):
        raise LayerError(
            f"adata.raw lacks {len(missing)} genes of adata.var_names, for example {list(missing[:5])}; "
            "use layer= instead, or adata = adata[:, adata.var_names.isin(adata.raw.var_names)]."
        )
    return columns


def organism_of(adata: AnnData, organism: str) -> str:
    """Resolve ``"auto"`` to what :func:`grn.pp.align_genes` found earlier, else leave it to the names."""
    stored = adata.uns.get("grn_genes")
    if organism == "auto" and isinstance(stored, dict) and "organism" in stored:
        return str(stored["organism"])
    return organism


def model_genes(
    adata: AnnData, kind: str = "symbol", *, vocabulary: Iterable[str] | None = None, organism: str = "human"
) -> np.ndarray:
    """Give the id of every gene in the kind a model uses, "" when unknown.

    Parameters
    ----------
    adata
        The object; ``var["grn_symbol"]`` and ``var["grn_ensembl"]`` are used when present.
    kind
        ``"symbol"`` or ``"ensembl"`` (human).
    vocabulary
        Ids the model knows. Approved symbols that it lacks are replaced by the older name it has for the gene,
        and genes of the object it does not know become "".
    organism
        Whose genes the model has. Those of a mouse object reach a human model by orthologs and a mouse model as they
        are; a human object cannot be read by a mouse model.

    Returns
    -------
    ndarray of str
        Shape (n_vars,).
    """
    validate(adata)
    mask = gene_mask(adata)
    if mask is None:
        return _every_id(adata, kind, vocabulary, organism)
    ids = np.full(adata.n_vars, "", dtype=object)
    ids[mask] = _every_id(adata[:, mask], kind, vocabulary, organism)
    return ids.astype(str)


def _every_id(adata: AnnData, kind: str, vocabulary: Iterable[str] | None, organism: str) -> np.ndarray:
    """Ids of all features."""
    if kind not in KINDS:
        raise ParameterError(f"kind={kind!r} is unknown; use one of {', '.join(KINDS)}.")
    if organism != "human":
        return _native_genes(adata, kind, vocabulary, organism)
    known = f"grn_{kind}"
    if known in adata.var:
        ids = np.array(["" if pd.isna(name) else str(name) for name in column(adata.var, known)], dtype=str)
        has_status = "grn_status" in adata.var
        lost = column(adata.var, "grn_status") == "lost" if has_status else np.zeros(len(ids), dtype=bool)
    else:
        table = genes.resolve(adata.var_names, organism=organism_of(adata, "auto"))
        counts = table["status"].value_counts()
        logger.info("genes: %s", ", ".join(f"{counts[name]} {name}" for name in ("kept", "ambiguous", "lost")))
        ids, lost = table[kind].to_numpy(dtype=str), table["status"] == "lost"
    if vocabulary is None:
        return ids
    own = own_names(adata.var_names, np.asarray(lost), kind, organism_of(adata, "auto"))
    return to_vocabulary(ids, own, vocabulary, kind)


def _native_genes(adata: AnnData, kind: str, vocabulary: Iterable[str] | None, organism: str) -> np.ndarray:
    """Ids in the organism of the object itself, for a model of that organism."""
    found = organism_of(adata, "auto")
    found = genes.detect_organism(adata.var_names) if found == "auto" else found
    if found != organism:
        raise GeneNameError(
            f"the object has {found} genes, the model {organism} ones; load the model for organism={found!r}."
        )
    names = genes.resolve(adata.var_names, organism=organism)["native"].to_numpy(dtype=str)
    if kind == "symbol":
        ids = names
    else:
        table = symbol_table(organism)
        ids = np.array([table.get(name, "") for name in names], dtype=str)
    if vocabulary is None:
        return ids
    known, taken = set(vocabulary), set(ids)
    # an id newer or older than the tables may still be one the model knows
    own = [str(name).partition(".")[0] if kind == "ensembl" else "" for name in adata.var_names]
    pairs = zip(ids, own, strict=True)
    return np.array([g if g in known else n if n in known and n not in taken else "" for g, n in pairs], dtype=str)


def own_names(names: Iterable[str], lost: np.ndarray, kind: str, organism: str) -> list[str]:
    """Names under which a model may know genes that the tables do not: ids, and human symbols that are lost."""
    names = [str(name) for name in names]
    if kind == "ensembl":
        return [name.partition(".")[0] for name in names]
    if lost.any() and organism == "auto":
        organism = genes.detect_organism(names)
    return [name if gone and organism == "human" else "" for name, gone in zip(names, lost, strict=True)]


def to_vocabulary(ids: np.ndarray, own: Iterable[str], vocabulary: Iterable[str], kind: str) -> np.ndarray:
    """Express ids by the names of a vocabulary, which may be older than the tables; ``own`` are the last resort."""
    known = [str(name) for name in vocabulary]
    direct = set(known)
    wanted = set(ids[ids != ""]) - direct
    older: dict[str, str] = {}
    if wanted:
        unused = sorted(direct - set(ids))
        for name, found in zip(unused, genes.resolve(unused, organism="human")[kind], strict=True):
            if found in wanted:
                older[found] = name
    taken = (set(ids) & direct) | set(older.values())
    result = []
    for gene, name in zip(ids, own, strict=True):
        if gene in direct:
            result.append(str(gene))
        elif name in direct and name not in taken:
            result.append(name)
        else:
            result.append(older.get(gene, "") if gene else "")
    return np.array(result, dtype=str)


def regulator_mask(adata: AnnData) -> np.ndarray:
    """Mark the regulators: ``var["is_regulator"]`` when present, else computed from the gene names."""
    validate(adata)
    mask = gene_mask(adata)
    if "is_regulator" in adata.var:
        marked = column(adata.var, "is_regulator").fillna(value=False).astype(bool).to_numpy()
    else:
        names = adata.var_names if mask is None else adata.var_names[mask]
        organism = organism_of(adata, "auto")
        organism = genes.detect_organism(names) if organism == "auto" else organism
        marked = known_regulators(adata.var_names, organism)
    return marked if mask is None else marked & mask


def known_regulators(names: Iterable[str], organism: str) -> np.ndarray:
    """Mark the names that stand for a gene of the regulator list of their organism."""
    native = genes.resolve(names, organism=organism)["native"]
    return native.isin(genes.regulators(organism)).to_numpy()
