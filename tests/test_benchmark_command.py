"""``grn bench``: what it writes, and what it says without data."""

from functools import cache, partial

import numpy as np
import pandas as pd
import pytest

import grn
from grn import _benchmark
from grn.__main__ import main
from grn.bench import Reference
from grn.errors import DataNotFoundError


@cache
def known_genes():
    return [gene for gene in grn.models.load("mini").genes if gene.isalpha()][:60]


def reference(dataset, *, network, size=500, path=None):
    """Random edges of twelve regulators, the same for every call."""
    random = np.random.default_rng(sum(map(ord, dataset + network)))
    genes = known_genes()
    rows, columns = np.nonzero(random.random((12, len(genes))) < 0.2)
    edges = pd.DataFrame({"source": np.array(genes)[rows], "target": np.array(genes)[columns]})
    edges = edges[edges["source"] != edges["target"]]
    return Reference(
        edges, genes=genes, regulators=genes[:12], dataset=dataset, network=network, size=str(size), directed=False
    )


READINGS = [
    grn.bench.READINGS[label] for label in ("VVP (raw)", "Emb", "Attn (origin)", "universal", "Emb, shuffled names")
]


@pytest.fixture
def tiny(monkeypatch):
    """Small references in place of BEELINE's, and quick methods."""
    for module in ("_run", "_labels_only"):
        monkeypatch.setattr(f"grn.bench.{module}.beeline", reference)
    stranger = Reference(pd.DataFrame({"source": ["GATA1"], "target": ["SPI1"]}), dataset="hESC")
    monkeypatch.setattr(
        "grn.bench._family_finding.beeline", lambda n, **given: stranger if n == "hESC" else reference(n, **given)
    )
    collection = lambda name, *, size, path: reference(name, network=name, size=size)  # noqa: E731
    monkeypatch.setattr("grn.bench._family_finding.literature", collection)
    monkeypatch.setattr(_benchmark, "literature", collection)
    quick = partial(grn.bench.run, methods=READINGS, outside=False, protocols=["paper"])
    few = {"protocols": ["paper"], "seeds": 1, "n_boot": 5, "max_regulators": 12}
    monkeypatch.setattr(_benchmark.bench, "run", lambda **given: quick(**{**given, **few}))
    pairs = grn.bench.scored_pairs
    monkeypatch.setattr(_benchmark.bench, "scored_pairs", lambda **given: pairs(**{**given, "method": READINGS[0]}))
    monkeypatch.setattr(_benchmark, "_plan", lambda: [(("hESC", "Non-Specific"), ["hHEP", "mESC"])])


def test_labels_alone(tiny, tmp_path, capsys):
    assert main(["bench", "--labels", "--out", str(tmp_path)]) == 0
    names = ["families.csv", "families.md", "families.png", "label_floors.csv", "labels.md", "leakage.csv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    families = (tmp_path / "families.md").read_text()
    assert "| CollecTRI | any |" in families and "| STRING | domain |" in families and "nan" not in families
    floors = pd.read_csv(tmp_path / "label_floors.csv")
    assert set(floors["task"]) == {"transfer", "within"} and floors["value"].between(0, 1).all()
    text = (tmp_path / "labels.md").read_text()
    assert "| mHSC-L |" in text and "degree_matched" in text and "nan" not in text
    assert capsys.readouterr().out.count("\n") == 6


def test_everything_is_written(tiny, tmp_path, capsys):
    assert main(["bench", "--quick", "--out", str(tmp_path), "--data", str(tmp_path / "none")]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert {"results.parquet", "results.md", "verdict.md", "degree_bias.png", "cache"} <= names
    assert {f"{name}_500.png" for name in ("auprc", "auprc_families", "auprc_regulator", "ablations")} <= names
    results = pd.read_parquet(tmp_path / "results.parquet")
    assert set(results["test"]) == {"hHEP", "mESC", "CollecTRI", "TRRUST"}
    assert {"VVP (raw)", "Emb"} <= set(results["method"])
    assert "Best method" in (tmp_path / "verdict.md").read_text()
    header, _, *rows = (tmp_path / "gains.md").read_text().splitlines()
    sides = [
        f"{what}, {pairs}" for pairs in ("all", "different families") for what in ("universal", "best floor", "gain")
    ]
    assert header == "| network | test | " + " | ".join(sides) + " |"
    assert [row.split(" | ")[1] for row in rows] == ["hHEP", "mESC", "mean", "CollecTRI", "TRRUST"]
    assert "nan" not in "".join(rows)
    assert "no perturbation suite" in capsys.readouterr().out
    before = (tmp_path / "results.md").read_text()
    assert "at most 100 regulators per data set, 1 draws of" in before
    assert before.endswith("## Left out\n\n- mini lacks the capability 'attention' (everywhere): Attn (origin).\n")
    assert main(["bench", "--quick", "--out", str(tmp_path), "--data", str(tmp_path / "none")]) == 0
    assert (tmp_path / "results.md").read_text() == before


def test_a_second_reference_is_not_needed(tiny, tmp_path, monkeypatch, capsys):
    """Only BEELINE's data are: the figures of hours are written without the collections."""

    def absent(name, **_):
        raise DataNotFoundError(f"{name} is not here.")

    monkeypatch.setattr(_benchmark, "literature", absent)
    for name in ("leakage", "label_floors", "family_links"):
        monkeypatch.setattr(_benchmark.bench, name, lambda **_: pd.DataFrame())
    for name in ("verdict", "markdown"):
        monkeypatch.setattr(_benchmark.bench, name, lambda *_, **__: "")
    for name in ("_labels", "_families", "_draw_families", "_draw"):
        monkeypatch.setattr(_benchmark, name, lambda *_: "")
    assert main(["bench", "--quick", "--out", str(tmp_path), "--data", str(tmp_path / "none")]) == 0
    assert set(pd.read_parquet(tmp_path / "results.parquet")["test"]) == {"hHEP", "mESC"}
    assert "no second reference at size 500: CollecTRI is not here." in capsys.readouterr().out


def test_every_size_has_tables_of_its_own(tiny, tmp_path, monkeypatch):
    for name in ("leakage", "label_floors", "family_links"):
        monkeypatch.setattr(_benchmark.bench, name, lambda **_: pd.DataFrame())
    for name in ("_labels", "_families", "_draw_families", "_draw"):
        monkeypatch.setattr(_benchmark, name, lambda *_: "")
    arguments = ["bench", "--quick", "--sizes", "500", "1000", "--out", str(tmp_path), "--data", str(tmp_path / "none")]
    assert main(arguments) == 0
    for name, head in (("gains", "| network |"), ("verdict", "**Non-Specific, paper.**"), ("results", "## Means over")):
        text = (tmp_path / f"{name}.md").read_text()
        first, second = text.split("Regulators and 1000 genes:\n\n")
        assert "Regulators and 500 genes:\n\n" in first
        assert first.count(head) == second.count(head) > 0


def test_left_out_everywhere_means_everywhere():
    rows = pd.DataFrame({"test": ["a", "b", "a"], "method": ["x", "x", "y"], "reason": ["R", "R", "S"]})
    assert _benchmark._left_out(rows, {"a", "b"})[1].splitlines() == ["- R (everywhere): x.", "- S (a): y."]
    assert _benchmark._left_out(rows, {"a", "b", "c"})[1].splitlines()[0] == "- R (a, b): x."


def test_a_fault_says_where_it_came_from_if_asked(tmp_path, monkeypatch, capsys):
    def fault(*_, **__):
        raise TypeError("wrong")

    monkeypatch.setattr(_benchmark, "benchmark", fault)
    assert main(["bench", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "grn: TypeError: wrong (a fault of grn; --verbosity debug tells where)\n"
    assert main(["bench", "--out", str(tmp_path), "--verbosity", "debug"]) == 1
    assert "in fault" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--methods", "ridge"], ["drivers", "--quick"], ["drivers", "--labels"], ["drivers", "--jobs", "2"]]
)
def test_what_a_suite_does_not_know_is_refused(arguments, tmp_path, capsys):
    assert main(["bench", *arguments, "--out", str(tmp_path / "out"), "--data", str(tmp_path)]) == 2
    assert f"{next(word for word in arguments if '--' in word)} is not for" in capsys.readouterr().err


def test_without_data(tmp_path, capsys):
    assert main(["bench", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert "DataNotFoundError" in err and "zenodo" in err
