"""Names of groups and layers that no file keeps are refused before anything is computed."""

import numpy as np
import pytest

import grn
from grn.errors import GroupError, ParameterError


def test_group_names_are_checked_first():
    adata = grn.datasets.toy(n_cells=40, n_regulators=3, n_targets=8)
    adata.obs["group"] = np.where(np.arange(adata.n_obs) % 2, "B\n", "A")
    with pytest.raises(GroupError, match="files do not keep"):
        grn.tl.infer_network(adata, method="correlation", groupby="group")


def test_layers_are_checked_first():
    adata = grn.datasets.toy(n_cells=40, n_regulators=3, n_targets=8)
    grn.Network(adata.uns["truth"]).write(adata)
    with pytest.raises(ParameterError, match="layer_added"):
        grn.tl.simulate(adata, perturbation={"GATA1": 0}, layer_added="a/b")
