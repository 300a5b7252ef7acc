"""Drug targets removed from the networks of cell types: which type changes most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core.device import resolve_device, torch_threads
from grn._core.docs import document
from grn._core.errors import GroupError, ParameterError
from grn._core.logging import logger, one_voice
from grn._core.rng import RNGLike, seed_of
from grn._core.settings import settings
from grn._object.container import check_target, target, validate
from grn._object.expression import reads_of
from grn._object.groups import group_codes
from grn._object.values import expression
from grn.methods import METHODS, Task
from grn.methods.cells import FEWEST
from grn.methods.environment import environment, jobs
from grn.methods.runner import run
from grn.methods.scrank.drug import drug_of
from grn.methods.scrank.effects import ranked, with_baselines
from grn.network import Network
from grn.network.schema import storable
from grn.tl._infer import _described
from grn.tl._snippets import SNIPPETS


@one_voice
@document(cells=SNIPPETS["cells"])
def scrank(
    adata: AnnData,
    *,
    groupby: str,
    drug_targets: Sequence[str] | pd.DataFrame,
    action: str = "antagonist",
    drug: str | None = None,
    resistance_target: str | None = None,
    n_hop: int = 2,
    net: str | None = None,
    n_resamples: int = 10,
    n_components: int = 3,
    quantile: float = 0.95,
    rank: int = 5,
    threshold: float = 0.05,
    decimals: int | None = None,
    cells_per_resample: int | None = None,
    min_cells: int = FEWEST,
    min_group_cells: int = 26,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "scrank",
    rng: RNGLike = 0,
    device: str = "auto",
    n_jobs: int | None = None,
    parity: bool = False,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | None:
    r"""Rank groups of cells by how much a drug on its targets changes their networks (scRank).

    Every group gets a network over all genes of the object. The out-edges of the drug targets are removed from it
    (antagonist), or their positive weights set to 1 (agonist). Both networks are embedded together, and a gene
    counts by how far it lies from itself:

    .. math:: \text{score} = \sum_t \Bigl(d_t \frac{|\sum_j w_{tj}|}{k_t}
        + \sum_{g:\, w_{tg} \ne 0} d_g |w_{tg}| + d_g \frac{|\sum_j w_{gj}|}{k_g}\Bigr)

    with distances d, weights w and numbers of out-edges k.

    Parameters
    ----------
    adata
        Annotated matrix (cells, genes). Keep some thousand variable genes, regulators and drug targets; memory grows
        with the square of their number.
    groupby
        Column of ``obs`` with the groups, such as cell types.
    drug_targets
        Genes the drug acts on (list of ``var_names``, usually one or two), or a table of drugs: DataFrame with the
        columns ``drug``, ``target`` and optionally ``action``. Targets of a table that the object lacks are logged
        and listed in ``params``.
    action
        ``"antagonist"`` or ``"agonist"``; for a table with a column ``action`` that column counts.
    drug
        Name of the drug in the table.
    resistance_target
        A gene to compare with: ``ratio`` in the ranks is the score of the drug divided by the score of an
        antagonist of this gene, within each group.
    n_hop
        How far a target reaches: 1, the distances of all genes; 2, the target and its targets; 3, also theirs.
    net
        Entry of ``uns`` with networks of the groups of ``groupby``, such as that of an earlier call: they are used,
        and none is computed. Weights above 1 are divided by the largest of the group.
    n_resamples
        Draws of cells per group, one network each.
    n_components
        Principal components in a regression.
    quantile
        Weights below this quantile of the absolute weights of a resample are dropped.
    rank
        Components of the tensor decomposition that denoises the networks of the resamples.
    threshold
        Smallest absolute weight, relative to the largest of the group. Upstream rounds to one decimal, which keeps
        the same edges.
    decimals
        Digits behind the point to which weights are rounded, before the weaker direction of a pair is quartered: 1
        gives the networks of upstream. ``None`` rounds nothing, or to one with ``parity``.
    cells_per_resample
        Cells drawn, with replacement; by default half of a group of more than 100 cells, else 25.
    min_cells
        Fewest cells of a group in which a gene must be above zero to be in its network: standardising makes a handful
        of counts as large as any gene. 0 for no limit, as with ``parity``; genes without any value above zero are
        never in.
    min_group_cells
        Fewest cells of a group.
    %(cells)s
    key_added
        Entry of ``uns`` to write.
    rng
        Seed of the draws of cells and of the starts of the decomposition, keyed by the names of cells and genes.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``: where the regressions run. Numbers agree up to rounding.
    n_jobs
        Threads over the resamples; -1 for all cores. The result does not depend on it.
    parity
        Do as the authors' program: values as they are stored (give it counts), weights rounded to one decimal, a
        Laplacian that is not symmetric. Random draws differ from those of R.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a changed copy instead of changing ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes into ``uns[key_added]``

        ``edges``, ``params``, ``schema``, ``genes``
            The networks, as every method stores them: ``source, target, weight, sign, group``.
        ``ranks``
            DataFrame, best first: ``group``, ``score``, ``rank`` (1 is the most affected), ``rescaled`` (1 the most
            affected, 0 the least), two baselines, ``expression`` (mean log-normalised expression of the targets)
            and ``module_score`` (that of the targets and the genes they regulate there, minus genes expressed
            alike), their ranks, and with ``resistance_target`` its score and ``ratio``.
        ``effects``
            DataFrame, per group the genes that move most first: ``group``, ``gene``, ``distance``, ``degree``
            (out-edges), ``out_weight``, ``in_weight`` (sums), ``from_target_1``, ... (weight of the edge from each
            target).

    Raises
    ------
    GeneNameError
        Gene names are duplicated, or targets are not in ``var_names``.
    GroupError
        The column is missing, a group is too small, or the networks are of other groups.
    ParameterError
        An argument is out of its range, or the table of drugs does not fit.
    ExpressionError, LayerError
        The values or the layer cannot be used.
    ResultNotFoundError, NetworkError
        There are no networks under ``net``, or they lack a target.

    Notes
    -----
    Li et al. 2024, Cell Reports Medicine, doi 10.1016/j.xcrm.2024.101568; networks as in scTenifoldNet (Osorio et
    al. 2020). Scores compare groups of one call; they have no unit. A group in which no target has an out-edge has
    score 0. Cost: for G genes and r distinct cells of a resample about :math:`r^3 + r G^2` operations per resample,
    then some hundred sparse products per group and drug.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=120, n_regulators=4, n_targets=12)
    >>> grn.tl.scrank(adata, groupby="group", drug_targets=["GATA1"])
    >>> list(adata.uns["scrank"]["ranks"].columns[:4])
    ['group', 'score', 'rank', 'rescaled']
    >>> grn.tl.scrank(adata, groupby="group", drug_targets=["SPI1"], net="scrank", key_added="second")
    >>> grn.get.edges(adata, key="second").equals(grn.get.edges(adata, key="scrank"))
    True
    """
    validate(adata)
    check_target(adata, copy=copy, key=key_added)
    if isinstance(n_hop, bool) or n_hop not in (1, 2, 3):
        raise ParameterError(f"n_hop={n_hop!r}; pass 1, 2 or 3.")
    names = np.asarray(adata.var_names, dtype=str)
    chosen, lost = drug_of(adata, drug_targets, action, drug)
    other = None if resistance_target is None else drug_of(adata, [resistance_target], "antagonist", None)[0]
    own = {
        "n_resamples": n_resamples,
        "n_components": n_components,
        "quantile": quantile,
        "rank": rank,
        "threshold": threshold,
        "decimals": decimals,
        "cells_per_resample": cells_per_resample,
        "min_cells": min_cells,
        "min_group_cells": min_group_cells,
        "parity": bool(parity),
        "device": str(resolve_device(settings.device if device == "auto" else device)),
    }
    seed = seed_of(rng)
    groups, codes = group_codes(adata, groupby, min_cells=1 if net is not None else min_group_cells)
    with reads_of() as reads:
        cells = expression(adata, layer=layer, use_raw=use_raw, values=values)
    if net is None:
        surroundings = {"groupby": groupby, "layer": layer, "use_raw": use_raw, "values": values, "seed": seed}
        network = _inferred(adata, list(names), surroundings, own, jobs(n_jobs))
    else:
        network = _stored(adata, net, groupby, groups)
    means = np.array([mean for mean, _ in cells.group_moments(codes)[1]])
    skipped = [str(group) for group in network.params.get("skipped_groups", ())]
    kept = [code for code, group in enumerate(groups) if group not in skipped]
    groups, means = tuple(groups[code] for code in kept), means[kept]
    ranks, effects = ranked(network, groups, chosen, other, n_hop=n_hop, symmetric=not parity)
    ranks = with_baselines(ranks, network, means, names, groups, chosen)
    told = {
        **reads.told,
        "groupby": groupby,
        "drug_targets": list(chosen.targets),
        "actions": list(chosen.actions),
        "drug": chosen.name,
        "lost_targets": lost,
        "resistance_target": resistance_target,
        "n_hop": n_hop,
        "net": net,
        "aligned": "directed" if parity else "symmetric",
    }
    out = target(adata, copy=copy)
    network.write(out, key_added)
    entry = out.uns[key_added]
    entry["params"] = storable({**network.params, **told})
    entry["ranks"], entry["effects"] = ranks, effects
    logger.info("scrank: %s moves most for %s", ranks["group"].iloc[0], ", ".join(chosen.targets))
    return out if copy else None


def _inferred(
    adata: AnnData, names: list[str], surroundings: dict[str, Any], own: dict[str, Any], n_jobs: int | None
) -> Network:
    record = METHODS["scrank"]
    task = Task(**environment(None, "cpu", None), sources=names, n_jobs=n_jobs, **surroundings)
    with torch_threads(n_jobs):
        network = run(adata, record, task, own)
    return _described(network, adata, record, task)


def _stored(adata: AnnData, key: str, groupby: str, groups: Sequence[str]) -> Network:
    network = Network.from_anndata(adata, key)
    strange = sorted(set(network.groups) - set(groups))
    if strange or not network.groups:
        there = f"groups {', '.join(strange[:5])}" if strange else "no groups"
        raise GroupError(
            f"the networks in uns[{key!r}] have {there}; obs[{groupby!r}] has {', '.join(groups[:5])}. Infer them with "
            f"groupby={groupby!r}, or leave net=None."
        )
    return network
