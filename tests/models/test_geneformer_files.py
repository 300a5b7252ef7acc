"""Files of Geneformer: every layout gives the same numbers, and what does not fit is refused by name."""

import json
import logging
import pickle
import shutil

import numpy as np
import pytest
import torch

import grn
from grn.errors import CapabilityError, ParameterError, WeightsError, WeightsNotFoundError
from grn.models._model_file import save_tensors
from grn.models.geneformer import untrained

NAMES = [f"ENSG{i:011d}" for i in range(1, 51)]


def everything(model):
    """What a model answers on one panel, as one dictionary of tensors."""
    genes = list(model.vocabulary)[:8]
    panel = model.panel(genes[:2], genes)
    values = torch.rand(3, 8, generator=torch.Generator().manual_seed(1)) * 1.3 - 0.3
    found = {"attention": model.attention(panel, values).nan_to_num(0), "embed": model.embed(panel)}
    found["contextual"] = model.contextual(panel.tokens[None])
    if "value" in model.capabilities:
        out, slope = model.respond_dual(panel, values, torch.ones_like(values))
        found |= {"respond": out.nan_to_num(0), "slope": slope.nan_to_num(0)}
    return found


def same(first, second, atol=0.0):
    for key, value in first.items():
        torch.testing.assert_close(value, second[key], rtol=0, atol=atol, msg=lambda m, key=key: f"{key}: {m}")


@pytest.fixture
def saved(tmp_path):
    """Write a small random checkpoint, changed before it is written: its state, config, tokens or medians."""
    names = NAMES[:10]

    def write(state=None, *, config=None, tokens=None, medians=None, version=2, name="saved"):
        folder = tmp_path / name
        if folder.exists():
            shutil.rmtree(folder)
        grn.models.save(untrained(names, layers=2, width=16, heads=2, version=version, positions=20), folder)
        model = grn.models._checkpoint.open_checkpoint(folder)
        if state is not None:
            changed = dict(model.tensors)
            changed = state(changed) or changed
            save_tensors(folder / "model.safetensors", changed, {"format": "pt"})
        if config is not None:
            (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | config))
        for change, file in ((tokens, "token_dictionary.pkl"), (medians, "gene_median_dictionary.pkl")):
            if change is not None:
                found = pickle.loads((folder / file).read_bytes())
                change(found)
                (folder / file).write_bytes(pickle.dumps(found))
        return folder

    return write


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    "sizes",
    [
        {"layers": 1, "width": 8, "heads": 1},
        {"layers": 2, "width": 24, "heads": 3, "feedforward": 20},
        {"layers": 5, "width": 16, "heads": 8, "positions": 13},
    ],
)
def test_other_sizes_load_as_they_were_saved(version, sizes, tmp_path):
    model = untrained(NAMES[:11], version=version, seed=4, **sizes)
    again = grn.models.load(grn.models.save(model, tmp_path / "copy"))
    assert again.sizes == model.sizes and again.max_genes == again.sizes["positions"] - 2 * (version == 2)
    assert again.vocabulary == model.vocabulary and again.medians == model.medians
    same(everything(model), everything(again))


def rename(*pairs):
    def change(state):
        out = {}
        for key, value in state.items():
            for old, new in pairs:
                key = key.replace(old, new)
            out[key] = value
        return out

    return change


def tied(state):
    state["cls.predictions.decoder.weight"] = state["bert.embeddings.word_embeddings.weight"].clone()
    state["cls.predictions.decoder.bias"] = state["cls.predictions.bias"].clone()
    state["bert.embeddings.position_ids"] = torch.arange(20)[None]


def pooled(state):
    state["bert.pooler.dense.weight"], state["bert.pooler.dense.bias"] = torch.zeros(16, 16), torch.zeros(16)


LAYOUTS = {
    "tied decoder": tied,
    "old norms": rename(("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")),
    "bias of the decoder only": rename(("cls.predictions.bias", "cls.predictions.decoder.bias")),
    "DataParallel": rename(("bert.", "module.bert."), ("cls.", "module.cls.")),
    "pooler": pooled,
    "half precision": lambda state: {key: value.to(torch.bfloat16).half() for key, value in state.items()},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_numbers(saved, layout):
    plain = grn.models.load(saved())
    rewritten = grn.models.load(saved(LAYOUTS[layout]))
    same(everything(plain), everything(rewritten), atol=0.1 if layout == "half precision" else 0.0)


def headless(state):
    kept = {key: value for key, value in state.items() if not key.startswith("cls.")}
    return kept | {"classifier.weight": torch.zeros(3, 16), "classifier.bias": torch.zeros(3)}


@pytest.mark.parametrize("bare", [False, True])
def test_a_classifier_has_no_logits(saved, bare, caplog):
    change = rename(("bert.", ""), ("classifier", "pooler.dense")) if bare else dict
    folder = saved(lambda state: change(headless(state)))
    with caplog.at_level(logging.INFO, logger="grn"):
        model = grn.models.load(folder)
    assert "has no head for masked tokens" in caplog.text
    assert model.capabilities == {"attention", "embedding", "cells"} and len(model.unused) == 2
    whole = everything(grn.models.load(saved(name="whole")))
    same(everything(model), whole)
    panel = model.panel(NAMES[:2], NAMES[:3])
    for call in (model.respond, model.embedding_gradient):
        with pytest.raises(CapabilityError, match="offers: attention, cells, embedding"):
            call(panel, model.virtual_cell(panel)[None])
    with pytest.raises(ParameterError, match="use readout='shift'"):
        grn.models.load(folder, params={"readout": "masked"})
    shift = {"readout": "shift"}
    model = grn.models.load(folder, params=shift)
    assert "value" in model.capabilities
    same(everything(model), everything(grn.models.load(saved(name="whole"), params=shift)))


def test_dictionaries_may_lie_elsewhere(saved, tmp_path):
    folder = saved()
    wanted = everything(grn.models.load(folder))
    for old, new in (("token_dictionary", "token_dictionary_gc104M"), ("gene_median_dictionary", "medians_gc104M")):
        (folder / f"{old}.pkl").rename(tmp_path / f"{new}.pkl")
    with pytest.raises(WeightsNotFoundError, match=r"needs the dictionary of gene medians \(gene_median_dictionary"):
        grn.models.load(folder)
    params = {"gene_medians": tmp_path / "medians_gc104M.pkl"}
    same(everything(grn.models.load(folder, params=params)), wanted)
    params["token_dictionary"] = str(shutil.copy(tmp_path / "token_dictionary_gc104M.pkl", tmp_path / "x.pkl"))
    same(everything(grn.models.load(folder, params=params)), wanted)
    shutil.copy(tmp_path / "x.pkl", tmp_path / "token_dictionary_gc30M.pkl")
    with pytest.raises(WeightsError, match="several files"):
        grn.models.load(folder, params={"gene_medians": params["gene_medians"]})


N_KEYS = 2 * 16 + 5 + 5


@pytest.mark.parametrize("number", range(N_KEYS))
def test_any_missing_or_misshapen_key_is_named(saved, number):
    def remove(state):
        assert len(state) == N_KEYS
        found.append(sorted(state)[number])
        del state[found[0]]

    def reshape(state):
        state[found[0]] = state[found[0]][..., :-1]

    found = []
    for change in (remove, reshape):
        with pytest.raises(WeightsError) as caught:
            grn.models.load(saved(change))
        told = str(caught.value)
        known = {
            "bert.embeddings.word_embeddings.weight": ("word_embeddings", "hidden_size=16", "of no known architecture"),
            "bert.embeddings.position_embeddings.weight": ("position_embeddings", "of no known architecture"),
        }
        assert any(name in told for name in known.get(found[0], (found[0],)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"extra.weight": (2,)}, r"unexpected keys extra\.weight"),
        ({"bert.encoder.layer.0.attention.self.query.weight_absmax": (4,)}, "unexpected keys.*weight_absmax"),
        ({"cls.predictions.decoder.weight": (14, 16)}, "decoder.weight' in .* differs from 'bert.embeddings.word_emb"),
    ],
)
def test_unexpected_keys_are_named(saved, change, told):
    with pytest.raises(WeightsError, match=told):
        grn.models.load(saved(lambda state: state | {key: torch.ones(shape) for key, shape in change.items()}))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"num_attention_heads": 3}, "16 wide, which 3 heads do not divide"),
        ({"num_attention_heads": None}, "'num_attention_heads' is None"),
        ({"num_hidden_layers": 6}, "num_hidden_layers=6.* has 2"),
        ({"hidden_size": 256}, "hidden_size=256.* has 16"),
        ({"vocab_size": 25426}, "vocab_size=25426.* has 14"),
        ({"hidden_act": "swish2"}, "hidden_act='swish2'; known are relu"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type='relative_key'"),
        ({"is_decoder": True}, "is_decoder=True"),
        ({"model_type": "t5"}, "model_type='t5'"),
        ({"quantization_config": {"load_in_4bit": True}}, "is quantised"),
        ({"layer_norm_eps": 0}, "'layer_norm_eps' is 0"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(saved, config, told):
    with pytest.raises(WeightsError, match=told):
        grn.models.load(saved(config=config))


def test_activation_and_epsilon_are_those_of_the_config(saved):
    plain, other = (everything(grn.models.load(saved(config=c))) for c in ({}, {"hidden_act": "gelu"}))
    assert (plain["respond"] - other["respond"]).abs().max() > 1e-3
    model = grn.models.load(saved(config={"layer_norm_eps": 0.5, "hidden_act": "silu"}))
    assert model.network.head.norm.eps == model.network.norm.eps == 0.5
    assert (everything(model)["respond"] - plain["respond"]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("tokens", "medians", "told"),
    [
        (lambda d: d.update(ENSG9=14), None, "15 entries up to 14, the word embeddings of .* 14 rows"),
        (lambda d: d.pop(NAMES[3]), None, "13 entries up to 13"),
        (lambda d: d.update({NAMES[3]: 4}), None, "exactly one name"),
        (lambda d: d.update({NAMES[3]: "4"}), None, "does not map names to integers"),
        (lambda d: d.update({"x": d.pop("<mask>")}), None, "lacks <mask>"),
        (lambda d: d.update({"x": d.pop("<eos>")}), None, "lacks <eos>"),
        (None, lambda d: d.update({NAMES[0]: 0.0}), "ENSG00000000001 has 0.0; expected positive"),
        (None, lambda d: d.update({NAMES[0]: "1"}), "has '1'; expected positive"),
        (None, dict.clear, "none of the 10 genes"),
    ],
)
def test_dictionaries_that_do_not_fit_are_refused(saved, tokens, medians, told):
    with pytest.raises(WeightsError, match=told):
        grn.models.load(saved(tokens=tokens, medians=medians))


def test_numpy_numbers_in_dictionaries_and_genes_without_a_median(saved, caplog):
    def numpy_ints(found):
        found.update({key: np.int16(value) for key, value in found.items()})

    def fewer(found):
        found.pop(NAMES[2])
        found.update({key: np.float64(value) for key, value in found.items()})

    with caplog.at_level(logging.INFO, logger="grn"):
        model = grn.models.load(saved(tokens=numpy_ints, medians=fewer))
    assert "1 of 10 genes have no median" in caplog.text
    assert type(model.vocabulary[NAMES[0]]) is int and NAMES[2] in model.source_genes
    ((columns, _),) = model.tokenize(np.ones((1, 10)), NAMES[:10])
    assert columns.tolist() == [0, 1, 3, 4, 5, 6, 7, 8, 9]


class Harmful:
    def __reduce__(self):
        return (print, ("this ran",))


def test_files_that_are_no_checkpoint(saved, capsys):
    folder = saved()
    (folder / "token_dictionary.pkl").write_bytes(pickle.dumps({"<pad>": Harmful()}))
    with pytest.raises(WeightsError, match=r"token_dictionary\.pkl asks for builtins\.print.*it was not run"):
        grn.models.load(folder)
    folder = saved()
    whole = (folder / "gene_median_dictionary.pkl").read_bytes()
    (folder / "gene_median_dictionary.pkl").write_bytes(whole[:-20])
    with pytest.raises(WeightsError, match="not a readable pickle"):
        grn.models.load(folder)
    folder = saved()
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="truncated"):
        grn.models.load(folder)
    weights.write_bytes(whole)
    (folder / "config.json").unlink()
    with pytest.raises(WeightsNotFoundError, match=r"needs config\.json beside it"):
        grn.models.load(folder)
    weights.unlink()
    torch.save({"bert.embeddings.word_embeddings.weight": Harmful()}, folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="not run"):
        grn.models.load(folder)
    assert "this ran" not in capsys.readouterr().out


def test_shards_are_refused(saved):
    folder = saved()
    weights = folder / "model.safetensors"
    tensors = dict(grn.models._checkpoint.open_checkpoint(weights).tensors)
    weights.unlink()
    for i, keep in enumerate(("layer.0", "layer.1")):
        part = {key: value for key, value in tensors.items() if keep in key or ("layer." not in key and not i)}
        save_tensors(folder / f"model-0000{i + 1}-of-00002.safetensors", part, {"format": "pt"})
    with pytest.raises(WeightsError, match="a checkpoint in parts"):
        grn.models.load(folder)
    with pytest.raises(WeightsError, match="one of 00002 parts"):
        grn.models.load(folder / "model-00001-of-00002.safetensors")


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"layer": 1}, "layer=1; pass an integer from -2 to 0"),
        ({"layer": -3}, "from -2 to 0, from the input"),
        ({"layer": True}, "layer=True"),
        ({"readout": "value"}, "use one of logit, log_prob, masked, shift"),
        ({"max_genes": 19}, "max_genes=19; pass an integer from 2 to 18"),
        ({"max_genes": 1}, "from 2 to 18"),
        ({"median": 1}, "has no parameter 'median'"),
    ],
)
def test_wrong_parameters(saved, params, told):
    with pytest.raises(ParameterError, match=told):
        grn.models.load(saved(), params=params)


def test_more_tokens_than_positions(saved):
    model = grn.models.load(saved(version=1))
    assert model.max_genes == 20
    with pytest.raises(ParameterError, match="21 tokens were given; this network has 20 positions"):
        model.contextual(torch.full((1, 21), 3))
    with pytest.raises(ParameterError, match="layer=2"):
        model.contextual(torch.full((1, 2), 3), layer=2)
