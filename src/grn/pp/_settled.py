"""Edges of a base GRN as they are handed out: in names of an object, each once, sorted, with what was left out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData

from grn import genes
from grn._core.errors import GeneNameError, GeneOverlapError, NetworkError
from grn._core.logging import hint, logger, some
from grn._object.genes import organism_of

KEYS = ("source", "target", "region")


def settled(
    edges: pd.DataFrame, facts: dict[str, object], *, adata: AnnData | None, organism: str, min_overlap: float
) -> pd.DataFrame:
    """Edges in names of the object, without self-loops, one row per pair and region: that with the highest score.

    Parameters
    ----------
    edges
        Categories ``source, target[, region]``, ``score``, and any other columns.
    facts
        What is known of them; what is found out is added, and the whole written to ``attrs["base_grn"]``.
    adata, organism, min_overlap
        As in :func:`grn.pp.base_grn`.
    """
    if adata is not None:
        edges, matched = _matched(edges, adata, organism, min_overlap)
        facts |= matched
    loops = edges["source"].astype(object).to_numpy() == edges["target"].astype(object).to_numpy()
    facts["self_loops"] = int(loops.sum())
    edges, facts["merged"] = _merged(edges[~loops])
    if edges.empty:
        raise NetworkError(f"no edge of the base GRN is left: {_lost(facts)}.")
    edges.attrs["base_grn"] = facts
    _report(edges, facts)
    return edges


def _lost(facts: Mapping[str, object]) -> str:
    """What became of all edges, and what to do."""
    lost = {what: facts.get(f"lost_{what}s") for what in ("source", "target")}
    reasons = [
        f"{len(names)} {what}s are no gene of the object ({some(names, 3)})"
        for what, names in lost.items()
        if isinstance(names, list) and names
    ]
    if reasons:
        return (
            f"{' and '.join(reasons)}; pass organism=, another table, or an object with these genes; factors of motifs "
            "are named as mouse genes by grn.pp.motifs('jaspar', organism='mouse')"
        )
    if facts["self_loops"]:
        return f"{facts['self_loops']} were those of a gene to itself; pass another table"
    return "the table has none; pass another table or a lower min_score"


def names_of(column: pd.Series, name: str) -> pd.Categorical:
    """Names as sorted categories, none missing or empty."""
    labels = pd.Categorical(column)
    if (labels.codes == -1).any():
        raise NetworkError(f"column {name!r} has {int((labels.codes == -1).sum())} missing values; drop those rows.")
    labels = labels.remove_unused_categories()
    foreign = [value for value in labels.categories if not isinstance(value, str) or not value.strip()]
    if foreign:
        raise NetworkError(f"column {name!r} holds {foreign[:3]}; expected names as non-empty strings.")
    return labels.reorder_categories(sorted(labels.categories))


def _merged(edges: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """One row per pair and region, the one with the highest score, sorted; how many rows were too many."""
    for name in KEYS:
        if name in edges:
            edges = edges.assign(**{name: names_of(edges[name], name)})
    keys = [edges[name].cat.codes.to_numpy() for name in reversed(KEYS) if name in edges]
    if "score" in edges:
        keys.insert(0, -edges["score"].to_numpy())
    edges = edges.iloc[np.lexsort(keys)]
    twice = edges.duplicated([name for name in KEYS if name in edges]).to_numpy()
    return edges[~twice].reset_index(drop=True), int(twice.sum())


def _matched(
    edges: pd.DataFrame, adata: AnnData, organism: str, min_overlap: float
) -> tuple[pd.DataFrame, dict[str, object]]:
    """Edges between genes of the object, under the names they have there."""
    names = [str(name) for name in adata.var_names]
    listed = sorted({*edges["source"].cat.categories, *edges["target"].cat.categories})
    place, species = _places(listed, names, organism_of(adata, "auto"), organism)
    shared = len(set(place.values()))
    smaller = min(len(listed), len(names))
    if shared == 0 or shared < min_overlap * smaller:
        lost = [name for name in listed if name not in place]
        raise GeneOverlapError(
            f"the object has {shared} of the {len(listed)} genes of the base GRN, fewer than the share of "
            f"{min_overlap} of {smaller}; the table has for example {lost[:4]}, the object {names[:4]}. Pass "
            "organism= or a table of the same organism, or lower min_overlap."
        )
    lost_of = {}
    for column in ("source", "target"):
        categories = edges[column].cat.categories
        lost_of[column] = [name for name in categories if name not in place]
        # object dtype, so that several names of one gene become one category
        edges = edges.assign(**{column: edges[column].astype(object).map(place)})
    edges = edges.dropna(subset=["source", "target"])
    facts = {
        "organism": species,
        "lost_sources": lost_of["source"],
        "lost_targets": lost_of["target"],
        "renamed": sum(name != other for name, other in place.items()),
    }
    return edges, facts


def _places(own: list[str], names: list[str], of_object: str, of_table: str) -> tuple[dict[str, str], str]:
    """Name in the object of every name of the table that has one, and the organism of the table."""
    here = set(names)
    place = {name: name for name in own if name in here}
    open_names = [name for name in own if name not in here]
    if not open_names:
        return place, "" if of_table == "auto" else of_table
    try:
        of_object = genes.detect_organism(names) if of_object == "auto" else of_object
        of_table = genes.detect_organism(own) if of_table == "auto" else of_table
    except GeneNameError:
        logger.info("gene names are of no known organism; the base GRN is matched by spelling only")
        return place, ""
    same = of_object == of_table
    known = genes.resolve(names, organism=of_object)["native" if same else "symbol"]
    to_name = {gene: name for name, gene in zip(names, known, strict=True) if gene}
    asked = genes.resolve(open_names, organism=of_table)
    # an old and a new spelling in one table are the same gene, so ties do not matter here
    gene = asked["native"].where(asked["native"] != "", asked["candidates"])
    if not same:
        unique = sorted(set(gene))
        gene = gene.map(dict(zip(unique, genes.resolve(unique, organism=of_table)["symbol"], strict=True)))
    place |= {name: to_name[symbol] for name, symbol in zip(open_names, gene, strict=True) if symbol in to_name}
    return place, of_table


def _report(edges: pd.DataFrame, facts: dict[str, object]) -> None:
    logger.info(
        "base GRN: %d edges, %d regulators, %d targets; %s self-loops left out, %s rows merged",
        len(edges),
        edges["source"].nunique(),
        edges["target"].nunique(),
        facts["self_loops"],
        facts["merged"],
    )
    for column in ("sources", "targets"):
        lost = facts.get(f"lost_{column}")
        if isinstance(lost, list) and lost:
            hint("%d %s of the base GRN are no gene of the object: %s", len(lost), column, some(lost))
