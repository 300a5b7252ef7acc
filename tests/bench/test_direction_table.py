"""``benchmarks/direction.py`` asks every reading once, and makes a row of each."""

import importlib.util
from argparse import Namespace
from pathlib import Path

import pandas as pd
import pytest

import grn
from grn.bench._competitors import chosen

PATH = Path(__file__).parents[2] / "benchmarks" / "direction.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("direction", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("asked", [None, ["universal", "ridge"]])
def test_who_is_asked_can_compete_and_has_a_row(script, monkeypatch, asked):
    def run(*, methods, **_):
        names = [entered.name for entered in chosen(methods, "mini")[0]]
        rows = [
            {"method": name, "kind": "method", "pairs": "all", "metric": metric, "value": 0.5, "low": 0.4, "high": 0.6}
            for name in names
            for metric in ("direction", "auprc_direction")
        ]
        return pd.DataFrame(rows)

    monkeypatch.setattr(grn.bench, "run", run)
    learned = grn.bench.Reference(pd.DataFrame({"source": ["A"], "target": ["B"]}), genes=["A", "B"])
    options = Namespace(methods=asked, seeds=1, regulators=None, cache=None)
    lines = script.methods(learned, options).splitlines()[2:]
    assert {line.split(" | ")[0].strip("| ") for line in lines} == set(asked or grn.bench.READINGS)
