"""Compile the fact tables of ``grn.genome``: where transcription starts, and the matrices of JASPAR.

Run ``python scripts/build_genome_tables.py --data FOLDER`` where ``FOLDER/priors`` holds the source files (default: the
folder named by the environment variable ``GRN_DATA_DIR``). The same sources give the same bytes.

Sources: promoter windows of RefSeq genes (``tss_hg19.bed.gz``, ``tss_hg38.bed.gz``, ``tss_mm10.bed.gz``); the count
matrices of human and mouse in JASPAR 2024 CORE (CC BY 4.0; Rauluseviciute et al. 2024).

A window reaches from 1000 bases before a start to 100 behind it, which gives the start. Windows that overlap those of
other genes were cut by the source, which also tells how far their centre is from the start: that is used for them.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd

TARGET = Path(__file__).parents[1] / "src" / "grn" / "genome" / "data"
BUILDS = ("hg19", "hg38", "mm10")
BEFORE, BEHIND = 1000, 100
SPECIES = {"9606": "human", "10090": "mouse"}


def starts(folder: Path, build: str) -> pd.DataFrame:
    """Chromosome, base counted from 0, strand and gene of every start, on assembled chromosomes."""
    windows = pd.read_csv(folder / f"tss_{build}.bed.gz", keep_default_na=False)
    windows.columns = ["chrom", "start", "end", "gene", "distance", "strand"]
    windows = windows[~windows["chrom"].str.contains("_") & (windows["gene"] != "")]
    forward = (windows["strand"] == "+").to_numpy()
    whole = (windows["end"] - windows["start"] == BEFORE + BEHIND).to_numpy()
    of_window = np.where(forward, windows["end"] - BEHIND, windows["start"] + BEHIND)
    centre = (windows["start"] + windows["end"]) // 2
    of_centre = centre - np.where(forward, 1, -1) * windows["distance"]
    windows["position"] = np.where(whole, of_window, of_centre) - 1
    table = windows[["chrom", "position", "strand", "gene"]].drop_duplicates()
    return table.sort_values(["chrom", "position", "gene", "strand"])


def matrices(folder: Path) -> list[str]:
    """One line per motif: id, name, species, and the counts of A, C, G and T."""
    with gzip.open(folder / "jaspar2024_core_human_mouse.json.gz", "rt") as opened:
        listed = json.load(opened)
    lines = ["motif\tname\tspecies\tA\tC\tG\tT"]
    for motif, entry in sorted(listed.items()):
        rows = [" ".join(f"{value:g}" for value in entry[base]) for base in "ACGT"]
        species = "|".join(SPECIES[code] for code in str(entry["tax_id"]).replace(",", " ").split() if code in SPECIES)
        lines.append("\t".join([motif, spelled(entry["name"]), species, *rows]))
    return lines


def spelled(name: str) -> str:
    """Names of a motif with mouse symbols as MGI writes them: the source has Gfi1B beside Gfi1."""
    return "::".join(part if part.isupper() else part.capitalize() for part in name.split("::"))


def pack(path: Path, text: str) -> str:
    """Write a table without a time stamp and give its sha256."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, compresslevel=9) as opened:
        opened.write(text.encode())
    path.write_bytes(packed.getvalue())
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    """Compile all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("GRN_DATA_DIR"), help="folder with priors/")
    parser.add_argument("--out", type=Path, default=TARGET)
    given = parser.parse_args()
    folder = Path(given.data) / "priors"
    given.out.mkdir(parents=True, exist_ok=True)
    facts: dict[str, dict[str, object]] = {}
    for build in BUILDS:
        table = starts(folder, build)
        digest = pack(given.out / f"starts_{build}.tsv.gz", table.to_csv(sep="\t", index=False))
        source = f"promoter windows of RefSeq genes, {build}"
        facts[f"starts_{build}"] = {"rows": len(table), "sha256": digest, "source": source}
    lines = matrices(folder)
    digest = pack(given.out / "jaspar2024.tsv.gz", "\n".join(lines) + "\n")
    source = "JASPAR 2024 CORE, human and mouse, CC BY 4.0"
    facts["jaspar2024"] = {"rows": len(lines) - 1, "sha256": digest, "source": source}
    (given.out / "tables.json").write_text(json.dumps({"tables": facts}, indent=1) + "\n")


if __name__ == "__main__":
    main()
