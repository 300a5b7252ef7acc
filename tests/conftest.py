"""Fixtures shared by the whole suite."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")


def pytest_addoption(parser):
    parser.addoption("--runslow", action="store_true", default=False, help="also run the tests marked slow")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--runslow"):
        items[:] = dealt(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
        return
    skip = pytest.mark.skip(reason="slow: run with --runslow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


def dealt(items, n_workers):
    """Items in one share per worker, files with slow tests first: what is left to steal at the end is quick.

    ``--dist worksteal`` gives every worker as many items as any other, in order, and steals from the end of a share.
    """
    if n_workers < 2:
        return list(items)
    files = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    slow = [tests for tests in files.values() if any("slow" in test.keywords for test in tests)]
    first = [[test for tests in slow[worker::n_workers] for test in tests] for worker in range(n_workers)]
    rest = [test for tests in files.values() if tests not in slow for test in tests]
    order = []
    for worker, share in enumerate(first):
        size = (len(items) - len(order)) // (n_workers - worker)
        filling = max(0, size - len(share))
        order += share[:size] + rest[:filling]
        rest = share[size:] + rest[filling:]
    return order


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder with development data beside the repository; tests that need it skip without it."""
    found = Path(os.environ.get("GRN_SHARED_DIR", Path(__file__).parents[2] / "shared"))
    if not found.is_dir():
        pytest.skip("development data (../shared) is not on this machine")
    return found


@pytest.fixture(scope="session")
def client():
    """A cluster of two worker processes with one thread each; it takes seconds to start."""
    from distributed import Client, LocalCluster

    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    with LocalCluster(**settings) as cluster, Client(cluster, set_as_default=False) as found:
        yield found


@pytest.fixture(scope="session")
def near_client():
    """A cluster of one worker that is a thread of this process."""
    from distributed import Client, LocalCluster

    settings = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    with LocalCluster(**settings) as cluster, Client(cluster, set_as_default=False) as found:
        yield found
