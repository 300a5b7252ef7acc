"""Every integer that a public callable takes may be numpy's; a bool or text is refused before anything is changed."""

import inspect
import re
from collections.abc import Callable
from functools import cache, partial

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import grn
from grn._core.errors import ParameterError
from grn.methods import METHODS

BENCH = ("floors", "metrics", "negatives", "perturbation", "splits")
WHOLE = {"int", "int | None"}


LINKS = pd.DataFrame(
    [("GATA1", "HBB"), ("GATA1", "KLF1"), ("SPI1", "CD14"), ("SPI1", "LYZ"), ("TAL1", "MPO")],
    columns=["source", "target"],
)
SCORED = LINKS.assign(label=[0, 1, 0, 1, 1], probability=[0.1, 0.3, 0.5, 0.7, 0.9])


def reference(dataset: str = "a") -> grn.bench.Reference:
    genes = ["GATA1", "SPI1", "TAL1", "KLF1", "CD14", "HBB", "CD4", "CSF1R", "LYZ", "MPO"]
    return grn.bench.Reference(LINKS, genes=genes, dataset=dataset)


DONORS = {"condition": "group", "reference": "group_1", "group": "group_2", "donor": "donor"}


@cache
def made() -> ad.AnnData:
    """Cells with two networks, regulons, a simulation and pair features."""
    adata = grn.datasets.toy(n_cells=80, n_regulators=3, n_targets=8)
    for key, method in (("grn", "correlation"), ("second", "ridge")):
        grn.tl.infer_network(adata, method=method, key_added=key)
    grn.tl.vvp(adata, sources=["GATA1", "SPI1"])
    grn.tl.activity(adata, min_targets=1)
    adata.obs["donor"] = [f"d{i // 2 % 3}" for i in range(80)]
    grn.tl.differential_activity(adata, **DONORS, min_targets=1, min_cells=1)
    grn.tl.simulate(adata, perturbation={"GATA1": 0}, n_propagation=1)
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(80, 2))
    adata.obs["time"] = np.linspace(0.0, 1.0, 80)
    grn.pp.trajectory(adata, pseudotime="time")
    windows = {"window_cells": 40, "window_overlap": 20, "top_share": 0.3}
    grn.tl.dictys(adata, layer="counts", n_steps=3, trajectory="trajectory", **windows)
    return adata


@cache
def pairs() -> pd.DataFrame:
    """Labelled pairs with features."""
    features = made().varm["vvp"]
    targets = [name for name, row in zip(made().var_names, features, strict=True) if np.isfinite(row).all()]
    table = pd.DataFrame({"source": np.repeat(["GATA1", "SPI1"], len(targets)), "target": targets * 2})
    return table.assign(label=np.arange(len(table)) % 2)


@cache
def screen() -> ad.AnnData:
    return grn.datasets.toy_perturbation(n_cells=6, n_regulators=3, n_targets=2, n_times=2)


@cache
def model_of(family: str) -> grn.models.FoundationModel:
    genes = list(made().var_names)
    if family in ("geneformer", "genecompass", "scprint"):
        genes = grn.genes.resolve(genes, organism="human")["ensembl"].tolist()
    return grn.models.untrained(family, genes=genes, layers=1, width=8, heads=2)


@cache
def scanned() -> MuData:
    mdata = grn.datasets.toy_multiome(n_cells=24, n_regulators=3, n_targets=8)
    motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    grn.tl.scenicplus(mdata, starts=mdata.uns["starts"], **FEW_TREES)
    grn.pp.link_regions(mdata, starts=mdata.uns["starts"], min_cells=2, null=None)
    some = {"some": list(mdata["atac"].var_names[:20])}
    grn.tl.motif_enrichment(mdata, sets=some, method="recovery", min_nes=-9.0)
    return mdata


FEW_TREES = {"n_trees": 2, "max_rounds": 2, "min_targets": 1, "n_permutations": 2}
# what reads both modalities, or regions
OF_PAIRS = {
    "tl.cistromes", "tl.eregulon_activity", "tl.linger", "tl.motif_enrichment", "tl.region_sets", "tl.scenicplus",
    "tl.topics", "get.region_links", "pl.eregulons", "pl.locus", "pl.region_network", "pp.base_grn_from_regions",
    "pp.link_regions", "pp.metacells",
}  # fmt: skip
DRUG = {"groupby": "group", "drug_targets": ["GATA1"], "n_resamples": 2, "n_components": 2}
COLUMNS = {"perturbation": "perturbation", "time": "time", "control": "control"}
FOOTPRINTS = pd.DataFrame({"source": ["SPI1"], "region": ["chrX:48786000-48786500"], "score": [1.0]})
FIT = {"C": 1e-3, "l1_ratio": 0.1, "n_k": 2, "n_boot": 0}
COURSE = {"stages": "group", "first": "group_1", "last": "group_2", "n_bins": 2, "n_ensemble": 2, "n_epochs": 2}
PATH = {"prior": "full", "n_times": 12, "n_epochs": 2}
# what a call needs beside the number that is tried; those that are not here need nothing
NEEDED: dict[str, Callable[[], dict[str, object]]] = {
    "pp.base_grn_from_footprints": lambda: {"footprints": FOOTPRINTS, "starts": "hg38"},
    "pp.base_grn_from_regions": lambda: {"starts": scanned().uns["starts"], "min_link": None},
    "pp.link_regions": lambda: {"starts": scanned().uns["starts"], "min_cells": 2, "null": None},
    "pp.metacells": lambda: {"groupby": "group", "n_pcs": 2, "k": 3},
    "pp.promoter_base_grn": lambda: {"sequences": scanned().uns["genome"]},
    "pp.smooth": lambda: {"k": 3},
    "tl.attention": lambda: {"model": model_of("scgpt")},
    "tl.denoise": lambda: {"model": model_of("scprint")},
    "tl.gene_programs": lambda: {"n_neighbors": 2, "min_genes": 1},
    "tl.predict_knockout": lambda: {"genes": ["GATA1"]},
    "tl.predict_labels": lambda: {"model": model_of("scprint")},
    "tl.activity": lambda: {"key": "grn", "min_targets": 1},
    "tl.celloracle": lambda: {"n_bags": 2, "max_p": None},
    "tl.confidence": lambda: {"net": "grn", "n_permutations": 2, "n_subsamples": 2},
    "tl.consensus": lambda: {"nets": ["grn", "second"], "min_support": 0},
    "tl.differential": lambda: {"condition": "group", "n_permutations": 2},
    "tl.fit_translator": lambda: {"labels": pairs(), "members": 1, "epochs": 2, "validation": 0.3},
    "tl.perturbation_response": lambda: {"model": model_of("scgenept")},
    "tl.differential_activity": lambda: {**DONORS, "min_targets": 1, "min_cells": 1},
    "tl.rank_drivers": lambda: {"condition": "group", "group": "group_1", "net": "grn", "min_targets": 1},
    "tl.regulons": lambda: {"min_targets": 1},
    "tl.eregulon_activity": lambda: {"min_targets": 1},
    "tl.motif_enrichment": lambda: {"sets": {"some": list(scanned()["atac"].var_names[:20])}, "min_nes": 0.0},
    "tl.region_sets": lambda: {"groupby": "group", "max_qval": 1.0},
    "tl.topics": lambda: {"n_topics": 2},
    "tl.flecs": lambda: COURSE,
    "tl.linger": lambda: {"starts": scanned().uns["starts"]},
    "tl.scenicplus": lambda: {**FEW_TREES, "starts": scanned().uns["starts"]},
    "tl.dictys": lambda: {"layer": "counts", "n_steps": 3, "min_cells": 0},
    "tl.ritini": lambda: PATH,
    "tl.scrank": lambda: DRUG,
    "tl.simulate": lambda: {"perturbation": {"GATA1": 0}, "n_propagation": 1, "n_controls": 1},
    "get.agreement": lambda: {"keys": ["grn", "second"]},
    "pl.eregulons": lambda: {"groupby": "group", "network": "scenicplus"},
    "pl.locus": lambda: {"gene": scanned().uns["starts"]["gene"][0], "starts": scanned().uns["starts"]},
    "pl.activity": lambda: {"groupby": "group"},
    "pl.compare_models": lambda: {"keys": ["grn", "second"]},
    "pl.regulon": lambda: {"source": "GATA1"},
    "datasets.toy": lambda: {"n_regulators": 3, "n_targets": 8, "n_cells": 20},
    "datasets.toy_dynamics": lambda: {"n_regulators": 4, "n_targets": 4, "n_cells": 20},
    "datasets.toy_groups": lambda: {"n_regulators": 3, "n_targets": 8, "n_cells": 20},
    "datasets.toy_perturbation": lambda: {"n_regulators": 3, "n_targets": 8, "n_cells": 6},
    "models.untrained": lambda: {"family": "scgpt", "genes": ["SPI1", "CD14"], "layers": 1, "width": 8, "heads": 2},
    "bench.score_edges": lambda: {"edges": LINKS, "reference": reference(), "seeds": 1, "n_boot": 1},
    "bench.scorer": lambda: {"method": "correlation"},
    "bench.run": lambda: {
        "methods": [grn.bench.Entry("vvp", {"translator": None})],
        "train": reference(),
        "test": [reference("b")],
        "seeds": 1,
        "outside": False,
    },
    "bench.perturbation.deviations": lambda: {"top": 1},
    "bench.perturbation.effects": lambda: {"perturbation": "perturbation", "control": "control"},
    "bench.reliability": lambda: {"pairs": SCORED},
    "pl.reliability": lambda: {"pairs": SCORED},
    "pl.degree_bias": lambda: {
        "scores": grn.bench.score_edges(
            LINKS, reference=reference(), seeds=1, n_boot=1, pairs=True, negatives=["uniform"]
        )
    },
}
# a number to try where the default is none, or would be slow or wrong for so few cells
TRIED = {"k": 3, "sight": 3, "n_neighbors": 4, "n_grid": 4, "n_cells": 12, "n_regulators": 4, "n_targets": 8, "top": 3,
         "seeds": 1, "n_boot": 2, "width": 8, "heads": 2, "layers": 1, "n_bags": 2, "n_permutations": 2, "n_k": 2,
         "n_subsamples": 2, "members": 1, "epochs": 2, "n_trees": 2, "max_rounds": 2, "n_resamples": 2,
         "n_components": 2, "rank": 2, "max_steps": 1, "min_cells": 2, "n_propagation": 1, "n_controls": 1,
         "min_targets": 1, "max_regulators": 2, "n_jobs": 1, "dose": 0, "min_support": 0, "cells_per_resample": 20,
         "min_group_cells": 5, "max_genes": 5, "n_knockouts": 2, "n_times": 12, "feedforward": 8,
         "min_genes": 1, "n_bins": 2, "n_ensemble": 2, "n_epochs": 2}  # fmt: skip
# what checks its number once published files are read, or writes a folder, and is tried beside that
ELSEWHERE = {"bench.scored_pairs", "models.pretrain"}
# what reads published files or fits for long, so that here it only refuses; the few pairs are too few to fit on
REFUSING = ELSEWHERE | {"bench.family_links", "bench.label_floors", "bench.leakage", "bench.run", "datasets.dream4",
                        "pp.promoter_base_grn", "tl.fit_translator"}  # fmt: skip
OF_SCREENS = {"tl.renge", "tl.predict_knockout", "bench.perturbation.effects", "bench.perturbation.deviations"}


def functions() -> dict[str, Callable]:
    spaces = {name: getattr(grn, name) for name in ("pp", "tl", "get", "pl", "datasets", "models", "bench")}
    spaces |= {f"bench.{name}": getattr(grn.bench, name) for name in BENCH}
    return {
        f"{space}.{name}": getattr(module, name)
        for space, module in spaces.items()
        for name in module.__all__
        if inspect.isfunction(getattr(module, name))
    }


def whole(function: Callable) -> list[str]:
    return [p.name for p in inspect.signature(function).parameters.values() if str(p.annotation) in WHOLE]


FUNCTIONS = functions()
ARGUMENTS = [(f, n) for f, function in FUNCTIONS.items() for n in whole(function)]
PARAMETERS = [
    (m, n) for m in METHODS for n in METHODS[m].parameters() if any(n in whole(f) for f in METHODS[m].functions())
]


def call(name: str, **number) -> object:
    arguments = {**NEEDED.get(name, dict)(), **number}
    first = next(iter(inspect.signature(FUNCTIONS[name]).parameters.values()))
    if first.name in ("adata", "data", "mdata"):
        adata = (scanned() if name in OF_PAIRS else screen() if name in OF_SCREENS else made()).copy()
        if name == "tl.renge":
            arguments = {**COLUMNS, **FIT, **number}
        if name == "tl.predict_knockout":
            grn.tl.renge(adata, **COLUMNS, **FIT)
        return FUNCTIONS[name](adata, **arguments)
    return FUNCTIONS[name](**arguments)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Functions that write a file by default write it here."""
    monkeypatch.chdir(tmp_path)


def test_what_calls_need_belongs_to_calls():
    tried = {name for name, _ in ARGUMENTS} - ELSEWHERE
    assert set(NEEDED) <= tried and REFUSING <= {name for name, _ in ARGUMENTS}


@pytest.mark.parametrize("value", [True, "3"], ids=repr)
@pytest.mark.parametrize(("name", "argument"), [a for a in ARGUMENTS if a[0] not in ELSEWHERE])
def test_what_is_no_integer_is_refused(name, argument, value):
    with pytest.raises(ParameterError, match=rf"^{argument}="):
        call(name, **{argument: value})


def test_nothing_is_changed_by_what_is_refused():
    before = (sorted(made().uns), sorted(made().obsm), sorted(made().varm), sorted(made().layers))
    for name, argument in ARGUMENTS:
        if name.startswith("tl.") and name not in OF_SCREENS | OF_PAIRS:
            adata = made().copy()
            with pytest.raises(ParameterError):
                FUNCTIONS[name](adata, **{**NEEDED.get(name, dict)(), argument: True})
            assert (sorted(adata.uns), sorted(adata.obsm), sorted(adata.varm), sorted(adata.layers)) == before


@pytest.mark.slow
@pytest.mark.parametrize(("name", "argument"), [a for a in ARGUMENTS if a[0] not in REFUSING])
def test_integers_of_numpy_are_taken(name, argument):
    default = inspect.signature(FUNCTIONS[name]).parameters[argument].default
    number = 1 if argument == "sign" else TRIED.get(argument, default if isinstance(default, int) else 2)
    needed = (
        {"basis": "X_umap"} if name == "tl.simulate" and argument in ("n_neighbors", "n_grid", "n_controls") else {}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.pyplot.show", lambda *_, **__: None)
        call(name, **needed, **{argument: np.int64(number)})


@pytest.mark.parametrize(("method", "argument"), PARAMETERS)
def test_parameters_of_methods_are_integers_of_python_or_numpy(method, argument):
    paired = "regions" in METHODS[method].needs
    adata = (scanned() if paired else screen() if method == "renge" else made()).copy()
    family = METHODS[method].family or ("scgpt" if method == "attention" else None)
    model = model_of(family) if family else "mini"
    needed = {
        "renge": {**COLUMNS, **FIT},
        "celloracle": {"n_bags": 2, "max_p": None},
        "flecs": COURSE,
        "genie3": {"n_trees": 2},
        "dictys": {"n_steps": 3},
        "grnboost2": {"max_rounds": 2},
        "linger": {"starts": scanned().uns["starts"]},
        "ritini": PATH,
        "scenicplus": {**FEW_TREES, "starts": scanned().uns["starts"]},
    }.get(method, {})
    if method == "scrank":
        needed = {"n_resamples": 2, "n_components": 2}
    layer = "counts" if "counts" in METHODS[method].needs else None
    run = partial(grn.tl.infer_network, adata, method=method, model=model, layer=layer, key_added="new")
    for value in (True, "3"):
        with pytest.raises(ParameterError, match=rf"{re.escape(argument)}="):
            run(params={**needed, argument: value})
    assert "new" not in adata.uns
    default = METHODS[method].parameters()[argument]
    number = 0 if argument == "attention_layer" else TRIED.get(argument, default if isinstance(default, int) else 5)
    run(params={**needed, argument: np.int64(number)})
    assert "new" in adata.uns
