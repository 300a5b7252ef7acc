"""Numbers of numpy are taken wherever those of Python are; numbers that nothing can be done with are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import ParameterError


@pytest.fixture(scope="module")
def adata():
    data = grn.datasets.toy(n_cells=60, n_regulators=6, n_targets=16)
    known = set(grn.models.load("mini").genes)
    data = data[:, [gene for gene in data.var_names if gene in known]].copy()
    grn.tl.vvp(data, sources=list(data.var_names[:2]), targets=list(data.var_names[4:8]))
    grn.tl.infer_network(data, method="correlation")
    return data


def test_a_batch_size_of_numpy_gives_what_that_of_python_gives(adata):
    sources = list(adata.var_names[:2])
    own, numpys = (grn.tl.vvp(adata, sources=sources, batch_size=size, copy=True) for size in (4, np.int64(4)))
    assert np.array_equal(own.varm["vvp"], numpys.varm["vvp"], equal_nan=True)


def test_a_batch_size_beyond_all_cells_is_all_of_them(adata):
    sources = list(adata.var_names[:2])
    own, huge = (grn.tl.vvp(adata, sources=sources, batch_size=size, copy=True) for size in (None, 10**30))
    np.testing.assert_allclose(own.varm["vvp"], huge.varm["vvp"], atol=1e-5)


def test_stores_are_continued_with_numbers_of_numpy(adata, tmp_path):
    sources = list(adata.var_names[:2])
    for size in (4, np.int64(4)):
        done = grn.tl.vvp(adata, sources=sources, batch_size=size, store=tmp_path / "store", copy=True)
        assert "vvp" in done.uns


def test_confidence_takes_numbers_of_numpy(adata, tmp_path):
    own, numpys = (
        grn.tl.confidence(adata, n_permutations=whole(3), n_subsamples=whole(3), fraction=share(0.5), top=whole(5),
                          cache=tmp_path / "cache", copy=True).uns["grn"]["edges"]
        for whole, share in ((int, float), (np.int64, np.float32))
    )  # fmt: skip
    pd.testing.assert_frame_equal(own, numpys)


def test_data_and_cells_take_numbers_of_numpy(adata):
    toy = grn.datasets.toy(n_cells=np.int32(20), dropout=np.float32(0.25))
    assert (toy.X != grn.datasets.toy(n_cells=20, dropout=0.25).X).nnz == 0
    grn.pp.align_genes(adata, min_overlap=np.float32(0.25), copy=True)
    sources, targets = list(adata.var_names[:2]), list(adata.var_names[4:6])
    model = grn.models.untrained("scgpt", genes=[*sources, *targets], layers=1, width=8, heads=2)
    grn.tl.attention(adata, model=model, sources=sources, targets=targets, max_cells=np.int64(2), copy=True)
    assert grn.get.network(adata).regulons(min_targets=np.int64(1))


def test_translators_are_fitted_with_numbers_of_numpy(adata):
    labels = pd.DataFrame({"source": np.repeat(adata.var_names[:2], 4), "target": np.tile(adata.var_names[4:8], 2)})
    labels["label"] = [1, 0, 1, 0, 0, 1, 0, 1]
    own, numpys = (
        grn.tl.fit_translator(adata, labels, hidden=(whole(4),), members=whole(1), epochs=whole(2),
                              validation=share(0.5))
        for whole, share in ((int, float), (np.int64, np.float32))
    )  # fmt: skip
    assert own.config.hidden == numpys.config.hidden
    assert own.sha256 == numpys.sha256


@pytest.mark.parametrize("name", ["validation", "lr", "weight_decay", "batch_size", "members", "epochs", "patience"])
@pytest.mark.parametrize("value", ["3", None, [1], np.nan, np.inf, True, 10**30, -1])
def test_what_no_translator_can_be_fitted_with_is_refused(adata, name, value):
    if value == 10**30 and name in {"lr", "weight_decay"}:
        pytest.skip("a number, if a large one")
    labels = pd.DataFrame({"source": list(adata.uns["vvp"]["sources"]), "target": list(adata.var_names[4:6])})
    with pytest.raises(ParameterError, match=name):
        grn.tl.fit_translator(adata, labels, **{name: value})


@pytest.mark.parametrize("name", ["n_permutations", "n_subsamples"])
def test_more_repeats_than_can_be_counted_are_refused(adata, name):
    with pytest.raises(ParameterError, match=name):
        grn.tl.confidence(adata, **{name: 10**30})
    with pytest.raises(ParameterError, match="n_bags"):
        grn.tl.celloracle(adata, n_bags=10**30)


def test_parameters_of_models_take_numbers_of_numpy(tmp_path):
    path = tmp_path / "model"
    grn.models.save(grn.models.untrained("geneformer", genes=list(grn.datasets.toy(n_cells=2).var_names)), path)
    own, numpys = (grn.models.load(path, params={"layer": whole(-1)}) for whole in (int, np.int64))
    assert own.sha256 == numpys.sha256
