"""Files of GeneCompass: every layout, variant and precision, and what is damaged is refused by name."""

import json
import logging
import os
import pickle
import shutil

import pytest
import torch

from grn.errors import CapabilityError, ParameterError, WeightsError, WeightsNotFoundError
from grn.models import load, save

HUMAN = [f"ENSG{i:011d}" for i in range(1, 9)]
PRIORS = ("promoter", "co_exp", "gene_family", "peca_grn")
MOUSE = [f"ENSMUSG{i:011d}" for i in range(1, 6)]


@pytest.fixture
def saved(make_genecompass, tmp_path):
    return save(make_genecompass(), tmp_path / "saved")


def everything(model):
    """What a model answers, as one dictionary of tensors."""
    genes = list(model.vocabulary)
    panel = model.panel(genes[:2], genes)
    values = torch.linspace(0.2, 5, 2 * len(panel)).view(2, -1).sin() + 2
    out, slope = model.respond_dual(panel, values, torch.eye(len(panel))[:2])
    return {
        "respond": model.respond(panel, values),
        "dual": out,
        "slope": slope,
        "attention": model.attention(panel, values),
        "embed": model.embed(panel),
        "contextual": model.contextual(panel.tokens[None].expand(2, -1), values),
    }


def same(first, second, atol=1e-6):
    for key, value in first.items():
        torch.testing.assert_close(value, second[key], rtol=0, atol=atol, msg=lambda m, key=key: f"{key}: {m}")


def rewritten(source, target, change=lambda state: state, config=lambda c: c):
    """A copy of a checkpoint with another state or configuration."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    state = torch.load(source / "pytorch_model.bin", weights_only=True)
    torch.save(change(state), target / "pytorch_model.bin")
    told = json.loads((source / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config(told)))
    return target


@pytest.mark.parametrize(
    "sizes",
    [
        {"layers": 1, "width": 8, "heads": 1},
        {"layers": 3, "width": 24, "heads": 6, "feedforward": 10},
        {"genes": (*MOUSE, *HUMAN), "width": 12, "heads": 3},
    ],
)
def test_other_sizes_are_written_and_read(make_genecompass, tmp_path, sizes):
    model = make_genecompass(**sizes)
    model.medians = {HUMAN[0]: 2.5}
    again = load(save(model, tmp_path / "m"))
    assert again.sizes == model.sizes and again.tokens == model.tokens and again.medians == model.medians
    assert again.name == "m" and len(again.sha256) == 64
    same(everything(model), everything(again))
    mouse = load(tmp_path / "m", params={"organism": "mouse", "rerank": True, "readout": "logit"})
    assert mouse.source_genes == tuple(MOUSE) and mouse.organism == "mouse"
    everything(mouse)


def without(*ends):
    return lambda state: {key: value for key, value in state.items() if not key.endswith(ends)}


def bare(state):
    return {key.removeprefix("bert."): value for key, value in state.items()}


def old_norms(state):
    names = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    return {next((k.replace(o, n) for o, n in names.items() if k.endswith(o)), k): v for k, v in state.items()}


def more(state):
    extra = {"bert.embeddings.position_ids": torch.arange(2048)[None], "classifier.weight": torch.ones(2, 16)}
    return state | extra | {"bert.pooler.dense.weight": torch.ones(16, 16)}


@pytest.mark.parametrize(
    "layout",
    [
        without("decoder.bias", "cls.predictions.decoder.weight"),
        without("predictions.bias"),
        without("emb_warmup.alpha", "emb_warmup.steps"),
        lambda state: {f"module.{key}": value for key, value in state.items()},
        bare,
        old_norms,
        more,
    ],
    ids=["untied", "bias of the decoder", "no warm-up", "parallel", "bare", "old norms", "more"],
)
def test_every_layout_gives_the_same_numbers(saved, tmp_path, layout):
    same(everything(load(saved)), everything(load(rewritten(saved, tmp_path / "other", layout))))


def test_what_is_not_needed_is_listed(saved, tmp_path):
    unused = load(rewritten(saved, tmp_path / "other", more)).unused
    assert {"classifier.weight", "bert.pooler.dense.weight", "bert.embeddings.position_ids"} <= set(unused)


@pytest.mark.parametrize("dropped", [("promoter",), ("co_exp", "peca_grn"), PRIORS])
def test_variants_without_priors(saved, tmp_path, dropped):
    """A prior whose columns are zero adds nothing, so the variant without it must agree."""
    d = 16
    columns = torch.cat([torch.arange(d) + d + 1 + i * d for i, prior in enumerate(PRIORS) if prior in dropped])
    key = "bert.embeddings.concat_embeddings.cat_fc.weight"

    def silent(state):
        state[key][:, columns] = 0
        return state

    def gone(state):
        keep = [i for i in range(state[key].shape[1]) if i not in columns.tolist()]
        state[key] = state[key][:, keep]
        return {k: v for k, v in state.items() if not any(f".{p}_" in k for p in dropped)}

    flags = {f"use_{p}": False for p in dropped}
    full = load(rewritten(saved, tmp_path / "full", silent))
    variant = load(rewritten(saved, tmp_path / "variant", gone, lambda c: c | flags))
    assert set(variant.network.parts.priors) == set(PRIORS) - set(dropped)
    same(everything(full), everything(variant))
    same(everything(variant), everything(load(save(variant, tmp_path / "again"))))


def test_variants_without_values_or_species(saved, tmp_path):
    key = "bert.embeddings.concat_embeddings.cat_fc.weight"

    def rankless(state):
        state[key] = torch.cat([state[key][:, :16], state[key][:, 17:]], dim=1)
        return state

    path = rewritten(saved, tmp_path / "ranks", rankless, lambda c: c | {"use_values": False})
    model = load(path)
    assert model.capabilities == {"attention", "embedding", "cells"} and model.gradient_kind == "none"
    panel = model.panel(HUMAN, HUMAN)
    with pytest.raises(CapabilityError, match=r"genecompass.* has no read-out"):
        model.respond(panel, torch.ones(1, 8))
    ranks = load(path, params={"rerank": True})
    first, second = ranks.respond(panel, torch.tensor([[1.0] * 8, [1.0] * 7 + [3.0]]))
    assert "value" in ranks.capabilities and (first - second).abs().max() > 1e-4
    path = rewritten(saved, tmp_path / "x", without("cls_embedding.weight"), lambda c: c | {"use_cls_token": False})
    maps = load(path).attention(panel, torch.ones(1, 8))
    torch.testing.assert_close(maps.sum(-1), torch.ones(maps.shape[:-1]))


def test_heads_that_are_not_there(saved, tmp_path):
    def body(*heads):
        return lambda state: {k: v for k, v in state.items() if not k.startswith(heads)}

    no_values = rewritten(saved, tmp_path / "a", body("cls4value."))
    with pytest.raises(ParameterError, match="use readout='logit'"):
        load(no_values)
    assert load(no_values, params={"readout": "logit"}).respond
    with pytest.raises(ParameterError, match="use readout='value'"):
        load(rewritten(saved, tmp_path / "b", body("cls.")), params={"readout": "logit"})
    encoder = load(rewritten(saved, tmp_path / "c", body("cls.", "cls4value.", "emb_warmup.")))
    assert encoder.capabilities == {"attention", "embedding", "cells"}


def test_a_warm_up_that_is_not_over_counts_before_the_heads_only(saved, tmp_path, caplog):
    half = {"emb_warmup.alpha": torch.tensor(0.5)}
    path = rewritten(saved, tmp_path / "half", lambda state: state | half)
    with caplog.at_level(logging.WARNING):
        found = load(path)
    assert "weight 0.5" in caplog.text
    full, part = everything(load(saved)), everything(found)
    assert (full["respond"] - part["respond"]).abs().max() > 1e-4
    same({"contextual": full["contextual"]}, part)
    before = {k: v.clone() for k, v in found.network.state_dict().items()}
    everything(found)
    assert all(torch.equal(before[k], v) for k, v in found.network.state_dict().items())


def test_a_mouse_gene_takes_the_priors_of_its_homologue(saved):
    """The prior rows of mouse tokens are never read, those of their homologues are."""
    before = everything(load(saved, params={"organism": "mouse"}))["respond"]
    own, homologue = (load(saved, params={"organism": "mouse"}) for _ in range(2))
    own.network.embeddings.priors["promoter"].knowledge[2 + len(HUMAN) :] = 9.0
    homologue.network.embeddings.priors["promoter"].knowledge[2:6] = 9.0
    assert torch.equal(everything(own)["respond"], before)
    assert (everything(homologue)["respond"] - before).abs().max() > 1e-4


def test_half_precision_stays_near(saved):
    full, half = load(saved), load(saved, dtype="bfloat16")
    first, second = everything(full), everything(half)
    assert second["respond"].dtype == torch.float32
    assert (first["respond"] - second["respond"]).abs().max() < 0.03 * first["respond"].abs().max()


DENSE = "bert.encoder.layer.1.output.dense.weight"


def tokens_file(path, content):
    (path / "human_mouse_tokens.pickle").write_bytes(content)
    return path


class Code:
    def __reduce__(self):
        return os.mkdir, ("ran",)


@pytest.mark.parametrize(
    ("change", "config", "message"),
    [
        (without(DENSE), {}, rf"missing keys {DENSE}"),
        (without("promoter_knowledge"), {}, "lacks the key 'bert.embeddings.promoter_knowledge'"),
        (without("homologous_index"), {}, "missing keys bert.embeddings.homologous_index"),
        (without("emb_warmup.alpha"), {}, "missing keys emb_warmup.alpha"),
        (without("cls4value.predictions.decoder.weight"), {}, "missing keys cls4value.predictions.decoder.weight"),
        (lambda s: s | {"bert.strange.weight": torch.ones(2)}, {}, "unexpected keys bert.strange.weight"),
        (lambda s: s | {DENSE: torch.ones(3, 4)}, {}, rf"{DENSE} is \(3, 4\), expected \(16, 64\)"),
        (lambda s: s | {"bert.embeddings.homologous_index": torch.full((15,), 99)}, {}, "homologous_index.* to 99"),
        (lambda s: s | {"cls.predictions.decoder.bias": torch.ones(15)}, {}, "decoder.bias.* differs from cls"),
        (lambda s: s, {"use_promoter": False}, r"use_promoter=false, but .* has bert.embeddings.promoter_\*"),
        (lambda s: s, {"use_values": False}, "use_values=false, but .* has a column"),
        (without("cls_embedding.weight"), {}, "use_cls_token=true, but .* lacks bert.cls_embedding.weight"),
        (lambda s: s, {"use_co_exp": "yes"}, "use_co_exp='yes'"),
        (lambda s: s, {"num_hidden_layers": 3}, "num_hidden_layers=3; .* has 2"),
        (lambda s: s, {"vocab_size": 50558}, "vocab_size=50558; .* has 15"),
        (lambda s: s, {"num_attention_heads": 5}, "5 heads"),
        (lambda s: s, {"num_attention_heads": None}, "'num_attention_heads' is None"),
        (lambda s: s, {"hidden_act": "swish9"}, "hidden_act='swish9'"),
        (lambda s: s, {"position_embedding_type": "relative_key"}, "relative_key"),
    ],
)
def test_damaged_checkpoints_are_refused_by_name(saved, tmp_path, change, config, message):
    path = rewritten(saved, tmp_path / "bad", change, lambda c: c | config)
    with pytest.raises(WeightsError, match=message):
        load(path)


def test_damaged_files_are_refused(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tokens = pickle.loads((saved / "human_mouse_tokens.pickle").read_bytes())
    short = pickle.dumps(dict(list(tokens.items())[:-1]))
    twice = pickle.dumps(tokens | {HUMAN[0]: 3})
    for i, (content, message) in enumerate(
        [
            (short, "14 entries, the embedding .* 15 rows"),
            (pickle.dumps(tokens | {7: 15}), "16 entries"),
            (twice, "exactly one name"),
            (pickle.dumps([1, 2]), "holds a list"),
            (pickle.dumps(Code()), "it was not run"),
            (short[:40], "not a readable pickle"),
        ]
    ):
        path = tokens_file(shutil.copytree(saved, tmp_path / f"t{i}"), content)
        with pytest.raises(WeightsError, match=message):
            load(path)
    assert not (tmp_path / "ran").exists()
    path = shutil.copytree(saved, tmp_path / "cut")
    whole = (path / "pytorch_model.bin").read_bytes()
    (path / "pytorch_model.bin").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=r"truncated|readable"):
        load(path)
    for lost in ("human_mouse_tokens.pickle", "config.json"):
        path = shutil.copytree(saved, tmp_path / f"no {lost}")
        (path / lost).unlink()
        with pytest.raises(WeightsNotFoundError, match=lost.split("_")[0]):
            load(path)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"organism": "rat"}, "human, mouse"),
        ({"readout": "mean"}, "value, logit"),
        ({"max_genes": 2049}, "from 2 to 2048, the positions"),
        ({"max_genes": 1}, "from 2 to 2048, the positions"),
        ({"max_genes": True}, "max_genes=True"),
        ({"rerank": "yes"}, "rerank='yes'"),
    ],
)
def test_wrong_parameters(saved, params, message):
    with pytest.raises(ParameterError, match=message):
        load(saved, params=params)
