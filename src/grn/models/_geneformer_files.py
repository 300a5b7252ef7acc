"""Where the parts of Geneformer lie in a checkpoint, and what is checked before they are used."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from grn._core.errors import ParameterError, WeightsError
from grn._core.logging import hint
from grn.models._blocks import BlockConfig
from grn.models._bounds import number, panel_size
from grn.models._checkpoint import Checkpoint, Names, published
from grn.models._geneformer_network import GeneformerNetwork
from grn.models._model_file import save_tensors

REQUIRED, ENDS = ("<pad>", "<mask>"), ("<cls>", "<eos>")
# copies of the word embeddings and of the bias, tied to them
DECODER = ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias")
UNUSED = (*DECODER, "*embeddings.position_ids", "*pooler.dense.*", "classifier.*", "cls.seq_relationship.*")
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu}
_TABLES = {
    "word": "embeddings.word_embeddings",
    "position": "embeddings.position_embeddings",
    "kind": "embeddings.token_type_embeddings",
    "norm": "embeddings.LayerNorm",
}
_LAYER = {
    "attention.out": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm2": "output.LayerNorm",
}
_HEAD = {"dense": "transform.dense", "norm": "transform.LayerNorm"}


def published_key(own: str) -> str | tuple[str, ...]:
    """Published key of a parameter of :class:`GeneformerNetwork`."""
    module, _, kind = own.rpartition(".")
    if module in _TABLES:
        return f"bert.{_TABLES[module]}.{kind}"
    if module.startswith("head"):
        inner = module.removeprefix("head").removeprefix(".")
        return f"cls.predictions.{_HEAD[inner] + '.' if inner else ''}{kind}"
    _, _, layer, part = module.split(".", 3)
    start = f"bert.encoder.layer.{layer}."
    if part == "attention.qkv":
        return tuple(f"{start}attention.self.{name}.{kind}" for name in ("query", "key", "value"))
    return f"{start}{_LAYER[part]}.{kind}"


def keys_of(checkpoint: Checkpoint) -> Names:
    """The same in the spelling of a checkpoint: old names of norms, no prefix, the bias under its second name."""
    start = prefix(checkpoint)
    old = checkpoint.has(f"{start}embeddings.LayerNorm.gamma")
    bias = "cls.predictions.bias"
    bias = bias if checkpoint.has(bias) or not checkpoint.has(DECODER[1]) else DECODER[1]

    def spelled(key: str) -> str:
        if key == "cls.predictions.bias":
            return bias
        if old and "LayerNorm" in key:
            key = key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        return key.replace("bert.", start, 1) if key.startswith("bert.") else key

    def names(own: str) -> str | tuple[str, ...]:
        keys = published_key(own)
        return spelled(keys) if isinstance(keys, str) else tuple(map(spelled, keys))

    return names


def prefix(checkpoint: Checkpoint) -> str:
    """What stands before the keys of the encoder: nothing where it was saved without a head."""
    return "" if checkpoint.has("embeddings.word_embeddings.weight") else "bert."


def read_vocabulary(checkpoint: Checkpoint, rows: int, path: str | Path | None = None) -> dict[str, int]:
    """Tokens by name, checked against the table of word embeddings."""
    tokens = checkpoint.dictionary("token_dictionary*.pkl", what="the token dictionary", path=path)
    whole = all(isinstance(t, int) and not isinstance(t, bool) for t in tokens.values())
    if not whole or not all(isinstance(name, str) for name in tokens):
        raise WeightsError("the token dictionary does not map names to integers; use the one of the authors.")
    if sorted(tokens.values()) != list(range(rows)):
        raise WeightsError(
            f"the token dictionary has {len(tokens)} entries up to {max(tokens.values(), default='none')}, the word "
            f"embeddings of {checkpoint.path} {rows} rows; every row must have exactly one name. V1 and V2 have "
            "different dictionaries: use the one that belongs to the checkpoint."
        )
    missing = [name for name in REQUIRED if name not in tokens]
    missing += [name for name in ENDS if (ENDS[0] in tokens or ENDS[1] in tokens) and name not in tokens]
    if missing:
        raise WeightsError(f"the token dictionary lacks {', '.join(missing)}; use the one of the authors.")
    return dict(tokens)


def read_medians(checkpoint: Checkpoint, genes: Sequence[str], path: str | Path | None = None) -> dict[str, float]:
    """Medians by gene, positive; some genes may have none."""
    dictionary = checkpoint.dictionary("gene_median_dictionary*.pkl", what="the dictionary of gene medians", path=path)
    medians = {gene: dictionary[gene] for gene in genes if gene in dictionary}
    wrong = [g for g, m in medians.items() if not isinstance(m, int | float) or not 0 < m < math.inf]
    if wrong or not medians:
        what = f"{wrong[0]} has {medians[wrong[0]]!r}" if wrong else f"none of the {len(genes)} genes is in it"
        raise WeightsError(f"the dictionary of gene medians does not fit: {what}; expected positive numbers by gene.")
    if len(medians) < len(genes):
        count = len(genes) - len(medians)
        hint("%s: %d of %d genes have no median; real cells go without them", checkpoint.path, count, len(genes))
    return {gene: float(m) for gene, m in medians.items()}


def read_config(checkpoint: Checkpoint) -> tuple[BlockConfig, int]:
    """config.json checked against the shapes of the parameters: habits of a layer, number of layers."""
    config, start = checkpoint.json("config.json"), prefix(checkpoint)
    if "quantization_config" in config:
        raise WeightsError(f"{checkpoint.path} is quantised; use the checkpoint in full precision.")
    for key, plain in (("position_embedding_type", "absolute"), ("is_decoder", False), ("model_type", "bert")):
        if config.get(key, plain) != plain:
            raise WeightsError(f"config.json says {key}={config[key]!r}; Geneformer has {plain!r}.")
    activation = config.get("hidden_act")
    if activation not in ACTIVATIONS:
        raise WeightsError(f"config.json says hidden_act={activation!r}; known are {', '.join(ACTIVATIONS)}.")
    layers = checkpoint.count(start + "encoder.layer.{}.")
    rows, d = checkpoint.shape(f"{start}embeddings.word_embeddings.weight", 2)
    feedforward, _ = checkpoint.shape(f"{start}encoder.layer.0.intermediate.dense.weight", 2)
    for key, size in (("hidden_size", d), ("num_hidden_layers", layers), ("vocab_size", rows)):
        if config.get(key, size) != size:
            raise WeightsError(f"config.json says {key}={config[key]!r}; {checkpoint.path} has {size}.")
    heads = number(config, "num_attention_heads", checkpoint.path)
    if d % heads:
        raise WeightsError(f"{checkpoint.path} is {d} wide, which {heads} heads do not divide.")
    eps = number(config, "layer_norm_eps", checkpoint.path, kind=float, default=1e-12)
    return BlockConfig(d, heads, feedforward, ACTIVATIONS[activation], eps, "post"), layers


def has_head(checkpoint: Checkpoint, readout: str) -> bool:
    """Whether there is a head for masked tokens; a decoder that is no copy of the word embeddings is refused."""
    if not any(key.startswith("cls.predictions.") for key in checkpoint.tensors):
        if readout in ("log_prob", "masked"):
            raise ParameterError(f"{checkpoint.path} has no head for readout={readout!r}; use readout='shift'.")
        if readout == "logit":
            what = "has no head for masked tokens, so it offers attention and embedding only; with readout='shift' more"
            hint("%s %s", checkpoint.path, what)
        return False
    ties = zip(DECODER, (f"{prefix(checkpoint)}embeddings.word_embeddings.weight", "cls.predictions.bias"), strict=True)
    for copy, origin in ties:
        if checkpoint.has(copy, origin) and not torch.equal(checkpoint.tensors[copy], checkpoint.tensors[origin]):
            raise WeightsError(f"{copy!r} in {checkpoint.path} differs from {origin!r}, to which it should be tied.")
    return True


def room(vocabulary: Mapping[str, int], positions: int, asked: int | None) -> int:
    """Genes that fit the positions beside the special tokens, or fewer if asked for."""
    return panel_size(asked, positions - len(ENDS) * (ENDS[0] in vocabulary))


def write_folder(
    folder: Path,
    network: GeneformerNetwork,
    *,
    sizes: Mapping[str, int],
    tokens: Mapping[str, int],
    medians: Mapping[str, float],
) -> Path:
    """Write config.json, model.safetensors and both dictionaries, as the authors name them."""
    folder.mkdir(parents=True, exist_ok=True)
    block = next(iter(network.stack))
    activation = next(name for name, function in ACTIVATIONS.items() if function is block.activation)
    config = {
        "architectures": ["BertForMaskedLM"],
        "model_type": "bert",
        "hidden_size": sizes["width"],
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "intermediate_size": sizes["feedforward"],
        "max_position_embeddings": sizes["positions"],
        "vocab_size": network.word.num_embeddings,
        "type_vocab_size": network.kind.num_embeddings,
        "hidden_act": activation,
        "layer_norm_eps": block.norm1.eps,
        "pad_token_id": tokens["<pad>"],
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    (folder / "token_dictionary.pkl").write_bytes(pickle.dumps(dict(tokens)))
    (folder / "gene_median_dictionary.pkl").write_bytes(pickle.dumps(medians))
    save_tensors(folder / "model.safetensors", published(network, published_key), {"format": "pt"})
    return folder
