"""Edges of methods that were given a base GRN with regions say in which region the evidence is."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn.methods import METHODS, Method

PAIR = ["source", "target"]


@pytest.fixture
def adata():
    return grn.datasets.toy(n_cells=80, n_regulators=4, n_targets=8)


@pytest.fixture
def base(adata):
    """All pairs of a regulator and a target, each in three regions, of which the second has the highest score."""
    sources = [str(name) for name in adata.var_names[adata.var["is_regulator"]]]
    targets = [str(name) for name in adata.var_names[~adata.var["is_regulator"]]]
    rows = [
        (source, target, f"chr1:{100 * k}-{100 * k + 50}", float(5 - abs(k - 2) - 0.1 * number))
        for number, (source, target) in enumerate((s, t) for s in sources for t in targets)
        for k in (1, 2, 3)
    ]
    return pd.DataFrame(rows, columns=[*PAIR, "region", "score"])


@pytest.mark.parametrize("method", ["ridge", "correlation", "celloracle"])
@pytest.mark.parametrize("groupby", [None, "group"])
def test_edges_name_the_strongest_region(adata, base, method, groupby):
    shuffled = base.sample(frac=1, random_state=0)
    grn.tl.infer_network(adata, method=method, groupby=groupby, params={"base_grn": shuffled})
    edges = adata.uns["grn"]["edges"]
    assert set(edges["region"]) == {"chr1:200-250"} and len(edges) > 10
    assert not edges.duplicated([*PAIR, "group"] if groupby else PAIR).any()
    assert set(edges["direction"]) == {"motif"}
    assert list(grn.get.edges(adata)["region"]) == list(grn.get.network(adata).edges["region"])


def test_without_scores_the_first_region_by_name(adata, base):
    grn.tl.infer_network(adata, method="ridge", params={"base_grn": base[::-1].drop(columns="score")})
    assert set(adata.uns["grn"]["edges"]["region"]) == {"chr1:100-150"}


def test_without_regions_there_is_no_column(adata, base):
    for table in (None, base[PAIR]):
        grn.tl.celloracle(adata, base_grn=table)
        assert "region" not in adata.uns["celloracle"]["edges"] and "triplets" not in adata.uns["celloracle"]


def test_celloracle_lists_all_triplets_of_its_edges(adata, base, tmp_path):
    grn.tl.celloracle(adata, base_grn=base, groupby="group")
    result = adata.uns["celloracle"]
    pairs = set(result["edges"][PAIR].astype(str).itertuples(index=False, name=None))
    expected = base[[pair in pairs for pair in base[PAIR].itertuples(index=False, name=None)]]
    listed = result["triplets"].astype(dict.fromkeys([*PAIR, "region"], str))
    order = [*PAIR, "region"]
    pd.testing.assert_frame_equal(
        listed.sort_values(order, ignore_index=True), expected.sort_values(order, ignore_index=True)
    )
    first = listed.drop_duplicates(PAIR)
    assert set(first["region"]) == {"chr1:200-250"}, "the strongest of a pair comes first"
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad").uns["celloracle"]
    pd.testing.assert_frame_equal(again["triplets"], result["triplets"])
    assert list(again["edges"]["region"]) == list(result["edges"]["region"])


def test_the_name_that_a_method_gives_itself_stays(adata, base):
    def fit(group):
        s, t = group.names[group.sources[0]], group.names[group.targets[-1]]
        return pd.DataFrame({"source": [s], "target": [t], "weight": [1.0], "region": ["chr2:1-9"]})

    record = Method(
        "own_region", fit, "", signed=False, probability=False, reference="", needs=("cells",), takes_prior=True
    )
    METHODS.add("own_region", record)
    try:
        grn.tl.infer_network(adata, method="own_region", params={"base_grn": base})
    finally:
        del METHODS._records["own_region"]
    assert list(adata.uns["grn"]["edges"]["region"]) == ["chr2:1-9"]


def test_what_follows_takes_such_networks(adata, base):
    for name in ("one", "two"):
        grn.tl.infer_network(adata, method="ridge", params={"base_grn": base}, groupby="group", key_added=name)
    grn.tl.confidence(adata, net="one", n_permutations=5, n_subsamples=2, params={"base_grn": base})
    edges = adata.uns["one"]["edges"]
    assert {"region", "qval"} <= set(edges) and set(edges["region"]) == {"chr1:200-250"}
    grn.tl.consensus(adata, nets=["one", "two"], key_added="both")
    assert np.isfinite(adata.uns["both"]["edges"]["weight"]).all()
    grn.tl.regulons(adata, key="two", group="group_1", min_targets=1)
