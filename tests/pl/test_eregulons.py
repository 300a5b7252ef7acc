"""The heat-map of eRegulons: what fields, dots and colours stand for."""

import anndata as ad
import matplotlib.pyplot as plt
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grn
from grn._kernels.specificity import specificity
from grn.errors import GroupError, NetworkError, ParameterError, ResultNotFoundError

REGIONS = [f"chr1:{i}000-{i}400" for i in range(1, 6)]
COUNTS = np.array([[4, 0, 1, 0, 5], [3, 1, 0, 0, 6], [0, 4, 4, 0, 2], [0, 2, 6, 0, 2]], dtype="float32")
TRIPLETS = pd.DataFrame(
    {"source": ["GATA1", "GATA1", "SPI1", "SPI1", "SPI1", "LHX9"],
     "region": [REGIONS[i] for i in (0, 1, 1, 2, 2, 4)],
     "target": ["A", "A", "A", "B", "C", "A"],
     "sign": ["+/+", "+/+", "+/+", "+/+", "-/+", "+/+"]}
)  # fmt: skip


@pytest.fixture
def mdata():
    obs = pd.DataFrame({"type": list("BBTT")}, index=[f"c{i}" for i in range(4)])
    X = np.array([[9, 1, 5], [7, 2, 5], [1, 8, 5], [2, 9, 5]], dtype="float32")
    rna = ad.AnnData(X, obs=obs, var=pd.DataFrame(index=["GATA1", "SPI1", "A"]))
    atac = ad.AnnData(sparse.csr_matrix(COUNTS), obs=obs[[]], var=pd.DataFrame(index=REGIONS))
    with mudata.set_options(pull_on_update=False):
        return mudata.MuData({"rna": rna, "atac": atac[[2, 0, 3, 1]].copy()})


def draw(mdata, **arguments):
    return grn.pl.eregulons(mdata, **{"groupby": "type", "network": TRIPLETS, **arguments})


def rows(ax):
    return [tick.get_text() for tick in ax.get_yticklabels()]


def read(ax):
    """Fields, areas of the dots relative to the largest, and their colours, by row."""
    n = len(rows(ax))
    dots = next(c for c in ax.collections if c.get_gid() == "accessibility")
    size = dots.get_sizes().reshape(n, -1)
    field = ax.collections[0].get_array().reshape(n, -1)
    columns = [tick.get_text() for tick in ax.get_xticklabels()]
    return {
        name: pd.DataFrame(np.ma.filled(values, np.nan), index=rows(ax), columns=columns)
        for name, values in (("field", field), ("size", size / size.max()), ("color", dots.get_array().reshape(n, -1)))
    }


def test_fields_dots_and_colours(mdata):
    shown = read(draw(mdata))
    name = "SPI1 +/+ (2r, 2g)"
    share = COUNTS[:, [1, 2]].sum(axis=1) / 10
    np.testing.assert_allclose(shown["size"].loc[name], [share[:2].mean() / share[2:].mean(), 1], rtol=1e-6)
    wanted = specificity(share[:, None], np.array([0, 0, 1, 1]), 2)[:, 0]
    np.testing.assert_allclose(shown["color"].loc[name], wanted, rtol=1e-6)
    assert shown["field"].loc[name].tolist() == [0, 1]
    assert shown["field"].loc["GATA1 +/+ (2r, 1g)"].tolist() == [1, 0]


def test_signs_are_rows_of_their_own_and_rows_go_with_the_groups(mdata):
    names = rows(draw(mdata))
    assert names[-2:] == ["SPI1 -/+ (1r, 1g)", "SPI1 +/+ (2r, 2g)"] or names[-2:] == [
        "SPI1 +/+ (2r, 2g)", "SPI1 -/+ (1r, 1g)",
    ]  # fmt: skip
    assert set(names[:2]) == {"GATA1 +/+ (2r, 1g)", "LHX9 +/+ (1r, 1g)"}
    numbers = TRIPLETS.assign(sign=[1.0, 1, 1, 1, -1, 0])
    assert set(rows(draw(mdata, network=numbers))) == {
        "GATA1 + (2r, 1g)", "SPI1 + (2r, 2g)", "SPI1 − (1r, 1g)", "LHX9 (1r, 1g)",
    }  # fmt: skip
    without = rows(draw(mdata, network=TRIPLETS.drop(columns="sign")))
    assert set(without) == {"GATA1 (2r, 1g)", "SPI1 (2r, 3g)", "LHX9 (1r, 1g)"}


def test_regulators_that_were_not_measured_have_white_fields(mdata):
    shown = read(draw(mdata))["field"]
    assert shown.loc["LHX9 +/+ (1r, 1g)"].isna().all() and shown.drop(index="LHX9 +/+ (1r, 1g)").notna().all().all()


def test_counts_of_rows(mdata):
    assert len(rows(draw(mdata, n_regulons=2))) == 2
    assert set(rows(draw(mdata, min_regions=2))) == {"GATA1 +/+ (2r, 1g)", "SPI1 +/+ (2r, 2g)"}


def test_closed_regions_are_left_out_and_foreign_ones_do_not_count(mdata):
    more = pd.DataFrame({"source": ["SOX2", "TAL1"], "region": [REGIONS[3], "chr9:1-5"], "target": "A", "sign": "+/+"})
    assert len(rows(draw(mdata, network=pd.concat([TRIPLETS, more])))) == 4
    with pytest.raises(NetworkError, match="closed in all cells"):
        draw(mdata, network=more.iloc[:1])
    with pytest.raises(NetworkError, match="min_regions=1"):
        draw(mdata, network=more.iloc[1:])


def test_networks_by_key_and_regions_in_any_spelling(mdata):
    plain = read(draw(mdata))
    mdata.uns["net"] = {"edges": TRIPLETS, "triplets": TRIPLETS.assign(region=TRIPLETS["region"].str.replace(":", "-"))}
    again = read(draw(mdata, network="net"))
    for name, table in plain.items():
        pd.testing.assert_frame_equal(again[name], table)


def test_the_order_of_rows_cells_and_regions_changes_nothing(mdata):
    plain = read(draw(mdata))
    with mudata.set_options(pull_on_update=False):
        turned = mudata.MuData({name: part[::-1, ::-1].copy() for name, part in mdata.mod.items()})
    again = read(draw(turned, network=TRIPLETS.iloc[::-1]))
    for name, table in plain.items():
        pd.testing.assert_frame_equal(again[name], table, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"groupby": "cluster"}, GroupError, "cluster"),
        ({"network": "scenicplus"}, ResultNotFoundError, "scenicplus"),
        ({"network": TRIPLETS.drop(columns="target")}, ParameterError, "has no target"),
        ({"n_regulons": 0}, ParameterError, "n_regulons"),
        ({"atac": "peaks"}, ParameterError, "'rna', 'atac'"),
    ],
)
def test_errors_before_anything_is_drawn(mdata, arguments, error, told):
    with pytest.raises(error, match=told):
        draw(mdata, **arguments)
    assert plt.get_fignums() == []
