"""The audit against loops over pairs of names."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grn.bench import Reference, audit, splits
from grn.bench._overlap import reciprocal
from grn.errors import NetworkError, ParameterError


def pairs(reference, mask):
    rows, columns = np.nonzero(mask)
    return list(zip(reference.regulators[rows].tolist(), reference.genes[columns].tolist(), strict=True))


def share(flags):
    flags = list(flags)
    return np.mean(flags) if flags else np.nan


def by_hand(made, of_train, of_test):
    train, test = made.train, made.test
    learned = [(of_train[s], of_train[t]) for s, t in pairs(train, made.train_mask)]
    positive = {(of_train[s], of_train[t]) for s, t in pairs(train, made.train_mask & train.labels)}
    asked = pairs(test, made.test_mask)
    genes, sources = {name for pair in asked for name in pair}, {s for s, _ in asked}
    edges = pairs(test, made.test_mask & test.labels)
    known = [(s, t) for s, t in edges if (of_test[s], of_test[t]) in set(learned)]
    listed = set(pairs(test, test.labels))
    between = [(s, t) for s, t in edges if t in test.regulators]
    evidence = {s for s, _ in listed}
    return {
        "shared_genes": share(of_test[g] in {f for pair in learned for f in pair} for g in genes),
        "shared_regulators": share(of_test[s] in {a for a, _ in learned} for s in sources),
        "shared_pairs": len(known) / len(edges),
        "label_agreement": share((of_test[s], of_test[t]) in positive for s, t in known),
        "reciprocal": share((t, s) in listed for s, t in between),
        "evidence": len(evidence) / len(test.regulators),
        "density": len(listed) / (len(evidence) * (len(test.genes) - 1)),
    }


@given(
    st.integers(0, 10**6),
    st.sampled_from(["human", "mouse"]),
    st.sampled_from(["human", "mouse"]),
    st.sampled_from(splits.SPLITS),
)
@settings(max_examples=25, deadline=None)
def test_two_references(build, seed, one, other, by):
    train, of_train = build.named(seed, one, 9)
    test, of_test = build.named(seed + 1, other, 9)
    try:
        made = splits.split(train, test=test, by=by)
    except NetworkError:
        return
    found = audit.audit(made).to_dict()
    assert found.pop("match") == "ortholog"
    assert found == pytest.approx(by_hand(made, of_train, of_test), nan_ok=True)


@pytest.mark.parametrize("by", splits.SPLITS[1:])
@given(st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_one_reference_divided(build, by, seed):
    reference, family = build.named(seed, "mouse", 12)
    try:
        made = splits.split(reference, by=by, rng=seed)
    except NetworkError:
        return
    found = audit.audit(made).to_dict()
    assert found.pop("match") == "ortholog"
    assert found == pytest.approx(by_hand(made, family, family), nan_ok=True)
    if by == "both_genes":
        assert found["shared_genes"] == found["shared_regulators"] == found["shared_pairs"] == 0


def test_the_same_labels_twice(build):
    one, other = build.small(0, dataset="a"), build.small(0, dataset="b")
    found = audit.audit(splits.split(one, test=other))
    assert (found.shared_genes, found.shared_regulators, found.shared_pairs, found.label_agreement) == (1, 1, 1, 1)
    assert found.evidence == 6 / 8 and found.density == len(one) / (6 * 39)


def test_it_prints_every_field(build):
    found = audit.audit(splits.split(build.small(0), test=build.small(1), by="dataset"))
    told = str(found)
    assert len(told.splitlines()) == len(fields(found)) - 1
    assert f"{found.label_agreement:6.1%}" in told and "listed regulators with any evidence" in told
    alone = Reference(build.table([("A", "B")]))
    told = str(audit.audit(splits.split(alone, test=Reference(build.table([("C", "D")])))))
    assert "nan" not in told and told.splitlines()[3].endswith(" -"), "nothing is shared, so nothing can agree"


def test_the_letters_alone(build):
    human = Reference(build.table([("TP53", "MDM2"), ("GATA1", "HBB")]))
    mouse = Reference(build.table([("Trp53", "Mdm2"), ("Gata1", "Klf1")]), organism="mouse")
    by_letter = audit.audit(splits.split(human, test=mouse, match="symbol"))
    by_family = audit.audit(splits.split(human, test=mouse))
    assert (by_letter.match, by_letter.shared_regulators, by_letter.shared_pairs) == ("symbol", 0.5, 0)
    assert (by_family.match, by_family.shared_regulators, by_family.shared_pairs) == ("ortholog", 1, 0.5)


def test_reciprocal_counts_edges_between_regulators_only(build):
    reference = Reference(build.table([("A", "B"), ("B", "A"), ("A", "C"), ("C", "A"), ("B", "C"), ("A", "X")]))
    mask = splits.own_pairs(reference)
    assert reciprocal(reference, mask) == 4 / 5
    forward = reference.regulators[:, None] < reference.genes[None, :]
    assert reciprocal(reference, mask & forward) == 2 / 3, "the reverse is listed though it is not tested"
    assert np.isnan(reciprocal(reference, mask & (reference.genes == "X")))


class TestCompare:
    def test_it_is_directed_and_by_family(self, build):
        references = {
            "human": Reference(build.table([("TP53", "MDM2"), ("GATA1", "HBB")])),
            "mouse": Reference(build.table([("Trp53", "Mdm2"), ("Mdm2", "Trp53"), ("Myc", "Ccnd2")]), organism="mouse"),
        }
        found = audit.compare(references)
        assert found.loc["human", "mouse"] == 0.5 and found.loc["mouse", "human"] == pytest.approx(1 / 3)
        assert np.diag(found).tolist() == [1, 1]
        letters = audit.compare(references, match="symbol")
        assert letters.loc["human", "mouse"] == letters.loc["mouse", "human"] == 0

    def test_bad_input(self, build):
        with pytest.raises(ParameterError, match="'letters'"):
            audit.compare({"a": build.small(0)}, match="letters")
        with pytest.raises(ParameterError, match="'a' is a DataFrame"):
            audit.compare({"a": build.table([("A", "B")])})


def test_it_needs_a_split(build):
    with pytest.raises(ParameterError, match="got a Reference; pass what"):
        audit.audit(build.small(0))
