"""What a fit of RENGE, and of any method, predicts after a knock-out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import grn
from grn._core.errors import GeneNameError, NetworkError, ParameterError, ResultNotFoundError
from grn.methods import METHODS, Method, Result, Table
from grn.methods.knockout import Course
from grn.network import Network

COLUMNS = {"perturbation": "perturbation", "time": "time", "control": "control"}


@pytest.fixture(scope="module")
def adata():
    found = grn.datasets.toy_perturbation(n_cells=30, n_regulators=4, n_targets=3, n_knockouts=3, n_times=3)
    grn.tl.renge(found, **COLUMNS, C=1e-3, l1_ratio=0.1, n_k=2, n_boot=0)
    return found


def test_it_follows_the_cells_of_the_screen(adata):
    cells = pd.DataFrame(adata.X.toarray(), columns=adata.var_names, index=adata.obs_names)
    means = cells.groupby([adata.obs["perturbation"].astype(str), adata.obs["time"]]).mean()
    gene = adata.var_names[0]
    found = grn.tl.predict_knockout(adata, genes=gene)
    assert found.index.name == "time" and found.index.tolist() == [1, 2, 3] and found[gene].tolist() == [0, 0, 0]
    effect = (means.loc[gene] - means.loc["control"])[found.columns].drop(columns=gene)
    wanted = grn.tl.predict_knockout(adata, genes=gene, difference=True).drop(columns=gene)
    assert np.corrcoef(effect.to_numpy().ravel(), wanted.to_numpy().ravel())[0, 1] > 0.95


def test_difference_dose_and_steps(adata):
    gene = adata.var_names[1]
    change = grn.tl.predict_knockout(adata, genes=gene, difference=True)
    half = grn.tl.predict_knockout(adata, genes=gene, difference=True, dose=0.5)
    np.testing.assert_allclose(half * 2, change, atol=1e-12)
    nothing = grn.tl.predict_knockout(adata, genes=gene, dose=0)
    fitted = adata.uns["renge"]["fit"]
    levels = pd.DataFrame(fitted["level"], columns=fitted["genes"]).drop(columns=gene)
    np.testing.assert_allclose(nothing.drop(columns=gene), levels)
    direct = grn.tl.predict_knockout(adata, genes=gene, difference=True, max_steps=1).drop(columns=gene)
    k = list(fitted["genes"]).index(gene)
    weights = pd.Series(fitted["network"][:, k], index=fitted["genes"])[direct.columns]
    share = direct.iloc[-1] / (-weights * fitted["control_level"][k])
    np.testing.assert_allclose(share[weights != 0], share[weights != 0].iloc[0])
    assert 0 < share[weights != 0].iloc[0] <= 1


def test_several_genes_are_knocked_out_one_by_one(adata):
    genes = [adata.var_names[2], adata.var_names[0]]
    found = grn.tl.predict_knockout(adata, genes=genes)
    assert found.index.names == ["knockout", "time"] and found.index.get_level_values(0).unique().tolist() == genes
    pd.testing.assert_frame_equal(found.loc[genes[0]], grn.tl.predict_knockout(adata, genes=genes[0]))


def by_hand(fit, knocked, depth):
    """The formula of two or more knock-outs, gene by gene and path by path."""
    genes = list(fit["genes"])
    network, places = np.asarray(fit["network"]), [genes.index(gene) for gene in knocked]
    stop = np.diag([0.0 if k in places else 1.0 for k in range(len(genes))])
    change = np.zeros((len(fit["times"]), len(genes)))
    for k in places:
        for row, time in enumerate(fit["times"]):
            for j in range(depth):
                path = np.linalg.matrix_power(network @ stop, j) @ network[:, k] * -fit["control_level"][k]
                change[row] += path / (1 + np.exp(-(fit["alpha"][k] + fit["beta"] * time - fit["gamma"] * j)))
    change[:, places] = -np.asarray(fit["control_level"])[places]
    return change


def test_genes_of_an_inner_list_are_knocked_out_together(adata):
    one, two, three = adata.var_names[:3]
    found = grn.tl.predict_knockout(adata, genes=[(two, one), three, [one, two, three]], difference=True)
    pair, triple = "+".join(sorted([one, two])), "+".join(sorted([one, two, three]))
    assert found.index.get_level_values(0).unique().tolist() == [pair, three, triple]
    fit = adata.uns["renge"]["fit"]
    np.testing.assert_allclose(found.loc[pair], by_hand(fit, [one, two], 2), atol=1e-12)
    np.testing.assert_allclose(found.loc[triple], by_hand(fit, [one, two, three], 2), atol=1e-12)
    pd.testing.assert_frame_equal(found.loc[three], grn.tl.predict_knockout(adata, genes=three, difference=True))
    # a set is one set however it is written, and one gene in brackets is that gene
    again = grn.tl.predict_knockout(adata, genes=[[one, two], (two, one), (three,), three], difference=True)
    pd.testing.assert_frame_equal(again, found.loc[[pair, three]])
    # direct effects of a pair are those of its members, paths through the other member are not
    direct = {"difference": True, "max_steps": 1}
    both = grn.tl.predict_knockout(adata, genes=[(one, two)], **direct).loc[pair].drop(columns=[one, two])
    single = [grn.tl.predict_knockout(adata, genes=gene, **direct).drop(columns=[one, two]) for gene in (one, two)]
    pd.testing.assert_frame_equal(both, single[0] + single[1])
    levels = grn.tl.predict_knockout(adata, genes=[(one, two)]).loc[pair]
    assert (levels[[one, two]] == 0).all(axis=None)


def test_a_gene_that_was_never_knocked_out_borrows_its_delay(adata, caplog):
    gene = adata.var_names[3]
    assert np.isfinite(grn.tl.predict_knockout(adata, genes=gene)).all(axis=None)
    assert gene in caplog.text and "mean of the others" in caplog.text


def test_other_times_have_a_change_but_no_level(adata):
    gene = adata.var_names[0]
    found = grn.tl.predict_knockout(adata, genes=gene, times=[2.5, 10], difference=True)
    assert found.index.tolist() == [2.5, 10]
    assert grn.tl.predict_knockout(adata, genes=gene, times=[3, 1]).index.tolist() == [3, 1]
    with pytest.raises(ParameterError, match=r"2\.5 are not in the screen \(1, 2, 3\)"):
        grn.tl.predict_knockout(adata, genes=gene, times=[1, 2.5])


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"genes": "GATAX"}, GeneNameError, "GATA1"),
        ({"genes": 3}, ParameterError, "int"),
        ({"genes": []}, ParameterError, "empty"),
        ({"genes": ["GATA1", ()]}, ParameterError, "empty set"),
        ({"genes": [("GATA1", "GATA1")]}, ParameterError, "names a gene twice"),
        ({"genes": [("GATA1", "GATAX"), "GATAY"]}, GeneNameError, "2 of 3 genes"),
        ({"genes": "GATA1", "key": "grn"}, ResultNotFoundError, "no fit that predicts knock-outs; run .*grn.tl.renge"),
        ({"genes": "GATA1", "times": "soon"}, ParameterError, "times='soon'"),
        ({"genes": "GATA1", "dose": None}, ParameterError, "dose=None"),
        ({"genes": "GATA1", "max_steps": 3}, ParameterError, "to 2, n_k of the fit"),
    ],
)
def test_what_is_refused(adata, arguments, error, match):
    with pytest.raises(error, match=match):
        grn.tl.predict_knockout(adata, **arguments)


def _halved(inputs):
    """A method whose fit says that all genes of a group halve without the first one, and that writes a layer."""
    groups, _ = inputs.groups
    names = inputs.names
    edges = pd.DataFrame({"source": names[0], "target": names[1], "weight": 1.0, "group": list(groups)})
    fit = {"genes": names, "groups": np.array(groups), "level": np.ones((len(groups), len(names)))}
    layers = {"half": np.full((inputs.n_cells, len(names)), 0.5)}
    network = Network(edges, genes=names, directed=True, signed=False)
    return Result(network, {"fit": fit}, layers=layers)


def _half(fit, params, question):
    question.refuse("halved", "max_steps")
    times = np.array([np.inf]) if question.times is None else question.times
    shape = (len(question.sets), len(times), len(fit["genes"]))
    value = (0.0 if question.difference else 1.0) - question.dose / 2
    return {str(group): Course(times, np.full(shape, value)) for group in fit["groups"]}


@pytest.fixture
def halved():
    record = Method("halved", _halved, "half of everything", signed=False, probability=False, reference="none",
                    needs=("cells",), whole=True, knockout=_half, tables={"fit": Table("levels")})  # fmt: skip
    METHODS.add(record.name, record)
    yield grn.datasets.toy(n_cells=40, n_regulators=3, n_targets=4)
    del METHODS._records[record.name]


def test_any_method_with_a_fit_predicts(halved):
    grn.tl.infer_network(halved, method="halved", groupby="group", key_added="halved")
    assert (halved.layers["halved_half"] == 0.5).all()
    genes = halved.var_names[:2].tolist()
    table = grn.tl.predict_knockout(halved, genes=genes, key="halved")
    assert table.index.names == ["group", "knockout", "time"] and len(table) == 4 and (table == 0.5).all(axis=None)
    alone = grn.tl.predict_knockout(halved, genes=genes[0], key="halved", times=[1, 2], difference=True, dose=0.5)
    assert alone.index.names == ["group", "time"] and len(alone) == 4 and (alone == -0.25).all(axis=None)
    with pytest.raises(ParameterError, match="max_steps=2 means nothing for a fit of halved"):
        grn.tl.predict_knockout(halved, genes=genes, key="halved", max_steps=2)
    grn.tl.infer_network(halved, method="correlation", key_added="plain")
    with pytest.raises(ResultNotFoundError, match="a network of correlation, with no fit"):
        grn.tl.predict_knockout(halved, genes=genes, key="plain")


def test_a_layer_fits_cells_and_genes(halved):
    method = METHODS["halved"]
    odd = replace(method, fit=lambda inputs: replace(_halved(inputs), layers={"half": np.ones((3, 2))}))
    METHODS.add("halved", odd, replace=True)
    with pytest.raises(NetworkError, match=r"layer 'half' of method 'halved' is \(3, 2\); expected \(cells, genes\)"):
        grn.tl.infer_network(halved, method="halved", groupby="group")
    assert "grn_half" not in halved.layers and "grn" not in halved.uns
