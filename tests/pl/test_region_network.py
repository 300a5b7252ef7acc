"""Regulators, regions and targets as nodes."""

import matplotlib.pyplot as plt
import mudata
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import grn
from grn.errors import GeneNameError, ParameterError, ResultNotFoundError
from grn.pl._colors import ACTIVATE, REPRESS, UNSIGNED

FIRST, SECOND = "chr1:100-600", "chr2:100-600"
TRIPLETS = pd.DataFrame(
    {"source": ["SPI1", "SPI1", "PAX5"], "region": [FIRST, SECOND, SECOND], "target": ["LYZ", "CD79A", "CD79A"],
     "sign": ["+/+", "-/-", "+/-"], "triplet_rank": [3, 1, 2]}
)  # fmt: skip


def colors(ax):
    return {p.get_gid().removeprefix("edge:"): to_hex(p.get_edgecolor()) for p in ax.patches}


def names(ax):
    return {t.get_gid().removeprefix("label:") for t in ax.texts if str(t.get_gid()).startswith("label:")}


def test_arrows_go_through_regions_each_once_with_their_sign():
    red, blue = ACTIVATE.lower(), REPRESS.lower()
    assert colors(grn.pl.region_network(TRIPLETS)) == {
        f"SPI1>{FIRST}": red, f"{FIRST}>LYZ": red,
        f"SPI1>{SECOND}": red, f"PAX5>{SECOND}": blue, f"{SECOND}>CD79A": blue,
    }  # fmt: skip


def test_signs_of_other_tables():
    truth = TRIPLETS.assign(sign=[1.0, -1.0, 1.0], region_sign=[1.0, 1.0, -1.0]).iloc[:2]
    red, blue, grey = ACTIVATE.lower(), REPRESS.lower(), UNSIGNED.lower()
    drawn = colors(grn.pl.region_network(truth))
    assert (drawn[f"SPI1>{SECOND}"], drawn[f"{SECOND}>CD79A"]) == (blue, red)
    drawn = colors(grn.pl.region_network(truth.drop(columns="region_sign")))
    assert (drawn[f"SPI1>{SECOND}"], drawn[f"{SECOND}>CD79A"]) == (blue, grey)
    assert set(colors(grn.pl.region_network(truth[["source", "region", "target"]])).values()) == {grey}


def test_signs_are_numbers_or_words_in_every_column(caplog):
    wanted = colors(grn.pl.region_network(TRIPLETS))
    apart = TRIPLETS.assign(sign=["+", "-", "+"], region_sign=["+", "\N{MINUS SIGN}", "-"])
    assert colors(grn.pl.region_network(apart)) == wanted and caplog.text == ""
    numbers = TRIPLETS.assign(sign=["1", "-1", "1.0"], region_sign=pd.array([1, -1, -1], dtype="Int64"))
    assert colors(grn.pl.region_network(numbers)) == wanted and caplog.text == ""
    drawn = colors(grn.pl.region_network(TRIPLETS.assign(sign="activates")))
    assert set(drawn.values()) == {UNSIGNED.lower()}
    assert "sign" in caplog.text and "'activates'" in caplog.text
    for name in ("triplet_rank", "rho_r2g"):
        with pytest.raises(ParameterError, match=f"{name} .*no numbers"):
            grn.pl.region_network(TRIPLETS.assign(**{name: "high"}))


def test_regions_are_squares_without_names():
    ax = grn.pl.region_network(TRIPLETS)
    assert names(ax) == {"SPI1", "PAX5", "LYZ", "CD79A"}
    points = {c.get_gid(): len(c.get_offsets()) for c in ax.collections}
    assert points == {"targets": 2, "regions": 2, "regulators": 2}
    assert [text.get_text() for text in ax.get_legend().get_texts()][-3:] == ["regulator", "region", "target"]


def test_the_strongest_triplets_and_those_of_a_gene():
    assert names(grn.pl.region_network(TRIPLETS, max_triplets=2)) == {"SPI1", "PAX5", "CD79A"}
    assert names(grn.pl.region_network(TRIPLETS, focus="LYZ")) == {"SPI1", "LYZ"}
    assert names(grn.pl.region_network(TRIPLETS, focus=["PAX5", "LYZ"])) == {"SPI1", "LYZ", "PAX5", "CD79A"}


def test_networks_of_objects():
    with mudata.set_options(pull_on_update=False):
        mdata = grn.datasets.toy_multiome(n_cells=20, n_regulators=2, n_targets=4)
    mdata["rna"].uns["net"] = {"edges": TRIPLETS, "triplets": TRIPLETS}
    for data in (mdata, mdata["rna"]):
        assert colors(grn.pl.region_network(data, key="net")) == colors(grn.pl.region_network(TRIPLETS))
    with pytest.raises(ResultNotFoundError, match="no such network"):
        grn.pl.region_network(mdata)
    mdata.uns["plain"] = {"edges": TRIPLETS.drop(columns="region")}
    with pytest.raises(ResultNotFoundError, match="names no regions"):
        grn.pl.region_network(mdata, key="plain")


def test_the_order_of_rows_changes_nothing():
    def drawn(table):
        ax = grn.pl.region_network(table)
        return sorted((text.get_text(), text.get_position()) for text in ax.texts)

    assert drawn(TRIPLETS) == drawn(TRIPLETS.iloc[::-1])


def test_errors_before_anything_is_drawn():
    for arguments, error in (
        ({"focus": "SPI"}, GeneNameError),
        ({"max_triplets": 0}, ParameterError),
        ({"node_size_by": "size"}, ParameterError),
    ):
        with pytest.raises(error):
            grn.pl.region_network(TRIPLETS, **arguments)
    with pytest.raises(ParameterError, match="has no region"):
        grn.pl.region_network(TRIPLETS.drop(columns="region"))
    with pytest.raises(ParameterError, match="int"):
        grn.pl.region_network(3)
    assert plt.get_fignums() == []
