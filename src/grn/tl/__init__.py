"""Everything that computes: probes, translators, networks, regulons."""

from grn.methods.probes.cost import Cost
from grn.tl._activity import activity
from grn.tl._attention import attention
from grn.tl._celloracle import celloracle
from grn.tl._cistromes import cistromes
from grn.tl._confidence import confidence
from grn.tl._consensus import consensus
from grn.tl._denoise import denoise
from grn.tl._dictys import dictys
from grn.tl._differential import differential
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
from grn.tl._topics import topics
from grn.tl._vvp import vvp

__all__ = [
    "Cost",
    "activity",
    "attention",
    "celloracle",
    "cistromes",
    "confidence",
    "consensus",
    "denoise",
    "dictys",
    "differential",
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
    "topics",
    "ugrn",
    "vvp",
]
