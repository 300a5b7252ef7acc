"""Models with known answers, and what tests of several files need."""

from __future__ import annotations

import copy

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import grn
from grn.models import Moments, ValueScale
from grn.models.protocol import resolve_panel
from random_memories import random_memory

GENES = tuple(grn.datasets.toy(n_cells=2).var_names)
REGULATORS = GENES[:8]
VOCABULARY = tuple(sorted(GENES))


class Planted:
    """A model whose Jacobian is written down: ``out_j = f(sum_i W_ij g(v_i))``, W by gene name.

    ``kind="additive"``: f is the identity and g(v) = v + v^3 / 10, so no gene changes the effect of another.
    ``kind="tanh"``: f is tanh and g the identity.
    """

    gene_id_kind = "symbol"
    capabilities = frozenset({"value", "gradient", "attention", "embedding"})
    gradient_kind = "exact"
    value_scale = ValueScale(
        "z-score", 0.0, (-2, -1.5, -1, -0.5, 0.5, 1, 1.5, 2), (-2, -1, -0.5, 0, 0.5, 1, 2, 3), -4, 4
    )

    def __init__(self, weights, *, kind="additive", max_genes=1000, name="planted", sha256="a" * 64):
        self.weights = weights.reindex(index=VOCABULARY, columns=VOCABULARY, fill_value=0.0)  # row regulates column
        self.kind, self.max_genes, self.name, self.sha256 = kind, max_genes, name, sha256
        self.genes = VOCABULARY
        self.calls = 0
        self.panels = []

    source_genes = property(lambda self: self.genes)
    target_genes = property(lambda self: self.genes)

    def to(self, device):
        return self

    def panel(self, sources, targets):
        found = resolve_panel({g: i for i, g in enumerate(self.genes)}, sources, targets, max_genes=self.max_genes)
        self.panels.append(found)
        return found

    def _matrix(self, panel):
        return torch.as_tensor(self.weights.loc[list(panel.genes), list(panel.targets)].to_numpy(), dtype=torch.float32)

    def respond(self, panel, values, *, context=None):
        self.calls += 1
        W = self._matrix(panel)
        return (values + values**3 / 10) @ W if self.kind == "additive" else torch.tanh(values @ W)

    def respond_dual(self, panel, values, tangents, *, context=None):
        W, out = self._matrix(panel), self.respond(panel, values)
        if self.kind == "additive":
            return out, (tangents * (1 + 0.3 * values**2)) @ W
        return out, (1 - out**2) * (tangents @ W)

    def attention(self, panel, values):
        """Two layers of one head: entry (query q, key k) is W_kq + 1 times exp(value of q), or of k."""
        W = torch.as_tensor(self.weights.loc[list(panel.genes), list(panel.genes)].to_numpy(), dtype=torch.float32)
        maps = torch.stack([(W.T + 1) * values.exp()[:, :, None], (W.T + 1) * values.exp()[:, None, :]], dim=1)
        return maps[:, :, None]

    def embed(self, panel, values=None):
        return torch.stack([self.embedding_of(gene) for gene in panel.genes])

    @staticmethod
    def embedding_of(gene):
        i = VOCABULARY.index(gene)
        return torch.tensor([np.sin(i), np.cos(3 * i), 0.1 * i], dtype=torch.float32)

    def encode_cells(self, X, genes, *, reference=None):
        moments = reference or Moments(X.mean(axis=0), X.std(axis=0))
        z = (X - moments.mean) / np.where(moments.std > 0, moments.std, np.inf)
        return torch.as_tensor(np.clip(z, -4, 4), dtype=torch.float32)


def plant(seed=0, per_target=2):
    """Random effects of regulators on targets, the same for a gene whatever the object."""
    rng = np.random.default_rng(seed)
    weights = pd.DataFrame(0.0, index=GENES, columns=GENES)
    for gene in GENES:
        chosen = rng.choice([r for r in REGULATORS if r != gene], size=per_target, replace=False)
        weights.loc[chosen, gene] = rng.choice([-1, 1], per_target) * rng.uniform(0.2, 0.9, per_target)
    return weights


def small_memory(seed=0, genes=VOCABULARY, max_genes=2048):
    """A small random memory of three data sets."""
    return random_memory(genes, seed=seed, name="random", max_genes=max_genes)


def equal(a, b):
    """Deep equality of what an AnnData may hold; NaN equals NaN."""
    if isinstance(a, dict) or (hasattr(a, "keys") and not isinstance(a, pd.DataFrame)):
        return set(a) == set(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, pd.DataFrame):
        return a.equals(b) and list(a.dtypes) == list(b.dtypes)
    if hasattr(a, "toarray"):
        return type(a) is type(b) and equal(a.toarray(), b.toarray())
    return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=np.asarray(a).dtype.kind == "f")


def state(adata):
    """A deep copy of everything a function could touch."""
    slots = ("obs", "var", "obsm", "varm", "varp", "layers", "uns")
    kept = {slot: copy.deepcopy(getattr(adata, slot)) for slot in slots}
    kept = {slot: dict(value) if slot not in ("obs", "var") else value for slot, value in kept.items()}
    return {**kept, "X": None if adata.X is None else copy.deepcopy(adata.X), "names": list(adata.var_names)}


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Panels here are too small for threads to help."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def _mini():
    return grn.models.load("mini")


@pytest.fixture(scope="session")
def weights():
    return plant()


@pytest.fixture
def planted(weights):
    """Make a model of the planted network; keywords go to the class."""
    return lambda **arguments: Planted(arguments.pop("weights", weights), **arguments)


@pytest.fixture(scope="session")
def random_model():
    return small_memory()


@pytest.fixture(scope="session")
def attentive():
    """A small random transformer, for what a memory does not have: attention."""
    return grn.models.untrained("scgpt", genes=VOCABULARY, layers=2, width=16, heads=2)


@pytest.fixture
def make_random():
    return small_memory


@pytest.fixture
def toy():
    """60 simulated cells, 8 regulators, 40 targets, 2 groups."""
    return grn.datasets.toy(n_cells=60)


@pytest.fixture(scope="session")
def blood():
    """Blood cells over genes that the embedded model knows; copy before writing."""
    names = ["SPI1", "IRF8", "LYZ", "CD79A", "CST3", "S100A8", "CD74", "GNLY", "CCL5", "NKG7", "GZMB", "CD3D"]
    return grn.datasets.pbmc68k()[:, names].copy()


@pytest.fixture
def same():
    return equal


@pytest.fixture
def snapshot():
    return state


@pytest.fixture
def refuses(snapshot, same):
    """Call a function that must raise and leave the object as it is; give the error."""

    def call(error, function, adata, **arguments):
        before = snapshot(adata)
        with pytest.raises(error) as caught:
            function(adata, **arguments)
        after = snapshot(adata)
        changed = [slot for slot in before if not same(before[slot], after[slot])]
        assert not changed, f"{function.__name__} failed and still changed {changed}"
        assert str(caught.value).strip(), "the error has no message"
        assert "np." not in str(caught.value), "the message shows what only programmers know"
        return str(caught.value)

    return call


@pytest.fixture(params=["h5ad", "zarr"])
def reread(request, tmp_path):
    """Write an object and read it again."""

    def through(adata):
        path = tmp_path / f"object.{request.param}"
        getattr(adata, f"write_{request.param}")(path)
        return getattr(ad, f"read_{request.param}")(path)

    return through
