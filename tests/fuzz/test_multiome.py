"""Whatever is wrong with a MuData, its regions, motif hits or links: an error of ours, and the object as it was.

``tests/fuzz/test_fuzz.py`` does so for genes and cells.
"""

import inspect
import logging
import warnings

import anndata as ad
import matplotlib.pyplot as plt
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grn
from grn.errors import GrnError

pytestmark = pytest.mark.slow
mudata.set_options(pull_on_update=False)


@pytest.fixture(scope="module")
def toy():
    """Counts of 60 cells, with motif hits and links."""
    mdata = grn.datasets.toy_multiome(n_cells=60, n_regulators=3, n_targets=8)
    mdata["rna"].X = mdata["rna"].layers["counts"].copy()
    motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    near = grn.genome.link_genes(
        mdata["atac"].var_names, starts=mdata.uns["starts"], upstream=60_000, downstream=60_000
    )
    mdata["atac"].uns["links"] = {"table": near.assign(score=1.0), "params": {}}
    return mdata


def joined(mdata, **parts):
    """The same with other modalities."""
    made = mudata.MuData({name: parts.get(name, part).copy() for name, part in mdata.mod.items()})
    made.uns = dict(mdata.uns)
    made.obs["group"] = mdata.obs["group"].reindex(made.obs_names)
    return made


def named(rename):
    """Regions of other names."""

    def change(mdata):
        atac = mdata["atac"].copy()
        atac.var_names = rename(list(atac.var_names))
        return joined(mdata, atac=atac)

    return change


def valued(make, part="atac"):
    """Another matrix of a modality."""

    def change(mdata):
        other = mdata[part].copy()
        other.X = make(sparse.csr_matrix(other.X, dtype=np.float32))
        return joined(mdata, **{part: other})

    return change


def holding(value):
    def make(X):
        X.data[:3] = value
        return X

    return make


def without(rows=slice(None), columns=slice(None)):
    def make(X):
        X = X.tolil()
        X[rows, columns] = 0
        return X.tocsr()

    return make


def taken(cells=slice(None), features=slice(None), part="atac"):
    """Some cells or features of a modality."""
    return lambda mdata: joined(mdata, **{part: mdata[part][cells, features]})


def few_cells(n):
    return lambda mdata: joined(mdata, rna=mdata["rna"][:n], atac=mdata["atac"][:n])


def called(rename, parts=("rna", "atac")):
    """Cells of other names."""

    def change(mdata):
        made = {name: part.copy() for name, part in mdata.mod.items()}
        for name in parts:
            made[name].obs_names = rename(list(made[name].obs_names))
        other = mudata.MuData(made)
        other.uns = dict(mdata.uns)
        other.obs["group"] = pd.Series(mdata["rna"].obs["group"].to_numpy(), made["rna"].obs_names).reindex(
            other.obs_names
        ) if made["rna"].obs_names.is_unique else "x"  # fmt: skip
        return other

    return change


def grouped(labels):
    """Other groups, in ``mdata.obs`` alone."""

    def change(mdata):
        for part in mdata.mod.values():
            del part.obs["group"]
        mdata.obs["group"] = pd.Series(labels(mdata.n_obs), index=mdata.obs_names, dtype=object)
        return mdata

    return change


def scanned(change_hits):
    """Other motif hits."""

    def change(mdata):
        change_hits(mdata["atac"])
        return mdata

    return change


def replaced(key, entry):
    def change(atac):
        atac.uns["motifs"] = {**atac.uns["motifs"], key: entry}

    return change


def no_hits(atac):
    atac.varm["motifs"] = sparse.csr_matrix(atac.varm["motifs"].shape, dtype=np.float32)


def missing_scores(atac):
    scores = atac.varm["motifs"].copy()
    scores.data[:2] = np.nan
    atac.varm["motifs"] = scores


def linked(make):
    """Other links."""

    def change(mdata):
        mdata["atac"].uns["links"] = make(mdata["atac"].uns["links"]["table"].copy())
        return mdata

    return change


def tabled(**columns):
    return linked(lambda table: {"table": table.assign(**columns), "params": {}})


def spelled_otherwise(mdata):
    made = mudata.MuData({"gex": mdata["rna"].copy(), "peaks": mdata["atac"].copy()})
    made.uns = dict(mdata.uns)
    return made


def alone(name):
    def change(mdata):
        made = mudata.MuData({name: mdata[name].copy()})
        made.uns = dict(mdata.uns)
        return made

    return change


def unfit_entries(mdata):
    """What other programs may have left under the names that are used here."""
    mdata.uns.update({"grn": 5, "linger": "x", "scenicplus": 3, "celloracle": np.zeros(2)})
    mdata["rna"].uns["grn"] = "x"
    mdata["atac"].uns.update({"region_sets": 4, "motif_enrichment": "x", "cistromes": 3})
    return mdata


def nested(mdata):
    for part in mdata.mod.values():
        part.obs["list"] = [[1]] * part.n_obs
        part.var["dict"] = [{"a": 1}] * part.n_vars
    return mdata


def without_matrix(name):
    def change(mdata):
        part = mdata[name]
        bare = ad.AnnData(obs=part.obs, var=part.var, uns=part.uns, varm=dict(part.varm))
        return joined(mdata, **{name: bare})

    return change


# what is still usable: every function has to give a result
SOUND = {
    "names without chr": named(lambda names: [name.removeprefix("chr") for name in names]),
    "names with _": named(lambda names: [name.replace(":", "_").replace("-", "_") for name in names]),
    "CSC": valued(sparse.csc_matrix),
    "dense": valued(lambda X: X.toarray()),
    "float64": valued(lambda X: X.astype(np.float64)),
    "float16": valued(lambda X: X.toarray().astype(np.float16)),
    "integers": valued(lambda X: X.astype(np.int64)),
    "bool": valued(lambda X: X.astype(bool)),
    "dense bool": valued(lambda X: X.toarray() > 0),
    "sparse array": valued(sparse.csr_array),
    "zeros that are stored": valued(holding(0)),
    "TF-IDF": valued(lambda X: sparse.csr_matrix(X.log1p() * 1.37)),
    "binary": valued(lambda X: (X > 0).astype(np.float32)),
    "RNA in CSC": valued(sparse.csc_matrix, "rna"),
    "cells without fragments": valued(without(rows=slice(3))),
    "regions that are never open": valued(without(columns=slice(3))),
    "cells in another order": taken(cells=slice(None, None, -1)),
    "cells called by numbers": called(lambda names: [str(number) for number in range(len(names))]),
    "groups of numbers": grouped(lambda n: np.arange(n) % 2),
    "view of cells": lambda mdata: mdata[mdata.obs_names[::-1][:50]],
    "view of features": lambda mdata: mdata[:, [*mdata["rna"].var_names[::-1], *mdata["atac"].var_names]],
    "nested columns": nested,
    "hits as table": scanned(lambda atac: atac.varm.__setitem__("motifs", atac.varm["motifs"].toarray())),
    "links in categories": tabled(region=lambda table: table["region"].astype("category")),
}
# what is not: a result or an error
UNSOUND = {
    "another build": named(lambda names: [f"chr1:{200_000_000 + 5000 * i}-{200_000_400 + 5000 * i}"
                                          for i in range(len(names))]),
    "names of both kinds": named(lambda names: [names[0].removeprefix("chr"), *names[1:]]),
    "unknown chromosomes": named(lambda names: [f"scaffold{i}:5-300" for i in range(len(names))]),
    "a region twice": named(lambda names: [names[1], *names[1:]]),
    "a region in two spellings": named(lambda names: [names[1].replace(":", "-"), *names[1:]]),
    "genes for regions": named(lambda names: [f"GENE{i}" for i in range(len(names))]),
    "a region of no base": named(lambda names: ["chr1:500-400", *names[1:]]),
    "a region without a name": named(lambda names: [np.nan, *names[1:]]),
    "NaN": valued(holding(np.nan)),
    "infinite": valued(holding(np.inf)),
    "negative": valued(holding(-3)),
    "NaN in RNA": valued(holding(np.nan), "rna"),
    "nothing open": valued(without()),
    "all open": valued(lambda X: np.ones(X.shape, dtype=np.float32)),
    "nothing expressed": valued(without(), "rna"),
    "one cell": few_cells(1),
    "two cells": few_cells(2),
    "no cells": few_cells(0),
    "one region": taken(features=slice(1)),
    "no regions": taken(features=slice(0)),
    "one gene": taken(features=slice(1), part="rna"),
    "no genes": taken(features=slice(0), part="rna"),
    "fewer cells with chromatin": taken(cells=slice(40)),
    "fewer cells with RNA": taken(cells=slice(40), part="rna"),
    "other cells": called(lambda names: [f"n{name}" for name in names], parts=("atac",)),
    "a cell twice": called(lambda names: [names[1], *names[1:]]),
    "other modalities": spelled_otherwise,
    "RNA alone": alone("rna"),
    "chromatin alone": alone("atac"),
    "no matrix of chromatin": without_matrix("atac"),
    "no matrix of RNA": without_matrix("rna"),
    "cells without group": grouped(lambda n: [np.nan] * 4 + ["a", "b"] * (n // 2 - 2)),
    "no group": grouped(lambda n: [np.nan] * n),
    "one group": grouped(lambda n: ["a"] * n),
    "groups that are lists": grouped(lambda n: [[1]] * n),
    "no scan": scanned(lambda atac: atac.varm.pop("motifs")),
    "no hits": scanned(no_hits),
    "NaN among hits": scanned(missing_scores),
    "scan that is text": scanned(lambda atac: atac.uns.update(motifs="x")),
    "fewer motifs than columns": scanned(replaced("names", np.array(["MA0080.7"], dtype=object))),
    "factors that are no table": scanned(replaced("factors", np.zeros((2, 2)))),
    "factors without columns": scanned(replaced("factors", pd.DataFrame({"x": [1]}))),
    "factors of other motifs": scanned(replaced("factors", pd.DataFrame({"motif": ["x"], "factor": ["SPI1"]}))),
    "links that are text": linked(lambda table: "x"),
    "links that are a table": linked(lambda table: table),
    "no links": linked(lambda table: {"table": table.iloc[:0], "params": {}}),
    "links without genes": linked(lambda table: {"table": table.drop(columns="gene"), "params": {}}),
    "links to other genes": tabled(gene="x"),
    "links of other regions": tabled(region="chr9:1-10"),
    "links of no regions": tabled(region="x"),
    "links without scores": tabled(score=np.nan, distance=np.nan),
    "distances that are text": tabled(distance="far"),
    "links twice": linked(lambda table: {"table": pd.concat([table, table]), "params": {}}),
    "a link to nothing": linked(lambda table: {"table": table.assign(gene=table["gene"].where(table.index > 0)),
                                               "params": {}}),
    "unfit entries": unfit_entries,
}  # fmt: skip


def starts_of(mdata):
    return mdata.uns["starts"]


def celloracle(mdata):
    base = grn.pp.base_grn_from_regions(mdata)
    grn.tl.celloracle(mdata, base_grn=base, n_bags=2, max_p=None, groupby="group")


def correlation(mdata):
    grn.tl.infer_network(mdata, method="correlation", groupby="group")


def confidence(mdata):
    correlation(mdata)
    grn.tl.confidence(mdata, n_permutations=2, n_subsamples=2)


def enrichment(mdata):
    sets = {"a": [str(name) for name in mdata["atac"].var_names[:20]] if "atac" in mdata.mod else ["chr1:1-2"]}
    grn.tl.motif_enrichment(mdata, sets=sets, min_nes=0, max_qval=1, min_log2fc=0, key_added="enriched")


def cistromes(mdata):
    enrichment(mdata)
    grn.tl.cistromes(mdata, key="enriched", key_added="bound")


def locus(mdata):
    """A figure of a gene with all its links, the network and the groups."""
    starts = mdata.uns["starts"]
    try:
        grn.pl.locus(mdata, gene=starts["gene"].iloc[3], groupby="group", network=mdata.uns["truth"], starts=starts)
    finally:
        plt.close("all")


def eregulons(mdata):
    try:
        grn.pl.eregulons(mdata, groupby="group", network=mdata.uns["truth"])
    finally:
        plt.close("all")


def eregulon_activity(mdata):
    grn.tl.scenicplus(
        mdata, starts=mdata.uns["starts"], n_trees=20, min_targets=1, n_permutations=5, min_rho=0, max_rounds=20
    )
    grn.tl.eregulon_activity(mdata, groupby="group", min_targets=1)


# name -> call, and whether it writes only when it is through
CALLS = {
    "correlation": correlation,
    "tl.celloracle": celloracle,
    "pp.base_grn_from_regions": lambda mdata: grn.pp.base_grn_from_regions(mdata),
    "pp.metacells": lambda mdata: grn.pp.metacells(mdata, groupby="group", k=4, n_pcs=3),
    "by labels": lambda mdata: grn.pp.metacells(mdata, groupby="group", how="labels", k=4),
    "pp.link_regions": lambda mdata: grn.pp.link_regions(
        mdata, starts=mdata.uns["starts"], null=None, key_added="made"
    ),
    "by promoters": lambda mdata: grn.pp.link_regions(
        mdata, how="coaccess", starts=mdata.uns["starts"], within="group", null=None, key_added="made"
    ),
    "by distance": lambda mdata: grn.pp.link_regions(
        mdata, how="distance", starts=mdata.uns["starts"], key_added="made"
    ),
    "tl.region_sets": lambda mdata: grn.tl.region_sets(mdata, groupby="group", max_qval=1, min_log2fc=0),
    "tl.motif_enrichment": enrichment,
    "tl.cistromes": cistromes,
    "confidence": confidence,
    "pl.locus": locus,
    "pl.eregulons": eregulons,
    "tl.topics": lambda mdata: grn.tl.topics(mdata, n_topics=2, max_iter=2),
    "tl.eregulon_activity": eregulon_activity,
    "tl.linger": lambda mdata: grn.tl.linger(mdata, starts=mdata.uns["starts"], n_epochs=2, cells_per_metacell=3),
    "linger of links": lambda mdata: grn.tl.linger(
        mdata, links="links", n_epochs=2, cells_per_metacell=3, groupby="group"
    ),
    "tl.scenicplus": lambda mdata: grn.tl.scenicplus(mdata, n_trees=3, max_rounds=3, min_targets=1, n_permutations=5),
    "scenicplus of starts": lambda mdata: grn.tl.scenicplus(
        mdata, starts=mdata.uns["starts"], n_trees=3, max_rounds=3, min_targets=1, n_permutations=5, groupby="group"
    ),
}
CHAINED = ("confidence", "tl.cistromes", "tl.eregulon_activity")
# functions with an argument atac= that read chromatin only through a method, and the scan, which reads names alone
BY_METHOD = {
    *("pp.scan_motifs", "tl.infer_network", "tl.confidence", "tl.differential", "tl.suggest", "tl.dictys", "tl.flecs")
}


def test_every_function_that_reads_chromatin_is_put_to_the_test():
    reads = {
        f"{space}.{name}"
        for space, module in (("pp", grn.pp), ("tl", grn.tl), ("pl", grn.pl))
        for name in module.__all__
        if inspect.isfunction(getattr(module, name)) and "atac" in inspect.signature(getattr(module, name)).parameters
    }
    assert reads - set(CALLS) == BY_METHOD


def state(mdata):
    """Everything that a function could touch."""
    slots = ("obs", "var", "varm", "obsm", "layers", "uns")
    parts = {name: {slot: plain(getattr(part, slot)) for slot in slots} | {"X": plain(part.X)}
             for name, part in mdata.mod.items()}  # fmt: skip
    return parts | {slot: plain(getattr(mdata, slot)) for slot in ("obs", "uns", "obsm")}


def plain(entry):
    if isinstance(entry, pd.DataFrame):
        return pd.DataFrame(entry).copy()
    if hasattr(entry, "items"):
        return {key: plain(value) for key, value in entry.items()}
    return entry.copy() if hasattr(entry, "copy") else entry


def attempt(call, mdata):
    """The error of a call, if any, after which the object must be as it was."""
    before = state(mdata)
    said = logging.getLogger("grn").level
    logging.getLogger("grn").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(mdata)
    except GrnError as error:
        assert str(error).strip()
        return error, before
    finally:
        logging.getLogger("grn").setLevel(said)
    return None, before


def changed(odd, toy):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return odd(toy.copy())


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", ["plain", *SOUND])
def test_what_is_sound_gives_a_result(toy, name, kind):
    error, _ = attempt(CALLS[name], changed(SOUND.get(kind, lambda mdata: mdata), toy))
    assert error is None


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", UNSOUND)
def test_a_result_or_an_error_of_ours(toy, name, kind, odd):
    mdata = changed(UNSOUND[kind], toy)
    error, before = attempt(CALLS[name], mdata)
    if error is not None and name not in CHAINED:
        assert odd.same(before, state(mdata))


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("NaN", "tl.region_sets", "3 NaN"),
        ("negative", "tl.region_sets", "3 negative"),
        ("NaN among hits", "pp.base_grn_from_regions", "2 scores that are NaN"),
        ("factors that are no table", "pp.base_grn_from_regions", "no table with the columns motif, factor"),
        ("factors without columns", "tl.motif_enrichment", "no table with the columns motif, factor"),
        ("groups that are lists", "pp.metacells", r"labels of type list, for example \[1\]"),
        ("a region twice", "pp.metacells", "1 region names occur more than once"),
        ("no regions", "by labels", r"mdata\['atac'\] has 60 cells and 0 features"),
        ("no cells", "pp.metacells", "0 cells"),
        ("links to other genes", "pp.base_grn_from_regions", r"1 targets are no gene of the object \(x\)"),
    ],
)
def test_what_is_wrong_is_named(toy, kind, name, message):
    error, _ = attempt(CALLS[name], changed(UNSOUND[kind], toy))
    assert error is not None
    with pytest.raises(GrnError, match=message):
        raise error


@pytest.mark.parametrize("name", [name for name in CALLS if name not in CHAINED])
def test_files_and_views_of_files(toy, name, tmp_path):
    for part in toy.mod.values():
        part.X = sparse.csr_matrix(part.X)
    toy.write(tmp_path / "toy.h5mu")
    assert attempt(CALLS[name], mudata.read_h5mu(tmp_path / "toy.h5mu"))[0] is None
    backed = mudata.read_h5mu(tmp_path / "toy.h5mu", backed="r")
    CALLS[name](backed)
    view = mudata.read_h5mu(tmp_path / "toy.h5mu", backed="r")[toy.obs_names[:50]]
    try:
        CALLS[name](view)
    except GrnError as error:
        assert "read it into memory" in str(error)


@pytest.mark.parametrize(
    "name", [name for name in CALLS if name not in CHAINED and not name.startswith(("by ", "pl."))]
)
def test_what_is_written_is_kept_by_files(toy, name, tmp_path, odd):
    mdata = toy.copy()
    CALLS[name](mdata)
    mdata.write(tmp_path / "out.h5mu")
    again = mudata.read_h5mu(tmp_path / "out.h5mu")
    for here, there in ((mdata, again), (mdata["rna"], again["rna"]), (mdata["atac"], again["atac"])):
        assert set(here.uns) == set(there.uns)
        for key in set(here.uns) & {"grn", "celloracle", "scenicplus", "linger", "region_sets", "enriched", "made"}:
            tables = {n: t for n, t in here.uns[key].items() if isinstance(t, pd.DataFrame)}
            assert tables
            for n, t in tables.items():
                pd.testing.assert_frame_equal(t, there.uns[key][n], check_categorical=False)
