"""Scores of a group of cells: the tables of the original, and what follows from their formulas."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from grn._kernels import regulation_scores as scores
from grn._kernels.null import qvalues
from grn._kernels.regulation_scores import Pairs


@pytest.fixture(scope="module")
def tables(shared_dir):
    folder = shared_dir / "reference" / "linger"
    names = ("ct_input_population_tf_re", "ct_input_motif_binding", "ct_input_RE_mean", "ct_input_TF_mean")
    names = (*names, "ct_input_TG_mean", "ct_tf_re_binding", "ct_trans_regulatory")
    read = {name: pd.read_csv(folder / f"{name}.csv", index_col=0) for name in names}
    return read | {
        name: pd.read_csv(folder / f"{name}.csv") for name in ("ct_input_cis_and_distance", "ct_cis_regulatory")
    }


def means(tables, name):
    return scores.relative(tables[f"ct_input_{name}_mean"]["values"].to_numpy())


def pairs(tables, table, values):
    regions = pd.Index(tables["ct_input_RE_mean"].index)
    genes = pd.Index(tables["ct_input_TG_mean"].index)
    return Pairs(regions.get_indexer(table["RE"]), genes.get_indexer(table["TG"]), values)


def test_binding_is_that_of_the_original(tables):
    population, expected = tables["ct_input_population_tf_re"], tables["ct_tf_re_binding"]
    potential = scores.potential(population.to_numpy(), tables["ct_input_motif_binding"].to_numpy())
    binding = scores.binding_in(potential, means(tables, "RE"), means(tables, "TF"))
    np.testing.assert_allclose(binding, expected, atol=1e-6)


def test_scores_have_the_precision_of_what_they_are_made_of():
    binding, motifs = np.eye(2, 3, dtype=np.float32), np.ones((2, 3), dtype=np.float32)
    potential = scores.potential(binding, motifs)
    regions, regulators = np.ones(2, dtype=np.float32), np.ones(3, dtype=np.float32)
    assert potential.dtype == scores.binding_in(potential, regions, regulators).dtype == np.float32


def test_cis_is_that_of_the_original(tables):
    table, expected = tables["ct_input_cis_and_distance"], tables["ct_cis_regulatory"]
    cis = pairs(tables, table, table["score"].to_numpy())
    found = scores.cis_in(cis, table["distance"].to_numpy(), means(tables, "RE"), means(tables, "TG"))
    joined = table.assign(found=found.values).merge(expected, on=["RE", "TG"], suffixes=("", "_expected"))
    assert len(joined) == len(expected)
    np.testing.assert_allclose(joined["found"], joined["score_expected"], atol=1e-6)


def test_trans_is_that_of_the_original(tables):
    cis, expected = tables["ct_cis_regulatory"], tables["ct_trans_regulatory"]
    genes = tables["ct_input_TG_mean"].index
    found = scores.trans(tables["ct_tf_re_binding"].to_numpy(), pairs(tables, cis, cis["score"].to_numpy()), len(genes))
    np.testing.assert_allclose(pd.DataFrame(found.total, genes).loc[expected.index], expected, atol=1e-6)


def test_the_strongest_region_has_the_largest_term():
    binding = np.array([[1.0, 0.0], [0.5, 0.0], [9.0, 0.0]])
    cis = Pairs(np.array([1, 0]), np.array([0, 0]), np.array([3.0, 1.0]))
    found = scores.trans(binding, cis, 2)
    assert found.region.tolist() == [[1, -1], [-1, -1]]
    assert found.total.tolist() == [[2.5, 0.0], [0.0, 0.0]]


def test_regions_far_from_a_gene_count_less_on_both_sides():
    near, left, right = scores.decay(np.array([0, -50_000, 50_000]))
    assert near == pytest.approx(np.exp(-0.5)) and left == right == pytest.approx(np.exp(-2.5))


def test_cells_become_alike_in_their_values():
    values = np.array([[1.0, 5.0, 3.0], [10.0, 30.0, 20.0]])
    normalised = scores.quantile_normalised(values)
    assert normalised.tolist() == [[5.5, 17.5, 11.5], [5.5, 17.5, 11.5]]
    assert scores.quantile_normalised(np.array([[1.0, 1.0, 3.0], [2.0, 4.0, 6.0]]))[0].tolist() == [2.0, 2.0, 4.5]


def test_activity_is_zero_where_all_targets_are_as_expected_and_rises_with_its_targets():
    network = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    expected = np.outer(network.sum(1), network.sum(0)) / network.sum()
    values = np.array([[1.0, 2.0, 3.0], [9.0, 0.0, 1.0]])
    score = scores.activity(network, values)
    np.testing.assert_allclose(score, (values @ network - values @ expected) / (values @ expected))
    assert score[1, 0] > score[0, 0] and score[1, 1] < score[0, 1]
    assert np.isnan(scores.activity(np.array([[1.0, 0.0]]), np.ones((1, 1)))[0]).tolist() == [False, True]


def test_drivers_are_tested_one_sided_and_adjusted():
    random = np.random.default_rng(0)
    values = random.normal(size=(40, 3))
    inside = np.arange(40) < 15
    values[inside, 0] += 3
    values[:, 2] = 1.0
    t, p = scores.higher_inside(values, inside)
    expected = stats.ttest_ind(values[inside, 0], values[~inside, 0], alternative="greater")
    assert (t[0], p[0]) == pytest.approx(tuple(expected)) and np.isnan(p[2])
    q = qvalues(p)
    np.testing.assert_allclose(q[:2], stats.false_discovery_control(p[:2]))
    assert np.isnan(q[2])
