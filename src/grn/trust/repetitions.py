"""Networks of permuted regulators and of subsamples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from anndata import AnnData

from grn._core.errors import ParameterError
from grn._core.logging import progress
from grn._core.rng import child
from grn._kernels.null import Draws, Means
from grn._object.genes import genes_of, regulator_mask
from grn.methods.cells import listening
from grn.network import Network
from grn.trust.beside import Permutations, beside_copies
from grn.trust.frozen import ExchangeableSets, Frozen, blocks_of, freeze
from grn.trust.numbers import Axes, Edges, axes_of
from grn.trust.repetition_store import stored_repetitions
from grn.trust.rerun import Rerun, n_differing, need_links


@dataclass(frozen=True)
class RepetitionPlan:
    """What to repeat.

    Parameters
    ----------
    n_permutations, n_subsamples
        Numbers of repetitions.
    fraction
        Share of the cells in a subsample.
    strata
        Column of ``obs`` within which cells are exchanged.
    together
        One permutation for all regulators.
    permute
        ``"cells"`` of copies of the regulators, or ``"links"`` of regions between genes.
    seed
        Seed of permutations and subsamples.
    cache
        Folder that keeps finished repetitions; ``None`` for none.
    """

    n_permutations: int
    n_subsamples: int
    fraction: float
    strata: str | None
    together: bool
    permute: str
    seed: int
    cache: Path | None = None


@dataclass(frozen=True)
class Repeated:
    """Axes of all edges, the network made again, its weights beside permuted regulators and theirs, its subsamples."""

    axes: Axes
    again: Edges
    real: Means
    null: Draws
    samples: list[Edges]


def repeat(adata: AnnData, net: Network, rerun: Rerun, plan: RepetitionPlan, *, key: str) -> Repeated:
    """Check that the arguments make the network, then make its repetitions."""
    bar = iter(progress(range(1 + plan.n_permutations + plan.n_subsamples), desc="confidence"))
    next(bar)
    with listening() as taken:
        axes, frozen, again = _again(adata, net, rerun, key)
    if plan.permute == "links" and plan.n_permutations:
        need_links(frozen.part(), rerun.record)
    # a gene near the limit keeps its edges in subsamples
    rerun = replace(rerun, task=replace(rerun.task, taking=taken.genes or None))
    how = {"fraction": plan.fraction, "strata": plan.strata, "together": plan.together, "seed": plan.seed}
    how |= {} if plan.permute == "cells" else {"permute": plan.permute}
    done = stored_repetitions(plan.cache, rerun, axes, frozen, again, plan=how)
    blocks = blocks_of(frozen.obs, rerun.task.groupby, plan.strata)
    names = [str(name) for name in frozen.obs.index]
    real, null, samples = Means(), Draws(), []
    for i in range(plan.n_permutations if plan.permute == "links" else 0):
        next(bar)
        seed = _seed(plan.seed, "links", i)
        exchanged = _exchanged(axes.targets, plan.seed, i)
        (null_edges,) = done.get(
            f"links_{i}",
            lambda exchanged=exchanged, seed=seed: (rerun.fit_exchanged(frozen.part(), axes, exchanged, seed=seed),),
        )
        real.add(again.keys, again.weights)
        null.add(null_edges.keys, null_edges.weights)
    numbers = range(plan.n_permutations if plan.permute == "cells" else 0)
    permutations = Permutations(
        lambda i: _order(blocks, axes, plan, i),
        lambda i: _seed(plan.seed, "null", i),
        [i for i in numbers if f"permutation_{i}" not in done],
    )
    beside = beside_copies(rerun, frozen, axes, permutations) if numbers else None
    for i in numbers:
        next(bar)
        real_edges, permuted_edges = done.get(f"permutation_{i}", lambda i=i: beside(i))
        real.add(real_edges.keys, real_edges.weights)
        null.add(permuted_edges.keys, permuted_edges.weights)
    for i in range(plan.n_subsamples):
        next(bar)
        rows = blocks.draw(plan.fraction, plan.seed, names, "subsample", str(i))
        seed = _seed(plan.seed, "sample", i)
        samples += done.get(
            f"subsample_{i}",
            lambda rows=rows, seed=seed: (rerun.fit(frozen.part(rows), axes, seed=seed),),
        )
    list(bar)
    return Repeated(axes, again, real, null, samples)


def _again(adata: AnnData, net: Network, rerun: Rerun, key: str) -> tuple[Axes, Frozen, Edges]:
    """The network made again, of the genes that have edges or, where others count too, of those asked for, or all."""
    names = {str(name) for name in adata.var_names}
    lost = sorted({*net.regulators, *net.targets} - names)
    if lost:
        raise ParameterError(
            f"{len(lost)} genes of uns[{key!r}] are not in adata.var_names any more, for example {lost[:3]}; infer the "
            "network again on the genes that are left."
        )
    of_network = axes_of(net)
    allowed = rerun.arguments.get("base_grn")
    listed = set() if allowed is None else names & set(allowed["source"].astype(str))
    genes = tuple(sorted(np.asarray(adata.var_names, dtype=str)[genes_of(adata)].tolist()))
    marked = set(np.asarray(adata.var_names, dtype=str)[regulator_mask(adata)].tolist())
    default = replace(of_network, sources=tuple(sorted({*of_network.sources, *listed, *marked})), targets=genes)
    asked = {
        side: tuple(sorted(names.intersection(map(str, net.params[side]))))
        for side in ("sources", "targets")
        if isinstance(net.params.get(side), list | tuple | np.ndarray)
    }
    for axes in dict.fromkeys((of_network, replace(default, **asked), default)):
        genes = sorted({*axes.sources, *axes.targets})
        where = {"layer": rerun.layer, "use_raw": rerun.use_raw, "values": rerun.values}
        frozen = freeze(adata, genes, **where, smooth=rerun.arguments.get("smooth") is True)
        again = rerun.fit(frozen.part(), axes)
        differing = n_differing(net, again, axes)
        if not differing:
            return axes, frozen, again
    raise ParameterError(
        f"{differing} of {len(net)} edges of uns[{key!r}] have another weight when the method is run again: the cells, "
        "the genes or the regulators have changed since, or an argument was not stored. Infer the network again, or "
        "pass the arguments that made it, such as params={'alpha': 0.1}."
    )


def _order(blocks: ExchangeableSets, axes: Axes, plan: RepetitionPlan, i: int) -> np.ndarray:
    if plan.together:
        return blocks.order(plan.seed, "permutation", str(i))
    return np.column_stack([blocks.order(plan.seed, "permutation", str(i), name) for name in axes.sources])


def _exchanged(targets: Sequence[str], seed: int, i: int) -> dict[str, str]:
    """The gene that gets the links of each: a random order of the targets, which does not depend on theirs."""
    names = sorted(targets)
    return dict(zip(names, child(seed, "links", str(i)).permutation(names).tolist(), strict=True))


def _seed(seed: int, purpose: str, i: int) -> int:
    return int(child(seed, purpose, str(i)).integers(2**32))
