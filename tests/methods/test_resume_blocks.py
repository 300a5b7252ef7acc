"""Trees, RENGE, LINGER and SCENIC+ with ``cache=``: targets, trials and genes that are done are not computed again."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

import grn
from grn._core import checkpoints
from grn._kernels import renge_fit
from grn.methods import forest_blocks, tree_blocks, trees
from grn.methods.linger import nets
from grn.methods.resume import resumed
from grn.methods.scenicplus import region_importances
from interrupting import Counter


@cache
def cells():
    return grn.datasets.toy(n_cells=80, n_regulators=4, n_targets=16)


@cache
def screen():
    return grn.datasets.toy_perturbation(n_cells=8, n_regulators=3, n_targets=2, n_times=2)


@cache
def multiome():
    mdata = grn.datasets.toy_multiome(n_cells=80, n_regulators=4, n_targets=8)
    motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    return mdata


def by_name(method, **params):
    def call(**given):
        out = grn.tl.infer_network(cells(), method=method, params=params, groupby="group", copy=True, **given)
        return out.uns["grn"]

    return call


def renge(**given):
    columns = {"perturbation": "perturbation", "time": "time", "control": "control"}
    return grn.tl.renge(screen(), **columns, n_boot=6, n_trials=4, copy=True, **given).uns["renge"]


def linger(**given):
    starts = multiome().uns["starts"]
    few = {"starts": starts, "n_epochs": 5, "n_metacells": 20, "batch_size": 2, "keep_nets": True}
    return grn.tl.linger(multiome(), **few, copy=True, **given).uns["linger"]


def scenicplus(**given):
    few = {"starts": multiome().uns["starts"], "n_trees": 5, "max_rounds": 10, "min_targets": 2, "n_permutations": 20}
    return grn.tl.scenicplus(multiome(), **few, copy=True, **given).uns["scenicplus"]


CALLS = {
    "grnboost2": by_name("grnboost2", max_rounds=10),
    "grnboost2 fast": by_name("grnboost2", max_rounds=10, mode="fast"),
    "genie3": by_name("genie3", n_trees=4),
    "genie3 fast": by_name("genie3", n_trees=4, mode="fast"),
    "renge": renge,
    "linger": linger,
    "scenicplus": scenicplus,
}
EVERY = pytest.mark.parametrize("name", CALLS)


@pytest.fixture
def counted(monkeypatch):
    """Counts what is computed, block by block."""
    counter = Counter()
    for place, name in (
        (trees, "boosted"),
        (tree_blocks, "boosted_together"),
        (forest_blocks, "forests_together"),
        (region_importances, "boosted"),
        (renge_fit, "fit"),
        (trees.Grown, "of_target"),
        (nets._Batch, "train"),
    ):
        monkeypatch.setattr(place, name, counter.wrapped(getattr(place, name)))
    return counter


def same(one, two):
    """Edges and tables of two results, to the last bit."""
    assert one.keys() == two.keys()
    for name, value in one.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, two[name], check_exact=True)
    assert checkpoints.fingerprint(one.get("nets", {}).get("weights")) == checkpoints.fingerprint(
        two.get("nets", {}).get("weights")
    )


@EVERY
def test_a_cache_changes_no_number_and_nothing_is_computed_twice(name, counted, tmp_path):
    call = CALLS[name]
    whole = call()
    n, counted.n = counted.n, 0
    same(whole, call(cache=tmp_path))
    assert counted.n == n > 0
    counted.n = 0
    same(whole, call(cache=tmp_path))
    # the fit itself of RENGE, which is a matter of a moment, is made again
    assert counted.n <= (1 if name == "renge" else 0)


@EVERY
def test_an_interrupted_call_goes_on_with_the_same_numbers(name, counted, tmp_path):
    call = CALLS[name]
    whole = call()
    n, counted.n = counted.n, 0
    counted.stop = n - 1
    with pytest.raises(KeyboardInterrupt):
        call(cache=tmp_path)
    counted.stop, counted.n = None, 0
    same(whole, call(cache=tmp_path))
    assert counted.n < n


def test_other_arguments_cells_and_groups_make_parts_of_their_own(tmp_path):
    def call(adata, **given):
        params = {"max_rounds": 10, **given.pop("params", {})}
        out = grn.tl.infer_network(adata, method="grnboost2", params=params, copy=True, **given)
        return out.uns["grn"]

    call(cells(), cache=tmp_path)
    changed = cells().copy()
    changed.X = changed.X * 1.5
    for adata, given in (
        (cells(), {"params": {"max_rounds": 12}}),
        (cells(), {"rng": 1}),
        (cells(), {"groupby": "group"}),
        (cells(), {"sources": list(cells().var_names[:3])}),
        (cells()[:60].copy(), {}),
        (changed, {}),
    ):
        same(call(adata, **given), call(adata, cache=tmp_path, **given))


def test_a_damaged_file_is_told_and_made_again(tmp_path, caplog):
    call = CALLS["genie3"]
    whole = call(cache=tmp_path)
    path = min((tmp_path / "genie3").iterdir())
    path.write_bytes(path.read_bytes()[:50])
    same(whole, call(cache=tmp_path))
    assert "is damaged" in caplog.text


def test_a_method_without_parts_says_so(tmp_path, caplog):
    grn.tl.infer_network(cells(), method="correlation", cache=tmp_path, copy=True)
    assert "'correlation' keeps no parts" in caplog.text


def test_items_come_in_any_order_and_each_is_kept_with_its_own_numbers(tmp_path):
    asked = []

    def compute(items):
        asked.append(list(items))
        return ((item, np.full(2, float(item))) for item in sorted(items, reverse=True))

    def call(items, **given):
        found = resumed(tmp_path, "m", lambda: {"a": 1}, items, lambda item: item, compute, together=3)
        return {item: values.tolist() for item, values in found}

    expected = {item: [float(item)] * 2 for item in range(7)}
    assert call(range(7)) == expected and call(range(7)) == expected
    assert asked == [list(range(7))]
    assert call(range(8)) == {**expected, 7: [7.0, 7.0]}
    assert asked[1:] == [[6, 7]]
