"""What a Lightning file of scPRINT says about its network, and which of its variants are refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F

from grn._core.errors import WeightsError
from grn.models._blocks import BlockConfig
from grn.models._bounds import number
from grn.models._checkpoint import Checkpoint
from grn.models._scprint_network import ClassHead, Layout

TABLES = tuple(f"gene_encoder.{part}.weight" for part in ("embedding", "embeddings", "0.embedding", "0.embeddings"))
_FIRST = "transformer.blocks.0."
# positions of a layer among others that hold no parameters
_PLACE, _SPACE = re.compile("[0-9]{1,6}"), 8

# starts of keys that belong to variants with another forward pass
_FOREIGN = {
    "cell_transformer.": "cell tokens that go through a transformer of their own (cell_specific_blocks)",
    "metacell_encoder.": "a token for metacells",
    "compressor.": "compressed cell tokens (compress_class_dim)",
}
# what the forward pass here is; hyper_parameters that are missing have the first value
_KNOWN: Mapping[str, tuple[Any, ...]] = {
    "normalization": ("sum", "log"),
    "transformer": ("flash", "normal"),
    "attn_bias": ("none", "None", None),
    "expr_emb_style": ("continuous",),
    "domain_spec_batchnorm": ("None", "none", None, False),
    "cell_emb_style": ("cls",),
    "prenorm": (True,),
    "depth_atinput": (True,),
    "cell_specific_blocks": (False,),
    "use_metacell_token": (False,),
    "compress_class_dim": (None,),
}


def refuse_variants(checkpoint: Checkpoint) -> None:
    """Raise for files whose forward pass is another one, scPRINT-2 above all."""
    hyper = checkpoint.hyper
    if not hyper:
        raise WeightsError(f"{checkpoint.path} has no hyper_parameters; scPRINT needs its whole Lightning .ckpt file.")
    foreign = [f"keys {start}* ({what})" for start, what in _FOREIGN.items() if _starts(checkpoint, start)]
    foreign += [
        f"{name}={hyper[name]!r} (known: {', '.join(map(repr, values))})"
        for name, values in _KNOWN.items()
        if name in hyper and hyper[name] not in values
    ]
    if isinstance(hyper.get("genes"), Mapping):
        foreign.append("one list of genes per organism")
    if hyper.get("num_heads_kv") not in (None, hyper.get("nhead")):
        foreign.append(f"num_heads_kv={hyper['num_heads_kv']!r}, fewer keys than queries")
    if foreign:
        raise WeightsError(
            f"{checkpoint.path} is a variant of scPRINT that is not supported: {'; '.join(foreign)}. Use a checkpoint "
            "of scPRINT v1 (small-v1, medium-v1, large-v1); scPRINT-2 is another model."
        )


def layout_of(checkpoint: Checkpoint) -> Layout:
    """Sizes and variant of a checkpoint: sizes from the shapes, heads and names from its hyper_parameters."""
    hyper, path = checkpoint.hyper, checkpoint.path
    table = next((key for key in TABLES if checkpoint.has(key)), None)
    if table is None:
        raise WeightsError(f"{path} lacks the gene table; looked for the keys {', '.join(TABLES)}.")
    rows, d = checkpoint.shape(table, 2)
    classes = _classes(checkpoint)
    layers = checkpoint.count("transformer.blocks.{}.")
    if hyper.get("nlayers", layers) != layers:
        raise WeightsError(f"{path} holds {layers} transformer.blocks, its hyper_parameters say {hyper['nlayers']}.")
    return Layout(
        genes=rows,
        block=_block(checkpoint, d, number(hyper, "nhead", path)),
        layers=layers,
        classes=classes,
        heads={name: _head(checkpoint, name) for name in classes if _starts(checkpoint, f"cls_decoders.{name}.")},
        value_layers=_depth(checkpoint, "expr_encoder"),
        depth_layers=_depth(checkpoint, "depth_encoder"),
        outputs=_outputs(checkpoint, d),
        mvc=_mvc(checkpoint, d),
        position=tuple(checkpoint.tensors["pos_encoder.pe"].shape) if checkpoint.has("pos_encoder.pe") else None,
        normalization=hyper.get("normalization", "sum"),
        table=table,
    )


def genes_of(checkpoint: Checkpoint, layout: Layout) -> tuple[str, ...]:
    """Gene of every row of the table."""
    genes = checkpoint.hyper.get("genes")
    if isinstance(genes, str) or not isinstance(genes, list | tuple) or not all(isinstance(g, str) for g in genes):
        raise WeightsError(f"{checkpoint.path} has no list of genes in hyper_parameters['genes'].")
    if len(genes) != layout.genes or len(set(genes)) != len(genes):
        raise WeightsError(
            f"{checkpoint.path} lists {len(genes)} genes, {len(set(genes))} of them distinct, and {layout.table} has "
            f"{layout.genes} rows; every row must have exactly one name. The vocabulary belongs to another checkpoint."
        )
    shape = layout.position
    if shape is not None and shape not in ((len(genes), 1, layout.block.d), (len(genes), layout.block.d)):
        raise WeightsError(f"pos_encoder.pe in {checkpoint.path} is {shape}, expected {(len(genes), layout.block.d)}.")
    return tuple(genes)


def _classes(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Names of the classes: a dict with numbers of labels in version 1, a list where version 2 saved again."""
    classes = checkpoint.hyper.get("classes", ())
    rows, _ = checkpoint.shape("class_encoder.embedding.weight", 2)
    if not isinstance(classes, Mapping | list | tuple) or len(classes) != rows - 1:
        raise WeightsError(
            f"{checkpoint.path}: hyper_parameters['classes'] is {list(classes) if classes else classes!r}, but "
            f"class_encoder.embedding.weight has {rows} rows; expected one more than there are classes."
        )
    return tuple(map(str, classes))


def _block(checkpoint: Checkpoint, d: int, heads: int) -> BlockConfig:
    projected = checkpoint.shape(_FIRST + "mixer.Wqkv.weight", 2)
    if projected[0] != 3 * d:
        raise WeightsError(
            f"{_FIRST}mixer.Wqkv.weight in {checkpoint.path} is {projected}, expected {(3 * d, d)}; heads that share "
            "keys (num_heads_kv) are a variant that is not supported."
        )
    if d % heads:
        raise WeightsError(f"{checkpoint.path} is {d} wide, which {heads} heads (nhead) do not divide.")
    feedforward, _ = checkpoint.shape(_FIRST + "mlp.fc1.weight", 2)
    return BlockConfig(d, heads, feedforward, F.gelu, 1e-6, "pre")


def _depth(checkpoint: Checkpoint, encoder: str) -> int:
    """Linear layers of an encoder of numbers."""
    n = 1
    while checkpoint.has(f"{encoder}.encoder.{4 * n}.weight"):
        n += 1
    wanted = checkpoint.hyper.get("expr_encoder_layers", n)
    if n != wanted:
        raise WeightsError(f"{checkpoint.path}: {encoder} has {n} layers, expr_encoder_layers says {wanted}.")
    return n


def _outputs(checkpoint: Checkpoint, d: int) -> int:
    outputs, _ = checkpoint.shape("expr_decoder.pred_var_zero.weight", 2)
    first = checkpoint.shape("expr_decoder.fc.0.weight", 2)
    if first == (d, d + 1):
        raise WeightsError(
            f"expr_decoder.fc.0.weight in {checkpoint.path} is {first}: depth enters at the decoder "
            "(depth_atinput=False), a variant that is not supported."
        )
    if outputs not in (1, 3):
        raise WeightsError(
            f"expr_decoder.pred_var_zero.weight in {checkpoint.path} has {outputs} rows; expected 3 (ZINB) or 1."
        )
    return outputs


def _mvc(checkpoint: Checkpoint, d: int) -> int:
    """Outputs of the decoder from the cell; 0 without one, and where it is none of inner products."""
    style = checkpoint.hyper.get("mvc_decoder", "inner product")
    key = "mvc_decoder.pred_var_zero.weight"
    if not checkpoint.has(key) or not str(style).startswith("inner product"):
        return 0
    rows, _ = checkpoint.shape(key, 2)
    if rows not in (d, 3 * d):
        raise WeightsError(f"{key} in {checkpoint.path} has {rows} rows; expected {3 * d} (ZINB) or {d}.")
    return rows // d


def _head(checkpoint: Checkpoint, name: str) -> ClassHead:
    """Classifier of a class: its hidden layers are the matrices among ``decoder.I.weight``."""
    start = f"cls_decoders.{name}.decoder."
    tensors = checkpoint.tensors
    places = sorted(int(k.removeprefix(start).split(".")[0]) for k in tensors if _is_matrix(checkpoint, k, start))
    if places and places[-1] > _SPACE * len(tensors):
        raise WeightsError(f"{start}{places[-1]} in {checkpoint.path} stands far behind the layers that are there.")
    hidden = tuple((place, tensors[f"{start}{place}.weight"].shape[0]) for place in places)
    labels, _ = checkpoint.shape(f"cls_decoders.{name}.out_layer.weight", 2)
    return ClassHead(hidden, labels)


def _is_matrix(checkpoint: Checkpoint, key: str, start: str) -> bool:
    place, _, rest = key.removeprefix(start).partition(".")
    named = key.startswith(start) and _PLACE.fullmatch(place) is not None and rest == "weight"
    return named and checkpoint.tensors[key].dim() == 2


def _starts(checkpoint: Checkpoint, start: str) -> bool:
    return any(key.startswith(start) for key in checkpoint.tensors)
