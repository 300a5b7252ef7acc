"""Methods that read cells in the benchmark."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn.bench import Reference, run, scorer
from grn.errors import CapabilityError, ExpressionError, GrnError, ParameterError


@pytest.fixture(scope="module")
def cells():
    return grn.datasets.toy(n_cells=150, n_regulators=6, n_targets=20, n_groups=1)


@pytest.fixture(scope="module")
def pairs(cells):
    names = pd.MultiIndex.from_product([cells.var_names[:6], cells.var_names]).to_frame(index=False)
    names.columns = ["source", "target"]
    return names[names["source"] != names["target"]]


@pytest.mark.parametrize("method", ["correlation", "ridge", "celloracle"])
def test_a_pair_scores_the_weight_of_its_edge(cells, pairs, method):
    found = scorer(method)(cells, pairs)
    alone = cells.copy()
    listing = {"max_p": 1.0, "top": 10**6} if method == "celloracle" else {}
    grn.tl.infer_network(alone, method=method, sources=list(cells.var_names[:6]), params=listing)
    edges = grn.get.edges(alone)
    weight = dict(zip(zip(edges["source"], edges["target"], strict=True), edges["weight"].abs(), strict=True))
    expected = [weight.get(pair, 0.0) for pair in pairs.itertuples(index=False, name=None)]
    assert np.allclose(found, expected) and found.shape == (len(pairs),)
    assert (found > 0).mean() > 0.9


def test_only_the_regulators_asked_about_are_read_and_absent_pairs_score_nothing(cells, pairs):
    base = cells.uns["truth"][["source", "target"]]
    found = scorer("ridge", params={"base_grn": base})(cells, pairs)
    listed = pd.MultiIndex.from_frame(pairs).isin(pd.MultiIndex.from_frame(base.astype(str)))
    assert (found[~listed] == 0).all() and (found[listed] > 0).all()


def test_a_run_takes_it_beside_the_floors(cells):
    test = Reference(cells.uns["truth"], genes=cells.var_names, dataset="test", expression=cells)
    other = grn.datasets.toy(n_cells=5, n_regulators=6, n_targets=20, rng=1)
    train = Reference(other.uns["truth"], genes=other.var_names, dataset="train")
    table = run(
        methods=[],
        scorers={"ridge by name": scorer("ridge")},
        train=train,
        test=[test],
        protocols=["paper"],
        outside=False,
        seeds=2,
        n_boot=20,
        progress=False,
    )
    row = table.query("metric == 'auprc' and method == 'ridge by name'").iloc[0]
    assert row["kind"] == "method" and row["value"] > 0.9


def test_a_test_set_without_cells_is_refused(cells, pairs):
    with pytest.raises(ExpressionError, match="'ridge' reads cells, and this test set has none"):
        scorer("ridge")(cells[:0].copy(), pairs)


@pytest.mark.parametrize(
    ("method", "reads"), [("scgpt_attention", "models of the family scgpt"), ("renge", "perturbation and time")]
)
def test_methods_that_read_more_are_refused(method, reads):
    with pytest.raises(CapabilityError, match=f"reads {reads}.*correlation"):
        scorer(method)
    with pytest.raises(ParameterError, match="training set"):
        scorer("vvp", params={"translator": "train"})


def test_a_method_that_reads_a_model_needs_no_cells():
    names = ["STAT1", "SPI1", "CD14", "LYZ"]
    bare = ad.AnnData(np.zeros((0, 4), dtype=np.float32), var=pd.DataFrame(index=names))
    asked = pd.DataFrame({"source": ["STAT1", "SPI1", "SPI1"], "target": ["CD14", "LYZ", "SPI1"]})
    found = scorer("vvp", params={"translator": None})(bare, asked)
    grn.tl.infer_network(bare, method="vvp", params={"translator": None}, sources=names[:2])
    weight = grn.get.edges(bare).set_index(["source", "target"])["weight"].abs()
    assert found.tolist() == [weight["STAT1", "CD14"], weight["SPI1", "LYZ"], 0.0]


def test_genes_are_aligned_as_in_a_run():
    """Mouse genes reach a human model through orthologs, those of several by their place, and by what uns says."""
    names = ["Gata1", "Spi1", "Myc", "Klf1"]
    model = grn.models.untrained("scgpt", genes=sorted(map(str.upper, names)), layers=1, width=8, heads=2, rng=0)
    mouse = ad.AnnData(np.zeros((0, 4), dtype=np.float32), var=pd.DataFrame(index=names), uns={"organism": "mouse"})
    asked = pd.DataFrame({"source": ["Gata1", "Gata1", "Spi1"], "target": ["Myc", "Klf1", "Myc"]})
    score = scorer("embedding", params={"translator": None}, model=model)
    found = score(mouse, asked)
    assert (found > 0).all() and list(mouse.var.columns) == [], "the object stays as it was"
    aligned = grn.pp.align_genes(mouse, organism="mouse", orthologs="syntenic", copy=True)
    assert np.array_equal(found, score(aligned, asked))
    strange = ad.AnnData(np.zeros((0, 2), dtype=np.float32), var=pd.DataFrame(index=["nothing", "known"]))
    with pytest.raises(GrnError):
        score(strange, pd.DataFrame({"source": ["nothing"], "target": ["known"]}))


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("ridge", {"alpha": -1.0}, "alpha=-1.0"),
        ("vvp", {"context": "men"}, "context='men'"),
        ("vvp", {"translator": "strng"}, "strng"),
        ("vvp", {"translator": pd.DataFrame({"a": [1]})}, "Translator from"),
    ],
    ids=repr,
)
def test_values_are_refused_when_it_is_made(method, params, message):
    with pytest.raises(ParameterError, match=message):
        scorer(method, params=params)


def test_unknown_methods_and_parameters_are_refused():
    with pytest.raises(ParameterError, match="ridge"):
        scorer("rigde")
    with pytest.raises(ParameterError, match="has no parameter 'aplha'"):
        scorer("ridge", params={"aplha": 1.0})
    with pytest.raises(ParameterError, match="pass a dict"):
        scorer("ridge", params=[1])


def test_a_scorer_travels_to_other_processes(cells, pairs):
    import pickle

    score = scorer("correlation", params={"kind": "spearman"})
    assert np.array_equal(pickle.loads(pickle.dumps(score))(cells, pairs), score(cells, pairs))
