"""In-silico deletion: against the authors' tensors, against a plain loop, and whatever the order of things."""

import logging

import anndata as ad
import numpy as np
import pytest
import torch

import grn
import grn.methods.foundation.geneformer
from grn.errors import CapabilityError, ExpressionError, ParameterError
from grn.methods import Inputs, Task
from grn.methods.foundation.deletion import deletion
from grn.models import Moments
from grn.models.geneformer import untrained

NAMES = [f"ENSG{i:011d}" for i in range(1, 51)]
SOURCES = NAMES[:3]


def cells_of(n_cells=7, n_genes=9, seed=0, share=0.6):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(4, size=(n_cells, n_genes)) * (rng.random((n_cells, n_genes)) < share)
    counts[:, -1] += 1
    adata = ad.AnnData(counts.astype(np.float32))
    adata.var_names, adata.obs_names = NAMES[:n_genes], [f"cell{i}" for i in range(n_cells)]
    return adata


def model_of(n_genes=9, positions=40):
    model = untrained(NAMES[:n_genes], layers=2, width=16, heads=2, positions=positions, seed=1)
    model.medians = {gene: 1 + 0.37 * (i % 4) for i, gene in enumerate(NAMES[:n_genes])}
    model.network.word.weight.mul_(5)
    return model


def weights(adata, model, sources=SOURCES, **given):
    params = {key: given.pop(key) for key in ("mode", "max_cells") if key in given}
    grn.tl.infer_network(adata, method="geneformer_deletion", model=model, sources=sources, params=params, **given)
    edges = grn.get.edges(adata)
    assert not {"sign", "probability"} & set(edges.columns)
    return edges.set_index(["group", "source", "target"] if "group" in edges else ["source", "target"])["weight"]


def turned(first, second):
    return 1 - torch.cosine_similarity(first.double(), second.double(), dim=-1)


def by_hand(adata, model, mode, sources=SOURCES):
    """The same by a loop over cells and sources, one sequence at a time."""

    def read(cell):
        return model.contextual(torch.tensor([[model.vocabulary[gene] for gene in cell]]))[0]

    sums, counts = {}, {}
    X = adata.X / adata.X.sum(axis=1, keepdims=True) * 1e4
    given = Moments(np.zeros(adata.n_vars), np.ones(adata.n_vars), adata.X.sum(axis=1))
    for columns, _ in model.tokenize(np.log1p(X), list(adata.var_names), reference=given):
        genes = [adata.var_names[c] for c in columns.tolist()]
        before = dict(zip(genes, read(genes), strict=True))
        for source in sources:
            rest = [gene for gene in genes if gene != source]
            if mode == "delete":
                if source not in genes:
                    continue
                cell = rest
            else:
                cell = [source, *rest][: model.max_genes]
            for gene, found in zip(cell, read(cell), strict=True):
                if gene != source:
                    sums[source, gene] = sums.get((source, gene), 0) + float(turned(found, before[gene]))
                    counts[source, gene] = counts.get((source, gene), 0) + 1
    return {pair: total / counts[pair] for pair, total in sums.items()}


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("layer", [0, -1])
def test_the_authors_tensors(shared_dir, version, layer):
    folder = shared_dir / "reference" / "geneformer" / version
    with np.load(folder / "reference.npz") as found:
        tensors = {name: found[name] for name in found}
    edge = int(version == "v2")
    cell = ad.AnnData(tensors["counts"][:1].astype(np.float32))
    cell.var_names, cell.obs_names = NAMES, ["first"]
    gone = int(tensors["deleted_index"])
    ids = tensors["deleted_input_ids"]
    stay = slice(edge, len(ids) - edge)
    n = int(tensors["attention_mask"][0].sum())
    before, after = (torch.as_tensor(tensors[k][layer - 1, 0]) for k in ("hidden_states", "deleted_hidden_states"))
    wanted = turned(before[[i for i in range(n) if i != gone]][stay], after[stay])
    first = 2 + 2 * edge
    source = NAMES[tensors["input_ids"][0, gone] - first]
    found = weights(cell, grn.models.load(folder, params={"layer": layer}), sources=[source])
    assert len(found) == len(wanted)
    np.testing.assert_allclose([found[source, NAMES[i - first]] for i in ids[stay]], wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("mode", ["delete", "overexpress"])
@pytest.mark.parametrize("positions", [40, 7])
def test_a_plain_loop_finds_the_same(mode, positions):
    """With 7 positions, 5 of them for genes, cells are cut, and an inserted gene pushes the last one out."""
    adata, model = cells_of(), model_of(positions=positions)
    wanted = by_hand(adata, model, mode)
    found = weights(adata, model, mode=mode)
    assert set(found.index) == set(wanted) and len(wanted) > 10
    np.testing.assert_allclose(found[list(wanted)], list(wanted.values()), rtol=1e-4, atol=1e-6)
    assert adata.uns["grn"]["params"]["mode"] == mode


@pytest.mark.parametrize("mode", ["delete", "overexpress"])
def test_no_order_and_no_batch_size_matters(mode):
    adata, model = cells_of(40), model_of()
    first = weights(adata, model, mode=mode, max_cells=6)
    rng = np.random.default_rng(3)
    mixed = adata[rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)].copy()
    again = weights(mixed, model, mode=mode, max_cells=6)
    assert set(again.index) == set(first.index)
    np.testing.assert_array_equal(again[first.index], first)
    single = weights(mixed, model, mode=mode, max_cells=6, batch_size=1)
    np.testing.assert_allclose(single[first.index], first, atol=1e-6)
    others = weights(adata, model, mode=mode, max_cells=6, rng=1)
    assert not others.index.equals(first.index) or not np.allclose(others, first)


def test_groups_are_read_apart_and_unseen_pairs_are_counted(caplog):
    adata, model = cells_of(12), model_of()
    adata.X[:6, 1] = 0
    adata.obs["type"] = ["a"] * 6 + ["b"] * 6
    with caplog.at_level(logging.INFO, logger="grn"):
        found = weights(adata, model, groupby="type", max_cells=100)
    missing = 8 + sum((("a", source, NAMES[1]) not in found.index) for source in (NAMES[0], NAMES[2]))
    assert f"{missing} of 24 pairs are in no cell of group a together" in caplog.text
    for group in "ab":
        alone = weights(adata[adata.obs["type"] == group].copy(), model)
        np.testing.assert_array_equal(found[group][alone.index], alone)
    chosen = weights(adata, model, targets=[*NAMES[3:5], NAMES[0]])
    assert set(chosen.index.get_level_values("target")) == {*NAMES[3:5], NAMES[0]}
    np.testing.assert_array_equal(chosen, weights(adata, model)[chosen.index])


def test_what_is_refused():
    adata, model = cells_of(), model_of()
    with pytest.raises(CapabilityError, match="reads models of the family geneformer; 'scgpt-untrained' is scgpt"):
        weights(adata, grn.models.untrained("scgpt", genes=NAMES[:9]))
    with pytest.raises(ParameterError, match="mode='knockout'; use one of delete, overexpress"):
        weights(adata, model, mode="knockout")
    for wrong in (0, True, 2.5):
        with pytest.raises(ParameterError, match="max_cells="):
            weights(adata, model, max_cells=wrong)
    adata.X[:, 0] = 0
    with pytest.raises(ExpressionError, match="no source is expressed together with a target"):
        weights(adata, model, sources=NAMES[:1])
    lone = cells_of(3)
    lone.X[:, :-1] = 0
    with pytest.raises(ExpressionError, match="no source is expressed"):
        weights(lone, model, sources=NAMES[8:9])


class Valued:
    """A model that takes values, as far as the recipe needs one: h_j is (1, sum of the other values, place of j)."""

    name, gene_id_kind, max_genes = "valued", "ensembl", 5
    source_genes = target_genes = tuple(NAMES[:4])

    def __init__(self):
        self.vocabulary = {name: i for i, name in enumerate(NAMES[:4])}

    def tokenize(self, X, genes, *, reference=None):
        order = [np.argsort(-row, kind="stable")[: (row > 0).sum()] for row in X]
        return [(torch.as_tensor(o), torch.as_tensor(row[o])) for o, row in zip(order, X, strict=True)]

    def contextual(self, tokens, values=None):
        place = torch.arange(tokens.shape[1]).expand_as(tokens).float()
        return torch.stack([torch.ones_like(values), values.sum(1, keepdim=True) - values, place], dim=-1)


def test_values_go_with_their_tokens():
    adata = ad.AnnData(np.log1p(np.array([[3.0, 2.0, 1.0, 0.0]], dtype=np.float32)))
    adata.var_names = NAMES[:4]
    a, b, c, _ = adata.X[0].tolist()
    task = Task(model=Valued(), sources=[NAMES[1], NAMES[3]], show=False)

    def by_target(mode):
        edges = deletion(Inputs(adata, task), max_cells=1, mode=mode, name="x").edges
        return {(NAMES.index(s), NAMES.index(t)): w for s, t, w in edges[["source", "target", "weight"]].values}

    def angle(*pair):
        return float(turned(*map(torch.tensor, pair)))

    before = {0: (1.0, b + c, 0.0), 2: (1.0, a + b, 2.0), 1: (1.0, a + c, 1.0)}
    wanted = {(1, 0): angle(before[0], (1.0, c, 0.0)), (1, 2): angle(before[2], (1.0, a, 1.0))}
    assert by_target("delete") == pytest.approx(wanted, abs=1e-6)
    wanted = {(1, 0): angle(before[0], (1.0, a + c, 1.0)), (1, 2): angle(before[2], (1.0, 2 * a, 2.0))}
    rest = {(3, j): angle(h, (1.0, h[1] + a, h[2] + 1)) for j, h in before.items()}
    assert by_target("overexpress") == pytest.approx(wanted | rest, abs=1e-6)
