"""Repetitions of ``grn.tl.confidence`` in a folder: interrupted runs go on, other questions start anew."""

import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import grn
from grn._core import sealed
from grn.methods import METHODS
from grn.trust.beside import SharedFits
from grn.trust.rerun import Rerun

GIVEN = {"n_permutations": 4, "n_subsamples": 3, "top": 10}


@pytest.fixture
def cells():
    adata = grn.datasets.toy(n_cells=80, n_regulators=4, n_targets=10)
    grn.tl.infer_network(adata, method="ridge", groupby="group")
    return adata


@pytest.fixture(params=["one after the other", "shared"])
def fits(monkeypatch, request):
    """Counts fits by kind; the fit named in ``stop`` raises instead."""
    counts = {"fit": 0, "fit_beside": 0, "stop": None}
    shared = request.param == "shared"
    monkeypatch.setattr(METHODS, "_records", dict(METHODS._records))
    METHODS.add("ridge", replace(METHODS["ridge"], reads_sums=shared), replace=True)
    for owner, function, name in (
        (Rerun, "fit", "fit"),
        (SharedFits, "edges", "fit_beside") if shared else (Rerun, "fit_beside", "fit_beside"),
    ):
        made = getattr(owner, function)

        def counted(self, *args, name=name, made=made, **kwargs):
            if counts["stop"] == (name, counts[name]):
                raise KeyboardInterrupt
            counts[name] += 1
            return made(self, *args, **kwargs)

        monkeypatch.setattr(owner, function, counted)
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


def damaged(path, how):
    text = path.read_bytes()
    if how == "gone":
        path.unlink()
        return
    if how == "other arrays":
        np.savez(path.with_suffix(".npz"), other=np.zeros(3))
        text = path.with_suffix(".npz").read_bytes()
        path.with_suffix(".npz").unlink()
    middle = len(text) // 2
    path.write_bytes(
        {
            "empty": b"",
            "cut": text[:50],
            "one byte less": text[:-1],
            "one more": text + b"x",
            "zeros": bytes(len(text)),
            "a bit": text[:middle] + bytes([text[middle] ^ 4]) + text[middle + 1 :],
            "other arrays": text,
        }[how]
    )


@pytest.mark.parametrize("how", ["gone", "empty", "cut", "one byte less", "one more", "zeros", "a bit", "other arrays"])
def test_a_damaged_file_is_made_again(cells, fits, tmp_path, how, caplog):
    whole = edges(cells, cache=tmp_path)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) == 7
    kept = {path: path.read_bytes() for path in files}
    for path in (files[0], files[5], files[6]):
        damaged(path, how)
    fits.update(fit=0, fit_beside=0)
    pd.testing.assert_frame_equal(edges(cells, cache=tmp_path), whole, check_exact=True)
    assert fits["fit_beside"] + fits["fit"] == 3 + 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == kept
    assert caplog.text.count("is damaged") == (0 if how == "gone" else 3)


WRONG = {
    "object arrays": lambda arrays: {**arrays, "0_keys": np.array([{}, None], dtype=object)},
    "another name": lambda arrays: {**arrays, "0_kees": arrays["0_keys"]},
    "one array less": lambda arrays: {name: array for name, array in arrays.items() if name != "0_signs"},
    "no arrays": lambda arrays: {},
    "another length": lambda arrays: {**arrays, "0_weights": arrays["0_weights"][1:]},
    "another type": lambda arrays: {**arrays, "0_keys": arrays["0_keys"].astype(np.float32)},
    "another shape": lambda arrays: {name: array[:, None] for name, array in arrays.items()},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_sealed_file_with_other_arrays_is_made_again(cells, fits, tmp_path, wrong):
    whole = edges(cells, cache=tmp_path)
    path = sorted(tmp_path.rglob("*.sealed"))[3]
    kept = path.read_bytes()
    sealed.keep(path, sealed.packed(WRONG[wrong](sealed.kept(path, sealed.unpacked))))
    fits.update(fit=0, fit_beside=0)
    pd.testing.assert_frame_equal(edges(cells, cache=tmp_path), whole, check_exact=True)
    assert fits["fit_beside"] + fits["fit"] == 1 + 1 and path.read_bytes() == kept


def test_no_flipped_bit_changes_a_result(cells, tmp_path):
    whole, chance = edges(cells, cache=tmp_path), random.Random(0)
    files = sorted(tmp_path.rglob("*.sealed"))
    kept = [path.read_bytes() for path in files]
    for _ in range(6):
        for path in files:
            text = bytearray(path.read_bytes())
            at = chance.randrange(8 * len(text))
            text[at // 8] ^= 1 << at % 8
            path.write_bytes(bytes(text))
        pd.testing.assert_frame_equal(edges(cells, cache=tmp_path), whole, check_exact=True)
        assert [path.read_bytes() for path in files] == kept
