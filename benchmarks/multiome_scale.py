"""Seconds and peak memory of every step on many cells, regions and genes, simulated and written piece by piece.

    python benchmarks/multiome_scale.py
    python benchmarks/multiome_scale.py --cells 5000 --regions 20000 --genes 1000 --steps links_distance

Every step is a process of its own, which reads the object from its file (backed) and tells the most memory it has held.
``multiome_cells.py`` beside this file makes the cells.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from multiome_cells import GROUPS, write

FEW = 300
TOPICS, ROUNDS = 20, 20
# targets where a network of a gene sees every cell
LONE = 6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=50_000)
    parser.add_argument("--regions", type=int, default=100_000)
    parser.add_argument("--genes", type=int, default=3_000)
    parser.add_argument("--steps", default=",".join(STEPS), help=f"among {', '.join(STEPS)}; all by default")
    parser.add_argument("--limit", type=float, default=600, help="seconds after which a step is ended")
    parser.add_argument("--folder", type=Path, help="where the file goes, and stays; by default a temporary folder")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        print(json.dumps(measured(given)))
        return
    names = given.steps.split(",")
    unknown = [name for name in names if name not in STEPS]
    if unknown:
        parser.error(f"unknown steps {unknown}")
    with tempfile.TemporaryDirectory() as temporary:
        given.folder = given.folder or Path(temporary)
        given.folder.mkdir(parents=True, exist_ok=True)
        print(f"{given.cells:,} cells x {given.regions:,} regions x {given.genes:,} genes\n")
        print("| step | seconds | processor seconds | peak memory, GB | what came of it |\n|---|---|---|---|---|")
        if not (given.folder / "cells.h5mu").exists():
            print(row("write", given), flush=True)
        for name in names:
            print(row(name, given), flush=True)


def row(name: str, given: argparse.Namespace) -> str:
    """A step in a process of its own, as a row of the table."""
    sizes = [f"--{size}={getattr(given, size)}" for size in ("cells", "regions", "genes", "folder")]
    command = [sys.executable, __file__, *sizes, "--step", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=given.limit)
    except subprocess.TimeoutExpired:
        return f"| `{name}` | over {given.limit:g} | | | |"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        return f"| `{name}` | | | | {last[:300]} |"
    told = json.loads(done.stdout.strip().splitlines()[-1])
    return f"| {told['call']} | {told['seconds']:.0f} | {told['busy']:.0f} | {told['peak']:.2f} | {told['made']} |"


def measured(given: argparse.Namespace) -> dict[str, object]:
    """Run a step in this process."""
    step = write if given.step == "write" else STEPS[given.step]
    start, busy = time.perf_counter(), time.process_time()
    call, made = step(given)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "call": call,
        "made": made,
        "seconds": time.perf_counter() - start,
        "busy": time.process_time() - busy,
        "peak": peak / 1e9,
    }


def backed(given):
    """The object, read from its file."""
    import mudata

    mudata.set_options(pull_on_update=False)
    return mudata.read_h5mu(given.folder / "cells.h5mu", backed="r")


def check_expression(given):
    """Look at the values of a modality."""
    import grn

    mdata = backed(given)
    kinds = [grn.pp.check_expression(mdata[name]).kind for name in ("rna", "atac")]
    return "`grn.pp.check_expression` of both", f"{' and '.join(kinds)}"


def correlation(given):
    """A network of all cells."""
    import grn

    mdata = backed(given)
    grn.tl.infer_network(mdata, method="correlation")
    n = len(mdata.uns["grn"]["edges"])
    return '`grn.tl.infer_network(mdata, method="correlation")`', f"{n:,} edges"


def correlation_of_groups(given):
    """Networks of every group."""
    import grn

    mdata = backed(given)
    grn.tl.infer_network(mdata, method="correlation", groupby="group")
    n = len(mdata.uns["grn"]["edges"])
    return f"the same, `groupby=` with {GROUPS} groups", f"{n:,} edges"


def links(how):
    """Links of regions and genes."""

    def step(given):
        import grn

        mdata = backed(given)
        grn.pp.link_regions(mdata, how=how)
        n = len(mdata["atac"].uns["links"]["table"])
        return f'`grn.pp.link_regions(mdata, how="{how}")`', f"{n:,} links"

    return step


def base_grn(given):
    """A base GRN from regions on promoters."""
    import grn

    base = grn.pp.base_grn_from_regions(backed(given))
    return "`grn.pp.base_grn_from_regions`, promoters", f"{len(base):,} triplets"


def base_grn_of_links(given):
    """A base GRN from all links by distance."""
    import grn

    mdata = backed(given)
    table = grn.genome.link_genes(mdata["atac"].var_names, starts=grn.genome.starts("hg38"), upstream=50_000,
                                  downstream=50_000)  # fmt: skip
    base = grn.pp.base_grn_from_regions(mdata, links=table[table["gene"].isin(mdata["rna"].var_names)])
    return "`grn.pp.base_grn_from_regions`, links of 50 000 bases", f"{len(base):,} triplets"


def celloracle(given):
    """CellOracle on regions."""
    import grn

    mdata = backed(given)
    base = grn.pp.base_grn_from_regions(mdata)
    grn.tl.celloracle(mdata, base_grn=base, groupby="group")
    return f"`grn.tl.celloracle` with promoters, {GROUPS} groups", f"{len(mdata.uns['celloracle']['edges']):,} edges"


def metacells(how):
    """Averages of cells."""

    def step(given):
        import grn

        small = grn.pp.metacells(backed(given), groupby="group", how=how)
        filled = small["atac"].X.nnz / small["atac"].X.shape[0] / small["atac"].X.shape[1]
        return f'`grn.pp.metacells(how="{how}")`', f"{small.n_obs:,} metacells, {filled:.0%} of their regions open"

    return step


def region_sets(given):
    """Regions of every group."""
    import grn

    mdata = backed(given)
    grn.tl.region_sets(mdata, groupby="group")
    return "`grn.tl.region_sets`", f"{len(mdata['atac'].uns['region_sets']['table']):,} rows"


def enrichment(given):
    """Motifs in regions of every group, and cistromes."""
    import grn

    mdata = backed(given)
    grn.tl.region_sets(mdata, groupby="group", max_regions=2000)
    # hits were simulated without regard to the groups: look for less than is usual
    grn.tl.motif_enrichment(mdata, min_nes=1.0, max_qval=1.0, min_log2fc=-10.0)
    grn.tl.cistromes(mdata)
    n = mdata["atac"].varm["cistromes"].shape[1]
    return "`grn.tl.region_sets`, `motif_enrichment`, `cistromes`", f"{n:,} cistromes"


def topics(given):
    """Sets of regions without labels."""
    import grn

    mdata = backed(given)
    grn.tl.topics(mdata, n_topics=TOPICS, max_iter=ROUNDS)
    n = len(mdata["atac"].uns["topics"]["table"])
    return f"`grn.tl.topics`, {ROUNDS} rounds of {TOPICS} topics", f"{n:,} regions of topics"


def few(mdata):
    """Regulators and targets, some hundred."""
    import grn

    names = sorted(mdata["rna"].var_names)
    known = set(grn.datasets.tfs()["symbol"])
    regulators = [name for name in names if name in known]
    return regulators, sorted({*regulators, *names[:: max(1, len(names) // FEW)]})[:FEW]


def linger(given):
    """LINGER, which makes metacells."""
    import grn

    mdata = backed(given)
    regulators, targets = few(mdata)
    grn.tl.linger(mdata, sources=regulators, targets=targets, groupby="group")
    n, m = len(mdata.uns["linger"]["edges"]), mdata.uns["linger"]["params"]["n_metacells_used"]
    return f"`grn.tl.linger`, {len(regulators)} x {len(targets)} genes, {m:,} metacells", f"{n:,} edges"


def linger_of_cells(given):
    """LINGER on all cells as they are, of few genes and with one step of training: what it holds, not what it costs."""
    import grn

    mdata = backed(given)
    regulators, targets = few(mdata)
    targets = targets[:: len(targets) // LONE]
    grn.tl.linger(mdata, sources=regulators, targets=targets, groupby="group", cells_per_metacell=1, n_epochs=1)
    n = len(mdata.uns["linger"]["edges"])
    what = f"`grn.tl.linger(cells_per_metacell=1, n_epochs=1)`, {len(regulators)} x {len(targets)} genes"
    return what, f"{n:,} edges"


def eregulons(given):
    """SCENIC+ on metacells, and the object of all cells."""
    import grn

    mdata = backed(given)
    small = grn.pp.metacells(mdata, groupby="group", how="labels", n_metacells=50)
    regulators, targets = few(small)
    grn.tl.scenicplus(small, starts=grn.genome.starts("hg38"), sources=regulators, targets=targets, mode="fast",
                      min_targets=3)  # fmt: skip
    return mdata, small, (len(regulators), len(targets))


def scenicplus(given):
    """SCENIC+ on metacells."""
    _, small, size = eregulons(given)
    n = len(small.uns["scenicplus"]["triplets"])
    what = f'`grn.tl.scenicplus(mode="fast")`, {small.n_obs} metacells, {size[0]} x {size[1]} genes'
    return what, f"{n:,} triplets"


def eregulon_activity(given):
    """Scores of the eRegulons of metacells in all cells."""
    import grn

    mdata, small, _ = eregulons(given)
    mdata.uns["scenicplus"] = small.uns["scenicplus"]
    grn.tl.eregulon_activity(mdata, groupby="group", min_targets=3)
    n = len(mdata["rna"].uns["eregulons"]["table"])
    return "the same, then `grn.tl.eregulon_activity` of all cells", f"{n:,} eRegulons"


STEPS = {
    "check": check_expression,
    "correlation": correlation,
    "correlation_groups": correlation_of_groups,
    "links_distance": links("distance"),
    "links_correlation": links("correlation"),
    "links_coaccess": links("coaccess"),
    "base_grn": base_grn,
    "base_grn_links": base_grn_of_links,
    "celloracle": celloracle,
    "metacells_neighbours": metacells("neighbours"),
    "metacells_labels": metacells("labels"),
    "region_sets": region_sets,
    "enrichment": enrichment,
    "topics": topics,
    "linger": linger,
    "linger_cells": linger_of_cells,
    "scenicplus": scenicplus,
    "eregulon_activity": eregulon_activity,
}

if __name__ == "__main__":
    main()
