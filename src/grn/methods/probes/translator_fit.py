"""Fitting a translator on a feature cube and labelled pairs, both as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from grn.methods.probes.training_pairs import LabelledPairs, labelled_pairs, split_by_source
from grn.models.translator import (
    FitSettings,
    Translator,
    TranslatorConfig,
    TranslatorNetwork,
    fit_network,
    view_of,
)


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
