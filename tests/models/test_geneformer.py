"""Geneformer V1 and V2 compute the numbers of their authors' code, and stay near them in bfloat16."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import grn
from grn.models import Moments

NAMES = [f"ENSG{i:011d}" for i in range(1, 51)]


def close(found, wanted, atol=1e-5):
    torch.testing.assert_close(torch.as_tensor(found), torch.as_tensor(wanted), atol=atol, rtol=0, equal_nan=True)


@pytest.fixture(scope="module", params=["v1", "v2"])
def reference(request, shared_dir):
    """The reference checkpoint, its tensors, and for every cell what lies on its valid positions."""
    folder = shared_dir / "reference" / "geneformer" / request.param
    with np.load(folder / "reference.npz") as found:
        tensors = {name: found[name] for name in found}
    edge = int(request.param == "v2")
    lengths = tensors["attention_mask"].sum(axis=1)
    special = 2 + 2 * edge
    rows = zip(tensors["input_ids"], lengths, strict=True)
    genes = [[NAMES[t - special] for t in ids[edge : n - edge]] for ids, n in rows]
    X = np.log1p(tensors["counts"] / tensors["n_counts"][:, None] * 1e4).astype(np.float32)
    return SimpleNamespace(folder=folder, edge=edge, lengths=lengths, genes=genes, X=X, **tensors)


def inner(reference, array, cell, axis=0):
    """Valid positions of a cell, special tokens left out, along one axis."""
    return np.take(array, range(reference.edge, reference.lengths[cell] - reference.edge), axis=axis)


def cell_of(reference, model, cell, extra=4):
    """A real cell on a panel of its genes and a few it does not express, targets in rank order."""
    genes = reference.genes[cell]
    absent = [name for name in NAMES if name not in genes][:extra]
    panel = model.panel(genes, genes + absent)
    columns = [NAMES.index(gene) for gene in panel.genes]
    values = model.encode_cells(reference.X[[cell]][:, columns], panel.genes)
    return panel, values, len(genes)


def test_token_sequences_are_those_of_the_authors(reference):
    model = grn.models.load(reference.folder)
    for given in (None, Moments(np.zeros(50), np.ones(50), reference.n_counts)):
        found = model.input_ids(reference.X, NAMES, reference=given)
        for ids, wanted, n in zip(found, reference.input_ids, reference.lengths, strict=True):
            assert ids.tolist() == wanted[:n].tolist()
    shuffled = np.random.default_rng(0).permutation(50)
    names = [NAMES[i] for i in shuffled]
    for (columns, values), genes in zip(model.tokenize(reference.X[:, shuffled], names), reference.genes, strict=True):
        assert values is None and [names[i] for i in columns] == genes
    short = grn.models.load(reference.folder, params={"max_genes": 5})
    assert [len(columns) for columns, _ in short.tokenize(reference.X, NAMES)] == [5] * 4


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_every_step_of_the_network(reference, file):
    """Both files: without the tied decoder, and with it and the old position ids."""
    model = grn.models.load(reference.folder / file)
    assert bool(model.unused) == file.endswith("bin")
    network = model.network
    for cell, n in enumerate(reference.lengths):
        states = network.stack.hidden_states(network.tokens(torch.as_tensor(reference.input_ids[[cell], :n])))
        close(torch.stack(states)[:, 0], reference.hidden_states[:, cell, :n])
        logits = network.head.transform(states[-1]) @ network.word.weight.T + network.head.bias
        close(logits[0], reference.logits[cell, :n])
        close(network.stack.attention_maps(states[0])[0], reference.attentions[:, cell, :, :n, :n], atol=1e-6)


@pytest.mark.parametrize("readout", ["logit", "log_prob"])
def test_cells_through_the_protocol(reference, readout):
    model = grn.models.load(reference.folder, params={"readout": readout})
    for cell in range(4):
        panel, values, m = cell_of(reference, model, cell)
        tokens = [model.vocabulary[gene] for gene in reference.genes[cell]]
        logits = torch.as_tensor(inner(reference, reference.logits[cell], cell))
        scores = logits if readout == "logit" else logits.log_softmax(-1)
        found = model.respond(panel, values)[0]
        close(found[:m], scores[range(m), tokens])
        assert found[m:].isnan().all(), "a gene that is not in the cell cannot be read"
        own = panel.tgt_pos[:m]
        maps = model.attention(panel, values)[0]
        wanted = inner(reference, inner(reference, reference.attentions[:, cell], cell, 2), cell, 3)
        close(maps[..., own, :][..., own], wanted, atol=1e-6)
        assert int(maps.isfinite().sum()) == wanted.size
        close(model.embed(panel)[own], model.network.word.weight[tokens], atol=0)


def test_deleting_a_gene(reference):
    """Cell 0 without one of its tokens, through the values and through the embeddings in context."""
    model = grn.models.load(reference.folder)
    panel, values, m = cell_of(reference, model, 0)
    gone = int(reference.deleted_index) - reference.edge
    values[0, panel.tgt_pos[gone]] = -1.0
    found = model.respond(panel, values)[0, :m]
    assert found[gone].isnan()
    ids = reference.deleted_input_ids
    wanted = reference.deleted_logits[0, np.arange(len(ids)), ids]
    stay = slice(reference.edge, len(ids) - reference.edge)
    close(found[torch.arange(m) != gone], wanted[stay])
    tokens = torch.as_tensor(ids[stay])[None]
    for layer in (0, -1, -2, -3):
        close(model.contextual(tokens, layer=layer)[0], reference.deleted_hidden_states[layer - 1, 0, stay])
    close(model.contextual(tokens), model.contextual(tokens, layer=-1), atol=0)
    last = grn.models.load(reference.folder, params={"layer": 0})
    close(last.contextual(tokens), model.contextual(tokens, layer=0), atol=0)


def test_gradient_by_the_word_embedding(reference):
    model = grn.models.load(reference.folder)
    panel, values, m = cell_of(reference, model, 0)
    found = model.embedding_gradient(panel, values[0])
    assert found.shape == (m, m + 4, 32) and found[:, m:].isnan().all()
    wanted = inner(reference, inner(reference, reference.grad_own_logit_wrt_word_embedding, 0, 0), 0, 1)
    close(found[:, :m], wanted)


def test_bfloat16_stays_near(reference):
    """Derivatives less so than responses: rounding switches units of a ReLU network that are near 0."""
    exact, rough = (grn.models.load(reference.folder, dtype=dtype) for dtype in ("float32", "bfloat16"))
    names = NAMES[:20]
    panel = exact.panel(names, names)
    values = exact.virtual_cell(panel).expand(20, -1)
    (right, slope, maps), (found, rough_slope, rough_maps) = (
        (*model.respond_dual(panel, values, torch.eye(20)), model.attention(panel, values)) for model in (exact, rough)
    )
    assert found.dtype == rough_slope.dtype == rough_maps.dtype == rough.contextual(panel.tokens[None]).dtype
    assert found.dtype == torch.float32
    assert 0 < (found - right).abs().max() < 0.03 * right.abs().max()
    assert (rough_maps - maps).abs().max() < 0.01
    assert torch.corrcoef(torch.stack([slope.flatten(), rough_slope.flatten()]))[0, 1] > 0.9
