"""What a result says, in words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grn._core.errors import ParameterError
from grn.bench._headline import check_alike, complete_means, gain_interval, said_interval
from grn.bench._questions import ALL

# ablation of the best method that has it: how a sentence about it begins, and what it means if hardly anything is lost
_LEARNED = "little of the score comes from what the model has learned"
_ABLATIONS = {
    "shuffled weights": ("With the weights in random order", _LEARNED),
    "shuffled names": ("With gene names shuffled", _LEARNED),
    "untrained SVD": ("With an untrained decomposition of the corpus in place of the model", "the model adds little"),
    "without response": ("Without any response of the model", "names and motifs tell about as much"),
}
_NEEDED = ("method", "kind", "unit", "test", "network", "protocol", "metric", "value", "train")


def verdict(results: pd.DataFrame, *, metric: str = "auprc", margin: float = 0.01) -> str:
    """Say plainly, per network and protocol, which score leads and whether the backbone has added anything.

    Figures are means over independent units (the mHSC lineages count as one) of what was scored in all of them.
    Differences up to ``margin`` are called none. The interval is that of the gain over the best floor of each data
    set, whatever floor that is. Pairs of different families, where ``results`` has them, get paragraphs of their own.

    Parameters
    ----------
    results
        Table from :func:`grn.bench.run`.
    metric
        Metric to compare by.
    margin
        Smallest difference that is called one.

    Returns
    -------
    str
        Markdown: one paragraph per network, protocol and kind of pairs.

    Raises
    ------
    ParameterError
        If ``results`` lacks a column or the metric, or holds several sizes or models.

    Examples
    --------
    >>> import pandas as pd
    >>> import grn
    >>> base = {"unit": "b", "test": "b", "network": "S", "protocol": "paper", "metric": "auprc", "train": "a/S"}
    >>> rows = [{**base, "method": "Ens", "kind": "method", "value": 0.6}]
    >>> rows += [{**base, "method": "degree", "kind": "floor", "value": 0.7}]
    >>> print(grn.bench.verdict(pd.DataFrame(rows)))
    **S, paper.** Best method: Ens (0.600). Best floor: degree (0.700); the floor wins by 0.100.
    """
    missing = [column for column in _NEEDED if column not in results]
    if missing:
        raise ParameterError(f"results lacks {', '.join(missing)}; pass the table of grn.bench.run().")
    rows = results[results["metric"] == metric]
    if rows.empty:
        valid = ", ".join(results["metric"].unique())
        raise ParameterError(f"results has no metric {metric!r}; there are: {valid}.")
    check_alike(rows)
    first = rows.groupby(["network", "test"], sort=False)["train"].transform("first")
    rows = rows[rows["train"] == first]
    if "pairs" not in rows:
        rows = rows.assign(pairs=ALL)
    paragraphs = []
    for (network, protocol, pairs), part in rows.groupby(["network", "protocol", "pairs"], sort=False):
        means = complete_means(part)
        title = f"{network}, {protocol}" if pairs == ALL else f"{network}, {protocol}, pairs of {pairs}"
        paragraphs.append(f"**{title}.** {_sentences(means, margin, part)}")
    return "\n\n".join(paragraphs)


def _sentences(means: pd.Series, margin: float, part: pd.DataFrame) -> str:
    """Sentences on one table of means by kind and method."""
    of = {kind: part.droplevel("kind") for kind, part in means.groupby(level="kind", sort=False)}
    methods = of.get("method", pd.Series(dtype=float))
    floors = of.get("floor", pd.Series(dtype=float))
    if methods.empty:
        return "No method was run."
    best = str(methods.idxmax())
    sentences = [f"Best method: {best} ({methods[best]:.3f})."]
    if len(floors):
        floor = str(floors.idxmax())
        gain, low, high = gain_interval(part, best)
        compared = _compare(methods[best] - floors[floor], margin, (gain, low, high))
        sentences.append(f"Best floor: {floor} ({floors[floor]:.3f}); {compared}.")
        if np.isfinite(gain):
            sentences.append(f"Gain over the best floor of each data set: {gain:+.3f}{said_interval(low, high)}.")
    known = pd.concat([methods, of.get("ablation", pd.Series(dtype=float))])
    for name, (text, means_nothing) in _ABLATIONS.items():
        whole = [method for method in methods.index if f"{method}, {name}" in known]
        if whole:
            method = max(whole, key=methods.__getitem__)
            left = known[f"{method}, {name}"]
            lost = methods[method] - left
            change = f"nothing to speak of is lost: {means_nothing}" if lost <= margin else f"{lost:.3f} is lost"
            sentences.append(f"{text} {method} scores {left:.3f}: {change}.")
    if {"Emb", "Ens"} <= set(known.index):
        sentences.append(f"The embedding alone scores {known['Emb']:.3f}, the ensemble {known['Ens']:.3f}.")
    oracle = of.get("oracle", pd.Series(dtype=float))
    if "own degree" in oracle:
        sentences.append(f"Degrees of the test network itself score {oracle['own degree']:.3f}.")
    return " ".join(sentences)


def _compare(difference: float, margin: float, of_each: tuple[float, float, float]) -> str:
    """A difference to the floor with the best mean; only that to the best floor of each data set has an interval."""
    if not np.isfinite(difference) or abs(difference) <= margin:
        return "there is no difference to speak of"
    gain, low, high = of_each
    if low <= 0 <= high:
        if np.isclose(gain, difference):
            return f"a difference of {difference:+.3f} that may be chance"
        return f"a difference of {difference:+.3f}, while that to the best floor of each data set may be chance"
    if difference > 0 > high:
        return f"a difference of {difference:+.3f} over it, and a loss to the best floor of each data set"
    return f"the method wins by {difference:.3f}" if difference > 0 else f"the floor wins by {-difference:.3f}"
