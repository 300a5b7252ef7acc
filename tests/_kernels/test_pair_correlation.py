import numpy as np
import pytest
from scipy import sparse

from grn._kernels import pair_correlation
from grn._kernels.pair_correlation import Centred, Pairs, Sums


def matrices(n=200, regions=40, genes=15, seed=0):
    random = np.random.default_rng(seed)
    x = random.poisson(0.4, size=(n, regions)).astype(float)
    y = random.normal(3.0, 1.0, size=(n, genes)) + x[:, :genes]
    x[:, 5] = 0.0
    y[:, 3] = 2.5
    return x, y


def near(regions=40, genes=15, seed=1):
    """Regions around every gene, some genes with none."""
    pairs = [(r, g) for g in range(genes) if g != 7 for r in range(regions) if abs(r - 2.5 * g) < 6]
    return tuple(np.array(column) for column in zip(*pairs, strict=True))


def made(x, y, first, second, background=None, cuts=(70, 150), sparse_second=False):
    background = np.zeros(0, dtype=np.int64) if background is None else background
    sums = Sums(Pairs(first, second), (x.shape[1], y.shape[1]), background)
    for rows in np.split(np.arange(len(x)), cuts):
        sums.add(sparse.csr_array(x[rows]), sparse.csr_array(y[rows]) if sparse_second else y[rows])
    return sums


@pytest.mark.parametrize("sparse_second", [False, True])
@pytest.mark.parametrize("waste", [1.0, 2.0, 1e9])
def test_correlations_are_those_of_numpy(monkeypatch, sparse_second, waste):
    monkeypatch.setattr(pair_correlation, "_WASTE", waste)
    (x, y), (first, second) = matrices(), near()
    background = np.array([39, 0, 5, 11])
    sums = made(x, y, first, second, background, sparse_second=sparse_second)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.corrcoef(x.T, y.T)[: x.shape[1], x.shape[1] :]
    expected[5] = expected[:, 3] = np.nan
    centred = Centred.of(sums)
    np.testing.assert_allclose(centred.correlation(sums.pairs), expected[first, second], atol=1e-12)
    np.testing.assert_allclose(centred.background_correlation(background), expected[background], atol=1e-12)


def test_tiles_cover_every_pair_once_and_are_small():
    first, second = near(400, 150)
    pairs = Pairs(first, second)
    covered = np.concatenate([np.arange(len(pairs))[tile.wanted] for tile in pairs.tiles])
    np.testing.assert_array_equal(covered, np.arange(len(pairs)))
    made_products = sum((tile.high - tile.low) * (tile.stop - tile.start) for tile in pairs.tiles)
    assert made_products <= 2 * len(pairs) and len(pairs.tiles) < 150


def test_blocks_do_not_matter():
    (x, y), (first, second) = matrices(), near()
    one, many = (Centred.of(made(x, y, first, second, cuts=cuts)) for cuts in ([], range(1, 200)))
    pairs = Pairs(first, second)
    np.testing.assert_allclose(one.correlation(pairs), many.correlation(pairs), rtol=1e-9)


def test_groups_join_to_deviations_from_their_means():
    (x, y), (first, second) = matrices(), near()
    y[:80] += 10.0
    background = np.array([1, 20])
    halves = [Centred.of(made(x[part], y[part], first, second, background, [])) for part in (slice(80), slice(80, 200))]
    halves[0].join(halves[1])
    for part in (slice(80), slice(80, 200)):
        x[part] -= x[part].mean(axis=0)
        y[part] -= y[part].mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.corrcoef(x.T, y.T)[: x.shape[1], x.shape[1] :]
    expected[5] = expected[:, 3] = np.nan
    assert halves[0].count == 200
    np.testing.assert_allclose(halves[0].correlation(Pairs(first, second)), expected[first, second], atol=1e-12)
    np.testing.assert_allclose(halves[0].background_correlation(background), expected[background], atol=1e-12)


def test_a_large_mean_does_not_hide_that_a_column_is_constant():
    x, y = np.full((50, 2), 0.1), np.full((50, 2), 1e3)
    x[3, 1] = 4.0
    y[7, 1] += 1.0
    sums = made(x, y, np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), cuts=[20])
    found = Centred.of(sums).correlation(sums.pairs)
    np.testing.assert_array_equal(np.isnan(found), [True, True, True, False])


def test_no_pairs():
    none = np.zeros(0, dtype=np.int64)
    sums = made(*matrices(), none, none)
    assert Centred.of(sums).correlation(sums.pairs).shape == (0,)
