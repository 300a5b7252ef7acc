"""Training pairs out of labelled edges."""

import numpy as np
import pandas as pd
import pytest

from grn.errors import GeneOverlapError, NetworkError, ParameterError
from grn.methods.probes.training_pairs import LabelledPairs, labelled_pairs, split_by_source

TARGETS = np.array([f"t{i}" for i in range(30)])
SOURCES = np.array([f"s{i}" for i in range(6)])


@pytest.fixture
def edges():
    """s0 has 9 edges, s1 6, s2 3; the others none."""
    rows = [(f"s{s}", f"t{t + 7 * s}") for s, n in enumerate((9, 6, 3)) for t in range(n)]
    return pd.DataFrame(rows, columns=["source", "target"])


@pytest.fixture
def usable():
    return np.ones((30, 6), dtype=bool)


def draw(edges, usable, *, negatives="uniform", seed=0, targets=TARGETS, sources=SOURCES):
    return labelled_pairs(edges, targets, sources, usable, negatives=negatives, seed=seed)


def by_name(pairs, targets=TARGETS, sources=SOURCES):
    return {
        (sources[s], targets[t]): int(y) for t, s, y in zip(pairs.targets, pairs.sources, pairs.labels, strict=True)
    }


@pytest.mark.parametrize(("negatives", "counts"), [("uniform", 18), ("all", 3 * 30 - 18)])
def test_number_and_place_of_negatives(edges, usable, negatives, counts):
    found = by_name(draw(edges, usable, negatives=negatives))
    assert {pair for pair, label in found.items() if label} == set(edges.itertuples(index=False, name=None))
    drawn = [pair for pair, label in found.items() if not label]
    assert len(drawn) == counts
    assert {source for source, _ in drawn} <= {"s0", "s1", "s2"}, "regulators without an edge stay out"
    per_source = pd.Series([source for source, _ in drawn]).value_counts().to_dict()
    if negatives == "all":
        assert per_source == {"s0": 21, "s1": 24, "s2": 27}


@pytest.mark.parametrize("seed", range(5))
def test_degree_matched_negatives_have_the_degrees_of_the_edges(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.random((30, 6)) < np.linspace(0.1, 0.6, 6)
    t, s = np.nonzero(matrix)
    table = pd.DataFrame({"source": SOURCES[s], "target": TARGETS[t]})
    pairs = draw(table, np.ones((30, 6), dtype=bool), negatives="degree_matched", seed=seed)
    assert (pairs.labels == 1).sum() > 10
    for end, n in ((pairs.sources, 6), (pairs.targets, 30)):
        counts = [np.bincount(end[pairs.labels == label], minlength=n) for label in (0, 1)]
        assert counts[0].tolist() == counts[1].tolist()
    labelled = by_name(pairs)
    known = set(table.itertuples(index=False, name=None))
    assert all((pair in known) == bool(label) for pair, label in labelled.items())


@pytest.mark.parametrize("negatives", ["uniform", "degree_matched", "all"])
def test_draws_go_by_name(edges, usable, negatives):
    rng = np.random.default_rng(0)
    t, s = rng.permutation(30), rng.permutation(6)
    usable[4, 1] = usable[29, 0] = False
    found = by_name(draw(edges, usable, negatives=negatives))
    other = draw(
        edges.sample(frac=1, random_state=1),
        usable[np.ix_(t, s)],
        negatives=negatives,
        targets=TARGETS[t],
        sources=SOURCES[s],
    )
    assert found == by_name(other, TARGETS[t], SOURCES[s])
    assert ("s1", "t4") not in found and ("s0", "t29") not in found


def test_the_seed_matters(edges, usable):
    assert by_name(draw(edges, usable)) == by_name(draw(edges, usable))
    assert by_name(draw(edges, usable)) != by_name(draw(edges, usable, seed=1))
    assert by_name(draw(edges, usable, negatives="all")) == by_name(draw(edges, usable, negatives="all", seed=1))


def test_degree_matched_needs_something_to_swap(usable):
    edges = pd.DataFrame({"source": "s0", "target": TARGETS[:25]})
    with pytest.raises(NetworkError, match=r"degree_matched.*uniform"):
        draw(edges, usable, negatives="degree_matched")


def test_given_labels_are_all_there_is(edges, usable):
    table = edges.assign(label=[1, 0] * 9)
    found = by_name(draw(table, usable))
    assert found == {(s, t): y for s, t, y in table.itertuples(index=False)}
    table["label"] = table["label"].astype(bool)
    assert by_name(draw(table, usable)) == found


def test_pairs_outside_are_left_out(edges, usable):
    more = pd.concat([edges, pd.DataFrame({"source": ["sX", "s0"], "target": ["t0", "tX"]}), edges.head(3)])
    assert by_name(draw(more, usable)) == by_name(draw(edges, usable))


def test_what_cannot_be_used(edges, usable):
    with pytest.raises(ParameterError, match="uniform, degree_matched, all"):
        draw(edges, usable, negatives="none")
    with pytest.raises(NetworkError, match="target"):
        draw(edges[["source"]], usable)
    with pytest.raises(GeneOverlapError, match="s0, s1, s2"):
        draw(edges, ~usable)
    with pytest.raises(GeneOverlapError, match="none of the 0"):
        draw(edges.head(0), usable)
    full = pd.DataFrame([("s0", t) for t in TARGETS], columns=["source", "target"])
    with pytest.raises(NetworkError, match="all edges"):
        draw(full, usable)


@pytest.mark.parametrize("n_sources", [5, 20, 3])
def test_split_by_regulator(n_sources):
    rng = np.random.default_rng(0)
    sources = np.array([f"s{i:02d}" for i in range(n_sources)])
    columns = np.repeat(np.arange(n_sources), 40)
    pairs = LabelledPairs(np.tile(np.arange(40), n_sources), columns, rng.integers(0, 2, 40 * n_sources))
    train, held = split_by_source(pairs, sources, 0.4, 0)
    assert sorted([*train, *held]) == list(range(len(pairs)))
    together = set(columns[train]) & set(columns[held])
    if n_sources >= 5:
        assert not together and len(set(columns[held])) == round(0.4 * n_sources)
    else:
        assert together, "with few regulators single pairs are split"
    again = split_by_source(pairs, sources, 0.4, 1)[1]
    assert not np.array_equal(held, again)


def test_split_goes_by_name():
    sources = np.array([f"s{i:02d}" for i in range(10)])
    order = np.random.default_rng(1).permutation(10)
    labels = np.tile([0, 1], 50)
    columns = np.repeat(np.arange(10), 10)
    _, held = split_by_source(LabelledPairs(columns, columns, labels), sources, 0.3, 0)
    _, other = split_by_source(LabelledPairs(columns, columns, labels), sources[order], 0.3, 0)
    assert set(sources[columns[held]]) == set(sources[order][columns[other]])


def test_a_part_with_one_class():
    columns = np.repeat(np.arange(6), 4)
    pairs = LabelledPairs(columns, columns, (columns > 2).astype(int))
    with pytest.raises(NetworkError, match="one class"):
        split_by_source(pairs, SOURCES, 0.1, 0)
