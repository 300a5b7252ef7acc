"""Activity of eRegulons in cells, by decoupler's AUCell, and how specific it is for groups of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._object.modalities import on_mudata
from grn.regulators.eregulons import write_eregulon_activity
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def eregulon_activity(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    atac: str = "atac",
    key: str = "scenicplus",
    groupby: str | None = None,
    min_targets: int = 10,
    min_rho: float | None = None,
    top: int | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "eregulons",
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Score eRegulons in every cell, once by their genes and once by their regions.

    An eRegulon is the set of the triplets of one regulator with one kind of evidence and one pair of signs, named such
    as ``GATA1_direct_+-``: direct evidence, and a regulator that goes with its targets through regions that go against
    them (``+/-`` in ``sign``). Its score is AUCell's: the area under the recovery curve of its members among the 5 %%
    of the features that are highest in the cell.

    Parameters
    ----------
    adata
        MuData after :func:`grn.tl.scenicplus`.
    rna
        Modality of the MuData that holds the cells and genes.
    atac
        Modality of the MuData that holds open chromatin, whose ``var_names`` are regions such as ``chr1:100-600``.
    key
        Entry of ``uns`` with the triplets.
    groupby
        Column of ``obs`` with groups of cells, for the specificity of every eRegulon. Cells without a label count for
        none.
    min_targets
        Fewest genes of an eRegulon.
    min_rho
        Smallest correlation over cells of both scores of an eRegulon; others are left out.
    top
        Number of triplets of an eRegulon, by rank; all by default.
    %(cells)s
    key_added
        Beginning of the names of what is written.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a changed copy instead of changing the given object.

    Returns
    -------
    AnnData, MuData or None
        ``None``, or the copy. Writes into ``mdata["rna"]``

        ``obsm[key_added + "_genes"]``, ``obsm[key_added + "_regions"]``
            DataFrames (cells, eRegulons), float32.
        ``uns[key_added]["table"]``
            DataFrame ``eregulon, source, extended, sign, n_genes, n_regions, rho`` (Pearson's correlation of both
            scores), ``rho_tf`` (of the score of the genes with the expression of the regulator).
        ``uns[key_added]["specificity"]``
            With ``groupby``: DataFrame ``group, eregulon, rss_genes, rss_regions``.
        ``uns[key_added]["params"]``
            Every argument and the versions.

    Raises
    ------
    ResultNotFoundError
        If there are no triplets under ``key``.
    GroupError
        If there are eRegulons of several groups, or ``groupby`` is no column.
    NetworkError
        If no eRegulon has enough genes, or none passes ``min_rho``.
    RegionError, CellNameError
        If there is no open chromatin, or it is of other cells.
    ParameterError, ExpressionError, LayerError
        If an argument or values cannot be used.

    Notes
    -----
    The specificity of a score for a group is one minus the Jensen-Shannon distance (natural logarithms) of p, the
    scores divided by their sum, and q, the cells of the group, with m = (p + q) / 2:

    .. math:: RSS = 1 - \sqrt{\tfrac12 KL(p \,\|\, m) + \tfrac12 KL(q \,\|\, m)}

    from 0.17 for a score that is zero there to 1 for one that is equal there and zero elsewhere. It grows with the
    size of a group: compare eRegulons within a group. Openness that is counts is log-normalised before it is ranked.
    Cost: that of decoupler for genes and for regions; a block of cells is dense at a time.

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=80, n_regulators=4, n_targets=16)
    >>> motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    >>> grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    >>> grn.tl.scenicplus(mdata, starts=mdata.uns["starts"], window=60_000, n_trees=20, min_targets=2)
    >>> grn.tl.eregulon_activity(mdata, groupby="group", min_targets=2)
    >>> mdata["rna"].uns["eregulons"]["specificity"].columns.tolist()
    ['group', 'eregulon', 'rss_genes', 'rss_regions']
    """
    return write_eregulon_activity(
        adata,
        key=key,
        groupby=groupby,
        min_targets=min_targets,
        min_rho=min_rho,
        top=top,
        layer=layer,
        use_raw=use_raw,
        values=values,
        key_added=key_added,
        progress=progress,
        copy=copy,
    )
