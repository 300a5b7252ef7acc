import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest

from grn import Network
from grn._core.errors import NetworkError, ParameterError, ResultNotFoundError


@pytest.fixture
def adata():
    return ad.AnnData(np.ones((3, 3), dtype=np.float32), var=pd.DataFrame(index=["A", "B", "C"]))


def full():
    frame = pd.DataFrame(
        {
            "source": ["A", "A", "B"],
            "target": ["B", "C", "C"],
            "weight": [1.0, -2.0, 3.0],
            "sign": [1, -1, np.nan],
            "probability": [0.1, np.nan, 0.3],
            "group": pd.Categorical(["z", "z", "a"], ["z", "a"]),
            "region": ["chr1", None, "chr2"],
            "novel": [True, False, True],
            "lag": [1, 2, 3],
        }
    )
    params = {
        "method": "x",
        "n": 3,
        "rate": 0.5,
        "layer": None,
        "genes": ("A", "B"),
        "none": [],
        "deep": {"flag": True},
    }
    return Network(frame, genes=["C", "B", "A", "Z"], tested=True, params=params)


def bare():
    return Network(pd.DataFrame({"source": ["A"], "target": ["B"], "weight": [1.0]}), directed=False)


def empty():
    return Network(pd.DataFrame(columns=["source", "target", "weight"]), genes=[])


@pytest.mark.parametrize("make", [full, bare, empty])
@pytest.mark.parametrize("kind", ["memory", "h5ad", "zarr"])
def test_round_trip(adata, tmp_path, make, kind):
    net = make()
    net.write(adata, "net")
    if kind != "memory":
        getattr(adata, f"write_{kind}")(tmp_path / "a")
        adata = getattr(ad, f"read_{kind}")(tmp_path / "a")
    back = Network.from_anndata(adata, "net")
    assert back.equals(net)
    assert repr(back.params) == repr(net.params) or set(back.params) == set(net.params)
    assert list(adata.uns["net"]["edges"].columns[:3]) == ["source", "target", "weight"]
    assert adata.uns["net"]["schema"]["orientation"] == "source regulates target"


def test_second_round_trip_changes_nothing(adata, tmp_path):
    full().write(adata)
    for name in ("a.h5ad", "b.h5ad"):
        adata.write_h5ad(tmp_path / name)
        adata = ad.read_h5ad(tmp_path / name)
        Network.from_anndata(adata).write(adata)
    assert Network.from_anndata(adata).equals(full())


def test_writing_into_a_view_leaves_the_original(adata):
    view = adata[:, ["A", "B"]]
    with pytest.warns(ad.ImplicitModificationWarning):
        bare().write(view)
    assert "grn" in view.uns and "grn" not in adata.uns


def test_slicing_keeps_the_network(adata):
    full().write(adata)
    assert Network.from_anndata(adata[:, ["A"]].copy()).equals(full())


def test_mudata(adata):
    mdata = md.MuData({"rna": adata})
    bare().write(mdata)
    assert Network.from_anndata(mdata).equals(bare())


def test_stored_table_is_a_copy(adata):
    net = bare()
    net.write(adata)
    adata.uns["grn"]["edges"]["weight"] = 7.0
    assert net.edges["weight"].tolist() == [1.0]


def test_missing_entry_names_what_is_there(adata):
    with pytest.raises(ResultNotFoundError, match=r"no network\. Make one with grn\.tl\.infer_network"):
        Network.from_anndata(adata)
    bare().write(adata, "other")
    with pytest.raises(ResultNotFoundError, match="'other'"):
        Network.from_anndata(adata)


@pytest.mark.parametrize("record", [{"params": {}}, 3, {"edges": [1]}])
def test_damaged_entry(adata, record):
    adata.uns["grn"] = record
    with pytest.raises(NetworkError, match=r"no (edge table|network)"):
        Network.from_anndata(adata)


def test_other_objects():
    for call in (lambda: Network.from_anndata(3), lambda: bare().write("x")):
        with pytest.raises(ParameterError, match="AnnData"):
            call()


class TestVersions:
    def test_newer_is_refused(self, adata):
        bare().write(adata)
        adata.uns["grn"]["schema"]["version"] = np.int64(3)
        with pytest.raises(NetworkError, match="upgrade"):
            Network.from_anndata(adata)

    def test_no_number(self, adata):
        bare().write(adata)
        adata.uns["grn"]["schema"]["version"] = "one"
        with pytest.raises(NetworkError, match="integer"):
            Network.from_anndata(adata)

    def test_older_layouts_are_read(self, adata):
        edges = bare().edges
        for record in ({"edges": edges}, edges, {"edges": edges, "schema": {"version": 0}, "params": {"a": 1}}):
            adata.uns["grn"] = record
            assert Network.from_anndata(adata).equals(Network(edges))
        adata.uns["grn"] = {"edges": edges, "schema": {"directed": np.False_}}
        assert not Network.from_anndata(adata).directed


def strings(thing):
    """All strings in an entry of uns, keys too."""
    if isinstance(thing, dict):
        return {*thing, *(item for value in thing.values() for item in strings(value))}
    return {str(item) for item in np.ravel(thing)} if isinstance(thing, str | np.ndarray) else set()


@pytest.mark.parametrize("kind", ["memory", "h5ad", "zarr"])
def test_none_is_stored_as_unset_and_read_as_none(adata, tmp_path, kind):
    params = {"layer": None, "top": 3, "deep": {"a": None, "b": {"c": None}}, "groups": np.array(["x"])}
    Network(bare().edges, params=params).write(adata)
    assert "None" not in strings(adata.uns["grn"])
    if kind != "memory":
        getattr(adata, f"write_{kind}")(tmp_path / "a")
        adata = getattr(ad, f"read_{kind}")(tmp_path / "a")
    assert "layer" not in adata.uns["grn"]["params"]
    assert adata.uns["grn"]["params"]["unset"].tolist() == ["layer"]
    back = Network.from_anndata(adata).params
    assert back["layer"] is None and back["deep"] == {"a": None, "b": {"c": None}} and back["top"] == 3
    assert set(back) == set(params)
    again = Network(bare().edges, params=adata.uns["grn"]["params"])
    assert again.params["layer"] is None and "unset" not in again.params


@pytest.mark.parametrize("value", [3, {"a": 1}, "x"])
def test_unset_is_no_name_of_a_parameter(value):
    with pytest.raises(NetworkError, match="unset"):
        Network(bare().edges, params={"unset": value})
