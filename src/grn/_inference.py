"""``grn infer``: what is wrong with files and arguments is said before anything is computed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grn._cells_file import MUDATA
from grn._core import checks
from grn._core.errors import ParameterError

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from grn.methods import Method

_TABLES = (".csv", ".tsv", ".txt")
_KINDS = ("auto", "counts", "linear", "log")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes; thin over :func:`grn.tl.infer_network` and :func:`grn.tl.confidence`."""
    add = parser.add_argument
    add("input", type=Path, help="cells: .h5ad, .h5mu, .zarr, 10x .h5 or folder, .loom; counts or logarithms")
    add("--rna", default="rna", metavar="NAME", help="expression in an .h5mu file (default: rna)")
    add("--atac", default="atac", metavar="NAME",
        help="open chromatin in an .h5mu file, for methods that read regions (default: atac)")  # fmt: skip
    add("--method", default="universal", help="method, see grn.tl.methods() (default: universal)")
    add("--param", action="append", default=[], metavar="NAME=VALUE", help="parameter of the method; may be repeated")
    base_grn = "who may regulate whom: csv, tsv or parquet, or collectri, dorothea"
    add("--base-grn", type=Path, default=None, metavar="FILE", help=base_grn)
    add("--model", default="mini", help="foundation model: name or path (default: mini)")
    add("--sources", nargs="+", default=None, metavar="GENE", help="regulators, or a file with one name a line")
    add("--targets", nargs="+", default=None, metavar="GENE", help="targets, or a file with one name a line")
    add("--groupby", default=None, help="column of obs: one network per group")
    add("--organism", default="auto", choices=["auto", "human", "mouse"])
    add("--layer", default=None, help="layer to read instead of X")
    add("--use-raw", action="store_true", help="read .raw instead of X")
    add("--values", default="auto", choices=_KINDS, help="what the values are (default: told from them)")
    add("--confidence", type=int, nargs="?", const=20, default=None, metavar="N",
        help="add q-values against N permutations (20 if no number is given) and stability")  # fmt: skip
    add("--seed", type=int, default=0, help="seed of everything random (default: 0)")
    add("--jobs", type=int, default=None, help="threads, or processes; -1 for all cores")
    add("--top", type=int, default=None, help="strongest edges to write (default: all)")
    add("-o", "--out", type=Path, default=Path("edges.csv"), help="edge table, .csv or .tsv (default: edges.csv)")
    add("--h5ad", type=Path, default=None, help="also write the object with everything computed")
    add("--h5mu", type=Path, default=None, help="the same for cells read from an .h5mu file")


def infer(args: argparse.Namespace) -> None:
    """Read, compute, write.

    Raises
    ------
    GrnError
        If something cannot be used: files, numbers and names of arguments before anything is computed.
    """
    import grn
    from grn._cells_file import read_cells
    from grn._typed import typed
    from grn.methods import METHODS
    from grn.trust.rerun import need_permutable

    _check_files(args)
    _check_numbers(args)
    record = METHODS[args.method]
    own = typed(record, args.param)
    _check_container(args, record)
    if args.confidence is not None:
        need_permutable(record)
    _check_base_grn(args, record, own)
    named = {side: _listed(getattr(args, side)) for side in ("sources", "targets")}
    model = grn.models.load(args.model) if record.reads_model else args.model
    data = read_cells(args.input)
    cells = _cells(data, args, record)
    grn.pp.align_genes(cells, organism=args.organism)
    grn.pp.annotate_regulators(cells, organism=args.organism)
    if args.base_grn is not None:
        own["base_grn"] = grn.pp.base_grn(str(args.base_grn), adata=cells)
    shared = {"rng": args.seed, "n_jobs": args.jobs, "rna": args.rna, "atac": args.atac}
    grn.tl.infer_network(
        data,
        method=args.method,
        model=model,
        params=own,
        groupby=args.groupby,
        layer=args.layer,
        use_raw=args.use_raw,
        values=args.values,
        **named,
        **shared,
    )
    if args.confidence is not None:
        given = {"params": {"base_grn": own["base_grn"]}} if "base_grn" in own else {}
        grn.tl.confidence(data, n_permutations=args.confidence, **given, **shared)
    _write(data, args)


def _cells(data: AnnData | MuData, args: argparse.Namespace, record: Method) -> AnnData:
    """The cells whose genes are read; of a method that reads regions, those of both modalities are paired first."""
    from grn._object.chromatin import chromatin_of, lent_chromatin
    from grn._object.modalities import is_mudata, modality

    if not is_mudata(data):
        return data
    cells = modality(data, args.rna, argument="--rna")
    if "regions" in record.needs:
        modality(data, args.atac, argument="--atac")
        with lent_chromatin(data, cells, args.atac):
            chromatin_of(cells)
    return cells


def _write(data: AnnData | MuData, args: argparse.Namespace) -> None:
    import grn
    from grn._cells_file import write_cells
    from grn._core.files import make_folder
    from grn.network.export import write_table

    edges = grn.get.edges(data, top=args.top)
    make_folder(args.out.absolute().parent)
    write_table(args.out, edges)
    print(f"{len(edges)} edges of {edges['source'].nunique()} regulators written to {args.out}")
    for kind in ("h5ad", "h5mu"):
        path = getattr(args, kind)
        if path is not None:
            write_cells(data, path, option=f"--{kind}")
            print(f"object written to {path}")


def _check_files(args: argparse.Namespace) -> None:
    """Refuse files that cannot be written, or that would write over what is read."""
    from grn._core.files import output_file, output_folder

    places = {"--out": args.out, "--h5ad": args.h5ad, "--h5mu": args.h5mu}
    taken = {"the input": args.input, "--base-grn": args.base_grn}
    for name, path in places.items():
        if path is None:
            continue
        output_folder(path.absolute().parent, name=name)
        if path.absolute().parent.exists():
            output_file(path, name=name)
        for other, place in taken.items():
            if place is not None and place.resolve() == path.resolve():
                raise ParameterError(f"{name} {path} is {other} as well and would be written over; pass another path.")
        taken[name] = path
    _check_ending("--out", args.out, _TABLES)
    _check_ending("--h5ad", args.h5ad, (".h5ad",))
    _check_ending("--h5mu", args.h5mu, (MUDATA,))


def _check_ending(name: str, path: Path | None, known: tuple[str, ...]) -> None:
    """Refuse the name of a file that says another format than what is written; pipes and devices have no ending."""
    if path is not None and (path.is_file() or not path.exists()) and path.suffix.lower() not in known:
        ending = f"ends in {path.suffix!r}, a format that is not written" if path.suffix else "has no ending"
        raise ParameterError(f"{name} {path} {ending}; end it in {' or '.join(known)}.")


def _check_container(args: argparse.Namespace, record: Method) -> None:
    """Refuse what does not go with the kind of object that the input holds: cells alone, or several modalities."""
    several = args.input.suffix.lower() == MUDATA
    if several and args.h5ad is not None:
        raise ParameterError(f"{args.input} holds several modalities; write them with --h5mu instead of --h5ad.")
    if several:
        return
    if args.h5mu is not None:
        raise ParameterError(f"{args.input} holds no modalities; write it with --h5ad instead of --h5mu.")
    for name, value in (("rna", args.rna), ("atac", args.atac)):
        if value != name:
            raise ParameterError(f"--{name} names a modality of an {MUDATA} file, and {args.input} is none.")
    if "regions" in record.needs:
        raise ParameterError(
            f"method {record.name!r} reads open chromatin beside expression; pass an {MUDATA} file with both: "
            "mudata.MuData({'rna': rna, 'atac': atac}).write('cells.h5mu')."
        )


def _check_numbers(args: argparse.Namespace) -> None:
    for name, value, least in (("--top", args.top, 1), ("--confidence", args.confidence, 1), ("--seed", args.seed, 0)):
        if value is not None:
            checks.integer(name, value, least=least)
    checks.jobs(args.jobs, "--jobs")


def _check_base_grn(args: argparse.Namespace, record: Method, own: dict[str, Any]) -> None:
    from grn.methods import METHODS

    if args.base_grn is None:
        return
    if "base_grn" not in record.parameters():
        some = ", ".join(name for name in METHODS if "base_grn" in METHODS[name].parameters())
        raise ParameterError(f"method {record.name!r} takes no base GRN; those that do: {some}.")
    if own.get("base_grn") is not None:
        raise ParameterError("--base-grn and --param base_grn are the same; pass one of them.")
    if args.base_grn.suffix and not args.base_grn.is_file():
        raise ParameterError(f"no file {args.base_grn}; --base-grn takes a csv, tsv or parquet file.")


def _listed(names: list[str] | None) -> list[str] | None:
    """Names as given, separated by spaces or commas, or those of a file."""
    from grn._core.files import file_errors

    if names is None:
        return None
    if len(names) == 1 and Path(names[0]).is_file():
        with file_errors(names[0], "read"):
            names = Path(names[0]).read_text(encoding="utf-8").split()
    return [name for text in names for name in text.split(",") if name]
