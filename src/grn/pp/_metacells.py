"""Fewer cells with less noise: averages of neighbours, or of cells of one label that were measured apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anndata import AnnData

from grn._core import checks
from grn._core.errors import ParameterError
from grn._core.logging import logger, one_voice
from grn._core.rng import RNGLike, seed_of
from grn._object.groups import MIN_CELLS
from grn._object.modalities import is_mudata
from grn.network.schema import storable
from grn.pp._metacell_draws import by_label, by_neighbours, by_partition
from grn.pp._metacell_objects import averaged, cut, together
from grn.pp._metacell_points import joint_points
from grn.pp._metacell_sides import sides_of

if TYPE_CHECKING:
    from mudata import MuData

_CELLS = {"neighbours": 20, "labels": 10, "partition": 75}


@one_voice
def metacells(
    data: AnnData | MuData,
    *,
    groupby: str,
    how: str = "neighbours",
    k: int | None = None,
    n_metacells: int | None = None,
    within: bool = True,
    use_rep: str | None = None,
    n_pcs: int = 15,
    rna: str = "rna",
    atac: str = "atac",
    layer: str | None = None,
    values: str = "auto",
    cap: float | None = 100.0,
    rng: RNGLike = 0,
    progress: bool | None = None,
) -> AnnData | MuData:
    r"""Average cells of one label: a smaller object with less noise, and one that pairs what was measured apart.

    With :math:`N_i` the k cells of metacell i, every matrix becomes

    .. math:: \bar x_i = \frac{1}{k} \sum_{c \in N_i} x_c

    ``how="neighbours"``, for one object or paired cells: of every label with N cells
    :math:`\lfloor\sqrt N\rfloor + 1` are drawn, and each is averaged with its k - 1 nearest neighbours in the
    principal components of both modalities side by side. ``how="partition"``, for atlases: all cells of a label are
    divided by k-means in these components, so that each is in one metacell. ``how="labels"``: k random cells of a label
    are averaged. Where the cells of the modalities are not the same, they are drawn on both sides, and what is drawn as
    number j of a label on one side is paired with number j on the other: such pairs share a label, and nothing else.

    Parameters
    ----------
    data
        AnnData, or MuData with expression and chromatin.
    groupby
        Column of ``obs`` with the labels, of the modality or of the MuData.
    how
        ``"neighbours"``, ``"partition"`` or ``"labels"``.
    k
        Cells per metacell; by default 20 neighbours (the cell itself counts), or 10 of a label. Of a partition about so
        many, by default 75, and a third of it at least, unless a label has fewer.
    n_metacells
        Metacells per label. By default :math:`\lfloor\sqrt N\rfloor + 1`; with ``how="labels"`` five times what N cells
        of the smaller side make (a cell is in five of them on average), and at most 1000. Of a partition about so many,
        in place of ``k``.
    within
        Look for neighbours among cells of the same label. If false, among all cells, as LINGER does; ``obs["share"]``
        then tells how many have the label. Only with ``how="neighbours"``.
    use_rep
        Coordinates in ``obsm`` (of a MuData in ``mdata.obsm``) in which neighbours are near. By default components are
        computed. Not read with ``how="labels"``, like ``n_pcs``, ``layer`` and ``values``.
    n_pcs
        Components per modality: of the log-normalised values of the 3000 features that vary most, each divided by its
        standard deviation and cut at 10. Of more than 20 000 cells the axes are those of 20 000, drawn by name.
    rna, atac
        Modalities of the MuData.
    layer
        Layer of the genes to compute components from; ``None`` reads ``X``. All matrices are averaged in any case.
    values
        What the values of the genes are: ``"counts"``, ``"linear"`` or ``"log"``; ``"auto"`` finds out.
    cap
        Largest mean that the regions of a MuData may have in ``X``; ``None`` for any.
    rng
        Seed, generator or ``None``. Draws are keyed by the names of cells and labels.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.

    Returns
    -------
    AnnData or MuData
        A new object. ``X`` and every layer hold means of the values as they stand, float32, sparse where they were: of
        counts mean counts, which :func:`check_expression` takes for linear values, and every method normalises as it
        does counts; times ``obs["n_cells"]`` they are sums. ``obs`` has ``groupby`` and ``n_cells``, with neighbours
        also ``anchor`` (the cell that was drawn). ``var``, ``varm``, ``varp`` and ``uns`` (of the MuData too) are those
        of ``data``; ``obsm``, ``obsp``, ``raw`` and other modalities are not carried over.

        ``uns["metacells"]``
            ``params``: every argument with the values that were used, and ``paired``.

    Raises
    ------
    GroupError
        If the column is missing or has gaps, modalities disagree on the labels, one lacks a label, or a label has too
        few cells.
    CellNameError
        If names of cells occur twice, or modalities do not have the same cells for ``how="neighbours"``.
    GeneNameError
        If names of genes or regions occur twice or cannot be stored.
    ExpressionError, LayerError
        If the values or the layer cannot be used.
    ResultNotFoundError
        If ``obsm`` has no ``use_rep``.
    ParameterError
        If an argument has a wrong type or value.

    Notes
    -----
    Metacells share cells: they are not independent, and p-values that take them for observations are too small.
    Sources: LINGER (Yuan and Duren 2024), which averages the 19 neighbours without the cell itself, chooses features by
    dispersion, takes regions as they are without regard to depth, and draws without a seed; for cells measured apart
    SCENIC+ (Bravo Gonzalez-Blas, De Winter et al. 2023). Metacells of a partition share no cells; metacells of 75 cells
    that cover all states follow SEACells (Persad et al. 2023), which finds them by archetypes and not by k-means. Cost:
    two passes over each matrix, four with more than 20 000 cells, the components, and distances of the drawn cells to
    all others, or of all cells to the centres of a partition. Memory: that of the result, and of 3000 features in
    20 000 cells; cells x regions are never dense. Means of k cells have up to k times as many entries as a cell.

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=100, n_regulators=3, n_targets=6)
    >>> small = grn.pp.metacells(mdata, groupby="group")
    >>> small["rna"].shape, small["atac"].obs["n_cells"].unique().tolist()
    ((16, 9), [20])
    """
    how = checks.word("how", how, tuple(_CELLS))
    k = checks.integer("k", _CELLS[how] if k is None else k, least=1)
    if n_metacells is not None:
        n_metacells = checks.integer("n_metacells", n_metacells, least=1, note=", or None for the usual number")
    n_pcs = checks.integer("n_pcs", n_pcs, least=1)
    cap = None if cap is None else checks.number("cap", cap, above=0, note=", or None for no limit")
    within = checks.flag("within", within)
    seed = seed_of(rng)
    if how == "partition" and not within:
        raise ParameterError("within=False: how='partition' divides the cells of each label; leave within= out.")
    if how == "labels" and (use_rep is not None or not within):
        raise ParameterError(
            f"use_rep={use_rep!r}, within={within}: how='labels' draws cells of a label and looks for no neighbours; "
            "leave both out, or pass how='neighbours'."
        )
    sides = sides_of(data, groupby, rna, atac, pair=how != "labels")
    if how == "labels":
        sides.check_sizes(k, groupby)
        drawn = by_label(sides, k, n_metacells, seed)
    elif how == "partition":
        points = joint_points(sides, use_rep, n_pcs, layer=layer, values=values)
        drawn = by_partition(sides, points, k, n_metacells, seed)
    else:
        sides.check_sizes(k if within else MIN_CELLS, groupby)
        points = joint_points(sides, use_rep, n_pcs, layer=layer, values=values)
        drawn = by_neighbours(sides, points, k, n_metacells, seed, within=within)
    obs = drawn.observations(groupby)
    made = {name: averaged(part, drawn.members[name], obs, name) for name, part in sides.parts.items()}
    if is_mudata(data) and cap is not None:
        cut(made[atac], cap, atac)
    params = {
        **{"groupby": groupby, "how": how, "k": k, "n_metacells": n_metacells, "within": within, "use_rep": use_rep},
        **{"n_pcs": n_pcs, "rna": rna, "atac": atac, "layer": layer, "values": values, "cap": cap, "rng": seed},
        "paired": sides.places is not None,
    }
    about = "about " if how == "partition" else ""
    logger.info("metacells: %d of %s%d cells each, of %d labels", len(obs), about, k, obs[groupby].nunique())
    return together(data, made, obs[groupby], storable(params))
