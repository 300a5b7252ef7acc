"""scGPT: the numbers of its authors' code, sizes and layouts of its parameters, readouts, gradients and scales."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad

import grn
from grn.models.scgpt import bins

GENES = [f"G{i:02d}" for i in range(12)]


@pytest.fixture(scope="module")
def reference(shared_dir):
    """The reference checkpoint, its tensors, and its three rows at their own length."""
    folder = shared_dir / "reference" / "scgpt"
    with np.load(folder / "reference.npz") as found:
        tensors = {name: torch.as_tensor(found[name]) for name in found}
    lengths = (~tensors["key_padding_mask"]).sum(1).tolist()
    names = json.loads((folder / "vocab.json").read_text())
    by_id = {row: name for name, row in names.items()}
    return SimpleNamespace(folder=folder, names=by_id, lengths=lengths, **tensors)


def close(found, wanted, atol=1e-5):
    torch.testing.assert_close(found, wanted, atol=atol, rtol=0)


def rows(reference, model):
    """Every row as the network takes it: number, length, ids and values, tokens after the stack."""
    for i, n in enumerate(reference.lengths):
        ids, values = reference.input_ids[i : i + 1, :n], reference.values[i : i + 1, :n]
        yield i, n, ids, values, model.network.tokens(ids, values)


def test_every_step_of_the_network(reference):
    model = grn.models.load(reference.folder)
    for i, n, ids, values, x in rows(reference, model):
        hidden = model.network.stack(x)
        close(model.network.encoder(ids)[0], reference.gene_emb[i, :n])
        close(model.network.value_encoder(values)[0], reference.value_emb[i, :n])
        close(x[0], reference.input_emb[i, :n])
        close(hidden[0], reference.encoder_output[i, :n])
        close(hidden[0, 0], reference.cell_emb[i])
        close(model.network.decoder(hidden)[0], reference.mlm_output[i, :n])
        close(model.network.from_cell(hidden[:, 0], ids[0])[0], reference.mvc_output[i, :n])
        for layer, (q, k, _) in enumerate(model.network.stack.projections(x)):
            close((q @ k.transpose(-1, -2))[0], reference.qk_unscaled[i, layer, :, :n, :n])
        close(model.network.stack.attention_maps(x)[0], reference.attention[i, :, :, :n, :n], atol=1e-6)


@pytest.mark.parametrize(("readout", "tensor"), [("expression", "mlm_output"), ("mvc", "mvc_output")])
def test_rows_through_the_protocol(reference, readout, tensor):
    """The panel is in vocabulary order and adds the cell token itself; a row of the reference is in any order."""
    model = grn.models.load(reference.folder, params={"readout": readout})
    for i, n in enumerate(reference.lengths):
        names = [reference.names[row] for row in reference.input_ids[i, 1:n].tolist()]
        panel = model.panel(names[:1], names)
        order = torch.tensor([names.index(gene) for gene in panel.genes])
        values = reference.values[i, 1:n][order][None]
        close(model.respond(panel, values)[0], getattr(reference, tensor)[i, 1:n])
        pairs = np.ix_(1 + order, 1 + order)
        close(model.attention(panel, values)[0], reference.attention[i][..., *pairs], atol=1e-6)
        close(model.embed(panel), reference.gene_emb[i, 1:n][order])
        q, k = model.queries_keys(panel, values, 2)
        close((q @ k.transpose(-1, -2))[0, :, 1:, 1:], reference.qk_unscaled[i, 2][..., *pairs])


def test_virtual_value_perturbation_and_gradient_trajectory(reference):
    model = grn.models.load(reference.folder)
    names = [reference.names[row] for row in reference.panel_ids.tolist()]
    panel = model.panel(names, names)
    base = torch.full((len(names), len(names)), float(reference.vvp_baseline))
    origin = model.respond(panel, base[:1])
    close(origin, reference.vvp_baseline_output[:, 1:])
    one = torch.eye(len(names), dtype=torch.bool)
    for m, value in enumerate(reference.vvp_values.tolist()):
        close(model.respond(panel, base.masked_fill(one, value)) - origin, reference.vvp_features[..., m])
    for m, value in enumerate(reference.gdt_values.tolist()):
        _, slope = model.respond_dual(panel, base.masked_fill(one, value), one.float())
        close(slope, reference.gdt_features[..., m])


def test_bins(reference):
    found = bins(reference.binning_input.numpy(), n_bins=51)
    np.testing.assert_array_equal(found, reference.binning_output_51.numpy())


def test_bins_of_ties_take_the_middle_and_zeros_stay():
    X = np.array([[0, 2, 2, 2, 2, 2, 2, 2, 2, 9], [0] * 10, [0, 0, 7, 0, 0, 0, 0, 0, 0, 0]])
    found = bins(X, n_bins=51)
    edges = np.quantile(X[0, 1:], np.linspace(0, 1, 50))
    assert found[0, 1] == np.ceil((edges == 2).sum() / 2) and found[0, -1] == 50
    assert not found[1].any() and found[2].tolist() == [0, 0, 25, 0, 0, 0, 0, 0, 0, 0]
    np.testing.assert_array_equal(bins(X[:, ::-1], n_bins=51)[:, ::-1], found)
    model = grn.models.untrained("scgpt", genes=GENES[:10])
    np.testing.assert_array_equal(model.encode_cells(X, GENES[:10]).numpy(), found)


def cell(rows=2):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 51, (rows, len(GENES)), generator=generator).float()


def rename(state, old, new):
    for key in [key for key in state if old in key]:
        state[key.replace(old, new)] = state.pop(key)


@pytest.mark.parametrize("sizes", [{"layers": 1, "width": 8, "heads": 1}, {"layers": 3, "width": 24, "heads": 3}])
def test_other_sizes_come_back(tmp_path, sizes):
    made = grn.models.untrained("scgpt", genes=GENES, feedforward=20, rng=2, **sizes)
    model = grn.models.load(grn.models.save(made, tmp_path / "other"))
    assert model.sizes == {"genes": 12, "feedforward": 20, **sizes} == made.sizes
    panel = model.panel(GENES[:3], GENES)
    assert torch.equal(model.respond(panel, cell()), made.respond(panel, cell()))
    assert model.name == "other" and len(model.sha256) == 64 and model.unused == ()
    assert model.source_genes == tuple(GENES), "special tokens are no genes"


@pytest.mark.parametrize("new", [(".self_attn._impl.Wqkv.", "_impl.out_proj."), (".self_attn.in_proj_", "out_proj.")])
def test_layouts_of_attention_keys_give_the_same_numbers(reference, tmp_path, new):
    state = torch.load(reference.folder / "best_model.pt", weights_only=True)
    rename(state, "self_attn.Wqkv.", new[0][1:])
    rename(state, "self_attn.out_proj.", f"self_attn.{new[1]}")
    torch.save(state, tmp_path / "best_model.pt")
    for name in ("args.json", "vocab.json"):
        (tmp_path / name).write_bytes((reference.folder / name).read_bytes())
    first, second = (grn.models.load(folder) for folder in (reference.folder, tmp_path))
    panel = first.panel(["GENE1"], ["GENE2", "GENE30"])
    values = cell()[:, :3]
    assert torch.equal(first.respond(panel, values), second.respond(panel, values))
    assert torch.equal(first.attention(panel, values), second.attention(panel, values))


def test_batch_norm_is_honoured(saved_scgpt):
    """Stored statistics, eps 6.1e-5, between the sum of the encodings and the first layer."""
    generator = torch.Generator().manual_seed(5)
    mean, weight, bias = torch.randn(3, 16, generator=generator)
    var = torch.rand(16, generator=generator) + 0.5

    def normed(state):
        found = {"running_mean": mean, "running_var": var, "weight": weight, "bias": bias}
        found["num_batches_tracked"] = torch.tensor(7)
        state.update({f"bn.{name}": value for name, value in found.items()})

    model, plain = grn.models.load(saved_scgpt(normed)), grn.models.load(saved_scgpt(folder="plain"))
    panel = model.panel(GENES[:2], GENES)
    ids, values = plain.sequence(panel, cell())
    x = plain.network.tokens(ids, values)
    wanted = (x - mean) / torch.sqrt(var + 6.1e-5) * weight + bias
    close(model.network.tokens(ids, values), wanted)
    close(model.respond(panel, cell()), plain.network.decoder(plain.network.stack(wanted)[:, 1:]))
    agrees_with_differences(model, panel, cell())
    again = grn.models.load(grn.models.save(model, saved_scgpt().parent / "again"))
    assert torch.equal(again.respond(panel, cell()), model.respond(panel, cell()))


def agrees_with_differences(model, panel, values, step=1e-5):
    """Directional derivatives of every gene by forward mode and by central differences, both in float64."""
    model.network.double()
    n = len(panel)
    values, tangents = values[:1].double().expand(n, -1), torch.eye(n, dtype=torch.float64)
    with forward_ad.dual_level():
        slope = forward_ad.unpack_dual(model.read(panel, forward_ad.make_dual(values.clone(), tangents))).tangent
    up, down = (model.read(panel, values + sign * step * tangents) for sign in (1, -1))
    model.network.float()
    wanted = (up - down) / (2 * step)
    assert wanted.abs().max() > 1e-4
    torch.testing.assert_close(slope, wanted, atol=1e-8, rtol=1e-5)


@pytest.mark.parametrize("readout", ["expression", "mvc", "generative"])
def test_gradients_are_exact_for_every_readout(saved_scgpt, readout):
    model = grn.models.load(saved_scgpt(), params={"readout": readout})
    agrees_with_differences(model, model.panel(GENES[:4], GENES[2:]), cell() + 0.3)


def test_values_above_512_count_as_512():
    model = grn.models.untrained("scgpt", genes=GENES)
    panel = model.panel(GENES[:1], GENES)
    far = torch.full((1, 12), 600.0)
    value, slope = model.respond_dual(panel, far, torch.ones_like(far))
    close(value, model.respond(panel, torch.full((1, 12), 512.0)), atol=1e-6)
    assert not slope.any()


class TestGenerative:
    """A query per target, blind to the target's own token."""

    def test_queries_see_the_cell_but_neither_each_other_nor_are_they_seen(self, saved_scgpt):
        model = grn.models.load(saved_scgpt(), params={"readout": "generative"})
        every, one = model.panel(GENES, GENES), model.panel(GENES, GENES[4:5])
        close(model.respond(one, cell()), model.respond(every, cell())[:, 4:5])
        other = cell()
        other[:, 7] += 10
        assert not torch.allclose(model.respond(one, cell()), model.respond(one, other))

    def test_the_own_token_is_masked(self, saved_scgpt):
        """With one layer the own value cannot come in at all; with more it can, through the other genes."""
        for layers, blind in ((1, True), (2, False)):
            path = saved_scgpt(layers=layers, folder=str(layers))
            model = grn.models.load(path, params={"readout": "generative"})
            panel = model.panel(GENES, GENES)
            _, slopes = model.respond_dual(panel, cell(rows=12), torch.eye(12))
            assert (slopes.diagonal().abs().max() < 1e-9) == blind
            assert slopes.fill_diagonal_(1).abs().min() > 0

    def test_it_is_the_head_over_a_token_of_gene_and_flag(self, saved_scgpt):
        """Closed form with one layer: the query's own attention over the other tokens and itself."""
        model = grn.models.load(saved_scgpt(layers=1), params={"readout": "generative"})
        panel = model.panel(GENES, GENES[3:4])
        ids, values = model.sequence(panel, cell())
        query = model.network.encoder(ids[4:5]) + model.network.flag_encoder.weight[1]
        x = model.network.tokens(ids, values)
        x = torch.cat([x[:, :4], x[:, 5:], query.expand(2, 1, -1)], dim=1)
        close(model.respond(panel, cell())[:, 0], model.network.decoder(model.network.stack(x)[:, -1]))


def test_order_of_names_and_batches_do_not_matter(saved_scgpt):
    model = grn.models.load(saved_scgpt())
    panel, mixed = model.panel(GENES[:3], GENES), model.panel(GENES[2::-1], GENES[::-1])
    assert panel.genes == mixed.genes and mixed.targets == tuple(GENES[::-1])
    values = cell(rows=5)
    close(model.respond(panel, values), model.respond(mixed, values).flip(1), atol=1e-6)
    parts = torch.cat([model.respond(panel, part) for part in values.split(2)])
    close(model.respond(panel, values), parts, atol=1e-6)
    assert model.panel(["G01", "g01", "<cls>"], ["G02"]).unknown == ("g01", "<cls>"), "case counts"


def test_bfloat16_rounds_to_two_percent_of_the_largest_response(reference):
    """Single gradients may be far off, where rounding takes a ReLU across its kink; as a whole they agree."""
    exact, rough = (grn.models.load(reference.folder, dtype=dtype) for dtype in ("float32", "bfloat16"))
    names = list(exact.source_genes)
    panel = exact.panel(names, names)
    values, one = torch.ones(40, 40) + 24.0 * torch.eye(40), torch.eye(40)
    (right, slope), (found, rough_slope) = (model.respond_dual(panel, values, one) for model in (exact, rough))
    assert found.dtype == rough_slope.dtype == torch.float32
    assert (found - right).abs().max() < 0.02 * right.abs().max()
    off = one == 0
    assert torch.corrcoef(torch.stack([slope[off], rough_slope[off]]))[0, 1] > 0.99
    assert (rough.attention(panel, values) - exact.attention(panel, values)).abs().max() < 0.01


def test_the_scale_follows_the_number_of_bins(saved_scgpt):
    model = grn.models.load(saved_scgpt())
    assert model.value_scale.gradient_grid == (6, 12, 19, 25, 31, 38, 44, 50) == model.value_scale.perturbation_grid
    model = grn.models.load(saved_scgpt(args=lambda args: args.update(n_bins=101)))
    assert model.value_scale.upper == 100 == model.value_scale.gradient_grid[-1]
    assert model.encode_cells(np.arange(13)[None, 1:], GENES).max() == 100
    few = grn.models.load(saved_scgpt(args=lambda args: args.update(n_bins=5))).value_scale.gradient_grid
    assert len(set(few)) == 8 and few[-1] == 4
