"""The site leads to everything: figures to the gallery, functions to a recipe, methods to the chooser."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

from grn.methods import METHODS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SPACES = ("pp", "tl", "get", "pl", "models", "datasets", "genes", "genome", "bench")


def functions(space):
    module = import_module(f"grn.{space}")
    return [f"{space}.{name}" for name in module.__all__ if inspect.isfunction(getattr(module, name))]


def text_of(*patterns):
    return "\n".join(path.read_text(encoding="utf-8") for pattern in patterns for path in sorted(ROOT.glob(pattern)))


def executed(name):
    """The code of the cells of a page."""
    text = (DOCS / name).read_text(encoding="utf-8")
    return "\n".join(re.findall(r"^```\{code-cell\} python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))


def test_every_figure_is_drawn_in_the_gallery():
    code = executed("gallery.md")
    assert [name for name in functions("pl") if f"grn.{name}(" not in code] == []


@pytest.mark.parametrize("space", SPACES)
def test_every_function_is_in_the_gallery_a_how_to_a_tutorial_or_a_recipe(space):
    text = text_of("docs/gallery.md", "docs/how_to/*.md", "docs/recipes.md", "tutorials/*.md")
    assert [name for name in functions(space) if not re.search(rf"grn\.{re.escape(name)}\b", text)] == []


def test_what_infers_is_in_the_chooser():
    chooser = text_of("docs/choose.md", "docs/choose/*.md")
    infer = [name for name in METHODS if f"tl.{name}" in functions("tl")]
    assert infer and [name for name in infer if f"{{doc}}`{name} </" not in chooser] == []


def test_settings_of_the_site(monkeypatch):
    read = (DOCS / "conf.py").read_text(encoding="utf-8")

    def configured(**environment):
        for name in ("READTHEDOCS", "GRN_DOCS_INTERSPHINX", "GRN_DOCS_REPOSITORY"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        variables = {}
        monkeypatch.setenv("MPLBACKEND", "agg")
        exec(compile(read, "conf.py", "exec"), variables)
        return variables

    assert "sphinx.ext.intersphinx" not in configured()["extensions"]
    assert "scanpy" in configured(READTHEDOCS="True")["intersphinx_mapping"]
    assert "repository_url" not in configured()["html_theme_options"]
    asked = configured(GRN_DOCS_REPOSITORY="https://example.org/a/b")["html_theme_options"]
    assert asked["repository_url"] == "https://example.org/a/b" and asked["use_edit_page_button"]


@pytest.mark.parametrize("name", ["logo.svg", "logo-dark.svg", "favicon.svg", "grn.css"])
def test_files_of_the_theme_are_there_and_ask_nothing_of_the_network(name):
    text = (DOCS / "_static" / name).read_text(encoding="utf-8")
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
