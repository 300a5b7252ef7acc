"""Geneformer reads cells as ranks: what values mean, the tangent of moved ranks, and that no order matters."""

import numpy as np
import pytest
import torch

from grn.models import Moments
from grn.models._geneformer_ranks import orders
from grn.models.geneformer import untrained

NAMES = [f"ENSG{i:011d}" for i in range(1, 51)]
READOUTS = ("logit", "log_prob", "masked", "shift")


def close(found, wanted, atol=1e-5):
    torch.testing.assert_close(torch.as_tensor(found), torch.as_tensor(wanted), atol=atol, rtol=0, equal_nan=True)


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
