"""``grn convert``: a network from one file into another, filtered on the way; thin over :class:`grn.Network`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grn._core.errors import ParameterError

if TYPE_CHECKING:
    from grn.network import Network

_TABLES = (".csv", ".tsv", ".txt")
_OBJECTS = (".h5ad", ".h5mu")
_WRITTEN = (*_TABLES, ".graphml", ".cyjs", ".gmt", *_OBJECTS)
# options that go to Network.filter as they are
_FILTERS = ("min_abs_weight", "min_probability", "max_q", "min_stability", "top", "top_per_source", "top_per_target")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add = parser.add_argument
    add(
        "input",
        type=Path,
        help="object with a network, or edges: .h5ad, .h5mu, .zarr, .csv, .tsv, .graphml, .gmt, .loom",
    )
    add("out", type=Path, help="file to write: .csv, .tsv, .graphml, .cyjs (Cytoscape), .gmt, .h5ad or .h5mu")
    add("--key", default="grn", help="slot of the network in uns, where read and where written (default: grn)")
    add("--group", nargs="+", default=None, help="only these groups of a network by groups")
    add("--pyscenic", action="store_true", help="write a table as pySCENIC has it: TF, target, importance")
    add("--min-targets", type=int, default=1, metavar="N", help="fewest genes of a set in a .gmt file (default: 1)")
    add("--cells", type=Path, default=None, metavar="FILE", help="object to write into, for .h5ad and .h5mu")
    for name in _FILTERS:
        kind = int if name.startswith("top") else float
        add(f"--{name.replace('_', '-')}", type=kind, default=None, metavar="N", help=f"filter: {_MEANING[name]}")


_MEANING = {
    "min_abs_weight": "smallest absolute weight",
    "min_probability": "smallest probability",
    "max_q": "largest q-value",
    "min_stability": "smallest stability",
    "top": "number of strongest edges, per group",
    "top_per_source": "number of strongest edges per regulator and group",
    "top_per_target": "number of strongest edges per target and group",
}


def convert(args: argparse.Namespace) -> None:
    """Read, filter, write, and say where.

    Raises
    ------
    GrnError
        If something cannot be used.
    """
    from grn._core import checks
    from grn._core.files import make_folder

    _check(args)
    checks.integer("--min-targets", args.min_targets, least=1)
    network = read(args.input, args.key)
    network = network.filter(group=args.group, **{name: getattr(args, name) for name in _FILTERS})
    if not len(network):
        raise ParameterError("no edge is left to write; relax the filters.")
    make_folder(args.out.absolute().parent)
    _write(network, args)
    print(f"{len(network)} edges of {len(network.regulators)} regulators written to {args.out}")


def read(path: Path, key: str) -> Network:
    """The network of a file, whatever its format.

    Parameters
    ----------
    path
        File of an object, or of edges.
    key
        Slot of the network in an object.
    """
    import grn
    from grn._cells_file import read_cells
    from grn._edges_file import READERS, is_table, read_network

    if is_table(path) or path.suffix.lower() in READERS:
        return read_network(path)
    return grn.get.network(read_cells(path), key=key)


def _check(args: argparse.Namespace) -> None:
    """Refuse what cannot be written before anything is read."""
    from grn._core.files import output_file, output_folder

    suffix = args.out.suffix.lower()
    if suffix not in _WRITTEN:
        raise ParameterError(f"{args.out} has no ending that names a format; use one of {', '.join(_WRITTEN)}.")
    if args.pyscenic and suffix not in _TABLES:
        raise ParameterError(f"--pyscenic writes a table; end {args.out} in .csv or .tsv.")
    if (suffix in _OBJECTS) != (args.cells is not None):
        raise ParameterError(
            f"{args.out} is an object with cells: say of which file with --cells."
            if suffix in _OBJECTS
            else f"--cells is for .h5ad and .h5mu, and {args.out} is neither."
        )
    output_folder(args.out.absolute().parent, name="out")
    if args.out.absolute().parent.exists():
        output_file(args.out, name="out")
    for name, path in (("the input", args.input), ("--cells", args.cells)):
        if path is not None and path.resolve() == args.out.resolve():
            raise ParameterError(f"out {args.out} is {name} as well and would be written over; pass another path.")


def _write(network: Network, args: argparse.Namespace) -> None:
    from grn.network.export import write_table

    suffix = args.out.suffix.lower()
    if suffix in _OBJECTS:
        _write_into(network, args)
    elif suffix == ".gmt":
        network.to_gmt(args.out, min_targets=args.min_targets)
    elif suffix == ".graphml":
        network.to_graphml(args.out)
    elif suffix == ".cyjs":
        network.to_cytoscape(args.out)
    elif args.pyscenic:
        network.to_adjacency_csv(args.out)
    else:
        write_table(args.out, network.edges)


def _write_into(network: Network, args: argparse.Namespace) -> None:
    from grn._cells_file import read_cells, write_cells

    data: Any = read_cells(args.cells)
    several = hasattr(data, "mod")
    if several != (args.out.suffix.lower() == ".h5mu"):
        raise ParameterError(
            f"{args.cells} holds {'several modalities' if several else 'one matrix'}; end {args.out} in "
            f"{'.h5mu' if several else '.h5ad'}."
        )
    network.write(data, args.key)
    write_cells(data, args.out, option="out")
