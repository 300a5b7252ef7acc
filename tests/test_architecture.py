"""The figures of docs/architecture.md are those that the tree gives, and its numbers those that were measured."""

import ast
import importlib.util
import json
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


draw = script("draw_architecture")
trace = script("trace_path")


@cache
def figures() -> dict[Path, str]:
    return draw.figures()


@pytest.mark.parametrize("name", ["packages", "contract", "path_celloracle", "path_vvp"])
def test_figures_are_up_to_date(name):
    path = draw.FOLDER / f"{name}.svg"
    assert path.read_text(encoding="utf-8") == figures()[path], "run python scripts/draw_architecture.py"
    assert f"architecture/{path.name}" in PAGE


def test_imports_between_packages_go_to_the_left():
    column = {package: number for number, packages in enumerate(draw.layers()) for package in packages}
    assert [arrow for arrow in draw.imports() if column[arrow[0]] <= column[arrow[1]]] == []


# what a public function of tl may consist of beside its call: settings it resolves, names it gives
MOST_STATEMENTS = 6
WORK = (ast.For, ast.While, ast.With, ast.Try, ast.Raise, ast.Match, ast.FunctionDef, ast.Lambda)


def work_in(source: str) -> list[str]:
    """Functions and classes of a module that are more than a signature, a docstring and a call."""
    heavy = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            heavy.append(node.name)
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            inside = [inner for statement in body for inner in ast.walk(statement)]
            private, calls = node.name.startswith("_"), isinstance(body[-1], ast.Return)
            if private or not calls or len(body) > MOST_STATEMENTS or any(isinstance(inner, WORK) for inner in inside):
                heavy.append(node.name)
    return heavy


def test_public_functions_are_a_signature_a_docstring_and_a_call():
    modules = {path.name: work_in(path.read_text(encoding="utf-8")) for path in (ROOT / "src/grn/tl").glob("*.py")}
    assert len(modules) > 25
    assert {name: heavy for name, heavy in modules.items() if heavy} == {}, "what computes belongs into a lower layer"


@pytest.mark.parametrize(
    "source",
    [
        "def _helper():\n    return 1\n",
        "class Plan:\n    pass\n",
        "def public(x):\n    'Doc.'\n    for y in x:\n        y()\n    return x\n",
        "def public(x):\n    'Doc.'\n" + "    x = x + 1\n" * 6 + "    return x\n",
        "def public(x):\n    'Doc.'\n    x()\n",
    ],
)
def test_work_in_a_public_module_is_seen(source):
    assert len(work_in(source)) == 1
    assert work_in("def public(x):\n    'Doc.'\n    y = int(x)\n    return lower(y)\n") == []


def test_an_arrow_that_a_longer_way_stands_for_is_left_out():
    assert draw.direct([("tl", "methods"), ("methods", "_core"), ("tl", "_core")]) == {
        ("tl", "methods"),
        ("methods", "_core"),
    }


def test_the_page_has_the_measured_figures():
    kept = json.loads(trace.PATHS.read_text(encoding="utf-8"))
    assert trace.table(kept) in PAGE


def test_modules_on_the_paths_of_this_tree_are_there():
    kept = json.loads(trace.PATHS.read_text(encoding="utf-8"))["after"]
    named = {name for call in kept.values() for name in [*call["entered"], *(stop[0] for stop in call["path"])]}
    assert len(named) > 40
    folders = {name: ROOT / "src" / Path(*name.split(".")) for name in named}
    gone = {
        name
        for name, folder in folders.items()
        if not folder.with_suffix(".py").is_file() and not (folder / "__init__.py").is_file()
    }
    assert gone == set(), "run python scripts/trace_path.py --write after"


def test_files_that_the_page_names_are_there():
    names = re.findall(r"`((?:src|tests|docs|scripts)/[\w./]+)`", PAGE)
    assert len(names) > 10
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_climbs_are_steps_into_a_higher_layer():
    known = {"grn.tl": 2, "grn.methods": 1, "grn._object": 0}
    stops = [("grn.tl._vvp", "vvp"), ("grn._object.genes", "gene_rows"), ("grn.methods.genes", "pair_genes")]
    assert trace.climbs(stops, known) == 1


def test_a_trace_sees_modules_the_object_and_the_answer(tmp_path):
    import anndata
    import numpy as np

    folder = tmp_path / "grn" / "_object"
    folder.mkdir(parents=True)
    code = "def validate(adata): pass\ndef fit_group(values): return values\ndef later(): pass\n"
    (folder / "container.py").write_text(code)
    spec = importlib.util.spec_from_file_location("container_of_a_toy", folder / "container.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    followed = trace.Trace(tmp_path, ("fit_group",))
    with trace.traced(followed):
        module.validate(anndata.AnnData(np.zeros((1, 1), dtype="float32")))
        module.fit_group(1)
    assert followed.entered == ["grn._object.container"] and followed.answered
    assert (followed.validated, followed.doorway, followed.stops) == (1, 1, [("grn._object.container", "validate")])
