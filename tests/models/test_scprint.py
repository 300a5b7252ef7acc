"""scPRINT v1 computes the numbers of the real classes; its read-outs, normalisation and derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad

import grn
from grn.models import Moments

VERSIONS = ("v164", "v238", "v238_log")
HUMAN = tuple(f"ENSG{i:011d}" for i in range(14))


def tiny(genes=HUMAN, **sizes):
    return grn.models.untrained("scprint", genes=genes, **({"layers": 2, "width": 16, "heads": 4} | sizes))


def content(model, path) -> dict:
    return torch.load(grn.models.save(model, path), weights_only=True)


def answers(model) -> torch.Tensor:
    """Response to a few virtual cells of all genes."""
    panel = model.panel(model.source_genes, model.target_genes)
    values = torch.arange(1.0, 1 + 3 * len(panel)).reshape(3, -1).remainder(7)
    return model.respond(panel, values)


def difference(found, wanted) -> float:
    return float(np.abs(np.asarray(found, dtype=np.float64) - np.asarray(wanted, dtype=np.float64)).max())


class Reference:
    """Tensors of the real classes beside the model read from their file."""

    def __init__(self, folder, **params):
        self.arrays = dict(np.load(folder / "reference.npz"))
        self.model = grn.models.load(folder, params=params)
        names = ("genes_pos", "expression", "depth")
        self.ids, self.counts, self.depth = (torch.as_tensor(self.arrays[name]) for name in names)

    def __getitem__(self, name):
        return self.arrays[name]


@pytest.fixture(params=VERSIONS)
def reference(request, shared_dir):
    return Reference(shared_dir / "reference" / "scprint" / request.param, readout="mean", depth=1000)


def test_every_tensor_of_the_forward_pass(reference):
    network = reference.model.network
    with torch.no_grad():
        tokens = network.tokens(reference.ids, network.encoder_input(reference.counts), reference.depth)
        out = network(reference.ids, reference.counts, reference.depth, reference.counts.sum(1))
        projections = torch.stack([torch.stack(qkv, dim=2) for qkv in network.stack.projections(tokens)])
        maps = network.stack.attention_maps(tokens)
    assert difference(tokens, reference["encoder_input"]) < 1e-5
    assert difference(projections.permute(0, 1, 4, 3, 2, 5), reference["qkv"]) < 1e-5
    names = [name.removeprefix("out_") for name in reference.arrays if name.startswith("out_")]
    assert sorted(names) == sorted(out)
    assert {name: difference(out[name], reference[f"out_{name}"]) < 1e-5 for name in names} == dict.fromkeys(
        names, True
    )
    q, k = (torch.as_tensor(reference["qkv"])[:, :, :, i].permute(1, 0, 3, 2, 4) for i in (0, 1))
    wanted = torch.softmax(q @ k.transpose(-1, -2) / 4.0, dim=-1)
    assert difference(maps, wanted) < 1e-6


def test_both_probes(reference):
    model, n = reference.model, reference["panel"].shape[1]
    genes = [model.genes[i] for i in reference["panel"][0]]
    panel = model.panel(genes, genes)
    base = model.respond(panel, torch.ones(1, n))
    assert difference(base, reference["vvp_baseline_mean"]) < 1e-5

    def at(value):
        return torch.ones(n, n).fill_diagonal_(float(value))

    for i, value in enumerate(reference["vvp_values"]):
        assert difference(model.respond(panel, at(value)) - base, reference["vvp_features"][:, :, i]) < 1e-5
    for i, value in enumerate(reference["gdt_values"]):
        found = model.respond_dual(panel, at(value), torch.eye(n))
        assert difference(found[1], reference["gdt_features"][:, :, i]) < 1e-5
        assert difference(found[0], model.respond(panel, at(value))) < 1e-6


def test_attention_of_the_protocol_leaves_out_the_cell_tokens(reference):
    model = reference.model
    genes = [model.genes[i] for i in reference.ids[0]]
    panel = model.panel(genes, genes)
    found = model.attention(panel, reference.counts[:1])
    network, depth = model.network, torch.tensor([1000.0])
    tokens = network.tokens(panel.tokens, network.encoder_input(reference.counts[:1]), depth)
    assert difference(found, network.stack.attention_maps(tokens)[..., 4:, 4:]) < 1e-6
    assert found.shape == (1, 3, 2, 20, 20) and float(found.sum(-1).max()) < 1.0


def test_versions_differ_in_the_place_of_the_depth_token(shared_dir):
    old, new = (Reference(shared_dir / "reference" / "scprint" / v).model.network for v in VERSIONS[:2])
    ids, x = torch.arange(5), torch.ones(1, 5)
    first, second = (net.tokens(ids, x, torch.tensor([3.0]))[0] for net in (old, new))
    assert first[[1, 0, 2, 3]].allclose(second[:4]) and first[4:].allclose(second[4:])


def test_readouts_are_views_of_one_distribution(tmp_path):
    path = grn.models.save(tiny(), tmp_path / "model.ckpt")
    found = {
        name: answers(grn.models.load(path, params={"readout": name, "depth_mult": 500.0}))
        for name in ("logit", "log_mean", "mean", "mvc_logit", "mvc_log_mean", "mvc_mean")
    }
    for start in ("", "mvc_"):
        assert torch.allclose(found[start + "mean"].sum(1), torch.full((3,), 500.0))
        assert torch.allclose(found[start + "log_mean"].exp(), found[start + "mean"], rtol=1e-5)
        assert torch.allclose(torch.softmax(found[start + "logit"], 1) * 500, found[start + "mean"], rtol=1e-5)
    assert not torch.allclose(found["logit"], found["mvc_logit"], atol=1e-2)


@pytest.mark.parametrize("normalization", ["sum", "log"])
def test_normalization_is_inside_or_outside(tmp_path, normalization):
    path = tmp_path / "model.ckpt"
    state = content(tiny(), path)
    state["hyper_parameters"]["normalization"] = normalization
    torch.save(state, path)
    inside, outside = (grn.models.load(path, params={"through_normalization": on}) for on in (True, False))
    panel = inside.panel(HUMAN, HUMAN)
    X = np.log1p(np.random.default_rng(0).poisson(2.0, (4, len(HUMAN))) * 1e4 / 900)
    moments = Moments(X.mean(0), X.std(0), np.full(4, 900.0))
    cells = [model.encode_cells(X, HUMAN, reference=moments) for model in (inside, outside)]
    assert np.allclose(cells[0], np.expm1(X) * 900 / 1e4, rtol=1e-4)
    responses = [model.respond(panel, values) for model, values in zip((inside, outside), cells, strict=True)]
    assert torch.allclose(*responses, atol=1e-5)
    base = torch.ones(1, len(HUMAN))
    assert torch.allclose(inside.respond(panel, base), outside.respond(panel, base), atol=1e-6)
    tangents = torch.eye(len(HUMAN))
    slopes = [model.respond_dual(panel, base.repeat(len(HUMAN), 1), tangents)[1] for model in (inside, outside)]
    scale_free = torch.allclose(inside.respond(panel, 7 * cells[0]), responses[0], atol=1e-5)
    assert scale_free == (normalization == "sum")
    if normalization == "sum":  # all together change no share; alone, a gene takes from the others
        assert float(slopes[0].sum(0).abs().max()) < 1e-5 < float(slopes[1].sum(0).abs().max())
    else:
        assert torch.allclose(slopes[0] * 2 * np.log(2), slopes[1], atol=1e-5)


@pytest.mark.parametrize("readout", ["logit", "log_mean", "mvc_logit"])
@pytest.mark.parametrize("through", [True, False])
def test_dual_equals_finite_differences(tmp_path, readout, through):
    path = grn.models.save(tiny(width=8, heads=2), tmp_path / "model.ckpt")
    model = grn.models.load(path, params={"readout": readout, "through_normalization": through})
    model.network.double()
    panel = model.panel(HUMAN[:3], HUMAN[:6])
    values = torch.rand(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 4 + 0.5
    along = torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    with forward_ad.dual_level(), torch.no_grad():
        found = forward_ad.unpack_dual(model.read(panel, forward_ad.make_dual(values, along))).tangent
    step = 1e-6
    wanted = (model.read(panel, values + step * along) - model.read(panel, values - step * along)) / (2 * step)
    assert float((found - wanted).abs().max()) < 1e-7


def test_neither_order_nor_batch_matters():
    model = tiny()
    values = torch.rand(5, 8) * 9
    first = model.panel(HUMAN[:4], HUMAN[:8])
    second = model.panel(HUMAN[3::-1], HUMAN[7::-1])
    together = model.respond(first, values)
    assert torch.equal(together.flip(1), model.respond(second, values))
    single = torch.cat([model.respond(first, row[None]) for row in values])
    assert torch.allclose(together, single, atol=1e-6)
    few = model.panel(HUMAN[:8], HUMAN[2:3])
    assert torch.allclose(model.respond(few, values)[:, 0], together[:, 2], atol=1e-6)


def test_silent_cells_and_bfloat16_are_finite(tmp_path):
    path = grn.models.save(tiny(), tmp_path / "model.ckpt")
    exact, rounded = grn.models.load(path), grn.models.load(path, dtype="bfloat16")
    panel = exact.panel(HUMAN, HUMAN)
    assert torch.isfinite(exact.respond(panel, torch.zeros(1, len(HUMAN)))).all()
    assert torch.isfinite(exact.respond_dual(panel, torch.zeros(1, len(HUMAN)), torch.ones(1, len(HUMAN)))[1]).all()
    wanted = answers(exact)
    assert float((answers(rounded) - wanted).abs().max()) < 0.05 * float(wanted.abs().max())
    empty = np.zeros((2, len(HUMAN)))
    outside = grn.models.load(path, params={"through_normalization": False})
    assert float(outside.encode_cells(empty, HUMAN).abs().max()) == 0.0
