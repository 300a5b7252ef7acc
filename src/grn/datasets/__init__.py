"""Data in the package, and readers for data that users keep on disk: nothing here uses the network."""

from typing import TYPE_CHECKING

from grn._core.lazy import lazy_names

if TYPE_CHECKING:
    from grn.datasets._beeline import beeline
    from grn.datasets._bundled import pbmc68k, tfs
    from grn.datasets._literature import literature
    from grn.datasets._perturbation import dream4, nkx2_1_knockout, papalexi2021, replogle2022
    from grn.datasets._priors import collectri, dorothea, omnipath, trrust
    from grn.datasets._toy import toy
    from grn.datasets._toy_dynamics import toy_dynamics
    from grn.datasets._toy_groups import toy_groups
    from grn.datasets._toy_multiome import toy_multiome
    from grn.datasets._toy_perturbation import toy_perturbation
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "grn.datasets._beeline": "beeline",
            "grn.datasets._bundled": "pbmc68k tfs",
            "grn.datasets._literature": "literature",
            "grn.datasets._perturbation": "dream4 nkx2_1_knockout papalexi2021 replogle2022",
            "grn.datasets._priors": "collectri dorothea omnipath trrust",
            "grn.datasets._toy": "toy",
            "grn.datasets._toy_dynamics": "toy_dynamics",
            "grn.datasets._toy_groups": "toy_groups",
            "grn.datasets._toy_multiome": "toy_multiome",
            "grn.datasets._toy_perturbation": "toy_perturbation",
        },
    )

__all__ = [
    "beeline",
    "collectri",
    "dorothea",
    "dream4",
    "literature",
    "nkx2_1_knockout",
    "omnipath",
    "papalexi2021",
    "pbmc68k",
    "replogle2022",
    "tfs",
    "toy",
    "toy_dynamics",
    "toy_groups",
    "toy_multiome",
    "toy_perturbation",
    "trrust",
]
