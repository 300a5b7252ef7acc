import pytest

import grn
from grn._core.near import did_you_mean, near
from grn.errors import GeneNameError, ParameterError

GENES = ["APH1A", "GATA1", "GATA2", "SPI1", "MYC", "MYCN", "HLA-DRA", "KLF4", "CD3E", "GAPDHS"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Gata1", ["GATA1"]),
        ("HLA.DRA", ["HLA-DRA"]),
        ("GTAA1", ["GATA1"]),
        ("SPI", ["SPI1"]),
        ("SPI2", []),
        ("GATA3", []),
        ("CD3D", ["CD3E"]),
        ("KLF", ["KLF4"]),
        ("LKF4", []),
        ("", []),
        (None, []),
        (float("nan"), []),
    ],
)
def test_genes(name, found):
    assert near(name, GENES, genes=True) == found


def test_gapdh_is_no_slip_of_aph1a():
    assert near("GAPDH", ["APH1A", "SPI1", "GPD1"], genes=True) == []
    assert near("GAPDH", ["GAPDHS"], genes=True) == ["GAPDHS"]


@pytest.mark.parametrize(
    ("name", "known", "text"),
    [
        ("scgpt", ["mini", "scgpt-human", "scgpt-brain"], " Did you mean 'scgpt-brain' or 'scgpt-human'?"),
        ("celoracle", ["genie3", "celloracle"], " Did you mean 'celloracle'?"),
        ("Cell Oracle", ["genie3", "celloracle"], " Did you mean 'celloracle'?"),
        ("zzzz", ["genie3"], ""),
        (3, ["genie3", "1"], ""),
    ],
)
def test_other_names(name, known, text):
    assert did_you_mean(name, known) == text == did_you_mean(name, reversed(known))


def test_a_model_by_half_its_name_lists_all_it_may_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [name for name in grn.models.available() if name.startswith("scgpt")]
    assert len(names) == 8
    for arguments in ({}, {"path": tmp_path}):
        with pytest.raises(ParameterError) as raised:
            grn.models.load("scgpt", **arguments)
        assert all(repr(name) in str(raised.value).partition("Did you mean")[2] for name in names)


def of(call):
    with pytest.raises((GeneNameError, ParameterError)) as raised:
        call()
    return str(raised.value)


def test_every_function_that_takes_genes_uses_the_rule():
    """The gene of the object that is closest to GAPDH by letters alone is APH1A."""
    adata = grn.datasets.toy(n_cells=40, n_regulators=3, n_targets=8)
    adata.var_names = [*adata.var_names[:-1], "APH1A"]
    grn.tl.infer_network(adata, method="correlation")
    grn.tl.vvp(adata, model=grn.models.untrained("scgpt", genes=list(adata.var_names), layers=1, width=8, heads=2))
    model = grn.models.load("mini")
    calls = [
        lambda: grn.tl.infer_network(adata, method="correlation", sources=["GAPDH"]),
        lambda: grn.tl.infer_network(adata, method="correlation", targets=["GAPDH"]),
        lambda: grn.tl.vvp(adata, model=model, targets=["GAPDH"]),
        lambda: grn.tl.simulate(adata, perturbation={"GAPDH": 0}),
        lambda: grn.get.edges(adata, sources=["GAPDH"]),
        lambda: grn.get.features(adata, key="vvp", targets=["GAPDH"]),
        lambda: grn.pl.regulon(adata, source="GAPDH"),
        lambda: grn.pl.response(adata, pairs=("GAPDH", "SPI1")),
    ]
    for call in calls:
        assert "GAPDH" in of(call) and "Did you mean" not in of(call)
