"""The sections of a report, each from what the object holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from grn import pl
from grn._report.cautions import Caution
from grn._report.compared import CORRELATION
from grn._report.figures import figure
from grn._report.markup import Markup, joined, listed, pairs, shown, table, tag
from grn._report.subject import Inferred, Subject, gene_facts, names_of
from grn.network.combine import known_signs
from grn.network.provenance import in_words

LEVELS = (0.01, 0.05, 0.1, 0.25)
_DRAWN_EDGES = 40


def contents(subject: Subject) -> Markup:
    """What the object holds: cells, genes, networks."""
    rows: list[tuple[str, str]] = []
    if subject.cells is not None:
        rows.append(("Cells", shown(subject.cells.n_obs)))
        rows.append(("Genes", shown(subject.cells.n_vars)))
    if subject.groupby is not None and subject.cells is not None:
        sizes = subject.cells.obs[subject.groupby].astype("category").value_counts(sort=False)
        rows.append((f"Groups ({subject.groupby})", listed(f"{name}: {shown(int(n))}" for name, n in sizes.items())))
    for inferred in subject.networks:
        net = inferred.network
        groups = f", {len(net.groups)} groups" if net.groups else ""
        genes_of = f"{shown(len(net.regulators))} regulators, {shown(len(net.targets))} targets"
        text = f"{shown(len(net))} edges, {genes_of}{groups}"
        rows.append((inferred.title, text))
    return pairs(rows)


def warned(found: Sequence[Caution]) -> Markup:
    """What to keep in mind, the object first."""
    if not found:
        return tag("p", "Nothing was found that should be kept in mind beside what is true of all inferred networks.")
    about: dict[tuple[str, str], list[str]] = {}
    for caution in found:
        about.setdefault((caution.text, caution.remedy), []).append(caution.about)
    # what is true of several networks is said once
    items = (
        tag("li", tag("strong", ", ".join(who)), ": ", text, _remedy(remedy)) for (text, remedy), who in about.items()
    )
    limits = "Where a number begins to be worth a line here is judgement, not a calibrated limit."
    return joined([tag("ul", *items, class_="cautions"), tag("p", limits, class_="remedy")])


def _remedy(remedy: str) -> Markup | None:
    """What helps, with what stands in backticks as code."""
    if not remedy:
        return None
    words = (tag("code", part) if number % 2 else part for number, part in enumerate(remedy.split("`")))
    return tag("span", " See ", *words, ".", class_="remedy")


def genes(subject: Subject) -> Markup | None:
    """What became of the names of genes."""
    facts = gene_facts(subject.cells)
    if not facts:
        return None
    rows = [
        ("Matched", f"{shown(facts['kept'])} ({facts.get('organism', 'organism not told')})"),
        ("Ambiguous", _counted(facts, "ambiguous", "ambiguous_names")),
        ("Lost", _counted(facts, "lost", "lost_names")),
        ("Regulators lost", listed(names_of(facts, "lost_regulators"))),
    ]
    model = facts.get("model")
    if isinstance(model, dict) and "unknown" in model:
        rows.append((f"Unknown to model {model.get('name', '')}", _counted(model, "unknown", "unknown_names")))
    return pairs(rows)


def _counted(facts: dict[str, object], number: str, names: str) -> str:
    there = names_of(facts, names)
    return f"{shown(facts.get(number, 0))}: {listed(there)}" if there else shown(facts.get(number, 0))


def provenance(inferred: Inferred) -> Markup:
    """Every argument that made a network."""
    rows = in_words(inferred.params)
    if not rows:
        return tag("p", "The network says nothing about where it comes from.")
    return tag("div", pairs(rows), class_="provenance")


def size(inferred: Inferred) -> Markup:
    """Numbers of edges by group, with what is known of sign, direction and chance."""
    net, edges = inferred.network, inferred.network.edges
    sign = known_signs(edges, signed=net.signed)
    rows = []
    for group in net.groups or [""]:
        here = (edges["group"] == group).to_numpy() if group else np.ones(len(edges), dtype=bool)
        part = edges[here]
        row = {"Group": group} if group else {}
        if inferred.group_sizes:
            row["Cells"] = inferred.group_sizes[group]
        row |= {
            "Edges": int(here.sum()),
            "Regulators": part["source"].nunique(),
            "Targets": part["target"].nunique(),
        }
        if net.signed:
            row |= {"Activating": int((sign[here] > 0).sum()), "Repressing": int((sign[here] < 0).sum())}
        if "direction" in edges:
            words = part["direction"].astype(str)
            row["Direction with evidence"] = int((~words.isin(["none", "role"])).sum())
            row["by role"] = int((words == "role").sum())
        rows.append(row)
    return table(pd.DataFrame(rows), caption=f"Size of {inferred.name}")


def regulators(inferred: Inferred, n: int, top: int) -> Markup:
    """The leading regulators of every group."""
    ranks = inferred.leading(top)
    here = ranks.groupby("group", observed=True).cumcount() if "group" in ranks else np.arange(len(ranks))
    ranks = ranks[here < n]
    among = f"Of the {min(top, len(inferred.network))} strongest"
    heads = {"group": "Group", "regulator": "Regulator", "among": among, "degree": "Edges", "strength": "Strength"}
    heads |= {"expression": "Mean expression", "strength_residual": "Beyond expression"}
    told = [name for name in heads if name in ranks and ranks[name].notna().any()]
    listed_ranks = ranks[told].rename(columns=heads)
    if "Group" in listed_ranks:
        listed_ranks["Group"] = listed_ranks["Group"].astype(str)
    caption = f"Regulators of {inferred.name}, those first that have most of the strongest edges; strength: Σ|weight|"
    return table(listed_ranks, caption=caption, genes=["Regulator"])


def edges_listed(inferred: Inferred, n: int) -> Markup:
    """The strongest edges of all groups."""
    edges = inferred.network.edges
    order = np.lexsort((np.arange(len(edges)), -edges["weight"].abs().to_numpy()))[:n]
    part = edges.iloc[order].reset_index(drop=True)
    for name in part.columns:
        if isinstance(part[name].dtype, pd.CategoricalDtype):
            part[name] = part[name].astype(object)
    return table(part, caption=f"The {len(part)} strongest edges of {inferred.name}", genes=["source", "target"])


def network_figure(inferred: Inferred) -> Markup:
    """The strongest edges as a drawing."""
    drawn = min(_DRAWN_EDGES, len(inferred.network))
    return figure(
        lambda: pl.network(inferred.network, max_edges=_DRAWN_EDGES, return_fig=True, figsize=(4.6, 3.9)),
        alt=f"Drawing of the {drawn} strongest edges of {inferred.name}",
        caption=f"The {drawn} strongest edges of {inferred.name}. Arrows only where something tells the direction.",
    )


def confidence(inferred: Inferred) -> Markup:
    """How many edges can be told from chance, and how well they hold."""
    edges = inferred.network.edges
    parts: list[Markup] = []
    record = inferred.params.get("confidence")
    if isinstance(record, dict):
        text = (
            f"{shown(record.get('n_permutations', 0))} permutations of {record.get('permute', 'cells')}, "
            f"{shown(record.get('n_subsamples', 0))} subsamples of {record.get('fraction', 0)} of the cells."
        )
        parts.append(tag("p", text))
    if "qval" in edges:
        rows = {f"q ≤ {level}": int((edges["qval"] <= level).sum()) for level in LEVELS}
        counts = pd.DataFrame({"q-value": rows.keys(), "Edges": rows.values(), "Of": len(edges)})
        parts.append(table(counts, caption=f"Edges of {inferred.name} by q-value (Benjamini-Hochberg)"))
        if "stability" in edges and edges["stability"].notna().any():
            kept = edges.loc[edges["qval"] <= 0.05, "stability"].dropna()
            if len(kept):
                share = shown(float(kept.median()))
                parts.append(tag("p", f"Half of the edges with q ≤ 0.05 are in at least {share} of the subsamples."))
    elif "probability" in edges:
        parts.append(
            tag(
                "p",
                "The method gives a probability to every edge. It orders edges; it is no frequency among real cells.",
            )
        )
    if not parts:
        parts.append(tag("p", "Not tested against chance."))
    return tag("div", *parts)


def simpler(floors: pd.DataFrame, inferred: Inferred) -> Markup:
    """What needs no method, beside the network."""
    return table(floors, caption=f"{inferred.name} beside answers that need no method")


def agreed(found: pd.DataFrame) -> Markup:
    """How far the networks agree."""
    heads = {
        "network_a": "Network", "network_b": "and", "n_common": "Pairs in both", "spearman": "Spearman",
        "shared": "Shared strongest", "expected": "by chance", "jaccard": "Jaccard",
    }  # fmt: skip
    text = (
        "Spearman asks whether both order the pairs alike that both scored; shared counts the "
        f"{int(found['top_a'].max())} strongest edges that both name. "
        f"{CORRELATION} is the absolute correlation in the same cells."
    )
    return tag("div", table(found[list(heads)].rename(columns=heads), caption="Agreement of networks"), tag("p", text))


def activity(subject: Subject) -> Markup | None:
    """Activities of regulators by group of cells; None where there are none."""
    if subject.activity is None:
        return None
    if subject.groupby is None:
        where = f"obsm['{subject.activity}'] has activities of regulators"
        return tag("p", f"{where}, and no groups of cells were named to show them by: pass groupby=.")
    key, groupby, cells = subject.activity, subject.groupby, subject.cells
    return figure(
        lambda: pl.activity(cells, groupby=groupby, key=key, n_sources=25, return_fig=True),
        alt=f"Mean activity of regulators in the groups of {groupby}",
        caption=f"Mean activity ({key}, z-score over all cells) of regulators specific to groups of {groupby}.",
    )
