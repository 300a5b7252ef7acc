"""What was asked is what was done and what is recorded: every argument in ``uns``, answers within the question."""

import inspect
from functools import cache

import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import NetworkError, ParameterError
from grn.methods import METHODS, Inputs, Method, Task

# arguments that decide where and how fast, not what
HOW = {
    *("adata", "key_added", "layer_added", "copy", "progress", "n_jobs", "batch_size", "device", "client", "store"),
    *("cache", "rna", "atac"),
}
# arguments that are recorded under another name, or as what they stand for
ELSEWHERE = {"rng": "seed", "action": "actions", "perturbation": "doses"}
SCREEN = {"perturbation": "perturbation", "time": "time", "control": "control"}


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    monkeypatch.setattr(METHODS, "_records", dict(METHODS._records))


def method(fit, **promises):
    METHODS.add(
        "mine", Method("mine", fit, "mine", signed=True, probability=False, reference="", needs=("cells",), **promises)
    )


def pairs(cells, weight, *, sources=None, targets=None, group=None, **flags):
    """All pairs with one weight, or with those of a table."""
    names = cells.names
    rows = [
        (s, t, weight.loc[s, t] if isinstance(weight, pd.DataFrame) else weight)
        for s in (names[cells.sources] if sources is None else sources)
        for t in (names[cells.targets] if targets is None else targets)
        if s != t
    ]
    edges = pd.DataFrame(rows, columns=["source", "target", "weight"])
    return grn.Network(edges if group is None else edges.assign(group=group), genes=names, **flags)


def thresholded(group, *, minimum: float = 0.3, mode: str = "plain", skip: tuple = (), table=None):
    """A method that obeys and records nothing itself."""
    correlation = np.corrcoef(group.values().T)[np.ix_(group.targets, group.sources)]
    return np.where(np.abs(correlation) >= minimum, correlation, np.nan)


class TestParams:
    def test_arguments_of_a_registered_method_are_stored(self, toy, reread):
        method(thresholded)
        grn.tl.infer_network(toy, method="mine", params={"minimum": 0.5, "mode": "other", "skip": ("MYB", "SPI1")})
        told = grn.get.network(reread(toy)).params
        assert told["minimum"] == 0.5 and told["mode"] == "other" and list(told["skip"]) == ["MYB", "SPI1"]

    def test_defaults_are_stored(self, toy):
        method(thresholded)
        grn.tl.infer_network(toy, method="mine")
        assert toy.uns["grn"]["params"]["minimum"] == 0.3 and toy.uns["grn"]["params"]["mode"] == "plain"

    def test_what_cannot_be_stored_is_said_to_be_given(self, toy):
        method(thresholded)
        grn.tl.infer_network(toy, method="mine", params={"table": pd.DataFrame({"a": [1]})})
        assert toy.uns["grn"]["params"]["table"] == "given"
        with pytest.raises(ParameterError, match="table"):
            grn.tl.confidence(toy, n_permutations=2, n_subsamples=0)

    def test_confidence_runs_again_with_what_was_given(self, toy):
        seen = []

        def watched(group, *, minimum: float = 0.3):
            seen.append(minimum)
            return thresholded(group, minimum=minimum)

        method(watched)
        grn.tl.infer_network(toy, method="mine", params={"minimum": 0.5})
        grn.tl.confidence(toy, n_permutations=2, n_subsamples=2, top=5)
        assert set(seen) == {0.5}

    def test_confidence_says_what_an_older_network_does_not_tell(self, toy, caplog):
        method(thresholded)
        grn.tl.infer_network(toy, method="mine")
        del toy.uns["grn"]["params"]["minimum"]
        grn.tl.confidence(toy, n_permutations=2, n_subsamples=0)
        assert "minimum=0.3" in caplog.text

    def test_sources_and_targets_are_stored_for_models_too(self, toy, planted):
        grn.tl.infer_network(
            toy, method="vvp", model=planted(), params={"translator": None}, sources=["MYB"], targets=["SPI1", "GATA1"]
        )
        told = toy.uns["grn"]["params"]
        assert list(told["sources"]) == ["MYB"] and sorted(told["targets"]) == ["GATA1", "SPI1"]


class TestAnswersOutsideTheQuestion:
    """A method that does not do what it was asked is refused, not recorded as having obeyed."""

    def refused(self, refuses, adata, fit, *, error=NetworkError, **asked):
        method(fit, whole=True)
        message = refuses(error, grn.tl.infer_network, adata, method="mine", **asked)
        assert "'mine'" in message
        return message

    def test_groups_ignored(self, toy, refuses):
        ignores = lambda inputs: pairs(inputs.cells, 1.0)  # noqa: E731
        assert "groupby" in self.refused(refuses, toy, ignores, groupby="group")

    def test_groups_that_were_not_asked_for(self, toy, refuses):
        invents = lambda inputs: pairs(inputs.cells, 1.0, group="x")  # noqa: E731
        self.refused(refuses, toy, invents)

    def test_groups_that_do_not_exist(self, toy, refuses):
        invents = lambda inputs: pairs(inputs.cells, 1.0, group="x")  # noqa: E731
        assert "'x'" in self.refused(refuses, toy, invents, groupby="group")

    def test_targets_ignored(self, toy, refuses):
        ignores = lambda inputs: pairs(inputs.cells, 1.0, targets=inputs.names)  # noqa: E731
        assert "targets" in self.refused(refuses, toy, ignores, targets=["MYB", "SPI1"])

    def test_sources_ignored(self, toy, refuses):
        ignores = lambda inputs: pairs(inputs.cells, 1.0, sources=inputs.names[:3])  # noqa: E731
        assert "sources" in self.refused(refuses, toy, ignores, sources=["SPI1"])

    def test_layer_ignored(self, toy, refuses):
        toy.layers["other"] = toy.X.copy()

        def reads_x(inputs):
            other = Inputs(inputs._adata, Task(sources=inputs.task.sources))
            return pairs(other.cells, inputs._adata.to_df().corr())

        assert "layer" in self.refused(refuses, toy, reads_x, layer="other")

    def test_raw_ignored(self, toy, refuses):
        toy.raw = toy

        def reads_x(inputs):
            other = Inputs(inputs._adata, Task(sources=inputs.task.sources))
            return pairs(other.cells, inputs._adata.to_df().corr())

        assert "use_raw" in self.refused(refuses, toy, reads_x, use_raw=True)

    def test_a_layer_for_a_method_that_reads_no_cells_is_said_and_not_recorded(self, toy, planted, caplog):
        toy.layers["other"] = toy.X.copy()
        grn.tl.infer_network(toy, method="vvp", model=planted(), params={"translator": None}, layer="other")
        assert "layer" in caplog.text
        assert toy.uns["grn"]["params"].get("layer") != "other"

    def test_a_layer_that_does_not_exist_is_an_error_even_where_nothing_is_read(self, toy, planted, refuses):
        asked = {"method": "vvp", "model": planted(), "params": {"translator": None}, "layer": "missing"}
        refuses(grn.errors.LayerError, grn.tl.infer_network, toy, **asked)

    @pytest.mark.parametrize("weight", [np.nan, np.inf])
    def test_weights_that_are_no_numbers(self, toy, refuses, weight):
        method(lambda inputs: pairs(inputs.cells, weight), whole=True)
        with pytest.raises(NetworkError, match="weights"):
            grn.tl.infer_network(toy, method="mine")
        assert "grn" not in toy.uns

    def test_genes_of_another_object(self, toy, refuses):
        def foreign(inputs):
            return grn.Network(pd.DataFrame({"source": ["A"], "target": ["B"], "weight": [1.0]}))

        self.refused(refuses, toy, foreign)

    @pytest.mark.parametrize("answer", [None, 3, "network", pd.DataFrame({"source": ["MYB"]})])
    def test_no_network(self, toy, refuses, answer):
        self.refused(refuses, toy, lambda inputs: answer)


def cells():
    """Cells with everything that a function may ask for."""
    adata = grn.datasets.toy(n_cells=60, n_regulators=4, n_targets=8)
    adata.layers["other"] = adata.X.copy()
    adata.obs["donor"] = [f"d{i % 6}" for i in range(adata.n_obs)]
    adata.obs["condition"] = np.where(np.arange(adata.n_obs) % 6 < 3, "a", "b")
    adata.obs["time"] = np.linspace(0, 1, adata.n_obs)
    adata.obsm["X_two"] = adata.obsm.get("X_two", np.c_[np.arange(60.0), np.arange(60.0) % 7])
    return adata


def on_course():
    adata = cells()
    grn.pp.trajectory(adata, pseudotime="time")
    return adata


def two_networks():
    adata = cells()
    for name in ("correlation", "ridge"):
        grn.tl.infer_network(adata, method=name, key_added=name)
    adata.uns["grn"] = adata.uns["ridge"]
    return adata


def screen():
    return grn.datasets.toy_perturbation(n_cells=10, n_regulators=3, n_targets=4, n_times=2)


@cache
def scprint():
    genes = [gene for gene in grn.genes.resolve(cells().var_names)["ensembl"] if gene]
    return grn.models.untrained("scprint", genes=genes, layers=1, width=8, heads=2)


@cache
def scgpt():
    return grn.models.untrained("scgpt", genes=list(cells().var_names), layers=1, width=8, heads=2)


GENES = {"sources": ["GATA1", "SPI1"], "targets": ["KLF1", "GATA1", "VAC14"]}
READ = {**GENES, "layer": "other"}
# what makes the object, and an example of a call with arguments other than the defaults
CALLS = {
    "attention": (cells, {**READ, "model": scgpt, "groupby": "group", "max_cells": 3, "rng": 5}),
    "celloracle": (cells, {**READ, "groupby": "group", "n_bags": 3, "max_p": None, "rng": 5}),
    "consensus": (two_networks, {"nets": ["correlation", "ridge"], "top": 9, "min_support": 2}),
    "denoise": (cells, {"model": scprint, "genes": ["GATA1", "SPI1"], "depth_factor": 2.0, "layer": "other"}),
    "dictys": (
        cells,
        {**GENES, "layer": "counts", "groupby": "group", "n_regulators": 2, "n_factors": 1, "n_steps": 3, "rng": 5},
    ),
    "differential": (
        cells,
        {**READ, "condition": "condition", "donor": "donor", "method": "correlation", "n_permutations": 2, "rng": 5},
    ),
    "embed_cells": (cells, {"readout": "factors", "max_genes": 5, "layer": "other", "values": "log"}),
    "embedding": (cells, {}),
    "gene_programs": (cells, {"n_neighbors": 3, "resolution": 1.5, "min_genes": 1, "rng": 5}),
    "gradient_trajectory": (cells, {**GENES, "grid": [0.0, 1.0], "background": "moving"}),
    "in_silico_perturbation": (
        cells,
        {"genes": ["SPI1"], "layer": "other", "groupby": "group", "max_cells": 9, "mode": "overexpress", "rng": 5},
    ),
    "infer_network": (cells, {**READ, "method": "ridge", "params": {"alpha": 0.5}, "groupby": "group", "rng": 5}),
    "pert": (cells, {**READ, "groupby": "group"}),
    "predict_labels": (cells, {"model": scprint, "classes": ["sex_ontology_term_id"], "max_genes": 5}),
    "probe": (cells, {**READ, "grid": [0.0, 1.0], "context": "mean", "groupby": "group"}),
    "differential_activity": (
        two_networks,
        {
            "condition": "condition",
            "reference": "a",
            "group": "b",
            "donor": "donor",
            "net": "ridge",
            "moderate": False,
            "direction": "up",
            "min_targets": 2,
            "top_per_source": 3,
            "min_cells": 2,
            "layer": "other",
            "values": "log",
        },
    ),
    "rank_drivers": (
        two_networks,
        {
            "condition": "condition",
            "group": "b",
            "reference": "a",
            "groupby": "group",
            "net": "ridge",
            "evidence": "targets",
            "direction": "both",
            "min_targets": 2,
            "top_per_source": 3,
            "min_cells": 4,
            "layer": "other",
            "values": "log",
        },
    ),
    "flecs": (
        cells,
        {
            **READ,
            "stages": "group",
            "first": "group_1",
            "last": ["group_2"],
            "n_bins": 2,
            "n_neighbors": 4,
            "n_ensemble": 2,
            "n_epochs": 2,
            "rng": 5,
        },
    ),
    "regulons": (two_networks, {"min_targets": 1, "top_per_source": 3}),
    "renge": (screen, {**SCREEN, "n_k": 2, "C": 0.02, "l1_ratio": 0.1, "n_boot": 4, "rng": 5}),
    "ritini": (
        on_course,
        {"prior": "full", "n_times": 12, "bandwidth": 0.1, "n_epochs": 2, "layer": "other", "batch_size": 3, "rng": 5},
    ),
    "scrank": (cells, {"groupby": "group", "drug_targets": ["GATA1"], "layer": "other", "n_resamples": 2, "rng": 5}),
    "simulate": (two_networks, {"perturbation": {"GATA1": 0}, "layer": "other", "rng": 5, "n_propagation": 2}),
    "ugrn": (cells, {**READ, "translator": "chip", "context": "mean", "groupby": "group"}),
    "vvp": (cells, {**READ, "grid": [0.0, 1.0], "context": "mean"}),
}
WRITING = [n for n in grn.tl.__all__ if "key_added" in inspect.signature(getattr(grn.tl, n)).parameters]
WITHOUT_AN_EXAMPLE = {"perturbation_response", "activity"}  # recorded by the same function as vvp; see test_activity
# the same of functions that read chromatin; where they write, and arguments other than the defaults
OF_CHROMATIN = {
    "region_sets": ("atac", {"groupby": "group", "max_qval": 1.0, "min_log2fc": 0.0, "max_regions": 9}),
    "topics": ("atac", {"n_topics": 2, "max_iter": 5, "rng": 5}),
    "motif_enrichment": ("atac", {"sets": "region_sets", "method": "recovery", "min_nes": -9.0, "rng": 5}),
    "cistromes": ("atac", {"min_regions": 1}),
    "scenicplus": (
        "",
        {"window": 60_000, "mode": "fast", "n_trees": 30, "min_targets": 1, "n_permutations": 9, "rng": 5},
    ),
    "eregulon_activity": ("rna", {"min_targets": 1, "min_rho": 0.0}),
    "linger": ("", {"window": 60_000, "n_epochs": 2, "n_metacells": 9, "groupby": "group", "rng": 5}),
    "linger_activity": ("rna", {}),
}


def recorded(adata, key):
    """All names and values that an entry of ``uns`` holds."""
    entry = adata.uns[key]
    return {**{k: v for k, v in entry.items() if k != "params"}, **entry["params"]}


def test_every_function_that_writes_has_an_example():
    assert set(CALLS) | set(OF_CHROMATIN) == set(WRITING) - WITHOUT_AN_EXAMPLE


def test_every_argument_of_functions_of_chromatin_is_recorded():
    mdata = grn.datasets.toy_multiome(n_cells=60, n_regulators=3, n_targets=12)
    motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    grn.pp.scan_motifs(mdata, sequences=mdata.uns["genome"], motifs=motifs)
    lost = {}
    for name, (where, given) in OF_CHROMATIN.items():
        function = getattr(grn.tl, name)
        parameters = inspect.signature(function).parameters
        starts = {"starts": mdata.uns["starts"]} if "starts" in parameters else {}
        function(mdata, **given, **starts)
        told = recorded(mdata[where] if where else mdata, parameters["key_added"].default)
        asked = {n: given.get(n, p.default) for n, p in parameters.items() if n not in HOW}
        where_told = {**ELSEWHERE, "key": "motifs"}
        lost[name] = [n for n in asked if not {where_told.get(n, n), n} & set(told) and asked[n] is not None]
        for n, value in given.items():
            if isinstance(value, str | int | float) and n in told:
                assert told[n] == value, f"{name}: {n} was {value!r} and is recorded as {told[n]!r}"
    assert {name: names for name, names in lost.items() if names} == {}


@pytest.mark.parametrize("name", CALLS)
def test_every_argument_is_recorded(name):
    make, given = CALLS[name]
    function, adata = getattr(grn.tl, name), make()
    given = {argument: value() if callable(value) else value for argument, value in given.items()}
    function(adata, **given)
    parameters = inspect.signature(function).parameters
    keys = {"probe": "vvp", "embedding": "X_mini", "embed_cells": "X_mini_cells"}
    key = keys.get(name) or parameters["key_added"].default
    told = recorded(adata, key)
    asked = {n: given.get(n, p.default) for n, p in parameters.items() if n not in HOW}
    asked |= asked.pop("params", None) or {}
    if name == "infer_network":  # the method of the example reads no model
        del asked["model"]
    if "n_bags" in asked and asked.get("fit") == "bayesian":
        del asked["n_bags"], asked["alpha"]
    lost = [n for n in asked if ELSEWHERE.get(n, n) not in told and n not in told and asked[n] is not None]
    assert not lost, f"grn.tl.{name} was given {lost} and does not say so in uns[{key!r}]"
    for n, value in asked.items():
        if isinstance(value, str | int | float) and not isinstance(value, bool) and n in told and n in given:
            assert told[n] == value, f"{n} was {value!r} and is recorded as {told[n]!r}"
        if isinstance(value, list) and n in told:
            lost = list(told.get("lost_sources", [])) if n == "sources" else []
            assert sorted(map(str, [*told[n], *lost])) == sorted(map(str, value))
    if "rng" in given and given["rng"] is not None:
        assert told.get("seed", told.get("rng")) == 5
