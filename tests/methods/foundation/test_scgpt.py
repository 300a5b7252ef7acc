"""The networks that the authors of scGPT read from it."""

import itertools

import anndata as ad
import numpy as np
import pytest
import torch
from scipy.stats import rankdata

import grn
from grn.errors import CapabilityError, GroupError, ParameterError
from grn.methods.foundation.scgpt_ranks import mean_rank, mean_ranks, ranked
from grn.models.scgpt import bins

GENES = ["SPI1", "GATA1", "LYZ", "CD14", "CD79A", "CST3", "S100A8", "KLF1", "NKG7"]
SOURCES = ["SPI1", "GATA1"]


@pytest.fixture(scope="module")
def model():
    return grn.models.untrained("scgpt", genes=[*sorted(GENES[:8]), "TP53"], layers=2, width=16, heads=4, rng=3)


@pytest.fixture
def cells():
    """Counts of 24 cells of two groups; the model does not know the last gene."""
    counts = np.random.default_rng(1).poisson(np.linspace(0.5, 9, len(GENES)), size=(24, len(GENES)))
    adata = ad.AnnData(counts.astype(np.float32))
    adata.var_names, adata.obs_names = GENES, [f"cell{i}" for i in range(24)]
    adata.obs["type"] = np.repeat(["a", "b"], 12)
    return adata


def infer(adata, method, model, **given):
    params = given.pop("params", {})
    grn.tl.infer_network(adata, method=method, model=model, sources=SOURCES, params=params, **given)
    return grn.get.network(adata)


def matrix(network, column="weight", group=None):
    edges = network.edges
    edges = edges if group is None else edges[edges["group"] == group]
    return edges.pivot(index="target", columns="source", values=column)


def as_published(scores):
    """The authors' two double sorts, ties in the order of the rows."""
    within_rows = scores.argsort(dim=-1, stable=True).argsort(dim=-1)
    return within_rows.argsort(dim=-2, stable=True).argsort(dim=-2).float() / scores.shape[-1]


def ties(values, axis):
    """Which values have an equal along an axis."""
    least, most = (rankdata(values, method=how, axis=axis) for how in ("min", "max"))
    return torch.as_tensor(least < most)


@pytest.fixture
def reference(shared_dir):
    folder = shared_dir / "reference" / "scgpt"
    with np.load(folder / "reference.npz") as found:
        names = ("qk_unscaled", "attention_grn_rank_last_layer", "input_ids", "values")
        return folder, *(torch.as_tensor(found[name]) for name in names)


def test_the_authors_break_ties_by_position(reference):
    """Theirs is one of the orders of the ties; ours is the middle of every tie, and theirs where there is none."""
    _, scores, wanted, _, _ = reference
    last = scores[:, -1]
    torch.testing.assert_close(as_published(last).mean(1), wanted, atol=1e-6, rtol=0)
    tied = ties(last, -1).any(-2, keepdim=True) | ties(mean_rank(last), -2)
    assert 0.05 < tied.float().mean() < 0.95, "the reference has pairs of both kinds"
    ours, theirs = ranked(last), as_published(last)
    torch.testing.assert_close(ours[~tied], theirs[~tied], atol=1e-6, rtol=0)
    assert (ours - theirs)[tied].abs().max() > 0.05


def test_ranks_of_the_network(reference):
    folder, scores, _, ids, values = reference
    network = grn.models.load(folder).network
    *_, (q, k, _) = network.stack.projections(network.tokens(ids[:1], values[:1]))
    torch.testing.assert_close(mean_ranks(q, k), ranked(scores[:1, -1]).mean(1), atol=1e-6, rtol=0)


def test_ranks_by_hand():
    scores = torch.tensor([[5.0, 1.0, 3.0], [0.0, 9.0, 8.0], [2.0, 2.0, 1.0]])
    within_rows = torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0], [1.5, 1.5, 0.0]])
    within_columns = torch.tensor([[2.0, 0.0, 1.5], [0.0, 2.0, 1.5], [1.0, 1.0, 0.0]])
    assert torch.equal(mean_rank(scores), within_rows)
    assert torch.equal(ranked(scores), within_columns / 3)
    assert torch.equal(ranked(scores * 7 - 1), ranked(scores)), "neither scale nor shift matters"
    assert torch.equal(ranked(torch.ones(4, 4)), torch.full((4, 4), 1.5 / 4))


def test_ranks_are_the_mean_of_the_authors_over_all_orders_of_the_genes():
    scores = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    total = torch.zeros(5, 5)
    orders = [list(order) for order in itertools.permutations(range(5))]
    for order in orders:
        back = torch.argsort(torch.tensor(order))
        total += as_published(scores[order][:, order])[back][:, back]
        assert torch.equal(ranked(scores[order][:, order])[back][:, back], ranked(scores))
    torch.testing.assert_close(ranked(scores), total / len(orders), atol=1e-6, rtol=0)


def by_hand(model, adata, rows):
    """Mean ranks in plain loops: bins among the genes known, cell token first, scores of the last layer."""
    known = [gene for gene in adata.var_names if gene in model.vocabulary]
    totals = adata.X[rows].sum(1, keepdims=True)
    X = np.log1p(adata.X[rows] / totals * 1e4)[:, [adata.var_names.get_loc(gene) for gene in known]]
    order = sorted(known, key=model.vocabulary.__getitem__)
    tokens = torch.tensor([model.special["<cls>"], *(model.vocabulary[gene] for gene in order)])
    total = 0
    for row in bins(X):
        values = torch.tensor([[0.0, *(row[known.index(gene)] for gene in order)]])
        *_, (q, k, _) = model.network.stack.projections(model.network.tokens(tokens, values))
        for head in range(q.shape[1]):
            scores = (q[0, head] @ k[0, head].T).numpy()
            ranks = (rankdata(rankdata(scores, axis=1), axis=0) - 1) / len(scores)
            total = total + ranks / q.shape[1] / len(X)
    place = {gene: 1 + i for i, gene in enumerate(order)}
    return {(s, t): total[place[t], place[s]] for s in SOURCES for t in known if t != s}


class TestAttention:
    def test_it_is_the_mean_rank_of_all_cells(self, model, cells):
        network = infer(cells, "scgpt_attention", model, params={"max_cells": None})
        wanted = by_hand(model, cells, np.arange(24))
        found = network.edges.set_index(["source", "target"])["weight"]
        assert len(found) == len(wanted) == 2 * 7 and not network.directed and not network.signed
        np.testing.assert_allclose([found[pair] for pair in wanted], list(wanted.values()), atol=1e-6)
        params = cells.uns["grn"]["params"]
        assert (params["attention_layer"], params["unknown"].tolist()) == (1, ["NKG7"])
        assert "max_cells" not in params and "max_cells" in params["unset"]

    def test_groups_and_their_difference_from_a_control(self, model, cells):
        given = {"groupby": "type", "params": {"max_cells": None}}
        both = infer(cells, "scgpt_attention", model, **given)
        alone = infer(cells[cells.obs["type"] == "b"].copy(), "scgpt_attention", model, params={"max_cells": None})
        assert np.allclose(matrix(both, group="b"), matrix(alone), equal_nan=True, atol=1e-6)
        given["params"]["control"] = "a"
        change = infer(cells, "scgpt_attention", model, **given)
        wanted = matrix(both, group="b") - matrix(both, group="a")
        assert change.groups == ["b"] and not change.signed and (wanted < 0).any().any()
        assert np.allclose(matrix(change, "score"), wanted, equal_nan=True, atol=1e-6)
        assert np.allclose(matrix(change), wanted.clip(lower=0), equal_nan=True, atol=1e-6)

    def test_layers_differ_and_order_and_batches_do_not_matter(self, model, cells):
        first = infer(cells.copy(), "scgpt_attention", model, params={"max_cells": 10})
        rng = np.random.default_rng(0)
        mixed = cells[rng.permutation(24), rng.permutation(len(GENES))].copy()
        second = infer(mixed, "scgpt_attention", model, params={"max_cells": 10}, batch_size=3)
        assert np.allclose(matrix(first), matrix(second), equal_nan=True, atol=1e-6)
        other = infer(cells.copy(), "scgpt_attention", model, params={"max_cells": 10, "attention_layer": 0})
        assert not np.allclose(matrix(first), matrix(other), equal_nan=True, atol=1e-3)
        again = infer(cells.copy(), "scgpt_attention", model, params={"max_cells": 10, "attention_layer": -2})
        assert np.array_equal(matrix(again), matrix(other), equal_nan=True)

    def test_the_order_of_the_vocabulary_does_not_matter(self, model, cells):
        """The same genes with the same embeddings in other rows, so in another order of every panel."""
        rows = np.random.default_rng(5).permutation(len(model.vocabulary))
        names, table = list(model.vocabulary), model.network.encoder.embedding.weight
        other = grn.models.untrained("scgpt", genes=[names[i] for i in rows], layers=2, width=16, heads=4, rng=3)
        other.network.load_state_dict(model.network.state_dict())
        other.network.encoder.embedding.weight[: len(rows)] = table[torch.as_tensor(rows)]
        first, second = (infer(cells.copy(), "scgpt_attention", m, params={"max_cells": None}) for m in (model, other))
        assert np.allclose(matrix(first), matrix(second), equal_nan=True, atol=1e-6)

    def test_targets_are_the_only_genes_presented_beside_the_sources(self, model, cells):
        network = infer(cells, "scgpt_attention", model, targets=["LYZ", "CD14"])
        assert len(network) == 4 and network.edges["weight"].max() <= 4 / 5, "rank 4 of 5 tokens at most"

    @pytest.mark.parametrize(
        ("given", "error", "told"),
        [
            ({"params": {"attention_layer": 2}}, ParameterError, "from -2 to 1, -1 for the last layer"),
            ({"params": {"attention_layer": True}}, ParameterError, "attention_layer=True"),
            ({"params": {"max_cells": 0}}, ParameterError, "max_cells=0"),
            ({"params": {"control": "a"}}, ParameterError, "pass groupby="),
            ({"params": {"control": "z"}, "groupby": "type"}, GroupError, "'z' must be one of .* a, b"),
            ({"batch_size": 0}, ParameterError, "batch_size=0"),
        ],
    )
    def test_what_is_refused(self, model, cells, given, error, told):
        with pytest.raises(error, match=told):
            infer(cells, "scgpt_attention", model, **given)
        assert not cells.uns


class TestEmbedding:
    def test_it_is_the_cosine_of_normed_embeddings(self, model, cells):
        network = infer(cells[:0].copy(), "scgpt_embedding", model)
        table = model.network.encoder.embedding.weight
        normed = model.network.encoder.enc_norm(table)
        edges = network.edges.set_index(["source", "target"])
        assert len(edges) == 2 * 7 and not network.directed and not network.signed
        for (s, t), row in edges.iterrows():
            cosine = torch.cosine_similarity(normed[model.vocabulary[s]], normed[model.vocabulary[t]], dim=0).item()
            assert row["score"] == pytest.approx(cosine, abs=1e-6)
            assert row["weight"] == pytest.approx(max(0.0, cosine), abs=1e-6)
        assert edges.loc[("SPI1", "GATA1"), "weight"] == edges.loc[("GATA1", "SPI1"), "weight"]
        assert (edges["score"] < 0).any(), "otherwise nothing was tested"

    def test_pairs_below_the_threshold_are_left_out(self, model, cells):
        every = infer(cells, "scgpt_embedding", model).edges
        limit = float(every["score"].median())
        some = infer(cells, "scgpt_embedding", model, params={"threshold": limit}).edges
        assert 0 < len(some) < len(every) and some["score"].min() >= limit
        assert len(infer(cells, "scgpt_embedding", model, params={"threshold": 1.0})) == 0
        assert cells.uns["grn"]["params"]["threshold"] == 1.0

    def test_only_the_targets_asked_for(self, model, cells):
        assert set(infer(cells, "scgpt_embedding", model, targets=["LYZ"]).targets) == {"LYZ"}

    @pytest.mark.parametrize("threshold", ["0.4", 2, True, np.nan])
    def test_a_threshold_is_a_cosine(self, model, cells, threshold):
        with pytest.raises(ParameterError, match=r"threshold=.*cosine"):
            infer(cells, "scgpt_embedding", model, params={"threshold": threshold})

    def test_groups_are_refused(self, model, cells):
        with pytest.raises(ParameterError, match="same network"):
            infer(cells, "scgpt_embedding", model, groupby="type")


@pytest.mark.parametrize("method", ["scgpt_embedding", "scgpt_attention"])
def test_other_models_are_refused(method, cells):
    other = grn.models.untrained("scgenept", genes=GENES, layers=1, width=8, heads=2)
    with pytest.raises(CapabilityError, match=rf"'{method}' reads models of the family scgpt; 'scgenept-un"):
        infer(cells, method, other)
