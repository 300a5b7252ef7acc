"""Non-edges: how many, of which degrees, from which pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grn.bench import Reference, negatives, splits
from grn.errors import NetworkError, ParameterError

ALL = ("all", "uniform", "degree_matched", "configuration", "hard")


def drawn_from(reference, kind, **arguments):
    if kind == "hard":
        arguments.setdefault("scores", np.random.default_rng(5).random(reference.labels.shape))
    return negatives.sample(reference, negatives=kind, **arguments)


def grids(sample):
    """Edges and non-edges as tables (regulators, genes)."""
    found = np.zeros((2, *sample.reference.labels.shape), dtype=bool)
    found[sample.labels, sample.sources, sample.targets] = True
    return found[1], found[0]


@pytest.mark.parametrize("kind", ALL)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_what_holds_for_every_kind(build, kind, seed):
    reference = build.small(seed, regulators=10)
    mask = np.random.default_rng(seed).random(reference.labels.shape) < 0.8
    mask[0, -1] = True
    try:
        sample = drawn_from(reference, kind, mask=mask, rng=seed)
    except NetworkError as error:
        assert "non-edge" in str(error) and kind in ("degree_matched", "configuration", "hard")
        return
    kept, drawn = grids(sample)
    assert (kept & ~reference.labels).sum() == 0 and (drawn & reference.labels).sum() == 0
    assert not ((kept | drawn) & ~mask).any(), "the mask is respected"
    names = reference.regulators[sample.sources], reference.genes[sample.targets]
    assert (names[0] != names[1]).all(), "no gene with itself"
    assert not drawn[~reference.labels.any(axis=1)].any(), "regulators without evidence are unlabelled"
    places = list(zip(sample.sources.tolist(), sample.targets.tolist(), strict=True))
    assert places == sorted(set(places)), "sorted, each pair once"
    assert (sample.n_pos, sample.n_neg, len(sample)) == (kept.sum(), drawn.sum(), len(places))
    assert sample.prevalence == pytest.approx(kept.sum() / len(places))


@pytest.mark.parametrize("kind", ALL)
def test_the_seed_and_nothing_but_the_seed(build, kind):
    reference = build.small(2, regulators=30, genes=90)
    shuffled = Reference(
        reference.edges.sample(frac=1, random_state=0),
        genes=reference.genes[::-1],
        regulators=reference.regulators[::-1],
    )
    scores = {"scores": np.ones(reference.labels.shape)} if kind == "hard" else {}
    one, again, other = (
        drawn_from(r, kind, rng=s, **scores) for r, s in ((reference, 1), (shuffled, 1), (reference, 2))
    )
    assert one.pairs.equals(again.pairs) and one.seed == 1
    assert one.pairs.equals(other.pairs) == (kind == "all")


@pytest.mark.parametrize("kind", ALL)
def test_regulators_without_evidence(build, kind):
    reference = build.small(3, bare=3)
    bare = ~reference.labels.any(axis=1)
    sample = drawn_from(reference, kind)
    assert sample.report["regulators_without_evidence"] == bare.sum() == 3
    assert not bare[sample.sources].any()
    literature = drawn_from(reference, kind, unlabelled="negative")
    told = bare[literature.sources].any()
    assert told == (kind in ("all", "uniform")), "elsewhere they have as many non-edges as edges: none"
    if kind == "all":
        assert len(literature) == splits.own_pairs(reference).sum()
        assert len(sample) == splits.own_pairs(reference)[~bare].sum()


def test_evidence_outside_the_mask_counts(build):
    """A regulator whose edges all lie outside the mask was assayed: its pairs inside are non-edges."""
    reference = Reference(build.table([("A", "C"), ("B", "D")]))
    mask = np.ones(reference.labels.shape, dtype=bool)
    mask[1, reference.genes.tolist().index("D")] = False
    sample = negatives.sample(reference, negatives="all", mask=mask)
    assert (1 in sample.sources) and sample.n_pos == 1


class TestUniform:
    @pytest.mark.parametrize("ratio", [0.5, 1, 2.0, np.int64(3), np.float32(1)])
    def test_ratio(self, build, ratio):
        sample = drawn_from(build.small(1), "uniform", ratio=ratio)
        assert sample.n_neg == round(ratio * sample.n_pos) and sample.report["edges_wanting"] == 0

    def test_more_than_there_are(self, build):
        reference = build.small(1)
        sample = drawn_from(reference, "uniform", ratio=1000)
        assert sample.pairs.equals(drawn_from(reference, "all").pairs)
        assert sample.report["edges_wanting"] == 1000 * sample.n_pos - sample.n_neg

    def test_every_free_pair_is_as_likely(self, build):
        reference = build.small(0, regulators=4, genes=10, bare=0, density=0.3)
        counts = np.sum([grids(drawn_from(reference, "uniform", rng=i))[1] for i in range(1500)], axis=0)
        free = ~reference.labels & splits.own_pairs(reference)
        expected = 1500 * reference.labels.sum() / free.sum()
        assert (counts[~free] == 0).all()
        assert np.abs(counts[free] - expected).max() < 5 * np.sqrt(expected)


class TestDegreeMatched:
    @given(st.integers(0, 10**6), st.sampled_from([0.05, 0.2, 0.6]))
    @settings(max_examples=40, deadline=None)
    def test_degrees_are_exactly_equal_on_both_sides(self, build, seed, density):
        reference = build.small(seed, regulators=14, density=density)
        try:
            sample = drawn_from(reference, "degree_matched", rng=seed)
        except NetworkError:
            return
        kept, drawn = grids(sample)
        assert (kept.sum(axis=0) == drawn.sum(axis=0)).all() and (kept.sum(axis=1) == drawn.sum(axis=1)).all()
        assert sample.n_pos == sample.n_neg and sample.prevalence == 0.5
        assert sample.report["largest_degree_difference"] == 0
        assert sample.report["edges_with_partner"] == pytest.approx(sample.n_pos / len(reference))

    def test_under_a_mask_too(self, build):
        reference = build.hubs(0)
        mask = splits.split(reference, by="both_genes").test_mask
        kept, drawn = grids(drawn_from(reference, "degree_matched", mask=mask))
        assert kept.sum() > 100 and not ((kept | drawn) & ~mask).any()
        assert (kept.sum(axis=0) == drawn.sum(axis=0)).all() and (kept.sum(axis=1) == drawn.sum(axis=1)).all()

    def test_the_report_says_how_it_went(self, build):
        sample = drawn_from(build.hubs(1), "degree_matched")
        assert sample.report["settled"] == 1 and 0.4 < sample.report["edges_with_partner"] < 1
        assert "degree_matched" in repr(sample) and "edges_with_partner" in repr(sample)

    def test_one_regulator_cannot_be_matched(self, build):
        star = Reference(build.table([("A", "B"), ("A", "C")]), genes=["A", "B", "C", "D"])
        with pytest.raises(NetworkError, match=r"no non-edge .*'degree_matched' for 2 edges; use 'uniform'"):
            drawn_from(star, "degree_matched")

    def test_two_regulators_always_find_the_other_way(self, build):
        cross = Reference(build.table([("A", "C"), ("B", "D")]))
        for seed in range(10):
            pairs = drawn_from(cross, "degree_matched", rng=seed).pairs
            assert set(pairs[pairs["label"] == 0][["source", "target"]].itertuples(index=False, name=None)) == {
                ("A", "D"),
                ("B", "C"),
            }


class TestConfiguration:
    def test_counts_are_equal_and_thinned_edges_are_reported(self, build):
        reference = build.hubs(2)
        sample = drawn_from(reference, "configuration")
        assert sample.n_pos == sample.n_neg
        assert sample.report["edges_with_partner"] == pytest.approx(sample.n_pos / len(reference))
        assert sample.report["edges_with_partner"] < 1 and sample.report["settled"] == 0
        kept, drawn = grids(sample)
        assert sample.report["largest_degree_difference"] == max(
            np.abs(kept.sum(axis=i) - drawn.sum(axis=i)).max() for i in (0, 1)
        )

    def test_sparse_networks_lose_nothing(self, build):
        reference = build.small(0, regulators=40, genes=400, density=0.01)
        sample = drawn_from(reference, "configuration")
        kept, drawn = grids(sample)
        assert sample.n_pos == len(reference) and sample.report["settled"] == 1
        assert (kept.sum(axis=0) == drawn.sum(axis=0)).all() and (kept.sum(axis=1) == drawn.sum(axis=1)).all()


class TestHard:
    @given(st.integers(0, 10**6))
    @settings(max_examples=30, deadline=None)
    def test_the_highest_of_every_regulator(self, build, seed):
        reference = build.small(seed)
        scores = np.random.default_rng(seed).normal(size=reference.labels.shape)
        _, drawn = grids(drawn_from(reference, "hard", scores=scores))
        free = ~reference.labels & splits.own_pairs(reference)
        for row, wanted in enumerate(reference.labels.sum(axis=1)):
            best = sorted(scores[row, free[row]], reverse=True)[:wanted]
            assert sorted(scores[row, drawn[row]], reverse=True) == best

    def test_infinite_scores_rank_and_missing_ones_are_not_drawn(self, build):
        reference = Reference(build.table([("A", "C"), ("A", "D")]), genes=list("ABCDEFG"))
        scores = np.array([[9, np.nan, 9, 9, np.inf, -np.inf, 0.5]])
        sample = drawn_from(reference, "hard", scores=scores)
        assert sample.pairs.query("label == 0")["target"].tolist() == ["E", "G"]
        scores[0, [4, 6]] = np.nan
        sample = drawn_from(reference, "hard", scores=scores)
        assert sample.pairs.query("label == 0")["target"].tolist() == ["F"]

    def test_equal_scores_are_drawn_by_lot(self, build):
        reference = build.small(0)
        seen = [
            grids(drawn_from(reference, "hard", scores=np.zeros(reference.labels.shape), rng=i))[1] for i in range(2)
        ]
        assert (seen[0] != seen[1]).any() and seen[0].sum() == seen[1].sum()

    def test_lists_and_whole_numbers(self, build):
        reference = build.small(0)
        whole = np.arange(reference.labels.size).reshape(reference.labels.shape)
        one, other = (drawn_from(reference, "hard", scores=given) for given in (whole, whole.astype(float).tolist()))
        assert one.pairs.equals(other.pairs)


def test_take_reads_the_pairs_of_the_sample(build):
    reference = build.small(0)
    sample = drawn_from(reference, "uniform")
    assert (sample.take(reference.labels) == sample.labels).all()
    table = sample.pairs
    assert table.columns.tolist() == ["source", "target", "label"]
    known = set(reference.edges[["source", "target"]].itertuples(index=False, name=None))
    assert all(((s, t) in known) == bool(y) for s, t, y in table.itertuples(index=False))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"negatives": "random"}, "'random'; use one of all, uniform, degree_matched, configuration, hard"),
        ({"unlabelled": "kept"}, "'kept'; use one of excluded, negative"),
        ({"ratio": 0}, "ratio=0; pass"),
        ({"ratio": -1.0}, "pass a"),
        ({"ratio": float("nan")}, "pass a"),
        ({"ratio": float("inf")}, "pass a"),
        ({"ratio": True}, "pass a"),
        ({"ratio": "two"}, "pass a"),
        ({"mask": np.ones((2, 2), dtype=bool)}, r"mask has shape \(2, 2\); pass \(regulators, genes\) = \(8, 40\)"),
        ({"negatives": "hard"}, r"needs scores of shape \(8, 40\); got none"),
        ({"negatives": "hard", "scores": np.ones(3)}, r"needs scores of shape \(8, 40\); got \(3,\)"),
        ({"negatives": "hard", "scores": np.full((8, 40), "x")}, "scores are no numbers"),
        ({"rng": -3}, "rng=-3; pass an integer of at least 0"),
    ],
)
def test_bad_input(build, arguments, match):
    with pytest.raises(ParameterError, match=match):
        negatives.sample(build.small(0), **arguments)


def test_nothing_to_draw_from(build):
    reference = build.small(0)
    with pytest.raises(ParameterError, match="reference is a DataFrame"):
        negatives.sample(reference.edges)
    with pytest.raises(NetworkError, match="no edge of reference is among the pairs that may be used"):
        negatives.sample(reference, mask=~reference.labels)
    for kind in ALL:
        with pytest.raises(NetworkError, match="no non-edge of reference can be drawn"):
            drawn_from(reference, kind, mask=reference.labels)
