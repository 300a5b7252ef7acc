"""Activity of regulators in cells, each group of cells scored with its own network, by decoupler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._object.modalities import on_mudata
from grn.regulators.activity import write_activity
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def activity(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    key: str = "grn",
    method: str = "ulm",
    groupby: str | None = None,
    min_targets: int = 5,
    min_probability: float | None = None,
    max_q: float | None = None,
    top_per_source: int | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    """Score the activity of every regulator in every cell with a method of decoupler.

    Of a network with groups every cell is scored with the network of its own group, so the same regulator may have
    other targets in another group; of a network without groups all cells are scored in one call.

    Parameters
    ----------
    adata
        AnnData with a network in ``uns[key]``, and log-normalised values or counts.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    key
        Entry of ``uns`` with the network.
    method
        Method of decoupler: ``"ulm"``, ``"mlm"``, ``"waggr"``, ``"viper"``, ``"zscore"``, ``"aucell"``, ``"ora"``, ...
    groupby
        Column of ``obs`` with the groups of the network; by default the column it was inferred with.
    min_targets
        Fewest targets of a regulator among the genes of the object, per group; regulators with fewer have no score.
    min_probability
        Smallest ``probability`` of an edge; needs that column.
    max_q
        Largest ``qval`` of an edge; needs that column.
    top_per_source
        Number of strongest edges per regulator and group. A network that lists every pair needs it: with all genes as
        targets of all regulators scores say little.
    %(cells)s
    key_added
        Entry of ``obsm`` and ``uns``; by default ``"score_METHOD"``, as decoupler has it.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a changed copy instead of changing ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes

        ``obsm[key_added]``
            DataFrame (cells, regulators), float32. NaN where the network of the cell's group has too few targets of
            the regulator, and for cells without a network.
        ``obsm["padj_METHOD"]``
            Adjusted p-values of methods that test; ``obsm[key_added + "_padj"]`` with a ``key_added`` of your own.
        ``uns[key_added]``
            ``params``: every argument, the version of decoupler, and the number of regulators scored per group.

    Raises
    ------
    ResultNotFoundError
        There is no network under ``key``.
    GroupError
        The network has groups and ``groupby`` is not known or holds none of them, or it has none and ``groupby`` was
        passed.
    NetworkError
        No regulator has enough targets, a column is missing, or decoupler cannot use the network.
    ExpressionError, LayerError
        The values or the layer cannot be used.
    ParameterError
        decoupler has no such method, or a number is out of range.
    MissingDependencyError
        The method needs a package that is not installed.

    Notes
    -----
    Weights go to decoupler as they are: the strength of an edge times its sign where the network knows signs (an edge
    of unknown sign counts as activation), a positive strength where it does not. Probabilities are not used as weights;
    ``min_probability`` leaves edges out. ``"aucell"``, ``"gsea"``, ``"gsva"`` and ``"ora"`` take sets without weights,
    in which repressed targets count like activated ones: score the regulons of :func:`grn.tl.regulons` with them.
    Scores of different groups come from different networks: compare groups by one regulator only if its targets are
    comparable. Values are log-normalised as everywhere in the package, and genes are passed in the order of their
    names. Cost: that of decoupler, group by group.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=20)
    >>> grn.tl.infer_network(adata, method="correlation", groupby="group")
    >>> grn.tl.activity(adata, top_per_source=10)
    >>> adata.obsm["score_ulm"].shape
    (60, 3)
    >>> ax = grn.pl.activity(adata, groupby="group")
    """
    return write_activity(
        adata,
        key=key,
        method=method,
        groupby=groupby,
        min_targets=min_targets,
        min_probability=min_probability,
        max_q=max_q,
        top_per_source=top_per_source,
        layer=layer,
        use_raw=use_raw,
        values=values,
        key_added=key_added,
        copy=copy,
    )
