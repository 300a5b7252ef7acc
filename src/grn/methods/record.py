"""A method is a record: what it needs, a function that makes edges of it, and what it promises."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grn._core import checks
from grn._core.blocks import Workers
from grn._core.device import ACCELERATORS
from grn._core.errors import ParameterError
from grn._core.registry import Registry
from grn._kernels.scan import VALUES
from grn.network import Network

if TYPE_CHECKING:
    import pandas as pd

# what a method may read beside the names of genes
NEEDS = ("cells", "counts", "model", "perturbation", "regions", "time")
# what else lies beside the edges of a network, whatever made it
TAKEN = frozenset({"edges", "genes", "kind", "params", "regulators", "schema"})
# how the direction of an edge comes about
DIRECTIONS = ("role", "response")
# fewest cells of a group in which a gene is seen, for it to have edges there
MIN_CELLS_SEEN = 5


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
    cache
        Folder for the finished parts of long fits, see :mod:`grn.methods.resume`; ``None`` keeps none.
    device
        Torch device for methods whose record names its kind in ``devices``; ``None`` for the processor, where they use
        numpy if they can. That of a model is its own.
    taking
        Names of the genes that may have edges in a group, by group, where that was decided before on more cells;
        ``None`` to decide it now.
    """

    model: Any = None
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
    cache: Path | None = None
    device: str | None = None
    taking: Mapping[str, Sequence[str]] | None = None

    @property
    def workers(self) -> Workers:
        """Who computes what is divided into blocks."""
        return Workers(self.n_jobs, self.client)

    def __post_init__(self) -> None:
        """Refuse a scale of values that is none, also where no cells are read."""
        checks.word("values", self.values, VALUES)

    @property
    def uses_torch(self) -> bool:
        """Whether torch computes whatever the method: a model, or a device."""
        return self.model is not None or self.device is not None


@dataclass(frozen=True)
class Table:
    """What a table beside the edges holds.

    Parameters
    ----------
    description
        One line for people.
    columns
        Columns that the table always has; ``()`` for a mapping of arrays.
    """

    description: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What a method gives back.

    Parameters
    ----------
    network
        The edges, between genes and groups that were asked for.
    tables
        Tables beside them, by the names that the record declares.
    graphs
        Weights between cells (n_cells, n_cells) and their provenance, by their key in ``obsp``.
    layers
        Values of cells and genes (n_cells, n_vars), such as velocities, by name: that of the network and an underscore
        go before it in ``layers``. NaN for what was not read.
    """

    network: Network
    tables: Mapping[str, Any] = field(default_factory=dict)
    graphs: Mapping[str, tuple[Any, Mapping[str, Any]]] = field(default_factory=dict)
    layers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A published system, a probe of a foundation model or a baseline.

    Parameters
    ----------
    name
        Name for ``grn.tl.infer_network(method=...)``.
    fit
        Makes edges. A method that needs ``("cells",)`` is called once per group of cells: ``fit(group, *, ...)`` takes
        a :class:`grn.methods.Group` and returns weights (T, S) of its targets and sources, NaN for no edge; or a dict
        of such matrices, ``"weight"`` and any of ``"sign"``, ``"score"``, ``"probability"``; or a DataFrame ``source,
        target, weight``; or ``None`` where nothing varies. The runner takes out pairs of a gene with itself, of genes
        below ``min_cells``, outside a base GRN or of weight NaN, and refuses genes that the group does not have. Others
        are called once: ``fit(inputs, *, ...)`` takes :class:`grn.methods.Inputs` and returns a :class:`grn.Network` or
        a :class:`grn.methods.Result`. Keyword-only parameters are the method's own.
    description
        One line for people.
    signed, probability
        Whether edges carry a sign and a probability.
    reference
        Citation.
    needs
        What it reads beside the names of genes: ``"cells"``, ``"counts"`` (cells whose values are raw counts,
        ``counts`` of what ``fit`` is given), ``"model"``, ``"perturbation"``, ``"regions"`` (open
        chromatin of the same cells, ``chromatin`` of what ``fit`` is given), ``"time"``.
    optional
        What it reads too where there is some, and else does without.
    features
        Features of a pair, by the names that translators know, where its edges are nothing but these: raw, or
        translated and averaged. ``()`` for all other methods.
    columns
        Named columns of a pair, where its edges are nothing but a logistic regression on these, that of the name in its
        parameter ``translator``: ``"response"`` and columns of side information. The benchmark fits it anew on labels
        of its own. ``()`` for all other methods.
    verify
        ``verify(*, ...)``, called first: refuses values of parameters, before anything is read.
    ready
        ``ready(inputs, *, ...)``, called next: refuses at once an object without what the method reads beside its
        ``needs``, such as a trajectory or columns, by an error that names the call which makes it.
        :func:`grn.tl.suggest` asks it too.
    prepare
        ``prepare(inputs, *, ...)``, called before the groups are fitted: reads what all groups share. ``fit`` receives
        what it returns as ``prepared``.
    report
        ``report(inputs, network, *, prepared, tables, ...) -> Result``, called with all edges and the tables that
        ``fit`` gave (:class:`grn.methods.Fitted`): lists some edges, adds tables. Left out where the network is only
        compared with another.
    knockout
        ``knockout(fit, params, question) -> dict``, for :func:`grn.tl.predict_knockout`: what the table ``"fit"`` of
        the method, a mapping of arrays with the names ``genes``, predicts after the knock-outs of a
        :class:`grn.methods.knockout.Question`: a :class:`grn.methods.knockout.Course` by group, ``""`` for no groups.
        ``None`` if it predicts none.
    response
        ``response(fit, params, *, steps) -> dict``, for ``grn.tl.simulate(coefficients="fit")``: a
        :data:`grn.methods.fits.Follow` by group, which moves genes of cells and lets the dynamics that were fitted run
        for ``steps`` units of their time. ``None`` if it has no dynamics of its own.
    reads_sums
        Whether ``fit`` reads the cells of a group by :meth:`grn.methods.Group.cross` and
        :meth:`~grn.methods.Group.correlation` alone, and ``prepare`` reads none: then :func:`grn.tl.confidence` gives
        it all permutations from one look at the cells.
    copies
        How many permuted copies of every regulator stand beside the regulators in one fit of
        :func:`grn.tl.confidence`; more than one where regulators are drawn at random, as for trees.
    whole
        Whether a method of cells is given all of them at once instead of group by group.
    takes_prior
        Whether the user may restrict the pairs, by ``base_grn``.
    edge_tables
        Parameters that hold prior probabilities of edges, as :func:`grn.methods.edge_prior.edge_prior` reads them:
        where the method runs beside permuted copies of regulators, the copies have the edges of the regulators.
    direction
        How the direction of an edge between two regulators comes about: ``"response"`` if the record measures what the
        target does when the source changes, so that the two ways can be compared; ``"role"`` if nothing tells it. A
        prior is looked at in any case, and a network that has a column ``direction`` says it itself.
    tables
        Tables that ``report`` or ``fit`` may give, by name.
    family
        Family of published models the recipe belongs to; ``""`` for any model.
    devices
        Kinds of torch device that it can compute on, by ``Task.device``, beside the processor: ``"cuda"``, and
        ``"mps"`` if it needs no 64-bit numbers. ``()`` for methods that have no use for one, and for those that read a
        model, which is moved there.
    keeps_parts
        Whether parts of a long fit are kept in the folder ``Task.cache``.
    uses_client
        Whether the work is given to the workers of ``Task.client``.
    confidence
        Columns that say how sure an edge is, such as ``"pval"``.
    advice
        One line that is said, as a hint, whenever the method has made edges: what it used, what it is worth, and which
        method answers another question better.
    system, year, inputs, cost, licence, page
        For the table of methods: name and year of the original, what it reads and what that costs, in words, the
        licence of the original program, and the page of the documentation.
    """

    name: str
    fit: Callable[..., Any]
    description: str
    signed: bool
    probability: bool
    reference: str
    needs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    verify: Callable[..., None] | None = None
    ready: Callable[..., None] | None = None
    prepare: Callable[..., Any] | None = None
    report: Callable[..., Result] | None = None
    knockout: Callable[..., Mapping[str, Any]] | None = None
    response: Callable[..., Mapping[str, Any]] | None = None
    reads_sums: bool = False
    copies: int = 1
    whole: bool = False
    takes_prior: bool = False
    edge_tables: tuple[str, ...] = ()
    direction: str = "role"
    tables: Mapping[str, Table] = field(default_factory=dict)
    family: str = ""
    devices: tuple[str, ...] = ()
    keeps_parts: bool = False
    uses_client: bool = False
    confidence: str = ""
    advice: str = ""
    system: str = ""
    year: int = 0
    inputs: str = ""
    cost: str = ""
    licence: str = ""
    page: str = ""

    def __post_init__(self) -> None:
        """Refuse a record that could not be called by name."""
        unknown = sorted({*self.needs, *self.optional} - set(NEEDS))
        if unknown:
            raise ParameterError(
                f"method {self.name!r} needs {', '.join(map(repr, unknown))}; a record may need: {', '.join(NEEDS)}."
            )
        checks.word("direction", self.direction, DIRECTIONS)
        self._check_repetitions()
        for kind in self.devices:
            checks.word("devices", kind, ACCELERATORS)
        taken = sorted(set(self.tables) & TAKEN)
        if taken:
            raise ParameterError(
                f"method {self.name!r} has a table {taken[0]!r}, which networks use themselves; name it otherwise."
            )
        defaults: dict[str, Any] = {}
        for function in self.functions():
            for name, default in keywords(function).items():
                if default is inspect.Parameter.empty or (name in defaults and not _same(defaults[name], default)):
                    what = "no default" if default is inspect.Parameter.empty else "two defaults"
                    raise ParameterError(f"parameter {name!r} of method {self.name!r} has {what}; give it one.")
                defaults[name] = default
        for name, function in {"verify": self.verify, "ready": self.ready}.items():
            strange = [] if function is None else sorted(set(keywords(function)) - set(defaults))
            if strange:
                raise ParameterError(
                    f"{name} of method {self.name!r} takes {strange[0]!r}, which is no parameter of it."
                )

    def _check_repetitions(self) -> None:
        if self.reads_sums and not self.by_group:
            raise ParameterError(f"method {self.name!r} has reads_sums=True and is not called by groups; leave it out.")
        checks.integer("copies", self.copies, least=1)
        if self.copies > 1 and (self.reads_sums or "regions" in self.needs):
            raise ParameterError(f"method {self.name!r} reads sums or regions, so that copies has to be 1.")

    @property
    def reads_model(self) -> bool:
        """Whether it asks a foundation model."""
        return "model" in self.needs

    @property
    def by_group(self) -> bool:
        """Whether the runner calls ``fit`` once per group of cells."""
        return "cells" in self.needs and not self.reads_model and not self.whole

    @property
    def reuses(self) -> bool:
        """Whether ``fit`` can use features computed before: it is given where to look as ``stored=``."""
        return "stored" in inspect.signature(self.fit).parameters

    def functions(self) -> list[Callable[..., Any]]:
        """The functions whose keyword-only parameters are the method's."""
        own = [*filter(None, (self.prepare, self.fit, self.report))]
        names_prior = any("base_grn" in keywords(function) for function in own)
        return [*own, *[_restricted] * (self.takes_prior and not names_prior), *[_seen] * self.by_group]

    def parameters(self, *, listing: bool = True) -> dict[str, Any]:
        """The method's own parameters with their defaults.

        Parameters
        ----------
        listing
            Include those that only choose which edges are listed and what is told beside them.
        """
        functions = [f for f in self.functions() if listing or f is not self.report]
        return {name: default for function in functions for name, default in keywords(function).items()}

    def check(self, params: Mapping[str, Any]) -> None:
        """Refuse parameters the method does not have."""
        valid = self.parameters()
        unknown = sorted(set(params) - set(valid))
        if unknown:
            raise ParameterError(
                f"method {self.name!r} has no parameter {', '.join(map(repr, unknown))}; valid are: "
                f"{', '.join(f'{k}={v!r}' for k, v in valid.items()) or 'none'}."
            )

    def verified(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters, those given beside the defaults; refuses unknown ones, and values that ``verify`` refuses."""
        self.check(params)
        arguments = {**self.parameters(), **params}
        if self.verify is not None:
            self.verify(**{name: arguments[name] for name in keywords(self.verify)})
        return arguments

    def summary(self) -> dict[str, Any]:
        """A row of :func:`grn.tl.methods`."""
        prior = ["motif", "prior"] * (self.takes_prior or bool(self.edge_tables))
        return {
            "system": self.system,
            "year": self.year or None,
            "input": self.inputs,
            "output": ", ".join(["edges", *self.tables]),
            "sign": self.signed,
            "direction": ", ".join([*prior, *dict.fromkeys([self.direction, "role"])]),
            "confidence": self.confidence,
            "devices": ", ".join(["cpu", *(ACCELERATORS if self.reads_model else self.devices)]),
            "cost": self.cost,
            "licence": self.licence,
            "page": self.page,
            "description": self.description,
            "needs": ", ".join(self.needs),
            "model": self.family,
            "parameters": ", ".join(f"{name}={default!r}" for name, default in self.parameters().items()),
            "reference": self.reference,
        }


def _same(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and bool(one == other))


# what the runner hands over beside the parameters of the user
_HANDED = ("prepared", "stored", "tables")


def keywords(function: Callable[..., Any]) -> dict[str, Any]:
    """Keyword-only parameters of a function of a record, with their defaults, but for what the runner hands over."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in _HANDED}


def _restricted(*, base_grn: pd.DataFrame | None = None) -> None:
    """Parameter of methods that may be restricted to the pairs of a table."""


def _seen(*, min_cells: int = MIN_CELLS_SEEN) -> None:
    """Parameter of all methods of groups of cells: fewest of them in which a gene is above zero; 0 for no limit."""


METHODS: Registry[Method] = Registry("method")
