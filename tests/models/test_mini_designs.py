"""The designs behind the learning curves of ``mini`` read a memory as the package does."""

import importlib.util
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import grn
from grn.models._memory_fit import States
from grn.models.memory import Memory, MemoryConfig, MemoryNetwork
from grn.models.translator import double_centred

SCRIPTS = Path(__file__).parents[2] / "scripts"
GENES = ["GATA1", "SPI1", "KLF1", "HBB", "CD14", "LYZ", "ALAS2", "MPO", "GATA2", "CSF1R"]


@pytest.fixture(scope="module")
def designs():
    """The script; those it imports lie beside it."""
    names = ("pretrain_mini", "mini_designs")
    for name in names:
        spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    yield sys.modules["mini_designs"]
    for name in names:
        del sys.modules[name]


@pytest.fixture
def corpus(designs):
    rng = np.random.default_rng(0)

    def states(name, tokens, n):
        share = rng.dirichlet(np.ones(n))
        values = rng.normal(size=(n, len(tokens))).astype(np.float32)
        return States(name, tokens, values - (share @ values).astype(np.float32), share, 1.0)

    tokens = {"a": np.arange(8), "b": np.arange(2, 10), "c": np.arange(10)}
    made = {name: states(name, of, 12) for name, of in tokens.items()}
    return designs.StoredStates(np.array(sorted(GENES)), made, frozenset({"c"}))


def test_the_closed_form_is_what_the_package_reads(designs):
    mini = grn.models.load("mini")
    adata = ad.AnnData(np.zeros((0, len(GENES)), dtype=np.float32), var=pd.DataFrame(index=GENES))
    adata.uns["organism"] = "human"
    grn.tl.probe(adata, model=mini, sources=GENES[:3], background="unknown", progress=False)
    place = {gene: i for i, gene in enumerate(mini.genes)}
    response, slope = designs.readings(
        mini.network, np.array([place[g] for g in sorted(GENES[:3])]), np.array([place[g] for g in GENES])
    )
    for key, values in (("vvp", response), ("gradient_trajectory", slope)):
        told = grn.get.features(adata, key=key)
        order = [sorted(GENES[:3]).index(name) for name in told.sources]
        known = np.isfinite(adata.varm[key])
        np.testing.assert_allclose(
            adata.varm[key][known], values[order].transpose(1, 0, 2)[known], rtol=2e-3, atol=2e-5
        )


def test_a_straight_memory_is_one_gaussian(designs, corpus):
    design = designs.Design(rank=6, table_rank=8, rounds=2, families=False, precision=1e-6)
    table, genes = designs.table_of(corpus, corpus.states, design)
    network = designs.network_of(table, genes, design)
    names = np.array(genes)
    steep = designs.scored(network, genes)(names, names)
    flat = designs.scored(network, genes, read="factors")(names, names)
    known = np.isfinite(steep)
    assert known.sum() == len(names) * (len(names) - 1)
    assert np.corrcoef(steep[known], flat[known])[0, 1] > 0.99


def test_pooled_is_the_mean_covariance_of_the_data_sets_that_have_both_genes(designs, corpus):
    names = corpus.genes
    score = designs.pooled(corpus, ["a", "c"])(names, names)
    expected = np.zeros((10, 10))
    for part in (corpus.states["a"], corpus.states["c"]):
        expected[np.ix_(part.tokens, part.tokens)] += part.values.T @ (part.values * part.share[:, None])
    count = np.full((10, 10), 4.0)
    count[:8, :8] += 1
    expected /= count
    np.fill_diagonal(expected, np.nan)
    np.testing.assert_allclose(score, double_centred(expected), rtol=1e-4, atol=1e-6)


def test_genes_that_no_data_set_has_are_not_known(designs, corpus):
    design = designs.Design(rank=4, table_rank=6, rounds=1)
    table, genes = designs.table_of(corpus, ["a"], design)
    assert genes == corpus.genes[:8].tolist()
    score = designs.scored(designs.network_of(table, genes, design), genes)(corpus.genes, corpus.genes)
    assert np.isnan(score[8:]).all() and np.isfinite(score[:8, :8]).sum() == 56


def test_choices_change_what_they_name(designs, corpus):
    plain = designs.Design(rank=5, table_rank=8, rounds=2)
    table, genes = designs.table_of(corpus, corpus.states, plain)
    size = np.linalg.norm(designs.network_of(table, genes, plain).embedding.detach().numpy(), axis=1)
    unequal = designs.network_of(table, genes, designs.Design(rank=5, table_rank=8, rounds=2, equal=False))
    assert size.std() < 0.1 < np.linalg.norm(unequal.embedding.detach().numpy(), axis=1).std()
    lighter, _ = designs.table_of(
        corpus, corpus.states, designs.Design(rank=5, table_rank=8, rounds=2, profile_weight=1)
    )
    assert lighter.weight[2] == pytest.approx(table.weight[2] / 4)
    assert lighter.weight[:2] == pytest.approx(table.weight[:2])


def test_how_far_responses_bend_is_measured(designs, monkeypatch):
    training = designs.training
    monkeypatch.setattr(training, "regulators_of", lambda _: frozenset(GENES[:4]))
    genes = sorted(GENES)
    rng = np.random.default_rng(0)

    def measured(precision):
        network = MemoryNetwork(MemoryConfig(len(genes), 6, 1, 3, precision=precision))
        with torch.no_grad():
            network.embedding.copy_(torch.as_tensor(rng.normal(size=(len(genes), 3))))
            network.states.copy_(torch.as_tensor(rng.normal(size=(6, 3))))
        return training.bending(Memory(network, genes, name="small", sha256=""))

    straight, bent = measured(1e-4), measured(1.0)
    assert straight["regulators"] == 4 and straight["genes"] == 10
    assert straight["curved"] < 1e-3 and straight["r_first_last"] > 0.999 and straight["r_vvp_gdt"] > 0.999
    assert bent["curved"] > 0.05 and bent["r_first_last"] < 0.95
