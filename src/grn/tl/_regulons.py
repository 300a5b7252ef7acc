"""Gene sets of regulators out of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grn._core.logging import one_voice
from grn._object.modalities import on_mudata
from grn.regulators.regulons import write_regulons

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@on_mudata
def regulons(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    key: str = "grn",
    group: str | None = None,
    min_probability: float | None = None,
    top_per_source: int | None = None,
    min_targets: int = 5,
    max_targets: int = 500,
    signed: bool = True,
    key_added: str = "regulons",
    copy: bool = False,
) -> AnnData | MuData | None:
    """Turn a network into regulons: one named, weighted gene set per regulator and sign.

    Only targets and regulators in ``var_names`` count. Score the sets with
    ``dc.mt.ulm(adata, net=adata.uns["regulons"]["edges"])`` or any other method of decoupler.

    Parameters
    ----------
    adata
        AnnData with a network in ``uns[key]``.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    key
        Entry of ``uns`` with the network.
    group
        The group to take; needed when the network has several.
    min_probability
        Smallest ``probability`` of an edge; needs that column.
    top_per_source
        Number of strongest edges per regulator to start from, before the split by sign.
    min_targets
        Smallest number of targets of a regulon; smaller ones are left out, logged and listed in ``dropped``.
    max_targets
        Largest number of targets of a regulon; of larger ones the strongest are kept.
    signed
        Split each regulator into ``"SPI1(+)"`` (targets it activates) and ``"SPI1(-)"`` (targets it represses), with
        strengths as weights: the score of a regulon says how strongly its targets are expressed. Edges of unknown sign
        form ``"SPI1"``. If false, one set per regulator with the weights as they are, and the score of a regulon speaks
        for the activity of the regulator.
    key_added
        Entry of ``uns`` to write.
    copy
        Return a changed copy instead of changing ``adata``.

    Returns
    -------
    None, or an AnnData if ``copy``. Writes ``uns[key_added]``: ``edges`` (DataFrame ``source``, ``target``,
    ``weight``), ``dropped`` (names of the regulons with too few targets), ``params``, ``schema``.

    Raises
    ------
    ResultNotFoundError
        There is no network under ``key``.
    GroupError
        The network has several groups and none was chosen, or not this one.
    NetworkError
        No regulon has enough targets, or ``probability`` is missing.
    ParameterError
        A number is out of range.

    Examples
    --------
    >>> import grn, numpy as np, pandas as pd
    >>> from anndata import AnnData
    >>> adata = AnnData(np.ones((2, 4)), var=pd.DataFrame(index=["SPI1", "CD14", "CD68", "CD3E"]))
    >>> table = pd.DataFrame({"source": "SPI1", "target": ["CD14", "CD68", "CD3E"], "weight": [0.5, 0.4, -0.9]})
    >>> grn.Network(table).write(adata)
    >>> grn.tl.regulons(adata, min_targets=2)
    >>> adata.uns["regulons"]["edges"]["source"].tolist()
    ['SPI1(+)', 'SPI1(+)']
    >>> adata.uns["regulons"]["dropped"].tolist()
    ['SPI1(-)']
    """
    return write_regulons(
        adata,
        key=key,
        group=group,
        min_probability=min_probability,
        top_per_source=top_per_source,
        min_targets=min_targets,
        max_targets=max_targets,
        signed=signed,
        key_added=key_added,
        copy=copy,
    )
