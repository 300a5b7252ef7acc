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
