"""Regulators whose activity differs between two conditions, with donors as replicates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from grn._core import checks
from grn._core.errors import GroupError
from grn._core.logging import logger
from grn._core.logging import progress as progress_bar
from grn._kernels import moderation
from grn._object.container import check_target, target, validate
from grn._object.expression import reads_of
from grn._object.samples import Samples, samples_of
from grn._object.values import expression
from grn.network import Network
from grn.network.groups import column_of
from grn.network.schema import storable
from grn.regulators.activity import scorer_of, scores_of, versions
from grn.regulators.networks import edges_to_score, name_of, network_of
from grn.regulators.places import DIRECTIONS, nothing_to_place, places, tell_unplaced

if TYPE_CHECKING:
    from anndata import AnnData


def write_differential_activity(
    adata: AnnData,
    *,
    condition: str,
    reference: str,
    group: str | None,
    donor: str,
    groupby: str | None,
    net: str | Network,
    method: str,
    moderate: bool,
    direction: str,
    min_targets: int,
    min_probability: float | None,
    max_q: float | None,
    top_per_source: int | None,
    min_cells: int,
    layer: str | None,
    use_raw: bool,
    values: str,
    key_added: str,
    copy: bool,
) -> AnnData | None:
    """Compare the activities and write the tables; see :func:`grn.tl.differential_activity`."""
    arguments = {name: value for name, value in locals().items() if name not in {"adata", "copy", "net"}}
    validate(adata)
    check_target(adata, copy=copy, key=key_added)
    checks.word("direction", direction, DIRECTIONS)
    min_targets = checks.integer("min_targets", min_targets, least=1)
    min_cells = checks.integer("min_cells", min_cells, least=1)
    scorer = scorer_of(method)
    filters = {"min_probability": min_probability, "max_q": max_q, "top_per_source": top_per_source}
    network = network_of(adata, net, **filters)
    column = column_of(network, groupby, "the network") if network.groups else groupby
    _check_columns(condition, donor, column)
    samples = samples_of(
        adata, condition=condition, reference=reference, group=group, donor=donor, groupby=column, min_cells=min_cells
    )
    edges = edges_to_score(network, column, samples.groups)
    with reads_of() as reads:
        profiles = expression(adata, layer=layer, use_raw=use_raw, values=values).profiles(samples.codes)
    named = pd.DataFrame(profiles, columns=pd.Index(adata.var_names.astype(str)))
    tables, activities = _compared(samples, named, edges, scorer, min_targets, moderate=moderate)
    out = target(adata, copy=copy)
    params = {"function": "differential_activity", **arguments, "groupby": column, "net": name_of(net), **reads.told}
    params |= {"group": samples.conditions[1], "design": samples.design, **versions()}
    out.uns[key_added] = {
        "table": _joined([_ranked(table, direction) for table in tables], samples, column),
        **_by_sample(activities, samples, column),
        "params": storable(params),
    }
    logger.info("compared %d regulators in uns[%r]['table']", pd.concat(tables)["regulator"].nunique(), key_added)
    return out if copy else None


def _compared(
    samples: Samples,
    profiles: pd.DataFrame,
    edges: dict[str, pd.DataFrame],
    scorer: Any,
    min_targets: int,
    *,
    moderate: bool,
) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    """What differs in every group, and activities by sample; an error if no regulator has enough targets."""
    tables, activities, lost = [], [], {}
    for place, name in progress_bar(list(enumerate(samples.groups)), desc="differential activity"):
        if name not in edges:
            continue
        scored = _Group(samples, place, profiles).compared(edges[name], scorer, min_targets, moderate=moderate)
        lost[name] = edges[name]["source"].nunique() - (0 if scored is None else len(scored[0]))
        if scored is not None:
            tables.append(scored[0].assign(group=name))
            activities.append(scored[1])
    if not tables:
        raise nothing_to_place(min_targets)
    tell_unplaced(lost, min_targets)
    _tell_replicates(samples)
    return tables, activities


def _check_columns(condition: str, donor: str, column: str | None) -> None:
    named = {"condition": condition, "donor": donor, "groupby": column}
    for first, second in (("condition", "donor"), ("condition", "groupby"), ("donor", "groupby")):
        if named[first] is not None and named[first] == named[second]:
            raise GroupError(
                f"{first} and {second} are both the column {named[first]!r}; donors have samples of conditions in "
                "groups, which takes columns of their own."
            )


class _Group:
    """The samples of one group, their profiles, and what differs between their conditions."""

    def __init__(self, samples: Samples, place: int, profiles: pd.DataFrame) -> None:
        self.paired = samples.paired
        rows = samples.sides(place)
        self.rows = np.concatenate(rows)
        self.sides = np.split(np.arange(len(self.rows)), [len(rows[0])])
        here = profiles.iloc[self.rows]
        # in the order of the names: sums do not depend on the order of the genes
        self.profiles = here.loc[:, (here.max() > here.min()).to_numpy()].sort_index(axis=1)

    def compared(
        self, edges: pd.DataFrame, scorer: Any, min_targets: int, *, moderate: bool
    ) -> tuple[pd.DataFrame, pd.DataFrame] | None:
        """Regulators with what differs, and their activity in every sample; None where none has enough targets."""
        from anndata import AnnData

        net = edges.loc[(edges["weight"] != 0).to_numpy(), ["source", "target", "weight"]]
        net = net.astype({"source": str, "target": str})
        net = net[net["target"].isin(self.profiles.columns)]
        size = net["source"].value_counts()
        if not (size >= min_targets).any():
            return None
        centred = self.profiles - self.profiles.mean()
        data = AnnData(
            centred.to_numpy(),
            obs=pd.DataFrame(index=self.rows.astype(str)),
            var=pd.DataFrame(index=self.profiles.columns),
        )
        activity = scores_of(data, net, scorer, min_targets, "")[0].sort_index(axis=1)
        effect, score, pval = self._tested(activity.to_numpy(dtype=np.float64), moderate=moderate)
        known = np.isfinite(score)
        table = pd.DataFrame(
            {
                "regulator": activity.columns.astype(str),
                "score": score,
                "pval": pval,
                "activity": effect,
                "n_targets": size.reindex(activity.columns).to_numpy(),
                "n_donors": len(self.sides[0]) if self.paired else len(self.rows),
                **self._own(activity.columns, moderate=moderate),
            }
        )
        return table[known].reset_index(drop=True), self._by_sample(activity.loc[:, known])

    def _tested(self, values: np.ndarray, *, moderate: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        test = moderation.paired if self.paired else moderation.unpaired
        reference, other = self.sides
        return test(values[other], values[reference], moderate=moderate)

    def _own(self, regulators: pd.Index, *, moderate: bool) -> dict[str, np.ndarray]:
        """The change of the regulators' own expression, tested among that of all genes."""
        names = ("log_change", "change", "change_pval")
        tested = self._tested(self.profiles.to_numpy(), moderate=moderate)
        at = self.profiles.columns.get_indexer(regulators)
        return {name: np.where(at >= 0, part[at], np.nan) for name, part in zip(names, tested, strict=True)}

    def _by_sample(self, activity: pd.DataFrame) -> pd.DataFrame:
        """One row per sample and regulator: its activity, and its own expression."""
        own = self.profiles.reindex(columns=activity.columns)
        n, k = activity.shape
        return pd.DataFrame(
            {
                "sample": np.repeat(self.rows, k),
                "regulator": np.tile(activity.columns.astype(str), n),
                "activity": activity.to_numpy(dtype=np.float64).ravel(),
                "expression": own.to_numpy(dtype=np.float64).ravel(),
            }
        )


def _ranked(table: pd.DataFrame, direction: str) -> pd.DataFrame:
    """The table with adjusted p-values and ranks by activity and by own change, first ranks first."""
    columns: dict[str, Any] = {"regulator": table["regulator"].to_numpy(dtype=object)}
    columns["rank"] = places(table["score"], direction).astype(np.int64)
    columns |= {"score": table["score"], "pval": table["pval"], "qval": _adjusted(table["pval"])}
    columns |= {name: table[name] for name in ("activity", "n_targets", "n_donors")}
    columns |= {name: table[name] for name in ("log_change", "change", "change_pval")}
    columns["change_qval"] = _adjusted(table["change_pval"])
    columns["change_rank"] = places(table["change"], direction)
    columns["group"] = table["group"]
    return pd.DataFrame(columns).sort_values(["rank", "regulator"], kind="stable")


def _adjusted(pval: pd.Series) -> np.ndarray:
    known = pval.notna().to_numpy()
    adjusted = np.full(len(pval), np.nan)
    if known.any():
        adjusted[known] = stats.false_discovery_control(pval[known])
    return adjusted


def _joined(tables: list[pd.DataFrame], samples: Samples, column: str | None) -> pd.DataFrame:
    table = pd.concat(tables, ignore_index=True)
    group = table.pop("group")
    if column is not None:
        table.insert(1, "group", pd.Categorical(group, categories=list(samples.groups)))
    return table


def _by_sample(activities: list[pd.DataFrame], samples: Samples, column: str | None) -> dict[str, pd.DataFrame]:
    """Tables of the samples, and of regulators in samples."""
    named = samples.named()
    if column is None:
        named = named.drop(columns="group")
    activity = pd.concat(activities, ignore_index=True)
    where = named.drop(columns="n_cells").iloc[activity.pop("sample")].reset_index(drop=True)
    regulators = pd.Categorical(activity["regulator"])
    return {"samples": named, "activity": pd.concat([activity.assign(regulator=regulators), where], axis=1)}


def _tell_replicates(samples: Samples) -> None:
    counts = [len(samples.sides(place)[0]) for place in range(len(samples.groups))]
    if min(counts) < 3:
        logger.warning(
            "%s with as few as %d in a condition: ranks can be read; p-values lean on the spread that regulators share",
            *(samples.design, min(counts)),
        )
