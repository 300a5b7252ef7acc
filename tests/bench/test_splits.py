"""What train and test may not share, checked from the ortholog table itself."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grn.bench import Reference, splits
from grn.errors import NetworkError, ParameterError

APART = ("dataset", "target", "regulator", "both_genes", "pair")
relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Drawn(NamedTuple):
    """A reference and which gene every name of it stands for."""

    reference: Reference
    family: dict[str, frozenset]


def draw_reference(build, seed, organism, n_families) -> Drawn:
    """Genes of random families, spelled as approved, in upper or in lower case, sometimes in two ways at once."""
    random = np.random.default_rng(seed)
    families = random.choice(len(build.pool()), n_families, replace=False)
    genes = [gene for i in families for gene in build.pool()[i] if gene[0] == organism]
    spelled: dict[str, frozenset] = {}
    for gene in genes:
        ways = [gene[1], gene[1].upper(), gene[1].lower()]
        for way in random.choice(3, random.integers(1, 3), replace=False):
            spelled[ways[way]] = build.family(gene)
    names = sorted(spelled)
    regulators = [name for name in names if random.random() < 0.6] or names[:1]
    labels = random.random((len(regulators), len(names))) < 0.5
    labels &= np.array(regulators)[:, None] != np.array(names)[None, :]
    if not labels.any():
        labels[0, names.index(next(name for name in names if name != regulators[0]))] = True
    return Drawn(build.from_grid(labels, regulators, names, organism=organism), spelled)


def used(drawn: Drawn, mask) -> list[tuple[str, str]]:
    rows, columns = np.nonzero(mask)
    names = drawn.reference.regulators[rows], drawn.reference.genes[columns]
    return list(zip(names[0].tolist(), names[1].tolist(), strict=True))


def families_of(drawn: Drawn, names) -> set[frozenset]:
    return {drawn.family[name] for name in names}


def check_nothing_shared(by, train: Drawn, test: Drawn, train_pairs, test_pairs) -> None:
    """The guarantee of a split, in terms of families."""
    learned = families_of(train, {name for pair in train_pairs for name in pair})
    sources = families_of(test, {source for source, _ in test_pairs})
    targets = families_of(test, {target for _, target in test_pairs})
    if by in ("target", "both_genes"):
        assert not learned & targets
    if by in ("regulator", "both_genes"):
        assert not learned & sources
    seen = {(train.family[s], train.family[t]) for s, t in train_pairs}
    if by != "dataset":
        for source, target in test_pairs:
            pair = test.family[source], test.family[target]
            assert pair not in seen and pair[::-1] not in seen
    assert all(source != target for source, target in [*train_pairs, *test_pairs])


def check_nothing_wasted(by, train: Drawn, test: Drawn, made) -> None:
    """Pairs that share nothing may be tested, and training may use everything."""
    assert (made.train_mask == splits.own_pairs(train.reference)).all()
    learned = families_of(train, train.reference.genes)
    acting = families_of(train, train.reference.regulators)
    tested = set(used(test, made.test_mask))
    for source in test.reference.regulators.tolist():
        for target in test.reference.genes.tolist():
            a, b = test.family[source], test.family[target]
            excluded = {
                "dataset": False,
                "target": b in learned,
                "regulator": a in learned,
                "both_genes": a in learned or b in learned,
                "pair": (a in acting and b in learned) or (a in learned and b in acting),
            }[by]
            assert ((source, target) in tested) == (source != target and not excluded)


@pytest.mark.parametrize("by", APART)
def test_two_references_share_nothing_they_should_not(build, by):
    made_some = []

    @given(st.integers(0, 10**6), st.sampled_from(["human", "mouse"]), st.sampled_from(["human", "mouse"]))
    @relaxed
    def check(seed, one, other):
        train = draw_reference(build, seed, one, 6)
        test = draw_reference(build, seed + 1, other, 12)
        try:
            made = splits.split(train.reference, test=test.reference, by=by)
        except NetworkError as error:
            assert "leaves no edge" in str(error)
            return
        made_some.append(1)
        check_nothing_shared(by, train, test, used(train, made.train_mask), used(test, made.test_mask))
        check_nothing_wasted(by, train, test, made)

    check()
    assert len(made_some) > 10


@pytest.mark.parametrize("by", APART[1:])
def test_one_reference_is_divided_into_strangers(build, by):
    made_some = []

    @given(st.integers(0, 10**6), st.sampled_from(["human", "mouse"]), st.sampled_from([0.3, 0.5, 0.7]))
    @relaxed
    def check(seed, organism, fraction):
        drawn = draw_reference(build, seed, organism, 12)
        try:
            made = splits.split(drawn.reference, by=by, fraction=fraction, rng=seed)
        except NetworkError as error:
            assert "leaves no edge" in str(error)
            return
        made_some.append(1)
        train_pairs, test_pairs = used(drawn, made.train_mask), used(drawn, made.test_mask)
        check_nothing_shared(by, drawn, drawn, train_pairs, test_pairs)
        assert not set(train_pairs) & set(test_pairs)
        if by == "pair":
            assert len(train_pairs) + len(test_pairs) == splits.own_pairs(drawn.reference).sum()

    check()
    assert len(made_some) > 10


@pytest.mark.parametrize("by", APART[1:])
def test_a_division_has_a_seed_a_share_and_no_order(build, by):
    reference = build.small(1, regulators=150, genes=200, density=0.3)
    made = splits.split(reference, by=by, fraction=0.3, rng=1)
    again = splits.split(reference, test=reference, by=by, fraction=0.3, rng=1)
    assert (made.test_mask == again.test_mask).all() and (made.train_mask == again.train_mask).all()
    assert (made.test_mask != splits.split(reference, by=by, fraction=0.3, rng=2).test_mask).any()
    share = made.test_mask.sum() / splits.own_pairs(reference).sum()
    assert share == pytest.approx(0.09 if by == "both_genes" else 0.3, abs=0.1)
    shuffled = Reference(
        reference.edges.sample(frac=1, random_state=0),
        genes=reference.genes[::-1],
        regulators=reference.regulators[::-1],
    )
    assert (splits.split(shuffled, by=by, fraction=0.3, rng=1).test_mask == made.test_mask).all()


def test_a_gene_falls_on_its_side_whatever_else_is_listed(build):
    whole = build.small(1, regulators=20, genes=60, density=0.4)
    part = Reference(whole.edges[whole.edges["target"] < "gene0040"], regulators=whole.regulators)
    one, other = (splits.split(r, by="pair", rng=3).test_mask for r in (whole, part))
    columns = np.searchsorted(whole.genes, part.genes)
    assert (one[:, columns] == other).all()


def test_held_pairs_are_no_blocks(build):
    """Whether (a, b) is held says nothing about (a, c) or (d, b)."""
    reference = build.small(0, regulators=60, genes=400)
    held = splits.split(reference, by="pair", fraction=0.5, rng=0).test_mask[:, 60:].astype(float)
    for grid in (held, held.T):
        correlation = np.corrcoef(grid)[np.triu_indices(len(grid), 1)]
        assert abs(correlation.mean()) < 0.05


def test_the_letters_alone(build):
    human = Reference(build.table([("TP53", "MDM2"), ("GATA1", "HBB")]))
    mouse = Reference(build.table([("Trp53", "Ccng1"), ("Gata1", "Klf1")]), organism="mouse")
    by_letter = splits.split(human, test=mouse, by="both_genes", match="symbol")
    strict = splits.split(human, test=mouse, by="target")
    assert by_letter.test_mask[mouse.regulators.tolist().index("Trp53")].any()
    assert not strict.test_mask[:, mouse.genes.tolist().index("Trp53")].any()
    with pytest.raises(NetworkError, match="'both_genes' leaves no edge of reference to test; choose a weaker"):
        splits.split(human, test=mouse, by="both_genes")


def test_the_reverse_of_a_known_pair_is_known(build):
    train = Reference(build.table([("A", "B"), ("C", "D")]))
    test = Reference(build.table([("B", "A"), ("B", "E"), ("A", "B"), ("D", "B")]))
    made = splits.split(train, test=test, by="pair")
    tested = made.test_mask & test.labels
    rows, columns = np.nonzero(tested)
    pairs = set(zip(test.regulators[rows].tolist(), test.genes[columns].tolist(), strict=True))
    assert pairs == {("B", "E"), ("D", "B")}, "nobody in train looked at B -> E, nor at D -> B or B -> D"


def test_printing_shows_what_is_shared(build):
    one = build.small(0, dataset="one")
    told = repr(splits.split(one, test=build.small(1, dataset="two"), by="dataset"))
    assert "Split 'dataset' (genes compared by ortholog): one -> two" in told
    assert "genes also in training" in told and "100.0%" in told
    assert "seed 7" in repr(splits.split(one, by="pair", rng=7))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"by": "genes"}, "'genes'; use one of dataset, pair, target, regulator, both_genes"),
        ({"by": "dataset"}, "by='dataset' needs two references"),
        ({"by": "pair", "match": "letters"}, "match='letters'"),
        ({"by": "pair", "fraction": 0}, "fraction=0; pass a number between 0 and 1"),
        ({"by": "pair", "fraction": 1.0}, "between 0 and 1"),
        ({"by": "pair", "fraction": float("nan")}, "between 0 and 1"),
        ({"by": "pair", "fraction": True}, "between 0 and 1"),
        ({"by": "pair", "fraction": "half"}, "between 0 and 1"),
        ({"by": "pair", "rng": -1}, "rng=-1; pass an integer of at least 0"),
        ({"by": "pair", "rng": "x"}, "rng=.x.; pass an integer"),
        ({"by": "pair", "test": "hESC"}, "test is a str; pass a grn.bench.Reference"),
    ],
)
def test_bad_input(build, arguments, match):
    with pytest.raises(ParameterError, match=match):
        splits.split(build.small(0), **arguments)


def test_training_needs_a_reference(build):
    with pytest.raises(ParameterError, match="train is a DataFrame"):
        splits.split(build.table([("A", "B")]), test=build.small(0))
