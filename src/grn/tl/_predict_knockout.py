"""Expression after knock-outs, from the fit of a system."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from grn._core.logging import one_voice
from grn._object.modalities import on_mudata
from grn.methods.knockout import knockouts

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@on_mudata
def predict_knockout(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    genes: str | Sequence[str | Sequence[str]],
    key: str = "renge",
    times: Sequence[float] | None = None,
    dose: float = 1.0,
    max_steps: int | None = None,
    difference: bool = False,
) -> pd.DataFrame:
    r"""Expression after a knock-out, from the fit of a system that describes how genes follow others.

    From a fit of :func:`grn.tl.renge`, over the time t since the knock-out,

    .. math:: e_t = b_t - d \sum_{k \in S} m_k \sum_{j=0}^{K-1} \sigma(\alpha_k + \beta t - \gamma j)\,
        (A M_S)^j A_{\cdot k}

    for the set S of genes that are knocked out together, one gene or several; :math:`M_S` stops paths at all of them.
    What the fits of other systems say is on their pages.

    Parameters
    ----------
    adata
        AnnData with a fit in ``uns[key]``.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    genes
        Gene to knock out. With a list each entry is a knock-out of its own, and an entry that is itself a list or
        tuple is a set of genes knocked out together: ``["GATA1", ("GATA1", "SPI1")]`` is one single knock-out and one
        pair.
    key
        Entry of ``uns``.
    times
        Times to predict; those of the fit by default. Of RENGE, others than those of the screen are possible with
        ``difference=True`` only, as the levels :math:`b_t` are known at the times of the screen.
    dose
        Share d of the control expression :math:`m_k` that is taken away: 1 is a knock-out, 0.5 a knock-down, -1 twice
        the expression.
    max_steps
        Longest path that counts: 1 gives direct effects only; K, or all, by default.
    difference
        Return the change against cells without knock-out (of RENGE: without :math:`b_t`).

    Returns
    -------
    DataFrame
        One row per time (with a list of genes per ``knockout`` and ``time``, and first per ``group`` if the network has
        groups, or the fit several lineages), one column per gene of the fit, on its scale. A knocked-out gene itself is
        its control level times ``1 - d``, or the change to that. Genes knocked out together are named
        ``"GATA1+SPI1"``, sorted.

    Raises
    ------
    ResultNotFoundError
        If ``uns[key]`` holds no fit that predicts knock-outs.
    GeneNameError
        If a gene is not in the network.
    ParameterError
        If times, dose or number of steps cannot be used.

    Notes
    -----
    Of RENGE: a gene that was never knocked out has no delay :math:`\alpha_k` of its own; the mean of the others stands
    in, and its effects rest on those of other knock-outs. Knock-outs of a set keep the delays of each and add up, but
    for paths that would lead through another gene of the set, and for the genes of the set themselves: the model knows
    no other interaction. The original takes one knock-out per cell. Cost: nothing to speak of.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy_perturbation(n_cells=10, n_regulators=3, n_targets=4, n_times=2)
    >>> columns = {"perturbation": "perturbation", "time": "time", "control": "control"}
    >>> grn.tl.renge(adata, **columns, n_k=2, C=0.02, l1_ratio=0.1, n_boot=10)
    >>> grn.tl.predict_knockout(adata, genes=["GATA1", "SPI1"], difference=True).index.names
    FrozenList(['knockout', 'time'])
    """
    return knockouts(adata, genes, key, times=times, dose=dose, max_steps=max_steps, difference=difference)
