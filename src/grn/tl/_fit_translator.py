"""Fit the MLP from pair features to edge probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core import checks, stored
from grn._core.entries import UnsEntry, entry_of, feature_entry
from grn._core.errors import ParameterError, ResultNotFoundError
from grn._core.logging import logger, one_voice
from grn._core.rng import RNGLike, seed_of
from grn._core.settings import settings
from grn._object.container import validate
from grn._object.genes import edges_in_names, regulator_mask
from grn.methods.probes.embedding import pair_embeddings
from grn.methods.probes.translator_fit import fit_on_pairs
from grn.models.steady import undisturbed
from grn.models.translator import VIEWS, FitSettings, Translator, TranslatorConfig


@one_voice
@undisturbed
def fit_translator(
    adata: AnnData,
    labels: pd.DataFrame,
    *,
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
    validate(adata)
    _check(view, hidden, members=members, epochs=epochs, patience=patience, batch_size=batch_size)
    _check_sizes(validation, lr, weight_decay)
    cube, sources = _features(adata, key)
    labels = edges_in_names(adata, labels)
    names = np.asarray(adata.var_names, dtype=str)
    view = "raw" if key in adata.varm and np.ndim(adata.varm[key]) == 2 else view
    translator = fit_on_pairs(
        cube,
        labels,
        names,
        sources,
        _config(adata, key, cube, view, hidden, members),
        settings=FitSettings(int(epochs), int(patience), float(lr), float(weight_decay), int(batch_size)),
        negatives=negatives,
        validation=validation,
        seed=seed_of(rng),
    )
    logger.info("translator for %s: %s", key, translator.history)
    return translator


def _features(adata: AnnData, key: str) -> tuple[np.ndarray, np.ndarray]:
    entry = adata.uns.get(key)
    if isinstance(entry, Mapping) and "store" in entry:
        sources = feature_entry(adata, key).names("sources").astype(str)
        budget = settings.feature_budget
        return stored.read(entry, key, targets=adata.var_names, sources=sources, budget=budget), sources
    if key not in adata.varm or key not in adata.uns:
        held = [k for k in adata.varm if k in adata.uns]
        raise ResultNotFoundError(
            f"there are no features in varm[{key!r}]; there are: {', '.join(held) or 'none'}. "
            "Call grn.tl.vvp(adata), grn.tl.gradient_trajectory(adata) or grn.tl.embedding(adata) first."
        )
    values = np.asarray(adata.varm[key], dtype=np.float32)
    if values.ndim == 3:
        sources = feature_entry(adata, key).names("sources").astype(str)
        if len(sources) != values.shape[1]:
            raise ResultNotFoundError(
                f"uns[{key!r}] names {len(sources)} sources and varm[{key!r}] has {values.shape[1]}; compute the "
                "features again."
            )
        return values, sources
    rows = np.flatnonzero(regulator_mask(adata))
    cube = pair_embeddings(values, rows, _embedding(adata, key).text("pair", "sum"))
    cube[rows, np.arange(len(rows))] = np.nan
    return cube, np.asarray(adata.var_names[rows], dtype=str)


def _embedding(adata: AnnData, key: str) -> UnsEntry:
    return entry_of(adata, key, what="embedding", call="grn.tl.embedding(adata)")


def _config(
    adata: AnnData, key: str, cube: np.ndarray, view: str, hidden: Sequence[int], members: int
) -> TranslatorConfig:
    entry = _embedding(adata, key)
    params = entry.mapping("params")
    return TranslatorConfig(
        feature=params.text("function", key),
        points=cube.shape[-1],
        view=view,
        hidden=tuple(int(h) for h in hidden),
        members=int(members),
        model=params.text("model"),
        model_sha256=params.text("model_sha256"),
        grid=tuple(entry.numbers("grid").tolist()) if "grid" in entry.record else (),
        background=params.text("background", "fixed"),
    )


def _check(view: str, hidden: Sequence[int], **counts: int) -> None:
    if isinstance(hidden, str) or not isinstance(hidden, Sequence):
        raise ParameterError(f"hidden={hidden!r}; pass a list of widths such as (64, 32).")
    checks.word("view", view, VIEWS)
    for name, value in [*counts.items(), *(("hidden", h) for h in hidden)]:
        checks.integer(name, value, least=1)


def _check_sizes(validation: float, lr: float, weight_decay: float) -> None:
    checks.number("validation", validation, above=0, below=1)
    checks.number("lr", lr, above=0, note=", as nothing is learnt otherwise")
    checks.number("weight_decay", weight_decay, least=0)
