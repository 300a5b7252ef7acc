"""In-silico perturbation on a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._core.rng import RNGLike, seed_of
from grn._object.modalities import on_mudata
from grn.simulate.propagation import Perturbation
from grn.simulate.simulation import Simulation
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def simulate(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    perturbation: Perturbation,
    net: str = "grn",
    coefficients: str = "auto",
    alpha: float = 10.0,
    mode: str = "propagate",
    n_propagation: int = 3,
    clip: bool = False,
    groupby: str | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    smooth: bool | str | None = None,
    basis: str | None = None,
    pseudotime: str | None = None,
    n_neighbors: int | None = None,
    n_grid: int = 20,
    bandwidth: float = 0.8,
    min_mass: float = 1.0,
    n_controls: int = 99,
    own_change: bool = False,
    sampled_fraction: float = 1.0,
    sampling_probs: tuple[float, float] = (0.5, 0.1),
    layer_added: str | None = None,
    transitions_added: str | None = None,
    key_added: str = "simulation",
    parity: bool = False,
    rng: RNGLike = 0,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Set genes to values and follow the change through a network, cell by cell.

    From the change :math:`\Delta_0` of the perturbed genes, with coefficients C (row = regulator), ``n_propagation``
    times

    .. math:: \Delta \leftarrow \max(\Delta C,\, -x), \qquad \Delta_g \leftarrow \Delta_{0,g}
        \text{ for the perturbed genes } g

    On an embedding, cell i moves towards the neighbours j that differ from it as the change does:

    .. math:: v_i = \sum_j \bigl(P_{ij} - \tfrac1k\bigr) \frac{e_j - e_i}{\lVert e_j - e_i \rVert}, \qquad
        P_{ij} \propto \exp\bigl(\rho(x_j - x_i, \Delta_i) / 0.05\bigr)

    Parameters
    ----------
    adata
        AnnData with log-normalised values or counts, and a network in ``uns[net]``.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    perturbation
        Dict from gene to what it is set to; several genes are set at once. A number is a value on the scale of the
        expression, 0 a knock-out; ``("fold", 2.0)`` doubles the abundance of each cell, ``log1p(2 expm1(x))``;
        ``("quantile", 0.99)`` sets all cells to a quantile of the observed values, as for over-expression. A list of
        such amounts is a series of doses; all lists have one length.
    net
        Entry of ``uns`` with the network: any table of edges.
    coefficients
        ``"stored"``: ``uns[net]["simulation"]``, which :func:`grn.tl.celloracle` writes. ``"fit"``: no coefficients but
        the dynamics that the system fitted, run from every cell for ``n_propagation`` units of its time with and
        without the change; its page says which. ``"refit"``: ridge regression of every target on the regulators it has
        in the network, per group. ``"weight"``: the weights of the edges, for networks whose weights are coefficients.
        ``"auto"``: stored, else the fit, else refit.
    alpha
        Ridge penalty of ``"refit"``, on sums over cells.
    mode
        ``"propagate"``: the steps above. ``"paths"``: all paths of up to ``n_propagation`` edges, kept from 0 upwards
        only at the end. ``"steady"``: paths of any length; the network must damp its feedback.
    n_propagation
        Number of steps, length of paths, or units of time of a fit, from 1 to 1000. Not used by ``"steady"``.
    clip
        Keep genes, other than the perturbed ones, within the range in which they were observed.
    groupby
        Column of ``obs``: each group of cells runs on its own coefficients. By default the column that the network was
        inferred with. A network without groups keeps its edges and has its coefficients refitted per group.
    %(cells)s
    smooth
        Entry of ``obsp`` with weights of :func:`grn.pp.smooth`: simulate on smoothed cells, computed on demand.
        ``True`` is ``"grn_smooth"``, ``False`` leaves cells as they are, ``None`` does as the network was inferred.
    basis
        Entry of ``obsm`` whose first two columns are the embedding; ``None`` leaves out everything about flows.
    pseudotime
        Column of ``obs``; adds scores: does the flow go along with development or against it? Cells without a finite
        value do not count.
    n_neighbors
        Neighbours on the embedding; by default a fifth of the cells, at most 100.
    n_grid
        Grid points along the longer side of the embedding.
    bandwidth
        Deviation of the Gaussian that smooths cells onto the grid, in grid steps.
    min_mass
        Fewest cells, weighted by the Gaussian, for a grid point to be marked ``shown``.
    n_controls
        Number of shuffles behind p-values; 0 for none. They are computed from at most 1000 cells of every group.
    own_change
        Let the change of the perturbed genes themselves draw cells on the embedding, as CellOracle does. By default
        only what follows from it does: else cells move to where the genes are off, whatever the network.
    sampled_fraction
        Share of the neighbours that count, drawn per cell without replacement; 1 takes all, CellOracle 0.3.
    sampling_probs
        Odds of the nearest and of the last neighbour to be drawn; those between lie on a line.
    layer_added
        Layer for the change of every cell; ``None`` keeps none.
    transitions_added
        Entry of ``obsp`` for the probabilities :math:`P_{ij}`, with ``basis``; ``None`` keeps none.
    key_added
        Name of the results.
    parity
        Reproduce details of CellOracle 0.20, see the documentation.
    rng
        Seed of the shuffles and of the sample of neighbours, which are keyed by the names of cells and genes.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a changed copy instead of changing ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes

        ``uns[key_added]["effects"]``
            DataFrame ``dose`` (its number), ``group``, ``gene``, ``effect`` (mean change over the cells, on the scale
            of the expression), ``sd`` (over cells), ``before`` (mean value), ``direct`` (a perturbed gene regulates it
            itself), ``perturbed``; strongest first.
        ``layers[layer_added]``
            Change of every cell, CSR float32; only genes that respond are stored.
        ``obsp[transitions_added]``
            CSR float32 (n_obs, n_obs): row i holds the probabilities :math:`P_{ij}` that cell i becomes like its
            neighbours j; they sum to 1. What is stored are the neighbours that count, the sampled ones if so.
        ``obsm[key_added]``, ``obsm[key_added + "_control"]``
            With ``basis``: shift of every cell (n_obs, 2) and that of its negative control, float32.
        ``uns[key_added]["grid"]``
            DataFrame: ``x``, ``y``, ``mass``, ``shown``, ``flow_x``, ``flow_y``, ``control_x``, ``control_y``; with
            ``pseudotime`` also ``development_x``, ``development_y``, ``score`` (inner product of flow and
            development), ``control_score``.
        ``uns[key_added]["groups"]``
            DataFrame: ``group``, ``n_cells``, ``shift_x``, ``shift_y``, ``shift`` (length of the mean shift),
            ``control_shift`` (mean over shuffles), ``p_shift``; with ``pseudotime`` ``score``, ``control_score``,
            ``p_score``.
        ``uns[key_added]["params"]``
            Every argument, the doses, the package version.

    Raises
    ------
    GeneNameError
        If a perturbed gene is not in the object.
    GeneOverlapError
        If a perturbed gene regulates nothing, or no edge lies within the object.
    ParameterError
        If a value is negative or beyond twice the observed range, or an argument is out of its range.
    ExpressionError, LayerError, GroupError
        If values, layer or groups cannot be used, or no cell expresses a perturbed gene.
    NetworkError, ResultNotFoundError
        If there is no network, or it has no steady state.

    Notes
    -----
    The control of a cell permutes its change over the genes and draws random signs. P-values compare the mean of a
    group with ``n_controls`` such shuffles that all cells share, :math:`(1 + \#\{|T_r| \ge |T|\}) / (1 + R)`: a small
    one says that it matters which genes respond, not that the network is right. Cost: cells x edges x steps, and for
    the flow cells x ``n_neighbors`` x genes x ``n_controls``; memory a block of cells. Source: Kamimoto et al. 2023
    (doi 10.1038/s41586-022-05688-9), written anew.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=8)
    >>> grn.Network(adata.uns["truth"]).write(adata)
    >>> grn.tl.simulate(adata, perturbation={"GATA1": 0}, n_propagation=1)
    >>> table = adata.uns["simulation"]["effects"]
    >>> table["gene"].iloc[0], bool(table["perturbed"].iloc[0])
    ('GATA1', True)
    """
    return Simulation(
        perturbation=perturbation,
        net=net,
        coefficients=coefficients,
        alpha=alpha,
        mode=mode,
        n_propagation=n_propagation,
        clip=clip,
        groupby=groupby,
        layer=layer,
        use_raw=use_raw,
        values=values,
        smooth=smooth,
        basis=basis,
        pseudotime=pseudotime,
        n_neighbors=n_neighbors,
        n_grid=n_grid,
        bandwidth=bandwidth,
        min_mass=min_mass,
        n_controls=n_controls,
        own_change=own_change,
        sampled_fraction=sampled_fraction,
        sampling_probs=sampling_probs,
        layer_added=layer_added,
        transitions_added=transitions_added,
        key_added=key_added,
        parity=parity,
        seed=seed_of(rng),
        progress=progress,
    ).write(adata, copy=copy)
