"""What a foundation model says a cell becomes when genes are taken out of it, raised, or flagged as perturbed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from grn._core import checks
from grn._core.device import torch_threads
from grn._core.docs import document
from grn._core.errors import ParameterError
from grn._core.logging import one_voice
from grn._core.names import check_key
from grn._core.rng import RNGLike, seed_of
from grn._object.container import check_target, target, validate
from grn._object.expression import reads_of
from grn.methods.foundation.cell_readings import shown_cells
from grn.methods.inputs import inputs_of
from grn.methods.probes.plan import cells_per_pass
from grn.methods.provenance import provenance
from grn.models import FoundationModel
from grn.models.protocol import PERTURBATIONS, need
from grn.network.schema import storable
from grn.simulate.in_silico import CellEmbedder, sets_of
from grn.simulate.in_silico_outcome import Outcome, embedded, flagged
from grn.simulate.start_cells import start_cells, states_of
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from anndata import AnnData

KIND = "in_silico_perturbation"


@one_voice
@document(**SNIPPETS)
def in_silico_perturbation(
    adata: AnnData,
    *,
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
) -> AnnData | None:
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
    seed = seed_of(rng)
    params = {name: value for name, value in locals().items() if name not in {"adata", "copy", "seed", "model"}}
    checks.word("mode", mode, (*PERTURBATIONS, "flag"))
    validate(adata)
    check_target(adata, copy=copy, key=key_added)
    if cells_added is not None:
        check_key(cells_added, "cells_added")
    states = states_of(state_key, start_state, goal_state, alt_states)
    if mode == "flag":
        _without_cells(
            {"goal_state": goal_state, "readout": readout, "max_genes": max_genes, "cells_added": cells_added}
        )
    inputs = inputs_of(
        adata,
        model=model,
        groupby=groupby,
        layer=layer,
        use_raw=use_raw,
        values=values,
        batch_size=batch_size,
        device=device,
        n_jobs=n_jobs,
        progress=progress,
    )
    task = inputs.task
    if mode != "flag":
        need(task.model, "cells", f"in_silico_perturbation(mode={mode!r})")
    sets = sets_of(adata, task.model, genes)
    cells = start_cells(adata, states, groupby, max_cells, seed)
    with torch_threads(task.n_jobs), reads_of() as reads:
        if mode == "flag":
            size = partial(cells_per_pass, task)
            outcome = flagged(task.model, inputs.expression, sets, cells, size, show=task.show)
        else:
            reader = CellEmbedder(shown_cells(inputs, max_genes=max_genes), readout)
            outcome = embedded(reader, sets, cells, states, mode, show=task.show)
    out = target(adata, copy=copy)
    told = {**params, **reads.told, **provenance(task.model), "rng": seed}
    told["genes"] = None if genes is None else sets.names
    _write(out, outcome, sets.names, told, key_added, cells_added)
    return out if copy else None


def _write(
    adata: AnnData, outcome: Outcome, names: list[str], params: Mapping[str, Any], key: str, cells_added: str | None
) -> None:
    """Store everything, replacing what an earlier call left under the key."""
    earlier = adata.uns.get(key)
    if isinstance(earlier, Mapping) and earlier.get("kind") == KIND and key in adata.varm:
        del adata.varm[key]
    entry: dict[str, Any] = {"kind": KIND, "perturbations": np.array(names, dtype=str), "params": storable(params)}
    if outcome.groups:
        entry["groups"] = np.array(outcome.groups, dtype=str)
    if outcome.genes is not None:
        adata.varm[key] = outcome.genes
    if cells_added is not None:
        for ending, numbers in zip(("", "_goal"), outcome.cells, strict=False):
            adata.obsm[f"{cells_added}{ending}"] = numbers
    adata.uns[key] = entry | outcome.tables


def _without_cells(given: dict[str, object]) -> None:
    """Refuse arguments about embeddings of cells where genes are predicted."""
    named = [name for name, value in given.items() if value is not None]
    if named:
        raise ParameterError(
            f"mode='flag' predicts genes and reads no embedding of cells, so {', '.join(named)} means nothing to it."
        )
