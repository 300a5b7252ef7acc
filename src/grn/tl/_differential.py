"""Edges that differ between two conditions, tested on donors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._core.rng import RNGLike, seed_of
from grn._object.modalities import on_mudata
from grn.methods.record import MIN_CELLS_SEEN
from grn.tl._snippets import SNIPPETS
from grn.trust.differential import write_differential

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def differential(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    atac: str = "atac",
    condition: str,
    conditions: tuple[str, str] | None = None,
    donor: str | None = None,
    method: str = "correlation",
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    groupby: str | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    params: Mapping[str, Any] | None = None,
    min_cells: int = MIN_CELLS_SEEN,
    n_permutations: int = 200,
    pool: str = "edge",
    standardise: bool = True,
    key_added: str = "differential",
    rng: RNGLike = 0,
    n_jobs: int | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Compare the networks of two conditions edge by edge, with donors as the units of the test.

    One network per condition (and group), from all its cells, gives :math:`d = w_b - w_a`. Then the conditions are
    dealt out anew to the donors, every donor with all its cells, and the networks are made again:

    .. math:: p = \frac{1 + \#\{|d_0| \ge |d|\}}{1 + N}

    with the differences :math:`d_0` of the N other ways to deal them out. If there are no more than
    ``n_permutations`` of those, each is taken once and the test is exact; else ways are drawn. Donors with cells of
    one condition each keep the number of donors per condition; if all donors have both, they are pairs, and the
    conditions are swapped within donors.

    Parameters
    ----------
    adata
        Annotated matrix.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    %(atac)s
    condition
        Column of ``obs`` with the conditions.
    conditions
        Two values of that column, the reference first; by default the only two, in category order. Cells of other
        values are left out.
    donor
        Column of ``obs`` with the donor (animal, culture, well: whatever was assigned to a condition). ``None``
        exchanges cells, which are no replicates: p-values are then far too small where donors differ.
    method
        Method of :func:`grn.tl.methods` that reads cells and no foundation model.
    sources
        Regulators (list of ``var_names``); by default as for :func:`grn.tl.infer_network`.
    targets
        Targets (list of ``var_names``); all genes by default.
    groupby
        Column of ``obs``: compare within every group.
    %(cells)s
    params
        Parameters of the method itself.
    min_cells
        Fewest cells of a condition (of a group) in which a gene must be above zero to have edges there: a gene that is
        seen in one or two cells correlates perfectly with others of these cells. Given to the method; 0 for no limit.
    n_permutations
        Largest number of ways to deal out conditions; 0 gives differences without p-values.
    pool
        ``"edge"``: every edge has its own null differences. ``"regulator"``: all targets of a regulator share theirs,
        which gives smaller p-values and assumes that the null is the same for them once divided by its spread.
    standardise
        With ``pool="regulator"``, divide differences by the root mean square null difference of the target.
    key_added
        Entry of ``uns`` to write.
    rng
        Seed of the ways that are drawn, and of the method.
    n_jobs
        Threads, as for the method; -1 for all cores.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a new object instead of writing into ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes the network ``uns[key_added]``: ``edges`` with ``source``, ``target``,
        ``weight`` (:math:`w_b - w_a`, signed), ``weight_a``, ``weight_b`` (0 where the method lists no such edge),
        ``pval``, ``qval`` (Benjamini and Hochberg, per group), ``group`` with ``groupby``; ``params`` with all
        arguments, ``design`` (``"donors"``, ``"paired donors"`` or ``"cells"``), ``exact``, ``n_donors``,
        ``n_relabellings`` (ways tried), ``smallest_p`` (what a p-value can reach with ``pool="edge"``), ``rare_genes``
        (number below ``min_cells`` in either condition, per group) and ``skipped_groups`` (in which nothing varies in a
        condition).

    Raises
    ------
    GroupError
        If a column is missing or incomplete, a condition has no cells, no group has 10 cells in both, or the donors
        allow no test.
    CapabilityError
        If the method reads no cells, or a foundation model.
    GeneNameError, GeneOverlapError
        If names cannot be used, or no gene is a regulator.
    ExpressionError, LayerError
        If the values cannot be used.
    ParameterError
        If an argument is out of its range.

    Notes
    -----
    With few donors p cannot be small: 3 against 3 allow 10 ways, and p is at least 0.1; 4 against 4 allow 35. The
    smallest p is logged if it is above 0.05. The test asks whether donors of the two conditions could be exchanged.
    A larger share of one type of cell in a condition, deeper sequencing, or another batch makes differences too, and a
    network from few cells has weaker or wilder weights; groups with fewer than 50 cells in a condition are logged.
    Donors with many cells count for more. Cost: two fits per group and way.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=160, n_regulators=3, n_targets=6)
    >>> adata.obs["donor"] = [f"d{i // 2 % 8}{g}" for i, g in enumerate(adata.obs["group"])]
    >>> grn.tl.differential(adata, condition="group", donor="donor", n_permutations=20)
    >>> list(grn.get.edges(adata, key="differential").columns[:3])
    ['source', 'target', 'weight']
    """
    return write_differential(
        adata,
        condition=condition,
        conditions=conditions,
        donor=donor,
        method=method,
        sources=sources,
        targets=targets,
        groupby=groupby,
        layer=layer,
        use_raw=use_raw,
        values=values,
        params=params,
        min_cells=min_cells,
        n_permutations=n_permutations,
        pool=pool,
        standardise=standardise,
        key_added=key_added,
        seed=seed_of(rng),
        n_jobs=n_jobs,
        copy=copy,
    )
