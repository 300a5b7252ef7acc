"""Methods and models of a user work by name."""

import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import ParameterError, WeightsNotFoundError
from grn.methods import METHODS, Method
from grn.models import _registry


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    monkeypatch.setattr(METHODS, "_records", dict(METHODS._records))
    monkeypatch.setattr(_registry._RECORDS, "_records", dict(_registry._RECORDS._records))


def correlate(inputs, *, power: float = 1.0):
    """Correlation of expression as a network; knows no model."""
    names = list(inputs.names)
    table = pd.DataFrame(inputs.expression.rows(np.arange(inputs.n_cells)), columns=names).corr()
    sources = inputs.task.sources or names[:2]
    rows = [(s, t, table.loc[s, t] ** power) for s in sources for t in names if s != t]
    edges = pd.DataFrame(rows, columns=["source", "target", "weight"])
    return grn.Network(edges, genes=names, params={"power": power})


RECORD = Method(
    "mine", correlate, "Pearson correlation", signed=True, probability=False, reference="", needs=("cells",), whole=True
)


def test_a_method_by_name(toy, planted):
    METHODS.add("mine", RECORD)
    assert grn.tl.methods().loc["mine", "parameters"] == "power=1.0"
    arguments = {"method": "mine", "model": planted(), "params": {"power": 3.0}, "sources": ["MYB"]}
    grn.tl.infer_network(toy, **arguments)
    edges = grn.get.edges(toy)
    expected = toy.to_df().corr().loc["MYB", edges["target"].astype(str)] ** 3
    assert np.allclose(edges["weight"], expected)
    assert toy.uns["grn"]["params"]["power"] == 3.0 and toy.uns["grn"]["params"]["method"] == "mine"


def test_a_method_without_a_model(toy):
    """A method that asks nothing of the model runs on genes that the model does not know."""
    METHODS.add("mine", RECORD)
    adata = toy[:, 8:28].copy()
    adata.var_names = [f"OR{i}" for i in range(20)]
    grn.tl.infer_network(adata, method="mine")
    assert len(grn.get.edges(adata)) == 2 * 19


def test_a_method_that_fails_leaves_the_object(toy, refuses, planted):
    def broken(inputs):
        raise ParameterError("this method cannot be used here.")

    METHODS.add("broken", Method("broken", broken, "fails", signed=False, probability=False, reference=""))
    refuses(ParameterError, grn.tl.infer_network, toy, method="broken", model=planted())


def test_a_name_is_taken_once():
    METHODS.add("mine", RECORD)
    with pytest.raises(ParameterError, match="replace=True"):
        METHODS.add("mine", RECORD)
    METHODS.add("mine", RECORD, replace=True)


@pytest.mark.parametrize("function", ["vvp", "gradient_trajectory", "pert", "attention", "embedding"])
def test_a_model_by_name(toy, planted, function):
    model = planted(name="mine")
    grn.models.register("mine", lambda: model, description="planted")
    assert grn.models.available()["mine"] == "planted"
    getattr(grn.tl, function)(toy, model="mine", key_added="by_name")
    getattr(grn.tl, function)(toy, model=model, key_added="as_object")
    assert np.array_equal(toy.varm["by_name"], toy.varm["as_object"], equal_nan=True)
    params = {} if function in ("pert", "attention") else {"translator": None}
    grn.tl.infer_network(toy, model="mine", method=function, params=params)
    assert toy.uns["grn"]["params"]["model"] == "mine"


def test_a_model_of_ensembl_ids(toy, planted, weights):
    """A vocabulary of Ensembl ids gives the numbers that symbols give."""
    ids = dict(zip(toy.var_names, grn.genes.resolve(toy.var_names, organism="human")["ensembl"], strict=True))

    class ByEnsembl(type(planted())):
        gene_id_kind = "ensembl"

    model, known = ByEnsembl(weights, name="ids"), planted()
    model.genes = tuple(sorted(ids.values()))
    model.weights = weights.rename(index=ids, columns=ids).loc[list(model.genes), list(model.genes)]
    for function in ("vvp", "pert"):
        getattr(grn.tl, function)(toy, model=model, key_added="ids")
        getattr(grn.tl, function)(toy, model=known, key_added="symbols")
        assert np.allclose(toy.varm["ids"], toy.varm["symbols"], atol=1e-5, equal_nan=True)


def test_models_that_do_not_exist(toy, refuses, tmp_path):
    assert "mini" in refuses(ParameterError, grn.tl.vvp, toy, model="mimi")
    assert "absent" in refuses(WeightsNotFoundError, grn.tl.vvp, toy, model=tmp_path / "absent.safetensors")
