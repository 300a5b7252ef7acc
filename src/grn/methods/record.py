"""A method is a record: a function from an object to a Network, and what it promises."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grn._core.errors import ParameterError
from grn._core.registry import Registry
from grn._kernels.scan import check_values
from grn.network import Network


@dataclass(frozen=True)
class Task:
    """What every method is asked.

    Parameters
    ----------
    model
        Foundation model; ``None`` for methods that read none.
    sources, targets
        Names from ``var_names``, or ``None`` for regulators and all genes.
    groupby, layer, use_raw, values
        Groups of cells and the values to read.
    seed
        Seed of all randomness.
    batch_size, memory_budget, show
        Size of batches, bytes they may take, progress bar.
    feature_budget
        Bytes that features may use in memory; ``None`` for any number.
    client
        dask client whose workers do the work.
    n_jobs
        Threads or processes for work that is not done by torch; ``None`` for one.
    taking
        Names of the genes that may have edges in a group, by group, where that was decided before on more cells;
        ``None`` to decide it now.
    """

    model: Any
    sources: Sequence[str] | None = None
    targets: Sequence[str] | None = None
    groupby: str | None = None
    layer: str | None = None
    use_raw: bool = False
    values: str = "auto"
    seed: int = 0
    batch_size: int | None = None
    memory_budget: int = 512 * 2**20
    show: bool | None = None
    feature_budget: int | None = None
    client: Any = None
    n_jobs: int | None = None
    taking: Mapping[str, Sequence[str]] | None = None

    def __post_init__(self) -> None:
        """Refuse a scale of values that is none, also where no cells are read."""
        check_values(self.values)


@dataclass(frozen=True)
class Method:
    """A published system or a plain probe.

    Parameters
    ----------
    name
        Name for ``grn.tl.infer_network(method=...)``.
    fit
        ``fit(adata, task, *, ...) -> Network``; its keyword-only parameters are the method's own.
    description
        One line for people.
    signed, probability
        Whether edges carry a sign and a probability.
    needs
        What the object must hold beside gene names: ``"cells"``, ...
    reference
        Citation.
    family
        Family of published models the recipe belongs to; ``""`` for any model.
    uses_client
        Whether ``fit`` gives its work to the workers of ``task.client``.
    reads_model
        Whether ``fit`` reads ``task.model``; methods that regress on the cells alone do not.
    """

    name: str
    fit: Callable[..., Network]
    description: str
    signed: bool
    probability: bool
    needs: tuple[str, ...] = field(default=())
    reference: str = "arXiv 2605.08128"
    family: str = ""
    uses_client: bool = False
    reads_model: bool = True

    def parameters(self) -> dict[str, Any]:
        """The method's own parameters with their defaults; ``stored`` is the caller's, not the user's."""
        found = inspect.signature(self.fit).parameters.values()
        return {p.name: p.default for p in found if p.kind is inspect.Parameter.KEYWORD_ONLY and p.name != "stored"}

    @property
    def reuses(self) -> bool:
        """Whether ``fit`` takes features computed before, as ``stored=``."""
        return "stored" in inspect.signature(self.fit).parameters

    def check(self, params: Mapping[str, Any]) -> None:
        """Refuse parameters the method does not have."""
        valid = self.parameters()
        unknown = sorted(set(params) - set(valid))
        if unknown:
            raise ParameterError(
                f"method {self.name!r} has no parameter {', '.join(map(repr, unknown))}; valid are: "
                f"{', '.join(f'{k}={v!r}' for k, v in valid.items()) or 'none'}."
            )


METHODS: Registry[Method] = Registry("method")
