"""Seconds and peak memory of every step on many cells, regions and genes, simulated and written piece by piece.

    python benchmarks/multiome_scale.py
    python benchmarks/multiome_scale.py --cells 5000 --regions 20000 --genes 1000 --steps links_distance

Every step is a process of its own, which reads the object from its file (backed) and tells the most memory it has held.
Regions lie along hg38, on promoters and within 150 000 bases of the starts of genes; motif hits are simulated.
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

# what a cell has open of 100 000 regions, and of how many genes it has counts
OPEN, DETECTED = 0.015, 0.12
GROUPS, PIECE = 10, 2000
# share of regions with a hit of a motif
HITS = 0.03
FEW = 300


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


def write(given: argparse.Namespace) -> tuple[str, str]:
    """Make the file."""
    import anndata as ad
    import h5py
    import numpy as np

    random = np.random.default_rng(0)
    genes, regions = places(given, random)
    path = given.folder / "cells.h5mu"
    group = random.integers(GROUPS, size=given.cells)
    whole = empty(given, genes, regions, group, random)
    whole.write(path)
    stored = 0
    with h5py.File(path, "a") as file:
        for name, chances, mean in profiles(given, genes, regions, random):
            cumulative = np.cumsum(chances, axis=1) / chances.sum(axis=1, keepdims=True)  # (groups, features)
            depth = random.lognormal(np.log(mean) - 0.125, 0.5, given.cells).astype(np.int64) + 1
            for start in range(0, given.cells, PIECE):
                part = slice(start, min(start + PIECE, given.cells))
                block = counts(cumulative, group[part], depth[part], random)
                stored += block.nnz
                if start == 0:
                    ad.io.write_elem(file, f"mod/{name}/X", block)
                else:
                    ad.io.sparse_dataset(file[f"mod/{name}/X"]).append(block)
    return "write the file", f"{stored / 1e6:.0f} million counts, {path.stat().st_size / 1e9:.2f} GB"


def places(given, random):
    """Genes with their starts, and names of regions with the gene each follows (-1 for none)."""
    import numpy as np
    import pandas as pd

    import grn

    starts = grn.genome.starts("hg38").drop_duplicates("gene")
    starts = starts[starts["chrom"].isin([f"chr{i}" for i in range(1, 23)])].reset_index(drop=True)
    known = starts["gene"].isin(grn.datasets.tfs()["symbol"]).to_numpy()
    n_regulators = min(given.genes // 10, int(known.sum()))
    chosen = np.concatenate([
        random.choice(np.flatnonzero(known), n_regulators, replace=False),
        random.choice(np.flatnonzero(~known), given.genes - n_regulators, replace=False),
    ])  # fmt: skip
    genes = starts.iloc[np.sort(chosen)]
    rest = starts.drop(genes.index)
    # a promoter of every gene, then regions near genes, four fifths of them near those that were measured
    promoters = pd.concat([genes, rest])[["chrom", "position"]].head(given.regions // 3)
    n = 3 * given.regions
    near = pd.concat([
        genes.sample(4 * n // 5, replace=True, random_state=1), rest.sample(n // 5, replace=True, random_state=2)
    ])[["chrom", "position"]]  # fmt: skip
    near["position"] = (near["position"] + random.integers(-150_000, 150_000, len(near))).clip(lower=2000)
    regions = pd.concat([promoters, near], ignore_index=True)
    regions["position"] //= 1000
    regions = regions.drop_duplicates().head(given.regions)
    begin = regions["position"] * 1000 + 250
    regions.index = regions["chrom"] + ":" + begin.astype(str) + "-" + (begin + 500).astype(str)
    return genes.reset_index(drop=True), regions


def empty(given, genes, regions, group, random):
    """The object without counts, with motif hits."""
    import anndata as ad
    import mudata
    import numpy as np
    import pandas as pd
    from scipy import sparse

    import grn

    mudata.set_options(pull_on_update=False)
    cells = np.char.add("cell", np.arange(given.cells).astype(str))
    obs = pd.DataFrame({"group": pd.Categorical.from_codes(group, [f"group {i}" for i in range(GROUPS)])}, index=cells)
    parts = {
        name: ad.AnnData(sparse.csr_matrix((given.cells, len(index)), dtype=np.float32), obs=obs.copy(),
                         var=pd.DataFrame(index=index))
        for name, index in (("rna", genes["gene"].to_numpy()), ("atac", regions.index))
    }  # fmt: skip
    motifs = grn.pp.motifs().select(factors=list(set(genes["gene"]) & set(grn.pp.motifs().to_frame()["factor"])))
    shape = (len(regions), len(motifs))
    hits = sparse.random_array(shape, density=HITS, format="csr", rng=random, dtype=np.float32)
    hits.data = 8 + 8 * hits.data
    atac = parts["atac"]
    atac.varm["motifs"] = sparse.csr_matrix(hits)
    atac.uns["motifs"] = {
        "names": np.array(motifs.names, dtype=object),
        "factors": motifs.to_frame().astype("category"),
        "params": {"method": "scan_motifs"},
    }
    return mudata.MuData(parts)


def profiles(given, genes, regions, random):
    """Of both modalities the name, chances of the features by group, and mean counts of a cell."""
    import numpy as np

    level = random.lognormal(sigma=1.0, size=(1, len(genes))) * np.exp(
        1.5 * random.normal(size=(GROUPS, len(genes))) * (random.random(len(genes)) < 0.5)
    )
    yield "rna", level, 1.3 * DETECTED * len(genes)
    chrom, position = genes["chrom"].to_numpy(), genes["position"].to_numpy()
    follows = np.full(len(regions), -1)
    for name in np.unique(chrom):
        here, there = np.flatnonzero(chrom == name), np.flatnonzero(regions["chrom"].to_numpy() == name)
        order = here[np.argsort(position[here])]
        at = np.searchsorted(position[order], regions["position"].to_numpy()[there] * 1000).clip(0, len(order) - 1)
        follows[there] = order[at]
    active = (random.random(len(regions)) < 0.3) & (follows >= 0)
    opening = random.lognormal(sigma=1.0, size=(1, len(regions))) * np.where(
        active, (level / level.mean(axis=0))[:, follows], 1.0
    )
    yield "atac", opening, 1.1 * OPEN * len(regions)


def counts(cumulative, group, depth, random):
    """Counts (cells, features) CSR: as many draws of every cell as it is deep."""
    import numpy as np
    from scipy import sparse

    cell = np.repeat(np.arange(len(group)), depth)
    label = group[cell]
    feature = np.empty(len(cell), dtype=np.int64)
    for code in range(GROUPS):
        mine = label == code
        feature[mine] = np.searchsorted(cumulative[code], random.random(int(mine.sum())))
    shape = (len(group), cumulative.shape[1])
    feature = feature.clip(0, shape[1] - 1)
    made = sparse.coo_matrix((np.ones(len(cell), dtype=np.float32), (cell, feature)), shape=shape).tocsr()
    made.sum_duplicates()
    return made


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
    return f"`grn.tl.celloracle` with it, {GROUPS} groups", f"{len(mdata.uns['celloracle']['edges']):,} edges"


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
    n = len(mdata.uns["linger"]["edges"])
    return f"`grn.tl.linger`, {len(regulators)} x {len(targets)} genes, its metacells", f"{n:,} edges"


def scenicplus(given):
    """SCENIC+ on metacells."""
    import grn

    small = grn.pp.metacells(backed(given), groupby="group", how="labels", n_metacells=50)
    regulators, targets = few(small)
    grn.tl.scenicplus(small, starts=grn.genome.starts("hg38"), sources=regulators, targets=targets, mode="fast",
                      min_targets=3)  # fmt: skip
    n = len(small.uns["scenicplus"]["triplets"])
    what = f'`grn.tl.scenicplus(mode="fast")`, {small.n_obs} metacells, {len(regulators)} x {len(targets)} genes'
    return what, f"{n:,} triplets"


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
    "linger": linger,
    "scenicplus": scenicplus,
}

if __name__ == "__main__":
    main()
