"""Everything that computes: probes, translators, networks, regulons."""

from grn.tl._attention import attention
from grn.tl._embedding import embedding
from grn.tl._estimate_cost import Cost, estimate_cost
from grn.tl._fit_translator import fit_translator
from grn.tl._gradient import gradient_trajectory
from grn.tl._infer import infer_network, methods, ugrn
from grn.tl._pert import pert
from grn.tl._perturbation_response import perturbation_response
from grn.tl._probe import probe
from grn.tl._regulons import regulons
from grn.tl._vvp import vvp

__all__ = [
    "Cost",
    "attention",
    "embedding",
    "estimate_cost",
    "fit_translator",
    "gradient_trajectory",
    "infer_network",
    "methods",
    "pert",
    "perturbation_response",
    "probe",
    "regulons",
    "ugrn",
    "vvp",
]
