import numpy as np
import pytest
from scipy import sparse

from grn._kernels import recovery


def scores(n=40, m=7, seed=0, levels=4, density=0.5):
    """Few levels, so that there are many ties."""
    random = np.random.default_rng(seed)
    dense = random.integers(1, levels + 1, (n, m)) * (random.random((n, m)) < density)
    return dense.astype(float)


def orders(column, random, times=4000):
    """Places of all regions in many random orders of their ties (times, n)."""
    keys = np.where(column > 0, column, -np.inf)
    places = np.empty((times, len(column)), dtype=int)
    for k in range(times):
        order = np.lexsort([random.random(len(column)), -keys])
        places[k, order] = np.arange(len(column))
    return places


def exact_places(dense):
    """Places of the ties of every region, by motif."""
    ordered = -np.sort(-dense, axis=0)
    return [[np.flatnonzero(ordered[:, k] == value) for value in dense[:, k]] for k in range(dense.shape[1])]


def members(n, sets):
    member = np.zeros((len(sets), n))
    for row, rows in enumerate(sets):
        member[row, rows] = 1
    return sparse.csr_matrix(member)


SETS = [[0, 3, 5, 9], [1], list(range(12, 37))]


@pytest.mark.parametrize("depth", [1, 6, 25, 40])
@pytest.mark.parametrize("density", [0.1, 0.6, 1.0])
def test_areas_are_means_over_the_orders_of_ties(depth, density):
    dense = scores(density=density)
    ties = exact_places(dense)
    expected = np.array(
        [[sum(np.maximum(depth - ties[k][i], 0).mean() for i in rows) / (len(rows) * depth) for k in range(7)]
         for rows in SETS]
    )  # fmt: skip
    found = recovery.areas(recovery.rankings_of_scores(sparse.csc_matrix(dense)), members(40, SETS), depth)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_an_area_is_that_under_the_curve_of_a_ranking_without_ties():
    dense = np.random.default_rng(1).random((30, 3))
    rows = [2, 4, 17]
    curve = np.isin(np.argsort(-dense[:, 1]), rows).cumsum()  # regions of the set in the first 1, 2 ... places
    found = recovery.areas(recovery.rankings_of_scores(sparse.csc_matrix(dense)), members(30, [rows]), 10)
    assert found[0, 1] == pytest.approx(curve[:10].sum() / (10 * 3))


def test_areas_agree_with_random_orders():
    dense = scores(n=15, m=1, levels=2)
    places = orders(dense[:, 0], np.random.default_rng(0))
    expected = np.maximum(5 - places[:, [1, 2, 3]], 0).sum(axis=1).mean() / 15
    found = recovery.areas(recovery.rankings_of_scores(sparse.csc_matrix(dense)), members(15, [[1, 2, 3]]), 5)
    assert found[0, 0] == pytest.approx(expected, abs=0.01)


def test_normalised_areas_are_deviations_over_motifs():
    area = np.random.default_rng(0).random((3, 9))
    expected = (area - area.mean(axis=1, keepdims=True)) / area.std(axis=1, keepdims=True)
    np.testing.assert_allclose(recovery.normalised(area), expected)


@pytest.mark.parametrize("area", [np.full((2, 5), 0.3), np.zeros((2, 5)), np.ones((2, 1))])
def test_motifs_that_are_alike_have_no_normalised_area(area):
    assert np.isnan(recovery.normalised(area)).all()


def edges_by_hand(dense, rows, motifs, depth):
    """Curves as means over ties, one place and region at a time."""
    ties = exact_places(dense)
    curves = np.array(
        [[sum((ties[k][i] <= place).mean() for i in rows) for place in range(depth)] for k in range(dense.shape[1])]
    )
    above = np.round(curves - (curves.mean(axis=0) + 2 * curves.std(axis=0)), 9)
    place = above[motifs].argmax(axis=1)
    hits = {(i, j) for j, k in enumerate(motifs) for i in rows if dense[i, k] > 0 and ties[k][i].min() <= place[j]}
    return place, hits


@pytest.mark.parametrize("depth", [5, 18, 40])
@pytest.mark.parametrize("at_once", [1, 1 << 22])
def test_leading_edges_are_those_of_the_curves(depth, at_once, monkeypatch):
    monkeypatch.setattr(recovery, "_AT_ONCE", at_once)
    dense = scores(seed=3)
    motifs = np.array([0, 2, 6])
    for rows in SETS:
        found = recovery.leading_edges(
            recovery.rankings_of_scores(sparse.csc_matrix(dense)), np.array(rows), motifs, depth
        )
        place, hits = edges_by_hand(dense, rows, motifs, depth)
        np.testing.assert_array_equal(found.place, place)
        assert set(zip(found.region.tolist(), found.motif.tolist(), strict=True)) == hits


def test_places_of_a_table_are_those_of_its_scores():
    dense = np.random.default_rng(2).random((20, 4))
    places = np.argsort(np.argsort(-dense, axis=0), axis=0)
    far = np.where(places < 8, places + 1, 0)
    by_table = recovery.rankings_of_places(sparse.csc_matrix(far), 20)
    by_score = recovery.rankings_of_scores(sparse.csc_matrix(dense))
    rows = np.array([1, 5, 6])
    member = members(20, [rows])
    np.testing.assert_allclose(recovery.areas(by_table, member, 8), recovery.areas(by_score, member, 8))
    first, second = (recovery.leading_edges(r, rows, np.arange(4), 8) for r in (by_table, by_score))
    np.testing.assert_array_equal(first.place, second.place)
    assert set(zip(first.region, first.motif, strict=True)) == set(zip(second.region, second.motif, strict=True))


def test_neither_order_of_regions_nor_of_motifs_matters():
    dense = scores(seed=5)
    random = np.random.default_rng(0)
    rows, columns = random.permutation(40), random.permutation(7)
    moved = recovery.rankings_of_scores(sparse.csc_matrix(dense[rows][:, columns]))
    here = recovery.rankings_of_scores(sparse.csc_matrix(dense))
    member = members(40, SETS)
    np.testing.assert_allclose(
        recovery.areas(moved, member[:, rows], 9), recovery.areas(here, member, 9)[:, columns], rtol=1e-12
    )
    first = recovery.leading_edges(here, np.array(SETS[2]), columns, 12)
    second = recovery.leading_edges(moved, np.argsort(rows)[SETS[2]], np.arange(7), 12)
    np.testing.assert_array_equal(first.place, second.place)
    assert set(zip(first.region, first.motif, strict=True)) == set(zip(rows[second.region], second.motif, strict=True))
