"""One locus: what is drawn is what the object holds."""

import anndata as ad
import matplotlib.pyplot as plt
import mudata
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from scipy import sparse

import grn
from grn.errors import GeneNameError, ParameterError, RegionError, ResultNotFoundError
from grn.pl._colors import ACTIVATE, REPRESS, UNSIGNED
from grn.pl._locus_artists import spread

REGIONS = ["chr1:100000-100400", "chr1:130000-130400", "chr1:160000-160400", "chr2:5000-5400"]
STARTS = pd.DataFrame(
    {
        "chrom": "chr1",
        "position": [100200, 150000, 158000],
        "strand": ["+", "-", "+"],
        "gene": ["GATA1", "KLF1", "SPI1"],
    }
)
LINKS = pd.DataFrame(
    {"region": REGIONS[:3], "gene": "KLF1", "distance": [49600, 19600, -10000], "rho": [-0.4, 0.2, 0.1]}
)
NETWORK = pd.DataFrame(
    {"source": ["GATA1", "SPI1", "GATA1"], "region": [REGIONS[0], REGIONS[0], REGIONS[1]], "target": "KLF1",
     "sign": ["+/-", "-/+", "+/+"]}
)  # fmt: skip


@pytest.fixture
def mdata():
    counts = np.array([[3, 0, 1, 6], [1, 0, 1, 8], [0, 4, 0, 0], [0, 1, 0, 3], [0, 0, 0, 10]], dtype="float32")
    obs = pd.DataFrame({"type": list("BBTTT")}, index=[f"c{i}" for i in range(5)])
    rna = ad.AnnData(np.eye(5, 3, dtype="float32") + 1, obs=obs, var=pd.DataFrame(index=STARTS["gene"].tolist()))
    atac = ad.AnnData(sparse.csr_matrix(counts), obs=obs[[]], var=pd.DataFrame(index=REGIONS))
    with mudata.set_options(pull_on_update=False):
        return mudata.MuData({"rna": rna, "atac": atac[::-1].copy()})


def draw(mdata, **arguments):
    given = {"gene": "KLF1", "starts": STARTS, "links": LINKS, "groupby": "type", **arguments}
    return grn.pl.locus(mdata, **given)


def heights(ax):
    """Heights of the bars of every group, of the largest."""
    tracks = [c for c in ax.collections if c.get_gid() == "accessibility"]
    drawn = np.array([[np.ptp(path.vertices[:, 1]) for path in track.get_paths()] for track in tracks])
    return drawn / drawn.max()


def texts(ax, gid):
    return [text for text in ax.texts if text.get_gid() == gid]


def arcs(ax):
    return {p.get_gid().removeprefix("link:"): p for p in ax.patches if str(p.get_gid()).startswith("link:")}


def test_bars_are_counts_of_a_group_by_all_its_counts(mdata):
    wanted = np.array([[4, 0, 2], [0, 5, 0]]) / np.array([[20], [18]])
    np.testing.assert_allclose(heights(draw(mdata)), wanted / wanted.max())
    mdata["atac"].X = mdata["atac"].X / 20
    wanted = np.array([[4 / 2, 0, 2 / 2], [0, 5 / 3, 0]])
    np.testing.assert_allclose(heights(draw(mdata)), wanted / wanted.max(), rtol=1e-6)


def test_all_cells_are_one_row_without_groups(mdata):
    ax = draw(mdata, groupby=None)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["all cells"]
    np.testing.assert_allclose(heights(ax), [[4 / 5, 1, 2 / 5]])


def test_groups_may_be_those_of_the_whole_object(mdata):
    mdata.obs["of_all"] = mdata["rna"].obs.pop("type")
    np.testing.assert_allclose(heights(draw(mdata, groupby="of_all")).max(axis=1), [0.2 / (5 / 18), 1])


def test_arcs_end_at_the_start_in_the_colour_of_their_sign(mdata):
    ax = draw(mdata)
    assert set(arcs(ax)) == set(REGIONS[:3])
    for region, arc in arcs(ax).items():
        ends = sorted(arc.get_path().vertices[[0, -1], 0])
        middle = grn.genome.parse_regions([region])[["start", "end"]].to_numpy().mean()
        assert ends == sorted([middle, 150000])
        rho = LINKS.set_index("region")["rho"][region]
        assert to_hex(arc.get_edgecolor()) == (ACTIVATE if rho > 0 else REPRESS).lower()
    widths = [arcs(ax)[region].get_linewidth() for region in REGIONS[:3]]
    assert widths == sorted(widths, reverse=True)


def test_links_without_signs_are_grey(mdata):
    ax = draw(mdata, links=LINKS.drop(columns="rho").assign(score=[0.1, 0.5, 1]))
    assert {to_hex(arc.get_edgecolor()) for arc in arcs(ax).values()} == {UNSIGNED.lower()}


def test_links_are_stored_ones_by_key_and_in_any_spelling(mdata):
    with pytest.raises(ResultNotFoundError, match="link_regions"):
        draw(mdata, links="links")
    mdata["atac"].uns["links"] = {"table": LINKS.assign(region=LINKS["region"].str.replace(":", "-"))}
    assert set(arcs(draw(mdata, links="links"))) == set(REGIONS[:3])


def test_a_region_on_the_start_has_no_arc_but_a_colour(mdata):
    links = LINKS.assign(gene="GATA1", rho=[0.9, 0.2, 0.1])
    ax = draw(mdata, gene="GATA1", links=links)
    assert set(arcs(ax)) == set(REGIONS[1:3])
    boxes = next(c for c in ax.collections if c.get_gid() == "regions")
    assert to_hex(boxes.get_facecolors()[0]) == ACTIVATE.lower()


def test_regulators_stand_above_their_regions(mdata):
    mdata.uns["net"] = {"triplets": NETWORK, "edges": NETWORK}
    for network in (NETWORK, "net"):
        ax = draw(mdata, network=network)
        written = texts(ax, "regulator")
        assert [text.get_text() for text in written] == ["GATA1", "SPI1", "GATA1"]
        assert [to_hex(text.get_color()) for text in written] == [c.lower() for c in (ACTIVATE, REPRESS, ACTIVATE)]
        x = [text.get_position()[0] for text in written]
        assert x[0] < x[1] < x[2] and abs(x[2] - 130200) < 3000
    assert len(texts(draw(mdata, network=NETWORK, n_regulators=1), "regulator")) == 1


def test_regions_of_a_network_are_arcs_where_there_are_no_links(mdata):
    assert not arcs(draw(mdata, links=None))
    ax = draw(mdata, links=None, network=NETWORK.assign(rho_r2g=[-0.5, -0.5, 0.5]))
    assert {r: to_hex(a.get_edgecolor()) for r, a in arcs(ax).items()} == {
        REGIONS[0]: REPRESS.lower(), REGIONS[1]: ACTIVATE.lower(),
    }  # fmt: skip


def test_expression_is_the_mean_of_the_groups(mdata):
    side = next(child for child in draw(mdata).child_axes if child.get_gid() == "expression")
    X = mdata["rna"].X
    values = np.log1p(X / X.sum(axis=1, keepdims=True) * 1e4)[:, 1]
    wanted = [values[:2].mean(), values[2:].mean()]
    np.testing.assert_allclose([bar.get_width() for bar in side.patches], wanted, rtol=1e-5)
    other = STARTS.assign(gene=["GATA1", "HBB", "SPI1"])
    assert not draw(mdata, gene="HBB", starts=other, links=LINKS.assign(gene="HBB")).child_axes


def test_other_genes_are_named_and_the_window_is_obeyed(mdata):
    ax = draw(mdata)
    assert {text.get_text() for text in texts(ax, "gene")} == {"GATA1", "KLF1", "SPI1"}
    ax = draw(mdata, window=12_000)
    assert ax.get_xlim() == (138_000, 162_000)
    assert set(arcs(ax)) == {REGIONS[2]} and {text.get_text() for text in texts(ax, "gene")} == {"KLF1", "SPI1"}


def test_regions_on_other_chromosomes_are_told_and_move_nothing(mdata, caplog):
    far = LINKS.iloc[:1].assign(region=REGIONS[3], rho=0.9)
    plain = draw(mdata).get_xlim()
    network = pd.concat([NETWORK, NETWORK.iloc[:1].assign(region=REGIONS[3])])
    with caplog.at_level("INFO", logger="grn"):
        ax = draw(mdata, links=pd.concat([LINKS, far]), network=network)
    assert ax.get_xlim() == plain and set(arcs(ax)) == set(REGIONS[:3]) and len(texts(ax, "regulator")) == 3
    assert "1 of 4 links of KLF1 are on other chromosomes" in caplog.text
    assert "1 of 4 triplets of KLF1 are on other chromosomes" in caplog.text
    assert "window" not in caplog.text


@pytest.mark.parametrize("window", [2_300, 12_000, 42_000, 50_000, 61_000])
def test_ticks_say_where_they_are(mdata, window):
    ax = draw(mdata, window=window, gene="SPI1", links=None)
    ax.figure.canvas.draw()
    shown = [float(tick.get_text()) * 1e6 for tick in ax.get_xticklabels()]
    np.testing.assert_allclose(shown, ax.get_xticks(), atol=0.5)


def test_names_side_by_side_do_not_touch():
    anchors = np.array([0.0, 0.0, 1.0, 50.0, 99.0, 99.5])
    spots = spread(anchors, 5.0, (0.0, 100.0))
    assert (np.diff(spots) >= 5.0 - 1e-9).all() and spots[0] >= 2.5 and spots[-1] <= 97.5 + 1e-9
    assert spots[3] == 50.0
    assert len(spread(np.array([]), 5.0, (0.0, 1.0))) == 0
    assert (np.diff(spread(np.zeros(30), 5.0, (0.0, 100.0))) > 3).all()


def test_the_order_of_tables_and_regions_changes_nothing(mdata):
    rng = np.random.default_rng(0)

    def shape(ax):
        return [(text.get_text(), text.get_position()) for text in ax.texts], heights(ax).tolist(), sorted(arcs(ax))

    plain = shape(draw(mdata, network=NETWORK))
    with mudata.set_options(pull_on_update=False):
        turned = mudata.MuData({name: part[:, rng.permutation(part.n_vars)].copy() for name, part in mdata.mod.items()})
    again = draw(turned, network=NETWORK.sample(frac=1, random_state=1), links=LINKS.iloc[::-1], starts=STARTS[::-1])
    assert shape(again) == plain


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"gene": "GATA"}, GeneNameError, "Did you mean 'GATA1'"),
        ({"gene": 3}, ParameterError, "one gene"),
        ({"links": LINKS.drop(columns="gene")}, RegionError, "lacks gene"),
        ({"network": "absent"}, ResultNotFoundError, "absent"),
        ({"network": NETWORK.drop(columns="region")}, ParameterError, "has no region"),
        ({"window": 100}, RegionError, "larger window"),
        ({"rna": "gex"}, ParameterError, "'rna', 'atac'"),
        ({"groupby": "cluster"}, grn.errors.GroupError, "cluster"),
        ({"starts": STARTS.assign(chrom="chr7")}, RegionError, "chr7"),
        ({"starts": None, "build": "hg3"}, ParameterError, "hg38"),
        ({"n_regulators": 0}, ParameterError, "n_regulators"),
    ],
)
def test_errors_before_anything_is_drawn(mdata, arguments, error, told):
    with pytest.raises(error, match=told):
        draw(mdata, **arguments)
    assert plt.get_fignums() == []


def test_other_objects_are_refused(mdata):
    with pytest.raises(ParameterError, match=r"mudata\.MuData"):
        draw(mdata["rna"])


def test_lines_of_real_cells(shared_dir):
    folder = shared_dir / "data/multiome"
    parts = {name: ad.read_h5ad(folder / f"human_snareseq_lines_{name}.h5ad") for name in ("rna", "atac")}
    with mudata.set_options(pull_on_update=False):
        cells = mudata.MuData(parts)
    links = grn.genome.link_genes(cells["atac"].var_names, starts=grn.genome.starts("hg38"), upstream=50_000,
                                  downstream=50_000)  # fmt: skip
    ax = grn.pl.locus(cells, gene="GATA1", groupby="label", links=links)
    assert ax.get_xlabel() == "chrX (Mb)" and len(arcs(ax)) == 5
    with pytest.raises(RegionError, match="hg38"):
        grn.pl.locus(cells, gene="GATA1", groupby="label", links=links, build="hg19")
