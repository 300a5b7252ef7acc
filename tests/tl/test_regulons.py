import anndata as ad
import numpy as np
import pandas as pd
import pytest

from grn import Network
from grn._core.errors import GroupError, NetworkError, ParameterError, ResultNotFoundError
from grn.tl._regulons import regulons

TARGETS = [f"T{i}" for i in range(8)]


@pytest.fixture
def adata():
    rows = [("A", t, w) for t, w in zip(TARGETS, [8, 7, 6, 5, -4, -3, -2, 0.0], strict=True)]
    rows += [("B", "T0", 1.0), ("B", "T1", 1.0)]
    frame = pd.DataFrame(rows, columns=["source", "target", "weight"])
    made = ad.AnnData(np.ones((2, 10), dtype=np.float32), var=pd.DataFrame(index=["A", "B", *TARGETS]))
    Network(frame.assign(probability=np.linspace(1, 0.1, len(frame)))).write(made)
    return made


def sets(adata, key="regulons"):
    edges = adata.uns[key]["edges"]
    return {
        name: dict(zip(part["target"], part["weight"], strict=True))
        for name, part in edges.groupby("source", observed=True)
    }


def test_sets_weights_and_dropped(adata, caplog):
    with caplog.at_level("INFO", logger="grn"):
        assert regulons(adata, min_targets=3) is None
    assert sets(adata) == {"A(+)": {"T0": 8, "T1": 7, "T2": 6, "T3": 5}, "A(-)": {"T4": 4, "T5": 3, "T6": 2}}
    assert adata.uns["regulons"]["dropped"].tolist() == ["B(+)"]
    assert "B(+)" in caplog.text
    assert list(adata.uns["regulons"]["edges"]) == ["source", "target", "weight"]


def test_one_set_per_regulator(adata):
    regulons(adata, signed=False)
    assert sets(adata)["A"]["T4"] == -4 and len(sets(adata)["A"]) == 7


def test_limits(adata):
    regulons(adata, min_targets=2, max_targets=2)
    assert sets(adata) == {"A(+)": {"T0": 8, "T1": 7}, "A(-)": {"T4": 4, "T5": 3}, "B(+)": {"T0": 1, "T1": 1}}
    regulons(adata, min_targets=1, top_per_source=5)
    assert set(sets(adata)["A(-)"]) == {"T4"}
    regulons(adata, min_targets=1, min_probability=0.75)
    assert set(sets(adata)) == {"A(+)"} and len(sets(adata)["A(+)"]) == 3


def test_only_genes_of_the_object_count(adata, caplog):
    small = adata[:, ["A", *TARGETS[:3]]].copy()
    with caplog.at_level("INFO", logger="grn"):
        regulons(small, min_targets=3)
    assert sets(small) == {"A(+)": {"T0": 8, "T1": 7, "T2": 6}}
    assert "7 of 10 edges" in caplog.text


def test_copy_and_keys(adata):
    Network.from_anndata(adata).write(adata, "other")
    made = regulons(adata, key="other", key_added="mine", min_targets=2, copy=True)
    assert "mine" in made.uns and "mine" not in adata.uns
    assert made.uns["mine"]["params"]["key"] == "other"
    assert made.uns["mine"]["params"]["unset"].tolist().count("group") == 1


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
@pytest.mark.parametrize("min_targets", [1, 3])
def test_files(adata, tmp_path, kind, min_targets):
    regulons(adata, min_targets=min_targets)
    getattr(adata, f"write_{kind}")(tmp_path / "a")
    back = getattr(ad, f"read_{kind}")(tmp_path / "a")
    assert sets(back) == sets(adata)
    assert list(back.uns["regulons"]["dropped"]) == list(adata.uns["regulons"]["dropped"])
    assert back.uns["regulons"]["params"].keys() == adata.uns["regulons"]["params"].keys()


def test_groups(adata):
    edges = Network.from_anndata(adata).edges
    both = pd.concat([edges.assign(group="x"), edges.assign(group="y", weight=-edges["weight"])])
    Network(both).write(adata)
    with pytest.raises(GroupError, match="group='x'"):
        regulons(adata)
    with pytest.raises(GroupError, match="'z'"):
        regulons(adata, group="z")
    regulons(adata, group="y", min_targets=4)
    assert set(sets(adata)) == {"A(-)"}


def test_gene_order_does_not_matter(adata):
    other = adata[:, ::-1].copy()
    regulons(adata, min_targets=2, max_targets=2)
    regulons(other, min_targets=2, max_targets=2)
    pd.testing.assert_frame_equal(adata.uns["regulons"]["edges"], other.uns["regulons"]["edges"])


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"min_targets": 9}, NetworkError, "4 targets.*lower min_targets"),
        ({"min_probability": 1.0, "top_per_source": 0}, NetworkError, "relax"),
        ({"min_targets": 0}, ParameterError, "min_targets=0"),
        ({"min_targets": 2.5}, ParameterError, "min_targets=2.5"),
        ({"max_targets": 2}, ParameterError, "below"),
        ({"top_per_source": -1}, ParameterError, "top_per_source"),
        ({"key": "absent"}, ResultNotFoundError, "'grn'"),
    ],
)
def test_failures_leave_the_object_alone(adata, arguments, error, match):
    with pytest.raises(error, match=match):
        regulons(adata, **arguments)
    assert set(adata.uns) == {"grn"}


def test_type():
    with pytest.raises(ParameterError, match="DataFrame"):
        regulons(pd.DataFrame())


def test_a_copy_of_an_object_on_disk_is_one_in_memory(adata, tmp_path):
    adata.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    made = regulons(backed, min_targets=2, copy=True)
    assert not made.isbacked and sets(made) and "regulons" not in backed.uns
    with pytest.raises(ParameterError, match="view of a file"):
        regulons(backed[:1])
