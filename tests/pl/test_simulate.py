"""Figures of simulated perturbations: what is drawn is what was computed."""

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.quiver import Quiver

import grn
from grn.errors import GroupError, ParameterError, ResultNotFoundError


@pytest.fixture(scope="module")
def adata() -> ad.AnnData:
    made = grn.datasets.toy(n_cells=120, n_regulators=3, n_targets=10)
    x = made.X.toarray()
    made.obsm["X_pca"] = x[:, :2] + np.random.default_rng(0).normal(scale=0.01, size=(120, 2))
    made.obs["time"] = x[:, 0]
    grn.Network(made.uns["truth"]).write(made)
    grn.tl.simulate(
        made, perturbation={"GATA1": 0}, groupby="group", basis="X_pca", pseudotime="time", n_controls=9, min_mass=0.2
    )
    grn.tl.simulate(made, perturbation={"GATA1": [0, ("fold", 2)]}, key_added="doses")
    return made


def arrows(ax) -> list[Quiver]:
    return [thing for thing in ax.collections if isinstance(thing, Quiver)]


def test_arrows_are_the_shown_grid_and_the_control_has_the_same_scale(adata):
    axes = grn.pl.flow(adata, panels=["flow", "control"])
    grid = adata.uns["simulation"]["grid"]
    shown = grid[grid["shown"]]
    flow, control = (arrows(ax)[0] for ax in axes)
    np.testing.assert_allclose(flow.U, shown["flow_x"])
    np.testing.assert_allclose(control.V, shown["control_y"])
    assert flow.scale == control.scale
    assert [ax.get_title() for ax in axes] == ["GATA1=0: perturbation", "negative control"]
    assert axes[0].get_xlabel() == "pca 1"


def test_groups_are_named_on_the_map_and_numbers_get_a_bar(adata):
    axes = grn.pl.flow(adata, panels="flow", color="group")
    named = {text.get_text() for text in axes[0].texts if text.get_gid() == "group"}
    assert named == set(adata.obs["group"])
    figure = grn.pl.flow(adata, panels=["flow", "control"], color="time")[0].figure
    assert [ax.get_xlabel() for ax in figure.axes][-1] == "time"


def test_scores_are_drawn_on_one_scale(adata):
    axes = grn.pl.flow(adata, panels=["score", "control_score", "development"])
    meshes = [next(c for c in ax.collections if hasattr(c, "get_coordinates")) for ax in axes[:2]]
    assert meshes[0].get_clim() == meshes[1].get_clim()
    assert arrows(axes[2])[0].get_gid() == "development"


def test_scores_come_first_where_there_is_pseudotime(adata):
    titles = [ax.get_title() for ax in grn.pl.flow(adata)]
    assert titles == ["GATA1=0: score of the perturbation", "score of the control"]
    plain = adata.copy()
    grid = adata.uns["simulation"]["grid"]
    plain.uns["simulation"]["grid"] = grid.drop(columns=["score", "control_score"])
    assert [ax.get_title() for ax in grn.pl.flow(plain)] == ["GATA1=0: perturbation", "negative control"]


def test_given_axes_are_used(adata):
    _, axes = plt.subplots(1, 2)
    assert list(grn.pl.flow(adata, ax=axes)) == list(axes)
    with pytest.raises(ParameterError, match="1 axes were passed for 2 panels"):
        grn.pl.flow(adata, ax=axes[0])


def test_genes_of_all_groups_are_a_matrix_without_the_perturbed_gene(adata):
    ax = grn.pl.simulate(adata, n_genes=6)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["group_1", "group_2"]
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert len(names) <= 6 and "GATA1" not in names
    table = adata.uns["simulation"]["effects"]
    direct = set(table.loc[table["direct"], "gene"])
    assert {t.get_text() for t in ax.get_yticklabels() if t.get_fontweight() == "bold"} == direct & set(names)


def test_genes_of_one_group_are_lollipops_in_order_of_strength(adata):
    ax = grn.pl.simulate(adata, group="group_1", n_genes=3)
    table = adata.uns["simulation"]["effects"]
    table = table[(table["group"] == "group_1") & ~table["perturbed"]]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == table["gene"].head(3).tolist()
    assert "group_1" in ax.get_title("left")


def test_a_dose_is_chosen(adata):
    assert "fold 2" in grn.pl.simulate(adata, key="doses", dose=1).get_title("left")
    with pytest.raises(ParameterError, match="2 doses"):
        grn.pl.simulate(adata, key="doses", dose=2)


def test_nothing_responds():
    made = grn.datasets.toy(n_cells=40, n_regulators=3, n_targets=4)
    grn.Network(pd.DataFrame({"source": ["GATA1"], "target": ["SPI1"], "weight": [0.0]})).write(made)
    grn.tl.simulate(made, perturbation={"GATA1": 0}, coefficients="weight")
    assert "no gene responds" in grn.pl.simulate(made).texts[0].get_text()


def test_bad_input_is_refused(adata):
    with pytest.raises(ResultNotFoundError, match="no simulation 'other'"):
        grn.pl.simulate(adata, key="other")
    with pytest.raises(ResultNotFoundError, match="has no flow"):
        grn.pl.flow(adata, key="doses")
    with pytest.raises(GroupError, match="Did you mean"):
        grn.pl.simulate(adata, group="group_3")
    with pytest.raises(ParameterError, match="panels"):
        grn.pl.flow(adata, panels="flaw")
    with pytest.raises(ParameterError, match="no column"):
        grn.pl.flow(adata, color="type")
    with pytest.raises(ParameterError, match="n_genes"):
        grn.pl.simulate(adata, n_genes=0)
    plain = adata.copy()
    plain.uns["simulation"]["grid"] = adata.uns["simulation"]["grid"].drop(columns=["score", "control_score"])
    with pytest.raises(ResultNotFoundError, match="pseudotime"):
        grn.pl.flow(plain, panels="score")
