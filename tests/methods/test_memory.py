"""No method makes a dense table of all cells and genes, or of all cells and cells."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("memory_runs.py")
# a dense float64 table of the cells alone takes 0.8 GiB more than any of these calls
LIMIT = 1.5 * 2**30


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="reads the peak from /proc or getrusage")
@pytest.mark.parametrize(
    "name", ["celloracle", "correlation", "grnboost2", "prior_ridge", "ridge", "scrank", "simulate", "spearman"]
)
def test_many_cells_need_little_memory(name):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        [sys.executable, str(SCRIPT), name], capture_output=True, text=True, env=environment, timeout=1800, check=False
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert int(found.stdout.split()[-1]) < LIMIT
