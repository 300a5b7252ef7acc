"""The page of peers says what its results file says."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs" / "peers.md", ROOT / "docs" / "peers" / "results.json"


@pytest.fixture(scope="module")
def peers():
    """The script of the page, as a module."""
    spec = importlib.util.spec_from_file_location("peers_script", ROOT / "benchmarks" / "peers.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "peers_script", module)  # where dataclasses look
        spec.loader.exec_module(module)
        yield module


def test_the_page_shows_the_results(peers):
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert (RESULTS.parent / "tables.md").read_text(encoding="utf-8") == peers.tables(results)
    assert "```{include} peers/tables.md\n```" in PAGE.read_text(encoding="utf-8")
    assert results["date"] and results["machine"]


def test_every_row_of_the_results_is_a_row_of_the_script(peers):
    names = [peer.name for peer in peers.PEERS]
    for size, rows in json.loads(RESULTS.read_text(encoding="utf-8"))["rows"].items():
        assert size in peers.SIZES
        assert [name for name in names if name in rows] == list(rows)
        assert all("reason" in found or found["processor"] > 0 for found in rows.values())
    worker = (ROOT / "benchmarks" / "peer_worker.py").read_text(encoding="utf-8")
    assert all(f'"{name}":' in worker for name in names)
    assert {peer.ours for peer in peers.PEERS} - {""} <= set(names)


def test_a_row_that_could_not_run_says_why(peers):
    assert peers.line("peer", {"reason": "no | wheel"}) == "| peer | not run: no / wheel | | | | | | | |"


def test_planted_edges_are_all_found_by_themselves(peers):
    adata = peers.toy("small", "screen")
    planted = peers.planted(adata)
    assert peers.auprc(planted, adata) == pytest.approx(1.0)
    assert peers.auprc(-planted, adata) == pytest.approx(1.0)
    assert peers.auprc(0 * planted, adata) < 0.5
    assert peers.agreement(planted, planted, by_column=False) == pytest.approx((1.0, 1.0))
