"""Which regulators differ in activity between two conditions, with donors as replicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._object.groups import MIN_CELLS
from grn._object.modalities import on_mudata
from grn.network import Network
from grn.regulators.differential import write_differential_activity
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def differential_activity(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    condition: str,
    reference: str,
    group: str | None = None,
    donor: str,
    groupby: str | None = None,
    net: str | Network = "grn",
    method: str = "ulm",
    moderate: bool = True,
    direction: str = "both",
    min_targets: int = 5,
    min_probability: float | None = None,
    max_q: float | None = None,
    top_per_source: int | None = None,
    min_cells: int = MIN_CELLS,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "differential_activity",
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Rank regulators by how their activity differs between two conditions, with donors as replicates.

    The cells of a donor in a condition (and a group) are one sample: their counts are summed and log-normalised
    (logarithms are averaged). Every gene is centred over the samples of its group, decoupler scores the regulators of
    the network in every sample, and the scores of the donors are compared by a t test:

    .. math:: t = \frac{\bar d}{\sqrt{\tilde s^2 / n}} \quad\text{or}\quad
              t = \frac{\bar a_1 - \bar a_0}{\sqrt{\tilde s^2 (1 / n_1 + 1 / n_0)}}, \quad
              \tilde s^2 = \frac{d_0 s_0^2 + d s^2}{d_0 + d}

    The first where every donor has both conditions (:math:`d_i` their differences), the second where every donor has
    one. Few donors tell their spread :math:`s^2` (of d degrees of freedom) badly, so it is shrunk to the :math:`s_0^2`
    that regulators share, which is worth :math:`d_0` degrees of freedom (empirical Bayes, Smyth 2004).

    The floor stands beside it: the change of the regulator's own expression, by the same test among all genes. A
    network earns its place where its order differs from that one, and is right.

    Parameters
    ----------
    adata
        Annotated matrix.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    condition
        Column of ``obs`` with the conditions.
    reference
        Value of the condition to compare with, such as ``"control"``.
    group
        Value to compare; needed only where the column has more than two.
    donor
        Column of ``obs`` with the donor (animal, culture, well: whatever was assigned to a condition).
    %(groups_of_net)s
    net
        Entry of ``uns`` with the network, or a network such as ``grn.datasets.collectri()``. Names are matched as
        :func:`grn.pp.align_genes` found them.
    method
        Method of decoupler, as for :func:`grn.tl.activity`.
    moderate
        Shrink the spreads, where at least 10 regulators have one; ``False`` for the plain t test (with equal variances
        where donors are no pairs).
    direction
        ``"both"`` ranks by the absolute score, ``"up"`` puts regulators first that are more active in ``group``,
        ``"down"`` those that are less active.
    min_targets
        Fewest targets of a regulator among the genes that vary between samples; regulators with fewer have no rank.
    %(strongest)s
    min_cells
        Fewest cells of a sample. Samples with fewer are left out with a warning, and in a paired design so is the other
        sample of the donor in that group.
    %(cells)s
    key_added
        Entry of ``uns`` to write.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a changed copy instead of changing ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes ``uns[key_added]``:

        ``table``
            DataFrame sorted by group and rank, also by :func:`grn.get.regulators`: ``regulator``; ``group`` with
            ``groupby``; ``rank`` (1 for the first; equal values share the smaller one); ``score`` (t), ``pval``
            (two-sided), ``qval`` (Benjamini-Hochberg over the regulators of the group); ``activity`` (difference of the
            mean activity, reference subtracted); ``n_targets``; ``n_donors`` (pairs, or donors of both conditions);
            ``log_change`` (difference of the regulator's mean log-normalised expression), ``change``, ``change_pval``,
            ``change_qval``, ``change_rank`` (its t, p, q and rank, the floor; NaN where the gene was not measured or
            does not vary).
        ``samples``
            One row per sample: ``group`` with ``groupby``, ``donor``, ``condition``, ``n_cells``.
        ``activity``
            One row per sample and regulator: ``activity`` and ``expression`` (of the regulator itself), for figures and
            for models of your own.
        ``params``
            Every argument, ``design`` (``"paired donors"`` or ``"donors"``), the version of decoupler.

    Raises
    ------
    ResultNotFoundError
        There is no network under ``net``.
    GroupError
        A column or a value is missing, cells have no donor, some donors have both conditions and some have one, or no
        group has two donors (two pairs) with enough cells.
    NetworkError
        No regulator has enough targets, a column is missing, or decoupler cannot use the network.
    ExpressionError, LayerError
        The values or the layer cannot be used.
    ParameterError
        An argument is out of its range, or decoupler has no such method.

    Notes
    -----
    Cells of one donor are no replicates, so none is tested here: with n pairs the plain test has n - 1 degrees of
    freedom however many cells there are. With two or three donors nearly all of the evidence on the spread comes from
    the other regulators: read the order, and trust a small p only as far as regulators are alike. Cells of two donors
    that were dealt out at random have very small p-values more often than promised, as the page on conditions among the
    how-tos counts. A difference of the targets does not say that the regulator made it; regulators that share targets
    come together (STAT1, STAT2, IRF9). Conditions that went with another batch or depth differ by that, too. Centring
    uses no label, so donors can be exchanged under the null hypothesis. Edges themselves are compared by
    :func:`grn.tl.differential`, cells without donors by :func:`grn.tl.rank_drivers`. Cost: one pass over the cells, and
    decoupler on the samples.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=240, n_regulators=3, n_targets=30)
    >>> adata.obs["donor"] = [f"d{i // 2 % 4}" for i in range(240)]
    >>> adata.obs["condition"] = ["control", "treated"] * 120
    >>> net = grn.Network(adata.uns["truth"])
    >>> grn.tl.differential_activity(adata, condition="condition", reference="control", donor="donor", net=net)
    >>> list(grn.get.regulators(adata, key="differential_activity").columns[:3])
    ['regulator', 'rank', 'score']
    """
    return write_differential_activity(
        adata,
        condition=condition,
        reference=reference,
        group=group,
        donor=donor,
        groupby=groupby,
        net=net,
        method=method,
        moderate=moderate,
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
