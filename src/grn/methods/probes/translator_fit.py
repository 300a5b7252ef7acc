"""Fitting a translator: on the features that an object holds, and on a feature cube with labelled pairs, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core import checks, stored
from grn._core.entries import UnsEntry, entry_of, feature_entry
from grn._core.errors import ParameterError, ResultNotFoundError
from grn._core.logging import logger
from grn._core.settings import settings as defaults
from grn._object.container import validate
from grn._object.genes import edges_in_names, regulator_mask
from grn.methods.probes.embedding import pair_embeddings
from grn.methods.probes.training_pairs import LabelledPairs, labelled_pairs, split_by_source
from grn.models.translator import (
    VIEWS,
    Translator,
    TranslatorConfig,
    TranslatorNetwork,
    view_of,
)
from grn.models.translator_training import FitSettings, fit_network


def trained_on_features(
    adata: AnnData,
    labels: pd.DataFrame,
    *,
    key: str,
    negatives: str,
    view: str,
    hidden: Sequence[int],
    members: int,
    validation: float,
    epochs: int,
    patience: int,
    lr: float,
    weight_decay: float,
    batch_size: int,
    seed: int,
) -> Translator:
    """Fit a translator on the features under a key of an object; see :func:`grn.tl.fit_translator`."""
    validate(adata)
    _check(view, hidden, members=members, epochs=epochs, patience=patience, batch_size=batch_size)
    _check_sizes(validation, lr, weight_decay)
    cube, sources = _features(adata, key)  # (T, S, K), (S,)
    view = "raw" if key in adata.varm and np.ndim(adata.varm[key]) == 2 else view
    translator = fit_on_pairs(
        cube,
        edges_in_names(adata, labels),
        np.asarray(adata.var_names, dtype=str),
        sources,
        _config(adata, key, cube, view, hidden, members),
        settings=FitSettings(int(epochs), int(patience), float(lr), float(weight_decay), int(batch_size)),
        negatives=negatives,
        validation=validation,
        seed=seed,
    )
    logger.info("translator for %s: %s", key, translator.history)
    return translator


def fit_on_pairs(
    cube: np.ndarray,
    labels: pd.DataFrame,
    targets: Sequence[str] | np.ndarray,
    sources: Sequence[str] | np.ndarray,
    config: TranslatorConfig,
    *,
    settings: FitSettings,
    negatives: str = "uniform",
    validation: float = 0.2,
    seed: int = 0,
) -> Translator:
    """Fit a translator from a cube to the labels of its pairs.

    Parameters
    ----------
    cube
        Features (T, S, K); a pair with NaN is not learned from.
    labels
        Edges as :func:`labelled_pairs` takes them, under the names along the axes.
    targets, sources
        Names along the axes (T,), (S,).
    config
        What the translator is built for.
    settings
        Optimiser settings.
    negatives
        How non-edges are drawn where ``labels`` has no column ``label``.
    validation
        Fraction of the regulators held out for early stopping.
    seed
        Seed of negatives, split, weights and batches.
    """
    cube, sources = np.asarray(cube, dtype=np.float32), np.asarray(sources, dtype=str)
    usable = ~np.isnan(cube).any(axis=-1)  # (T, S)
    pairs = labelled_pairs(labels, np.asarray(targets, dtype=str), sources, usable, negatives=negatives, seed=seed)
    network = TranslatorNetwork(config)
    train, held_out = split_by_source(pairs, sources, validation, seed)
    # centring sees the whole cube, so the view is taken before pairs are
    features = view_of(cube, config)  # (T, S, K')
    learned, checked = (_features_and_labels(features, pairs.take(rows)) for rows in (train, held_out))
    history = fit_network(network, learned, checked, settings, seed)
    figures = {
        "pairs": len(pairs),
        "edges": int(pairs.labels.sum()),
        "regulators": len(np.unique(pairs.sources)),
        "negatives": "given" if "label" in labels else negatives,
        "seed": seed,
        **history,
    }
    return Translator(config, network, figures)


def _features_and_labels(features: np.ndarray, pairs: LabelledPairs) -> tuple[np.ndarray, np.ndarray]:
    """What is learned from: (N, K') and (N,)."""
    return features[pairs.targets, pairs.sources], pairs.labels


def _features(adata: AnnData, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Features (T, S, K) under a key, from ``varm``, a store or embeddings, and the names of the sources (S,)."""
    entry = adata.uns.get(key)
    if isinstance(entry, Mapping) and "store" in entry:
        sources = feature_entry(adata, key).names("sources").astype(str)
        budget = defaults.feature_budget
        return stored.read(entry, key, targets=adata.var_names, sources=sources, budget=budget), sources
    if key not in adata.varm or key not in adata.uns:
        there = [k for k in adata.varm if k in adata.uns]
        raise ResultNotFoundError(
            f"there are no features in varm[{key!r}]; there are: {', '.join(there) or 'none'}. "
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
