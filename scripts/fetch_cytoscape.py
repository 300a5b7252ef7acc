"""Fetch cytoscape.js, which draws the pages of grn.pl.explore, and check its hash.

``python scripts/fetch_cytoscape.py`` needs npm; with ``--check`` it only compares the files of the package with the
hashes below, without the network.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "3.35.0"
FOLDER = Path(__file__).parents[1] / "src" / "grn" / "pl" / "_explorer" / "assets"
# file of the npm package -> file of this package, SHA-256
FILES = {
    "package/dist/cytoscape.min.js": (
        "cytoscape.min.js",
        "71fa9ebec21a7ca2c40cff6aacc30d1f6464e363662ad4b2c197e1adc770cd94",
    ),
    "package/LICENSE": ("cytoscape.LICENSE", "eb319c6e6f233607f71e8e2f450391751883cfc0eeb3ca7ef574c13d1d9c2203"),
}


def differing() -> list[str]:
    """Files of the package that are missing or not those of the version."""
    return [
        name
        for name, digest in FILES.values()
        if not (FOLDER / name).is_file() or hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() != digest
    ]


def fetch() -> None:
    """Replace the files of the package, if all have the right hash."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "pack", "--silent", f"cytoscape@{VERSION}", "--pack-destination", folder], check=True, timeout=300
        )
        with tarfile.open(Path(folder) / f"cytoscape-{VERSION}.tgz") as archive:
            contents = {member: archive.extractfile(member).read() for member in FILES}
    for member, (_, digest) in FILES.items():
        got = hashlib.sha256(contents[member]).hexdigest()
        if got != digest:
            raise SystemExit(f"{member} of cytoscape {VERSION} has SHA-256 {got}, expected {digest}")
    for member, (name, _) in FILES.items():
        (FOLDER / name).write_bytes(contents[member])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare the files with the hashes")
    if not parser.parse_args().check:
        fetch()
    wrong = differing()
    print("differs: " + ", ".join(wrong) if wrong else f"cytoscape.js {VERSION} is in {FOLDER.name}")
    sys.exit(bool(wrong))
