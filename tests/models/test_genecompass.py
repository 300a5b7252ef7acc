"""GeneCompass against tensors of the authors' code, in every layout and variant, and damaged."""

import json
import logging
import os
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad

from grn.errors import CapabilityError, ParameterError, WeightsError, WeightsNotFoundError
from grn.models import Moments, load, save
from grn.models._registry import untrained

HUMAN = [f"ENSG{i:011d}" for i in range(1, 9)]
PRIORS = ("promoter", "co_exp", "gene_family", "peca_grn")
MOUSE = [f"ENSMUSG{i:011d}" for i in range(1, 6)]


@pytest.fixture(scope="module")
def folder(shared_dir):
    return shared_dir / "reference" / "genecompass"


@pytest.fixture(scope="module")
def reference(folder):
    with np.load(folder / "reference.npz") as found:
        return {key: found[key] for key in found}


@pytest.fixture(scope="module")
def name_of(folder):
    tokens = pickle.loads((folder / "human_mouse_tokens.pickle").read_bytes())
    return {token: name for name, token in tokens.items()}


def made(genes=(*HUMAN, *MOUSE), **sizes):
    """A random model in which every part has an effect, the homologues included."""
    model = untrained("genecompass", genes=genes, **({"layers": 2, "width": 16, "heads": 2} | sizes))
    embeddings = model.network.embeddings
    for prior in embeddings.priors.values():
        prior.knowledge.mul_(3)
    for i, gene in enumerate(genes):
        if gene.startswith("ENSMUSG"):
            embeddings.homologous_index[2 + i] = 2 + i % 4
    return model


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


@pytest.fixture
def saved(tmp_path):
    return save(made(), tmp_path / "saved")


# --- the authors' tensors ---


@pytest.mark.parametrize("cell", range(4))
def test_the_network_computes_what_the_authors_do(folder, reference, cell):
    """Every tensor of a cell on its valid positions; cells 2 and 3 are of mouse."""
    network, n = load(folder).network, int(reference["attention_mask"][cell].sum())
    ids = torch.tensor(reference["input_ids"][cell, :n])
    values = torch.tensor(reference["values"][cell : cell + 1, :n])
    x = network.tokens(ids, values, mouse=bool(reference["species"][cell, 0]), alpha=network.alpha)
    states = torch.stack(network.stack.hidden_states(x))[:, 0]
    last = states[-1, 1:]
    logits = reference["logits"][cell, :n]
    found = {
        "embedding_output": (x[0, 1:], reference["embedding_output"][cell, :n]),
        "hidden_states": (states, reference["hidden_states"][:, cell, : n + 1]),
        "logits": (network.logits(last), logits),
        "own logits": (network.logit(last, ids), logits[np.arange(n), ids]),
        "pred_values": (network.value(last), reference["pred_values"][cell, :n]),
    }
    for name, (ours, theirs) in found.items():
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5, err_msg=name)
    maps = reference["attentions"][:, cell, :, : n + 1, : n + 1]
    np.testing.assert_allclose(network.stack.attention_maps(x)[0], maps, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell", range(4))
def test_contextual_embeddings_without_mask(folder, reference, cell):
    """The authors' perturbation attends to padding, so the row goes in as padded."""
    model = load(folder, params={"organism": "mouse" if reference["species"][cell, 0] else "human"})
    tokens, values = (torch.tensor(reference[key][cell : cell + 1]) for key in ("input_ids", "values"))
    expected = reference["last_hidden_no_mask"][cell, 1:]
    np.testing.assert_allclose(model.contextual(tokens, values)[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", range(4))
@pytest.mark.parametrize("readout", ["value", "logit"])
def test_the_protocol_reads_real_cells(folder, reference, name_of, cell, readout):
    """With rerank=True a panel in token order is read as the cell in rank order."""
    params = {"organism": "mouse" if reference["species"][cell, 0] else "human", "rerank": True, "readout": readout}
    model, n = load(folder, params=params), int(reference["attention_mask"][cell].sum())
    ids = reference["input_ids"][cell, :n]
    names = [name_of[token] for token in ids.tolist()]
    panel = model.panel(names[:2], names)
    values = torch.zeros(1, n)
    values[0, panel.tgt_pos] = torch.tensor(reference["values"][cell, :n])
    logits = reference["logits"][cell, np.arange(n), ids]
    expected = reference["pred_values"][cell, :n] if readout == "value" else logits
    np.testing.assert_allclose(model.respond(panel, values)[0], expected, rtol=0, atol=1e-5)
    maps = model.attention(panel, values)[0][..., panel.tgt_pos, :][..., panel.tgt_pos]
    np.testing.assert_allclose(maps, reference["attentions"][:, cell, :, 1 : n + 1, 1 : n + 1], rtol=0, atol=1e-6)


def test_virtual_values_and_gradients(folder, reference, name_of):
    model = load(folder)
    names = [name_of[token] for token in reference["panel_ids"][0].tolist()]
    panel, n = model.panel(names, names), len(names)
    base = torch.full((1, n), float(reference["vvp_baseline"]))
    start = model.respond(panel, base)
    np.testing.assert_allclose(start, reference["vvp_baseline_output"], rtol=0, atol=1e-5)
    one = torch.eye(n)
    for m, value in enumerate(reference["vvp_values"]):
        found = model.respond(panel, torch.where(one > 0, float(value), base)) - start
        np.testing.assert_allclose(found, reference["vvp_features"][..., m], rtol=0, atol=1e-5)
    for m, value in enumerate(reference["gdt_values"]):
        _, found = model.respond_dual(panel, torch.where(one > 0, float(value), base), one)
        np.testing.assert_allclose(found, reference["gdt_features"][..., m], rtol=0, atol=1e-5)


# --- files ---


@pytest.mark.parametrize(
    "sizes",
    [
        {"layers": 1, "width": 8, "heads": 1},
        {"layers": 3, "width": 24, "heads": 6, "feedforward": 10},
        {"genes": (*MOUSE, *HUMAN), "width": 12, "heads": 3},
    ],
)
def test_other_sizes_are_written_and_read(tmp_path, sizes):
    model = made(**sizes)
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
    assert model.capabilities == {"attention", "embedding"} and model.gradient_kind == "none"
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
    assert encoder.capabilities == {"attention", "embedding"}


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
        ({"max_genes": 2049}, "2048 positions"),
        ({"max_genes": True}, "max_genes=True"),
        ({"rerank": "yes"}, "rerank='yes'"),
    ],
)
def test_wrong_parameters(saved, params, message):
    with pytest.raises(ParameterError, match=message):
        load(saved, params=params)


# --- medians, cells, tokens ---


def test_medians_are_found_or_given_or_one(saved, tmp_path, caplog):
    def dump(name, content):
        (saved / name).write_bytes(pickle.dumps(content))
        return saved / name

    with caplog.at_level(logging.INFO):
        assert load(saved).medians == {} and "every median is 1" in caplog.text
    dump("human_gene_median_after_filter.pickle", {HUMAN[0]: np.float64(4), HUMAN[1]: 0.0, "ENSG_OTHER": 3})
    mouse = dump("medians_of_mouse.pickle", {MOUSE[0]: 2})
    assert load(saved).medians == {HUMAN[0]: 4.0}, "a median of zero is none"
    assert load(saved, params={"organism": "mouse", "gene_medians": mouse}).medians == {MOUSE[0]: 2.0}
    for content in ({"ENSG_OTHER": 1.0}, {HUMAN[0]: "2"}):
        with pytest.raises(WeightsError, match="median count by Ensembl id"):
            load(saved, params={"gene_medians": dump("other.pickle", content)})
    with pytest.raises(WeightsNotFoundError, match="no file"):
        load(saved, params={"gene_medians": tmp_path / "none.pickle"})


def counted(counts, *, spare=0.0):
    """Log-normalised values and what is known of the data set, for raw counts."""
    total = counts.sum(axis=1) + spare
    X = np.log1p(counts / total[:, None] * 1e4).astype(np.float32)
    return X, Moments(np.zeros(counts.shape[1]), np.ones(counts.shape[1]), total)


def test_cells_are_encoded_and_ranked_as_the_authors_do():
    counts = np.random.default_rng(0).poisson(1.5, size=(30, 8)).astype(float)
    counts[0] = 0
    X, moments = counted(counts, spare=500.0)
    model = made()
    model.medians = {HUMAN[0]: 2.0, HUMAN[3]: 0.5}
    y = np.log2(1 + counts / np.array([2, 1, 1, 0.5, 1, 1, 1, 1]))
    np.testing.assert_allclose(model.encode_cells(X, HUMAN, reference=moments), y, atol=1e-5)
    cells = model.tokenize(X, HUMAN, reference=moments)
    for row, (columns, values) in zip(y, cells, strict=True):
        expected = [i for i in np.argsort(-row, kind="stable") if row[i] > 0]
        assert columns.tolist() == expected
        np.testing.assert_allclose(values, row[expected], atol=1e-5)
    assert len(cells[0][0]) == 0
    model.max_genes = 3
    assert [c.tolist() for c, _ in model.tokenize(X, HUMAN, reference=moments)] == [c.tolist()[:3] for c, _ in cells]


def test_tokens_do_not_depend_on_the_order_of_genes():
    counts = np.random.default_rng(1).poisson(1.0, size=(10, 8)).astype(float)
    X, moments = counted(counts)
    order = [5, 2, 7, 0, 1, 6, 3, 4]
    names = [*(HUMAN[i] for i in order), "ENSG_UNKNOWN", MOUSE[0]]
    shuffled = np.concatenate([X[:, order], np.full((10, 2), 9.0, dtype=np.float32)], axis=1)
    model = made()
    for (first, a), (second, b) in zip(
        model.tokenize(X, HUMAN, reference=moments), model.tokenize(shuffled, names, reference=moments), strict=True
    ):
        assert [HUMAN[i] for i in first] == [names[i] for i in second]
        assert torch.equal(a, b)


def test_without_counts_a_cell_has_ten_thousand():
    X = np.log1p(np.array([[3.0, 0.0, 4096.0]]))
    np.testing.assert_allclose(made().encode_cells(X, HUMAN[:3]), [[2.0, 0.0, 10.0]], atol=1e-6)


# --- properties ---


@pytest.mark.parametrize("organism", ["human", "mouse"])
def test_only_genes_of_the_organism_are_known(saved, organism):
    model = load(saved, params={"organism": organism})
    own, other = (HUMAN, MOUSE) if organism == "human" else (MOUSE, HUMAN)
    assert model.source_genes == model.target_genes == tuple(own) and model.gene_id_kind == "ensembl"
    assert model.panel([own[0], other[0]], own).unknown == (other[0],)


def test_a_mouse_gene_takes_the_priors_of_its_homologue(saved):
    """The prior rows of mouse tokens are never read, those of their homologues are."""
    before = everything(load(saved, params={"organism": "mouse"}))["respond"]
    own, homologue = (load(saved, params={"organism": "mouse"}) for _ in range(2))
    own.network.embeddings.priors["promoter"].knowledge[2 + len(HUMAN) :] = 9.0
    homologue.network.embeddings.priors["promoter"].knowledge[2:6] = 9.0
    assert torch.equal(everything(own)["respond"], before)
    assert (everything(homologue)["respond"] - before).abs().max() > 1e-4


@pytest.mark.parametrize("rerank", [False, True])
@pytest.mark.parametrize("readout", ["value", "logit"])
def test_the_dual_is_the_derivative(saved, rerank, readout):
    model = load(saved, params={"rerank": rerank, "readout": readout})
    model.network.double()
    panel = model.panel(HUMAN, HUMAN)
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(3, 8, dtype=torch.float64, generator=generator) * 4
    tangents = torch.randn(3, 8, dtype=torch.float64, generator=generator)
    with forward_ad.dual_level():
        out, slope = forward_ad.unpack_dual(model.read(panel, forward_ad.make_dual(values, tangents)))
    h = 1e-6
    differences = (model.read(panel, values + h * tangents) - model.read(panel, values - h * tangents)) / (2 * h)
    torch.testing.assert_close(slope, differences, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(out, model.read(panel, values))


@pytest.mark.parametrize("rerank", [False, True])
def test_neither_order_nor_batch_matters(saved, rerank):
    model = load(saved, params={"rerank": rerank})
    values = torch.rand(5, 8, generator=torch.Generator().manual_seed(1)) * 4
    panel, other = model.panel(HUMAN[:3], HUMAN), model.panel(HUMAN[2::-1], HUMAN[::-1])
    whole = model.respond(panel, values)
    torch.testing.assert_close(model.respond(other, values).flip(1), whole)
    torch.testing.assert_close(torch.cat([model.respond(panel, v[None]) for v in values]), whole)
    assert torch.isfinite(whole).all() and torch.isfinite(model.attention(panel, values)).all()


def test_rerank_moves_positions(saved):
    """Ranks equal to the panel order change nothing; others do."""
    fixed, ranked = load(saved), load(saved, params={"rerank": True})
    panel = fixed.panel(HUMAN, HUMAN)
    falling = torch.linspace(5, 1, 8)[None]
    for values in (falling, torch.ones(1, 8)):
        torch.testing.assert_close(fixed.respond(panel, values), ranked.respond(panel, values))
    assert ranked.positions(torch.tensor([[1.0, 3.0, 1.0, 2.0]])).tolist() == [[2, 0, 3, 1]]
    assert (fixed.respond(panel, falling.flip(1)) - ranked.respond(panel, falling.flip(1))).abs().max() > 1e-4


def test_half_precision_stays_near(saved):
    full, half = load(saved), load(saved, dtype="bfloat16")
    first, second = everything(full), everything(half)
    assert second["respond"].dtype == torch.float32
    assert (first["respond"] - second["respond"]).abs().max() < 0.03 * first["respond"].abs().max()


def test_panels_end_at_the_last_position(saved):
    model = load(saved)
    model.network.parts = replace(model.network.parts, positions=3)
    with pytest.raises(ParameterError, match="8 genes were presented; the checkpoint has 3 positions"):
        model.respond(model.panel(HUMAN, HUMAN), torch.ones(1, 8))


def test_untrained_takes_ensembl_ids_only():
    with pytest.raises(ParameterError, match=r"Ensembl ids.*SPI1"):
        untrained("genecompass", genes=["SPI1", HUMAN[0]])
    assert untrained("genecompass", genes=MOUSE).organism == "mouse"
