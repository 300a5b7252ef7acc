"""In-silico perturbation on a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn import __version__
from grn._core import checks
from grn._core.errors import GroupError, ParameterError
from grn._core.logging import logger, one_voice
from grn._core.logging import progress as progress_bar
from grn._core.names import check_key
from grn._core.rng import RNGLike, seed_of
from grn._core.settings import settings as defaults
from grn._object.container import check_target, target, validate
from grn._object.expression import reads_of
from grn._object.genes import gene_rows, in_names
from grn._object.groups import cell_names, group_codes
from grn._object.smoothing import KEY, Smoothed, stored_weights
from grn._object.values import expression
from grn.network.schema import storable
from grn.simulate.coefficients import (
    by_group,
    check_sources,
    edges_of,
    flat_groups,
    refitted,
    tell_flat,
    tell_silent,
    weights,
)
from grn.simulate.flow import Flow, flow_of
from grn.simulate.intervention import GeneIntervention, Perturbation, check_range, doses_of
from grn.simulate.place import check_flow, place_of
from grn.simulate.propagation import MODES, LinearCells, effects, observed

if TYPE_CHECKING:
    from anndata import AnnData

    from grn.network import Network

KIND = "simulation"

# a signal still on its way after so many edges circles in feedback, which mode="steady" sums to its end
_MOST_STEPS = 1000


@one_voice
def simulate(
    adata: AnnData,
    *,
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
) -> AnnData | None:
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
    perturbation
        Dict from gene to what it is set to; several genes are set at once. A number is a value on the scale of the
        expression, 0 a knock-out; ``("fold", 2.0)`` doubles the abundance of each cell, ``log1p(2 expm1(x))``;
        ``("quantile", 0.99)`` sets all cells to a quantile of the observed values, as for over-expression. A list of
        such amounts is a series of doses; all lists have one length.
    net
        Entry of ``uns`` with the network: any table of edges.
    coefficients
        ``"stored"``: ``uns[net]["simulation"]``, which :func:`grn.tl.celloracle` writes. ``"refit"``: ridge
        regression of every target on the regulators it has in the network, per group. ``"weight"``: the weights of the
        edges, for networks whose weights are coefficients. ``"auto"``: stored, else refit.
    alpha
        Ridge penalty of ``"refit"``, on sums over cells.
    mode
        ``"propagate"``: the steps above. ``"paths"``: all paths of up to ``n_propagation`` edges, kept from 0 upwards
        only at the end. ``"steady"``: paths of any length; the network must damp its feedback.
    n_propagation
        Number of steps, or length of paths, from 1 to 1000. Not used by ``"steady"``.
    clip
        Keep genes, other than the perturbed ones, within the range in which they were observed.
    groupby
        Column of ``obs``: each group of cells runs on its own coefficients. By default the column that the network was
        inferred with. A network without groups keeps its edges and has its coefficients refitted per group.
    layer
        Layer with counts or log-normalised values; ``None`` reads ``X``.
    use_raw
        Read ``.raw`` instead of ``X``.
    values
        What the values are: ``"counts"``, ``"linear"`` or ``"log"``; ``"auto"`` finds out, and warns if in doubt.
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
    seed = seed_of(rng)
    params = {name: value for name, value in locals().items() if name not in {"adata", "copy", "perturbation", "seed"}}
    validate(adata)
    doses = doses_of(in_names(adata, perturbation))
    _check(mode, n_propagation, alpha, len(doses), basis, pseudotime, layer_added, transitions_added)
    measured = {
        "n_neighbors": n_neighbors, "n_grid": n_grid, "bandwidth": bandwidth, "min_mass": min_mass,
        "n_controls": n_controls, "sampled_fraction": sampled_fraction, "sampling_probs": sampling_probs,
    }  # fmt: skip
    check_flow(**measured)
    genes = [setting.gene for setting in doses[0]]
    gene_rows(adata, genes, "perturbed genes")
    check_target(adata, copy=copy, key=key_added)
    if layer_added is not None:
        check_key(layer_added, "layer_added")
    if transitions_added is not None:
        check_key(transitions_added, "transitions_added")
    network, table, way = edges_of(adata, net, coefficients)
    place, cells = None, []
    if basis is not None:
        cells = cell_names(adata).tolist()
        place = place_of(
            adata, basis, pseudotime, **measured,
            own_change=own_change, keep_transitions=transitions_added is not None,
        )  # fmt: skip
    grouped = _groups(adata, network, table, groupby, least=10 if way == "refit" else 1)
    tables = by_group(table, grouped[0], net)
    check_sources(genes, tables, net)
    inferred = network.params.get("smooth")
    with reads_of() as reads:
        read, used = _reader(adata, layer=layer, smooth=smooth, inferred=inferred, use_raw=use_raw, values=values)
    build = partial(LinearCells, mode=mode, steps=int(n_propagation), clip=clip, parity=parity)
    model = _model(adata, read, tables, way, doses, grouped, alpha=alpha, build=build)
    found, layer_values = effects(model, doses, keep=layer_added is not None)
    flow = None
    if place is not None:
        show = defaults.progress if progress is None else progress
        flow = flow_of(model, doses[0], place, cells, seed, show=show)
    out = target(adata, copy=copy)
    skipped = np.array(flat_groups(model.coefficients, tables, grouped[0]), dtype=str)
    written = [", ".join(map(str, settings)) for settings in doses]
    told = {**params, **reads.told, "rng": seed, "coefficients": way, "smooth": used, "doses": written}
    told["skipped_groups"] = skipped
    _write(out, key_added, found, flow, told)
    if layer_values is not None:
        out.layers[layer_added] = layer_values
    if flow is not None and transitions_added is not None:
        out.obsp[transitions_added] = flow.transitions
    logger.info("simulated %s: %d genes respond; uns[%r]", written[0], found["gene"].nunique(), key_added)
    return out if copy else None


def _check(
    mode: str,
    n_propagation: int,
    alpha: float,
    n_doses: int,
    basis: str | None,
    pseudotime: str | None,
    layer_added: str | None,
    transitions_added: str | None,
) -> None:
    checks.word("mode", mode, MODES)
    checks.integer("n_propagation", n_propagation, least=1, most=_MOST_STEPS, note=": mode='steady' takes all steps")
    checks.penalty("alpha", alpha, checks.OF_SUMS)
    if pseudotime is not None and basis is None:
        raise ParameterError(f"pseudotime={pseudotime!r} needs an embedding; pass basis='X_umap' too.")
    if transitions_added is not None and basis is None:
        raise ParameterError(f"transitions_added={transitions_added!r} needs an embedding; pass basis='X_umap' too.")
    for name, value in (("basis", basis), ("layer_added", layer_added)):
        if n_doses > 1 and value is not None:
            raise ParameterError(
                f"{n_doses} doses give one table of effects and no {name}={value!r}; pass a single dose for that."
            )


def _groups(
    adata: AnnData, network: Network, table: pd.DataFrame, groupby: str | None, *, least: int
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the groups of cells, and the group of every cell."""
    used = network.params.get("groupby")
    if groupby is None and "group" in table:
        if not isinstance(used, str):
            raise GroupError(
                f"the network has groups ({', '.join(sorted(set(table['group']))[:5])}) and does not say by which "
                "column of obs; pass groupby=."
            )
        groupby = used
    if groupby is None:
        return ("",), np.zeros(adata.n_obs, dtype=np.int64)
    return group_codes(adata, groupby, min_cells=least)


def _reader(
    adata: AnnData, *, layer: str | None, smooth: bool | str | None, inferred: object, use_raw: bool, values: str
) -> tuple[Callable[[np.ndarray], np.ndarray], str]:
    """A function that reads some cells, and the weights by which they are smoothed, ``"False"`` for none."""
    cells = expression(adata, layer=layer, use_raw=use_raw, values=values)
    if smooth is None:
        smooth = inferred if isinstance(inferred, str) and inferred != "False" else False
    key = KEY if smooth is True else smooth
    if key is False:
        return cells.rows, "False"
    if not isinstance(key, str):
        raise ParameterError(f"smooth={smooth!r}; pass an entry of obsp, True, False or None.")
    return Smoothed(cells, stored_weights(adata, key)).rows, key


def _model(
    adata: AnnData,
    read: Callable[[np.ndarray], np.ndarray],
    tables: list[pd.DataFrame],
    way: str,
    doses: list[tuple[GeneIntervention, ...]],
    grouped: tuple[tuple[str, ...], np.ndarray],
    *,
    alpha: float,
    build: Callable[..., LinearCells],
) -> LinearCells:
    """Cells and networks put together, and the perturbation checked against the values."""
    groups, codes = grouped
    index = pd.Index(adata.var_names.astype(str))
    names = np.unique(
        np.concatenate([table[end].to_numpy(dtype=str) for table in tables for end in ("source", "target")])
    )
    genes = np.searchsorted(names, [setting.gene for setting in doses[0]])
    tell_silent(names[genes], tables, groups)
    columns = index.get_indexer(names)
    low, high, own = observed(read, len(codes), columns, columns[genes])
    check_range(doses, own)
    if way == "refit":
        rows = partial(_rows, read, columns)
        matrices = [
            refitted(table, names, rows, np.flatnonzero(codes == code), alpha)
            for code, table in enumerate(progress_bar(tables, desc="refit"))
        ]
        tell_flat(matrices, tables, groups)
    else:
        matrices = [weights(table, names) for table in tables]
    return build(read, names, columns, len(index), groups, codes, matrices, genes, own, low, high)


def _rows(read: Callable[[np.ndarray], np.ndarray], columns: np.ndarray, cells: np.ndarray) -> np.ndarray:
    return read(cells)[:, columns]


def _write(adata: AnnData, key: str, found: pd.DataFrame, flow: Flow | None, params: Mapping[str, Any]) -> None:
    """Store everything, replacing what an earlier call left under the key."""
    earlier = adata.uns.get(key)
    if isinstance(earlier, Mapping) and earlier.get("kind") == KIND:
        for name in (key, f"{key}_control"):
            if name in adata.obsm:
                del adata.obsm[name]
    entry: dict[str, Any] = {
        "kind": KIND, "effects": found, "params": storable({**params, "grn_version": __version__}),
    }  # fmt: skip
    if flow is not None:
        entry |= {"grid": flow.grid, "groups": flow.groups}
        adata.obsm[key] = flow.shift.astype(np.float32)
        adata.obsm[f"{key}_control"] = flow.control.astype(np.float32)
    adata.uns[key] = entry
