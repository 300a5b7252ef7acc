"""The method ``universal``: columns, their translator, and what it does not depend on."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

import grn
from grn.errors import CapabilityError, ParameterError
from grn.genes.families import families
from grn.methods.probes.side_information import COLUMNS, side_information
from grn.methods.probes.universal import ADVICE, responses
from grn.models import promoter_motifs
from grn.models.pair_translator import embedded

GENES = ["GATA1", "GATA2", "SPI1", "TAL1", "KLF1", "HBB", "CD14", "LYZ", "MPO", "CSF1R", "ALAS2", "EPOR"]


@pytest.fixture
def blood():
    adata = grn.datasets.toy_groups(n_cells=60)[:, : len(GENES)].copy()
    adata.var_names = GENES
    adata.var["is_regulator"] = np.arange(len(GENES)) < 5
    return adata


def edges(adata, **params):
    grn.tl.infer_network(adata, method="universal", params=params, progress=False)
    return adata.uns["grn"]["edges"].set_index(["source", "target"]).sort_index()


def test_side_information():
    sources, targets = np.array(GENES[:3]), np.array([*GENES[1:], ""])
    columns = side_information(sources, targets)
    assert tuple(columns) == COLUMNS
    assert columns["same stem"][0, 0] == 1, "GATA2 and GATA1"
    assert columns["same stem"].sum() == 3, "and GATA2 and SPI1 with themselves"
    assert (columns["same prefix"][-1] == 0).all(), "a gene without a symbol is of no family"
    motifs = promoter_motifs.embedded()
    np.testing.assert_allclose(columns["motif"], motifs.scores(sources, targets).T)
    np.testing.assert_allclose(columns["family motif"], motifs.scores(sources, targets, families=families).T)
    assert families(["GATA1"])[0] == "GATA"


def test_responses_are_centred_and_scaled():
    cube = np.random.default_rng(0).normal(2.0, 3.0, size=(7, 4, 2)).astype(np.float32)
    columns = responses(cube, np.array([-1.0, 2.0]))
    assert list(columns) == ["response at -1", "response at 2"]
    for values in columns.values():
        np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(values.mean(axis=1), 0, atol=1e-5)
        assert np.square(values).mean() == pytest.approx(1, abs=1e-5)
    scaled = responses(100 * cube, np.array([-1.0, 2.0]))
    np.testing.assert_allclose(scaled["response at 2"], columns["response at 2"], rtol=1e-4)


def test_edges_are_probabilities_with_the_sign_of_the_response(blood):
    table = edges(blood)
    assert ((table["probability"] > 0) & (table["probability"] < 1)).all()
    np.testing.assert_allclose(table["weight"].abs(), table["probability"])
    assert (np.sign(table["weight"]) == np.sign(table["score"])).all()
    assert table.loc[("GATA1", "ALAS2"), "probability"] > table.loc[("GATA1", "LYZ"), "probability"]
    params = blood.uns["grn"]["params"]
    assert (params["translator"], params["background"]) == ("universal", "unknown")


def test_relatives_count_only_where_asked(blood):
    neutral, counted = edges(blood), edges(blood, relatives="counted")
    assert blood.uns["grn"]["params"]["relatives"] == "counted"
    sources, targets = (neutral.index.get_level_values(side).astype(str) for side in ("source", "target"))
    stems = families(sources, kind="stem") == families(targets, kind="stem")
    prefixes = families(sources, kind="prefix") == families(targets, kind="prefix")
    assert stems.sum() == prefixes.sum() == 2, "GATA1 and GATA2, both ways"
    np.testing.assert_array_equal(neutral["probability"][~stems], counted["probability"][~stems])
    translator = embedded(grn.models.load("mini"), "universal")
    weight = dict(zip(translator.columns, np.divide(translator.coefficients, translator.spread), strict=True))
    gain = logit(counted["probability"][stems]) - logit(neutral["probability"][stems])
    np.testing.assert_allclose(gain, weight["same stem"] + weight["same prefix"], rtol=1e-4)


def test_one_line_says_what_was_read_and_what_it_is_worth(blood, caplog):
    with caplog.at_level("INFO", logger="grn"):
        edges(blood)
    advice = [record.getMessage() for record in caplog.records if "AUPRC" in record.getMessage()]
    assert len(advice) == 1 and "\n" not in advice[0]
    for word in ("universal: zero-shot", "your cells are not read", "chance .50", "prior_ridge", "rank_drivers"):
        assert word in advice[0]


@pytest.mark.parametrize("params", [{"translator": "cells"}, {"context": "mean"}])
def test_figures_are_those_of_the_defaults_and_cells_may_be_read_as_their_mean(blood, caplog, params):
    edges(blood, **params)
    (advice,) = [record.getMessage() for record in caplog.records if "AUPRC" in record.getMessage()]
    assert "AUPRC of the defaults without groups" in advice and "context='mean'" in advice


@pytest.mark.parametrize("background", ["unknown", "fixed"])
def test_features_on_the_object_are_used_if_they_were_read_the_same_way(blood, caplog, background):
    fresh = edges(blood.copy())
    grn.tl.probe(blood, background=background, progress=False)
    with caplog.at_level("INFO", logger="grn"):
        again = edges(blood)
    assert ("stored before" in caplog.text) == (background == "unknown")
    np.testing.assert_allclose(again["weight"], fresh["weight"], rtol=1e-4, atol=1e-6)


def test_the_advice_tells_the_figures_of_the_published_tables():
    """Under strict, for pairs of different families, the default as the benchmark's page has it."""
    page = (Path(__file__).parents[3] / "docs" / "bench" / "results.md").read_text()
    table = page.split("## Means over independent data sets, pairs of different families: auprc")[1].split("\n## ")[0]
    header, row = (
        next(line.split("|") for line in table.splitlines() if line.startswith(start))
        for start in ("| kind ", "| method | universal |")
    )
    figures = {name.strip(): cell.strip().strip("*") for name, cell in zip(header, row, strict=True)}
    for column, name in (("STRING, strict", "STRING"), ("Non-Specific, strict", "non-specific ChIP-seq")):
        assert f"{float(figures[column]):.2f} ({name})".lstrip("0") in ADVICE


def test_it_is_the_default(blood):
    grn.tl.infer_network(blood, progress=False)
    assert blood.uns["grn"]["params"]["method"] == "universal"


def test_order_and_batches_do_not_matter(blood):
    before = edges(blood.copy())
    turned = blood[::-1, ::-1].copy()
    grn.tl.infer_network(turned, method="universal", batch_size=1, progress=False)
    after = turned.uns["grn"]["edges"].set_index(["source", "target"]).sort_index()
    pd.testing.assert_series_equal(after["weight"], before["weight"], rtol=1e-4, atol=1e-5)


def test_cells_reads_no_names_and_no_motifs(blood, monkeypatch):
    def refused(*_, **__):
        raise AssertionError("read")

    monkeypatch.setattr("grn.methods.probes.universal.side_information", refused)
    assert len(edges(blood, translator="cells")) > 0
    with pytest.raises(AssertionError, match="read"):
        edges(blood)


def test_groups_are_read_at_their_mean_cells_and_that_is_told(blood, caplog):
    blood.obs["kind"] = pd.Categorical(np.where(np.arange(blood.n_obs) % 2, "a", "b"))
    grn.tl.infer_network(blood, method="universal", groupby="kind", progress=False)
    table = blood.uns["grn"]["edges"]
    assert set(table["group"]) == {"a", "b"}
    params = blood.uns["grn"]["params"]
    assert (params["context"], params["background"]) == ("mean", "fixed")
    told = "responses are read at the mean cell of each group, where the other genes are known"
    assert told in caplog.text
    caplog.clear()
    edges(blood, context="virtual")
    assert told[:30] not in caplog.text, "this is what its translator was fitted in"
    first, second = (table[table["group"] == g].set_index(["source", "target"])["weight"] for g in "ab")
    assert not np.allclose(first, second.reindex(first.index))


@pytest.mark.parametrize(
    "params", [{"translator": "string"}, {"translator": None}, {"relatives": "left out"}, {"context": "median"}]
)
def test_bad_parameters(blood, params):
    with pytest.raises(ParameterError, match=next(iter(params))):
        edges(blood, **params)
    assert "grn" not in blood.uns


def test_other_models_have_no_such_translator(blood):
    model = grn.models.untrained("scgpt", genes=GENES)
    with pytest.raises(CapabilityError, match="is shipped for"):
        grn.tl.infer_network(blood, method="universal", model=model, progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("translator", ["universal", "cells"])
def test_no_ties_among_the_most_probable_edges_of_a_panel(translator):
    """100 regulators x 2 000 genes: the first thousand edges have a thousand probabilities."""
    known, able = grn.models.load("mini").genes, grn.genes.regulators("human")
    sources = [gene for gene in known if gene in able][:100]
    names = [*sources, *[gene for gene in known if gene not in able][:1900]]
    adata = ad.AnnData(np.zeros((0, 2000), dtype=np.float32), var=pd.DataFrame(index=names))
    adata.uns["organism"] = "human"
    table = grn.tl.infer_network(
        adata, method="universal", sources=sources, params={"translator": translator}, progress=False, copy=True
    ).uns["grn"]["edges"]
    top = np.sort(table["probability"].to_numpy())[::-1][:1000]
    assert len(np.unique(top)) == 1000
    # single precision has some four million numbers there, so that two may meet by chance
    assert len(np.unique(top.astype(np.float32))) >= 995
    assert top[0] < 1
