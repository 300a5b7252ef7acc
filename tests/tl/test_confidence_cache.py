"""Repetitions of ``grn.tl.confidence`` in a folder: interrupted runs go on, other questions start anew."""

import numpy as np
import pandas as pd
import pytest

import grn
from grn.tl._rerun import Rerun

GIVEN = {"n_permutations": 4, "n_subsamples": 3, "top": 10}


@pytest.fixture
def cells():
    adata = grn.datasets.toy(n_cells=80, n_regulators=4, n_targets=10)
    grn.tl.infer_network(adata, method="ridge", groupby="group")
    return adata


@pytest.fixture
def fits(monkeypatch):
    """Counts fits by kind; the fit named in ``stop`` raises instead."""
    counts = {"fit": 0, "fit_beside": 0, "stop": None}
    for name in ("fit", "fit_beside"):
        made = getattr(Rerun, name)

        def counted(self, *args, name=name, made=made, **kwargs):
            if counts["stop"] == (name, counts[name]):
                raise KeyboardInterrupt
            counts[name] += 1
            return made(self, *args, **kwargs)

        monkeypatch.setattr(Rerun, name, counted)
    return counts


def edges(adata, **arguments):
    found = grn.tl.confidence(adata, copy=True, **{**GIVEN, **arguments})
    return found.uns["grn"]["edges"]


@pytest.mark.parametrize("stop", [("fit_beside", 0), ("fit_beside", 3), ("fit", 2)])
def test_an_interrupted_run_goes_on(cells, fits, tmp_path, stop):
    whole = edges(cells)
    fits.update(fit=0, fit_beside=0, stop=stop)
    before = cells.uns["grn"]["edges"].copy()
    with pytest.raises(KeyboardInterrupt):
        edges(cells, cache=tmp_path)
    pd.testing.assert_frame_equal(cells.uns["grn"]["edges"], before)
    done = fits["fit_beside"], fits["fit"]
    fits["stop"] = None
    pd.testing.assert_frame_equal(edges(cells, cache=tmp_path), whole, check_exact=True)
    # the network itself is made again by both calls; all else once
    assert (fits["fit_beside"], fits["fit"]) == (4, 3 + 2) and sum(done) < 9


def test_more_repetitions_add_to_those_there_are(cells, fits, tmp_path):
    edges(cells, cache=tmp_path)
    fits.update(fit=0, fit_beside=0)
    more = edges(cells, cache=tmp_path, n_permutations=6)
    assert (fits["fit_beside"], fits["fit"]) == (2, 1)
    pd.testing.assert_frame_equal(more, edges(cells, n_permutations=6), check_exact=True)


@pytest.mark.parametrize("change", ["rng", "fraction", "together", "cells", "params"])
def test_another_question_starts_anew(cells, fits, tmp_path, change):
    edges(cells, cache=tmp_path)
    if change == "cells":
        cells.X = cells.X * 1.5
        grn.tl.infer_network(cells, method="ridge", groupby="group")
    if change == "params":
        grn.tl.infer_network(cells, method="ridge", groupby="group", params={"alpha": 3.0})
    arguments = {"rng": {"rng": 1}, "fraction": {"fraction": 0.5}, "together": {"together": False}}.get(change, {})
    fits.update(fit=0, fit_beside=0)
    found = edges(cells, cache=tmp_path, **arguments)
    assert fits["fit_beside"] == 4 and len(list(tmp_path.iterdir())) == 2
    pd.testing.assert_frame_equal(found, edges(cells, **arguments), check_exact=True)


def test_a_damaged_file_is_made_again(cells, fits, tmp_path):
    whole = edges(cells, cache=tmp_path)
    files = sorted(tmp_path.rglob("*.npz"))
    assert len(files) == 7
    files[0].write_bytes(files[0].read_bytes()[:50])
    files[5].write_bytes(b"")
    np.savez(files[6], other=np.zeros(3))
    fits.update(fit=0, fit_beside=0)
    pd.testing.assert_frame_equal(edges(cells, cache=tmp_path), whole, check_exact=True)
    assert fits["fit_beside"] + fits["fit"] == 3 + 1
