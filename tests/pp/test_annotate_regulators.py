import anndata as ad
import numpy as np
import pytest

from grn._core.errors import DataNotFoundError, GeneNameError, GeneOverlapError, ParameterError
from grn.pp import align_genes, annotate_regulators


def make(names=("GATA1", "HBB", "ENSG00000141510.3", "MLL")):
    adata = ad.AnnData(np.ones((2, len(names)), dtype=np.float32))
    adata.var_names = list(names)
    return adata


def test_built_in_list_follows_genes_not_spelling():
    adata = make()
    assert annotate_regulators(adata) is None
    assert adata.var["is_regulator"].tolist() == [True, False, True, True]
    assert adata.var["is_regulator"].dtype == bool
    assert adata.uns["grn_regulators"]["n"] == 3


def test_mouse_list():
    adata = make(["Trp53", "Hbb-bt", "Myc", "Sox2"])
    annotate_regulators(adata)
    assert adata.var["is_regulator"].tolist() == [True, False, True, True]


def test_own_list_reports_unknown_names(caplog):
    adata = make()
    annotate_regulators(adata, regulators=["TP53", "KMT2A", "SPI1", "nonsense"], key_added="mine")
    assert adata.var["mine"].tolist() == [False, False, True, True]
    assert adata.uns["grn_regulators"]["unknown"].tolist() == ["SPI1", "nonsense"]
    assert "nonsense" in caplog.text and "is_regulator" not in adata.var


def test_file_of_regulators(tmp_path):
    path = tmp_path / "tfs.txt"
    path.write_text("# mine\nHBB  # not really\n\nGATA1\n")
    for given in (path, str(path)):
        adata = make()
        annotate_regulators(adata, regulators=given)
        assert adata.var["is_regulator"].tolist() == [True, True, False, False]
        assert adata.uns["grn_regulators"]["source"] == "the file tfs.txt"


def test_own_list_works_without_tables():
    adata = make(["AT1G01060", "AT1G01070", "AT1G01080"])
    annotate_regulators(adata, regulators=["AT1G01060", "AT9"])
    assert adata.var["is_regulator"].tolist() == [True, False, False]
    assert adata.uns["grn_regulators"]["unknown"].tolist() == ["AT9"]
    with pytest.raises(GeneNameError, match="AT1G01060"):
        annotate_regulators(adata)


def test_organism_found_before_is_used():
    adata = make(["Trp53", "Hbb-bt", "Gata1"])
    align_genes(adata, organism="mouse")
    annotate_regulators(adata)
    assert adata.uns["grn_regulators"]["organism"] == "mouse"


def test_copy_and_round_trip(tmp_path):
    adata = make()
    result = annotate_regulators(adata, regulators=["GATA1", "x"], copy=True)
    assert "is_regulator" not in adata.var and not adata.uns
    result.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    assert back.var["is_regulator"].tolist() == [True, False, False, False]
    assert list(back.uns["grn_regulators"]["unknown"]) == ["x"]


@pytest.mark.parametrize(
    ("names", "options", "error"),
    [
        (["HBB", "HBA1"], {}, GeneOverlapError),
        (["GATA1", "HBB"], {"regulators": ["nonsense"]}, GeneOverlapError),
        (["GATA1", "HBB"], {"regulators": []}, ParameterError),
        (["GATA1", "HBB"], {"regulators": 3}, ParameterError),
        (["GATA1", "HBB"], {"regulators": "missing.txt"}, DataNotFoundError),
        (["GATA1", "HBB"], {"key_added": ""}, ParameterError),
        (["GATA1", "HBB"], {"organism": "yeast"}, ParameterError),
        (["GATA1", "GATA1"], {}, GeneNameError),
    ],
)
def test_failures_leave_the_object_untouched(names, options, error):
    adata = make(names)
    with pytest.raises(error):
        annotate_regulators(adata, **options)
    assert not adata.var.columns.size and not adata.uns
