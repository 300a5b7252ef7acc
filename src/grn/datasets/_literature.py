"""Collections of known edges as a second reference beside BEELINE's networks."""

from __future__ import annotations

import os

import numpy as np

from grn._core import checks
from grn._core.errors import NetworkError
from grn.datasets._beeline import beeline
from grn.datasets._priors import collectri, trrust
from grn.datasets.reference import BEELINE, Reference
from grn.genes import resolve

_LOADERS = {"CollecTRI": collectri, "TRRUST": trrust}
_NETWORKS = ("STRING", "Non-Specific")


def literature(collection: str, *, size: int | str = 500, path: str | os.PathLike[str] | None = None) -> Reference:
    """Read CollecTRI or TRRUST as a reference over the genes of BEELINE's data sets.

    The genes are those that networks of BEELINE ask about (mouse genes by their human orthologs), so that methods,
    floors and splits meet the same genes under other labels. A split by genes against a BEELINE data set, as the
    protocol ``"strict"`` makes it, leaves the edges of genes that were never trained on: a second reference, to confirm
    a choice with and never to make one.

    Parameters
    ----------
    collection
        ``"CollecTRI"`` or ``"TRRUST"`` (human).
    size
        500 or 1000, as in :func:`beeline`.
    path
        Folder with ``beeline/`` and ``priors/``; default: ``grn.settings.data_dir``.

    Returns
    -------
    Reference
        Directed; ``dataset`` and ``network`` are the name of the collection. Genes are those with an edge.

    Raises
    ------
    ParameterError
        The collection or the size does not exist.
    DataNotFoundError
        The data are not on disk; the message says where to get them.
    NetworkError
        A table is damaged, or no edge lies among the genes.

    Notes
    -----
    CollecTRI contains most of TRRUST, so the two are not independent.

    Examples
    --------
    >>> import grn
    >>> grn.datasets.literature("CollecTRI", path="nowhere")
    Traceback (most recent call last):
    ...
    grn._core.errors.DataNotFoundError: ...
    """
    checks.word("collection", collection, _LOADERS)
    universe: set[str] = set()
    for network in _NETWORKS:
        for name in BEELINE:
            reference = beeline(name, network=network, size=size, path=path)
            table = resolve(reference.genes, organism=reference.organism, orthologs="syntenic")
            universe |= set(table["symbol"].to_numpy(dtype=str))
    known = sorted(universe - {""})
    network = _LOADERS[collection](path=path)
    edges = network.edges.astype({"source": str, "target": str})
    inside = np.isin(edges["source"], known) & np.isin(edges["target"], known)
    if not inside.any():
        raise NetworkError(f"no edge of {collection} lies among the {len(known)} genes of BEELINE's data sets.")
    return Reference(
        edges.loc[inside, ["source", "target"]],
        dataset=collection,
        network=collection,
        size=str(size),
        licence=network.params["licence"],
        version=network.params["version"],
        origin=network.params["origin"],
    )
