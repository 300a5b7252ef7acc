"""Fixtures shared by the whole suite."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")


def pytest_addoption(parser):
    parser.addoption("--runslow", action="store_true", default=False, help="also run the tests marked slow")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--runslow"):
        return
    skip = pytest.mark.skip(reason="slow: run with --runslow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


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
