"""Section 11 of the specification for readings of a model: hubs with random targets must score at chance."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

import grn
from grn.bench import Reference

METHODS = ["VVP (raw)", "GDT (raw)", "Emb", "VVP", "GDT", "Ens"]
NETWORKS = 6


def hubs(seed, names, *, regulators=24, edges=700):
    """Real genes with invented edges: heavy-tailed degrees and no structure of pairs."""
    random = np.random.default_rng(seed)
    odds = np.outer(random.pareto(1.5, regulators) + 0.2, random.pareto(1.5, len(names)) + 0.2)
    odds *= edges / odds.sum()
    np.fill_diagonal(odds, 0)
    rows, columns = np.nonzero(random.random(odds.shape) < odds / (1 + odds))
    table = pd.DataFrame({"source": np.array(names)[rows], "target": np.array(names)[columns]})
    return Reference(table, genes=names, regulators=names[:regulators], dataset=f"hubs{seed}", network="random")


@pytest.mark.slow
def test_readings_of_a_model_are_at_chance_on_hubs():
    """Under the strict protocol; under the paper's, node degree is worth something to a translator."""
    plain = [gene for gene in grn.models.load("mini").genes if gene.isalpha()]
    chosen = np.random.default_rng(0).choice(plain, (NETWORKS + 1) * 120, replace=False).tolist()
    parts = [chosen[i * 120 : (i + 1) * 120] for i in range(NETWORKS + 1)]
    train, *tests = (hubs(i, names) for i, names in enumerate(parts))
    found = grn.bench.run(
        methods=[grn.bench.READINGS[name] for name in METHODS],
        train=train,
        test=tests,
        protocols=["strict"],
        outside=False,
        seeds=3,
        n_boot=100,
    )
    found = found[(found["metric"] == "auprc") & (found["pairs"] == "all")].set_index(["method", "test"])
    assert set(METHODS) <= set(found.index.get_level_values("method"))
    inside = []
    for name in (*METHODS, "degree", "labels", "look-up", "target is a regulator"):
        gains = (found.loc[name, "value"] - found.loc["random", "value"]).to_numpy()
        assert len(gains) == NETWORKS
        error = np.std(gains, ddof=1) / np.sqrt(NETWORKS)
        assert abs(gains.mean()) < max(t.isf(5e-4, NETWORKS - 1) * error, 3e-3), name
        assert abs(gains.mean()) < 0.03, name
        chance = found.loc["random", "value"]
        inside += list((found.loc[name, "low"] - 0.01 <= chance) & (chance <= found.loc[name, "high"] + 0.01))
    assert np.mean(inside) >= 0.9
