"""Names of genes: other kinds, unknown, repeated, absent."""

import numpy as np
import pandas as pd
import pytest

import grn
from grn import genes
from grn.errors import CapabilityError, GeneNameError, GeneOverlapError, ParameterError
from grn.genes import tables

PROBES = ("vvp", "gradient_trajectory", "probe", "pert", "attention")
PAIR_FUNCTIONS = (*PROBES, "infer_network")


def mouse_names(symbols):
    found = {
        pair.symbol: mouse for mouse, pairs in tables.orthologs().items() for pair in pairs if pair.kind == "one2one"
    }
    return [found[symbol] for symbol in symbols]


def call(adata, model, function, **arguments):
    if function == "infer_network":
        arguments = {"method": "vvp", "params": {"translator": None}, **arguments}
    getattr(grn.tl, function)(adata, model=model, **arguments)


@pytest.mark.parametrize("kind", ["ensembl", "ensembl_version", "mouse"])
@pytest.mark.parametrize("aligned", [False, True])
def test_other_names_give_the_same_numbers(random_model, toy, kind, aligned):
    other = toy.copy()
    if kind == "mouse":
        other.var_names = mouse_names(toy.var_names)
    else:
        ids = genes.resolve(toy.var_names, organism="human")["ensembl"]
        other.var_names = [name + (".7" if kind == "ensembl_version" else "") for name in ids]
    del toy.var["is_regulator"], other.var["is_regulator"]
    if aligned:
        grn.pp.align_genes(other)
    sources = np.array([0, 4])
    for adata in (toy, other):
        grn.tl.pert(adata, model=random_model, sources=adata.var_names[sources])
        grn.tl.infer_network(adata, model=random_model, method="vvp", params={"translator": None})
    assert np.array_equal(toy.varm["pert"], other.varm["pert"], equal_nan=True)
    assert other.uns["pert"]["sources"].tolist() == list(other.var_names[sources])
    known, found = grn.get.edges(toy), grn.get.edges(other)
    names = dict(zip(toy.var_names, other.var_names, strict=True))
    assert len(found) == 8 * 47, "the regulators are found by themselves"
    renamed = pd.Series({(names[s], names[t]): w for s, t, w in known[["source", "target", "weight"]].to_numpy()})
    assert np.allclose(found["weight"], renamed[list(zip(found["source"], found["target"], strict=True))], atol=1e-6)


@pytest.mark.parametrize("function", PAIR_FUNCTIONS)
class TestBadNames:
    def test_unknown_names(self, refuses, planted, toy, function):
        def f(adata, **arguments):
            call(adata, planted(), function, **arguments)

        message = refuses(GeneNameError, f, toy, sources=["GATA1", "SPII1", "nobody"])
        assert "2 of 3 sources are not in adata.var_names: SPII1, nobody" in message and "'SPI1'" in message
        assert "1 of 1 targets" in refuses(GeneNameError, f, toy, targets=["gata1"])
        assert "list of names" in refuses(ParameterError, f, toy, sources="GATA1")
        assert "empty" in refuses(ParameterError, f, toy, targets=[])

    def test_duplicated_and_empty_names(self, refuses, planted, toy, function):
        def f(adata, **arguments):
            call(adata, planted(), function, **arguments)

        twice = toy.copy()
        twice.var_names = ["GATA1", "GATA1", *toy.var_names[2:]]
        message = refuses(GeneNameError, f, twice)
        assert "GATA1" in message and "duplicated()" in message
        twice.var_names = ["", *toy.var_names[1:]]
        assert "empty" in refuses(GeneNameError, f, twice)

    def test_two_rows_for_one_gene(self, refuses, planted, toy, function):
        toy.var["grn_symbol"] = ["GATA1", "GATA1", *toy.var_names[2:]]
        message = refuses(GeneNameError, lambda adata: call(adata, planted(), function), toy)
        assert "'GATA1' and 'SPI1' both stand for 'GATA1'" in message and "align_genes" in message

    def test_nothing_known(self, refuses, planted, toy, function):
        """Names of no organism, genes the model lacks, no regulator."""

        def f(adata, **arguments):
            call(adata, planted(), function, **arguments)

        foreign = toy.copy()
        foreign.var_names = [f"gene-{i}" for i in range(48)]
        assert "fit neither human nor mouse" in refuses(GeneNameError, f, foreign)
        assert "TP53" in refuses(GeneOverlapError, f, renamed(toy, 0, "TP53"), sources=["TP53"])
        toy.var["is_regulator"] = False
        assert "annotate_regulators" in refuses(GeneOverlapError, f, toy)

    def test_not_an_anndata(self, planted, toy, function):
        with pytest.raises(ParameterError, match="type DataFrame"):
            call(toy.to_df(), planted(), function)


def renamed(adata, position, name):
    made = adata.copy()
    names = list(made.var_names)
    names[position] = name
    made.var_names = names
    return made


@pytest.mark.parametrize("function", [*PROBES, "embedding"])
def test_lost_genes_are_reported(planted, toy, function, caplog):
    """TP53 is a gene that this model does not know, 'nonsense' is none."""
    adata = renamed(renamed(toy, 1, "TP53"), 20, "nonsense")
    with caplog.at_level("INFO", logger="grn"):
        call(adata, planted(), function)
    key = {"probe": "vvp", "embedding": "X_planted"}.get(function, function)
    assert adata.uns[key]["unknown"].tolist() == ["TP53", "nonsense"]
    assert adata.uns[key]["params"]["n_unknown"] == 2
    rows = np.isnan(adata.varm[key]).reshape(48, -1).all(axis=1)
    assert list(adata.var_names[rows]) == ["TP53", "nonsense"]
    if function != "embedding":
        assert "TP53" not in adata.uns[key]["sources"] and adata.uns[key]["params"]["n_lost_sources"] == 1
        assert "does not know 1 of 8 regulators (TP53) and 2 of 48 genes" in caplog.text


def test_lost_genes_in_a_network(planted, toy):
    adata = renamed(toy, 1, "TP53")
    call(adata, planted(), "infer_network")
    params = adata.uns["grn"]["params"]
    assert params["lost_sources"].tolist() == ["TP53"] and params["unknown"].tolist() == ["TP53"]
    edges = grn.get.edges(adata)
    assert len(edges) == 7 * 46 and "TP53" not in set(edges["source"]) | set(edges["target"])


@pytest.mark.parametrize(
    ("function", "capability"),
    [
        ("vvp", "value"),
        ("pert", "value"),
        ("probe", "gradient"),
        ("attention", "attention"),
        ("embedding", "embedding"),
    ],
)
def test_missing_capability_names_what_there_is(refuses, planted, toy, function, capability):
    model = planted(name="poor")
    model.capabilities = model.capabilities - {capability}
    message = refuses(CapabilityError, getattr(grn.tl, function), toy, model=model)
    assert repr(capability) in message and "'poor' offers: " + ", ".join(sorted(model.capabilities)) in message
    if function != "probe":
        method = {"method": function, "params": {} if function in ("pert", "attention") else {"translator": None}}
        refuses(CapabilityError, grn.tl.infer_network, toy, model=model, **method)


def test_separate_source_and_target_vocabularies(planted, weights, toy):
    class Narrow(type(planted())):
        source_genes = ("GATA1", "SPI1")
        target_genes = tuple(weights.index[8:])

    model = Narrow(weights)
    grn.tl.vvp(toy, model=model)
    assert toy.uns["vvp"]["sources"].tolist() == ["GATA1", "SPI1"]
    assert toy.uns["vvp"]["params"]["n_lost_sources"] == 6
    known = np.isfinite(toy.varm["vvp"]).all(axis=(1, 2))
    assert list(toy.var_names[known]) == list(toy.var_names[8:])


def test_a_single_source_is_no_target_that_could_not_be_read(planted, toy, caplog):
    grn.tl.vvp(toy, model=planted(), sources=["MYB"])
    assert "could not be read" not in caplog.text


def test_targets_without_an_answer_are_counted(planted, toy, caplog):
    class Deaf(type(planted())):
        def respond(self, panel, values, *, context=None):
            found = super().respond(panel, values)
            found[:, [panel.targets.index("SPI1"), panel.targets.index("GATA1")]] = float("nan")
            return found

    grn.tl.vvp(toy, model=Deaf(planted().weights), sources=["MYB", "SPI1"])
    assert f"vvp: 2 of {toy.n_vars} targets could not be read" in caplog.text
