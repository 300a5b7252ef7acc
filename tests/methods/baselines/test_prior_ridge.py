"""Ridge with a prior: what a good one gives, that a bad one takes nothing, and which priors are read or refused."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.metrics import average_precision_score

import grn
from grn._core.logging import HINT
from grn.errors import GeneOverlapError, GroupError, NetworkError, ParameterError, ResultNotFoundError

REGULATORS, TARGETS = 40, 100
KEYS = ["source", "target"]


def confounded(n_cells=250, seed=0):
    """Cells whose regulators follow common programs, which move the targets too; in varm the planted edges."""
    random = np.random.default_rng(seed)
    programs = random.normal(size=(n_cells, 5))
    activity = programs @ random.normal(size=(5, REGULATORS)) * 0.5 + random.normal(size=(n_cells, REGULATORS))
    planted = np.zeros((TARGETS, REGULATORS))
    for row in planted:
        chosen = random.choice(REGULATORS, int(random.integers(1, 4)), replace=False)
        row[chosen] = random.choice([-1, 1], len(chosen)) * random.uniform(0.3, 0.8, len(chosen))
    target = activity @ planted.T + programs @ random.normal(size=(5, TARGETS)) * 0.5
    rates = np.hstack([activity, target + random.normal(size=target.shape)])
    rates = np.exp(0.8 * (rates - rates.mean(axis=0)) / rates.std(axis=0) + random.normal(0.7, 0.5, rates.shape[1]))
    X = np.log1p(random.poisson(rates)).astype(np.float32)
    adata = AnnData(X, obs=pd.DataFrame(index=[f"c{k}" for k in range(n_cells)]))
    adata.var_names = [*(f"R{k}" for k in range(REGULATORS)), *(f"T{k}" for k in range(TARGETS))]
    adata.var["is_regulator"] = np.arange(adata.n_vars) < REGULATORS
    return adata, planted != 0


def listed(mask):
    """A table of the pairs of a mask (T, S)."""
    target, source = np.nonzero(mask)
    return pd.DataFrame({"source": [f"R{k}" for k in source], "target": [f"T{k}" for k in target]})


def prior_of(kind, planted, seed=0):
    random = np.random.default_rng(seed)
    size = int(planted.sum())
    if kind == "good":  # seven of ten edges, and as many that are none
        mask = planted & (random.random(planted.shape) < 0.7)
        mask.flat[random.choice(planted.size, int(0.7 * size), replace=False)] = True
        return mask
    mask = np.zeros_like(planted)
    among = np.arange(planted.size) if kind == "random" else np.flatnonzero(~planted)
    mask.flat[random.choice(among, int(1.4 * size), replace=False)] = True
    return mask


def inferred(adata, method="prior_ridge", **params):
    targets = [name for name in adata.var_names if name.startswith("T")] or None
    grn.tl.infer_network(adata, method=method, params=params, targets=targets)
    return adata.uns["grn"]["edges"].astype(dict.fromkeys(KEYS, str)).set_index(KEYS).sort_index()


def precision(edges, planted):
    wide = edges["weight"].abs().unstack("source")
    wide = wide.loc[[f"T{k}" for k in range(TARGETS)], [f"R{k}" for k in range(REGULATORS)]]
    return average_precision_score(planted.ravel(), wide.to_numpy().ravel())


@pytest.fixture(scope="module")
def simulated():
    return [confounded(seed=seed) for seed in range(3)]


def test_a_good_prior_and_the_cells_know_more_than_either(simulated):
    for seed, (adata, planted) in enumerate(simulated):
        mask = prior_of("good", planted, seed)
        both = precision(inferred(adata, prior=listed(mask)), planted)
        assert adata.uns["grn"]["params"]["strength"]["all"] > 0
        alone = [average_precision_score(planted.ravel(), mask.ravel().astype(float))]
        alone += [precision(inferred(adata, method), planted) for method in ("ridge", "correlation", "prior_ridge")]
        assert both > max(alone) + 0.05


@pytest.mark.parametrize("kind", ["random", "wrong"])
def test_a_bad_prior_is_turned_off_and_costs_little(simulated, kind, caplog):
    for seed, (adata, planted) in enumerate(simulated):
        without = precision(inferred(adata), planted)
        caplog.clear()
        with caplog.at_level(HINT, "grn"):
            found = precision(inferred(adata, prior=listed(prior_of(kind, planted, seed))), planted)
        assert found > without - 0.01
        if adata.uns["grn"]["params"]["strength"]["all"] == 0:
            assert "do not support the prior" in caplog.text
    strengths = adata.uns["grn"]["params"]["strength"]
    assert strengths["all"] == 0


def test_what_was_chosen_is_recorded(simulated):
    adata, planted = simulated[0]
    inferred(adata, prior=listed(prior_of("good", planted)))
    params = adata.uns["grn"]["params"]
    assert params["prior"] == "given" and params["alpha"]["all"] > 0 and params["evidence_gain"]["all"] > 3
    assert params["floor"] == 0.05


def test_without_a_prior_it_is_ridge_with_another_penalty(simulated, caplog):
    adata, _ = simulated[0]
    with caplog.at_level(HINT, "grn"):
        found = inferred(adata)
    assert "without prior=" in caplog.text
    alpha = adata.uns["grn"]["params"]["alpha"]["all"]
    pd.testing.assert_frame_equal(found, inferred(adata, "ridge", alpha=alpha), rtol=0, atol=1e-12)


@pytest.mark.parametrize("strength", [0.0, 1.0, None])
def test_a_flat_prior_is_ridge(simulated, strength):
    adata, planted = simulated[0]
    flat = listed(np.ones_like(planted)).assign(probability=0.4)
    found = inferred(adata, prior=flat, alpha=0.3, strength=strength)
    ridge = inferred(adata, "ridge", alpha=0.3)
    # whatever it weighs, the prior tells the direction of what it lists; ridge has the list of regulators alone
    assert (found.pop("direction") == "prior").all() and (ridge.pop("direction") == "role").all()
    pd.testing.assert_frame_equal(found, ridge, rtol=0, atol=1e-9)


def test_a_listed_edge_is_shrunk_less_and_weighs_more(simulated):
    adata, planted = simulated[0]
    mask = prior_of("good", planted)
    found = inferred(adata, prior=listed(mask), alpha=1.0, strength=1.0)
    plain = inferred(adata, prior=listed(mask), alpha=1.0, strength=0.0)
    keys = pd.MultiIndex.from_frame(listed(mask))
    ratio = (found["score"] / plain["score"]).abs()
    assert ratio[keys].median() > 2 > 1 > ratio[~ratio.index.isin(keys)].median()
    # change of the target per unit of the regulator: from the coefficient, which is no more than the weight
    scale = pd.Series(adata.X.std(axis=0), adata.var_names)
    source, target = (found.index.get_level_values(name) for name in KEYS)
    coefficient = found["score"].to_numpy() * scale[source].to_numpy() / scale[target].to_numpy()
    weight = found["weight"].to_numpy()
    assert (np.abs(coefficient) <= np.abs(weight) + 1e-6).all() and (np.sign(coefficient) == np.sign(weight)).all()
    outside = ~found.index.isin(keys)
    np.testing.assert_allclose(coefficient[outside], weight[outside], atol=1e-6)


def test_every_form_of_a_prior_gives_the_same(simulated):
    adata, planted = simulated[0]
    adata = adata.copy()
    table = listed(prior_of("good", planted)).assign(probability=0.8)
    wanted = inferred(adata, prior=table)
    network = grn.Network(table.rename(columns={"probability": "weight"}))
    network.write(adata, "known")
    signed = table.rename(columns={"probability": "weight"})
    signed.loc[::2, "weight"] *= -1
    forms = [network, "known", signed, table.rename(columns={"probability": "score"})]
    forms += [table.assign(weight=7.0, score=-3.0), table.sample(frac=1, random_state=0)]
    forms += [pd.concat([table, table.assign(probability=0.1)])]
    for prior in forms:
        pd.testing.assert_frame_equal(inferred(adata, prior=prior), wanted, rtol=0, atol=1e-12)
    bare = inferred(adata, prior=table[KEYS])
    pd.testing.assert_frame_equal(bare, inferred(adata, prior=table.assign(probability=1.0)))


def test_a_prior_of_groups_serves_each_group_its_own(simulated):
    adata, planted = simulated[0]
    adata = adata.copy()
    adata.obs["kind"] = np.where(np.arange(adata.n_obs) % 2, "a", "b")
    good, bad = (listed(prior_of(kind, planted)) for kind in ("good", "wrong"))
    prior = pd.concat([good.assign(group="a"), bad.assign(group="b")], ignore_index=True)
    params = {"prior": prior, "alpha": 1.0, "strength": 1.0}
    grn.tl.infer_network(adata, method="prior_ridge", groupby="kind", params=params)
    found = grn.get.edges(adata)
    for group, table in (("a", good), ("b", bad)):
        part = adata[adata.obs["kind"] == group].copy()
        grn.tl.infer_network(part, method="prior_ridge", params={**params, "prior": table})
        one = found[found["group"] == group].astype(dict.fromkeys(KEYS, str)).set_index(KEYS)["weight"]
        two = grn.get.edges(part).astype(dict.fromkeys(KEYS, str)).set_index(KEYS)["weight"]
        pd.testing.assert_series_equal(one.sort_index(), two.sort_index(), rtol=0, atol=1e-9)
    merged = prior.drop(columns="group").drop_duplicates()
    together = inferred(adata, **params)
    pd.testing.assert_frame_equal(together, inferred(adata, **{**params, "prior": merged}))
    low = pd.concat([good.assign(group="a", probability=0.9), good.assign(group="b", probability=0.3)])
    high = inferred(adata, **{**params, "prior": good.assign(probability=0.9)})
    pd.testing.assert_frame_equal(inferred(adata, **{**params, "prior": low}), high)
    with pytest.raises(GroupError, match="no edges for 1 groups of 'kind': b"):
        grn.tl.infer_network(adata, method="prior_ridge", groupby="kind", params={"prior": good.assign(group="a")})


EDGE = pd.DataFrame({"source": ["R1", "R2"], "target": ["T1", "T2"]})
WRONG = [
    (3, ParameterError, "prior=3 is a int"),
    ("nothing", ResultNotFoundError, "nothing"),
    (EDGE.rename(columns={"source": "TF"}), NetworkError, r"lacks source; its columns are \['TF', 'target'\].*rename"),
    (EDGE[:0], NetworkError, "no rows"),
    (EDGE.assign(probability=[0.2, 1.5]), NetworkError, "'probability' of prior= has 1 of 2 .*1.5; expected 0 to 1"),
    (EDGE.assign(score=[-1.0, np.nan]), NetworkError, "'score' of prior= has 2 of 2"),
    (EDGE.assign(weight=[-1.0, 12.0]), NetworkError, "'weight' of prior= has 1 of 2 .*rank"),
    (EDGE.assign(probability=["high", "low"]), NetworkError, "no numbers"),
    (EDGE.assign(probability=0.0), NetworkError, "every edge the probability 0"),
    (EDGE.assign(source=["R1", None]), NetworkError, "missing"),
    (EDGE.replace({"R1": "X1", "R2": "X2", "T1": "Y1", "T2": "Y2"}), GeneOverlapError, "prior=: the object has 0 of"),
    (EDGE.rename(columns={"source": "target", "target": "source"}), GeneOverlapError, "none of the 2 edges of prior="),
]


@pytest.mark.parametrize(("prior", "error", "message"), WRONG)
def test_what_is_no_prior_is_refused_and_the_object_left(simulated, prior, error, message):
    adata = simulated[0][0].copy()
    adata.uns.pop("grn", None)
    with pytest.raises(error, match=message):
        inferred(adata, prior=prior)
    assert "grn" not in adata.uns


@pytest.mark.parametrize(
    "params", [{"alpha": 0.0}, {"strength": -1}, {"strength": 5}, {"strength": "1"}, {"floor": 0}, {"floor": 1.1}]
)
def test_numbers_out_of_range_are_refused(simulated, params):
    with pytest.raises(ParameterError, match=f"{next(iter(params))}="):
        inferred(simulated[0][0], prior=EDGE, **params)


def test_the_order_of_cells_and_genes_and_threads_do_not_matter(simulated):
    adata, planted = simulated[0]
    prior = listed(prior_of("good", planted))
    wanted = inferred(adata, prior=prior)
    random = np.random.default_rng(0)
    shuffled = adata[random.permutation(adata.n_obs), random.permutation(adata.n_vars)].copy()
    pd.testing.assert_frame_equal(inferred(shuffled, prior=prior), wanted, rtol=0, atol=1e-6)
    targets = [name for name in adata.var_names if name.startswith("T")]
    grn.tl.infer_network(adata, method="prior_ridge", params={"prior": prior}, targets=targets, n_jobs=2)
    two = adata.uns["grn"]["edges"].astype(dict.fromkeys(KEYS, str)).set_index(KEYS).sort_index()
    pd.testing.assert_frame_equal(two, wanted)


def test_forbidden_pairs_are_forbidden_whatever_the_prior_says(simulated):
    adata, planted = simulated[0]
    base = listed(planted)
    found = inferred(adata, prior=listed(prior_of("wrong", planted)), base_grn=base, strength=1.0)
    assert set(found.index) == set(pd.MultiIndex.from_frame(base))


def test_confidence_gives_permuted_copies_the_prior_of_their_regulators(simulated):
    adata, planted = simulated[0]
    adata = adata.copy()
    prior = listed(prior_of("good", planted))
    grn.Network(prior.assign(weight=1.0)).write(adata, "known")
    kept = {"n_permutations": 3, "n_subsamples": 2, "top": 20}
    tables = []
    for given in (prior, "known"):
        inferred(adata, prior=given)
        grn.tl.confidence(adata, params={"prior": prior} if given is prior else None, **kept)
        tables.append(grn.get.edges(adata))
    pd.testing.assert_frame_equal(*tables)
    assert (tables[0]["qval"] <= 0.1).any()
    inferred(adata, prior=prior)
    with pytest.raises(ParameterError, match="prior"):
        grn.tl.confidence(adata, **kept)
    grn.tl.infer_network(adata, method="prior_ridge", params={"prior": "known"}, key_added="known")
    with pytest.raises(ParameterError, match="written over the prior"):
        grn.tl.confidence(adata, net="known", **kept)


def test_cells_without_regulation_have_no_false_discoveries(simulated):
    """Under a prior that is used by force, most of what is found among pairs that are none stays out."""
    adata, planted = simulated[0]
    adata = adata.copy()
    random = np.random.default_rng(0)
    adata.X = np.stack([column[random.permutation(adata.n_obs)] for column in adata.X.T], axis=1)
    prior = listed(prior_of("good", planted))
    inferred(adata, prior=prior, strength=1.0)
    grn.tl.confidence(adata, params={"prior": prior}, n_permutations=10, n_subsamples=0)
    assert (grn.get.edges(adata)["qval"] <= 0.1).sum() <= 5
