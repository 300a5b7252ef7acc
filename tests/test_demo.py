"""The demo runs offline and writes what it says."""

import shlex

import anndata as ad
import pandas as pd
import pytest

import grn

FILES = ("pbmc_grn.h5ad", "edges.csv", "network.png", "response.png", "tf_activity.png")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    from grn._demo import demo

    out = tmp_path_factory.mktemp("demo") / "new" / "folder"
    return out, demo(out)


@pytest.mark.slow
def test_files_and_report(ran):
    out, report = ran
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    assert all(name in report for name in FILES) and str(out) in report
    assert f"grn {grn.__version__} demo: 700 blood cells, 765 genes" in report
    for name in FILES[2:]:
        content = (out / name).read_bytes()
        assert content.startswith(b"\x89PNG") and len(content) > 10_000


@pytest.mark.slow
def test_edges(ran):
    out, report = ran
    edges = pd.read_csv(out / "edges.csv")
    assert list(edges.columns[:3]) == ["source", "target", "weight"]
    adata = ad.read_h5ad(out / "pbmc_grn.h5ad")
    stored = grn.get.edges(adata)
    assert len(stored) == len(edges) and stored["source"].astype(str).tolist() == edges["source"].tolist()
    best = edges.iloc[0]
    assert (
        f"{best['probability']:.4f} {best['score']:+.3f}" in report
        and best["source"] in report
        and best["target"] in report
    )
    assert set(edges["source"]) == set(adata.uns["vvp"]["sources"])


@pytest.mark.slow
def test_object(ran):
    adata = ad.read_h5ad(ran[0] / "pbmc_grn.h5ad")
    assert adata.shape == (700, 765)
    assert {"vvp", "gradient_trajectory"} <= set(adata.varm) and "score_ulm" in adata.obsm
    assert {"grn", "regulons", "grn_genes"} <= set(adata.uns)
    assert adata.obsm["score_ulm"].shape[0] == 700
    lines = ran[1].splitlines()
    assert any(line.startswith("Genes ") and f"{adata.uns['grn_genes']['kept']} kept" in line for line in lines)
    for group in adata.obs["bulk_labels"].cat.categories:
        assert any(line.strip().startswith(group) for line in lines), "every cell type has a line"


@pytest.mark.slow
def test_the_command_that_it_ends_with_opens_the_network(ran, tmp_path):
    from grn.__main__ import main

    command = shlex.split(ran[1].splitlines()[-1])
    assert command[:2] == ["grn", "explore"] and command[-1] == "--show"
    page = tmp_path / "network.html"
    assert main([*command[1:-1], "-o", str(page)]) == 0
    assert page.stat().st_size > 500_000
