"""What lies in a GeneCompass checkpoint: configuration, key layouts, dictionaries, and whether they agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from grn._core.errors import WeightsError, WeightsNotFoundError
from grn._core.logging import hint, logger
from grn.models._blocks import BlockConfig
from grn.models._bounds import number
from grn.models._checkpoint import Checkpoint
from grn.models._genecompass_network import PRIORS, Parts

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "relu": F.relu, "silu": F.silu}
# tied copies, tables that can be computed, and heads of fine-tuned classifiers
UNUSED = (
    "bert.embeddings.position_ids",
    "bert.embeddings.homologous_index",
    "cls.predictions.decoder.*",
    "cls4value.predictions.decoder.bias",
    "bert.pooler.*",
    "classifier.*",
)
_BARE = ("embeddings.", "encoder.", "cls_embedding.", "pooler.")
_TIES = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
    "cls4value.predictions.decoder.bias": "cls4value.predictions.bias",
}


def canonical(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint under one set of names: with ``bert.``, ``weight`` and ``bias`` of norms, the biases of heads."""
    bare = not any(key.startswith("bert.") for key in checkpoint.tensors)
    tensors: dict[str, Tensor] = {}
    for key, value in checkpoint.tensors.items():
        name = f"bert.{key}" if bare and key.startswith(_BARE) else key
        if name.endswith("LayerNorm.gamma"):
            name = name.removesuffix("gamma") + "weight"
        elif name.endswith("LayerNorm.beta"):
            name = name.removesuffix("beta") + "bias"
        tensors[name] = value
    for head in ("cls", "cls4value"):  # one of two tied names may be left out of a file
        copy = f"{head}.predictions.decoder.bias"
        if copy in tensors:
            tensors.setdefault(f"{head}.predictions.bias", tensors[copy])
    return replace(checkpoint, tensors=tensors)


def config_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """config.json, checked for what this package does not compute and against the sizes of the parameters."""
    config = checkpoint.json("config.json")
    if "quantization_config" in config:
        raise WeightsError(f"{checkpoint.path} is quantised; use the checkpoint in full precision.")
    act = config.get("hidden_act", "gelu")
    if act not in ACTIVATIONS:
        raise WeightsError(f"config.json says hidden_act={act!r}; known are {', '.join(ACTIVATIONS)}.")
    for key, plain in (("position_embedding_type", "absolute"), ("is_decoder", False)):
        if config.get(key, plain) != plain:
            raise WeightsError(f"config.json says {key}={config[key]!r}; only {plain!r} is known.")
    rows, d = checkpoint.shape("bert.embeddings.word_embeddings.weight", 2)
    layers = checkpoint.count("bert.encoder.layer.{}.")
    for key, size in (("num_hidden_layers", layers), ("hidden_size", d), ("vocab_size", rows)):
        if config.get(key, size) != size:
            raise WeightsError(
                f"config.json says {key}={config[key]!r}; {checkpoint.path} has {size}. Use the config.json that "
                "belongs to the checkpoint, or fetch it again."
            )
    return config


def block_of(checkpoint: Checkpoint, config: Mapping[str, Any]) -> BlockConfig:
    """Sizes of the layers from the shapes of the first."""
    feedforward, d = checkpoint.shape("bert.encoder.layer.0.intermediate.dense.weight", 2)
    heads = number(config, "num_attention_heads", checkpoint.path)
    if d % heads:
        raise WeightsError(f"{checkpoint.path} is {d} wide, which {heads} heads (num_attention_heads) do not divide.")
    eps = number(config, "layer_norm_eps", checkpoint.path, kind=float, default=1e-12)
    return BlockConfig(d, heads, feedforward, ACTIVATIONS[config.get("hidden_act", "gelu")], eps, "post")


def parts_of(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Parts:
    """What the checkpoint is made of, by its keys; the ``use_...`` flags of the configuration must say the same."""
    n, d = checkpoint.shape("bert.embeddings.word_embeddings.weight", 2)
    there = {p: _any(checkpoint, f"bert.embeddings.{p}_") for p in PRIORS}
    used = {p: _agreed(checkpoint, config, f"use_{p}", f"bert.embeddings.{p}_*", found=there[p]) for p in PRIORS}
    priors = {p: checkpoint.shape(f"bert.embeddings.{p}_knowledge", 2)[1] for p in PRIORS if used[p]}
    concat = _any(checkpoint, "bert.embeddings.concat_embeddings.")
    values = False
    if concat or priors:
        key = "bert.embeddings.concat_embeddings.cat_fc.weight"
        width, plain = checkpoint.shape(key, 2)[1], (1 + len(priors)) * d
        if width not in (plain, plain + 1):
            raise WeightsError(
                f"{key} in {checkpoint.path} takes {width} inputs; a word, {len(priors)} kinds of prior knowledge "
                f"({', '.join(priors) or 'none'}) and a value are {plain} or {plain + 1}."
            )
        values = width == plain + 1
    species = _any(checkpoint, "bert.cls_embedding.")
    _agreed(checkpoint, config, "use_values", "a column for the value in concat_embeddings.cat_fc", found=values)
    _agreed(checkpoint, config, "use_cls_token", "bert.cls_embedding.weight", found=species)
    return Parts(
        n,
        checkpoint.shape("bert.embeddings.position_embeddings.weight", 2)[0],
        checkpoint.shape("bert.embeddings.token_type_embeddings.weight", 2)[0],
        priors,
        concat=concat or bool(priors),
        values=values,
        species=species,
        logit=_any(checkpoint, "cls.predictions."),
        value=_any(checkpoint, "cls4value."),
        warmup=_any(checkpoint, "emb_warmup."),
    )


def _any(checkpoint: Checkpoint, start: str) -> bool:
    return any(key.startswith(start) for key in checkpoint.tensors)


def _agreed(checkpoint: Checkpoint, config: Mapping[str, Any], flag: str, what: str, *, found: bool) -> bool:
    stated = config.get(flag, found)
    if not isinstance(stated, bool):
        raise WeightsError(f"config.json says {flag}={stated!r}; expected true or false.")
    if stated != found:
        raise WeightsError(
            f"config.json says {flag}={str(stated).lower()}, but {checkpoint.path} {'has' if found else 'lacks'} {what}"
            ". Use the config.json that belongs to the checkpoint."
        )
    return found


def check_ties(checkpoint: Checkpoint) -> None:
    """Refuse a head whose stored copy of a shared parameter is another one."""
    for copy, of in _TIES.items():
        tensors = checkpoint.tensors
        if copy in tensors and not (
            tensors[copy].shape == tensors[of].shape and torch.equal(tensors[copy], tensors[of].to(tensors[copy].dtype))
        ):
            raise WeightsError(
                f"{copy} in {checkpoint.path} differs from {of}; in GeneCompass they are one parameter, so the file is "
                "damaged or of another architecture."
            )


def check_homologues(checkpoint: Checkpoint, parts: Parts) -> None:
    """Refuse homologues that are no tokens."""
    key = "bert.embeddings.homologous_index"
    if parts.priors:
        index = checkpoint.tensors[key]
        if int(index.min()) < 0 or int(index.max()) >= parts.n:
            raise WeightsError(
                f"{key} in {checkpoint.path} runs from {int(index.min())} to {int(index.max())}; expected tokens "
                f"0 to {parts.n - 1}."
            )


def read_tokens(checkpoint: Checkpoint, rows: int, path: str | Path | None) -> dict[str, int]:
    """Token of every id, checked against the embedding."""
    tokens = checkpoint.dictionary("*tokens*.pickle", "*tokens*.pkl", what="the token dictionary", path=path)
    if not all(isinstance(name, str) for name in tokens) or sorted(tokens.values(), key=str) != sorted(
        range(rows), key=str
    ):
        raise WeightsError(
            f"the token dictionary has {len(tokens)} entries, the embedding in {checkpoint.path} {rows} rows; every "
            "row must have exactly one name. Use the human_mouse_tokens.pickle that belongs to the checkpoint, or pass "
            "params={'token_dictionary': PATH}."
        )
    return {str(name): int(row) for name, row in tokens.items()}


def read_medians(
    checkpoint: Checkpoint, tokens: Mapping[str, int], organism: str, path: str | Path | None
) -> dict[str, float]:
    """Median count of every gene; empty, with a note, when no dictionary is there."""
    pattern = f"*{organism}*median*"
    try:
        medians = checkpoint.dictionary(f"{pattern}.pickle", f"{pattern}.pkl", what="the medians", path=path)
    except WeightsNotFoundError:
        if path is not None:
            raise
        logger.warning(
            "%s: no dictionary of medians (%s.pickle) was found, so every median is 1; pass "
            "params={'gene_medians': PATH} to use the authors'",
            checkpoint.path,
            pattern,
        )
        return {}
    numbers = [isinstance(value, int | float) and not isinstance(value, bool) for value in medians.values()]
    usual = {str(gene): value for gene, value in medians.items() if gene in tokens}
    if not all(numbers) or not usual:
        raise WeightsError(
            f"the dictionary of medians has {len(medians)} entries, {len(usual)} of them genes of {checkpoint.path} "
            f"and {sum(numbers)} numbers; expected a median count by Ensembl id."
        )
    usable = {gene: float(value) for gene, value in usual.items() if math.isfinite(value) and value > 0}
    if len(usable) < len(usual):
        hint("%d genes have no positive median and count as 1", len(usual) - len(usable))
    return usable
