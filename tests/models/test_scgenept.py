"""scGenePT: the numbers of its authors' code, every published variant by its keys, and what is refused."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.autograd import forward_ad

import grn
from grn.errors import CapabilityError, ParameterError, WeightsError, WeightsNotFoundError
from grn.models._blocks import BlockConfig
from grn.models._published_model import About
from grn.models._random import random_state
from grn.models.protocol import need
from grn.models.scgenept import TEXTS, ScGenePT, ScGenePTNetwork

GENES = [f"G{i:02d}" for i in range(12)]
VARIANTS = ("scgenept_ncbi_gpt", "scgenept_go_c_gpt_concat")


@pytest.fixture(scope="module", params=VARIANTS)
def reference(request, shared_dir):
    """A reference checkpoint and its tensors."""
    folder = shared_dir / "reference" / "scgenept" / request.param
    with np.load(folder / "reference.npz") as found:
        tensors = {name: torch.as_tensor(found[name]) for name in found}
    by_id = {row: name for name, row in json.loads((folder / "vocab.json").read_text()).items()}
    return SimpleNamespace(folder=folder, names=by_id, **tensors)


def close(found, wanted, atol=1e-5):
    torch.testing.assert_close(found, wanted, atol=atol, rtol=0)


def test_rows_of_the_reference(reference):
    model = grn.models.load(reference.folder)
    flags = reference.pert_flags.float()
    hidden = model.network.stack(model.network.tokens(reference.input_ids, reference.values, flags))
    close(hidden, reference.encoder_output)
    close(model.network.decoder(hidden), reference.mlm_output)
    names = [reference.names[row] for row in reference.input_ids[0].tolist()]
    panel = model.panel(names[:1], names)
    order = torch.tensor([names.index(gene) for gene in panel.genes])
    assert (reference.input_ids == reference.input_ids[0]).all()
    close(model.respond_flag(panel, reference.values[:, order], flags[:, order]), reference.mlm_output)
    assert not flags[2].any()
    close(model.respond(panel, reference.values[:, order])[2], reference.mlm_output[2])
    assert len([key for key in model.unused if key.startswith("cls_decoder.")]) == len(model.unused) == 10


def test_probes_of_the_reference(reference):
    model = grn.models.load(reference.folder)
    names = [reference.names[row] for row in reference.panel_ids[0].tolist()]
    panel = model.panel(names, names)
    base = torch.full((len(names), len(names)), float(reference.vvp_baseline))
    one = torch.eye(len(names), dtype=torch.bool)
    origin = model.respond(panel, base[:1])
    close(origin, reference.vvp_baseline_output)
    for m, value in enumerate(reference.vvp_values.tolist()):
        close(model.respond(panel, base.masked_fill(one, value)) - origin, reference.vvp_features[..., m])
    for m, value in enumerate(reference.gdt_values.tolist()):
        close(model.respond_dual(panel, base.masked_fill(one, value), one.float())[1], reference.gdt_features[..., m])
    close(model.respond_flag(panel, base, one.float()) - origin, reference.pert_flag_features)


def make(*, tokens=True, counts=True, texts=None, layers=2, width=16, heads=2, flags=3):
    """Random weights with the parts of a token asked for."""
    vocabulary = {name: i for i, name in enumerate((*GENES, "<pad>", "<cls>", "<eoc>"))}
    block = BlockConfig(width, heads, 20, F.relu, 1e-5, "post")
    texts = {TEXTS[0]: 6} if texts is None else texts
    parts = {"tokens": tokens, "counts": counts, "texts": texts, "flags": flags}
    network = random_state(ScGenePTNetwork(len(vocabulary), block, layers, **parts), 4)
    return ScGenePT(network, vocabulary, About("made", "made", 100))


@pytest.fixture
def saved(tmp_path):
    """Write a model; ``change`` edits the state, ``vocab`` the vocabulary, ``sidecar`` is written or left out."""

    def write(change=lambda state: None, *, vocab=None, sidecar=True, **parts):
        path = grn.models.save(make(**parts), tmp_path / "one")
        state = torch.load(path / "best_model.pt", weights_only=True)
        change(state)
        torch.save(state, path / "best_model.pt")
        if vocab is not None:
            found = json.loads((path / "vocab.json").read_text())
            vocab(found)
            (path / "vocab.json").write_text(json.dumps(found))
        if not sidecar:
            (path / "config.json").unlink()
        return path

    return write


def cell(rows=2):
    return 4 * torch.rand(rows, len(GENES), generator=torch.Generator().manual_seed(0))


PARTS = {
    "ncbi": {"texts": {"genept_encoder": 6}},
    "go-c": {"texts": {"gopt_encoder_c": 5}},
    "go-f": {"texts": {"gopt_encoder_f": 5}},
    "go-p": {"texts": {"gopt_encoder_p": 5}},
    "ncbi and go": {"texts": {"genept_encoder": 6, "gopt_encoder_f": 5}},
    "no texts": {"texts": {}},
    "texts alone": {"texts": {"genept_encoder": 6}, "tokens": False},
    "no counts": {"texts": {"genept_encoder": 6}, "counts": False},
    "other sizes": {"layers": 3, "width": 24, "heads": 3, "flags": 4},
}


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_variants_are_told_by_their_keys(saved, parts):
    made, model = make(**parts), grn.models.load(saved(**parts))
    assert (model.inputs, model.sizes) == (made.inputs, made.sizes)
    panel = model.panel(GENES[:3], GENES)
    flags = torch.eye(12)[:2]
    assert torch.equal(model.respond_flag(panel, cell(), flags), made.respond_flag(panel, cell(), flags))
    assert torch.equal(model.attention(panel, cell()), made.attention(panel, cell()))
    assert model.embed(panel).shape == (12, model.sizes["width"])
    assert ("value" in model.capabilities) == ("value_encoder" in model.inputs)
    assert model.source_genes == tuple(GENES), "special tokens are no genes"


def test_a_token_is_the_normed_sum_of_its_parts(saved):
    network = grn.models.load(saved(texts={"genept_encoder": 6, "gopt_encoder_c": 5})).network
    ids, flags = torch.tensor([3, 5]), torch.tensor([[0.0, 1.0]])
    parts = [network.encoder(ids), network.value_encoder(cell()[:1, :2]), network.pert_encoder(flags.long())]
    for name in ("genept_encoder", "gopt_encoder_c"):
        text = network.texts[name]
        projected = text.embedding.weight[ids] @ text.project.weight.T + text.project.bias
        parts.append(F.layer_norm(projected, (16,), text.enc_norm.weight, text.enc_norm.bias, 1e-5))
    wanted = F.layer_norm(sum(parts), (16,), network.ln.weight, network.ln.bias, 1e-5)
    close(network.tokens(ids, cell()[:1, :2], flags), wanted, atol=1e-6)


def test_text_tables_in_float64_and_the_other_attention_layout(saved):
    def other(state):
        for key in [key for key in state if "in_proj_" in key]:
            state[key.replace("in_proj_", "Wqkv.")] = state.pop(key)
        for key in [key for key in state if key.endswith("pt_encoder.embedding.weight")]:
            state[key] = state[key].double()

    model, plain = grn.models.load(saved(other)), make()
    panel = plain.panel(GENES[:1], GENES)
    assert torch.equal(model.respond(panel, cell()), plain.respond(panel, cell()))
    assert {p.dtype for p in model.network.parameters()} == {torch.float32}


def test_without_counts_there_are_no_values_but_flags(saved):
    model = grn.models.load(saved(counts=False))
    panel = model.panel(GENES[:1], GENES)
    assert torch.equal(model.respond(panel, cell()), model.respond(panel, cell() + 1))
    value, slope = model.respond_dual(panel, cell(), torch.ones(2, 12))
    assert not slope.any() and value.any() and "flag" in model.capabilities
    with pytest.raises(CapabilityError, match="capability 'value'"):
        need(model, "value", "virtual value perturbation")


def test_embedding_is_that_of_the_genes_or_of_their_texts():
    model, texts = make(), make(tokens=False)
    panel = model.panel(GENES[:3], GENES[:3])
    assert torch.equal(model.embed(panel), model.network.encoder(panel.tokens))
    assert torch.equal(texts.embed(panel), texts.network.texts[TEXTS[0]](panel.tokens))


def test_gradients_and_flags_between_0_and_1():
    model, step = make(), 1e-5
    panel = model.panel(GENES[:4], GENES[2:])
    model.network.double()
    values, one = cell()[:1].double().expand(12, -1), torch.eye(12, dtype=torch.float64)
    with forward_ad.dual_level():
        slope = forward_ad.unpack_dual(model.read(panel, forward_ad.make_dual(values.clone(), one))).tangent
    up, down = (model.read(panel, values + sign * step * one) for sign in (1, -1))
    torch.testing.assert_close(slope, (up - down) / (2 * step), atol=1e-8, rtol=1e-5)
    model.network.float()
    weight = model.network.pert_encoder.weight
    close(model.network.flag(torch.tensor([[0.25]]))[0, 0], 0.75 * weight[0] + 0.25 * weight[1], atol=1e-7)
    assert torch.equal(model.respond_flag(panel, cell(), torch.zeros(2, 12)), model.respond(panel, cell()))
    own = model.respond_flag(panel, cell(12), torch.eye(12)) - model.respond(panel, cell(12))
    assert own.abs().min() > 0, "a flag reaches every gene"


def test_order_of_names_and_batches_do_not_matter():
    model = make()
    panel, mixed = model.panel(GENES[:3], GENES), model.panel(GENES[2::-1], GENES[::-1])
    values, flags = cell(5), torch.eye(12)[:5]
    close(model.respond_flag(panel, values, flags), model.respond_flag(mixed, values, flags).flip(1), atol=1e-6)
    parts = [model.respond_flag(panel, v, f) for v, f in zip(values.split(2), flags.split(2), strict=True)]
    close(model.respond_flag(panel, values, flags), torch.cat(parts), atol=1e-6)


def test_names_it_does_not_know_are_reported_never_padded():
    model = make()
    panel = model.panel(["G01", "NOVEL"], ["G02", "<pad>"])
    assert panel.unknown == ("NOVEL", "<pad>") and panel.genes == ("G01", "G02")
    X = np.array([[0.0, 2.5]])
    assert model.encode_cells(X, panel.genes).tolist() == X.tolist(), "log1p CP10k as it is"


def test_heads_come_from_the_sidecar_or_the_caller_or_are_eight(saved):
    panel = make().panel(GENES[:1], GENES)
    assert grn.models.load(saved(heads=4)).sizes["heads"] == 4
    path = saved(heads=4, sidecar=False)
    eight, four = grn.models.load(path), grn.models.load(path, params={"heads": 4})
    assert (eight.sizes["heads"], four.sizes["heads"]) == (8, 4)
    assert torch.equal(four.respond(panel, cell()), make(heads=4).respond(panel, cell()))
    with pytest.raises(WeightsError, match=r"16 wide, which 3 heads do not divide.*params=\{'heads'"):
        grn.models.load(path, params={"heads": 3})
    with pytest.raises(ParameterError, match="heads=0; pass a positive integer"):
        grn.models.load(path, params={"heads": 0})


def test_bfloat16_rounds_to_two_percent_of_the_largest_response(reference):
    exact, rough = (grn.models.load(reference.folder, dtype=dtype) for dtype in ("float32", "bfloat16"))
    panel = exact.panel(exact.source_genes, exact.source_genes)
    values, one = torch.full((30, 30), 0.5), torch.eye(30)
    for right, found in (
        (exact.respond(panel, values + 2 * one), rough.respond(panel, values + 2 * one)),
        (exact.respond_flag(panel, values, one), rough.respond_flag(panel, values, one)),
    ):
        assert found.dtype == torch.float32
        assert (found - right).abs().max() < 0.02 * right.abs().max()


N_KEYS, TABLE = len(make().network.state_dict()), 9  # keys of a checkpoint, and which of them is the text table


@pytest.mark.parametrize("number", range(N_KEYS))
def test_any_missing_or_misshapen_key_is_named(saved, number):
    """The width of a text is read off its table; a wrong one shows at the projection."""
    found = []

    def remove(state):
        found.append(sorted(state)[number])
        del state[found[0]]

    def reshape(state):
        state[found[0]] = state[found[0]][..., :-1]

    for change in (remove, reshape):
        with pytest.raises(WeightsError) as caught:
            grn.models.load(saved(change))
        told = "genept_encoder.proj_layer.weight" if change is reshape and number == TABLE else found[0]
        assert told in str(caught.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: state.update({"value_encoder.other": torch.zeros(2)}), "unexpected keys.*value_encoder.other"),
        (lambda state: state.update({"pert_encoder.weight": torch.zeros(1, 16)}), "1 rows; a flag needs two"),
        (lambda state: state.update({"genept_encoder.embedding.weight": torch.zeros(9, 6)}), "is .9, 6., expected .15"),
    ],
)
def test_keys_that_do_not_fit_are_named(saved, change, told):
    with pytest.raises(WeightsError, match=told):
        grn.models.load(saved(change))


def test_genes_must_differ(saved):
    def strip(state):
        for key in [key for key in state if key.startswith(("encoder.", "genept_encoder."))]:
            del state[key]

    with pytest.raises(WeightsError, match=r"neither 'encoder\.embedding\.weight' nor a text table"):
        grn.models.load(saved(strip))


def test_files_beside_it_and_truncation(saved):
    with pytest.raises(WeightsError, match="16 entries, the embedding 15 rows"):
        grn.models.load(saved(vocab=lambda found: found.update(EXTRA=15)))
    path = saved()
    (path / "vocab.json").unlink()
    with pytest.raises(WeightsNotFoundError, match=r"needs vocab\.json beside it"):
        grn.models.load(path)
    weights = path / "best_model.pt"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(WeightsError, match="truncated"):
        grn.models.load(path)


def test_a_name_refuses_other_sizes(saved):
    with pytest.raises(WeightsError, match=r"is not 'scgenept-ncbi': it has layers 2 \(published: 12\)"):
        grn.models.load("scgenept-ncbi", path=saved())
