"""How the tests are dealt to the workers of CI."""

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Item:
    path: str
    number: int
    keywords: frozenset = field(default_factory=frozenset)


def items_of(sizes):
    """Tests of files named by letters; of a file in capital letters every other test is slow."""
    slow = frozenset({"slow"})
    return [
        Item(path, number, slow if path.isupper() and number % 2 else frozenset())
        for path, size in sizes.items()
        for number in range(size)
    ]


@pytest.fixture
def dealt(pytestconfig):
    here = str(Path(__file__).with_name("conftest.py"))
    return next(p for p in pytestconfig.pluginmanager.get_plugins() if getattr(p, "__file__", None) == here).dealt


@pytest.mark.parametrize("n_workers", [2, 3])
def test_every_worker_starts_with_slow_files_and_ends_with_quick_ones(dealt, n_workers):
    items = items_of({"a": 20, "B": 5, "c": 31, "D": 2, "E": 7, "f": 40})
    order = dealt(items, n_workers)
    assert sorted(order, key=items.index) == items
    bounds = [worker * len(items) // n_workers for worker in range(n_workers + 1)]
    for start, stop in pairwise(bounds):
        upper = [item.path.isupper() for item in order[start:stop]]
        assert upper[0] and not upper[-1] and upper == sorted(upper, reverse=True)
    assert len({order.index(item) for item in items if item.path == "E"}) == 7
    positions = [order.index(item) for item in items if item.path == "E"]
    assert positions == list(range(positions[0], positions[0] + 7)), "files with slow tests stay together"


def test_more_slow_tests_than_a_share_holds_are_lost_nowhere(dealt):
    items = items_of({"A": 50, "b": 3, "C": 1})
    order = dealt(items, 2)
    assert sorted(order, key=items.index) == items and len(order) == len(set(order))


def test_without_workers_nothing_moves(dealt):
    items = items_of({"a": 3, "B": 3, "c": 1})
    assert dealt(items, 1) == items
