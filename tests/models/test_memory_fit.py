"""How a memory is made, on cells whose states and factors are planted."""

import logging

import numpy as np
import pytest

from grn.models._memory_fit import States, equalised, factorise, spread, states_of
from grn.models._training_cells import cell_sets

VOCABULARY = {f"G{i:02d}": i for i in range(60)}
SIZES = {"components": 4, "states": 4, "weight": 1.0}


def clustered(make_adata, n=160, noise=0.3, seed=0):
    """Cells of four types and the type of each."""
    rng = np.random.default_rng(seed)
    centres, kind = rng.normal(5, 2, size=(4, 60)), rng.integers(4, size=n)
    adata = make_adata(np.maximum(centres[kind] + noise * rng.normal(size=(n, 60)), 0).astype(np.float32))
    return adata, kind


def read(adata):
    (cells,) = cell_sets({"set": adata}, VOCABULARY, min_genes=5)
    return cells


def test_states_are_the_means_of_planted_types(make_adata):
    adata, kind = clustered(make_adata)
    found = states_of(read(adata), **SIZES)
    z = (adata.X - adata.X.mean(0)) / adata.X.std(0)
    expected = np.stack([z[kind == k].mean(0) for k in range(4)])
    distance = np.square(found.values[:, None] - expected[None]).mean(-1)
    assert sorted(distance.argmin(1)) == [0, 1, 2, 3] and distance.min(1).max() < 0.01
    np.testing.assert_allclose(np.sort(found.share), np.sort(np.bincount(kind) / len(kind)))
    np.testing.assert_allclose(found.share @ found.values, 0, atol=1e-5)


def test_states_do_not_depend_on_the_order_of_cells_and_genes(make_adata):
    adata, _ = clustered(make_adata)
    rng = np.random.default_rng(1)
    moved = adata[rng.permutation(adata.n_obs)][:, rng.permutation(adata.n_vars)].copy()
    a, b = states_of(read(adata), **SIZES), states_of(read(moved), **SIZES)
    assert a.tokens.tolist() == b.tokens.tolist() == sorted(a.tokens)
    np.testing.assert_allclose(a.values, b.values, atol=1e-4)
    np.testing.assert_allclose(a.share, b.share)


def test_few_rows_that_are_means_are_states_as_they_are(make_adata):
    adata, _ = clustered(make_adata, n=12)
    found = states_of(read(adata), components=3, states=20, weight=4.0, means=True)
    z = (adata.X - adata.X.mean(0)) / adata.X.std(0)
    rows = np.argsort(adata.obs_names.to_numpy(dtype=str), kind="stable")
    np.testing.assert_allclose(found.values, z[rows], atol=1e-4)
    assert (found.share == 1 / 12).all()
    assert found.weight == pytest.approx(4.0 / spread(found.values, found.share))


def test_the_spread_is_that_of_the_covariances():
    rng = np.random.default_rng(0)
    values, share = rng.normal(size=(5, 30)), rng.dirichlet(np.ones(5))
    rows = values - values.mean(axis=1, keepdims=True)
    covariance = rows.T @ (share[:, None] * rows)
    off = covariance[~np.eye(30, dtype=bool)]
    assert spread(values, share) == pytest.approx(np.sqrt(np.square(off).mean()))


def planted_sets(rng, hidden):
    """Two data sets of one rank-3 table; the second lacks genes."""
    genes, states = rng.normal(size=(60, 3)), rng.normal(size=(40, 3))
    table = (states @ genes.T).astype(np.float32)
    seen = np.arange(60 - hidden)
    equal = np.full(20, 1 / 20)
    return table, [States("a", np.arange(60), table[:20], equal, 1.0), States("b", seen, table[20:, seen], equal, 2.0)]


def test_the_table_fills_in_genes_that_a_data_set_lacks():
    truth, sets = planted_sets(np.random.default_rng(0), hidden=20)
    table = factorise(sets, 60, 3, rounds=40)
    np.testing.assert_allclose(table.states @ table.genes.T, truth, atol=0.05)
    assert table.error[-1] < 1e-4 < table.error[0]
    assert all(after <= before + 1e-9 for before, after in zip(table.error, table.error[1:], strict=False))
    assert table.set_of.tolist() == [0] * 20 + [1] * 20 and table.weight.tolist() == [1.0, 2.0]
    assert np.linalg.norm(table.genes, axis=0).tolist() == sorted(np.linalg.norm(table.genes, axis=0), reverse=True)


def test_heavier_data_sets_are_fitted_better():
    rng = np.random.default_rng(0)
    values, equal = rng.normal(size=(2, 20, 60)).astype(np.float32), np.full(20, 1 / 20)

    def error(weights):
        sets = [States(str(i), np.arange(60), values[i], equal, w) for i, w in enumerate(weights)]
        table = factorise(sets, 60, 5, rounds=1)
        return np.square((table.states @ table.genes.T).reshape(2, 20, 60) - values).mean(axis=(1, 2))

    light, heavy = error((1.0, 20.0))
    assert heavy < 0.8 * light


def test_factors_are_equalised():
    """Against the formula, one gene at a time; states keep their products with the leading components."""
    table = factorise(planted_sets(np.random.default_rng(0), hidden=0)[1], 60, 3, rounds=1)
    label = np.array([f"F{i // 3}" for i in range(60)])
    genes, states = equalised(table, [(label, 2.0)], rank=2, power=0.5)
    left, size, right = np.linalg.svd(table.genes - table.genes.mean(0), full_matrices=False)
    own = left[:, :2] * np.sqrt(size[:2])
    expected = np.array([own[i] + 2.0 * own[label == label[i]].mean(0) for i in range(60)])
    expected -= expected.mean(0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(genes, expected - expected.mean(0), atol=1e-5)
    np.testing.assert_allclose(states, table.states @ right[:2].T * np.sqrt(3.0), atol=1e-5)
    share = (table.share * table.weight[table.set_of])[:, None]
    np.testing.assert_allclose((states * share).T @ states / share.sum(), np.eye(2), atol=1e-4)


def test_progress_is_told_by_round(caplog):
    _, sets = planted_sets(np.random.default_rng(0), hidden=20)
    seen = []
    with caplog.at_level(logging.WARNING, logger="grn"):
        table = factorise(sets, 60, 3, rounds=3, on_round=lambda step, error: seen.append((step, error)))
    assert seen == list(enumerate(table.error)) and not caplog.records
