"""A small random network stands for the embedded model, whose weights these tests do not need."""

import anndata as ad
import numpy as np
import pytest
import torch

from grn.models.mini import Mini, MiniConfig, MiniNetwork

GENES = tuple(f"G{i:02d}" for i in range(60))


def build(*, dtype=torch.float32, seed=0, genes=GENES, max_genes=2048, **sizes) -> Mini:
    """A random model; its head is random too, since it starts at zero and would hide the blocks."""
    sizes = {"d": 16, "heads": 2, "encoder_blocks": 1, "decoder_blocks": 2, "d_feedforward": 24, "d_value": 8} | sizes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MiniNetwork(MiniConfig(n_genes=len(genes), **sizes))
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return Mini(network.to(dtype), genes, name="tiny", sha256="0" * 64, max_genes=max_genes)


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
def make_mini():
    return build


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
