"""What a probe will cost, before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anndata import AnnData

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._object.modalities import on_mudata
from grn.methods.inputs import inputs_of
from grn.methods.probes.cost import Cost, cost_of
from grn.methods.probes.features import FEATURES
from grn.models import FoundationModel
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def estimate_cost(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    model: str | FoundationModel = "mini",
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    features: Sequence[str] = FEATURES,
    grid: Sequence[float] | None = None,
    background: str = "fixed",
    context: str = "virtual",
    groupby: str | None = None,
    batch_size: int | None = None,
    calibrate: bool = True,
    device: str = "auto",
    n_jobs: int | None = None,
    progress: bool | None = None,
) -> Cost:
    """What a probe will cost: passes, operations, time on this machine, memory and disk.

    Parameters
    ----------
    %(adata)s
    %(pairs)s
    features
        ``"vvp"``, ``"gradient_trajectory"`` or both; both on one grid are what :func:`grn.tl.probe` reads.
    grid
        Values on the model's value scale; the grid that the probe takes by default.
    background
        ``"fixed"`` or ``"unknown"``, as given to the probe. What the moving background costs is at most the fixed one.
    context, groupby
        As given to the probe; every group is read by itself.
    batch_size
        Virtual cells per pass; decided from ``grn.settings.memory_budget`` by default.
    calibrate
        Time a few passes on this machine, for some seconds. ``False`` leaves the time open.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    n_jobs
        Torch threads; -1 for all cores, ``None`` leaves torch's choice.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.

    Returns
    -------
    Cost
        Record of the numbers; prints as a table. The object is not changed.

    Raises
    ------
    %(raises)s
    GroupError
        If the groups cannot be used.

    Notes
    -----
    Passes are counted exactly. Operations are counted by torch over one forward pass of a panel of typical size; a
    dual pass counts twice for plain matrix products and three times for those of attention. The time is that of one
    batch of each kind, times their number, so it knows nothing of what else the machine will do, nor of reading cells
    and writing files. ``work_bytes`` is the memory by which batches are sized.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.pbmc68k()[:, ["SPI1", "LYZ", "CD79A", "CST3"]].copy()
    >>> grn.tl.estimate_cost(adata, sources=["SPI1"], features=["vvp"], calibrate=False).forward_passes
    9
    """
    inputs = inputs_of(
        adata,
        model=model,
        sources=sources,
        targets=targets,
        groupby=groupby,
        batch_size=batch_size,
        device=device,
        n_jobs=n_jobs,
        progress=progress,
    )
    return cost_of(inputs, features, grid=grid, background=background, context=context, calibrate=calibrate)
