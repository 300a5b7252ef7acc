"""Sets of regions that are open together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grn._core.logging import one_voice
from grn._core.rng import RNGLike
from grn._object.modalities import on_regions
from grn.cistromes.topics import write_topics

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@on_regions
def topics(
    adata: AnnData | MuData,
    *,
    atac: str = "atac",
    n_topics: int,
    max_regions: int | None = None,
    max_iter: int = 1000,
    layer: str | None = None,
    key_added: str = "topics",
    rng: RNGLike = 0,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Find topics: sets of regions that are open together, without labels.

    With N cells, :math:`n_c` regions open in cell c and :math:`n_r` cells in which region r is open, a matrix of

    .. math:: v_{cr} = \frac{1}{n_c} \log\Big(1 + \frac{N}{n_r}\Big) \text{ where r is open in c, else 0}

    is taken apart into non-negative shares of topics in cells and of regions in topics. SCENIC+ does so by latent
    Dirichlet allocation; its topics can be used as well, as sets of :func:`grn.tl.motif_enrichment`. The regions of a
    topic are those above the threshold of Otsu (1979): the cut of its shares into two groups with the largest variance
    between them.

    Parameters
    ----------
    adata
        Object whose ``var_names`` are regions such as ``chr1:100-600``: ``mdata["atac"]``.
    atac
        Modality of the MuData that holds the regions; read only where ``adata`` is one.
    n_topics
        Number of topics; too many make sets that only noise tells apart, too few join what is not one.
    max_regions
        Number of regions of a topic, those with the largest shares, instead of Otsu's threshold.
    max_iter
        Most rounds of the factorisation, which ends when topics settle; time goes with them.
    layer
        Layer with counts, or 0 and 1; ``None`` reads ``X``. A region is open where its value is above zero.
    key_added
        Name of what is written.
    rng
        Seed, generator or ``None``: of the decomposition with which factors begin. Cells and regions are put in an
        order of their names first, so that that of the object does not matter.
    copy
        Return a changed copy instead of changing ``adata``.

    Returns
    -------
    None, or a changed copy. Writes ``uns[key_added]``: ``table``, a DataFrame ``set`` (``topic_1``, ... the largest
    first), ``region``, ``score`` (share of the region in the topic), and ``params``; ``obsm["X_" + key_added]``, shares
    of topics (cells, topics); ``varm[key_added]``, shares of regions (regions, topics).

    Raises
    ------
    RegionError
        If names are no regions, or nothing is open.
    CellNameError
        If names of cells occur more than once.
    GeneNameError
        If names of the object cannot be stored or occur more than once.
    LayerError
        If the layer does not exist.
    ParameterError
        If the object or another argument has a wrong type or value.

    Notes
    -----
    Cost: rounds x open regions of all cells x topics (``python benchmarks/motif_enrichment.py --part speed``). The
    matrix is held in memory, sparse, with three copies at most.

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=100)
    >>> grn.tl.topics(mdata, n_topics=3)
    >>> mdata["atac"].obsm["X_topics"].shape, mdata["atac"].varm["topics"].shape
    ((100, 3), (200, 3))
    """
    return write_topics(
        adata,
        n_topics=n_topics,
        max_regions=max_regions,
        max_iter=max_iter,
        layer=layer,
        key_added=key_added,
        rng=rng,
        copy=copy,
    )
