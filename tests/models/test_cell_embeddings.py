"""Embeddings of cells: the numbers of the authors' classes, and independence of everything but the cell."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import grn
from grn.errors import CapabilityError, ParameterError
from grn.models import Moments, geneformer, load, untrained
from grn.models._sentences import Sentence
from grn.models.scgpt import bins

SYMBOLS = [f"G{i:02d}" for i in range(70)]
ENSEMBL = [f"ENSG{i:011d}" for i in range(70)]
FAMILIES = ("scgpt", "geneformer", "genecompass", "scprint")


def arrays(folder):
    with np.load(folder / "reference.npz") as found:
        return {name: torch.as_tensor(found[name]) for name in found if found[name].dtype.kind != "U"}


def close(found, wanted, atol=1e-5):
    torch.testing.assert_close(found, wanted, atol=atol, rtol=0)


def cells(n=9, genes=70, seed=0, rate=0.7):
    """log1p CP10k of Poisson counts with very different depths, and what is known of them."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rate * rng.gamma(1.0, size=(n, 1)), size=(n, genes)).astype(float)
    counts[:, 0] += 1
    total = counts.sum(axis=1) + 20
    X = np.log1p(counts / total[:, None] * 1e4).astype(np.float32)
    return X, Moments(X.mean(0), X.std(0), total)


def rows(moments, index):
    return Moments(moments.mean, moments.std, moments.total[index])


def embedded(model, sentences, readout):
    """What a model makes of sentences given as they are."""
    shape = (model.sizes["width"],)
    return model._read_cells(sentences, lambda batch: model._cell(batch, readout), shape=shape, batch_size=2)


def tiny(family):
    genes = SYMBOLS if family == "scgpt" else ENSEMBL
    model = untrained(family, genes=genes, layers=2, width=16, heads=2, rng=1)
    for parameter in model.network.parameters():
        if parameter.dim() > 1:
            parameter.mul_(4)  # so that cells differ
    return model, genes


def test_scgpt_reads_the_cell_token_of_padded_sentences(shared_dir):
    reference = arrays(shared_dir / "reference" / "scgpt")
    model = load(shared_dir / "reference" / "scgpt")
    lengths = (~reference["key_padding_mask"]).sum(1).tolist()
    assert len(set(lengths)) > 1
    sentences = [
        Sentence(ids[:n], values[:n])
        for ids, values, n in zip(reference["input_ids"], reference["values"], lengths, strict=True)
    ]
    wanted = torch.nn.functional.normalize(reference["cell_emb"], dim=-1)
    close(embedded(model, sentences, "cls"), wanted)
    assert json.loads((shared_dir / "reference" / "scgpt" / "args.json").read_text())["pad_value"] == model.pad_value


def test_scgpt_writes_sentences_of_expressed_genes_with_bins_of_the_whole_cell():
    model, genes = tiny("scgpt")
    X, _ = cells()
    model.max_genes = 12
    found = model._sentences(X, genes, None, 12)
    binned = bins(X)
    for row, sentence in enumerate(found):
        assert sentence.ids[0] == model.special["<cls>"] and sentence.values[0] == -2.0
        columns = sentence.ids[1:].numpy()
        assert len(columns) == min(12, (X[row] > 0).sum()) and (np.diff(columns) > 0).all()
        np.testing.assert_array_equal(sentence.values[1:], binned[row, columns])
        assert (binned[row, columns] > 0).all()
    drawn = [set(s.ids[1:].tolist()) for s in found if len(s.ids) == 13]
    assert len(drawn) > 2 and any(a != b for a in drawn for b in drawn), "what a cell expresses decides, too"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_geneformer_means_over_genes_of_the_second_to_last_layer(shared_dir, version):
    folder = shared_dir / "reference" / "geneformer" / version
    reference, model = arrays(folder), load(folder)
    genes = [gene for gene in model.vocabulary if gene in model.medians]
    place = {token: i for i, token in enumerate(sorted(model.vocabulary.values()))}
    columns = [place[model.vocabulary[gene]] for gene in genes]
    counts, total = reference["counts"].numpy().astype(float), reference["n_counts"].numpy().astype(float)
    X = np.log1p(counts / total[:, None] * 1e4)[:, columns]
    moments = Moments(X.mean(0), X.std(0), total)
    found = model.embed_cells(X, genes, reference=moments, batch_size=3)
    hidden, mask = reference["hidden_states"][-2], reference["attention_mask"].bool()
    edge = int(version == "v2")
    wanted = torch.stack([h[m][edge : int(m.sum()) - edge].mean(0) for h, m in zip(hidden, mask, strict=True)])
    assert len(set(mask.sum(1).tolist())) > 1
    close(found, wanted)
    assert model.cell_readouts == (("mean", "cls") if edge else ("mean",))
    if edge:
        close(model.embed_cells(X, genes, reference=moments, readout="cls"), hidden[:, 0])


@pytest.mark.parametrize(("organism", "part"), [("human", [0, 1]), ("mouse", [2, 3])])
def test_genecompass_reads_the_species_token_or_the_mean(shared_dir, organism, part):
    folder = shared_dir / "reference" / "genecompass"
    reference, model = arrays(folder), load(folder, params={"organism": organism})
    mask, hidden = reference["attention_mask"][part].bool(), reference["hidden_states"][-1][part]
    given = zip(reference["input_ids"][part], reference["values"][part], mask, strict=True)
    sentences = [Sentence(ids[m], values[m]) for ids, values, m in given]
    close(embedded(model, sentences, "cls"), hidden[:, 0])
    wanted = torch.stack([h[1:][m].mean(0) for h, m in zip(hidden, mask, strict=True)])
    close(embedded(model, sentences, "mean"), wanted)


@pytest.mark.parametrize("version", ["v164", "v238", "v238_log"])
def test_scprint_reads_tokens_of_the_cell(shared_dir, version):
    folder = shared_dir / "reference" / "scprint" / version
    reference, model = arrays(folder), load(folder)
    for i, (ids, counts, depth) in enumerate(
        zip(reference["genes_pos"], reference["expression"].double(), reference["depth"].double(), strict=True)
    ):
        genes = [model.genes[row] for row in ids]
        X = np.log1p(counts.numpy() / float(depth) * 1e4)[None]
        moments = Moments(X[0], X[0], depth.numpy()[None])
        close(model.embed_cells(X, genes, reference=moments)[0], reference["out_cell_emb"][i])
        tokens = reference["out_cell_embs"][i]
        for k, name in enumerate(model.network.layout.classes):
            close(model.embed_cells(X, genes, reference=moments, readout=name)[0], tokens[2 + k])
        close(model.embed_cells(X, genes, reference=moments, readout="classes")[0], tokens[2:].mean(0))


def test_scprint_fills_sentences_with_genes_that_are_not_expressed():
    model, genes = tiny("scprint")
    X, moments = cells()
    for sentence, row, total in zip(model._sentences(X, genes, moments, 40), X, moments.total, strict=True):
        expressed = set(np.flatnonzero(row > 0))
        taken = set(sentence.ids.tolist())
        assert len(taken) == 40 and sentence.depth == total
        assert taken >= expressed if len(expressed) <= 40 else taken <= expressed
        counts = np.expm1(row[sentence.ids]) * total / 1e4
        np.testing.assert_allclose(sentence.values, counts, rtol=1e-5)


def test_mini_gives_factor_scores():
    model = load("mini")
    genes = list(model.source_genes[:300])
    rng = np.random.default_rng(0)
    X = rng.gamma(1.0, size=(20, 300)).astype(np.float32)
    moments = Moments(X.mean(0, dtype=np.float64), X.std(0, dtype=np.float64))
    E = model.network.embedding[:300].double().numpy()
    z = np.clip((X - moments.mean) / moments.std, -3, 6)
    ridge = model.network.config.ridge * np.eye(E.shape[1])
    wanted = np.linalg.solve(E.T @ E + ridge, E.T @ z.T).T
    np.testing.assert_allclose(model.embed_cells(X, genes, reference=moments), wanted, atol=1e-4)
    assert torch.equal(
        model.embed_cells(X, genes, reference=moments, max_genes=301), model.embed_cells(X, genes, reference=moments)
    )
    with pytest.raises(ParameterError, match=r"^max_genes=0; pass a positive integer\.$"):
        model.embed_cells(X, genes, reference=moments, max_genes=0)
    order = rng.permutation(300)
    shuffled = Moments(moments.mean[order], moments.std[order])
    found = model.embed_cells(X[:, order], [genes[i] for i in order], reference=shuffled)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    fewer = model.embed_cells(X, genes, reference=moments, max_genes=100)
    assert fewer.shape == wanted.shape and np.abs(fewer.numpy() - wanted).max() > 0.01


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_cell_matters(family):
    model, genes = tiny(family)
    X, moments = cells(n=40, rate=1.0)
    wanted = model.embed_cells(X, genes, reference=moments, batch_size=16)
    assert wanted.shape == (40, 16) and wanted.dtype == torch.float32 and wanted.std(0).min() > 1e-3
    for size in (1, 7):
        close(model.embed_cells(X, genes, reference=moments, batch_size=size), wanted, atol=1e-6)
    order = np.random.default_rng(1).permutation(40)
    close(model.embed_cells(X[order], genes, reference=rows(moments, order)), wanted[order], atol=1e-6)
    shuffled = np.random.default_rng(2).permutation(70)
    names = [genes[i] for i in shuffled]
    for most in (70, 20):
        both = [
            model.embed_cells(X, genes, reference=moments, max_genes=most),
            model.embed_cells(
                X[:, shuffled],
                names,
                reference=Moments(moments.mean[shuffled], moments.std[shuffled], moments.total),
                max_genes=most,
            ),
        ]
        close(*both, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cell_without_known_genes_has_no_embedding(family):
    model, genes = tiny(family)
    X, moments = cells(n=3)
    X[1] = 0
    found = model.embed_cells(X, genes, reference=moments)
    assert torch.isnan(found).all(1).tolist() == [False, True, False]
    close(found[[0, 2]], model.embed_cells(X[[0, 2]], genes, reference=rows(moments, [0, 2])), atol=1e-6)
    X[:] = 0
    assert model.embed_cells(X, genes, reference=moments).isnan().all()


@pytest.mark.parametrize("family", FAMILIES)
def test_no_sentence_is_padded_beyond_the_positions(family):
    """Lengths are rounded up, but a model with positions has no more of them."""
    model, genes = tiny(family)
    if family == "geneformer":
        model = geneformer.untrained(genes, layers=1, width=16, heads=2, positions=72)
    if family == "genecompass":
        model.network.parts = replace(model.network.parts, positions=70)
    X, moments = cells(n=2, rate=50.0)
    found = model.embed_cells(X, genes, reference=moments, max_genes=min(70, model.max_genes))
    assert not found.isnan().any()


@pytest.mark.parametrize("family", FAMILIES)
def test_arguments(family):
    model, genes = tiny(family)
    X, moments = cells(n=2)
    with pytest.raises(ParameterError, match=f"readout='none'.*{model.cell_readouts[0]}"):
        model.embed_cells(X, genes, reference=moments, readout="none")
    for wrong in (0, 1.5, True, model.max_genes + 1):
        with pytest.raises(ParameterError, match="max_genes="):
            model.embed_cells(X, genes, reference=moments, max_genes=wrong)
    close(
        model.embed_cells(X, genes, reference=moments, max_genes=np.int64(20)),
        model.embed_cells(X, genes, reference=moments, max_genes=20),
    )


@pytest.mark.parametrize("family", ["scgenept", "lpm"])
def test_models_without_cells_say_so(family):
    model = untrained(family, genes=SYMBOLS, layers=1, width=8, heads=2)
    assert not {"cells", "labels", "denoise"} & model.capabilities
    with pytest.raises(CapabilityError, match=r"no embedding of cells; it offers: .*embedding"):
        model.embed_cells(np.ones((2, 70)), SYMBOLS)


def test_capabilities_are_all_listed():
    assert {"cells", "labels", "denoise"} <= grn.models.CAPABILITIES
