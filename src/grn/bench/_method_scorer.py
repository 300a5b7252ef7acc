"""From a record to a score of every pair: for runs by name, and as a function of the caller's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core import checks
from grn._core.errors import ExpressionError, ParameterError
from grn._core.rng import RNGLike, seed_of
from grn.bench._competitors import check_record, is_trained
from grn.genes import tables
from grn.methods import METHODS, Method, Task
from grn.methods.inputs import environment
from grn.methods.probes.score import translators_for
from grn.methods.runner import fit
from grn.models import FoundationModel, load
from grn.pp import align_genes


def strengths(adata: AnnData, record: Method, task: Task, params: Mapping[str, Any]) -> pd.Series:
    """Absolute weights that a record gives, by source and target; it lists what it lists."""
    edges = fit(adata, record, task, params).edges
    names = [edges["source"].astype(str), edges["target"].astype(str)]
    return pd.Series(edges["weight"].abs().to_numpy(), index=pd.MultiIndex.from_arrays(names))


@dataclass(frozen=True)
class MethodScorer:
    """Scores pairs by the absolute weight that a method gives them; pairs it does not list score 0.

    Made by :func:`grn.bench.scorer`; calling it with an object and pairs returns one number per pair.

    Parameters
    ----------
    record
        The method.
    params
        Its parameters.
    model
        Foundation model, for a method that reads one.
    seed
        Seed of its randomness.
    n_jobs
        Threads or processes of the method.
    """

    record: Method
    params: Mapping[str, Any] = field(default_factory=dict)
    model: FoundationModel | None = None
    seed: int = 0
    n_jobs: int | None = None

    def __call__(self, adata: AnnData, pairs: pd.DataFrame) -> np.ndarray:
        """Scores (n_pairs,) of the pairs ``source``, ``target``."""
        if adata.n_obs == 0 and "cells" in self.record.needs:
            raise ExpressionError(
                f"{self.record.name!r} reads cells, and this test set has none that cover its genes; choose test sets "
                "that have, such as test=[('mDC', 'STRING')], or give the reference expression=..."
            )
        wanted = [str(name) for name in pd.unique(pairs["source"].astype(str))]
        surroundings = environment(self.model, "auto", progress=False, record=self.record)
        task = Task(**surroundings, sources=wanted, seed=self.seed, n_jobs=self.n_jobs)
        adata = adata if self.model is None or "grn_symbol" in adata.var else self._aligned(adata)
        asked = pd.MultiIndex.from_arrays([pairs["source"].astype(str), pairs["target"].astype(str)])
        return strengths(adata, self.record, task, self.params).reindex(asked).fillna(0.0).to_numpy()

    @staticmethod
    def _aligned(adata: AnnData) -> AnnData:
        """The object with the genes that stand behind its names, as :func:`grn.bench.run` gives it to methods."""
        organism = str(adata.uns.get("organism", "auto"))
        organism = organism if organism in tables.ORGANISMS else "auto"
        return align_genes(adata, organism=organism, orthologs="syntenic", min_overlap=0.0, copy=True)


def scorer(
    method: str,
    *,
    params: Mapping[str, Any] | None = None,
    model: str | FoundationModel = "mini",
    rng: RNGLike = 0,
    n_jobs: int | None = None,
) -> MethodScorer:
    """Make a function that scores pairs out of a method.

    :func:`grn.bench.run` takes methods by name; this is for calls of your own, with sources that you choose.

    Parameters
    ----------
    method
        Name of a method of :func:`grn.tl.methods`, such as ``"ridge"``, ``"celloracle"`` or ``"ugrn"``. Those that need
        what a data set of the benchmark does not have, such as knock-outs, are refused.
    params
        Parameters of the method.
    model
        Foundation model, for methods that read one. The genes of an object that :func:`grn.pp.align_genes` has not
        seen are aligned first; ``uns["organism"]`` says whose they are, else their names tell.
    rng
        Seed of its randomness.
    n_jobs
        Threads or processes of the method; ``None`` is one.

    Returns
    -------
    callable
        ``score(adata, pairs)`` for the argument ``scorers`` of :func:`grn.bench.run`. A pair scores the absolute weight
        of its edge, 0 where the method lists none.

    Raises
    ------
    ParameterError
        If there is no such method, or it refuses a parameter.
    CapabilityError
        If the method reads knock-outs or time, or models of another family.

    Notes
    -----
    Nothing is learned from labels, so the training set of a run makes no difference but for the pairs that are tested.
    A method of cells raises an error where there are none. Cost: one fit per call, with the regulators asked about as
    sources and all genes as targets.

    Examples
    --------
    >>> import grn
    >>> toy = grn.datasets.toy(n_cells=100, n_regulators=4, n_targets=10)
    >>> pairs = toy.uns["truth"][["source", "target"]]
    >>> bool(grn.bench.scorer("ridge")(toy, pairs).mean() > 0.1)
    True
    """
    record, given = METHODS[method], checks.mapping("params", params, example="{'alpha': 0.1}")
    record.verified(given)
    if is_trained(given.get("translator")):
        raise ParameterError("translator='train' needs a training set; enter the method in grn.bench.run(methods=...).")
    loaded = load(model) if record.reads_model else None
    check_record(record, loaded)
    if loaded is not None and record.features and given.get("translator") is not None:
        translators_for(loaded, given["translator"], record.features)  # refused before anything is read
    return MethodScorer(record, given, loaded, seed_of(rng), checks.jobs(n_jobs))
