"""RENGE: a network from a time series of knock-outs, and what it predicts after one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._core.rng import RNGLike, seed_of
from grn._object.modalities import on_mudata
from grn.methods.inference import infer
from grn.methods.record import MIN_CELLS_SEEN
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@document(cells=SNIPPETS["cells"], cache=SNIPPETS["cache"])
@on_mudata
def renge(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
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
    min_cells: int = MIN_CELLS_SEEN,
    parity: bool = False,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "renge",
    rng: RNGLike = 0,
    n_jobs: int | None = None,
    cache: str | Path | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
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
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
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
    %(cache)s
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
            ``search_score`` and ``search_floor`` (share of the variance left out that the chosen trial and the mean of
            all cells explain), genes and knock-outs left out.
        ``uns[key_added]["fit"]``
            For :func:`grn.tl.predict_knockout`, arrays ``genes``, ``times``, ``network``, ``level`` (b), ``alpha``,
            ``beta``, ``gamma``, ``control_level``.
        ``uns[key_added]["efficiency"]``
            DataFrame of the cells with a knock-out that were used: ``cell``, ``knockout``, ``time``, ``efficiency``
            (how strongly the cell shows its knock-out, 0 to 1), ``dose`` (the change of the knocked-out gene that it
            counts with).
        ``uns[key_added]["trials"]``
            After a search, DataFrame of the settings tried and their scores.

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
    StorageError
        If the folder of ``cache`` cannot be written; told before anything is computed.

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
    return infer(
        adata,
        "renge",
        params=params,
        layer=layer,
        use_raw=use_raw,
        values=values,
        key=key_added,
        seed=seed_of(rng),
        n_jobs=n_jobs,
        cache=cache,
        progress=progress,
        copy=copy,
    )
