"""The demo: real blood cells to probe features, edges, regulon activities and pictures, without a download."""

from __future__ import annotations

import shlex
import time
import warnings
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from anndata import AnnData

import grn
from grn._core.files import make_folder, output_folder, written
from grn.network.export import write_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUP = "bulk_labels"
EDGES_PER_REGULATOR = 20
# a page holds at most 20 000, and the demo has more
EDGES_OF_A_PAGE = 5000


def demo(out: Path) -> str:
    """Run the demo and describe what came out.

    Parameters
    ----------
    out
        Folder for ``pbmc_grn.h5ad``, ``edges.csv``, ``network.png``, ``response.png``, ``tf_activity.png``.

    Returns
    -------
    str
        The report.
    """
    start = time.perf_counter()
    out = output_folder(out, name="out")
    make_folder(out)
    adata = grn.datasets.pbmc68k()
    model = grn.models.load("mini")
    grn.pp.align_genes(adata, model=model)
    grn.pp.annotate_regulators(adata)
    grn.tl.probe(adata, model=model, background="unknown")  # as the network reads it
    grn.tl.infer_network(adata, model=model)
    grn.tl.regulons(adata, top_per_source=EDGES_PER_REGULATOR, signed=False)
    _activity(adata)
    edges = grn.get.edges(adata)
    write_table(out / "edges.csv", edges)
    _pictures(adata, out)
    with written(out / "pbmc_grn.h5ad") as place:
        adata.write_h5ad(place)
    return _report(adata, edges, out, time.perf_counter() - start)


def _activity(adata: AnnData) -> None:
    """Score every regulator's strongest targets in every cell with decoupler's univariate linear model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decoupler's and numba's own
        import decoupler as dc

        ulm = copy(dc.mt.ulm)
        ulm.test = False  # no adjusted p-values, which are not shown: numba compiles their function for seconds
        ulm(adata, net=adata.uns["regulons"]["edges"], tmin=5)


def _strongest_pairs(edges: pd.DataFrame, n: int) -> list[tuple[str, str]]:
    """The best edge of each of the n regulators with the most probable edges."""
    best = edges.drop_duplicates("source").head(n)
    return list(zip(best["source"].astype(str), best["target"].astype(str), strict=True))


def _pictures(adata: AnnData, out: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 6), layout="constrained")
    grn.pl.network(adata, max_edges=60, width_by="score", ax=ax)
    _save(figure, out / "network.png")
    pairs = _strongest_pairs(grn.get.edges(adata), 4)
    axes = grn.pl.response(adata, pairs=pairs)
    _save(axes[0].figure, out / "response.png")
    figure, ax = plt.subplots(figsize=(5, 6), layout="constrained")
    grn.pl.activity(adata, groupby=GROUP, n_sources=20, ax=ax)
    _save(figure, out / "tf_activity.png")
    plt.close("all")


def _save(figure: Figure, path: Path) -> None:
    with written(path) as place:
        figure.savefig(place, dpi=200)


def _report(adata: AnnData, edges: pd.DataFrame, out: Path, seconds: float) -> str:
    genes = adata.uns["grn_genes"]
    unknown = genes["model"]["unknown_names"]
    lines = [
        f"grn {grn.__version__} demo: {adata.n_obs} blood cells, {adata.n_vars} genes, model mini",
        "",
        f"Genes      {genes['kept']} kept, {genes['ambiguous']} ambiguous, {genes['lost']} lost; "
        f"{len(unknown)} not known to the model",
        f"  ambiguous or lost: {_names([*genes['ambiguous_names'], *genes['lost_names']])}",
        f"  unknown to mini:   {_names(unknown)}",
        f"  regulators lost:   {_names(genes['lost_regulators'])}",
        f"Regulators {len(adata.uns['vvp']['sources'])}: {_names(adata.uns['vvp']['sources'], 12)}",
        "",
        f"Strongest of {len(edges)} edges: sign (+ raises, - lowers), > where at least the list of regulators "
        "tells the direction, probability (a rank, not a frequency), effect",
    ]
    lines += [
        f"  {e.source:>9} {'+' if e.sign > 0 else '-'}{' ' if e.direction == 'none' else '>'} {e.target:<10} "
        f"{e.probability:.4f} {e.score:+.3f}"
        for e in edges.head(12).itertuples()
    ]
    lines += ["", "Most active regulators (decoupler ulm, mean score against all cells)"]
    scores = adata.obsm["score_ulm"]
    mean = scores.groupby(adata.obs[GROUP].to_numpy()).mean() - scores.mean()
    lines += [f"  {group:<30} {_names(row.nlargest(4).index)}" for group, row in mean.iterrows()]
    lines += ["", f"Files in {out}/: pbmc_grn.h5ad edges.csv network.png response.png tf_activity.png"]
    lines += [f"Took {seconds:.0f} s. What an edge means and does not mean: docs/concepts.md", ""]
    page = f"grn explore {shlex.quote(str(out / 'pbmc_grn.h5ad'))} --max-edges {EDGES_OF_A_PAGE}"
    lines += ["Search, filter and draw the network in a browser:", f"  {page} --show"]
    return "\n".join(lines)


def _names(names: object, n: int = 8) -> str:
    listed = [str(name) for name in names]  # type: ignore[attr-defined]
    more = f" and {len(listed) - n} more" if len(listed) > n else ""
    return (", ".join(listed[:n]) + more) if listed else "none"
