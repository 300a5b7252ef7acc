"""Command line: ``grn demo``, ``grn infer`` and so on, or ``python -m grn ...``; thin over functions."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grn import __version__, _conversion, _exploration, _inference, _listing, _reporting, _scoring
from grn._core.errors import GrnError, ParameterError
from grn._core.settings import settings

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
            sys.stdout.flush()
    except BrokenPipeError:  # who read has seen enough: grn methods | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
    parser = argparse.ArgumentParser(
        prog="grn",
        description="Gene regulatory networks from single cells.",
        epilog="grn COMMAND --help tells what a command takes, with examples.",
    )
    parser.add_argument("--version", action="version", version=f"grn {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        text = f"{command.help[0].upper()}{command.help[1:]}."
        examples = "\n".join(["examples:", *(f"  {example}" for example in command.examples)])
        added = commands.add_parser(
            command.name,
            help=command.help,
            description=text,
            epilog=f"{examples}\n\n{_STATUS}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add(added)
        added.set_defaults(run=command.run)
        added.add_argument(
            "--verbosity", default=None, choices=["error", "warning", "hint", "info", "debug"], help="what to say"
        )
    return parser


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("grn_demo"), help="folder for the results (default: grn_demo)"
    )


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "suite", nargs="?", choices=list(_SUITES), default="edges",
        help="edges of reference networks (default), or known drivers of contrasts",
    )  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, default=Path("grn_bench"), help="folder for the results")
    parser.add_argument("--data", type=Path, default=None, help="folder of the data (default: GRN_DATA_DIR)")
    parser.add_argument("--cache", type=Path, default=None, help="folder that a stopped run goes on from (in --out)")
    for suite, options in _SUITES.items():
        group = parser.add_argument_group(f"only of {suite}")
        for name, given in options.items():
            group.add_argument(f"--{_flag(name)}", dest=name, default=argparse.SUPPRESS, **given)


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


@dataclass(frozen=True)
class _Command:
    """A command: its name, what it does, the function that says what it takes, the one that runs it, and examples."""

    name: str
    help: str
    add: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]
    examples: tuple[str, ...]


_STATUS = "exit status: 0 when done, 2 when the input cannot be used, 1 on a fault of grn, 130 after Ctrl-C"
_COMMANDS = (
    _Command(
        "demo", "from 700 real blood cells to a network, offline", _add_demo, _demo,
        ("grn demo", "grn demo -o somewhere"),
    ),
    _Command(
        "infer", "infer a network from a file of cells", _inference.add_arguments, _inference.infer,
        (
            "grn infer cells.h5ad",
            "grn infer cells.h5ad --method ridge --groupby cell_type --h5ad cells_grn.h5ad",
            "grn infer filtered_feature_bc_matrix.h5 --method celloracle --base-grn collectri --param n_bags=50",
        ),
    ),
    _Command(
        "activity", "score how active regulators are in every cell", _scoring.add_arguments, _scoring.activity,
        (
            "grn activity cells_grn.h5ad --top-per-source 20 -o activity.csv",
            "grn activity cells.h5ad --network regulons.gmt --h5ad cells_activity.h5ad",
        ),
    ),
    _Command(
        "explore", "write a network as a page for the browser, to search and filter",
        _exploration.add_arguments, _exploration.explore,
        (
            "grn explore cells_grn.h5ad --max-edges 5000 -o network.html --show",
            "grn explore edges.csv",
        ),
    ),
    _Command(
        "report", "write what was inferred, how, and what to keep in mind as a page",
        _reporting.add_arguments, _reporting.report,
        (
            "grn report cells_grn.h5ad --groupby cell_type -o report.html",
            "grn report edges.csv",
        ),
    ),
    _Command(
        "convert", "bring a network from one format into another", _conversion.add_arguments, _conversion.convert,
        (
            "grn convert cells_grn.h5ad network.graphml --max-q 0.05",
            "grn convert edges.csv regulons.gmt --top-per-source 50 --min-targets 10",
            "grn convert scenic.loom cells_grn.h5ad --cells cells.h5ad --key scenic",
        ),
    ),
    _Command(
        "methods", "list the methods, or tell all of one", _listing.add_method, _listing.methods,
        ("grn methods", "grn methods celloracle"),
    ),
    _Command(
        "models", "list the foundation models, or tell of one", _listing.add_model, _listing.models,
        ("grn models", "grn models scgpt-human"),
    ),
    _Command(
        "bench", "run the generalization benchmark; needs BEELINE's data", _add_bench, _bench,
        ("grn bench --quick", "grn bench drivers --methods ridge correlation"),
    ),
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
