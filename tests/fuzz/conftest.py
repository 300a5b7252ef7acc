"""Small odd objects, as files of strangers hold them, and answers that can be compared."""

import copy
from collections.abc import Mapping

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from scipy import sparse

HUMAN = "GATA1 SPI1 TAL1 KLF1 MYB GFI1B LYZ CD79A CST3 S100A8 NKG7 GZMB CD3D HBB".split()
ENSEMBL = [f"ENSG{number:011d}.{i % 4}" for i, number in enumerate((102145, 66336, 162367, 105610, 118513, 165702))]
MOUSE = "Gata1 Spi1 Tal1 Klf1 Myb Gfi1b Lyz2 Cd79a Cst3 S100a8 Nkg7 Gzmb".split()
NAMES = {
    "human": HUMAN,
    "ensembl": ENSEMBL,
    "mouse": MOUSE,
    "capital mouse": [name.upper() for name in MOUSE] + ["GM1992", "1700001C02RIK"],
    "duplicated": ["GATA1", "GATA1", *HUMAN[1:]],
    "older": ["GATA1", "PU.1", "SFPI1", *HUMAN[1:]],
    "empty": ["GATA1", "", *HUMAN[1:]],
    "blank": ["GATA1", "  ", *HUMAN[1:]],
    "missing": ["GATA1", np.nan, *HUMAN[1:]],
    "control": ["GATA1", "SPI1\x00", "TAL\n1", *HUMAN[3:]],
    "formula": ["GATA1", "=SPI1", "@TAL1", "+KLF1", *HUMAN[4:]],
    "surrogate": ["GATA1", "\ud800", "\uffff", *HUMAN[3:]],
    "unicode": ["GATA1", "β-actin", "基因", "gène/2", *HUMAN[3:]],
    "numbers": [str(i) for i in range(14)],
    "unknown": ["GATA1", *[f"orf{i}" for i in range(13)]],
}
LABELS = {
    "plain": ["a", "b"],
    "slashes": ["L2/3", "L2_3"],
    "empty": ["", "b"],
    "blank": [" ", "b"],
    "mixed": [1, "1"],
    "numbers": [1, 2],
    "floats": [0.5, np.inf],
    "flags": [True, False],
    "missing": ["a", np.nan],
    "one": ["a", "a"],
    "control": ["a\n", "b\x00"],
    "long": ["a" * 300, "b"],
    "all": ["all", "b"],
}
VALUES = (
    *("counts", "log", "per million", "fractional", "proportions", "scaled", "zeros", "one gene", "constant", "rare"),
    *("missing", "infinite", "noise below zero", "huge", "tiny", "binary", "identical cells", "no group"),
)
CONTAINERS = ("dense", "csr", "csc", "csr_array", "fortran", "float64", "float16", "integers", "view", "masked")
TYPES = ("none", "all genes", "mixed", "no genes", "missing")
EDGE = pd.DataFrame({"source": ["GATA1"], "target": ["SPI1"], "weight": [1.0]})
UNS = {
    "none": {},
    "number": {"grn": 5, "vvp": 3, "grn_genes": 1},
    "text": {"grn": "x", "grn_genes": "x", "simulation": "x"},
    "params": {"grn": {"edges": EDGE, "params": "x"}},
    "schema": {"grn": {"edges": EDGE, "schema": "x"}},
    "genes": {"grn": {"edges": EDGE, "genes": 5}},
    "columns": {"grn": {"edges": pd.DataFrame({"source": ["GATA1"], "weight": ["x"]})}},
    "array": {"grn": {"edges": np.zeros((2, 3))}, "vvp": {"sources": 3, "params": []}},
}

SPECS = st.fixed_dictionaries(
    {
        "n_cells": st.sampled_from([30, 0, 1, 2, 11, 24, 60]),
        "n_genes": st.sampled_from([8, 0, 1, 2, 14]),
        "names": st.sampled_from(list(NAMES)),
        "labels": st.sampled_from(list(LABELS)),
        "values": st.sampled_from(VALUES),
        "container": st.sampled_from(CONTAINERS),
        "types": st.sampled_from(TYPES),
        "uns": st.sampled_from(list(UNS)),
        "cells": st.sampled_from(["plain", "duplicated"]),
        "marked": st.booleans(),
        "groupby": st.booleans(),
        "seed": st.integers(0, 3),
    }
)
# most objects are odd in one or two respects only, or nothing but the first check would ever be reached
PLAIN = {
    "n_cells": 30,
    "n_genes": 8,
    "names": "human",
    "labels": "plain",
    "values": "counts",
    "container": "csr",
    "types": "none",
    "uns": "none",
    "cells": "plain",
    "marked": True,
}


@st.composite
def specs(draw):
    """What an object is like; two to four respects of it are drawn, the others plain."""
    whole = draw(SPECS)
    odd = draw(st.lists(st.sampled_from(sorted(PLAIN)), min_size=1, max_size=4, unique=True))
    return {
        **{name: whole[name] if name in odd else plain for name, plain in PLAIN.items()},
        "groupby": whole["groupby"],
        "seed": whole["seed"],
    }


def counts(n_cells, n_genes, codes, rng):
    """Counts in which genes go together and differ between the groups."""
    factor = rng.gamma(2.0, 1.0, (n_cells, 2))
    loadings = rng.gamma(1.0, 1.0, (2, n_genes))
    shift = 1.0 + codes[:, None] * rng.uniform(0, 2, n_genes)
    return rng.poisson(factor @ loadings * shift).astype(np.float32)


def as_values(kind, raw, codes, rng):
    """Counts (cells, genes) turned into what a file may hold instead."""
    totals = np.maximum(raw.sum(axis=1, keepdims=True), 1)
    changed = {
        "log": lambda: np.log1p(raw / totals * 1e4),
        "per million": lambda: raw / totals * 1e6,
        "fractional": lambda: raw * rng.uniform(0.8, 1.0, raw.shape),
        "proportions": lambda: raw / totals,
        "scaled": lambda: (raw - raw.mean(axis=0)) if len(raw) else raw,
        "zeros": lambda: raw * 0,
        "one gene": lambda: raw * (np.arange(raw.shape[1]) == 0),
        "constant": lambda: np.full_like(raw, 3.0),
        "rare": lambda: raw * (np.arange(len(raw))[:, None] < 2),
        "missing": lambda: np.where(rng.random(raw.shape) < 0.1, np.nan, raw),
        "infinite": lambda: np.where(rng.random(raw.shape) < 0.1, np.inf, raw),
        "noise below zero": lambda: np.where(raw == 0, -1e-9, raw),
        "huge": lambda: raw * 1e30,
        "tiny": lambda: raw * 1e-30,
        "binary": lambda: np.minimum(raw, 1),
        "identical cells": lambda: np.tile(raw[:1], (len(raw), 1)) if len(raw) else raw,
        "no group": lambda: np.where(codes[:, None] == 0, raw[:1] if len(raw) else raw, raw),
    }
    return np.asarray(changed.get(kind, lambda: raw)(), dtype=np.float32)


def contained(X, container):
    """The matrix in one of the forms that AnnData takes."""
    with np.errstate(all="ignore"):
        forms = {
            "csr": lambda: sparse.csr_matrix(X),
            "csc": lambda: sparse.csc_matrix(X),
            "csr_array": lambda: sparse.csr_array(X),
            "fortran": lambda: np.asfortranarray(X),
            "float64": lambda: X.astype(np.float64),
            "float16": lambda: X.astype(np.float16),
            "integers": lambda: np.nan_to_num(X, posinf=9).clip(-1e9, 1e9).astype(np.int64),
        }
        return forms.get(container, lambda: X)()


def built(spec):
    """The object of a spec, with ``order`` to make the same one in another order."""
    rng = np.random.default_rng(spec["seed"])
    names = NAMES[spec["names"]][: spec["n_genes"]]
    n, g = spec["n_cells"], len(names)
    codes = np.arange(n) % 2
    raw = counts(n, g, codes, rng)
    values = as_values(spec["values"], raw, codes, rng)
    labels = pd.Series([LABELS[spec["labels"]][code] for code in codes], dtype=object)
    obs = pd.DataFrame({"label": labels.to_numpy(), "donor": [f"d{i // 2 % 4}" for i in range(n)]})
    obs["condition"] = np.where(np.arange(n) // 2 % 4 < 2, "x", "y")
    obs["perturbation"] = [("control", "GATA1", "SPI1")[i % 3] for i in range(n)]
    obs["time"] = [1.0 + i // 3 % 2 for i in range(n)]
    obs.index = [f"cell{i // 2 if spec['cells'] == 'duplicated' else i}" for i in range(n)]
    var = pd.DataFrame(index=pd.Index(names, dtype=object))
    if spec["marked"]:
        var["is_regulator"] = np.arange(g) < 3
    if spec["types"] != "none":
        kinds = {"all genes": ["Gene Expression"] * 2, "mixed": ["Gene Expression", "Peaks"], "no genes": ["Peaks"] * 2}
        kinds = kinds.get(spec["types"], ["Gene Expression", np.nan])
        var["feature_types"] = [kinds[int(i > 4)] for i in range(g)]
    adata = ad.AnnData(contained(values, spec["container"]), obs=obs, var=var)
    adata.layers["counts"] = raw
    adata.uns.update(copy.deepcopy(UNS[spec["uns"]]))
    return adata[:, :] if spec["container"] == "view" else adata


def state(adata):
    """A deep copy of everything that a function could touch."""
    slots = ("obs", "var", "obsm", "varm", "obsp", "varp", "layers", "uns")
    kept = {slot: copy.deepcopy(getattr(adata, slot)) for slot in slots}
    kept = {slot: dict(value) if slot not in ("obs", "var") else value for slot, value in kept.items()}
    return {**kept, "X": copy.deepcopy(adata.X), "names": [list(adata.var_names), list(adata.obs_names)]}


def same(a, b):
    """Deep equality of what an AnnData may hold; NaN equals NaN."""
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and set(a) == set(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, pd.DataFrame):
        return isinstance(b, pd.DataFrame) and a.equals(b) and list(a.dtypes) == list(b.dtypes)
    if sparse.issparse(a):
        return type(a) is type(b) and same(a.toarray(), b.toarray())
    if isinstance(a, list):
        return len(a) == len(b) and all(x is y or x == y or (x != x and y != y) for x, y in _pairs(a, b))
    return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=np.asarray(a).dtype.kind == "f")


def _pairs(a, b):
    for x, y in zip(a, b, strict=True):
        yield from _pairs(x, y) if isinstance(x, list) else [(x, y)]


@pytest.fixture(scope="session")
def odd():
    """``odd.specs``, ``odd.built``, ``odd.state``, ``odd.same``, and the spec ``odd.plain``."""

    class Odd:
        pass

    for function in (specs, built, state, same):
        setattr(Odd, function.__name__, staticmethod(function))
    Odd.plain = {**PLAIN, "n_genes": 14, "groupby": False, "seed": 0}
    return Odd
