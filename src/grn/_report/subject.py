"""What a report is about: networks by name, the cells they belong to, and the groups of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn import get
from grn._core import checks
from grn._core.errors import GroupError, ParameterError, ResultNotFoundError
from grn._core.near import did_you_mean
from grn._object.container import validate
from grn._object.genes import column
from grn._object.modalities import is_mudata, modality
from grn.get.visible import visible
from grn.methods import METHODS, Method
from grn.network import Network
from grn.network.schema import is_network, is_regulons
from grn.regulators.ranks import rank_table

USUAL_ACTIVITY = "score_ulm"


@dataclass(frozen=True)
class Inferred:
    """A network of the report.

    Parameters
    ----------
    name
        What it goes by: its entry of ``uns``.
    network
        Its edges between genes that the object still has.
    hidden
        Number of edges with an end that the object no longer has.
    cells
        The object, or None.
    """

    name: str
    network: Network
    hidden: int
    cells: AnnData | None

    @property
    def params(self) -> Mapping[str, Any]:
        """Where it comes from."""
        return self.network.params

    @property
    def method(self) -> str:
        """Name of its method, empty where nothing says it."""
        method = self.params.get("method")
        return method if isinstance(method, str) else ""

    @property
    def record(self) -> Method | None:
        """The record of its method, where this version has it."""
        return METHODS[self.method] if self.method in METHODS else None

    @property
    def title(self) -> str:
        """Name for headings."""
        return f"{self.name} ({self.method})" if self.method and self.method != self.name else self.name

    @property
    def virtual(self) -> bool:
        """Whether it was read from a model and gene names, and from no cell."""
        return self.params.get("context") == "virtual"

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """Regulators by group and strength, with their mean expression where there are cells."""
        return rank_table(self.cells, self.network, where=f"the network {self.name!r}")

    def leading(self, top: int) -> pd.DataFrame:
        """The ranks with how many of the strongest edges of the group are of a regulator, most of them first.

        Sums over a network that lists every pair are sums of weak edges, and tell regulators hardly apart.
        """
        strongest = self.network.filter(top=top).edges
        keys = [name for name in ("group", "source") if name in strongest]
        counts = strongest.groupby([strongest[name].astype(str) for name in keys]).size()
        rows = self.ranks.rename(columns={"regulator": "source"})[keys].astype(str)
        index = pd.MultiIndex.from_frame(rows) if len(keys) > 1 else pd.Index(rows["source"])
        ranks = self.ranks.assign(among=counts.reindex(index, fill_value=0).to_numpy())
        order = [name for name in ("group", "among", "rank", "regulator") if name in ranks]
        return ranks.sort_values(order, ascending=[name != "among" for name in order], kind="stable")

    @cached_property
    def group_sizes(self) -> dict[str, int]:
        """Number of cells of every group of the network; of all cells under an empty name without groups."""
        if self.cells is None:
            return {}
        if not self.network.groups:
            return {"": self.cells.n_obs}
        groupby = self.params.get("groupby")
        if not isinstance(groupby, str) or groupby not in self.cells.obs:
            return {}
        labels = column(self.cells.obs, groupby).astype(str)
        return {group: int((labels == group).sum()) for group in self.network.groups}


@dataclass(frozen=True)
class Subject:
    """All that a report is about.

    Parameters
    ----------
    networks
        At least one.
    cells
        The object with expression, or None where there are only edges.
    activity
        Key of ``obsm`` with activities of regulators, or None.
    groupby
        Column of ``obs`` with the groups of cells whose activity is shown, or None.
    """

    networks: tuple[Inferred, ...]
    cells: AnnData | None
    activity: str | None
    groupby: str | None


def read_subject(data: Any, *, keys: Any, groupby: str | None, activity: str | None, rna: str) -> Subject:
    """Everything that is asked for, or an error that says what there is.

    Parameters
    ----------
    data
        AnnData, MuData, Network or edge table.
    keys
        Entries of ``uns``; None for all networks.
    groupby, activity
        As in :func:`grn.report`.
    rna
        Modality of a MuData.
    """
    if not hasattr(data, "uns"):
        given = {"keys": keys, "groupby": groupby, "activity": activity}
        named = [name for name, value in given.items() if value is not None]
        if named:
            raise ParameterError(f"{named[0]}= names a part of an object, and data is {type(data).__name__}.")
        network = get.network(data)
        _need_edges(network, network, "network")
        return Subject((Inferred("network", network, 0, None),), None, None, None)
    cells = modality(data, rna, argument="rna") if is_mudata(data) else data
    validate(cells)
    networks = tuple(_inferred(data, key, cells) for key in _keys(data, keys))
    activity = _activity(cells, activity)
    return Subject(networks, cells, activity, _groupby(cells, groupby, activity, networks))


def _keys(data: Any, keys: Any) -> list[str]:
    parts = (data, *getattr(data, "mod", {}).values())
    there = sorted(
        {name for part in parts for name, entry in part.uns.items() if is_network(entry) and not is_regulons(entry)}
    )
    if keys is None:
        if not there:
            raise ResultNotFoundError("the object holds no network; infer one with grn.tl.infer_network(adata).")
        return there
    names = [keys] if isinstance(keys, str) else checks.names("keys", keys, what="entries of uns")
    if not names:
        raise ResultNotFoundError(
            f"keys is empty; the object has the networks {', '.join(map(repr, there)) or 'none'}."
        )
    return list(dict.fromkeys(names))


def _inferred(data: Any, key: str, cells: AnnData) -> Inferred:
    whole = get.network(data, key=key)
    network = visible(whole, data, key)
    _need_edges(network, whole, key)
    return Inferred(key, network, len(whole) - len(network), cells)


def _need_edges(network: Network, whole: Network, key: str) -> None:
    if not len(network):
        why = "all its edges have an end that is not in var_names" if len(whole) else "it has no edges"
        raise ResultNotFoundError(f"there is nothing to report of the network {key!r}: {why}.")


def _activity(cells: AnnData, activity: str | None) -> str | None:
    if activity is None:
        return USUAL_ACTIVITY if isinstance(cells.obsm.get(USUAL_ACTIVITY), pd.DataFrame) else None
    if activity not in cells.obsm:
        near = did_you_mean(str(activity), list(cells.obsm))
        raise ResultNotFoundError(f"obsm has no {activity!r}; compute it with grn.tl.activity(adata).{near}")
    return activity


def _groupby(cells: AnnData, groupby: str | None, activity: str | None, networks: Sequence[Inferred]) -> str | None:
    """The column asked for, else that of the activities or of a network."""
    if groupby is not None:
        if groupby not in cells.obs:
            columns = ", ".join(map(str, cells.obs.columns)) or "none"
            raise GroupError(f"adata.obs has no column {groupby!r}; columns: {columns}.")
        return groupby
    entry = cells.uns.get(activity, {}) if activity is not None else {}
    params = entry.get("params", {}) if isinstance(entry, Mapping) else {}
    told = [params.get("groupby"), *(inferred.params.get("groupby") for inferred in networks)]
    return next((name for name in told if isinstance(name, str) and name in cells.obs), None)


def gene_facts(cells: AnnData | None) -> dict[str, Any]:
    """What became of the names of genes, as ``pp.align_genes`` left it; empty where it was not run."""
    facts = {} if cells is None else cells.uns.get("grn_genes", {})
    return dict(facts) if isinstance(facts, Mapping) and "kept" in facts else {}


def names_of(facts: Mapping[str, Any], name: str) -> list[str]:
    """A list of names among facts."""
    return [str(item) for item in np.ravel(np.asarray(facts.get(name, []), dtype=object))]
