"""Edges that differ between two conditions."""

from itertools import combinations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import CapabilityError, GeneNameError, GroupError, ParameterError
from grn.trust.design import design_of


def cells(seed=0, *, per_donor=40, donors=4, changed=0.0, between=0.0, paired=False, genes=12):
    """Donors of two conditions; R0 drives T0 (and, in condition b only, T1), and differs between donors."""
    random = np.random.default_rng(seed)
    rows, labels = [], []
    for d in range(2 * donors):
        shift = random.normal(size=genes) * between
        values = random.normal(size=(per_donor, genes)) + shift
        second = (np.arange(per_donor) % 2 == 1) if paired else np.full(per_donor, d >= donors)
        values[:, 3] += values[:, 0]
        values[second, 4] += changed * values[second, 0]
        rows.append(values)
        labels += [(f"d{d}", "b" if s else "a") for s in second]
    obs = pd.DataFrame(labels, columns=["donor", "state"], index=[f"c{i}" for i in range(len(labels))])
    names = [f"R{i}" for i in range(3)] + [f"T{i}" for i in range(genes - 3)]
    var = pd.DataFrame({"is_regulator": np.arange(genes) < 3}, index=names)
    return ad.AnnData((np.vstack(rows) + 12).astype(np.float32), obs=obs, var=var)


def table(adata, key="differential"):
    edges = adata.uns[key]["edges"]
    labels = [name for name in ("group", "source", "target") if name in edges]
    return edges.astype(dict.fromkeys(labels, str)).set_index(labels).sort_index()


def test_weights_are_those_of_two_networks():
    adata = cells(changed=1.0)
    assert grn.tl.differential(adata, condition="state", donor="donor", n_permutations=5) is None
    found = table(adata)
    for side, state in (("weight_a", "a"), ("weight_b", "b")):
        part = adata[adata.obs["state"] == state].copy()
        grn.tl.infer_network(part, method="correlation", key_added="own")
        assert np.allclose(found[side], table(part, "own").loc[found.index, "weight"], atol=1e-6)
    assert np.allclose(found["weight"], found["weight_b"] - found["weight_a"])
    assert found["weight"].abs().idxmax() == ("R0", "T1")
    record = adata.uns["differential"]
    assert record["schema"]["tested"] and record["schema"]["signed"] and record["params"]["design"] == "donors"
    assert list(record["params"]["conditions"]) == ["a", "b"] and record["params"]["n_donors"] == 8
    grn.tl.differential(adata, condition="state", conditions=("b", "a"), donor="donor", n_permutations=5)
    assert np.allclose(table(adata)["weight"], -found["weight"])


def test_exact_p_values_by_hand(caplog):
    adata = cells(donors=3, changed=1.0)
    with caplog.at_level("WARNING", logger="grn"):
        grn.tl.differential(adata, condition="state", donor="donor")
    assert "p is at least 1/10 = 0.1" in caplog.text
    found, params = table(adata), adata.uns["differential"]["params"]
    assert params["exact"] and params["n_relabellings"] == 9 and params["smallest_p"] == pytest.approx(0.1)
    null = []
    for chosen in combinations([f"d{i}" for i in range(6)], 3):
        second = adata.obs["donor"].isin(chosen).to_numpy()
        r = [np.corrcoef(adata.X[mask].T.astype(float))[0, 4] for mask in (second, ~second)]
        null.append(abs(r[0] - r[1]))
    real = abs(found.loc[("R0", "T1"), "weight"])
    assert found.loc[("R0", "T1"), "pval"] == pytest.approx(np.mean(np.array(null) >= real * (1 - 1e-5)))


@pytest.mark.parametrize(("a", "b", "paired", "ways"), [(3, 3, False, 10), (2, 4, False, 15), (5, 5, True, 2**9)])
def test_every_way_to_deal_out_conditions_comes_once(a, b, paired, ways):
    adata = cells(donors=(a + b) // 2, per_donor=20, paired=paired)
    if not paired:
        adata.obs["state"] = np.where(adata.obs["donor"].isin([f"d{i}" for i in range(a)]), "a", "b")
    design = design_of(adata, "state", None, "donor", None)
    found = design.relabellings(1000, 0)
    assert design.n_ways == ways and len(found) == ways - 1
    distinct = {label.tobytes() for label in [*found, design.second]}
    mirrored = {(~label).tobytes() for label in [*found, design.second]}
    assert len(distinct) == ways and (a != b or not distinct & mirrored)
    if not paired:
        assert all(pd.Series(label).groupby(adata.obs["donor"].to_numpy()).nunique().max() == 1 for label in found)
        assert {adata.obs["donor"][label].nunique() for label in found} <= {b}


def test_a_planted_difference_is_found_with_donors():
    adata = cells(donors=6, changed=1.0, between=0.5)
    grn.tl.differential(adata, condition="state", donor="donor", n_permutations=500)
    found = table(adata)
    assert found.loc[("R0", "T1"), "qval"] <= 0.1 and found["qval"].drop([("R0", "T1")]).min() > 0.05
    assert found.loc[("R0", "T0"), "pval"] > 0.05


def test_pairs_of_donors_and_pooling():
    adata = cells(donors=5, changed=1.0, between=0.5, paired=True)
    grn.tl.differential(adata, condition="state", donor="donor", n_permutations=100, pool="regulator")
    found, params = table(adata), adata.uns["differential"]["params"]
    assert params["design"] == "paired donors" and not params["exact"] and params["n_donors"] == 10
    assert found["pval"].idxmin() == ("R0", "T1") and found["pval"].min() < 1 / 101


def test_cells_are_no_replicates(caplog):
    """Donors that differ make differences between conditions; cells as units take them for real."""
    shares = {"donor": [], None: []}
    for seed in range(4):
        adata = cells(seed, donors=5, between=1.5, genes=30)
        for donor in shares:
            with caplog.at_level("WARNING", logger="grn"):
                grn.tl.differential(adata, condition="state", donor=donor, n_permutations=40)
            shares[donor].append((table(adata)["pval"] < 0.05).mean())
    assert "no replicates" in caplog.text
    assert np.mean(shares["donor"]) < 0.1 and np.mean(shares[None]) > 0.3


def test_groups(caplog):
    adata = cells(per_donor=60, changed=1.0)
    kinds = np.tile(["x", "y", "z"], 160)
    kinds[(kinds == "z") & (adata.obs["state"] == "a")] = "x"
    adata.obs["kind"] = pd.Categorical(kinds)
    with caplog.at_level("WARNING", logger="grn"):
        grn.tl.differential(adata, condition="state", donor="donor", groupby="kind", n_permutations=10)
    assert "z (0, 80)" in caplog.text
    assert sorted(set(adata.uns["differential"]["edges"]["group"])) == ["x", "y"]
    small = adata[::6].copy()
    with caplog.at_level("WARNING", logger="grn"):
        grn.tl.differential(small, condition="state", groupby="kind", n_permutations=10)
    assert "weights from fewer than 50 cells are noisy" in caplog.text


def test_orders_threads_forms_and_files(tmp_path, reread):
    adata = cells(changed=1.0)
    arguments = {"condition": "state", "method": "ridge", "params": {"alpha": 0.1}, "n_permutations": 6}
    for donor in ("donor", None):
        random = np.random.default_rng(1)
        moved = adata[random.permutation(adata.n_obs), random.permutation(adata.n_vars)].copy()
        expected = grn.tl.differential(adata, donor=donor, **arguments, n_jobs=1, copy=True)
        assert "differential" not in adata.uns
        adata.write_h5ad(tmp_path / "a.h5ad")
        backed, view = ad.read_h5ad(tmp_path / "a.h5ad", backed="r"), adata[:, :]
        for other in (moved, view, backed):
            grn.tl.differential(other, donor=donor, **arguments, n_jobs=2)
            pd.testing.assert_frame_equal(table(other), table(expected), atol=1e-5)
        backed.file.close()
    back = reread(expected)
    pd.testing.assert_frame_equal(table(back), table(expected))
    assert "donor" in back.uns["differential"]["params"]["unset"]


def test_differences_alone():
    adata = cells(donors=1)
    grn.tl.differential(adata, condition="state", donor="donor", n_permutations=0)
    assert "pval" not in table(adata) and not adata.uns["differential"]["schema"]["tested"]


def test_chosen_genes():
    adata = cells()
    adata.obs["third"] = np.where(np.arange(adata.n_obs) % 3 == 0, "c", adata.obs["state"])
    grn.tl.differential(
        adata, condition="third", conditions=("a", "b"), sources=["R0"], targets=["T1", "T2"], n_permutations=3
    )
    assert list(table(adata).index) == [("R0", "T1"), ("R0", "T2")]


@pytest.mark.parametrize(
    ("error", "arguments", "words"),
    [
        (GroupError, {"condition": "stat"}, "columns: donor, state"),
        (GroupError, {"conditions": ("a", "c")}, "'c'"),
        (ParameterError, {"conditions": ("a", "a")}, "two different"),
        (ParameterError, {"conditions": "ab"}, "two different"),
        (ParameterError, {"condition": "donor"}, "8 values"),
        (GroupError, {"donor": "mouse"}, "'mouse'"),
        (GroupError, {"donor": "one"}, "no other way"),
        (GroupError, {"donor": "holes"}, "have no value"),
        (GroupError, {"donor": "mixed"}, "keep either"),
        (GroupError, {"groupby": "kind"}, "'kind'"),
        (ParameterError, {"n_permutations": -1}, "n_permutations"),
        (ParameterError, {"pool": "all"}, "pool"),
        (ParameterError, {"method": "correlatio"}, "Did you mean"),
        (ParameterError, {"params": {"alpha": 1}}, "alpha"),
        (CapabilityError, {"method": "pert"}, "correlation"),
        (GeneNameError, {"sources": ["R9"]}, "R9"),
    ],
)
def test_bad_arguments(refuses, error, arguments, words):
    adata = cells()
    adata.obs["one"] = adata.obs["state"]
    adata.obs["holes"] = adata.obs["donor"].where(adata.obs["donor"] != "d1")
    adata.obs["mixed"] = adata.obs["donor"].where(adata.obs["donor"] != "d7", "d0")
    assert words in refuses(error, grn.tl.differential, adata, **{"condition": "state", **arguments})


def test_too_few_cells(refuses):
    adata = cells(per_donor=3, donors=3)
    assert "9, 9" in refuses(GroupError, grn.tl.differential, adata, condition="state")


def test_results_are_no_network_of_one_method(refuses):
    adata = cells()
    grn.tl.differential(adata, condition="state", n_permutations=3)
    assert "differential" in refuses(ParameterError, grn.tl.confidence, adata, net="differential")
