"""Every file of the package that is no code of it stands on the page of licences, and every row there has files."""

import re
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "grn"
PAGE = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
ROWS = [row.split(" | ") for row in PAGE.splitlines() if row.startswith("| `")]
PATTERNS = [pattern for row in ROWS for pattern in re.findall(r"`([^`]+)`", row[0])]
FILES = sorted(
    path.relative_to(SOURCES).as_posix()
    for path in SOURCES.rglob("*")
    if path.is_file() and path.suffix != ".py" and path.name != "py.typed" and path.parent.name != "__pycache__"
)


def test_every_file_is_listed():
    assert len(FILES) > 30
    assert [name for name in FILES if not any(fnmatch(name, pattern) for pattern in PATTERNS)] == []


def test_every_row_has_files_a_source_and_a_licence():
    assert [pattern for pattern in PATTERNS if not any(fnmatch(name, pattern) for name in FILES)] == []
    assert all(len(row) == 4 and all(cell.strip(" |") for cell in row) for row in ROWS)


def test_tables_are_rows_of_their_own():
    """A new table needs a source of its own, not that of a pattern."""
    tables = [name for name in FILES if name.endswith(".tsv.gz") and "/starts_" not in name]
    assert [name for name in tables if name not in PATTERNS] == []
