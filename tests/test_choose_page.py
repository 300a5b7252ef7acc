"""The chooser says what the pages that measured it say, and leaves no method out."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from grn.methods import METHODS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "choose.md"


@pytest.fixture(scope="module")
def script():
    """The script that makes the tables, as a module."""
    spec = importlib.util.spec_from_file_location("collect_measures", ROOT / "scripts" / "collect_measures.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)  # where dataclasses look
        spec.loader.exec_module(module)
        yield module


@pytest.mark.parametrize("name", ["measured.json", "decisions.md", "systems.md"])
def test_files_are_what_the_script_makes(script, name):
    path, make = next((path, make) for path, make in script.files().items() if path.name == name)
    assert path.read_text(encoding="utf-8") == make(), "run python scripts/collect_measures.py"


def test_the_page_shows_both_tables_and_every_method():
    text = PAGE.read_text(encoding="utf-8")
    inserted = re.findall(r"^```\{include\} (\S+)$", text, flags=re.MULTILINE)
    assert inserted == ["choose/decisions.md", "choose/systems.md"]
    systems = (PAGE.parent / "choose" / "systems.md").read_text(encoding="utf-8")
    assert [name for name in METHODS if f"{{doc}}`{name} </" not in systems] == []


def test_a_row_that_is_gone_or_named_twice_is_refused(script):
    measure = script.MEASURES["planted"]
    with pytest.raises(ValueError, match="0 rows are headed"):
        script.read(script.replace(measure, rows={"ridge": "gone"}))
    with pytest.raises(ValueError, match="2 rows are headed"):
        script.read(script.replace(measure, last=None))
