"""Whatever lies in ``uns``: every reader answers, or raises an error of the package."""

import contextlib
import copy

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import grn
from grn.errors import GrnError

ODD = {
    "number": 5,
    "negative": -1.5,
    "nan": float("nan"),
    "true": True,
    "string": "x",
    "empty": "",
    "bytes": b"x",
    "none": None,
    "object": object(),
    "list": [],
    "names": ["x", "y"],
    "mixed": ["x", 1],
    "ragged": [[1], [1, 2]],
    "set": {"x"},
    "scalar array": np.array(3.0),
    "numbers": np.array([1.0, np.inf]),
    "matrix": np.array([["a", "b"]]),
    "complex": np.array([1j]),
    "dict": {},
    "nested": {"a": {"b": 1}},
    "odd keys": {3: 1},
    "table": pd.DataFrame(),
    "other table": pd.DataFrame({"source": [1, 2], "weight": ["a", "b"]}),
    "repeated columns": pd.DataFrame([[1, 2]], columns=["source", "source"]),
    "series": pd.Series([1, 2]),
}


@pytest.fixture(scope="module")
def made():
    adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=6, rng=1)
    del adata.uns["truth"]
    grn.pp.align_genes(adata)
    grn.tl.infer_network(adata, method="ridge", groupby="group")
    grn.tl.infer_network(adata, method="correlation", key_added="second")
    grn.tl.regulons(adata, key="second", min_targets=1)
    grn.tl.probe(adata)
    grn.tl.embedding(adata)
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(60, 2))
    grn.tl.simulate(adata, net="second", perturbation={"GATA1": 0}, basis="X_umap", n_controls=0, min_mass=0.1)
    grn.pp.smooth(adata, k=3)
    adata.obs["when"] = np.arange(60.0)
    grn.pp.trajectory(adata, pseudotime="when", lineages="group")
    return adata


LABELS = pd.DataFrame({"source": ["TAL1", "SPI1"], "target": ["SPI1", "TAL1"]})
READERS = {
    "grn": {
        "get.edges": {},
        "get.network": {},
        "get.agreement": {"keys": ["grn", "second"]},
        "pl.network": {},
        "pl.heatmap": {},
        "pl.regulon": {"source": "GATA1"},
        "pl.compare_models": {"keys": ["grn", "second"]},
        "tl.rank_regulators": {},
        "tl.consensus": {"nets": ["grn", "second"]},
        "tl.regulons": {"group": "group_1", "min_targets": 1},
        "tl.simulate": {"perturbation": {"GATA1": 0}},
        "tl.activity": {"min_targets": 1},
        "tl.confidence": {"n_permutations": 1, "n_subsamples": 1, "top": 3},
        "tl.scrank": {"net": "grn", "groupby": "group", "drug_targets": ["GATA1"]},
    },
    "second": {"tl.consensus": {}, "get.agreement": {}, "get.edges": {}},
    "regulons": {"get.regulons": {}, "get.edges": {"key": "regulons"}, "tl.consensus": {}},
    "vvp": {
        "get.features": {"key": "vvp"},
        "pl.response": {"pairs": ("SPI1", "TAL1"), "keys": "vvp"},
        "tl.fit_translator": {"labels": LABELS, "key": "vvp", "epochs": 1},
        "tl.infer_network": {"method": "ugrn"},
    },
    "X_mini": {
        "get.embedding": {"pairs": [("GATA1", "SPI1")]},
        "tl.fit_translator": {"labels": LABELS, "key": "X_mini", "epochs": 1},
    },
    "simulation": {"pl.simulate": {}, "pl.flow": {"panels": "flow"}},
    "trajectory": {"pl.trajectory": {"windows": (20, 10)}},
    "grn_genes": {"get.gene_report": {}, "tl.infer_network": {"method": "correlation"}},
    "grn_smooth": {"tl.simulate": {"net": "second", "perturbation": {"GATA1": 0}, "smooth": True}},
}
CALLS = [(entry, name) for entry, calls in READERS.items() for name in calls]


def places(thing, path=()):
    """Paths of an entry and all that is in it."""
    yield path
    if isinstance(thing, dict):
        for key, value in thing.items():
            yield from places(value, (*path, key))
    elif isinstance(thing, pd.DataFrame):
        yield from ((*path, name) for name in thing.columns)


def changed(entry, path, value):
    """A copy of an entry with another value at a path; ``...`` takes it away."""
    if not path:
        return value
    made = entry.copy() if isinstance(entry, pd.DataFrame) else dict(entry)
    if isinstance(entry, pd.DataFrame):
        made = made.drop(columns=path[0])
        if value is not ...:
            made[path[0]] = pd.Series([value] * len(made), index=made.index, dtype=object)
    elif len(path) == 1 and value is ...:
        del made[path[0]]
    else:
        made[path[0]] = changed(entry[path[0]], path[1:], value)
    return made


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("entry", "name"), CALLS, ids=lambda value: value)
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
def test_readers_of_uns(made, entry, name, data):
    adata = made.copy()
    path = data.draw(st.sampled_from(sorted(places(adata.uns[entry]), key=repr)))
    odd = data.draw(st.sampled_from([..., *ODD.values()] if path else list(ODD.values())))
    adata.uns[entry] = changed(adata.uns[entry], path, copy.copy(odd) if odd is not ... else odd)
    check(adata, entry, name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("entry", "name"), CALLS, ids=lambda value: value)
@pytest.mark.parametrize("odd", ["number", "string", "names", "dict", "table", "none"])
def test_entries_of_another_kind(made, entry, name, odd):
    adata = made.copy()
    adata.uns[entry] = copy.copy(ODD[odd])
    check(adata, entry, name)


@pytest.mark.parametrize("entry", ["grn", "vvp", "simulation"])
@pytest.mark.parametrize("part", ["params", "schema", "edges", "sources", "grid", "effects", "genes"])
@pytest.mark.parametrize("odd", ["number", "string"])
def test_errors_name_the_entry_and_the_call_that_makes_it(made, entry, part, odd):
    if part not in made.uns[entry] or (entry, part) == ("simulation", "grid"):
        pytest.skip("no such part")
    adata = made.copy()
    adata.uns[entry] = {**adata.uns[entry], part: ODD[odd]}
    call = {"grn": "get.network", "vvp": "pl.response", "simulation": "pl.simulate"}[entry]
    with pytest.raises(GrnError, match=rf"uns\['{entry}'\](.|\n)*grn\.tl\.|grn\.tl\.(.|\n)*{entry}"):
        function(call)(adata, **READERS[entry][call])


def function(name):
    return getattr(getattr(grn, name.split(".")[0]), name.split(".")[1])


def check(adata, entry, name):
    before = copy.copy(adata.uns[entry])
    try:
        with contextlib.suppress(GrnError):
            function(name)(adata, **READERS[entry][name])
            return
        assert adata.uns[entry] is before or type(adata.uns[entry]) is type(before)
    finally:
        plt.close("all")
