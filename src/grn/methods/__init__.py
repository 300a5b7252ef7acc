"""Published systems, probes and baselines as records: a folder each, imported on first use; none imports another."""

from typing import TYPE_CHECKING

from grn._core.lazy import lazy_names
from grn.methods.record import METHODS, Method, Result, Table, Task

if TYPE_CHECKING:
    from grn.methods import (
        baselines,
        celloracle,
        dictys,
        flecs,
        foundation,
        linger,
        probes,
        renge,
        ritini,
        scenicplus,
        scrank,
    )
    from grn.methods.group import Fitted, Group
    from grn.methods.inputs import Inputs
else:
    __getattr__, __dir__ = lazy_names(__name__, {"grn.methods.group": "Fitted Group", "grn.methods.inputs": "Inputs"})

for _module, _names in {
    "baselines.correlation": "correlation",
    "baselines.genie3": "genie3",
    "baselines.grnboost2": "grnboost2",
    "baselines.prior_ridge": "prior_ridge",
    "baselines.ridge": "ridge",
    "celloracle.method": "celloracle",
    "dictys.method": "dictys",
    "flecs.method": "flecs",
    "probes.single": "vvp gradient_trajectory pert attention embedding",
    "probes.ugrn": "ugrn",
    "probes.universal": "universal",
    "foundation.genecompass": "genecompass_deletion",
    "foundation.geneformer": "geneformer_deletion",
    "foundation.lpm": "lpm_response",
    "foundation.scgenept": "scgenept_response",
    "foundation.scgpt": "scgpt_embedding scgpt_attention",
    "foundation.scprint": "scprint_attention",
    "linger.method": "linger",
    "renge.method": "renge",
    "ritini.method": "ritini",
    "scenicplus.method": "scenicplus",
    "scrank.method": "scrank",
}.items():
    METHODS.announce(f"grn.methods.{_module}", _names)

__all__ = [
    "METHODS",
    "Fitted",
    "Group",
    "Inputs",
    "Method",
    "Result",
    "Table",
    "Task",
    "baselines",
    "celloracle",
    "dictys",
    "flecs",
    "foundation",
    "linger",
    "probes",
    "renge",
    "ritini",
    "scenicplus",
    "scrank",
]
