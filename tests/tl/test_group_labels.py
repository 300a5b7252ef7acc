"""Whatever the labels of the groups are, every group keeps what belongs to it."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import GroupError

PAIR = ("L2/3", "L2_3")


@pytest.fixture
def cells():
    adata = grn.datasets.toy(n_cells=120, n_regulators=3, n_targets=6)
    adata.obs["one"] = np.where(np.arange(120) % 3 == 0, "a", "b")
    return adata


def named(adata, labels, column="named"):
    adata.obs[column] = pd.Series([labels[k] for k in (adata.obs["one"] == "b").astype(int)], index=adata.obs_names)
    return adata


def trip(adata, tmp_path, how):
    path = tmp_path / f"object.{how}"
    getattr(adata, f"write_{how}")(path)
    return getattr(ad, f"read_{how}")(path)


@pytest.mark.parametrize("how", ["h5ad", "zarr"])
def test_labels_that_used_to_share_a_key(cells, tmp_path, how):
    named(cells, PAIR)
    grn.tl.infer_network(cells, method="ridge", groupby="named")
    for adata in (cells, trip(cells, tmp_path, how)):
        params = grn.get.network(adata).params
        assert params["n_cells"] == {"L2/3": 40, "L2_3": 80}
        assert set(params["alpha"]) == set(PAIR)
        assert len(grn.get.edges(adata, group="L2/3")) == len(grn.get.edges(adata, group="L2_3"))
    alone = named(cells, ("x", "y"))
    grn.tl.infer_network(alone, method="ridge", groupby="named", key_added="plain")
    plain = grn.get.network(alone, key="plain").params["alpha"]
    assert [*params["alpha"].values()] == pytest.approx([*plain.values()]) and len({*plain.values()}) == 2
    # what was chosen per group is found again
    named(cells, PAIR)
    grn.tl.confidence(cells, n_permutations=2, n_subsamples=2, top=5)
    assert grn.get.edges(cells)["pval"].between(0, 1).all()


@pytest.mark.parametrize("labels", [(1, 2), (True, False), (0.5, 1.0), ("50%", "a\\b"), (".", ".."), ("%2F", "/")])
@pytest.mark.parametrize("how", ["h5ad", "zarr"])
def test_labels_of_any_type(cells, tmp_path, labels, how):
    named(cells, labels)
    grn.tl.infer_network(cells, method="ridge", groupby="named")
    back = trip(cells, tmp_path, how)
    for adata in (cells, back):
        net = grn.get.network(adata)
        assert net.params["n_cells"][str(labels[0])] == 40 and net.params["n_cells"][str(labels[1])] == 80
        assert set(grn.get.edges(adata, group=labels[0])["group"]) == {str(labels[0])}
        assert net.to_csr(group=labels[1]).nnz
    grn.tl.confidence(back, n_permutations=2, n_subsamples=0)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((1, "1"), "cannot be told apart"),
        ((True, 1), "cannot be told apart"),
        (("", "a"), "empty label"),
        (("a\x00b", "a"), "control character"),
        (("a\nb", "a"), "control character"),
        ((None, "a"), "no value"),
        ((np.nan, "a"), "no value"),
    ],
)
def test_labels_are_checked_before_anything_is_computed(cells, monkeypatch, labels, message):
    named(cells, labels)

    def refuse(*args, **kwargs):
        raise AssertionError("the values were read")

    for module in ("methods.cells", "methods.inputs", "trust.frozen", "_object.smoothing"):
        monkeypatch.setattr(f"grn.{module}.expression", refuse)
    for method in ("correlation", "ridge", "grnboost2", "genie3", "celloracle", "scrank", "pert", "ugrn"):
        with pytest.raises(GroupError, match=message):
            grn.tl.infer_network(cells, method=method, groupby="named")
    with pytest.raises(GroupError, match=message):
        grn.tl.celloracle(cells, groupby="named")
    with pytest.raises(GroupError, match=message):
        grn.tl.differential(cells, condition="one", groupby="named", n_permutations=0)
    if None not in labels and labels[0] == labels[0]:
        with pytest.raises(GroupError, match=message):
            grn.tl.differential(cells, condition="named", n_permutations=0)
    assert set(cells.uns) == set(grn.datasets.toy(n_cells=10).uns)


def test_numbers_as_conditions_and_donors(cells):
    named(cells, (1, 2))
    cells.obs["animal"] = [k % 4 + 4 * (one == "b") for k, one in enumerate(cells.obs["one"])]
    grn.tl.differential(cells, condition="named", conditions=(1, 2), donor="animal", n_permutations=10)
    params = grn.get.network(cells, key="differential").params
    assert params["conditions"].tolist() == ["1", "2"] and params["n_donors"] == 8
