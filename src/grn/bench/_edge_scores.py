"""Enter an edge table as a competitor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import GeneOverlapError, NetworkError, ParameterError
from grn._core.logging import one_voice
from grn._core.logging import progress as progress_bar
from grn._core.rng import RNGLike, seed_of
from grn.bench import floors
from grn.bench._figures import evaluate, gain_rows
from grn.bench.negatives import NEGATIVES, sample
from grn.datasets.reference import Reference
from grn.network import Network

_METRICS = (
    "auprc",
    "auprc_ratio",
    "early_precision_ratio",
    "auroc",
    "auprc_regulator",
    "auprc_target",
    "auprc_residual",
)


@one_voice
def score_edges(
    edges: pd.DataFrame | Network,
    *,
    reference: Reference,
    negatives: Sequence[str] = ("uniform", "degree_matched"),
    name: str = "edges",
    seeds: int = 5,
    n_boot: int = 200,
    pairs: bool = False,
    rng: RNGLike = 0,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Score an edge table of any method against a reference, with floors beside it.

    Edges count by the absolute value of ``weight``. Pairs of the reference that the table does not list rank last, all
    tied; edges outside the reference's regulators x genes are ignored and counted; self-loops too.

    Parameters
    ----------
    edges
        Columns ``source``, ``target`` and ``weight`` (all 1 without that column), or a Network; each pair once.
    reference
        Known edges and the universe they live in.
    negatives
        Ways to draw non-edges, see :func:`grn.bench.negatives.sample`.
    name
        What to call the table in the result.
    seeds
        Draws of negatives, averaged.
    n_boot
        Bootstrap replicates over regulators.
    pairs
        Return the scored pairs of the first draw instead of the figures.
    rng
        First seed.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.

    Returns
    -------
    DataFrame
        Tidy: ``method``, ``kind`` (``method``, ``floor``, or ``oracle``, which knows degrees of the reference),
        ``test``, ``unit``, ``network`` and ``size`` (of the reference), ``train`` and ``train_dataset`` (empty),
        ``protocol`` (the negatives), ``negatives``, ``metric``, ``value``, ``low``, ``high``, ``best_floor``,
        ``floor``, ``gain``, ``gain_low``, ``gain_high``, ``n_pos``, ``n_neg``, ``prevalence``, ``listed`` (share of
        the sampled pairs the table lists),
        ``outside`` (edges outside the universe), ``self_loops``, ``sign_accuracy`` (share of signs that agree, where
        both know one). With ``pairs``: ``negatives``, ``source``, ``target``, ``label``, ``score``.

    Raises
    ------
    NetworkError
        The table is malformed: repeated edges, NaN weights, missing columns, several groups; or the reference has no
        non-edge to draw.
    GeneOverlapError
        No edge lies inside the universe.
    ParameterError
        An argument is unknown or out of range.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=200)
    >>> truth = grn.bench.Reference(adata.uns["truth"], genes=adata.var_names)
    >>> table = grn.bench.score_edges(adata.uns["truth"], reference=truth, n_boot=20)
    >>> float(table.query("method == 'edges' and metric == 'auprc' and negatives == 'uniform'")["value"].iloc[0])
    1.0
    """
    network = edges if isinstance(edges, Network) else Network(_weighted(edges))
    if not isinstance(reference, Reference):
        raise ParameterError(f"reference is a {type(reference).__name__}; pass a grn.bench.Reference.")
    if len(network.groups) > 1:
        raise NetworkError(f"the table has {len(network.groups)} groups; score one at a time: net.filter(group=...).")
    if isinstance(negatives, str) or not negatives or any(n not in NEGATIVES or n == "hard" for n in negatives):
        raise ParameterError(f"negatives={negatives!r}; pass a list of all, uniform, degree_matched, configuration.")
    if not isinstance(name, str) or not name or name in floors.NAMES:
        raise ParameterError(f"name={name!r} is no name or that of a floor; choose another name.")
    seeds, n_boot = checks.integer("seeds", seeds, least=1), checks.integer("n_boot", n_boot, least=1)
    grid, counts = _as_grid(network, reference)
    seed = seed_of(rng)
    kinds = progress_bar(negatives, desc="negatives")
    parts = [_figures(grid, reference, kind, name, (seed, seeds, n_boot), pairs=pairs) for kind in kinds]
    figures = pd.concat(parts, ignore_index=True)
    return figures if pairs else figures.assign(**counts)


def _weighted(edges: pd.DataFrame) -> pd.DataFrame:
    """An unweighted list of edges, all of them as strong."""
    if isinstance(edges, pd.DataFrame) and "weight" not in edges:
        return edges.assign(weight=edges["sign"].fillna(1.0) if "sign" in edges else 1.0)
    return edges


def _as_grid(network: Network, reference: Reference) -> tuple[np.ndarray, dict[str, float]]:
    """Strengths (regulators, genes), 0 where nothing is listed, and what was left out."""
    table = network.edges
    sources, targets = table["source"].to_numpy(dtype=str), table["target"].to_numpy(dtype=str)
    rows = pd.Index(reference.regulators).get_indexer(sources)
    columns = pd.Index(reference.genes).get_indexer(targets)
    inside = (rows >= 0) & (columns >= 0)
    if not inside.any():
        raise GeneOverlapError(
            f"none of the {len(table)} edges joins a regulator and a gene of {reference.name}; sources there are such "
            f"as {', '.join(reference.regulators[:3])}. Rename the genes, or pass a reference of the right organism."
        )
    grid = np.full(reference.labels.shape, np.nan)
    grid[rows[inside], columns[inside]] = table["weight"].abs().to_numpy()[inside]
    loops = sources == targets
    counts = {"outside": int((~inside & ~loops).sum()), "self_loops": int(loops.sum())}
    return grid, {**counts, "sign_accuracy": _sign_accuracy(network, reference)}


def _sign_accuracy(network: Network, reference: Reference) -> float:
    known = reference.edges
    if not network.signed or "sign" not in known:
        return float("nan")
    table = network.edges
    mine = table["sign"] if "sign" in table else np.sign(table["weight"])
    listed = pd.DataFrame({"source": table["source"].astype(str), "target": table["target"].astype(str), "mine": mine})
    both = known.merge(listed, on=["source", "target"]).dropna()
    both = both[both["mine"] != 0]
    return float((both["sign"] == both["mine"]).mean()) if len(both) else float("nan")


def _figures(
    grid: np.ndarray, reference: Reference, negatives: str, name: str, draws: tuple[int, int, int], *, pairs: bool
) -> pd.DataFrame:
    """Figures, or scored pairs, under one kind of negatives."""
    seed, seeds, n_boot = draws
    samples = [sample(reference, negatives=negatives, rng=seed + i) for i in range(seeds)]
    strengths = np.where(np.isnan(grid), -1.0, grid)
    if pairs:
        first = samples[0]
        return first.pairs.assign(negatives=negatives, score=first.take(np.where(np.isnan(grid), 0.0, grid)))
    listed = np.isin(reference.genes, reference.regulators).astype(float)
    tied, listed = np.zeros(grid.shape), np.broadcast_to(listed[None, :], grid.shape)
    plain = {"random": tied, "target is a regulator": listed, **floors.expression(reference)}
    kinds = {name: "method", **dict.fromkeys(plain, "floor")}
    scores = []
    for i, drawn in enumerate(samples):
        degrees = floors.own_degree(reference, rng=seed + i)
        kinds |= dict.fromkeys(degrees, "oracle")
        tables = {name: strengths, **plain, **degrees}
        scores.append({k: np.nan_to_num(drawn.take(t), nan=-np.inf).clip(-1e300) for k, t in tables.items()})
    figures = evaluate(samples, scores, n_boot=n_boot, seed=seed)
    facts = {
        "train": "",
        "train_dataset": "",
        "test": reference.dataset or "reference",
        "unit": reference.unit or "reference",
        "network": reference.network or "reference",
        "size": reference.size,
        "protocol": negatives,
        "negatives": negatives,
        "n_pos": float(np.mean([s.n_pos for s in samples])),
        "n_neg": float(np.mean([s.n_neg for s in samples])),
        "prevalence": float(np.mean([s.prevalence for s in samples])),
        "listed": float(np.mean([np.isfinite(s.take(grid)).mean() for s in samples])),
    }
    return pd.DataFrame([{**row, **facts} for row in gain_rows(figures, kinds, _METRICS)])
