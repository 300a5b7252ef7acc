"""Simulations that run on what a method fitted itself."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import grn
from grn._core.errors import GeneOverlapError, GroupError, ParameterError, ResultNotFoundError
from grn.methods import METHODS, Method, Result, Table
from grn.network import Network

# regulator, target
WEIGHTS = {("GATA1", "SPI1"): -0.5, ("SPI1", "TAL1"): 0.4, ("GATA1", "TAL1"): 0.3}


def _fit(inputs):
    edges = pd.DataFrame([(*pair, weight) for pair, weight in WEIGHTS.items()], columns=["source", "target", "weight"])
    genes = np.array(["TAL1", "GATA1", "SPI1"])  # neither sorted nor in the order of the object
    network = Network(edges, genes=inputs.names, directed=True, signed=True)
    return Result(network, {"fit": {"genes": genes, "scale": 1.0}})


def _response(fit, params, *, steps):
    names = fit["genes"].tolist()
    matrix = np.zeros((3, 3))
    for (source, target), weight in WEIGHTS.items():
        matrix[names.index(source), names.index(target)] = weight

    def follow(values, genes, start):
        change = np.zeros(values.shape)
        change[:, genes] = start
        for _ in range(steps):
            change = change @ matrix
            change[:, genes] = start
        return change

    return dict.fromkeys(params.get("fitted_groups", ("",)), follow)


@pytest.fixture
def record():
    method = Method("linear_dynamics", _fit, "a linear dynamic", signed=True, probability=False, reference="none",
                    needs=("cells",), whole=True, response=_response, tables={"fit": Table("names")})  # fmt: skip
    METHODS.add(method.name, method)
    yield method
    del METHODS._records[method.name]


@pytest.fixture
def cells(record):
    adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=3)
    grn.tl.infer_network(adata, method=record.name, key_added="own")
    return adata


@pytest.mark.parametrize("steps", [1, 2])
def test_a_linear_fit_does_what_its_weights_do(cells, steps):
    same = {"perturbation": {"GATA1": 0}, "net": "own", "n_propagation": steps}
    grn.tl.simulate(cells, **same, layer_added="fit")
    grn.tl.simulate(cells, **same, coefficients="weight", layer_added="weight", key_added="by_weight")
    assert cells.uns["simulation"]["params"]["coefficients"] == "fit"
    np.testing.assert_allclose(cells.layers["fit"].toarray(), cells.layers["weight"].toarray(), atol=1e-6)
    columns = ["group", "gene", "effect", "direct", "perturbed"]
    tables = (cells.uns[key]["effects"][columns] for key in ("simulation", "by_weight"))
    pd.testing.assert_frame_equal(*tables, rtol=1e-5)


def test_neither_the_order_of_genes_nor_that_of_cells_matters(cells):
    turned = cells[::-1, ::-1].copy()
    for adata in (cells, turned):
        grn.tl.simulate(adata, perturbation={"GATA1": 0}, net="own")
    pd.testing.assert_frame_equal(cells.uns["simulation"]["effects"], turned.uns["simulation"]["effects"], rtol=1e-5)


def test_a_fit_by_group(cells):
    groups = cells.obs["group"].astype(str)
    cells.uns["own"]["params"]["fitted_groups"] = sorted(set(groups))
    grn.tl.simulate(cells, perturbation={"GATA1": 0}, net="own", groupby="group")
    assert set(cells.uns["simulation"]["effects"]["group"]) == set(groups)
    cells.uns["own"]["params"]["fitted_groups"] = sorted(set(groups))[:1]
    with pytest.raises(GroupError, match="has no group"):
        grn.tl.simulate(cells, perturbation={"GATA1": 0}, net="own", groupby="group")


def test_what_is_refused(cells, record):
    with pytest.raises(ParameterError, match="is for linear networks"):
        grn.tl.simulate(cells, perturbation={"GATA1": 0}, net="own", mode="steady")
    few = cells[:, [name for name in cells.var_names if name != "TAL1"]].copy()
    with pytest.raises(GeneOverlapError, match="1 of 3 genes of the fit"):
        grn.tl.simulate(few, perturbation={"GATA1": 0}, net="own")
    grn.tl.infer_network(cells, method="correlation", key_added="plain")
    with pytest.raises(ResultNotFoundError, match=r"a network of correlation.*linear_dynamics"):
        grn.tl.simulate(cells, perturbation={"GATA1": 0}, net="plain", coefficients="fit")
    METHODS.add(record.name, replace(record, response=None), replace=True)
    grn.tl.simulate(cells, perturbation={"GATA1": 0}, net="own")
    assert cells.uns["simulation"]["params"]["coefficients"] == "refit"
