"""Objects with permuted copies of regulators, and parts of objects."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grn
from grn.trust.frozen import blocks_of, freeze


@pytest.fixture
def adata():
    made = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=5)
    made.obsp["grn_smooth"] = sparse.csr_matrix(np.full((60, 60), 1 / 60, dtype=np.float32))
    made.obsm["X_two"] = np.arange(120.0).reshape(60, 2)
    return made


def frozen_of(adata):
    return freeze(adata, list(adata.var_names), layer="counts", use_raw=False)


def test_values_are_normalised_over_all_genes_and_stay_sparse(adata):
    found = freeze(adata, ["SPI1", "GATA1"], layer="counts", use_raw=False)
    assert sparse.issparse(found.values) and list(found.names) == ["GATA1", "SPI1"]
    assert np.allclose(found.values.toarray(), adata[:, ["GATA1", "SPI1"]].X.toarray(), atol=1e-6)


def test_copies_stand_beside_the_genes(adata):
    found, names = frozen_of(adata), list(adata.var_names)
    order = blocks_of(adata.obs, "group").order(0, "a")
    made = found.permuted([{"SPI1": "s", "TAL1": "t"}], [order])
    assert list(made.var_names) == [*names, "s", "t"]
    assert np.allclose(made[:, names].X.toarray(), adata.X.toarray(), atol=1e-6)
    assert np.array_equal(made[:, ["s", "t"]].X.toarray(), made[order, ["SPI1", "TAL1"]].X.toarray())
    assert (adata.obs["group"].to_numpy()[order] == adata.obs["group"].to_numpy()).all()
    assert sorted(order) == list(range(60)) and (order != np.arange(60)).any()


def test_copies_with_an_order_each(adata):
    found, blocks = frozen_of(adata), blocks_of(adata.obs, None)
    order = np.column_stack([blocks.order(0, "a", name) for name in ("SPI1", "TAL1")])
    made = found.permuted([{"SPI1": "s", "TAL1": "t"}], [order])
    for k, (alias, name) in enumerate((("s", "SPI1"), ("t", "TAL1"))):
        assert np.array_equal(made[:, alias].X.toarray(), made[order[:, k], name].X.toarray())


def test_orders_and_draws_follow_the_names_of_cells(adata):
    moved = adata[np.random.default_rng(0).permutation(60)].copy()
    names = [[str(n) for n in a.obs_names] for a in (adata, moved)]
    one, two = (blocks_of(a.obs, "group") for a in (adata, moved))
    pairs = [dict(zip(n, np.array(n)[b.order(3, "a")], strict=True)) for n, b in zip(names, (one, two), strict=True)]
    assert pairs[0] == pairs[1]
    drawn = [{n[r] for r in b.draw(0.5, 3, n, "b")} for n, b in zip(names, (one, two), strict=True)]
    assert drawn[0] == drawn[1] and len(drawn[0]) == 30
    assert adata[list(drawn[0])].obs["group"].value_counts().tolist() == [15, 15]


def test_numbers_become_bins_of_like_size(adata):
    adata.obs["depth"] = np.random.default_rng(0).random(60)
    sets = [rows for _, rows in blocks_of(adata.obs, "group", "depth").members]
    assert [len(rows) for rows in sets] == [10] * 6
    for rows in sets:
        assert adata.obs["group"].iloc[rows].nunique() == 1
    depths = adata.obs["depth"].to_numpy()
    first = [rows for rows in sets if (adata.obs["group"].iloc[rows] == "group_1").all()]
    bounds = sorted((depths[rows].min(), depths[rows].max()) for rows in first)
    assert all(a[1] < b[0] for a, b in pairwise(bounds))


def test_parts_carry_what_belongs_to_their_cells(adata):
    rows = np.arange(0, 60, 3)
    part = frozen_of(adata).part(rows)
    assert np.allclose(part.obsp["grn_smooth"].sum(axis=1), 1) and part.obsp["grn_smooth"].shape == (20, 20)
    assert np.array_equal(part.obsm["X_two"], adata.obsm["X_two"][rows])
    pd.testing.assert_frame_equal(part.obs, adata.obs.iloc[rows])
    assert "truth" in part.uns
