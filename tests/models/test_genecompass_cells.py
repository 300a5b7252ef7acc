"""GeneCompass reads cells: medians, values, tokens and ranks, derivatives, and that no order matters."""

import logging
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad

from grn.errors import ParameterError, WeightsError, WeightsNotFoundError
from grn.models import Moments, load, save
from grn.models._registry import untrained

HUMAN = [f"ENSG{i:011d}" for i in range(1, 9)]
MOUSE = [f"ENSMUSG{i:011d}" for i in range(1, 6)]


@pytest.fixture
def saved(make_genecompass, tmp_path):
    return save(make_genecompass(), tmp_path / "saved")


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


def test_cells_are_encoded_and_ranked_as_the_authors_do(make_genecompass):
    counts = np.random.default_rng(0).poisson(1.5, size=(30, 8)).astype(float)
    counts[0] = 0
    X, moments = counted(counts, spare=500.0)
    model = make_genecompass()
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


def test_tokens_do_not_depend_on_the_order_of_genes(make_genecompass):
    counts = np.random.default_rng(1).poisson(1.0, size=(10, 8)).astype(float)
    X, moments = counted(counts)
    order = [5, 2, 7, 0, 1, 6, 3, 4]
    names = [*(HUMAN[i] for i in order), "ENSG_UNKNOWN", MOUSE[0]]
    shuffled = np.concatenate([X[:, order], np.full((10, 2), 9.0, dtype=np.float32)], axis=1)
    model = make_genecompass()
    for (first, a), (second, b) in zip(
        model.tokenize(X, HUMAN, reference=moments), model.tokenize(shuffled, names, reference=moments), strict=True
    ):
        assert [HUMAN[i] for i in first] == [names[i] for i in second]
        assert torch.equal(a, b)


def test_without_counts_a_cell_has_ten_thousand(make_genecompass):
    X = np.log1p(np.array([[3.0, 0.0, 4096.0]]))
    np.testing.assert_allclose(make_genecompass().encode_cells(X, HUMAN[:3]), [[2.0, 0.0, 10.0]], atol=1e-6)


@pytest.mark.parametrize("organism", ["human", "mouse"])
def test_only_genes_of_the_organism_are_known(saved, organism):
    model = load(saved, params={"organism": organism})
    own, other = (HUMAN, MOUSE) if organism == "human" else (MOUSE, HUMAN)
    assert model.source_genes == model.target_genes == tuple(own) and model.gene_id_kind == "ensembl"
    assert model.panel([own[0], other[0]], own).unknown == (other[0],)


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


def test_panels_end_at_the_last_position(saved):
    model = load(saved)
    model.network.parts = replace(model.network.parts, positions=3)
    with pytest.raises(ParameterError, match="8 genes were presented; the checkpoint has 3 positions"):
        model.respond(model.panel(HUMAN, HUMAN), torch.ones(1, 8))


def test_untrained_takes_ensembl_ids_only():
    with pytest.raises(ParameterError, match=r"Ensembl ids.*SPI1"):
        untrained("genecompass", genes=["SPI1", HUMAN[0]])
    assert untrained("genecompass", genes=MOUSE).organism == "mouse"
