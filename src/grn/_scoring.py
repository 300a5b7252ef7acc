"""``grn activity``: how active regulators are in every cell of a file; thin over :func:`grn.tl.activity`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from grn._core.errors import ParameterError

_TABLES = (".csv", ".tsv", ".txt")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add = parser.add_argument
    add("input", type=Path, help="cells with a network: .h5ad, .h5mu, .zarr; cells of any format with --network")
    add("-o", "--out", type=Path, default=Path("activity.csv"),
        help="table of cells and regulators, .csv or .tsv (default: activity.csv)")  # fmt: skip
    add("--network", type=Path, default=None, metavar="FILE",
        help="network from another file: edges (.csv, .tsv), .graphml, .gmt, .loom with regulons, .h5ad")  # fmt: skip
    add("--key", default="grn", help="slot of the network in uns (default: grn)")
    add("--rna", default="rna", metavar="NAME", help="expression in an .h5mu file (default: rna)")
    add("--method", default="ulm", help="method of decoupler: ulm, mlm, viper, aucell, ... (default: ulm)")
    add("--groupby", default=None, help="column of obs with the groups of the network (default: as inferred)")
    add("--min-targets", type=int, default=5, metavar="N", help="fewest targets of a regulator (default: 5)")
    add("--min-probability", type=float, default=None, metavar="P", help="smallest probability of an edge")
    add("--max-q", type=float, default=None, metavar="Q", help="largest q-value of an edge")
    add("--top-per-source", type=int, default=None, metavar="N", help="strongest edges of every regulator")
    add("--layer", default=None, help="layer to read instead of X")
    add("--use-raw", action="store_true", help="read .raw instead of X")
    add("--h5ad", type=Path, default=None, help="also write the object with the scores")
    add("--h5mu", type=Path, default=None, help="the same for cells read from an .h5mu file")


def activity(args: argparse.Namespace) -> None:
    """Read, score, write.

    Raises
    ------
    GrnError
        If something cannot be used.
    """
    import grn
    from grn._cells_file import read_cells, write_cells
    from grn._conversion import read
    from grn._core.files import make_folder
    from grn._object.modalities import is_mudata, modality
    from grn.network.export import write_table

    _check(args)
    data: Any = read_cells(args.input)
    several = is_mudata(data)
    kept = args.h5mu if several else args.h5ad
    if (args.h5ad if several else args.h5mu) is not None:
        raise ParameterError(f"{args.input} is written with {'--h5mu' if several else '--h5ad'}.")
    cells = modality(data, args.rna, argument="--rna") if several else data
    if args.network is not None:
        read(args.network, args.key).write(cells, args.key)
    filters = {name: getattr(args, name) for name in ("min_targets", "min_probability", "max_q", "top_per_source")}
    where = {"layer": args.layer, "use_raw": args.use_raw, "groupby": args.groupby}
    grn.tl.activity(cells, key=args.key, method=args.method, **filters, **where)
    scores = cells.obsm[f"score_{args.method}"]
    make_folder(args.out.absolute().parent)
    write_table(args.out, scores.rename_axis("cell").reset_index())
    print(f"scores of {scores.shape[1]} regulators in {scores.shape[0]} cells written to {args.out}")
    if kept is not None:
        write_cells(data, kept, option="--h5mu" if several else "--h5ad")
        print(f"object written to {kept}")


def _check(args: argparse.Namespace) -> None:
    """Refuse files that cannot be written before anything is read."""
    from grn._core.files import output_file, output_folder

    if args.out.suffix.lower() not in _TABLES:
        raise ParameterError(f"--out {args.out} does not end in {', '.join(_TABLES)}.")
    for name, path, ending in (("--h5ad", args.h5ad, ".h5ad"), ("--h5mu", args.h5mu, ".h5mu"), ("--out", args.out, "")):
        if path is None:
            continue
        if ending and path.suffix.lower() != ending:
            raise ParameterError(f"{name} {path} does not end in {ending}.")
        for other, place in (("the input", args.input), ("--network", args.network)):
            if place is not None and path.resolve() == place.resolve():
                raise ParameterError(f"{name} {path} is {other} as well and would be written over; pass another path.")
        output_folder(path.absolute().parent, name=name)
        if path.absolute().parent.exists():
            output_file(path, name=name)
