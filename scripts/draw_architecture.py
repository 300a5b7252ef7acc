"""Draw the figures of docs/architecture.md: packages and who imports whom, the contract of a method, the path of data.

python scripts/draw_architecture.py          # write them
python scripts/draw_architecture.py --check  # say which of them are not what the tree gives
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "grn"
FOLDER = ROOT / "docs" / "architecture"
FONT = "font-family='DejaVu Sans, Helvetica, Arial, sans-serif'"
BLUE, GREY, RED, INK = "#dbe9f6", "#f2f2f2", "#c0392b", "#222222"
# what a package holds, in two or three words
HOLDS = {
    "_core": "settings, errors",
    "_kernels": "numbers",
    "network": "edge tables",
    "genes": "gene names",
    "genome": "regions, motifs",
    "models": "foundation models",
    "datasets": "cells, references",
    "_object": "doorway to AnnData",
    "pp": "preparation",
    "methods": "systems, probes",
    "trust": "repeats",
    "simulate": "interventions",
    "regulators": "drivers, activity",
    "cistromes": "motif enrichment",
    "tl": "what users call",
    "get": "what users read",
    "bench": "benchmark",
    "pl": "figures",
    "_report": "page to read",
}
# what happens to a question, and the file where it does
STEPS = (
    ("Task", "what is asked", "methods/record.py"),
    ("Inputs", "object, genes, groups", "methods/inputs.py"),
    ("Group", "cells of one group", "methods/group.py"),
    ("fit", "weights (T, S)", "methods/celloracle/method.py"),
    ("matrices", "shape, finite", "methods/edges.py"),
    ("Result", "network and tables", "methods/runner.py"),
    ("answer", "genes, groups, tables", "methods/answer.py"),
    ("written", "uns, obsp", "methods/inference.py"),
)


def layers() -> list[list[str]]:
    """Packages by layer, the lowest first, as the import contract in ``pyproject.toml`` has them."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    contracts = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    named = next(contract["layers"] for contract in contracts if contract["name"].startswith("layers"))
    rows = [[name.strip().removeprefix("grn.") for name in layer.split("|")] for layer in reversed(named)]
    return [packages for row in rows if (packages := [name for name in row if (SOURCES / name).is_dir()])]


def imports() -> Counter[tuple[str, str]]:
    """Number of files of a package (first) that import another (second)."""
    arrows: Counter[tuple[str, str]] = Counter()
    for path in sorted(SOURCES.rglob("*.py")):
        inside = path.relative_to(SOURCES).parts
        if len(inside) > 1:
            arrows.update((inside[0], other) for other in imported(path) - {inside[0]})
    return arrows


def imported(path: Path) -> set[str]:
    """Packages of grn that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    parts = (name.split(".") for name in names)
    return {name[1] for name in parts if name[0] == "grn" and len(name) > 1 and (SOURCES / name[1]).is_dir()}


def direct(arrows: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Arrows between packages that no longer way stands for."""
    given = set(arrows)
    ends: dict[str, set[str]] = {}

    def below(package: str) -> set[str]:
        if package not in ends:
            there = {other for importer, other in given if importer == package}
            ends[package] = there.union(*map(below, there))
        return ends[package]

    return {
        (importer, other)
        for importer, other in given
        if not any(other in below(way) for start, way in given if start == importer and way != other)
    }


def svg(width: int, height: int, parts: Iterable[str]) -> str:
    """A picture of some parts on white."""
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}'>"
    return "\n".join([head, f"<rect width='{width}' height='{height}' fill='white'/>", *parts, "</svg>"]) + "\n"


def text(x: float, y: float, words: str, *, size: int = 12, anchor: str = "start", fill: str = INK) -> str:
    """Words at a place."""
    look = f"font-size='{size}' {FONT} text-anchor='{anchor}' fill='{fill}'"
    return f"<text x='{x:g}' y='{y:g}' {look}>{escape(words)}</text>"


def box(x: float, y: float, w: float, h: float, fill: str = BLUE) -> str:
    """A box for a package or a step."""
    return f"<rect x='{x:g}' y='{y:g}' width='{w:g}' height='{h:g}' rx='5' fill='{fill}' stroke='#7f8c8d'/>"


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    """An arrow that leaves and arrives level."""
    half = (x1 + x2) / 2
    way = f"M{x1:g},{y1:g} C{half:g},{y1:g} {half:g},{y2:g} {x2:g},{y2:g}"
    back = 8 if x2 > x1 else -8
    tip = f"M{x2:g},{y2:g} l{-back},-4 v8 z"
    return f"<path d='{way}' fill='none' stroke='#888888'/><path d='{tip}' fill='#666666'/>"


def packages_svg() -> str:
    """Packages in their layers, the lowest on the left; arrows from a package to those it imports."""
    columns, wide, tall, gap = layers(), 96, 44, 42
    rows = max(map(len, columns))
    height, width = 60 + rows * 70, 20 + len(columns) * (wide + gap) - gap + 20
    place = {}
    for number, packages in enumerate(columns):
        top = 40 + (rows - len(packages)) * 35
        for row, package in enumerate(packages):
            place[package] = (20 + number * (wide + gap), top + row * 70)
    parts = [text(20, 22, "imports go to the left only", size=12, fill="#555555")]
    for importer, other in sorted(direct(imports())):
        (x1, y1), (x2, y2) = place[importer], place[other]
        parts.append(arrow(x1, y1 + tall / 2, x2 + wide, y2 + tall / 2))
    for package, (x, y) in place.items():
        middle = x + wide / 2
        parts += [box(x, y, wide, tall), text(middle, y + 19, package, anchor="middle")]
        parts.append(text(middle, y + 35, HOLDS[package], size=9, anchor="middle", fill="#555555"))
    return svg(width, height, parts)


def contract_svg() -> str:
    """From a question to what is written."""
    wide, gap = 122, 22
    parts = []
    for number, (name, told, file) in enumerate(STEPS):
        if not (SOURCES / file).exists():
            raise FileNotFoundError(f"{file} of STEPS is not in src/grn; name the file that does this now.")
        x = 20 + number * (wide + gap)
        fill = "#fdebd0" if name == "fit" else BLUE
        parts += [box(x, 34, wide, 62, fill), text(x + wide / 2, 56, name, size=13, anchor="middle")]
        parts.append(text(x + wide / 2, 72, told, size=10, anchor="middle"))
        parts.append(text(x + wide / 2, 88, file.removeprefix("methods/"), size=9, anchor="middle", fill="#555555"))
        if number:
            parts.append(arrow(x - gap, 65, x - 2, 65))
    x = 20 + 2 * (wide + gap)
    last = x + 3 * wide + 2 * gap
    parts.append(f"<path d='M{x:g},104 V112 H{last:g} V104' fill='none' stroke='#888888'/>")
    parts.append(text((x + last) / 2, 128, "once per group; orange: what a method writes", size=11, anchor="middle"))
    return svg(40 + len(STEPS) * (wide + gap) - gap, 142, parts)


def path_svg(call: str, kept: dict[str, dict[str, dict[str, list[tuple[str, str, int]]]]]) -> str:
    """Stops of the object in their order, one lane per module, higher layers above; before and after."""
    parts: list[str] = []
    step, lane, left, top = 26, 20, 200, 0
    width = left + step * max(len(kept[when][call]["path"]) for when in kept) + 30
    for when in ("before", "after"):
        stops = kept[when][call]["path"]
        modules = sorted({(-height, module) for module, _, height in stops})
        shades = {height: number % 2 for number, height in enumerate(sorted({height for height, _ in modules}))}
        rows = {module: top + 44 + lane * number for number, (_, module) in enumerate(modules)}
        parts.append(text(14, top + 22, f"{when}: {len(stops)} stops", size=13))
        for height, module in modules:
            y = rows[module]
            fill = BLUE if module.startswith(("grn._object", "grn.pp")) else GREY if shades[height] else "#fafafa"
            parts.append(f"<rect x='0' y='{y - lane / 2:g}' width='{width}' height='{lane}' fill='{fill}'/>")
            parts.append(text(left - 16, y + 4, module.removeprefix("grn."), size=11, anchor="end"))
        places = [(left + step * number, rows[module]) for number, (module, _, _) in enumerate(stops)]
        for number in range(1, len(stops)):
            (x1, y1), (x2, y2) = places[number - 1 : number + 1]
            up = stops[number][2] > stops[number - 1][2]
            style = f"stroke='{RED}' stroke-width='2.5'" if up else "stroke='#777777' stroke-width='1.2'"
            parts.append(f"<line x1='{x1:g}' y1='{y1:g}' x2='{x2:g}' y2='{y2:g}' {style}/>")
        for (x, y), (_, function, _) in zip(places, stops, strict=True):
            parts.append(f"<circle cx='{x:g}' cy='{y:g}' r='4' fill='{INK}'><title>{escape(function)}</title></circle>")
        top += 44 + lane * len(modules) + 14
    parts.append(text(14, top + 6, "blue: doorway to AnnData; red: up into a higher layer", size=11, fill="#555555"))
    return svg(width, top + 18, parts)


def figures() -> dict[Path, str]:
    """All figures by their files."""
    kept = json.loads((FOLDER / "paths.json").read_text(encoding="utf-8"))
    return {
        FOLDER / "packages.svg": packages_svg(),
        FOLDER / "contract.svg": contract_svg(),
        FOLDER / "path_celloracle.svg": path_svg("infer_network(celloracle)", kept),
        FOLDER / "path_vvp.svg": path_svg("vvp", kept),
    }


def main() -> None:
    """Write the figures, or compare those that are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a figure is not up to date")
    check = parser.parse_args().check
    old = []
    for path, picture in figures().items():
        if not path.exists() or path.read_text(encoding="utf-8") != picture:
            old.append(path.name)
            if not check:
                path.write_text(picture, encoding="utf-8")
    if check and old:
        sys.exit(f"not what the tree gives: {', '.join(old)}; run python scripts/draw_architecture.py.")


if __name__ == "__main__":
    main()
