"""How far networks agree, with each other and with answers that need no method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn import get
from grn._core.errors import GrnError
from grn._core.logging import hint
from grn._core.voice import quiet
from grn._report.subject import Inferred
from grn.genes import families
from grn.methods import METHODS, Task
from grn.methods.runner import fit
from grn.network import Network

CORRELATION = "|correlation|"
# pairs for which a correlation is computed for a report
_MOST_PAIRS = 5_000_000
# fewest regulators for a rank correlation that says something
FEWEST = 10


def agreement(networks: Mapping[str, Network], top: int) -> pd.DataFrame:
    """:func:`grn.get.agreement` of networks that need not be of one object."""
    genes = sorted({gene for network in networks.values() for gene in network.genes})
    holder = AnnData(np.zeros((0, len(genes)), dtype=np.float32), var=pd.DataFrame(index=genes))
    entries = {name: f"network {number}" for number, name in enumerate(networks)}
    for name, entry in entries.items():
        networks[name].replace(params={}).write(holder, entry)
    return get.agreement(holder, keys=entries, top=top)


def correlations(inferred: Inferred) -> Network | None:
    """Correlations of the pairs of a network in the cells and groups that it was inferred from; None without them."""
    network, cells, params = inferred.network, inferred.cells, inferred.params
    if cells is None or inferred.method == "correlation":
        return None
    sources = [name for name in network.regulators if name in cells.var_names]
    targets = [name for name in network.targets if name in cells.var_names]
    if not sources or not targets or len(sources) * len(targets) > _MOST_PAIRS:
        return None
    groupby = params.get("groupby") if network.groups else None
    task = Task(
        sources=sources,
        targets=targets,
        groupby=groupby if isinstance(groupby, str) and groupby in cells.obs else None,
        layer=_text(params, "layer"),
        use_raw=bool(params.get("use_raw") or False),
        values=_text(params, "values") or "auto",
    )
    try:
        with quiet():
            found = fit(cells, METHODS["correlation"], task, {})
    except GrnError as error:
        hint("no correlations beside %r: %s", inferred.name, error)
        return None
    return found if len(found) else None


def _text(params: Mapping[str, Any], name: str) -> str | None:
    value = params.get(name)
    return value if isinstance(value, str) else None


def floors(inferred: Inferred, correlated: Network | None, top: int) -> pd.DataFrame:
    """What answers that need no method have in common with a network: one row each."""
    rows = []
    if correlated is not None:
        found = agreement({inferred.name: inferred.network, CORRELATION: correlated}, top).iloc[0]
        rows.append(
            (
                "strongest correlations of the same cells",
                f"shared of the {found['top_a']} strongest",
                found["shared"],
                found["expected"],
            )
        )
    strongest, listed = family_shares(inferred.network, top)
    rows.append(("genes of one family", f"share of the {min(top, len(inferred.network))} strongest", strongest, listed))
    follows = expression_rank(inferred.ranks)
    if follows is not None:
        rows.append(("mean expression of the regulator", "Spearman with its strength", follows, 0.0))
    return pd.DataFrame(rows, columns=["Simpler answer", "Measure", "Value", "By chance"])


def family_shares(network: Network, top: int) -> tuple[float, float]:
    """Share of pairs of genes of one family among the strongest edges, and among all that are listed."""
    edges = network.edges
    names = pd.Index(network.genes, dtype=object)
    family = families(names)
    same = np.equal(*(family[names.get_indexer(edges[end].astype(object))] for end in ("source", "target")))
    order = np.argsort(-edges["weight"].abs().to_numpy(), kind="stable")[:top]
    return float(same[order].mean()), float(same.mean())


def expression_rank(ranks: pd.DataFrame) -> float | None:
    """Spearman correlation of strength and mean expression of regulators, the mean over groups; None for few."""
    parts: Sequence[pd.DataFrame] = (
        [ranks] if "group" not in ranks else [part for _, part in ranks.groupby("group", observed=True)]
    )
    found = []
    for part in parts:
        known = part[["strength", "expression"]].dropna()
        if len(known) >= FEWEST and known.nunique().min() > 1:
            found.append(known["strength"].rank().corr(known["expression"].rank()))
    return float(np.mean(found)) if found else None
