"""GeneCompass computes the tensors of its authors' code."""

import pickle

import numpy as np
import pytest
import torch

from grn.models import load


@pytest.fixture(scope="module")
def folder(shared_dir):
    return shared_dir / "reference" / "genecompass"


@pytest.fixture(scope="module")
def reference(folder):
    with np.load(folder / "reference.npz") as found:
        return {key: found[key] for key in found}


@pytest.fixture(scope="module")
def name_of(folder):
    tokens = pickle.loads((folder / "human_mouse_tokens.pickle").read_bytes())
    return {token: name for name, token in tokens.items()}


@pytest.mark.parametrize("cell", range(4))
def test_the_network_computes_what_the_authors_do(folder, reference, cell):
    """Every tensor of a cell on its valid positions; cells 2 and 3 are of mouse."""
    network, n = load(folder).network, int(reference["attention_mask"][cell].sum())
    ids = torch.tensor(reference["input_ids"][cell, :n])
    values = torch.tensor(reference["values"][cell : cell + 1, :n])
    x = network.tokens(ids, values, mouse=bool(reference["species"][cell, 0]), alpha=network.alpha)
    states = torch.stack(network.stack.hidden_states(x))[:, 0]
    last = states[-1, 1:]
    logits = reference["logits"][cell, :n]
    found = {
        "embedding_output": (x[0, 1:], reference["embedding_output"][cell, :n]),
        "hidden_states": (states, reference["hidden_states"][:, cell, : n + 1]),
        "logits": (network.logits(last), logits),
        "own logits": (network.logit(last, ids), logits[np.arange(n), ids]),
        "pred_values": (network.value(last), reference["pred_values"][cell, :n]),
    }
    for name, (ours, theirs) in found.items():
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5, err_msg=name)
    maps = reference["attentions"][:, cell, :, : n + 1, : n + 1]
    np.testing.assert_allclose(network.stack.attention_maps(x)[0], maps, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell", range(4))
def test_contextual_embeddings_without_mask(folder, reference, cell):
    """The authors' perturbation attends to padding, so the row goes in as padded."""
    model = load(folder, params={"organism": "mouse" if reference["species"][cell, 0] else "human"})
    tokens, values = (torch.tensor(reference[key][cell : cell + 1]) for key in ("input_ids", "values"))
    expected = reference["last_hidden_no_mask"][cell, 1:]
    np.testing.assert_allclose(model.contextual(tokens, values)[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", range(4))
@pytest.mark.parametrize("readout", ["value", "logit"])
def test_the_protocol_reads_real_cells(folder, reference, name_of, cell, readout):
    """With rerank=True a panel in token order is read as the cell in rank order."""
    params = {"organism": "mouse" if reference["species"][cell, 0] else "human", "rerank": True, "readout": readout}
    model, n = load(folder, params=params), int(reference["attention_mask"][cell].sum())
    ids = reference["input_ids"][cell, :n]
    names = [name_of[token] for token in ids.tolist()]
    panel = model.panel(names[:2], names)
    values = torch.zeros(1, n)
    values[0, panel.tgt_pos] = torch.tensor(reference["values"][cell, :n])
    logits = reference["logits"][cell, np.arange(n), ids]
    expected = reference["pred_values"][cell, :n] if readout == "value" else logits
    np.testing.assert_allclose(model.respond(panel, values)[0], expected, rtol=0, atol=1e-5)
    maps = model.attention(panel, values)[0][..., panel.tgt_pos, :][..., panel.tgt_pos]
    np.testing.assert_allclose(maps, reference["attentions"][:, cell, :, 1 : n + 1, 1 : n + 1], rtol=0, atol=1e-6)


def test_virtual_values_and_gradients(folder, reference, name_of):
    model = load(folder)
    names = [name_of[token] for token in reference["panel_ids"][0].tolist()]
    panel, n = model.panel(names, names), len(names)
    base = torch.full((1, n), float(reference["vvp_baseline"]))
    start = model.respond(panel, base)
    np.testing.assert_allclose(start, reference["vvp_baseline_output"], rtol=0, atol=1e-5)
    one = torch.eye(n)
    for m, value in enumerate(reference["vvp_values"]):
        found = model.respond(panel, torch.where(one > 0, float(value), base)) - start
        np.testing.assert_allclose(found, reference["vvp_features"][..., m], rtol=0, atol=1e-5)
    for m, value in enumerate(reference["gdt_values"]):
        _, found = model.respond_dual(panel, torch.where(one > 0, float(value), base), one)
        np.testing.assert_allclose(found, reference["gdt_features"][..., m], rtol=0, atol=1e-5)
