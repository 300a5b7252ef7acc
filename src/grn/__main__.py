"""Command line: ``grn demo``, ``grn infer`` and so on, or ``python -m grn ...``; thin over functions."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grn import __version__, _exploration, _reporting
from grn._core.errors import GrnError, ParameterError
from grn._core.settings import settings
from grn._inference import add_arguments, infer

_UNUSABLE, _FAULT, _INTERRUPTED = 2, 1, 130
# suite -> what only it takes, by parameter
_SUITES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "edges": {
        "quick": {"action": "store_true", "help": "at most 100 regulators per data set"},
        "labels": {"action": "store_true", "help": "only what labels alone give away: minutes, no model"},
        "model": {"help": "foundation model: name or path (default: mini)"},
        "sizes": {"type": int, "nargs": "+", "choices": [500, 1000], "help": "genes beside TFs (default: 500)"},
        "n_jobs": {"type": int, "help": "processes"},
    },
    "drivers": {"methods": {"nargs": "+", "help": "only these methods (default: all)"}},
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Parameters
    ----------
    argv
        Arguments; those of the process by default.

    Returns
    -------
    int
        0 on success, 2 when the input cannot be used, 130 after Ctrl-C, 1 on a fault of the package. Errors are one
        line; ``--verbosity debug`` adds where a fault came from.
    """
    args = _parser().parse_args(argv)
    said = args.verbosity or settings.verbosity
    try:
        with settings.override(verbosity=said):
            args.run(args)
    except GrnError as error:
        return _tell(error, _UNUSABLE)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a fault of the package; a traceback helps nobody at a prompt
        if said == "debug":
            traceback.print_exc()
        return _tell(error, _FAULT)
    return 0


def _tell(error: Exception, status: int) -> int:
    more = "" if status == _UNUSABLE else " (a fault of grn; --verbosity debug tells where)"
    print(f"grn: {type(error).__name__}: {' '.join(str(error).split())}{more}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="grn", description="Gene regulatory networks from single cells.")
    parser.add_argument("--version", action="version", version=f"grn {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="from 700 real blood cells to a network, offline")
    demo.add_argument("--out", type=Path, default=Path("grn_demo"), help="folder for the results (default: grn_demo)")
    demo.set_defaults(run=_demo)

    networks = commands.add_parser("infer", help="infer a network from a file of cells")
    add_arguments(networks)
    networks.set_defaults(run=infer)

    page = commands.add_parser("explore", help="write a network as a page for the browser, to search and filter")
    _exploration.add_arguments(page)
    page.set_defaults(run=_exploration.explore)

    pages = commands.add_parser("report", help="write what was inferred, how, and what to keep in mind as a page")
    _reporting.add_arguments(pages)
    pages.set_defaults(run=_reporting.report)

    bench = commands.add_parser("bench", help="run the generalization benchmark; needs BEELINE's data")
    bench.add_argument(
        "suite", nargs="?", choices=list(_SUITES), default="edges",
        help="edges of reference networks (default), or known drivers of contrasts",
    )  # fmt: skip
    bench.add_argument("--out", type=Path, default=Path("grn_bench"), help="folder for the results")
    bench.add_argument("--data", type=Path, default=None, help="folder of the data (default: GRN_DATA_DIR)")
    bench.add_argument("--cache", type=Path, default=None, help="folder that a stopped run goes on from (in --out)")
    for suite, options in _SUITES.items():
        group = bench.add_argument_group(f"only of {suite}")
        for name, given in options.items():
            group.add_argument(f"--{_flag(name)}", dest=name, default=argparse.SUPPRESS, **given)
    bench.set_defaults(run=_bench)
    for command in (demo, networks, page, pages, bench):
        command.add_argument(
            "--verbosity", default=None, choices=["error", "warning", "hint", "info", "debug"], help="what to say"
        )
    return parser


def _demo(args: argparse.Namespace) -> None:
    from grn._demo import demo

    print(demo(args.out))


def _bench(args: argparse.Namespace) -> None:
    from grn._benchmark import benchmark, known_drivers

    asked = {name: value for name, value in vars(args).items() if any(name in of for of in _SUITES.values())}
    strange = [name for name in asked if name not in _SUITES[args.suite]]
    if strange:
        flags = ", ".join(f"--{_flag(name)}" for name in _SUITES[args.suite])
        raise ParameterError(f"--{_flag(strange[0])} is not for grn bench {args.suite}, which takes {flags}.")
    suite = known_drivers if args.suite == "drivers" else benchmark
    for line in suite(args.out, data=args.data, cache=args.cache, **asked):
        print(line, flush=True)


def _flag(parameter: str) -> str:
    return parameter.removeprefix("n_")


if __name__ == "__main__":
    sys.exit(main())
