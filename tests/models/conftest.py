"""Small random networks stand for the published ones, whose weights these tests do not need."""

import json
import zipfile

import anndata as ad
import numpy as np
import pytest
import torch

import grn
from grn.models._registry import untrained
from grn.models.memory import Memory
from random_memories import random_memory

GENES = tuple(f"G{i:02d}" for i in range(60))
ENSEMBL = (*(f"ENSG{i:011d}" for i in range(1, 9)), *(f"ENSMUSG{i:011d}" for i in range(1, 6)))


def build(*, dtype=torch.float32, seed=0, genes=GENES, max_genes=2048, **sizes) -> Memory:
    """A random memory of 3 data sets with 4 states each."""
    sizes = {"precision": 0.3, "crowding": 5.0, "gain": 1.3} | sizes
    about = {"name": "tiny", "sha256": "0" * 64, "max_genes": max_genes}
    return random_memory(genes, seed=seed, dtype=dtype, uneven=True, **about, **sizes)


def build_genecompass(genes=ENSEMBL, **sizes):
    """A random GeneCompass in which every part has an effect, the homologues included."""
    model = untrained("genecompass", genes=genes, **({"layers": 2, "width": 16, "heads": 2} | sizes))
    embeddings = model.network.embeddings
    for prior in embeddings.priors.values():
        prior.knowledge.mul_(3)
    for i, gene in enumerate(genes):
        if gene.startswith("ENSMUSG"):
            embeddings.homologous_index[2 + i] = 2 + i % 4
    return model


def planted(n_cells=90, n_genes=60, *, rank=2, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Log values (cells, genes) with a planted low rank, and the gene loadings (genes, rank)."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(n_genes, rank))
    values = 5 + rng.normal(size=(n_cells, rank)) @ loadings.T + 0.3 * rng.normal(size=(n_cells, n_genes))
    return np.maximum(values, 0.0).astype(np.float32), loadings


def annotated(values: np.ndarray, genes=GENES, prefix="cell") -> ad.AnnData:
    adata = ad.AnnData(values)
    adata.var_names = list(genes)
    adata.obs_names = [f"{prefix}{i}" for i in range(values.shape[0])]
    return adata


@pytest.fixture
def make_memory():
    return build


@pytest.fixture
def make_genecompass():
    return build_genecompass


@pytest.fixture
def make_planted():
    return planted


@pytest.fixture
def make_adata():
    return annotated


@pytest.fixture(scope="session")
def _tiny():
    return build()


@pytest.fixture
def tiny(_tiny):
    before = {key: value.clone() for key, value in _tiny.network.state_dict().items()}
    yield _tiny
    after = _tiny.network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before), "a test changed the shared model"


@pytest.fixture
def saved_scgpt(tmp_path):
    """Write a model with random weights; ``change`` edits the state, ``args`` and ``vocab`` the files beside it."""

    def write(change=lambda state: None, *, args=None, vocab=None, folder="one", **sizes):
        sizes = {"layers": 2, "width": 16, "heads": 2, "rng": 1} | sizes
        path = grn.models.save(untrained("scgpt", genes=GENES[:12], **sizes), tmp_path / folder)
        state = torch.load(path / "best_model.pt", weights_only=True)
        change(state)
        torch.save(state, path / "best_model.pt")
        for name, edit in (("args.json", args), ("vocab.json", vocab)):
            if edit is not None:
                found = json.loads((path / name).read_text())
                edit(found)
                (path / name).write_text(json.dumps(found))
        return path

    return write


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A place for files; afterwards nothing may have left a mark there."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def archive():
    """Write a torch archive around a pickle."""

    def write(path, data, records=()):
        with zipfile.ZipFile(path, "w") as made:
            made.writestr("archive/data.pkl", data)
            made.writestr("archive/version", "3\n")
            for name, content in records:
                made.writestr(f"archive/{name}", content)
        return path

    return write


@pytest.fixture
def same_state():
    """Whether two states hold the same tensors by the same names in the same order."""

    def same(found, expected):
        return list(found) == list(expected) and all(
            torch.equal(found[k], v) and found[k].dtype == v.dtype for k, v in expected.items()
        )

    return same
