"""Methods that read cells as competitors: from a name to a function that scores pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core import checks
from grn._core.errors import CapabilityError, ExpressionError
from grn._core.rng import RNGLike, seed_of
from grn.methods import METHODS, Task
from grn.methods.runner import fit


@dataclass(frozen=True)
class MethodScorer:
    """Scores pairs by the absolute weight that a method gives them in the cells; pairs it does not list score 0.

    Made by :func:`grn.bench.scorer`; calling it with an object and pairs returns one number per pair.

    Parameters
    ----------
    method
        Name of the method.
    params
        Its parameters.
    seed
        Seed of its randomness.
    n_jobs
        Threads or processes of the method.
    """

    method: str
    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    n_jobs: int | None = None

    def __call__(self, adata: AnnData, pairs: pd.DataFrame) -> np.ndarray:
        """Scores (n_pairs,) of the pairs ``source``, ``target``."""
        if adata.n_obs == 0:
            raise ExpressionError(
                f"{self.method!r} reads cells, and this test set has none that cover its genes; choose test sets that "
                "have, such as test=[('mDC', 'STRING')], or give the reference expression=..."
            )
        wanted = pd.unique(pairs["source"].astype(str))
        task = Task(None, sources=[str(name) for name in wanted], seed=self.seed, n_jobs=self.n_jobs, show=False)
        edges = fit(adata, METHODS[self.method], task, self.params).edges
        weight = pd.Series(
            edges["weight"].abs().to_numpy(),
            index=pd.MultiIndex.from_arrays([edges["source"].astype(str), edges["target"].astype(str)]),
        )
        asked = pd.MultiIndex.from_arrays([pairs["source"].astype(str), pairs["target"].astype(str)])
        return weight.reindex(asked).fillna(0.0).to_numpy()


def scorer(
    method: str, *, params: Mapping[str, Any] | None = None, rng: RNGLike = 0, n_jobs: int | None = None
) -> MethodScorer:
    """Enter a method that reads cells in the benchmark.

    Parameters
    ----------
    method
        Name of a method of :func:`grn.tl.methods` that reads cells and no foundation model, such as ``"ridge"``,
        ``"grnboost2"`` or ``"celloracle"``. Methods that read more, such as knock-outs, are refused.
    params
        Parameters of the method.
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
        If there is no such method, or it has no such parameter.
    CapabilityError
        If the method reads a foundation model, or more than cells.

    Notes
    -----
    Such a method learns from the test set's cells and from no labels, so the training set of a run makes no difference
    to it, but for the pairs that are tested. Test sets without cells are an error. Cost: one fit per test set and
    protocol, with the regulators asked about as sources and all genes as targets.

    Examples
    --------
    >>> import grn
    >>> toy = grn.datasets.toy(n_cells=100, n_regulators=4, n_targets=10)
    >>> pairs = toy.uns["truth"][["source", "target"]]
    >>> bool(grn.bench.scorer("ridge")(toy, pairs).mean() > 0.1)
    True
    """
    record = METHODS[method]
    checks.mapping("params", params, example="{'alpha': 0.1}")
    record.check(params or {})
    more = sorted(set(record.needs) - {"cells"})
    if record.reads_model or "cells" not in record.needs or more:
        reads = "a foundation model" if record.reads_model else ", ".join(more)
        raise CapabilityError(
            f"method {method!r} reads {reads}, which test sets of the benchmark do not have; choose one that reads "
            f"cells alone: {', '.join(_names())}. Readings of models are entered by methods=."
        )
    return MethodScorer(method, dict(params or {}), seed_of(rng), checks.jobs(n_jobs))


def _names() -> list[str]:
    """Methods that can enter."""
    return [name for name in METHODS if not METHODS[name].reads_model and set(METHODS[name].needs) == {"cells"}]
