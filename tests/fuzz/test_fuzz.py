"""Whatever is put in: a result or an error of ours, nothing changed on failure, and no order that matters.

Every call gets some odd objects of ``conftest.py``, the same ones in every run.
"""

import json
import warnings
import zlib
from functools import cache

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

import grn
from grn.errors import GrnError

pytestmark = pytest.mark.slow
EXAMPLES = 24
# a failing object is told as it is: shrinking it would take minutes
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


@cache
def mini():
    return grn.models.load("mini")


def some(adata):
    """A gene, the same one in any order."""
    names = sorted(map(str, adata.var_names))
    return "GATA1" if "GATA1" in names or not names else names[0]


def infer(method, **params):
    def call(adata, groupby):
        return grn.tl.infer_network(adata, method=method, groupby=groupby, params=params)

    return call


def after(method, then, **params):
    """A call on the network that a method makes; where it makes none, on whatever ``uns`` holds."""

    def call(adata, groupby):
        try:
            grn.tl.infer_network(adata, method=method, groupby=groupby, params=params)
        except GrnError:
            pass
        return then(adata, groupby)

    return call


def probe(name, **arguments):
    def call(adata, groupby):
        mean = {"context": "mean"} if groupby is not None and name in ("vvp", "probe", "gradient_trajectory") else {}
        return getattr(grn.tl, name)(adata, model=mini(), groupby=groupby, **mean, **arguments)

    return call


def scrank(adata, groupby):
    kept = {"n_resamples": 2, "cells_per_resample": 12, "n_components": 2, "min_cells": 10}
    return grn.tl.scrank(adata, groupby="label", drug_targets=[some(adata)], **kept)


def confidence(adata, groupby):
    return grn.tl.confidence(adata, n_permutations=2, n_subsamples=2, top=5)


def differential(adata, groupby):
    return grn.tl.differential(adata, condition="condition", donor="donor", groupby=groupby, n_permutations=2)


def consensus(adata, groupby):
    grn.tl.infer_network(adata, method="ridge", groupby=groupby, key_added="second")
    return grn.tl.consensus(adata, nets=["grn", "second"])


def simulate(adata, groupby):
    return grn.tl.simulate(adata, perturbation={some(adata): 0}, groupby=groupby)


def drawn(function, **arguments):
    """A figure; only that it is drawn or refused is looked at."""

    def call(adata, groupby):
        try:
            function(adata, **{k: v(adata) if callable(v) else v for k, v in arguments.items()})
        finally:
            plt.close("all")

    return call


def report(adata, groupby):
    grn.pp.align_genes(adata)
    return grn.get.gene_report(adata)


def features(adata, make=None):
    if make is not None:
        make(adata, None)
    grn.get.features(adata, key="vvp")


CALLS = {
    "pp.align_genes": lambda adata, groupby: grn.pp.align_genes(adata),
    "pp.annotate_regulators": lambda adata, groupby: grn.pp.annotate_regulators(adata),
    "pp.check_expression": lambda adata, groupby: str(grn.pp.check_expression(adata)),
    "pp.smooth": lambda adata, groupby: grn.pp.smooth(adata, k=4, n_pcs=3),
    "correlation": infer("correlation"),
    "spearman": infer("correlation", kind="spearman"),
    "ridge": infer("ridge"),
    "grnboost2": infer("grnboost2", max_rounds=5),
    "genie3": infer("genie3", n_trees=3),
    "celloracle": lambda adata, groupby: grn.tl.celloracle(adata, groupby=groupby, n_bags=3, max_p=None),
    "celloracle as it is": infer("celloracle", fit="bayesian", smooth=False),
    "scrank": scrank,
    "ugrn": infer("ugrn"),
    "vvp": probe("vvp"),
    "gradient_trajectory": probe("gradient_trajectory"),
    "probe": probe("probe"),
    "pert": probe("pert"),
    "attention": probe("attention", max_cells=3),
    "embedding": lambda adata, groupby: grn.tl.embedding(adata, model=mini()),
    "estimate_cost": lambda adata, groupby: grn.tl.estimate_cost(adata, model=mini(), calibrate=False) and None,
    "confidence": after("correlation", confidence),
    "differential": differential,
    "consensus": after("correlation", consensus),
    "rank_regulators": after("correlation", lambda adata, groupby: grn.tl.rank_regulators(adata)),
    "regulons": after("correlation", lambda adata, groupby: grn.tl.regulons(adata, min_targets=1)),
    "simulate": after("ridge", simulate),
    "get.edges": after("correlation", lambda adata, groupby: grn.get.edges(adata)),
    "get.network": after("correlation", lambda adata, groupby: grn.get.network(adata).edges),
    "get.gene_report": report,
    "get.features": lambda adata, groupby: features(adata),
    "get.features after vvp": lambda adata, groupby: features(adata, probe("vvp")),
    "pl.network": after("correlation", drawn(grn.pl.network)),
    "pl.heatmap": after("correlation", drawn(grn.pl.heatmap)),
    "pl.regulon": after("correlation", drawn(grn.pl.regulon, source=some)),
}


def written(before, adata, returned):
    """What a call gave: tables and arrays by name, in an order that does not depend on that of the object."""
    rows, columns = np.argsort(adata.obs_names.astype(str)), np.argsort(adata.var_names.astype(str))
    found = {**arrays(before, adata, "obsm", rows), **arrays(before, adata, "varm", columns)}
    for slot, order in (("obs", rows), ("var", columns)):
        for key in set(getattr(adata, slot)) - set(before[slot]):
            found[slot, key] = getattr(adata, slot)[key].to_numpy()[order]
    for key, value in adata.uns.items():
        old = before["uns"].get(key)
        for name, table in value.items() if isinstance(value, dict) else ():
            if isinstance(table, pd.DataFrame) and not (isinstance(old, dict) and name in old):
                found["uns", key, name] = sorted_table(table)
    if isinstance(returned, pd.DataFrame):
        found["returned"] = sorted_table(returned)
    return found


def arrays(before, adata, slot, order):
    """Arrays of a slot that were not there, sorted by name along the first axis and by source along the second."""
    found = {}
    for key in set(getattr(adata, slot)) - set(before[slot]):
        values = np.asarray(getattr(adata, slot)[key])[order]
        if slot == "varm" and "sources" in adata.uns[key]:
            values = values[:, np.argsort(adata.uns[key]["sources"])]
        found[slot, key] = values
    return found


def sorted_table(table):
    """Rows in the order of their words, so that equal tables are equal however their rows stand."""
    plain = table.reset_index(drop=isinstance(table.index, pd.RangeIndex))
    plain.columns = plain.columns.astype(str)
    words = [c for c in plain if plain[c].dtype.kind not in "fiub"]
    plain[words] = plain[words].astype(str)
    return plain.sort_values(words, kind="stable").reset_index(drop=True) if words else plain


def differences(a, b):
    """Names of what differs by more than rounding."""
    if set(a) != set(b):
        return sorted(map(str, set(a) ^ set(b)))
    return [str(name) for name in a if not close(a[name], b[name])]


def close(a, b):
    if isinstance(a, pd.DataFrame):
        return list(a.columns) == list(b.columns) and len(a) == len(b) and all(close(a[c], b[c]) for c in a)
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return False
    if a.dtype.kind not in "fiub":
        return all(x == y or (x != x and y != y) for x, y in zip(a.ravel(), b.ravel(), strict=True))
    if a.dtype.kind in "iub":
        return np.array_equal(a, b)
    scale = np.nanmax(np.abs(a), initial=0)
    return np.allclose(a, b, rtol=2e-3, atol=1e-4 * scale if np.isfinite(scale) else 0, equal_nan=True)


def attempt(call, adata, groupby, odd):
    """What came of a call: what it wrote, or the type of its error, after which the object must be as it was."""
    before = odd.state(adata)
    try:
        returned = call(adata, groupby)
    except GrnError as error:
        message = str(error)
        assert message.strip() and "Traceback" not in message
        return type(error), None
    except Warning as warning:
        return type(warning), None
    return None, written(before, adata, returned)


@pytest.mark.parametrize("name", CALLS)
def test_a_result_or_an_error_of_ours(name, odd):
    call = CALLS[name]
    chained = name.startswith(("pl.", "get.")) or name in ("confidence", "consensus", "simulate", "regulons")
    chained |= name == "rank_regulators"

    @seed(zlib.crc32(name.encode()))
    @settings(SETTINGS)
    @given(odd.specs())
    def check(spec):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            adata = odd.built(spec)
            groupby = "label" if spec["groupby"] else None
            before = odd.state(adata)
            error, found = attempt(call, adata, groupby, odd)
            told = json.dumps(spec)
            if error is not None and not chained:
                after = odd.state(adata)
                assert odd.same(before, after), f"{name} failed on {told} and changed the object"
            other = shuffled(odd.built(spec))
            again, changed = attempt(call, other, groupby, odd)
            assert again == error, f"{name} of {told} depends on the order: {error} and {again}"
            if found is not None and spec["cells"] == "plain":
                assert not differences(found, changed), f"{name} of {told} depends on the order"

    check()


def shuffled(adata: ad.AnnData) -> ad.AnnData:
    """The same object with its cells and genes in another order."""
    rng = np.random.default_rng(1)
    return adata[rng.permutation(adata.n_obs)][:, rng.permutation(adata.n_vars)].copy()
