"""Every name of grn that a page uses is there, and every call in it has the arguments that the function takes."""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

import grn
from grn.methods import METHODS

ROOT = Path(__file__).parents[1]
PAGES = [
    path
    for folder, pattern in ((ROOT, "*.md"), (ROOT / "docs", "**/*.md"), (ROOT / "tutorials", "*.md"))
    for path in sorted(folder.glob(pattern))
    # the changelog tells of names that are gone
    if path.name != "CHANGELOG.md" and not {"_build", "generated"} & set(path.parts)
]
SPACES = "pp|tl|get|pl|models|datasets|genes|genome|bench|methods"
pages = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def resolved(name):
    """What a dotted name below grn stands for; AttributeError where there is none."""
    parts = name.split(".")
    thing = grn
    for number, part in enumerate(parts):
        if not hasattr(thing, part) and inspect.ismodule(thing):
            try:
                thing = import_module(".".join(["grn", *parts[: number + 1]]))
                continue
            except ModuleNotFoundError:
                pass
        thing = getattr(thing, part)
    return thing


def names_in(text):
    """Names after ``grn.``, and after a namespace in backticks."""
    after_grn = re.findall(r"(?<![\w/.-])grn\.((?:[A-Za-z]\w*)(?:\.[A-Za-z]\w*)*)", text)
    in_backticks = re.findall(rf"(?<=`)((?:{SPACES})\.[A-Za-z]\w*)", text)
    return {name for name in [*after_grn, *in_backticks] if not re.fullmatch(r"\w+\.(py|md|json|csv|parquet)", name)}


def calls_in(text):
    """Calls of grn in the Python code of a page: the name of the function and the call."""
    for block in re.findall(r"^```(?:python|\{code-cell\} python|text)\n(.*?)^```", text, flags=re.M | re.S):
        code = "\n".join(line for line in block.splitlines() if not line.startswith((":", "%", "!")))
        try:
            tree = ast.parse(code)
        except SyntaxError:
            continue  # text, or notation
        for node in ast.walk(tree):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if re.fullmatch(r"grn(\.\w+)+", name) and not name.startswith("grn.errors."):
                yield name.removeprefix("grn."), node


def wrong_names(text):
    gone = []
    for name in sorted(names_in(text)):
        try:
            resolved(name)
        except AttributeError:
            gone.append(name)
    return gone


def wrong_calls(text):
    wrong = []
    for name, call in calls_in(text):
        signature = inspect.signature(resolved(name))
        keywords = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        try:
            signature.bind_partial(*call.args, **keywords)
        except TypeError as error:
            wrong.append(f"{name}: {error}")
        method = keywords.get("method")
        if name == "tl.infer_network" and isinstance(method, ast.Constant) and method.value in METHODS:
            params = keywords.get("params")
            given = [key.value for key in params.keys] if isinstance(params, ast.Dict) else []
            unknown = set(given) - set(METHODS[method.value].parameters())
            wrong += [f"{method.value} has no parameter {parameter}" for parameter in sorted(unknown)]
    return wrong


@pages
def test_names_are_there(path):
    assert wrong_names(path.read_text(encoding="utf-8")) == []


@pages
def test_calls_have_arguments_that_there_are(path):
    assert wrong_calls(path.read_text(encoding="utf-8")) == []


@pages
def test_methods_that_are_named_are_registered(path):
    named = re.findall(r"infer_network\([^)]*method=\"(\w+)\"", path.read_text(encoding="utf-8"))
    of_the_page = re.findall(r"Method\(\s*\"(\w+)\"", path.read_text(encoding="utf-8"))
    assert [name for name in named if name not in [*METHODS, *of_the_page]] == []


def test_what_is_gone_is_seen():
    text = "`tl.vanished` of {func}`grn.tl.vvp`, see grn.bench.METHODS\n```python\ngrn.tl.vvp(adata, sorces=[1])\n"
    text += 'grn.tl.infer_network(adata, method="ridge", params={"alpha": 1, "gamma": 2})\n```\n'
    assert wrong_names(text) == ["bench.METHODS", "tl.vanished"]
    assert wrong_calls(text) == [
        "tl.vvp: got an unexpected keyword argument 'sorces'",
        "ridge has no parameter gamma",
    ]


def test_there_is_something_to_look_at():
    texts = [path.read_text(encoding="utf-8") for path in PAGES]
    assert sum(len(names_in(text)) for text in texts) > 300
    assert sum(1 for text in texts for _ in calls_in(text)) > 80
