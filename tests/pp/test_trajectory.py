"""Cells on a tree: from a pseudotime, stages, a PAGA graph, or a table."""

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse

import grn
from grn._object.trajectory import trajectory_of
from grn.errors import CellNameError, GroupError, ParameterError, ResultNotFoundError
from grn.methods import Inputs, Task

NAMES = ["A", "B", "C"]


def cells(n=240, seed=0):
    """A trunk until 1, from which A parts; B and C part at 2."""
    rng = np.random.default_rng(seed)
    time = rng.uniform(0, 3, n)
    time[:2] = 0.0, 3.0
    branch = rng.integers(0, 3, n)
    trunk, later = time < 1, (time < 2) & (branch > 0)
    obs = pd.DataFrame(
        {"time": time} | {name: trunk | (later & (i > 0)) | (branch == i) for i, name in enumerate(NAMES)},
        index=[f"cell{i:03d}" for i in rng.permutation(n)],
    )
    side = np.where(trunk, "", np.where(later, "BC", np.array(NAMES)[branch])).astype(object)
    obs["group"] = pd.Categorical(np.where(trunk, "trunk", side))
    obs["stage"] = pd.Categorical(np.array(["early", "middle", "late"])[np.minimum(time.astype(int), 2)],
                                  categories=["early", "middle", "late"], ordered=True)  # fmt: skip
    obs["side"] = pd.Categorical(np.array(NAMES)[branch])
    adata = ad.AnnData(np.ones((n, 3), dtype=np.float32), obs=obs)
    place = np.zeros((n, 3))  # branches in three directions
    place[:, 0] = np.minimum(time - 1, 0)
    place[:, 1] = np.where(branch == 0, 1, -1) * np.clip(time - 1, 0, np.where(branch == 0, 2, 1))
    place[:, 2] = np.array([0, 1, -1])[branch] * np.clip(time - 2, 0, None)
    adata.obsm["X_own"] = place + np.random.default_rng(1).normal(0, 0.03, place.shape)
    return adata


@pytest.fixture
def adata():
    return cells()


@pytest.fixture
def paga(adata):
    sc.pp.neighbors(adata, n_neighbors=12, use_rep="X_own", transformer="sklearn")
    sc.tl.paga(adata, groups="group")
    return adata


def edges_of(adata, key="trajectory"):
    return dict(zip(adata.uns[key]["edges"]["edge"], adata.uns[key]["edges"]["length"], strict=True))


def lineages_of(adata, key="trajectory"):
    table = adata.uns[key]["lineages"]
    return {name: rows.sort_values("order")["edge"].tolist() for name, rows in table.groupby("lineage")}


def test_one_lineage_along_a_pseudotime(adata):
    grn.pp.trajectory(adata, pseudotime="time")
    assert edges_of(adata) == {"root>main": 3.0} and lineages_of(adata) == {"main": ["root>main"]}
    np.testing.assert_allclose(adata.obs["trajectory_time"], adata.obs["time"])
    assert adata.obs["trajectory_edge"].tolist() == ["root>main"] * 240
    params = adata.uns["trajectory"]["params"]
    assert (params["source"], params["pseudotime"]) == ("pseudotime", "time")


def test_lineages_part_after_the_last_cell_they_share(adata):
    grn.pp.trajectory(adata, pseudotime="time", lineages=NAMES)
    time = adata.obs["time"]
    first = time[adata.obs["A"] & adata.obs["B"]].max()
    second = time[adata.obs["B"] & adata.obs["C"]].max()
    expected = {
        "root>A+B+C": first,
        "A+B+C>A": time[adata.obs["A"]].max() - first,
        "A+B+C>B+C": second - first,
        "B+C>B": time[adata.obs["B"]].max() - second,
        "B+C>C": time[adata.obs["C"]].max() - second,
    }
    assert edges_of(adata) == pytest.approx(expected)
    assert lineages_of(adata) == {
        "A": ["root>A+B+C", "A+B+C>A"],
        "B": ["root>A+B+C", "A+B+C>B+C", "B+C>B"],
        "C": ["root>A+B+C", "A+B+C>B+C", "B+C>C"],
    }
    np.testing.assert_allclose(adata.obs["trajectory_time"], time)
    for name in NAMES:
        own = set(adata.obs.index[adata.obs["trajectory_edge"].isin(lineages_of(adata)[name])])
        assert set(adata.obs.index[adata.obs[name]]) <= own


def test_memberships_as_columns_a_table_and_labels(adata):
    grn.pp.trajectory(adata, pseudotime="time", lineages=NAMES)
    table = adata.obs[NAMES].iloc[::-1]
    grn.pp.trajectory(adata, pseudotime="time", lineages=table, key_added="table")
    pd.testing.assert_frame_equal(adata.uns["table"]["edges"], adata.uns["trajectory"]["edges"])
    assert (adata.obs["table_edge"] == adata.obs["trajectory_edge"]).all()
    grn.pp.trajectory(adata, pseudotime="time", lineages="side", key_added="labels")
    assert list(edges_of(adata, "labels")) == ["root>A", "root>B", "root>C"]
    assert (adata.obs["labels_edge"].astype(str) == "root>" + adata.obs["side"].astype(str)).all()


def test_cells_of_no_lineage_are_off_and_may_lack_a_time(adata, caplog):
    adata.obs.loc[adata.obs_names[:7], NAMES] = False
    adata.obs.loc[adata.obs_names[:7], "time"] = np.nan
    with caplog.at_level("DEBUG", logger="grn"):
        grn.pp.trajectory(adata, pseudotime="time", lineages=NAMES)
    assert "7 of 240 cells" in caplog.text
    assert adata.obs[["trajectory_edge", "trajectory_place", "trajectory_time"]].isna().all(axis=1).sum() == 7
    trajectory = trajectory_of(adata)
    assert (trajectory.edge[:7] == -1).all() and len(trajectory.by_name) == 233
    assert not np.isin(trajectory.windows(20, 15).cells, np.arange(7)).any()


def test_partings_that_contradict_each_other_become_a_tree():
    obs = pd.DataFrame({"time": [0.0, 1, 2, 3, 6, 6, 6], "A": [1, 1, 1, 0, 1, 0, 0], "B": [1, 1, 1, 1, 0, 1, 0],
                        "C": [1, 0, 0, 1, 0, 0, 1]}, index=list("abcdefg"))  # fmt: skip
    adata = ad.AnnData(np.ones((7, 1), dtype=np.float32), obs=obs)
    grn.pp.trajectory(adata, pseudotime="time", lineages=NAMES)
    # A and C share only the first cell, but both go with B until 2
    assert edges_of(adata) == {"root>A+B+C": 2.0, "A+B+C>A": 4.0, "A+B+C>B+C": 1.0, "B+C>B": 3.0, "B+C>C": 3.0}


def test_stages_are_nodes(adata):
    grn.pp.trajectory(adata, time="stage")
    assert edges_of(adata) == {"early>middle": 1.0, "middle>late": 1.0}
    assert adata.obs["trajectory_time"].tolist() == adata.obs["stage"].cat.codes.tolist()
    sizes = [len(cells) for cells in trajectory_of(adata).bins("main")]
    assert sizes == adata.obs["stage"].value_counts(sort=False).tolist()
    adata.obs["hours"] = np.array([0.0, 6.0, 24.0])[adata.obs["stage"].cat.codes]
    grn.pp.trajectory(adata, time="hours", key_added="hours")
    assert edges_of(adata, "hours") == {"0>6": 6.0, "6>24": 18.0}


def test_stages_of_several_lineages(adata):
    grn.pp.trajectory(adata, time="stage", lineages=NAMES)
    assert edges_of(adata) == {
        "root>A middle": 1.0, "A middle>A": 1.0, "root>B+C": 1.0, "B+C>B": 1.0, "B+C>C": 1.0,
    }  # fmt: skip
    assert lineages_of(adata)["B"] == ["root>B+C", "B+C>B"]


def test_groups_of_paga_are_nodes(paga):
    grn.pp.trajectory(paga, paga="paga", pseudotime="time", root="trunk")
    assert set(edges_of(paga)) == {"trunk>BC", "trunk>A", "BC>B", "BC>C"}
    assert lineages_of(paga) == {"A": ["trunk>A"], "B": ["trunk>BC", "BC>B"], "C": ["trunk>BC", "BC>C"]}
    np.testing.assert_allclose(paga.obs["trajectory_time"], paga.obs["time"])
    own = paga.obs["group"].astype(str)
    assert (paga.obs["trajectory_edge"][own == "A"] == "trunk>A").all()
    late = own.isin(["B", "C"])
    assert (paga.obs["trajectory_edge"][late].astype(str).isin(["BC>B", "BC>C", "trunk>BC"])).all()
    # cells of the group in between that are past its median go where their neighbours are
    past = (own == "BC") & (paga.obs["time"] > paga.obs["time"][own == "BC"].median())
    assert set(paga.obs["trajectory_edge"][past].astype(str)) <= {"BC>B", "BC>C"}
    ending = past & (paga.obs["time"] > 1.8)
    branch = np.where(paga.obs["side"][ending] == "B", "BC>B", "BC>C")
    assert ending.sum() > 5 and (paga.obs["trajectory_edge"][ending].astype(str) == branch).mean() > 0.5


def test_the_tree_of_paga_is_the_maximum_spanning_tree_where_groups_come_one_after_the_other(paga):
    grn.pp.trajectory(paga, paga="paga", pseudotime="time", root="trunk")
    weights = paga.uns["paga"]["connectivities"]
    distances = sparse.csr_matrix((1 / weights.data, weights.indices, weights.indptr))
    spanning = sparse.csgraph.minimum_spanning_tree(distances)
    names = paga.obs["group"].cat.categories
    expected = {frozenset((names[i], names[j])) for i, j in zip(*spanning.nonzero(), strict=True)}
    assert {frozenset(pair) for pair in paga.uns["trajectory"]["edges"][["start", "end"]].to_numpy()} == expected


def test_sisters_are_no_mothers_however_connected(paga):
    names = list(paga.obs["group"].cat.categories)
    weights = paga.uns["paga"]["connectivities"].toarray()
    weights[names.index("B"), names.index("C")] = weights[names.index("C"), names.index("B")] = 9.0
    paga.uns["paga"]["connectivities"] = sparse.csr_matrix(weights)
    grn.pp.trajectory(paga, paga="paga", pseudotime="time", root="trunk")
    assert set(edges_of(paga)) == {"trunk>BC", "trunk>A", "BC>B", "BC>C"}


def test_groups_at_one_time_follow_each_other_if_nothing_is_earlier(paga):
    paga.obs["group"] = paga.obs["group"].cat.rename_categories({"trunk": "x"})
    paga.obs["flat"] = np.where(paga.obs["group"] == "x", 0.0, 1.0) + 1e-3 * paga.obs["time"]
    paga.uns["paga"]["connectivities"] = sparse.csr_matrix(1 - np.eye(5))
    grn.pp.trajectory(paga, paga="paga", pseudotime="flat", root="x")
    np.testing.assert_allclose(paga.obs["trajectory_time"], paga.obs["flat"] - paga.obs["flat"].min())


def test_a_paga_graph_without_neighbours_follows_the_most_connected_group(paga, caplog):
    del paga.obsp["connectivities"]
    with caplog.at_level("DEBUG", logger="grn"):
        grn.pp.trajectory(paga, paga="paga", pseudotime="time", root="trunk")
    assert "connectivities" in caplog.text
    np.testing.assert_allclose(paga.obs["trajectory_time"], paga.obs["time"])


def tables(adata):
    grn.pp.trajectory(adata, pseudotime="time", lineages=NAMES)
    cells = adata.obs[["trajectory_edge", "trajectory_place"]].set_axis(["edge", "place"], axis=1)
    return adata.uns["trajectory"]["edges"].copy(), cells


def test_a_table_gives_back_what_it_says(adata):
    edges, cells = tables(adata)
    grn.pp.trajectory(adata, edges=edges.iloc[::-1], cells=cells.iloc[::-1], key_added="again")
    assert edges_of(adata, "again") == edges_of(adata) and lineages_of(adata, "again") == lineages_of(adata)
    assert (adata.obs["again_edge"].astype(str) == adata.obs["trajectory_edge"].astype(str)).all()
    np.testing.assert_allclose(adata.obs["again_time"], adata.obs["trajectory_time"])


def test_edges_that_run_towards_the_root_are_turned(adata):
    edges, cells = tables(adata)
    ends = edges.set_index("edge").loc[cells["edge"].astype(str)]
    cells = cells.assign(start=ends["end"].to_numpy(), end=ends["start"].to_numpy()).drop(columns="edge")
    cells["place"] = ends["length"].to_numpy() - cells["place"]
    turned = edges.rename(columns={"start": "end", "end": "start"}).drop(columns="edge")
    grn.pp.trajectory(adata, edges=turned, cells=cells, root="root", key_added="again")
    np.testing.assert_allclose(adata.obs["again_time"], adata.obs["trajectory_time"], atol=1e-12)
    assert set(map(tuple, adata.uns["again"]["edges"][["start", "end"]].to_numpy())) == set(
        map(tuple, edges[["start", "end"]].to_numpy())
    )


def test_another_root_turns_edges_and_places(adata):
    edges, cells = tables(adata)
    grn.pp.trajectory(adata, edges=edges, cells=cells, root="A", key_added="again")
    one, two = trajectory_of(adata), trajectory_of(adata, "again")
    assert sorted(two.lineages) == ["B", "C", "root"]
    for cell in (0, 9, 33):
        np.testing.assert_allclose(
            one.tree.distances(one.edge[cell], one.place[cell], one.edge, one.place),
            two.tree.distances(two.edge[cell], two.place[cell], two.edge, two.place), atol=1e-9,
        )  # fmt: skip


def test_cells_that_the_table_lacks_are_off(adata, caplog):
    edges, cells = tables(adata)
    cells = cells.rename(index={cells.index[0]: "stranger"})
    with caplog.at_level("DEBUG", logger="grn"):
        grn.pp.trajectory(adata, edges=edges, cells=cells, key_added="again")
    assert "1 of 240 cells" in caplog.text and "1 rows" in caplog.text
    assert adata.obs["again_edge"].isna().tolist() == [True] + [False] * 239


SOURCES = {
    "pseudotime": lambda adata, edges, cells: {"pseudotime": "time", "lineages": NAMES},
    "time": lambda adata, edges, cells: {"time": "stage", "lineages": NAMES},
    "paga": lambda adata, edges, cells: {"paga": "paga", "pseudotime": "time", "root": "trunk"},
    "edges": lambda adata, edges, cells: {"edges": edges, "cells": cells},
}


@pytest.mark.parametrize("source", SOURCES)
def test_the_order_of_cells_does_not_matter(paga, source):
    arguments = SOURCES[source](paga, *tables(paga))
    order = np.random.default_rng(3).permutation(paga.n_obs)
    other = paga[order].copy()
    for adata in (paga, other):
        grn.pp.trajectory(adata, **arguments)
    pd.testing.assert_frame_equal(other.uns["trajectory"]["edges"], paga.uns["trajectory"]["edges"])
    columns = [f"trajectory_{name}" for name in ("edge", "place", "time")]
    pd.testing.assert_frame_equal(other.obs[columns], paga.obs[columns].iloc[order])
    one, two = trajectory_of(paga), trajectory_of(other)
    names, others = (np.asarray(adata.obs_names) for adata in (paga, other))
    assert (names[one.windows(20, 15).cells] == others[two.windows(20, 15).cells]).all()
    lineage = next(iter(one.lineages))
    for a, b in zip(one.bins(lineage, 4), two.bins(lineage, 4), strict=True):
        assert paga.obs_names[a].tolist() == other.obs_names[b].tolist()


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_files_keep_a_trajectory(paga, source, ending, tmp_path):
    grn.pp.trajectory(paga, **SOURCES[source](paga, *tables(paga)))
    path = tmp_path / f"cells.{ending}"
    (paga.write_h5ad if ending == "h5ad" else paga.write_zarr)(path)
    read = (ad.read_h5ad if ending == "h5ad" else ad.read_zarr)(path)
    one, two = trajectory_of(paga), trajectory_of(read)
    pd.testing.assert_frame_equal(one.edges, two.edges, check_dtype=False)
    assert one.lineages == two.lineages and (one.edge == two.edge).all()
    np.testing.assert_array_equal(one.time, two.time)


def test_an_object_cut_to_some_cells_keeps_its_trajectory(adata):
    grn.pp.trajectory(adata, pseudotime="time", lineages=NAMES)
    some = adata[adata.obs["B"]].copy()
    assert set(trajectory_of(some).lineages) == set(NAMES)
    np.testing.assert_array_equal(trajectory_of(some).time, some.obs["trajectory_time"])


def test_a_mudata_gets_it_in_the_modality(adata):
    atac = ad.AnnData(np.ones((240, 2)), obs=pd.DataFrame(index=adata.obs_names))
    mdata = mudata.MuData({"rna": adata, "atac": atac})
    mdata.obs["when"] = adata.obs["time"]
    mdata.obs["which"] = adata.obs["side"]
    grn.pp.trajectory(mdata, pseudotime="when", lineages="which")
    assert "trajectory" in mdata["rna"].uns and "trajectory" not in mdata.uns
    assert "trajectory_edge" in mdata["rna"].obs and "when" not in mdata["rna"].obs
    made = grn.pp.trajectory(mdata, time="when", copy=True, key_added="other")
    assert "other" in made["rna"].uns and "other" not in mdata["rna"].uns


def test_a_copy_leaves_the_object_alone(adata):
    made = grn.pp.trajectory(adata, pseudotime="time", copy=True)
    assert "trajectory" in made.uns and "trajectory" not in adata.uns and "trajectory_edge" not in adata.obs


def test_methods_read_it_through_their_inputs(adata):
    grn.pp.trajectory(adata, pseudotime="time", lineages=NAMES, key_added="tree")
    trajectory = Inputs(adata, Task()).trajectory("tree")
    cells = trajectory.cells("B")
    assert (np.diff(trajectory.time[cells]) >= 0).all()
    assert np.isin(trajectory.edge[cells], trajectory.lineages["B"]).all()
    bins = trajectory.bins("B", 7)
    assert np.concatenate(bins).tolist() == cells.tolist()
    assert {len(part) for part in bins} <= {len(cells) // 7, len(cells) // 7 + 1}
    with pytest.raises(ParameterError, match="'A', 'B', 'C'"):
        trajectory.cells("D")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((1, 0), "n_cells=1"),
        ((241, 0), "240 cells are on the trajectory"),
        ((20, 20), "overlap=20"),
        ((20, -1), "overlap=-1"),
        ((20, 5, 0.0), "farthest"),
        ((20, 5, 1e-9), "too many"),
    ],
)
def test_windows_that_cannot_be(adata, arguments, told):
    grn.pp.trajectory(adata, pseudotime="time")
    with pytest.raises(ParameterError, match=told):
        trajectory_of(adata).windows(*arguments)


def test_too_few_cells_for_a_window_or_bins(adata):
    few = adata[:1].copy()
    grn.pp.trajectory(adata, pseudotime="time")
    few.uns["trajectory"] = adata.uns["trajectory"]
    for name in ("edge", "place", "time"):
        few.obs[f"trajectory_{name}"] = adata.obs[f"trajectory_{name}"].iloc[:1]
    with pytest.raises(ParameterError, match="1 cells are on the trajectory"):
        trajectory_of(few).windows(2, 1)
    with pytest.raises(ParameterError, match="has 240 cells"):
        trajectory_of(adata).bins("main", 241)


def test_windows_tell_of_cells_at_one_place(adata, caplog):
    grn.pp.trajectory(adata, time="stage")
    with caplog.at_level("DEBUG", logger="grn"):
        windows = trajectory_of(adata).windows(50, 45)
    assert "at one place" in caplog.text and len(windows.jumps) == 2


BAD = {
    "nothing": ({}, ParameterError, "Pass what makes a trajectory"),
    "root alone": ({"root": "trunk"}, ParameterError, "root alone does not"),
    "edges alone": ({"edges": pd.DataFrame()}, ParameterError, "cells="),
    "paga alone": ({"paga": "paga", "pseudotime": "time"}, ParameterError, "root="),
    "two sources": ({"time": "stage", "pseudotime": "time"}, ParameterError, "pseudotime="),
    "lineages of paga": (
        {"paga": "paga", "pseudotime": "time", "root": "trunk", "lineages": NAMES}, ParameterError, "lineages=",
    ),
    "no column": ({"pseudotime": "tim"}, GroupError, "Did you mean 'time'"),
    "text": ({"pseudotime": "group"}, ParameterError, "no numbers"),
    "booleans": ({"pseudotime": "A"}, ParameterError, "no numbers"),
    "NaN": ({"pseudotime": "gaps"}, ParameterError, "3 of 240 cells"),
    "infinite": ({"pseudotime": "far"}, ParameterError, "diffusion pseudotime"),
    "constant": ({"pseudotime": "same"}, ParameterError, "1 in all cells"),
    "one stage": ({"time": "alone"}, ParameterError, "0 in all cells"),
    "no order": ({"time": "group"}, ParameterError, "ordered=True"),
    "a number": ({"pseudotime": 3}, GroupError, "pseudotime="),
    "unknown lineage": ({"pseudotime": "time", "lineages": ["A", "D"]}, GroupError, "'D'"),
    "labels in a list": ({"pseudotime": "time", "lineages": ["side"]}, ParameterError, "True and False"),
    "empty lineage": ({"pseudotime": "time", "lineages": ["A", "none"]}, GroupError, "'none'"),
    "no lineage": ({"pseudotime": "time", "lineages": []}, ParameterError, "one column"),
    "lineage within another": ({"pseudotime": "time", "lineages": ["A", "trunk"]}, GroupError, "'trunk'"),
    "no paga": ({"paga": "graph", "pseudotime": "time", "root": "trunk"}, ResultNotFoundError, "sc.tl.paga"),
    "no such group": ({"paga": "paga", "pseudotime": "time", "root": "trunc"}, GroupError, "Did you mean 'trunk'"),
    "not earlier": ({"paga": "paga", "pseudotime": "same", "root": "trunk"}, GroupError, "does not grow"),
    "not connected": ({"paga": "apart", "pseudotime": "time", "root": "trunk"}, GroupError, "not connected"),
    "other groups": ({"paga": "three", "pseudotime": "time", "root": "trunk"}, ResultNotFoundError, "3 groups"),
}  # fmt: skip


def spoilt(adata):
    adata.obs["gaps"] = adata.obs["time"].where(np.arange(240) > 2)
    adata.obs["far"] = adata.obs["time"].where(np.arange(240) > 2, np.inf)
    adata.obs["same"], adata.obs["none"], adata.obs["trunk"] = 1.0, False, adata.obs["group"] == "trunk"
    adata.obs["alone"] = pd.Categorical(["x"] * 240, ordered=True)
    adata.uns["apart"] = {**adata.uns["paga"], "connectivities": sparse.csr_matrix((5, 5))}
    adata.uns["three"] = {**adata.uns["paga"], "connectivities": np.ones((3, 3))}
    return adata


def unchanged(adata, before):
    assert list(adata.obs.columns) == before[0] and list(adata.uns) == before[1]


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_a_trajectory_is_refused(paga, case):
    arguments, error, told = BAD[case]
    spoilt(paga)
    before = list(paga.obs.columns), list(paga.uns)
    with pytest.raises(error, match=told):
        grn.pp.trajectory(paga, **arguments)
    unchanged(paga, before)


BAD_TABLES = {
    "cycle": (lambda e, c: (pd.concat([e, e.iloc[:1].assign(edge="x", start="A", end="B")]), c), {}, "closes a cycle"),
    "twice": (lambda e, c: (pd.concat([e, e.iloc[:1]]), c), {}, "more than once"),
    "loop": (lambda e, c: (e.assign(end=e["end"].where(e["end"] != "A", "A+B+C")), c), {}, "closes a cycle"),
    "pieces": (lambda e, c: (e[e["end"] != "B+C"], c[c["edge"] != "A+B+C>B+C"]), {}, "2 pieces"),
    "unknown edge": (lambda e, c: (e, c.assign(edge="B>D")), {}, "no edge"),
    "unknown root": (lambda e, c: (e, c), {"root": "rot"}, "Did you mean 'root'"),
    "no root": (lambda e, c: (e.assign(**dict(zip(["start", "end"], (e["end"], e["start"]), strict=True))), c), {},
                "root='...'"),
    "no length": (lambda e, c: (e.assign(length=0.0), c), {}, "length above 0"),
    "length of text": (lambda e, c: (e.assign(length="long"), c), {}, "no numbers"),
    "no column": (lambda e, c: (e.drop(columns="start"), c), {}, "start, end, length"),
    "no cells": (lambda e, c: (e, c.rename(index=str.upper)), {}, "none of the 240 names"),
    "no place": (lambda e, c: (e, c.drop(columns="place")), {}, "edge and place"),
    "place beyond": (lambda e, c: (e, c.assign(place=99.0)), {}, "not on their edges"),
    "place missing": (lambda e, c: (e, c.assign(place=np.nan)), {}, "not on their edges"),
    "cells twice": (lambda e, c: (e, pd.concat([c, c.iloc[:1]])), {}, "more than once"),
    "missing node": (lambda e, c: (e.assign(end=e["end"].where(e["end"] != "A")), c), {}, "missing names"),
    "no table": (lambda e, c: ([("A", "B")], c), {}, "list"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TABLES)
def test_tables_that_are_no_trajectory_are_refused(adata, case):
    change, more, told = BAD_TABLES[case]
    edges, cells = change(*tables(adata))
    before = list(adata.obs.columns), list(adata.uns)
    with pytest.raises(ParameterError, match=told):
        grn.pp.trajectory(adata, edges=edges, cells=cells, key_added="again", **more)
    unchanged(adata, before)


def test_a_lineage_of_the_table_without_cells_is_refused():
    edges = pd.DataFrame({"start": ["r", "r"], "end": ["x", "y"], "length": [1.0, 1.0]})
    adata = ad.AnnData(np.ones((2, 1), dtype=np.float32), obs=pd.DataFrame(index=["a", "b"]))
    cells = pd.DataFrame({"edge": "r>x", "place": [0.1, 0.2]}, index=["a", "b"])
    with pytest.raises(GroupError, match="'y'"):
        grn.pp.trajectory(adata, edges=edges, cells=cells)


def test_an_object_without_cells_has_no_trajectory(adata):
    with pytest.raises(GroupError, match="no cells"):
        grn.pp.trajectory(adata[:0].copy(), pseudotime="time")


def test_names_of_cells_have_to_differ(adata):
    adata.obs_names = ["one", *adata.obs_names[:-1]]
    adata.obs_names = ["one", "one", *adata.obs_names[2:]]
    with pytest.raises(CellNameError):
        grn.pp.trajectory(adata, pseudotime="time")


DAMAGES = {
    "no edges": lambda adata: adata.uns["trajectory"].pop("edges"),
    "no length": lambda adata: adata.uns["trajectory"]["edges"].drop(columns="length", inplace=True),
    "negative": lambda adata: adata.uns["trajectory"]["edges"].update({"length": [-1.0] * 5}),
    "text": lambda adata: adata.uns["trajectory"].update(edges=adata.uns["trajectory"]["edges"].assign(length="x")),
    "order": lambda adata: adata.uns["trajectory"].update(edges=adata.uns["trajectory"]["edges"].iloc[::-1]),
    "lineages": lambda adata: adata.uns["trajectory"]["lineages"].update({"edge": ["?"] * 8}),
    "path": lambda adata: adata.uns["trajectory"]["lineages"].update({"order": [0] * 3 + [2, 1, 0] + [0] * 2}),
    "obs edge": lambda adata: adata.obs.__setitem__("trajectory_edge", "?"),
    "place": lambda adata: adata.obs.__setitem__("trajectory_place", 9.0),
}


@pytest.mark.parametrize("case", [*DAMAGES, "no column"])
def test_what_was_changed_since_is_found(adata, case):
    grn.pp.trajectory(adata, pseudotime="time", lineages=NAMES)
    if case == "no column":
        del adata.obs["trajectory_edge"]
    else:
        adata.obs["trajectory_edge"] = adata.obs["trajectory_edge"].astype(str)
        DAMAGES[case](adata)
    with pytest.raises(ResultNotFoundError, match=r"pp\.trajectory"):
        trajectory_of(adata)
    with pytest.raises(ResultNotFoundError, match="key_added='other'"):
        trajectory_of(adata, "other")
