"""Ranks of known drivers: planted contrasts, the cache, and what the tables say."""

import gc
import weakref

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn.__main__ import main
from grn.bench import drivers
from grn.errors import DataNotFoundError, ParameterError

REGULATORS = ["GATA1", "SPI1", "PAX5", "MYB", "TAL1", "KLF1"]
SYMBOLS = sorted(grn.datasets.toy(n_cells=12, n_regulators=3, n_targets=90).var_names)
TARGETS = [name for name in SYMBOLS if name not in REGULATORS][:72]


def edges():
    pairs = [(r, t, 1) for i, r in enumerate(REGULATORS) for t in TARGETS[12 * i : 12 * i + 12]]
    return pd.DataFrame(pairs, columns=["source", "target", "weight"])


@pytest.fixture
def folder(tmp_path):
    """Cells in which SPI1 moves its targets and GATA1 itself moves, and the networks of the floors."""
    rng = np.random.default_rng(0)
    names = [*REGULATORS, *TARGETS]
    values = rng.gamma(2.0, 0.5, size=(120, len(names)))
    # targets follow their regulator in all cells, so that co-expression has something to find
    values[:, 6:] += 0.6 * np.repeat(values[:, :6], 12, axis=1)
    obs = pd.DataFrame({"state": ["rest of them", "moved"] * 60}, index=[f"c{i}" for i in range(120)])
    moved = (obs["state"] == "moved").to_numpy()
    values[np.ix_(moved, range(18, 30))] += 1.0
    values[moved, 0] += 1.5
    adata = ad.AnnData(np.log1p(values).astype(np.float32), obs=obs, var=pd.DataFrame(index=names))
    (tmp_path / "expression").mkdir()
    (tmp_path / "priors").mkdir()
    adata.write_h5ad(tmp_path / "expression" / "planted.h5ad")
    edges().to_csv(tmp_path / "priors" / "collectri_human.csv.gz", index=False)
    confident = edges().rename(columns={"source": "tf", "weight": "mor"}).assign(confidence="A")
    confident.to_csv(tmp_path / "priors" / "dorothea_human.csv.gz", index=False)
    return tmp_path


def question(**changes):
    facts = {"name": "planted", "file": "expression/planted.h5ad", "condition": "state", "group": "moved"}
    return drivers.Question(**{**facts, "reference": "rest of them", "drivers": ("SPI1", "NR3C1"), **changes})


def answers(folder, *, methods=("CollecTRI", "TRRUST", "renge"), **arguments):
    table = drivers.run(questions=[question()], methods=methods, path=folder, **arguments)
    return table, table[table["driver"] == "SPI1"].set_index("method")


def test_the_driver_is_first_by_its_targets_and_not_by_its_own_change(folder):
    _, spi1 = answers(folder)
    assert spi1.loc[["CollecTRI + ULM", "DoRothEA + ULM", "CollecTRI"], "rank"].tolist() == [1, 1, 1]
    assert spi1.loc["own change", "rank"] > 1 and spi1.loc["own change", "first"] == "GATA1"
    assert spi1.loc["random", ["rank", "percentile"]].tolist() == [3.5, 50.0]
    assert (spi1.loc[["CollecTRI", "own change"], "n_regulators"] == 6).all()
    assert spi1.loc["CollecTRI", "percentile"] == 100.0


def test_what_has_no_rank_is_told_and_not_dropped(folder):
    table, spi1 = answers(folder)
    absent = table[table["driver"] == "NR3C1"].set_index("method")
    assert len(absent) == len(spi1) and not absent["measured"].any() and spi1["measured"].all()
    assert "not among the genes" in absent.loc["own change", "note"] and np.isnan(absent.loc["own change", "rank"])
    assert "TRRUST" in spi1.loc["TRRUST", "note"], "its file is not there"
    assert "perturbation" in spi1.loc["renge", "note"]


def test_a_lost_regulator_is_first_from_below(folder):
    lost = question(group="rest of them", reference="moved", direction="down", drivers=("SPI1",))
    table = drivers.run(questions=[lost], methods=["CollecTRI"], path=folder).set_index("method")
    assert table.loc[["CollecTRI", "CollecTRI + ULM"], "rank"].tolist() == [1, 1]
    up = question(group="rest of them", reference="moved", drivers=("SPI1",))
    table = drivers.run(questions=[up], methods=["CollecTRI"], path=folder).set_index("method")
    assert table.loc["CollecTRI", "rank"] == 6


def test_every_registered_method_enters(folder):
    from grn.methods import METHODS

    table = drivers.run(questions=[question(drivers=("SPI1",))], methods=["correlation", "ridge"], path=folder)
    inferred = table.set_index("method").loc[["correlation", "ridge"]]
    assert (inferred["rank"] <= 2).all() and (inferred["n_regulators"] == 6).all()
    with pytest.raises(ParameterError, match="choose from") as error:
        drivers.run(methods=["nobody"], path=folder)
    assert all(name in str(error.value) for name in METHODS)


def test_finished_answers_are_not_computed_again(folder, monkeypatch):
    last = {"methods": ("CollecTRI", "renge"), "cache": folder / "cache"}
    first, _ = answers(folder, **last)

    def refuse(*_):
        raise AssertionError("the cells were read again")

    monkeypatch.setattr(drivers, "cells_of", refuse)
    second, _ = answers(folder, **last)
    pd.testing.assert_frame_equal(first, second)
    with pytest.raises(AssertionError, match="read again"):
        answers(folder, methods=("CollecTRI", "TRRUST"), cache=folder / "cache")


def test_cells_are_let_go_after_their_last_question(folder, monkeypatch):
    """Networks of all methods on all files would not fit into memory."""
    held, read = [], drivers.cells_of

    def cells_of(*asked):
        gc.collect()
        assert not [cells for cells in held if cells() is not None], "cells of an earlier question"
        cells = read(*asked)
        held.append(weakref.ref(cells))
        return cells

    monkeypatch.setattr(drivers, "cells_of", cells_of)
    (folder / "expression" / "other.h5ad").write_bytes((folder / "expression" / "planted.h5ad").read_bytes())
    asked = [question(), question(name="again"), question(name="other", file="expression/other.h5ad")]
    table = drivers.run(questions=asked, methods=["CollecTRI", "correlation"], path=folder)
    assert table["question"].nunique() == 3 and len(held) == 2


def test_files_that_are_not_there(folder, caplog):
    absent = question(name="absent", file="expression/none.h5ad")
    table = drivers.run(questions=[question(), absent], methods=["CollecTRI"], path=folder)
    assert set(table["question"]) == {"planted"} and "absent is left out" in caplog.text
    with pytest.raises(DataNotFoundError, match=r"none\.h5ad"):
        drivers.run(questions=[absent], methods=["CollecTRI"], path=folder)


@pytest.mark.parametrize("questions", ["planted", [], ["nobody"], 3])
def test_questions_that_cannot_be_asked(questions):
    with pytest.raises(ParameterError, match="questions"):
        drivers.run(questions=questions)


def rows(*, study="s", chosen=False, **percentiles):
    kinds = {"own change": "floor", "CollecTRI + ULM": "floor", "random": "floor"}
    facts = {"question": f"of {study}", "study": study, "chosen": chosen, "group": "", "driver": "A"}
    facts |= {"measured": True, "n_regulators": 101, "first": "A", "note": ""}
    return [
        {**facts, "method": name, "kind": kinds.get(name, "method"), "percentile": value, "rank": 101 - value}
        for name, value in percentiles.items()
    ]


def studies(method, floor, own, n=8):
    parts = [
        rows(study=f"s{i}", **{"own change": own + i % 3, "CollecTRI + ULM": floor + i % 2, "ridge": method})
        for i in range(n)
    ]
    return pd.DataFrame([row for part in parts for row in part])


def test_the_verdict_names_what_to_use():
    told = drivers.verdict(studies(method=60.0, floor=90.0, own=50.0))
    assert "8 studies" in told and told.endswith('evidence="targets", net=grn.datasets.collectri())`.')
    assert "ridge against CollecTRI + ULM: -30.5 (95 % interval" in told and "no chance" in told
    assert "method='ridge'" in drivers.verdict(studies(method=99.0, floor=90.0, own=50.0))
    assert "rank_genes_groups" in drivers.verdict(studies(method=60.0, floor=70.0, own=90.0))


def test_questions_that_choices_were_made_on_do_not_count():
    biased = pd.DataFrame(rows(study="tuned", chosen=True, **{"CollecTRI + ULM": 1.0, "ridge": 100.0}))
    table = pd.concat([studies(method=60.0, floor=90.0, own=50.0), biased], ignore_index=True)
    assert "collectri" in drivers.verdict(table)
    with pytest.raises(ParameterError, match="choices"):
        drivers.verdict(biased)
    line = next(line for line in drivers.markdown(table).splitlines() if line.startswith("| ridge"))
    assert line == "| ridge | method | 60.0 | 0 of 8 | 0 of 8 | 8 of 8 | 100.0 |"


def test_a_driver_without_a_rank_counts_as_chance():
    table = studies(method=60.0, floor=90.0, own=50.0, n=2)
    unranked = (table["method"] == "CollecTRI + ULM") & (table["study"] == "s0")
    table.loc[unranked, ["rank", "percentile"]] = np.nan
    figures = drivers.figure_table(table).set_index(["method", "test"])["value"]
    assert figures["CollecTRI + ULM", "s0"] == 50.0 and figures["CollecTRI + ULM", "s1"] == 91.0
    assert "| of s0 | A | 41/101 |" in drivers.markdown(table)
    with pytest.raises(ParameterError, match="percentile"):
        drivers.markdown(table.drop(columns="percentile"))


def test_who_cannot_answer_is_named_and_not_drawn():
    table = studies(method=60.0, floor=90.0, own=50.0)
    unable = table[table["method"] == "ridge"].assign(method="renge", rank=np.nan, percentile=np.nan, note="needs time")
    table = pd.concat([table, unable], ignore_index=True)
    assert "renge" not in set(drivers.figure_table(table)["method"])
    assert "- `renge`: needs time" in drivers.markdown(table)


def test_the_command_writes_tables_a_figure_and_advice(folder, tmp_path, monkeypatch, capsys):
    planted = {"planted": question(), "again": question(name="again", study="other")}
    monkeypatch.setattr(drivers, "QUESTIONS", planted)
    out = tmp_path / "out"
    assert main(["bench", "drivers", "--out", str(out), "--data", str(folder), "--methods", "CollecTRI"]) == 0
    names = {path.name for path in out.iterdir()}
    assert names == {"drivers.csv", "drivers_table.md", "drivers_verdict.md", "drivers.png", "cache"}
    said = capsys.readouterr().out
    assert (out / "drivers_verdict.md").read_text().strip() in said and "grn.tl.rank_drivers" in said
    assert len(pd.read_csv(out / "drivers.csv")) == 2 * 2 * 5


def test_every_question_has_its_column_and_labels(shared_dir):
    for asked in drivers.questions().values():
        adata = ad.read_h5ad(shared_dir / "data" / asked.file, backed="r")
        labels = set(adata.obs[asked.condition].astype(str))
        assert asked.group in labels and (asked.reference == "rest" or asked.reference in labels)
        assert asked.groupby is None or asked.groupby in adata.obs
        assert adata.uns["organism"] == asked.organism


def test_dexamethasone(shared_dir):
    asked = "dexamethasone, 3 h"
    table = drivers.run(questions=[asked], methods=["CollecTRI"], path=shared_dir / "data").set_index("method")
    assert (table["driver"] == "NR3C1").all() and table["measured"].all()
    assert table.loc[["own change", "CollecTRI", "CollecTRI + ULM"], "rank"].notna().all()
