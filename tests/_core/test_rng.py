import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grn._core.errors import ParameterError
from grn._core.rng import child, name_codes, pair_draws, sample_names, seed_of


@pytest.mark.parametrize("rng", [0, 7, np.int32(7), np.uint64(2**40), 2**70])
def test_integers_are_their_own_seed(rng):
    assert seed_of(rng) == int(rng)
    assert type(seed_of(rng)) is int


def test_a_generator_is_advanced_by_one_draw():
    used, twin = np.random.default_rng(3), np.random.default_rng(3)
    first, second = seed_of(used), seed_of(used)
    assert first != second
    assert [first, second] == [int(twin.integers(2**32)) for _ in range(2)]
    assert used.bit_generator.state == twin.bit_generator.state


def test_a_seed_sequence_gives_the_same_seed_every_time():
    assert seed_of(np.random.SeedSequence(5)) == seed_of(np.random.SeedSequence(5))
    assert seed_of(np.random.SeedSequence(5)) != seed_of(np.random.SeedSequence(6))


def test_none_draws_a_new_seed():
    assert len({seed_of(None) for _ in range(4)}) > 1


@pytest.mark.parametrize("bad", [True, np.True_, 1.0, "0", [1], np.random.RandomState(0), np.array([1])])
def test_other_types_are_refused(bad):
    with pytest.raises(
        ParameterError, match=r"^rng=.*; pass an integer of at least 0 as seed, a numpy Generator or None"
    ):
        seed_of(bad)


@pytest.mark.parametrize("bad", [-1, np.int64(-5)])
def test_negative_seeds_are_refused(bad):
    with pytest.raises(ParameterError, match=f"rng={bad}; pass an integer of at least 0 as seed"):
        seed_of(bad)


def test_a_child_depends_on_seed_and_names_only():
    def draw(*key):
        return child(*key).random(4).tolist()

    child(0, "other").random(100)
    assert draw(0, "TP53", "a") == draw(0, "TP53", "a")
    others = [draw(0, "TP53", "a"), draw(1, "TP53", "a"), draw(0, "TP53", "b"), draw(0, "TP53"), draw(0, "TP5", "3a")]
    assert len({tuple(values) for values in others}) == len(others)


names = st.lists(st.text("ABCD0123", min_size=1, max_size=5), min_size=1, max_size=20, unique=True)


@given(names=names, data=st.data())
def test_sampled_names_do_not_depend_on_the_order(names, data):
    size = data.draw(st.integers(0, len(names)))
    shuffled = data.draw(st.permutations(names))
    picked = [names[i] for i in sample_names(names, size, 11)]
    assert picked == [shuffled[i] for i in sample_names(shuffled, size, 11)]
    assert len(set(picked)) == size


def test_samples_are_nested_and_depend_on_the_seed():
    names = [f"g{i}" for i in range(50)]
    assert sample_names(names, 20, 0)[:5] == sample_names(names, 5, 0)
    assert sample_names(names, 20, 0) != sample_names(names, 20, 1)
    assert sorted(sample_names(names, 99, 0)) == list(range(50))


def test_draws_of_pairs_of_names_are_uniform_and_know_no_order():
    names = [f"cell {i}" for i in range(300)]
    codes = name_codes(3, "neighbours", names)
    draws = pair_draws(codes[:, None], codes[None])
    assert 0 < draws.min() and draws.max() < 1 and len(np.unique(draws)) == draws.size
    assert np.abs(np.histogram(draws, bins=20, range=(0, 1))[0] / draws.size - 0.05).max() < 0.003
    for other in (draws.T, np.roll(draws, 1, axis=0), np.roll(draws, 1, axis=1)):
        assert abs(np.corrcoef(draws.ravel(), other.ravel())[0, 1]) < 0.02
    some = np.array([200, 4, 71])
    again = name_codes(3, "neighbours", [names[i] for i in some])
    assert (pair_draws(again[:, None], again[None]) == draws[np.ix_(some, some)]).all()
    assert not (name_codes(4, "neighbours", names) == codes).any()
    assert not (name_codes(3, "others", names) == codes).any()
