"""The network of LPM: a table of embeddings each for contexts, perturbations and readouts, and a perceptron."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from grn._core.errors import ParameterError, WeightsError
from grn.models._checkpoint import Checkpoint

CONTROL = "Control"
READOUT = "Transcriptome_"
AGGREGATIONS = ("mean", "sum", "max")
LISTS = ("context_symbols", "perturb_symbols", "readout_symbols")
# what an intervention does to the expression or the activity of its gene
DIRECTION: Mapping[str, int] = {
    "CRISPRi": -1,
    "CRISPR-KO": -1,
    "CRISPRa": 1,
    "shRNA": -1,
    "siRNA": -1,
    "OE": 1,
    "cDNA": 1,
}


@dataclass(frozen=True)
class Symbols:
    """Names of the rows of the three tables.

    Parameters
    ----------
    contexts, perturbations, readouts
        Row order; perturbations include ``"Control"``.
    """

    contexts: tuple[str, ...]
    perturbations: tuple[str, ...]
    readouts: tuple[str, ...]

    def targets(self) -> dict[str, int]:
        """Readout row of every gene whose expression can be read."""
        return {r.removeprefix(READOUT): i for i, r in enumerate(self.readouts) if r.startswith(READOUT)}

    def types(self) -> dict[str, dict[str, int]]:
        """Perturbation row of every gene, by type of intervention, for symbols ``<type>_<gene>``."""
        rows: dict[str, dict[str, int]] = {}
        for row, symbol in enumerate(self.perturbations):
            kind, _, gene = symbol.partition("_")
            if kind and gene and "+" not in symbol:
                rows.setdefault(kind, {})[gene] = row
        return rows

    def sources(self, perturbation_type: str | None) -> tuple[str, dict[str, int]]:
        """The type of intervention and the perturbation row of every gene it reaches.

        Without a type given the one that is there is taken. Names of compounds may look like ``<type>_<gene>`` too, so
        an unknown type counts only where no known one is there and one of its genes is also read.

        Raises
        ------
        ParameterError
            If there are several types and none is chosen, or the chosen one is not there.
        """
        types = self.types()
        listed = ", ".join(f"{kind!r} ({len(genes)} genes)" for kind, genes in types.items())
        if perturbation_type is not None:
            if perturbation_type not in types:
                raise ParameterError(
                    f"perturbation_type={perturbation_type!r} is not among the perturbations; there are: "
                    f"{listed or 'none of the form <type>_<gene>'}."
                )
            return perturbation_type, types[perturbation_type]
        read = self.targets()
        known = [kind for kind in types if kind in DIRECTION or kind.startswith("CRISPR")]
        known = known or [kind for kind, genes in types.items() if any(gene in read for gene in genes)]
        if len(known) > 1:
            raise ParameterError(
                f"this model has genes under several types of perturbation: {listed}. Choose one with "
                f"params={{'perturbation_type': {known[0]!r}}}."
            )
        return (known[0], types[known[0]]) if known else ("", {})


class LPMNetwork(nn.Module):
    """Context, perturbation and readout in, one number out; parameters are named as published.

    Parameters
    ----------
    symbols
        Names behind the rows of the tables.
    d
        Width of an embedding.
    hidden, layers
        Width and number of hidden layers.
    dropout
        Dropped fraction of hidden units in training.
    """

    def __init__(self, symbols: Symbols, d: int, hidden: int, layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.context_embedding_layer = nn.Embedding(len(symbols.contexts), d)
        self.perturb_embedding_layer = nn.Embedding(len(symbols.perturbations), d)
        self.readout_embedding_layer = nn.Embedding(len(symbols.readouts), d)
        modules: list[nn.Module] = []
        for layer in range(layers):
            modules += [nn.Linear(hidden if layer else 3 * d, hidden), nn.ReLU(), nn.Dropout(dropout)]
        self.predictor = nn.Sequential(*modules, nn.Linear(hidden if layers else 3 * d, 1))

    @property
    def linears(self) -> list[nn.Linear]:
        """Layers of the perceptron, the read-out last."""
        return [module for module in self.predictor if isinstance(module, nn.Linear)]

    def forward(self, contexts: Tensor, perturbations: Tensor, readouts: Tensor) -> Tensor:
        """Predictions (B,) from three embeddings (B, d)."""
        return cast(Tensor, self.predictor(torch.cat([contexts, perturbations, readouts], dim=-1)).squeeze(-1))

    def table(self, context: Tensor, perturbations: Tensor, readouts: Tensor) -> Tensor:
        """Predictions (B, R) of all pairs of perturbations (B, d) and readouts (R, d) in one context (d,).

        The first layer is a sum over its three inputs, so each is multiplied once, not once per pair.
        """
        first, *rest = self.linears
        of_context, of_perturbation, of_readout = first.weight.split(len(context), dim=1)
        shift = of_context @ context + first.bias
        hidden = (perturbations @ of_perturbation.T + shift).unsqueeze(1) + readouts @ of_readout.T
        for layer in rest:
            hidden = layer(torch.relu(hidden))
        return cast(Tensor, hidden.squeeze(-1))


def aggregate(members: Tensor, how: str) -> Tensor:
    """Embedding (d,) of a set of perturbations (k, d)."""
    if how == "max":
        return members.amax(dim=0)
    return members.sum(dim=0) if how == "sum" else members.mean(dim=0)


def read_symbols(checkpoint: Checkpoint) -> Symbols:
    """The three lists of symbols, each checked against its table.

    Raises
    ------
    WeightsError
        If a list is missing, holds something else than distinct names, or does not fit; or ``Control`` is missing.
    """
    strange = sorted(set(checkpoint.other) - set(LISTS))
    if strange:
        raise WeightsError(
            f"{checkpoint.path} has unexpected entries {', '.join(strange[:5])}; expected tensors and lists."
        )
    lists = [_names(checkpoint, key) for key in LISTS]
    for key, names in zip(LISTS, lists, strict=True):
        table = key.replace("_symbols", "_embedding_layer.weight")
        rows, _ = checkpoint.shape(table, 2)
        if rows != len(names):
            raise WeightsError(
                f"{checkpoint.path} has {len(names)} names in {key!r} and {rows} rows in {table!r}; every row must "
                "have one name."
            )
    if CONTROL not in lists[1]:
        raise WeightsError(
            f"{checkpoint.path} has no perturbation {CONTROL!r} among its {len(lists[1])} ({', '.join(lists[1][:3])}, "
            "...); without it there is nothing to compare an intervention with."
        )
    return Symbols(*lists)


def _names(checkpoint: Checkpoint, key: str) -> tuple[str, ...]:
    names: Any = checkpoint.other.get(key)
    if names is None:
        raise WeightsError(
            f"{checkpoint.path} lacks the list {key!r}; without it the rows of the table have no names. It has "
            f"{', '.join(sorted(checkpoint.other)) or 'no lists'}."
        )
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise WeightsError(f"{key!r} in {checkpoint.path} is a {type(names).__name__}; expected a list of names.")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise WeightsError(f"{key!r} in {checkpoint.path} repeats {', '.join(map(repr, twice[:5]))}.")
    return tuple(names)
