"""Whatever is put in: a result or an error of ours, nothing changed on failure, and no order that matters.

Every call gets some odd objects of ``conftest.py``, the same ones in every run.
"""

import inspect
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
from scipy import sparse

import grn
from grn.errors import GrnError
from grn.methods import METHODS

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
MODEL = grn.models.load("mini")
SYMBOLS = "GATA1 SPI1 TAL1 KLF1 MYB GFI1B LYZ CD79A CST3 S100A8 NKG7 GZMB".split()


@cache
def untrained(family):
    """Random weights in the architecture of a published model, over genes of the objects."""
    ensembl = family in ("geneformer", "genecompass", "scprint")
    genes = grn.genes.resolve(SYMBOLS, organism="human")["ensembl"].tolist() if ensembl else SYMBOLS
    return grn.models.untrained(family, genes=genes, layers=1, width=8, heads=2)


def some(adata):
    """A gene, the same one in any order."""
    names = sorted(map(str, adata.var_names))
    return "GATA1" if "GATA1" in names or not names else names[0]


def known(adata):
    """A gene that ``mini`` knows, if there is one."""
    return "SPI1" if "SPI1" in set(map(str, adata.var_names)) else some(adata)


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


def metacells(adata, groupby):
    """Averages, as a table."""
    table = grn.pp.metacells(adata, groupby="label", k=2, n_pcs=3).to_df()
    return table.sort_index(axis=1)


def probe(name, **arguments):
    def call(adata, groupby):
        mean = {"context": "mean"} if groupby is not None and name in ("vvp", "probe", "gradient_trajectory") else {}
        return getattr(grn.tl, name)(adata, model=MODEL, groupby=groupby, **mean, **arguments)

    return call


def infer_with(method, family, **params):
    def call(adata, groupby):
        model = untrained(family)
        return grn.tl.infer_network(adata, method=method, model=model, groupby=groupby, params=params)

    return call


def renge(adata, groupby):
    columns = {"perturbation": "perturbation", "time": "time", "control": "control"}
    return grn.tl.renge(adata, **columns, C=1e-3, l1_ratio=0.1, n_k=2, n_boot=0)


def flecs(adata, groupby):
    labels = sorted(map(str, adata.obs["label"].dropna().unique())) or ["none"]
    ends = {"stages": "label", "first": labels[0], "last": labels[-1]}
    return grn.tl.flecs(adata, **ends, n_bins=2, n_neighbors=3, n_pcs=2, n_epochs=2, n_ensemble=2, smooth=False)


def ritini(adata, groupby):
    grn.pp.trajectory(adata, time="time")
    return grn.tl.ritini(adata, prior="full", n_times=10, n_epochs=1, effects=False)


def predict_knockout(adata, groupby):
    try:
        renge(adata, groupby)
    except GrnError:
        pass
    return grn.tl.predict_knockout(adata, genes=some(adata))


def fit_translator(adata, groupby):
    try:
        grn.tl.vvp(adata, model=MODEL)
    except GrnError:
        pass
    names = sorted(map(str, adata.var_names))
    pairs = [(source, target, i % 2) for source in ("SPI1", "TAL1") for i, target in enumerate(names)]
    labels = pd.DataFrame(pairs, columns=["source", "target", "label"])
    grn.tl.fit_translator(adata, labels, members=1, epochs=1, validation=0.5)


def agreement(adata, groupby):
    grn.tl.infer_network(adata, method="ridge", groupby=groupby, key_added="second")
    return grn.get.agreement(adata, keys=["grn", "second"])


def prior_ridge(adata, groupby):
    """One regulator is likely to regulate every other gene."""
    first = some(adata)
    others = sorted({*map(str, adata.var_names)} - {first})
    prior = pd.DataFrame({"source": first, "target": others, "probability": 0.9})
    params = {"prior": prior, "strength": 1.0}
    return grn.tl.infer_network(adata, method="prior_ridge", sources=[first], params=params, groupby=groupby)


def scrank(adata, groupby):
    kept = {"n_resamples": 2, "cells_per_resample": 12, "n_components": 2, "min_group_cells": 13}
    return grn.tl.scrank(adata, groupby="label", drug_targets=[some(adata)], **kept)


def confidence(adata, groupby):
    return grn.tl.confidence(adata, n_permutations=2, n_subsamples=2, top=5)


def differential(adata, groupby):
    return grn.tl.differential(adata, condition="condition", donor="donor", groupby=groupby, n_permutations=2)


def consensus(adata, groupby):
    grn.tl.infer_network(adata, method="ridge", groupby=groupby, key_added="second")
    return grn.tl.consensus(adata, nets=["grn", "second"])


def drivers(adata, groupby):
    labels = sorted(map(str, adata.obs["condition"].dropna().unique()))
    return grn.tl.rank_drivers(
        adata, condition="condition", group=labels[0] if labels else "none", min_targets=1, min_cells=2
    )


def differential_activity(adata, groupby):
    labels = sorted(map(str, adata.obs["condition"].dropna().unique()))
    named = {"reference": labels[0] if labels else "none", "group": labels[-1] if labels else "none"}
    return grn.tl.differential_activity(
        adata, condition="condition", donor="donor", groupby=groupby, min_targets=1, min_cells=1, **named
    )


def regulators(adata, groupby):
    grn.tl.rank_regulators(adata)
    return grn.get.regulators(adata, key="grn")


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


def regulons(adata, groupby):
    grn.tl.regulons(adata, min_targets=1)
    grn.get.regulons(adata)


def embeddings(adata):
    grn.tl.embedding(adata, model=MODEL)
    grn.get.embedding(adata)


CALLS = {
    "pp.align_genes": lambda adata, groupby: grn.pp.align_genes(adata),
    "pp.annotate_regulators": lambda adata, groupby: grn.pp.annotate_regulators(adata),
    "pp.check_expression": lambda adata, groupby: str(grn.pp.check_expression(adata)),
    "pp.metacells": metacells,
    "pp.smooth": lambda adata, groupby: grn.pp.smooth(adata, k=4, n_pcs=3),
    "pp.trajectory": lambda adata, groupby: grn.pp.trajectory(adata, time="time", lineages=groupby),
    "correlation": infer("correlation"),
    "spearman": infer("correlation", kind="spearman"),
    "ridge": infer("ridge"),
    "prior_ridge": prior_ridge,
    "grnboost2": infer("grnboost2", max_rounds=5),
    "genie3": infer("genie3", n_trees=3),
    "celloracle": lambda adata, groupby: grn.tl.celloracle(adata, groupby=groupby, n_bags=3, max_p=None),
    "celloracle as it is": infer("celloracle", fit="bayesian", smooth=False, max_p=None),
    "scrank": scrank,
    "dictys": lambda adata, groupby: grn.tl.dictys(adata, groupby=groupby, n_steps=3),
    "renge": renge,
    "flecs": flecs,
    "ritini": ritini,
    "predict_knockout": predict_knockout,
    "ugrn": infer("ugrn"),
    "universal": infer("universal"),
    "vvp": probe("vvp"),
    "gradient_trajectory": probe("gradient_trajectory"),
    "probe": probe("probe"),
    "pert": probe("pert"),
    "attention": lambda adata, groupby: grn.tl.attention(adata, model=untrained("scgpt"), groupby=groupby, max_cells=3),
    "embedding": lambda adata, groupby: grn.tl.embedding(adata, model=MODEL),
    "scgpt_attention": infer_with("scgpt_attention", "scgpt", max_cells=3),
    "scgpt_embedding": infer_with("scgpt_embedding", "scgpt"),
    "scgenept_response": infer_with("scgenept_response", "scgenept"),
    "lpm_response": infer_with("lpm_response", "lpm"),
    "geneformer_deletion": infer_with("geneformer_deletion", "geneformer", max_cells=3),
    "genecompass_deletion": infer_with("genecompass_deletion", "genecompass", max_cells=3),
    "scprint_attention": infer_with("scprint_attention", "scprint", max_cells=3),
    "perturbation_response": lambda adata, groupby: grn.tl.perturbation_response(adata, model=untrained("scgenept")),
    "embed_cells": lambda adata, groupby: grn.tl.embed_cells(adata, model=MODEL),
    "predict_labels": lambda adata, groupby: grn.tl.predict_labels(adata, model=untrained("scprint")),
    "denoise": lambda adata, groupby: grn.tl.denoise(adata, model=untrained("scprint")),
    "gene_programs": lambda adata, groupby: grn.tl.gene_programs(adata, model=MODEL, n_neighbors=2, min_genes=1),
    "in_silico_perturbation": lambda adata, groupby: grn.tl.in_silico_perturbation(
        adata, model=MODEL, groupby=groupby, genes=[known(adata)], max_cells=3
    ),
    "fit_translator": fit_translator,
    "activity": after("ridge", lambda adata, groupby: grn.tl.activity(adata, groupby=groupby, min_targets=1)),
    "estimate_cost": lambda adata, groupby: grn.tl.estimate_cost(adata, model=MODEL, calibrate=False) and None,
    "suggest": lambda adata, groupby: grn.tl.suggest(adata, groupby=groupby, model=MODEL).methods[["runs", "cost"]],
    "confidence": after("correlation", confidence),
    "differential": differential,
    "consensus": after("correlation", consensus),
    "rank_regulators": after("correlation", lambda adata, groupby: grn.tl.rank_regulators(adata)),
    "rank_drivers": after("ridge", drivers),
    "differential_activity": after("ridge", differential_activity),
    "regulons": after("correlation", lambda adata, groupby: grn.tl.regulons(adata, min_targets=1)),
    "simulate": after("ridge", simulate),
    "get.edges": after("correlation", lambda adata, groupby: grn.get.edges(adata)),
    "get.network": after("correlation", lambda adata, groupby: grn.get.network(adata).edges),
    "get.embedding": lambda adata, groupby: embeddings(adata),
    "get.regulons": after("correlation", regulons),
    "get.regulators": after("correlation", regulators),
    "get.agreement": after("correlation", agreement),
    "get.gene_report": report,
    "get.features": lambda adata, groupby: features(adata),
    "get.features after vvp": lambda adata, groupby: features(adata, probe("vvp")),
    "pl.network": after("correlation", drawn(grn.pl.network)),
    "pl.heatmap": after("correlation", drawn(grn.pl.heatmap)),
    "pl.regulon": after("correlation", drawn(grn.pl.regulon, source=some)),
}

# functions that put what another call wrote to use: what that call wrote stays where they fail
CHAINED = ("confidence", "consensus", "simulate", "regulons", "rank_drivers", "differential_activity",
           "rank_regulators", "activity", "predict_knockout", "fit_translator", "ritini")  # fmt: skip
# what the calls above leave out, and why
LEFT_OUT = {
    "tl.infer_network": "every method is a call of its own",
    "tl.methods": "takes no object",
    "pp.base_grn": "takes a table, not an object",
    "pp.base_grn_from_footprints": "takes tables, not an object",
    "pp.base_grn_from_regions": "takes regions too: tests/pp/test_base_grn_from_regions.py",
    "pp.promoter_base_grn": "takes a genome, not an object",
    "pp.motifs": "takes no object",
    "pp.scan_motifs": "takes regions, not genes: tests/pp/test_scan_motifs.py",
    "tl.eregulon_activity": "reads regions too: tests/tl/test_eregulon_activity.py",
    "tl.scenicplus": "reads regions too: tests/methods/scenicplus",
    "pp.link_regions": "takes regions beside genes: tests/pp/test_link_regions.py",
    "get.region_links": "takes regions: tests/pp/test_link_regions.py",
    "tl.linger": "reads regions too: tests/methods/linger",
    "tl.linger_activity": "reads a network of tl.linger: tests/methods/linger",
    "tl.linger_knockout": "reads a network of tl.linger: tests/methods/linger",
    "get.motif_hits": "takes regions, not genes: tests/pp/test_scan_motifs.py",
    "tl.region_sets": "takes regions, not genes: tests/cistromes",
    "tl.topics": "takes regions, not genes: tests/cistromes",
    "tl.motif_enrichment": "takes regions, not genes: tests/cistromes",
    "tl.cistromes": "takes regions, not genes: tests/cistromes",
    "get.cistromes": "takes regions, not genes: tests/cistromes",
}


def test_every_function_and_method_is_put_to_the_test():
    spaces = {"pp": grn.pp, "tl": grn.tl, "get": grn.get}
    functions = {f"{s}.{n}" for s, module in spaces.items() for n in module.__all__
                 if inspect.isfunction(getattr(module, n))}  # fmt: skip
    called = set(CALLS) | {f"tl.{name}" for name in CALLS}
    assert functions - called == set(LEFT_OUT)
    assert set(METHODS) - called == {name for name in METHODS if "regions" in METHODS[name].needs}
    assert set(CHAINED) <= set(CALLS)


def written(before, adata, returned):
    """What a call gave: tables and arrays by name, in an order that does not depend on that of the object."""
    rows, columns = np.argsort(adata.obs_names.astype(str)), np.argsort(adata.var_names.astype(str))
    found = {**arrays(before, adata, "obsm", rows), **arrays(before, adata, "varm", columns)}
    for slot, order in (("layers", (rows, columns)), ("obsp", (rows, rows)), ("varp", (columns, columns))):
        for key in set(getattr(adata, slot)) - set(before[slot]):
            values = getattr(adata, slot)[key]
            found[slot, key] = (values.toarray() if sparse.issparse(values) else np.asarray(values))[np.ix_(*order)]
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


@pytest.mark.parametrize("name", [name for name in CALLS if name != "get.features"])
def test_a_plain_object_gives_a_result(name, odd):
    """Or nothing but the first check would ever be reached; without features there are none to get."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        CALLS[name](odd.built(odd.plain), None)


@pytest.mark.parametrize("name", CALLS)
def test_a_result_or_an_error_of_ours(name, odd):
    call = CALLS[name]
    chained = name.startswith(("pl.", "get.")) or name in CHAINED

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
