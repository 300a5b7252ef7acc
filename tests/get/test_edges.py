import anndata as ad
import decoupler as dc
import mudata as md
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from grn import Network, get
from grn._core.errors import GeneNameError, GroupError, NetworkError, ParameterError, ResultNotFoundError
from grn.tl._regulons import regulons as make_regulons

GENES = [f"G{i}" for i in range(12)]
TFS = ["TF1", "TF2"]


@pytest.fixture
def adata():
    rng = np.random.default_rng(0)
    values = rng.poisson(3, size=(20, 14)).astype(np.float32)
    return ad.AnnData(values, var=pd.DataFrame(index=TFS + GENES), obs=pd.DataFrame(index=[f"c{i}" for i in range(20)]))


@pytest.fixture
def table():
    rng = np.random.default_rng(1)
    rows = [(tf, gene) for tf in TFS for gene in GENES]
    frame = pd.DataFrame(rows, columns=["source", "target"])
    return frame.assign(weight=rng.normal(size=len(rows)), probability=rng.uniform(size=len(rows)))


@pytest.fixture
def grouped(table):
    return pd.concat([table.assign(group="x"), table.assign(group="y", weight=-table["weight"])])


class TestEdges:
    def test_same_from_every_kind_of_object(self, adata, table):
        net = Network(table)
        net.write(adata)
        mdata = md.MuData({"rna": adata})
        both = md.MuData({"rna": adata.copy()})
        net.write(both)
        for data in (adata, net, table, mdata, both):
            pd.testing.assert_frame_equal(get.edges(data, top_per_source=3), net.filter(top_per_source=3).edges)

    def test_first_columns_and_canonical_order(self, table):
        found = get.edges(table.iloc[::-1])
        assert list(found.columns) == ["source", "target", "weight", "probability"]
        assert found["weight"].abs().is_monotonic_decreasing
        assert list(found.index) == list(range(len(table)))

    def test_sliced_genes_are_hidden_and_counted(self, adata, table, caplog):
        Network(table).write(adata)
        kept = ["TF1", *GENES[:5]]
        with caplog.at_level("INFO", logger="grn"):
            found = get.edges(adata[:, kept].copy())
        assert set(found["source"]) == {"TF1"} and set(found["target"]) == set(GENES[:5])
        assert "hid 19 of 24 edges" in caplog.text
        assert len(Network.from_anndata(adata)) == 24

    def test_limits_count_visible_edges_only(self, adata, table):
        Network(table).write(adata)
        weakest = table[table["source"] == "TF1"].sort_values("weight", key=abs)["target"].iloc[:2]
        found = get.edges(adata[:, ["TF1", *weakest]], top_per_source=2)
        assert sorted(found["target"]) == sorted(weakest)

    def test_nothing_visible_is_a_warning(self, adata, table, caplog):
        Network(table).write(adata)
        with caplog.at_level("WARNING", logger="grn"):
            assert get.edges(adata[:, ["TF1"]]).empty
        assert "all 24 edges are hidden" in caplog.text

    def test_groups(self, adata, grouped, caplog):
        Network(grouped).write(adata)
        with caplog.at_level("INFO", logger="grn"):
            assert len(get.edges(adata)) == 48
        assert "2 groups" in caplog.text
        assert set(get.edges(adata, group="y")["group"]) == {"y"}
        with pytest.raises(GroupError, match="'z'"):
            get.edges(adata, group="z")

    def test_result_can_be_changed_safely(self, adata, table):
        Network(table).write(adata)
        get.edges(adata)["weight"] = 0.0
        assert (get.edges(adata)["weight"] != 0).all()

    def test_gene_and_cell_order_do_not_matter(self, adata, table):
        Network(table).write(adata)
        shuffled = adata[::-1, ::-1].copy()
        pd.testing.assert_frame_equal(get.edges(adata, top_per_target=1), get.edges(shuffled, top_per_target=1))

    def test_bad_input(self, adata, table):
        with pytest.raises(ResultNotFoundError, match=r"grn\.tl\.infer_network"):
            get.edges(adata)
        with pytest.raises(ParameterError, match="int"):
            get.edges(3)
        with pytest.raises(GeneNameError, match="TF3"):
            get.edges(table, sources="TF3")
        with pytest.raises(NetworkError, match="lacks source"):
            get.edges(table.rename(columns={"source": "TF"}))
        Network(table).write(adata, "mine")
        with pytest.raises(ResultNotFoundError, match="'mine'"):
            get.edges(adata)


class TestDecoupler:
    def test_ulm_takes_the_table_as_it_is(self, adata, table):
        Network(table).write(adata)
        dc.mt.ulm(adata, net=get.edges(adata))
        assert list(adata.obsm["score_ulm"]) == TFS
        assert np.isfinite(adata.obsm["score_ulm"].to_numpy()).all()

    def test_after_a_file(self, adata, table, tmp_path):
        Network(table).write(adata)
        adata.write_h5ad(tmp_path / "a.h5ad")
        back = ad.read_h5ad(tmp_path / "a.h5ad")
        dc.mt.ulm(back, net=get.edges(back))
        dc.mt.ulm(adata, net=get.edges(adata))
        pd.testing.assert_frame_equal(back.obsm["score_ulm"], adata.obsm["score_ulm"])

    def test_scores_equal_those_of_a_plain_table(self, adata, table):
        one, two = adata.copy(), adata.copy()
        dc.mt.ulm(one, net=get.edges(table))
        dc.mt.ulm(two, net=table[["source", "target", "weight"]])
        pd.testing.assert_frame_equal(one.obsm["score_ulm"], two.obsm["score_ulm"])

    def test_one_group_is_needed_and_the_way_is_named(self, adata, grouped, caplog):
        Network(grouped).write(adata)
        get.edges(adata, group="x")
        assert not caplog.text
        get.edges(adata)
        assert "grn.tl.activity" in caplog.text and "group='x'" in caplog.text
        only = get.network(adata, group="x")
        assert only.groups == ["x"] and only.equals(get.network(adata).filter(group="x"))
        with pytest.raises(GroupError):
            get.network(adata, group="none")
        with pytest.raises(AssertionError, match="duplicate"):
            dc.mt.ulm(adata, net=get.edges(adata))
        dc.mt.ulm(adata, net=get.edges(adata, group="x"))
        assert "score_ulm" in adata.obsm

    @pytest.mark.parametrize(
        "method", ["ulm", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mlm", "waggr", "aucell"))]
    )
    def test_other_methods_and_sparse_counts(self, adata, table, method):
        adata.X = sparse.csr_matrix(adata.X)
        Network(table).write(adata)
        getattr(dc.mt, method)(adata, net=get.edges(adata))
        assert list(adata.obsm[f"score_{method}"]) == TFS

    def test_after_slicing(self, adata, table):
        Network(table).write(adata)
        small = adata[:, [*TFS, *GENES[:6]]].copy()
        dc.mt.ulm(small, net=get.edges(small))
        assert list(small.obsm["score_ulm"]) == TFS

    def test_regulons(self, adata, table):
        Network(table).write(adata)
        make_regulons(adata, min_targets=2)
        dc.mt.ulm(adata, net=adata.uns["regulons"]["edges"], tmin=2)
        from_table = adata.obsm["score_ulm"].copy()
        dc.mt.ulm(adata, net=get.edges(adata, key="regulons"), tmin=2)
        pd.testing.assert_frame_equal(adata.obsm["score_ulm"], from_table)
        assert list(from_table) == ["TF1(+)", "TF1(-)", "TF2(+)", "TF2(-)"]


class TestNetwork:
    def test_reads_what_was_stored(self, adata, table):
        net = Network(table, genes=[*TFS, *GENES, "OTHER"])
        net.write(adata)
        assert get.network(adata[:, ["TF1"]]).equals(net)
        assert get.network(net) is net
        assert get.network(table).equals(Network(table))

    def test_list_is_merged(self, adata, table):
        other = adata.copy()
        Network(table.iloc[:10]).write(adata)
        Network(table.iloc[5:]).write(other)
        assert get.network([adata, other]).equals(Network(table))
        with pytest.raises(ParameterError, match="nothing"):
            get.network([])

    def test_list_of_different_kinds(self, table, grouped):
        with pytest.raises(NetworkError, match="group"):
            get.network([table, grouped])


class TestRegulons:
    def test_dict(self, adata, table):
        Network(table).write(adata)
        make_regulons(adata, min_targets=1, signed=False)
        found = get.regulons(adata)
        expected = table.set_index(["source", "target"])["weight"]
        assert list(found) == TFS
        assert found["TF1"] == pytest.approx(expected["TF1"].to_dict())
        strengths = [abs(weight) for weight in found["TF1"].values()]
        assert strengths == sorted(strengths, reverse=True)

    def test_sliced_targets_are_hidden(self, adata, table):
        Network(table).write(adata)
        make_regulons(adata, min_targets=1, signed=False)
        found = get.regulons(adata[:, GENES[:3]])
        assert set(found["TF2"]) == set(GENES[:3])

    def test_missing(self, adata, table):
        with pytest.raises(ResultNotFoundError, match=r"grn\.tl\.regulons"):
            get.regulons(adata)
        Network(table).write(adata)
        with pytest.raises(ResultNotFoundError, match="no regulons"):
            get.regulons(adata, key="grn")
        make_regulons(adata, min_targets=1, key_added="mine")
        with pytest.raises(ResultNotFoundError, match="'mine'"):
            get.regulons(adata)
        with pytest.raises(ParameterError, match="AnnData"):
            get.regulons(3)
