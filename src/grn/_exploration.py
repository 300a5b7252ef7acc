"""``grn explore``: a network in a file as a page for the browser; thin over :func:`grn.pl.explore`."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add = parser.add_argument
    add("input", type=Path, help="object with a network (.h5ad, .h5mu, .zarr), or a table of edges (.csv, .tsv)")
    add("-o", "--out", type=Path, default=Path("network.html"), help="page to write (default: network.html)")
    add("--key", default="grn", help="slot of the network in uns (default: grn)")
    add("--group", nargs="+", default=None, help="only these groups of a network by groups")
    add("--max-edges", type=int, default=None, metavar="N", help="write only the N strongest edges (at most 20000)")
    add("--max-drawn", type=int, default=300, metavar="N", help="edges of the first picture (default: 300)")
    add("--title", default=None, help="title of the page")
    add("--show", action="store_true", help="open the page in the browser")


def explore(args: argparse.Namespace) -> None:
    """Read, write, and say where.

    Raises
    ------
    GrnError
        If something cannot be used.
    """
    import grn
    from grn._cells_file import read_cells
    from grn._edges_file import is_table, read_edges

    path = grn.pl.explore(
        read_edges(args.input) if is_table(args.input) else read_cells(args.input),
        file=args.out,
        key=args.key,
        group=args.group,
        max_edges=args.max_edges,
        max_drawn=args.max_drawn,
        title=args.title,
        show=args.show,
    )
    print(f"{path}: open it in a browser")
