"""Where a method runs and what made its result: device, budgets, threads, model, version; and its inputs from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grn._core import checks
from grn._core.device import resolve_device
from grn._core.settings import settings
from grn._object.container import validate
from grn.methods.inputs import Inputs
from grn.methods.record import Task
from grn.models import FoundationModel, load

if TYPE_CHECKING:
    from anndata import AnnData


def environment(model: FoundationModel | str | None, device: str, progress: bool | None) -> dict[str, Any]:  # noqa: FBT001
    """The model, if any, on its device, the budgets and whether to show progress: arguments first, then settings."""
    resolved = resolve_device(settings.device if device == "auto" else device)
    loaded = None if model is None else load(model).to(resolved)
    show = settings.progress if progress is None else progress
    return {
        "model": loaded,
        "memory_budget": settings.memory_budget,
        "feature_budget": settings.feature_budget,
        "show": show,
    }


def inputs_of(
    adata: AnnData,
    *,
    model: FoundationModel | str | None,
    device: str = "auto",
    n_jobs: int | None = None,
    progress: bool | None = None,
    **asked: Any,
) -> Inputs:
    """An object as methods see it, with the model on its device; ``None`` for no model.

    ``asked`` are ``sources``, ``targets``, ``groupby``, ``layer``, ``use_raw``, ``values``, ``seed``, ``batch_size``
    and ``client`` of the task.
    """
    validate(adata)
    return Inputs(adata, Task(**environment(model, device, progress), n_jobs=jobs(n_jobs), **asked))


def jobs(n_jobs: int | None) -> int | None:
    """The number of threads asked for, else the setting."""
    return checks.jobs(settings.n_jobs if n_jobs is None else n_jobs)


def provenance(model: FoundationModel | None) -> dict[str, str]:
    """What made a result: model and weights, if any, and the package."""
    from grn import __version__

    if model is None:
        return {"grn_version": __version__}
    return {"model": model.name, "model_sha256": model.sha256, "grn_version": __version__}
