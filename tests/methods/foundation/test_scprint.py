"""scPRINT's network recipe: the numbers of the real GNInfer, and what must not change a network."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import grn
from grn.errors import CapabilityError, NetworkError, ParameterError
from grn.methods import Inputs, Task
from grn.methods.foundation.scprint import fit
from grn.methods.foundation.scprint_heads import MeanProjections, choose_heads, head_maps, mean_map
from grn.methods.probes.training_pairs import LabelledPairs

IDS = tuple(f"ENSG{i:011d}" for i in range(30))
SOURCES = IDS[3:7]


@pytest.fixture(scope="module")
def model():
    return grn.models.untrained("scprint", genes=IDS, layers=2, width=16, heads=2, rng=4)


@pytest.fixture
def cells():
    """Counts of 14 cells; one gene the model does not know counts in the depth of a cell."""
    rng = np.random.default_rng(5)
    counts = rng.poisson(rng.gamma(1.0, 3.0, size=(14, 1)) * rng.gamma(1.0, 1.0, size=(1, 25))).astype(np.float32)
    counts[:, 0] += 1
    adata = ad.AnnData(counts)
    adata.var_names, adata.obs_names = [*IDS[:24], "not-a-gene"], [f"cell{i}" for i in range(14)]
    adata.obs["type"] = np.repeat(["a", "b/c"], 7)
    return adata


def table(network, group=None):
    edges = network.edges if group is None else network.edges[network.edges["group"] == group]
    return edges.astype({"source": str, "target": str}).pivot(index="target", columns="source", values="weight")


def by_hand(model, adata, rows, genes):
    """Weights (targets, sources) from the published formula, cell by cell, without threshold."""
    panel = model.panel(genes, genes)
    sums = 0
    for row in rows:
        values = torch.tensor(np.asarray(adata[row, list(panel.genes)].X, dtype=np.float32))
        depth = torch.tensor([float(adata.X[row].sum())])
        layers = model.projections(panel, values, depth=depth)
        sums = sums + torch.stack([torch.stack([q, k]) for q, k in layers])[:, :, 0].double()
    q, k = (sums / len(rows)).unbind(1)
    maps = torch.softmax(q @ k.transpose(-1, -2) / np.sqrt(q.shape[-1]), dim=-1).mean((0, 1))[8:, 8:]
    return pd.DataFrame(maps.numpy(), index=list(panel.genes), columns=list(panel.genes))


@pytest.mark.parametrize("version", ["v238", "v238_log"])
def test_the_arithmetic_of_the_real_class(shared_dir, version):
    folder = shared_dir / "reference" / "scprint" / version
    reference, network = np.load(folder / "reference.npz"), grn.models.load(folder).network
    ids = torch.as_tensor(reference["genes_pos"])
    x = network.encoder_input(torch.as_tensor(reference["expression"]))
    places = torch.cat([torch.arange(4).expand(3, -1), 4 + ids], dim=1)
    held = torch.zeros(52).index_add_(0, places.flatten(), torch.ones(places.numel()))[:, None, None, None]
    with torch.no_grad():
        tokens = network.tokens(ids, x, torch.as_tensor(reference["depth"]))
        layers = [torch.stack((q, k)).permute(1, 3, 0, 2, 4).double() for q, k, _ in network.stack.projections(tokens)]
    nothing = torch.zeros(52, *layers[0].shape[2:], dtype=torch.float64)
    sums = [nothing.index_add(0, places.flatten(), both.flatten(0, 1)) for both in layers]
    means = torch.stack(sums) / held
    np.testing.assert_allclose(means, reference["grn_qk_mean"], atol=1e-6, rtol=0)
    seen = means[:, ~means[0, :, 0, 0, 0].isnan()]
    np.testing.assert_allclose(mean_map(seen), reference["grn_attention_mean_softmax"], atol=1e-6, rtol=0)
    per_head = np.stack(list(head_maps(seen)), axis=-1)
    np.testing.assert_allclose(per_head, reference["grn_attention_per_head"], atol=1e-6, rtol=0)
    published = torch.as_tensor(reference["grn_qk_mean"])[:, ~means[0, :, 0, 0, 0].isnan()]
    # the last bit is that of the processor
    heads = np.stack(list(head_maps(published)), axis=-1)
    np.testing.assert_allclose(heads, reference["grn_attention_per_head"], rtol=1e-6)
    np.testing.assert_allclose(mean_map(published), reference["grn_attention_mean_softmax"], atol=1e-8, rtol=0)
    np.testing.assert_allclose(mean_map(seen, [1, 4]), per_head[..., [1, 4]].mean(-1), atol=1e-12)


def test_weight_is_the_attention_of_the_target_to_the_source(model, cells):
    network = fit(Inputs(cells, Task(model, sources=SOURCES)), threshold=0)
    wanted = by_hand(model, cells, range(14), IDS[:24]).loc[:, list(SOURCES)]
    found = table(network).loc[wanted.index, wanted.columns]
    own = np.equal.outer(wanted.index, wanted.columns)
    assert np.isnan(found.to_numpy()[own]).all()
    np.testing.assert_allclose(found.to_numpy()[~own], wanted.to_numpy()[~own], atol=1e-6)
    assert not network.signed and network.params["n_presented"] == 24


def test_weak_attention_counts_as_none(model, cells, caplog):
    all_pairs = fit(Inputs(cells, Task(model, sources=SOURCES)), threshold=0).edges["weight"]
    level = float(all_pairs.median())
    weights = fit(Inputs(cells, Task(model, sources=SOURCES)), threshold=level).edges["weight"]
    assert np.array_equal(weights, np.where(all_pairs < level, 0.0, all_pairs))
    assert (weights == 0).sum() == 46 and len(weights) == 4 * 23
    assert "threshold" not in caplog.text
    network = fit(Inputs(cells, Task(model, sources=SOURCES)))  # eight cell tokens leave 24 genes less than 1 / 24 each
    assert network.params["threshold"] == 1 / 24 and (network.edges["weight"] == 0).all()
    assert "{'threshold': 0}" in caplog.text


def test_groups_are_read_apart(model, cells):
    network = fit(Inputs(cells, Task(model, sources=SOURCES, targets=IDS[:9], groupby="type")), threshold=0)
    for group, rows in (("a", range(7)), ("b/c", range(7, 14))):
        wanted = by_hand(model, cells, rows, IDS[:9])
        found = table(network, group)
        for source in SOURCES:
            for target in set(IDS[:9]) - {source}:
                assert found.loc[target, source] == pytest.approx(wanted.loc[target, source], abs=1e-6)


def test_order_and_batches_do_not_matter(model, cells):
    wanted = fit(Inputs(cells, Task(model, sources=SOURCES)), max_cells=9)
    rng = np.random.default_rng(1)
    mixed = cells[rng.permutation(14)][:, rng.permutation(25)].copy()
    for adata, size in ((mixed, None), (cells, 1), (mixed, 4)):
        found = fit(Inputs(adata, Task(model, sources=SOURCES[::-1], batch_size=size)), max_cells=9)
        pd.testing.assert_frame_equal(table(found), table(wanted).loc[table(found).index], atol=1e-6, rtol=0)
    assert not np.allclose(table(fit(Inputs(cells, Task(model, sources=SOURCES, seed=1)), max_cells=9)), table(wanted))


def test_without_counts_the_depth_is_the_models_own(model, cells):
    logged = cells.copy()
    logged.X = np.log1p(cells.X / cells.X.sum(1, keepdims=True) * 1e4)
    found = table(fit(Inputs(logged, Task(model, sources=SOURCES)), threshold=0))
    assert not np.allclose(found, table(fit(Inputs(cells, Task(model, sources=SOURCES)), threshold=0)), atol=1e-6)
    same = cells.copy()
    same.X = np.round(np.expm1(logged.X) * 100)  # every cell has about 10 000 counts times 100
    deep = grn.models.untrained("scprint", genes=IDS, layers=2, width=16, heads=2, rng=4)
    deep.reading = type(deep.reading)(depth=1e6)
    assert np.allclose(
        table(fit(Inputs(logged, Task(deep, sources=SOURCES)), threshold=0)),
        table(fit(Inputs(same, Task(deep, sources=SOURCES)), threshold=0)),
        atol=1e-4,
        equal_nan=True,
    )


def test_too_many_genes_leave_the_most_expressed(model, cells):
    network = fit(Inputs(cells, Task(model, sources=SOURCES)), max_genes=10, threshold=0)
    logged = np.log1p(cells.X / cells.X.sum(1, keepdims=True) * 1e4).mean(0)
    ranked = [cells.var_names[i] for i in np.argsort(-logged) if cells.var_names[i] in IDS]
    kept = {*SOURCES, *[gene for gene in ranked if gene not in SOURCES][:6]}
    assert set(network.edges["target"]) == kept and network.params["n_presented"] == 10
    for task in (Task(model, sources=SOURCES, targets=IDS[:20]), Task(model, sources=IDS[:12])):
        with pytest.raises(ParameterError, match="at most 10"):
            fit(Inputs(cells, task), max_genes=10)


def test_heads_are_chosen_by_known_edges(model, cells):
    genes, n = IDS[:24], 24
    means = _means(model, cells, genes)
    maps = np.stack(list(head_maps(means)))[:, 8:, 8:]
    best = maps[3]  # layer 1, head 1
    edges = [(j, i) for i in range(n) for j in range(n) if i != j and best[j, i] > np.quantile(best[:, i], 0.75)]
    labels = pd.DataFrame([(genes[i], genes[j]) for j, i in edges], columns=["source", "target"])
    network = fit(Inputs(cells, Task(model, sources=genes)), heads="select", labels=labels, threshold=0)
    chosen = network.params["selected_heads"]["all"]
    assert [1, 1] in chosen.tolist() and len(chosen) < 4
    wanted = maps[[2 * layer + head for layer, head in chosen]].mean(0)
    found = table(network).loc[list(genes), list(genes)].to_numpy()
    off = ~np.eye(n, dtype=bool)
    np.testing.assert_allclose(found[off], wanted[off], atol=1e-6)
    grouped = fit(Inputs(cells, Task(model, sources=genes, groupby="type")), heads="select", labels=labels)
    assert set(grouped.params["selected_heads"]) == {"a", "b/c"}


def test_labels_that_no_head_follows_are_told(model, cells):
    means = _means(model, cells, IDS[:24])
    every = np.array(np.nonzero(~np.eye(24, dtype=bool)))
    low = np.all([found[8:, 8:] < np.median(found[8:, 8:]) for found in head_maps(means[:1, :, :, :1])], axis=0)
    pairs = LabelledPairs(every[0], every[1], low[tuple(every)].astype(int))
    with pytest.raises(ParameterError, match="heads='mean'"):
        choose_heads(means[:1, :, :, :1], np.arange(8, 32), np.arange(8, 32), pairs)


def _means(model, cells, genes):
    panel = model.panel(genes, genes)
    found = MeanProjections()
    values, depth = torch.as_tensor(cells.X[:, :24]), torch.as_tensor(cells.X.sum(1))
    found.add(model.projections(panel, values, depth=depth))
    return found.mean()


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"heads": "best"}, "heads='best'"),
        ({"heads": "select"}, "needs labels"),
        ({"labels": pd.DataFrame({"source": [], "target": []})}, "heads='select'"),
        ({"max_cells": 0}, "max_cells=0"),
        ({"max_genes": True}, "max_genes=True"),
        ({"max_genes": 5000}, "from 2 to 3000"),
        ({"max_genes": 1}, "from 2 to 3000"),
        ({"threshold": 1.5}, "threshold=1.5"),
    ],
)
def test_wrong_parameters_are_told(model, cells, own, told):
    with pytest.raises(ParameterError, match=told):
        fit(Inputs(cells, Task(model, sources=SOURCES)), **own)


def test_labels_need_columns_and_the_model_its_family(model, cells):
    with pytest.raises(NetworkError, match="source"):
        fit(Inputs(cells, Task(model, sources=SOURCES)), heads="select", labels=pd.DataFrame({"a": [1]}))
    other = grn.models.untrained("scgpt", genes=["SPI1", "CD14"])
    with pytest.raises(CapabilityError, match="scprint"):
        grn.tl.infer_network(cells, method="scprint_attention", model=other, sources=SOURCES)
