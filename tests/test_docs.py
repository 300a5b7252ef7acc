"""The pages agree with the package: every public name is listed, links lead somewhere, commands are the real ones."""

import re
import sys
from importlib import import_module
from inspect import ismodule
from pathlib import Path

import numpy as np
import pytest

import grn
from pages import agree, printing

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    path
    for folder, pattern in ((ROOT, "*.md"), (DOCS, "**/*.md"), (ROOT / "tutorials", "*.md"))
    for path in sorted(folder.glob(pattern))
    if "_build" not in path.parts and "generated" not in path.parts
]
# what the installation in the README does not bring
OF_EXTRAS = ("dask", "igraph", "optuna", "pyfaidx", "twobitreader")
BENCH = ("audit", "drivers", "floors", "metrics", "negatives", "perturbation", "splits")
SPACES = ("pp", "tl", "get", "pl", "models", "datasets", "genes", "genome", "bench")
NAMESPACES = (*SPACES, *(f"bench.{name}" for name in BENCH))


def listed() -> list[str]:
    """Names in the autosummaries of the API page."""
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    return re.findall(r"^   ([A-Za-z_][\w.]*)$", text, flags=re.MULTILINE)


def without_code(text: str) -> str:
    return re.sub(r"^(```|~~~).*?^\1\s*$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Anchors of the headings, as GitHub and MyST make them, and the explicit ones."""
    text = without_code(path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}
    return slugs | set(re.findall(r"^\(([\w-]+)\)=$", text, flags=re.MULTILINE))


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_every_public_name_is_on_the_api_page(namespace):
    module = import_module(f"grn.{namespace}")
    names = [f"{namespace}.{name}" for name in module.__all__ if not ismodule(getattr(module, name))]
    assert names and [name for name in names if name not in listed()] == []


def test_the_api_page_lists_nothing_twice_and_nothing_that_is_not_there():
    names = listed()
    assert len(names) == len(set(names)) > 30
    for name in names:
        found = grn
        for number, part in enumerate(name.split("."), start=1):
            inside = ".".join(name.split(".")[:number])
            found = getattr(found, part) if hasattr(found, part) else import_module(f"grn.{inside}")


def test_network_and_settings_are_on_the_api_page():
    assert {"Network", "settings"} <= set(listed())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_somewhere(path):
    text = without_code(path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        found = found if found.exists() else found.with_name(found.name + ".md")
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def contents(folder: str) -> set[str]:
    """Pages in the tables of contents of the index of a folder."""
    text = (DOCS / folder / "index.md").read_text(encoding="utf-8")
    trees = re.findall(r"```\{toctree\}\n(.*?)```", text, flags=re.DOTALL)
    return {folder + line.strip() for tree in trees for line in tree.splitlines() if line and not line.startswith(":")}


def test_every_page_is_in_a_table_of_contents():
    entries = {name for folder in ("", "how_to/") for name in contents(folder)}
    inserted = [
        (page.parent / name).resolve()
        for page in PAGES
        for name in re.findall(r"^```\{include\} (\S+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    ]
    pages = {str(p.relative_to(DOCS).with_suffix("")) for p in PAGES if p.is_relative_to(DOCS) and p not in inserted}
    tutorials = {f"tutorials/{p.stem}" for p in (ROOT / "tutorials").glob("*.md")}
    assert entries >= (pages - {"index", "404"}) | tutorials


def test_citations_are_in_the_bibliography():
    keys = set(re.findall(r"^@\w+\{(\w+),", (DOCS / "references.bib").read_text(encoding="utf-8"), flags=re.MULTILINE))
    cited = {key for path in PAGES for key in re.findall(r"\{cite:[pt]\}`(\w+)`", path.read_text(encoding="utf-8"))}
    assert cited == keys


def test_the_changelog_and_the_citation_name_this_version():
    assert f"## [{grn.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"version: {grn.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_entries_of_the_changelog_are_whole_and_none_is_there_twice():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if len(line) > 120] == []
    for head, *body in (part.split("\n") for part in text.split("\n### ")[1:]):
        entries = re.split(r"^- ", "\n".join(body), flags=re.MULTILINE)
        loose = [line for entry in entries[1:] for line in entry.split("\n")[1:] if line and not line.startswith("  ")]
        assert loose == [], head
        sentences = [" ".join(s.split()) for entry in entries for s in re.split(r"\. |\.$", entry, flags=re.MULTILINE)]
        assert [s for s in sentences if len(s) > 60 and sentences.count(s) > 1] == [], head


@pytest.fixture
def fewer_genes(monkeypatch):
    """The cells of the pages with a quarter of their genes, as the demo runs the same calls on all of them."""
    whole = grn.datasets.pbmc68k
    named = {"SPI1", "SPIB", "LST1"}

    def part():
        adata = whole()
        taken = (np.arange(adata.n_vars) % 4 == 0) | adata.var_names.isin(named)
        return adata[:, taken].copy()

    monkeypatch.setattr(grn.datasets, "pbmc68k", part)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "docs/index.md", "docs/installation.md"])
def test_python_blocks_of_plain_pages_run(name, tmp_path, monkeypatch, fewer_genes):
    """Pages that no notebook executes; the blocks of a page share their variables."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(grn.settings, "verbosity", grn.settings.verbosity)
    for module in OF_EXTRAS if name == "README.md" else ():
        monkeypatch.setitem(sys.modules, module, None)
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), flags=re.M | re.S)
    assert blocks
    variables: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, name, "exec"), variables)


def test_outputs_that_differ_do_not_agree():
    assert agree("GATA1: 3 of 20 genes, 0.51\n", "GATA1: 3 of 20 genes, 0.52\n")
    assert not agree("GATA1: 3 of 20", "GATA1: 9 of 20")
    assert not agree("GATA1, KLF1, TAL1", "KLF1, GATA1, TAL1")
    assert not agree("GATA1", "GATA1, KLF1")


@pytest.mark.slow
def test_the_page_on_four_cell_lines_prints_what_stands_in_it(shared_dir, tmp_path, monkeypatch, capsys):
    """The data are not in the package, so that no build runs the page."""
    if not (shared_dir / "data/multiome/human_snareseq_lines_atac.h5ad").exists():
        pytest.skip("the SNARE-seq files are not in ../shared/data/multiome")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(grn.settings, "data_dir", shared_dir / "data")
    monkeypatch.setattr(grn.settings, "verbosity", grn.settings.verbosity)
    text = (ROOT / "tutorials/07_four_cell_lines.md").read_text(encoding="utf-8")
    pairs = printing(text)
    assert len(pairs) > 8
    variables: dict[str, object] = {}
    for block, written in pairs:
        exec(compile(block, "tutorials/07_four_cell_lines.md", "exec"), variables)
        printed = capsys.readouterr().out
        # networks that are trained in single precision differ between processors, and so do places by them
        share = 0.6 if "linger" in block else 0.9
        assert agree(printed, written, share=share), f"the page has\n{written}\nand the code prints\n{printed}"
    assert (tmp_path / "locus.png").stat().st_size > 1000


def test_the_readme_and_ci_run_the_same_commands():
    readme, script = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", ".ci/run"))
    assert "python -m grn demo" in readme and "-m grn demo" in script
    assert "pytest" in readme and "-m pytest" in script
