"""Sentences of cells in which genes are taken out, or raised above all others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from grn.models._sentences import Sentence


@dataclass(frozen=True)
class SentenceLayout:
    """How the sentences of a model are written.

    Parameters
    ----------
    before, behind
        Special tokens at the start and at the end of a sentence.
    shows_silent
        Whether genes that a cell does not express are in its sentence, with the value 0.
    """

    before: int = 0
    behind: int = 0
    shows_silent: bool = False


def perturbed(sentence: Sentence, genes: Tensor, mode: str, layout: SentenceLayout, most: int) -> Sentence | None:
    """The sentence in which some genes are taken out or raised.

    Parameters
    ----------
    sentence
        The cell.
    genes
        Tokens of the genes (p,).
    mode
        ``"delete"``: the genes are taken out, or silenced where silent genes are shown; only if the cell expresses all
        of them. ``"overexpress"``: they are put first with the largest value of the cell, those that it expresses in
        the order in which it has them, then the others by token. What a full sentence has no room for is dropped from
        its end, where silent genes come last.
    layout
        How the sentence is written.
    most
        Most genes of a sentence.

    Returns
    -------
    Sentence or None
        ``None`` where the genes cannot be taken out, or nothing would be left.
    """
    stop = len(sentence.ids) - layout.behind
    ids = sentence.ids[layout.before : stop]
    values = torch.ones(len(ids)) if sentence.values is None else sentence.values[layout.before : stop]
    expressed = ids[values > 0] if layout.shows_silent else ids
    if mode == "delete":
        changed = _deleted(ids, values, expressed, genes, layout)
    else:
        changed = _raised(ids, values, expressed, genes, layout, most)
    if changed is None:
        return None
    inner, value = changed
    parts = [sentence.ids[: layout.before], inner, sentence.ids[stop:]]
    if sentence.values is None:
        return replace(sentence, ids=torch.cat(parts))
    ends = sentence.values[: layout.before], sentence.values[stop:]
    return replace(sentence, ids=torch.cat(parts), values=torch.cat([ends[0], value, ends[1]]))


def _deleted(
    ids: Tensor, values: Tensor, expressed: Tensor, genes: Tensor, layout: SentenceLayout
) -> tuple[Tensor, Tensor] | None:
    if not bool(torch.isin(genes, expressed).all()) or len(expressed) == len(genes):
        return None
    gone = torch.isin(ids, genes)
    if layout.shows_silent:
        return ids, values.masked_fill(gone, 0.0)
    return ids[~gone], values[~gone]


def _raised(
    ids: Tensor, values: Tensor, expressed: Tensor, genes: Tensor, layout: SentenceLayout, most: int
) -> tuple[Tensor, Tensor]:
    there = expressed[torch.isin(expressed, genes)]
    first = torch.cat([there, genes[~torch.isin(genes, there)].sort().values])[:most]
    rest = ~torch.isin(ids, first)
    # the ones that go if there is no room for all are those that the cell does not express
    order = torch.argsort((values[rest] <= 0) if layout.shows_silent else torch.zeros(int(rest.sum())), stable=True)
    top = values.max().expand(len(first))
    inner = torch.cat([first, ids[rest][order]])[:most]
    return inner, torch.cat([top, values[rest][order]])[:most]
