"""Features that are no genes, and names beside ``var_names``."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grn
from grn._core.errors import CellNameError, GeneNameError
from grn._object.container import validate
from grn._object.genes import gene_mask, gene_rows, spelled
from grn._object.values import expression

GENES = ["GATA1", "SPI1", "TP53", "MYC", "HBB", "CD19", "CD8A", "LYZ", "CST3", "S100A8"]
OTHERS = {"chr1:100-200": "Peaks", "chr1:900-990": "Peaks", "CD3_TotalSeqB": "Antibody Capture", "SPI1_g1": "Guide"}


def counts(n=60):
    rng = np.random.default_rng(0)
    hidden = rng.gamma(2.0, 0.5, (n, 3)) @ rng.random((3, len(GENES)))
    return rng.poisson(6.0 * hidden * rng.lognormal(0.0, 0.5, (n, 1))).astype(np.float32)


def genes_only(form=sparse.csr_matrix):
    adata = ad.AnnData(form(counts()))
    adata.var_names, adata.obs_names = GENES, [f"c{i}" for i in range(adata.n_obs)]
    adata.obs["group"] = np.where(np.arange(adata.n_obs) % 2, "a", "b")
    return adata


def joined(form=sparse.csr_matrix, column="feature_types"):
    """Genes and other features of the same cells, mixed; the others would turn totals round."""
    adata = genes_only()
    rng = np.random.default_rng(1)
    more = rng.poisson(400.0 / (1 + adata.X.toarray().sum(axis=1, keepdims=True)) * np.ones((1, 4))).astype(np.float32)
    x, names = np.hstack([adata.X.toarray(), more]), [*GENES, *OTHERS]
    kinds = ["Gene Expression"] * len(GENES) + list(OTHERS.values())
    order = np.random.default_rng(2).permutation(len(names))
    both = ad.AnnData(form(x[:, order]), obs=adata.obs.copy())
    both.var_names = np.array(names)[order]
    kinds = np.array(kinds)[order]
    both.var[column] = kinds if column == "feature_types" else np.where(kinds == "Gene Expression", "rna", "atac")
    return both


@pytest.mark.parametrize("column", ["feature_types", "modality"])
@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
@pytest.mark.parametrize(("method", "params"), [("correlation", {}), ("ridge", {}), ("genie3", {"n_trees": 10})])
def test_networks_are_those_of_the_genes(method, params, form, column):
    found, wanted = joined(form, column), genes_only()
    for adata in (found, wanted):
        grn.tl.infer_network(adata, method=method, params=params)
    pair = ["source", "target"]
    tables = [grn.get.edges(adata).set_index(pair)["weight"].sort_index() for adata in (found, wanted)]
    assert set(tables[0].index.get_level_values("target")) <= set(GENES)
    pd.testing.assert_series_equal(tables[0], tables[1], rtol=1e-5)


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
@pytest.mark.parametrize("where", ["memory", "file"])
def test_totals_and_moments_are_those_of_the_genes(form, where, tmp_path):
    adata = joined(form)
    if where == "file":
        adata.write_h5ad(tmp_path / "a.h5ad")
        adata = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    mask = (adata.var["feature_types"] == "Gene Expression").to_numpy()
    here, there = expression(adata), expression(genes_only()[:, adata.var_names[mask]].copy())
    np.testing.assert_allclose(here.totals(), there.totals())
    np.testing.assert_allclose(here.moments()[0][mask], there.moments()[0], rtol=1e-6)
    rows = here.rows(np.arange(5))
    np.testing.assert_allclose(rows[:, mask], there.rows(np.arange(5)), rtol=1e-5)
    assert not rows[:, ~mask].any()


def test_probes_keep_the_shape_and_know_no_other_features():
    found, wanted = joined(), genes_only()
    for adata in (found, wanted):
        grn.tl.pert(adata, sources=["SPI1"])
    assert found.varm["pert"].shape[0] == found.n_vars
    mask = found.var_names.isin(GENES)
    assert np.isnan(found.varm["pert"][~mask]).all()
    there = pd.DataFrame(wanted.varm["pert"][:, 0], index=wanted.var_names).loc[found.var_names[mask]]
    np.testing.assert_allclose(found.varm["pert"][mask][:, 0], there.to_numpy(), rtol=1e-4, atol=1e-6)


def test_it_is_said_once_and_other_features_are_refused(caplog):
    adata = joined()
    grn.tl.infer_network(adata, method="correlation")
    told = [record.message for record in caplog.records if "are genes" in record.message]
    assert len(told) == 1 and "2 Peaks" in told[0] and "10 of 14" in told[0]
    with pytest.raises(GeneNameError, match="CD3_TotalSeqB"):
        grn.tl.infer_network(adata, method="correlation", targets=["CD3_TotalSeqB"])
    peaks = adata[:, adata.var["feature_types"] == "Peaks"].copy()
    with pytest.raises(GeneNameError, match="no gene expression"):
        expression(peaks)


def test_kinds_of_genes_are_no_other_features():
    adata = genes_only()
    adata.var["feature_type"] = ["protein_coding"] * 9 + ["lncRNA"]
    assert gene_mask(adata) is None
    adata.var["feature_types"] = "Gene Expression"
    assert gene_mask(adata) is None


def test_genes_are_aligned_and_reported_without_the_others():
    adata = joined()
    grn.pp.align_genes(adata)
    assert adata.uns["grn_genes"]["lost"] == 0
    assert not (adata.var.loc[list(OTHERS), "grn_symbol"] != "").any()


@pytest.mark.parametrize("name", [np.nan, None, pd.NA])
def test_missing_names_are_refused(name):
    adata = genes_only()
    adata.var.index = pd.Index([*GENES[:-1], name], dtype=object)
    with pytest.raises(GeneNameError, match="are missing"):
        validate(adata)


@pytest.mark.parametrize("name", [np.nan, None, pd.NA])
def test_missing_names_of_cells_are_refused_where_cells_are_drawn(name):
    adata = genes_only()
    adata.obs.index = pd.Index([name, *adata.obs_names[1:]], dtype=object)
    with pytest.raises(CellNameError, match="are missing"):
        grn.tl.infer_network(adata, method="genie3", params={"n_trees": 1})


def test_the_report_is_on_the_genes():
    report = grn.pp.check_expression(joined())
    wanted = grn.pp.check_expression(genes_only())
    assert (report.n_genes, report.maximum, report.constant_genes) == (10, wanted.maximum, ())


def cellxgene():
    adata = genes_only()
    adata.var["feature_name"] = [*GENES[:8], "TWICE", "TWICE"]
    adata.var["note"] = [f"n{i}" for i in range(10)]
    adata.var_names = [f"ENSG{i:011d}" for i in range(10)]
    return adata


def test_symbols_beside_the_names_are_accepted():
    adata = cellxgene()
    assert gene_rows(adata, ["SPI1", "ENSG00000000002", "SPI1"], "sources").tolist() == [1, 2]
    with pytest.raises(GeneNameError, match="stands for 2 genes"):
        gene_rows(adata, ["TWICE"], "sources")
    with pytest.raises(GeneNameError, match=r"note.*holds it"):
        gene_rows(adata, ["n4"], "sources")
    with pytest.raises(GeneNameError, match="'SPI1'"):
        gene_rows(adata, ["spi1"], "sources")
    assert spelled(adata, ["nothing"]) == ["nothing"]


def test_every_function_takes_the_symbols():
    adata, plain = cellxgene(), genes_only()
    for one in (adata, plain):
        grn.tl.infer_network(one, method="correlation", sources=["SPI1", "GATA1"], targets=["LYZ", "HBB"])
    names = dict(zip(adata.var_names, GENES, strict=True))
    found = grn.get.edges(adata)
    assert set(found["source"]) == {"ENSG00000000000", "ENSG00000000001"}
    renamed = found.assign(source=found["source"].astype(str).map(names), target=found["target"].astype(str).map(names))
    wanted = grn.get.edges(plain).astype({"source": str, "target": str})
    pd.testing.assert_frame_equal(renamed[["source", "target", "weight"]], wanted[["source", "target", "weight"]])
    grn.tl.simulate(adata, perturbation={"SPI1": 0}, n_propagation=1)
    assert adata.uns["simulation"]["effects"].query("perturbed")["gene"].tolist() == ["ENSG00000000001"]
    ax = grn.pl.network(adata, focus="SPI1")
    assert any("ENSG00000000001" in str(patch.get_gid()) for patch in ax.patches)
    assert "ENSG00000000001" in grn.pl.regulon(adata, source="SPI1").get_title(loc="left")


def test_features_are_read_by_symbol():
    adata = cellxgene()
    adata.varm["vvp"] = np.ones((10, 1, 2), dtype=np.float32)
    adata.uns["vvp"] = {"sources": np.array(["ENSG00000000001"]), "grid": np.array([-1.0, 1.0]), "value_scale": "z"}
    assert grn.get.features(adata, key="vvp", sources="SPI1", targets=["LYZ"]).values.shape == (1, 1, 2)


@pytest.mark.parametrize("word", ["gene_expression", "Gene-Expression", "GENE EXPRESSION", "rna"])
def test_the_type_of_genes_is_known_however_it_is_spelled(word):
    table = pd.DataFrame(
        {"feature_types": [word, word, "chromatin_accessibility", "Antibody-Capture"]}, index=list("abcd")
    )
    assert gene_mask(ad.AnnData(np.ones((2, 4)), var=table)).tolist() == [True, True, False, False]


def test_types_without_genes_are_refused_with_the_cure():
    table = pd.DataFrame({"feature_types": ["coding", "Peaks", "Peaks"]}, index=list("abc"))
    with pytest.raises(GeneNameError, match=r"2 Peaks, 1 coding\. .*replace\(\{'coding': 'Gene Expression'\}\)"):
        gene_mask(ad.AnnData(np.ones((2, 3)), var=table))
