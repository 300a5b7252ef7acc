"""Predicted targets against measured effects, regulator by regulator: matrices, floors, figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
from scipy import stats

from grn._core import checks
from grn._core.errors import GeneNameError, GeneOverlapError, NetworkError, ParameterError
from grn._kernels import ranking
from grn.network import Network

METRICS = ("auprc", "auroc", "spearman", "spearman_signed")
FLOORS = ("random", "mean effect", "in-degree", "|correlation|", "mean expression")
Entered = TypeVar("Entered")
COLUMNS = ["method", "kind", "source", "metric", "value", "n_targets", "n_pos", "coverage"]


class Measured(NamedTuple):
    """Effects as matrices (regulators, targets), both sorted; ``pairs`` marks what was measured."""

    sources: np.ndarray
    targets: np.ndarray
    pairs: np.ndarray
    label: np.ndarray
    effect: np.ndarray | None
    mean: np.ndarray | None
    correlation: np.ndarray | None


class Scores(NamedTuple):
    """Strengths (regulators, targets), signed weights where there are any, share of pairs listed (regulators,)."""

    strength: np.ndarray
    signed: np.ndarray | None
    coverage: np.ndarray


def measured(effects: pd.DataFrame) -> Measured:
    """Check a table of effects and lay it out; self pairs are left out.

    Parameters
    ----------
    effects
        ``source``, ``target``, ``label`` and optionally ``effect``, ``control_mean``, ``control_correlation``.
    """
    missing = [name for name in ("source", "target", "label") if name not in getattr(effects, "columns", ())]
    if missing:
        raise ParameterError(f"effects lacks {', '.join(missing)}; make it with grn.bench.perturbation.effects(adata).")
    if effects.empty or effects[["source", "target", "label"]].isna().to_numpy().any():
        raise ParameterError("effects is empty, or has empty names or labels; drop those rows.")
    (sources, at_source), (targets, at_target) = _codes(effects["source"]), _codes(effects["target"])
    keep = pd.Index(targets).get_indexer(pd.Index(sources))[at_source] != at_target
    at_source, at_target = at_source[keep], at_target[keep]
    shape = (len(sources), len(targets))
    pairs, responds = np.zeros((2, *shape), dtype=bool)
    pairs[at_source, at_target] = True
    if pairs.sum() != len(at_source):
        raise ParameterError("effects lists a pair more than once; average or drop the repeats first.")
    alone = sources[~pairs.any(axis=1)]
    if len(alone):
        raise ParameterError(f"effects has no target but the regulator itself for {', '.join(alone[:5])}; drop it.")
    label = effects["label"].to_numpy()[keep]
    if not np.isin(label, (0, 1)).all():
        raise ParameterError("effects['label'] holds other values than True and False (1 and 0).")
    responds[at_source, at_target] = label.astype(bool)

    def grid(name: str) -> np.ndarray | None:
        if name not in effects:
            return None
        full = np.full(shape, np.nan)
        full[at_source, at_target] = effects[name].to_numpy(dtype=np.float64)[keep]
        if np.isinf(full).any():
            raise ParameterError(f"effects[{name!r}] holds infinite values; replace them by NaN or a number.")
        return None if np.isnan(full).all() else full

    others = (grid(name) for name in ("effect", "control_mean", "control_correlation"))
    return Measured(sources, targets, pairs, responds, *others)


def _codes(names: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Sorted distinct names and the position of every entry; cheap for categoricals."""
    categories = names.astype("category").cat.remove_unused_categories().cat
    unique, place = np.unique(categories.categories.to_numpy().astype(str), return_inverse=True)
    return unique, place[categories.codes.to_numpy()]


def rows(effects: Measured, regulators: Sequence[str] | None) -> np.ndarray:
    """Positions of some regulators, sorted; all by default.

    Parameters
    ----------
    effects
        Effects.
    regulators
        Their names.
    """
    if regulators is None:
        return np.arange(len(effects.sources))
    wanted = np.unique(np.asarray(checks.names("regulators", regulators), dtype=str))
    unknown = np.setdiff1d(wanted, effects.sources)
    if len(unknown) or not len(wanted):
        raise GeneNameError(
            f"{len(unknown)} of {len(wanted)} regulators were not perturbed ({', '.join(unknown[:5])}); perturbed are "
            f"{', '.join(effects.sources[:5])} and {max(0, len(effects.sources) - 5)} more."
        )
    return np.searchsorted(effects.sources, wanted)


def named(entered: Entered | Mapping[str, Entered]) -> Mapping[str, Entered]:
    """One or several competitors by name.

    Parameters
    ----------
    entered
        One, or a dict of them.
    """
    competitors = entered if isinstance(entered, Mapping) else {"prediction": entered}
    taken = [name for name in competitors if name in FLOORS]
    if taken:
        raise ParameterError(f"a method is called {taken[0]!r}, which is the name of a floor; choose another name.")
    return competitors


def scores(name: str, predicted: pd.DataFrame | Network, effects: Measured) -> Scores:
    """Lay out an edge table over the measured pairs.

    Parameters
    ----------
    name
        Name of the method, for messages.
    predicted
        Its edges.
    effects
        Effects.
    """
    network = predicted if isinstance(predicted, Network) else Network(predicted)
    if len(network.groups) > 1:
        raise NetworkError(
            f"{name!r} has {len(network.groups)} groups ({', '.join(network.groups[:3])}); choose one: "
            f"network.filter(group={network.groups[0]!r})."
        )
    edges = network.edges
    at_source = pd.Index(effects.sources).get_indexer(edges["source"].astype(str))
    at_target = pd.Index(effects.targets).get_indexer(edges["target"].astype(str))
    keep = (at_source >= 0) & (at_target >= 0)
    keep[keep] = effects.pairs[at_source[keep], at_target[keep]]
    if not keep.any():
        raise GeneOverlapError(
            f"none of the {len(edges)} edges of {name!r} is a measured pair; regulators such as "
            f"{', '.join(effects.sources[:3])} and targets such as {', '.join(effects.targets[:3])} are expected."
        )
    weight = np.full(effects.pairs.shape, np.nan)
    weight[at_source[keep], at_target[keep]] = edges["weight"].to_numpy()[keep]
    listed = np.isfinite(weight)
    strength = np.where(listed, np.abs(weight), -1.0)
    signed = None
    if network.signed:
        signed = np.zeros(weight.shape)
        known = edges["sign"].notna().to_numpy() if "sign" in edges else np.ones(len(edges), dtype=bool)
        signed[at_source[keep], at_target[keep]] = np.where(known, edges["weight"], 0.0)[keep]
    return Scores(strength, signed, listed.sum(axis=1) / effects.pairs.sum(axis=1))


def listings(entered: Mapping[str, Scores]) -> dict[str, Scores]:
    """What it is worth that a method lists a pair at all, weights aside; one per distinct and incomplete listing.

    Parameters
    ----------
    entered
        Scores by name of the method.
    """
    listed: dict[str, Scores] = {}
    for name, given in entered.items():
        tied = np.where(given.strength < 0, -1.0, 0.0)
        if (given.coverage < 1).any() and not any(np.array_equal(tied, other.strength) for other in listed.values()):
            listed[f"listed by {name}"] = Scores(tied, None, given.coverage)
    return listed


def floors(effects: Measured) -> dict[str, Scores]:
    """What needs no model, as far as the effects allow.

    Parameters
    ----------
    effects
        Effects.
    """
    scores: dict[str, tuple[np.ndarray, np.ndarray | None]] = {"random": (np.zeros(effects.pairs.shape), None)}
    if len(effects.sources) > 1:
        if effects.effect is not None:
            known = np.nan_to_num(effects.effect)
            scores["mean effect"] = _others(np.abs(known), effects.pairs), -_others(known, effects.pairs)
        scores["in-degree"] = _others(effects.label.astype(np.float64), effects.pairs), None
    if effects.correlation is not None:
        known = np.isfinite(effects.correlation).any(axis=1, keepdims=True)
        signed = np.where(known, np.nan_to_num(effects.correlation), np.nan)
        scores["|correlation|"] = np.abs(signed), signed
    if effects.mean is not None:
        scores["mean expression"] = np.nan_to_num(effects.mean), None
    listed = np.ones(len(effects.sources))
    return {name: Scores(strength, signed, listed) for name, (strength, signed) in scores.items()}


def _others(values: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Mean of every column over all rows but the own one."""
    used = np.where(pairs, values, 0.0)
    before = np.vstack([np.zeros(used.shape[1]), np.cumsum(used, axis=0)[:-1]])
    after = np.vstack([np.cumsum(used[::-1], axis=0)[::-1][1:], np.zeros(used.shape[1])])
    count = pairs.sum(axis=0) - pairs
    return np.divide(before + after, count, out=np.zeros(used.shape), where=count > 0)


def figures(name: str, kind: str, scores: Scores, effects: Measured, rows: np.ndarray) -> pd.DataFrame:
    """All metrics of one method: a long table.

    Parameters
    ----------
    name, kind
        Of the method.
    scores
        Its scores.
    effects
        Effects.
    rows
        Positions of the regulators to judge.
    """
    pairs, label = effects.pairs[rows], effects.label[rows]
    values = dict(zip(METRICS[:2], _areas(scores.strength[rows], label, pairs), strict=True))
    if effects.effect is not None:
        effect = np.where(pairs, effects.effect[rows], np.nan)
        values["spearman"] = _spearman(scores.strength[rows], np.abs(effect), pairs)
        if scores.signed is not None:
            values["spearman_signed"] = _spearman(scores.signed[rows], -effect, pairs)
    facts = {
        "method": name,
        "kind": kind,
        "source": effects.sources[rows],
        "n_targets": pairs.sum(axis=1),
        "n_pos": label.sum(axis=1),
        "coverage": scores.coverage[rows],
    }
    parts = [pd.DataFrame({**facts, "metric": metric, "value": value}) for metric, value in values.items()]
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def _areas(strength: np.ndarray, label: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUPRC and AUROC of every regulator; NaN with one class, or where the method has no score."""
    usable = ~np.isnan(np.where(pairs, strength, 0.0)).any(axis=1)
    groups = np.nonzero(pairs)[0]
    ranked = ranking.rank(label[pairs], np.nan_to_num(strength)[pairs], groups)
    positive, size = ranking.sizes(ranked)
    usable &= (positive > 0) & (positive < size)
    areas = ranking.average_precision(ranked), ranking.auroc(ranked)
    return np.where(usable, areas[0], np.nan), np.where(usable, areas[1], np.nan)


def _spearman(a: np.ndarray, b: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Rank correlation of every row over its pairs; 0 where a is constant, NaN where b is or either has NaN."""
    missing = (np.isnan(a) | np.isnan(b)) & pairs
    ranks = [stats.rankdata(np.where(pairs, x, np.nan), axis=1, nan_policy="omit") for x in (a, b)]
    size = pairs.sum(axis=1, keepdims=True)
    x, y = (np.where(pairs, r - np.nansum(r, axis=1, keepdims=True) / size, 0.0) for r in ranks)
    across, squares, other = (x * y).sum(axis=1), (x**2).sum(axis=1), (y**2).sum(axis=1)
    value = np.divide(across, np.sqrt(squares * other), out=np.zeros(len(a)), where=(squares > 0) & (other > 0))
    return np.where(missing.any(axis=1) | (other == 0), np.nan, value)
