"""Simulated knock-outs against measured ones of a planted dynamic: feedback, indirect effects, a hidden confounder."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

import grn


def agreement(way: str, *, confounder: float) -> tuple[float, float]:
    """Mean correlation over genes of predicted and measured effects of all knock-outs, and that of co-expression."""
    adata = grn.datasets.toy_perturbation(n_cells=100, n_times=8, confounder=confounder)
    truth = adata.uns["truth"]
    control = adata[adata.obs["perturbation"] == "control"].copy()
    grn.Network(truth).write(control)
    late = adata[adata.obs["time"] == adata.obs["time"].max()]
    means = late.to_df().groupby(late.obs["perturbation"].astype(str)).mean()
    together = control.to_df().corr()
    found, floor = [], []
    for gene in sorted(set(truth["source"]) & set(means.index)):
        run = {"mode": "steady", "coefficients": way, "alpha": 1.0}
        grn.tl.simulate(control, perturbation={gene: 0}, **run)
        effects = control.uns["simulation"]["effects"].set_index("gene")["effect"]
        others = adata.var_names.drop(gene)
        measured = (means.loc[gene] - means.loc["control"])[others]
        found.append(np.corrcoef(effects.reindex(others).fillna(0), measured)[0, 1])
        floor.append(np.corrcoef(-together.loc[gene, others], measured)[0, 1])
    return float(np.mean(found)), float(np.mean(floor))


def test_the_true_coefficients_predict_knock_outs():
    found, floor = agreement("weight", confounder=0.0)
    assert found > 0.95 > floor


def test_refitted_ones_beat_co_expression():
    found, floor = agreement("refit", confounder=0.0)
    assert found > floor + 0.1


@pytest.mark.parametrize("confounder", [0.6])
def test_a_hidden_confounder_is_what_refitting_cannot_see(confounder):
    assert agreement("refit", confounder=confounder)[0] < agreement("weight", confounder=confounder)[0] - 0.2


@pytest.mark.slow
def test_p_values_are_uniform_where_the_network_knows_nothing():
    found = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        place = random.normal(size=(120, 2))
        x = np.maximum(random.normal(2, 0.5, size=(120, 40)) + 0.3 * place @ random.normal(size=(2, 40)), 0)
        names = [f"G{i}" for i in range(40)]
        adata = ad.AnnData(x.astype(np.float32), var=pd.DataFrame(index=names))
        adata.obs_names = [f"cell_{i}" for i in range(120)]
        adata.obsm["X_map"], adata.obs["time"] = place, place[:, 0]
        edges = pd.DataFrame({"source": "G0", "target": names[1:], "weight": random.normal(scale=0.2, size=39)})
        grn.Network(edges).write(adata)
        grn.tl.simulate(
            adata, perturbation={"G0": 0}, coefficients="weight", basis="X_map", pseudotime="time", n_neighbors=20,
            rng=seed, progress=False,
        )  # fmt: skip
        found.append(adata.uns["simulation"]["groups"].loc[0, ["p_shift", "p_score"]])
    values = np.array(found, dtype=float)
    for level in (0.05, 0.2, 0.5):
        low, high = binom.interval(0.999, 60, level)
        assert ((values <= level).sum(axis=0) >= low).all() and ((values <= level).sum(axis=0) <= high).all()
