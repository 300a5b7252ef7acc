"""A reference as a backbone sees it: pairs in question, readings, ablations, translators, one trial."""

from functools import cache

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import grn
from grn.bench import READINGS, Reference
from grn.bench._ablate import shuffled_weights
from grn.bench._board import Board, BoardSetting
from grn.bench._competitors import chosen, competitor
from grn.bench._entries import VARIANTS, Entry
from grn.bench._trial import PROTOCOLS, Contest, Trainer, run_trial
from grn.bench.negatives import sample
from grn.errors import CapabilityError, GeneOverlapError
from grn.genes import regulators
from grn.models import load
from random_memories import random_memory

UNKNOWN = ["OR4F5", "OR1A1"]  # real genes, which the small model is not given


@cache
def known_genes():
    """Genes of ``mini``: regulators, and all others."""
    able, genes = set(regulators("human")), load("mini").genes
    return [gene for gene in genes if gene in able], [gene for gene in genes if gene not in able]


@cache
def seen():
    regulating, regulated = known_genes()
    return tuple(sorted({*regulating[:40], *regulated[:80]}))


def make(tfs, others, *, extra=(), seed=0, n_edges=120, **arguments):
    tfs, others = known_genes()[0][tfs], known_genes()[1][others]
    genes = sorted([*tfs, *others, *extra])
    pairs = [(source, target) for source in tfs for target in genes if source != target]
    rows = np.random.default_rng(seed).choice(len(pairs), n_edges, replace=False)
    edges = pd.DataFrame([pairs[i] for i in rows], columns=["source", "target"])
    given = {"genes": genes, "regulators": [*tfs, *extra], "dataset": f"set{seed}", **arguments}
    return Reference(edges, **given)


@cache
def usual():
    return make(slice(0, 14), slice(0, 40))


@cache
def second():
    return make(slice(14, 28), slice(40, 80), seed=1)


def reading(label):
    return competitor(READINGS[label])


def with_cells(reference, names=None):
    names = list(reference.genes if names is None else names)
    values = np.log1p(np.random.default_rng(3).poisson(2.0, (30, len(names)))).astype(np.float32)
    cells = ad.AnnData(values, var=pd.DataFrame(index=names))
    return Reference(
        reference.edges, genes=reference.genes, regulators=reference.regulators, dataset="set", expression=cells
    )


def small(genes=None, **changes):
    """A small random memory, the architecture of ``mini``."""
    genes = seen() if genes is None else genes
    made = random_memory(genes)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@pytest.fixture(scope="module")
def model():
    return small()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("features")


@pytest.fixture
def board(model, folder):
    def call(reference=None, **arguments):
        given = {"model": model, "cache": folder, "show": False, "epochs": 5, **arguments}
        return Board(usual() if reference is None else reference, BoardSetting(**given))

    return call


def test_pairs_in_question(board):
    """Regulators with evidence that can be perturbed, genes that can be read, no gene with itself."""
    genes = [gene for gene in seen() if gene not in (known_genes()[0][0], known_genes()[1][0])]
    reference = make(slice(0, 14), slice(0, 40), extra=UNKNOWN)
    found = board(reference, model=small(tuple(genes)))
    mask = found.mask
    assert mask.shape == reference.labels.shape
    for i, source in enumerate(reference.regulators):
        for j, target in enumerate(reference.genes):
            wanted = source != target and source in reference.evidence and source in genes and target in genes
            assert mask[i, j] == wanted
    assert found.regulators == sorted(set(reference.evidence) & set(genes))
    inside = reference.edges["source"].isin(genes) & reference.edges["target"].isin(genes)
    assert found.coverage == pytest.approx(inside.mean())


def test_most_regulators_are_drawn_by_name(board):
    found = board(max_regulators=5)
    assert len(found.regulators) == 5 and found.regulators == sorted(found.regulators)
    assert set(found.regulators) < set(board(max_regulators=6).regulators), "more is a superset"
    assert found.mask.any(axis=1).sum() == 5
    fewer = Reference(usual().edges.sample(frac=1, random_state=0), genes=usual().genes[::-1])
    assert board(fewer, max_regulators=5).regulators == found.regulators


def test_a_model_that_knows_no_regulator(board):
    stranger = small(tuple(sorted(known_genes()[1][:40])))
    with pytest.raises(GeneOverlapError, match="none of the"):
        board(model=stranger)
    with pytest.raises(GeneOverlapError, match="human"):
        mouse = Reference(pd.DataFrame({"source": ["Spi1"], "target": ["Cd14"]}), organism="human")
        board(mouse)


def test_raw_readings_are_the_weights_of_the_methods(board):
    """What the table calls raw is what infer_network gives without a translator."""
    reference = with_cells(usual())
    attentive = grn.models.untrained("scgpt", genes=seen(), layers=1, width=8, heads=2)
    for name, method in (
        ("VVP (raw)", "vvp"),
        ("GDT (raw)", "gradient_trajectory"),
        ("Pert (origin)", "pert"),
        ("Attn (origin)", "attention"),
    ):
        adata, model = reference.expression.copy(), attentive if method == "attention" else small()
        found = board(reference, model=model)
        params = {} if method in ("pert", "attention") else {"translator": None}
        sources = list(found.regulators)
        grn.tl.infer_network(adata, method=method, model=model, sources=sources, params=params)
        table = grn.get.edges(adata)
        grid = found.untranslated(reading(name))
        rows = np.searchsorted(reference.regulators, table["source"].astype(str))
        columns = np.searchsorted(reference.genes, table["target"].astype(str))
        np.testing.assert_allclose(grid[rows, columns], table["weight"].abs(), rtol=1e-4, atol=1e-6)
        assert np.isfinite(grid[found.mask]).all() and len(table) == found.mask.sum()


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("method", ["vvp", "gradient_trajectory"])
def test_an_unknown_background_is_that_of_the_methods(board, model, method, centred):
    reference = with_cells(usual())
    found = board(reference)
    params = {"translator": None, "background": "unknown", "centred": centred}
    adata = reference.expression.copy()
    grn.tl.infer_network(adata, method=method, model=model, sources=list(found.regulators), params=params)
    table = grn.get.edges(adata)
    grid = found.untranslated(competitor(Entry(method, params)))
    rows = np.searchsorted(reference.regulators, table["source"].astype(str))
    columns = np.searchsorted(reference.genes, table["target"].astype(str))
    np.testing.assert_allclose(grid[rows, columns], table["weight"].abs(), rtol=1e-3, atol=1e-5)


def test_a_translator_and_its_ensemble(board):
    train, test = board(), board(second())
    for protocol in PROTOCOLS.values():
        trainer = Trainer(train, protocol)
        grids = {name: test.translated(reading(name), trainer.get(reading(name), 3)) for name in ("VVP", "GDT", "Ens")}
        assert all(np.isfinite(grid[test.mask]).all() for grid in grids.values())
        np.testing.assert_allclose(grids["Ens"], (grids["VVP"] + grids["GDT"]) / 2, atol=1e-5)
        assert np.nanstd(grids["VVP"]) > 0 and not np.allclose(grids["VVP"], grids["GDT"], equal_nan=True)


def test_translators_are_fitted_once(board, monkeypatch):
    trainer = Trainer(board(), PROTOCOLS["paper"])
    fitted = []
    fit = Board.fit
    monkeypatch.setattr(Board, "fit", lambda *args, **given: fitted.append(args[1:3]) or fit(*args, **given))
    first = trainer.get(reading("VVP"), 0)
    both = trainer.get(reading("Ens"), 0)
    assert both["vvp"] is first["vvp"] and fitted == [("vvp", ""), ("gradient_trajectory", "")]
    assert trainer.get(reading("VVP"), 1)["vvp"] is not first["vvp"]


def test_a_translator_is_that_of_fit_translator(board, model):
    """The same features, pairs and seed give the same probabilities."""
    found = board()
    drawn = sample(usual(), mask=found.mask, rng=4)
    adata = ad.AnnData(np.zeros((0, len(usual().genes)), dtype=np.float32), var=pd.DataFrame(index=usual().genes))
    grn.tl.vvp(adata, model=model, sources=found.regulators)
    adata.varm["vvp"] = found.cube("vvp", "")  # equal up to rounding, see test_features
    mine = found.fit("vvp", "", drawn, seed=4)
    theirs = grn.tl.fit_translator(adata, drawn.pairs, key="vvp", view="both", members=1, epochs=5, rng=4)
    assert np.array_equal(mine.logits(adata.varm["vvp"]), theirs.logits(adata.varm["vvp"]), equal_nan=True)


# ---- ablations


def tensors(model):
    return {name: tensor.clone() for name, tensor in model.network.named_parameters()}


def test_shuffled_weights_keep_what_tensors_hold_and_nothing_else(model):
    before = tensors(model)
    other = shuffled_weights(model, seed=3)
    after, again, third = tensors(other), tensors(shuffled_weights(model, seed=3)), tensors(shuffled_weights(model))
    for name, tensor in before.items():
        assert torch.equal(tensor, tensors(model)[name]), "the original is left alone"
        assert torch.equal(tensor.flatten().sort().values, after[name].flatten().sort().values)
        assert torch.equal(after[name], again[name])
        if len(tensor.unique()) > 2:
            assert not torch.equal(tensor, after[name]) and not torch.equal(after[name], third[name])
    panel = model.panel(seen()[:3], seen()[:30])
    values = torch.zeros(1, len(panel))
    values[0, 0] = 2.0
    assert not torch.allclose(model.respond(panel, values), other.respond(panel, values), atol=1e-3)
    assert other.genes == model.genes and (other.name, other.sha256) != (model.name, model.sha256)
    assert other.sha256 != shuffled_weights(model).sha256


def test_shuffled_weights_need_weights():
    class Bare:
        name, sha256 = "bare", "0"

    with pytest.raises(CapabilityError, match="bare"):
        shuffled_weights(Bare())


def test_shuffled_names_are_a_permutation(board):
    """Regulators among themselves and all other known genes among themselves, other ones in every data set."""
    reference = make(slice(0, 14), slice(0, 40), extra=UNKNOWN)
    found = board(reference)
    order = found._other_names()
    assert sorted(order) == list(range(len(reference.genes)))
    used = np.searchsorted(reference.genes, found.regulators)
    assert set(order[used]) == set(used) and (order[used] != used).any()
    unknown = np.flatnonzero(~found.features("").targets)
    assert len(unknown) == 2 and (order[unknown] == unknown).all()
    assert np.mean(order == np.arange(len(order))) < 0.3
    assert np.array_equal(order, board(reference)._other_names())
    renamed = Reference(reference.edges, genes=reference.genes, regulators=reference.regulators, dataset="another")
    assert not np.array_equal(order, board(renamed)._other_names())


@pytest.mark.parametrize("feature", ["vvp", "embedding"])
def test_features_under_shuffled_names_are_those_of_other_pairs(board, feature):
    found = board()
    cube, shuffled = found.cube(feature, ""), found.cube(feature, "shuffled names")
    order = found._other_names()
    place = {gene: i for i, gene in enumerate(found.regulators)}
    for i, source in enumerate(found.regulators):
        other = place[usual().genes[order[np.searchsorted(usual().genes, source)]]]
        assert np.array_equal(shuffled[:, i], cube[order, other], equal_nan=True)
    if feature == "vvp":
        own = np.isnan(shuffled).any(axis=-1)
        assert np.array_equal(own, np.isnan(cube).any(axis=-1)), "a gene with itself stays a gene with itself"


def test_shuffled_weights_are_read_from_the_shuffled_model(board, model):
    found, adata = board(), ad.AnnData(np.zeros((0, len(usual().genes))), var=pd.DataFrame(index=usual().genes))
    grn.tl.vvp(adata, model=shuffled_weights(model), sources=found.regulators)
    cube = found.cube("vvp", "shuffled weights")
    np.testing.assert_allclose(cube, adata.varm["vvp"], atol=1e-5)
    assert not np.allclose(cube, found.cube("vvp", ""), atol=1e-3, equal_nan=True)


# ---- cells


def test_cells_are_used_when_they_cover_the_genes(board):
    stand_in = with_cells(usual()).expression[:, 5:].copy()
    own, part = with_cells(usual()), with_cells(usual(), usual().genes[:9])
    assert board(own).cells_are == board(own, stand_in=stand_in).cells_are == "own"
    assert board(part).cells_are == board().cells_are == "none"
    found = board(part, stand_in=stand_in)
    assert found.cells_are == "stand-in" and list(found.cells.var_names) == list(usual().genes)
    assert np.array_equal(found.cells.X[:, 5:], stand_in.X) and not found.cells.X[:, :5].any()
    assert found.missing(reading("Ens, real mean cell")) == found.missing(reading("Pert")) == ""
    assert "no cells" in board().missing(reading("Pert"))


def test_stand_in_cells_reach_mouse_genes_through_orthologs(board):
    mouse = Reference(
        pd.DataFrame({"source": ["Gata1", "Gata1", "Spi1"], "target": ["Bex1", "Hbb-bt", "Bex2"]}), organism="mouse"
    )
    names = ["BEX1", "BEX2", "GATA1", "SPI1"]
    stand_in = ad.AnnData(np.arange(12, dtype=np.float32).reshape(3, 4), var=pd.DataFrame(index=names))
    found = board(mouse, stand_in=stand_in, model=small(tuple(names))).cells.to_df()
    expected = stand_in.to_df()
    assert found["Bex1"].tolist() == expected["BEX2"].tolist() and found["Bex2"].tolist() == expected["BEX1"].tolist()
    assert found["Gata1"].tolist() == expected["GATA1"].tolist() and not found["Hbb-bt"].any()


# ---- entries and trials


def test_entries():
    assert [entry.name for entry in READINGS.values()] == list(READINGS)
    entered, model = chosen(None, "mini")
    assert [one.name for one in entered] == list(READINGS) and model.sha256 == load("mini").sha256
    assert {one.variant for one in entered} == set(VARIANTS)
    assert all((one.kind == "ablation") >= bool(one.variant) for one in entered)
    assert chosen([], "mini") == ([], None) and chosen(["ridge"], "no model is read")[1] is None
    named = {
        "vvp": Entry("vvp"),
        "vvp(translator=None)": Entry("vvp", {"translator": None}),
        "vvp(context=mean, translator=string), shuffled names": Entry(
            "vvp", {"context": "mean", "translator": "string"}, "shuffled names"
        ),
        "mine": Entry("vvp", label="mine"),
    }
    assert list(named) == [entry.name for entry in named.values()]


def test_defaults_are_those_of_the_published_readings():
    """A name alone is trained where a translator is usual, and raw where none is."""
    pairs = {"vvp": "VVP", "gradient_trajectory": "GDT", "embedding": "Emb", "ugrn": "Ens"}
    pairs |= {"pert": "Pert (origin)", "attention": "Attn (origin)"}
    for method, label in pairs.items():
        assert competitor(Entry(method)).reading == reading(label).reading


def test_one_trial(board):
    """Sampled pairs lie in the mask, and figures of a floor are those of its own table."""
    train, test = board(), board(second())
    contest = Contest((reading("VVP (raw)"), reading("Emb")), {}, 2, 10, 0, {})
    table = run_trial(Trainer(train, PROTOCOLS["strict"]), test, contest)
    of = table.query("metric == 'auprc' and pairs == 'all'").set_index("method")["value"]
    drawn = [sample(second(), negatives="degree_matched", mask=test.mask, rng=seed) for seed in (0, 1)]
    grid = test.untranslated(reading("VVP (raw)"))
    areas = [grn.bench.metrics.auprc(part.labels, part.take(grid)) for part in drawn]
    assert of["VVP (raw)"] == pytest.approx(np.mean(areas), abs=1e-12)
    tied = [grn.bench.metrics.auprc(part.labels, np.zeros(len(part))) for part in drawn]
    assert of["look-up"] == pytest.approx(np.mean(tied), abs=1e-12), "nothing of training is tested"
    assert table["n_pos"].iloc[0] == np.mean([part.n_pos for part in drawn])
