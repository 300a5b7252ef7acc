"""Which regulators drive what differs between two sets of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._object.groups import MIN_CELLS
from grn._object.modalities import on_mudata
from grn.network import Network
from grn.regulators.drivers import REST, write_drivers
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def rank_drivers(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    condition: str,
    group: str,
    reference: str = REST,
    groupby: str | None = None,
    net: str | Network = "grn",
    evidence: str = "both",
    direction: str = "up",
    min_targets: int = 5,
    min_probability: float | None = None,
    max_q: float | None = None,
    top_per_source: int | None = None,
    min_cells: int = MIN_CELLS,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "drivers",
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Rank regulators by how much they explain of the difference between two sets of cells.

    Every gene gets Welch's t of ``group`` against ``reference``. The activity of a regulator is the t of the slope of
    these on the weights of its targets (ULM), over all G genes that vary:

    .. math::

        a_i = r_i \sqrt{\frac{G - 2}{1 - r_i^2}}, \quad r_i = \mathrm{corr}_j\left(t_j, \frac{w_{ij}}{\sqrt{n_j}}\right)

    with :math:`n_j` the number of regulators of target j, so that a target of many says little about each. With
    ``evidence="both"`` the change of the regulator itself joins in, on the scale of all genes:

    .. math:: s_i = (a_i + z_i) / \sqrt 2, \quad z_i = (t_i - \bar t) / \mathrm{sd}(t)

    Parameters
    ----------
    adata
        Annotated matrix.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    condition
        Column of ``obs`` that holds ``group`` and ``reference``.
    group
        Value of the cells of interest.
    reference
        Value of the cells to compare with; ``"rest"``, unless it is a value of the column, stands for all others.
    %(groups_of_net)s
    net
        Entry of ``uns`` with the network, or a network such as ``grn.datasets.collectri()``. Names are matched as
        :func:`grn.pp.align_genes` found them, so a human network can be used for mouse genes.
    evidence
        ``"both"``, or ``"targets"`` for the activity alone.
    direction
        Which end of the scores comes first: ``"up"`` for regulators that are more active in ``group``, ``"down"`` for
        those that are less active, as after a knock-out, ``"both"`` for the largest absolute score.
    min_targets
        Fewest targets of a regulator among the genes that vary; regulators with fewer have no rank.
    %(strongest)s
    min_cells
        Fewest cells on either side; groups with fewer are left out with a warning.
    %(cells)s
    key_added
        Entry of ``uns`` to write.
    copy
        Return a changed copy instead of changing ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes ``uns[key_added]``: ``params``, and ``table``, a DataFrame sorted by group and
        rank:

        ``regulator``, ``group``
            Names; ``group`` only with ``groupby``.
        ``rank``
            1 for the first; values equal up to rounding share the smaller rank.
        ``score``, ``pval``, ``qval``
            What ``evidence`` asks for, its two-sided p from a t distribution with G - 2 degrees of freedom, and that
            adjusted over the regulators of the group (Benjamini-Hochberg).
        ``activity``, ``n_targets``
            The t of the targets, and their number.
        ``log_change``, ``change``
            Difference of the mean log-normalised expression of the regulator, and z of its t; NaN where its gene was
            not measured or does not vary, which counts as no change.

    Raises
    ------
    ResultNotFoundError
        There is no network under ``net``.
    GroupError
        A column or a value is missing, the sides have too few cells in every group, or the network has groups and
        none of those of ``groupby``.
    NetworkError
        No regulator has enough targets, or a column is missing.
    ExpressionError, LayerError
        The values or the layer cannot be used.
    ParameterError
        An argument is out of its range.

    Notes
    -----
    Ranks are what this is for. Genes are taken for independent, which they are not, and so are cells, which of one
    donor are not: p-values are too small, and a good one says that the targets differ, not that the regulator made
    them differ; :func:`grn.tl.differential_activity` tests donors instead. Regulators that share targets come together
    (STAT1, STAT2 and IRF9). A regulator whose own gene was not measured can still be ranked. Self edges do not count,
    and no edge is made of the sign where it is not known: such edges count as activation. Defaults were chosen on
    interferon-beta in blood cells; how they do elsewhere is in the benchmark :func:`grn.bench.drivers.run`. Cost: one
    pass over the cells and one sparse product per group. Source of ULM: Badia-i-Mompel et al. 2022,
    doi 10.1093/bioadv/vbac016.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=120, n_regulators=3, n_targets=30)
    >>> grn.tl.rank_drivers(adata, condition="group", group="group_1", net=grn.Network(adata.uns["truth"]))
    >>> list(adata.uns["drivers"]["table"].columns[:3])
    ['regulator', 'rank', 'score']
    """
    return write_drivers(
        adata,
        condition=condition,
        group=group,
        reference=reference,
        groupby=groupby,
        net=net,
        evidence=evidence,
        direction=direction,
        min_targets=min_targets,
        min_probability=min_probability,
        max_q=max_q,
        top_per_source=top_per_source,
        min_cells=min_cells,
        layer=layer,
        use_raw=use_raw,
        values=values,
        key_added=key_added,
        copy=copy,
    )
