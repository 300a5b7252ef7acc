"""Published models enter the benchmark like any other: on symbols and Ensembl ids, with their own scales."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

import grn
from grn.bench import READINGS, Reference, run
from grn.genes import regulators, resolve
from grn.models import load


@cache
def known_genes():
    """Some genes of ``mini``: regulators, and others."""
    able, genes = set(regulators("human")), [gene for gene in load("mini").genes if gene[0] in "ABCDE"]
    tfs = [gene for gene in genes if gene in able][:40]
    return tfs, [gene for gene in genes if gene not in set(tfs)][:120]


def make(name, tfs, others, seed):
    tfs, others = known_genes()[0][tfs], known_genes()[1][others]
    genes = sorted([*tfs, *others])
    pairs = [(source, target) for source in tfs for target in genes if source != target]
    rows = np.random.default_rng(seed).choice(len(pairs), 120, replace=False)
    edges = pd.DataFrame([pairs[i] for i in rows], columns=["source", "target"])
    return Reference(edges, genes=genes, regulators=tfs, dataset=name, network="N")


@pytest.mark.parametrize("family", ["scgpt", "geneformer", "genecompass"])
def test_a_published_model_is_run_beside_the_floors(family, tmp_path):
    tfs, others = known_genes()
    names = sorted([*tfs, *others])
    genes = names if family == "scgpt" else [g for g in resolve(names, organism="human")["ensembl"] if g]
    model = grn.models.untrained(family, genes=genes, layers=1, width=8, heads=2)
    one, two = make("one", slice(0, 14), slice(0, 50), 0), make("two", slice(14, 28), slice(50, 100), 1)
    table = run(
        model=model,
        train=[one],
        test=[two],
        methods=[READINGS[label] for label in ("VVP (raw)", "VVP", "Emb")],
        protocols=["paper"],
        seeds=1,
        n_boot=10,
        outside=False,
        cache=tmp_path,
        progress=False,
    )
    rows = table[table["metric"] == "auprc"]
    assert {"VVP (raw)", "VVP", "Emb", "random", "degree"} <= set(rows["method"])
    assert rows["value"].between(0, 1).all()
