"""A simulation on a network: what was asked for, and the way from an object to what its cells would do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from grn import __version__
from grn._core import checks
from grn._core.errors import ParameterError
from grn._core.logging import logger
from grn._core.logging import progress as progress_bar
from grn._core.names import check_key
from grn._object.container import check_target, target, validate
from grn._object.expression import reads_of
from grn._object.genes import gene_rows, in_names
from grn._object.groups import cell_names, group_codes
from grn._object.smoothing import KEY, Smoothed, stored_weights
from grn._object.values import expression
from grn.network.groups import column_of
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
from grn.simulate.fitted import FittedCells, FittedDynamics, fitted_dynamics
from grn.simulate.flow import Flow, flow_of
from grn.simulate.place import Place, place_of
from grn.simulate.propagation import (
    MODES,
    GeneIntervention,
    LinearCells,
    Perturbation,
    check_range,
    doses_of,
    effects,
    observed,
)

if TYPE_CHECKING:
    from anndata import AnnData

    from grn.network import Network

# values of some cells (k, genes), by their positions
Rows = Callable[[np.ndarray], np.ndarray]

KIND = "simulation"

# a signal still on its way after so many edges circles in feedback, which mode="steady" sums to its end
_MOST_STEPS = 1000
# a million points, more than any page shows
_MOST_GRID = 1000
_ODDS = "two numbers above 0, of the nearest and of the last neighbour, such as (0.5, 0.1)"


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What is asked of a simulation; :func:`grn.tl.simulate` says what every field means."""

    perturbation: Perturbation
    net: str
    coefficients: str
    alpha: float
    mode: str
    n_propagation: int
    clip: bool
    groupby: str | None
    layer: str | None
    use_raw: bool
    values: str
    smooth: bool | str | None
    basis: str | None
    pseudotime: str | None
    n_neighbors: int | None
    n_grid: int
    bandwidth: float
    min_mass: float
    n_controls: int
    own_change: bool
    sampled_fraction: float
    sampling_probs: tuple[float, float]
    layer_added: str | None
    transitions_added: str | None
    key_added: str
    parity: bool
    seed: int
    progress: bool | None

    def write(self, adata: AnnData, *, copy: bool) -> AnnData | None:
        """Simulate the cells of an object and write what follows, into it or into a copy."""
        validate(adata)
        doses = doses_of(in_names(adata, self.perturbation))
        self._check(len(doses))
        self._check_flow()
        genes = [setting.gene for setting in doses[0]]
        gene_rows(adata, genes, "perturbed genes")
        check_target(adata, copy=copy, key=self.key_added)
        for name in ("layer_added", "transitions_added"):
            if getattr(self, name) is not None:
                check_key(getattr(self, name), name)
        network, edges, way = edges_of(adata, self.net, self.coefficients)
        if way == "fit" and self.mode != "propagate":
            raise ParameterError(
                f"mode={self.mode!r} is for linear networks; coefficients='fit' takes mode='propagate'."
            )
        place, cells = None, []
        if self.basis is not None:
            cells = cell_names(adata).tolist()
            place = self._place(adata)
        groups, codes = self._groups(adata, network, edges, least=10 if way == "refit" else 1)
        tables = by_group(edges, groups, self.net)
        check_sources(genes, tables, self.net)
        with reads_of() as reads:
            rows, smooth = self._rows(adata, network)
        fitted = fitted_dynamics(adata, self.net, groups, int(self.n_propagation)) if way == "fit" else None
        model = self._model(adata, rows, tables, way, doses, groups, codes, fitted)
        table, changes = effects(model, doses, keep=self.layer_added is not None)
        flow = None
        if place is not None:
            flow = flow_of(model, doses[0], place, cells, self.seed)
        out = target(adata, copy=copy)
        params = {**self._params(), **reads.told, "coefficients": way, "smooth": smooth}
        params["doses"] = [", ".join(map(str, settings)) for settings in doses]
        params["skipped_groups"] = np.array(flat_groups(model.coefficients, tables, groups), dtype=str)
        self._store(out, table, changes, flow, params)
        logger.info(
            "simulated %s: %d genes respond; uns[%r]", params["doses"][0], table["gene"].nunique(), self.key_added
        )
        return out if copy else None

    def _check(self, n_doses: int) -> None:
        checks.word("mode", self.mode, MODES)
        note = ": mode='steady' takes all steps"
        checks.integer("n_propagation", self.n_propagation, least=1, most=_MOST_STEPS, note=note)
        checks.penalty("alpha", self.alpha, checks.OF_SUMS)
        for name in ("pseudotime", "transitions_added"):
            if self.basis is None and getattr(self, name) is not None:
                raise ParameterError(f"{name}={getattr(self, name)!r} needs an embedding; pass basis='X_umap' too.")
        for name in ("basis", "layer_added"):
            if n_doses > 1 and getattr(self, name) is not None:
                raise ParameterError(
                    f"{n_doses} doses give one table of effects and no {name}={getattr(self, name)!r}; pass a single "
                    "dose for that."
                )

    def _check_flow(self) -> None:
        """Refuse numbers that no flow can be measured with, whatever the embedding."""
        if self.n_neighbors is not None:
            checks.integer("n_neighbors", self.n_neighbors, least=2)
        checks.integer("n_grid", self.n_grid, least=2, most=_MOST_GRID)
        checks.number("bandwidth", self.bandwidth, above=0)
        checks.number("min_mass", self.min_mass, least=0)
        checks.integer("n_controls", self.n_controls, least=0)
        checks.number("sampled_fraction", self.sampled_fraction, above=0, most=1, note=", 1 for all neighbours")
        if not isinstance(self.sampling_probs, Sequence | np.ndarray) or len(self.sampling_probs) != 2:
            raise ParameterError(f"sampling_probs={checks.shown(self.sampling_probs)}; pass {_ODDS}.")
        for odds in self.sampling_probs:
            checks.number("sampling_probs", odds, above=0, note=f": {_ODDS}")

    def _place(self, adata: AnnData) -> Place:
        return place_of(
            adata,
            str(self.basis),
            self.pseudotime,
            n_neighbors=self.n_neighbors,
            n_grid=self.n_grid,
            bandwidth=self.bandwidth,
            min_mass=self.min_mass,
            n_controls=self.n_controls,
            own_change=self.own_change,
            sampled_fraction=self.sampled_fraction,
            sampling_probs=self.sampling_probs,
            keep_transitions=self.transitions_added is not None,
        )

    def _groups(
        self, adata: AnnData, network: Network, edges: pd.DataFrame, *, least: int
    ) -> tuple[tuple[str, ...], np.ndarray]:
        """Names of the groups of cells, and the group of every cell."""
        groupby = self.groupby
        if groupby is None and "group" in edges:
            groupby = column_of(network, None, f"the network in uns[{self.net!r}]")
        if groupby is None:
            return ("",), np.zeros(adata.n_obs, dtype=np.int64)
        return group_codes(adata, groupby, min_cells=least)

    def _rows(self, adata: AnnData, network: Network) -> tuple[Rows, str]:
        """A function that reads some cells, and the weights by which they are smoothed, ``"False"`` for none."""
        cells = expression(adata, layer=self.layer, use_raw=self.use_raw, values=self.values)
        smooth, inferred = self.smooth, network.params.get("smooth")
        if smooth is None:
            smooth = inferred if isinstance(inferred, str) and inferred != "False" else False
        key = KEY if smooth is True else smooth
        if key is False:
            return cells.rows, "False"
        if not isinstance(key, str):
            raise ParameterError(f"smooth={smooth!r}; pass an entry of obsp, True, False or None.")
        return Smoothed(cells, stored_weights(adata, key)).rows, key

    def _model(
        self,
        adata: AnnData,
        rows: Rows,
        tables: list[pd.DataFrame],
        way: str,
        doses: list[tuple[GeneIntervention, ...]],
        groups: tuple[str, ...],
        codes: np.ndarray,
        fitted: FittedDynamics | None,
    ) -> LinearCells:
        """Cells and networks put together, and the perturbation checked against the values."""
        index = pd.Index(adata.var_names.astype(str))
        ends = [table[end].to_numpy(dtype=str) for table in tables for end in ("source", "target")]
        names = np.unique(np.concatenate(ends)) if fitted is None else fitted.names
        genes = np.searchsorted(names, [setting.gene for setting in doses[0]])
        tell_silent(names[genes], tables, groups)
        columns = index.get_indexer(names)
        low, high, perturbed = observed(rows, len(codes), columns, columns[genes])
        check_range(doses, perturbed)
        if way == "refit":
            read = partial(_of_genes, rows, columns)
            matrices = [
                refitted(table, names, read, np.flatnonzero(codes == code), self.alpha)
                for code, table in enumerate(progress_bar(tables, desc="refit"))
            ]
            tell_flat(matrices, tables, groups)
        else:
            matrices = [weights(table, names) for table in tables]
        kind = LinearCells if fitted is None else partial(FittedCells, follow=fitted.follow)
        return kind(
            rows,
            names,
            columns,
            len(index),
            groups,
            codes,
            matrices,
            genes,
            perturbed,
            low,
            high,
            mode=self.mode,
            steps=int(self.n_propagation),
            clip=self.clip,
            parity=self.parity,
        )

    def _params(self) -> dict[str, Any]:
        """Every argument but the perturbation, whose doses are recorded."""
        given = {name: value for name, value in vars(self).items() if name not in ("perturbation", "seed")}
        return {**given, "rng": self.seed}

    def _store(
        self,
        adata: AnnData,
        table: pd.DataFrame,
        changes: sparse.csr_matrix | None,
        flow: Flow | None,
        params: Mapping[str, Any],
    ) -> None:
        """Store everything, replacing what an earlier call left under the key."""
        key, earlier = self.key_added, adata.uns.get(self.key_added)
        if isinstance(earlier, Mapping) and earlier.get("kind") == KIND:
            for name in (key, f"{key}_control"):
                if name in adata.obsm:
                    del adata.obsm[name]
        provenance = storable({**params, "grn_version": __version__})
        entry: dict[str, Any] = {"kind": KIND, "effects": table, "params": provenance}
        if flow is not None:
            entry |= {"grid": flow.grid, "groups": flow.groups}
            adata.obsm[key] = flow.shift.astype(np.float32)
            adata.obsm[f"{key}_control"] = flow.control.astype(np.float32)
            if self.transitions_added is not None:
                adata.obsp[self.transitions_added] = flow.transitions
        if changes is not None:
            adata.layers[self.layer_added] = changes
        adata.uns[key] = entry


def _of_genes(rows: Rows, columns: np.ndarray, cells: np.ndarray) -> np.ndarray:
    return rows(cells)[:, columns]
