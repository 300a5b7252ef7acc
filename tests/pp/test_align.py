import logging
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from grn._core.errors import GeneNameError, GeneOverlapError, GrnError, ParameterError
from grn._core.logging import HINT
from grn.pp import align_genes

NAMES = ["TP53", "ENSG00000102145.14", "MLL", "OCT3", "nonsense", "AC023509.3", "P53"]


def make(names=NAMES):
    adata = ad.AnnData(sparse.csr_matrix(np.ones((3, len(names)), dtype=np.float32)))
    adata.var_names = list(names)
    return adata


def state(adata):
    return adata.var.copy(), dict(adata.uns), adata.shape


def test_columns_and_report():
    adata = make()
    assert align_genes(adata) is None
    assert list(adata.var_names) == NAMES
    assert adata.var["grn_symbol"].tolist() == ["TP53", "GATA1", "KMT2A", "", "", "", ""]
    assert adata.var["grn_ensembl"].iloc[1] == "ENSG00000102145"
    assert adata.var["grn_status"].tolist() == ["kept"] * 3 + ["ambiguous", "lost", "lost", "ambiguous"]
    assert adata.var["grn_how"].tolist() == ["exact", "ensembl", "alias", "alias", "none", "none", "alias"]
    report = adata.uns["grn_genes"]
    assert (report["kept"], report["ambiguous"], report["lost"]) == (3, 2, 2)
    assert report["ambiguous_names"].tolist() == ["OCT3", "P53"]
    assert report["lost_names"].tolist() == ["nonsense", "AC023509.3"]
    assert report["organism"] == "human" and report["params"]["organism"] == "auto"


def test_lost_regulators_are_named_unless_another_name_stands_for_them(caplog):
    adata = make()
    with caplog.at_level(logging.INFO, logger="grn"):
        align_genes(adata)
    assert adata.uns["grn_genes"]["lost_regulators"].tolist() == ["OCT3", "AC023509.3"]
    assert "of 7 human gene names, 3 were kept" in caplog.text and "AC023509.3" in caplog.text


def test_what_is_lost_is_said_by_default(caplog):
    align_genes(make())
    assert [r.getMessage() for r in caplog.records if r.levelno == HINT] == [
        "align_genes: of 7 human gene names, 3 were kept (1 by symbol, 1 by Ensembl id, 1 by alias), 2 are "
        "ambiguous (OCT3, P53), 2 are lost (nonsense, AC023509.3)."
    ]
    caplog.clear()
    align_genes(make(["TP53", "GATA1"]))
    assert not [r for r in caplog.records if r.levelno >= HINT], "nothing lost, nothing said"


def test_mouse_by_ortholog():
    adata = make(["Trp53", "Gata1", "Myc", "Abca14"])
    align_genes(adata)
    assert adata.var["grn_symbol"].tolist() == ["TP53", "GATA1", "", ""]
    assert adata.uns["grn_genes"]["lost_regulators"].tolist() == ["Myc"]
    align_genes(adata, orthologs="syntenic")
    assert adata.var["grn_symbol"].tolist() == ["TP53", "GATA1", "MYC", ""]


def test_copy_leaves_the_object_alone():
    adata = make()
    result = align_genes(adata, copy=True)
    assert "grn_symbol" in result.var and not adata.var.columns.size and not adata.uns


def test_gene_order_does_not_matter():
    order = [3, 0, 6, 2, 5, 1, 4]
    straight, shuffled = make(), make([NAMES[i] for i in order])
    align_genes(straight)
    align_genes(shuffled)
    pd.testing.assert_frame_equal(straight.var.iloc[order], shuffled.var)


def test_a_view_becomes_an_object():
    view = make()[:2]
    with pytest.warns(Warning, match="view"):
        align_genes(view)
    assert not view.is_view and "grn_symbol" in view.var


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_round_trip(tmp_path, kind):
    adata = make(["TP53", "GATA1"]) if kind == "h5ad" else make()
    align_genes(adata, model=SimpleNamespace(gene_id_kind="symbol", target_genes=["TP53", "GATA1"]))
    if kind == "h5ad":
        adata.write_h5ad(tmp_path / "a.h5ad")
        back = ad.read_h5ad(tmp_path / "a.h5ad")
    else:
        pytest.importorskip("zarr")
        adata.write_zarr(tmp_path / "a.zarr")
        back = ad.read_zarr(tmp_path / "a.zarr")
    assert back.var["grn_symbol"].tolist() == adata.var["grn_symbol"].tolist()
    assert back.var["grn_status"].cat.categories.tolist() == ["kept", "ambiguous", "lost"]
    before, after = adata.uns["grn_genes"], back.uns["grn_genes"]
    assert before.keys() == after.keys()
    assert list(after["lost_names"]) == list(before["lost_names"])
    assert after["kept"] == before["kept"] and after["model"]["known"] == before["model"]["known"]


def test_a_file_can_be_aligned(tmp_path):
    make().write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    align_genes(backed)
    assert backed.isbacked and backed.var["grn_symbol"].iloc[1] == "GATA1"
    assert not align_genes(backed, copy=True).isbacked
    with pytest.raises(ParameterError, match="to_memory"):
        align_genes(backed[:2])


def test_a_model_is_compared():
    adata = make()
    align_genes(adata, model=SimpleNamespace(name="old", gene_id_kind="symbol", target_genes=["TP53", "MLL", "X"]))
    found = adata.uns["grn_genes"]["model"]
    assert (found["name"], found["known"], found["unknown"]) == ("old", 2, 5)
    assert "ENSG00000102145.14" in found["unknown_names"]


@pytest.mark.parametrize(
    ("names", "options", "error", "words"),
    [
        (["TP53", "TP53"], {}, GeneNameError, "more than once"),
        (["TP53", ""], {}, GeneNameError, "empty"),
        (["a", "b"], {}, GeneNameError, "neither"),
        (["TP53", "GATA1", "Trp53", "Gata1"], {}, GeneNameError, "mixed"),
        (["TP53", *"abcdefghijkl"], {"organism": "human"}, GeneOverlapError, "1 of 13"),
        (["TP53", "GATA1"], {"organism": "mouse"}, GeneOverlapError, "mouse"),
        (["Abca14", "Gm10000"], {"organism": "mouse", "min_overlap": 0}, GeneOverlapError, "Abca14"),
        (["TP53"], {"organism": "yeast"}, ParameterError, "yeast"),
        (["TP53"], {"min_overlap": 2}, ParameterError, "min_overlap"),
        (["TP53"], {"model": object()}, ParameterError, "gene_id_kind"),
        (
            ["TP53"],
            {"model": SimpleNamespace(gene_id_kind="symbol", target_genes=["GATA1"])},
            GeneOverlapError,
            "knows 0",
        ),
    ],
)
def test_failures_leave_the_object_untouched(names, options, error, words):
    adata = make(names)
    var, uns, shape = state(adata)
    with pytest.raises(error, match=words) as caught:
        align_genes(adata, **options)
    assert isinstance(caught.value, GrnError)
    pd.testing.assert_frame_equal(adata.var, var)
    assert dict(adata.uns) == uns and adata.shape == shape


def test_real_human_and_mouse_matrices(shared_dir):
    for file, share in (
        ("expression/human_pbmc_10x_1k_v3.h5ad", 0.85),
        ("expression/mouse_skin_joost2016.h5ad", 0.7),
    ):
        path = shared_dir / "data" / file
        if not path.is_file():
            pytest.skip(f"{file} is not among the development data")
        names = ad.read_h5ad(path, backed="r").var_names
        adata = ad.AnnData(sparse.csr_matrix((1, len(names)), dtype=np.float32))
        adata.var_names = names
        align_genes(adata)
        assert adata.uns["grn_genes"]["kept"] > share * len(names)
        kept = adata.var.loc[adata.var["grn_symbol"] != "", "grn_symbol"]
        assert kept.is_unique
