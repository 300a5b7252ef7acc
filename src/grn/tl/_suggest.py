"""What an object holds, which methods can run on it, and with which to start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anndata import AnnData

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._object.modalities import on_mudata
from grn.methods.inputs import inputs_of
from grn.methods.suggestion import Suggestion, suggestion
from grn.models import FoundationModel
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def suggest(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    atac: str = "atac",
    model: str | FoundationModel = "mini",
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    groupby: str | None = None,
    condition: str | None = None,
    donor: str | None = None,
    perturbation: str | None = None,
    time: str | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    calibrate: bool = False,
    device: str = "auto",
    n_jobs: int | None = None,
    progress: bool | None = None,
) -> Suggestion:
    """Say what an object holds, which methods can run on it and which cannot, and with which to start.

    Every method of :func:`grn.tl.methods` is asked whether it can run, by the same checks that it makes when it is
    called; what it lacks is told with the call that enables it. For each of several questions (which edges are known,
    how these cells are wired, what drives a contrast, regions, direct effects in a screen, a trajectory, a knock-out)
    the method is named that did best where the documentation measured it, with the figures and the page.

    Parameters
    ----------
    %(adata)s
    %(atac)s
    %(pairs)s
    groupby
        Column of ``obs`` with the groups to make networks of; too small groups are then told.
    condition, donor, perturbation, time
        Columns of ``obs`` (str) with conditions, donors, knocked-out genes and numbers that say when cells were taken.
        Those that are not named are looked for: knock-outs by labels that are genes, the others by their names. What
        was found is told. Conditions with two or more donors on both sides are compared by
        :func:`grn.tl.differential_activity`, others by :func:`grn.tl.rank_drivers`.
    %(cells)s
    calibrate
        Time short trials on this machine, a minute or two in all: passes of the model as
        :func:`grn.tl.estimate_cost` does, and methods whose work is divided into targets on 500 cells and more and more
        targets, until a trial takes a second. The rest is extrapolated: expect the order of magnitude. ``False`` leaves
        the time open.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    n_jobs
        Threads, as the methods take it; -1 for all cores, ``None`` leaves torch's choice and takes one else.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.

    Returns
    -------
    Suggestion
        Record with the tables ``holds``, ``start`` and ``methods``; prints as text. The object is not changed.

    Raises
    ------
    %(raises)s
    GroupError
        If ``groupby``, ``condition``, ``donor``, ``perturbation`` or ``time`` is no column of ``obs``.

    Notes
    -----
    The start of a question is the method that can run, answers it and was ahead of a baseline by most: correlation in
    the same cells, or for drivers the change of the regulator itself. Figures come from simulated cells and few data
    sets; they say where to start, not what is true in your cells. Cost: one look at the values.

    Examples
    --------
    >>> import grn
    >>> told = grn.tl.suggest(grn.datasets.toy_perturbation())
    >>> told.start.loc["screen", "method"]
    'renge'
    >>> told.methods.loc["scenicplus", "missing"][:38]
    'the method reads open chromatin, and t'
    """
    asked = {"sources": sources, "targets": targets, "groupby": groupby}
    read = {"layer": layer, "use_raw": use_raw, "values": values}
    inputs = inputs_of(adata, model=model, device=device, n_jobs=n_jobs, progress=progress, **asked, **read)
    named = {"condition": condition, "donor": donor, "perturbation": perturbation, "time": time}
    return suggestion(adata, inputs, calibrate=calibrate, **named)
