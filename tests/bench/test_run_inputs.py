"""What a run is given: models that cannot do everything, cells, outside data, references, and bad arguments."""

from functools import partial
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import grn
from grn.bench import READINGS, Entry, _evidence, _run, run
from grn.bench._backbone_features import BackboneFeatures
from grn.errors import CapabilityError, NetworkError, ParameterError
from grn.models import ValueScale
from grn.models.protocol import resolve_panel


class Linear:
    """A model without any torch module: responses are a matrix product."""

    name, gene_id_kind, sha256, max_genes = "linear", "symbol", "b" * 64, 1000
    gradient_kind = "exact"
    value_scale = ValueScale("z-score", 0.0, (-1, 1), (-1, 1), -3, 3)

    def __init__(self, genes, *capabilities):
        self.capabilities = frozenset(capabilities)
        self.genes = genes

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


def readings(*labels):
    return [READINGS[label] for label in labels]


def test_what_a_model_cannot_do_is_left_out(runs):
    genes = tuple(sorted({*runs.ONE.genes, *runs.TWO.genes}))
    arguments = {
        "train": runs.ONE,
        "test": [runs.TWO],
        "protocols": ["paper"],
        "outside": False,
        "seeds": 1,
        "n_boot": 5,
    }
    found = run(**arguments, model=Linear(genes, "value"))
    of_names = {f"universal (trained), {what}" for what in ("stem alone", "prefix alone", "motif alone")}
    of_names |= {"universal (trained), without response"}
    assert set(found["method"]) == {"VVP (raw)", "VVP", *of_names, *runs.FLOORS, *runs.ORACLES}
    found = run(**arguments, model=Linear(genes, "value", "gradient", "embedding"))
    methods = set(found.loc[~found["kind"].isin(["floor", "oracle"]), "method"])
    left_out = {"Pert (origin)", "Attn (origin)", "Pert", "Attn", "Ens, real mean cell"}
    left_out |= {name for name in READINGS if name.endswith(("shuffled weights", "untrained SVD", "recommended)"))}
    left_out |= {name for name in READINGS if name.startswith("universal")} - of_names
    assert methods == set(READINGS) - left_out
    reasons = pd.DataFrame(found.attrs["left_out"]).set_index("method")["reason"]
    assert reasons["Attn"].unique() == ["linear lacks the capability 'attention'"], "the table says so too"
    assert set(reasons.index) == left_out and set(found.attrs["left_out"]["test"]) == {"one/N", "two/N"}


def attentive(runs):
    """A model with all capabilities."""
    return grn.models.untrained("scgpt", genes=sorted({*runs.ONE.genes, *runs.TWO.genes}), layers=1, width=16, heads=2)


def test_cells_of_the_data_set_add_probes_and_floors(quick, runs, caplog):
    cells = ["Pert (origin)", "Attn (origin)", "Pert", "Ens, real mean cell"]
    entries = readings(*cells)
    quick = partial(quick, model=attentive(runs))
    with caplog.at_level("WARNING", logger="grn"):
        assert not set(cells) & set(quick(methods=[*readings("VVP (raw)"), *entries])["method"])
    assert f"two/N: left out are {'; '.join(cells)}, as there are no cells" in caplog.text
    assert "one/N: left out are Pert; Ens, real mean cell, as" in caplog.text, "nothing is trained for the others"
    both = quick(methods=entries, train=runs.with_cells(runs.ONE), test=[runs.with_cells(runs.TWO)])
    assert set(both["method"]) == {*cells, *runs.FLOORS, *runs.ORACLES, "|correlation|", "mean expression"}
    assert (both["note"] == "").all()
    only_test = quick(methods=entries, test=[runs.with_cells(runs.TWO)])
    assert {"Pert (origin)", "Attn (origin)"} == set(cells) & set(only_test["method"]), "a translator needs both"


def test_stand_in_cells_are_noted(quick, monkeypatch, runs):
    genes = sorted({*runs.ONE.genes, *runs.TWO.genes})
    values = np.log1p(np.random.default_rng(0).poisson(2.0, (20, len(genes)))).astype(np.float32)
    stand_in = ad.AnnData(values, var=pd.DataFrame(index=genes))
    monkeypatch.setattr(_run, "stand_in_cells", lambda *_, **__: stand_in)
    monkeypatch.setattr(_run, "outside_floors", lambda *_, **__: {"of names": _lengths})
    entries = readings("Pert (origin)", "Pert", "Attn (origin)", "VVP (raw)")
    found = quick(methods=entries, model=attentive(runs), outside=True)
    notes = found.groupby("method")["note"].unique().map(list)
    assert notes["Pert (origin)"] == notes["Pert"] == ["read at the mean cell of the corpus"]
    assert notes["Attn (origin)"] == ["read in cells of the corpus"], "attention is read cell by cell"
    assert notes["VVP (raw)"] == [""] and found.set_index("method").loc["of names", "kind"].unique() == ["floor"]
    assert not {"|correlation|", "mean expression"} & set(found["method"]), "these are not the cells of the data set"


def test_the_corpus_is_not_read_for_methods_without_cells(quick, monkeypatch, runs):
    def read(*_, **__):
        raise AssertionError("cells of the corpus were read")

    monkeypatch.setattr(_run, "stand_in_cells", read)
    monkeypatch.setattr(_run, "outside_floors", lambda *_, **__: {"of names": _lengths})
    assert "of names" in set(quick(methods=readings("VVP (raw)"), outside=True)["method"])
    with pytest.raises(AssertionError, match="were read"):
        quick(methods=readings("Pert (origin)"), outside=True)


def _lengths(reference):
    return np.add.outer([len(r) for r in reference.regulators], [len(g) for g in reference.genes]).astype(float)


def test_without_outside_data_the_run_goes_on(quick, tmp_path, runs):
    assert runs.same(quick(), quick(outside=True, path=tmp_path))


def test_a_floor_that_knows_few_of_the_genes_is_left_out(quick, monkeypatch):
    def knows(share):
        return lambda r: np.where(np.arange(len(r.genes)) < share * len(r.genes), _lengths(r), np.nan)

    monkeypatch.setattr(_run, "stand_in_cells", lambda *_, **__: None)
    given = {"nothing": knows(0), "some": knows(0.4), "most": knows(0.7)}
    monkeypatch.setattr(_run, "outside_floors", lambda *_, **__: given)
    assert {"nothing", "some", "most"} & set(quick(outside=True)["method"]) == {"most"}


# arguments

TRAINED_ON = "what the run trains on"
MOVING_MEAN = {"context": "mean", "background": "moving"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"methods": "vvp"}, "list"),
        ({"methods": Entry("vvp")}, "list"),
        ({"methods": ["vpv"]}, "vpv.*vvp"),
        ({"methods": ["VVP (raw)"]}, r"READINGS\['VVP \(raw\)'\]"),
        ({"methods": [("vvp", {"translator": None})]}, "Entry"),
        ({"methods": [Entry("vvp", {"translater": None})]}, "translater"),
        ({"methods": [Entry("vvp", {"translator": "strng"})]}, "strng"),
        ({"methods": [Entry("pert", {"translator": 3})]}, "translator=3"),
        ({"methods": [Entry("vvp", {"order": ["GATA1"]})]}, "cannot be trained.*with order="),
        ({"methods": [Entry("attention", {"max_cells": 3, "translator": "train"})]}, "cannot be trained.*max_cells="),
        ({"methods": [Entry("attention", {"max_cells": 0})]}, "max_cells=0"),
        ({"methods": [Entry("vvp", {"context": "men"})]}, "context='men'; use one of virtual, mean"),
        ({"methods": [Entry("gradient_trajectory", {"background": "movng"})]}, "background='movng'"),
        ({"methods": [Entry("gradient_trajectory", MOVING_MEAN)]}, "needs context='virtual'"),
        ({"methods": [Entry("vvp", {"background": "moving"})]}, "use one of fixed, unknown"),
        ({"methods": [Entry("vvp", {"protocol": "best"})]}, "protocol='best'"),
        ({"methods": [Entry("vvp", {"centred": True})]}, "translator=None with it"),
        ({"methods": [Entry("vvp", {"protocol": "recommended"})]}, "cannot be trained.*with protocol="),
        ({"methods": [Entry("vvp", {"order": ["GATA1"], "translator": "strng"})]}, "strng"),
        ({"methods": [Entry("vvp", {"translator": pd.DataFrame({"a": [1]})})]}, "Translator from"),
        ({"methods": [Entry("ridge", {"alpha": -1.0})]}, "alpha=-1.0"),
        ({"methods": 5}, "methods=5; pass a list"),
        ({"methods": {"ridge": {}}}, "pass a list"),
        ({"methods": [Entry("ugrn", {"translator": None})]}, "averages"),
        ({"methods": [Entry("ridge", {"translator": None})]}, "no parameter 'translator'"),
        ({"methods": [Entry("ridge", "alpha")]}, "dict"),
        ({"methods": [Entry("ridge", variant="shuffled names")]}, "reads none"),
        ({"methods": [Entry("vvp", variant="shuffled")]}, "shuffled weights"),
        ({"methods": [Entry("vvp", variant="untrained SVD")]}, "is for 'universal'"),
        ({"methods": [Entry("universal", variant="untrained SVD")]}, "needs translator='train'"),
        ({"methods": [Entry("universal", variant="shuffled weights")]}, "needs translator='train'"),
        ({"methods": [Entry("universal", {"translator": "string"})]}, "translator='string'; use one of cells"),
        ({"methods": [Entry("universal", {"columns": ["motif"]})]}, "columns= is for"),
        ({"methods": [Entry("universal", {"translator": "train", "columns": ["motive"]})]}, "some of response"),
        ({"methods": [Entry("universal", {"translator": "train", "columns": []})]}, "some of response"),
        ({"methods": [Entry("universal", {"translator": "train", "context": "mean"})]}, "cannot be trained.*context="),
        ({"methods": [Entry("universal", {"relatives": "absent"})]}, "relatives='absent'"),
        ({"methods": ["vvp", Entry("vvp")]}, "label"),
        ({"methods": [Entry("vvp", label="random")]}, "floor"),
        ({"protocols": "paper"}, "list"),
        ({"protocols": 5}, "protocols=5; pass a list"),
        ({"train": 5}, "train=5; pass a list"),
        ({"test": 5}, "test=5; pass a list"),
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
        ({"train": "hESC"}, "'hESC' is no .*pair"),
        ({"test": "hHEP"}, "list"),
        ({"test": []}, "test"),
        ({"test": [3]}, "pair"),
        ({"test": TRAINED_ON}, "one/N"),
        ({"model": "mimi"}, "mini"),
    ],
    ids=repr,
)
def test_bad_arguments(quick, monkeypatch, arguments, message, runs):
    monkeypatch.setattr(BackboneFeatures, "_read", None)  # nothing is computed before they are checked
    if arguments.get("test") == TRAINED_ON:
        arguments = {"test": [runs.ONE]}
    with pytest.raises(ParameterError, match=message):
        quick(**arguments)


def test_nothing_left_to_test(quick, caplog, runs):
    again = runs.with_cells(runs.ONE, expression=None, dataset="again")
    with caplog.at_level("WARNING", logger="grn"), pytest.raises(NetworkError, match="no trial"):
        quick(test=[again], protocols=["strict"])
    assert "both_genes" in caplog.text and "again/N" in caplog.text
    found = quick(test=[again, runs.TWO], protocols=["strict"])
    assert set(found["test"]) == {"two"}, "what can be tested is"


def test_several_training_sets(quick, runs):
    found = quick(train=[runs.ONE, runs.THREE], test=[runs.TWO])
    assert sorted(found["train"].unique()) == ["one/N", "three/N"]
    assert runs.same(found[found["train"] == "one/N"], quick())
    crossed = quick(train=[runs.ONE, runs.TWO], test=[runs.ONE, runs.TWO])
    assert set(zip(crossed["train_dataset"], crossed["test"], strict=True)) == {("one", "two"), ("two", "one")}


def test_beeline_by_name_needs_its_tables(quick, tmp_path):
    with pytest.raises(grn.errors.DataNotFoundError, match="BEELINE"):
        quick(train=("hESC", "STRING"), test=None, path=tmp_path)


def test_scored_pairs_are_those_behind_the_figure(quick, model, runs):
    for protocol, method in (("paper", Entry("vvp", {"translator": None})), ("strict", "vvp")):
        pairs = grn.bench.scored_pairs(method=method, model=model, train=runs.ONE, test=runs.TWO, protocol=protocol)
        probability = ["probability"] if protocol == "strict" else []
        assert list(pairs.columns) == ["source", "target", "label", "score", "same_family", *probability]
        table = quick(methods=[method], protocols=[protocol])
        value = table.query("kind == 'method' and metric == 'auprc' and pairs == 'all'")["value"].item()
        assert grn.bench.metrics.auprc(pairs["label"], pairs["score"]) == pytest.approx(value, abs=1e-12)
    with pytest.raises(CapabilityError, match="cells"):
        grn.bench.scored_pairs(method="pert", model=model, train=runs.ONE, test=runs.TWO)
    with pytest.raises(ParameterError, match="protocol"):
        grn.bench.scored_pairs(method="vvp", model=model, train=runs.ONE, test=runs.TWO, protocol="loose")


@pytest.mark.parametrize("translator", ["universal", "cells"])
def test_probabilities_of_scored_pairs_are_those_of_the_network(translator, runs):
    genes = ["GATA1", "SPI1", "TAL1", "KLF1", "HBB", "CD14", "LYZ", "MPO", "CSF1R", "ALAS2"]
    labels = pd.DataFrame({"source": ["GATA1", "SPI1", "TAL1"], "target": ["HBB", "CD14", "MPO"]})
    one, two = (grn.bench.Reference(labels, genes=genes, dataset=name, organism="human") for name in "ab")
    entry = Entry("universal", {"translator": translator})
    pairs = grn.bench.scored_pairs(method=entry, train=one, test=two)
    adata = ad.AnnData(np.zeros((0, len(genes)), dtype=np.float32), var=pd.DataFrame(index=genes))
    adata.uns["organism"] = "human"
    grn.tl.infer_network(
        adata, method="universal", sources=["GATA1", "SPI1", "TAL1"], params={"translator": translator}, progress=False
    )
    edges = adata.uns["grn"]["edges"].astype({"source": str, "target": str}).set_index(["source", "target"])
    expected = edges["probability"].loc[list(zip(pairs["source"], pairs["target"], strict=True))]
    np.testing.assert_allclose(pairs["probability"], expected, atol=1e-5)


def test_outside_data_are_looked_for_below_path(tmp_path, runs):
    assert _evidence.outside_floors(tmp_path, tmp_path, show=False) == {}
    assert _evidence.stand_in_cells([runs.ONE], tmp_path, show=False) is None
    assert list(Path(tmp_path).iterdir()) == []


def test_protocols_may_be_listed_by_anything(quick):
    assert set(quick(protocols=iter(["paper", "strict"]))["protocol"]) == {"paper", "strict"}


def test_rows_say_what_was_read(quick):
    found = quick(
        methods=readings("VVP", "VVP (raw)", "VVP, shuffled weights"),
        scorers={"mine": lambda _, pairs: pairs.target.str.len()},
        protocols=["paper"],
    )
    seen = found.groupby("method")["seen"].unique().map(", ".join)
    assert seen["VVP (raw)"] == "cells and profiles, gene names"
    assert seen["VVP"] == "cells and profiles, gene names, training labels"
    assert seen["VVP, shuffled weights"] == seen["look-up"] == "training labels"
    assert seen["random"] == "nothing" and seen["own degree"] == "test labels" and seen["mine"] == "not told"
