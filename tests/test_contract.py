"""One contract for every public callable: signature, documentation, errors, untouched objects."""

import inspect
import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse

import grn
from grn.errors import GrnError

BENCH = ("audit", "drivers", "floors", "metrics", "negatives", "perturbation", "splits")
NAMESPACES = ("pp", "tl", "get", "pl", "genome", "datasets", "models", "bench", *(f"bench.{name}" for name in BENCH))
# what a call is about when that is several things: a name and its record, an object and its file or its labels
LEADING = {
    "models.register": 2,
    "models.save": 2,
    "tl.fit_translator": 2,
    **{f"bench.metrics.{name}": 2 for name in ("auprc", "auprc_within", "auroc", "early_precision")},
    "bench.floors.prior": 3,
    "bench.perturbation.by_regulator": 2,
    "bench.perturbation.score": 2,
}


def public(module: str) -> dict[str, object]:
    namespace = import_module(f"grn.{module}")
    return {f"{module}.{name}": getattr(namespace, name) for name in namespace.__all__}


OBJECTS = {name: thing for module in NAMESPACES for name, thing in public(module).items()} | {"report": grn.report}
FUNCTIONS = {name: thing for name, thing in OBJECTS.items() if inspect.isfunction(thing)}
CLASSES = {name: thing for name, thing in OBJECTS.items() if inspect.isclass(thing)}
METHODS = {
    f"{owner}.{name}": thing
    for owner, cls in {**CLASSES, "Network": grn.Network}.items()
    for name, thing in inspect.getmembers(cls, lambda member: inspect.isfunction(member) or inspect.ismethod(member))
    if not name.startswith("_")
}
# models have members that drivers call, described in one line, and a few that people call
MODELS = {f"models.{n}" for n in "FoundationModel Memory ScGPT Geneformer ScPRINT GeneCompass ScGenePT LPM".split()}
FOR_USERS = {"models.LPM.fit", "models.LPM.predict"}
functions = pytest.mark.parametrize("name", FUNCTIONS)
everything = pytest.mark.parametrize("name", {**FUNCTIONS, **METHODS})
ON_ADATA = [n for n, f in FUNCTIONS.items() if next(iter(inspect.signature(f).parameters), "") in ("adata", "data")]
COMPUTING = [name for name in ON_ADATA if name.startswith(("pp.", "tl."))]
COPYING = [name for name in COMPUTING if "copy" in inspect.signature(FUNCTIONS[name]).parameters]


def parameters(function: object) -> list[inspect.Parameter]:
    found = inspect.signature(function).parameters.values()
    return [p for p in found if p.name not in ("self", "cls")]


# which look at values, or take them as they are
AS_THEY_ARE = {"pp.check_expression", "bench.perturbation.deviations", "tl.region_sets", "tl.topics"}
READERS = [
    name
    for name, function in {**FUNCTIONS, **{name: METHODS[name] for name in FOR_USERS}}.items()
    if "layer" in inspect.signature(function).parameters and name not in AS_THEY_ARE
]


@pytest.mark.parametrize("name", READERS)
def test_who_reads_expression_lets_the_user_say_what_it_is(name):
    found = inspect.signature({**FUNCTIONS, **METHODS}[name]).parameters["values"]
    assert (found.default, found.kind) == ("auto", inspect.Parameter.KEYWORD_ONLY)


def sections(function: object) -> dict[str, str]:
    """Sections of a numpydoc docstring by title; the summary under an empty title."""
    parts = re.split(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", inspect.getdoc(function) or "", flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def documented(text: str) -> list[str]:
    """Names that head an entry: lines without indentation, ``a, b`` counting as two."""
    heads = [line.partition(" : ")[0] for line in text.splitlines() if line and not line.startswith(" ")]
    return [name.strip() for head in heads for name in head.split(",")]


def test_there_is_something_to_check():
    assert len(FUNCTIONS) >= 25 and len(COMPUTING) >= 10
    assert all(module in {name.rpartition(".")[0] for name in FUNCTIONS} for module in NAMESPACES)


def test_public_names_are_functions_classes_or_constants():
    others = {name: thing for name, thing in OBJECTS.items() if name not in FUNCTIONS and name not in CLASSES}
    modules = {name for name, thing in others.items() if inspect.ismodule(thing)}
    assert modules == {f"bench.{name}" for name in BENCH}
    constants = {"models.CAPABILITIES", "bench.READINGS", "bench.splits.SPLITS", "bench.negatives.NEGATIVES"}
    assert set(others) - modules == constants


@everything
def test_signature_is_explicit(name):
    found = parameters({**FUNCTIONS, **METHODS}[name])
    kinds = {p.name: p.kind for p in found}
    assert inspect.Parameter.VAR_KEYWORD not in kinds.values(), "no **kwargs"
    assert inspect.Parameter.VAR_POSITIONAL not in kinds.values(), "no *args"
    for p in found:
        if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            assert not isinstance(p.default, bool) and p.annotation not in ("bool", bool), f"{p.name} must be a keyword"


@functions
def test_everything_after_the_object_is_keyword_only(name):
    found = parameters(FUNCTIONS[name])
    leading = [p for p in found if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert len(leading) <= LEADING.get(name, 1)


@everything
def test_annotations_are_complete(name):
    function = {**FUNCTIONS, **METHODS}[name]
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    missing = [p.name for p in parameters(function) if p.annotation is inspect.Parameter.empty]
    assert missing == []


@functions
def test_copy_is_off_by_default_and_returned(name):
    found = {p.name: p for p in parameters(FUNCTIONS[name])}
    if "copy" in found:
        assert found["copy"].kind is inspect.Parameter.KEYWORD_ONLY and found["copy"].default is False
        assert "None" in str(inspect.signature(FUNCTIONS[name]).return_annotation)


@everything
def test_every_parameter_is_documented(name):
    function = {**FUNCTIONS, **METHODS}[name]
    if name.rpartition(".")[0] in MODELS and name not in FOR_USERS:
        assert (inspect.getdoc(function) or "").strip(), "members of a model are described in one line"
        return
    wanted = [p.name for p in parameters(function)]
    described = documented(sections(function).get("Parameters", ""))
    assert described == wanted


@functions
def test_sections_of_the_docstring(name):
    found = sections(FUNCTIONS[name])
    assert re.match(r"\S.*\.$", found[""].strip().splitlines()[0]), "a summary line that ends with a full stop"
    assert {"Returns", "Examples"} <= set(found) or name == "models.register"
    assert ">>>" in found["Examples"]
    if parameters(FUNCTIONS[name]):
        assert "Raises" in found
        for error in documented(found["Raises"]):
            assert issubclass(getattr(grn.errors, error), GrnError)
    assert "%(" not in FUNCTIONS[name].__doc__, "a snippet was not filled in"


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_documented(name):
    cls = CLASSES[name]
    found = sections(cls)
    assert found[""].strip()
    if not getattr(cls, "_is_protocol", False):
        assert documented(found.get("Parameters", "")) == [p.name for p in parameters(cls)] or name == "models.Moments"


def outline(thing: object) -> object:
    """Keys of nested dicts and columns of tables."""
    if isinstance(thing, pd.DataFrame):
        return list(thing.columns)
    return {key: outline(thing[key]) for key in sorted(thing)} if isinstance(thing, Mapping) else None


def strings(thing: object) -> set[str]:
    """All strings in an entry of ``uns``."""
    if isinstance(thing, Mapping):
        return {text for value in thing.values() for text in strings(value)}
    if isinstance(thing, pd.DataFrame):
        return {text for name in thing for text in strings(thing[name].to_numpy(dtype=object))}
    return {item for item in np.ravel(np.asarray(thing, dtype=object)) if isinstance(item, str)}


def snapshot(adata: ad.AnnData | MuData) -> dict[str, object]:
    """Contents in a form that compares by value."""
    if isinstance(adata, MuData):
        parts = {name: snapshot(part) for name, part in adata.mod.items()}
        return {**parts, "uns": repr(outline(adata.uns)), "obs": adata.obs.to_csv()}
    X = adata.X.toarray() if sparse.issparse(adata.X) else np.asarray(adata.X)
    return {
        "X": X.tobytes(),
        "obs": adata.obs.to_csv(),
        "var": adata.var.to_csv(),
        "uns": repr(outline(adata.uns)),
        **{slot: repr(sorted(getattr(adata, slot))) for slot in ("obsm", "varm", "obsp", "varp", "layers")},
    }


def cells() -> ad.AnnData:
    return grn.datasets.toy(n_cells=40, n_regulators=3, n_targets=8)


def counted() -> ad.AnnData:
    adata = cells()
    adata.X = adata.layers.pop("counts")
    return adata


def screen() -> ad.AnnData:
    return grn.datasets.toy_perturbation(n_cells=6, n_regulators=3, n_targets=2, n_times=2)


def on_course() -> ad.AnnData:
    adata = cells()
    adata.obs["time"] = np.linspace(0.0, 1.0, adata.n_obs)
    grn.pp.trajectory(adata, pseudotime="time")
    return adata


def many() -> ad.AnnData:
    return grn.datasets.toy(n_cells=80, n_regulators=3, n_targets=8)


@cache
def scanned() -> MuData:
    mdata = grn.datasets.toy_multiome(n_cells=40, n_regulators=3, n_targets=12)
    motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    space = grn.genome.link_genes(mdata["atac"].var_names, starts=mdata.uns["starts"])
    mdata["atac"].uns["links"] = {"table": space.assign(score=1.0), "params": {}}
    return mdata


def paired() -> MuData:
    return scanned().copy()


def with_eregulons() -> MuData:
    mdata = paired()
    grn.tl.scenicplus(mdata, **NEEDED["tl.scenicplus"])
    return mdata


def with_linger() -> MuData:
    mdata = paired()
    grn.tl.linger(mdata, links="links", n_metacells=10)
    return mdata


def with_network() -> ad.AnnData:
    adata = many()
    for key, method in (("grn", "correlation"), ("second", "ridge")):
        grn.tl.infer_network(adata, method=method, key_added=key)
    return adata


def with_donors() -> ad.AnnData:
    adata = with_network()
    adata.obs["donor"] = [f"d{i // 2 % 3}" for i in range(adata.n_obs)]
    return adata


def duplicated() -> ad.AnnData:
    adata = cells()
    adata.var_names = [*adata.var_names[:-1], adata.var_names[0]]
    return adata


def scaled() -> ad.AnnData:
    adata = cells()
    adata.X = adata.X.toarray() - 1.0
    return adata


GENOME = {"chr1": "CTTATCTGGCA" * 60, "chr2": "GGCACTTATCT" * 60}
MOTIFS = grn.genome.Motifs(("gata",), (np.eye(4)[[1, 3, 3, 0, 3, 1, 3]] * 50,), (("GATA1",),))


def peaks() -> ad.AnnData:
    """Regions in two blocks of a scan."""
    names = [f"chr{k % 2 + 1}:{k * 20}-{k * 20 + 200}" for k in range(20)]
    return ad.AnnData(np.ones((4, 20), dtype=np.float32), var=pd.DataFrame(index=names))


def labelled_peaks() -> ad.AnnData:
    """Regions of which half are open in one label and half in the other."""
    names = peaks().var_names
    adata = ad.AnnData(np.kron(np.eye(2), np.ones((4, 10))).astype(np.float32), var=pd.DataFrame(index=names))
    adata.obs["group"] = ["a"] * 4 + ["b"] * 4
    return adata


def scanned_peaks() -> ad.AnnData:
    adata = peaks()
    grn.pp.scan_motifs(adata, sequences=GENOME, motifs=MOTIFS)
    return adata


def enriched_peaks() -> ad.AnnData:
    adata = scanned_peaks()
    grn.tl.motif_enrichment(adata, **NEEDED["tl.motif_enrichment"])
    return adata


@cache
def screened() -> grn.models.FoundationModel:
    return grn.models.untrained("scgenept", genes=list(cells().var_names), layers=1, width=8, heads=2)


@cache
def counting() -> grn.models.FoundationModel:
    ids = list(grn.genes.resolve(cells().var_names)["ensembl"])
    return grn.models.untrained("scprint", genes=ids, layers=1, width=8, heads=2)


LABELS = pd.DataFrame({"source": ["GATA1"], "target": ["SPI1"]})
# functions that read no gene names fail for another reason; the rest is given duplicated names
BAD = {"pp.check_expression": (scaled, {"expect": "log"}), "tl.regulons": (cells, {})}
DONORS = {"condition": "group", "reference": "group_1", "group": "group_2", "donor": "donor"}
ENDS = {"stages": "group", "first": "group_1", "last": "group_2"}
NEEDED = {
    "pp.trajectory": {"time": "time"},
    "get.agreement": {"keys": ["a", "b"]},
    "pl.compare_models": {"keys": ["a", "b"]},
    "tl.activity": {"min_targets": 1},
    "tl.attention": {"model": screened},
    "tl.perturbation_response": {"model": screened},
    "pl.activity": {"groupby": "group"},
    "pl.regulon": {"source": "SPI1"},
    "pl.response": {"pairs": ("SPI1", "GATA1")},
    "get.features": {"key": "vvp"},
    "tl.fit_translator": {"labels": LABELS},
    "tl.rank_drivers": {"condition": "group", "group": "group_1", "min_targets": 1},
    "tl.differential_activity": {**DONORS, "min_targets": 1, "min_cells": 1},
    "bench.perturbation.deviations": {"top": 1},
    "pp.metacells": {"groupby": "group", "k": 4},
    "pp.scan_motifs": {"sequences": GENOME, "motifs": MOTIFS},
    "tl.region_sets": {"groupby": "group"},
    "tl.topics": {"n_topics": 2},
    "tl.motif_enrichment": {"sets": {"a": ["chr1:0-200", "chr2:20-220"]}, "max_qval": 1.0, "min_log2fc": -9.0},
    "tl.consensus": {"nets": ["grn", "second"]},
    "tl.confidence": {"n_permutations": 2, "n_subsamples": 2},
    "tl.denoise": {"model": counting},
    "tl.differential": {"condition": "group", "n_permutations": 2},
    "tl.gene_programs": {"n_neighbors": 3, "resolution": 1.0, "min_genes": 1},
    "tl.predict_labels": {"model": counting},
    "tl.predict_knockout": {"genes": "GATA1"},
    "tl.renge": {
        "perturbation": "perturbation",
        "time": "time",
        "control": "control",
        "C": 1e-3,
        "l1_ratio": 0.1,
        "n_k": 2,
        "n_boot": 0,
    },
    "tl.dictys": {"n_steps": 3},
    "tl.eregulon_activity": {"min_targets": 1},
    "tl.flecs": {**ENDS, "n_bins": 2, "n_ensemble": 2, "n_epochs": 2},
    "tl.linger": {"links": "links", "n_metacells": 10},
    "tl.ritini": {"prior": "full", "n_times": 12, "n_epochs": 2},
    "tl.scenicplus": {"n_trees": 5, "max_rounds": 5, "min_targets": 1, "n_permutations": 10},
    "tl.scrank": {"groupby": "group", "drug_targets": ["GATA1"]},
    "tl.simulate": {"perturbation": {"GATA1": 0}},
}


def needed(name):
    """Arguments of a function, with its model made on the first use."""
    return {argument: value() if callable(value) else value for argument, value in NEEDED.get(name, {}).items()}


# what functions need that a few cells do not have
MAKE = {
    **dict.fromkeys(("tl.activity", "tl.confidence", "tl.consensus"), with_network),
    **dict.fromkeys(("tl.rank_drivers", "tl.rank_regulators", "tl.simulate"), with_network),
    "tl.differential_activity": with_donors,
    **dict.fromkeys(("tl.celloracle", "tl.differential", "tl.flecs", "tl.scrank"), many),
    **dict.fromkeys(("pp.trajectory", "tl.renge"), screen),
    "tl.dictys": counted,
    "tl.eregulon_activity": with_eregulons,
    "tl.linger": paired,
    "tl.ritini": on_course,
    "tl.linger_activity": with_linger,
    "tl.linger_knockout": with_linger,
    "tl.scenicplus": paired,
    "pp.scan_motifs": peaks,
    "tl.region_sets": labelled_peaks,
    "tl.topics": labelled_peaks,
    "tl.motif_enrichment": scanned_peaks,
    "tl.cistromes": enriched_peaks,
}


@pytest.mark.parametrize("name", ON_ADATA)
@pytest.mark.parametrize("thing", [None, 3, "cells.h5ad", {"X": 1}], ids=repr)
def test_other_objects_are_refused_by_name(name, thing):
    with pytest.raises(GrnError, match=type(thing).__name__):
        FUNCTIONS[name](thing, **needed(name))


@pytest.mark.parametrize("name", COMPUTING)
def test_a_failing_call_leaves_the_object_as_it_was(name):
    make, arguments = BAD.get(name, (duplicated, {}))
    adata = make()
    before = snapshot(adata)
    with pytest.raises(GrnError):
        FUNCTIONS[name](adata, **needed(name), **arguments)
    assert snapshot(adata) == before


@pytest.mark.parametrize("name", COPYING)
def test_a_copy_leaves_the_object_as_it_was_and_carries_what_is_written_in_place(name):
    adata = MAKE.get(name, cells)()
    if name == "tl.regulons":
        grn.Network(adata.uns["truth"]).write(adata)
    arguments = {"min_targets": 1} if name == "tl.regulons" else needed(name)
    before = snapshot(adata)
    changed = FUNCTIONS[name](adata, copy=True, **arguments)
    assert type(changed) is type(adata) and changed is not adata
    assert snapshot(adata) == before != snapshot(changed)
    assert "None" not in strings(changed.uns), "an argument that is None is listed in params['unset']"
    assert FUNCTIONS[name](adata, **arguments) is None
    assert snapshot(adata) == snapshot(changed)


OF_MODALITIES = [name for name in ON_ADATA if "rna" in inspect.signature(FUNCTIONS[name]).parameters]
# these read regions, or both modalities, and take an AnnData of neither
OF_BOTH: set[str] = {
    "tl.eregulon_activity",
    "tl.linger",
    "tl.linger_activity",
    "tl.linger_knockout",
    "tl.scenicplus",
}
# these read regions alone
OF_REGIONS = {"pp.scan_motifs", "tl.cistromes", "tl.motif_enrichment", "tl.region_sets", "tl.topics"}


def test_functions_of_cells_take_a_mudata():
    others = {"pp.base_grn"}
    assert {name for name in COMPUTING if name.startswith("tl.")} <= set(OF_MODALITIES) | OF_BOTH | OF_REGIONS
    assert {name for name in COMPUTING if name.startswith("pp.")} <= set(OF_MODALITIES) | OF_BOTH | OF_REGIONS | others


# what has no cells to give, and what makes a new object of both modalities: tests/pp/test_metacells.py
NO_CELLS = {"tl.predict_knockout", "pp.metacells"}


@pytest.mark.parametrize("name", sorted({*OF_MODALITIES} & {*COMPUTING} - OF_BOTH - NO_CELLS))
def test_a_mudata_gets_what_its_modality_would(name):
    adata, alone = (MAKE.get(name, cells)() for _ in range(2))
    arguments = needed(name)
    if name == "tl.dictys":  # whose mask would else be of the regions
        arguments["base_grn"] = None
    if name == "tl.fit_translator":
        adata, arguments = showing(name)
        alone, _ = showing(name)
    if name == "tl.regulons":
        for made in (adata, alone):
            grn.Network(made.uns["truth"]).write(made)
    regions = ad.AnnData(np.ones((adata.n_obs, 1), dtype=np.float32), obs=pd.DataFrame(index=adata.obs_names))
    regions.var_names = ["chr1:1-100"]
    mdata = MuData({"gex": adata, "atac": regions})
    FUNCTIONS[name](alone, **arguments)
    FUNCTIONS[name](mdata, rna="gex", **arguments)
    shared = {key: mdata.uns.pop(key) for key in list(mdata.uns)}
    adata.uns.update(shared)
    assert snapshot(adata) == snapshot(alone)


@pytest.mark.parametrize("name", sorted(OF_REGIONS))
def test_a_mudata_gets_what_its_regions_would(name):
    regions, alone = (MAKE[name]() for _ in range(2))
    mdata = MuData({"rna": ad.AnnData(np.ones((regions.n_obs, 1)), obs=regions.obs[[]]), "peaks": regions})
    FUNCTIONS[name](alone, **needed(name))
    assert FUNCTIONS[name](mdata, atac="peaks", **needed(name)) is None
    assert snapshot(mdata["peaks"]) == snapshot(alone)
    with pytest.raises(GrnError, match="atac"):
        FUNCTIONS[name](alone, atac="peaks", **needed(name))


KEYED = [name for name in COMPUTING if "key_added" in inspect.signature(FUNCTIONS[name]).parameters]


@pytest.mark.parametrize("name", KEYED)
@pytest.mark.parametrize("key", ["a/b", "a\x00b", 5], ids=repr)
def test_keys_that_no_file_keeps_are_refused_first(name, key):
    adata = MAKE.get(name, cells)()
    if name == "tl.regulons":
        grn.Network(adata.uns["truth"]).write(adata)
    before = snapshot(adata)
    with pytest.raises(GrnError, match="key_added"):
        FUNCTIONS[name](adata, key_added=key, **needed(name))
    assert snapshot(adata) == before


# these read genes of a network or of a fit, which were checked when it was made
FITTED = ("pp.check_expression", "tl.predict_knockout", "tl.regulons")


@pytest.mark.parametrize("name", [name for name in COMPUTING if name not in FITTED])
@pytest.mark.parametrize("gene", ["GATA1\x00", "GATA1\n", "GATA1\ud800", "GATA1\uffff"], ids=ascii)
def test_genes_that_no_file_keeps_are_refused_first(name, gene):
    adata = cells()
    adata.var_names = [gene, *adata.var_names[1:]]
    with pytest.raises(GrnError, match="cannot be stored"):
        FUNCTIONS[name](adata, **needed(name))


# what never takes two seconds, or is one pass over the cells, which shows its own bar where it is long; topics are one
# call of scikit-learn, which shows none
QUICK = {
    "pp.align_genes", "pp.annotate_regulators", "pp.base_grn", "pp.base_grn_from_footprints",
    "pp.base_grn_from_regions", "pp.check_expression", "pp.motifs", "pp.trajectory",
    "tl.cistromes", "tl.embedding", "tl.linger_activity", "tl.linger_knockout", "tl.methods", "tl.predict_knockout",
    "tl.rank_drivers", "tl.region_sets", "tl.regulons", "tl.topics",
    "models.available", "models.load", "models.register", "models.save", "models.untrained",
    "bench.leaderboard", "bench.leakage", "bench.markdown", "bench.gains", "bench.overview", "bench.reliability",
    "bench.scorer", "bench.verdict",
    "bench.audit.audit", "bench.audit.compare",
    *(f"bench.drivers.{n}" for n in "figure_table markdown questions verdict".split()),
    *(f"bench.floors.{n}" for n in "expression own_degree prior same_family transfer".split()),
    *(f"bench.metrics.{n}" for n in "auprc auprc_within auroc early_precision".split()),
    "bench.negatives.sample", "bench.splits.split",
    *(f"bench.perturbation.{n}" for n in "by_regulator deviations markdown score signatures".split()),
}  # fmt: skip


def test_what_can_be_long_takes_progress():
    spaces = ("pp.", "tl.", "models.", "bench.")
    silent = {
        n for n, f in FUNCTIONS.items() if n.startswith(spaces) and "progress" not in inspect.signature(f).parameters
    }
    assert silent == QUICK
    assert "progress" in inspect.signature(grn.models.LPM.fit).parameters


SHOWING = [name for name in COMPUTING if "progress" in inspect.signature(FUNCTIONS[name]).parameters]


def showing(name: str) -> tuple[ad.AnnData, dict[str, object]]:
    adata, arguments = MAKE.get(name, cells)(), needed(name)
    if name == "tl.fit_translator":
        grn.tl.vvp(adata, model=screened())
        pairs = [
            (source, target, i % 2) for source in ("GATA1", "SPI1") for i, target in enumerate(adata.var_names[2:])
        ]
        labels = pd.DataFrame(pairs, columns=["source", "target", "label"])
        arguments = {"labels": labels, "epochs": 2, "members": 1, "validation": 0.5}
    if name == "tl.renge":
        arguments["n_boot"] = 2
    return adata, arguments


@pytest.mark.parametrize("name", SHOWING)
def test_progress_is_shown_or_not(name, capsys):
    for wanted in (True, False):
        adata, arguments = showing(name)
        capsys.readouterr()
        with grn.settings.override(progress=not wanted):
            FUNCTIONS[name](adata, **arguments, progress=wanted)
        assert ("it/s" in capsys.readouterr().err) is wanted


@pytest.mark.parametrize("name", [name for name in SHOWING if "copy" in inspect.signature(FUNCTIONS[name]).parameters])
def test_an_interruption_leaves_the_object_as_it_was(name, monkeypatch):
    class Interrupted:
        def __init__(self, items, **_):
            self.items = items

        def __iter__(self):
            yield from list(self.items)[:1]
            raise KeyboardInterrupt

    adata, arguments = showing(name)
    before = snapshot(adata)
    monkeypatch.setattr("tqdm.auto.tqdm", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        FUNCTIONS[name](adata, **arguments, progress=True)
    assert snapshot(adata) == before
