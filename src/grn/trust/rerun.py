"""A stored network made again: the same record and arguments, on an object that was changed on purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core import checks
from grn._core.errors import CapabilityError, ParameterError
from grn._core.logging import logger, silently
from grn._object.chromatin import SLOT, Regions, chromatin_of
from grn._object.expression import values_of
from grn.methods import METHODS, Method, Task
from grn.methods.cells import NothingVariesError, with_copies
from grn.methods.chromatin_prior import AUTO, REGIONS, with_chromatin_prior
from grn.methods.edge_prior import named_edges
from grn.methods.inputs import Inputs, environment
from grn.methods.provenance import GIVEN
from grn.methods.runner import fit, fit_of_groups
from grn.models import FoundationModel
from grn.network import Network
from grn.pp import base_grn
from grn.trust.numbers import Axes, Edges, PairNumbers, joined

# names of copies by source, one mapping for every set of copies
Copies = Sequence[Mapping[str, str]]

# a weight may differ by this share of the largest one when it is computed again
_SAME = 1e-3


@dataclass(frozen=True)
class Rerun:
    """A record with the arguments that made a network.

    Parameters
    ----------
    record
        The method.
    task
        Groups, model, seed and threads.
    arguments
        The method's own parameters.
    chosen
        Parameters that the method chose per group from the data: by name, then group.
    layer, use_raw, values
        Where the values were read, and what they are.
    """

    record: Method
    task: Task
    arguments: Mapping[str, Any]
    chosen: Mapping[str, Mapping[str, Any]]
    layer: str | None = None
    use_raw: bool = False
    values: str = "auto"

    def fit(self, adata: AnnData, axes: Axes, *, seed: int | None = None) -> Edges:
        """Make the network again."""
        return self._fit(adata, axes, (), self.arguments, seed)[0]

    def fit_beside(self, adata: AnnData, axes: Axes, copies: Copies, *, seed: int) -> tuple[Edges, ...]:
        """Make the network again with copies of the regulators: edges of the real ones and of every set of copies."""
        return self._fit(adata, axes, copies, self.copied(adata, copies), seed)

    def copied(self, adata: AnnData, copies: Copies) -> dict[str, Any]:
        """Arguments of a fit on an object with copies of the sources; its regions are given to the copies, too."""
        regions = adata.uns.get(SLOT)
        if isinstance(regions, Regions) and len(copies) == 1:  # records of more sets read no regions
            adata.uns[SLOT] = regions.with_copies(copies[0])
        return _copied(self.arguments, copies)

    def task_of(self, axes: Axes, copies: Copies) -> Task:
        """What is asked of the method, also of copies of the sources."""
        sources = [*axes.sources, *(alias for aliases in copies for alias in aliases.values())]
        task = replace(self.task, sources=sources, targets=list(axes.targets), values="log")
        if self.task.taking is not None:
            task = replace(task, taking=with_copies(self.task.taking, copies))
        return task

    def chosen_of(self, group: str) -> dict[str, Any]:
        """Parameters that the method chose for a group."""
        return {name: values[group or "all"] for name, values in self.chosen.items()}

    def fit_exchanged(self, adata: AnnData, axes: Axes, exchanged: Mapping[str, str], *, seed: int) -> Edges:
        """Make the network again with the regions of other genes: ``exchanged`` says whose links become whose."""
        adata.uns[SLOT] = chromatin_of(adata).regions.with_exchanged_genes(exchanged)
        return self._fit(adata, axes, (), self.arguments, seed)[0]

    def _fit(
        self, adata: AnnData, axes: Axes, copies: Copies, arguments: Mapping[str, Any], seed: int | None
    ) -> tuple[Edges, ...]:
        task = self.task_of(axes, copies)
        task = task if seed is None else replace(task, seed=seed)
        made = []
        with silently():
            for group in axes.groups if self.chosen else (None,):
                if group is None:
                    part, fixed = adata, {}
                else:
                    rows = np.ones(adata.n_obs, bool) if not group else adata.obs[task.groupby].astype(str) == group
                    part = adata[np.asarray(rows)].copy()
                    fixed = self.chosen_of(group)
                # on some of the cells nothing may vary where something did on all
                with suppress(NothingVariesError):
                    made.append(self._edges(part, task, {**arguments, **fixed}, axes, copies))
        return tuple(joined([edges[number] for edges in made]) for number in range(1 + len(copies)))

    def _edges(
        self, adata: AnnData, task: Task, arguments: Mapping[str, Any], axes: Axes, copies: Copies
    ) -> tuple[Edges, ...]:
        """Edges of the real sources and of each set of their copies on an object."""
        if not self.record.by_group:
            net = fit(adata, self.record, task, arguments)
            named = ([aliases[name] for name in axes.sources] for aliases in copies)
            return axes.number(net), *(axes.number(net, names) for names in named)
        inputs = Inputs(adata, task)
        fit_group = fit_of_groups(inputs, self.record, arguments)
        numbers = PairNumbers(axes, inputs.names, copies)

        def edges_of_group(name: str, _: np.ndarray) -> tuple[Edges, ...] | None:
            group = inputs.group(name, base_grn=arguments.get("base_grn"))
            answer = fit_group(group)
            return None if answer is None else numbers.edges(group, answer, self.record)

        parts, _ = inputs.cells.each(edges_of_group)
        made = [edges for _, edges in sorted(parts, key=lambda part: axes.place(part[0]))]
        return tuple(joined([edges[number] for edges in made]) for number in range(1 + len(copies)))


def rerun_of(
    adata: AnnData,
    net: Network,
    *,
    method: str | None,
    model: str | FoundationModel | None,
    given: Mapping[str, Any] | None,
    n_jobs: int | None,
    key: str,
) -> Rerun:
    """Find the record and the arguments of a stored network.

    Parameters
    ----------
    adata
        The object that holds the network.
    net
        The network, with its provenance.
    method
        Name of the record; ``None`` takes the stored one.
    model
        Foundation model for records that read one; ``None`` takes the stored one.
    given
        Parameters of the method that replace stored ones.
    n_jobs
        Threads.
    key
        Entry of ``uns``, for messages.
    """
    stored = net.params
    if str(stored.get("function", "")) in ("consensus", "differential"):
        raise ParameterError(
            f"uns[{key!r}] was made by grn.tl.{stored['function']} and is no network of one method; pass the entry "
            "of a network that grn.tl.infer_network made."
        )
    name = str(stored.get("method", "")) if method is None else method
    if not name:
        raise ParameterError(
            f"uns[{key!r}] does not say which method made it; pass method=... (grn.tl.methods() lists them)."
        )
    record = METHODS[name]
    arguments = checked_params(adata, record, given)
    if "cells" not in record.needs:
        raise CapabilityError(
            f"method {name!r} reads no cells, so neither permuting nor leaving out cells changes its network; use a "
            "method that regresses on cells, such as 'correlation' or 'ridge'."
        )
    if "counts" in record.needs:
        raise CapabilityError(
            f"method {name!r} reads raw counts, and repetitions have log-normalised values. To see what "
            "is stable, infer the network of each half of the cells: groupby= with a column that halves them."
        )
    arguments, chosen = _stored_params(net, record, arguments, key)
    if key in [arguments.get(name) for name in record.edge_tables if isinstance(arguments.get(name), str)]:
        raise ParameterError(
            f"the network in uns[{key!r}] was written over the prior it was made with; infer it again with "
            "key_added= under another name."
        )
    arguments = _with_named_edges(adata, record, _with_base_grn(adata, arguments))
    groupby, seed = _plain(stored.get("groupby")), _plain(stored.get("seed"))
    read = environment(
        (model or stored.get("model", "mini")) if record.reads_model else None, "auto", progress=False, record=record
    )
    task = Task(**read, groupby=groupby, seed=seed or 0, n_jobs=n_jobs)
    layer, use_raw = _plain(stored.get("layer")), bool(_plain(stored.get("use_raw")))
    return Rerun(record, task, arguments, chosen, layer, use_raw, values_of(stored))


def _stored_params(
    net: Network, record: Method, given: dict[str, Any], key: str
) -> tuple[dict[str, Any], dict[str, Mapping[str, Any]]]:
    """Parameters as the network was made with them, and those that the method chose per group."""
    arguments, chosen, untold = dict(given), {}, []
    for parameter, default in record.parameters(listing=False).items():
        if parameter in given:
            continue
        if parameter not in net.params:
            untold.append(f"{parameter}={default!r}")
            continue
        value = _plain(net.params[parameter])
        not_kept = isinstance(value, str) and value == GIVEN
        by_name = isinstance(value, str) and value in (GIVEN, REGIONS, AUTO)
        # of a table only whether there was one
        if parameter == "base_grn" and not (value is None or isinstance(value, bool) or by_name):
            raise ParameterError(
                f"uns[{key!r}]['params']['base_grn'] is {checks.shown(value)}; expected True, False or {REGIONS!r}. "
                "Infer the network again."
            )
        if isinstance(value, Mapping) and default is None:
            chosen[parameter] = _per_group(value, parameter, tuple(net.groups) or ("all",), key)
        elif not_kept or (default is None and value is True):
            raise ParameterError(
                f"the network in uns[{key!r}] was made with {parameter}=, which is not stored; "
                f"pass it again: params={{{parameter!r}: ...}}."
            )
        elif default is not None or value is not False:
            arguments[parameter] = tuple(value) if isinstance(default, tuple) and isinstance(value, list) else value
    if untold:
        logger.warning(
            "uns[%r] does not say with which %s the network was made; the defaults are taken. Pass params={...} if it "
            "was made with others",
            key,
            ", ".join(untold),
        )
    return arguments, chosen


def need_permutable(record: Method, permute: str = "cells") -> None:
    """Refuse methods for which permuted copies of regulators, or links of other genes, are no null hypothesis."""
    if permute == "links":
        if "regions" not in record.needs:
            raise CapabilityError(
                f"method {record.name!r} reads no links of regions and genes, so that permute='links' has nothing to "
                "exchange; pass permute='cells'."
            )
        return
    if record.reads_model:
        raise CapabilityError(
            f"method {record.name!r} asks a foundation model, which knows genes by name: a permuted copy of a "
            "regulator has none. Pass n_permutations=0 and top=... for stability alone."
        )
    further = sorted(set(record.needs) - {"cells", "model", "regions"})
    if further:
        raise CapabilityError(
            f"method {record.name!r} reads {', '.join(further)} beside the cells, which permuting the expression of "
            "regulators leaves as it is, so that gives no null hypothesis. Pass n_permutations=0 and top=... for "
            "stability alone."
        )


def need_links(adata: AnnData, record: Method) -> None:
    """Refuse to exchange links of regions and genes where the method, run on the object before, has read none."""
    if not chromatin_of(adata).regions.links_read:
        raise CapabilityError(
            f"method {record.name!r} has read no links of regions and genes with the parameters that made the network, "
            "as LINGER with bulk= does not, so that permute='links' has nothing to exchange; pass permute='cells'."
        )


def checked_params(adata: AnnData, record: Method, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Parameters of a method as a dict, a base GRN in names of the object; or an error."""
    arguments = checks.mapping("params", given, example="{'alpha': 0.1}")
    record.verified(arguments)
    return _with_named_edges(adata, record, _with_base_grn(adata, arguments))


def _with_base_grn(adata: AnnData, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A base GRN as a table in names of the object, also where it was asked for by name."""
    arguments = with_chromatin_prior(Inputs(adata, Task()), arguments)
    if arguments.get("base_grn") is not None:
        arguments["base_grn"] = base_grn(arguments["base_grn"], adata=adata)
    return arguments


def _with_named_edges(adata: AnnData, record: Method, arguments: dict[str, Any]) -> dict[str, Any]:
    """Prior probabilities of edges as tables in names of the object, so that copies of regulators can have them too."""
    tables = [name for name in record.edge_tables if arguments.get(name) is not None]
    return {**arguments, **{name: named_edges(Inputs(adata, Task()), arguments[name]) for name in tables}}


def n_differing(net: Network, again: Edges, axes: Axes) -> int:
    """Number of edges of a network that have another weight in a network that should be the same."""
    stored = axes.number(net)
    at, there = again.at(stored.keys)
    largest = np.abs(stored.weights).max(initial=0.0)
    close = there.copy()
    close[there] = np.abs(again.weights[at[there]] - stored.weights[there]) <= _SAME * largest
    return int((~close).sum())


def _plain(value: Any) -> Any:
    """A stored value as Python takes it: no numpy scalars, arrays as lists."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return value


def _per_group(value: Mapping, parameter: str, groups: tuple[str, ...], key: str) -> dict[str, Any]:
    chosen = {group: _plain(value[group]) for group in groups if group in value}
    if len(chosen) < len(groups):
        raise ParameterError(
            f"uns[{key!r}]['params'][{parameter!r}] does not say which value every group had; "
            f"pass it again: params={{{parameter!r}: ...}}."
        )
    return chosen


def _copied(arguments: Mapping[str, Any], copies: Copies) -> dict[str, Any]:
    """Parameters with a row more under every other name for each row of a base GRN; self-loops have none."""
    copied = dict(arguments)
    for name, value in arguments.items():
        if isinstance(value, pd.DataFrame) and {"source", "target"} <= set(value.columns):
            plain = value.astype({"source": str, "target": str})
            proper = plain[plain["source"] != plain["target"]]
            renamed = (
                proper.assign(source=proper["source"].map(aliases)).dropna(subset="source") for aliases in copies
            )
            copied[name] = pd.concat([plain, *renamed], ignore_index=True)
    return copied
