"""Training of LPM: what is learned from cells, that planted effects come back, and what is refused."""

import logging

import anndata as ad
import numpy as np
import pytest
import torch
from scipy import sparse

import grn
from grn.errors import (
    ExpressionError,
    GeneNameError,
    GroupError,
    LayerError,
    ParameterError,
    StorageError,
    WeightsError,
)
from grn.models import _lpm_fit
from grn.models._lpm_data import Effects, ScreenDesign, read_effects
from grn.models.lpm import LPM

READ = {"perturbation": "gene", "context": "line"}
TINY = {**READ, "embedding_dim": 4, "hidden_dim": 16, "num_layers": 1, "epochs": 3, "batch_size": 64, "device": "cpu"}


def planted(n_genes=30, n_perturbed=20, n_contexts=3, n_cells=12) -> ad.AnnData:
    """Log values whose effects, in units of the control's spread, are of rank 2 and scaled by the context."""
    rng = np.random.default_rng(0)
    names = [f"G{i:02d}" for i in range(n_genes)]
    u, v = rng.normal(size=(n_perturbed, 2)), rng.normal(size=(n_genes, 2))
    values, labels = [], []
    for c in range(n_contexts):
        base, spread, scale = rng.uniform(8, 12, n_genes), rng.uniform(0.5, 1.5, n_genes), rng.uniform(0.6, 1.4)
        for p in range(-1, n_perturbed):
            n = n_cells if p >= 0 else 5 * n_cells
            effect = scale * (u[p] @ v.T) if p >= 0 else 0.0
            values.append(base + spread * (effect + rng.normal(size=(n, n_genes))))
            labels += [(names[p] if p >= 0 else "control", f"line{c}")] * n
    adata = ad.AnnData(np.maximum(np.vstack(values), 0).astype(np.float32))
    adata.var_names, adata.obs_names = names, [f"cell{i}" for i in range(len(labels))]
    adata.obs["gene"], adata.obs["line"] = zip(*labels, strict=True)
    return adata


@pytest.fixture(scope="module")
def _small():
    return planted(n_genes=8, n_perturbed=4, n_contexts=2, n_cells=6)


@pytest.fixture
def small(_small):
    return _small.copy()


def weights(model):
    return model.network.state_dict()


def same(a, b, atol=0.0):
    a, b = weights(a), weights(b)
    return a.keys() == b.keys() and all((a[key] - b[key]).abs().max() <= atol for key in a)


def test_planted_effects_come_back_in_contexts_they_were_not_seen_in(caplog):
    adata = planted()
    sizes = {"embedding_dim": 8, "hidden_dim": 64, "epochs": 30, "batch_size": 100, "lr": 0.005}
    with caplog.at_level(logging.INFO, "grn"):
        model = LPM.fit(adata, **READ, holdout=0.2, device="cpu", **sizes)
    report = model.report
    assert report["n_held_out"] == 12 and report["n_pairs"] == 63
    assert len(report["loss"]) == 30 and report["loss"][-1] < 0.1 * report["loss"][0]
    assert report["r2"] > 0.7 and report["pearson"] > report["pearson_mean"] + 0.2
    assert "12 of 63 pairs held out" in caplog.text
    untrained = LPM.fit(adata, **READ, holdout=0.2, device="cpu", **{**sizes, "epochs": 1, "lr": 1e-9})
    assert untrained.report["r2"] < 0.1, "the figure is of training"
    assert model.symbols.perturbations[:2] == ("Control", "CRISPRi_G00") and model.direction == -1
    assert model.contexts == ("line0", "line1", "line2") and model.name == "lpm-fitted" and len(model.sha256) == 64
    control = model.predict(["Control"])
    assert np.abs(control).max() < 0.5 < np.abs(model.predict(model.symbols.perturbations[1:])).mean()


def logged(counts):
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)


@pytest.mark.parametrize("form", ["dense", "csr", "csc", "log", "layer", "raw", "view"])
def test_effects_are_mean_z_scores_against_the_controls_of_the_context(form):
    rng = np.random.default_rng(2)
    counts = rng.poisson(4, size=(40, 5)).astype(np.float32)
    counts[:, 3] = 0
    counts[1::2, 4] = 0  # silent in context b
    adata = ad.AnnData(counts)
    adata.var_names = ["B", "A", "D", "zero", "half"]
    adata.obs["gene"] = (["control"] * 10 + ["A"] * 6 + ["D"] * 4) * 2
    adata.obs["line"] = ["a", "b"] * 20
    if form in ("csr", "csc"):
        adata.X = sparse.csr_matrix(adata.X) if form == "csr" else sparse.csc_matrix(adata.X)
    if form == "log":
        adata.X = logged(counts)
    if form == "layer":
        adata.layers["counts"] = sparse.csr_matrix(counts)
        adata.X = adata.X - 2
    if form == "raw":
        adata.raw = adata.copy()
        adata = adata[:, ["D", "half", "A", "B"]].copy()
    if form == "view":
        adata = ad.concat([adata, adata[:3]])[:40]
    design = ScreenDesign(
        "gene", context="line", min_cells=5, use_raw=form == "raw", layer="counts" if form == "layer" else None
    )
    found = read_effects(adata, design)
    assert found.genes == ("A", "B", "D", "half")
    pairs = list(zip(found.contexts, found.members, strict=True))
    assert pairs == [("a", ()), ("a", ("A",)), ("b", ()), ("b", ("A",))], "four cells of D are too few"
    z, gene, line = logged(counts)[:, [1, 0, 2, 4]], adata.obs["gene"].to_numpy(), adata.obs["line"].to_numpy()
    for context, rows in (("a", found.values[:2]), ("b", found.values[2:])):
        control = z[(gene == "control") & (line == context)]
        treated = z[(gene == "A") & (line == context)]
        with np.errstate(invalid="ignore"):
            wanted = (treated.mean(axis=0) - control.mean(axis=0)) / control.std(axis=0)
        assert np.isnan(rows[:, 3]).all() == (context == "b")
        np.testing.assert_allclose(
            rows[1, : 4 if context == "a" else 3], wanted[: 4 if context == "a" else 3], atol=1e-5
        )
        assert not rows[0, :3].any()


def test_what_is_left_out_is_counted(small, caplog):
    small.obs.loc[(small.obs["gene"] == "G01") & (small.obs["line"] == "line0"), "gene"] = ["G01"] * 2 + ["G02"] * 4
    small.X[:, 3] = 2.5
    small.X[small.obs["line"] == "line1", 4] = 0
    with caplog.at_level(logging.INFO, "grn"):
        model = LPM.fit(small, **TINY)
    assert "1 of 8 perturbations in a context have fewer than 5 cells" in caplog.text
    assert "1 of 8 genes do not vary among the control cells of any context" in caplog.text
    assert "1 genes do not vary among the control cells of some context" in caplog.text
    assert "G03" not in model.target_genes and "G03" in model.source_genes and "G04" in model.target_genes
    assert np.isfinite(model.report["loss"]).all()


def test_labels_of_combinations(small):
    names = ["G01+G00", "G00 + G01", "G02+control", "control+control", "control"]
    small.obs["gene"] = names * (small.n_obs // 5) + names[: small.n_obs % 5]
    found = read_effects(small, ScreenDesign("gene"))
    assert found.members == ((), ("G00", "G01"), ("G02",)) and set(found.contexts) == {"all"}
    model = LPM.fit(small, **TINY | {"context": None, "perturbation_type": "CRISPR-KO"})
    assert model.symbols.perturbations == ("Control", "CRISPR-KO_G00", "CRISPR-KO_G01", "CRISPR-KO_G02")
    assert model.contexts == ("all",)
    _, table = _lpm_fit.tables(found, "CRISPRi")
    assert table.members.tolist() == [[0, 0], [1, 2], [3, 0]]
    assert table.weights.tolist() == [[1, 0], [0.5, 0.5], [1, 0]]
    z = table.perturbed(model.network, torch.tensor([1]))
    embedding = model.network.perturb_embedding_layer.weight
    torch.testing.assert_close(z[0], embedding[1:3].mean(0))
    small.obs["gene"] = small.obs["gene"].replace("G01+G00", "G01+")
    with pytest.raises(GroupError, match=r"'G01\+' names no gene"):
        LPM.fit(small, **TINY)


def test_genes_are_named_by_their_symbols(small):
    small.var["grn_symbol"] = ["SPI1", "GATA1", "", None, "MYC", "KLF1", "LYZ", "CD14"]
    model = LPM.fit(small, **TINY)
    assert model.source_genes == ("G02", "G03", "GATA1", "SPI1")
    assert model.target_genes == ("CD14", "GATA1", "KLF1", "LYZ", "MYC", "SPI1")
    mouse = LPM.fit(small, **TINY, organism="mouse")
    assert mouse.target_genes == tuple(small.var_names) and mouse.organism == "mouse"
    small.var["grn_symbol"] = "SPI1"
    with pytest.raises(GeneNameError, match="SPI1"):
        LPM.fit(small, **TINY)


def test_the_order_of_cells_and_genes_does_not_matter(small):
    rng = np.random.default_rng(0)
    mixed = small[rng.permutation(small.n_obs), rng.permutation(small.n_vars)].copy()
    first, second = LPM.fit(small, **TINY, holdout=0.2), LPM.fit(mixed, **TINY, holdout=0.2)
    assert first.symbols == second.symbols and first.report["n_held_out"] == second.report["n_held_out"] == 2
    assert same(first, second, atol=1e-4)
    assert first.report["r2"] == pytest.approx(second.report["r2"], abs=1e-3)


def test_the_seed_decides(small):
    before = torch.random.get_rng_state()
    first = LPM.fit(small, **TINY, dropout=0.3, rng=1)
    torch.rand(3)
    assert same(first, LPM.fit(small, **TINY, dropout=0.3, rng=1))
    assert not same(first, LPM.fit(small, **TINY, dropout=0.3, rng=2))
    assert not same(first, LPM.fit(small, **TINY, rng=1))
    torch.random.set_rng_state(before)
    LPM.fit(small, **TINY)
    assert torch.equal(torch.random.get_rng_state(), before), "the global generator is left alone"


def test_an_interrupted_training_goes_on(small, tmp_path, monkeypatch):
    path = tmp_path / "mine.pt"
    whole = LPM.fit(small, **TINY, dropout=0.2, path=path)
    assert list(tmp_path.iterdir()) == [path] and whole.name == "mine"
    again = grn.models.load(path)
    assert same(whole, again) and again.sha256 == whole.sha256 and again.args["learning_rate"] == 0.002
    path.unlink()
    save_state = _lpm_fit.save_state

    def stop(*args):
        save_state(*args)
        if args[3] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(_lpm_fit, "save_state", stop)
    with pytest.raises(KeyboardInterrupt):
        LPM.fit(small, **TINY, dropout=0.2, path=path)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["mine.pt.state"]
    with pytest.raises(WeightsError, match="another schedule, start model or data"):
        LPM.fit(small, **TINY, dropout=0.2, path=path, rng=3)
    resumed = LPM.fit(small, **TINY, dropout=0.2, path=path)
    assert same(whole, resumed) and len(resumed.report["loss"]) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_held_out_pairs_leave_every_gene_and_context_in_training():
    pairs = [((), "a"), (("A",), "a"), (("B",), "a"), (("A", "B"), "a"), ((), "b"), (("A",), "b"), (("C",), "b")]
    effects = Effects(tuple(m for m, _ in pairs), tuple(c for _, c in pairs), ("A",), np.zeros((7, 1), np.float32))
    held = _lpm_fit.hold_out(effects, 0.9)
    left = [pair for pair, out in zip(pairs, held, strict=True) if not out]
    assert held.any() and {gene for members, _ in left for gene in members} == {"A", "B", "C"}
    assert {context for members, context in left if members} == {"a", "b"} and ((), "a") in left and ((), "b") in left
    order = np.random.default_rng(0).permutation(7)
    mixed = Effects(
        tuple(effects.members[i] for i in order), tuple(effects.contexts[i] for i in order), ("A",), effects.values
    )
    np.testing.assert_array_equal(_lpm_fit.hold_out(mixed, 0.9), held[order])


def without(adata, **change):
    adata = adata.copy()
    for name, value in change.items():
        if name == "X":
            adata.X = value(adata.X)
        elif name == "var_names":
            adata.var_names = value(list(adata.var_names))
        else:
            adata.obs[name] = value(adata.obs[name].astype(object))
    return adata


def first(value):
    def change(column):
        column = column.copy()
        column.iloc[0] = value
        return column

    return change


BAD = {
    "no column": (lambda a: a, {"perturbation": "guide"}, GroupError, r"no column 'guide'; columns: gene, line"),
    "no contexts": (lambda a: a, {"context": "cell_line"}, GroupError, "no column 'cell_line'"),
    "gap": (lambda a: without(a, gene=first(None)), {}, GroupError, r"1 of .* have no value in obs\['gene'\]"),
    "gap in contexts": (lambda a: without(a, line=first(np.nan)), {}, GroupError, r"obs\['line'\]"),
    "no control": (lambda a: a, {"control": "non-targeting"}, GroupError, "no cell has the label 'non-targeting'"),
    "context without control": (lambda a: without(a, line=first("line9")), {}, GroupError, r"line9 \(1\)"),
    "few controls": (lambda a: a, {"min_cells": 31}, GroupError, r"fewer than 31 cells labelled 'control'"),
    "few cells": (lambda a: a, {"min_cells": 7}, GroupError, "no perturbation has 7 cells"),
    "negative": (lambda a: without(a, X=lambda x: x - 20), {}, ExpressionError, "values are scaled"),
    "nan": (lambda a: without(a, X=lambda x: np.where(x == x[0, 0], np.nan, x)), {}, ExpressionError, "values are nan"),
    "constant": (lambda a: without(a, X=lambda x: np.full_like(x, 1.5)), {}, ExpressionError, "no gene varies"),
    "repeated genes": (lambda a: without(a, var_names=lambda n: [*n[1:], n[1]]), {}, GeneNameError, "'G01'"),
    "no layer": (lambda a: a, {"layer": "counts"}, LayerError, "no layer 'counts'"),
    "no raw": (lambda a: a, {"use_raw": True}, LayerError, "raw is None"),
    "layer and raw": (lambda a: a, {"use_raw": True, "layer": "x"}, ParameterError, "pass one of them"),
    "no object": (lambda a: a.X, {}, ParameterError, "ndarray; pass an AnnData"),
    "nothing to hold out": (lambda a: a, {"context": None, "holdout": 0.1}, ParameterError, "one context only"),
    "no folder": (lambda a: a, {"path": "nowhere/mine.pt"}, StorageError, "nowhere; create it first"),
    "organism": (lambda a: a, {"organism": "yeast"}, ParameterError, "human, mouse"),
    **{
        f"{name}={value}": (lambda a: a, {name: value}, ParameterError, name)
        for name, value in (
            ("embedding_dim", 0),
            ("num_layers", -1),
            ("epochs", 1.5),
            ("batch_size", True),
            ("min_cells", 0),
            ("dropout", 1.0),
            ("lr", float("nan")),
            ("lr_decay", 0.0),
            ("holdout", 1.0),
            ("perturbation_type", "CRISPR_i"),
            ("device", "tpu"),
            ("rng", -1),
        )
    },
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_learned_from_is_named(case, small):
    change, given, error, told = BAD[case]
    with pytest.raises(error, match=told):
        LPM.fit(change(small), **TINY | given)


def test_the_object_is_left_as_it_was(small):
    before = small.copy()
    LPM.fit(small, **TINY)
    np.testing.assert_array_equal(small.X, before.X)
    assert small.obs.equals(before.obs) and small.var.equals(before.var) and not small.uns
