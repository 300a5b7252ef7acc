"""What a reader should keep in mind: few cells, lost genes, artefacts, and what simpler answers give as well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grn import pp
from grn._core.errors import GrnError
from grn._report.compared import expression_rank, family_shares
from grn._report.markup import listed, shown
from grn._report.subject import Inferred, Subject, gene_facts, names_of
from grn.network.direction import NONE

# with fewer cells the standard error of a correlation is above 0.1
FEW_CELLS = 100
MUCH_LOST = 0.1
FOLLOWS = 0.5
SHARED = 0.8
LEVEL = 0.05
LEADING = 5
# regulators that taking a tissue apart induces (van den Brink et al. 2017, doi 10.1038/nmeth.4437)
IMMEDIATE = frozenset({"ATF3", "EGR1", "FOS", "FOSB", "JUN", "JUNB", "JUND"})


@dataclass(frozen=True)
class Caution:
    """Something to keep in mind.

    Parameters
    ----------
    about
        What it is about: the object, or a network by name.
    text
        What was found, and what it means.
    remedy
        What helps, with calls in backticks; empty where nothing does.
    """

    about: str
    text: str
    remedy: str = ""


def cautions(subject: Subject, shared: dict[str, float], top: int) -> list[Caution]:
    """All that was found, of the object first.

    Parameters
    ----------
    subject
        What the report is about.
    shared
        By network the part of its strongest edges that are among the strongest correlations.
    top
        Number of edges that are called the strongest.
    """
    found = list(_of_object(subject))
    for inferred in subject.networks:
        found += [*_of_cells(inferred), *_of_edges(inferred), *_of_regulators(inferred, top)]
        part = shared.get(inferred.name)
        if part is not None and part >= SHARED:
            found.append(
                Caution(
                    inferred.title,
                    f"{part:.0%} of its {top} strongest edges are among the strongest correlations of the same cells: "
                    "it says little that correlation does not say.",
                )
            )
    return found


def _of_object(subject: Subject) -> Iterator[Caution]:
    cells = subject.cells
    if cells is None:
        yield Caution(
            "input",
            "Only edges were given. Nothing here was checked against cells.",
            "`grn.report(adata)`, with the object instead of the network alone",
        )
        return
    facts = gene_facts(cells)
    if not facts:
        yield Caution(
            "genes",
            "Names of genes were not matched to a list of genes, so genes under an old name were missed silently.",
            "`grn.pp.align_genes(adata)`, before inference",
        )
    else:
        lost = float(facts.get("lost", 0)) + float(facts.get("ambiguous", 0))
        if lost > MUCH_LOST * cells.n_vars:
            yield Caution("genes", f"{lost / cells.n_vars:.0%} of the genes have a name that is unknown or ambiguous.")
        regulators = names_of(facts, "lost_regulators")
        if regulators:
            yield Caution("genes", f"Regulators whose name was lost or is ambiguous: {listed(regulators)}.")
    yield from _of_values(subject)


def _of_values(subject: Subject) -> Iterator[Caution]:
    """What is odd about the values that networks were inferred from, each matrix once."""
    seen = set()
    for inferred in subject.networks:
        layer, use_raw = inferred.params.get("layer"), inferred.params.get("use_raw")
        read = (
            layer if isinstance(layer, str) else None,
            bool(use_raw) if isinstance(use_raw, bool | np.bool_) else False,
        )
        if inferred.virtual or read in seen:
            continue
        seen.add(read)
        try:
            report = pp.check_expression(subject.cells, layer=read[0], use_raw=read[1])
        except GrnError as error:
            yield Caution("values", f"The values that were read cannot be checked: {error}")
            continue
        if report.kind not in {"counts", "log"} or not report.sure:
            yield Caution("values", f"{report.where} holds {report.kind} values, told by: {report.why}.")
        if report.n_nan or report.n_infinite:
            yield Caution("values", f"{report.where} holds {report.n_nan} NaN and {report.n_infinite} infinite values.")
        if report.n_zero_cells:
            yield Caution("values", f"{shown(report.n_zero_cells)} cells of {report.where} have zeros only.")


def _of_cells(inferred: Inferred) -> Iterator[Caution]:
    if inferred.virtual:
        yield Caution(
            inferred.title,
            "It was read from a foundation model and the names of genes alone: it is the same for all cells with these "
            "genes, and says nothing about these cells.",
            "`context='mean'` where the method takes it, or a method that reads cells: `grn.tl.methods()`",
        )
        return
    few = {group: size for group, size in inferred.group_sizes.items() if size < FEW_CELLS}
    if few:
        size = min(few.values())
        error = f"{1 / np.sqrt(size - 3):.2f}" if size > 3 else "undefined"
        where = listed(f"{group}: {shown(size)}" for group, size in few.items()) if any(few) else f"{shown(size)} cells"
        yield Caution(
            inferred.title,
            f"Few cells ({where}). The correlation of two unrelated genes has a standard error of {error} in the "
            f"smallest group, and of less than 0.1 only above {FEW_CELLS} cells.",
            "`grn.tl.confidence(adata)`, which tells edges from chance",
        )


def _of_edges(inferred: Inferred) -> Iterator[Caution]:
    network, edges = inferred.network, inferred.network.edges
    if inferred.hidden:
        yield Caution(
            inferred.title, f"{shown(inferred.hidden)} edges are left out: an end is not among the genes of the object."
        )
    if "qval" not in edges:
        yield Caution(
            inferred.title,
            "No edge was tested against chance. Weights order edges, they do not say how many are real.",
            "`grn.tl.confidence(adata)`",
        )
    elif not (edges["qval"] <= LEVEL).any():
        yield Caution(inferred.title, f"No edge has a q-value up to {LEVEL}: none can be told from chance.")
    told = (
        edges["direction"].astype(str) != NONE
        if "direction" in edges
        else pd.Series(network.directed, index=edges.index)
    )
    if not told.all():
        yield Caution(
            inferred.title,
            f"Nothing tells the direction of {(~told).mean():.0%} of its edges: their ends may be swapped.",
        )
    if "direction" in edges and set(edges["direction"].astype(str)) <= {NONE, "role"}:
        yield Caution(
            inferred.title,
            "Directions come from the list of regulators only: that a gene can regulate is known, that it regulates "
            "this target is not.",
            "`grn.pp.base_grn`, for pairs that motifs tell",
        )


def _of_regulators(inferred: Inferred, top: int) -> Iterator[Caution]:
    network, ranks = inferred.network, inferred.ranks
    groups = max(1, len(network.groups))
    possible = groups * len(network.regulators) * len(network.targets)
    if len(network) >= 0.9 * possible - groups * len(network.regulators) and len(network) > 1000:
        yield Caution(
            inferred.title,
            "It lists nearly every pair of a regulator and a target, so numbers of targets say nothing; strengths do.",
            "`grn.get.edges(adata, top_per_target=5)`, or `max_q=0.05` after `grn.tl.confidence`",
        )
    follows = expression_rank(ranks)
    if follows is not None and follows >= FOLLOWS:
        yield Caution(
            inferred.title,
            f"Strong regulators are those with high expression (Spearman {follows:.2f}), as they are in any network of "
            "noisy counts. Compare with the column beyond expression.",
            "`grn.tl.rank_regulators(adata, by='strength_residual')`",
        )
    strongest, listed_share = family_shares(network, top)
    if strongest >= max(0.1, 3 * listed_share):
        yield Caution(
            inferred.title,
            f"{strongest:.0%} of its strongest edges join genes of one family ({listed_share:.1%} of all listed): "
            "relatives look alike to models and to reads that map to both.",
        )
    first = inferred.leading(top)
    first = first.groupby("group", observed=True).head(LEADING) if "group" in first else first.head(LEADING)
    leading = set(first["regulator"].astype(str).str.upper())
    if leading & IMMEDIATE:
        yield Caution(
            inferred.title,
            f"Among the leading regulators are {listed(sorted(leading & IMMEDIATE))}, which taking a tissue apart "
            "induces as well (van den Brink et al. 2017): ask whether they differ by sample before by biology.",
        )
