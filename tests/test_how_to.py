"""The pages of how-tos run, print what stands in them, and what they claim is so."""

from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import grn
from grn.methods import METHODS
from pages import agree, cells, printing

FOLDER = Path(__file__).parents[1] / "docs" / "how_to"
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _of_its_own(tmp_path, monkeypatch):
    """A page writes into a folder of its own, and leaves settings and figures as they were."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(grn.settings, "verbosity", grn.settings.verbosity)
    monkeypatch.setattr(METHODS, "_records", dict(METHODS._records))
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


def run(name):
    """Variables of a page that every build of the documentation runs, after all its cells."""
    variables = {}
    for cell in cells((FOLDER / f"{name}.md").read_text(encoding="utf-8")):
        exec(compile(cell, name, "exec"), variables)
    return variables


def test_conditions(with_data, capsys):
    """Interferon acts by STAT1, STAT2 and IRF9; donors call nothing where nothing differs, cells do."""
    page = printed("conditions", capsys)
    for _, part in page["table"].groupby("group", observed=True):
        ranks = part.set_index("regulator")["rank"]
        assert ranks[["STAT1", "STAT2", "IRF9"]].max() <= 4 and (part["qval"] < 0.05).sum() >= 10
    assert 0.03 < sum(page["below"]) / len(page["below"]) < 0.08 and sum(page["called"]) / len(page["called"]) < 0.25
    swapped = page["swapped"]
    assert len(grn.get.regulators(swapped, max_q=0.05)) == 0
    assert len(grn.get.regulators(swapped, key="drivers", max_q=0.05)) >= 10
    assert Path("conditions.png").stat().st_size > 1000


def test_cell_type(with_data, capsys):
    """Known regulators are among the first of some six hundred; the floor is no worse, as the page says."""
    places = printed("cell_type", capsys)["places"].set_index("regulator")
    assert places["both"].median() <= 15 and places.loc[["SPI1", "EBF1", "GATA2"], "both"].max() <= 8
    assert places["change"].median() <= places["activity"].median()
    assert Path("cell_type.png").stat().st_size > 1000


def test_knock_out(with_data, capsys):
    """Without Neurog3 ductal cells do not commit, and without Hes1 or Sox9 they do the more."""
    page = printed("knock_out", capsys)
    of_neurog3 = page["adata"].uns["simulation"]["groups"].iloc[0]
    assert of_neurog3["score"] < -0.1 and of_neurog3["p_score"] <= 0.01
    assert of_neurog3["score"] < -5 * abs(of_neurog3["control_score"])
    scores = page["scores"]["score"]
    assert scores["Neurog3"] < -0.1 < 0.1 < scores[["Hes1", "Sox9"]].min()
    assert Path("knock_out.png").stat().st_size > 1000


def test_trust():
    """What has a small q is hardly found where there is nothing, and of stable edges more are true than of all."""
    page = run("trust")
    assert page["table"]["q < .05"][0] > 1000 and page["table"]["q < .05"][1] <= 5
    assert page["table"]["|correlation| above .1"][1] > 20 * page["table"]["q < .05"][1]
    true = page["counted"]["true"]
    for method in ("correlation", "ridge"):
        assert true[method, "all"] < true[method, "q < .05"] < true[method, "and stable"]


def test_compare():
    """Methods share far more than chance gives, and less with the floor than with each other."""
    page = run("compare")
    assert (page["table"]["shared"] > 5 * page["table"]["expected"]).all()
    of_the_floor = page["floors"]["of its 200 strongest, those of the floor"]
    assert of_the_floor.max() < page["table"]["shared"].min()
    assert (page["planted"]["true of 150 strongest"] > 2 * page["planted"]["chance"]).all()


def test_prior():
    """Regression on listed pairs is better than the list; the list of regions holds most true edges."""
    page = run("prior")
    found = page["found"]
    assert found["celloracle, with the prior"] > max(found["the prior alone"], found["ridge, no prior"])
    assert len(page["listed"] & page["known"]) > len(page["known"]) / 2


def test_export():
    """The same activities, the same edges in every file, and the same network when it comes back."""
    page = run("export")
    assert page["difference"] < 1e-3 and len(page["both"]) > 20
    n_edges = page["few"].to_networkx().number_of_edges()
    assert page["again"].number_of_edges() == len(page["elements"]["edges"]) == n_edges
    back = page["compared"].iloc[0]
    assert back["n_a"] == back["n_b"] == back["n_common"] and back["spearman"] == pytest.approx(1.0)


def test_foundation():
    """A checkpoint comes back as the model that was saved, and answers the probes that the embedded one answers."""
    page = run("foundation")
    adata, model = page["adata"], page["model"]
    told = {name: adata.uns[f"{name}_vvp"]["params"] for name in ("scgpt", "mini")}
    assert told["scgpt"]["model_sha256"] == model.sha256 != told["mini"]["model_sha256"]
    assert adata.varm["scgpt_vvp"].shape == adata.varm["mini_vvp"].shape
    assert page["report"]["known"] == len(page["symbols"]) > 700


def test_own_method():
    """A function of values is a method like any other, and its figures come from draws that no choice was made on."""
    page = run("own_method")
    assert grn.get.network(page["adata"], key="mine").params["method"] == "spearman"
    figures = page["figures"]
    assert list(figures.index) == [5, 6, 7, 8, 9] and (figures["spearman"] > 2 * figures["floor"]).all()
    assert abs(page["gain"].mean()) < 0.05


def test_million():
    """A file gives the numbers of memory; metacells are no worse than as many single cells."""
    page = run("million")
    assert abs(page["difference"]).max() < 1e-5
    found = page["found"]
    assert found["all cells"] >= found["metacells"] >= found["as many single cells"] > 2 * found["chance"]
    assert page["means"].n_obs < page["atlas"].n_obs / 50
