"""Geneformer V1 and V2: the numbers of its authors' code, ranks, every layout of its files, and what is refused."""

import json
import logging
import pickle
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import grn
from grn.errors import CapabilityError, ParameterError, WeightsError, WeightsNotFoundError
from grn.models import Moments
from grn.models._geneformer_ranks import orders
from grn.models._store import save_tensors
from grn.models.geneformer import untrained

NAMES = [f"ENSG{i:011d}" for i in range(1, 51)]
READOUTS = ("logit", "log_prob", "masked", "shift")


def close(found, wanted, atol=1e-5):
    torch.testing.assert_close(torch.as_tensor(found), torch.as_tensor(wanted), atol=atol, rtol=0, equal_nan=True)


@pytest.fixture(scope="module", params=["v1", "v2"])
def reference(request, shared_dir):
    """The reference checkpoint, its tensors, and for every cell what lies on its valid positions."""
    folder = shared_dir / "reference" / "geneformer" / request.param
    with np.load(folder / "reference.npz") as found:
        tensors = {name: found[name] for name in found}
    edge = int(request.param == "v2")
    lengths = tensors["attention_mask"].sum(axis=1)
    special = 2 + 2 * edge
    rows = zip(tensors["input_ids"], lengths, strict=True)
    genes = [[NAMES[t - special] for t in ids[edge : n - edge]] for ids, n in rows]
    X = np.log1p(tensors["counts"] / tensors["n_counts"][:, None] * 1e4).astype(np.float32)
    return SimpleNamespace(folder=folder, edge=edge, lengths=lengths, genes=genes, X=X, **tensors)


def inner(reference, array, cell, axis=0):
    """Valid positions of a cell, special tokens left out, along one axis."""
    return np.take(array, range(reference.edge, reference.lengths[cell] - reference.edge), axis=axis)


def cell_of(reference, model, cell, extra=4):
    """A real cell on a panel of its genes and a few it does not express, targets in rank order."""
    genes = reference.genes[cell]
    absent = [name for name in NAMES if name not in genes][:extra]
    panel = model.panel(genes, genes + absent)
    columns = [NAMES.index(gene) for gene in panel.genes]
    values = model.encode_cells(reference.X[[cell]][:, columns], panel.genes)
    return panel, values, len(genes)


def test_token_sequences_are_those_of_the_authors(reference):
    model = grn.models.load(reference.folder)
    for given in (None, Moments(np.zeros(50), np.ones(50), reference.n_counts)):
        found = model.input_ids(reference.X, NAMES, reference=given)
        for ids, wanted, n in zip(found, reference.input_ids, reference.lengths, strict=True):
            assert ids.tolist() == wanted[:n].tolist()
    shuffled = np.random.default_rng(0).permutation(50)
    names = [NAMES[i] for i in shuffled]
    for (columns, values), genes in zip(model.tokenize(reference.X[:, shuffled], names), reference.genes, strict=True):
        assert values is None and [names[i] for i in columns] == genes
    short = grn.models.load(reference.folder, params={"max_genes": 5})
    assert [len(columns) for columns, _ in short.tokenize(reference.X, NAMES)] == [5] * 4


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_every_step_of_the_network(reference, file):
    """Both files: without the tied decoder, and with it and the old position ids."""
    model = grn.models.load(reference.folder / file)
    assert bool(model.unused) == file.endswith("bin")
    network = model.network
    for cell, n in enumerate(reference.lengths):
        states = network.stack.hidden_states(network.tokens(torch.as_tensor(reference.input_ids[[cell], :n])))
        close(torch.stack(states)[:, 0], reference.hidden_states[:, cell, :n])
        logits = network.head.transform(states[-1]) @ network.word.weight.T + network.head.bias
        close(logits[0], reference.logits[cell, :n])
        close(network.stack.attention_maps(states[0])[0], reference.attentions[:, cell, :, :n, :n], atol=1e-6)


@pytest.mark.parametrize("readout", ["logit", "log_prob"])
def test_cells_through_the_protocol(reference, readout):
    model = grn.models.load(reference.folder, params={"readout": readout})
    for cell in range(4):
        panel, values, m = cell_of(reference, model, cell)
        tokens = [model.vocabulary[gene] for gene in reference.genes[cell]]
        logits = torch.as_tensor(inner(reference, reference.logits[cell], cell))
        scores = logits if readout == "logit" else logits.log_softmax(-1)
        found = model.respond(panel, values)[0]
        close(found[:m], scores[range(m), tokens])
        assert found[m:].isnan().all(), "a gene that is not in the cell cannot be read"
        own = panel.tgt_pos[:m]
        maps = model.attention(panel, values)[0]
        wanted = inner(reference, inner(reference, reference.attentions[:, cell], cell, 2), cell, 3)
        close(maps[..., own, :][..., own], wanted, atol=1e-6)
        assert int(maps.isfinite().sum()) == wanted.size
        close(model.embed(panel)[own], model.network.word.weight[tokens], atol=0)


def test_deleting_a_gene(reference):
    """Cell 0 without one of its tokens, through the values and through the embeddings in context."""
    model = grn.models.load(reference.folder)
    panel, values, m = cell_of(reference, model, 0)
    gone = int(reference.deleted_index) - reference.edge
    values[0, panel.tgt_pos[gone]] = -1.0
    found = model.respond(panel, values)[0, :m]
    assert found[gone].isnan()
    ids = reference.deleted_input_ids
    wanted = reference.deleted_logits[0, np.arange(len(ids)), ids]
    stay = slice(reference.edge, len(ids) - reference.edge)
    close(found[torch.arange(m) != gone], wanted[stay])
    tokens = torch.as_tensor(ids[stay])[None]
    for layer in (0, -1, -2, -3):
        close(model.contextual(tokens, layer=layer)[0], reference.deleted_hidden_states[layer - 1, 0, stay])
    close(model.contextual(tokens), model.contextual(tokens, layer=-1), atol=0)
    last = grn.models.load(reference.folder, params={"layer": 0})
    close(last.contextual(tokens), model.contextual(tokens, layer=0), atol=0)


def test_gradient_by_the_word_embedding(reference):
    model = grn.models.load(reference.folder)
    panel, values, m = cell_of(reference, model, 0)
    found = model.embedding_gradient(panel, values[0])
    assert found.shape == (m, m + 4, 32) and found[:, m:].isnan().all()
    wanted = inner(reference, inner(reference, reference.grad_own_logit_wrt_word_embedding, 0, 0), 0, 1)
    close(found[:, :m], wanted)


# --- ranks ---


def rank(values):
    order, lengths = orders(torch.as_tensor(values, dtype=torch.float32)[None])
    return order[0, : lengths[0]].tolist()


def test_one_moved_gene_lands_where_it_is_sent():
    n = 9
    base = 1 - np.arange(n) / (n - 1)
    assert rank(base) == list(range(n))
    for gene in range(n):
        others = [i for i in range(n) if i != gene]
        for value in (0.0, 0.125, 0.25, 0.5, 0.625, 0.875, 1.0):
            place = round((1 - value) * (n - 1))
            moved = base.copy()
            moved[gene] = value
            assert rank(moved) == [*others[:place], gene, *others[place:]]


def test_permutations_are_kept_and_equal_values_are_panel_order():
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 300, 4094):
        order = rng.permutation(n)
        values = np.empty(n)
        values[order] = 1 - np.arange(n) / max(1, n - 1)
        assert rank(values) == order.tolist()
        present = rng.random(n) < 0.5
        few = np.full(n, -1.0)
        kept = [i for i in order if present[i]]
        few[kept] = 1 - np.arange(len(kept)) / max(1, n - 1)
        assert rank(few) == kept
        assert rank(np.where(present, 0.25, -1.0)) == np.flatnonzero(present).tolist()
    assert rank([-1.0, -1.0]) == []


def test_equal_genes_go_by_token_and_genes_without_a_median_stay_out():
    model = untrained(NAMES[:6], layers=1, width=8, heads=2)
    model.medians = dict(zip(NAMES, (1, 2, 0.5, 1, 4), strict=False))
    counts = np.array([[2, 4, 1, 3, 0, 90]])
    total = counts.sum(axis=1)
    X = np.log1p(counts / total[:, None] * 1e4).astype(np.float32)
    given = Moments(np.zeros(6), np.ones(6), total)
    ((columns, _),) = model.tokenize(X, NAMES[:6], reference=given)
    assert columns.tolist() == [3, 0, 1, 2]
    values = model.encode_cells(X, NAMES[:6], reference=given)
    close(values, [[0.8, 0.6, 0.4, 1.0, -1.0, -1.0]], atol=1e-6)
    turned = model.encode_cells(X[:, ::-1], NAMES[:6][::-1], reference=given)
    close(turned.flip(1), values, atol=0)
    assert (model.encode_cells(np.zeros((1, 6)), NAMES[:6], reference=given) == -1).all()
    fractions = Moments(np.zeros(6), np.ones(6), np.array([7.3]))
    assert (model.encode_cells(X / 40, NAMES[:6], reference=fractions) >= 0).sum() == 4, "a mean cell is not rounded"


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("readout", READOUTS)
def test_the_tangent_is_that_of_interpolated_positions(version, readout):
    """Against central differences in float64 of position embeddings interpolated by hand, with genes left out."""
    model = untrained(NAMES[:9], layers=3, width=16, heads=2, version=version, seed=1)
    model.readout = readout
    network = model.network.double()
    network.position.weight.mul_(8)
    panel = model.panel(NAMES[:2], NAMES[:9])
    values = torch.tensor([[1, 0.875, -1, 0.5, 0.25, 0.375, 0.125, -1, 0.0], [0.3] * 9, [-1.0] * 8 + [0.5]])
    tangents = torch.randn(3, 9, generator=torch.Generator().manual_seed(0))
    found, slope = model.respond_dual(panel, values, tangents)
    close(found, model.respond(panel, values), atol=1e-12)
    assert torch.equal(found.isnan(), values < 0) and torch.equal(slope.isnan(), values < 0)

    table, edge, h = network.position.weight.clone(), model.edge, 1e-8
    for row in range(3):
        listed = rank(values[row])
        m = len(listed)
        sides = [torch.zeros_like(table), torch.zeros_like(table)]
        for place in range(m if m > 1 else 0):
            at = edge + place
            sides[0][at] = table[at] - table[at - 1] if place else table[at + 1] - table[at]
            sides[1][at] = table[at + 1] - table[at] if place < m - 1 else table[at] - table[at - 1]
        move = torch.zeros(len(table))
        move[edge : edge + m] = -8 * tangents[row, listed]
        ends = []
        for sign in (1, -1):
            step = (sign * h * move)[:, None]
            shifted = table + step * torch.where(step > 0, sides[1], sides[0])
            base = model._hidden(panel.tokens[None], depth=2)[0]
            network.position.weight.data = shifted
            ends.append(by_hand(model, panel.tokens[listed], panel.tokens, readout, base))
            network.position.weight.data = table
        wanted = torch.full((9,), float("nan"), dtype=torch.float64)
        wanted[listed] = (ends[0] - ends[1]) / (2 * h)
        torch.testing.assert_close(slope[row], wanted, atol=1e-5, rtol=1e-4, equal_nan=True)


def by_hand(model, ids, panel, readout, base):
    """Read-out of every gene of one cell, in rank order."""
    if readout == "shift":
        x = model._hidden(ids[None], depth=2)[0]
        return 1 - torch.cosine_similarity(x, base[[panel.tolist().index(i) for i in ids.tolist()]], dim=-1)
    out = []
    for place, token in enumerate(ids.tolist()):
        cell = ids.clone()
        if readout == "masked":
            cell[place] = model.special["<mask>"]
        x = model.network.head.transform(model._hidden(cell[None])[0, place])
        scores = model.network.word.weight @ x + model.network.head.bias
        out.append(scores[token] if readout == "logit" else scores.log_softmax(-1)[token])
    return torch.stack(out)


# --- properties ---


@pytest.mark.parametrize("readout", READOUTS)
def test_no_order_matters(readout):
    model = untrained(NAMES[:12], layers=2, width=16, heads=4)
    model.readout = readout
    values = torch.rand(5, 12, generator=torch.Generator().manual_seed(0)) * 1.5 - 0.5
    panel, other = model.panel(NAMES[:3], NAMES[:12]), model.panel(NAMES[:12], NAMES[:12][::-1])
    assert panel.genes == other.genes
    close(model.respond(panel, values).flip(1), model.respond(other, values), atol=1e-6)
    alone = torch.cat([model.respond(panel, row[None]) for row in values])
    close(alone.nan_to_num(0), model.respond(panel, values).nan_to_num(0), atol=1e-6)
    maps = model.attention(panel, values)
    close(maps[3:4].nan_to_num(0), model.attention(panel, values[3:4]).nan_to_num(0), atol=1e-6)
    if readout == "shift":
        base = model.virtual_cell(panel)
        assert model.respond(panel, base[None]).abs().max() == 0


def test_a_cell_without_genes_reads_nothing():
    model = untrained(NAMES[:3], layers=1, width=8, heads=2)
    panel = model.panel(NAMES[:3], NAMES[:3])
    empty = torch.full((2, 3), -1.0)
    assert model.respond(panel, empty).isnan().all() and model.attention(panel, empty).isnan().all()
    assert model.embedding_gradient(panel, empty[0]).isnan().all()


def test_bfloat16_stays_near(reference):
    """Derivatives less so than responses: rounding switches units of a ReLU network that are near 0."""
    exact, rough = (grn.models.load(reference.folder, dtype=dtype) for dtype in ("float32", "bfloat16"))
    names = NAMES[:20]
    panel = exact.panel(names, names)
    values = exact.virtual_cell(panel).expand(20, -1)
    (right, slope, maps), (found, rough_slope, rough_maps) = (
        (*model.respond_dual(panel, values, torch.eye(20)), model.attention(panel, values)) for model in (exact, rough)
    )
    assert found.dtype == rough_slope.dtype == rough_maps.dtype == rough.contextual(panel.tokens[None]).dtype
    assert found.dtype == torch.float32
    assert 0 < (found - right).abs().max() < 0.03 * right.abs().max()
    assert (rough_maps - maps).abs().max() < 0.01
    assert torch.corrcoef(torch.stack([slope.flatten(), rough_slope.flatten()]))[0, 1] > 0.9


# --- files ---


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
    assert model.capabilities == {"attention", "embedding"} and len(model.unused) == 2
    whole = everything(grn.models.load(saved(name="whole")))
    same(everything(model), whole)
    panel = model.panel(NAMES[:2], NAMES[:3])
    for call in (model.respond, model.embedding_gradient):
        with pytest.raises(CapabilityError, match="offers: attention, embedding"):
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
        ({"layer": 1}, "layer=1; pass 0"),
        ({"layer": -3}, r"down to -2 \(the input\)"),
        ({"layer": True}, "layer=True"),
        ({"readout": "value"}, "use one of logit, log_prob, masked, shift"),
        ({"max_genes": 19}, "max_genes=19; this checkpoint takes 1 to 18"),
        ({"max_genes": 0}, "takes 1 to 18"),
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
