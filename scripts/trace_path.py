"""Follow an object through the package: which modules a call enters, and how often it goes back for the object.

python scripts/trace_path.py                                        # print what the calls do in this tree
python scripts/trace_path.py --write after                          # and keep it in docs/architecture/paths.json
python scripts/trace_path.py --source ../before/src --write before  # the same of another checkout
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[1]
PATHS = ROOT / "docs" / "architecture" / "paths.json"
# modules between AnnData and arrays: a package today, these modules of pp before
DOORWAY = (
    *("grn._object", "grn.pp._anndata", "grn.pp._expression", "grn.pp._groups", "grn.pp._remedy"),
    *("grn.pp._smooth_cells", "grn.pp._smooth_graph", "grn.pp._var"),
)
# functions whose first return is the answer: the coefficients of a group, the features of all pairs, the effects
ANSWERS = {
    "infer_network(celloracle)": ("fit_group",),
    "celloracle": ("fit_group",),
    "vvp": ("collect",),
    "simulate": ("effects",),
    "infer_network(ridge)": ("fit",),
}
COLUMNS = {
    "files": "files to the answer",
    "files_without_core": "without `_core`",
    "lines": "their lines",
    "own": "files that `ridge` does not enter",
    "stops": "stops of the object",
    "doorway": "visits to the doorway",
    "climbs": "climbs",
    "validated": "validated",
    "read": "values read",
}


@dataclass
class Trace:
    """What a call does.

    Parameters
    ----------
    source
        Folder that holds the package.
    answer
        Functions whose first return ends the count of files.
    """

    source: Path
    answer: tuple[str, ...] = ()
    entered: list[str] = field(default_factory=list)
    stops: list[tuple[str, str]] = field(default_factory=list)
    doorway: int = 0
    validated: int = 0
    read: int = 0
    answered: bool = False
    _importing: int = 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Take note of a call or a return; see :func:`sys.setprofile`."""
        if event not in ("call", "return"):
            return
        name = frame.f_code.co_name
        if name == "<module>":  # running the body of a module is not part of the call
            self._importing += 1 if event == "call" else -1
            return
        module = self.module_of(frame)
        if self._importing or module in (None, "grn"):
            return
        if event == "return":
            self.answered = self.answered or name in self.answer
            return
        if not self.answered and module not in self.entered:
            self.entered.append(module)
        # the function that looks at all values, to tell counts from logarithms
        self.read += (module, name) == ("grn._kernels.scan", "scan")
        if takes_object(frame):
            self._arrive(module, name, self.module_of(frame.f_back))

    def module_of(self, frame: FrameType | None) -> str | None:
        """Module of the package that a frame runs, ``None`` for others."""
        if frame is None:
            return None
        path = Path(frame.f_code.co_filename)
        if path.suffix != ".py" or not path.is_relative_to(self.source):
            return None
        return ".".join(path.relative_to(self.source).with_suffix("").parts).removesuffix(".__init__")

    def _arrive(self, module: str, name: str, caller: str | None) -> None:
        if name.startswith("<"):
            return
        if in_doorway(module):
            self.doorway += not in_doorway(caller or "")
            self.validated += name == "validate"
        if not self.stops or self.stops[-1][0] != module:
            self.stops.append((module, name))


def in_doorway(module: str) -> bool:
    """Whether a module stands between AnnData and arrays."""
    return any(module == door or module.startswith(f"{door}.") for door in DOORWAY)


def takes_object(frame: FrameType) -> bool:
    """Whether a call was given the object."""
    from anndata import AnnData

    code = frame.f_code
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return any(isinstance(frame.f_locals.get(name), AnnData) for name in names)


@contextlib.contextmanager
def traced(trace: Trace) -> Iterator[None]:
    """Follow the calls in the block, in threads too."""
    threading.setprofile(trace)
    sys.setprofile(trace)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def heights(source: Path) -> dict[str, int]:
    """Height of packages and modules by the contract of layers in the ``pyproject.toml`` of a checkout; 0 is lowest."""
    text = (source.parent / "pyproject.toml").read_text(encoding="utf-8")
    contracts = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["name"].startswith("layers"))
    return {
        name.strip(): height
        for height, layer in enumerate(reversed(layers))
        for name in layer.replace("|", ":").split(":")
    }


def height_of(module: str, known: dict[str, int]) -> int:
    """Height of the layer of a module."""
    package = ".".join(module.split(".")[:2])
    return known.get(module, known.get(package, max(known.values())))


def climbs(stops: list[tuple[str, str]], known: dict[str, int]) -> int:
    """How often the next stop of the object lies in a higher layer."""
    at = [height_of(module, known) for module, _ in stops]
    return sum(after > before for before, after in pairwise(at))


def calls() -> dict[str, Callable[[], Any]]:
    """Public calls on small simulated objects."""
    import grn

    toy = lambda: grn.datasets.toy(n_cells=120, n_regulators=3, n_targets=8)  # noqa: E731
    known = toy()
    grn.Network(known.uns["truth"]).write(known)
    first, second, third, fourth = toy(), toy(), toy(), toy()
    return {
        "infer_network(celloracle)": lambda: grn.tl.infer_network(first, method="celloracle"),
        "celloracle": lambda: grn.tl.celloracle(second),
        "vvp": lambda: grn.tl.vvp(third),
        "simulate": lambda: grn.tl.simulate(known, perturbation={"GATA1": 0}),
        "infer_network(ridge)": lambda: grn.tl.infer_network(fourth, method="ridge"),
    }


def measured(source: Path) -> dict[str, dict[str, Any]]:
    """Figures and stops of every call, in the package under ``source``."""
    known = heights(source)
    result = {}
    for name, call in calls().items():
        trace = Trace(source, ANSWERS[name])
        with traced(trace):
            call()
        if not trace.answered:
            raise RuntimeError(f"{name} never returned from {', '.join(ANSWERS[name])}; mend ANSWERS of this script.")
        outside = [module for module in trace.entered if not module.startswith("grn._core")]
        result[name] = {
            "files": len(trace.entered),
            "files_without_core": len(outside),
            "lines": sum(lines_of(source, module) for module in outside),
            "stops": len(trace.stops),
            "doorway": trace.doorway,
            "climbs": climbs(trace.stops, known),
            "validated": trace.validated,
            "read": trace.read,
            "entered": trace.entered,
            "path": [[module, function, height_of(module, known)] for module, function in trace.stops],
        }
    ridge = result["infer_network(ridge)"]["entered"]
    for figures in result.values():
        figures["own"] = len({m for m in figures["entered"] if not m.startswith("grn._core")} - set(ridge))
    return result


def lines_of(source: Path, module: str) -> int:
    """Lines of the file of a module."""
    path = source.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return len(path.read_text(encoding="utf-8").splitlines())


def table(kept: dict[str, Any]) -> str:
    """Figures before and after, in Markdown."""
    head = f"| call | | {' | '.join(COLUMNS.values())} |"
    lines = [head, f"|---|---|{'---|' * len(COLUMNS)}"]
    for call in ANSWERS:
        for when in ("before", "after"):
            if when in kept:
                figures = (str(kept[when][call][column]) for column in COLUMNS)
                lines.append(f"| `{call}` | {when} | {' | '.join(figures)} |")
    return "\n".join(lines)


def main() -> None:
    """Trace the calls, print the figures, and keep them if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=ROOT / "src", help="folder that holds the package")
    parser.add_argument("--write", choices=("before", "after"), help="keep the figures under this name")
    given = parser.parse_args()
    source = given.source.resolve()
    sys.path.insert(0, str(source))
    found = measured(source)
    kept = json.loads(PATHS.read_text(encoding="utf-8")) if given.write and PATHS.exists() else {}
    kept[given.write or "after"] = found
    if given.write:
        PATHS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(table(kept))


if __name__ == "__main__":
    main()
