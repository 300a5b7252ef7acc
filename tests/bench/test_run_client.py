"""A run on a dask cluster: the table of one process, from workers that share a folder."""

import numpy as np
import pandas as pd
import pytest

import grn
from grn._core.device import torch_threads
from grn.bench import Reference, run
from grn.errors import NetworkError, ParameterError
from grn.genes import regulators

IDENTITY = ["train", "test", "protocol", "pairs", "method", "metric"]


def reference(name, seed):
    """Random edges of some regulators that the model knows."""
    known = grn.models.load("mini").genes
    able = set(regulators("human"))
    tfs = [gene for gene in known if gene in able][seed : seed + 14]
    genes = sorted([*tfs, *[gene for gene in known if gene not in able][20 * seed : 20 * seed + 40]])
    pairs = [(source, target) for source in tfs for target in genes if source != target]
    rows = np.random.default_rng(seed).choice(len(pairs), 100, replace=False)
    edges = pd.DataFrame([pairs[i] for i in rows], columns=["source", "target"])
    return Reference(edges, genes=genes, regulators=tfs, dataset=name, network="N")


@pytest.fixture(scope="module")
def arguments():
    one, two, three = (reference(name, seed) for seed, name in enumerate(("one", "two", "three")))
    chosen = {
        "methods": [grn.bench.READINGS["VVP (raw)"], "gradient_trajectory", "embedding"],
        "train": [one, two],
        "test": [one, two, three],
    }
    return {**chosen, "protocols": ["paper"], "outside": False, "seeds": 1, "n_boot": 10, "progress": False}


def test_the_cache_must_be_a_shared_folder(arguments, near_client):
    with pytest.raises(ParameterError, match=r"client= was given without cache=.*all workers see"):
        run(**arguments, client=near_client)
    with pytest.raises(ParameterError, match="client has type str"):
        run(**arguments, client="tcp://10.0.0.1:8786")


def test_trials_that_cannot_be_evaluated_are_told_here(near_client, tmp_path, caplog):
    """Nothing is left of a test set that has the genes of the training set."""
    one = reference("one", 0)
    same = Reference(one.edges, genes=one.genes, regulators=one.regulators, dataset="same", network="N")
    given = {"methods": [], "scorers": {"mine": score}, "train": one, "test": [same], "protocols": ["strict"]}
    with pytest.raises(NetworkError, match="no trial could be"):
        run(**given, outside=False, seeds=1, n_boot=10, client=near_client, cache=tmp_path, progress=False)
    assert "one/N -> same/N, strict: " in caplog.text


def score(adata, pairs):
    return np.arange(len(pairs)) % 7


@pytest.mark.slow
def test_workers_make_the_same_table(arguments, client, tmp_path, monkeypatch):
    # as many threads as a worker has: sums of another number of them are rounded otherwise
    with torch_threads(1):
        here = run(**arguments, n_jobs=1, cache=tmp_path / "here")
    monkeypatch.chdir(tmp_path)
    mine = lambda adata, pairs: pairs["target"].str.len().to_numpy()  # noqa: E731
    there = run(**arguments, scorers={"mine": mine}, client=client, cache="there")
    assert set(there["method"]) - set(here["method"]) == {"mine"}
    found = there[there["method"] != "mine"]
    here, found = (table.sort_values(IDENTITY, ignore_index=True) for table in (here, found))
    assert len(here) > 100
    numbers = ["value", "low", "high", "prevalence", "n_pos"]
    pd.testing.assert_frame_equal(here[IDENTITY + numbers], found[IDENTITY + numbers], rtol=1e-6)
    # features are where workers find them, and nothing is read twice
    assert {path.name for path in tmp_path.glob("there/features/*/*")} == {
        path.name for path in tmp_path.glob("here/features/*/*")
    }
    # finished trials are found again, and tables are in the order asked for
    monkeypatch.setattr("grn.bench._evaluation.run_trial", None)
    again = run(**arguments, cache=tmp_path / "here", client=client)
    assert again[IDENTITY].equals(run(**arguments, cache=tmp_path / "here")[IDENTITY])
    pairs = there.drop_duplicates(["train", "test"])
    assert pairs["train"].tolist() == ["one/N", "one/N", "two/N", "two/N"]
