"""What importing the package costs and offers."""

import ast
import importlib
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import grn
from grn.errors import GrnError

NAMESPACES = ("bench", "datasets", "genes", "genome", "get", "methods", "models", "pl", "pp", "tl")
HEAVY = ("anndata", "decoupler", "matplotlib", "mudata", "numba", "pandas", "scanpy", "scipy", "sklearn", "torch")


def in_new_process(code: str, *flags: str) -> subprocess.CompletedProcess[str]:
    where = str(Path(grn.__file__).parents[1])
    setup = f"import sys; sys.path.insert(0, {where!r}); "
    found = subprocess.run([sys.executable, *flags, "-c", setup + code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found


def test_import_loads_nothing_heavy():
    code = f"import grn; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    assert in_new_process(code).stdout.split() == []


def test_import_of_the_command_line_loads_nothing_heavy():
    code = f"import grn.__main__; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    assert in_new_process(code).stdout.split() == []


# what only some methods need, by what anndata, which every user has imported, does not bring
COSTLY = ("decoupler", "distributed", "matplotlib", "mudata", "numba", "scanpy", "sklearn", "torch", "xgboost")
CHEAP_CALL = """
import anndata, numpy, pandas, sys
before = set(sys.modules)
import grn
values = numpy.random.default_rng(0).poisson(2, (60, 8)).astype("float32")
adata = anndata.AnnData(values, var=pandas.DataFrame(index=[f"G{i}" for i in range(8)]))
grn.tl.infer_network(adata, method=METHOD, sources=["G0", "G1"], n_jobs=1)
grn.pp.check_expression(adata), grn.get.edges(adata), grn.datasets.tfs()
print(*[name for name in COSTLY if name in set(sys.modules) - before])
"""


def costly(method: str) -> list[str]:
    """What a call of a method on a small object loads, in a new process, beside anndata."""
    return in_new_process(CHEAP_CALL.replace("METHOD", repr(method)).replace("COSTLY", repr(COSTLY))).stdout.split()


@pytest.mark.parametrize("method", ["correlation", "ridge", "prior_ridge"])
def test_a_cheap_method_loads_nothing_costly(method):
    assert costly(method) == []


def test_trees_load_no_torch():
    assert set(costly("grnboost2")) <= {"numba", "sklearn"}


def test_a_bundled_object_loads_no_scanpy():
    code = "import grn; grn.datasets.pbmc68k(); print(*[m for m in ('numba', 'scanpy', 'torch') if m in sys.modules])"
    assert in_new_process(code).stdout.split() == []


@pytest.mark.parametrize(
    "name", [*(f"grn.{name}" for name in ("datasets", "get", "methods", "models", "pl", "pp", "tl"))]
)
def test_names_that_are_imported_on_first_use_are_those_that_type_checkers_see(name):
    package = importlib.import_module(name)
    [block] = [
        node
        for node in ast.parse(Path(package.__file__).read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    [call] = [node for node in ast.walk(block) if isinstance(node, ast.Call)]
    homes = ast.literal_eval(call.args[1])
    used = {known: home for home, names in homes.items() for known in names.split()}
    assert {known: home for known, home in seen.items() if home != name} == used
    assert all(getattr(package, known) is not None for known in package.__all__)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'no_such_name'"):
        package.no_such_name  # noqa: B018


def test_methods_are_announced_where_they_are_added():
    code = (
        "from grn.methods import METHODS, record; places = {n: r.module for n, r in METHODS._records.items()}; "
        "print(*(f'{n}={place}' for n, place in places.items() if METHODS[n].fit.__module__.split('.')[2] "
        "!= place.split('.')[2])); print(len(places), len(METHODS))"
    )
    wrong, counts = in_new_process(code).stdout.split("\n")[:2]
    assert wrong == ""
    assert counts.split()[0] == counts.split()[1]


def test_the_embedded_model_loads_no_compiler():
    code = "import sys, grn; grn.models.load('mini'); print('torch' in sys.modules, 'torch._dynamo' in sys.modules)"
    assert in_new_process(code).stdout.split() == ["True", "False"]


def test_import_loads_few_modules():
    code = (
        "before = len(sys.modules); import grn; "
        "print(len(sys.modules) - before, sum(name.partition('.')[0] == 'grn' for name in sys.modules))"
    )
    everything, of_grn = map(int, in_new_process(code).stdout.split())  # 88 with Python 3.11, most of its library
    assert of_grn <= 10
    assert everything <= 150


@pytest.mark.parametrize("name", NAMESPACES)
def test_namespaces_load_on_first_use(name):
    code = f"import grn; print('grn.{name}' in sys.modules); grn.{name}; print('grn.{name}' in sys.modules)"
    assert in_new_process(code).stdout.split() == ["False", "True"]


@cache
def anndata_loads_matplotlib() -> bool:
    return in_new_process("import anndata; print('matplotlib.pyplot' in sys.modules)").stdout == "True\n"


@pytest.mark.parametrize("name", [name for name in NAMESPACES if name != "pl"])
def test_only_pl_loads_matplotlib(name):
    code = (
        f"import grn; [getattr(grn.{name}, n) for n in grn.{name}.__all__]; print('matplotlib.pyplot' in sys.modules)"
    )
    assert in_new_process(code).stdout == "False\n" or anndata_loads_matplotlib()


def test_names_are_listed_and_unknown_ones_are_refused():
    assert set(NAMESPACES) <= set(dir(grn)) and set(NAMESPACES) <= set(grn.__all__)
    assert grn.Network.__name__ == "Network"
    with pytest.raises(AttributeError, match="no_such_thing"):
        grn.no_such_thing  # noqa: B018


def test_all_errors_share_one_base():
    for name in grn.errors.__all__:
        assert issubclass(getattr(grn.errors, name), GrnError)


def test_import_leaves_the_root_logger_and_warnings_alone():
    code = (
        "import logging, warnings; before = (list(logging.getLogger().handlers), list(warnings.filters)); "
        "import grn; after = (list(logging.getLogger().handlers), list(warnings.filters)); print(before == after)"
    )
    assert in_new_process(code).stdout.strip() == "True"


SOURCES = Path(grn.__file__).parent


def imported_modules(path: Path) -> set[str]:
    """Modules of the package that a file imports, submodules among them."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] == "grn"}


def private_reaches(root: Path) -> list[str]:
    """Imports of another package's underscore modules or names; packages such as ``_core`` are open to all.

    Only the package's own ``__init__.py`` may make what others hide public.
    """
    found = []
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root).parts
        for module in sorted(imported_modules(path)):
            package, *within = module.split(".")[1:] or [""]
            at_home = inside == ("__init__.py",) or package == inside[0]
            if not at_home and any(part.startswith("_") and not part.startswith("__") for part in within):
                found.append(f"{'/'.join(inside)} imports {module}")
    return found


def test_no_package_reaches_into_the_underscore_modules_of_another():
    assert private_reaches(SOURCES) == []


def test_a_private_reach_is_seen(tmp_path):
    (tmp_path / "tl").mkdir()
    (tmp_path / "tl" / "_vvp.py").write_text("from grn._core.rng import child\nfrom grn.pp import _smooth\n")
    (tmp_path / "tl" / "_pert.py").write_text("from grn.tl import _vvp\nimport grn.models._model_file\n")
    (tmp_path / "_inference.py").write_text("from grn._typed import typed\nfrom grn.tl import _infer\n")
    assert private_reaches(tmp_path) == [
        "_inference.py imports grn.tl._infer",
        "tl/_pert.py imports grn.models._model_file",
        "tl/_vvp.py imports grn.pp._smooth",
    ]


# arrows (importer, imported) that may close a circle, each with its reason beside it
CIRCLES_ALLOWED: frozenset[tuple[str, str]] = frozenset()


def modules_of(root: Path) -> dict[str, Path]:
    """Modules of the package at ``root`` by dotted name."""
    parts = {path: ("grn", *path.relative_to(root).with_suffix("").parts) for path in sorted(root.rglob("*.py"))}
    return {".".join(name[:-1] if name[-1] == "__init__" else name): path for path, name in parts.items()}


def import_graph(root: Path) -> dict[str, set[str]]:
    """Module -> modules it imports, in functions and for types too; of ``from package import module`` the module."""
    modules = modules_of(root)
    graph = {}
    for name, path in modules.items():
        imported = imported_modules(path) & set(modules) - {name}
        from_packages = {module.rpartition(".")[0] for module in imported}
        graph[name] = imported - {package for package in from_packages if names_only_modules(path, package, modules)}
    return graph


def names_only_modules(path: Path, package: str, modules: dict[str, Path]) -> bool:
    """Whether all that a file takes from a package are modules of it, so that its ``__init__`` is not asked."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom | ast.Import)]
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    taken = {
        alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == package
        for alias in node.names
    }
    return package not in plain and all(f"{package}.{name}" in modules for name in taken)


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """Modules of one circle, first and last the same; none without any."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_module_imports_itself_through_others():
    graph = import_graph(SOURCES)
    allowed = {
        name: {other for other in others if (name, other) not in CIRCLES_ALLOWED} for name, others in graph.items()
    }
    assert circle_in(allowed) == []
    assert all(other in graph.get(name, ()) for name, other in CIRCLES_ALLOWED), "no longer there: take it off the list"


@pytest.mark.parametrize(
    "back",
    [
        "from grn.tl._vvp import vvp\n",
        "def pert():\n    from grn.tl import _vvp\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import grn.tl._vvp\n",
        "def pert():\n    from grn.tl import vvp\n",
    ],
    ids=["at the top", "in a function", "for types", "through the package"],
)
def test_a_circle_is_seen(tmp_path, back):
    (tmp_path / "tl").mkdir()
    (tmp_path / "tl" / "__init__.py").write_text("from grn.tl._vvp import vvp\n")
    (tmp_path / "tl" / "_vvp.py").write_text("from grn.tl import _pert\n")
    (tmp_path / "tl" / "_pert.py").write_text("import numpy\n")
    assert circle_in(import_graph(tmp_path)) == []
    (tmp_path / "tl" / "_pert.py").write_text(back)
    assert {"grn.tl._vvp", "grn.tl._pert"} <= set(circle_in(import_graph(tmp_path)))
