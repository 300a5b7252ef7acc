import anndata as ad
import numpy as np
import pandas as pd
import pytest

from grn import get
from grn._core.errors import ParameterError, ResultNotFoundError


@pytest.fixture
def adata():
    var = pd.DataFrame(
        {
            "grn_symbol": ["SPI1", ""],
            "grn_ensembl": ["ENSG00000066336", ""],
            "grn_status": pd.Categorical(["kept", "lost"], ["kept", "ambiguous", "lost"]),
            "grn_how": pd.Categorical(["alias", "none"]),
            "is_regulator": [True, False],
            "other": [1, 2],
        },
        index=["PU.1", "junk"],
    )
    return ad.AnnData(np.ones((2, 2)), var=var, uns={"grn_genes": {"kept": 1, "lost": 1, "names": np.array(["junk"])}})


def test_report(adata):
    report = get.gene_report(adata)
    assert list(report) == ["symbol", "ensembl", "status", "how", "is_regulator"]
    assert report.loc["PU.1"].tolist() == ["SPI1", "ENSG00000066336", "kept", "alias", True]
    assert report.attrs == {"kept": 1, "lost": 1}


def test_report_is_a_copy_and_follows_slicing(adata):
    get.gene_report(adata)["symbol"] = "x"
    assert adata.var["grn_symbol"].tolist() == ["SPI1", ""]
    assert list(get.gene_report(adata[:, ["junk"]]).index) == ["junk"]


def test_missing(adata):
    del adata.uns["grn_genes"]
    assert get.gene_report(adata).attrs == {}
    adata.var = adata.var[["is_regulator"]]
    with pytest.raises(ResultNotFoundError, match=r"grn\.pp\.align_genes"):
        get.gene_report(adata)
    with pytest.raises(ParameterError, match="int"):
        get.gene_report(3)
