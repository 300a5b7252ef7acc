"""Columns of ``var``: which features are genes, which of these are regulators, and other names of the genes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from grn import genes
from grn._core import feature_types
from grn._core.errors import GeneNameError, ParameterError
from grn._core.near import did_you_mean

# columns that hold symbols beside other names, as align_genes, cellxgene, scanpy and others write them
NAME_COLUMNS = (
    *("grn_symbol", "feature_name", "gene_symbols", "gene_symbol", "gene_names", "gene_name", "gene_short_name"),
    *("symbol", "hgnc_symbol", "external_gene_name"),
)


def column(table: Any, name: str) -> pd.Series:
    """A column of ``obs`` or ``var``, which are no data frames where an object was opened lazily."""
    values = table[name]
    return values if isinstance(values, pd.Series) else table[[name]].to_memory()[name]


def gene_mask(adata: Any, *, raw: bool = False) -> np.ndarray | None:
    """Which features are genes, see :func:`grn._core.feature_types.gene_mask`; of ``raw`` or of the object."""
    return feature_types.gene_mask(adata.raw.var if raw else adata.var)


def genes_of(adata: Any) -> np.ndarray:
    """Positions of the features that are genes."""
    mask = gene_mask(adata)
    return np.arange(adata.n_vars) if mask is None else np.flatnonzero(mask)


def regulator_mask(adata: Any) -> np.ndarray:
    """Mark the regulators: ``var["is_regulator"]`` when present, else computed from the gene names."""
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


def organism_of(adata: Any, organism: str) -> str:
    """Resolve ``"auto"`` to what :func:`grn.pp.align_genes` found earlier, else leave it to the names."""
    stored = adata.uns.get("grn_genes")
    if organism == "auto" and isinstance(stored, dict) and "organism" in stored:
        return str(stored["organism"])
    return organism


def spelled(adata: Any, wanted: Sequence[str]) -> list[str]:
    """Names as in ``var_names``; other names are looked up in :data:`NAME_COLUMNS`, unknown ones stay as they are.

    Raises
    ------
    GeneNameError
        If a name stands for several genes of the object.
    """
    known = {str(name) for name in adata.var_names}
    wanted = [str(name) for name in wanted]
    if all(name in known for name in wanted):
        return wanted
    columns = _other_names(adata)
    return [name if name in known else _found(adata, name, columns) for name in wanted]


def _found(adata: Any, name: str, columns: Mapping[str, np.ndarray]) -> str:
    several = ""
    for column_name, values in columns.items():
        at = np.flatnonzero(values == name)
        if len(at) == 1:
            return str(adata.var_names[at[0]])
        if len(at) and not several:
            those = ", ".join(str(adata.var_names[i]) for i in at[:5])
            several = f"{name!r} stands for {len(at)} genes in var[{column_name!r}]: {those}; pass one of these."
    if several:
        raise GeneNameError(several)
    return name


def _other_names(adata: Any) -> dict[str, np.ndarray]:
    there = [name for name in NAME_COLUMNS if name in adata.var]
    return {name: column(adata.var, name).astype(object).to_numpy() for name in there}


def gene_rows(adata: Any, wanted: Sequence[str], what: str) -> np.ndarray:
    """Positions in ``var`` of genes by name, also by a symbol beside the name; each once, in the order asked for.

    Parameters
    ----------
    adata
        The object.
    wanted
        Names.
    what
        The argument, for messages.

    Raises
    ------
    GeneNameError
        For names the object does not have, with a near miss or the column that holds them; for names of several
        genes; for features that are no genes.
    """
    if isinstance(wanted, str):
        raise ParameterError(f"{what}={wanted!r} is a single string; pass a list of names from adata.var_names.")
    names = spelled(adata, wanted)
    index = {str(name): i for i, name in enumerate(adata.var_names)}
    missing = list(dict.fromkeys(name for name in names if name not in index))
    if missing:
        raise GeneNameError(
            f"{len(missing)} of {len(set(names))} {what} are not in adata.var_names: {', '.join(missing[:5])}."
            f"{hint(adata, missing[0])}"
        )
    if not names:
        raise ParameterError(f"{what} is empty; pass names from adata.var_names or None for the default.")
    rows = np.array([index[name] for name in dict.fromkeys(names)], dtype=np.int64)
    mask = gene_mask(adata)
    if mask is not None and not mask[rows].all():
        others = [str(adata.var_names[row]) for row in rows if not mask[row]]
        raise GeneNameError(f"{len(others)} of {len(rows)} {what} are no genes by their type: {', '.join(others[:5])}.")
    return rows


def hint(adata: Any, name: str) -> str:
    """End of a message about a name that the object does not have."""
    columns = _other_names(adata)
    known = [str(own) for own in adata.var_names] + [str(n) for values in columns.values() for n in values if n]
    close = did_you_mean(name, known, genes=True)
    if close:
        return close
    for other in adata.var:
        if other not in columns and (column(adata.var, other).astype(object) == name).any():
            return f" var[{other!r}] holds it: adata.var_names = adata.var[{other!r}].astype(str) makes it a name."
    return ""


def in_names(adata: Any, by_gene: Any) -> Any:
    """A mapping by gene with its keys as in ``var_names``; anything else as it is."""
    if not isinstance(by_gene, Mapping):
        return by_gene
    return dict(zip(spelled(adata, list(by_gene)), by_gene.values(), strict=True))


def edges_in_names(adata: Any, edges: pd.DataFrame) -> pd.DataFrame:
    """A table of edges with its ends as in ``var_names``; names of several genes and unknown ones stay as they are."""
    known, columns = {str(name) for name in adata.var_names}, _other_names(adata)
    ends = [end for end in ("source", "target") if end in edges]
    if not columns or all(set(edges[end].astype(str)) <= known for end in ends):
        return edges
    other: dict[str, str] = {}
    for values in reversed(columns.values()):
        once = pd.Series(np.asarray(adata.var_names, dtype=str), index=values)
        other.update(once[~once.index.duplicated(keep=False)].to_dict())
    renamed = {
        end: edges[end].astype(str).map(lambda name: name if name in known else other.get(name, name)) for end in ends
    }
    return edges.assign(**renamed)
