import anndata as ad
import numpy as np
import pandas as pd
import pytest

from grn import get
from grn._core.errors import GeneNameError, GroupError, ParameterError, ResultNotFoundError

GENES = ["A", "B", "C", "D"]
SOURCES = ["B", "A", "X"]


def make(groups=None):
    k = 2 * (len(groups) if groups else 1)
    adata = ad.AnnData(np.ones((2, 4), dtype=np.float32), var=pd.DataFrame(index=GENES))
    values = np.arange(4 * 3 * k, dtype=np.float32).reshape(4, 3, k)
    values[3] = np.nan
    values[:, 2] = np.nan
    values[0, 1] = np.nan
    adata.varm["vvp"] = values
    adata.varm["X_mini"] = np.arange(8, dtype=np.float32).reshape(4, 2)
    adata.uns["vvp"] = {
        "sources": np.array(SOURCES),
        "grid": np.array([-1.0, 1.0]),
        "value_scale": "z-score",
        "params": {},
    }
    if groups:
        adata.uns["vvp"]["groups"] = np.array(groups)
    return adata


class TestFeatures:
    def test_labels_and_values(self):
        adata = make()
        found = get.features(adata, key="vvp")
        assert found.values.shape == (4, 3, 2) and found.values.dtype == np.float32
        assert list(found.targets) == GENES and list(found.sources) == SOURCES
        assert found.grid.tolist() == [-1, 1] and found.value_scale == "z-score" and found.groups is None
        assert "4 targets x 3 sources x 2 points" in repr(found)

    def test_pair(self):
        found = get.features(make(), key="vvp")
        assert found.pair("A", "C").tolist() == make().varm["vvp"][2, 1].tolist()
        with pytest.raises(GeneNameError, match="source"):
            found.pair("D", "C")
        with pytest.raises(GeneNameError, match="target"):
            found.pair("A", "Z")

    def test_selection_keeps_the_wanted_order(self):
        adata = make()
        found = get.features(adata, key="vvp", sources=["A", "B"], targets=["C", "A"])
        assert list(found.sources) == ["A", "B"] and list(found.targets) == ["C", "A"]
        assert np.array_equal(found.values, adata.varm["vvp"][[2, 0]][:, [1, 0]], equal_nan=True)
        assert get.features(adata, key="vvp", sources="A").values.shape == (4, 1, 2)
        with pytest.raises(GeneNameError, match="Q"):
            get.features(adata, key="vvp", sources=["A", "Q"])

    def test_stored_values_cannot_be_changed(self):
        adata = make()
        found = get.features(adata, key="vvp")
        with pytest.raises(ValueError, match="read-only"):
            found.values[0, 0, 0] = 1
        adata.varm["vvp"][0, 0, 0] = 5

    def test_to_frame(self):
        found = get.features(make(), key="vvp")
        table = found.to_frame()
        assert list(table) == ["source", "target", "point", "value"] and len(table) == 24
        for row in table.itertuples():
            expected = found.pair(row.source, row.target)[found.grid.tolist().index(row.point)]
            assert row.value == expected or (np.isnan(row.value) and np.isnan(expected))

    def test_drop_missing(self):
        found = get.features(make(), key="vvp").drop_missing()
        assert list(found.targets) == ["A", "B", "C"] and list(found.sources) == ["B", "A"]
        assert np.isnan(found.pair("A", "A")).all()
        assert found.pair("B", "A").tolist() == [0, 1]

    def test_slicing_takes_the_targets_along(self):
        adata = make()
        found = get.features(adata[:, ["C", "A"]].copy(), key="vvp")
        assert list(found.targets) == ["C", "A"] and list(found.sources) == SOURCES
        assert found.pair("B", "C").tolist() == get.features(adata, key="vvp").pair("B", "C").tolist()

    @pytest.mark.parametrize("kind", ["h5ad", "zarr"])
    def test_files(self, tmp_path, kind):
        adata = make(groups=["x", "y"])
        getattr(adata, f"write_{kind}")(tmp_path / "a")
        one = get.features(getattr(ad, f"read_{kind}")(tmp_path / "a"), key="vvp")
        two = get.features(adata, key="vvp")
        pd.testing.assert_frame_equal(one.to_frame(), two.to_frame())

    @pytest.mark.parametrize("labels", [["x", "y"], ["x", "x", "y", "y"]])
    @pytest.mark.parametrize("grid", [[-1.0, 1.0], [-1.0, 1.0, -1.0, 1.0]])
    def test_groups(self, labels, grid):
        adata = make(groups=["x", "y"])
        adata.uns["vvp"]["groups"] = np.array(labels)
        adata.uns["vvp"]["grid"] = np.array(grid)
        whole = get.features(adata, key="vvp")
        part = get.features(adata, key="vvp", group="y")
        assert whole.groups.tolist() == ["x", "x", "y", "y"] and whole.grid.tolist() == [-1, 1, -1, 1]
        assert np.array_equal(part.values, adata.varm["vvp"][:, :, 2:], equal_nan=True)
        assert part.grid.tolist() == [-1, 1] and part.groups.tolist() == ["y", "y"]
        table = whole.to_frame()
        chosen = table[(table["source"] == "B") & (table["target"] == "C") & (table["group"] == "y")]
        assert chosen["value"].tolist() == part.pair("B", "C").tolist()

    def test_unknown_group(self):
        with pytest.raises(GroupError, match="no groups"):
            get.features(make(), key="vvp", group="x")
        with pytest.raises(GroupError, match=r"'z'.*'x', 'y'"):
            get.features(make(groups=["x", "y"]), key="vvp", group="z")

    def test_missing_names_what_is_there(self):
        with pytest.raises(ResultNotFoundError, match=r"'vvp'.*grn\.tl\.pert"):
            get.features(make(), key="pert")
        with pytest.raises(ResultNotFoundError, match=r"get\.embedding"):
            get.features(make(), key="X_mini")
        with pytest.raises(ResultNotFoundError, match="no pair features"):
            get.features(ad.AnnData(np.ones((2, 2))), key="vvp")
        with pytest.raises(ParameterError, match="int"):
            get.features(3, key="vvp")

    @pytest.mark.parametrize(
        ("name", "value"), [("sources", ["A"]), ("grid", [1.0, 2, 3]), ("groups", ["a", "b", "c"])]
    )
    def test_labels_that_do_not_fit(self, name, value):
        adata = make()
        adata.uns["vvp"][name] = np.array(value)
        with pytest.raises(ParameterError, match="compute the features again"):
            get.features(adata, key="vvp")


class TestEmbedding:
    def test_genes_and_pairs(self):
        adata = make()
        table = adata.varm["X_mini"]
        assert np.array_equal(get.embedding(adata), table)
        found = get.embedding(adata, pairs=[("A", "C"), ("C", "A"), ("B", "B")])
        assert np.array_equal(found, [table[0] + table[2], table[0] + table[2], 2 * table[1]])
        frame = pd.DataFrame({"source": pd.Categorical(["A"]), "target": ["C"]})
        assert np.array_equal(get.embedding(adata, pairs=frame), found[:1])
        assert get.embedding(adata, pairs=[]).shape == (0, 2)

    def test_unknown_genes_give_nan_and_the_table_is_a_copy(self):
        adata = make()
        adata.varm["X_mini"][1] = np.nan
        assert np.isnan(get.embedding(adata, pairs=[("A", "B")])).all()
        get.embedding(adata)[:] = 0
        assert adata.varm["X_mini"][0, 1] == 1

    def test_bad_input(self):
        adata = make()
        with pytest.raises(GeneNameError, match="'Z'"):
            get.embedding(adata, pairs=[("A", "Z")])
        with pytest.raises(ParameterError, match="source, target"):
            get.embedding(adata, pairs=["AB"])
        with pytest.raises(ParameterError, match="columns"):
            get.embedding(adata, pairs=pd.DataFrame({"a": ["A"]}))
        with pytest.raises(ParameterError, match="axes"):
            get.embedding(adata, key="vvp")
        with pytest.raises(ResultNotFoundError, match=r"'X_mini'.*grn\.tl\.embedding"):
            get.embedding(adata, key="X_other")
