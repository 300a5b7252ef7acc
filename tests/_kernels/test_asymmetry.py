"""Planted directions are found, and none in matrices that are symmetric but for what says nothing."""

import numpy as np
import pytest

from grn._kernels.asymmetry import FEWEST, asymmetry


def symmetric(n, rng):
    couplings = rng.normal(size=(n, n))
    return (couplings + couplings.T) / 2


def planted(n, rng, *, share=0.1):
    """Signed effects of a network without cycles under shuffled names, and its edges."""
    order = rng.permutation(n)
    edges = np.triu(rng.random((n, n)) < share, 1)[np.ix_(order, order)]
    return edges * rng.choice([-1, 1], size=(n, n)) * rng.uniform(0.5, 1.5, size=(n, n)), edges


@pytest.mark.parametrize("n", [40, 150])
@pytest.mark.parametrize("coupled", [0.0, 0.2])
def test_planted_directions_are_recovered(n, coupled):
    """Also where every pair is coupled both ways beside it, and genes are loud and sensitive in different degree."""
    rng = np.random.default_rng(n)
    effects, edges = planted(n, rng)
    gain, node = np.exp(0.3 * rng.normal(size=(n, 1))), rng.normal(size=(2, n))
    response = gain * (effects + coupled * symmetric(n, rng) + 0.05 * rng.normal(size=(n, n)))
    result = asymmetry(response + node[0][:, None] + node[1])
    assert (result.stronger & edges).sum() > 0.6 * edges.sum()
    assert (result.stronger & ~edges).sum() <= 0.02 * result.stronger.sum()
    assert not (result.stronger & result.stronger.T).any()
    assert result.share > 0.25


@pytest.mark.parametrize("n", [20, 60, 200])
@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_is_claimed_of_symmetric_responses(n, seed):
    rng = np.random.default_rng(seed)
    couplings, noise = symmetric(n, rng), rng.normal(size=(n, n))
    loud, sensitive = np.exp(0.7 * rng.normal(size=(2, n)))
    factors = rng.normal(size=(n, 3))
    cases = {
        "exact": couplings,
        "rounded": couplings.astype(np.float32) * np.float32(1 + 1e-6),
        "means of genes": couplings + rng.normal(size=(n, 1)) + rng.normal(size=n),
        "loud and sensitive genes": loud[:, None] * couplings * sensitive,
        "of low rank": factors @ factors.T,
        "noise": couplings + 0.1 * noise,
        "much noise": couplings + noise,
        "nothing but noise": noise,
        "noise in proportion": couplings * (1 + 0.1 * noise),
        "opposite signs": couplings * np.where(np.triu(np.ones((n, n))) > 0, 1, -1),
        "zero": np.zeros((n, n)),
        "means alone": rng.normal(size=(n, 1)) + rng.normal(size=n),
    }
    for name, response in cases.items():
        # of N pairs of Gaussian noise one may pass now and then
        assert asymmetry(response).stronger.sum() <= max(2, n**2 / 4000), name
    for name in ("exact", "rounded", "means of genes", "of low rank"):
        result = asymmetry(cases[name])
        assert result.share < 1e-6 and result.correlation > 0.999, name
    assert 0.35 < asymmetry(noise).share < 0.6


def test_the_share_is_that_of_the_antisymmetric_part():
    rng = np.random.default_rng(3)
    antisymmetric = rng.normal(size=(50, 50))
    antisymmetric -= antisymmetric.T
    result = asymmetry(antisymmetric)
    assert result.share == pytest.approx(1) and result.correlation == pytest.approx(-1)
    assert result.pairs == 50 * 49 // 2


def test_order_scale_transpose_and_diagonal_do_not_matter():
    rng = np.random.default_rng(4)
    effects, _ = planted(60, rng)
    response = effects + 0.05 * rng.normal(size=(60, 60))
    result, order = asymmetry(response), rng.permutation(60)
    assert result.stronger.any()
    other = asymmetry(-3e-7 * (response + 1e6 * np.eye(60))[np.ix_(order, order)])
    np.testing.assert_array_equal(other.stronger, result.stronger[np.ix_(order, order)])
    assert other.share == pytest.approx(result.share)
    np.testing.assert_array_equal(asymmetry(response.T).stronger, result.stronger.T)


def test_pairs_without_a_response_are_left_aside():
    rng = np.random.default_rng(5)
    effects, edges = planted(60, rng)
    response = effects + 0.05 * rng.normal(size=(60, 60))
    unread = rng.random((60, 60)) < 0.1
    unread[7] = True
    result = asymmetry(np.where(unread, np.nan, response))
    assert not result.stronger[unread | unread.T].any()
    assert (result.stronger & edges).sum() > 0.5 * (edges & ~unread & ~unread.T).sum()


@pytest.mark.parametrize("n", [0, 1, 2, FEWEST - 1])
def test_few_genes_tell_nothing(n):
    result = asymmetry(np.triu(np.ones((n, n))))
    assert result.stronger.shape == (n, n) and not result.stronger.any() and np.isnan(result.share)


def test_pairs_that_hardly_respond_have_no_direction():
    """Differences of heavy tails, far beyond the Gaussian limit, between responses far below the typical one."""
    rng = np.random.default_rng(0)
    half = rng.normal(size=(40, 40))
    response = half + half.T + 0.3 * (half - half.T)
    quiet = np.abs(half + half.T) < 0.05
    response[quiet] = (0.1 * rng.standard_t(2, size=(40, 40)))[quiet]
    result = asymmetry(response)
    assert 0.5 < result.correlation < 0.98
    strength = np.abs(response)
    assert not (result.stronger & (strength < 0.5 * np.sqrt(np.mean(response**2)))).any()


def test_a_model_that_answers_both_ways_alike_tells_nothing():
    rng = np.random.default_rng(0)
    half = rng.normal(size=(40, 40))
    response = half + half.T
    response[3, 5] += 1.0  # one outlier
    result = asymmetry(response)
    assert result.correlation > 0.98
    assert not result.stronger.any()


def dense(response):
    """The same on whole matrices, as the formula has it: edges and the figures."""
    values = np.array(response, dtype=float)
    np.fill_diagonal(values, np.nan)
    values[np.isnan(values.T)] = np.nan
    first, second = np.nonzero(np.triu(~np.isnan(values), 1))

    def centred(gain):
        there, scaled = ~np.isnan(values), np.nan_to_num(values * np.exp(gain - gain[:, None]))
        left, sizes, _ = np.linalg.svd(np.stack([np.cosh(gain), np.sinh(gain)], axis=1), full_matrices=False)
        axes, means = left[:, sizes > 1e-9 * sizes[0]], np.zeros_like(scaled)
        for _ in range(100):
            filled = np.where(there, scaled, means)
            rest = filled - axes @ (axes.T @ filled)
            rest -= (rest @ axes) @ axes.T
            moved, means = np.abs((filled - rest - means)[~there]).max(), filled - rest
            if moved <= 1e-7 * np.abs(scaled).max():
                break
        return np.where(there, scaled - means, np.nan)

    def gains(level):
        with np.errstate(divide="ignore"):
            logs = np.log(np.abs(level))
        ratio = np.where(np.isfinite(logs) & np.isfinite(logs.T), logs - logs.T, np.nan)
        known = np.isfinite(ratio).any(axis=1)
        return np.array([np.nanmedian(row) / 2 if there else 0.0 for row, there in zip(ratio, known, strict=True)])

    gain = np.zeros(len(values))
    level = plain = centred(gain)
    for _ in range(10):
        step = gains(level)
        if np.abs(step).max() < 1e-4:
            break
        gain += step
        level = centred(gain)
    there, back = plain[first, second], plain[second, first]
    typical = np.sqrt(np.nanmean(level**2))
    noise = max(1.4826 * np.median(np.abs(level[first, second] - level[second, first])), 1e-5 * typical)
    limit, strength = noise * np.sqrt(2 * np.log(len(first))), np.nan_to_num(np.abs(level))
    stronger = (strength - strength.T > limit) & (strength >= 2 * strength.T) & (strength > typical)
    share = ((there - back) ** 2).sum() / 2 / (there**2 + back**2).sum()
    correlation = np.corrcoef(np.append(there, back), np.append(back, there))[0, 1]
    return stronger, (share, correlation, limit, len(first))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_blocks_of_rows_give_what_whole_matrices_give(monkeypatch, seed, rows):
    """With loud genes, pairs that were not read, and genes that were read as nothing at all."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(25, 60))
    effects, _ = planted(n, rng)
    loud = np.exp(0.5 * rng.normal(size=(n, 1)))
    response = loud * (effects + 0.3 * symmetric(n, rng) + 0.05 * rng.normal(size=(n, n)))
    if seed % 2:
        response[rng.random((n, n)) < 0.1] = np.nan
        response[rng.integers(n)] = np.nan
    stronger, figures = dense(response)
    monkeypatch.setattr("grn._kernels.asymmetry._NUMBERS", rows * n)
    result = asymmetry(response)
    assert stronger.any() and np.array_equal(result.stronger, stronger)
    assert (result.share, result.correlation, result.noise, result.pairs) == pytest.approx(figures, rel=1e-6)
