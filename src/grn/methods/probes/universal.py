"""Zero-shot edges by a few numbers of a pair: the response of a model, and what names and promoters tell.

A logistic regression that was fitted on labels of one data set reads the response of the target to the source, whether
both are of one family if that is to count, and how much the motif of the source goes with the promoter of the target.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from grn._core import checks
from grn._core.logging import hint
from grn.methods.edges import to_network
from grn.methods.genes import PairGenes
from grn.methods.inputs import Inputs
from grn.methods.probes import features
from grn.methods.probes.base_cells import verify_context
from grn.methods.probes.protocols import pair_reading
from grn.methods.probes.score import context_of, signed
from grn.methods.probes.side_information import COLUMNS, side_information
from grn.methods.record import METHODS, Method
from grn.models.pair_translator import NAMES, embedded
from grn.models.translator import double_centred
from grn.network import Network

RESPONSE = "response at "
# the response at all points counts as one
WHOLE_RESPONSE = "response"
ALL_COLUMNS = (WHOLE_RESPONSE, *COLUMNS)
SAME_FAMILY = ("same stem", "same prefix")
RELATIVES = ("neutral", "counted")
ADVICE = (
    "zero-shot from the names of genes (responses of mini, families, promoter motifs); your cells are not read, or "
    "with groupby= or context='mean' only their mean. AUPRC of the defaults without groups on unseen genes, pairs of "
    "different families: .70 (STRING), .63 (non-specific ChIP-seq), chance .50. For what is special about your cells "
    "start with method='prior_ridge', for drivers of a contrast with grn.tl.rank_drivers, for known edges with "
    "grn.datasets.collectri()."
)


def verify(*, translator: str, relatives: str, context: str | None) -> None:
    """Refuse what is no translator of this method, no way to treat relatives and no context."""
    checks.word("translator", translator, NAMES)
    checks.word("relatives", relatives, RELATIVES)
    verify_context(context=context)


def fit(
    inputs: Inputs,
    *,
    translator: str = "universal",
    relatives: str = "neutral",
    context: str | None = None,
    stored: features.Stored | None = None,
) -> Network:
    """Infer a network.

    Parameters
    ----------
    inputs
        Model and genes, and cells where the context is the mean cell.
    translator
        ``"cells"``: the response alone. ``"universal"``: families and promoter motifs beside it.
    relatives
        ``"neutral"``: two genes of one family are taken as if they were of two, which is what ranks other edges first;
        ``"counted"``: that they are relatives counts as much as it did in the labels of the translator, where
        paralogues are linked far more often than others.
    context
        ``"virtual"``: one gene is shown at a time and all others are unknown; ``"mean"``: the mean real cell; or
        ``None``: the mean cell when groups are asked for, else virtual.
    stored
        Looks for features computed before, which are used instead of probing again.
    """
    chosen = embedded(inputs.task.model, translator)
    context = context_of(inputs.task, context)
    pairs = trajectory(inputs, context=context, stored=stored)
    if pairs.background != chosen.background:
        hint(
            "universal: responses are read at the mean cell%s, where the other genes are known; its translator was "
            "fitted with them unknown. Read ranks, not probabilities; context='virtual' is what it was fitted in",
            "" if inputs.task.groupby is None else " of each group",
        )
    side = side_columns(pairs.genes, pairs.sources) if set(chosen.columns) & set(COLUMNS) else {}
    if relatives == "neutral":
        side = {name: np.zeros_like(side[name]) if name in SAME_FAMILY else side[name] for name in side}
    parts = []
    for i, group in enumerate(pairs.groups):
        cube = pairs.of_group(i)  # (n_vars, S, M)
        effect = cube.mean(axis=-1)  # (n_vars, S)
        probability = chosen.probability({**responses(cube, pairs.grid), **side})
        parts.append((group, signed(probability, effect) | {"score": effect}))
    params = {
        "translator": translator,
        "translator_sha256": chosen.sha256,
        "relatives": relatives,
        "context": context,
        "background": pairs.background,
        "seen": chosen.seen,
    }
    return to_network(inputs.names, pairs.sources, parts, params=params, signed=True)


def trajectory(inputs: Inputs, *, context: str, stored: features.Stored | None = None) -> features.PairFeatures:
    """The gradient trajectory in the background that is recommended for the model and fits the context."""
    reading = pair_reading(inputs.task.model, "recommended", context=context, translated=True)
    before = None if stored is None else stored(context, reading.background)
    if before is not None:
        return before["gradient_trajectory"]
    return features.gradient_trajectory(inputs, background=reading.background, context=context)


def responses(cube: np.ndarray, grid: np.ndarray) -> dict[str, np.ndarray]:
    """Derivatives (T, S) at every point, without row and column means and in units of their root mean square.

    So a translator reads which pairs respond more than their genes do on average, whatever the scale of the model.
    """
    columns = {}
    centred = double_centred(cube)  # (T, S, M)
    for i, point in enumerate(np.asarray(grid, dtype=np.float64).tolist()):
        values = centred[..., i]
        known = values[np.isfinite(values)].astype(np.float64)
        size = float(np.sqrt(np.square(known).mean())) if len(known) else 0.0
        columns[f"{RESPONSE}{point:g}"] = values / size if size > 0 else values
    return columns


def side_columns(genes: PairGenes, sources: np.ndarray) -> Mapping[str, np.ndarray]:
    """Side information (n_vars, S) of the genes of an object; human symbols are the names in the model."""
    names = np.asarray(genes.ids, dtype=str)
    return side_information(names[sources], names)


METHODS.add(
    "universal",
    Method(
        "universal",
        fit,
        "response of a frozen model with gene families and promoter motifs, as a probability",
        signed=True,
        probability=True,
        needs=("model",),
        columns=ALL_COLUMNS,
        verify=verify,
        uses_client=True,
        confidence="probability",
        advice=ADVICE,
        reference="this package; probes of arXiv 2605.08128",
        system="virtual perturbation",
        year=2026,
        inputs="foundation model, gene names",
        cost="8 dual passes per source",
        page="methods/universal",
    ),
)
