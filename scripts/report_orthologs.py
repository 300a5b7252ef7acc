"""What becomes of the genes of mouse data: kept, ambiguous and lost per file, as they are and in capitals.

python scripts/report_orthologs.py [--data FOLDER]
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

import h5py

import grn.genes
from grn._core.markdown import markdown_table


def names_of(path: Path) -> list[str]:
    """Gene names of an AnnData file."""
    with h5py.File(path) as file:
        var = file["var"]
        return list(var[var.attrs["_index"]].asstr()[:])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("GRN_DATA_DIR"), help="folder with expression/")
    args = parser.parse_args()
    if args.data is None or not (Path(args.data) / "expression").is_dir():
        parser.error("pass --data FOLDER (or set GRN_DATA_DIR) with a subfolder expression/")
    logging.getLogger("grn").setLevel(logging.ERROR)
    rows = []
    for path in sorted((Path(args.data) / "expression").glob("*_*.h5ad")):
        names = names_of(path)
        organism = path.name.split("_")[0]
        told = [grn.genes.detect_organism(names)]
        row = ["", "", "", ""]
        if organism == "mouse":
            upper = list(dict.fromkeys(name.upper() for name in names))
            told.append(grn.genes.detect_organism(upper))
            counts = grn.genes.resolve(names, organism="mouse")["status"].value_counts()
            capitals = grn.genes.resolve(upper, organism="mouse")["status"].value_counts()["kept"]
            row = [str(counts[status]) for status in ("kept", "ambiguous", "lost")] + [str(capitals)]
        rows.append([path.stem, len(names), *row, ", ".join(told)])
    head = ["file", "genes", "kept", "ambiguous", "lost", "kept in capitals", "told"]
    print(markdown_table(head, rows))


if __name__ == "__main__":
    main()
