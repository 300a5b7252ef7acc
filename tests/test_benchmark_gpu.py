"""``benchmarks/gpu.py`` runs whole on a processor, so that who has a GPU can rely on it."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

import grn

PATH = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.fixture
def script(monkeypatch):
    spec = importlib.util.spec_from_file_location("gpu", PATH)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    with grn.settings.override(verbosity=grn.settings.verbosity):
        yield module


def called(script, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["gpu.py", *arguments])
    script.main()


@pytest.mark.slow
def test_the_small_form_fills_every_table(script, monkeypatch, tmp_path, capsys):
    out = tmp_path / "gpu.md"
    called(script, monkeypatch, "--device", "cpu", "--quick", "--out", str(out))
    text = out.read_text()
    assert text.strip() in capsys.readouterr().out.replace("\n\n\n", "\n\n")
    assert "failed" not in text and "left out" not in text and "beyond" not in text
    sections = text.split("\n## ")
    assert [part.splitlines()[0] for part in sections[1:]] == list(script.PARTS)
    used = {name for name in grn.methods.METHODS if grn.methods.METHODS[name].devices}
    compared = sections[3]
    assert all(f"| {name} |" in compared for name in used), "everything that takes a device is compared"


def test_without_a_gpu_it_says_so(script, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no GPU: torch sees neither CUDA nor MPS"):
        called(script, monkeypatch)
    with pytest.raises(SystemExit, match="torch sees no such device"):
        called(script, monkeypatch, "--device", "cuda")


def test_what_fails_what_differs_and_what_comes_too_late_are_told_and_the_rest_runs(script, monkeypatch, tmp_path):
    def fails():
        raise ValueError("out of | memory\nat line 3")

    def part(report):
        rows = [report.row("one", fails, 2), report.row("two", lambda: [report.verdict(0.5, 1e-3), ""], 2)]
        report.until = 0.0
        rows.append(report.row("three", lambda: ["", ""], 2))
        return str(rows)

    monkeypatch.setattr(script, "PARTS", {"First": part, "Second": lambda report: "more"})
    out = tmp_path / "gpu.md"
    with pytest.raises(SystemExit, match="a part failed"):
        called(script, monkeypatch, "--device", "cpu", "--quick", "--out", str(out))
    text = out.read_text()
    assert "failed: ValueError: out of / memory" in text and "5.0e-01 (**beyond** 1e-03)" in text
    assert "left out: no time" in text and text.rstrip().endswith("more")
