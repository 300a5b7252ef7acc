"""Cells through models: embeddings, labels and counts without noise, from the values asked for, whatever the order."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import grn
from grn._core.settings import settings
from grn.errors import (
    CapabilityError,
    ExpressionError,
    GeneNameError,
    GeneOverlapError,
    GrnError,
    LayerError,
    ParameterError,
)
from grn.models import Moments

NAMES = list(grn.datasets.toy(n_cells=2).var_names)[:24]
IDS = list(grn.genes.resolve(NAMES)["ensembl"])
FAMILIES = ("scgpt", "geneformer", "genecompass", "scprint")


def counts(n=17, seed=0):
    rng = np.random.default_rng(seed)
    found = rng.poisson(rng.gamma(2.0, size=(n, 1)), size=(n, len(NAMES))).astype(np.float32)
    found[:, 0] += 1
    return found


def cells(n=17, seed=0) -> ad.AnnData:
    """Counts of cells with very different depths."""
    adata = ad.AnnData(counts(n, seed))
    adata.var_names, adata.obs_names = NAMES, [f"cell{i}" for i in range(n)]
    return adata


def strong(family, genes=None):
    """A random model in which cells differ; it lacks the last of the genes."""
    genes = (NAMES if family == "scgpt" else IDS)[:-1] if genes is None else genes
    model = grn.models.untrained(family, genes=genes, layers=2, width=16, heads=2, rng=1)
    for parameter in model.network.parameters():
        if parameter.dim() > 1:
            parameter.mul_(4)
    return model


@pytest.fixture(scope="module")
def scprint():
    return strong("scprint")


def results(adata, model, **arguments):
    """Everything the three functions compute, by name."""
    found = grn.tl.embed_cells(adata, model=model, key_added="e", copy=True, **arguments).obsm["e"]
    all_of = {"embedding": found}
    if "labels" in model.capabilities:
        labelled = grn.tl.predict_labels(adata, model=model, copy=True, **arguments)
        all_of |= {name: labelled.obsm[name] for name in labelled.obsm}
        all_of["denoised"] = grn.tl.denoise(adata, model=model, copy=True, **arguments).layers["denoised"]
    return all_of


def same(found, wanted, *, rows=slice(None), atol=1e-5):
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array[rows], atol=atol, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_embeddings_are_those_of_the_model(family):
    model, adata = strong(family), cells()
    grn.tl.embed_cells(adata, model=model)
    key = f"X_{family}-untrained_cells"
    X = adata.X[:, :-1]
    total = adata.X.sum(axis=1).astype(float)
    logs = np.log1p(X / total[:, None] * 1e4)
    moments = Moments(logs.mean(0), logs.std(0), total)
    genes = list(model.source_genes)
    wanted = model.embed_cells(logs, genes, reference=moments)
    assert adata.obsm[key].dtype == np.float32
    np.testing.assert_allclose(adata.obsm[key], wanted, atol=1e-5)
    entry = adata.uns[key]
    params = entry["params"]
    assert list(entry["unknown"]) == NAMES[-1:]
    assert (params["readout"], params["model"]) == (model.cell_readouts[0], model.name)
    assert (params["n_shown"], params["n_unknown"], params["values"]) == (23, 1, "counts")
    for readout in model.cell_readouts[1:]:
        grn.tl.embed_cells(adata, model=model, readout=readout, key_added="other")
        wanted = model.embed_cells(logs, genes, reference=moments, readout=readout)
        np.testing.assert_allclose(adata.obsm["other"], wanted, atol=1e-5)
        assert np.abs(adata.obsm["other"] - adata.obsm[key]).max() > 1e-3


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_counts_become_the_embeddings_of_the_authors(shared_dir, version):
    """From the counts of the reference cells to the mean of their genes in the second to last layer."""
    folder = shared_dir / "reference" / "geneformer" / version
    model, arrays = grn.models.load(folder), np.load(folder / "reference.npz")
    adata = ad.AnnData(arrays["counts"].astype(np.float32))
    adata.var_names = [f"ENSG{i:011d}" for i in range(1, 51)]
    grn.tl.embed_cells(adata, model=model, key_added="e", batch_size=3)
    edge = int(version == "v2")
    for i, (hidden, there) in enumerate(zip(arrays["hidden_states"][-2], arrays["attention_mask"], strict=True)):
        genes = hidden[edge : int(there.sum()) - edge]
        np.testing.assert_allclose(adata.obsm["e"][i], genes.mean(axis=0), atol=1e-5)


@pytest.mark.parametrize("family", [*FAMILIES, "mini"])
def test_neither_order_nor_batches_nor_other_cells_matter(family):
    model, adata = "mini" if family == "mini" else strong(family), cells()
    loaded = grn.models.load(model)
    wanted = results(adata, loaded)
    rng = np.random.default_rng(3)
    rows, columns = rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)
    same(results(adata[rows].copy(), loaded), wanted, rows=rows)
    shuffled = results(adata[:, columns].copy(), loaded)
    if "denoised" in wanted:
        shuffled["denoised"] = shuffled["denoised"][:, np.argsort(columns)]
    same(shuffled, wanted)
    for size in (1, np.int64(5), 1000):
        same(results(adata, loaded, batch_size=size), wanted)
    with settings.override(memory_budget=2**17):
        same(results(adata, loaded), wanted)
    if family != "mini":  # its z-scores are those of the object
        same(results(adata[:4].copy(), loaded), wanted, rows=slice(0, 4))


@pytest.mark.parametrize("family", [*FAMILIES, "mini"])
def test_layers_raw_and_scales_are_obeyed(family):
    model, adata = grn.models.load("mini") if family == "mini" else strong(family), cells()
    wanted = results(adata, model)
    other = cells(seed=5)
    other.layers["own"] = adata.X
    same(results(other, model, layer="own"), wanted)
    assert np.abs(results(other, model)["embedding"] - wanted["embedding"]).max() > 1e-3
    other.raw = adata
    same(results(other, model, use_raw=True), wanted)
    as_logs = adata.copy()
    as_logs.X = np.log1p(adata.X)  # by intent no normalisation: values= decides
    first, second = (results(as_logs, model, values=values)["embedding"] for values in ("log", "linear"))
    if family not in ("scgpt", "geneformer"):  # which read ranks
        assert np.abs(first - second).max() > 1e-4
    with pytest.raises(LayerError, match="no layer 'none'"):
        grn.tl.embed_cells(adata, model=model, layer="none")
    with pytest.raises(ParameterError, match="values="):
        grn.tl.embed_cells(adata, model=model, values="something")


def test_cells_in_a_file(tmp_path, scprint):
    from scipy import sparse

    adata = cells()
    wanted = results(adata, scprint)
    adata.X = sparse.csr_matrix(adata.X)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    same(results(backed, scprint), wanted)


def test_everything_survives_a_file(tmp_path, scprint):
    adata = cells()
    grn.tl.embed_cells(adata, model=scprint)
    grn.tl.predict_labels(adata, model=scprint, classes=["sex_ontology_term_id"])
    grn.tl.denoise(adata, model=scprint, genes=NAMES[2:9])
    grn.tl.gene_programs(adata, n_neighbors=4, resolution=1, min_genes=2)
    for write, read, name in (("write_h5ad", ad.read_h5ad, "a.h5ad"), ("write_zarr", ad.read_zarr, "a.zarr")):
        getattr(adata, write)(tmp_path / name)
        found = read(tmp_path / name)
        for slot in ("obsm", "layers"):
            for key, value in getattr(adata, slot).items():
                np.testing.assert_array_equal(getattr(found, slot)[key], value)
        assert list(found.uns["pred"]["labels"]["sex_ontology_term_id"]) == ["sex 0", "sex 1"]
        pd.testing.assert_frame_equal(
            found.uns["gene_programs"]["programs"], adata.uns["gene_programs"]["programs"], check_dtype=False
        )


def test_labels_by_name(scprint):
    adata = cells()
    adata.X[3] = 0
    adata.X[3, -1] = 5  # a gene that the model lacks
    grn.tl.predict_labels(adata, model=scprint, key_added="p")
    assert set(adata.uns["p"]["labels"]) == set(scprint.labels)
    for name, labels in scprint.labels.items():
        probabilities = adata.obsm[f"p_{name}"]
        assert probabilities.dtype == np.float32 and probabilities.shape == (17, len(labels))
        there = np.arange(17) != 3
        np.testing.assert_allclose(probabilities[there].sum(axis=1), 1, atol=1e-5)
        column = adata.obs[f"p_{name}"]
        assert list(column.cat.categories) == list(labels) == list(adata.uns["p"]["labels"][name])
        assert list(column[there]) == [labels[i] for i in probabilities[there].argmax(axis=1)]
        top = adata.obs[f"p_{name}_probability"]
        np.testing.assert_array_equal(top[there], probabilities[there].max(axis=1))
        assert column.isna().tolist() == top.isna().tolist() == [i == 3 for i in range(17)]
        assert np.isnan(probabilities[3]).all()


def test_only_the_classes_asked_for(scprint):
    adata = cells()
    grn.tl.predict_labels(adata, model=scprint, classes=["sex_ontology_term_id", "sex_ontology_term_id"])
    assert list(adata.obsm) == ["pred_sex_ontology_term_id"]
    assert list(adata.uns["pred"]["params"]["classes"]) == ["sex_ontology_term_id"]
    for wrong, message in (("sex", "pass a list"), ([], "pass a list"), (["age"], "age.*cell_type.*names the labels")):
        with pytest.raises(ParameterError, match=message):
            grn.tl.predict_labels(adata, model=scprint, classes=wrong)


def test_denoised_counts_by_gene(scprint):
    adata = cells()
    grn.tl.denoise(adata, model=scprint, depth_factor=2)
    found = adata.layers["denoised"]
    assert found.dtype == np.float32 and np.isnan(found).all(axis=0).tolist() == [False] * 23 + [True]
    np.testing.assert_allclose(found[:, :-1].sum(axis=1), 2 * adata.X[:, :-1].sum(axis=1), rtol=1e-4)
    assert list(adata.uns["denoised"]["genes"]) == NAMES[:-1]
    grn.tl.denoise(adata, model=scprint, genes=adata.var_names[[7, 2, 4]], key_added="few", depth_factor=np.float32(1))
    few = adata.layers["few"]
    shown = np.isin(NAMES, [NAMES[i] for i in (2, 4, 7)])
    assert list(adata.uns["few"]["genes"]) == [NAMES[i] for i in (7, 2, 4)]
    some = adata.X[:, shown].sum(axis=1) > 0
    np.testing.assert_allclose(few[some][:, shown].sum(axis=1), adata.X[some][:, shown].sum(axis=1), rtol=1e-4)
    assert np.isnan(few[:, ~shown]).all() and np.isnan(few[~some]).all()


def test_more_genes_than_fit_are_those_of_highest_mean(caplog):
    adata, model = cells(), strong("scprint")
    model.max_genes = 10
    adata.X[:, 4:14] += 20
    grn.tl.denoise(adata, model=model)
    shown = ~np.isnan(adata.layers["denoised"]).all(axis=0)
    assert np.flatnonzero(shown).tolist() == list(range(4, 14))
    assert "10 of 23 genes are shown, those of highest mean expression" in caplog.text
    with pytest.raises(ParameterError, match=r"genes= are 11 .* takes 10 together.*max_genes"):
        grn.tl.denoise(adata, model=model, genes=NAMES[:11])


@pytest.mark.parametrize("wrong", [0, -1, True, "4", float("nan"), float("inf"), None])
def test_depth_factors_that_are_none(scprint, wrong):
    adata = cells()
    with pytest.raises(ParameterError, match="depth_factor="):
        grn.tl.denoise(adata, model=scprint, depth_factor=wrong)
    assert not adata.layers and not adata.uns


def test_values_without_counts_are_told(caplog):
    adata = cells()
    adata.X = np.log1p(adata.X / adata.X.sum(axis=1, keepdims=True) * 1e4)
    adata.layers["counts"] = counts()
    for family, told in (("scprint", True), ("genecompass", True), ("scgpt", False), ("geneformer", False)):
        caplog.clear()
        grn.tl.embed_cells(adata, model=strong(family), copy=True)
        assert ("adata.X holds none: every cell counts as one of 10 000" in caplog.text) is told, family
    caplog.clear()
    grn.tl.embed_cells(adata, model=strong("scprint"), layer="counts", copy=True)
    assert "10 000" not in caplog.text


def test_cells_without_known_genes_are_told(caplog):
    adata = cells()
    adata.X[[2, 5]] = 0
    adata.X[[2, 5], -1] = 3
    grn.tl.embed_cells(adata, model=strong("geneformer"), key_added="e")
    assert np.flatnonzero(np.isnan(adata.obsm["e"]).all(axis=1)).tolist() == [2, 5]
    assert "2 of 17 cells express no gene that geneformer-untrained can read and get NaN: cell2, cell5" in caplog.text
    adata.X[:, :-1] = 0
    adata.X[:, -1] = 1
    del adata.obsm["e"], adata.uns["e"]
    with pytest.raises(ExpressionError, match="no cell expresses a gene that"):
        grn.tl.embed_cells(adata, model=strong("geneformer"))
    assert not adata.obsm and not adata.uns


@pytest.mark.parametrize(
    ("function", "capability"), [("embed_cells", "cells"), ("predict_labels", "labels"), ("denoise", "denoise")]
)
def test_models_that_cannot_say_what_they_offer(function, capability):
    adata = cells()
    model = grn.models.untrained("scgenept", genes=NAMES, layers=1, width=8, heads=2)
    with pytest.raises(
        CapabilityError, match=rf"grn.tl.{function} needs .*'{capability}'.* offers: attention, emb.*flag"
    ):
        getattr(grn.tl, function)(adata, model=model)
    assert not adata.uns


def test_arguments_and_names(scprint):
    adata = cells()
    for arguments, error, message in (
        ({"readout": "cls"}, ParameterError, "readout='cls'; use one of mean, classes, cell_type.*, the cell"),
        ({"max_genes": 0}, ParameterError, "max_genes=0"),
        ({"max_genes": "all"}, ParameterError, "max_genes='all'"),
        ({"batch_size": 0}, ParameterError, "batch_size=0"),
        ({"device": "tpu"}, ParameterError, "device='tpu'"),
    ):
        with pytest.raises(error, match=message):
            grn.tl.embed_cells(adata, model=scprint, **arguments)
    strange = adata.copy()
    strange.var_names = [f"gene_{i}" for i in range(24)]
    with pytest.raises(GrnError) as caught:
        grn.tl.embed_cells(strange, model=scprint)
    assert isinstance(caught.value, GeneOverlapError | GeneNameError)
    with pytest.raises(GeneNameError, match="genes are not in"):
        grn.tl.denoise(adata, model=scprint, genes=["SPI2"])
    assert not adata.uns and not adata.obsm and not adata.layers


def test_results_larger_than_the_budget_are_refused_first(scprint):
    adata = cells()
    with settings.override(feature_budget=100):
        for function in (grn.tl.predict_labels, grn.tl.denoise):
            with pytest.raises(ParameterError, match=r"the result takes .* more than grn.settings.feature_budget"):
                function(adata, model=scprint)


def test_a_model_of_a_users_own():
    """The capability and one method are all it takes; values come in blocks, with what is known of all cells."""

    class Mean:
        name, gene_id_kind, sha256, max_genes = "mean", "symbol", "0" * 64, 100
        capabilities, gradient_kind = frozenset({"cells"}), "none"
        cell_readouts = ("mean",)
        value_scale = grn.models.load("mini").value_scale
        source_genes = target_genes = tuple(NAMES[:5])
        seen: list = []  # noqa: RUF012

        def panel(self, sources, targets): ...
        def respond(self, panel, values, *, context=None): ...
        def respond_dual(self, panel, values, tangents, *, context=None): ...
        def attention(self, panel, values): ...
        def embed(self, panel, values=None): ...
        def encode_cells(self, X, genes, *, reference=None): ...

        def to(self, device):
            return self

        def embed_cells(self, X, genes, *, reference=None, readout=None, max_genes=None, batch_size=8):
            self.seen.append((len(X), batch_size))
            assert genes == NAMES[:5] and reference.mean.shape == (5,) and len(reference.total) == len(X)
            return torch.as_tensor(X - reference.mean).mean(1, keepdim=True)

    adata, model = cells(), Mean()
    with settings.override(memory_budget=24 * 64 * 4):
        grn.tl.embed_cells(adata, model=model, batch_size=3)
    logs = np.log1p(adata.X / adata.X.sum(axis=1, keepdims=True) * 1e4)[:, :5]
    np.testing.assert_allclose(adata.obsm["X_mean_cells"][:, 0], (logs - logs.mean(0)).mean(1), atol=1e-5)
    assert [n for n, _ in model.seen] == [4, 4, 4, 4, 1] and {size for _, size in model.seen} == {3}
