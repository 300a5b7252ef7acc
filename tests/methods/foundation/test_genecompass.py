"""In-silico deletion with GeneCompass, against the same thing done by hand."""

import anndata as ad
import numpy as np
import pytest
import torch

import grn
from grn import genes
from grn.errors import CapabilityError
from grn.methods import Inputs, Task
from grn.methods.foundation.genecompass import fit

SYMBOLS = ["SPI1", "GATA1", "LYZ", "CD14", "CST3", "KLF1"]
SOURCES = ["SPI1", "KLF1"]


@pytest.fixture(scope="module")
def model():
    names = genes.resolve([*SYMBOLS, "TP53"], organism="human")["ensembl"].tolist()
    made = grn.models.untrained("genecompass", genes=names, layers=2, width=16, heads=2, rng=3)
    made.medians = dict(zip(names, np.linspace(0.5, 4, len(names)).tolist(), strict=True))
    return made


@pytest.fixture
def cells():
    """Counts of 12 cells in which genes are often absent, and of a gene no model knows, which counts in the total."""
    counts = np.random.default_rng(1).poisson(1.2, size=(12, 7))
    counts[:, 6] += 3
    adata = ad.AnnData(counts.astype(np.float32))
    adata.var_names, adata.obs_names = [*SYMBOLS, "not-a-gene"], [f"cell{i}" for i in range(12)]
    adata.obs["type"] = np.repeat(["a", "b"], 6)
    return adata


def by_hand(model, adata):
    """Mean of 1 - cos per pair: sort, read, take one token out, read again."""
    names = genes.resolve(SYMBOLS, organism="human")["ensembl"].tolist()
    effects = {}
    for row in adata.X:
        y = {gene: np.log2(1 + row[i] / model.medians[gene]) for i, gene in enumerate(names) if row[i]}
        order = sorted(y, key=lambda gene: (-y[gene], model.vocabulary[gene]))
        read = lambda kept, y=y: model.contextual(  # noqa: E731
            torch.tensor([[model.vocabulary[g] for g in kept]]), torch.tensor([[y[g] for g in kept]])
        )[0]
        whole = dict(zip(order, read(order), strict=True))
        for source in order:
            rest = [gene for gene in order if gene != source]
            for gene, turned in zip(rest, read(rest) if rest else [], strict=True):
                pair = SYMBOLS[names.index(source)], SYMBOLS[names.index(gene)]
                turn = 1 - torch.cosine_similarity(whole[gene].double(), turned.double(), dim=0)
                effects.setdefault(pair, []).append(float(turn))
    return {pair: np.mean(found) for pair, found in effects.items() if pair[0] in SOURCES}


def edges(network):
    table = network.edges
    return {(s, t): w for s, t, w in zip(table["source"], table["target"], table["weight"], strict=True)}


def test_deletion_is_what_it_says(model, cells):
    network = fit(Inputs(cells, Task(model, sources=SOURCES, show=False)))
    found, wanted = edges(network), by_hand(model, cells)
    assert not network.signed and found.keys() == wanted.keys()
    np.testing.assert_allclose([found[pair] for pair in wanted], list(wanted.values()), atol=1e-6)


def test_groups_and_orders(model, cells):
    task = Task(model, sources=SOURCES, groupby="type", show=False)
    grouped = fit(Inputs(cells, task))
    assert grouped.groups == ["a", "b"]
    part = cells[cells.obs["type"] == "b", ::-1].copy()
    alone, table = edges(fit(Inputs(part, Task(model, sources=SOURCES, show=False)))), grouped.edges
    table = table[table["group"] == "b"]
    for source, target, weight in zip(table["source"], table["target"], table["weight"], strict=True):
        assert weight == pytest.approx(alone[source, target], abs=1e-6)


def test_overexpression_puts_the_gene_first(model, cells):
    network = fit(Inputs(cells, Task(model, sources=SOURCES, show=False)), mode="overexpress")
    found, deleted = edges(network), edges(fit(Inputs(cells, Task(model, sources=SOURCES, show=False))))
    assert found.keys() >= deleted.keys() and min(found.values()) >= 0
    assert any(abs(found[pair] - deleted[pair]) > 1e-6 for pair in deleted)


def test_another_family_is_refused(cells):
    other = grn.models.untrained("scgpt", genes=SYMBOLS)
    with pytest.raises(CapabilityError, match=r"genecompass_deletion.*genecompass"):
        grn.tl.infer_network(cells, method="genecompass_deletion", model=other)
