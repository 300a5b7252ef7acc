"""Cells in which genes are taken out or raised: the authors' numbers, and what must not matter."""

import numpy as np
import pytest
import torch

from grn.errors import CapabilityError, ParameterError
from grn.models import Moments, load, untrained
from grn.models._perturbed_sentences import SentenceLayout, perturbed
from grn.models._sentences import Sentence
from grn.models.protocol import PerturbModel

SYMBOLS = [f"G{i:02d}" for i in range(40)]
ENSEMBL = [f"ENSG{i:011d}" for i in range(40)]
FAMILIES = ("scgpt", "geneformer", "genecompass", "scprint")


def cells(n=6, seed=0):
    """log1p CP10k of Poisson counts of 40 genes, and what is known of them."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.8 * rng.gamma(2.0, size=(n, 1)), size=(n, 40)).astype(float)
    counts[:, :2] += 1
    counts[0, 2:6], counts[1:2, 2] = 2, 0
    total = counts.sum(axis=1) + 20
    X = np.log1p(counts / total[:, None] * 1e4).astype(np.float32)
    return X, Moments(X.mean(0), X.std(0), total)


def tiny(family):
    genes = SYMBOLS if family == "scgpt" else ENSEMBL
    model = untrained(family, genes=genes, layers=2, width=16, heads=2, rng=1)
    for parameter in model.network.parameters():
        if parameter.dim() > 1:
            parameter.mul_(4)  # so that cells differ
    return model, genes


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_deletion_in_geneformer_is_that_of_the_authors(shared_dir, version):
    folder = shared_dir / "reference" / "geneformer" / version
    model = load(folder)
    with np.load(folder / "reference.npz") as found:
        reference = {name: found[name] for name in found}
    genes = [gene for gene in model.vocabulary if gene in model.medians]
    place = {token: i for i, token in enumerate(sorted(model.vocabulary.values()))}
    counts = reference["counts"][:1].astype(float)[:, [place[model.vocabulary[gene]] for gene in genes]]
    total = reference["n_counts"][:1].astype(float)
    X = np.log1p(counts / total[:, None] * 1e4)
    moments = Moments(X.mean(0), X.std(0), total)
    name = {token: gene for gene, token in model.vocabulary.items()}
    gone = name[int(reference["input_ids"][0, reference["deleted_index"]])]
    hidden, edge = torch.as_tensor(reference["deleted_hidden_states"][-2][0]), int(version == "v2")
    after = model.perturb_cells(X, genes, [[gone], [genes[0], gone]], reference=moments)
    torch.testing.assert_close(after[0, 0], hidden[edge : len(hidden) - edge].mean(0), atol=1e-5, rtol=0)
    if edge:
        cls = model.perturb_cells(X, genes, [[gone]], reference=moments, readout="cls")
        torch.testing.assert_close(cls[0, 0], hidden[0], atol=1e-5, rtol=0)
    # and the authors' number of a shift towards a goal, from these states
    before = model.embed_cells(X, genes, reference=moments)[0]
    goal = torch.ones_like(before)
    cosine = torch.nn.functional.cosine_similarity
    theirs = cosine(hidden[edge : len(hidden) - edge].mean(0), goal, dim=0) - cosine(before, goal, dim=0)
    torch.testing.assert_close(cosine(after[0, 0], goal, dim=0) - cosine(before, goal, dim=0), theirs)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_deletion_shows_the_cell_without_the_gene(family):
    model, genes = tiny(family)
    X, moments = cells()
    sets = [[genes[0]], [genes[1], genes[0]], [genes[2], genes[0]]]
    found = model.perturb_cells(X, genes, sets, reference=moments)
    assert found.shape == (3, 6, 16) and found.dtype == torch.float32
    for row, together in zip(found, ([0], [0, 1], [0, 2]), strict=True):
        silenced = X.copy()
        silenced[:, together] = 0
        wanted = model.embed_cells(silenced, genes, reference=moments)
        wanted[(X[:, together] == 0).any(axis=1)] = float("nan")
        if family == "scgpt":  # its bins go by the other genes of the cell, and stay as they were
            assert (row.isnan() == wanted.isnan()).all()
            continue
        torch.testing.assert_close(row, wanted, atol=1e-5, rtol=0, equal_nan=True)
    assert found[2, 1].isnan().all() and not found[:, 0].isnan().any()
    assert (found[1, 0] - found[0, 0]).abs().max() > 1e-4


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mode", ["delete", "overexpress"])
def test_neither_order_nor_batches_nor_other_cells_matter(family, mode):
    model, genes = tiny(family)
    X, moments = cells()
    sets = [[genes[0]], [genes[3], genes[1]]]
    wanted = model.perturb_cells(X, genes, sets, mode=mode, reference=moments)
    order = np.random.default_rng(1).permutation(40)
    turned = Moments(moments.mean[order], moments.std[order], moments.total[::-1])
    mixed = [genes[i] for i in order]
    found = model.perturb_cells(
        X[::-1][:, order], mixed, [sets[1][::-1], sets[0]], mode=mode, reference=turned, batch_size=1
    )
    torch.testing.assert_close(found.flip(0).flip(1), wanted, atol=1e-5, rtol=0, equal_nan=True)
    assert mode == "delete" or not wanted.isnan().any()


def test_geneformer_puts_raised_genes_in_front_and_drops_the_last():
    model, genes = tiny("geneformer")
    X, moments = cells(1)
    (cell,) = model._sentences(X, genes, moments, 12)
    first, inner = cell.ids[0], cell.ids[1:-1]
    absent = torch.tensor([model.vocabulary[gene] for gene in genes if model.vocabulary[gene] not in inner][:1])
    both = torch.cat([absent, inner[4:5], inner[2:3]])
    found = perturbed(cell, both, "overexpress", model.sentence_layout, 12)
    wanted = torch.cat([inner[[2, 4]], absent, inner[[0, 1, 3, 5, 6, 7, 8, 9, 10]]])
    assert found.ids[0] == first and found.ids[-1] == cell.ids[-1] and found.values is None
    torch.testing.assert_close(found.ids[1:-1], wanted)
    # as if it were expressed far above its median
    raised = X.copy()
    raised[0, 0] = np.log1p(1e7)
    after = model.perturb_cells(X, genes, [[genes[0]]], mode="overexpress", reference=moments)
    torch.testing.assert_close(after[0], model.embed_cells(raised, genes, reference=moments), atol=1e-5, rtol=0)


def test_values_of_raised_and_silenced_genes():
    cell = Sentence(torch.tensor([9, 3, 4, 5]), torch.tensor([-2.0, 1.0, 7.0, 0.0]), 50.0)
    found = perturbed(cell, torch.tensor([6, 3]), "overexpress", SentenceLayout(before=1), 3)
    assert found.ids.tolist() == [9, 3, 6, 4] and found.values.tolist() == [-2, 7, 7, 7] and found.depth == 50
    shown = SentenceLayout(before=1, shows_silent=True)
    assert perturbed(cell, torch.tensor([4]), "delete", shown, 3).values.tolist() == [-2, 1, 0, 0]
    assert perturbed(cell, torch.tensor([5]), "delete", shown, 3) is None
    assert perturbed(cell, torch.tensor([3, 4]), "delete", shown, 3) is None, "nothing is left"
    raised = perturbed(cell, torch.tensor([5]), "overexpress", shown, 3)
    assert raised.ids.tolist() == [9, 5, 3, 4] and raised.values.tolist() == [-2, 7, 1, 7]
    assert perturbed(cell, torch.tensor([3, 4, 5]), "delete", SentenceLayout(before=1), 3) is None
    full = perturbed(cell, torch.tensor([8]), "overexpress", shown, 3)
    assert full.ids.tolist() == [9, 8, 3, 4], "a gene that is not expressed makes room"


def test_what_is_refused():
    model, genes = tiny("geneformer")
    X, moments = cells()
    with pytest.raises(ParameterError, match=r"^mode='inhibit'; use one of delete, overexpress\."):
        model.perturb_cells(X, genes, [[genes[0]]], mode="inhibit", reference=moments)
    with pytest.raises(
        ParameterError, match=r"^readout='mode'; use one of mean, cls, the cell embeddings of 'geneformer"
    ):
        model.perturb_cells(X, genes, [[genes[0]]], readout="mode", reference=moments)
    other = untrained("scgenept", genes=SYMBOLS, layers=1, width=16, heads=2)
    with pytest.raises(CapabilityError, match="embedding of cells"):
        other.perturb_cells(X, SYMBOLS, [["G00"]])


def test_what_a_model_can_do_is_seen_by_its_members():
    assert isinstance(tiny("scgpt")[0], PerturbModel) and not isinstance(load("mini"), PerturbModel)
    reading = {family: tiny(family)[0].reads_counts for family in FAMILIES}
    assert reading == {"scgpt": False, "geneformer": False, "genecompass": True, "scprint": True}
