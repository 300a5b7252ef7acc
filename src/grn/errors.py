"""The errors of the package, importable as ``from grn.errors import GrnError``."""

from grn._core.errors import (
    CapabilityError,
    ClusterError,
    DataNotFoundError,
    ExpressionError,
    GeneNameError,
    GeneOverlapError,
    GrnError,
    GroupError,
    LayerError,
    MissingDependencyError,
    NetworkError,
    ParameterError,
    ResultNotFoundError,
    StorageError,
    WeightsError,
    WeightsNotFoundError,
)

__all__ = [
    "CapabilityError",
    "ClusterError",
    "DataNotFoundError",
    "ExpressionError",
    "GeneNameError",
    "GeneOverlapError",
    "GrnError",
    "GroupError",
    "LayerError",
    "MissingDependencyError",
    "NetworkError",
    "ParameterError",
    "ResultNotFoundError",
    "StorageError",
    "WeightsError",
    "WeightsNotFoundError",
]
