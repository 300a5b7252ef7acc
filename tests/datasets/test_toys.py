import numpy as np
import pandas as pd
import pytest

from grn._core.errors import ParameterError
from grn.datasets import toy_groups, toy_perturbation
from grn.pp import check_expression


def slope(adata, source, target):
    """Correlation of two genes over the cells."""
    table = pd.DataFrame(adata.X.toarray(), columns=adata.var_names)
    return np.corrcoef(table[source], table[target])[0, 1]


def test_groups_are_complete():
    adata = toy_groups(n_cells=120)
    assert adata.shape == (120, 48) and check_expression(adata).kind == "log"
    assert adata.obs["group"].value_counts().tolist() == [60, 60]
    assert (adata.obs.groupby("donor", observed=True)["group"].nunique() == 1).all()
    assert adata.obs["pseudotime"].between(0, 1).all() and adata.obsm["X_toy"].shape == (120, 2)
    assert np.corrcoef(adata.obsm["X_toy"][:, 0], adata.obs["pseudotime"])[0, 1] > 0.99
    assert (adata.var["loading"] == 0).all()


def test_specific_edges_are_seen_in_their_group_only():
    adata = toy_groups(n_cells=2000, trajectory=0.0)
    truth = adata.uns["truth"]
    shared = truth[~truth["specific"]]
    assert shared.groupby(["source", "target"]).size().eq(2).all()
    own = truth[truth["specific"] & (truth["weight"].abs() > 0.5)]
    assert not own.duplicated(["source", "target"]).any() and set(own["group"]) == {"group_1", "group_2"}
    assert 0.3 < truth.drop_duplicates(["source", "target"])["specific"].mean() < 0.7
    inside, outside = [], []
    for row in own.itertuples():
        here = adata.obs["group"] == row.group
        inside.append(row.sign * slope(adata[here], row.source, row.target))
        outside.append(abs(slope(adata[~here], row.source, row.target)))
    assert min(inside) > 0.2 and np.mean(inside) > 2 * np.mean(outside)


def test_groups_share_or_split_all_edges():
    assert not toy_groups(n_cells=30, specific=0.0).uns["truth"]["specific"].any()
    truth = toy_groups(n_cells=30, specific=1.0, n_groups=3).uns["truth"]
    assert truth["specific"].all() and set(truth["group"]) == {"group_1", "group_2", "group_3"}
    assert not toy_groups(n_cells=30, n_groups=1, n_donors=1).uns["truth"]["specific"].any()


def test_the_hidden_quantity_correlates_genes_that_share_no_edge():
    plain, confounded = (toy_groups(n_cells=1000, confounder=value, trajectory=0.0) for value in (0.0, 0.8))
    pd.testing.assert_frame_equal(plain.uns["truth"], confounded.uns["truth"])
    loading = confounded.var["loading"]
    assert (plain.obs["hidden"] == confounded.obs["hidden"]).all()
    one, two = loading.index[:8][loading.iloc[:8].abs().argsort()[-2:]]
    assert abs(slope(confounded, one, two)) > abs(slope(plain, one, two)) + 0.2


def test_donors_differ_when_asked():
    same, different = (toy_groups(n_cells=1200, donor_effect=value) for value in (0.0, 1.0))
    spread = [
        pd.DataFrame(adata.X.toarray()[:, :8]).groupby(adata.obs["donor"].to_numpy()).mean().iloc[::2].std().mean()
        for adata in (same, different)
    ]
    assert spread[1] > 3 * spread[0]


def test_perturbation_is_complete():
    adata = toy_perturbation(n_cells=4)
    assert adata.shape == (9 * 3 * 4, 20) and check_expression(adata).kind == "log"
    assert list(adata.obs["perturbation"].cat.categories) == ["control", *adata.var_names[:8]]
    assert adata.obs["time"].unique().tolist() == [1.0, 2.0, 3.0] and adata.obs_names.is_unique
    truth = adata.uns["truth"]
    assert (truth["source"] != truth["target"]).all() and set(truth["target"]) == set(adata.var_names)
    assert set(truth["source"]) <= set(adata.var_names[:8]) and (np.sign(truth["weight"]) == truth["sign"]).all()
    assert toy_perturbation(n_cells=2, n_targets=0, n_knockouts=2).shape == (18, 8)


def test_knock_outs_move_their_targets_by_the_formula():
    adata = toy_perturbation(n_cells=3000, n_regulators=4, n_targets=3, n_times=2)
    names, truth = list(adata.var_names), adata.uns["truth"]
    W = np.zeros((7, 7))
    for row in truth.itertuples():
        W[names.index(row.target), names.index(row.source)] = row.weight
    assert np.abs(np.linalg.eigvals(W)).max() <= 0.7 + 1e-9
    X = pd.DataFrame(adata.X.toarray(), columns=names)
    means = X.groupby([adata.obs["perturbation"].to_numpy(), adata.obs["time"].to_numpy()]).mean()
    for gene in names[:4]:
        k = names.index(gene)
        for time in (1.0, 2.0):
            change = np.zeros(7)
            for _ in range(int(time) + 1):
                change = 0.5 * change + 0.5 * W @ change
                change[k] = -means.loc[("control", time), gene]
            seen = (means.loc[(gene, time)] - means.loc[("control", time)]).to_numpy()
            others = np.arange(7) != k
            np.testing.assert_allclose(seen[others], change[others], atol=0.08)  # values below 0 are cut
            assert means.loc[(gene, time), gene] == 0


def test_unedited_cells_are_controls():
    adata = toy_perturbation(n_cells=200, efficiency=0.5, n_times=1)
    lost = adata.obs["perturbation"] != "control"
    assert 0.45 < adata.obs.loc[lost, "edited"].mean() < 0.55 and not adata.obs.loc[~lost, "edited"].any()
    mine = adata[adata.obs["perturbation"] == "GATA1", "GATA1"]
    assert ((mine.X.toarray()[:, 0] == 0) == mine.obs["edited"]).all()


def test_fluctuations_run_along_the_edges():
    adata = toy_perturbation(n_cells=2000, n_times=1)
    control = adata[adata.obs["perturbation"] == "control"]
    truth = adata.uns["truth"]
    strong = truth[truth["weight"].abs() > 0.6]
    assert len(strong) and all(row.sign * slope(control, row.source, row.target) > 0.2 for row in strong.itertuples())


@pytest.mark.parametrize("make", [toy_groups, toy_perturbation])
def test_seeds_and_gene_names_decide(make):
    first, again, other = make(n_cells=12), make(n_cells=12), make(n_cells=12, rng=1)
    assert (first.X != again.X).nnz == 0 and (first.X != other.X).nnz > 0
    pd.testing.assert_frame_equal(first.obs, again.obs)
    fewer = make(n_cells=12, n_targets=5)
    matrix = "counts" if make is toy_groups else None
    one, two = (adata.to_df(layer=matrix)[list(fewer.var_names)] for adata in (first, fewer))
    pd.testing.assert_frame_equal(one, two)
    assert (make(n_cells=12, signed=False).uns["truth"]["sign"] == 1).all()


@pytest.mark.parametrize("make", [toy_groups, toy_perturbation])
def test_files_keep_it(make, tmp_path):
    import anndata as ad

    adata = make(n_cells=12)
    adata.write_h5ad(tmp_path / "toy.h5ad")
    back = ad.read_h5ad(tmp_path / "toy.h5ad")
    pd.testing.assert_frame_equal(back.uns["truth"], adata.uns["truth"], check_dtype=False)


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (toy_groups, {"n_cells": 0}),
        (toy_groups, {"n_groups": 4, "n_donors": 3}),
        (toy_groups, {"n_cells": 3, "n_donors": 4}),
        (toy_groups, {"specific": 1.5}),
        (toy_groups, {"confounder": -1}),
        (toy_groups, {"trajectory": float("nan")}),
        (toy_groups, {"donor_effect": True}),
        (toy_groups, {"dropout": 1.0}),
        (toy_perturbation, {"n_cells": 1.5}),
        (toy_perturbation, {"n_regulators": 1}),
        (toy_perturbation, {"n_knockouts": 9}),
        (toy_perturbation, {"n_knockouts": 0}),
        (toy_perturbation, {"n_targets": -1}),
        (toy_perturbation, {"efficiency": "all"}),
        (toy_perturbation, {"confounder": float("inf")}),
    ],
)
def test_bad_arguments(make, wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        make(**wrong)
