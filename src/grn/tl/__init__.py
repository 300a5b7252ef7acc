"""Everything that computes: probes, translators, networks, regulons."""

from typing import TYPE_CHECKING

from grn._core.lazy import lazy_names

if TYPE_CHECKING:
    from grn.methods.probes.cost import Cost
    from grn.methods.suggestion import Suggestion
    from grn.tl._activity import activity
    from grn.tl._attention import attention
    from grn.tl._celloracle import celloracle
    from grn.tl._cistromes import cistromes
    from grn.tl._confidence import confidence
    from grn.tl._consensus import consensus
    from grn.tl._denoise import denoise
    from grn.tl._dictys import dictys
    from grn.tl._differential import differential
    from grn.tl._differential_activity import differential_activity
    from grn.tl._embed_cells import embed_cells
    from grn.tl._embedding import embedding
    from grn.tl._eregulon_activity import eregulon_activity
    from grn.tl._estimate_cost import estimate_cost
    from grn.tl._fit_translator import fit_translator
    from grn.tl._flecs import flecs
    from grn.tl._gene_programs import gene_programs
    from grn.tl._gradient import gradient_trajectory
    from grn.tl._in_silico_perturbation import in_silico_perturbation
    from grn.tl._infer import infer_network, methods, ugrn
    from grn.tl._linger import linger, linger_activity, linger_knockout
    from grn.tl._motif_enrichment import motif_enrichment
    from grn.tl._pert import pert
    from grn.tl._perturbation_response import perturbation_response
    from grn.tl._predict_knockout import predict_knockout
    from grn.tl._predict_labels import predict_labels
    from grn.tl._probe import probe
    from grn.tl._rank_drivers import rank_drivers
    from grn.tl._rank_regulators import rank_regulators
    from grn.tl._region_sets import region_sets
    from grn.tl._regulons import regulons
    from grn.tl._renge import renge
    from grn.tl._ritini import ritini
    from grn.tl._scenicplus import scenicplus
    from grn.tl._scrank import scrank
    from grn.tl._simulate import simulate
    from grn.tl._suggest import suggest
    from grn.tl._topics import topics
    from grn.tl._vvp import vvp
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "grn.methods.probes.cost": "Cost",
            "grn.methods.suggestion": "Suggestion",
            "grn.tl._activity": "activity",
            "grn.tl._attention": "attention",
            "grn.tl._celloracle": "celloracle",
            "grn.tl._cistromes": "cistromes",
            "grn.tl._confidence": "confidence",
            "grn.tl._consensus": "consensus",
            "grn.tl._denoise": "denoise",
            "grn.tl._dictys": "dictys",
            "grn.tl._differential": "differential",
            "grn.tl._differential_activity": "differential_activity",
            "grn.tl._embed_cells": "embed_cells",
            "grn.tl._embedding": "embedding",
            "grn.tl._eregulon_activity": "eregulon_activity",
            "grn.tl._estimate_cost": "estimate_cost",
            "grn.tl._fit_translator": "fit_translator",
            "grn.tl._flecs": "flecs",
            "grn.tl._gene_programs": "gene_programs",
            "grn.tl._gradient": "gradient_trajectory",
            "grn.tl._in_silico_perturbation": "in_silico_perturbation",
            "grn.tl._infer": "infer_network methods ugrn",
            "grn.tl._linger": "linger linger_activity linger_knockout",
            "grn.tl._motif_enrichment": "motif_enrichment",
            "grn.tl._pert": "pert",
            "grn.tl._perturbation_response": "perturbation_response",
            "grn.tl._predict_knockout": "predict_knockout",
            "grn.tl._predict_labels": "predict_labels",
            "grn.tl._probe": "probe",
            "grn.tl._rank_drivers": "rank_drivers",
            "grn.tl._rank_regulators": "rank_regulators",
            "grn.tl._region_sets": "region_sets",
            "grn.tl._regulons": "regulons",
            "grn.tl._renge": "renge",
            "grn.tl._ritini": "ritini",
            "grn.tl._scenicplus": "scenicplus",
            "grn.tl._scrank": "scrank",
            "grn.tl._simulate": "simulate",
            "grn.tl._suggest": "suggest",
            "grn.tl._topics": "topics",
            "grn.tl._vvp": "vvp",
        },
    )

__all__ = [
    "Cost",
    "Suggestion",
    "activity",
    "attention",
    "celloracle",
    "cistromes",
    "confidence",
    "consensus",
    "denoise",
    "dictys",
    "differential",
    "differential_activity",
    "embed_cells",
    "embedding",
    "eregulon_activity",
    "estimate_cost",
    "fit_translator",
    "flecs",
    "gene_programs",
    "gradient_trajectory",
    "in_silico_perturbation",
    "infer_network",
    "linger",
    "linger_activity",
    "linger_knockout",
    "methods",
    "motif_enrichment",
    "pert",
    "perturbation_response",
    "predict_knockout",
    "predict_labels",
    "probe",
    "rank_drivers",
    "rank_regulators",
    "region_sets",
    "regulons",
    "renge",
    "ritini",
    "scenicplus",
    "scrank",
    "simulate",
    "suggest",
    "topics",
    "ugrn",
    "vvp",
]
