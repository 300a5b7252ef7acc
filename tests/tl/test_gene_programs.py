"""Gene programs: clusters of the graph of gene embeddings, the same whatever the order of the genes."""

import anndata as ad
import numpy as np
import pytest

import grn
from grn._core import optional
from grn.errors import CapabilityError, GeneNameError, GeneOverlapError, MissingDependencyError, ParameterError


@pytest.fixture(scope="module")
def blood():
    adata = grn.datasets.pbmc68k()
    return ad.AnnData(var=adata.var[[]])


@pytest.fixture(scope="module")
def found(blood):
    return grn.tl.gene_programs(blood, resolution=5, copy=True)


def partition(labels):
    """Sets of positions, in any order."""
    return {frozenset(np.flatnonzero(labels == label)) for label in set(labels)}


def test_programs_are_the_clusters_that_scanpy_finds(blood, found):
    import scanpy

    mini = grn.models.load("mini")
    table = grn.tl.embedding(blood, copy=True).varm["X_mini"]
    genes = sorted(blood.var_names[~np.isnan(table).any(axis=1)])
    points = ad.AnnData(blood.var.index.get_indexer(genes).reshape(-1, 1).astype(np.float32))
    points.obsm["E"] = table[blood.var.index.get_indexer(genes)]
    scanpy.pp.neighbors(points, use_rep="E")
    scanpy.tl.leiden(points, resolution=5, flavor="igraph", n_iterations=-1, directed=False)
    clusters = {c for c in partition(points.obs["leiden"].to_numpy()) if len(c) >= 5}
    own = found.var["gene_programs"].reindex(genes)
    named = np.where(own.isna(), "", own.astype(object))
    assert {c for c in partition(named) if named[min(c)]} == clusters and len(clusters) > 20
    assert set(found.uns["gene_programs"]["unknown"]) == set(blood.var_names) - set(mini.source_genes) - set(genes)


def test_the_table(blood, found):
    table = found.uns["gene_programs"]["programs"]
    assert list(table.columns) == ["program", "gene", "similarity"]
    assert table["gene"].is_unique
    sizes = table["program"].value_counts(sort=False)
    assert sizes.is_monotonic_decreasing and sizes.min() >= 5
    assert list(sizes.index) == [str(i) for i in range(len(sizes))]
    for _, rows in table.groupby("program", observed=True):
        assert (rows["similarity"].diff().dropna() <= 1e-5).all()
    member = found.var["gene_programs"].dropna()
    assert member.to_dict() == dict(zip(table["gene"], table["program"], strict=True))
    E = grn.tl.embedding(blood, copy=True).varm["X_mini"]
    first = table[table["program"] == "0"]
    own = E[blood.var_names.get_indexer(first["gene"])].astype(float)
    mean = own.mean(0)
    cosine = own @ mean / np.linalg.norm(own, axis=1) / np.linalg.norm(mean)
    np.testing.assert_allclose(first["similarity"], cosine, atol=1e-6)
    params = found.uns["gene_programs"]["params"]
    assert (params["function"], params["resolution"], params["seed"], params["model"]) == (
        "gene_programs",
        5,
        0,
        "mini",
    )


def test_genes_of_one_cell_type_share_a_program(found):
    program = found.var["gene_programs"]
    assert program["CD3D"] == program["CD3E"] != program["LYZ"]
    assert program["S100A8"] == program["S100A9"] and program["LYZ"] == program["CST3"]
    assert program["CD79A"] == program["MS4A1"] != program["S100A8"]


def test_neither_order_nor_seed_of_numpy_matters(blood, found):
    order = np.random.default_rng(1).permutation(blood.n_vars)
    np.random.seed(7)
    shuffled = grn.tl.gene_programs(blood[:, order].copy(), resolution=5, copy=True)
    table = found.uns["gene_programs"]["programs"]
    assert shuffled.uns["gene_programs"]["programs"].equals(table)
    assert shuffled.var["gene_programs"].reindex(blood.var_names).equals(found.var["gene_programs"])


def test_arguments_are_obeyed(blood):
    genes = [gene for gene in blood.var_names if gene[0] in "CGL"]
    some = grn.tl.gene_programs(blood, genes=genes, resolution=2, min_genes=8, key_added="p", copy=True)
    table = some.uns["p"]["programs"]
    assert set(table["gene"]) <= set(genes) and table["program"].value_counts().min() >= 8
    finer = grn.tl.gene_programs(blood, genes=genes, resolution=8, min_genes=2, copy=True)
    assert finer.uns["gene_programs"]["programs"]["program"].nunique() > table["program"].nunique()


def test_what_cannot_be(blood, monkeypatch):
    before = list(blood.var), list(blood.uns)
    for arguments, error, message in (
        ({"n_neighbors": 1}, ParameterError, "n_neighbors=1"),
        ({"n_neighbors": True}, ParameterError, "n_neighbors=True"),
        ({"min_genes": 0}, ParameterError, "min_genes=0"),
        ({"resolution": 0}, ParameterError, "resolution=0"),
        ({"resolution": float("inf")}, ParameterError, "resolution=inf"),
        ({"min_genes": 700}, ParameterError, "none of the .* clusters has min_genes=700"),
        ({"genes": "SPI1"}, ParameterError, "single string"),
        ({"genes": ["SPI2"]}, GeneNameError, "not in adata.var_names"),
        ({"genes": list(blood.var_names[:12])}, GeneOverlapError, "n_neighbors=15 needs more"),
    ):
        with pytest.raises(error, match=message):
            grn.tl.gene_programs(blood, **arguments)

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(optional, "import_module", missing)
    with pytest.raises(MissingDependencyError, match=r"igraph is needed for gene programs .*grn\[export\]"):
        grn.tl.gene_programs(blood)
    model = grn.models.load("mini")
    monkeypatch.setattr(type(model), "capabilities", frozenset({"value"}))
    with pytest.raises(CapabilityError, match=r"grn.tl.gene_programs needs .*'embedding'.* offers: value"):
        grn.tl.gene_programs(blood, model=model)
    assert (list(blood.var), list(blood.uns)) == before


def test_every_family_with_embeddings():
    adata = grn.datasets.toy(n_cells=2)
    for family in ("scgpt", "scgenept", "lpm"):
        model = grn.models.untrained(family, genes=list(adata.var_names), layers=1, width=8, heads=2)
        grn.tl.gene_programs(adata, model=model, n_neighbors=5, resolution=1, min_genes=2, key_added=family)
        assert adata.uns[family]["programs"]["program"].nunique() >= 1
        assert adata.uns[family]["params"]["model"] == model.name
