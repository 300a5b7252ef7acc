"""The pages of how-tos run, print what stands in them, and what they claim is so."""

from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import grn
from pages import agree, printing

FOLDER = Path(__file__).parents[1] / "docs" / "how_to"
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _of_its_own(tmp_path, monkeypatch):
    """A page writes into a folder of its own, and leaves settings and figures as they were."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(grn.settings, "verbosity", grn.settings.verbosity)
    yield
    plt.close("all")


@pytest.fixture
def with_data(shared_dir, monkeypatch):
    monkeypatch.setattr(grn.settings, "data_dir", shared_dir / "data")


def printed(name, capsys):
    """Variables of a page after all its blocks, each of which printed what stands below it."""
    variables = {}
    for block, written in printing((FOLDER / f"{name}.md").read_text(encoding="utf-8")):
        exec(compile(block, name, "exec"), variables)
        out = capsys.readouterr().out
        assert agree(out, written), f"the page has\n{written}\nand the code prints\n{out}"
    return variables


def test_conditions(with_data, capsys):
    """Interferon acts by STAT1, STAT2 and IRF9; donors call nothing where nothing differs, cells do."""
    page = printed("conditions", capsys)
    for _, part in page["table"].groupby("group", observed=True):
        ranks = part.set_index("regulator")["rank"]
        assert ranks[["STAT1", "STAT2", "IRF9"]].max() <= 4 and (part["qval"] < 0.05).sum() >= 10
    swapped = page["swapped"]
    assert len(grn.get.regulators(swapped, max_q=0.05)) == 0
    assert len(grn.get.regulators(swapped, key="drivers", max_q=0.05)) >= 10
    assert Path("conditions.png").stat().st_size > 1000
