"""Whole runs: what is in the table, what it depends on and what it does not, resuming, and methods of a user."""

import re
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import grn
from grn.bench import Reference, _cell, _evidence, _run, run
from grn.bench._features import Features
from grn.errors import CapabilityError, NetworkError, ParameterError
from grn.genes import regulators
from grn.models import ValueScale, load
from grn.models._protocol import resolve_panel
from grn.models.mini import Mini, MiniConfig, MiniNetwork

KNOWN = load("mini").genes
TFS = [gene for gene in KNOWN if gene in set(regulators("human"))]
OTHERS = [gene for gene in KNOWN if gene not in set(TFS)]
METHODS = ["VVP (raw)", "VVP", "Emb", "Ens, shuffled names", "Emb, shuffled weights"]
FLOORS = ["random", "target is a regulator", "out-degree", "in-degree", "degree", "look-up", "labels"]
ORACLES = ["own out-degree", "own degree"]
IDENTITY = ["train", "test", "protocol", "method", "metric"]


def make(name, tfs, others, *, seed=0, n_edges=120, **arguments):
    """Random edges of some regulators among some genes."""
    genes = sorted([*TFS[tfs], *OTHERS[others]])
    pairs = [(source, target) for source in TFS[tfs] for target in genes if source != target]
    rows = np.random.default_rng(seed).choice(len(pairs), n_edges, replace=False)
    edges = pd.DataFrame([pairs[i] for i in rows], columns=["source", "target"])
    given = {"genes": genes, "regulators": TFS[tfs], "dataset": name, "network": "N", **arguments}
    return Reference(edges, **given)


def with_cells(reference, **changes):
    """The same reference with 30 measured cells."""
    values = np.log1p(np.random.default_rng(3).poisson(2.0, (30, len(reference.genes)))).astype(np.float32)
    cells = ad.AnnData(values, var=pd.DataFrame(index=reference.genes))
    same = ("organism", "dataset", "network", "size", "unit", "directed")
    given = {**{name: getattr(reference, name) for name in same}, "expression": cells, **changes}
    return Reference(reference.edges, genes=reference.genes, regulators=reference.regulators, **given)


ONE = make("one", slice(0, 14), slice(0, 60))
TWO = make("two", slice(14, 28), slice(60, 120), seed=1)
THREE = make("three", slice(8, 24), slice(40, 100), seed=2)


class Linear:
    """A model without any torch module: responses are a matrix product."""

    name, gene_id_kind, sha256, max_genes = "linear", "symbol", "b" * 64, 1000
    gradient_kind = "exact"
    value_scale = ValueScale("z-score", 0.0, (-1, 1), (-1, 1), -3, 3)

    def __init__(self, *capabilities):
        self.capabilities = frozenset(capabilities)
        self.genes = tuple(sorted({*ONE.genes, *TWO.genes}))

    source_genes = property(lambda self: self.genes)
    target_genes = property(lambda self: self.genes)

    def to(self, device):
        return self

    def panel(self, sources, targets):
        return resolve_panel({g: i for i, g in enumerate(self.genes)}, sources, targets, max_genes=self.max_genes)

    def _matrix(self, panel):
        n = len(self.genes)
        table = torch.sin(torch.outer(torch.arange(n) + 1.0, torch.arange(n) + 2.0))
        return table[panel.tokens][:, panel.tokens[panel.tgt_pos]]

    def respond(self, panel, values, *, context=None):
        return values @ self._matrix(panel)

    def respond_dual(self, panel, values, tangents, *, context=None):
        return self.respond(panel, values), tangents @ self._matrix(panel)

    def attention(self, panel, values):
        raise AssertionError("no capability of this model")

    encode_cells = attention

    def embed(self, panel, values=None):
        return torch.stack([torch.sin(panel.tokens * 0.3), torch.cos(panel.tokens * 0.7)], dim=1)


def small(seed=0):
    """A small random network of the architecture of ``mini``."""
    genes = tuple(sorted({*ONE.genes, *TWO.genes, *THREE.genes}))
    config = MiniConfig(len(genes), d=16, heads=2, encoder_blocks=1, decoder_blocks=1, d_feedforward=24, d_value=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MiniNetwork(config)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return Mini(network, genes, name="small", sha256=f"{seed:064d}")


@pytest.fixture(scope="module")
def model():
    return small()


@pytest.fixture
def quick(model):
    """A run that takes a second or two; keywords replace its arguments."""
    usual = {"methods": ["VVP (raw)"], "model": model, "train": ONE, "test": [TWO], "protocols": ["paper"]}
    usual |= {"outside": False, "seeds": 1, "n_boot": 10, "progress": False}
    return lambda **arguments: run(**{**usual, **arguments})


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


FULL = {"methods": METHODS, "train": ONE, "test": [TWO, THREE], "outside": False, "seeds": 2, "n_boot": 30}


@pytest.fixture(scope="module")
def table(model, cache):
    return run(**FULL, model=model, cache=cache, progress=False)


def same(a, b):
    """Equal tables, whatever the order of their rows."""
    a, b = (t.sort_values(IDENTITY, ignore_index=True) for t in (a, b))
    pd.testing.assert_frame_equal(a, b, check_exact=True)
    return True


def documented():
    """Column and metric names in double backticks of the section Returns."""
    returns = re.split(r"\n\s*(?:Returns|Raises)\n\s*-+\n", run.__doc__)[1]
    columns, metrics = returns.split("Metrics:")
    names = lambda text: set(re.findall(r"``(\w+)``", text))  # noqa: E731
    return names(columns) - {"ablation", "oracle"}, names(metrics)


def test_columns_and_metrics_are_those_of_the_documentation(table):
    columns, metrics = documented()
    assert set(table.columns) == columns
    assert set(table["metric"]) == metrics
    assert {"method", "ablation", "floor", "oracle"} == set(table["kind"])


def test_one_row_for_every_method_and_metric_of_every_cell(table):
    assert not table.duplicated(IDENTITY).any()
    cells = table.groupby(["train", "test", "protocol"]).size()
    assert len(cells) == 4
    assert set(cells) == {len(documented()[1]) * (len(METHODS) + len(FLOORS) + len(ORACLES))}
    assert set(table["method"]) == {*METHODS, *FLOORS, *ORACLES}


def test_facts_of_a_cell(table):
    facts = table.drop(columns=["value", "low", "high", "note", "seen", "published"]).groupby(["test", "protocol"])
    for name in ("n_pos", "prevalence", "coverage", "shared_genes", "regulators", "negatives", "train_sha256"):
        assert (facts[name].nunique(dropna=False) == 1).all(), name
    paper, strict = (table[table["protocol"] == name].iloc[0] for name in ("paper", "strict"))
    assert paper["negatives"] == "uniform" and strict["negatives"] == "degree_matched"
    assert paper["n_pos"] == paper["n_neg"] == 120 and paper["prevalence"] == 0.5
    assert strict["n_pos"] == strict["n_neg"] <= 120 and 0 < strict["edges_with_partner"] <= 1
    assert (table["coverage"] == 1).all() and (table["seeds"] == 2).all()
    assert (table["train"] == "one/N").all() and (table["train_dataset"] == "one").all()
    assert set(table["test_sha256"]) == {TWO.sha256, THREE.sha256} and set(table["train_sha256"]) == {ONE.sha256}
    assert (table["version"] == grn.__version__).all() and (table["backbone"] == "small").all()


def test_no_gene_of_training_is_tested_under_strict(table):
    shared = table.groupby(["test", "protocol"])[["shared_genes", "shared_regulators", "shared_pairs"]].first()
    assert (shared.xs("strict", level="protocol") == 0).all(axis=None)
    assert (shared.loc[("three", "paper")] > 0).all()


def test_values_are_in_range(table):
    bounded = table[table["metric"].str.startswith("au") & ~table["metric"].str.endswith("ratio")]
    assert bounded["value"].between(0, 1).all()
    told = table[table["metric"].isin(["auprc", "auprc_regulator"])]
    assert (told["low"] <= told["value"] + 0.1).all() and (told["high"] >= told["value"] - 0.1).all()
    assert (told["low"] < told["high"]).sum() > 0.8 * len(told)
    assert table.loc[~table["metric"].isin(["auprc", "auprc_regulator"]), ["low", "high"]].isna().all(axis=None)
    ratio = table.pivot_table(index=["test", "protocol", "method"], columns="metric", values="value")
    assert np.allclose(ratio["auprc_ratio"], 2 * ratio["auprc"])


def test_gain_is_over_the_best_floor(table):
    for _, part in table[table["metric"] != "auprc_rewired"].groupby(["test", "protocol", "metric"]):
        floors = part[part["kind"] == "floor"].set_index("method")["value"]
        assert (part["floor"] == floors.max()).all()
        assert (floors[part["best_floor"]] == floors.max()).all()
        others = part[part["kind"] != "floor"]
        assert np.allclose(others["gain"], others["value"] - others["floor"], equal_nan=True)
        assert part.loc[part["kind"] == "floor", ["gain", "gain_low", "gain_high"]].isna().all(axis=None)
        if part["metric"].iloc[0] == "auprc":
            assert (others["gain_low"] <= others["gain_high"]).all()


def test_rewired_labels_have_no_gain(table):
    """More is not better there."""
    assert table.loc[table["metric"] == "auprc_rewired", "gain"].isna().all()


def test_the_same_table_without_a_cache_and_with_shuffled_rows(table, model):
    shuffle = lambda r: Reference(  # noqa: E731
        r.edges.sample(frac=1, random_state=0),
        genes=r.genes[::-1],
        regulators=r.regulators[::-1],
        dataset=r.dataset,
        network=r.network,
    )
    assert same(table, run(**{**FULL, "train": shuffle(ONE), "test": [shuffle(THREE), shuffle(TWO)]}, model=model))


def test_the_same_table_from_the_cache(table, model, cache, monkeypatch):
    monkeypatch.setattr(_run, "cell", None)
    monkeypatch.setattr(Features, "_read", None)
    assert same(table, run(**FULL, model=model, cache=cache))


@pytest.mark.slow
def test_the_same_table_in_two_processes(quick):
    arguments = {"methods": ["VVP"], "protocols": ["paper", "strict"]}
    arguments |= {"scorers": {"length": lambda _, pairs: pairs["target"].str.len()}}
    assert same(quick(**arguments), quick(**arguments, n_jobs=2))


def test_another_seed_is_another_table(quick):
    first, second = quick(), quick(rng=1)
    assert not first["value"].equals(second["value"])
    assert same(first, quick(rng=np.int64(0)))


@pytest.mark.parametrize("limit", [10, 1000])
def test_max_regulators(quick, limit):
    found = quick(max_regulators=limit, protocols=["paper", "strict"])
    assert (found["regulators"] <= limit).all() and (found["regulators"] >= 9).all()
    shuffled = Reference(
        TWO.edges.sample(frac=1, random_state=1), genes=TWO.genes, regulators=TWO.regulators, dataset="two", network="N"
    )
    assert same(found, quick(max_regulators=limit, protocols=["paper", "strict"], test=[shuffled]))
    if limit == 1000:
        assert same(found, quick(protocols=["paper", "strict"]))


def count_cells(monkeypatch, *, fail_at=None):
    """Record which cells are computed; raise at one of them."""
    done = []

    def counted(trainer, board, contest):
        if len(done) + 1 == fail_at:
            raise RuntimeError("the light went out")
        done.append((board.reference.dataset, trainer.protocol.name))
        return _cell.cell(trainer, board, contest)

    monkeypatch.setattr(_run, "cell", counted)
    return done


def test_finished_cells_are_not_computed_again(quick, tmp_path, monkeypatch):
    done = count_cells(monkeypatch)
    first = quick(cache=tmp_path)
    assert done == [("two", "paper")]
    assert same(first, quick(cache=str(tmp_path))) and len(done) == 1
    more = quick(cache=tmp_path, test=[TWO, THREE], protocols=["paper", "strict"])
    assert len(done) == 4 and len(more) == 4 * len(first)
    assert same(first, more[(more["test"] == "two") & (more["protocol"] == "paper")])


CHANGES = {
    "seeds": {"seeds": 2},
    "rng": {"rng": 1},
    "n_boot": {"n_boot": 11},
    "methods": {"methods": ["VVP (raw)", "GDT (raw)"]},
    "max_regulators": {"max_regulators": 12},
    "model": {"model": small(seed=1)},
    "cells": {"test": [with_cells(TWO)]},
    "unit": {"test": [with_cells(TWO, expression=None, unit="other")]},
    "directed": {"test": [with_cells(TWO, expression=None, directed=False)]},
    "name": {"test": [with_cells(TWO, expression=None, dataset="other")]},
    "train": {"train": make("one", slice(0, 14), slice(0, 60), seed=9)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_cell_of_other_inputs_is_another_cell(quick, tmp_path, monkeypatch, change):
    done = count_cells(monkeypatch)
    quick(cache=tmp_path)
    found = quick(cache=tmp_path, **CHANGES[change])
    assert len(done) == 2
    assert same(found, quick(**CHANGES[change]))


def test_an_interrupted_run_goes_on(quick, tmp_path, monkeypatch):
    arguments = {"test": [TWO, THREE], "protocols": ["paper", "strict"], "methods": ["VVP"]}
    whole = quick(**arguments)
    first = count_cells(monkeypatch, fail_at=3)
    with pytest.raises(RuntimeError, match="light"):
        quick(**arguments, cache=tmp_path)
    second = count_cells(monkeypatch)
    assert same(whole, quick(**arguments, cache=tmp_path))
    assert len(first) == len(second) == 2 and not set(first) & set(second)
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".part"]


@pytest.mark.parametrize("junk", [b"", b"PAR1 and no more", b"PAR1"])
def test_a_damaged_cell_is_computed_again(quick, tmp_path, monkeypatch, caplog, junk):
    first = quick(cache=tmp_path)
    (path,) = (tmp_path / "cells").glob("*.parquet")
    path.write_bytes(junk)
    done = count_cells(monkeypatch)
    with caplog.at_level("WARNING", logger="grn"):
        assert same(first, quick(cache=tmp_path))
    assert len(done) == 1 and path.name in caplog.text and "damaged" in caplog.text
    assert same(first, quick(cache=tmp_path)) and len(done) == 1


def test_a_temporary_cache_leaves_nothing(quick, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    quick()
    assert list(tmp_path.iterdir()) == []


def test_what_a_model_cannot_do_is_left_out():
    arguments = {"train": ONE, "test": [TWO], "protocols": ["paper"], "outside": False, "seeds": 1, "n_boot": 5}
    found = run(**arguments, model=Linear("value"))
    assert set(found["method"]) == {"VVP (raw)", "VVP", *FLOORS, *ORACLES}
    found = run(**arguments, model=Linear("value", "gradient", "embedding"))
    methods = set(found.loc[~found["kind"].isin(["floor", "oracle"]), "method"])
    left_out = {"Pert (origin)", "Attn (origin)", "Pert", "Attn", "Ens, real mean cell"}
    left_out |= {name for name in grn.bench.METHODS if name.endswith("shuffled weights")}
    assert methods == set(grn.bench.METHODS) - left_out


def test_cells_of_the_data_set_add_probes_and_floors(quick):
    cells = ["Pert (origin)", "Attn (origin)", "Pert", "Ens, real mean cell"]
    assert not set(cells) & set(quick(methods=["VVP (raw)", *cells])["method"])
    both = quick(methods=cells, train=with_cells(ONE), test=[with_cells(TWO)])
    assert set(both["method"]) == {*cells, *FLOORS, *ORACLES, "|correlation|", "mean expression"}
    assert (both["note"] == "").all()
    only_test = quick(methods=cells, test=[with_cells(TWO)])
    assert {"Pert (origin)", "Attn (origin)"} == set(cells) & set(only_test["method"]), "a translator needs both"


def test_stand_in_cells_are_noted(quick, monkeypatch):
    genes = sorted({*ONE.genes, *TWO.genes})
    values = np.log1p(np.random.default_rng(0).poisson(2.0, (20, len(genes)))).astype(np.float32)
    stand_in = ad.AnnData(values, var=pd.DataFrame(index=genes))
    monkeypatch.setattr(_run, "stand_in_cells", lambda *_, **__: stand_in)
    monkeypatch.setattr(_run, "outside_floors", lambda *_, **__: {"of names": _lengths})
    found = quick(methods=["Pert (origin)", "Pert", "VVP (raw)"], outside=True)
    notes = found.groupby("method")["note"].unique().map(list)
    assert notes["Pert (origin)"] == notes["Pert"] == ["read at the mean cell of the corpus"]
    assert notes["VVP (raw)"] == [""] and found.set_index("method").loc["of names", "kind"].unique() == ["floor"]
    assert not {"|correlation|", "mean expression"} & set(found["method"]), "these are not the cells of the data set"


def _lengths(reference):
    return np.add.outer([len(r) for r in reference.regulators], [len(g) for g in reference.genes]).astype(float)


def test_without_outside_data_the_run_goes_on(quick, tmp_path):
    assert same(quick(), quick(outside=True, path=tmp_path))


def test_a_floor_that_knows_few_of_the_genes_is_left_out(quick, monkeypatch):
    def knows(share):
        return lambda r: np.where(np.arange(len(r.genes)) < share * len(r.genes), _lengths(r), np.nan)

    monkeypatch.setattr(_run, "stand_in_cells", lambda *_, **__: None)
    given = {"nothing": knows(0), "some": knows(0.4), "most": knows(0.7)}
    monkeypatch.setattr(_run, "outside_floors", lambda *_, **__: given)
    assert {"nothing", "some", "most"} & set(quick(outside=True)["method"]) == {"most"}


# ---- arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"methods": "VVP"}, "list"),
        ({"methods": ["VPV"]}, "VPV"),
        ({"protocols": "paper"}, "list"),
        ({"protocols": []}, "paper"),
        ({"protocols": ["papers"]}, "papers"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": 1.5}, "seeds"),
        ({"n_boot": True}, "n_boot"),
        ({"max_regulators": 0}, "max_regulators"),
        ({"n_jobs": 0}, "n_jobs"),
        ({"n_jobs": "two"}, "n_jobs"),
        ({"rng": -1}, "rng"),
        ({"train": []}, "train"),
        ({"train": ("hESC", "STRING", 500)}, "pair"),
        ({"train": "hESC"}, "pair"),
        ({"test": "hHEP"}, "list"),
        ({"test": []}, "test"),
        ({"test": [3]}, "pair"),
        ({"test": [ONE]}, "one/N"),
        ({"model": "mimi"}, "mini"),
    ],
    ids=repr,
)
def test_bad_arguments(quick, monkeypatch, arguments, message):
    monkeypatch.setattr(Features, "_read", None)  # nothing is computed before they are checked
    with pytest.raises(ParameterError, match=message):
        quick(**arguments)


def test_nothing_left_to_test(quick, caplog):
    again = with_cells(ONE, expression=None, dataset="again")
    with caplog.at_level("WARNING", logger="grn"), pytest.raises(NetworkError, match="no cell"):
        quick(test=[again], protocols=["strict"])
    assert "both_genes" in caplog.text and "again/N" in caplog.text
    found = quick(test=[again, TWO], protocols=["strict"])
    assert set(found["test"]) == {"two"}, "what can be tested is"


def test_several_training_sets(quick):
    found = quick(train=[ONE, THREE], test=[TWO])
    assert sorted(found["train"].unique()) == ["one/N", "three/N"]
    assert same(found[found["train"] == "one/N"], quick())
    crossed = quick(train=[ONE, TWO], test=[ONE, TWO])
    assert set(zip(crossed["train_dataset"], crossed["test"], strict=True)) == {("one", "two"), ("two", "one")}


def test_beeline_by_name_needs_its_tables(quick, tmp_path):
    with pytest.raises(grn.errors.DataNotFoundError, match="BEELINE"):
        quick(train=("hESC", "STRING"), test=None, path=tmp_path)


def test_scored_pairs_are_those_behind_the_figure(quick, model):
    for protocol, method in (("paper", "VVP (raw)"), ("strict", "VVP")):
        pairs = grn.bench.scored_pairs(method=method, model=model, train=ONE, test=TWO, protocol=protocol)
        assert list(pairs.columns) == ["source", "target", "label", "score"]
        table = quick(methods=[method], protocols=[protocol])
        value = table.query("method == @method and metric == 'auprc'")["value"].iloc[0]
        assert grn.bench.metrics.auprc(pairs["label"], pairs["score"]) == pytest.approx(value, abs=1e-12)
    with pytest.raises(CapabilityError, match="cells"):
        grn.bench.scored_pairs(method="Pert", model=model, train=ONE, test=TWO)
    with pytest.raises(ParameterError, match="protocol"):
        grn.bench.scored_pairs(method="VVP", model=model, train=ONE, test=TWO, protocol="loose")


def test_outside_data_are_looked_for_below_path(tmp_path):
    assert _evidence.outside_floors(tmp_path, tmp_path, show=False) == {}
    assert _evidence.stand_in_cells([ONE], tmp_path, show=False) is None
    assert list(Path(tmp_path).iterdir()) == []


def test_rows_say_what_was_read(quick):
    found = quick(
        methods=["VVP", "VVP (raw)", "VVP, shuffled weights"],
        scorers={"mine": lambda _, pairs: pairs.target.str.len()},
        protocols=["paper"],
    )
    seen = found.groupby("method")["seen"].unique().map(", ".join)
    assert seen["VVP"] == "pretraining cells, training labels" and seen["VVP (raw)"] == "pretraining cells"
    assert seen["VVP, shuffled weights"] == seen["look-up"] == "training labels"
    assert seen["random"] == "nothing" and seen["own degree"] == "test labels" and seen["mine"] == "not told"
