"""Figures of networks, probes, regulon activity and benchmarks, drawn with matplotlib.

Every figure returns the Axes it drew on, takes ``save=``, ``show=``, ``return_fig=``
and ``figsize=`` as scanpy does, and leaves ``rcParams`` alone. Red is positive
(activation), blue is negative (repression), grey is a sign that is not known;
sizes fit a journal column of 89 mm. ``explore`` writes a page for the browser instead.
"""

from typing import TYPE_CHECKING

from grn._core.lazy import lazy_names

if TYPE_CHECKING:
    from grn.pl._activity import activity
    from grn.pl._benchmark import benchmark
    from grn.pl._compare_models import compare_models
    from grn.pl._degree_bias import degree_bias
    from grn.pl._dynamics import dynamic_drivers, regulon_dynamics
    from grn.pl._eregulons import eregulons
    from grn.pl._explore import explore
    from grn.pl._flow import flow
    from grn.pl._heatmap import heatmap
    from grn.pl._locus import locus
    from grn.pl._network import network
    from grn.pl._region_network import region_network
    from grn.pl._regulon import regulon
    from grn.pl._reliability import reliability
    from grn.pl._response import response
    from grn.pl._simulate import simulate
    from grn.pl._trajectory import trajectory
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "grn.pl._activity": "activity",
            "grn.pl._benchmark": "benchmark",
            "grn.pl._compare_models": "compare_models",
            "grn.pl._degree_bias": "degree_bias",
            "grn.pl._dynamics": "dynamic_drivers regulon_dynamics",
            "grn.pl._eregulons": "eregulons",
            "grn.pl._explore": "explore",
            "grn.pl._flow": "flow",
            "grn.pl._heatmap": "heatmap",
            "grn.pl._locus": "locus",
            "grn.pl._network": "network",
            "grn.pl._region_network": "region_network",
            "grn.pl._regulon": "regulon",
            "grn.pl._reliability": "reliability",
            "grn.pl._response": "response",
            "grn.pl._simulate": "simulate",
            "grn.pl._trajectory": "trajectory",
        },
    )

__all__ = [
    "activity",
    "benchmark",
    "compare_models",
    "degree_bias",
    "dynamic_drivers",
    "eregulons",
    "explore",
    "flow",
    "heatmap",
    "locus",
    "network",
    "region_network",
    "regulon",
    "regulon_dynamics",
    "reliability",
    "response",
    "simulate",
    "trajectory",
]
