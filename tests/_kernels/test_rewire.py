"""Exchanged edges: degrees, forbidden pairs, and every network of these degrees as likely as any other."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from grn._kernels.rewire import configuration, degree_matched, rewire


def network(seed, shape=(12, 30), density=0.25, closed=0.15):
    """Edges (sorted) and pairs that may not be used, none of them an edge."""
    random = np.random.default_rng(seed)
    edges = random.random(shape) < density * 2 * random.random((shape[0], 1))
    edges[random.integers(shape[0]), random.integers(shape[1])] = True
    return edges, (random.random(shape) < closed) & ~edges


def exchanged(edges, closed, seed, **rounds):
    sources, targets = np.nonzero(edges)
    found = rewire(sources, targets, edges.shape, np.random.default_rng(seed), closed=closed, **rounds)
    after = np.zeros_like(edges)
    after[sources, found.targets] = True
    return after, found


@given(st.integers(0, 10**6), st.sampled_from([(1, 5), (2, 2), (3, 40), (12, 30), (30, 4)]))
@settings(max_examples=60, deadline=None)
def test_degrees_stay_and_closed_pairs_stay_out(seed, shape):
    edges, closed = network(seed, shape)
    before = edges.copy(), closed.copy()
    after, found = exchanged(edges, closed, seed)
    assert after.sum() == len(found.targets) == edges.sum(), "no pair twice"
    assert (after.sum(axis=0) == edges.sum(axis=0)).all() and (after.sum(axis=1) == edges.sum(axis=1)).all()
    assert not (after & closed).any()
    assert (edges == before[0]).all() and (closed == before[1]).all(), "the input is left alone"


def test_targets_follow_their_sources_in_any_order():
    edges, closed = network(3)
    sources, targets = np.nonzero(edges)
    order = np.random.default_rng(1).permutation(len(sources))
    found = rewire(sources[order], targets[order], edges.shape, np.random.default_rng(0), closed=closed)
    after = np.zeros_like(edges)
    after[sources[order], found.targets] = True
    assert (after.sum(axis=0) == edges.sum(axis=0)).all() and (after.sum(axis=1) == edges.sum(axis=1)).all()


def test_it_settles_far_from_the_start_and_the_seed_decides():
    edges, closed = network(0, (60, 200), 0.1)
    after, found = exchanged(edges, closed, 0)
    assert found.settled
    expected = (edges.sum(axis=1, keepdims=True) * edges.sum(axis=0) / edges.sum()).clip(0, 1)
    assert (after & edges).sum() < 2 * (expected**2).sum(), "as far as chance would have it"
    assert (after == exchanged(edges, closed, 0)[0]).all()
    assert (after != exchanged(edges, closed, 1)[0]).any()


def test_nothing_to_exchange():
    star = np.zeros((1, 6), dtype=bool)
    star[0, :4] = True
    assert (exchanged(star, np.zeros_like(star), 0)[0] == star).all()
    full = np.ones((3, 4), dtype=bool)
    assert (exchanged(full, ~full, 0)[0] == full).all()
    alone = np.eye(2, 3, dtype=bool)
    assert (exchanged(alone, ~alone, 0)[0] == alone).all(), "all other pairs are closed"


def all_networks(rows, columns, closed):
    """Every bipartite network with these degrees and without closed pairs."""
    choices = [
        [c for c in combinations(range(len(columns)), k) if not closed[i, list(c)].any()] for i, k in enumerate(rows)
    ]
    found = []
    for chosen in product(*choices):
        grid = np.zeros(closed.shape, dtype=bool)
        for i, c in enumerate(chosen):
            grid[i, list(c)] = True
        if grid.sum(axis=0).tolist() == list(columns):
            found.append(grid)
    return found


@pytest.mark.parametrize(
    ("rows", "columns", "loops"),
    [
        ((2, 2, 2, 2), (2, 2, 2, 2), True),
        ((4, 3, 2, 1, 1), (4, 3, 2, 1, 1), True),
        ((3, 2, 1, 1), (1, 2, 1, 2, 1), False),
    ],
)
def test_every_network_of_these_degrees_is_as_likely(rows, columns, loops):
    """A rule that prefers or shuns pairs of hubs shows here: chi-square at 1 in 10 000, fixed seeds."""
    closed = np.zeros((len(rows), len(columns)), dtype=bool)
    if not loops:
        np.fill_diagonal(closed, True)
    states = all_networks(rows, columns, closed)
    place = {grid.tobytes(): i for i, grid in enumerate(states)}
    counts = np.zeros(len(states))
    for seed in range(15 * len(states)):
        counts[place[exchanged(states[0], closed, seed, rounds=15)[0].tobytes()]] += 1
    assert chisquare(counts).pvalue > 1e-4


class TestDegreeMatched:
    @given(st.integers(0, 10**6))
    @settings(max_examples=40, deadline=None)
    def test_both_sides_have_the_same_degrees_and_share_no_pair(self, seed):
        edges, closed = network(seed)
        free = ~edges & ~closed
        kept, drawn, _ = degree_matched(edges, free, np.random.default_rng(seed))
        assert not (kept & ~edges).any() and not (drawn & ~free).any()
        assert (kept.sum(axis=0) == drawn.sum(axis=0)).all() and (kept.sum(axis=1) == drawn.sum(axis=1)).all()

    def test_tiny_networks_find_the_only_other_way(self):
        edges = np.eye(2, dtype=bool)
        for seed in range(20):
            kept, drawn, _ = degree_matched(edges, ~edges, np.random.default_rng(seed))
            assert (kept == edges).all() and (drawn == ~edges).all()

    def test_one_regulator_has_no_partner(self):
        edges = np.array([[True, True, False, False]])
        kept, drawn, _ = degree_matched(edges, ~edges, np.random.default_rng(0))
        assert not kept.any() and not drawn.any()

    def test_pairs_of_hubs_are_on_both_sides(self):
        """Edges random given heavy-tailed degrees: the product of degrees must have the same mean on both sides.

        Where exchanges avoid edges on purpose, or stop by how many were accepted, hub x hub pairs stay edges only.
        """
        differences = []
        for seed in range(30):
            random = np.random.default_rng(seed)
            weight = (random.pareto(1.5, (40, 1)) + 0.2) * (random.pareto(1.5, 120) + 0.2)
            edges = random.random((40, 120)) < weight / (4 + weight)
            product_ = np.outer(edges.sum(axis=1), edges.sum(axis=0)).astype(float)
            kept, drawn, _ = degree_matched(edges, ~edges, random)
            differences.append((product_[kept].mean() - product_[drawn].mean()) / product_[kept | drawn].std())
        error = np.std(differences) / np.sqrt(len(differences))
        assert abs(np.mean(differences)) < 3 * error


class TestConfiguration:
    @given(st.integers(0, 10**6), st.sampled_from([0.05, 0.3, 0.7]))
    @settings(max_examples=40, deadline=None)
    def test_what_is_fine_is_free_and_no_repeat(self, seed, density):
        edges, closed = network(seed, density=density)
        free = ~edges & ~closed
        sources, targets = np.nonzero(edges)
        dealt, fine = configuration(sources, targets, free, np.random.default_rng(seed))
        assert sorted(dealt) == sorted(targets), "targets keep their degrees before rejection"
        assert free[sources[fine], dealt[fine]].all()
        pairs = set(zip(sources[fine].tolist(), dealt[fine].tolist(), strict=True))
        assert len(pairs) == fine.sum()
        rest = zip(sources[~fine].tolist(), dealt[~fine].tolist(), strict=True)
        assert all(not free[pair] or pair in pairs for pair in rest), "nothing is rejected without a reason"

    def test_sparse_networks_are_matched_entirely(self):
        edges, _ = network(1, (40, 200), 0.02, 0)
        sources, targets = np.nonzero(edges)
        dealt, fine = configuration(sources, targets, ~edges, np.random.default_rng(0))
        assert fine.all() and (np.bincount(dealt, minlength=200) == edges.sum(axis=0)).all()

    def test_full_networks_find_nothing(self):
        sources, targets = np.nonzero(np.ones((3, 4), dtype=bool))
        fine = configuration(sources, targets, np.zeros((3, 4), dtype=bool), np.random.default_rng(0), rounds=5)[1]
        assert not fine.any()
