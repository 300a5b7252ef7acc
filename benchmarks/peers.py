"""Peers beside grn: time, processor time, memory, agreement, and what both find of planted networks.

python benchmarks/peers.py [--size small big] [--only NAME ...] [--folder FOLDER] [--limit 1800] [--again] [--write]

Every peer is installed into a virtual environment of its own in FOLDER, which is kept for the next run, and skipped
with a reason where it cannot be installed or run. Every row is a fresh process (``benchmarks/peer_worker.py``) and is
saved as soon as it is there, so that an interrupted run goes on; ``--again`` measures anew. ``--write`` puts the rows
into ``docs/peers/results.json`` and the tables into ``docs/peers/tables.md``, which ``docs/peers.md`` includes.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "peers"
TOP_PER_TARGET = 10
OLD_DASK = ("dask[dataframe]==2023.12.1", "distributed==2023.12.1")  # newer ones do not run arboreto 0.1.6


@dataclass(frozen=True)
class Peer:
    """A program, what it takes, and the row of grn it is compared with.

    Parameters
    ----------
    name
        Row, and name in ``peer_worker.RUNS``.
    data
        ``"cells"``, ``"activity"`` (cells and a network) or ``"screen"`` (knock-outs over time).
    ours
        Row of grn with which it is compared; ``""`` for none.
    environment, requirements
        Name of the environment and what pip installs there; no requirements for the environment of grn.
    sizes
        Sizes at which it ends within an hour.
    """

    name: str
    data: str
    ours: str = ""
    environment: str = ""
    requirements: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ("small", "big")


ARBORETO = ("arboreto==0.1.6", *OLD_DASK, "pandas<2.2", "numpy<2", "scikit-learn<1.6")
PYSCENIC = ("pyscenic==0.12.1", *OLD_DASK, "pandas<2", "numpy<1.24", "pyarrow<16", "setuptools<81")
PEERS = (
    Peer("grn grnboost2", "cells"),
    Peer("grn grnboost2, fast", "cells", "grn grnboost2"),
    Peer("rustscenic GRNBoost2", "cells", "grn grnboost2", "rustscenic", ("rustscenic==0.5.1",)),
    Peer("arboreto GRNBoost2", "cells", "grn grnboost2", "arboreto", ARBORETO),
    Peer("grn genie3", "cells", sizes=("small",)),
    Peer("grn genie3, fast", "cells", "grn genie3"),
    Peer("arboreto GENIE3", "cells", "grn genie3", "arboreto", ARBORETO, ("small",)),
    Peer("grn celloracle", "cells"),
    Peer("celloracle-lite", "cells", "grn celloracle", "celloracle-lite", ("celloracle-lite",)),
    Peer("grn ridge", "cells"),
    Peer("grn correlation", "cells"),
    Peer("RegDiffusion", "cells", "grn ridge", "regdiffusion", ("regdiffusion",)),
    Peer("grn renge", "screen"),
    Peer("RENGE", "screen", "grn renge", "renge", ("renge",)),
    Peer("grn activity ulm", "activity"),
    Peer("decoupler ulm", "activity", "grn activity ulm", "decoupler", ("decoupler",)),
    Peer("grn activity aucell", "activity"),
    Peer("decoupler aucell", "activity", "grn activity aucell", "decoupler", ("decoupler",)),
    Peer("pySCENIC AUCell", "activity", "grn activity aucell", "pyscenic", PYSCENIC),
)
SIZES = {
    "small": {
        "cells": {"n_cells": 500, "n_regulators": 20, "n_targets": 100},
        "screen": {"n_cells": 20, "n_regulators": 8, "n_targets": 12},
    },
    "big": {
        "cells": {"n_cells": 3700, "n_regulators": 120, "n_targets": 1480},
        "screen": {"n_cells": 20, "n_regulators": 30, "n_targets": 70},
    },
}


def toy(size: str, kind: str) -> ad.AnnData:
    """Simulated cells with a planted network."""
    from grn import datasets

    if kind == "screen":
        return datasets.toy_perturbation(**SIZES[size]["screen"])
    return datasets.toy(**SIZES[size]["cells"])


def inputs(adata: ad.AnnData) -> dict[str, np.ndarray]:
    """Arrays that a process is given."""
    genes = np.asarray(adata.var_names, dtype=str)
    arrays = {"values": adata.X.toarray(), "genes": genes, "regulators": genes[adata.var["is_regulator"].to_numpy()]}
    arrays["net"] = planted(adata)
    if "perturbation" in adata.obs:
        labels = adata.obs["perturbation"].astype(str).to_numpy()
        arrays["guides"] = (labels[:, None] == genes).astype(np.float64)
        arrays["times"] = adata.obs["time"].to_numpy(dtype=np.float64)
    return arrays


def planted(adata: ad.AnnData) -> np.ndarray:
    """Planted coefficients (genes, regulators)."""
    genes = pd.Index(adata.var_names)
    regulators = genes[adata.var["is_regulator"].to_numpy()]
    truth = adata.uns["truth"]
    matrix = np.zeros((len(genes), len(regulators)))
    matrix[genes.get_indexer(truth["target"]), regulators.get_indexer(truth["source"])] = truth["weight"]
    return matrix


def interpreter(peer: Peer, folder: Path) -> str:
    """Python of the environment of a peer, which is made where it is not there yet."""
    if not peer.requirements:
        return sys.executable
    place = folder / peer.environment
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    mark = place / "installed.txt"
    wanted = "\n".join(peer.requirements)
    if mark.exists() and mark.read_text() == wanted:
        return str(python)
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True, capture_output=True)
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *peer.requirements]
    answer = subprocess.run(pip, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise RuntimeError(f"pip: {last_line(answer.stderr)}")
    mark.write_text(wanted)
    return str(python)


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no message"


class Memory(threading.Thread):
    """The largest sum of resident memory of a process and those it started, MiB, looked at ten times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak, self.over = pid, 0.0, threading.Event()

    def run(self) -> None:
        """Look until told to stop."""
        while not self.over.wait(0.1):
            self.peak = max(self.peak, self.resident())

    def resident(self) -> float:
        """Resident memory now; 0 where the system does not tell it by files."""
        parents, pages = {}, {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:  # ended meanwhile
                continue
            parents[int(path.parent.name)], pages[int(path.parent.name)] = int(fields[1]), int(fields[21])
        family = {self.pid}
        while more := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= more
        return sum(pages.get(pid, 0) for pid in family) * os.sysconf("SC_PAGE_SIZE") / 2**20 if pages else 0.0


def measured(peer: Peer, python: str, given: Path, made: Path, limit: float) -> dict[str, Any]:
    """Run a row in a fresh process: seconds, processor seconds and MiB of all of it."""
    command = [python, str(Path(__file__).with_name("peer_worker.py")), peer.name, str(given), str(made)]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2", "TQDM_DISABLE": "1"}
    source = {} if peer.requirements else {"PYTHONPATH": str(ROOT / "src")}
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | threads | source
    start, before = time.perf_counter(), os.times()
    with given.with_suffix(".err").open("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
        memory = Memory(process.pid)
        memory.start()
        try:
            text, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise RuntimeError(f"no result in {limit:.0f} s") from None
        finally:
            memory.over.set()
            memory.join()
        errors.seek(0)
        said = errors.read()
    after = os.times()
    if process.returncode:
        raise RuntimeError(last_line(said))
    told = json.loads(last_line(text))
    return {
        "seconds": round(time.perf_counter() - start, 2),
        "processor": round(after.children_user + after.children_system - before[2] - before[3], 2),
        "call": round(told["call"], 2),
        "memory": round(max(memory.peak, told["peak"])),
    }


def agreement(one: np.ndarray, two: np.ndarray, *, by_column: bool) -> tuple[float, float | None]:
    """Mean rank correlation of targets (rows) or, of activities, of regulators (columns), and shared top regulators."""
    one, two = (part.T if by_column else np.abs(part) for part in (one, two))
    varies = (one.std(1) > 0) & (two.std(1) > 0)
    ranks = [pd.DataFrame(part[varies].T).rank() for part in (one, two)]
    rho = float(ranks[0].corrwith(ranks[1]).mean())
    if by_column:
        return rho, None
    top = max(1, min(TOP_PER_TARGET, one.shape[1] // 2))
    best = [np.argsort(-part, axis=1, kind="stable")[:, :top] for part in (one, two)]
    shared = np.mean([len(set(a) & set(b)) / top for a, b in zip(*best, strict=True)])
    return rho, float(shared)


def auprc(strength: np.ndarray, adata: ad.AnnData) -> float:
    """Average precision of the planted edges among all pairs of a regulator and another gene."""
    from sklearn.metrics import average_precision_score

    regulators = np.asarray(adata.var_names)[adata.var["is_regulator"].to_numpy()]
    asked = np.asarray(adata.var_names)[:, None] != regulators
    return float(average_precision_score(planted(adata)[asked] != 0, np.abs(strength)[asked]))


def row(peer: Peer, size: str, folder: Path, limit: float) -> dict[str, Any]:
    """Measure a row; where that is not possible, say why."""
    if size not in peer.sizes:
        return {"reason": "takes hours at this size"}
    adata = toy(size, peer.data)
    given, made = folder / f"{size}-{peer.data}.npz", output_of(peer, size, folder)
    if not given.exists():
        np.savez(given, **inputs(adata))
    busy = hasattr(os, "getloadavg") and os.getloadavg()[0] > 1.0
    try:
        result = measured(peer, interpreter(peer, folder), given, made, limit)
    except RuntimeError as reason:
        return {"reason": str(reason)}
    if busy:
        result["busy"] = True
    if peer.data != "activity":
        result["auprc"] = round(auprc(np.load(made)["matrix"], adata), 3)
    return result


def output_of(peer: Peer, size: str, folder: Path) -> Path:
    """File of the strengths that a row gave."""
    return folder / f"{size}-{peer.name.replace(' ', '-').replace(',', '')}-out.npz"


def compared(peer: Peer, size: str, folder: Path) -> dict[str, Any]:
    """Agreement of a row with that of grn, where both are there."""
    known = {other.name: other for other in PEERS}
    files = [output_of(other, size, folder) for other in (peer, known.get(peer.ours)) if other is not None]
    if len(files) < 2 or not all(path.exists() for path in files):
        return {}
    one, two = (np.load(path)["matrix"] for path in files)
    rho, shared = agreement(one, two, by_column=peer.data == "activity")
    return {"with": peer.ours, "rank": round(rho, 3), **({} if shared is None else {"top": round(shared, 3)})}


def tables(results: dict[str, Any]) -> str:
    """Markdown of all that was measured."""
    parts = []
    for size, rows in results["rows"].items():
        cells, screen = SIZES[size]["cells"], SIZES[size]["screen"]
        genes, knocked = cells["n_regulators"] + cells["n_targets"], screen["n_regulators"]
        parts.append(
            f"**{size.capitalize()}:** {cells['n_cells']:,} simulated cells x {genes:,} genes x "
            f"{cells['n_regulators']} regulators; for RENGE {(knocked + 1) * 3 * screen['n_cells']:,} cells x "
            f"{knocked + screen['n_targets']} genes, {knocked} of them knocked out, at 3 times."
        )
        head = "| program | seconds | processor s | call alone, s | peak MiB | rank corr. | top 10 | with | AUPRC |"
        parts.append("\n".join([head, "|---|" + "---:|" * 6 + "---|---:|", *(line(*item) for item in rows.items())]))
    parts.append(f"Measured {results['date']} on {results['machine']}.")
    if any(found.get("busy") for rows in results["rows"].values() for found in rows.values()):
        parts.append("\\* The machine was busy with other work: of these times only those of the processor hold.")
    return "\n\n".join(parts) + "\n"


def line(name: str, found: dict[str, Any]) -> str:
    """A row of a table."""
    if "reason" in found:
        return f"| {name} | not run: {found['reason'].replace('|', '/')} | | | | | | | |"
    numbers = [f"{found[key]:.1f}" for key in ("seconds", "processor", "call")] + [f"{found['memory']:,}"]
    agreed = [f"{found[key]:.2f}" if key in found else "" for key in ("rank", "top")]
    planted_edges = f"{found['auprc']:.3f}" if "auprc" in found else ""
    name += " \\*" * bool(found.get("busy"))
    return f"| {' | '.join([name, *numbers, *agreed, found.get('with', ''), planted_edges])} |"


def machine() -> str:
    """What this was measured on."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [entry.partition(":")[2].strip() for entry in text.splitlines() if entry.startswith("model name")]
    processor = models[0] if models else platform.processor() or platform.machine()
    return f"{os.cpu_count()} cores ({processor}), {platform.system()}, Python {platform.python_version()}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--only", nargs="+", choices=[peer.name for peer in PEERS], metavar="NAME")
    parser.add_argument("--folder", type=Path, default=Path("peers"), help="environments and rows")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds that a row may take")
    parser.add_argument("--again", action="store_true", help="measure rows that are there")
    parser.add_argument("--write", action="store_true", help="write docs/peers/results.json and tables.md")
    args = parser.parse_args(arguments)
    folder = args.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {"rows": {}}
    for size in args.size:
        rows = results["rows"].setdefault(size, {})
        for peer in PEERS:
            if (args.only and peer.name not in args.only) or (peer.name in rows and not args.again):
                continue
            rows[peer.name] = row(peer, size, folder, args.limit)
            print(line(peer.name, rows[peer.name]), flush=True)
            results |= {"date": datetime.date.today().isoformat(), "machine": machine()}
            path.write_text(json.dumps(results, indent=1) + "\n")
        for peer in PEERS:
            rows.get(peer.name, {}).update(compared(peer, size, folder))
        results["rows"][size] = {peer.name: rows[peer.name] for peer in PEERS if peer.name in rows}
    results["rows"] = {size: results["rows"][size] for size in SIZES if size in results["rows"]}
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\n{tables(results)}")
    if args.write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "results.json").write_text(path.read_text())
        (RESULTS / "tables.md").write_text(tables(results))


if __name__ == "__main__":
    main()
