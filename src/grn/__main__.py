"""Command line: ``grn demo``, ``grn infer`` and ``grn bench``, or ``python -m grn ...``; thin over the functions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from grn import __version__
from grn._core.errors import GrnError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Parameters
    ----------
    argv
        Arguments; those of the process by default.

    Returns
    -------
    int
        0 on success, 2 when the input cannot be used.
    """
    args = _parser().parse_args(argv)
    try:
        args.run(args)
    except GrnError as error:
        print(f"grn: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="grn", description="Gene regulatory networks from single cells.")
    parser.add_argument("--version", action="version", version=f"grn {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="from 700 real blood cells to a network, offline")
    demo.add_argument("--out", type=Path, default=Path("grn_demo"), help="folder for the results (default: grn_demo)")
    demo.set_defaults(run=_demo)

    infer = commands.add_parser("infer", help="infer a network from an .h5ad file")
    infer.add_argument("input", type=Path, help="AnnData with counts or log-normalised values")
    infer.add_argument("--method", default="ugrn", help="method, see grn.tl.methods() (default: ugrn)")
    infer.add_argument("--model", default="mini", help="foundation model: name or path (default: mini)")
    infer.add_argument("--groupby", default=None, help="column of obs: one network per group")
    infer.add_argument("--organism", default="auto", choices=["auto", "human", "mouse"])
    infer.add_argument("--layer", default=None, help="layer to read instead of X")
    infer.add_argument("--top", type=int, default=None, help="strongest edges to write (default: all)")
    infer.add_argument("--out", type=Path, default=Path("edges.csv"), help="edge table (default: edges.csv)")
    infer.add_argument("--h5ad", type=Path, default=None, help="also write the object with everything computed")
    infer.set_defaults(run=_infer)

    bench = commands.add_parser("bench", help="run the generalization benchmark; needs BEELINE's data")
    bench.add_argument("--quick", action="store_true", help="100 regulators per data set: under an hour")
    bench.add_argument("--labels", action="store_true", help="only what labels alone give away: minutes, no model")
    bench.add_argument("--out", type=Path, default=Path("grn_bench"), help="folder for the results")
    bench.add_argument("--data", type=Path, default=None, help="folder with beeline/ (default: GRN_DATA_DIR)")
    bench.add_argument("--model", default="mini", help="foundation model: name or path (default: mini)")
    bench.add_argument("--sizes", type=int, nargs="+", default=[500], choices=[500, 1000], help="genes beside TFs")
    bench.add_argument("--cache", type=Path, default=None, help="folder that a stopped run goes on from (in --out)")
    bench.add_argument("--jobs", type=int, default=None, help="processes")
    bench.set_defaults(run=_bench)
    return parser


def _demo(args: argparse.Namespace) -> None:
    from grn._demo import demo

    print(demo(args.out))


def _bench(args: argparse.Namespace) -> None:
    from grn._benchmark import benchmark

    told = benchmark(
        args.out,
        quick=args.quick,
        labels=args.labels,
        model=args.model,
        sizes=tuple(args.sizes),
        data=args.data,
        cache=args.cache,
        n_jobs=args.jobs,
    )
    for line in told:
        print(line, flush=True)


def _infer(args: argparse.Namespace) -> None:
    import anndata as ad

    import grn
    from grn.network._export import write_table

    if not args.input.is_file():
        raise grn.errors.DataNotFoundError(f"no file {args.input}; pass the path of an .h5ad file.")
    for path in filter(None, (args.out, args.h5ad)):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        adata = ad.read_h5ad(args.input)
    except OSError as error:
        raise grn.errors.ParameterError(f"{args.input} cannot be read as an .h5ad file ({error}).") from error
    grn.pp.align_genes(adata, organism=args.organism)
    grn.pp.annotate_regulators(adata, organism=args.organism)
    grn.tl.infer_network(adata, method=args.method, model=args.model, groupby=args.groupby, layer=args.layer)
    edges = grn.get.edges(adata, top=args.top)
    write_table(args.out, edges)
    print(f"{len(edges)} edges of {edges['source'].nunique()} regulators written to {args.out}")
    if args.h5ad is not None:
        adata.write_h5ad(args.h5ad)
        print(f"object written to {args.h5ad}")


if __name__ == "__main__":
    sys.exit(main())
