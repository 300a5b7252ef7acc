"""Average every cell with its neighbours, as weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anndata import AnnData

from grn._core.logging import one_voice
from grn._object.container import check_target, target, validate
from grn._object.modalities import on_mudata
from grn._object.smoothing import neighbour_weights, write_weights

if TYPE_CHECKING:
    from mudata import MuData


@one_voice
@on_mudata
def smooth(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    k: int | None = None,
    balance: bool = True,
    sight: int | None = None,
    max_chosen: int | None = None,
    exact: bool | None = None,
    n_pcs: int = 50,
    use_rep: str | None = None,
    graph: str | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "grn_smooth",
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Find the weights that average every cell with its nearest neighbours.

    .. math:: \tilde x_c = \frac{1}{1 + |N_c|} \Big(x_c + \sum_{d \in N_c} x_d\Big)

    Only the sparse weights are stored. Methods with ``smooth=`` read smoothed values through them, a block of cells at
    a time; ``adata.obsp["grn_smooth"] @ adata.X`` gives them all.

    Parameters
    ----------
    adata
        Annotated matrix (cells, genes).
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    k
        Number of neighbours, below the number of cells. By default 2.5 % of the cells, at least 1, and at most 200, or
        30 of more than 20 000 cells; a hint tells where a limit counts, and what call takes all 2.5 %.
    balance
        Let no cell be the neighbour of too many: cells choose in turn, the most sought-after first, each its nearest
        ``k`` of ``sight`` neighbours that have not been chosen ``max_chosen`` times. If false, the nearest ``k``.
    sight
        Neighbours to look through; by default ``8 k``, or ``1.5 k`` where not all distances are measured, and at most
        all other cells. Only with ``balance``.
    max_chosen
        How often a cell may be chosen; ``4 k`` by default. Only with ``balance``.
    exact
        Measure the distances between all cells, which takes time in the square of their number. If false, pynndescent
        finds nearly all neighbours, after half a minute in which it compiles itself. ``None``: up to 100 000 cells.
    n_pcs
        Principal components in which distances are measured.
    use_rep
        Coordinates in ``obsm``, of which the first ``n_pcs`` columns count. By default ``"X_pca"`` if the object has
        it, else components are computed from the log-normalised values of the 3000 genes that vary most (of more
        than 20 000 cells in as many of them, drawn by name); ``"pca"`` computes them in any case.
    graph
        Take the neighbours in a sparse graph of ``obsp`` and measure nothing: the key of distances, as
        ``sc.pp.neighbors`` leaves them in ``obsp["distances"]``, of which the shortest count, or a key that ends with
        ``connectivities``, of which the largest count; equal ones by name. ``k`` and ``sight`` are then at most, and
        ``sight`` by default, as many as every cell has neighbours there. Not with ``use_rep``, ``exact``,
        ``layer`` or ``use_raw``; ``n_pcs`` and ``values`` then mean nothing.
    layer
        Layer with counts or log-normalised values to compute components from; ``None`` reads ``X``.
    use_raw
        Read ``.raw`` instead of ``X``.
    values
        What the values are: ``"counts"``, ``"linear"`` or ``"log"``; ``"auto"`` finds out, and warns if in doubt.
    key_added
        Slot of the result.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a new object instead of writing into ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes

        ``obsp[key_added]``
            Weights (cells, cells), CSR float32, rows sum to 1.
        ``uns[key_added]``
            ``params``: every argument with the values that were used.

    Raises
    ------
    ParameterError
        If a number is out of its range.
    ResultNotFoundError
        If ``obsm`` has no ``use_rep``, or ``obsp`` no ``graph``.
    ExpressionError, LayerError
        If the values, the layer or the graph cannot be used, or coordinates hold NaN.

    Notes
    -----
    Smoothing makes cells alike that were measured apart: p-values computed on smoothed cells as if they were
    independent are far too small. An object cut to some cells needs its weights anew. Neighbours are found, and equally
    sought-after cells choose, in the order of the names of the cells, so that of the object does not matter. Cost with
    ``exact``: all distances in ``n_pcs`` dimensions, by all cores; else some thousand per cell, by one thread.
    Memory: ``4 sight`` and ``12 k`` bytes per cell while it runs, ``8 k`` for the result. Source: Kamimoto et al. 2023,
    who took balanced neighbours from La Manno et al. 2018.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=8)
    >>> grn.pp.smooth(adata, k=4)
    >>> adata.obsp["grn_smooth"].shape
    (60, 60)
    """
    validate(adata)
    check_target(adata, copy=copy, key=key_added)
    weights, params = neighbour_weights(
        adata,
        k=k,
        balance=balance,
        sight=sight,
        max_chosen=max_chosen,
        exact=exact,
        n_pcs=n_pcs,
        use_rep=use_rep,
        graph=graph,
        layer=layer,
        use_raw=use_raw,
        values=values,
    )
    out = target(adata, copy=copy)
    write_weights(out, key_added, weights, params)
    return out if copy else None
