import numpy as np
import pytest
import torch

from grn.models._masked_error import masked_error
from grn.models._training_cells import cell_sets, hold_out

VOCABULARY = {f"G{i:02d}": i for i in range(60)}


@pytest.fixture
def silent(make_memory):
    """A network that predicts the mean of every gene."""
    network = make_memory().network
    network.states.zero_()
    return network


def clustered(make_adata, n=240, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(5, 2, size=(6, 60))
    values = centres[rng.integers(6, size=n)] + 0.3 * rng.normal(size=(n, 60))
    return hold_out(*cell_sets(make_adata(np.maximum(values, 0)), VOCABULARY, min_genes=5), 0.2)


def test_predicting_zero_has_no_skill(silent, make_adata):
    train, held = clustered(make_adata)
    (row,) = masked_error(silent, [train], [held], visible=30, queries=30)
    assert row["r2_model"] == 0.0
    assert row["mse_model"] == row["mse_mean"] > 0.5
    assert row["dataset"] == "set0"
    assert row["cells"] == len(held.names)
    assert row["genes"] == 60


def test_near_cells_predict_clustered_cells(silent, make_adata):
    train, held = clustered(make_adata)
    (row,) = masked_error(silent, [train], [held], visible=30, queries=30)
    assert row["r2_neighbors"] > 0.8
    np.testing.assert_allclose(row["r2_neighbors"], 1 - row["mse_neighbors"] / row["mse_mean"])


def test_near_cells_do_not_predict_noise(silent, make_adata):
    values = np.random.default_rng(0).normal(5, 1, size=(200, 60))
    train, held = hold_out(*cell_sets(make_adata(np.maximum(values, 0)), VOCABULARY, min_genes=5), 0.2)
    (row,) = masked_error(silent, [train], [held], visible=30, queries=30)
    assert -0.3 < row["r2_neighbors"] < 0.05


def test_a_cell_is_not_its_own_neighbour(silent, make_adata):
    values = np.maximum(np.random.default_rng(0).normal(5, 1, size=(100, 60)), 0)
    (cells,) = cell_sets(make_adata(values), VOCABULARY, min_genes=5)
    (row,) = masked_error(silent, [cells], [cells], visible=30, queries=30, neighbors=1)
    assert row["r2_neighbors"] < 0


def test_the_network_sees_only_the_visible_genes(make_adata):
    train, held = clustered(make_adata)
    seen = []

    class Spy(torch.nn.Module):
        def forward(self, tokens, values, queries):
            seen.append((tokens.tolist(), values, queries.tolist()))
            return torch.zeros(len(values), len(queries))

    masked_error(Spy(), [train], [held], visible=20, queries=25, max_cells=20)
    assert sum(len(values) for _, values, _ in seen) == 20
    for tokens, values, queries in seen:
        assert (len(tokens), len(queries)) == (20, 25)
        assert not set(tokens) & set(queries)
        assert values.shape[1] == 20


def test_the_same_seed_gives_the_same_figures(silent, make_adata):
    train, held = clustered(make_adata)
    given = {"visible": 10, "queries": 10, "max_cells": 5}
    first, again, other = (masked_error(silent, [train], [held], seed=s, **given) for s in (0, 0, 1))
    assert first == again
    assert first != other


def test_sets_without_held_out_cells_are_left_out(silent, make_adata):
    train, held = clustered(make_adata)
    none = hold_out(train, 0.0)[1]
    assert masked_error(silent, [train], [none]) == []
    assert len(masked_error(silent, [train, train], [none, held])) == 1


def test_a_single_training_cell_still_gives_numbers(silent, make_adata):
    import dataclasses

    train, held = clustered(make_adata)
    lonely = dataclasses.replace(train, X=train.X[:1], names=train.names[:1])
    (row,) = masked_error(silent, [lonely], [held], visible=30, queries=30)
    assert np.isfinite(row["mse_neighbors"])
