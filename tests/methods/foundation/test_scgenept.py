"""The network of scGenePT's perturbation flag."""

import anndata as ad
import numpy as np
import pytest
import torch

import grn
from grn.errors import CapabilityError, GroupError, ParameterError

GENES = ["SPI1", "GATA1", "LYZ", "CD14", "CD79A", "CST3", "S100A8", "KLF1", "NKG7"]
SOURCES = ["SPI1", "GATA1"]


@pytest.fixture(scope="module")
def model():
    return grn.models.untrained("scgenept", genes=[*sorted(GENES[:8]), "TP53"], layers=2, width=16, heads=4, rng=3)


@pytest.fixture
def cells():
    """Counts of 24 cells of two groups, half of them controls; the model does not know the last gene."""
    counts = np.random.default_rng(1).poisson(np.linspace(0.5, 9, len(GENES)), size=(24, len(GENES)))
    adata = ad.AnnData(counts.astype(np.float32))
    adata.var_names, adata.obs_names = GENES, [f"cell{i}" for i in range(24)]
    adata.obs["type"] = np.repeat(["a", "b"], 12)
    adata.obs["perturbation"] = ["control", "KLF1"] * 12
    return adata


def infer(adata, model, params=None, **given):
    given = {"sources": SOURCES} | given
    grn.tl.infer_network(adata, method="scgenept_response", model=model, params=params or {}, **given)
    return grn.get.network(adata)


def by_hand(model, adata, rows):
    """Change of the prediction at the flag of each source, cell by cell."""
    known = GENES[:8]
    panel = model.panel(known, known)
    found = {}
    for source in SOURCES:
        changes = []
        for row in rows:
            values = np.log1p(adata.X[row] / adata.X[row].sum() * 1e4)
            values = torch.tensor([[values[adata.var_names.get_loc(gene)] for gene in panel.genes]])
            flags = torch.tensor([[float(gene == source) for gene in panel.genes]])
            changes.append(model.respond_flag(panel, values, flags) - model.respond(panel, values))
        mean = torch.stack(changes).mean(0)[0].tolist()
        found |= {(source, t): w for t, w in zip(panel.targets, mean, strict=True) if t != source}
    return found


def agrees(network, wanted, group=None):
    edges = network.edges if group is None else network.edges[network.edges["group"] == group]
    edges = edges.set_index(["source", "target"])
    assert len(edges) == len(wanted) == 2 * 7
    np.testing.assert_allclose([edges.loc[pair, "weight"] for pair in wanted], list(wanted.values()), atol=1e-6)
    assert np.array_equal(edges["sign"], np.sign(edges["weight"])) and (edges["weight"] < 0).any()


def test_it_is_the_mean_response_over_all_cells(model, cells):
    network = infer(cells, model, {"max_cells": None})
    agrees(network, by_hand(model, cells, range(24)))
    assert network.signed and not network.directed
    assert cells.uns["grn"]["params"]["unknown"].tolist() == ["NKG7"]


def test_it_starts_from_control_cells_of_each_group(model, cells):
    control = {"perturbation": "control"}
    network = infer(cells, model, {"max_cells": None, "control": control}, groupby="type")
    agrees(network, by_hand(model, cells, range(12, 24, 2)), group="b")
    assert cells.uns["grn"]["params"]["control"] == control


def test_order_and_batches_do_not_matter_but_the_draw_does(model, cells):
    first = infer(cells.copy(), model, {"max_cells": 10})
    rng = np.random.default_rng(0)
    mixed = cells[rng.permutation(24), rng.permutation(len(GENES))].copy()
    second = infer(mixed, model, {"max_cells": 10}, batch_size=3)
    wide = [network.edges.pivot(index="target", columns="source", values="weight") for network in (first, second)]
    np.testing.assert_allclose(*wide, atol=1e-6)
    third = infer(cells.copy(), model, {"max_cells": 10}, rng=1)
    assert not np.allclose(first.edges["weight"], third.edges["weight"])


def test_panels_are_divided_where_the_model_takes_few_genes(model, cells):
    """Other genes are then presented with a pair, so numbers change; every pair is there once."""
    small = grn.models.untrained("scgenept", genes=sorted(GENES[:8]), layers=1, width=8, heads=2)
    small.max_genes = 4
    assert len(infer(cells, small)) == 2 * 7


@pytest.mark.parametrize(
    ("params", "error", "told"),
    [
        ({"max_cells": True}, ParameterError, "max_cells=True"),
        ({"control": "control"}, ParameterError, "pass one column of obs and its value"),
        ({"control": {"drug": "none"}}, GroupError, "no column 'drug'; columns: type, perturbation"),
        ({"control": {"perturbation": "wild"}}, GroupError, "the object has no cell with"),
    ],
)
def test_what_is_refused(model, cells, params, error, told):
    with pytest.raises(error, match=told):
        infer(cells, model, params)
    assert not cells.uns


def test_a_group_without_controls_is_named(model, cells):
    cells.obs.loc[cells.obs["type"] == "b", "perturbation"] = "KLF1"
    with pytest.raises(GroupError, match=r"group 'b' of obs\['type'\] has no cell"):
        infer(cells, model, {"control": {"perturbation": "control"}}, groupby="type")


def test_other_models_are_refused(cells):
    other = grn.models.untrained("scgpt", genes=GENES, layers=1, width=8, heads=2)
    with pytest.raises(CapabilityError, match="'scgenept_response' reads models of the family scgenept"):
        infer(cells, other)
