"""The errors of the package.

Every message says what was found, what was expected and which call fixes it.
All derive from :class:`GrnError`; those that have a natural builtin sibling
derive from it too, so ``except ValueError`` keeps working.
"""


class GrnError(Exception):
    """Base class of all errors raised on purpose by ``grn``."""


class ParameterError(GrnError, ValueError):
    """An argument has a wrong type or value, or does not exist."""


class GeneNameError(GrnError, ValueError):
    """Gene names are duplicated, empty or of an unexpected kind."""


class CellNameError(GrnError, ValueError):
    """Names of cells are duplicated where cells are drawn by name."""


class GeneOverlapError(GrnError, ValueError):
    """Too few genes of the object are known to a model, network or table."""


class ExpressionError(GrnError, ValueError):
    """Expression values do not fit: NaN, negative, scaled, constant, no cells."""


class LayerError(GrnError, KeyError):
    """A layer or ``.raw`` was asked for that the object does not have."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class GroupError(GrnError, ValueError):
    """A grouping column is missing, or a group cannot be used."""


class ResultNotFoundError(GrnError, KeyError):
    """A result was asked for that has not been computed on this object."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class CapabilityError(GrnError, NotImplementedError):
    """A model does not offer what a probe needs."""


class WeightsError(GrnError, ValueError):
    """A checkpoint is truncated, foreign, or does not match its architecture."""


class WeightsNotFoundError(WeightsError):
    """No checkpoint exists at the given place or under the given name."""


class NetworkError(GrnError, ValueError):
    """An edge table is malformed."""


class RegionError(GrnError, ValueError):
    """Regions are malformed, duplicated, of another genome, or outside of its sequence."""


class MotifError(GrnError, ValueError):
    """A motif, or a file of motifs, is malformed, or has no transcription factor."""


class DataNotFoundError(GrnError, FileNotFoundError):
    """A data set is neither on disk nor may it be downloaded."""


class StorageError(GrnError, OSError):
    """A file or folder that was named cannot be read or written, or is damaged."""

    def __str__(self) -> str:  # not the text that the errno gives
        return str(self.args[0]) if self.args else ""


class MissingDependencyError(GrnError, ImportError):
    """An optional package is needed; the message names the extra to install."""


class ClusterError(GrnError, RuntimeError):
    """The workers of a cluster cannot do the work, or are lost over and over."""
