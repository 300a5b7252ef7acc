"""Cells put together: by neighbours in both modalities, and by label where modalities were measured apart."""

import logging
import tracemalloc

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from threadpoolctl import threadpool_limits

import grn
from grn.errors import CellNameError, ExpressionError, GrnError, GroupError, ParameterError, ResultNotFoundError


@pytest.fixture(scope="module")
def toy():
    return grn.datasets.toy_multiome(n_cells=120, n_regulators=3, n_targets=8, rng=1)


def joined(rna, atac, **entries):
    with mudata.set_options(pull_on_update=False):
        made = mudata.MuData({"rna": rna, "atac": atac})
    made.uns.update(entries)
    return made


def apart(toy, n=90):
    """Chromatin of other cells than expression: fewer, with names of their own."""
    atac = toy["atac"][:n].copy()
    atac.obs_names = [f"nucleus_{name}" for name in atac.obs_names]
    return joined(toy["rna"].copy(), atac)


def marked(adata):
    """Every cell has a feature of its own, so that means tell who was averaged."""
    names = [f"chr1:{1000 * i}-{1000 * i + 500}" for i in range(adata.n_obs)]
    X = sparse.identity(adata.n_obs, dtype=np.float32, format="csr")
    return ad.AnnData(X, obs=adata.obs.copy(), var=pd.DataFrame(index=names))


def dense(adata, layer=None):
    return adata.to_df(layer=layer)


def test_neighbours_in_given_coordinates_are_averaged_in_both_modalities(toy):
    points = np.random.default_rng(0).normal(size=(120, 3))
    mdata = toy.copy()
    mdata.obsm["X_joint"] = points
    small = grn.pp.metacells(mdata, groupby="group", k=5, use_rep="X_joint")
    assert small["rna"].obs["group"].value_counts().to_dict() == {"group_1": 8, "group_2": 8}
    assert (small["rna"].obs["n_cells"] == 5).all()
    group = toy["rna"].obs["group"].to_numpy()
    for name, row in small["rna"].obs.iterrows():
        anchor = toy["rna"].obs_names.get_loc(row["anchor"])
        assert group[anchor] == row["group"] == small.obs.loc[name, "group"]
        far = np.linalg.norm(points - points[anchor], axis=1) + 1e9 * (group != row["group"])
        near = np.argsort(far)[:5]
        for part, layer in (("rna", None), ("rna", "counts"), ("atac", None)):
            wanted = dense(toy[part], layer).iloc[near].to_numpy().astype(float).mean(axis=0)
            np.testing.assert_allclose(dense(small[part], layer).loc[name], wanted, rtol=1e-6)


def test_neighbours_among_all_cells_say_how_many_share_the_label(toy):
    mdata = joined(toy["rna"].copy(), marked(toy["atac"]))
    mdata.obsm["X_joint"] = np.random.default_rng(0).normal(size=(120, 3))
    small = grn.pp.metacells(mdata, groupby="group", k=6, use_rep="X_joint", within=False)
    of_cell = pd.crosstab(np.arange(120), toy["atac"].obs["group"].to_numpy())
    counted = (small["atac"].X @ of_cell.to_numpy()).round(6)
    label = small["atac"].obs["group"].cat.codes.to_numpy()
    np.testing.assert_allclose(small["atac"].obs["share"], counted[np.arange(len(label)), label], atol=1e-6)
    assert small["atac"].obs["share"].between(0.1, 0.99).any()
    whole = grn.pp.metacells(mdata, groupby="group", k=6, use_rep="X_joint")
    assert "share" not in whole["atac"].obs
    assert ((whole["atac"].X @ of_cell.to_numpy()).round(6).max(axis=1) == 1).all()


def test_components_tell_groups_apart(toy):
    small = grn.pp.metacells(toy, groupby="group", k=10, within=False)
    assert small["rna"].obs["share"].mean() > 0.8


def test_cells_measured_apart_are_paired_by_label(toy):
    mdata = apart(toy)
    mdata = joined(marked(mdata["rna"]), marked(mdata["atac"]))
    small = grn.pp.metacells(mdata, groupby="group", how="labels")
    # 60 and 45 cells of a label: four tens, five times
    assert small["rna"].n_obs == small["atac"].n_obs == 40
    assert list(small["rna"].obs_names) == list(small["atac"].obs_names)
    for name in ("rna", "atac"):
        used = small[name].X > 0
        assert (used.sum(axis=1) == 10).all() and np.allclose(small[name].X.data, 0.1)
        labels = mdata[name].obs["group"].to_numpy()
        for row, label in enumerate(small[name].obs["group"]):
            assert set(labels[used[row].indices]) == {label}
        assert len({tuple(np.sort(used[row].indices)) for row in range(40)}) == 40
    assert not small.uns["metacells"]["params"]["paired"]


def test_paired_cells_of_a_label_are_the_same_in_both_modalities(toy):
    mdata = joined(marked(toy["rna"]), marked(toy["atac"][::-1]))
    small = grn.pp.metacells(mdata, groupby="group", how="labels", n_metacells=3)
    assert small.n_obs == 6 and small.uns["metacells"]["params"]["paired"]
    assert (small["rna"].X != small["atac"].X[:, ::-1]).nnz == 0


def test_at_most_a_thousand_of_a_label():
    rna = ad.AnnData(sparse.identity(2100, dtype=np.float32, format="csr"))
    rna.obs["label"] = "a"
    assert grn.pp.metacells(rna, groupby="label", how="labels").n_obs == 1000


@pytest.mark.parametrize("how", ["neighbours", "labels"])
def test_order_of_cells_and_features_does_not_matter(toy, how):
    mdata = apart(toy) if how == "labels" else toy
    random = np.random.default_rng(3)
    parts = [mdata[name][random.permutation(mdata[name].n_obs)] for name in ("rna", "atac")]
    other = joined(*(part[:, random.permutation(part.n_vars)].copy() for part in parts))
    first, second = (grn.pp.metacells(m, groupby="group", how=how, rng=5) for m in (mdata, other))
    for name in ("rna", "atac"):
        pd.testing.assert_frame_equal(first[name].obs, second[name].obs)
        same = second[name][:, first[name].var_names]
        np.testing.assert_allclose(dense(first[name]), dense(same), rtol=1e-6)
    third = grn.pp.metacells(mdata, groupby="group", how=how, rng=6)
    assert not np.allclose(dense(first["atac"]), dense(third["atac"]))


def test_draws_of_a_label_do_not_depend_on_other_labels(toy):
    both = grn.pp.metacells(apart(toy), groupby="group", how="labels")
    mdata = apart(toy)
    alone = joined(*(mdata[name][mdata[name].obs["group"] == "group_2"].copy() for name in ("rna", "atac")))
    alone = grn.pp.metacells(alone, groupby="group", how="labels")
    pd.testing.assert_frame_equal(dense(alone["atac"]), dense(both["atac"]).loc[alone.obs_names])


def test_one_object_is_averaged_too(toy):
    adata = toy["rna"].copy()
    before = adata.copy()
    small = grn.pp.metacells(adata, groupby="group", layer="counts", k=4)
    assert isinstance(small, ad.AnnData) and small.n_obs == 16
    assert small.var.equals(adata.var) and list(small.layers) == ["counts"]
    assert (adata.X != before.X).nnz == 0
    assert "metacells" not in adata.uns and list(adata.obs) == list(before.obs)


def test_values_are_on_a_scale_that_is_recognised(toy):
    rna = toy["rna"].copy()
    rna.X = sparse.csr_matrix(rna.layers["counts"])
    small = grn.pp.metacells(joined(rna, toy["atac"].copy()), groupby="group")
    for name in ("rna", "atac"):
        report = grn.pp.check_expression(small[name])
        assert (report.kind, report.sure) == ("linear", True)
        sums = small[name].to_df().mul(small[name].obs["n_cells"], axis=0)
        np.testing.assert_allclose(sums, sums.round(), atol=1e-4)
    grn.tl.infer_network(small["rna"], method="correlation")
    assert len(small["rna"].uns["grn"]["edges"])


def test_what_is_known_of_features_stays_and_files_keep_all(toy, tmp_path):
    mdata = toy.copy()
    motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    small = grn.pp.metacells(mdata, groupby="group")
    small.write(tmp_path / "small.h5mu")
    read = mudata.read_h5mu(tmp_path / "small.h5mu")
    assert grn.get.motif_hits(read["atac"]).equals(grn.get.motif_hits(mdata["atac"]))
    for name in ("rna", "atac"):
        pd.testing.assert_frame_equal(dense(read[name]), dense(small[name]))
        assert read[name].obs["group"].tolist() == small[name].obs["group"].tolist()
    params = read.uns["metacells"]["params"]
    assert (params["k"], params["how"], bool(params["paired"])) == (20, "neighbours", True)
    assert read.uns["genome"] == mdata.uns["genome"]
    small.uns["starts"].loc[0, "gene"] = "changed"
    assert mdata.uns["starts"].loc[0, "gene"] != "changed"


def test_regions_are_cut_at_the_cap_and_genes_are_not(toy):
    mdata = toy.copy()
    top = float(grn.pp.metacells(mdata, groupby="group", cap=None)["atac"].X.max())
    small = grn.pp.metacells(mdata, groupby="group", cap=1.5)
    assert small["atac"].X.max() == 1.5 < top
    assert small["rna"].X.max() > 1.5
    mdata["atac"].X = mdata["atac"].X * 200
    assert grn.pp.metacells(mdata, groupby="group")["atac"].X.max() == 100


@pytest.mark.parametrize("kind", ["csc", "backed", "view"])
def test_matrices_in_files_and_by_columns_give_the_same(toy, tmp_path, kind):
    adata = toy["rna"].copy()
    adata.X = sparse.csr_matrix(adata.layers["counts"])
    del adata.layers["counts"]
    wanted = grn.pp.metacells(adata, groupby="group")
    other = adata.copy()
    if kind == "csc":
        other.X = sparse.csc_matrix(other.X)
    if kind == "backed":
        other.write(tmp_path / "cells.h5ad")
        other = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    if kind == "view":
        other = ad.concat([other, other[:3].copy()], index_unique="-", merge="same")
        other.obs_names = [name.removesuffix("-0") for name in other.obs_names]
        other = other[adata.obs_names]
    found = grn.pp.metacells(other, groupby="group")
    assert sparse.issparse(found.X)
    pd.testing.assert_frame_equal(dense(found), dense(wanted))


@pytest.mark.parametrize("how", ["neighbours", "labels"])
def test_many_regions_are_never_dense(how):
    n, regions = 2000, 150_000
    random = np.random.default_rng(0)
    part = sparse.random(n, regions, density=1e-4, format="csr", random_state=random, dtype=np.float32)
    part.data[:] = 1
    atac = ad.AnnData(part, var=pd.DataFrame(index=[f"chr1:{10 * i}-{10 * i + 9}" for i in range(regions)]))
    rna = ad.AnnData(sparse.csr_matrix(random.poisson(1.0, size=(n, 60)).astype(np.float32)))
    for part in (rna, atac):
        part.obs["label"] = np.where(np.arange(n) % 2, "a", "b")
    mdata = joined(rna, atac)
    tracemalloc.start()
    grn.pp.metacells(mdata, groupby="label", how=how, n_metacells=20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * regions * 4 / 8


def only_in(toy, name, column="group"):
    mdata = toy.copy()
    for part in (mdata, mdata["rna"], mdata["atac"]):
        if column in part.obs and part is not mdata[name]:
            del part.obs[column]
    return mdata


def test_labels_may_be_in_the_whole_object_alone(toy):
    mdata = toy.copy()
    del mdata["rna"].obs["group"], mdata["atac"].obs["group"]
    wanted = grn.pp.metacells(toy, groupby="group")
    pd.testing.assert_frame_equal(dense(grn.pp.metacells(mdata, groupby="group")["atac"]), dense(wanted["atac"]))


def test_labels_that_do_not_fit_are_refused(toy):
    with pytest.raises(GroupError, match=r"neither mdata.obs nor mdata\['atac'\].obs has a column"):
        grn.pp.metacells(only_in(toy, "rna"), groupby="group")
    gaps = toy.copy()
    gaps["rna"].obs["group"] = gaps["rna"].obs["group"].where(np.arange(120) > 3)
    del gaps.obs["group"]
    with pytest.raises(GroupError, match="4 of 120 cells have no value"):
        grn.pp.metacells(gaps, groupby="group")
    for changed in ("rna", "whole"):
        other = toy.copy()
        if changed == "rna":
            del other.obs["group"]
        obs = other["rna"].obs if changed == "rna" else other.obs
        obs["group"] = obs["group"].cat.rename_categories({"group_1": "group_2", "group_2": "group_1"})
        with pytest.raises(GroupError, match="120 of 120 cells have one label"):
            grn.pp.metacells(other, groupby="group")
    one_sided = apart(toy)
    one_sided["atac"].obs["group"] = one_sided["atac"].obs["group"].cat.rename_categories({"group_1": "T cells"})
    with pytest.raises(GroupError, match=r"group_1 only in mdata\['rna'\]; T cells only in mdata\['atac'\]"):
        grn.pp.metacells(one_sided, groupby="group", how="labels")


def test_too_few_cells_are_refused_with_their_number(toy):
    few = apart(toy, n=16)
    with pytest.raises(GroupError, match=r"fewer than 10 cells in mdata\['atac'\]: group_1 \(8\), group_2 \(8\)"):
        grn.pp.metacells(few, groupby="group", how="labels")
    with pytest.raises(GroupError, match="fewer than 70"):
        grn.pp.metacells(toy, groupby="group", k=70)
    with pytest.raises(ParameterError, match="k=121; there are 120"):
        grn.pp.metacells(toy, groupby="group", k=121, within=False)
    with pytest.raises(ParameterError, match="group_1 has 60 cells to start from"):
        grn.pp.metacells(toy, groupby="group", n_metacells=61)


def test_cells_that_are_not_the_same_have_no_neighbours_in_both(toy):
    with pytest.raises(CellNameError, match="how='labels'"):
        grn.pp.metacells(apart(toy), groupby="group")
    fewer = joined(toy["rna"].copy(), toy["atac"][:100].copy())
    with pytest.raises(CellNameError, match="100"):
        grn.pp.metacells(fewer, groupby="group")
    assert grn.pp.metacells(fewer, groupby="group", how="labels").n_obs == 50
    twice = toy["rna"].copy()
    twice.obs_names = ["a", "a", *twice.obs_names[2:]]
    with pytest.raises(CellNameError, match="more than once"):
        grn.pp.metacells(twice, groupby="group", how="labels")


def test_values_that_cannot_be_used_are_refused(toy):
    mdata = toy.copy()
    mdata["atac"].X[0, 0] = np.nan
    for how in ("neighbours", "labels"):
        with pytest.raises(ExpressionError, match=r"mdata\['atac'\].X holds .*NaN"):
            grn.pp.metacells(mdata, groupby="group", how=how, n_metacells=60)
    mdata["atac"].X[0, 0] = -3
    with pytest.raises(ExpressionError, match="negative"):
        grn.pp.metacells(mdata, groupby="group")
    flat = toy["rna"].copy()
    flat.X = np.ones(flat.shape, dtype=np.float32)
    with pytest.raises(ExpressionError, match="0 features of the object vary"):
        grn.pp.metacells(flat, groupby="group")
    mdata = toy.copy()
    mdata.obsm["X_joint"] = np.full((120, 2), np.nan)
    with pytest.raises(ExpressionError, match="NaN"):
        grn.pp.metacells(mdata, groupby="group", use_rep="X_joint")
    with pytest.raises(ResultNotFoundError, match=r"mdata\.obsm has no 'X_other'; it has X_joint\."):
        grn.pp.metacells(mdata, groupby="group", use_rep="X_other")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"how": "label"}, "use one of neighbours, labels, partition"),
        ({"k": 0}, "k=0"),
        ({"n_metacells": 0}, "n_metacells=0"),
        ({"cap": 0}, "cap=0"),
        ({"within": "yes"}, "within"),
        ({"how": "labels", "within": False}, "no neighbours"),
        ({"how": "labels", "use_rep": "X_pca"}, "no neighbours"),
        ({"rna": "gex"}, "no modality 'gex'"),
        ({"atac": "rna"}, "one modality"),
        ({"groupby": "n_cells"}, "rename"),
        ({"groupby": "cluster"}, "cluster"),
    ],
)
def test_arguments_out_of_range(toy, arguments, message):
    with pytest.raises(GrnError, match=message):
        grn.pp.metacells(toy, **{"groupby": "group", **arguments})


def test_names_of_modalities_are_for_mudata(toy):
    with pytest.raises(ParameterError, match="AnnData; leave them out"):
        grn.pp.metacells(toy["rna"], groupby="group", rna="gex")


def test_other_modalities_are_not_dropped_silently(toy, caplog):
    mdata = mudata.MuData({"rna": toy["rna"].copy(), "atac": toy["atac"].copy(), "prot": toy["rna"][:, :2].copy()})
    with caplog.at_level(logging.WARNING, logger="grn"):
        small = grn.pp.metacells(mdata, groupby="group")
    assert list(small.mod) == ["rna", "atac"] and "'prot'" in caplog.text


def test_a_label_of_one_cell_is_one_metacell_of_itself(toy):
    rna = toy["rna"].copy()
    rna.obs["label"] = np.where(np.arange(120) == 7, "alone", "others")
    small = grn.pp.metacells(rna, groupby="label", k=1)
    alone = small[small.obs["label"] == "alone"]
    assert alone.obs["anchor"].tolist() == [rna.obs_names[7]]
    np.testing.assert_allclose(dense(alone).to_numpy(), dense(rna[[7]]).to_numpy(), rtol=1e-6)


def cells_of_many(n=700, seed=0):
    """Counts in two labels, as an object with a regulator."""
    random = np.random.default_rng(seed)
    rate = np.exp(random.normal(size=(4, 25)))[random.integers(4, size=n)]
    adata = ad.AnnData(sparse.csr_matrix(random.poisson(rate).astype(np.float32)))
    adata.obs_names = [f"cell {i}" for i in random.permutation(n)]
    adata.var_names = [f"gene{i}" for i in range(25)]
    adata.obs["label"] = np.where(random.random(n) < 0.3, "a", "b")
    adata.layers["double"] = adata.X * 2
    return adata


def test_a_partition_has_every_cell_once_and_no_metacell_of_two_labels():
    adata = cells_of_many()
    small = grn.pp.metacells(adata, groupby="label", how="partition", k=20)
    assert 25 < small.n_obs < 45 and list(small.obs) == ["label", "n_cells"]
    assert small.obs["n_cells"].sum() == adata.n_obs and small.obs["n_cells"].min() >= 20 / 3
    for label in ("a", "b"):
        part = small[small.obs["label"] == label]
        sums = part.X.toarray().T @ part.obs["n_cells"]
        expected = adata[adata.obs["label"] == label].X.sum(axis=0)
        np.testing.assert_allclose(sums, np.asarray(expected).ravel(), rtol=1e-5)
    np.testing.assert_allclose(small.layers["double"].toarray(), 2 * small.X.toarray(), rtol=1e-6)
    # cells of a metacell are alike
    random = grn.pp.metacells(adata, groupby="label", how="labels", k=20, n_metacells=20)
    assert small.X.toarray().var(axis=0).sum() > 2 * random.X.toarray().var(axis=0).sum()


@pytest.mark.parametrize("learned", [20_000, 300])
def test_a_partition_does_not_depend_on_order_or_storage(learned, monkeypatch, tmp_path):
    monkeypatch.setattr("grn.pp._metacell_points.LEARNED", learned)
    monkeypatch.setattr("grn._kernels.matrix.VALUES", 1000)
    adata = cells_of_many()
    wanted = grn.pp.metacells(adata, groupby="label", how="partition", k=20)
    random = np.random.default_rng(3)
    turned = adata[random.permutation(700), random.permutation(25)].copy()
    turned.write(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    by_gene = turned.copy()
    by_gene.X = by_gene.X.tocsc()
    dense_one = turned.copy()
    dense_one.X = dense_one.X.toarray()
    for other in (turned, backed, by_gene, dense_one):
        found = grn.pp.metacells(other, groupby="label", how="partition", k=20)
        pd.testing.assert_frame_equal(found.obs, wanted.obs)
        pd.testing.assert_frame_equal(dense(found[:, wanted.var_names]), dense(wanted), rtol=1e-5)
    with threadpool_limits(2):
        two = grn.pp.metacells(adata, groupby="label", how="partition", k=20)
    pd.testing.assert_frame_equal(dense(two), dense(wanted))
    other = grn.pp.metacells(adata, groupby="label", how="partition", k=20, rng=1)
    assert other.shape != wanted.shape or not np.allclose(dense(other), dense(wanted))


def test_axes_of_some_cells_are_nearly_those_of_all(monkeypatch):
    adata = cells_of_many(2000)
    from grn.pp import _metacell_points as points
    from grn.pp._metacell_sides import sides_of

    sides = sides_of(adata, "label", "rna", "atac", pair=True)
    whole = points.joint_points(sides, None, 3, layer=None, values="auto")
    monkeypatch.setattr(points, "LEARNED", 800)
    part = points.joint_points(sides, None, 3, layer=None, values="auto")
    assert np.linalg.svd(np.linalg.qr(whole)[0].T @ np.linalg.qr(part - part.mean(axis=0))[0])[1].min() > 0.95


def test_sets_of_a_partition_are_averaged_in_parts(monkeypatch):
    adata = cells_of_many()
    wanted = grn.pp.metacells(adata, groupby="label", how="partition", k=20)
    monkeypatch.setattr("grn._kernels.averages._SUMS", 100)
    monkeypatch.setattr("grn._kernels.matrix.VALUES", 500)
    pd.testing.assert_frame_equal(dense(grn.pp.metacells(adata, groupby="label", how="partition", k=20)), dense(wanted))


def test_paired_cells_are_divided_together(toy):
    small = grn.pp.metacells(toy, groupby="group", how="partition", k=10)
    for name in ("rna", "atac"):
        assert small[name].obs["n_cells"].sum() == toy.n_obs
    total = np.asarray(toy["atac"].X.sum(axis=0)).ravel()
    sums = small["atac"].X.T @ small["atac"].obs["n_cells"].to_numpy()
    np.testing.assert_allclose(np.asarray(sums).ravel(), total, rtol=1e-4)


def test_methods_take_metacells_of_a_partition():
    toy = grn.datasets.toy(n_cells=600, n_regulators=4, n_targets=12)
    toy.X = toy.layers["counts"]
    del toy.layers["counts"]
    small = grn.pp.metacells(toy, groupby="group", how="partition", k=10)
    grn.tl.celloracle(small, centrality=False)
    grn.tl.infer_network(small, method="correlation")
    assert len(small.uns["celloracle"]["edges"]) and len(small.uns["grn"]["edges"])


def test_a_partition_stays_within_labels(toy):
    with pytest.raises(ParameterError, match="leave within= out"):
        grn.pp.metacells(toy, groupby="group", how="partition", within=False)
    with pytest.raises(ParameterError, match="group_1 has 60 cells to divide"):
        grn.pp.metacells(toy, groupby="group", how="partition", n_metacells=61)
