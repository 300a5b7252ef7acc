"""``grn methods`` and ``grn models``: what there is, and what is known of one; thin over records."""

from __future__ import annotations

import argparse
from collections.abc import Iterator


def add_method(parser: argparse.ArgumentParser) -> None:
    """Say what ``grn methods`` takes."""
    parser.add_argument("name", nargs="?", default=None, help="tell all of this method (default: list all)")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Say what ``grn models`` takes."""
    parser.add_argument("name", nargs="?", default=None, help="tell of this model (default: list all)")


def methods(args: argparse.Namespace) -> None:
    """List methods, or say what a method needs, takes and gives."""
    for line in _all_methods() if args.name is None else _method(args.name):
        print(line)


def models(args: argparse.Namespace) -> None:
    """List foundation models, or say where the weights of one are."""
    import grn
    from grn._core.errors import ParameterError
    from grn._core.near import did_you_mean

    there = grn.models.available()
    if args.name is not None and args.name not in there:
        raise ParameterError(f"no model {args.name!r}.{did_you_mean(args.name, list(there))} See grn models.")
    width = max(map(len, there))
    for name, description in there.items():
        if args.name in {None, name}:
            print(f"{name:<{width}}  {description}")


def _all_methods() -> Iterator[str]:
    import grn

    table = grn.tl.methods()
    heads = {"system": "SYSTEM", "input": "INPUT", "sign": "SIGN", "cost": "COST"}
    rows = [["METHOD", *heads.values()]]
    for name, row in table.iterrows():
        signed = "yes" if row["sign"] else "no"
        rows.append([str(name), str(row["system"] or ""), str(row["input"]), signed, str(row["cost"])])
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    for row in rows:
        yield "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
    yield ""
    yield "grn methods NAME tells what a method needs, takes and gives; grn infer --method NAME runs it."


def _method(name: str) -> Iterator[str]:
    from grn.methods import METHODS

    record = METHODS[name]
    yield f"{name}: {record.description}"
    told = {
        "system": " ".join(str(part) for part in (record.system, record.year) if part),
        "input": record.inputs,
        "needs": ", ".join(record.needs),
        "cost": record.cost,
        "devices": ", ".join(("cpu", *record.devices)),
        "reference": record.reference,
        "licence of the original": record.licence,
    }
    for head, text in told.items():
        if text:
            yield f"  {head}: {text}"
    yield "  parameters (--param NAME=VALUE):"
    for parameter, value in record.parameters().items():
        yield f"    {parameter}={value!r}"
