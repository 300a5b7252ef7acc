"""Granger tests of all pairs: the numbers of statsmodels, and pairs about which nothing can be said."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from grn._kernels.granger import floored, granger, log_p


@pytest.fixture
def series():
    random = np.random.default_rng(3)
    values = random.normal(size=(40, 6))
    for t in range(1, 40):
        values[t] += 0.5 * values[t - 1]
        values[t, 1] += 1.5 * values[t - 1, 0]  # 0 acts on 1
    return values


def written_out(past, now, target, source):
    """The statistic of one pair, by two regressions."""
    n = len(past)
    designs = [np.column_stack([np.ones(n), past[:, rows]]) for rows in ([target], [target, source])]
    first, second = (np.linalg.lstsq(design, now[:, target], rcond=None)[1][0] for design in designs)
    return n * (first - second) / second


def test_the_reference(shared_dir):
    folder = shared_dir / "reference" / "ritini"
    values = pd.read_csv(folder / "input_trajectory.csv").to_numpy()
    expected = pd.read_csv(folder / "granger_neglogp.csv", index_col=0).to_numpy()
    evidence = floored(granger([values]))
    other = ~np.eye(len(expected), dtype=bool)
    np.testing.assert_allclose(evidence[other], expected[other], rtol=1e-6)
    prior = pd.read_csv(folder / "granger_prior_p1e-6.csv", index_col=0).to_numpy()
    np.testing.assert_array_equal((granger([values]) >= -np.log(1e-6)), prior > 0)


def test_statsmodels(series):
    tests = pytest.importorskip("statsmodels.tsa.stattools")
    evidence = granger([series])
    for source, target in ((0, 1), (1, 0), (4, 2)):
        p = tests.grangercausalitytests(series[:, [target, source]], [1])[1][0]["ssr_chi2test"][1]
        assert evidence[source, target] == pytest.approx(-np.log(p), rel=1e-8)


def test_two_regressions(series):
    evidence = granger([series])
    expected = -stats.chi2.logsf(written_out(series[:-1], series[1:], 1, 0), 1)
    assert evidence[0, 1] == pytest.approx(expected, rel=1e-9)
    assert evidence[0, 1] == evidence.max()
    assert (np.diag(evidence) == 0).all()


def test_several_series_have_intercepts_of_their_own(series):
    parts = [series[:15], series[15:] + 100.0]
    past = np.concatenate([part[:-1] - part[:-1].mean(axis=0) for part in parts])
    now = np.concatenate([part[1:] - part[1:].mean(axis=0) for part in parts])
    expected = -stats.chi2.logsf(written_out(past, now, 1, 0), 1)
    assert granger(parts)[0, 1] == pytest.approx(expected, rel=1e-9)


def test_no_block_and_no_order_changes_a_number(series):
    evidence = granger([series])
    np.testing.assert_allclose(granger([series], memory=1), evidence, rtol=1e-12)
    order = [3, 0, 5, 1, 4, 2]
    np.testing.assert_allclose(granger([series[:, order]]), evidence[np.ix_(order, order)], rtol=1e-9)


def test_constant_genes_and_copies_have_no_evidence(series):
    values = np.column_stack([series, np.full(40, 3.0), series[:, 0], -2.0 * series[:, 0] + 1.0])
    evidence = granger([values])
    assert np.isfinite(evidence).all()
    assert (evidence[6] == 0).all()
    assert (evidence[:, 6] == 0).all()
    for copy in (7, 8):
        assert evidence[0, copy] == evidence[copy, 0] == 0


def test_small_p_are_told_apart():
    logs = log_p(np.array([0.0, 1.0, 1e3, 1e5]))
    assert logs[0] == 0
    assert logs[1] == pytest.approx(np.log(stats.chi2.sf(1.0, 1)), rel=1e-12)
    assert logs[3] < logs[2] < -400
    assert floored(-logs)[3] == pytest.approx(-np.log(1e-25))
