"""Files of scPRINT v1: every layout gives the same numbers, and what is damaged or unsafe is refused."""

from __future__ import annotations

import functools
import os
import pathlib
import sys
import types

import pytest
import torch

import grn
from grn.errors import ParameterError, WeightsError

TABLES = ("embedding", "embeddings", "0.embedding", "0.embeddings")
HUMAN = tuple(f"ENSG{i:011d}" for i in range(14))
MOUSE = tuple(f"ENSMUSG{i:011d}" for i in range(6))


def tiny(genes=HUMAN, **sizes):
    return grn.models.untrained("scprint", genes=genes, **({"layers": 2, "width": 16, "heads": 4} | sizes))


def content(model, path) -> dict:
    return torch.load(grn.models.save(model, path), weights_only=True)


def answers(model) -> torch.Tensor:
    """Response to a few virtual cells of all genes."""
    panel = model.panel(model.source_genes, model.target_genes)
    values = torch.arange(1.0, 1 + 3 * len(panel)).reshape(3, -1).remainder(7)
    return model.respond(panel, values)


@pytest.mark.parametrize("sizes", [{"layers": 1, "width": 8, "heads": 1}, {"layers": 3, "heads": 2, "feedforward": 20}])
def test_any_size_survives_a_file(tmp_path, sizes):
    model = tiny(**sizes)
    found = grn.models.load(grn.models.save(model, tmp_path))  # a folder gets model.ckpt
    assert (tmp_path / "model.ckpt").is_file()
    assert found.sizes == model.sizes and found.family == "scprint"
    assert torch.equal(answers(found), answers(model))
    assert found.embed(found.panel(HUMAN[:2], ())).shape == (2, model.sizes["width"])


def _list_of_classes(state):
    hyper = state["hyper_parameters"]
    hyper["label_counts"] = hyper["classes"]
    hyper["classes"] = list(hyper["classes"])
    del hyper["organisms"], hyper["normalization"], hyper["transformer"]


def _without_zeros(state):
    for key, rows in (("expr_decoder.pred_var_zero.weight", 1), ("mvc_decoder.pred_var_zero.weight", 16)):
        state["state_dict"][key] = state["state_dict"][key][:rows]
    state["state_dict"]["expr_decoder.pred_var_zero.bias"] = state["state_dict"]["expr_decoder.pred_var_zero.bias"][:1]
    state["hyper_parameters"]["zinb"] = False


def _without(*starts):
    def change(state):
        kept = {k: v for k, v in state["state_dict"].items() if not k.startswith(starts)}
        state["state_dict"] = kept

    return change


def _table(name):
    def change(state):
        state["state_dict"][f"gene_encoder.{name}.weight"] = state["state_dict"].pop("gene_encoder.embedding.weight")

    return change


def _deeper_classifier(state):
    start = "cls_decoders.sex_ontology_term_id.decoder."
    for key in ("0.weight", "0.bias", "1.weight", "1.bias"):
        place, _, rest = key.partition(".")
        state["state_dict"][f"{start}{int(place) + 4}.{rest}"] = state["state_dict"][start + key].clone()


def _discriminator(state):
    state["state_dict"]["grad_reverse_discriminator_loss.out_layer.weight"] = torch.zeros(3, 16)


def _zero_position(shape):
    return lambda state: state["state_dict"].update({"pos_encoder.pe": torch.zeros(shape)})


@pytest.mark.parametrize(
    "change",
    [
        *map(_table, TABLES),
        _list_of_classes,
        _without_zeros,
        _without("mvc_decoder.", "cls_decoders."),
        _without("cls_decoders.sex"),
        _deeper_classifier,
        _discriminator,
        _zero_position((14, 1, 16)),
        _zero_position((14, 16)),
    ],
)
def test_every_layout_gives_the_same_numbers(tmp_path, change):
    path, model = tmp_path / "model.ckpt", tiny()
    state = content(model, path)
    change(state)
    torch.save(state, path)
    found = grn.models.load(path)
    assert torch.allclose(answers(found), answers(model), atol=1e-6)
    again = grn.models.load(grn.models.save(found, tmp_path / "again.ckpt"))
    assert torch.equal(answers(again), answers(found))
    assert again.network.layout == found.network.layout


def test_positions_add_to_the_genes(tmp_path):
    path, model = tmp_path / "model.ckpt", tiny()
    state = content(model, path)
    places = torch.randn(14, 1, 16)
    state["state_dict"]["pos_encoder.pe"] = places
    torch.save(state, path)
    with_places = answers(grn.models.load(path))
    del state["state_dict"]["pos_encoder.pe"]
    state["state_dict"]["gene_encoder.embedding.weight"] += places[:, 0]
    torch.save(state, path)
    assert torch.allclose(with_places, answers(grn.models.load(path)), atol=1e-6)


@pytest.mark.parametrize("layers", [1, 3])
def test_encoders_of_other_depth(tmp_path, layers):
    path = tmp_path / "model.ckpt"
    state = content(tiny(), path)
    tensors, d = state["state_dict"], 16
    for name in ("expr_encoder", "depth_encoder"):
        if layers == 1:
            tensors = {k: v for k, v in tensors.items() if not k.startswith((f"{name}.encoder.1", f"{name}.encoder.4"))}
        else:
            tensors |= {f"{name}.encoder.5.weight": torch.ones(d), f"{name}.encoder.5.bias": torch.zeros(d)}
            tensors |= {f"{name}.encoder.8.weight": torch.eye(d), f"{name}.encoder.8.bias": torch.zeros(d)}
    state["state_dict"] = tensors
    state["hyper_parameters"]["expr_encoder_layers"] = layers
    torch.save(state, path)
    model = grn.models.load(path)
    values = torch.rand(2, 3)
    x = values[..., None] @ tensors["expr_encoder.encoder.0.weight"].T + tensors["expr_encoder.encoder.0.bias"]
    if layers == 3:
        norm = torch.nn.functional.layer_norm
        x = norm(x, (d,), *(tensors[f"expr_encoder.encoder.1.{p}"] for p in ("weight", "bias"))).relu()
        x = x @ tensors["expr_encoder.encoder.4.weight"].T + tensors["expr_encoder.encoder.4.bias"]
        x = norm(x, (d,)).relu()
    assert torch.allclose(model.network.expr_encoder(values), x, atol=1e-6)
    assert torch.isfinite(answers(model)).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("depth_atinput", False),
        ("cell_specific_blocks", True),
        ("num_heads_kv", 1),
        ("prenorm", False),
        ("attn_bias", "graph"),
        ("expr_emb_style", "metacell"),
        ("domain_spec_batchnorm", "dsbn"),
        ("normalization", "both"),
        ("transformer", "performer"),
        ("use_metacell_token", True),
        ("genes", {"NCBITaxon:9606": list(HUMAN)}),
    ],
)
def test_variants_with_another_forward_pass_are_refused(tmp_path, name, value):
    path = tmp_path / "model.ckpt"
    state = content(tiny(), path)
    state["hyper_parameters"][name] = value
    torch.save(state, path)
    with pytest.raises(WeightsError, match="genes per organism" if name == "genes" else name):
        grn.models.load(path)


@pytest.mark.parametrize(
    ("key", "shape", "told"),
    [
        ("cell_transformer.blocks.0.norm1.weight", (16,), "cell_specific_blocks"),
        ("expr_decoder.fc.0.weight", (16, 17), "depth_atinput=False"),
        ("transformer.blocks.0.mixer.Wqkv.weight", (24, 16), "num_heads_kv"),
        ("expr_decoder.pred_var_zero.weight", (2, 16), "3 \\(ZINB\\) or 1"),
        ("mvc_decoder.pred_var_zero.weight", (40, 16), "mvc_decoder.pred_var_zero.weight"),
        ("pos_encoder.pe", (9, 16), "pos_encoder.pe"),
        ("gene_encoder.embedding.weight", (13, 16), "14 genes.*13 rows"),
        ("class_encoder.embedding.weight", (4, 16), "class_encoder.embedding.weight has 4 rows"),
        ("transformer.norm.weight", None, "missing keys transformer.norm.weight"),
        ("transformer.blocks.1.mlp.fc1.bias", (63,), "transformer.blocks.1.mlp.fc1.bias is \\(63,\\)"),
        ("gene_encoder.embedding.weight", None, "gene_encoder.embeddings.weight"),
        ("surprise.weight", (2,), "unexpected keys surprise.weight"),
    ],
)
def test_damage_is_named(tmp_path, key, shape, told):
    path = tmp_path / "model.ckpt"
    state = content(tiny(), path)
    state["state_dict"].pop(key, None)
    if shape is not None:
        state["state_dict"][key] = torch.ones(shape)
    torch.save(state, path)
    with pytest.raises(WeightsError, match=told):
        grn.models.load(path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"nlayers": 3}, "2 transformer.blocks"),
        ({"nhead": 3}, "3 heads"),
        ({"nhead": None}, "nhead"),
        ({"expr_encoder_layers": 3}, "expr_encoder_layers"),
        ({"genes": [*HUMAN[:-1], HUMAN[0]]}, "distinct"),
        ({"genes": None}, "list of genes"),
        ({"classes": ["sex"]}, "classes"),
    ],
)
def test_hyper_parameters_must_fit(tmp_path, change, told):
    path = tmp_path / "model.ckpt"
    state = content(tiny(), path)
    state["hyper_parameters"] |= change
    torch.save(state, path)
    with pytest.raises(WeightsError, match=told):
        grn.models.load(path)
    del state["hyper_parameters"]
    torch.save(state, path)
    with pytest.raises(WeightsError, match="hyper_parameters"):
        grn.models.load(path)


def test_a_truncated_file_is_told(tmp_path):
    path = grn.models.save(tiny(), tmp_path / "model.ckpt")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(WeightsError, match=r"model\.ckpt"):
        grn.models.load(path)


def _foreign_class(monkeypatch, module, name, base):
    """A class of a package that is installed while the file is written and not while it is read."""
    made = types.ModuleType(module)
    setattr(made, name, type(name, (base,), {"__module__": module}))
    for part in range(1, module.count(".") + 2):
        monkeypatch.setitem(sys.modules, ".".join(module.split(".")[:part]), made)
    return getattr(made, name)


def test_objects_of_the_training_loop_are_not_needed(tmp_path):
    path, model = tmp_path / "model.ckpt", tiny()
    state = content(model, path)
    with pytest.MonkeyPatch.context() as patch:
        attributes = _foreign_class(patch, "lightning.fabric.utilities.data", "AttributeDict", dict)
        callback = _foreign_class(patch, "pytorch_lightning.callbacks.checkpoint", "State", object)()
        callback.best = torch.ones(2)
        state["hyper_parameters"] = attributes(state["hyper_parameters"], precpt_gene_emb=pathlib.Path("genes.parquet"))
        state["callbacks"] = {
            "Checkpoint": callback,
            "folder": pathlib.Path("runs"),
            "schedule": functools.partial(torch.nn.functional.relu, inplace=True),
        }
        state["optimizer_states"] = [{"state": {0: {"exp_avg": torch.zeros(3)}}}]
        torch.save(state, path)
    assert "lightning" not in sys.modules
    found = grn.models.load(path)
    assert torch.equal(answers(found), answers(model))
    assert "precpt_gene_emb" not in found.hyper


class _Harmful:
    def __init__(self, folder):
        self.command = f"touch {folder / 'was_here'}"

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("place", ["callbacks", "hyper_parameters", "state_dict"])
def test_code_in_the_file_is_refused_and_not_run(tmp_path, place):
    path = tmp_path / "model.ckpt"
    state = content(tiny(), path)
    state.setdefault(place, {})["harm"] = _Harmful(tmp_path)
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"system.*not run"):
        grn.models.load(path)
    assert not (tmp_path / "was_here").exists()


def test_genes_of_one_organism_are_asked_for(tmp_path):
    path = grn.models.save(tiny((*HUMAN, *MOUSE)), tmp_path / "model.ckpt")
    human, mouse = (grn.models.load(path, params={"organism": name}) for name in ("human", "mouse"))
    assert human.source_genes == human.target_genes == HUMAN and mouse.source_genes == MOUSE
    assert (human.organism, mouse.organism) == ("human", "mouse")
    panel = mouse.panel(MOUSE[:2], HUMAN[:1])
    assert panel.tokens.tolist() == [14, 15] and panel.unknown == HUMAN[:1]
    assert human.sizes["genes"] == 20
    assert tiny(MOUSE).organism == "mouse"
    only = grn.models.save(tiny(), tmp_path / "only.ckpt")
    with pytest.raises(ParameterError, match="no mouse genes"):
        grn.models.load(only, params={"organism": "mouse"})


@pytest.mark.parametrize(
    "params",
    [
        {"readout": "expression"},
        {"depth": 0},
        {"depth_mult": -1.0},
        {"through_normalization": 1},
        {"organism": "rat"},
        {"bins": 3},
    ],
)
def test_wrong_parameters_are_told(tmp_path, params):
    path = grn.models.save(tiny(), tmp_path / "model.ckpt")
    with pytest.raises(ParameterError, match=next(iter(params))):
        grn.models.load(path, params=params)


def test_a_readout_needs_its_decoder(tmp_path):
    path = tmp_path / "model.ckpt"
    state = content(tiny(), path)
    state["hyper_parameters"]["mvc_decoder"] = "sum query"
    torch.save(state, path)
    assert "mvc_decoder.norm.bias" in grn.models.load(path).unused
    with pytest.raises(ParameterError, match="no mvc_decoder"):
        grn.models.load(path, params={"readout": "mvc_logit"})
