"""What the files of scGPT, and of scGenePT, which is made of it, say of a network; and which variants are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F

from grn._core.errors import WeightsError
from grn.models._blocks import BlockConfig
from grn.models._checkpoint import Checkpoint

SPECIAL = ("<pad>", "<cls>", "<eoc>")
REFUSED = {
    "dsbn.*": "domain-specific batch norm, whose statistics depend on a batch label that a virtual cell has not",
    "batch_encoder.*": "an encoding of the batch label, which a virtual cell has not",
    "pert_encoder.*": "a perturbation fine-tune with another input and head",
    "value_encoder.embedding.*": "values encoded as categories, which have no gradient",
}
HABITS = {"input_emb_style": "continuous", "input_style": "binned"}
UNUSED = ("cls_decoder.*", "grad_reverse_discriminator.*", "*zero_logit*")


def block_of(checkpoint: Checkpoint, heads: int) -> BlockConfig:
    """Sizes of the transformer from the shapes of its first layer."""
    key = "transformer_encoder.layers.0.linear1.weight"
    feedforward, d = checkpoint.shape(key, 2)
    if d % heads:
        raise WeightsError(
            f"{key!r} in {checkpoint.path} is {d} wide, which {heads} heads do not divide; correct nheads in args.json "
            "or, for scGenePT, pass params={'heads': ...}."
        )
    return BlockConfig(d, heads, feedforward, F.relu, 1e-5, "post")


def layout_of(checkpoint: Checkpoint) -> dict[str, str]:
    """Published names of the attention parameters: with or without flash attention, old or new."""
    start = "transformer_encoder.layers.0.self_attn."
    for qkv, out in (("Wqkv.", "out_proj."), ("_impl.Wqkv.", "_impl.out_proj."), ("in_proj_", "out_proj.")):
        if any(key.startswith(start + qkv) for key in checkpoint.tensors):
            return {"qkv.": qkv, "out.": out}
    raise WeightsError(f"{checkpoint.path} lacks the key '{start}Wqkv.weight' and its other names (in_proj_weight).")


def stack_name(own: str, layout: dict[str, str]) -> str:
    """Published key of a parameter of the stack, ``stack.layers.I.…``."""
    name = own.replace("stack.", "transformer_encoder.", 1)
    for ours, theirs in layout.items():
        name = name.replace(f"attention.{ours}", f"self_attn.{theirs}")
    return name


def read_vocabulary(checkpoint: Checkpoint, rows: int) -> dict[str, int]:
    """Tokens by name from vocab.json, checked against the embedding."""
    vocabulary = checkpoint.json("vocab.json")
    if sorted(vocabulary.values(), key=str) != sorted(range(rows), key=str):
        missing = ", ".join(name for name in SPECIAL if name not in vocabulary)
        raise WeightsError(
            f"{checkpoint.folder / 'vocab.json'} has {len(vocabulary)} entries, the embedding {rows} rows; every row "
            f"must have exactly one name{f' (there is no {missing})' if missing else ''}. Use the vocabulary that "
            "belongs to the checkpoint."
        )
    return {str(name): int(row) for name, row in vocabulary.items()}


def check_variant(checkpoint: Checkpoint, args: Mapping[str, Any]) -> None:
    """Refuse checkpoints that compute something else than this network."""
    for pattern, what in REFUSED.items():
        if any(key.startswith(pattern[:-1]) for key in checkpoint.tensors):
            raise WeightsError(f"{checkpoint.path} has {pattern}: {what}. Use a pretrained checkpoint.")
    for key, wanted in HABITS.items():
        if args.get(key, wanted) != wanted:
            raise WeightsError(
                f"args.json of {checkpoint.path} says {key}={args[key]!r}; only {wanted!r} is supported, as in the "
                "published checkpoints."
            )


def check_sizes(checkpoint: Checkpoint, args: Mapping[str, Any], block: BlockConfig, layers: int) -> None:
    """Refuse an args.json of another checkpoint, as the number of heads comes from it alone."""
    for key, found in (("embsize", block.d), ("d_hid", block.d_feedforward), ("nlayers", layers)):
        if args.get(key, found) != found:
            raise WeightsError(
                f"args.json says {key}={args[key]!r}, the parameters in {checkpoint.path} {found}; use the args.json "
                "that belongs to the checkpoint."
            )
