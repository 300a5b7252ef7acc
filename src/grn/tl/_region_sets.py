"""Regions that are open in the cells of one label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grn._core.logging import one_voice
from grn._object.modalities import on_regions
from grn.cistromes.accessibility import write_region_sets

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@on_regions
def region_sets(
    adata: AnnData | MuData,
    *,
    atac: str = "atac",
    groupby: str,
    max_qval: float = 0.05,
    min_log2fc: float = 0.58,
    max_regions: int | None = None,
    layer: str | None = None,
    key_added: str = "region_sets",
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Find the regions that are open more often in the cells of each label than in all others.

    A region is open in a cell if its value is above zero. Under the null hypothesis the K cells in which it is open
    fall on a label as all open regions of all cells do, with a share p, so that the depth of cells cancels. Of k cells
    on the label,

    .. math:: G = 2\Big(k \ln\frac{k}{pK} + (K - k) \ln\frac{K - k}{(1 - p) K}\Big)

    has a chi-squared distribution of one degree. Cells are taken for independent: labels that were made by clustering
    the same counts, and several donors, make p-values too small, as with every test of this kind.

    Parameters
    ----------
    adata
        Object whose ``var_names`` are regions such as ``chr1:100-600``: ``mdata["atac"]``.
    atac
        Modality of the MuData that holds the regions; read only where ``adata`` is one.
    groupby
        Column of ``obs`` with the labels.
    max_qval
        Largest false discovery rate (Benjamini and Hochberg, over all regions of a label).
    min_log2fc
        Least log2 of the ratio of the rates in the label and in all others; 0.58 is one and a half times.
    max_regions
        Number of regions of a label to keep, the strongest; all by default.
    layer
        Layer with counts, or 0 and 1; ``None`` reads ``X``. Logarithms of counts give the same; imputed values do not.
    key_added
        Entry of ``uns`` to write.
    copy
        Return a changed copy instead of changing ``adata``.

    Returns
    -------
    None, or an AnnData if ``copy``. Writes ``uns[key_added]``: ``table``, a DataFrame ``set`` (label), ``region``,
    ``score`` (root of G), ``log2fc``, ``n_cells`` (of the label in which it is open), ``pval``, ``qval``, the strongest
    first; ``params``.

    Raises
    ------
    GroupError
        If the column is missing, or has one label only.
    RegionError
        If names are no regions, values are no fragments, or no region differs.
    GeneNameError
        If names of the object cannot be stored or occur more than once.
    LayerError
        If the layer does not exist.
    ParameterError
        If the object or another argument has a wrong type or value.

    Notes
    -----
    The matrix is read once, in pieces, in memory or from a file. Memory is that of labels x regions.

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=100)
    >>> grn.tl.region_sets(mdata["atac"], groupby="group")
    >>> sorted(mdata["atac"].uns["region_sets"]["table"]["set"].unique())
    ['group_1', 'group_2']
    """
    return write_region_sets(
        adata,
        groupby=groupby,
        max_qval=max_qval,
        min_log2fc=min_log2fc,
        max_regions=max_regions,
        layer=layer,
        key_added=key_added,
        copy=copy,
    )
