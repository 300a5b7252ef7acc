"""How fast regions are scanned for motifs: all of JASPAR in simulated regions, against a loop over motifs in numpy.

    python benchmarks/motif_scan.py
    python benchmarks/motif_scan.py --regions 20000 --quick

Seconds are of one core and of this process. A block of regions is measured, the preparation of the motifs apart, and
what 100 000 regions would take is the scan of the block, times so much, plus the preparation. The loop scores every
position of some regions for some motifs by adding up columns, as plainly as numpy allows; its time per region and motif
is compared. lightmotif, if it is installed, scans the same regions with the same scores, joined to one sequence.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Sequence

import numpy as np

import grn
from grn.genome.scan import GENOMIC, Prepared, prepare

LOOP_REGIONS, LOOP_MOTIFS = 100, 40
ALL = 100_000


def seconds(function) -> tuple[float, object]:
    """Processor time of a call, and what it returns."""
    started = time.process_time()
    made = function()
    return time.process_time() - started, made


def by_loop(prepared: Prepared, regions: Sequence[np.ndarray], motifs: Sequence[int]) -> int:
    """Number of hits, by scoring every position."""
    n_hits = 0
    for codes in regions:
        for number in motifs:
            matrix, least = prepared.matrices[number], prepared.thresholds[number]
            n = len(codes) - len(matrix) + 1
            strands = []
            for strand in (matrix, matrix[::-1, ::-1]):
                score = np.zeros(n, dtype=np.int64)
                for k, column in enumerate(strand):
                    score += column[codes[k : k + n]]
                strands.append(score >= least)
            n_hits += int((strands[0] | strands[1]).sum())
    return n_hits


def by_lightmotif(prepared: Prepared, regions: Sequence[np.ndarray]) -> int:
    """Number of hits on either strand, with regions joined by unknown bases."""
    import lightmotif

    text = "N".join("".join(np.array(list("ACGT"))[codes]) for codes in regions)
    striped, n_hits = lightmotif.stripe(text), 0
    for matrix, least in zip(prepared.matrices, prepared.thresholds, strict=True):
        places = set()
        for strand in (matrix, matrix[::-1, ::-1]):
            columns = {base: strand[:, k].astype(float).tolist() for k, base in enumerate("ACGT")}
            columns["N"] = [-1e5] * len(matrix)  # which scores 0 otherwise
            scoring = lightmotif.ScoringMatrix(columns)
            places |= {hit.position for hit in lightmotif.scan(scoring, striped, threshold=float(least))}
        n_hits += len(places)
    return n_hits


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--regions", type=int, default=10_000)
    parser.add_argument("--bases", type=int, default=500)
    parser.add_argument("--quick", action="store_true", help="without lightmotif")
    given = parser.parse_args()
    random = np.random.default_rng(0)
    regions = list(random.choice(4, size=(given.regions, given.bases), p=GENOMIC).astype(np.uint8))
    first, prepared = seconds(lambda: prepare(grn.pp.motifs()))
    table, scanner = seconds(lambda: prepared.scanner(ALL * given.bases))
    scan, n_hits = seconds(
        lambda: sum(len(scanner.scan(regions[k : k + 2000]).score) for k in range(0, len(regions), 2000))
    )
    n_motifs = len(prepared.motifs)
    rate = given.regions * n_motifs / scan
    motifs = list(range(0, n_motifs, n_motifs // LOOP_MOTIFS))
    loop, _ = seconds(lambda: by_loop(prepared, regions[:LOOP_REGIONS], motifs))
    of_loop = LOOP_REGIONS * len(motifs) / loop
    print(f"{given.regions} regions of {given.bases} bases, {n_motifs} motifs, {n_hits} hits")
    print("| what | seconds | regions x motifs per second |\n|---|---|---|")
    print(f"| motifs and thresholds | {first:.1f} | |\n| table of words of {scanner.width} bases | {table:.1f} | |")
    print(f"| scan | {scan:.1f} | {rate:,.0f} |")
    print(f"| loop in numpy ({LOOP_REGIONS} regions, {len(motifs)} motifs) | {loop:.1f} | {of_loop:,.0f} |")
    if not given.quick and importlib.util.find_spec("lightmotif"):
        theirs, found = seconds(lambda: by_lightmotif(prepared, regions))
        print(f"| lightmotif ({found - n_hits:+d} hits) | {theirs:.1f} | {given.regions * n_motifs / theirs:,.0f} |")
    whole = first + table + scan * ALL / given.regions
    print(f"\nratio to the loop {rate / of_loop:.0f}; {ALL:,} regions, extrapolated: {whole:.0f} s of one core")


if __name__ == "__main__":
    main()
