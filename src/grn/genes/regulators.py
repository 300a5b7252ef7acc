"""Lists of transcriptional regulators."""

from __future__ import annotations

from grn.genes import tables


def regulators(organism: str = "human") -> frozenset[str]:
    """Give the approved symbols of known transcriptional regulators.

    Human: the union of Lambert et al. 2018 and the HGNC curated list. Mouse: the MGI list.

    Parameters
    ----------
    organism
        ``"human"`` or ``"mouse"``.

    Returns
    -------
    frozenset of str
        Symbols of that organism; mouse symbols are mouse symbols (``"Trp53"``).

    Raises
    ------
    ParameterError
        If there is no list for ``organism``.

    Examples
    --------
    >>> import grn.genes
    >>> {"GATA1", "SPI1"} <= grn.genes.regulators("human")
    True
    >>> "Gata1" in grn.genes.regulators("mouse")
    True
    """
    return frozenset(tables.regulator_sources(tables.check_organism(organism)))
