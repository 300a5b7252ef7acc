"""Edge tables, networks and regulons out of any object that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from grn._core.errors import ParameterError, ResultNotFoundError
from grn._core.logging import hint, logger, one_voice
from grn._object.genes import spelled
from grn.get.visible import visible
from grn.network import Network
from grn.network.filters import Names
from grn.network.schema import holder, is_regulons

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
def edges(
    data: AnnData | MuData | Network | pd.DataFrame,
    *,
    key: str = "grn",
    sources: Names = None,
    targets: Names = None,
    group: Names = None,
    min_abs_weight: float | None = None,
    min_probability: float | None = None,
    max_q: float | None = None,
    min_stability: float | None = None,
    direction: Names = None,
    top: int | None = None,
    top_per_source: int | None = None,
    top_per_target: int | None = None,
    signed_only: bool = False,
) -> pd.DataFrame:
    """Edge table, filtered, in the form decoupler takes.

    Edges are not removed when genes are sliced away, so those with an end outside ``var_names`` are hidden here, before
    the limits on numbers of edges, and their number is logged. decoupler takes each (source, target) once: of a network
    with several groups choose one, or let :func:`grn.tl.activity` score each group with its own. decoupler also drops
    sources with fewer than ``tmin=5`` targets in the data.

    Parameters
    ----------
    data
        AnnData or MuData with a network in ``uns[key]`` (for MuData else in ``mdata["rna"].uns``), a
        :class:`~grn.Network`, or an edge table with ``source``, ``target``, ``weight``.
    key
        Entry of ``uns``; unused for a Network or a table. An entry of ``grn.tl.regulons`` is read too: of its edges
        only the targets must be in ``var_names``.
    sources
        One regulator or several; those the network lacks are logged.
    targets
        One target or several; those the network lacks are logged.
    group
        One group or several of a network inferred with ``groupby``.
    min_abs_weight
        Smallest absolute weight.
    min_probability
        Smallest ``probability``; edges without one are removed.
    max_q
        Largest ``qval``; edges without one are removed.
    min_stability
        Smallest ``stability``; edges without one are removed.
    direction
        One word or several of the column ``direction``, such as ``["motif", "prior", "response"]`` for edges whose
        direction has evidence.
    top
        Number of strongest edges per group.
    top_per_source
        Number of strongest edges per regulator and group.
    top_per_target
        Number of strongest edges per target and group.
    signed_only
        Remove edges of unknown sign.

    Returns
    -------
    New DataFrame ``source``, ``target``, ``weight`` and the optional columns, sorted by group, then strongest first.

    Raises
    ------
    ResultNotFoundError
        The object holds no network under ``key``.
    GeneNameError, GroupError, NetworkError, ParameterError
        See :meth:`grn.Network.filter`.

    Examples
    --------
    >>> import grn, numpy as np, pandas as pd
    >>> from anndata import AnnData
    >>> adata = AnnData(np.ones((2, 3)), var=pd.DataFrame(index=["SPI1", "CD14", "CD3E"]))
    >>> table = pd.DataFrame({"source": "SPI1", "target": ["CD14", "CD3E"], "weight": [0.5, -0.9]})
    >>> grn.Network(table).write(adata)
    >>> grn.get.edges(adata, top_per_source=1)
      source target  weight
    0   SPI1   CD3E    -0.9
    >>> len(grn.get.edges(adata[:, ["SPI1", "CD14"]]))
    1
    """
    whole = network(data, key=key, group=group)
    net = whole.filter(
        sources=_in_names(data, sources),
        targets=_in_names(data, targets),
        min_abs_weight=min_abs_weight,
        min_probability=min_probability,
        max_q=max_q,
        min_stability=min_stability,
        direction=direction,
        signed_only=signed_only,
    )
    if len(whole) and not len(net):
        logger.warning("no edge passes all conditions: the table is empty (of %d edges)", len(whole))
    net = visible(net, data, key)
    net = net.filter(top=top, top_per_source=top_per_source, top_per_target=top_per_target)
    if len(net.groups) > 1:
        hint(
            "the table holds %d groups and decoupler takes one: grn.tl.activity(adata) scores every group with its own "
            "network; grn.get.edges(..., group=%r) gives one", len(net.groups), net.groups[0],
        )  # fmt: skip
    return net.edges


def _in_names(data: Any, wanted: Names) -> Names:
    """Names asked for as in ``var_names``, where the data is an object that may name its genes otherwise too."""
    if wanted is None or not hasattr(data, "var_names"):
        return wanted
    return spelled(data, [wanted] if isinstance(wanted, str) else list(wanted))


@one_voice
def network(
    data: AnnData | MuData | Network | pd.DataFrame | Sequence[AnnData | MuData | Network | pd.DataFrame],
    *,
    key: str = "grn",
    group: Names = None,
) -> Network:
    """Return the stored network as a :class:`~grn.Network`.

    Parameters
    ----------
    data
        AnnData or MuData with a network in ``uns[key]``, a Network, an edge table, or a list of these. A list is
        merged: of an edge in several, the strongest row stays; all must have groups or none.
    key
        Entry of ``uns``; unused for a Network or a table.
    group
        One group or several of a network inferred with ``groupby``; ``None`` takes all.

    Returns
    -------
    The Network as it was stored, with all its genes; :func:`edges` hides what has been sliced away since.

    Raises
    ------
    ResultNotFoundError
        An object holds no network under ``key``.
    NetworkError
        The stored table is damaged, or networks of different kind were to be merged.
    GroupError
        The network has no such group.

    Examples
    --------
    >>> import grn, pandas as pd
    >>> grn.get.network(pd.DataFrame({"source": ["SPI1"], "target": ["CD14"], "weight": [0.5]}))
    Network: 1 edges, 1 regulators -> 1 targets, 2 genes; directed, unsigned
    """
    if isinstance(data, Network):
        net = data
    elif isinstance(data, pd.DataFrame):
        net = Network(data)
    elif isinstance(data, list | tuple):
        net = Network.merge([network(item, key=key) for item in data])
    else:
        net = Network.from_anndata(data, key)
    return net if group is None else net.filter(group=group)


@one_voice
def regulons(adata: AnnData, *, key: str = "regulons") -> dict[str, dict[str, float]]:
    """Return the regulons written by ``grn.tl.regulons`` as nested dicts.

    Parameters
    ----------
    adata
        AnnData with regulons in ``uns[key]``.
    key
        Entry of ``uns``.

    Returns
    -------
    Dict name (``"SPI1(+)"``) -> target -> weight, names sorted, strongest target first. Targets outside ``var_names``
    are hidden and their number is logged.

    Raises
    ------
    ResultNotFoundError
        There is no such entry.

    Examples
    --------
    >>> import grn, numpy as np, pandas as pd
    >>> from anndata import AnnData
    >>> adata = AnnData(np.ones((2, 3)), var=pd.DataFrame(index=["SPI1", "CD14", "CD3E"]))
    >>> table = pd.DataFrame({"source": "SPI1", "target": ["CD14", "CD3E"], "weight": [0.5, -0.9]})
    >>> grn.Network(table).write(adata)
    >>> grn.tl.regulons(adata, min_targets=1)
    >>> grn.get.regulons(adata)
    {'SPI1(+)': {'CD14': 0.5}, 'SPI1(-)': {'CD3E': 0.9}}
    """
    uns = getattr(adata, "uns", None)
    if uns is None:
        raise ParameterError(f"adata has type {type(adata).__name__}; pass an AnnData.")
    if not is_regulons(holder(adata, key).uns.get(key)):
        there = [repr(name) for name, record in uns.items() if is_regulons(record)]
        listed = f" Regulons are stored under {', '.join(there)}." if there else " The object holds no regulons."
        raise ResultNotFoundError(f"uns has no regulons {key!r}.{listed} Make them with grn.tl.regulons(adata).")
    return visible(Network.from_anndata(adata, key), adata, key).regulons(signed=False)
