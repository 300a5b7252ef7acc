import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from grn._core.errors import ExpressionError, GeneOverlapError, ParameterError
from grn.models._training_cells import cell_sets, hold_out

GENES = [f"G{i:02d}" for i in range(60)]
VOCABULARY = {gene: i for i, gene in enumerate(reversed(GENES))}
FORMS = [np.asarray, sp.csr_matrix, sp.csc_matrix, sp.csr_array]
ROWS = np.arange(30)


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(2.0, size=(30, 60)).astype(np.float32)


def logged(counts):
    return np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))


def one(adata, **given):
    (found,) = cell_sets(adata, VOCABULARY, **{"min_genes": 5} | given)
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["counts", "log"])
def test_all_forms_give_the_same_set(make_adata, counts, form, kind):
    cells = one(make_adata(form(counts if kind == "counts" else logged(counts))))
    assert cells.X.format == "csr"
    assert cells.X.dtype == np.float32
    assert cells.tokens.tolist() == list(range(60)), "columns come in vocabulary order"
    np.testing.assert_allclose(cells.X.toarray(), logged(counts)[:, ::-1], rtol=1e-5)
    np.testing.assert_allclose(cells.mean, logged(counts).mean(0)[::-1], rtol=1e-5)
    np.testing.assert_allclose(cells.std, logged(counts).std(0)[::-1], rtol=1e-5)
    np.testing.assert_allclose(cells.detection, (counts > 0).mean(0)[::-1], rtol=1e-6)
    assert cells.names[3] == "cell3"


def test_normalisation_counts_the_genes_outside_the_vocabulary(make_adata, counts):
    (cells,) = cell_sets(make_adata(counts), {g: i for i, g in enumerate(GENES[:20])}, min_genes=5)
    np.testing.assert_allclose(cells.X.toarray(), logged(counts)[:, :20], rtol=1e-5)


def test_z_scores_are_standardised_and_clipped(make_adata, counts):
    cells = one(make_adata(counts))
    columns = np.array([5, 0, 59])
    z = cells.z(ROWS, columns, -10, 10)
    assert z.dtype == np.float32
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(0), 1, rtol=1e-5)
    assert np.abs(cells.z(ROWS, columns, -0.5, 0.25)).max() == 0.5
    np.testing.assert_array_equal(cells.z(ROWS[[4, 2]], columns, -10, 10), z[[4, 2]])


@given(genes=st.permutations(range(60)), cells=st.permutations(range(12)))
@settings(max_examples=15, deadline=None)
def test_the_order_of_genes_changes_nothing(genes, cells):
    import anndata as ad

    counts = np.random.default_rng(0).poisson(2.0, size=(12, 60)).astype(np.float32)
    adata = ad.AnnData(counts, var=pd.DataFrame(index=GENES), obs=pd.DataFrame(index=[f"c{i}" for i in range(12)]))
    first, second = one(adata), one(adata[cells][:, genes].copy())
    assert second.tokens.tolist() == first.tokens.tolist()
    np.testing.assert_allclose(second.X.toarray(), first.X.toarray()[cells], rtol=1e-5)
    np.testing.assert_allclose(second.mean, first.mean, rtol=1e-6)
    np.testing.assert_allclose(second.std, first.std, rtol=1e-5)


def test_a_view_gives_what_its_copy_gives(make_adata, counts):
    view = make_adata(counts)[5:25, 10:50]
    assert view.is_view
    np.testing.assert_array_equal(one(view).X.toarray(), one(view.copy()).X.toarray())


def test_symbols_of_align_genes_go_before_the_names(make_adata, counts):
    adata = make_adata(counts, genes=[f"ENSG{i:011d}" for i in range(60)])
    symbols = pd.Series(GENES, index=adata.var_names)
    symbols.iloc[3] = ""
    adata.var["grn_symbol"] = symbols
    assert one(adata).tokens.tolist() == [i for i in range(60) if i != VOCABULARY["G03"]]
    adata.var["grn_symbol"] = symbols.astype("category")
    assert len(one(adata).tokens) == 59


def test_genes_that_do_not_vary_are_left_out(make_adata, counts):
    values = logged(counts)
    values[:, 7], values[:, 9] = 0.0, 1.25
    cells = one(make_adata(values))
    assert len(cells.tokens) == 58
    assert not {VOCABULARY["G07"], VOCABULARY["G09"]} & set(cells.tokens)


def test_names_of_the_sets(make_adata, counts):
    a, b = make_adata(counts), make_adata(counts[:20])
    for adatas, names in (({"x": a, "y": b}, ["x", "y"]), ([a, b], ["set0", "set1"]), ((a,), ["set0"]), (a, ["set0"])):
        assert [c.name for c in cell_sets(adatas, VOCABULARY, min_genes=5)] == names


@pytest.mark.parametrize(("value", "kind"), [(-0.5, "scaled"), (np.nan, "nan"), (np.inf, "nan")])
def test_values_that_are_no_expression_are_refused(make_adata, counts, value, kind):
    counts[2, 2] = value
    with pytest.raises(ExpressionError, match=rf"'heart' is {kind}.*check_expression"):
        cell_sets({"heart": make_adata(counts)}, VOCABULARY)


def test_no_cells_are_refused(make_adata, counts):
    with pytest.raises(ExpressionError, match="empty"):
        cell_sets(make_adata(counts)[:0], VOCABULARY)


def test_an_object_without_a_matrix_is_refused():
    import anndata as ad

    with pytest.raises(ExpressionError, match="no matrix"):
        cell_sets(ad.AnnData(var=pd.DataFrame(index=GENES), obs=pd.DataFrame(index=["a", "b"])), VOCABULARY)


def test_too_little_overlap_is_refused(make_adata, counts):
    with pytest.raises(GeneOverlapError, match=r"'set0' shares no gene name.*align_genes"):
        cell_sets(make_adata(counts, genes=[f"ENSG{i}" for i in range(60)]), VOCABULARY)
    with pytest.raises(GeneOverlapError, match=r"has 60 varying genes .*at least 200"):
        cell_sets(make_adata(counts), VOCABULARY)


@pytest.mark.parametrize("bad", [None, 3, "cells.h5ad", np.zeros((3, 3)), ["cells.h5ad"], {"a": 3}, [], {}])
def test_other_containers_are_refused(bad):
    with pytest.raises(ParameterError, match="AnnData"):
        cell_sets(bad, VOCABULARY)


def test_hold_out_splits_by_name(make_adata, counts):
    cells = one(make_adata(counts))
    train, held = hold_out(cells, 0.3)
    assert 0 < len(held.names) < 20
    assert sorted([*train.names, *held.names]) == sorted(cells.names)
    np.testing.assert_allclose(train.mean, train.X.toarray().mean(0), rtol=1e-5)
    for part in (train, held):
        np.testing.assert_array_equal(part.mean, train.mean)
        np.testing.assert_array_equal(part.tokens, train.tokens)
        rows = [list(cells.names).index(n) for n in part.names]
        np.testing.assert_array_equal(part.X.toarray(), cells.X[rows].toarray())


def test_hold_out_does_not_depend_on_the_order_of_cells(make_adata, counts):
    adata = make_adata(counts)
    order = np.random.default_rng(1).permutation(30)
    (a, b), (c, d) = (hold_out(one(x), 0.3) for x in (adata, adata[order].copy()))
    assert set(a.names) == set(c.names)
    assert set(b.names) == set(d.names)
    np.testing.assert_allclose(a.mean, c.mean, rtol=1e-6)
    rows = [list(c.names).index(n) for n in a.names]
    np.testing.assert_array_equal(a.X.toarray(), c.X[rows].toarray())


def test_hold_out_grows_with_the_fraction(make_adata, counts):
    cells = one(make_adata(counts))
    small, large = (set(hold_out(cells, f)[1].names) for f in (0.2, 0.5))
    assert small < large


@pytest.mark.parametrize("fraction", [0.0, 1e-9, 1.0])
def test_nothing_to_split_leaves_all_cells_for_training(make_adata, counts, fraction):
    cells = one(make_adata(counts))
    train, held = hold_out(cells, fraction)
    assert train is cells
    assert held.X.shape == (0, 60)
    assert len(held.names) == 0


def test_a_gene_that_varies_only_in_held_out_cells_is_left_out(make_adata, counts):
    names = [f"cell{i}" for i in range(30)]
    held = hold_out(one(make_adata(counts)), 0.3)[1].names
    values = logged(counts)
    values[:, 0] = 0.0
    values[names.index(held[0]), 0] = 2.0
    train, held = hold_out(one(make_adata(values)), 0.3)
    assert VOCABULARY["G00"] not in train.tokens
    assert train.X.shape[1] == held.X.shape[1] == 59 == len(train.std) == len(held.detection)
    assert (train.std > 0).all()


@pytest.mark.parametrize("form", FORMS)
def test_features_that_are_no_genes_take_no_part(make_adata, counts, form):
    more = np.hstack([counts, 50 * counts[:, :3]])
    joined = make_adata(form(more), genes=[*GENES, "P1", "P2", "P3"])
    joined.var["feature_types"] = ["Gene Expression"] * 60 + ["Peaks"] * 3
    found, wanted = one(joined), one(make_adata(counts))
    np.testing.assert_allclose(found.X.toarray(), wanted.X.toarray(), rtol=1e-6)


def test_the_user_says_what_the_values_are(make_adata, counts):
    np.testing.assert_allclose(one(make_adata(counts), values="log").X.toarray(), counts[:, ::-1])
