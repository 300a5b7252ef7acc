"""Fit the MLP from pair features to edge probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from anndata import AnnData

from grn._core.logging import one_voice
from grn._core.rng import RNGLike, seed_of
from grn._object.modalities import on_mudata
from grn.methods.probes.translator_fit import trained_on_features
from grn.models.steady import undisturbed
from grn.models.translator import Translator

if TYPE_CHECKING:
    from mudata import MuData


@one_voice
@undisturbed
@on_mudata
def fit_translator(
    adata: AnnData | MuData,
    labels: pd.DataFrame,
    *,
    rna: str = "rna",
    key: str = "vvp",
    negatives: str = "uniform",
    view: str = "both",
    hidden: Sequence[int] = (64, 32),
    members: int = 5,
    validation: float = 0.2,
    epochs: int = 200,
    patience: int = 20,
    lr: float = 2e-3,
    weight_decay: float = 1e-3,
    batch_size: int = 1024,
    rng: RNGLike = 0,
    progress: bool | None = None,
) -> Translator:
    """Fit a translator from pair features to edge probabilities on known edges.

    Parameters
    ----------
    adata
        Object with pair features in ``varm[key]`` or a store (or embeddings in ``varm["X_<model>"]``); not changed.
    labels
        Known edges: columns ``source`` and ``target`` (names from ``var_names``); with a column ``label`` of 0 and 1
        the non-edges are yours, without it they are drawn.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    key
        Slot of the features: ``"vvp"``, ``"gradient_trajectory"``, ``"pert"``, ``"attention"`` or ``"X_<model>"``.
    negatives
        How non-edges are drawn among regulators with at least one edge: ``"uniform"`` (as many as edges, the
        paper's), ``"degree_matched"`` (every regulator and target as often as among the edges) or ``"all"``.
    view
        What the MLP sees: ``"raw"`` features, ``"centred"`` (their mean per target and per regulator subtracted) or
        ``"both"``. Of embeddings always ``"raw"``: in a sum E_i + E_j centring leaves nothing but what is missing.
    hidden
        Widths of the hidden layers.
    members
        Networks with different seeds, whose logits are averaged.
    validation
        Fraction of the regulators held out for early stopping.
    epochs, patience
        Most epochs, and epochs without improvement of any member before stopping.
    lr, weight_decay, batch_size
        Settings of AdamW; pairs per step.
    rng
        Seed of negatives, split, weights and batches.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.

    Returns
    -------
    Translator
        With ``save(path)``, ``Translator.load(path)``, ``probability(cube)``; pass it to
        ``grn.tl.infer_network(adata, params={"translator": ...})``. Standardisation is stored with it.

    Raises
    ------
    ResultNotFoundError
        If there are no features under ``key``.
    NetworkError, GeneOverlapError
        If the labels are malformed, have one class only, or share no pair with the features.
    ParameterError
        If an argument is out of its range.

    Notes
    -----
    Objective: binary cross-entropy; every member keeps its best epoch. Cost: seconds for 50 000 pairs. A table of
    node degrees scores high on most reference networks, so judge a translator on regulators and genes it never saw
    and on degree-matched negatives.

    Source: arXiv 2605.08128.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=20)
    >>> regulators = adata.uns["truth"]["source"].unique().tolist()
    >>> grn.tl.vvp(adata, sources=regulators)
    >>> translator = grn.tl.fit_translator(adata, adata.uns["truth"], members=1, epochs=3)
    >>> translator.config.feature
    'vvp'
    """
    return trained_on_features(
        adata,
        labels,
        key=key,
        negatives=negatives,
        view=view,
        hidden=hidden,
        members=members,
        validation=validation,
        epochs=epochs,
        patience=patience,
        lr=lr,
        weight_decay=weight_decay,
        batch_size=batch_size,
        seed=seed_of(rng),
    )
