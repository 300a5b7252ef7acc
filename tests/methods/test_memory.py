"""No method makes a dense table of all cells and genes, or of all cells and cells."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("memory_runs.py")
# a dense table of the 20 000 cells and 1 000 genes in float32, one of the cells and cells takes five times as much
TABLE = 80_000_000
# what a call may need beyond the object: neighbours and their averages are tables of cells, though not dense ones
LIMITS = {
    **dict.fromkeys(["correlation", "spearman", "grnboost2", "ridge", "prior_ridge", "scrank"], TABLE),
    **dict.fromkeys(["celloracle", "simulate"], 2 * TABLE),
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="reads the peak from /proc or getrusage")
def test_many_cells_need_little_memory():
    # what a call gives back does not stay in the process, or the next one could use it unseen
    settings = {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "1000000"}
    command, environment = [sys.executable, str(SCRIPT), *LIMITS], {**os.environ, **settings}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    needed = json.loads(done.stdout.splitlines()[-1])
    assert needed.keys() == LIMITS.keys()
    assert not {name: size for name, size in needed.items() if size >= LIMITS[name]}, needed
