"""What was asked for by name and is lost is told by name; what is lost by default is one line."""

import logging

import pandas as pd
import pytest

import grn
from grn._core.logging import HINT
from grn.errors import GeneOverlapError

PROBES = ("vvp", "gradient_trajectory", "probe", "pert", "attention")


@pytest.fixture
def adata():
    found = grn.datasets.toy(n_cells=60, n_regulators=4, n_targets=8)
    found.var_names = [*found.var_names[:-1], "NOVEL1"]
    return found


@pytest.fixture
def model(adata):
    names = [name for name in adata.var_names if name not in ("NOVEL1", "SPI1")]
    return grn.models.untrained("scgpt", genes=names, layers=1, width=8, heads=2)


@pytest.fixture
def said(caplog):
    def lines(level=logging.WARNING):
        found = [record.getMessage() for record in caplog.records if record.levelno == level]
        caplog.clear()
        return found

    return lines


def regulators(adata):
    return adata.uns["truth"]["source"].unique().tolist()


@pytest.mark.parametrize("name", PROBES)
def test_probes_name_sources_and_targets_that_the_model_lacks(name, adata, model, said):
    arguments = {"context": "virtual"} if name in ("vvp", "gradient_trajectory", "probe") else {}
    kept = next(gene for gene in regulators(adata) if gene != "SPI1")
    getattr(grn.tl, name)(adata, model=model, sources=["SPI1", kept], targets=["NOVEL1", "SPI1", kept], **arguments)
    assert said() == [
        "scgpt-untrained does not know 1 of 2 sources: SPI1",
        "scgpt-untrained does not know 2 of 3 targets: NOVEL1, SPI1",
    ]
    with pytest.raises(GeneOverlapError, match="SPI1"):
        getattr(grn.tl, name)(adata, model=model, sources=["SPI1"], **arguments)


@pytest.mark.parametrize("method", ["ugrn", "vvp", "attention", "embedding", "scgpt_attention", "scgpt_embedding"])
def test_networks_of_models_say_it_once(method, adata, model, said):
    params = {"translator": None} if method in ("vvp", "embedding") else {}
    arguments = {"model": "mini"} if method == "ugrn" else {"model": model, "params": params}
    lost, kept = ("NOVEL1", "SPI1") if method == "ugrn" else ("SPI1", "GATA1")
    grn.tl.infer_network(adata, method=method, sources=[lost, kept], **arguments)
    assert said() == [f"{grn.models.load(arguments['model']).name} does not know 1 of 2 sources: {lost}"]


def test_what_is_lost_by_default_is_one_line(adata, model, caplog):
    grn.tl.vvp(adata, model=model)
    hints = [record.getMessage() for record in caplog.records if record.levelno == HINT]
    n = adata.n_vars
    listed = int(grn.genes.resolve(adata.var_names)["native"].isin(grn.genes.regulators("human")).sum())
    assert hints == [
        f"scgpt-untrained does not know 1 of {listed} regulators (SPI1) and 2 of {n} genes; they are left out"
    ]


@pytest.mark.parametrize("method", ["correlation", "ridge", "celloracle", "grnboost2", "genie3"])
def test_sources_and_targets_without_edges_are_named(method, adata, said):
    silent = regulators(adata)[0]
    values = adata.X.toarray()
    values[:, list(adata.var_names).index(silent)] = 0
    values[:, list(adata.var_names).index("NOVEL1")] = 0
    adata.X = values
    arguments = {"sources": regulators(adata), "targets": [*regulators(adata), "NOVEL1"]}
    grn.tl.infer_network(adata, method=method, **arguments)
    found = said()
    assert f"1 of 4 sources asked for have no edge: {silent}" in found
    assert any(line.startswith("2 of 5 targets asked for have no edge") and "NOVEL1" in line for line in found)
    if method == "celloracle":
        grn.tl.celloracle(adata, **arguments, max_p=None)
        assert f"1 of 4 sources asked for have no edge: {silent}" in said()


def test_nothing_lost_nothing_said(adata, said, caplog):
    some = regulators(adata)
    grn.tl.infer_network(adata, method="correlation", sources=some[:1], targets=some)
    grn.tl.infer_network(adata, method="correlation", sources=some, targets=some[:1])
    grn.tl.vvp(adata, sources=["SPI1", "TAL1"], targets=["FBXL17", "TAL1"])
    assert [r.getMessage() for r in caplog.records] == []


@pytest.mark.parametrize("method", ["universal", "vvp", "correlation"])
def test_a_network_without_edges_is_told_and_its_worth_is_not(method, adata, said):
    adata.var_names = ["SPI1", *(f"NOVEL{i}" for i in range(1, adata.n_vars))]
    grn.tl.infer_network(adata, method=method, sources=["SPI1"], targets=["SPI1"])
    assert len(adata.uns["grn"]["edges"]) == 0
    lines = [*said(), *said(HINT)]
    assert [line for line in lines if "has no edges" in line] and not [line for line in lines if "AUPRC" in line]


def test_all_genes_are_not_asked_for_by_name(adata, said):
    values = adata.X.toarray()
    values[:, -1] = 0
    adata.X = values
    grn.tl.scrank(adata, groupby="group", drug_targets=["SPI1"], n_resamples=2)
    grn.tl.infer_network(adata, method="correlation", sources=list(adata.var_names), targets=list(adata.var_names))
    assert not [line for line in said() if "asked for" in line]


def test_a_base_grn_without_a_source_asked_for(adata, said):
    table = adata.uns["truth"][["source", "target"]]
    gone = regulators(adata)[0]
    table = table[(table["source"] != gone) & (table["target"] != adata.var_names[-1])]
    for function in (grn.tl.celloracle, lambda a, **k: grn.tl.infer_network(a, method="ridge", params=k)):
        if function is grn.tl.celloracle:
            function(adata, base_grn=table, sources=regulators(adata), max_p=None)
        else:
            grn.tl.infer_network(adata, method="ridge", sources=regulators(adata), params={"base_grn": table})
        assert f"1 of 4 sources asked for have no edge: {gone}" in said()


def test_views_of_a_network_name_what_they_lack(adata, said):
    grn.tl.infer_network(adata, method="correlation")
    grn.get.edges(adata, sources=[regulators(adata)[0], "KLF99"])
    assert said() == ["1 of 2 sources are not in the network: 'KLF99'"]


def test_constant_genes_of_many_groups_are_one_line(said):
    adata = grn.datasets.toy(n_cells=160, n_regulators=4, n_targets=8)
    values = adata.X.toarray()
    values[:, -1] = 1
    adata.X = values
    adata.obs["part"] = [f"p{i % 4}" for i in range(adata.n_obs)]
    grn.tl.infer_network(adata, method="correlation", groupby="part")
    assert said() == [
        f"1 genes do not vary in group 'p0' and get no edges: {adata.var_names[-1]} (likewise p1, p2, p3)"
    ]


def test_labelled_pairs_without_features_are_counted(adata, model, caplog):
    grn.tl.vvp(adata, model=model, sources=["GATA1", "TAL1", "KLF1"])
    pairs = [(source, target) for source in ("GATA1", "TAL1", "KLF1") for target in adata.var_names[4:9]]
    labels = pd.DataFrame([*pairs, ("KLF99", "ACBD7"), ("GATA1", "NOVEL1")], columns=["source", "target"])
    labels["label"] = [i % 2 for i in range(len(labels))]
    grn.tl.fit_translator(adata, labels, members=1, epochs=2, validation=0.5)
    hints = [record.getMessage() for record in caplog.records if record.levelno == HINT]
    assert hints[-1] == "2 of 17 labelled pairs have no features and are left out"
