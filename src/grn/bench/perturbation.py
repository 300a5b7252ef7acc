"""Do the predicted targets of a regulator respond when it is lost? Scores against measured effects, with floors.

Regulators are judged one by one and then averaged, so that a regulator with many responding genes counts as much as one
with few, and knowing which regulators are strong is worth nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from grn._core.errors import ParameterError
from grn._core.markdown import markdown_table
from grn._core.rng import RNGLike, seed_of
from grn.bench import _targets
from grn.bench._averages import COLUMNS, summarise
from grn.bench._effects import deviations, effects, signatures
from grn.bench._suite import suite
from grn.bench._targets import METRICS
from grn.network import Network

__all__ = ["by_regulator", "deviations", "effects", "markdown", "score", "signatures", "suite"]

Predicted = pd.DataFrame | Network | Mapping[str, pd.DataFrame | Network]


def by_regulator(
    predicted: Predicted,
    effects: pd.DataFrame,
    *,
    regulators: Sequence[str] | None = None,
    floors: bool = True,
) -> pd.DataFrame:
    """Score predicted targets regulator by regulator.

    All measured targets of a regulator are ranked by the absolute weight of the edge to them; pairs that the prediction
    lacks come last and are tied. Figures are exact under ties.

    Parameters
    ----------
    predicted
        Edge table ``source, target, weight``, a :class:`grn.Network`, or a dict of them by name of the method.
    effects
        Measured effects: ``source``, ``target``, ``label`` (whether the target responds), and optionally ``effect``,
        ``control_mean`` and ``control_correlation``, as of :func:`effects`, :func:`deviations`, :func:`signatures`.
    regulators
        Regulators to judge; all by default. The others still count for the floors ``mean effect`` and ``in-degree``.
    floors
        Whether to add the floors.

    Returns
    -------
    DataFrame
        ``method``, ``kind``, ``source``, ``metric``, ``value``, ``n_targets``, ``n_pos``, ``coverage`` (share of the
        pairs that the prediction lists). ``kind`` is ``"method"``, ``"ablation"`` or ``"floor"``.

        Metrics: ``auprc`` and ``auroc`` (NaN for a regulator whose targets all or none respond); ``spearman`` of
        absolute weight and absolute effect; ``spearman_signed`` of weight and minus effect (the loss of an activator
        lowers its targets), only for signed predictions. A constant prediction has a correlation of 0; an effect
        that is constant or NaN for some target gives NaN.

        Floors: ``random`` (all tied); ``mean effect`` (mean absolute effect on the target over the other regulators,
        unknown effects counted as 0); ``in-degree`` (share of the other regulators it responds to);
        ``|correlation|`` with the regulator among control cells, NaN where the regulator is not measured;
        ``mean expression`` of the target. Those whose columns are missing, or that need a second regulator, are left
        out.

        Ablation: ``listed by ...``, what it is worth that the method lists a pair at all, weights aside; for methods
        that list some measured pairs only, once for those with equal lists.

    Raises
    ------
    NetworkError
        An edge table is malformed: NaN weights, repeated edges, several groups, missing columns.
    ParameterError
        ``effects`` is malformed.
    GeneNameError
        A name in ``regulators`` was not perturbed.
    GeneOverlapError
        No predicted pair was measured.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn.bench import perturbation
    >>> measured = pd.DataFrame({"source": "A", "target": list("BCD"), "label": [True, False, False]})
    >>> edges = pd.DataFrame({"source": "A", "target": ["B", "C"], "weight": [0.2, -0.9]})
    >>> found = perturbation.by_regulator(edges, measured)
    >>> found.query("metric == 'auprc'").set_index("method")["value"].round(3).to_dict()
    {'prediction': 0.5, 'listed by prediction': 0.75, 'random': 0.611}
    """
    measured = _targets.measured(effects)
    at = _targets.rows(measured, regulators)
    entered = {name: _targets.scores(name, table, measured) for name, table in _targets.named(predicted).items()}
    kinds = {
        "method": entered,
        "ablation": _targets.listings(entered),
        "floor": _targets.floors(measured) if floors else {},
    }
    parts = [
        _targets.figures(n, kind, given, measured, at) for kind, named in kinds.items() for n, given in named.items()
    ]
    if not parts:
        raise ParameterError("there is nothing to score: pass an edge table, or floors=True.")
    return pd.concat(parts, ignore_index=True)


def score(
    predicted: Predicted,
    effects: pd.DataFrame,
    *,
    data: str = "",
    regulators: Sequence[str] | None = None,
    floors: bool = True,
    rng: RNGLike = 0,
) -> pd.DataFrame:
    """Score predicted targets, averaged over regulators, beside floors.

    Parameters
    ----------
    predicted
        Edge table ``source, target, weight``, a :class:`grn.Network`, or a dict of them by name of the method.
    effects
        Measured effects, as of :func:`effects`, :func:`deviations` or :func:`signatures`.
    data
        Name of the data for the table.
    regulators
        Regulators to judge; all by default.
    floors
        Whether to add the floors, and to compare every method with the best of them.
    rng
        Seed of the bootstrap.

    Returns
    -------
    DataFrame
        One row per method and metric (see :func:`by_regulator`): ``data``, ``regulators`` (``"all"``; and
        ``"measured"``, those with a ``|correlation|``, where these are fewer), ``method``, ``kind``, ``metric``,
        ``value`` (mean over regulators), ``low``, ``high`` (95 % bootstrap interval over regulators),
        ``n_regulators``, ``n_targets`` (per regulator, median), ``n_pos`` (responding pairs), ``prevalence`` (mean
        share of targets that respond), ``coverage``, ``best_floor``, ``floor`` (its value), ``gain``, ``gain_low``,
        ``gain_high`` (paired bootstrap), ``note``.

        With fewer than 5 regulators the intervals are NaN and the note says so. Only floors that exist for all
        regulators of a row are compared.

    Raises
    ------
    NetworkError, ParameterError, GeneNameError, GeneOverlapError
        As :func:`by_regulator`.

    Notes
    -----
    The best floor is chosen on the same data, which favours the floor. The bootstrap resamples regulators only; with
    fewer than about twenty its intervals are too narrow.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn.bench import perturbation
    >>> measured = pd.DataFrame({"source": "A", "target": list("BCD"), "label": [True, False, False]})
    >>> edges = pd.DataFrame({"source": "A", "target": ["B", "C"], "weight": [0.9, -0.2]})
    >>> row = perturbation.score(edges, measured).query("metric == 'auroc' and kind == 'method'")
    >>> row[["value", "best_floor", "gain"]].values.tolist()
    [[1.0, 'random', 0.5]]
    """
    table = by_regulator(predicted, effects, regulators=regulators, floors=floors)
    return summarise(table, data=data, seed=seed_of(rng))


def markdown(results: pd.DataFrame) -> str:
    """Write the table of :func:`score` or :func:`suite` as people read it.

    Parameters
    ----------
    results
        The table.

    Returns
    -------
    str
        Markdown: per data and set of regulators a heading with its counts and a table: AUPRC and its gain over the best
        floor with 95 % intervals, AUROC, Spearman correlations. Methods that could not be applied follow with reasons.

    Raises
    ------
    ParameterError
        The table has other columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn.bench import perturbation
    >>> measured = pd.DataFrame({"source": "A", "target": list("BCD"), "label": [True, False, False]})
    >>> edges = pd.DataFrame({"source": "A", "target": ["B", "C"], "weight": [0.9, -0.2]})
    >>> print(perturbation.markdown(perturbation.score(edges, measured, data="mine")).splitlines()[0])
    ### mine, all regulators
    """
    missing = [name for name in COLUMNS if name not in getattr(results, "columns", ())]
    if missing:
        raise ParameterError(f"the table lacks {', '.join(missing)}; pass that of perturbation.score() or suite().")
    scored = results[results["value"].notna()]
    sections = [_section(part) for _, part in scored.groupby(["data", "regulators"], sort=False)]
    failed = results[results["value"].isna()].groupby(["data", "note"], sort=False)["method"].agg(", ".join)
    lines = [f"- {data}: {methods}: {note}" for (data, note), methods in failed.items()]
    return "\n\n".join([*sections, *(["\n".join(["Not applicable:", "", *lines])] if lines else [])]) + "\n"


def _section(part: pd.DataFrame) -> str:
    first = part.iloc[0]
    of = {metric: rows.set_index("method") for metric, rows in part.groupby("metric", sort=False)}
    main = of.get("auprc", next(iter(of.values())))
    facts = main.iloc[0]
    names = list(dict.fromkeys(part["method"]))
    kinds = part.drop_duplicates("method").set_index("method")["kind"]
    lines = [
        f"### {first['data']}, {first['regulators']} regulators",
        "",
        f"Regulators with responding targets: {facts['n_regulators']:.0f}; targets of each: {facts['n_targets']:.0f}; "
        f"pairs that respond: {facts['n_pos']:.0f}; mean prevalence: {facts['prevalence']:.3f}.",
        "",
    ]
    rows = []
    for name in sorted(names, key=lambda n: ("method", "ablation", "floor", "oracle").index(kinds[n])):
        cells = [_interval_text(of, "auprc", name, "value", "low", "high")]
        cells += [_interval_text(of, "auprc", name, "gain", "gain_low", "gain_high")]
        cells += [_interval_text(of, metric, name, "value") for metric in METRICS[1:]]
        rows.append([kinds[name], name, *cells])
    head = ["kind", "method", "AUPRC", "gain over best floor", "AUROC", "Spearman", "signed Spearman"]
    return "\n".join([*lines, markdown_table(head, rows, figures=3)])


def _interval_text(of: dict[str, pd.DataFrame], metric: str, name: str, *columns: str) -> str:
    """A figure with its interval, where there are any."""
    if metric not in of or name not in of[metric].index:
        return ""
    value, *ends = of[metric].loc[name, list(columns)]
    if pd.isna(value):
        return ""
    return f"{value:.3f}" + (f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends and pd.notna(ends[0]) else "")
