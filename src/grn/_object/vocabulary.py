"""The genes of an object under the names that a model knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np
import pandas as pd
from anndata import AnnData

from grn import genes
from grn._core import checks
from grn._core.errors import GeneNameError
from grn._core.logging import logger
from grn._object.genes import column, gene_mask, organism_of
from grn.genes.tables import symbols as symbol_table

KINDS = ("symbol", "ensembl")


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
    mask = gene_mask(adata)
    if mask is None:
        return _every_id(adata, kind, vocabulary, organism)
    ids = np.full(adata.n_vars, "", dtype=object)
    ids[mask] = _every_id(adata[:, mask], kind, vocabulary, organism)
    return ids.astype(str)


def _every_id(adata: AnnData, kind: str, vocabulary: Iterable[str] | None, organism: str) -> np.ndarray:
    """Ids of all features."""
    checks.word("kind", kind, KINDS)
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
    spellings = own_names(adata.var_names, np.asarray(lost), kind, organism_of(adata, "auto"))
    return to_vocabulary(ids, spellings, vocabulary, kind)


def _native_genes(adata: AnnData, kind: str, vocabulary: Iterable[str] | None, organism: str) -> np.ndarray:
    """Ids in the organism of the object itself, for a model of that organism."""
    here = organism_of(adata, "auto")
    here = genes.detect_organism(adata.var_names) if here == "auto" else here
    if here != organism:
        raise GeneNameError(
            f"the object has {here} genes, the model {organism} ones; load the model for organism={here!r}."
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
    spellings = [str(name).partition(".")[0] if kind == "ensembl" else "" for name in adata.var_names]
    pairs = zip(ids, spellings, strict=True)
    return np.array([g if g in known else n if n in known and n not in taken else "" for g, n in pairs], dtype=str)


def own_names(names: Iterable[str], lost: np.ndarray, kind: str, organism: str) -> list[str]:
    """Names under which a model may know genes that the tables do not: ids, and human symbols that are lost."""
    names = [str(name) for name in names]
    if kind == "ensembl":
        return [name.partition(".")[0] for name in names]
    if lost.any() and organism == "auto":
        organism = genes.detect_organism(names)
    return [name if gone and organism == "human" else "" for name, gone in zip(names, lost, strict=True)]


@lru_cache(maxsize=4)
def _names_of_genes(vocabulary: tuple[str, ...], kind: str) -> Mapping[str, list[str]]:
    """Names that a vocabulary has for a gene, however old."""
    table = genes.resolve(vocabulary, organism="human")
    # a name beside a better one of its gene is ambiguous, with that gene for candidate
    current = np.where(table["symbol"] != "", table["symbol"], table["candidates"])
    if kind == "ensembl":
        ensembl = symbol_table("human")
        current = [ensembl.get(symbol, "") for symbol in current]
    names: dict[str, list[str]] = {}
    for name, gene in zip(vocabulary, current, strict=True):
        names.setdefault(gene, []).append(name)
    return names


def to_vocabulary(ids: np.ndarray, spellings: Iterable[str], vocabulary: Iterable[str], kind: str) -> np.ndarray:
    """Express ids by the names of a vocabulary, which may be older than the tables; ``spellings`` come last."""
    known = [str(name) for name in vocabulary]
    direct = set(known)
    wanted = set(ids[ids != ""]) - direct
    older: dict[str, str] = {}
    if wanted:
        names = _names_of_genes(tuple(known), kind)
        unused = sorted({name for gene in wanted for name in names.get(gene, ())} - set(ids))
        for name, current in zip(unused, genes.resolve(unused, organism="human")[kind], strict=True):
            if current in wanted:
                older[current] = name
    taken = (set(ids) & direct) | set(older.values())
    result = []
    for gene, name in zip(ids, spellings, strict=True):
        if gene in direct:
            result.append(str(gene))
        elif name in direct and name not in taken:
            result.append(name)
        else:
            result.append(older.get(gene, "") if gene else "")
    return np.array(result, dtype=str)
