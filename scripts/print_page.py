"""Run a page whose data are not in the package, and write what it prints and draws into it.

    GRN_DATA_DIR=data python scripts/print_page.py docs/how_to/conditions.md

Blocks of Python with an output below them (```` ```text ````) run in order and share their variables; the outputs are
replaced, and figures that the blocks save go beside the page.
"""

import contextlib
import io
import os
import re
import sys
from pathlib import Path

PAIR = re.compile(r"(^```python\n(.*?)^```\n\n```text\n)(.*?)(^```)", flags=re.M | re.S)


def run(path: Path) -> None:
    """Run the blocks of the page and write their outputs."""
    os.chdir(path.parent)
    variables: dict[str, object] = {}

    def answered(found: re.Match[str]) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(found[2], path.name, "exec"), variables)
        lines = [line.rstrip() for line in printed.getvalue().splitlines()]
        return found[1] + "".join(f"{line}\n" for line in lines) + found[4]

    text = path.read_text(encoding="utf-8")
    path.write_text(PAIR.sub(answered, text), encoding="utf-8")


if __name__ == "__main__":
    for page in [Path(name).resolve() for name in sys.argv[1:]]:
        run(page)
