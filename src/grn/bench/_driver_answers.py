"""Scores of regulators for a question: floors that need no inferred network, prior networks, and registered methods."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn import datasets, models, tl
from grn._core.errors import CapabilityError
from grn._kernels.contrast import welch
from grn._object.genes import edges_in_names, regulator_mask
from grn._object.groups import label_codes
from grn._object.values import expression
from grn.bench._driver_cells import panel
from grn.bench._driver_questions import Question
from grn.methods import METHODS
from grn.network import Network

# strongest edges of a regulator that count in networks that list every pair; chosen on interferon-beta
TOP = 50
# regulators and targets of methods that take seconds or minutes for them, and of those that take long for each target
LARGE, SMALL = (None, 2000), (100, 400)
# parameters other than the defaults: fewer trees, resamples and cells, so that all questions are answered in an hour
PARAMS: Mapping[str, Mapping[str, Any]] = {
    "genie3": {"n_trees": 50, "max_cells": 300},
    "grnboost2": {"max_rounds": 100, "max_cells": 300},
    "celloracle": {"n_bags": 5, "smooth": False, "max_p": None},
    "scrank": {"n_resamples": 3},
}
_FAST = (
    *("correlation", "ridge", "celloracle", "prior_ridge"),
    *("universal", "ugrn", "vvp", "gradient_trajectory", "pert"),
)
_WHOLE = ("scrank",)
# methods that take edges beside the cells, and the parameter that takes CollecTRI
_WITH_EDGES = {"celloracle": "base_grn", "prior_ridge": "prior"}
_PRIORS: Mapping[str, Callable[..., Network]] = {
    "CollecTRI": datasets.collectri,
    "DoRothEA": datasets.dorothea,
    "TRRUST": datasets.trrust,
}


@dataclass(frozen=True)
class Case:
    """A question, and the cells that it shares with others.

    Parameters
    ----------
    question
        The question.
    cells
        Cells of all labels, aligned, with regulators marked.
    path
        Folder of the data.
    networks
        Networks that methods made of these cells, by method; filled here.
    """

    question: Question
    cells: AnnData
    path: str | Path | None = None
    networks: dict[str, Network] = field(default_factory=dict)

    @property
    def sign(self) -> float:
        """What scores are multiplied by, so that the largest comes first."""
        return -1.0 if self.question.direction == "down" else 1.0

    @cached_property
    def statistics(self) -> pd.DataFrame:
        """Welch's t of the group against the reference (groups, genes); 0 where nothing varies."""
        asked, obs = self.question, self.cells.obs
        labels, code = label_codes(obs, asked.condition)
        everyone = ("",), np.zeros(len(obs), dtype=np.int64)
        names, part = everyone if asked.groupby is None else label_codes(obs, asked.groupby)
        inside = code == labels.index(asked.group)
        outside = code == labels.index(asked.reference) if asked.reference in labels else ~inside
        codes = np.where(inside | outside, 2 * part + inside, -1)
        n = np.bincount(codes[codes >= 0], minlength=2 * len(names))
        moments = expression(self.cells).group_moments(codes)[1]
        rows = [welch(moments[k + 1], moments[k], n[k + 1], n[k])[1] for k in range(0, 2 * len(names), 2)]
        return pd.DataFrame(np.stack(rows), index=list(names), columns=self.cells.var_names.astype(str))

    def prior(self, name: str) -> Network:
        """A published network."""
        own = {"organism": "mouse"} if name == "TRRUST" and self.question.organism == "mouse" else {}
        return _PRIORS[name](path=self.path, **own)


@dataclass(frozen=True)
class Competitor:
    """What gives scores (group, regulator, score) for a case, and what they depend on."""

    name: str
    kind: str
    scores: Callable[[Case], pd.DataFrame]
    params: Mapping[str, Any] = field(default_factory=dict)


def own_change(case: Case) -> pd.DataFrame:
    """Scores of the change of the regulator's own expression."""
    table = case.statistics.loc[:, regulator_mask(case.cells)]
    return _long(table.where(table != 0) * case.sign)


def ulm(case: Case, prior: str) -> pd.DataFrame:
    """Scores of decoupler's ULM on a published network, as it comes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decoupler's and numba's own
        import decoupler as dc

        edges = edges_in_names(case.cells, case.prior(prior).edges)[["source", "target", "weight"]]
        edges = edges.astype({"source": str, "target": str}).drop_duplicates(["source", "target"])
        parts = []
        for group, row in case.statistics.iterrows():
            known = row[row != 0]
            scores, _ = dc.mt.ulm(known.to_frame().T, edges, tmin=5)
            parts.append(_long(scores.set_axis([group])))
    return pd.concat(parts, ignore_index=True).assign(score=lambda table: table["score"] * case.sign)


def by_prior(case: Case, prior: str) -> pd.DataFrame:
    """Scores of a published network through :func:`grn.tl.rank_drivers`."""
    return _ranked(case, case.prior(prior), top=None)


def by_method(case: Case, method: str) -> pd.DataFrame:
    """Scores of a network that a registered method makes of all cells of the case."""
    if method not in case.networks:
        case.networks[method] = _inferred(case, method)
    return _ranked(case, case.networks[method], top=TOP)


def _inferred(case: Case, method: str) -> Network:
    record = METHODS[method]
    foreign = {"counts", "perturbation", "regions", "time"} & set(record.needs)
    if foreign:
        raise CapabilityError(f"needs {' and '.join(sorted(foreign))}, which the cells of a contrast do not have")
    if record.family:
        raise CapabilityError(f"reads models of the family {record.family}; no checkpoint is in the package")
    params = dict(PARAMS.get(method, {}))
    if method in _WITH_EDGES:
        edges = edges_in_names(case.cells, case.prior("CollecTRI").edges)[["source", "target"]].astype(str)
        params[_WITH_EDGES[method]] = edges.drop_duplicates(ignore_index=True)
    sources, targets = panel(case.cells, *(LARGE if method in _FAST else SMALL))
    # a method of whole matrices is given the genes in question, as it asks for
    adata = case.cells[:, targets].copy() if method in _WHOLE else case.cells.copy()
    tl.infer_network(adata, method=method, sources=sources, targets=targets, params=params, progress=False)
    return Network.from_anndata(adata)


def competitors() -> list[Competitor]:
    """Floors, published networks and registered methods."""
    everyone = [Competitor("own change", "floor", own_change)]
    everyone += [Competitor(f"{p} + ULM", "floor", lambda case, p=p: ulm(case, p)) for p in ("CollecTRI", "DoRothEA")]
    everyone += [Competitor(p, "method", lambda case, p=p: by_prior(case, p)) for p in _PRIORS]
    return everyone + [
        Competitor(name, "method", lambda case, name=name: by_method(case, name), _settings(name)) for name in METHODS
    ]


def _settings(method: str) -> dict[str, Any]:
    """What the answers of a method depend on beside the cells."""
    weights = models.load("mini").sha256 if METHODS[method].reads_model and not METHODS[method].family else ""
    return {"top": TOP, "panel": LARGE if method in _FAST else SMALL, "model": weights, **PARAMS.get(method, {})}


def _ranked(case: Case, net: Network, *, top: int | None) -> pd.DataFrame:
    asked = case.question
    adata = tl.rank_drivers(
        case.cells,
        condition=asked.condition,
        group=asked.group,
        reference=asked.reference,
        groupby=asked.groupby,
        net=net,
        top_per_source=top,
        copy=True,
    )
    table = adata.uns["drivers"]["table"]
    group = table["group"].astype(str) if "group" in table else ""
    return pd.DataFrame({"group": group, "regulator": table["regulator"], "score": table["score"] * case.sign})


def _long(table: pd.DataFrame) -> pd.DataFrame:
    """A table (groups, regulators) as rows, without what has no score."""
    stacked = table.rename_axis(index="group", columns="regulator").stack().rename("score").reset_index()
    return stacked[stacked["score"].notna()].reset_index(drop=True)
