"""``grn report``: what a file holds of networks as a page to read and print; thin over :func:`grn.report`."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add = parser.add_argument
    add("input", type=Path, help="object with networks (.h5ad, .h5mu, .zarr), or a table of edges (.csv, .tsv)")
    add("-o", "--out", type=Path, default=Path("report.html"), help="page to write (default: report.html)")
    add("--keys", nargs="+", default=None, metavar="KEY", help="networks by their slots in uns (default: all)")
    add("--groupby", default=None, help="column of obs whose groups the activities are shown by")
    add("--activity", default=None, metavar="KEY", help="slot of activities in obsm (default: score_ulm, if there)")
    add("--rna", default="rna", metavar="NAME", help="expression in an .h5mu file (default: rna)")
    add("--regulators", type=int, default=10, metavar="N", help="regulators listed for every group (default: 10)")
    add("--edges", type=int, default=20, metavar="N", help="edges listed for every network (default: 20)")
    add("--top", type=int, default=100, metavar="N", help="strongest edges that are compared (default: 100)")
    add("--title", default=None, help="title of the page")
    add("--show", action="store_true", help="open the page in the browser")


def report(args: argparse.Namespace) -> None:
    """Read, write, and say where.

    Raises
    ------
    GrnError
        If something cannot be used.
    """
    import matplotlib

    import grn
    from grn._cells_file import read_cells
    from grn._edges_file import is_table, read_edges

    matplotlib.use("Agg")
    path = grn.report(
        read_edges(args.input) if is_table(args.input) else read_cells(args.input),
        file=args.out,
        keys=args.keys,
        groupby=args.groupby,
        activity=args.activity,
        rna=args.rna,
        n_regulators=args.regulators,
        n_edges=args.edges,
        top=args.top,
        title=args.title,
        show=args.show,
    )
    print(f"{path}: open it in a browser, or print it")
