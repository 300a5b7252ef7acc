import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

MOTIFS = [f"M{k}" for k in range(30)]


def regions(n):
    return [f"chr{k % 2 + 1}:{1000 * k}-{1000 * k + 500}" for k in range(n)]


def scanned(n=400, seed=0):
    """Regions with hits by chance; M0 (of A) is in most of the first 40, M1 (of B and A) in some of the next 40."""
    random = np.random.default_rng(seed)
    scores = random.uniform(5, 15, (n, len(MOTIFS))) * (random.random((n, len(MOTIFS))) < 0.1)
    scores[:40, 0] = np.where(random.random(40) < 0.8, random.uniform(10, 15, 40), 0)
    scores[40:80, 1] = np.where(random.random(40) < 0.8, random.uniform(10, 15, 40), 0)
    group = np.repeat(["a", "b", "c"], 40)
    share = np.full((len(group), n), 0.2)
    share[np.ix_(group == "a", np.arange(40))] = 0.95
    share[np.ix_(group == "b", np.arange(40, 80))] = 0.95
    adata = AnnData(
        sparse.csr_matrix((random.random(share.shape) < share).astype(np.float32)),
        obs=pd.DataFrame({"label": pd.Categorical(group)}, index=[f"cell{k}" for k in range(len(group))]),
        var=pd.DataFrame(index=regions(n)),
    )
    adata.varm["motifs"] = sparse.csr_matrix(scores.astype(np.float32))
    factors = [("M0", "A"), ("M1", "A"), ("M1", "B"), *((name, f"F{name}") for name in MOTIFS[2:])]
    adata.uns["motifs"] = {
        "names": np.array(MOTIFS, dtype=object),
        "factors": pd.DataFrame(factors, columns=["motif", "factor"]).astype("category"),
    }
    return adata


@pytest.fixture
def adata():
    return scanned()


@pytest.fixture
def sets(adata):
    return {"first": adata.var_names[:40].tolist(), "second": adata.var_names[40:80].tolist()}
