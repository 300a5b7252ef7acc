"""What starting costs: imports, the demo, and the first and the second call of every method on its toy.

python benchmarks/startup.py [--repeats 5] [--only NAME ...]

Every row is the median of fresh processes: processor seconds of all threads, and the peak of resident memory. The
folder of numba's compiled functions is empty at the first process of a row and kept for the others, so that *first*
tells what a new installation pays once.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from grn._core.markdown import markdown_table

SOURCE = Path(__file__).resolve().parents[1] / "src"
REPORT = """
import json as _json, re as _re, resource as _resource, sys as _sys, time as _time
def report(calls):
    try:
        peak = int(_re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
    except OSError:
        peak = _resource.getrusage(_resource.RUSAGE_SELF).ru_maxrss / (2**20 if _sys.platform == "darwin" else 1024)
    names = ("decoupler", "matplotlib", "numba", "scanpy", "sklearn", "torch", "xgboost")
    loaded = [name for name in names if name in _sys.modules]
    print(_json.dumps({"all": _time.process_time(), "calls": calls, "peak": peak, "loaded": loaded}))
"""
CALL = """
import warnings, time, logging
warnings.filterwarnings("ignore")
import anndata, grn
logging.getLogger("grn").setLevel(logging.ERROR)
adata = {toy}
calls = []
for turn in range(2):
    start = time.process_time()
    grn.tl.infer_network(adata, method={method!r}, params={params!r}, n_jobs=1, progress=False{more})
    calls.append(time.process_time() - start)
report(calls)
"""
DYNAMIC = "grn.datasets.toy_dynamics()"
TOYS = {
    "linger": "grn.datasets.toy_multiome()",
    "scenicplus": "grn.datasets.toy_multiome()",
    "renge": "grn.datasets.toy_perturbation()",
    "flecs": DYNAMIC,
    "ritini": DYNAMIC,
}
# as little as shows what starting costs; trees and searches of full size take minutes whatever was loaded before
PARAMS = {
    "genie3": {"n_trees": 20},
    "linger": {"n_epochs": 2},
    "renge": {"C": 0.01, "l1_ratio": 0.5, "n_k": 2, "n_boot": 0},
    "flecs": {"n_epochs": 2, "n_ensemble": 1},
    "ritini": {"n_epochs": 2},
    "dictys": {"n_steps": 100},
    "scenicplus": {"mode": "fast", "n_permutations": 10},
}
COUNTS = ", layer='counts'"


def rows() -> dict[str, str]:
    """Code of every row by its name."""
    import grn

    table = grn.tl.methods()
    names = [name for name in table.index if not table.loc[name, "model"]]  # the embedded model reads the rest
    code = {"import grn": "import grn\nreport([])", "import anndata, grn.tl.infer_network": IMPORTS, "grn demo": DEMO}
    for name in names:
        more = COUNTS if name == "dictys" else ""
        call = {
            "toy": TOYS.get(name, "grn.datasets.toy()"),
            "method": name,
            "params": PARAMS.get(name, {}),
            "more": more,
        }
        code[name] = CALL.format(**call)
    return code


IMPORTS = "import anndata, grn\ngrn.tl.infer_network\nreport([])"
DEMO = """
import contextlib, io, pathlib, tempfile
from grn._demo import demo
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
    demo(pathlib.Path(folder))
report([])
"""


def run(code: str, cache: str) -> dict[str, object]:
    """One fresh process."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")]),
        "NUMBA_CACHE_DIR": cache,
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
    }
    answer = subprocess.run(
        [sys.executable, "-c", REPORT + code], capture_output=True, text=True, env=environment, check=False
    )
    if answer.returncode:
        lines = answer.stderr.strip().splitlines()
        raise RuntimeError(lines[-1] if lines else "no message")
    found: dict[str, object] = json.loads(answer.stdout.splitlines()[-1])
    return found


def row(name: str, code: str, repeats: int) -> list[str]:
    """A row of the table."""
    with tempfile.TemporaryDirectory() as cache:
        try:
            first, *others = [run(code, cache) for _ in range(repeats + 1)]
        except RuntimeError as error:
            return [name, f"not run: {error}".replace("|", "/")[:120], "", "", "", "", ""]
    middle = lambda values: f"{statistics.median(values):.2f}"  # noqa: E731
    calls = [middle(part) for part in zip(*(found["calls"] for found in others), strict=True)] or ["", ""]
    peak = statistics.median(found["peak"] for found in others)
    whole = middle([found["all"] for found in others])
    return [name, f"{first['all']:.2f}", whole, *calls, f"{peak:.0f}", ", ".join(others[-1]["loaded"])]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", metavar="NAME")
    args = parser.parse_args(arguments)
    head = ["", "first process, s", "process, s", "first call, s", "second call, s", "peak MiB", "loaded"]
    lines = []
    for name, code in rows().items():
        if not args.only or name in args.only:
            lines.append(row(name, code, args.repeats))
            print(f"| {' | '.join(lines[-1])} |", flush=True)
    print(f"\n{markdown_table(head, lines)}\n\nProcessor seconds, medians of {args.repeats}; {os.cpu_count()} cores, ")
    print(f"{platform.system()}, Python {platform.python_version()}.")


if __name__ == "__main__":
    main()
