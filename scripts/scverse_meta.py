"""Print the entry for scverse's registry of packages: docs/scverse/meta.yaml with the addresses of [project.urls].

python scripts/scverse_meta.py > meta.yaml
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
MANDATORY = (
    *("name", "description", "project_home", "documentation_home", "license", "tags", "primary_category"),
    *("language", "category"),
)
# field of the registry, and the key of [project.urls] that it is
ADDRESSES = {"project_home": "Source", "documentation_home": "Documentation", "tutorials_home": "Tutorials"}


def project() -> dict[str, Any]:
    """Table ``[project]`` of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def entry(urls: dict[str, str]) -> dict[str, Any]:
    """The whole entry; an error that says which fields are missing, and where they belong."""
    found = yaml.safe_load((ROOT / "docs" / "scverse" / "meta.yaml").read_text(encoding="utf-8"))
    found |= {name: urls[key] for name, key in ADDRESSES.items() if key in urls}
    missing = [name for name in MANDATORY if not found.get(name)]
    if missing:
        places = [
            f"{name} ({ADDRESSES[name]!r} in [project.urls] of pyproject.toml)"
            if name in ADDRESSES
            else f"{name} (docs/scverse/meta.yaml)"
            for name in missing
        ]
        raise ValueError(f"the registry asks for {', '.join(places)}; add what is missing and run this again.")
    return found


def main() -> None:
    """Print the entry."""
    try:
        whole = entry(project().get("urls", {}))
    except ValueError as error:
        sys.exit(str(error))
    print(yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=120), end="")


if __name__ == "__main__":
    main()
