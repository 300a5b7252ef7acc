"""RENGE: a network from a time series of knock-outs, and what it predicts after one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core.docs import document
from grn._core.errors import GeneNameError, ParameterError, ResultNotFoundError
from grn._core.logging import logger, one_voice
from grn._core.rng import RNGLike
from grn._kernels.dynamics import path_weights, series_terms
from grn._object.container import check_type
from grn._object.genes import spelled
from grn.methods.cells import FEWEST
from grn.methods.genes import rows_of
from grn.simulate.intervention import gene_sets
from grn.tl._infer import infer_network
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from anndata import AnnData


@one_voice
@document(cells=SNIPPETS["cells"])
def renge(
    adata: AnnData,
    *,
    perturbation: str,
    time: str,
    control: str,
    genes: Sequence[str] | None = None,
    n_k: int | None = None,
    C: float | None = None,
    l1_ratio: float | None = None,
    n_boot: int = 30,
    tested: str = "knocked_out",
    n_trials: int = 30,
    search: str = "own",
    folds: str = "knockout_time",
    min_cells: int = FEWEST,
    parity: bool = False,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "renge",
    rng: RNGLike = 0,
    n_jobs: int | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | None:
    r"""Signed direct effects from a time series of knock-outs, with q-values.

    A knock-out of gene k changes k by the dose x. Expression e at time t follows from a network A through paths of
    length 1 to K, where longer paths take longer:

    .. math:: e = b_t + \sum_{j=0}^{K-1} \sigma(\alpha_k + \beta t - \gamma j)\,(A M_k)^j A x

    M_k stops paths at the knocked-out gene. Minimised is the squared error, every time with the same weight, plus
    :math:`C \rho K |A|_1 + C (1 - \rho) \sum_{j=1}^K |A^j|_F^2`.

    Parameters
    ----------
    adata
        Annotated matrix (cells, genes) of a screen with one knocked-out gene per cell.
    perturbation
        Column of ``obs`` with the name of the knocked-out gene (as in ``var_names``), or ``control``.
    time
        Column of ``obs`` with the time since the knock-out, a number; days rather than hours, see Notes.
    control
        Label of cells without knock-out. Every time needs some.
    genes
        Genes of the network, at most 300: the knocked-out genes and those you ask about. ``None`` takes all.
    n_k
        Longest path K, from 1; ``None`` searches 1 to 4.
    C
        Strength of the penalty, from 0; ``None`` searches 1e-10 to 1.
    l1_ratio
        Share :math:`\rho` of the absolute value in the penalty, 0 to 1; ``None`` searches 1e-10 to 1.
    n_boot
        Refits to cells drawn with replacement, behind p-values; 0 gives none.
    tested
        Which sources have p-values: ``"knocked_out"``, or ``"all"``. The weights of others rest on indirect effects
        alone and are biased by what the model does not describe; small q-values among them are often wrong.
    n_trials
        Settings that a search tries, each by 5 fits that leave a fifth of the blocks out. Of those no more than one
        standard error worse than the best, the one with the largest ``C`` is chosen.
    search
        ``"own"`` (Latin hypercube, then around the best) or ``"optuna"`` (its tree-structured Parzen estimator, as in
        the original). They choose different settings.
    folds
        What is left out together: the cells of a knock-out at one time (``"knockout_time"``), or all cells of a
        knock-out (``"knockout"``), of which ``n_k=1`` can predict nothing. Controls are left out time by time.
    min_cells
        Fewest cells of the screen in which a gene must be above zero to be in the network; 0 for no limit, as with
        ``parity``.
    parity
        Follow the original in every detail, those that make q-values too small included; see the page on RENGE.
    %(cells)s
    key_added
        Slot of the result.
    rng
        Seed of folds, search and refits.
    n_jobs
        Processes for trials of the own search and for refits; -1 for all cores. Results do not depend on it.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a new object instead of writing into ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes

        ``uns[key_added]["edges"]``
            DataFrame of all pairs of two genes of the network: ``source``, ``target``, ``weight`` (A: change of the
            target per unit of the source, both on the log scale), ``sign``, ``pval``, ``qval`` (Benjamini-Hochberg over
            all pairs tested), ``deviation`` (standard deviation over refits), ``total`` (direct and indirect effect
            through paths of up to K steps in the long run), ``knocked_out`` (whether the source was; weights of
            others rest on indirect effects alone).
        ``uns[key_added]["params"]``
            Every argument, ``C``, ``l1_ratio``, ``n_k`` as chosen, ``search`` (the one used, ``"given"`` if none),
            ``trials`` (DataFrame), ``search_score`` and ``search_floor`` (share of the variance left out that the
            chosen trial and the mean of all cells explain), genes and knock-outs left out, and, for
            :func:`grn.tl.predict_knockout`, ``fit``: ``genes``, ``times``, ``network``, ``level`` (b), ``alpha``,
            ``beta``, ``gamma``, ``control_level``. ``efficiency`` is a DataFrame of the cells with a knock-out that
            were used: ``cell``, ``knockout``, ``time``, ``efficiency`` (how strongly the cell shows its knock-out,
            0 to 1), ``dose`` (the change of the knocked-out gene that it counts with).

    Raises
    ------
    GroupError
        If a column is missing or has no value for some cells, labels are no genes, times are no numbers, there are
        fewer than two times, or a time lacks control cells.
    GeneNameError
        If gene names are duplicated or empty, or ``genes`` are not in ``var_names``.
    ParameterError
        If an argument is out of its range, or there are too many genes.
    ExpressionError, LayerError
        If values or the layer cannot be used.
    MissingDependencyError
        If ``search="optuna"`` and it is not installed.

    Notes
    -----
    Cells that look unperturbed get a smaller dose (one step of expectation maximisation, after MIMOSCA). Knock-outs of
    genes that controls do not express are left out, as are groups of fewer than 3 cells. :math:`|\alpha| \le 10` and
    :math:`\beta, \gamma \le 5` per unit of time and step, so that times of 1 to 10 suit the model. Cost: a look at the
    loss takes ``S G K (T + G)`` operations for S knock-outs, whatever the number of cells.
    Memory: the cells of the screen times the genes of the network. Source: Ishikawa et al., Commun Biol 2023, doi
    10.1038/s42003-023-05594-4.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy_perturbation(n_cells=10, n_regulators=3, n_targets=4, n_times=2)
    >>> columns = {"perturbation": "perturbation", "time": "time", "control": "control"}
    >>> grn.tl.renge(adata, **columns, n_k=2, C=0.02, l1_ratio=0.1, n_boot=10)
    >>> list(grn.get.edges(adata, key="renge", max_q=0.05).columns[:4])
    ['source', 'target', 'weight', 'sign']
    """
    params: dict[str, Any] = {
        "perturbation": perturbation,
        "time": time,
        "control": control,
        "genes": genes,
        "n_k": n_k,
        "C": C,
        "l1_ratio": l1_ratio,
        "n_boot": n_boot,
        "tested": tested,
        "n_trials": n_trials,
        "search": search,
        "folds": folds,
        "min_cells": min_cells,
        "parity": parity,
    }
    return infer_network(
        adata,
        method="renge",
        params=params,
        layer=layer,
        use_raw=use_raw,
        values=values,
        key_added=key_added,
        rng=rng,
        n_jobs=n_jobs,
        progress=progress,
        copy=copy,
    )


@one_voice
def predict_knockout(
    adata: AnnData,
    *,
    genes: str | Sequence[str | Sequence[str]],
    key: str = "renge",
    times: Sequence[float] | None = None,
    dose: float = 1.0,
    max_steps: int | None = None,
    difference: bool = False,
) -> pd.DataFrame:
    r"""Expression over time after a knock-out, from a fit of :func:`grn.tl.renge`.

    .. math:: e_t = b_t - d \sum_{k \in S} m_k \sum_{j=0}^{K-1} \sigma(\alpha_k + \beta t - \gamma j)\,
        (A M_S)^j A_{\cdot k}

    for the set S of genes that are knocked out together, one gene or several; :math:`M_S` stops paths at all of them.

    Parameters
    ----------
    adata
        AnnData with a fit in ``uns[key]``.
    genes
        Gene to knock out. With a list each entry is a knock-out of its own, and an entry that is itself a list or
        tuple is a set of genes knocked out together: ``["GATA1", ("GATA1", "SPI1")]`` is one single knock-out and one
        pair.
    key
        Entry of ``uns``.
    times
        Times to predict; those of the screen by default. Others are possible with ``difference=True`` only, as the
        levels :math:`b_t` are known at the times of the screen.
    dose
        Share d of the control expression :math:`m_k` that is taken away: 1 is a knock-out, 0.5 a knock-down, -1 twice
        the expression.
    max_steps
        Longest path that counts: 1 gives direct effects only; K by default.
    difference
        Return the change against the control (without :math:`b_t`).

    Returns
    -------
    DataFrame
        One row per time (with a list of genes per ``knockout`` and ``time``), one column per gene of the network, on
        the log scale. A knocked-out gene itself is its control level times ``1 - d``, or the change to that. Genes
        knocked out together are named ``"GATA1+SPI1"``, sorted.

    Raises
    ------
    ResultNotFoundError
        If ``uns[key]`` holds no fit of RENGE.
    GeneNameError
        If a gene is not in the network.
    ParameterError
        If times, dose or number of steps cannot be used.

    Notes
    -----
    A gene that was never knocked out has no delay :math:`\alpha_k` of its own; the mean of the others stands in, and
    its effects rest on those of other knock-outs. Knock-outs of a set keep the delays of each and add up, but for paths
    that would lead through another gene of the set, and for the genes of the set themselves: the model knows no other
    interaction. The original takes one knock-out per cell. Cost: nothing to speak of.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy_perturbation(n_cells=10, n_regulators=3, n_targets=4, n_times=2)
    >>> columns = {"perturbation": "perturbation", "time": "time", "control": "control"}
    >>> grn.tl.renge(adata, **columns, n_k=2, C=0.02, l1_ratio=0.1, n_boot=10)
    >>> grn.tl.predict_knockout(adata, genes=["GATA1", "SPI1"], difference=True).index.names
    FrozenList(['knockout', 'time'])
    """
    check_type(adata)
    found = _stored(adata, key)
    model = found["fit"]
    names = np.asarray(model["genes"], dtype=str)
    depth = _depth(max_steps, int(found["n_k"]))
    if isinstance(dose, bool) or not isinstance(dose, Real) or not np.isfinite(dose):
        raise ParameterError(f"dose={dose!r}; pass a number, 1 for a knock-out.")
    sets = _sets(adata, names, genes, key)
    moments = np.asarray(model["times"], dtype=np.float64) if times is None else _times(times)
    levels = 0.0 if difference else _levels(model, moments)
    control = np.asarray(model["control_level"], dtype=np.float64)
    tables = []
    for knocked in sets:
        table = _course(model, knocked, float(dose), moments, depth) + levels  # (T, G)
        table[:, knocked] = -dose * control[knocked] if difference else control[knocked] * (1.0 - dose)
        tables.append(pd.DataFrame(table, index=pd.Index(moments, name="time"), columns=names))
    if isinstance(genes, str):
        return tables[0]
    return pd.concat(tables, keys=["+".join(names[knocked]) for knocked in sets], names=["knockout"])


def _sets(adata: AnnData, names: np.ndarray, genes: object, key: str) -> list[np.ndarray]:
    """Positions among the genes of the network of those that are knocked out together, one array per knock-out."""
    together = gene_sets(genes)
    asked = spelled(adata, [gene for genes in together for gene in genes])
    _positions(names, asked, key)
    place = {str(name): k for k, name in enumerate(names)}
    starts = np.cumsum([len(genes) for genes in together])[:-1]
    # in the order of the names, so that a set is one set however it is written
    sets = [
        tuple(sorted(part.tolist(), key=names.__getitem__))
        for part in np.split(np.array([place[gene] for gene in asked]), starts)
    ]
    gene_sets([names[list(positions)] for positions in sets])  # two spellings may be one gene
    return [np.array(positions) for positions in dict.fromkeys(sets)]


def _stored(adata: AnnData, key: str) -> Mapping[str, Any]:
    entry = adata.uns.get(key)
    params = entry.get("params") if isinstance(entry, Mapping) else None
    params = params if isinstance(params, Mapping) else {}
    if not isinstance(params.get("fit"), Mapping) or "control_level" not in params["fit"]:
        raise ResultNotFoundError(
            f"uns[{key!r}] holds no fit of RENGE; run grn.tl.renge(adata, perturbation=..., time=..., control=..., "
            f"key_added={key!r}) first."
        )
    return params


def _depth(max_steps: int | None, n_k: int) -> int:
    if max_steps is None:
        return n_k
    if isinstance(max_steps, bool) or not isinstance(max_steps, int | np.integer) or not 1 <= max_steps <= n_k:
        raise ParameterError(f"max_steps={max_steps!r}; pass an integer from 1 to n_k={n_k} of the fit.")
    return int(max_steps)


def _positions(names: np.ndarray, wanted: Sequence[str], key: str) -> np.ndarray:
    try:
        return rows_of(names, list(wanted), "genes")
    except GeneNameError as error:
        told = str(error).replace("adata.var_names", f"the network in uns[{key!r}]")
        raise GeneNameError(f"{told} It has {len(names)} genes.") from error


def _times(times: Sequence[float]) -> np.ndarray:
    try:
        found = np.atleast_1d(np.asarray(times, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ParameterError(f"times={times!r}; pass a list of numbers.") from error
    if found.ndim != 1 or not len(found) or not np.isfinite(found).all():
        raise ParameterError(f"times={times!r}; pass a list of numbers.")
    return found


def _levels(model: Mapping[str, Any], times: np.ndarray) -> np.ndarray:
    known = np.asarray(model["times"], dtype=np.float64)
    new = times[~np.isin(times, known)]
    if len(new):
        unknown, there = (", ".join(f"{t:g}" for t in some) for some in (new, known))
        raise ParameterError(
            f"times {unknown} are not in the screen ({there}), so the levels of expression are unknown there; "
            "pass difference=True for the change against the control."
        )
    return np.asarray(model["level"], dtype=np.float64)[np.searchsorted(known, times)]


def _course(model: Mapping[str, Any], knocked: np.ndarray, dose: float, times: np.ndarray, depth: int) -> np.ndarray:
    """Change of all genes (T, G) after the genes ``knocked`` (P,) lost ``dose`` times their control levels at once."""
    network = np.asarray(model["network"], dtype=np.float64)
    alpha = np.asarray(model["alpha"], dtype=np.float64)
    for k in knocked[np.isnan(alpha[knocked])]:
        gene = model["genes"][k]
        logger.warning("%s was never knocked out: its delay is the mean of the others", gene, extra={"of": gene})
    delays = np.where(np.isnan(alpha), np.nanmean(alpha), alpha)[knocked]
    levels = np.asarray(model["control_level"], dtype=np.float64)[knocked]
    x = np.zeros((len(knocked), len(network)))  # (P, G): the change of one gene each
    x[np.arange(len(knocked)), knocked] = -dose * levels
    passes = np.ones_like(x)
    passes[:, knocked] = 0.0
    terms = series_terms(network, x, passes, depth)  # (P, depth, G)
    weights = path_weights(delays, float(model["beta"]), float(model["gamma"]), times, depth)  # (P, T, depth)
    change: np.ndarray = (weights @ terms).sum(axis=0)
    return change
