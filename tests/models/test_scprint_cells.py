"""scPRINT on real cells: labels by name and counts without noise, with the numbers of the authors' classes."""

import numpy as np
import pytest
import torch

import grn
from grn.errors import CapabilityError, ParameterError
from grn.models import Moments, load, untrained

VERSIONS = ("v164", "v238", "v238_log")
GENES = [f"ENSG{i:011d}" for i in range(40)]


@pytest.fixture(params=VERSIONS)
def reference(request, shared_dir):
    """Model, arrays, and its cells one by one: genes, log1p CP10k (1, genes), what is known of the cell."""
    folder = shared_dir / "reference" / "scprint" / request.param
    model, found = load(folder), np.load(folder / "reference.npz")
    cells = []
    for ids, counts, depth in zip(found["genes_pos"], found["expression"], found["depth"], strict=True):
        X = np.log1p(counts.astype(float) / depth * 1e4)[None]
        cells.append(([model.genes[i] for i in ids], X, Moments(X[0], X[0], np.array([depth], dtype=float))))
    return model, found, cells


def test_probabilities_of_labels(reference):
    model, found, cells = reference
    assert model.labels == {
        "cell_type_ontology_term_id": tuple(f"CL:000000{i}" for i in range(5)),
        "sex_ontology_term_id": ("PATO:0000383", "PATO:0000384"),
    }
    for i, (genes, X, moments) in enumerate(cells):
        given = model.classify_cells(X, genes, reference=moments)
        assert list(given) == list(model.labels)
        for name, probabilities in given.items():
            scores = torch.as_tensor(found[f"out_cls_output_{name}"][i])
            torch.testing.assert_close(probabilities[0], scores.softmax(-1), atol=1e-5, rtol=0)


def test_counts_without_noise(reference):
    """The forward pass of the reference has the depth of the cell, and its counts as the total."""
    model, found, cells = reference
    for i, (genes, X, moments) in enumerate(cells):
        means = model.denoise_cells(X, genes, reference=moments, depth_factor=1.0)
        np.testing.assert_allclose(means[0], found["out_mean"][i], rtol=1e-5, atol=1e-5)


def some(n=7, rate=1.0):
    rng = np.random.default_rng(0)
    counts = rng.poisson(rate, size=(n, len(GENES))).astype(float)
    counts[:, 0] += 1
    total = counts.sum(1) + 10
    X = np.log1p(counts / total[:, None] * 1e4)
    return X, counts, Moments(X.mean(0), X.std(0), total)


def tiny(**sizes):
    model = untrained("scprint", genes=GENES, **({"layers": 2, "width": 16, "heads": 2, "rng": 3} | sizes))
    for parameter in model.network.parameters():
        if parameter.dim() > 1:
            parameter.mul_(4)  # so that cells differ
    return model


def test_deeper_cells_have_more_counts():
    model = tiny()
    X, counts, moments = some()
    for factor in (1.0, 4.0, 10.0):
        means = model.denoise_cells(X, GENES, reference=moments, depth_factor=factor)
        np.testing.assert_allclose(means.sum(1), factor * counts.sum(1), rtol=1e-4)
    shares = [model.denoise_cells(X, GENES, reference=moments, depth_factor=f) / f for f in (1.0, 4.0)]
    assert (shares[0] - shares[1]).abs().max() > 1e-3, "the depth is shown to the model, too"


def test_neither_order_nor_batches_matter():
    model = tiny()
    X, _, moments = some()
    genes = np.random.default_rng(1).permutation(len(GENES))
    names = [GENES[i] for i in genes]
    shuffled = Moments(moments.mean[genes], moments.std[genes], moments.total)
    wanted = model.denoise_cells(X, GENES, reference=moments)
    found = model.denoise_cells(X[:, genes], names, reference=shuffled, batch_size=2)
    torch.testing.assert_close(found, wanted[:, genes], atol=1e-5, rtol=1e-5)
    labels = [
        model.classify_cells(X, GENES, reference=moments, batch_size=1, max_genes=15),
        model.classify_cells(X[:, genes], names, reference=shuffled, batch_size=5, max_genes=15),
    ]
    for name in model.labels:
        torch.testing.assert_close(labels[0][name], labels[1][name], atol=1e-6, rtol=0)
        torch.testing.assert_close(labels[0][name].sum(1), torch.ones(len(X)))


def test_cells_of_which_nothing_is_known():
    model = tiny()
    X, _, moments = some()
    X[2] = 0
    assert model.denoise_cells(X, GENES, reference=moments).isnan().all(1).tolist() == [i == 2 for i in range(7)]
    for probabilities in model.classify_cells(X, GENES, reference=moments).values():
        assert probabilities.isnan().all(1).tolist() == [i == 2 for i in range(7)]


def test_more_genes_than_fit_are_refused():
    model = tiny()
    model.max_genes = 10
    X, _, moments = some()
    with pytest.raises(ParameterError, match=r"40 genes are to be denoised together; .* takes 10.*max_genes"):
        model.denoise_cells(X, GENES, reference=moments)


def rewritten(tmp_path, change):
    path = grn.models.save(tiny(), tmp_path / "model.ckpt")
    state = torch.load(path, weights_only=True)
    change(state["hyper_parameters"])
    torch.save(state, path)
    return load(path)


def test_only_labels_with_names_are_predicted(tmp_path):
    kept = "sex_ontology_term_id"

    def fewer(hyper):
        hyper["label_decoders"] = {
            kept: {"0": "PATO:1", 1: "PATO:2", "2": "a group"},
            "cell_type_ontology_term_id": {0: "CL:1"},
            "disease_ontology_term_id": {0: "same", 1: "same"},
            "assay_ontology_term_id": {0: 5, 1: 6},
            "organism_ontology_term_id": "names",
        }

    model = rewritten(tmp_path, fewer)
    assert model.labels == {kept: ("PATO:1", "PATO:2")} and "labels" in model.capabilities
    X, _, moments = some()
    assert list(model.classify_cells(X, GENES, reference=moments)) == [kept]


@pytest.mark.parametrize("decoders", [None, {}, [], "names"])
def test_without_names_there_are_no_labels(tmp_path, decoders):
    model = rewritten(tmp_path, lambda hyper: hyper.update(label_decoders=decoders))
    X, _, moments = some()
    assert model.labels == {} and "labels" not in model.capabilities
    assert {"cells", "denoise"} <= model.capabilities
    with pytest.raises(CapabilityError, match=r"no labels with names; it offers: .*cells"):
        model.classify_cells(X, GENES, reference=moments)
