"""What a foundation model says a cell becomes when genes are taken out of it, raised, or flagged as perturbed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._core.rng import RNGLike, seed_of
from grn._object.modalities import on_mudata
from grn.models import FoundationModel
from grn.simulate.in_silico_perturbation import InSilicoPerturbation
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def in_silico_perturbation(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    model: str | FoundationModel = "mini",
    genes: Sequence[str | Sequence[str]] | None = None,
    mode: str = "delete",
    state_key: str | None = None,
    start_state: str | None = None,
    goal_state: str | None = None,
    alt_states: Sequence[str] | None = None,
    groupby: str | None = None,
    max_cells: int | None = 100,
    readout: str | None = None,
    max_genes: int | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    cells_added: str | None = None,
    key_added: str = "in_silico_perturbation",
    rng: RNGLike = 0,
    batch_size: int | None = None,
    device: str = "auto",
    n_jobs: int | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Perturb genes of real cells in a foundation model, alone or several at once.

    With h the model's embedding of a cell c, and c' the cell without the genes, or with them raised,

    .. math:: \text{shift} = 1 - \cos\bigl(h(c), h(c')\bigr), \qquad
        \text{shift to a state } s = \cos\bigl(h(c'), \bar h_s\bigr) - \cos\bigl(h(c), \bar h_s\bigr)

    as means over cells, :math:`\bar h_s` being the mean embedding of the cells of the state. A positive shift to the
    goal state says that the perturbed cells look more like it. Models that take a perturbation as an input
    (scGenePT) say with ``mode="flag"`` what becomes of every gene instead.

    Parameters
    ----------
    %(adata)s
    model
        Foundation model: a name from ``grn.models.available()``, a path, or a model.
    genes
        What is perturbed, a list: an entry is a gene (of ``var_names``, or of symbols in a column of ``var`` beside
        them), or a list or tuple of genes that are perturbed together. ``["GATA1", ("GATA1", "SPI1")]`` is one gene
        and one pair. ``None`` takes every regulator alone.
    mode
        ``"delete"``: the model sees the cell without the genes; only cells that express all of them count.
        ``"overexpress"``: it sees them in front of all others, or with the largest value of the cell. ``"flag"``: the
        cell is as it is and the model's own input for perturbations is set.
    state_key
        Column of ``obs`` with states of cells, such as a disease.
    start_state
        State of the cells that are perturbed; all cells without ``state_key``.
    goal_state
        State that cells should move towards.
    alt_states
        Further states to compare with, a list.
    groupby
        Column of ``obs``: one table per group of cells. States are the same for all groups.
    max_cells
        Cells read per group and of every state, drawn by the hash of their names; ``None`` for all.
    readout
        Which embedding of a cell, of ``model.cell_readouts``; the first by default.
    max_genes
        Most genes of a cell that are shown; what the model's authors show by default.
    %(cells)s
    cells_added
        Entry of ``obsm`` for the shift of every cell; ``None`` keeps none.
    key_added
        Slot of the result.
    rng
        Seed of the draw of cells.
    %(run_cells)s

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes

        ``uns[key_added]["effects"]``
            DataFrame: ``group`` with ``groupby``, ``perturbation`` (``"GATA1+SPI1"`` for several genes, sorted),
            ``n_cells``, ``n_genes`` (of the perturbation), ``shift``, ``sd`` (over cells), and with a goal
            ``goal_shift``, ``goal_sd``; those with the largest shift, or that to the goal, first. With
            ``mode="flag"`` the shift is the root of the mean squared predicted change over genes.
        ``uns[key_added]["states"]``
            With a goal, DataFrame: ``group``, ``state`` (goal, others, start), ``perturbation``, ``n_cells``,
            ``shift`` (to that state), ``sd``.
        ``uns[key_added]["perturbations"]``, ``uns[key_added]["groups"]``
            Names of the perturbations and of the groups, in the order of the following.
        ``obsm[cells_added]``, ``obsm[cells_added + "_goal"]``
            float32 (n_obs, perturbations): shift of every cell, and that to the goal; NaN for cells not read.
        ``varm[key_added]``
            With ``mode="flag"``: float32 (n_vars, perturbations, groups), mean predicted change of log expression; NaN
            for genes the model does not know and for the perturbed ones.
        ``uns[key_added]["params"]``
            Every argument, the model's name and sha256, the package version.

    Raises
    ------
    GeneNameError
        If gene names are duplicated or empty, or ``genes`` are not in ``var_names``.
    GeneOverlapError
        If the model knows none of the genes, or no set as a whole.
    CapabilityError
        If the model embeds no cells, or with ``mode="flag"`` has no input for perturbations.
    ParameterError
        If an argument is out of its range, or arguments do not go together.
    ExpressionError, LayerError, GroupError
        If expression values, the layer, groups or states cannot be used, or no cell read expresses the genes.

    Notes
    -----
    Cost: one pass per cell and perturbation that applies, and one per cell before it; ``max_cells`` times the number
    of perturbations says how long it takes. Perturbing every gene once and looking at where one's own stands tells more
    than a shift alone: taking any gene out moves the ranks, or the context, of all others. Source: the in-silico
    perturbation of Geneformer (Theodoris et al. 2023, doi 10.1038/s41586-023-06139-9), written anew.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.pbmc68k()
    >>> grn.tl.in_silico_perturbation(adata, genes=["SPI1", ("SPI1", "FOS")], state_key="bulk_labels",
    ...                               start_state="CD14+ Monocyte", goal_state="CD19+ B", max_cells=20)
    >>> sorted(adata.uns["in_silico_perturbation"]["effects"]["perturbation"])
    ['FOS+SPI1', 'SPI1']
    """
    return InSilicoPerturbation(
        model=model,
        genes=genes,
        mode=mode,
        state_key=state_key,
        start_state=start_state,
        goal_state=goal_state,
        alt_states=alt_states,
        groupby=groupby,
        max_cells=max_cells,
        readout=readout,
        max_genes=max_genes,
        layer=layer,
        use_raw=use_raw,
        values=values,
        cells_added=cells_added,
        key_added=key_added,
        seed=seed_of(rng),
        batch_size=batch_size,
        device=device,
        n_jobs=n_jobs,
        progress=progress,
    ).write(adata, copy=copy)
